/* races.c: two threads that take turns without telling ThreadSanitizer, on a library built with it.
 *
 * usage: races WAY
 *
 * The turns are taken by relaxed atomics: in time the accesses never overlap, so the library's own guards have nothing to
 * see, and yet nothing orders them. What the tool must say of each way stands in `check`.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "neap/cache.h"
#include "neap/cmap.h"
#include "neap/scope.h"

static const struct neap_map_type numbers = {
	.size = sizeof numbers, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};

static struct neap_map *map;
static struct neap_cmap *cmap;
static struct neap_cache *cache;
static struct neap_transient *transient;
static _Atomic int turn;

struct letter {
	uint64_t words[8];
};

static void must(bool right)
{
	if (!right)
		abort();
}

static void wait_turn(int wanted)
{
	while (atomic_load_explicit(&turn, memory_order_relaxed) != wanted)
		usleep(100);
}

static void give_turn(int next)
{
	atomic_store_explicit(&turn, next, memory_order_relaxed);
}

static void put_in_map(uint64_t key)
{
	must(neap_map_put(map, &key, &key) == NEAP_OK);
}

static void put_in_transient(uint64_t key)
{
	must(neap_transient_put(transient, &key, &key) == NEAP_OK);
}

static void put_in_shared(uint64_t key)
{
	uint64_t value;
	must(neap_cmap_store(cmap, &key, &key) == NEAP_OK && neap_cmap_load(cmap, &key, &value));
	must(neap_cache_put(cache, &key, &key) == NEAP_OK && neap_cache_get(cache, &key, &value));
}

/* One thread's part: keys of its own, in turns with the other. */
struct part {
	void (*act)(uint64_t key);
	int self;
};

static void *take_turns(void *ctx)
{
	const struct part *part = ctx;
	for (uint64_t i = 0; i < 20; i++) {
		wait_turn(part->self);
		part->act(i * 2 + (uint64_t)part->self);
		give_turn(!part->self);
	}
	return NULL;
}

/* Not memset: what the compiler makes of that is not instrumented. */
static void write_letter(struct letter *letter, uint64_t from)
{
	for (size_t i = 0; i < sizeof letter->words / sizeof *letter->words; i++)
		letter->words[i] = from + i;
}

/* A pointer through a concurrent map: what was written before the store is there after the load ... */
static void *send_letter(void *is_late)
{
	static struct letter letter;
	struct letter *address = &letter;
	const uint64_t key = 1;
	write_letter(&letter, 1);
	must(neap_cmap_store(cmap, &key, &address) == NEAP_OK);
	if (is_late != NULL) /* ... and what is written after it is a race */
		write_letter(&letter, 2);
	give_turn(1);
	return NULL;
}

static void read_letter(void)
{
	struct letter *letter;
	const uint64_t key = 1;
	wait_turn(1);
	must(neap_cmap_load(cmap, &key, &letter));
	must(letter->words[3] != 0);
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	struct neap_scopes *scopes = neap_scopes_create(&numbers, NULL);
	struct part parts[2] = {{put_in_shared, 0}, {put_in_shared, 1}};
	pthread_t threads[2];
	map = neap_map_create(&numbers, NULL);
	cmap = neap_cmap_create(&numbers, NULL);
	cache = neap_cache_create(&numbers, NULL);
	must(scopes != NULL && map != NULL && cmap != NULL && cache != NULL);
	/* Now this thread has its record of a reader: that of a thread which has ended would be handed on in order. */
	must(!neap_cmap_load(cmap, &(uint64_t){0}, NULL));
	transient = neap_transient_begin(scopes);
	must(transient != NULL);
	if (strstr(way, "letter") != NULL) {
		void *is_late = strstr(way, "late") != NULL ? &parts : NULL;
		must(pthread_create(&threads[0], NULL, send_letter, is_late) == 0);
		read_letter();
		pthread_join(threads[0], NULL);
	} else {
		if (strcmp(way, "map") == 0)
			parts[0].act = parts[1].act = put_in_map;
		else if (strcmp(way, "transient") == 0)
			parts[0].act = parts[1].act = put_in_transient;
		else
			must(strcmp(way, "shared") == 0);
		for (int i = 0; i < 2; i++)
			must(pthread_create(&threads[i], NULL, take_turns, &parts[i]) == 0);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
	}
	neap_transient_end(transient);
	must(neap_scopes_destroy(scopes) == 0);
	neap_map_destroy(map);
	neap_cmap_destroy(cmap);
	neap_cache_destroy(cache);
	return 0;
}
