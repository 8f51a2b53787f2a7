/* pages.c: runs of units: best fit from bins by length, coalescing at once, a frontier that moves up last.
 *
 * Bins 0 to 63 hold runs of exactly that many units; above, four bins to a doubling, searched for the best fit.
 */
#include "base/os.h"
#include "heap/internal.h"

enum { EXACT = 64, COMMIT_STEP = 256 }; /* 16 MB for one system call */

static struct neap__span *span_at(uint32_t unit)
{
	return &neap__heap.spans[unit];
}

unsigned neap__bin_of(uint32_t units)
{
	if (units < EXACT)
		return units;
	unsigned log = 31 - (unsigned)__builtin_clz(units);
	unsigned bin = EXACT + 4 * (log - 6) + (units >> (log - 2) & 3);
	return bin < NEAP__BINS ? bin : NEAP__BINS - 1;
}

static void set_state(uint32_t unit, enum neap__span_state state)
{
	atomic_store_explicit(&span_at(unit)->state, (uint8_t)state, memory_order_relaxed);
}

static void unlink_run(struct neap__region *region, uint32_t head)
{
	struct neap__span *run = span_at(head);
	unsigned bin = neap__bin_of(run->units);
	if (run->prev != 0)
		span_at(run->prev)->next = run->next;
	else
		region->bins[bin] = run->next;
	if (run->next != 0)
		span_at(run->next)->prev = run->prev;
	if (region->bins[bin] == 0)
		region->filled[bin / 64] &= ~(UINT64_C(1) << bin % 64);
}

static void link_run(struct neap__region *region, uint32_t head, uint32_t units)
{
	struct neap__span *run = span_at(head);
	unsigned bin = neap__bin_of(units);
	run->head = span_at(head + units - 1)->head = head;
	run->units = units;
	run->prev = 0;
	run->next = region->bins[bin];
	if (run->next != 0)
		span_at(run->next)->prev = head;
	region->bins[bin] = head;
	region->filled[bin / 64] |= UINT64_C(1) << bin % 64;
	set_state(head, NEAP__SPAN_FREE);
}

/* Bins are ordered by length: the first that has a run long enough has the best one. */
static uint32_t best_fit(const struct neap__region *region, uint32_t units)
{
	for (unsigned bin = neap__bin_of(units); bin < NEAP__BINS; bin++) {
		uint64_t filled = region->filled[bin / 64] >> bin % 64;
		if (filled == 0) {
			bin |= 63;
			continue;
		}
		bin += (unsigned)__builtin_ctzll(filled);
		uint32_t best = 0;
		for (uint32_t run = region->bins[bin]; run != 0; run = span_at(run)->next) {
			uint32_t length = span_at(run)->units;
			if (length >= units && (best == 0 || length < span_at(best)->units))
				best = run;
		}
		if (best != 0)
			return best;
	}
	return 0;
}

/* Core files take in units that are committed, and their tables. */
static void dump_units(uint32_t first, uint32_t units)
{
	struct neap__heap *h = &neap__heap;
	neap__os_dump(neap__unit_address(first), (size_t)units << NEAP__UNIT_SHIFT, true);
	neap__os_dump((void *)(h->tags + first), units, true);
	neap__os_dump((void *)(h->resident + first), units * sizeof *h->resident, true);
	neap__os_dump(h->spans + first, units * sizeof *h->spans, true);
}

static bool commit(struct neap__region *region, uint32_t frontier)
{
	while (region->committed < frontier) {
		uint32_t need = frontier - region->committed, left = region->end - region->committed;
		uint32_t step = need > COMMIT_STEP ? need : COMMIT_STEP < left ? COMMIT_STEP : left;
		if (!neap__os_commit(neap__unit_address(region->committed), (size_t)step << NEAP__UNIT_SHIFT))
			return false;
		dump_units(region->committed, step);
		region->committed += step;
	}
	return true;
}

static uint32_t advance(struct neap__region *region, uint32_t units)
{
	uint32_t head = region->frontier;
	if (units > region->end - head || !commit(region, head + units))
		return 0;
	region->frontier = head + units;
	return head;
}

