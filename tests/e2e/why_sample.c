/* why_sample.c: a program linked with libneap that holds things in every way that C has, and knows how. For each it prints
 * {"label", "address", "root": the kind of root that holds it, "name": what that is called, "path": the addresses from the
 * root to it, "bytes": what dropping it would free, at least}. Of collected objects it asks the collector itself
 * (neap_why). Then "ready"; it ends when its standard input does.
 *
 * Addresses are told inverted where telling them would leave copies in the wrong place.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "neap/cmap.h"
#include "neap/gc_cmap.h"
#include "neap/gc_map.h"
#include "neap/heap.h"
#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/weak_map.h"

enum { SHARED = 9000, SESSIONS = 1000, PAYLOAD = 100000, LONG_CHAIN = 20 };

struct session {
	struct session *next;
	char *payload;
	long number;
};
NEAP_TYPE(session_type, struct session, next, payload);

struct server {
	char name[24];
	struct neap_map *sessions;
	struct server *backup;
};

static const struct neap_map_type by_number = {.size = sizeof by_number,
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 8,
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8};
static const struct neap_map_type by_name = {.size = sizeof by_name,
					     .kind = NEAP_KEY_STR,
					     .key_size = sizeof(struct neap_str),
					     .key_align = 8,
					     .value_size = 8,
					     .value_align = 8};
static const struct neap_hmap_type classic_type = {.size = sizeof classic_type,
						   .kind = NEAP_HMAP_BYTES,
						   .key_size = 8,
						   .key_align = 8,
						   .value_size = 8,
						   .value_align = 8};

struct server *main_server;	    /* -> chunk of malloc -> map -> chunk */
char *heap_block;		    /* -> block of the heap -> block of the heap */
static struct neap_hmap *old_table; /* -> classic map -> chunk */
_Thread_local char *own_block;
static struct session *collected_root;
static struct neap_gc_map *collected_map;
static struct neap_gc_cmap *shared_map; /* concurrent: its entries are words of its tables */
static struct neap_gc_cmap *node_map;	/* the same, and nodes, because its keys are strings */
static struct neap_cmap *plain_map;	/* concurrent, in malloc's memory: -> chunk */
static struct neap_weak_map *weak_map;
static struct session *weak_key;
static pthread_barrier_t started;
static uintptr_t large_block; /* inverted */

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static void need(bool condition)
{
	if (!condition)
		abort();
}

static void begin(const char *label, uintptr_t address, const char *root, const char *name)
{
	printf("{\"label\": \"%s\", \"address\": \"0x%" PRIxPTR
	       "\", \"root\": \"%s\", \"name\": \"%s\", \"path\": [",
	       label, address, root, name);
}

static void end(size_t bytes)
{
	printf("], \"bytes\": %zu}\n", bytes);
}

static void step(uintptr_t address, bool last)
{
	printf("\"0x%" PRIxPTR "\"%s", address, last ? "" : ", ");
}

static void tell_one(const char *label, const char *root, const char *name, const void *address, size_t bytes)
{
	begin(label, (uintptr_t)address, root, name);
	step((uintptr_t)address, true);
	end(bytes);
}

