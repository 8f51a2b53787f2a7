/* test_gc_behaviour.c: what the tests of Go's runtime ask of its collector, asked of ours: the numbers against a count by
 * hand, pacing and the memory limit as a simulation of programs, references at the last moment, finalizers that do what
 * they should not.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/heap.h"
#include "support/child.h"

struct cell {
	struct cell *next, *other;
	uint64_t number, more;
};
NEAP_TYPE(cell_type, struct cell, next, other);

enum { MB = 1 << 20 };

static struct neap_memstats stats_now(void)
{
	struct neap_memstats stats = {.size = sizeof stats};
	assert_int_equal(neap_memstats(&stats), NEAP_OK);
	return stats;
}

__attribute__((noinline)) static void collect(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
	neap_gc_collect();
}

static struct cell *make_cell(uint64_t number)
{
	struct cell *cell = neap_gc_alloc(&cell_type);
	assert_non_null(cell);
	cell->number = number;
	return cell;
}

static void *start_thread(pthread_t *ret, void *(*body)(void *), void *ctx)
{
	assert_int_equal(pthread_create(ret, NULL, body, ctx), 0);
	return ctx;
}

/* The numbers. */

/* What the spans say, counted one by one, while no cycle runs and no other thread allocates. */
static struct neap_memstats counted_by_hand(void)
{
	struct neap_memstats ret = {.size = sizeof ret};
	for (unsigned r = NEAP__REGION_TRACKED; r < NEAP__REGIONS; r++)
		for (uint32_t unit = neap__heap.regions[r].first; unit < neap__heap.regions[r].frontier;
		     unit++) {
			if (neap__gc_head(unit) != unit)
				continue;
			const struct neap__gc_span *span = neap__gc_span(unit);
			ret.HeapInuse += (uint64_t)span->units << NEAP__UNIT_SHIFT;
			for (uint32_t i = 0; i < span->objects; i++) {
				ret.HeapObjects += neap__gc_allocated(unit, i);
				ret.HeapAlloc += neap__gc_allocated(unit, i) ? span->size : 0;
			}
		}
	for (const struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++) {
			unsigned pending = (unsigned)__builtin_popcountll(thread->slots[kind].free);
			ret.HeapObjects -= pending;
			ret.HeapAlloc -= pending * (uint64_t)thread->slots[kind].size;
		}
	return ret;
}

static void assert_counted(void)
{
	struct neap_memstats told = stats_now(), counted = counted_by_hand();
	assert_int_equal(told.HeapInuse, counted.HeapInuse);
	assert_int_equal(told.HeapObjects, counted.HeapObjects);
	assert_int_equal(told.HeapAlloc, counted.HeapAlloc);
}

static void pages_and_objects_are_accounted_for(void **state)
{
	(void)state;
	static void *blocks[3000];
	int percent = neap_gc_set_percent(-1);
	collect();
	assert_counted();
	struct neap_memstats before = stats_now();
	for (unsigned i = 0; i < 3000; i++)
		blocks[i] = i % 3 == 0	 ? neap_gc_alloc_data(i * 30)
			    : i % 3 == 1 ? (void *)make_cell(i)
					 : neap_gc_alloc_words(i % 500 * 8 + 8);
	assert_counted();
	assert_int_equal(stats_now().Mallocs - before.Mallocs, 3000);
	for (unsigned i = 0; i < 3000; i += 2)
		neap_gc_free(blocks[i]);
	assert_counted();
	assert_int_equal(stats_now().Frees - before.Frees, 1500);
	memset(blocks, 0, sizeof blocks);
	collect();
	assert_counted();
	(void)neap_gc_return();
	assert_counted();
	/* An empty span of each kind stays, without its pages. */
	struct neap_heap_stats heap = {.size = sizeof heap};
	assert_int_equal(neap_heap_stats(&heap), NEAP_OK);
	assert_in_range(heap.live_bytes + heap.free_held_bytes, 0, 2 * MB);
	assert_in_range(stats_now().HeapInuse, 0,
			before.HeapInuse + NEAP__GC_KINDS * (2 << NEAP__UNIT_SHIFT));
	(void)neap_gc_set_percent(percent);
}

