/* large.c: blocks over NEAP_HEAP_SMALL_MOST: a run each. The pages past the block's last byte are never touched. */
#include <string.h>

#include "base/sampling.h"
#include "heap/internal.h"

static size_t page_rounded(size_t size)
{
	size_t page = (size_t)1 << neap__heap.page_shift;
	return (size + page - 1) & ~(page - 1);
}

static uint32_t units_for(size_t size)
{
	return (uint32_t)((size + NEAP__UNIT - 1) >> NEAP__UNIT_SHIFT);
}

static void account(uint32_t head, size_t size)
{
	neap__heap.spans[head].size = size;
	neap__heap.large_bytes += page_rounded(size);
}

void *neap__large_alloc(size_t size, size_t align, unsigned flags)
{
	if (!neap__heap_start() || size > (size_t)neap__heap.units << NEAP__UNIT_SHIFT)
		return NULL;
	size = size > 0 ? size : 1; /* an empty block may be here for its alignment */
	uint32_t align_units = align > NEAP__UNIT ? (uint32_t)(align >> NEAP__UNIT_SHIFT) : 1;
	uint32_t head = neap__run_alloc((flags & NEAP_HEAP_NO_POINTERS) != 0, units_for(size), align_units);
	if (head == 0)
		return NULL;
	size_t pages = page_rounded(size) >> neap__heap.page_shift;
	neap__lock_take(&neap__heap.pages);
	account(head, size);
	neap__heap.spans[head].sample = 0;
	neap__heap.large_blocks++;
	neap__heap.large_mallocs++;
	atomic_store_explicit(&neap__heap.spans[head].state, NEAP__SPAN_LARGE, memory_order_relaxed);
	size_t fresh = neap__resident_mark(head, 0, size);
	neap__lock_give(&neap__heap.pages);
	void *block = neap__unit_address(head);
	return (flags & NEAP_HEAP_ZERO) != 0 && fresh != pages ? memset(block, 0, size) : block;
}

void neap__large_free(void *block)
{
	uint32_t head = (uint32_t)neap__unit_of_address(block);
	neap__lock_take(&neap__heap.pages);
	if (neap__span_state(head) != NEAP__SPAN_LARGE || block != (void *)neap__unit_address(head)) {
		neap__lock_give(&neap__heap.pages);
		neap__heap_fault("free of a pointer that is no block", block, "neap_heap_free");
	}
	size_t size = page_rounded(neap__heap.spans[head].size);
	uint32_t sample = neap__heap.spans[head].sample;
	neap__heap.large_bytes -= size;
	neap__heap.large_blocks--;
	neap__heap.large_frees++;
	neap__run_put(head, neap__heap.spans[head].units);
	neap__lock_give(&neap__heap.pages);
	if (sample != 0)
		neap__sampling.forget(sample);
	neap__returner_nudge(size);
}

/* In place, within the units of the run; spare ones go back. False: it needs more, the block is as it was. */
bool neap__large_resize(void *block, size_t size)
{
	uint32_t head = (uint32_t)neap__unit_of_address(block), units = units_for(size);
	struct neap__span *run = &neap__heap.spans[head];
	if (units > run->units)
		return false;
	neap__lock_take(&neap__heap.pages);
	neap__heap.large_bytes -= page_rounded(run->size);
	account(head, size);
	(void)neap__resident_mark(head, 0, size);
	uint32_t spare = run->units - units;
	run->units = units;
	if (spare > 0)
		neap__run_put(head + units, spare);
	neap__lock_give(&neap__heap.pages);
	if (spare > 0)
		neap__returner_nudge((size_t)spare << NEAP__UNIT_SHIFT);
	return true;
}
