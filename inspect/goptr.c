/* goptr.c: which words of a heap object are pointers. The runtime has kept that in four ways:
 *
 *   1.19        per arena, 2 bits a word: four words share a byte, low nibble "pointer", high nibble "more
 *               pointers follow in this object"
 *   1.20, 1.21  per arena, 1 bit a word
 *   1.22        objects to 512 bytes: 1 bit a word, in the last 1/64 of the span;
 *               larger ones: their type, in a word in front (one object a span: in the span's record)
 *   1.26        the same, but in one-page spans the last 128 bytes are mark bits, and the bitmap lies before
 *
 * Where the heap does not tell, or tells nonsense, every word counts as a pointer: that can only keep too
 * much alive, never lose something.
 */
#include <string.h>

#include "goheap.h"
#include "goprocess.h"

enum {
	WORDS_PER_ARENA = 1 << (GO_ARENA_SHIFT - 3),
	TWO_BIT_BYTES = WORDS_PER_ARENA / 4,
	ONE_BIT_BYTES = WORDS_PER_ARENA / 8,
	READ_AHEAD = 16, /* a mask is read by words that may reach past the bitmap */
	INLINE_MARKS = 128,
	INLINE_MARKS_MIN = 16, /* smaller objects have no inline marks */
};

/* The bits of the whole arena, read once. NULL when they can't be. */
static const uint8_t *arena_bitmap(struct go_process *process, uint64_t address)
{
	const struct go_heap *heap = &process->heap;
	int32_t index = heap->arena_index[address >> GO_ARENA_SHIFT];
	struct go_arena *arena = index == 0 ? NULL : &heap->arenas[index - 1];
	if (arena == NULL || arena->record == 0)
		return NULL;
	size_t size = process->layout.pointer_bits == GO_BITS_TWO ? TWO_BIT_BYTES : ONE_BIT_BYTES;
	if (arena->bitmap == NULL)
		arena->bitmap = image_at(process->image, arena->record, size + READ_AHEAD);
	return arena->bitmap;
}

/* The low halves of eight bytes, together. */
static uint64_t low_nibbles(uint64_t bytes)
{
	bytes &= 0x0f0f0f0f0f0f0f0full;
	bytes = (bytes | bytes >> 4) & 0x00ff00ff00ff00ffull;
	bytes = (bytes | bytes >> 8) & 0x0000ffff0000ffffull;
	return (bytes | bytes >> 16) & 0xffffffffull;
}

/* 1.19: 32 words' bits, four words a byte. */
static void two_bits(const uint8_t *bitmap, uint64_t word, uint64_t *pointer, uint64_t *more)
{
	uint64_t bytes, last = bitmap[word / 4 + 8];
	memcpy(&bytes, bitmap + word / 4, sizeof bytes);
	unsigned shift = word % 4;
	*pointer = (low_nibbles(bytes) | (last & 15) << 32) >> shift & 0xffffffffull;
	*more = (low_nibbles(bytes >> 4) | (last >> 4) << 32) >> shift & 0xffffffffull;
}

/* 1.20 on: up to 64 words from a bitmap that is read as 64-bit words. */
static uint64_t bits_from(const uint8_t *bitmap, uint64_t word, uint64_t count)
{
	uint64_t low, high = 0;
	memcpy(&low, bitmap + word / 64 * 8, sizeof low);
	unsigned shift = word % 64;
	low >>= shift;
	if (shift != 0 && shift + count > 64) {
		memcpy(&high, bitmap + word / 64 * 8 + 8, sizeof high);
		low |= high << (64 - shift);
	}
	return count >= 64 ? low : low & ((1ull << count) - 1);
}

/* 1.22 on: where a span's own bitmap lies. */
static const uint8_t *span_bitmap(struct go_process *process, struct go_span *span)
{
	uint64_t size = span->pages * GO_PAGE, at = size - size / 64;
	if (process->layout.pointer_bits == GO_BITS_BEFORE_MARKS && span->pages == 1 &&
	    span->elem_size >= INLINE_MARKS_MIN)
		at -= INLINE_MARKS;
	const uint8_t *memory = go_span_memory(process, span);
	return memory == NULL ? NULL : memory + at;
}

/* At most 64 words; *ended when the object has no pointers behind these. */
static bool mask_two(struct go_process *process, uint64_t start, uint64_t words, uint64_t *ret, bool *ended)
{
	const uint8_t *bitmap = arena_bitmap(process, start);
	uint64_t pointer[2] = {0}, more[2] = {0};
	if (bitmap == NULL)
		return false;
	two_bits(bitmap, start / 8 % WORDS_PER_ARENA, &pointer[0], &more[0]);
	if (words > 32)
		two_bits(bitmap, start / 8 % WORDS_PER_ARENA + 32, &pointer[1], &more[1]);
	uint64_t all = more[0] | more[1] << 32, upto = ~all == 0 ? 64 : (uint64_t)__builtin_ctzll(~all);
	*ended = upto < words;
	uint64_t count = upto < words ? upto : words;
	*ret = (pointer[0] | pointer[1] << 32) & (count >= 64 ? UINT64_MAX : (1ull << count) - 1);
	return true;
}

