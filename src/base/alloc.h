/* alloc.h: the default allocator and the two calls that every container uses. */
#ifndef NEAP_SRC_BASE_ALLOC_H
#define NEAP_SRC_BASE_ALLOC_H

#include "neap/base.h"

/* malloc and aligned_alloc behind the interface. */
extern const struct neap_allocator neap__malloc_allocator;

static inline void *neap__alloc(const struct neap_allocator *from, size_t size, size_t align)
{
	return from->alloc(from->ctx, size, align);
}

static inline void neap__free(const struct neap_allocator *to, void *block, size_t size)
{
	if (block != NULL)
		to->free(to->ctx, block, size);
}

#endif
