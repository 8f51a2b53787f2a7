/* check.c: the laws of internal.h, checked one by one. No other thread may be inside the heap.
 *
 *  1  the runs of a region tile it from its first unit to the frontier; first <= frontier <= committed <= end
 *  2  no two free runs touch; a free run is in the bin of its length, with its tail pointing home
 *  3  span: used == set bits below `objects`, bits past it are set; tags of all its units say its kind
 *  4  span: missing == pages that are not resident; every page of a set block is resident
 *  5  a closed span is listed iff 0 <= used < objects; its remote list is CLOSED; an open one has an owner
 *  6  kind: sum of used over its spans == mallocs - frees + in magazines + in remote lists, where the first
 *     three are, for each cache, what it took from spans less what it gave back
 *  7  large: blocks and bytes are what the counts say
 */
#include "heap/internal.h"

#define HEAP_REQUIRE(condition)            \
	do {                               \
		if (!(condition))          \
			return #condition; \
	} while (0)

struct census {
	uint64_t used[NEAP__KINDS], remote[NEAP__KINDS], partial[NEAP__KINDS];
	uint64_t free_runs, large_blocks, large_bytes;
};

static const char *check_bits(uint32_t head, const struct neap__class *class)
{
	const struct neap__span *span = &neap__heap.spans[head];
	uint32_t set = 0;
	for (uint32_t i = 0; i < (class->objects + 63) / 64 * 64; i++) {
		bool bit = span->alloc[i / 64] >> i % 64 & 1;
		HEAP_REQUIRE(i < class->objects || bit);
		if (i >= class->objects || !bit)
			continue;
		set++;
		for (size_t at = i * class->size >> 12; at <= ((i + 1) * class->size - 1) >> 12; at++) {
			size_t page = at << 12 >> neap__heap.page_shift;
			unsigned in_unit = NEAP__UNIT_SHIFT - neap__heap.page_shift;
			uint16_t bits = neap__heap.resident[head + (page >> in_unit)];
			HEAP_REQUIRE(bits >> (page & ((1u << in_unit) - 1)) & 1);
		}
	}
	HEAP_REQUIRE(span->used == set);
	unsigned pages = class->units << (NEAP__UNIT_SHIFT - neap__heap.page_shift);
	HEAP_REQUIRE(span->missing == pages - neap__resident_count(head, class->units));
	return NULL;
}

static const char *check_span(uint32_t head, unsigned kind, struct census *census)
{
	const struct neap__class *class = neap__class_of_kind(kind);
	const struct neap__span *span = &neap__heap.spans[head];
	uintptr_t remote = span->remote;
	HEAP_REQUIRE(span->units == class->units && span->objects == class->objects);
	for (uint32_t i = 0; i < span->units; i++)
		HEAP_REQUIRE(neap__tag_of(head + i) == kind + 1);
	HEAP_REQUIRE((span->state == NEAP__SPAN_OPEN) == (remote != NEAP__CLOSED));
	HEAP_REQUIRE(span->state != NEAP__SPAN_OPEN || span->owner != NULL); /* no pass is running */
	HEAP_REQUIRE(span->state != NEAP__SPAN_PARTIAL || span->used < span->objects);
	HEAP_REQUIRE(span->state != NEAP__SPAN_FULL || span->used == span->objects);
	census->used[kind] += span->used;
	census->partial[kind] += span->state == NEAP__SPAN_PARTIAL;
	for (; remote != 0 && remote != NEAP__CLOSED; remote = *(uintptr_t *)remote)
		census->remote[kind]++;
	return check_bits(head, class);
}

