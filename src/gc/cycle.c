/* cycle.c: one collection, from the decision to the last swept span.
 *
 *     concurrent                                                stopped
 *     ----------                                                -------
 *     sweep what the last cycle left
 *     arm every page of the tracked region
 *                                                               stop 1: marking = true, claims become black,
 *                                                                       stacks are read into the queue
 *     read globals, mark
 *     rounds: read again what was written, arm it, mark
 *                                                               stop 2: read again what was written since,
 *                                                                       stacks, globals, shades; mark; flip
 *     sweep
 *
 * Rounds end when few pages are left, or when a round was not much smaller than the one before: at that rate of
 * writing more rounds would not make the second stop shorter. Where the kernel does not track pages, or an option
 * says so, all marking is in the second stop and there is no first one: the same functions, the same invariant.
 *
 * Whoever runs a cycle holds the cycle lock, and is parked if it is attached. The collector's thread, started by
 * the first cycle that is due, runs those that pacing asks for; neap_gc_collect runs its own.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/probes.h"
#include "gc/internal.h"

enum {
	ROUNDS_MOST = 6,
	PAGES_FEW = 64, /* 256 KB: about 50 us to read again */
	IDLE_TICK_NS = 250 * 1000 * 1000,
	DRAIN_BYTES = 256 << 10, /* under one hold of the mark lock */
	PAGES_AT_ONCE = sizeof((struct neap__gc_marker *)0)->pages / sizeof(struct neap__os_pages)
};

struct neap__gc_cycle_record neap__gc_last;
static struct neap__lock cycle_lock;

static uintptr_t tracked_end(void)
{
	uint32_t frontier =
		__atomic_load_n(&neap__heap.regions[NEAP__REGION_TRACKED].frontier, __ATOMIC_RELAXED);
	return (uintptr_t)neap__unit_address(frontier);
}

/* Every page from here on counts as written when it is written to. False: the kernel changed its mind. */
static bool arm_all(void)
{
	uintptr_t from = (uintptr_t)neap__unit_address(neap__heap.regions[NEAP__REGION_TRACKED].first);
	for (uintptr_t end = tracked_end(); from < end;)
		if (neap__os_track_scan(&neap__gc.track, &from, end, true, NULL, 0) < 0)
			return false;
	return true;
}

/* Reads again what was written since pages were armed; returns the pages, or -1. */
static long read_written(bool arm)
{
	struct neap__gc_marker *marker = neap__gc.marker;
	uintptr_t from = (uintptr_t)neap__unit_address(neap__heap.regions[NEAP__REGION_TRACKED].first);
	long pages = 0;
	for (uintptr_t end = tracked_end(); from < end;) {
		if (arm)
			neap__lock_take(&neap__gc.mark_lock);
		long found =
			neap__os_track_scan(&neap__gc.track, &from, end, arm, marker->pages, PAGES_AT_ONCE);
		for (long i = 0; i < found; i++) {
			pages += (long)((marker->pages[i].end - marker->pages[i].start) >>
					neap__heap.page_shift);
			neap__gc_read_again((uintptr_t)marker->pages[i].start,
					    (uintptr_t)marker->pages[i].end);
		}
		if (arm)
			neap__lock_give(&neap__gc.mark_lock);
		if (found < 0)
			return -1;
	}
	return pages;
}

/* The kernel refused to say what was written: everything counts as written. */
static void read_everything(void)
{
	neap__gc_read_again((uintptr_t)neap__unit_address(neap__heap.regions[NEAP__REGION_TRACKED].first),
			    tracked_end());
	neap__gc_last.refused = true;
}

static void drain_beside_program(void)
{
	for (bool done = false; !done;) {
		neap__lock_take(&neap__gc.mark_lock);
		done = neap__gc_drain(DRAIN_BYTES);
		neap__lock_give(&neap__gc.mark_lock);
	}
}

static void read_globals(void *unused)
{
	(void)unused;
	neap__lock_take(&neap__gc.mark_lock);
	neap__lock_take(&neap__gc.tables);
	neap__gc_each_global(neap__gc_mark_range, NULL);
	neap__gc_final_read();
	neap__lock_give(&neap__gc.tables);
	neap__lock_give(&neap__gc.mark_lock);
}

static void rounds_of_reading(void)
{
	long before = INT32_MAX;
	for (unsigned round = 0; round < ROUNDS_MOST; round++) {
		neap__lock_take(&neap__gc.mark_lock);
		neap__gc_take_shades();
		neap__lock_give(&neap__gc.mark_lock);
		long pages = read_written(true);
		if (pages < 0)
			return;
		drain_beside_program();
		neap__gc_last.rounds = round + 1;
		if (pages < PAGES_FEW || pages > before / 4 * 3)
			return;
		before = pages;
	}
}

