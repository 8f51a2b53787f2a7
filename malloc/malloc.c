/* malloc.c: libneap-malloc: malloc and its kin are Neap's heap.
 *
 * For a program that is linked with libneap and allocates with malloc, too: then its blocks are sampled like those of
 * neap_heap_alloc, stand in profiles under the functions that asked for them, and their pages go back by themselves. The
 * program is linked with it, or started with LD_PRELOAD=libneap-malloc.so; nothing has to be compiled again.
 *
 * All that glibc wants of a replacement is here ("Replacing malloc" in its manual). mallinfo2 and malloc_trim stay
 * glibc's, and know of a heap that nobody uses.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "neap/heap.h"

#define EXPORT __attribute__((visibility("default")))

static __attribute__((noinline, cold)) void *enomem(void)
{
	errno = ENOMEM;
	return NULL;
}

static void *or_enomem(void *block)
{
	return __builtin_expect(block != NULL, 1) ? block : enomem();
}

EXPORT void *malloc(size_t size)
{
	return or_enomem(neap_heap_alloc(size));
}

EXPORT void free(void *block)
{
	neap_heap_free(block);
}

EXPORT void *calloc(size_t count, size_t size)
{
	return or_enomem(neap_heap_calloc(count, size));
}

EXPORT void *realloc(void *block, size_t size)
{
	if (size == 0 && block != NULL) {
		free(block);
		return NULL;
	}
	return or_enomem(neap_heap_realloc(block, size));
}

EXPORT void *memalign(size_t align, size_t size)
{
	return or_enomem(neap_heap_alloc_with(size, align, 0));
}

EXPORT void *valloc(size_t size)
{
	return memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

/* Whole pages. */
EXPORT void *pvalloc(size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return size > SIZE_MAX - page ? enomem() : valloc((size + page - 1) / page * page);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

EXPORT int posix_memalign(void **ret, size_t align, size_t size)
{
	if (align < sizeof(void *) || (align & (align - 1)) != 0)
		return EINVAL;
	void *block = neap_heap_alloc_with(size, align, 0);
	if (block == NULL)
		return ENOMEM;
	*ret = block;
	return 0;
}

EXPORT size_t malloc_usable_size(void *block)
{
	return neap_heap_usable(block);
}
