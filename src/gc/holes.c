/* holes.c: pages inside spans that are in use and hold no object go back to the system, a thousand at a time.
 *
 * Whole spans that are empty are the heap's, which returns them by itself. What is done here is done when the
 * program is idle, or asks: pages that are used again soon cost a fault each.
 */
#include <string.h>

#include "gc/internal.h"

enum { RANGES_AT_ONCE = 1024, PAGES_IN_SPAN = 64 };

struct collection_of_holes {
	struct neap__os_range at[RANGES_AT_ONCE];
	uint32_t unit[RANGES_AT_ONCE];
	unsigned count;
	size_t bytes;
};

/* A bit for each page of a small span that an object lies on, or a claim. */
static uint64_t used_pages(const struct neap__gc_span *span)
{
	unsigned shift = neap__heap.page_shift;
	uint64_t used = 0;
	for (uint32_t w = 0; w * 64 < span->objects; w++)
		for (uint64_t set = span->words[w].alloc; set != 0; set &= set - 1) {
			uint64_t object = w * 64 + (unsigned)__builtin_ctzll(set);
			if (object >= span->objects)
				break;
			uint64_t first = object * span->size >> shift;
			uint64_t last = (object * span->size + span->size - 1) >> shift;
			used |= (last == 63 ? ~UINT64_C(0) : (UINT64_C(1) << (last + 1)) - 1) &
				~((UINT64_C(1) << first) - 1);
		}
	return used;
}

static void return_noted(struct collection_of_holes *holes)
{
	size_t done = neap__os_return_many(holes->at, holes->count);
	for (size_t i = 0; i < done; i++) {
		uint32_t unit = holes->unit[i];
		unsigned first = (unsigned)(((uintptr_t)holes->at[i].start & (NEAP__UNIT - 1)) >>
					    neap__heap.page_shift);
		unsigned pages = (unsigned)(holes->at[i].size >> neap__heap.page_shift);
		uint16_t mask = (uint16_t)(((1u << pages) - 1) << first);
		atomic_fetch_and_explicit(&neap__heap.resident[unit], (uint16_t)~mask, memory_order_relaxed);
		holes->bytes += holes->at[i].size;
	}
	/* This is static data, which is a root: an address left here would keep the object that comes to lie there. */
	memset(holes->at, 0, holes->count * sizeof *holes->at);
	holes->count = 0;
}

static void note_pages(struct collection_of_holes *holes, uint32_t head, uint64_t used)
{
	unsigned shift = neap__heap.page_shift, in_unit = 1u << (NEAP__UNIT_SHIFT - shift);
	for (uint32_t i = 0; i < neap__gc_span(head)->units; i++) {
		uint32_t unit = head + i;
		uint32_t empty = atomic_load_explicit(&neap__heap.resident[unit], memory_order_relaxed) &
				 (uint32_t) ~(used >> i * in_unit) & ((1u << in_unit) - 1);
		while (empty != 0) {
			unsigned first = (unsigned)__builtin_ctz(empty);
			unsigned pages = (unsigned)__builtin_ctz(~(empty >> first));
			holes->unit[holes->count] = unit;
			holes->at[holes->count++] = (struct neap__os_range){
				neap__unit_address(unit) + ((size_t)first << shift), (size_t)pages << shift};
			empty &= ~(((1u << pages) - 1) << first);
		}
	}
}

/* The lock of the kind keeps its spans from being claimed from meanwhile. */
static void return_of_kind(struct collection_of_holes *holes, unsigned kind)
{
	struct neap__gc_central *central = &neap__gc.central[kind];
	neap__lock_take(&central->lock);
	uint32_t head = central->lists[neap__gc.epoch & 1][NEAP__GC_PARTIAL];
	for (; head != 0; head = neap__gc_span(head)->next) {
		if (holes->count + PAGES_IN_SPAN > RANGES_AT_ONCE)
			return_noted(holes);
		note_pages(holes, head, used_pages(neap__gc_span(head)));
	}
	return_noted(holes);
	neap__lock_give(&central->lock);
}

size_t neap__gc_return_holes(void)
{
	static struct collection_of_holes holes; /* under the cycle lock; too large for a stack */
	holes.bytes = 0;
	for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++)
		return_of_kind(&holes, kind);
	atomic_fetch_add_explicit(&neap__heap.returned_total, holes.bytes, memory_order_relaxed);
	return holes.bytes;
}