/* A server in malloc's memory holds a map whose entries hold sessions, in malloc's memory too. */
static __attribute__((noinline)) void make_server(void)
{
	const struct neap_map_options options = {.name = "sessions by number"};
	struct server *server = must(calloc(1, sizeof *server));
	struct session *some = NULL, *deleted = NULL;
	server->sessions = must(neap_map_create(&by_number, &options));
	for (uint64_t key = 0; key < SESSIONS; key++) {
		struct session *session = must(calloc(1, sizeof *session));
		session->payload = must(calloc(1, 64));
		need(neap_map_put(server->sessions, &key, &session) == NEAP_OK);
		some = key == 500 ? session : some;
		deleted = key == 600 ? session : deleted;
	}
	some->payload = must(malloc(PAYLOAD));
	const uint64_t gone = 600;
	need(neap_map_delete(server->sessions, &gone)); /* and nobody frees the session */
	main_server = must(calloc(1, sizeof *main_server));
	main_server->backup = server;

	begin("map", (uintptr_t)server->sessions, "static", "main_server");
	step((uintptr_t)main_server, false);
	step((uintptr_t)server, false);
	step((uintptr_t)server->sessions, true);
	end((SESSIONS - 2) * (sizeof *some + 64) + PAYLOAD);
	begin("payload", (uintptr_t)some->payload, "static", "main_server");
	step((uintptr_t)main_server, false);
	step((uintptr_t)server, false);
	step((uintptr_t)server->sessions, false);
	step((uintptr_t)some, false);
	step((uintptr_t)some->payload, true);
	end(PAYLOAD);
	tell_one("deleted", "none", "", deleted, 0);
}

/* What a freed chunk still holds, in a thread's cache of them, is nobody's. */
static __attribute__((noinline)) void make_freed(uintptr_t *hidden)
{
	char *volatile *holder = must(malloc(48));
	holder[3] = must(malloc(333));
	*hidden = ~(uintptr_t)holder[3];
	free((void *)holder);
}

static __attribute__((noinline)) void make_others(void)
{
	char **outer = must(neap_heap_alloc(1000));
	heap_block = (char *)outer;
	memset(outer, 0, 1000);
	outer[7] = must(neap_heap_alloc(5000));
	begin("block", (uintptr_t)outer[7], "static", "heap_block");
	step((uintptr_t)outer, false);
	step((uintptr_t)outer[7], true);
	end(5000);

	const struct neap_hmap_options options = {.name = "old table"};
	old_table = must(neap_hmap_create(&classic_type, &options));
	char *value = NULL;
	for (uint64_t key = 0; key < 300; key++) {
		value = must(malloc(200));
		need(neap_hmap_put(old_table, &key, &value) == NEAP_OK);
	}
	begin("classic value", (uintptr_t)value, "static", "old_table");
	step((uintptr_t)old_table, false);
	step((uintptr_t)value, true);
	end(200);
}

/* What the collector says of an object of its own. */
static void tell_collected(const char *label, uintptr_t inverted)
{
	static const char *const roots[] = {"none",   "static", "thread-local", "range",
					    "handle", "stack",	"other",	"weak"};
	struct neap_why why = {.size = sizeof why};
	need(neap_why_hidden(inverted, &why) == NEAP_OK);
	begin(label, ~inverted, roots[why.root], why.root == NEAP_WHY_STATIC ? why.symbol : "");
	for (size_t i = 0; i < why.length && i < NEAP_WHY_STEPS; i++)
		step((uintptr_t)why.path[i].object, i + 1 == why.length);
	end(0);
}

static __attribute__((noinline)) void make_chain(uintptr_t *last)
{
	for (int i = 0; i < LONG_CHAIN; i++) {
		struct session *one = must(neap_gc_alloc(&session_type));
		one->next = collected_root;
		collected_root = one;
		if (i == 0)
			*last = ~(uintptr_t)one;
	}
}

/* So many entries that tables of both kinds and a deeper directory are there. */
static __attribute__((noinline)) void make_concurrent(uintptr_t hidden[8])
{
	const struct neap_cmap_options options = {.name = "shared sessions", .shards = 2};
	shared_map = must(neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, &options));
	for (uint64_t key = 0; key < SHARED; key++) {
		struct session *value = must(neap_gc_alloc(&session_type));
		need(neap_gc_cmap_store(shared_map, &key, &value) == NEAP_OK);
		hidden[5] = key == 7777 ? ~(uintptr_t)value : hidden[5];
		hidden[7] = key == 8888 ? ~(uintptr_t)value : hidden[7];
	}
	const uint64_t gone = 8888;
	need(neap_gc_cmap_delete(shared_map, &gone));
	node_map = must(neap_gc_cmap_create(&by_name, NULL, &neap_gc_pointer, NULL));
	for (int i = 0; i < 300; i++) {
		char text[32];
		const struct neap_str name = {.ptr = text,
					      .len = (uint32_t)snprintf(text, sizeof text, "session %d", i)};
		struct session *value = must(neap_gc_alloc(&session_type));
		need(neap_gc_cmap_store(node_map, &name, &value) == NEAP_OK);
		hidden[6] = ~(uintptr_t)value;
	}
}

