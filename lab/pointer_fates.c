/* pointer_fates.c: the four fates of a raw pointer that a map holds as a value, each made to happen and detected.
 *
 *     held    the entry is deleted, the object is not: somebody else points to it
 *     stack   the pointer is the address of a local variable of a function that has returned
 *     dirty   the object goes back to a pool and comes out again with what it held before
 *     stale   the object was freed, the pointer stays in the map
 *
 * Every fate runs in a process of its own, mostly under NEAP_DEBUG=heapcheck=1. Addresses are explained by what
 * neap_heap_find says of them and by the bounds of the stack; memory that the language does not let us touch any more is
 * read through /proc/self/mem.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/heap.h"
#include "neap/map.h"

enum { CHILD_S = 60, SESSION = 96, MASK = 0x5a };

struct session {
	char user[SESSION];
};

static const struct neap_map_type pointer_map = {.size = sizeof(struct neap_map_type),
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = sizeof(void *),
						 .value_align = _Alignof(void *)};

struct pointer_run {
	/* held */
	bool live_before, live_after;
	size_t found_in_data; /* words of the program's data that point to the object */
	bool found_the_holder, gone_after;
	/* stack */
	bool in_heap, in_stack, below_frame;
	uint64_t local_was, local_is;
	/* dirty */
	bool same_address, clean_with_zero, poisoned;
	char seen[SESSION];
	/* stale */
	bool stale_found;
};

static void must(bool done)
{
	if (!done) {
		fprintf(stderr, "neap: out of memory in pointer-fates\n");
		exit(1);
	}
}

static struct neap_map *map_with(const void *object)
{
	const uint64_t key = 1;
	struct neap_map *map = neap_map_create(&pointer_map, NULL);
	must(map != NULL && neap_map_put(map, &key, &object) == NEAP_OK);
	return map;
}

static void *pointer_in(struct neap_map *map)
{
	const uint64_t key = 1;
	void **object = neap_map_get(map, &key);
	must(object != NULL);
	return *object;
}

static struct neap_heap_place find(uintptr_t address)
{
	struct neap_heap_place place = {.size = sizeof place};
	must(neap_heap_find((const void *)address, &place) == NEAP_OK);
	return place;
}

static void with_checking(void)
{
	must(setenv("NEAP_DEBUG", "heapcheck=1", 1) == 0);
}

static bool read_memory(uintptr_t from, void *ret, size_t size)
{
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	bool read = memory >= 0 && pread(memory, ret, size, (off_t)from) == (ssize_t)size;
	if (memory >= 0)
		close(memory);
	return read;
}

/* held */

static struct session *last_seen; /* the forgotten reference */

extern char __data_start[], _end[]; /* the linker's: the program's initialised and zeroed data */

/* Words in the program's data that equal ~inverted; inverted, so that looking leaves no further one. */
static size_t count_in_data(uintptr_t inverted, bool *ret_holder)
{
	size_t found = 0;
	uintptr_t word, from = ((uintptr_t)__data_start + 7) & ~(uintptr_t)7;
	*ret_holder = false;
	for (uintptr_t at = from; at + sizeof word <= (uintptr_t)_end; at += sizeof word)
		if (read_memory(at, &word, sizeof word) && word == ~inverted) {
			found++;
			*ret_holder |= at == (uintptr_t)&last_seen;
		}
	return found;
}

static int held_child(void *ctx)
{
	struct pointer_run *run = ctx;
	const uint64_t key = 1;
	with_checking();
	struct session *object = neap_heap_calloc(1, sizeof *object);
	must(object != NULL);
	struct neap_map *map = map_with(object);
	last_seen = object;
	uintptr_t inverted = ~(uintptr_t)object;
	run->live_before = find(~inverted).taken;
	neap_map_delete(map, &key);
	run->live_after = find(~inverted).taken;
	run->found_in_data = count_in_data(inverted, &run->found_the_holder);
	/* The cure: the last holder lets go. */
	neap_heap_free(last_seen);
	last_seen = NULL;
	run->gone_after = !find(~inverted).taken;
	neap_map_destroy(map);
	return 0;
}

