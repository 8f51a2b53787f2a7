/* gc_rows.c: how long does the collector stop a program that has many weak references or finalizers?
 *
 * usage: gc_rows weak|final COUNT CYCLES [SHARE]
 *
 * COUNT objects of 32 bytes, each with a weak reference or a finalizer, in one table; a thread writes to them and reads
 * weak references all the time. Before each of CYCLES collections SHARE (0) of a hundred of them are dropped; after it
 * they are made anew, with references or finalizers of their own. Printed are the stops (gc_trace.h), the longest read
 * or write by the processor time of its thread, and what a whole collection took.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gc_trace.h"
#include "neap/gc.h"

struct object {
	struct object *next;
	uint64_t number[3];
};
NEAP_TYPE(object_type, struct object, next);
struct place {
	struct object *object;
};
NEAP_TYPE_BARRIERED(place_type, struct place, object);

static struct place *places;
static struct neap_weak *_Atomic *weaks; /* malloc's: no root; NULL: finalizers are asked for */
static size_t objects;
static _Atomic bool over;
static _Atomic uint64_t finalized, longest;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void count_final(void *object, void *ctx)
{
	(void)object, (void)ctx;
	atomic_fetch_add(&finalized, 1);
}

static void make_object(size_t i)
{
	struct object *object = neap_gc_alloc(&object_type);
	if (object == NULL)
		abort();
	object->number[0] = i;
	if (weaks != NULL) {
		struct neap_weak *before = atomic_exchange(&weaks[i], neap_weak_create(object));
		if (weaks[i] == NULL)
			abort();
		neap_weak_destroy(before);
	} else if (neap_gc_finalizer(object, count_final, NULL) != NEAP_OK) {
		abort();
	}
	neap_store(&places[i].object, object);
}

/* Writes to every object and asks for it, again and again. Places are emptied and filled by the other thread, while
 * this one holds still.
 */
static _Atomic int turn; /* 1: hold still; 2: held */
static void *use(void *unused)
{
	(void)unused;
	if (neap_thread_attach() != NEAP_OK)
		abort();
	for (uint64_t random = 1; !over;) {
		if (turn == 1)
			turn = 2;
		if (turn == 2)
			continue;
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		size_t i = (size_t)((random >> 32) * objects >> 32);
		uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		struct object *object = weaks != NULL ? neap_weak_get(weaks[i]) : places[i].object;
		if (object != NULL)
			object->number[1]++;
		if (object == NULL && places[i].object != NULL)
			abort();
		uint64_t took = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
		longest = took > longest ? took : longest;
	}
	return NULL;
}

static void hold(bool still)
{
	turn = still ? 1 : 0;
	while (still && turn != 2)
		;
}

int main(int argc, char **argv)
{
	bool weak = argc > 3 && strcmp(argv[1], "weak") == 0;
	objects = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;
	if (objects == 0 || (!weak && strcmp(argv[1], "final") != 0)) {
		fprintf(stderr, "usage: gc_rows weak|final COUNT CYCLES [SHARE]\n");
		return 2;
	}
	unsigned cycles = (unsigned)strtoul(argv[3], NULL, 10),
		 share = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
	if (!gc_trace_open())
		return 1;
	neap_gc_set_percent(-1); /* only those that are asked for */
	places = neap_gc_alloc_array(&place_type, objects);
	weaks = weak ? calloc(objects, sizeof *weaks) : NULL;
	if (places == NULL || (weak && weaks == NULL))
		return 1;
	for (size_t i = 0; i < objects; i++)
		make_object(i);
	neap_gc_collect();
	pthread_t user;
	if (!gc_trace_forget() || pthread_create(&user, NULL, use, NULL) != 0)
		return 1;
	uint64_t spent = 0;
	for (unsigned cycle = 0; cycle < cycles; cycle++) {
		hold(true);
		for (size_t i = 0; i < objects; i++)
			if (i % 100 < share)
				neap_store(&places[i].object, NULL);
		hold(false);
		uint64_t begin = clock_ns(CLOCK_MONOTONIC);
		neap_gc_collect();
		spent += clock_ns(CLOCK_MONOTONIC) - begin;
		neap_gc_finalizers_wait();
		hold(true);
		for (size_t i = 0; i < objects; i++)
			if (i % 100 < share)
				make_object(i);
		hold(false);
	}
	over = true;
	pthread_join(user, NULL);
	printf("%zu %s, %u of 100 dropped: %u cycles of %.1f ms, %zu stops", objects,
	       weak ? "weak references" : "finalizers", share, cycles, (double)spent / 1e6 / cycles,
	       gc_trace_stops());
	if (!gc_trace_print())
		return 1;
	printf("; worst use %.3f\n", (double)longest / 1e6);
	return weak || share == 0 || finalized > 0 ? 0 : 1;
}