/* A chunk of at most 64 words that ends with the arena. */
static uint64_t words_in_arena(uint64_t address, uint64_t words)
{
	uint64_t left = WORDS_PER_ARENA - address / 8 % WORDS_PER_ARENA;
	if (words > 64)
		words = 64;
	return words < left ? words : left;
}

static bool mask_one(struct go_process *process, uint64_t start, uint64_t words, uint64_t *ret)
{
	const uint8_t *bitmap = arena_bitmap(process, start);
	if (bitmap == NULL)
		return false;
	*ret = bits_from(bitmap, start / 8 % WORDS_PER_ARENA, words);
	return true;
}

bool go_object_mask(struct go_process *process, struct go_span *span, uint32_t index, uint64_t *ret)
{
	uint64_t start = go_span_object(span, index);
	uint64_t words = words_in_arena(start, span->elem_size / 8);
	*ret = 0;
	if (span->noscan)
		return true;
	if (process->layout.pointer_bits == GO_BITS_TWO)
		return mask_two(process, start, words, ret, &(bool){false});
	if (process->layout.pointer_bits == GO_BITS_ONE)
		return mask_one(process, start, words, ret);
	const uint8_t *bitmap = span->elem_size > GO_HEADER_FREE_MAX ? NULL : span_bitmap(process, span);
	if (bitmap == NULL)
		return false;
	*ret = bits_from(bitmap, (start - span->base) / 8, words);
	return true;
}

struct word_walk {
	const uint8_t *memory; /* local copy of the object */
	uint64_t start;	       /* its address */
	go_pointer_fn visit;
	void *context;
};

static void visit_word(const struct word_walk *walk, uint64_t word)
{
	uint64_t value;
	memcpy(&value, walk->memory + word * 8, sizeof value);
	if (value != 0)
		walk->visit(walk->context, walk->start + word * 8, value);
}

static void visit_mask(const struct word_walk *walk, uint64_t base, uint64_t mask)
{
	for (; mask != 0; mask &= mask - 1)
		visit_word(walk, base + (uint64_t)__builtin_ctzll(mask));
}

static void visit_all(const struct word_walk *walk, uint64_t first, uint64_t words)
{
	for (uint64_t word = first; word < words; word++)
		visit_word(walk, word);
}

static void walk_two(struct go_process *process, const struct word_walk *walk, uint64_t words)
{
	bool ended = false;
	for (uint64_t word = 0; word < words && !ended;) {
		uint64_t mask, count = words_in_arena(walk->start + word * 8, words - word);
		if (!mask_two(process, walk->start + word * 8, count, &mask, &ended))
			mask = UINT64_MAX >> (64 - count);
		visit_mask(walk, word, mask);
		word += count;
	}
}

static void walk_one(struct go_process *process, const struct word_walk *walk, uint64_t words)
{
	for (uint64_t word = 0; word < words;) {
		uint64_t mask, count = words_in_arena(walk->start + word * 8, words - word);
		if (!mask_one(process, walk->start + word * 8, count, &mask))
			mask = UINT64_MAX >> (64 - count);
		visit_mask(walk, word, mask);
		word += count;
	}
}

/* 1.22 on, objects with a type: an array of that type from `first` on. */
static void walk_typed(struct go_process *process, const struct word_walk *walk, uint64_t type,
		       uint64_t first, uint64_t words)
{
	const uint8_t *mask = go_type_valid(process, type) ? go_type_mask(process, type) : NULL;
	uint64_t size = mask == NULL ? 0 : go_type_size(process, type) / 8;
	uint64_t pointers = mask == NULL ? 0 : go_type_pointer_bytes(process, type) / 8;
	if (size == 0) {
		visit_all(walk, first, words);
		return;
	}
	for (uint64_t base = first; base < words && pointers <= words - base; base += size)
		for (uint64_t word = 0; word < pointers; word++)
			if ((mask[word / 8] >> (word % 8) & 1) != 0)
				visit_word(walk, base + word);
}

void go_object_pointers(struct go_process *process, struct go_span *span, uint32_t index, go_pointer_fn visit,
			void *context)
{
	const uint8_t *memory = span->noscan ? NULL : go_span_memory(process, span);
	if (memory == NULL)
		return;
	uint64_t words = span->elem_size / 8, start = go_span_object(span, index), mask, type = 0;
	struct word_walk walk = {memory + (start - span->base), start, visit, context};
	switch (process->layout.pointer_bits) {
	case GO_BITS_TWO: walk_two(process, &walk, words); return;
	case GO_BITS_ONE: walk_one(process, &walk, words); return;
	default: break;
	}
	if (span->elem_size <= GO_HEADER_FREE_MAX) {
		if (go_object_mask(process, span, index, &mask))
			visit_mask(&walk, 0, mask);
	} else if (span->size_class == 0) {
		walk_typed(process, &walk, span->large_type, 0, words);
	} else {
		memcpy(&type, walk.memory, sizeof type);
		walk_typed(process, &walk, type, 1, words);
	}
}