/* stack */

static __attribute__((noinline)) struct neap_map *store_local(struct pointer_run *run)
{
	/* neap-lint: allow dangling-stack: this is what is shown */
	volatile uint64_t local = UINT64_C(0x1122334455667788);
	struct neap_map *map = map_with((const void *)&local);
	run->local_was = local;
	return map;
}

static __attribute__((noinline)) unsigned use_stack(void)
{
	volatile unsigned char frame[1024];
	for (unsigned i = 0; i < sizeof frame; i++)
		frame[i] = MASK;
	return frame[17];
}

static int stack_child(void *ctx)
{
	struct pointer_run *run = ctx;
	struct neap_map *map = store_local(run);
	uintptr_t address = (uintptr_t)pointer_in(map), frame = (uintptr_t)__builtin_frame_address(0);
	pthread_attr_t attr;
	void *low = NULL;
	size_t size = 0;
	must(pthread_getattr_np(pthread_self(), &attr) == 0 &&
	     pthread_attr_getstack(&attr, &low, &size) == 0);
	pthread_attr_destroy(&attr);
	run->in_heap = find(address).state != NEAP_HEAP_OUTSIDE;
	run->in_stack = address >= (uintptr_t)low && address < (uintptr_t)low + size;
	run->below_frame = address < frame;
	must(use_stack() == MASK && read_memory(address, &run->local_is, sizeof run->local_is));
	neap_map_destroy(map);
	return 0;
}

/* dirty: the heap's magazine is the pool, as it is in every program that frees and allocates the same type. */

static uintptr_t log_in_and_out(void)
{
	struct session *session = neap_heap_alloc(sizeof *session);
	must(session != NULL);
	snprintf(session->user, sizeof session->user, "alice, administrator");
	struct neap_map *map = map_with(session);
	neap_heap_free(pointer_in(map));
	neap_map_destroy(map);
	return (uintptr_t)session;
}

static int dirty_child(void *ctx)
{
	struct pointer_run *run = ctx;
	uintptr_t before = log_in_and_out();
	struct session *session = neap_heap_alloc(sizeof *session);
	must(session != NULL);
	run->same_address = (uintptr_t)session == before;
	memcpy(run->seen, session->user, sizeof run->seen - 1);
	neap_heap_free(session);
	session = neap_heap_alloc_with(sizeof *session, 16, NEAP_HEAP_ZERO);
	must(session != NULL);
	run->clean_with_zero = session->user[0] == '\0' && memchr(session->user, 'a', SESSION) == NULL;
	return 0;
}

static int dirty_checked_child(void *ctx)
{
	struct pointer_run *run = ctx;
	with_checking();
	(void)log_in_and_out();
	struct session *session = neap_heap_alloc(sizeof *session);
	must(session != NULL);
	run->poisoned = (unsigned char)session->user[0] == 0xdd;
	return 0;
}

/* stale */

/* What a map still says of an object that was freed. */
static void *freed_in_map(void)
{
	with_checking();
	struct session *object = neap_heap_calloc(1, sizeof *object);
	must(object != NULL);
	struct neap_map *map = map_with(object);
	neap_heap_free(object);
	void *stale = pointer_in(map);
	neap_map_destroy(map);
	return stale;
}

static int stale_child(void *ctx)
{
	struct pointer_run *run = ctx;
	struct neap_heap_place place = find((uintptr_t)freed_in_map());
	run->stale_found = place.state != NEAP_HEAP_OUTSIDE && !place.taken;
	return 0;
}

static int free_twice_child(void *ctx)
{
	(void)ctx;
	neap_heap_free(freed_in_map());
	return 0;
}

