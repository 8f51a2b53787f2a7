/* stats.c: counting. A block is live from its pop to its push; a page is resident from the first block on it. */
#include "heap/internal.h"

static uint64_t read64(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Needs the list of caches held. */
static void count_kind(unsigned kind, struct neap_heap_class *ret)
{
	const struct neap__class *class = neap__class_of_kind(kind);
	*ret = (struct neap_heap_class){.block_size = class->size,
					.span_size = (size_t) class->units << NEAP__UNIT_SHIFT,
					.pointers = kind < NEAP__CLASSES,
					.mallocs = neap__heap.central[kind].mallocs,
					.frees = neap__heap.central[kind].frees};
	for (struct neap__cache *cache = neap__heap.all; cache != NULL; cache = cache->next) {
		uint64_t book = neap__book_of(cache, neap__tag_of_kind(kind)), count = neap__book_count(book);
		uint64_t moved = read64(&cache->moved[kind]);
		count += neap__hot_tag(cache) == neap__tag_of_kind(kind);
		ret->cached_blocks += count;
		uint64_t pops = neap__book_pops(book) - cache->lead[kind];
		ret->mallocs += pops;
		ret->frees += pops + count - moved;
	}
	/* One cache was read before the other: a block that wandered meanwhile may be in the frees alone. */
	ret->live_blocks = ret->mallocs > ret->frees ? ret->mallocs - ret->frees : 0;
}

size_t neap_heap_classes(struct neap_heap_class *ret, size_t room)
{
	if (!neap__heap_start())
		return 0;
	neap__heap_lock_all();
	for (unsigned kind = 0; kind < NEAP__KINDS && kind < room; kind++)
		count_kind(kind, &ret[kind]);
	for (unsigned i = 0; i < NEAP__REGIONS; i++) {
		const struct neap__region *region = &neap__heap.regions[i];
		for (uint32_t unit = region->first; unit < region->frontier; unit++) {
			unsigned kind = neap__tag_of(unit) - 1;
			if (kind < room && kind < NEAP__KINDS && neap__heap.spans[unit].head == unit)
				ret[kind].spans++;
		}
	}
	neap__heap_unlock_all();
	return NEAP__KINDS;
}

/* The sum over both regions: resident bytes, and spans. Page lock held. */
static uint64_t count_units(struct neap_heap_stats *ret)
{
	uint64_t pages = 0, units = 0;
	for (unsigned i = 0; i < NEAP__REGIONS; i++) {
		const struct neap__region *region = &neap__heap.regions[i];
		units += region->frontier - region->first;
		pages += neap__resident_count(region->first, region->frontier - region->first);
		for (uint32_t unit = region->first; unit < region->frontier; unit++)
			ret->spans +=
				neap__tag_of(unit) - 1 < NEAP__KINDS && neap__heap.spans[unit].head == unit;
	}
	ret->returned_bytes = (units << NEAP__UNIT_SHIFT) - (pages << neap__heap.page_shift);
	return pages << neap__heap.page_shift;
}

int neap_heap_stats(struct neap_heap_stats *ret)
{
	if (ret->size != sizeof *ret)
		return NEAP_EINVAL;
	*ret = (struct neap_heap_stats){.size = sizeof *ret};
	if (!neap__heap_start())
		return NEAP_ENOMEM;
	neap__heap_lock_all();
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++) {
		struct neap_heap_class of;
		count_kind(kind, &of);
		ret->live_blocks += of.live_blocks;
		ret->live_bytes += of.live_blocks * of.block_size;
		ret->cached_bytes += of.cached_blocks * of.block_size;
		ret->mallocs += of.mallocs;
		ret->frees += of.frees;
	}
	ret->large_blocks = neap__heap.large_blocks;
	ret->large_bytes = neap__heap.large_bytes;
	ret->live_blocks += ret->large_blocks;
	ret->live_bytes += ret->large_bytes;
	ret->mallocs += neap__heap.large_mallocs;
	ret->frees += neap__heap.large_frees;
	const struct neap__collector *collector =
		atomic_load_explicit(&neap__heap.collector, memory_order_acquire);
	ret->collected_bytes = collector != NULL ? collector->live_bytes() : 0;
	ret->live_bytes += ret->collected_bytes;
	uint64_t resident = count_units(ret);
	ret->free_held_bytes = resident > ret->live_bytes ? resident - ret->live_bytes : 0;
	ret->metadata_bytes = neap__meta_bytes();
	ret->total_returned_bytes = read64(&neap__heap.returned_total);
	neap__heap_unlock_all();
	return NEAP_OK;
}
