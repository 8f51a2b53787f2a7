/* pacer.c: when to collect.
 *
 *     goal    = live * (1 + percent / 100), at least 4 MB * percent / 100; at most what the limit leaves
 *     trigger = goal - what the program allocates while a cycle runs, as measured in the last ones; at most 3 tenths
 *               of the room between live and goal, as in Go, and of live
 *
 * live is what the last cycle found, exactly, when everything is swept. What is allocated while a cycle runs is part of
 * it, dead or not, and so of the next goal: with the 3 tenths the heap stays below 1.43 * goal of what really lives.
 *
 * The heap can't run away from its collector, whoever gets the processors:
 *
 *     heap      trigger                                            goal
 *               | a thread that claims marks until                 | a thread that claims marks while there is anything
 *               |   marked / all >= (heap - begun) / (goal - begun)|   to mark, then waits for the end of the cycle,
 *               |                                                  |   a millisecond for each claim of some KB, and
 *               |                                                  |   longer the further past the goal it is
 *
 * What the collector's thread marks counts as well: a program that leaves it a processor helps with nothing.
 */

#include "gc/cycle.h"
#include "gc/mark.h"

enum {
	LEAST_GOAL = 4 << 20,
	LEAST_AHEAD =
		1 << 20, /* what a program allocates while the collector's thread wakes up: a millisecond */
	ASSIST_BYTES = 256 << 10, /* of marking at most for one claim, and as much again as it is large */
	ASSIST_PORTION = 16 << 10,
	AT_GOAL_NS = 1000 * 1000
};

static _Atomic uint64_t alive; /* what the last cycle found, bytes; from its flip on an estimate */
static _Atomic uint64_t begun_at, all_there; /* pace_bytes when marking began; what there is to mark, about */
static _Atomic uint64_t ended_at, ran_then;  /* of the last cycle; ran: processor time of the process */
static _Atomic uint64_t claimed_then, dropped_then; /* of claimed_bytes and dropped, when it began */
/* The last cycle began when the program was idle, or was asked for. After any other the program may have dropped
 * what it found alive: one more is due when the program rests.
 */
static _Atomic bool settled;
static _Atomic uint64_t runway; /* bytes claimed during a cycle: a decaying maximum */
static _Atomic bool held;	/* somebody waited at the goal: the cycle began too late */

bool neap__gc_due(void)
{
	return atomic_load_explicit(&neap__gc.pace_bytes, memory_order_relaxed) >=
	       atomic_load_explicit(&neap__gc.trigger, memory_order_relaxed);
}

static uint64_t goal_for(uint64_t live)
{
	int percent = atomic_load_explicit(&neap__gc.percent, memory_order_relaxed);
	uint64_t limit = atomic_load_explicit(&neap__gc.limit, memory_order_relaxed);
	uint64_t goal = UINT64_MAX;
	if (percent >= 0) {
		uint64_t least = (uint64_t)LEAST_GOAL * (unsigned)percent / 100;
		goal = live + live / 100 * (unsigned)percent;
		goal = goal < least ? least : goal;
	}
	/* Below a limit that is lower than what lives: a sixteenth more, so that the program is slow but goes on. */
	uint64_t floor = live + live / 16 + (1 << 20);
	if (limit != 0 && goal > limit)
		goal = limit > floor ? limit : floor;
	return goal;
}

static void set_goal(uint64_t live)
{
	uint64_t goal = goal_for(live), room = goal > live ? goal - live : 0;
	uint64_t ahead = atomic_load_explicit(&runway, memory_order_relaxed);
	uint64_t most = (room < live ? room : live) / 10 * 3 + LEAST_AHEAD;
	most = most < room / 10 * 3 ? most : room / 10 * 3;
	ahead = !neap__gc_tracks() ? 0 : ahead > most ? most : ahead;
	atomic_store_explicit(&neap__gc.goal, goal, memory_order_relaxed);
	atomic_store_explicit(&neap__gc.trigger, goal == UINT64_MAX ? goal : goal - ahead,
			      memory_order_relaxed);
}

/* Marking begins. World stopped. */
void neap__gc_pace_begin(void)
{
	uint64_t there = atomic_load(&neap__gc.pace_bytes), before = atomic_load(&alive);
	atomic_store(&begun_at, there);
	atomic_store(&all_there, before != 0 && before < there ? before : there);
}