static int write_late_child(void *ctx)
{
	(void)ctx;
	char *stale = freed_in_map();
	*(volatile char *)(stale + 8) = 'x';
	for (int i = 0; i < 2000; i++) /* until the block is handed out again */
		must(neap_heap_alloc(SESSION) != NULL);
	return 0;
}

/* True when the child was stopped with a line that names the rule. */
static bool stopped(struct result *result, int (*work)(void *ctx), struct pointer_run *run, const char *rule)
{
	struct child_end end = child_run(work, run, CHILD_S, true);
	char wanted[128];
	snprintf(wanted, sizeof wanted, "neap: fatal: %s: block", rule);
	end.lines[strcspn(end.lines, "(")] = '\0';
	result_say(result, "         %s...", end.lines);
	return end.started && end.signal != 0 && strstr(end.lines, wanted) != NULL;
}

static void tell_held(struct result *result, const struct pointer_run *run)
{
	result_say(result, "  held   the entry is gone, its block %s; static words that hold it: %zu",
		   run->live_after ? "still taken" : "free", run->found_in_data);
	result_check(
		result, run->live_before && run->live_after,
		"deleting an entry that is a raw pointer frees nothing: the block is taken before and after");
	result_check(result, run->found_the_holder && run->gone_after,
		     "who holds it is found by looking for its address: a static variable; when that lets "
		     "go, it is free");
}

static void tell_stack(struct result *result, const struct pointer_run *run)
{
	result_say(result, "  stack  in no block; in the stack, below the frame in use: a call that is over");
	result_say(result, "         *p was 0x%llx, after another call it is 0x%llx",
		   (unsigned long long)run->local_was, (unsigned long long)run->local_is);
	result_check(result, !run->in_heap && run->in_stack && run->below_frame,
		     "the address of a dead stack frame is told from its place alone");
	result_check(
		result, run->local_is != run->local_was,
		"what it points to belongs to whoever is called next: its bytes changed without a write");
}

static void tell_dirty(struct result *result, const struct pointer_run *run)
{
	result_say(result, "  dirty  a new session %s: \"%.24s\"",
		   run->same_address ? "has the old address" : "has another address", run->seen);
	result_check(result, run->same_address && strcmp(run->seen, "alice, administrator") == 0,
		     "an object that is reused without a reset comes with its predecessor's fields");
	result_check(result, run->clean_with_zero && run->poisoned,
		     "NEAP_HEAP_ZERO hands it out clean; in the checking mode it is full of 0xdd, which no "
		     "program "
		     "takes for data");
}

static bool run_children(struct lab *lab, struct pointer_run *run)
{
	return lab_child(lab, "held", held_child, run) && lab_child(lab, "stack", stack_child, run) &&
	       lab_child(lab, "dirty", dirty_child, run) &&
	       lab_child(lab, "dirty, checked", dirty_checked_child, run) &&
	       lab_child(lab, "stale", stale_child, run);
}

static void run_pointer_fates(struct lab *lab)
{
	struct pointer_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !run_children(lab, run))
		return;
	struct result *result = &lab->result;
	tell_held(result, run);
	tell_stack(result, run);
	tell_dirty(result, run);
	result_say(result, "  stale  the map's pointer leads to a free block; used all the same:");
	result_check(result, run->stale_found,
		     "a pointer that outlived its object is told by asking the heap: its block is free");
	result_check(result, stopped(result, free_twice_child, run, "double free"),
		     "freeing through it stops the program with that rule");
	result_check(result, stopped(result, write_late_child, run, "write after free"),
		     "a write through it stops the program when the block is handed out again");
}

const struct experiment experiment_pointer_fates = {
	.name = "pointer-fates",
	.claim = "A raw pointer in a map meets one of four fates: its object is held elsewhere, was on a "
		 "stack frame that "
		 "is gone, is reused with old contents, or was freed; each can be detected and told from the "
		 "others.",
	.method = "Each is made to happen in a process of its own; the heap, the stack's bounds and the "
		  "checking mode "
		  "are asked.",
	.run = run_pointer_fates,
};
