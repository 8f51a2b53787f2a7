/* heap.c: the public calls: the short paths of malloc and free, and who serves the rest. */
#include <string.h>

#include "base/alloc.h"
#include "heap/internal.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)

enum { ALIGN_LEAST = 16, ALIGN_MOST = 1 << 30 };

static bool checking(void)
{
	return neap__cache_self == NULL && neap__heap_start() && neap__heap.checking;
}

unsigned neap__kind_for(size_t size, size_t align, unsigned flags)
{
	if (align > size)
		size = align;
	if (size > NEAP_HEAP_SMALL_MOST)
		return NEAP__KINDS;
	unsigned class = neap__class_of(size);
	while (align > ALIGN_LEAST && neap__classes[class].size % align != 0)
		class ++; /* ends: the last class is a power of two */
	return class + ((flags & NEAP_HEAP_NO_POINTERS) != 0 ? NEAP__CLASSES : 0);
}

/* Out of line, as free_slow is, so that the short paths save no registers: what an inlined call would push costs
 * more than a malloc, because stores behind a cache miss wait for it.
 */
static __attribute__((noinline)) void *alloc_slow(size_t size, size_t align, unsigned flags)
{
	if (!neap__heap_start())
		return NULL;
	if (checking())
		return neap__guard_alloc(size, align, flags);
	unsigned kind = neap__kind_for(size, align, flags);
	void *block = neap__sample_alloc(kind, size, align, flags);
	if (block != NULL || kind == NEAP__KINDS)
		return block;
	block = neap__cache_alloc(kind);
	return block != NULL && (flags & NEAP_HEAP_ZERO) != 0 ? memset(block, 0, size) : block;
}

/* A block for a plain alignment, the hot one or from the magazine; NULL when that is empty or not for it. */
static inline void *heap_alloc_short(size_t size, unsigned first_kind)
{
	struct neap__cache *cache = neap__cache_self;
	if (!LIKELY(cache != NULL) || (!LIKELY(size <= NEAP__FINE_MOST) && size > NEAP_HEAP_SMALL_MOST))
		return NULL;
	unsigned tag = neap__tag_of_kind(first_kind + neap__class_of(size));
	uint64_t book = neap__book_of(cache, tag);
	void *block;
	if (neap__hot_tag(cache) == tag && LIKELY(neap__book_quiet(book)))
		block = neap__hot_take(cache, tag, book);
	else if (LIKELY(neap__book_ready(book)))
		block = neap__pop(cache, tag, book);
	else
		return NULL;
	if (block == NULL)
		__builtin_unreachable();
	return block;
}

void *neap_heap_alloc(size_t size)
{
	void *block = heap_alloc_short(size, 0);
	return LIKELY(block != NULL) ? block : alloc_slow(size, ALIGN_LEAST, 0);
}

void *neap_heap_alloc_with(size_t size, size_t align, unsigned flags)
{
	if (LIKELY(align <= ALIGN_LEAST && (align & (align - 1)) == 0 && (flags & NEAP_HEAP_ZERO) == 0)) {
		void *block =
			heap_alloc_short(size, (flags & NEAP_HEAP_NO_POINTERS) != 0 ? NEAP__CLASSES : 0);
		if (LIKELY(block != NULL))
			return block;
	}
	align = align < ALIGN_LEAST ? ALIGN_LEAST : align;
	if ((align & (align - 1)) != 0 || align > ALIGN_MOST)
		return NULL;
	return alloc_slow(size, align, flags);
}

void *neap_heap_calloc(size_t count, size_t size)
{
	size_t bytes;
	return __builtin_mul_overflow(count, size, &bytes) ? NULL
							   : alloc_slow(bytes, ALIGN_LEAST, NEAP_HEAP_ZERO);
}

/* The collector, when the block is one of its. */
static const struct neap__collector *collector_of(const void *block)
{
	uintptr_t unit = neap__unit_of_address(block);
	if (unit >= neap__heap.units || neap__tag_of(unit) != NEAP__TAG_COLLECTED)
		return NULL;
	return atomic_load_explicit(&neap__heap.collector, memory_order_acquire);
}

static __attribute__((noinline)) void free_slow(void *block)
{
	if (block == NULL)
		return;
	const struct neap__collector *collector = collector_of(block);
	if (collector != NULL) {
		collector->free(block);
		return;
	}
	if (checking()) {
		neap__guard_free(block, "neap_heap_free");
		return;
	}
	uintptr_t unit = neap__unit_of_address(block);
	if (!neap__heap_start() || unit >= neap__heap.units)
		neap__heap_fault("free of a foreign pointer", block, "neap_heap_free");
	unsigned kind = neap__tag_of(unit) - 1;
	if (kind < NEAP__KINDS)
		neap__cache_free(block, kind);
	else
		neap__large_free(block);
}

