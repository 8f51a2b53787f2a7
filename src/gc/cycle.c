/* cycle.c: one collection, from the decision to the last swept span.
 *
 *     concurrent                                                stopped
 *     ----------                                                -------
 *     sweep what the last cycle left
 *     arm every page of the tracked region
 *                                                               stop 1: marking = true, claims become black,
 *                                                                       stacks are read into the queue
 *     read globals, mark
 *     read what white objects with finalizers hold, and the values of weak maps, mark
 *     rounds: read again what was written, arm it, mark
 *                                                               stop 2: read again what was written since,
 *                                                                       stacks, globals, shades; mark; flip
 *     sweep: clear weak references, hand objects with
 *     finalizers to their thread
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

#include "gc/cycle.h"
#include "gc/mark.h"
#include "gc/tables.h"
#include "neap/heap.h"

enum {
	IDLE_TICK_NS = 250 * 1000 * 1000,
#ifdef NEAP_HOSTILE
	STOP_BUDGET_NS = 1, /* every stop with more than a page or an object to read is given up */
#else
	STOP_BUDGET_NS = 400 * 1000, /* of reading and marking in one of the first stops */
#endif
	ATTEMPTS_ALIKE = 16,   /* then the budget doubles */
	WINDOW_NS = 150 * 1000 /* that the program runs between two of them, about */
};

struct neap__gc_cycle_record neap__gc_last;
static struct neap__lock cycle_lock;

static void read_globals(void *unused)
{
	(void)unused;
	neap__lock_take(&neap__gc.mark_lock);
	neap__lock_take(&neap__gc.tables);
	neap__gc_each_global(neap__gc_mark_range, NULL);
	neap__gc_each_handle(neap__gc_mark_range, NULL);
	neap__lock_give(&neap__gc.tables);
	neap__lock_give(&neap__gc.mark_lock);
}

/* What white objects with finalizers lead to. After all else, for most of them are black by then. */
static void read_finals(void)
{
	uint32_t at = 0;
	for (bool left = true; left;) {
		neap__lock_take(&neap__gc.mark_lock);
		left = neap__gc_final_read(&at);
		neap__lock_give(&neap__gc.mark_lock);
		neap__gc_drain_beside_program();
	}
}

static void begin_marking(void)
{
	uint64_t begin = neap__os_now();
	neap__gc_stop_world();
	neap__gc_last.waits[0] = neap__os_now() - begin;
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
	neap__gc_pace_begin();
	atomic_store_explicit(&neap__gc.marking, true, memory_order_relaxed);
	neap__gc_each_stack(neap__gc_mark_range, NULL);
	neap__gc_last.stops[0] = neap__os_now() - begin;
	neap__gc_start_world();
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
	atomic_store_explicit(&neap__gc.sweeping, true, memory_order_relaxed);
}

/* What the parts of a stop took goes into the trace. */
static void tick(enum neap__gc_stop_part part, uint64_t *since)
{
	uint64_t now = neap__os_now();
	neap__gc_last.parts[part] = now - *since;
	*since = now;
}

/* Marks all that is left, with the world stopped. False: not in the time; what was marked stays so. */
static bool mark_the_rest(uint64_t until, uint64_t *since)
{
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		neap__gc_shades_flush(thread);
	neap__gc_take_shades();
	bool all = !neap__gc_last.concurrent || neap__gc_read_stopped(until);
	tick(NEAP__GC_PART_PAGES, since);
	if (!all)
		return false;
	neap__gc_each_stack(neap__gc_mark_range, NULL);
	neap__gc_each_global(neap__gc_mark_range, NULL);
	if (!neap__gc_last.concurrent)
		neap__gc_each_handle(neap__gc_mark_range, NULL);
	tick(NEAP__GC_PART_ROOTS, since);
	all = neap__gc_drain_stopped(until);
	if (!neap__gc_last.concurrent) {
		for (uint32_t at = 0; neap__gc_final_read(&at);)
			continue;
		(void)neap__gc_drain_stopped(until);
	}
	tick(NEAP__GC_PART_MARK, since);
	return all;
}

/* All is marked: what is white is garbage. */
static void end_marking(void)
{
	neap__gc_ephemerons_stopped();
	if (neap__gc.checkmark)
		neap__gc_checkmark();
	neap__gc_weak_map_select();
	neap__gc_map_select();
	flip();
	neap__gc_pace_flip();
}

