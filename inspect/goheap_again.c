/* goheap_again.c: the heap looked at again, page by page, while the process is stopped.
 *
 * The list of spans is read while the process runs. A map that grows all the time has an array younger than that list, in a
 * span that was something else then. In the stop, what the runtime's page table says of an address counts:
 *
 *   arena record . spans[page]  ->  span record      the same span: its allocation bits and its memory are read again
 *                                                    another one: it is added behind the others, and takes the pages over
 *
 * Objects keep their numbers: a span that is no more keeps its place in the list, and loses its pages.
 */
#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

enum { RECORD_MAX = 256 };

/* The record of the span that has the page now; false when none has. */
static bool read_record(struct go_process *process, const struct go_arena *arena, uint64_t address,
			uint8_t *record)
{
	uint64_t page = address / GO_PAGE % GO_ARENA_PAGES, span;
	return arena != NULL && arena->record != 0 && process->layout.mspan_size <= RECORD_MAX &&
	       target_read(process->target, arena->record + process->layout.arena_spans + 8 * page, &span,
			   sizeof span) &&
	       span >= TARGET_PAGE && target_read(process->target, span, record, process->layout.mspan_size);
}

/* Bits of many spans share a page: what was read in this stop need not be read again. */
static bool is_read(struct go_heap *heap, uint64_t page)
{
	uint64_t *place = &heap->pages_again[page / TARGET_PAGE % GO_PAGES_AGAIN];
	bool is = *place == page;
	*place = page;
	return is;
}

static void read_again(struct go_process *process, uint64_t address, uint64_t size)
{
	uint64_t page = address / TARGET_PAGE * TARGET_PAGE;
	for (; page < address + size; page += TARGET_PAGE)
		if (!is_read(&process->heap, page))
			image_forget(process->image, page, TARGET_PAGE);
	(void)image_at(process->image, address, size); /* into the same place: pointers to it stay valid */
}

/* To 1.21 the pointer bits lie in the arena's record. */
static void read_bits_again(struct go_process *process, const struct go_arena *arena,
			    const struct go_span *span)
{
	unsigned per_byte = process->layout.pointer_bits == GO_BITS_TWO ? 32 : 64;
	if (process->layout.pointer_bits > GO_BITS_ONE)
		return;
	for (uint64_t at = span->base; at < span->base + span->pages * GO_PAGE; at += GO_PAGE)
		if (at - arena->base < 1ull << GO_ARENA_SHIFT)
			read_again(process, arena->record + (at - arena->base) / per_byte,
				   GO_PAGE / per_byte);
}

static struct go_span *add_span(struct go_heap *heap, const struct go_span *span)
{
	if (heap->span_count == heap->span_capacity)
		return NULL;
	struct go_span *added = &heap->spans[heap->span_count++];
	*added = *span;
	added->first = heap->object_count;
	heap->object_count += span->count;
	for (uint64_t at = span->base; at < span->base + span->pages * GO_PAGE; at += GO_PAGE) {
		int32_t arena = heap->arena_index[at >> GO_ARENA_SHIFT];
		if (arena != 0)
			heap->arenas[arena - 1].page_span[at / GO_PAGE % GO_ARENA_PAGES] =
				(uint32_t)heap->span_count;
	}
	return added;
}

void go_heap_look_again(struct go_process *process, uint64_t address)
{
	struct go_heap *heap = &process->heap;
	struct go_span *known = go_heap_span(heap, address), fresh;
	uint8_t record[RECORD_MAX];
	if ((known != NULL && known->again) || address >> GO_ADDRESS_BITS != 0 ||
	    !image_covers(process->image, address, 8))
		return;
	const struct go_arena *arena = go_heap_arena(process, address, false);
	if (!read_record(process, arena, address, record) || !go_span_in_use(process, record))
		return;
	uint64_t bits;
	memcpy(&bits, record + process->layout.mspan_alloc_bits, sizeof bits);
	read_again(process, bits, GO_PAGE / 8 / 8);
	if (!go_span_take(process, record, &fresh) || address - fresh.base >= fresh.pages * GO_PAGE)
		return;
	if (known == NULL || known->base != fresh.base || known->elem_size != fresh.elem_size ||
	    known->pages != fresh.pages || known->noscan != fresh.noscan) {
		known = add_span(heap, &fresh);
	} else {
		known->freeindex = fresh.freeindex;
		known->alloc_bits = fresh.alloc_bits;
		known->large_type = fresh.large_type;
	}
	if (known == NULL)
		return;
	known->again = true;
	read_again(process, known->base, known->pages * GO_PAGE);
	read_bits_again(process, arena, known);
}