/* A thread that has a cache has seen the heap start; one that has none may not look at it yet: free(NULL) is allowed
 * while another thread starts it.
 */
void neap_heap_free(void *block)
{
	struct neap__cache *cache = neap__cache_self;
	if (LIKELY(cache != NULL)) {
		uintptr_t unit = neap__unit_of_address(block);
		unsigned tag = LIKELY(unit < neap__heap.units) ? neap__tag_of(unit) : NEAP__TAG_NONE;
		if (LIKELY(tag - 1 < NEAP__KINDS)) {
			void *cold = cache->hot;
			unsigned cold_tag = neap__hot_tag(cache);
			neap__hot_set(cache, tag, block);
			if (cold_tag == NEAP__TAG_NONE)
				return;
			block = cold;
			uint64_t book = neap__book_of(cache, cold_tag);
			if (LIKELY(neap__book_count(book) < cache->magazines[cold_tag].room)) {
				neap__push(cache, cold_tag, book, block);
				return;
			}
		}
	}
	free_slow(block);
}

static size_t usable(const void *block, const char *operation)
{
	const struct neap__collector *collector = collector_of(block);
	if (collector != NULL)
		return collector->usable(block);
	if (checking())
		return neap__guard_size(block, operation);
	uintptr_t unit = neap__unit_of_address(block);
	if (!neap__heap_start() || unit >= neap__heap.units)
		neap__heap_fault("a foreign pointer", block, operation);
	unsigned kind = neap__tag_of(unit) - 1;
	if (kind < NEAP__KINDS)
		return neap__class_of_kind(kind)->size;
	if (neap__span_state((uint32_t)unit) != NEAP__SPAN_LARGE)
		neap__heap_fault("a pointer that is no block", block, operation);
	size_t page = (size_t)1 << neap__heap.page_shift;
	return (neap__heap.spans[unit].size + page - 1) & ~(page - 1);
}

size_t neap_heap_usable(const void *block)
{
	return block != NULL ? usable(block, "neap_heap_usable") : 0;
}

bool neap_heap_owns(const void *address)
{
	if (atomic_load_explicit(&neap__heap.state, memory_order_acquire) != 1)
		return false;
	uintptr_t unit = neap__unit_of_address(address); /* the base is known from here on */
	if (unit >= neap__heap.units)
		return false;
	const struct neap__region *region = &neap__heap.regions[neap__region_of_unit(unit)];
	neap__lock_take(&neap__heap.pages);
	bool owns = unit >= region->first && unit < region->frontier;
	neap__lock_give(&neap__heap.pages);
	return owns;
}

/* A block stays where it is while it fits and is at least half used. */
static bool stays(void *block, size_t had, size_t size)
{
	if (neap__heap.checking)
		return false;
	if (had > NEAP_HEAP_SMALL_MOST && size > NEAP_HEAP_SMALL_MOST)
		return neap__large_resize(block, size);
	return size <= had && size >= had / 2;
}

void *neap_heap_realloc(void *block, size_t size)
{
	if (block == NULL)
		return neap_heap_alloc(size);
	if (collector_of(block) != NULL)
		neap__heap_fault("resizing a collected block", block, "neap_heap_realloc");
	size_t had = usable(block, "neap_heap_realloc");
	if (stays(block, had, size))
		return block;
	bool data = neap__region_of_unit(neap__unit_of_address(block)) == NEAP__REGION_NO_POINTERS;
	unsigned flags = data ? NEAP_HEAP_NO_POINTERS : 0;
	void *moved = flags == 0 ? neap_heap_alloc(size) : alloc_slow(size, ALIGN_LEAST, flags);
	if (moved == NULL)
		return NULL;
	memcpy(moved, block, had < size ? had : size);
	neap_heap_free(block);
	return moved;
}

size_t neap_heap_return(void)
{
	if (!neap__heap_start())
		return 0;
	neap__cache_flush_self();
	bool left;
	return neap__return_pass(0, &left);
}

static void *from_heap(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	return align <= ALIGN_LEAST ? neap_heap_alloc(size) : neap_heap_alloc_with(size, align, 0);
}

static void to_heap(void *ctx, void *block, size_t size)
{
	(void)ctx;
	(void)size;
	neap_heap_free(block);
}

const struct neap_allocator *neap_heap_allocator(void)
{
	static const struct neap_allocator heap_allocator = {from_heap, to_heap, NULL};
	return &heap_allocator;
}