/* A stop that ends marking, or whose time was over before; `ctx` says how long it may take, and then whether it did.
 * Runs inside the loader's lock.
 */
struct attempt {
	uint64_t budget;
	bool done;
};

static void finish_stopped(void *ctx)
{
	struct attempt *attempt = ctx;
	uint64_t begin = neap__os_now(), since = begin;
	neap__gc_stop_world();
	tick(NEAP__GC_PART_WAIT, &since);
	if (!neap__gc_last.concurrent) {
		neap__gc_marker_reset();
		neap__gc_last.claimed_before = atomic_load(&neap__gc.claimed_bytes);
	}
	attempt->done =
		mark_the_rest(attempt->budget == UINT64_MAX ? UINT64_MAX : since + attempt->budget, &since);
	if (attempt->done)
		end_marking();
	tick(NEAP__GC_PART_TABLES, &since);
	neap__gc_last.waits[++neap__gc_last.attempts] = neap__gc_last.parts[NEAP__GC_PART_WAIT];
	neap__gc_last.stops[neap__gc_last.attempts] = since - begin;
	neap__gc_start_world();
}

/* Stops until one of them comes to its end. Between two the program runs. */
static void finish(void)
{
	struct attempt attempt = {.done = false};
	neap__gc_rounds_reset();
	while (!attempt.done) {
		unsigned before = neap__gc_last.attempts;
		bool bounded = neap__gc_last.concurrent && before + 1 < NEAP__GC_ATTEMPTS_MOST;
		attempt.budget = bounded ? (uint64_t)STOP_BUDGET_NS << before / ATTEMPTS_ALIKE : UINT64_MAX;
		neap__gc_with_statics(finish_stopped, &attempt);
		if (!attempt.done)
			neap__gc_read_beside(neap__os_now() + WINDOW_NS);
	}
	neap__os_wake(&neap__gc.epoch, INT_MAX); /* who waits for the end of a cycle */
}

static void run_cycle(bool forced, bool idle)
{
	uint64_t begin = neap__os_now();
	neap__gc_last = (struct neap__gc_cycle_record){
		.forced = forced, .idle = idle, .begin = begin, .cpu_begin = neap__os_thread_time()};
	neap__gc_last.dropped_before = atomic_load(&neap__gc.dropped);
	neap__gc_sweep_all();
	neap__gc_last.heap_before = atomic_load(&neap__gc.live_bytes);
	neap__gc_last.goal = atomic_load(&neap__gc.goal);
	NEAP__PROBE2(gc__mark, forced, neap__gc_last.heap_before);
	neap__gc_last.concurrent = neap__gc_tracks() && neap__gc_arm_all();
	if (neap__gc_last.concurrent) {
		begin_marking();
		neap__gc_with_statics(read_globals, NULL);
		neap__gc_drain_beside_program();
		read_finals();
		neap__gc_ephemerons_beside(neap__gc_drain_beside_program);
		neap__gc_rounds();
	}
	finish();
	neap__gc_last.marked_by = neap__os_now();
	NEAP__PROBE2(gc__sweep, forced, neap__gc_last.marked_by - begin);
	neap__gc_again_end();
	neap__gc_weak_map_purge();
	neap__gc_sweep_all();
	neap__gc_final_run();
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

void neap__gc_cycle_due(void)
{
	(void)cycle_by_caller(true, false);
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

/* Runs a cycle if one is due, or overdue, or if `idle`: then what is free goes back too. */
static void cycle_in_background(bool idle)
{
	neap__lock_take(&cycle_lock);
	if (idle || neap__gc_due() || neap__gc_overdue())
		run_cycle(false, idle);
	if (idle)
		(void)neap__gc_return_holes();
	neap__lock_give(&cycle_lock);
	neap__gc_map_release();
	if (idle)
		(void)neap_heap_return(); /* the program has rested for a second: no second one for the pages */
}

/* Wakes when asked, and four times a second while the program allocates: when it has stopped for a second with
 * enough behind it, a cycle runs unasked. For a program that claims nothing it wakes every two minutes, and a cycle runs
 * if the program ran.
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
			quiet = quiet && neap__gc_nothing_new();
			neap__os_wait(&asked, done, quiet ? (int64_t)neap__gc.period_ns : IDLE_TICK_NS);
			atomic_store(&asleep, false);
		}
		now = atomic_load_explicit(&asked, memory_order_acquire);
		bool idle = neap__gc_idle();
		if (idle || now != done || neap__gc_overdue())
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
		neap__gc_cycle_due();
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
