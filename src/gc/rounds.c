/* rounds.c: pages that were written to since they were read: read again, until the rest fits into a short stop.
 *
 *     arm everything -> mark -> rounds beside the program -> stops of a bounded length -> nothing left, world stopped
 *
 * A round walks the tracked region once, and reads and arms each page that was written to. Beside the program it ends
 * with fewer pages than it began with, or not, depending on how fast the program writes: rounds go on while they get
 * smaller. Then the world is stopped for a round that must come to its end. When its time is over first, the program
 * goes on for a while, with all that was read read for good, and the next stop begins where this one ended. A program
 * dirties a page by a fault of a microsecond, and a page takes about as long to read: so the less it runs between two
 * stops, the less is left, at any rate of writing. The bound doubles now and then; the last of ATTEMPTS_MOST stops has
 * none, and the trace says so.
 */

#include "gc/cycle.h"
#include "gc/mark.h"

enum {
	ROUNDS_MOST = 16,
	HOPELESS_ROUNDS = 3, /* in which no round was smaller than the smallest before */
	PAGES_FEW = 64,	     /* 256 KB: 50 to 150 us to read again */
	DRAIN_BYTES = 256 << 10,
#ifdef NEAP_HOSTILE
	DRAIN_BYTES_STOPPED = 1,
	PAGES_STOPPED = 1,
#else
	DRAIN_BYTES_STOPPED = 32 << 10, /* between two looks at the clock: about 20 us */
	PAGES_STOPPED = 32,
#endif
	PAGES_BESIDE = 256 /* under one hold of the mark lock: less than a millisecond */
};
_Static_assert((int)PAGES_BESIDE <= (int)NEAP__GC_PAGES_AT_ONCE, "they are noted in the marker's array");

static uintptr_t tracked_begin(void)
{
	return (uintptr_t)neap__unit_address(neap__heap.regions[NEAP__REGION_TRACKED].first);
}

static uintptr_t tracked_end(void)
{
	uint32_t frontier =
		__atomic_load_n(&neap__heap.regions[NEAP__REGION_TRACKED].frontier, __ATOMIC_RELAXED);
	return (uintptr_t)neap__unit_address(frontier);
}

bool neap__gc_arm_all(void)
{
	uintptr_t from = tracked_begin();
	for (uintptr_t end = tracked_end(); from < end;)
		if (neap__os_track_scan(&neap__gc.track, &from, end, true, NULL, 0) < 0)
			return false;
	return true;
}

/* The kernel refused to say what was written: everything counts as written. */
static void read_everything(void)
{
	neap__gc_read_again(tracked_begin(), tracked_end());
	neap__gc_last.refused = true;
}

/* Reads the written pages of [*from, end) that the kernel names in one call, and arms them. Returns their number, -1:
 * refused.
 */
static long read_some(uintptr_t *from, uintptr_t end, size_t most)
{
	struct neap__gc_marker *marker = neap__gc.marker;
	long pages = 0, found = neap__os_track_scan(&neap__gc.track, from, end, true, marker->pages, most);
	for (long i = 0; i < found; i++) {
		pages += (long)((marker->pages[i].end - marker->pages[i].start) >> neap__heap.page_shift);
		neap__gc_read_again((uintptr_t)marker->pages[i].start, (uintptr_t)marker->pages[i].end);
	}
	return found < 0 ? -1 : pages;
}

/* One round beside the program; returns the pages, or -1. */
static long read_beside_program(void)
{
	long pages = 0;
	uintptr_t from = tracked_begin();
	for (uintptr_t end = tracked_end(); from < end;) {
		neap__lock_take(&neap__gc.mark_lock);
		long some = read_some(&from, end, PAGES_BESIDE);
		neap__lock_give(&neap__gc.mark_lock);
		if (some < 0)
			return -1;
		pages += some;
	}
	return pages;
}

void neap__gc_drain_beside_program(void)
{
	for (bool done = false; !done;) {
		neap__lock_take(&neap__gc.mark_lock);
		done = neap__gc_drain(DRAIN_BYTES);
		neap__lock_give(&neap__gc.mark_lock);
	}
}

void neap__gc_rounds(void)
{
	long least = INT32_MAX;
	for (unsigned round = 0, hopeless = 0; round < ROUNDS_MOST && hopeless < HOPELESS_ROUNDS; round++) {
		neap__lock_take(&neap__gc.mark_lock);
		neap__gc_take_shades();
		neap__lock_give(&neap__gc.mark_lock);
		long pages = read_beside_program();
		if (pages < 0)
			return;
		neap__gc_drain_beside_program();
		neap__gc_last.rounds = round + 1;
		neap__gc_last.round_pages = pages;
		if (pages < PAGES_FEW)
			return;
		hopeless = pages < least - least / 8 ? 0 : hopeless + 1;
		least = pages < least ? pages : least;
	}
}

/* Where the next stop goes on, in bytes from the begin of the region: every page between here and there, around the
 * end, is still to be asked for. No address, which would be a root: it lies in static data, where an object may begin.
 */
static size_t resume_at;

void neap__gc_rounds_reset(void)
{
	resume_at = 0;
}

void neap__gc_read_beside(uint64_t until)
{
	uintptr_t from = tracked_begin() + resume_at, end = tracked_end();
	for (bool refused = false; from < end && !refused && neap__os_now() < until;) {
		neap__lock_take(&neap__gc.mark_lock);
		neap__gc_take_shades();
		refused = read_some(&from, end, PAGES_STOPPED) < 0;
		neap__lock_give(&neap__gc.mark_lock);
	}
	resume_at = from < end ? from - tracked_begin() : 0;
	neap__gc_drain_beside_program();
}

/* Walks [from, to) with the world stopped. False: the time is over, at resume_at. */
static bool read_stretch(uintptr_t from, uintptr_t to, uint64_t until)
{
	while (from < to) {
		long pages = read_some(&from, to, PAGES_STOPPED);
		if (pages < 0) {
			read_everything();
			return true;
		}
		neap__gc_last.last_pages += pages;
		if (from < to && neap__os_now() > until) {
			resume_at = from - tracked_begin();
			return false;
		}
	}
	return true;
}

bool neap__gc_read_stopped(uint64_t until)
{
	uintptr_t begin = tracked_begin(), end = tracked_end(), middle = begin + resume_at;
	neap__gc_last.last_pages = 0;
	return read_stretch(middle, end, until) && read_stretch(begin, middle, until);
}

bool neap__gc_drain_stopped(uint64_t until)
{
	while (!neap__gc_drain(until == UINT64_MAX ? UINT64_MAX : DRAIN_BYTES_STOPPED))
		if (neap__os_now() > until)
			return false;
	return true;
}