static void numbers_are_plausible(void **state)
{
	(void)state;
	struct neap_memstats s = stats_now();
	uint64_t mallocs = 0, frees = 0, delays = 0;
	for (unsigned i = 0; s.BySize[i].Size != 0; i++) {
		assert_true(i == 0 || s.BySize[i].Size > s.BySize[i - 1].Size);
		assert_true(s.BySize[i].Frees <= s.BySize[i].Mallocs);
		mallocs += s.BySize[i].Mallocs;
		frees += s.BySize[i].Frees;
	}
	assert_true(mallocs <= s.Mallocs && frees <= s.Frees && mallocs > s.Mallocs / 2);
	assert_true(s.MSpanInuse > 0 && s.MSpanInuse <= s.GCSys);
	assert_true(s.MCacheInuse >= sizeof(struct neap__gc_thread) && s.MCacheInuse <= s.GCSys);
	assert_true(s.EnableGC && s.Sys >= s.GCSys && s.NumForcedGC <= s.NumGC);
	for (unsigned i = 0; i < NEAP__GC_BUCKETS; i++)
		delays += s.DelaysBelow[i];
	assert_true(delays == s.Delays && s.LongestDelayNs <= s.DelayTotalNs);
	int percent = neap_gc_set_percent(-1);
	assert_false(stats_now().EnableGC);
	(void)neap_gc_set_percent(percent);
}

static void the_ring_of_pauses_goes_round(void **state)
{
	(void)state;
	for (uint32_t first = stats_now().NumGC; stats_now().NumGC < first + 300;)
		neap_gc_collect();
	struct neap_memstats s = stats_now();
	uint64_t ring = 0;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t at = (s.NumGC + 255 - i) % 256, before = (s.NumGC + 254 - i) % 256;
		assert_true(s.PauseNs[at] > 0 && (i == 255 || s.PauseEnd[at] > s.PauseEnd[before]));
		ring += s.PauseNs[at];
	}
	assert_true(ring < s.PauseTotalNs);
	assert_int_equal(s.PauseEnd[(s.NumGC + 255) % 256], s.LastGC);
}

static void the_last_cycle_has_a_time(void **state)
{
	(void)state;
	uint64_t before = neap__os_now(), total = stats_now().PauseTotalNs;
	neap_gc_collect();
	uint64_t after = neap__os_now();
	struct neap_memstats s = stats_now();
	assert_in_range(s.LastGC, before, after);
	assert_int_equal(s.PauseTotalNs - total, s.PauseNs[(s.NumGC + 255) % 256]);
	assert_true(s.PauseNs[(s.NumGC + 255) % 256] <= after - before);
}

static void forced_cycles_run_when_none_are_due(void **state)
{
	(void)state;
	int percent = neap_gc_set_percent(-1);
	struct neap_memstats before = stats_now();
	neap_gc_collect();
	assert_int_equal(stats_now().NumForcedGC, before.NumForcedGC + 1);
	assert_int_equal(stats_now().NumGC, before.NumGC + 1);
	(void)neap_gc_set_percent(percent);
}

/* A thread in a loop is held up by each stop and says so; a parked one is not. */
static _Atomic bool spin_over, spinning;

static void *spin(void *ctx)
{
	(void)ctx;
	assert_int_equal(neap_thread_attach(), NEAP_OK);
	spinning = true;
	while (!spin_over)
		;
	return NULL;
}

static void threads_tell_what_they_felt(void **state)
{
	(void)state;
	pthread_t thread;
	spinning = spin_over = false;
	start_thread(&thread, spin, NULL);
	while (!spinning)
		usleep(1000);
	struct neap_memstats before = stats_now();
	for (unsigned i = 0; i < 20; i++)
		neap_gc_collect();
	struct neap_memstats after = stats_now();
	uint64_t stops = after.Stops - before.Stops;
	assert_in_range(after.Delays - before.Delays, stops - 1, stops + 20);
	assert_true(after.DelayTotalNs > before.DelayTotalNs);
	spin_over = true;
	pthread_join(thread, NULL);
}

/* Pacing. */

static struct cell *steady_head;

__attribute__((noinline)) static void keep_cells(uint64_t bytes)
{
	steady_head = NULL;
	for (uint64_t i = 0; i < bytes / sizeof(struct cell); i++) {
		struct cell *cell = make_cell(i);
		cell->next = steady_head;
		steady_head = cell;
	}
}

/* Garbage of `bytes`; returns the most that the heap held meanwhile. */
__attribute__((noinline)) static uint64_t churn(uint64_t bytes)
{
	uint64_t peak = 0;
	for (uint64_t i = 0; i < bytes / sizeof(struct cell); i++) {
		(void)make_cell(i);
		if (i % 1024 == 0) {
			uint64_t live = atomic_load(&neap__gc.live_bytes);
			peak = live > peak ? live : peak;
		}
	}
	return peak;
}

