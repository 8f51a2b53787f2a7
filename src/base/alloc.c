/* alloc.c: malloc as a neap_allocator. */
#include "base/alloc.h"

#include <stdalign.h>
#include <stdlib.h>

static void *from_malloc(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	if (align <= alignof(max_align_t))
		return malloc(size);
	return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static void to_malloc(void *ctx, void *block, size_t size)
{
	(void)ctx;
	(void)size;
	free(block);
}

const struct neap_allocator neap__malloc_allocator = {from_malloc, to_malloc, NULL};
