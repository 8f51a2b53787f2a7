/* storage.c: regions, growing arrays and the hash. */
#include "storage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Blocks of 256 KiB: a unit of 1,000 lines needs about that much, and larger pieces get a block alone. */
#define REGION_BLOCK ((size_t)256 << 10)

struct region_block {
	struct region_block *next;
	size_t used, size;
	max_align_t bytes[];
};

static void *or_die(void *block, size_t size)
{
	if (block != NULL)
		return block;
	fprintf(stderr, "neap: out of memory (%zu more bytes were needed); analyse fewer files at once\n",
		size);
	exit(4);
}

void *lint_calloc(size_t n, size_t item)
{
	return or_die(calloc(n + (n == 0), item), n * item);
}

void *lint_region_alloc(struct region *region, size_t size)
{
	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	struct region_block *block = region->blocks;
	if (block == NULL || block->size - block->used < size) {
		size_t room = size > REGION_BLOCK ? size : REGION_BLOCK;
		block = lint_calloc(1, sizeof *block + room);
		block->size = room;
		block->next = region->blocks;
		region->blocks = block;
	}
	void *result = (char *)block->bytes + block->used;
	block->used += size;
	region->bytes += size;
	return result;
}

char *lint_region_text(struct region *region, const char *text, size_t len)
{
	char *copy = lint_region_alloc(region, len + 1);
	memcpy(copy, text, len);
	return copy;
}

char *lint_region_format(struct region *region, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *text = lint_region_alloc(region, (size_t)len + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}

void lint_region_clear(struct region *region)
{
	while (region->blocks != NULL) {
		struct region_block *block = region->blocks;
		region->blocks = block->next;
		free(block);
	}
	region->bytes = 0;
}

void *lint_grow(void *array, size_t *capacity, size_t need, size_t item)
{
	if (need <= *capacity)
		return array;
	size_t larger = *capacity * 2 > need ? *capacity * 2 : need + 8;
	array = or_die(realloc(array, larger * item), larger * item);
	memset((char *)array + *capacity * item, 0, (larger - *capacity) * item);
	*capacity = larger;
	return array;
}

uint64_t lint_hash(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;
	for (; n >= sizeof(uint64_t); at += sizeof(uint64_t), n -= sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, at, sizeof word);
		hash = (hash ^ word) * 0xff51afd7ed558ccdu;
		hash ^= hash >> 32;
	}
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}