static __attribute__((noinline)) void make_plain(void)
{
	char *value = NULL;
	plain_map = must(neap_cmap_create(&by_number, NULL));
	for (uint64_t key = 0; key < SHARED; key++) {
		value = must(malloc(120));
		need(neap_cmap_store(plain_map, &key, &value) == NEAP_OK);
	}
	begin("concurrent value", (uintptr_t)value, "static", "plain_map");
	step((uintptr_t)plain_map, false);
	step((uintptr_t)value, true);
	end(120);
}

static __attribute__((noinline)) void make_collected(uintptr_t hidden[8])
{
	make_chain(&hidden[0]);
	struct session *held = must(neap_gc_alloc(&session_type));
	held->payload = must(neap_gc_alloc_data(3000));
	hidden[1] = ~(uintptr_t)held->payload;
	must(neap_gc_handle_create(held));

	collected_map = must(neap_gc_map_create(&by_number, NULL, &neap_gc_pointer, NULL));
	struct session *value = must(neap_gc_alloc(&session_type));
	const uint64_t key = 5;
	need(neap_gc_map_put(collected_map, &key, &value) == NEAP_OK);
	hidden[2] = ~(uintptr_t)value;

	weak_map = must(neap_weak_map_create(NULL));
	weak_key = must(neap_gc_alloc(&session_type));
	void *kept = must(neap_gc_alloc_data(700));
	need(neap_weak_map_put(weak_map, weak_key, kept) == NEAP_OK);
	hidden[3] = ~(uintptr_t)kept;

	/* in malloc's memory, which is no root: garbage */
	struct session **nowhere = must(malloc(sizeof *nowhere));
	*nowhere = must(neap_gc_alloc(&session_type));
	hidden[4] = ~(uintptr_t)*nowhere;
	main_server->backup->backup = (struct server *)nowhere;
}

static __attribute__((noinline)) void clear_stack(void)
{
	volatile char room[16384];
	for (size_t i = 0; i < sizeof room; i++)
		room[i] = 0;
}

/* The frame of this function holds a block, and its thread's variable another. */
static __attribute__((noinline)) void hold_on_stack(void)
{
	char *volatile block = must(malloc(40000));
	own_block = must(malloc(300));
	large_block = ~(uintptr_t)block;
	pthread_barrier_wait(&started);
	for (;;)
		pause();
}

static void *thread_main(void *unused)
{
	hold_on_stack();
	return unused;
}

int main(void)
{
	char line[64];
	pthread_t thread;
	uintptr_t hidden[8], own, freed;
	static const char *const labels[] = {
		"chain",   "handle",	     "collected map", "weak value",
		"no root", "collected cmap", "cmap of nodes", "deleted from a cmap"};
	make_server();
	make_others();
	pthread_barrier_init(&started, NULL, 2);
	pthread_create(&thread, NULL, thread_main, NULL);
	pthread_barrier_wait(&started);
	begin("stack", ~large_block, "stack", "hold_on_stack");
	step(~large_block, true);
	end(40000);
	own_block = must(malloc(500));
	own = (uintptr_t)own_block;
	tell_one("thread-local", "thread-local", "own_block", (void *)own, 500);
	make_collected(hidden);
	make_concurrent(hidden);
	make_plain();
	make_freed(&freed);
	clear_stack();
	begin("freed", ~freed, "none", "");
	end(0);
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		tell_collected(labels[i], hidden[i]);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		puts("pong");
		fflush(stdout);
	}
	_exit(0);
}