static void begin_marking(void)
{
	uint64_t begin = neap__os_now();
	neap__gc_stop_world();
	neap__gc_marker_reset();
	neap__gc_last.claimed_before = atomic_load(&neap__gc.claimed_bytes);
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next) {
		thread->shades = 0;
		for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++) {
			struct neap__gc_slot *slot = &thread->slots[kind];
			if (slot->free != 0)
				atomic_fetch_or_explicit(&neap__gc_span(slot->head)->words[slot->word].mark,
							 slot->free, memory_order_relaxed);
		}
	}
	atomic_store_explicit(&neap__gc.marking, true, memory_order_relaxed);
	neap__gc_each_stack(neap__gc_mark_range, NULL);
	neap__gc_start_world();
	neap__gc_last.stop1 = neap__os_now() - begin;
}

/* Claims go back, spans lose their owners, and a new epoch makes all of them unswept. World stopped. */
static void flip(void)
{
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++) {
			struct neap__gc_slot *slot = &thread->slots[kind];
			neap__gc_slot_empty(slot, kind);
			if (slot->head != 0)
				neap__gc_list_push(slot->head, NEAP__GC_FULL);
			slot->head = 0;
		}
	atomic_fetch_add_explicit(&neap__gc.epoch, 1, memory_order_relaxed);
	atomic_store_explicit(&neap__gc.marking, false, memory_order_relaxed);
}

/* The second stop, or the only one. Runs inside the loader's lock. */
static void finish_stopped(void *unused)
{
	(void)unused;
	uint64_t begin = neap__os_now();
	neap__gc_stop_world();
	if (!neap__gc_last.concurrent) {
		neap__gc_marker_reset();
		neap__gc_last.claimed_before = atomic_load(&neap__gc.claimed_bytes);
	} else if ((neap__gc_last.last_pages = read_written(false)) < 0) {
		read_everything();
	}
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		neap__gc_shades_flush(thread);
	neap__gc_take_shades();
	neap__gc_each_stack(neap__gc_mark_range, NULL);
	neap__gc_each_global(neap__gc_mark_range, NULL);
	while (!neap__gc_drain(UINT64_MAX))
		;
	neap__gc_final_read();
	while (!neap__gc_drain(UINT64_MAX))
		;
	neap__gc_ephemerons_stopped();
	if (neap__gc.checkmark)
		neap__gc_checkmark();
	neap__gc_weak_clear();
	neap__gc_weak_map_select();
	neap__gc_final_select();
	neap__gc_map_select();
	flip();
	neap__gc_pace_flip();
	neap__gc_start_world();
	neap__gc_last.stop2 = neap__os_now() - begin;
}

static void run_cycle(bool forced, bool idle)
{
	uint64_t begin = neap__os_now();
	neap__gc_last = (struct neap__gc_cycle_record){
		.forced = forced, .idle = idle, .begin = begin, .cpu_begin = neap__os_thread_time()};
	neap__gc_sweep_all();
	neap__gc_last.heap_before = atomic_load(&neap__gc.live_bytes);
	neap__gc_last.goal = atomic_load(&neap__gc.goal);
	NEAP__PROBE2(gc__mark, forced, neap__gc_last.heap_before);
	neap__gc_last.concurrent = neap__gc_tracks() && arm_all();
	if (neap__gc_last.concurrent) {
		begin_marking();
		neap__gc_with_statics(read_globals, NULL);
		drain_beside_program();
		neap__gc_ephemerons_beside(drain_beside_program);
		rounds_of_reading();
	}
	neap__gc_with_statics(finish_stopped, NULL);
	neap__gc_last.marked_by = neap__os_now();
	NEAP__PROBE2(gc__sweep, forced, neap__gc_last.marked_by - begin);
	neap__gc_final_run();
	neap__gc_weak_map_purge();
	neap__gc_sweep_all();
	neap__gc_pace_anew();
	neap__gc_record_cycle();
	NEAP__PROBE2(gc__end, neap__os_now() - begin, atomic_load(&neap__gc.live_bytes));
}

/* What the caller wants, and what it gets. */
struct order_of_cycle {
	bool only_due, give_back;
	size_t given;
};

static void cycle_locked(void *ctx)
{
	struct order_of_cycle *order_of = ctx;
	neap__lock_take(&cycle_lock);
	if (!order_of->only_due || neap__gc_due())
		run_cycle(!order_of->only_due, false);
	if (order_of->give_back)
		order_of->given = neap__gc_return_holes();
	neap__lock_give(&cycle_lock);
}

static size_t cycle_by_caller(bool only_due, bool give_back)
{
	struct order_of_cycle order_of = {only_due, give_back, 0};
	struct neap__gc_thread *thread = neap__gc_attached();
	/* Busy: called by a function of the program's that the collector called. */
	if (thread == NULL || thread->busy > 0 || thread->parks > 0)
		return 0;
	neap__gc_aside(cycle_locked, &order_of);
	neap__gc_map_release();
	return order_of.given;
}

void neap__gc_cycle_now(void)
{
	(void)cycle_by_caller(false, false);
}