/* World stopped, marking over: what was marked, and what was claimed meanwhile. */
void neap__gc_pace_flip(void)
{
	uint64_t claimed = atomic_load(&neap__gc.claimed_bytes) - neap__gc_last.claimed_before;
	uint64_t before = atomic_exchange(&held, false) ? neap__gc_last.goal : atomic_load(&runway) / 4 * 3;
	atomic_store(&runway, claimed > before ? claimed : before);
	neap__gc_last.heap_after = atomic_load(&neap__gc.live_bytes);
	neap__gc_last.claimed_at_flip = atomic_load(&neap__gc.claimed_bytes);
	uint64_t estimate = atomic_load(&neap__gc.marker->bytes) + (neap__gc_last.concurrent ? claimed : 0);
	atomic_store(&neap__gc.pace_bytes, estimate);
	atomic_store(&alive, estimate);
	set_goal(estimate);
}

/* All is swept: live is known. */
void neap__gc_pace_anew(void)
{
	uint64_t since = atomic_load(&neap__gc.claimed_bytes) - neap__gc_last.claimed_at_flip;
	uint64_t live = atomic_load(&neap__gc.live_bytes);
	neap__gc_last.marked = live > since ? live - since : 0;
	atomic_store(&alive, neap__gc_last.marked);
	set_goal(neap__gc_last.marked);
	atomic_store(&neap__gc.pace_bytes, live);
	/* What was claimed while it ran was not looked at. */
	atomic_store(&claimed_then, neap__gc_last.claimed_before);
	atomic_store(&dropped_then, neap__gc_last.dropped_before);
	atomic_store(&ended_at, neap__os_now());
	atomic_store(&ran_then, neap__os_process_time());
	atomic_store(&settled, neap__gc_last.forced || neap__gc_last.idle);
}

void neap__gc_pace_start(void)
{
	set_goal(0);
	atomic_store(&ended_at, neap__os_now());
	atomic_store(&ran_then, neap__os_process_time());
}

static bool past_goal(void)
{
	return atomic_load_explicit(&neap__gc.pace_bytes, memory_order_relaxed) >=
	       atomic_load_explicit(&neap__gc.goal, memory_order_relaxed);
}

/* Has the marker done less than its share of the way to the goal? Once it has marked all that was expected, all that was
 * there when it began counts.
 */
static bool behind(void)
{
	uint64_t now = atomic_load_explicit(&neap__gc.pace_bytes, memory_order_relaxed);
	uint64_t goal = atomic_load_explicit(&neap__gc.goal, memory_order_relaxed);
	uint64_t begun = atomic_load_explicit(&begun_at, memory_order_relaxed);
	uint64_t all = atomic_load_explicit(&all_there, memory_order_relaxed);
	uint64_t marked = atomic_load_explicit(&neap__gc.marker->bytes, memory_order_relaxed);
	if (now >= goal || now <= begun)
		return now >= goal;
	double share = (double)(now - begun) / (double)(goal - begun);
	return (double)marked < share * (double)(marked < all ? all : begun);
}

/* Marks a little, when the marker is free; or waits for it, which slows the program down all the same. In portions:
 * who stops the world waits for the end of one, 20 us. False: nothing is left to mark.
 */
static bool assist(struct neap__gc_thread *thread, size_t most)
{
	uint64_t begin = neap__os_thread_time();
	bool left = true;
	for (size_t done = 0; left && done < most && behind(); done += ASSIST_PORTION) {
		neap__gc_enter(thread);
		neap__lock_take(&neap__gc.mark_lock);
		left = neap__gc_is_marking() && !neap__gc_drain(ASSIST_PORTION);
		neap__lock_give(&neap__gc.mark_lock);
		neap__gc_leave(thread);
	}
	atomic_fetch_add(&neap__gc_last.assisted, neap__os_thread_time() - begin);
	return left;
}

/* A millisecond at the goal, twice as long for each further 32nd of it, 64 at most: a cycle that gets no processor for
 * seconds is not outrun by a claim in each millisecond of each thread.
 */
static int64_t wait_at_goal(void)
{
	uint64_t goal = atomic_load_explicit(&neap__gc.goal, memory_order_relaxed);
	uint64_t now = atomic_load_explicit(&neap__gc.pace_bytes, memory_order_relaxed);
	uint64_t past = now > goal ? (now - goal) / (goal / 32 + 1) : 0;
	return (int64_t)AT_GOAL_NS << (past < 6 ? past : 6);
}

