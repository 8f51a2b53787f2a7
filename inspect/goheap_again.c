/* goheap_again.c: the heap looked at again, page by page, as it is at one moment.
 *
 * The list of spans is read while the process runs. A map that grows all the time has an array younger than that list, in a
 * span that was something else then. When the process is stopped, and in the rehearsal before, what the runtime's page
 * table says of an address counts:
 *
 *   arena record . spans[page]  ->  span record      the same span: its allocation bits and its memory are read again
 *                                                    another one: it is added behind the others, and takes the pages over
 *
 * Objects keep their numbers: a span that is no more keeps its place in the list, and loses its pages.
 */
#include <stdlib.h>
#include <string.h>

#include "goprocess.h"

/* The bytes as they are at this moment; NULL when they can't be read. */
static const void *now(struct go_process *process, uint64_t address, uint64_t size)
{
	image_renew(process->image, address, size);
	return image_at(process->image, address, size);
}

/* The record of the span that has the page now; NULL when none has. */
static const uint8_t *record_now(struct go_process *process, const struct go_arena *arena, uint64_t address)
{
	uint64_t page = address / GO_PAGE % GO_ARENA_PAGES, span;
	if (arena == NULL || arena->record == 0)
		return NULL;
	const void *word = now(process, arena->record + process->layout.arena_spans + 8 * page, sizeof span);
	if (word == NULL)
		return NULL;
	memcpy(&span, word, sizeof span);
	return span < TARGET_PAGE ? NULL : now(process, span, process->layout.mspan_size);
}

/* To 1.21 the pointer bits lie in the arena's record. */
static void renew_pointer_bits(struct go_process *process, const struct go_arena *arena,
			       const struct go_span *span)
{
	unsigned per_byte = process->layout.pointer_bits == GO_BITS_TWO ? 32 : 64;
	if (process->layout.pointer_bits > GO_BITS_ONE || span->noscan)
		return;
	for (uint64_t at = span->base; at < span->base + span->pages * GO_PAGE; at += GO_PAGE)
		if (at - arena->base < 1ull << GO_ARENA_SHIFT)
			image_renew(process->image, arena->record + (at - arena->base) / per_byte,
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
	if ((known != NULL && known->moment == heap->moment) || address >> GO_ADDRESS_BITS != 0 ||
	    !image_covers(process->image, address, 8))
		return;
	const struct go_arena *arena = go_heap_arena(process, address, false);
	const uint8_t *record = record_now(process, arena, address);
	if (record == NULL || !go_span_in_use(process, record))
		return;
	uint64_t bits;
	memcpy(&bits, record + process->layout.mspan_alloc_bits, sizeof bits);
	image_renew(process->image, bits, GO_PAGE / 8 / 8);
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
	known->moment = heap->moment;
	image_renew(process->image, known->base, known->pages * GO_PAGE);
	renew_pointer_bits(process, arena, known);
}
