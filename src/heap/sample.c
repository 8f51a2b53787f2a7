/* sample.c: allocations that are looked at. They cost the others nothing.
 *
 * The book of a magazine counts mallocs in its upper bits. A kind is armed by moving that count up so that it
 * reaches DUE, the sign bit, just before the malloc that is to be sampled: the test for an empty magazine then
 * fails as well, by one comparison that covers both, and the slow path finds out why. What the count is ahead of
 * the truth is in the cache's `lead`; who counts takes the lock of the caches, and so does arming.
 *
 * A sampled block is a run of its own, whatever its size, so that a free needs no look-up either: it is no
 * block of a magazine, and the slow path asks its run. That costs a page per sample: under 1 % at a rate of 512 KB.
 *
 * While sampling is off a kind is due every OFF_GAP mallocs, to see whether that is still so.
 */
#include "base/sampling.h"
#include "heap/internal.h"

enum { OFF_GAP = 1 << 16 };

static void arm(struct neap__cache *cache, unsigned kind, uint64_t rate)
{
	unsigned tag = neap__tag_of_kind(kind);
	uint64_t book = neap__book_of(cache, tag), pops = neap__book_pops(book) - cache->lead[kind];
	uint64_t gap = rate == 0 ? OFF_GAP : neap__sample_gap(rate, neap__class_of_kind(kind)->size);
	uint64_t shown = (NEAP__BOOK_DUE >> NEAP__BOOK_SHIFT) - (gap - 1);
	cache->lead[kind] = shown - pops;
	atomic_store_explicit(&cache->books[tag], shown << NEAP__BOOK_SHIFT | neap__book_count(book),
			      memory_order_relaxed);
}

void neap__sample_arm_all(struct neap__cache *cache)
{
	uint64_t rate = neap__sampling_rate();
	neap__lock_take(&neap__heap.caches);
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++)
		arm(cache, kind, rate);
	cache->armed_for = rate;
	neap__lock_give(&neap__heap.caches);
}

/* Looks at a large block with the probability of its size. */
static void *sample_large(void *block, size_t size)
{
	uint64_t rate = neap__sampling_rate();
	if (rate != 0 && block != NULL && neap__sample_draw(rate, size))
		neap__heap.spans[neap__unit_of_address(block)].sample =
			neap__sampling.take(size, 1 / neap__sample_chance(rate, size));
	return block;
}

void *neap__sample_alloc(unsigned kind, size_t size, size_t align, unsigned flags)
{
	if (kind == NEAP__KINDS)
		return sample_large(neap__large_alloc(size, align, flags), size);
	struct neap__cache *cache = neap__cache_self;
	if (cache == NULL || (neap__book_of(cache, neap__tag_of_kind(kind)) & NEAP__BOOK_DUE) == 0)
		return NULL;
	uint64_t rate = neap__sampling_rate();
	neap__lock_take(&neap__heap.caches);
	arm(cache, kind, rate);
	neap__lock_give(&neap__heap.caches);
	size_t class_size = neap__class_of_kind(kind)->size;
	uint32_t record =
		rate == 0 ? 0 : neap__sampling.take(class_size, 1 / neap__sample_chance(rate, class_size));
	if (record == 0)
		return NULL;
	void *block = neap__large_alloc(size, align, flags);
	if (block == NULL)
		neap__sampling.forget(record);
	else
		neap__heap.spans[neap__unit_of_address(block)].sample = record;
	return block;
}