static void wait_for_epoch(void *epoch)
{
	neap__os_wait(&neap__gc.epoch, *(uint32_t *)epoch, wait_at_goal());
}

/* Leaves the processor to who runs the cycle, for a while or until the cycle is over. */
static void wait_for_cycle(void)
{
	uint32_t epoch = atomic_load_explicit(&neap__gc.epoch, memory_order_relaxed);
	atomic_store_explicit(&held, true, memory_order_relaxed);
	neap__gc_aside(wait_for_epoch, &epoch);
}

enum { IDLE_WORTH = 256 << 10, DROPPED_WORTH = 4096 /* entries, so much with objects of 64 bytes */ };
static const uint64_t idle_after_ns = UINT64_C(1000000000);
static const uint64_t ran_worth_ns = 10 * 1000 * 1000; /* of processor time: less is what timers take */

static int64_t claimed_since(uint64_t then)
{
	return (int64_t)(atomic_load(&neap__gc.claimed_bytes) -
			 then); /* what is returned is taken off: below 0 */
}

bool neap__gc_nothing_new(void)
{
	return atomic_load(&settled) && claimed_since(atomic_load(&claimed_then)) < IDLE_WORTH &&
	       atomic_load(&neap__gc.dropped) - atomic_load(&dropped_then) < DROPPED_WORTH;
}

/* What a program drops by a plain store alone is not noticed. So when two minutes are over it has dropped something, if
 * it has run at all.
 */
bool neap__gc_overdue(void)
{
	return atomic_load(&neap__gc.percent) >= 0 &&
	       neap__os_now() - atomic_load(&ended_at) >= neap__gc.period_ns &&
	       neap__os_process_time() - atomic_load(&ran_then) >= ran_worth_ns;
}

/* A program that has claimed or dropped since the last cycle, and not for a second. */
bool neap__gc_idle(void)
{
	static uint64_t claimed_seen, dropped_seen, seen_at;
	uint64_t now = neap__os_now();
	if (atomic_load(&neap__gc.percent) < 0)
		return false;
	if (claimed_since(claimed_seen) != 0 || atomic_load(&neap__gc.dropped) != dropped_seen) {
		claimed_seen = atomic_load(&neap__gc.claimed_bytes);
		dropped_seen = atomic_load(&neap__gc.dropped);
		seen_at = now;
	}
	return !neap__gc_nothing_new() && now - seen_at >= idle_after_ns;
}

void neap__gc_pace_drop(size_t entries)
{
	atomic_fetch_add_explicit(&neap__gc.dropped, entries, memory_order_relaxed);
	neap__gc_cycle_stir();
}

/* A limit is kept though the collector's thread gets no processor, or has only work that nobody can help with. */
static bool past_limit(void)
{
	uint64_t goal = atomic_load_explicit(&neap__gc.goal, memory_order_relaxed);
	return atomic_load_explicit(&neap__gc.limit, memory_order_relaxed) != 0 &&
	       atomic_load_explicit(&neap__gc.pace_bytes, memory_order_relaxed) >=
		       goal + goal / 16 + (1 << 20);
}

void neap__gc_pace(size_t size)
{
	static _Atomic unsigned claims;
	if (neap__gc_self->busy > 0)
		return;
	if (NEAP__GC_UNLIKELY(neap__gc.stress != 0) && atomic_fetch_add(&claims, 1) % neap__gc.stress == 0) {
		neap__gc_cycle_now();
		return;
	}
	if (!neap__gc_due()) {
		neap__gc_cycle_stir();
		return;
	}
	bool marking = neap__gc_is_marking();
	if (marking && !behind() && !past_limit())
		return;
	uint64_t begin = neap__os_now();
	if (past_limit())
		neap__gc_cycle_due();
	else if (!marking)
		neap__gc_cycle_nudge();
	if ((!marking || !assist(neap__gc_self, ASSIST_BYTES + size)) && past_goal())
		wait_for_cycle();
	neap__gc_felt(begin);
}

int neap_gc_set_percent(int percent)
{
	if (!neap__gc_begin())
		return 0;
	int before = atomic_exchange(&neap__gc.percent, percent);
	set_goal(atomic_load(&alive));
	return before;
}

size_t neap_gc_set_memory_limit(size_t bytes)
{
	if (!neap__gc_begin())
		return 0;
	size_t before = atomic_exchange(&neap__gc.limit, bytes);
	set_goal(atomic_load(&alive));
	return before;
}