static void garbage_does_not_grow_the_heap(void **state)
{
	(void)state;
	collect();
	uint64_t before = stats_now().Sys;
	(void)churn(UINT64_C(300) * MB);
	assert_in_range(stats_now().Sys, 0, before + 32 * MB);
}

/* What the heap may reach when `live` bytes live and the program makes garbage as fast as it can. Stopping the world: the
 * goal. Beside the program what was allocated during a cycle counts as live, at most 3 tenths of that; hence 1.43 times
 * the goal, the megabyte that a cycle begins sooner, twice that at 100 percent and so on, and what is claimed at the goal.
 */
static uint64_t most_for(uint64_t live, unsigned percent)
{
	uint64_t goal = live / 100 * (100 + percent);
	return neap_gc_concurrent() ? goal / 100 * 150 + (4 + percent / 25) * MB : goal + MB;
}

/* A program with a steady heap, allocating as fast as it can: the cycles follow from the percentage. */
static void cycles_follow_the_percentage(void **state)
{
	(void)state;
	enum { LIVE = 24 * MB, CHURN = 240 * MB };
	static const int percents[] = {50, 100, 300};
	if (neap__gc.stress != 0)
		skip();
	keep_cells(LIVE);
	for (unsigned i = 0; i < 3; i++) {
		(void)neap_gc_set_percent(percents[i]);
		collect();
		struct neap_memstats before = stats_now();
		uint64_t room = LIVE / 100 * (unsigned)percents[i], peak = churn(CHURN);
		uint32_t cycles = stats_now().NumGC - before.NumGC;
		assert_in_range(before.NextGC, LIVE + room - MB, LIVE + room + 2 * MB);
		/* Sooner than at the goal, by what is allocated while a cycle runs: at most 3 tenths of the room. */
		assert_in_range(cycles, CHURN / room / 4, CHURN / room * 2 + 2);
		assert_in_range(peak, LIVE, most_for(LIVE, (unsigned)percents[i]));
	}
	(void)neap_gc_set_percent(100);
	steady_head = NULL;
}

static void *churn_beside(void *ret_peak)
{
	*(uint64_t *)ret_peak = churn(UINT64_C(60) * MB);
	return NULL;
}

/* As many threads as there are processors and one more: the collector's thread has none for itself. */
static void busy_threads_do_not_outrun_the_collector(void **state)
{
	(void)state;
	enum { LIVE = 24 * MB, MOST = 8 };
	pthread_t threads[MOST];
	uint64_t peaks[MOST];
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = processors < MOST ? (unsigned)processors + 1 : MOST;
	if (neap__gc.stress != 0)
		skip();
	keep_cells(LIVE);
	collect();
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn_beside, &peaks[i]), 0);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < count; i++)
		assert_in_range(peaks[i], LIVE, most_for(LIVE, 100));
	steady_head = NULL;
}

static _Atomic bool held_up;

static void *churn_while_held_up(void *unused)
{
	(void)unused;
	while (held_up)
		(void)make_cell(0);
	return NULL;
}

/* A cycle that can't go on: it wants the loader's lock. At the goal the program waits, claim by claim. */
static void a_cycle_that_stands_still_is_not_outrun(void **state)
{
	(void)state;
	enum { SOME_MS = 500 };
	pthread_t thread;
	if (neap__gc.stress != 0)
		skip();
	collect();
	uint64_t goal = stats_now().NextGC;
	neap__lock_take(&neap__gc.loader_lock);
	held_up = true;
	assert_int_equal(pthread_create(&thread, NULL, churn_while_held_up, NULL), 0);
	for (struct timespec left = {0, SOME_MS * 1000000}; nanosleep(&left, &left) != 0;)
		continue;
	uint64_t reached = atomic_load(&neap__gc.live_bytes);
	held_up = false;
	neap__lock_give(&neap__gc.loader_lock);
	pthread_join(thread, NULL);
	assert_in_range(reached, 0, goal + 4 * MB);
}

static void *collect_again_and_again(void *over)
{
	while (!atomic_load((_Atomic bool *)over))
		neap_gc_collect();
	return NULL;
}