enum { WIPED = 8 << 10 }; /* bytes: more than the frames of a collection take */

/* Overwrites what earlier calls have left on the stack where the frames of this collection will lie. These have holes,
 * stacks are read conservatively, and one old word in a hole can keep all that was ever reachable from it. Without
 * AddressSanitizer's zones around the area, which would be holes too.
 */
static __attribute__((noinline, no_sanitize("address"))) void wipe_stack_below(void)
{
	char area[WIPED];
	memset(area, 0, sizeof area);
	__asm__ volatile("" : : "r"(area) : "memory");
}

void neap_gc_collect(void)
{
	wipe_stack_below();
	neap__gc_cycle_now();
}

size_t neap_gc_return(void)
{
	wipe_stack_below();
	size_t holes = cycle_by_caller(false, true);
	return holes + neap_heap_return();
}

/* Work of others with the world stopped. */

struct errand {
	void (*work)(void *ctx);
	void *ctx;
};

static void errand_stopped(void *ctx)
{
	const struct errand *errand = ctx;
	neap__gc_stop_world();
	errand->work(errand->ctx);
	neap__gc_start_world();
}

static void errand_locked(void *errand)
{
	neap__lock_take(&cycle_lock);
	neap__gc_with_statics(errand_stopped, errand);
	neap__lock_give(&cycle_lock);
}

bool neap__gc_between_cycles(void (*work)(void *ctx), void *ctx)
{
	struct errand errand = {work, ctx};
	const struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL || thread->busy > 0 || thread->parks > 0)
		return false;
	neap__gc_aside(errand_locked, &errand);
	return true;
}

/* The thread. */

enum { THREAD_NONE, THREAD_RUNS };
static _Atomic int collector_thread;
static _Atomic uint32_t asked;
static _Atomic bool asleep; /* without a clock */

/* Runs a cycle if one is due, or if `idle`: then what is free goes back too. */
static void cycle_in_background(bool idle)
{
	neap__lock_take(&cycle_lock);
	if (idle || neap__gc_due())
		run_cycle(false, idle);
	if (idle)
		(void)neap__gc_return_holes();
	neap__lock_give(&cycle_lock);
	neap__gc_map_release();
}

/* Wakes when asked, and four times a second while the program allocates: when it has stopped for a second with
 * enough behind it, or two minutes after the last cycle, a cycle runs unasked. A program that claims nothing is not
 * woken for.
 */
static void *collector_main(void *unused)
{
	(void)unused;
	uint32_t done = 0;
	for (;;) {
		bool quiet = neap__gc_nothing_new();
		uint32_t now = atomic_load_explicit(&asked, memory_order_acquire);
		if (now == done) {
			atomic_store(&asleep, quiet);
			neap__os_wait(&asked, done, quiet && neap__gc_nothing_new() ? -1 : IDLE_TICK_NS);
			atomic_store(&asleep, false);
		}
		now = atomic_load_explicit(&asked, memory_order_acquire);
		bool idle = neap__gc_idle();
		if (idle || now != done)
			cycle_in_background(idle);
		done = now;
	}
	return NULL;
}

/* The program claims again. */
void neap__gc_cycle_stir(void)
{
	if (NEAP__GC_LIKELY(!atomic_load_explicit(&asleep, memory_order_relaxed)))
		return;
	atomic_store(&asleep, false);
	atomic_fetch_add_explicit(&asked, 1, memory_order_release);
	neap__os_wake(&asked, INT_MAX);
}

/* A detached thread that takes no signals but the one that stops it, once it is attached. */
bool neap__gc_launch(void *(*body)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	if (neap__os_refuses("pthread_create") || pthread_attr_init(&attr) != 0)
		return false;
	sigfillset(&all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool made = pthread_create(&thread, &attr, body, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return made;
}

/* A cycle is due: the collector's thread runs it, or, where there is none, the caller. */
void neap__gc_cycle_nudge(void)
{
	int none = THREAD_NONE;
	bool runs = atomic_load_explicit(&collector_thread, memory_order_relaxed) == THREAD_RUNS;
	if (!runs && atomic_compare_exchange_strong(&collector_thread, &none, THREAD_RUNS)) {
		runs = neap__gc_launch(collector_main);
		if (!runs)
			atomic_store(&collector_thread, THREAD_NONE);
	}
	if (!runs || !neap__gc_tracks()) {
		(void)cycle_by_caller(true, false);
		return;
	}
	atomic_fetch_add_explicit(&asked, 1, memory_order_release);
	neap__os_wake(&asked, INT_MAX);
}

void neap__gc_cycle_start(void)
{
	neap__lock_init(&cycle_lock, NEAP__RANK_GC_CYCLE, 0);
}

/* The child of a fork has no collector's thread and no cycle. */
void neap__gc_cycle_forked(void)
{
	neap__gc_cycle_start();
	atomic_store(&collector_thread, THREAD_NONE);
	atomic_store(&asked, 0);
}
