/* guard.c: the checking mode. No caches: every free goes to the bitmap at once, so a bit tells whether a block lives.
 *
 *     | size bytes of the program | 0xfd ... at least 8 | size ^ KEY |     the block's end
 *
 * Freed bytes are 0xdd until the block is handed out again, and must still be (or zero, on a page that was
 * never used or was returned); something else there was written after the free.
 */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "heap/internal.h"

enum { GUARD_BYTE = 0xfd, FREED_BYTE = 0xdd, TRAILER = 16 };
static const uint64_t trailer_key =
	UINT64_C(0x9e3779b97f4a7c15); /* makes a size overwritten by chance unlikely to pass */

_Noreturn void neap__heap_fault(const char *rule, const void *block, const char *operation)
{
	neap__fault((struct neap_fault){
		.rule = rule, .object = "heap", .address = block, .operation = operation, .kind = "block"});
}

static size_t block_end(uint32_t head)
{
	unsigned kind = neap__kind_of_span(head);
	size_t page = (size_t)1 << neap__heap.page_shift;
	return kind < NEAP__KINDS ? neap__class_of_kind(kind)->size
				  : (neap__heap.spans[head].size + page - 1) & ~(page - 1);
}

static void seal(char *block, size_t size, size_t end)
{
	uint64_t trailer = size ^ trailer_key;
	memset(block + size, GUARD_BYTE, end - size - sizeof trailer);
	memcpy(block + end - sizeof trailer, &trailer, sizeof trailer);
}

static void expect_unwritten(const char *block, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != 0 && (unsigned char)block[i] != FREED_BYTE)
			neap__heap_fault("write after free", block, "neap_heap_alloc");
}

static char *guard_small(unsigned kind)
{
	struct neap__central *central = &neap__heap.central[kind];
	size_t size = neap__class_of_kind(kind)->size;
	char *block = NULL;
	neap__lock_take(&central->lock);
	uint32_t head = neap__span_borrow(kind);
	if (head != 0) {
		uint32_t object = neap__span_first_free(head, kind);
		block = neap__unit_address(head) + object * size;
		expect_unwritten(block, size);
		neap__span_set(head, kind, object);
		central->mallocs++;
	}
	neap__lock_give(&central->lock);
	return block;
}

void *neap__guard_alloc(size_t size, size_t align, unsigned flags)
{
	if (size > SIZE_MAX - TRAILER)
		return NULL;
	unsigned kind = neap__kind_for(size + TRAILER, align, flags);
	char *block =
		kind == NEAP__KINDS ? neap__large_alloc(size + TRAILER, align, flags) : guard_small(kind);
	if (block == NULL)
		return NULL;
	if ((flags & NEAP_HEAP_ZERO) != 0)
		memset(block, 0, size);
	seal(block, size, block_end(neap__head_of(block)));
	return block;
}

/* The rule that `block` breaks by not being a live block, or NULL. The lock of its kind is held. */
static const char *not_live(const char *block, uint32_t head, unsigned kind)
{
	size_t offset = (size_t)(block - neap__unit_address(head));
	if (kind >= NEAP__KINDS)
		return neap__span_state(head) != NEAP__SPAN_LARGE ? "double free"
		       : offset != 0				  ? "pointer into the interior"
								  : NULL;
	uint32_t object = neap__object_at(head, kind, block);
	if (offset % neap__class_of_kind(kind)->size != 0 || object >= neap__heap.spans[head].objects)
		return "pointer into the interior";
	bool live = neap__heap.spans[head].alloc[object / 64] >> object % 64 & 1;
	return live ? NULL : "double free";
}

/* The size asked for, after looking at every guard byte. */
static size_t opened(const char *block, uint32_t head, const char *operation)
{
	size_t end = block_end(head);
	uint64_t size;
	memcpy(&size, block + end - sizeof size, sizeof size);
	size ^= trailer_key;
	bool whole = size <= end - TRAILER;
	for (size_t i = size; whole && i < end - sizeof size; i++)
		whole = (unsigned char)block[i] == GUARD_BYTE;
	if (!whole)
		neap__heap_fault("write past the end", block, operation);
	return size;
}

static uint32_t head_or_fault(const void *block, const char *operation)
{
	uintptr_t unit = neap__unit_of_address(block);
	if (!neap_heap_owns(block))
		neap__heap_fault("foreign pointer", block, operation);
	if (neap__tag_of(unit) == NEAP__TAG_FREE)
		neap__heap_fault("double free", block, operation);
	return neap__heap.spans[unit].head;
}

size_t neap__guard_size(const void *block, const char *operation)
{
	uint32_t head = head_or_fault(block, operation);
	const char *broken = not_live(block, head, neap__kind_of_span(head));
	if (broken != NULL)
		neap__heap_fault(broken, block, operation);
	return opened(block, head, operation);
}

void neap__guard_free(void *block, const char *operation)
{
	uint32_t head = head_or_fault(block, operation);
	unsigned kind = neap__kind_of_span(head);
	size_t end = block_end(head);
	if (kind >= NEAP__KINDS) {
		(void)neap__guard_size(block, operation);
		memset(block, FREED_BYTE, end);
		neap__large_free(block);
		return;
	}
	struct neap__central *central = &neap__heap.central[kind];
	neap__lock_take(&central->lock);
	const char *broken = not_live(block, head, kind);
	if (broken != NULL)
		neap__heap_fault(broken, block, operation);
	(void)opened(block, head, operation);
	memset(block, FREED_BYTE, end);
	neap__span_clear(head, kind, neap__object_at(head, kind, block));
	central->frees++;
	neap__lock_give(&central->lock);
	neap__returner_nudge(end);
}