/* It counts from what the last cycle found, though another one runs. */
static void a_percentage_may_be_set_during_a_cycle(void **state)
{
	(void)state;
	enum { LIVE = 16 * MB };
	static _Atomic bool over;
	pthread_t collector;
	keep_cells(LIVE);
	collect();
	assert_int_equal(pthread_create(&collector, NULL, collect_again_and_again, (void *)&over), 0);
	uint32_t until = stats_now().NumGC + 10;
	for (int percent = 100; stats_now().NumGC < until; percent = 300 - percent) {
		(void)neap_gc_set_percent(percent);
		assert_in_range(stats_now().NextGC, 2 * LIVE - MB, 3 * LIVE + 4 * MB);
	}
	atomic_store(&over, true);
	pthread_join(collector, NULL);
	(void)neap_gc_set_percent(100);
	steady_head = NULL;
}

/* A heap that grows and shrinks in steps: the goal goes with it, down too. */
static void the_goal_follows_steps(void **state)
{
	(void)state;
	static const unsigned steps[] = {8, 32, 4, 16, 2};
	for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
		uint64_t live = steps[i] * (uint64_t)MB;
		keep_cells(live);
		collect();
		(void)churn(64 * MB);
		collect();
		uint64_t least = 2 * live > 4 * MB ? 2 * live : 4 * MB;
		assert_in_range(stats_now().NextGC, least - MB, least + 3 * MB);
	}
	steady_head = NULL;
}

/* With no percentage the limit alone makes it run, and what is garbage stays below it. */
static void a_limit_is_kept_without_a_percentage(void **state)
{
	(void)state;
	enum { LIVE = 8 * MB, LIMIT = 32 * MB };
	if (neap__gc.stress != 0)
		skip();
	(void)neap_gc_set_percent(-1);
	(void)neap_gc_set_memory_limit(LIMIT);
	keep_cells(LIVE);
	uint32_t before = stats_now().NumGC;
	uint64_t peak = churn(400 * MB);
	assert_true(stats_now().EnableGC);
	assert_in_range(stats_now().NumGC - before, 10, 400);
	assert_in_range(peak, LIVE, LIMIT + 8 * MB);
	(void)neap_gc_set_memory_limit(0);
	(void)neap_gc_set_percent(100);
	steady_head = NULL;
}

/* Weak references. */

static void a_new_object_has_a_new_reference(void **state)
{
	(void)state;
	struct cell *cell = make_cell(1);
	struct neap_weak *weak = neap_weak_create(cell);
	neap_gc_free(cell);
	assert_null(neap_weak_get(weak));
	for (unsigned i = 0; i < 1000; i++) {
		struct cell *next = make_cell(i);
		struct neap_weak *other = neap_weak_create(next);
		assert_true(other != weak && neap_weak_get(other) == next && neap_weak_get(weak) == NULL);
		neap_weak_destroy(other);
	}
	neap_weak_destroy(weak);
}

/* Readers make strong pointers of weak ones until the moment when the collector clears them. */
enum { LAST_ROUNDS = 300, LAST_CELLS = 64 };
static struct neap_weak *volatile last_weak[LAST_CELLS];
static struct cell *last_strong[LAST_CELLS];
static _Atomic bool last_over;
static _Atomic unsigned last_broken, last_seen;

static void *read_at_the_last_moment(void *ctx)
{
	(void)ctx;
	while (!last_over)
		for (unsigned i = 0; i < LAST_CELLS; i++) {
			struct cell *cell = neap_weak_get(last_weak[i]);
			if (cell == NULL)
				continue;
			for (unsigned k = 0; k < 20; k++)
				last_broken += cell->number != i + 1 || cell->next->number != i + 1;
			last_seen++;
		}
	return NULL;
}

__attribute__((noinline)) static void renew_last_cells(void)
{
	for (unsigned i = 0; i < LAST_CELLS; i++)
		if (last_strong[i] == NULL) {
			struct cell *cell = make_cell(i + 1);
			cell->next = make_cell(i + 1);
			last_strong[i] = cell;
			last_weak[i] =
				neap_weak_create(cell); /* the old one stays, so that readers may look */
		}
}

static void references_read_at_the_last_moment_keep(void **state)
{
	(void)state;
	pthread_t readers[2];
	last_over = false;
	last_broken = last_seen = 0;
	renew_last_cells();
	for (unsigned i = 0; i < 2; i++)
		start_thread(&readers[i], read_at_the_last_moment, NULL);
	for (unsigned round = 0; round < LAST_ROUNDS; round++) {
		for (unsigned i = round % 2; i < LAST_CELLS; i += 2)
			last_strong[i] = NULL;
		neap_gc_collect();
		(void)churn(64 << 10); /* takes what was freed by mistake */
		renew_last_cells();
	}
	last_over = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(last_broken, 0);
	assert_true(last_seen > 0);
	memset((void *)last_strong, 0, sizeof last_strong);
}

