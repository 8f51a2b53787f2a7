/* account.c: see account.h.
 *
 * The parts add up because they are computed from the same pages: for each resident page of the heap the bytes
 * of each object on it go to that object's part, the rest of the page (free slots, the tail of a span, pages of
 * no span) to free_held. A map's array is not looked at slot by slot here: its resident bytes are split in the
 * proportion of its slots, which is exact when all of it is resident.
 *
 * The heap is the arenas in which any span lies. Stacks lie there too, in spans that the runtime manages by hand;
 * they count as "other".
 */
#include "account.h"

#include <stdlib.h>
#include <string.h>

struct accounting {
	struct go_process *process;
	const struct maps *maps;
	const struct residence *residence;
	struct account *account;
	size_t range;	     /* the range of the last look: objects come in address order */
	size_t block;	     /* the next of maps->blocks */
	uint64_t *map_bytes; /* resident bytes of blocks, by map */
	uint64_t *old_bytes; /* the same, of old arrays */
};

static const struct resident_range *range_at(struct accounting *accounting, uint64_t address)
{
	const struct residence *residence = accounting->residence;
	while (accounting->range < residence->count && residence->ranges[accounting->range].end <= address)
		accounting->range++;
	if (accounting->range == residence->count || residence->ranges[accounting->range].start > address)
		return NULL;
	return &residence->ranges[accounting->range];
}

static uint64_t resident_bytes(struct accounting *accounting, uint64_t start, uint64_t end)
{
	uint64_t total = 0;
	while (start < end) {
		const struct resident_range *range = range_at(accounting, start);
		uint64_t next = (start / TARGET_PAGE + 1) * TARGET_PAGE;
		if (next > end)
			next = end;
		if (range != NULL && range->pages[(start - range->start) / TARGET_PAGE] != 0)
			total += next - start;
		start = next;
	}
	return total;
}

static uint64_t allocated_objects(const struct go_span *span)
{
	uint64_t count = 0;
	if (span->alloc_bits == NULL)
		return span->count;
	for (uint32_t index = span->freeindex; index < span->count; index++)
		count += span->alloc_bits[index / 8] >> (index % 8) & 1;
	return span->freeindex + count;
}

/* Resident bytes of all allocated objects of a span. */
static uint64_t used_bytes(struct accounting *accounting, const struct go_span *span, bool whole)
{
	uint64_t used = 0;
	if (whole)
		return allocated_objects(span) * span->elem_size;
	size_t range = accounting->range;
	for (uint32_t index = 0; index < span->count; index++) {
		uint64_t start = go_span_object(span, index);
		if (go_span_allocated(span, index))
			used += resident_bytes(accounting, start, start + span->elem_size);
	}
	accounting->range = range;
	return used;
}

/* Gives the span's objects that belong to maps to these; returns their bytes. Blocks come in the order of the
   objects. */
static uint64_t account_blocks(struct accounting *accounting, const struct go_span *span)
{
	const struct maps *maps = accounting->maps;
	uint64_t all = 0, before = GO_NO_OBJECT;
	for (; accounting->block < maps->block_count; accounting->block++) {
		const struct map_block *block = &maps->blocks[accounting->block];
		if (block->object >= span->first + span->count)
			break;
		uint32_t index = (uint32_t)(block->object - span->first);
		if (block->object == before || !go_span_allocated(span, index))
			continue; /* two torn maps may claim one object */
		before = block->object;
		uint64_t start = go_span_object(span, index);
		uint64_t bytes = resident_bytes(accounting, start, start + span->elem_size);
		all += bytes;
		if (block->header)
			accounting->account->live += bytes;
		else
			(block->old ? accounting->old_bytes : accounting->map_bytes)[block->map] += bytes;
	}
	return all;
}

static void account_span(struct accounting *accounting, const struct go_span *span, uint64_t *heap)
{
	uint64_t size = span->pages * GO_PAGE, end = span->base + size;
	uint64_t total = resident_bytes(accounting, span->base, end);
	while (accounting->range > 0 && /* the same addresses again, object by object */
	       accounting->residence->ranges[accounting->range - 1].end > span->base)
		accounting->range--;
	size_t range = accounting->range;
	uint64_t used = used_bytes(accounting, span, total == size);
	accounting->range = range;
	uint64_t blocks = account_blocks(accounting, span);
	accounting->range = range;
	accounting->account->objects += used - blocks;
	accounting->account->free_held += total - used;
	*heap += total;
}

/* Splits a map's resident bytes by its slots. */
static void account_map(struct accounting *accounting, size_t index)
{
	const struct found_map *map = &accounting->maps->list[index];
	struct account *account = accounting->account;
	uint64_t bytes = accounting->map_bytes[index], old = accounting->old_bytes[index];
	uint64_t blocks = map->counts.block_bytes;
	if (blocks == 0)
		return;
	uint64_t slot = map->type->group_size / GO_GROUP_SLOTS;
	/* the share of what is resident */
	double share = (double)(bytes + old) / (double)blocks;
	uint64_t live = (uint64_t)((double)(map->counts.live * slot) * share);
	uint64_t tombstone = (uint64_t)((double)(map->counts.tombstones * slot) * share);
	uint64_t left = bytes + old;
	live = live < left ? live : left;
	left -= live;
	tombstone = tombstone < left ? tombstone : left;
	left -= tombstone;
	uint64_t stale = (uint64_t)((double)(map->counts.stale * slot) * share);
	stale = stale < left ? stale : left;
	account->live += live;
	account->tombstone += tombstone;
	account->stale += stale;
	account->empty += left - stale;
}

/* Pages of the arenas that no span uses: freed, or never used. */
static void account_free_pages(struct accounting *accounting, uint64_t *heap)
{
	const struct go_heap *spans = &accounting->process->heap;
	for (size_t i = 0; i < spans->arena_count; i++) {
		accounting->range = 0;
		for (uint64_t page = 0; page < GO_ARENA_PAGES; page++) {
			uint64_t start = spans->arenas[i].base + page * GO_PAGE;
			if (spans->arenas[i].page_span[page] != 0)
				continue;
			uint64_t bytes = resident_bytes(accounting, start, start + GO_PAGE);
			accounting->account->free_held += bytes;
			*heap += bytes;
		}
	}
}

void account_make(struct go_process *process, const struct maps *maps, struct account *ret)
{
	const struct residence *residence = process->residence;
	*ret = (struct account){.rss = residence->rss};
	struct accounting accounting = {
		.process = process, .maps = maps, .residence = residence, .account = ret};
	accounting.map_bytes = take(maps->count, sizeof *accounting.map_bytes);
	accounting.old_bytes = take(maps->count, sizeof *accounting.old_bytes);
	uint64_t heap = 0, all = 0;
	for (size_t i = 0; i < process->heap.span_count; i++)
		if (go_heap_span(&process->heap, process->heap.spans[i].base) == &process->heap.spans[i])
			account_span(&accounting, &process->heap.spans[i], &heap);
	account_free_pages(&accounting, &heap);
	for (size_t i = 0; i < maps->count; i++)
		account_map(&accounting, i);
	for (size_t i = 0; i < residence->count; i++)
		all += residence->ranges[i].count * TARGET_PAGE;
	ret->other = all - heap;
	ret->unexplained = (int64_t)ret->rss - (int64_t)all;
	free(accounting.map_bytes);
	free(accounting.old_bytes);
}