/* Makes [head, head + units) a run in use, without a kind yet. */
static void claim(uint32_t head, uint32_t units)
{
	for (uint32_t unit = head; unit < head + units; unit++) {
		span_at(unit)->head = head;
		set_state(unit, NEAP__SPAN_NONE);
		atomic_store_explicit(&neap__heap.tags[unit], NEAP__TAG_NONE, memory_order_relaxed);
	}
	span_at(head)->units = units;
}

uint32_t neap__run_take(struct neap__region *region, uint32_t units)
{
	uint32_t head = best_fit(region, units);
	if (head != 0) {
		uint32_t had = span_at(head)->units;
		unlink_run(region, head);
		if (had > units)
			link_run(region, head + units, had - units);
	} else {
		head = advance(region, units);
	}
	if (head != 0)
		claim(head, units);
	return head;
}

/* Back among the free ones; joins its neighbours. */
void neap__run_put(uint32_t head, uint32_t units)
{
	struct neap__region *region = &neap__heap.regions[neap__region_of_unit(head)];
	uint32_t tick = atomic_load_explicit(&neap__heap.tick, memory_order_relaxed);
	for (uint32_t unit = head; unit < head + units; unit++) {
		set_state(unit, NEAP__SPAN_NONE);
		atomic_store_explicit(&span_at(unit)->stamp, tick, memory_order_relaxed);
		atomic_store_explicit(&neap__heap.tags[unit], NEAP__TAG_FREE, memory_order_relaxed);
	}
	uint32_t after = head + units;
	if (after < region->frontier && neap__tag_of(after) == NEAP__TAG_FREE) {
		unlink_run(region, after);
		units += span_at(after)->units;
		set_state(after, NEAP__SPAN_NONE);
	}
	if (head > region->first && neap__tag_of(head - 1) == NEAP__TAG_FREE) {
		uint32_t before = span_at(head - 1)->head;
		unlink_run(region, before);
		units += head - before;
		head = before;
	}
	link_run(region, head, units);
}

uint32_t neap__run_alloc(unsigned number, uint32_t units, uint32_t align)
{
	struct neap__region *region = &neap__heap.regions[number];
	uint32_t whole = units + align - 1;
	neap__lock_take(&neap__heap.pages);
	uint32_t head = whole >= units ? neap__run_take(region, whole) : 0;
	if (head != 0 && align > 1) {
		/* The arena itself is aligned to 1 GB or to its size. */
		uint32_t start = (head + align - 1) / align * align, end = head + whole;
		if (start > head)
			neap__run_put(head, start - head);
		if (end > start + units)
			neap__run_put(start + units, end - start - units);
		head = start;
		claim(head, units);
	}
	neap__lock_give(&neap__heap.pages);
	return head;
}

void neap__run_free(uint32_t head)
{
	neap__lock_take(&neap__heap.pages);
	neap__run_put(head, span_at(head)->units);
	neap__lock_give(&neap__heap.pages);
}

unsigned neap__resident_mark(uint32_t head, size_t start, size_t end)
{
	unsigned fresh = 0, in_unit = NEAP__UNIT_SHIFT - neap__heap.page_shift;
	size_t last = (end - 1) >> neap__heap.page_shift;
	for (size_t page = start >> neap__heap.page_shift; page <= last; page++) {
		_Atomic uint16_t *word = &neap__heap.resident[head + (page >> in_unit)];
		uint16_t bits = atomic_load_explicit(word, memory_order_relaxed);
		uint16_t bit = (uint16_t)(1u << (page & ((1u << in_unit) - 1)));
		fresh += (bits & bit) == 0;
		atomic_store_explicit(word, bits | bit, memory_order_relaxed);
	}
	return fresh;
}

unsigned neap__resident_count(uint32_t head, uint32_t units)
{
	unsigned count = 0;
	for (uint32_t unit = head; unit < head + units; unit++)
		count += (unsigned)__builtin_popcount(
			atomic_load_explicit(&neap__heap.resident[unit], memory_order_relaxed));
	return count;
}