/* Finalizers. */

enum { SMALL = 2000, STRAYS = 20 };
static _Atomic unsigned small_ended, rounds_ended;

static void count_small(void *object, void *ctx)
{
	(void)ctx;
	small_ended += *(uint64_t *)object == 7;
}

__attribute__((noinline)) static void make_small(void)
{
	for (unsigned i = 0; i < SMALL; i++) {
		uint64_t *word = neap_gc_alloc_data(8);
		*word = 7;
		assert_int_equal(neap_gc_finalizer(word, count_small, NULL), NEAP_OK);
	}
}

static void the_smallest_objects_are_finalized(void **state)
{
	(void)state;
	small_ended = 0;
	make_small();
	for (unsigned i = 0; i < 3; i++) {
		collect();
		neap_gc_finalizers_wait();
	}
	assert_in_range(small_ended, SMALL - STRAYS, SMALL);
}

/* Allocates, collects, and sets itself anew, until it has run three times. */
static void work_in_finalizer(void *object, void *ctx)
{
	struct cell *cell = object, *more = make_cell(5);
	(void)ctx;
	for (unsigned i = 0; i < 10000; i++)
		more = make_cell(i);
	neap_gc_collect();
	cell->next = more;
	if (++cell->number < 3)
		(void)neap_gc_finalizer(cell, work_in_finalizer, NULL);
	else
		rounds_ended++;
}

enum { WORKERS = 6 };

__attribute__((noinline)) static void make_workers(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(neap_gc_finalizer(make_cell(0), work_in_finalizer, NULL), NEAP_OK);
}

static void finalizers_may_allocate_collect_and_return(void **state)
{
	(void)state;
	rounds_ended = 0;
	make_workers();
	for (unsigned i = 0; i < 20 && rounds_ended < WORKERS; i++) {
		collect();
		neap_gc_finalizers_wait();
	}
	assert_in_range(rounds_ended, WORKERS / 2, WORKERS); /* stale words on the stack keep some */
}

static void exit_seven(void *object, void *ctx)
{
	(void)object;
	(void)ctx;
	exit(7);
}

static void loop_for_ever(void *object, void *ctx)
{
	(void)object;
	(void)ctx;
	for (;;)
		usleep(1000);
}

__attribute__((noinline)) static void make_with(void (*finalize)(void *, void *))
{
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(neap_gc_finalizer(make_cell(1), finalize, NULL), NEAP_OK);
}

static void exit_in_finalizer(void)
{
	make_with(exit_seven);
	collect();
	for (;;)
		usleep(1000);
}

static void loop_in_finalizer(void)
{
	make_with(loop_for_ever);
	for (unsigned i = 0; i < 10; i++)
		collect();
	(void)churn(50 * MB);
	exit(8);
}

static void finalizers_may_exit_or_never_return(void **state)
{
	(void)state;
	assert_int_equal(child_run(exit_in_finalizer, 20).status, 7);
	assert_int_equal(child_run(loop_in_finalizer, 20).status, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_and_objects_are_accounted_for),
		cmocka_unit_test(the_last_cycle_has_a_time),
		cmocka_unit_test(forced_cycles_run_when_none_are_due),
		cmocka_unit_test(the_ring_of_pauses_goes_round),
		cmocka_unit_test(threads_tell_what_they_felt),
		cmocka_unit_test(garbage_does_not_grow_the_heap),
		cmocka_unit_test(cycles_follow_the_percentage),
		cmocka_unit_test(a_percentage_may_be_set_during_a_cycle),
		cmocka_unit_test(busy_threads_do_not_outrun_the_collector),
		cmocka_unit_test(a_cycle_that_stands_still_is_not_outrun),
		cmocka_unit_test(the_goal_follows_steps),
		cmocka_unit_test(a_limit_is_kept_without_a_percentage),
		cmocka_unit_test(a_new_object_has_a_new_reference),
		cmocka_unit_test(references_read_at_the_last_moment_keep),
		cmocka_unit_test(the_smallest_objects_are_finalized),
		cmocka_unit_test(finalizers_may_allocate_collect_and_return),
		cmocka_unit_test(finalizers_may_exit_or_never_return),
		cmocka_unit_test(numbers_are_plausible),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
