/* scavenge.c: giving pages back to the system.
 *
 * One pass walks the tags. Free units that lay still long enough go back in stretches; a closed span with free
 * blocks is opened (the pass is its owner then, nobody else touches its bitmap), its pages without a block in
 * use are noted, and when a thousand scattered pages are noted they go back in one system call. Then the spans
 * are closed again.
 *
 * The thread: woken by frees of a few megabytes in sum, it makes a pass every 250 ms until a pass finds nothing
 * resident left to return, now or later, and sleeps. So an idle program is clean within 1.5 s and no longer woken.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include "base/os.h"
#include "base/probes.h"
#include "base/releases.h"
#include "heap/internal.h"

enum {
	HOLES_MOST = 1024, /* what one system call takes */
	LOANS_MOST = 64,   /* spans held open meanwhile: at most 1024 pages of 4 KB */
	STRETCH_MOST = 64, /* units returned under one hold of the page lock: 4 MB, about 100 us */
	TICK_NS = 250 * 1000 * 1000,
	WAKE_BYTES = 1 << 20 /* a program that never frees this much never has the thread */
};

struct pass {
	uint32_t still, now;
	size_t bytes;
	bool left; /* something is resident, free, and too young */
	unsigned holes, loans;
	struct neap__os_range hole[HOLES_MOST];
	uint32_t loan[LOANS_MOST];
};

static bool young(const struct pass *pass, uint32_t unit)
{
	uint32_t stamp = atomic_load_explicit(&neap__heap.spans[unit].stamp, memory_order_relaxed);
	return pass->now - stamp < pass->still;
}

/* Since the last free in a unit, in steps of a tick. */
static uint64_t age_ms(const struct pass *pass, uint32_t unit)
{
	uint32_t stamp = atomic_load_explicit(&neap__heap.spans[unit].stamp, memory_order_relaxed);
	return (uint64_t)(pass->now - stamp) * (TICK_NS / 1000000);
}

static uint16_t resident_bits(uint32_t unit)
{
	return atomic_load_explicit(&neap__heap.resident[unit], memory_order_relaxed);
}

static bool returnable(struct pass *pass, uint32_t unit)
{
	if (neap__tag_of(unit) != NEAP__TAG_FREE || resident_bits(unit) == 0)
		return false;
	bool wait = young(pass, unit);
	pass->left |= wait;
	return !wait;
}

/* Returns free units from `unit` on; the first that was not looked at. */
static uint32_t return_units(struct pass *pass, uint32_t unit, uint32_t end)
{
	neap__lock_take(&neap__heap.pages);
	uint32_t stop = unit;
	size_t pages = 0;
	while (stop < end && stop - unit < STRETCH_MOST && returnable(pass, stop))
		pages += (unsigned)__builtin_popcount(resident_bits(stop++));
	if (stop > unit &&
	    neap__os_return(neap__unit_address(unit), (size_t)(stop - unit) << NEAP__UNIT_SHIFT) != 0) {
		for (uint32_t u = unit; u < stop; u++) {
			neap__released((unsigned)__builtin_popcount(resident_bits(u)), age_ms(pass, u));
			atomic_store_explicit(&neap__heap.resident[u], 0, memory_order_relaxed);
		}
		pass->bytes += pages << neap__heap.page_shift;
	}
	neap__lock_give(&neap__heap.pages);
	return stop > unit ? stop : unit + 1;
}

/* Clears the resident bits of a hole; a hole lies in one span that this pass owns. */
static void forget_hole(struct pass *pass, const struct neap__os_range *hole)
{
	uint32_t unit = (uint32_t)neap__unit_of_address(hole->start), head = neap__heap.spans[unit].head;
	unsigned shift = neap__heap.page_shift;
	size_t first = ((uintptr_t)hole->start & (NEAP__UNIT - 1)) >> shift, pages = hole->size >> shift;
	uint16_t mask = (uint16_t)(((1u << pages) - 1) << first);
	atomic_store_explicit(&neap__heap.resident[unit], resident_bits(unit) & (uint16_t)~mask,
			      memory_order_relaxed);
	neap__heap.spans[head].missing = (uint16_t)(neap__heap.spans[head].missing + pages);
	pass->bytes += hole->size;
	neap__released(pages, age_ms(pass, head));
}

static void finish_loans(struct pass *pass)
{
	size_t done = neap__os_return_many(pass->hole, pass->holes);
	for (size_t i = 0; i < done && i < pass->holes; i++)
		forget_hole(pass, &pass->hole[i]);
	for (unsigned i = 0; i < pass->loans; i++) {
		uint32_t head = pass->loan[i];
		unsigned kind = neap__kind_of_span(head);
		neap__heap.spans[head].settled = true;
		neap__lock_take(&neap__heap.central[kind].lock);
		neap__span_close(head, kind);
		neap__lock_give(&neap__heap.central[kind].lock);
	}
	pass->holes = pass->loans = 0;
}

/* Bits of the pages of the span's unit number `index` that have a block in use on them. */
static uint32_t busy_pages(uint32_t head, unsigned kind, uint32_t index)
{
	const struct neap__span *span = &neap__heap.spans[head];
	size_t size = neap__class_of_kind(kind)->size, start = (size_t)index << NEAP__UNIT_SHIFT;
	unsigned shift = neap__heap.page_shift;
	uint32_t busy = 0, object = (uint32_t)(start / size);
	for (; object < span->objects && object * size < start + NEAP__UNIT; object++) {
		uint64_t word = span->alloc[object / 64] >> object % 64;
		if (word == 0) {
			object |= 63;
			continue;
		}
		if ((word & 1) == 0)
			continue;
		size_t from = object * size, to = from + size - 1;
		from = from < start ? 0 : (from - start) >> shift;
		to = to >= start + NEAP__UNIT ? (NEAP__UNIT - 1u) >> shift : (to - start) >> shift;
		busy |= ((2u << to) - 1) & ~((1u << from) - 1);
	}
	return busy;
}

