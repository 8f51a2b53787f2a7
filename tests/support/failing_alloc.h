/* failing_alloc.h: a malloc that counts what it handed out and says no when it is told to.
 *
 *     struct failing_alloc memory;
 *     struct neap_allocator from = failing_alloc_init(&memory);
 *     memory.fail_at = 3;          the third allocation from now on is refused ...
 *     memory.fail_on = true;       ... and so is every later one
 *
 * Freed blocks are filled with 0xdd, so that whoever reads one reads nonsense; a free with another size than
 * was asked for, or of a block that is not from here, aborts.
 */
#ifndef NEAP_TESTS_SUPPORT_FAILING_ALLOC_H
#define NEAP_TESTS_SUPPORT_FAILING_ALLOC_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "neap/base.h"

struct failing_alloc {
	size_t bytes;	/* handed out and not got back */
	size_t blocks;	/* likewise */
	size_t calls;	/* allocations asked for */
	size_t refused; /* of them */
	size_t fail_at; /* refuse the allocation that brings this down to 0; 0: none */
	bool fail_on;	/* after that one refuse all */
};

enum { FAILING_ALLOC_HEADER = 64 }; /* keeps every alignment that neap/base.h allows */

static inline bool failing_alloc_refuses(struct failing_alloc *memory)
{
	memory->calls++;
	if (memory->fail_at == 0)
		return false;
	if (memory->fail_at > 1) {
		memory->fail_at--;
		return false;
	}
	if (!memory->fail_on)
		memory->fail_at = 0;
	memory->refused++;
	return true;
}

static inline void *failing_alloc_get(void *ctx, size_t size, size_t align)
{
	struct failing_alloc *memory = ctx;
	if (align == 0 || (align & (align - 1)) != 0 || align > FAILING_ALLOC_HEADER) {
		fprintf(stderr, "failing_alloc: alignment %zu\n", align);
		abort();
	}
	if (failing_alloc_refuses(memory))
		return NULL;
	size_t whole = (FAILING_ALLOC_HEADER + size + 63) & ~(size_t)63;
	unsigned char *block = aligned_alloc(FAILING_ALLOC_HEADER, whole);
	if (block == NULL)
		abort();
	memcpy(block, &size, sizeof size);
	memcpy(block + sizeof size, &memory, sizeof memory);
	memset(block + FAILING_ALLOC_HEADER, 0xa5, size); /* contents are undefined: make that visible */
	memory->bytes += size;
	memory->blocks++;
	return block + FAILING_ALLOC_HEADER;
}

static inline void failing_alloc_put(void *ctx, void *block, size_t size)
{
	struct failing_alloc *memory = ctx, *owner;
	unsigned char *start = (unsigned char *)block - FAILING_ALLOC_HEADER;
	size_t asked;
	memcpy(&asked, start, sizeof asked);
	memcpy(&owner, start + sizeof asked, sizeof owner);
	if (asked != size || owner != memory) {
		fprintf(stderr, "failing_alloc: free of %zu bytes at %p, which was given %zu\n", size, block,
			asked);
		abort();
	}
	memset(start, 0xdd, FAILING_ALLOC_HEADER + size);
	memory->bytes -= size;
	memory->blocks--;
	free(start);
}

static inline struct neap_allocator failing_alloc_init(struct failing_alloc *memory)
{
	*memory = (struct failing_alloc){0};
	return (struct neap_allocator){failing_alloc_get, failing_alloc_put, memory};
}

#endif