static const char *check_run(uint32_t head, struct census *census)
{
	const struct neap__span *run = &neap__heap.spans[head];
	const struct neap__region *region = &neap__heap.regions[neap__region_of_unit(head)];
	HEAP_REQUIRE(run->head == head && run->units > 0 && head + run->units <= region->frontier);
	unsigned tag = neap__tag_of(head);
	if (tag - 1 < NEAP__KINDS)
		return check_span(head, tag - 1, census);
	if (tag == NEAP__TAG_FREE) {
		uint32_t after = head + run->units;
		HEAP_REQUIRE(run->state == NEAP__SPAN_FREE && neap__heap.spans[after - 1].head == head);
		HEAP_REQUIRE(after == region->frontier || neap__tag_of(after) != NEAP__TAG_FREE);
		census->free_runs++;
		return NULL;
	}
	if (tag == NEAP__TAG_COLLECTED) {
		HEAP_REQUIRE(run->state == NEAP__SPAN_COLLECTED &&
			     neap__region_of_unit(head) >= NEAP__REGION_TRACKED);
		for (uint32_t i = 0; i < run->units; i++)
			HEAP_REQUIRE(neap__tag_of(head + i) == NEAP__TAG_COLLECTED && run[i].head == head);
		return NULL;
	}
	HEAP_REQUIRE(tag == NEAP__TAG_NONE && run->state == NEAP__SPAN_LARGE);
	size_t page = (size_t)1 << neap__heap.page_shift;
	census->large_blocks++;
	census->large_bytes += (run->size + page - 1) & ~(page - 1);
	return NULL;
}

static const char *check_region(const struct neap__region *region, struct census *census)
{
	HEAP_REQUIRE(region->first <= region->frontier && region->frontier <= region->committed &&
		     region->committed <= region->end);
	for (uint32_t head = region->first; head < region->frontier; head += neap__heap.spans[head].units) {
		const char *broken = check_run(head, census);
		if (broken != NULL)
			return broken;
	}
	for (unsigned bin = 0; bin < NEAP__BINS; bin++) {
		HEAP_REQUIRE((region->filled[bin / 64] >> bin % 64 & 1) == (region->bins[bin] != 0));
		for (uint32_t run = region->bins[bin]; run != 0; run = neap__heap.spans[run].next) {
			HEAP_REQUIRE(neap__span_state(run) == NEAP__SPAN_FREE);
			HEAP_REQUIRE(neap__bin_of(neap__heap.spans[run].units) == bin);
			census->free_runs--;
		}
	}
	HEAP_REQUIRE(census->free_runs == 0);
	return NULL;
}

static const char *check_kind(unsigned kind, const struct census *census)
{
	const struct neap__central *central = &neap__heap.central[kind];
	uint64_t listed = 0, out = central->mallocs - central->frees;
	for (uint32_t head = central->partial; head != 0; head = neap__heap.spans[head].next, listed++)
		HEAP_REQUIRE(neap__span_state(head) == NEAP__SPAN_PARTIAL && neap__tag_of(head) == kind + 1);
	HEAP_REQUIRE(listed == census->partial[kind]);
	for (struct neap__cache *cache = neap__heap.all; cache != NULL; cache = cache->next) {
		unsigned tag = neap__tag_of_kind(kind);
		HEAP_REQUIRE(neap__book_count(neap__book_of(cache, tag)) <= cache->magazines[tag].room);
		out += cache->moved[kind];
	}
	HEAP_REQUIRE(census->used[kind] == out + census->remote[kind]);
	return NULL;
}

const char *neap__heap_check(void)
{
	struct census census = {0};
	if (!neap__heap_start())
		return NULL;
	neap__heap_lock_all();
	const char *broken = NULL;
	for (unsigned i = 0; i < NEAP__REGIONS && broken == NULL; i++)
		broken = check_region(&neap__heap.regions[i], &census);
	for (unsigned kind = 0; kind < NEAP__KINDS && broken == NULL; kind++)
		broken = check_kind(kind, &census);
	if (broken == NULL &&
	    (census.large_blocks != neap__heap.large_blocks || census.large_bytes != neap__heap.large_bytes))
		broken = "large blocks and bytes are what the counts say";
	neap__heap_unlock_all();
	return broken;
}