static void note_holes(struct pass *pass, uint32_t head, unsigned kind)
{
	unsigned shift = neap__heap.page_shift;
	for (uint32_t index = 0; index < neap__class_of_kind(kind)->units; index++) {
		uint32_t empty = resident_bits(head + index) & ~busy_pages(head, kind, index);
		while (empty != 0) {
			unsigned first = (unsigned)__builtin_ctz(empty);
			unsigned pages = (unsigned)__builtin_ctz(~(empty >> first));
			pass->hole[pass->holes++] = (struct neap__os_range){neap__unit_address(head + index) +
										    ((size_t)first << shift),
									    (size_t)pages << shift};
			empty &= ~(((1u << pages) - 1) << first);
		}
	}
}

static void visit_span(struct pass *pass, uint32_t head, unsigned kind)
{
	struct neap__central *central = &neap__heap.central[kind];
	neap__lock_take(&central->lock);
	/* The tag may have changed since it was read without the lock; with it, a listed span keeps its kind. */
	bool listed = neap__tag_of(head) == kind + 1 && neap__span_state(head) == NEAP__SPAN_PARTIAL &&
		      !neap__heap.spans[head].settled;
	bool wait = listed && young(pass, head);
	pass->left |= wait;
	bool mine = listed && !wait && neap__span_open(head, kind, NULL);
	neap__lock_give(&central->lock);
	if (!mine)
		return;
	/* At most every other page begins a hole: 8 to a unit. */
	if (pass->loans == LOANS_MOST || pass->holes + NEAP__WIDE_UNITS * 8 > HOLES_MOST)
		finish_loans(pass);
	pass->loan[pass->loans++] = head;
	note_holes(pass, head, kind);
}

size_t neap__return_pass(uint32_t still_ticks, bool *left)
{
	struct pass pass;
	pass.still = still_ticks;
	pass.now = atomic_load_explicit(&neap__heap.tick, memory_order_relaxed);
	pass.bytes = 0;
	pass.left = false;
	pass.holes = pass.loans = 0;
	neap__lock_take(&neap__heap.passing);
	for (int round = 0; round < 2; round++) /* spans first: those that turn out empty become free units */
		for (unsigned i = 0; i < NEAP__REGIONS; i++) {
			neap__lock_take(&neap__heap.pages);
			uint32_t unit = neap__heap.regions[i].first, end = neap__heap.regions[i].frontier;
			neap__lock_give(&neap__heap.pages);
			while (unit < end) {
				unsigned kind = neap__tag_of(unit) - 1;
				if (round == 0 && kind < NEAP__KINDS &&
				    neap__span_state(unit) == NEAP__SPAN_PARTIAL)
					visit_span(&pass, unit, kind);
				if (round == 1 && kind + 1 == NEAP__TAG_FREE && resident_bits(unit) != 0)
					unit = return_units(&pass, unit, end);
				else
					unit++;
			}
			if (round == 0)
				finish_loans(&pass);
		}
	neap__lock_give(&neap__heap.passing);
	atomic_fetch_add_explicit(&neap__heap.returned_total, pass.bytes, memory_order_relaxed);
	*left = pass.left;
	if (pass.bytes > 0)
		NEAP__PROBE2(heap__release, pass.bytes, still_ticks);
	return pass.bytes;
}

/* The thread. */

enum { NOT_STARTED, ASLEEP, AWAKE };
static _Atomic int returner;
static sem_t wake;

static void *returner_main(void *unused)
{
	(void)unused;
	for (;;) {
		const struct timespec tick = {0, TICK_NS};
		nanosleep(&tick, NULL);
		atomic_fetch_add_explicit(&neap__heap.tick, 1, memory_order_relaxed);
		/* Asleep from here for those who free: what they free now wakes the thread again. */
		atomic_store(&returner, ASLEEP);
		bool left;
		(void)neap__return_pass(NEAP__STILL_TICKS, &left);
		int asleep = ASLEEP;
		if (left)
			atomic_compare_exchange_strong(&returner, &asleep, AWAKE);
		while (!left && sem_wait(&wake) != 0)
			;
	}
	return NULL;
}

static bool start_thread(void)
{
	int kept = errno;
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	if (pthread_attr_init(&attr) != 0)
		return false;
	sigfillset(&all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool made = !neap__os_refuses("pthread_create") &&
		    pthread_create(&thread, &attr, returner_main, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	errno = kept;
	return made;
}

void neap__returner_nudge(size_t bytes)
{
	int state = atomic_load_explicit(&returner, memory_order_relaxed);
	if (state == AWAKE ||
	    atomic_fetch_add_explicit(&neap__heap.freed, bytes, memory_order_relaxed) + bytes < WAKE_BYTES)
		return;
	atomic_store_explicit(&neap__heap.freed, 0, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&returner, &state, AWAKE))
		return;
	if (state == ASLEEP) {
		sem_post(&wake);
		return;
	}
	/* First of all AWAKE: pthread_create allocates. Refused: the next megabyte tries again. */
	sem_init(&wake, 0, 0);
	if (!start_thread())
		atomic_store(&returner, NOT_STARTED);
}

void neap__returner_forked(void)
{
	atomic_store(&returner, NOT_STARTED);
	atomic_store(&neap__heap.freed, WAKE_BYTES); /* what the parent left is the child's to return */
}
