/* classes.c: the sizes of blocks.
 *
 * Sixteen apart up to 128, then eight to a doubling:
 *
 *     16 32 ... 128 | 144 160 ... 256 | 288 320 ... 512 | ... | 18432 20480 ... 32768
 *
 * so a request r > 128 gets at most r / 8 more than it asked for, one up to 128 at most 15 bytes, and every power
 * of two from 16 is a class, which is what makes aligned blocks ordinary blocks. What does not fit at the end
 * of a span is below 9 % of it; its pages are never touched.
 */
#include "heap/internal.h"

struct neap__class neap__classes[NEAP__CLASSES];
uint8_t neap__class_fine[1024 / 16 + 1], neap__class_coarse[NEAP_HEAP_SMALL_MOST / 128 + 1];

enum {
	FINE_STEP = 16,
	FINE_MOST = 128,
	STEPS_PER_DOUBLING = 8,
	MAGAZINE_BYTES = 16 << 10, /* of one kind, unless the few blocks below are more */
	MAGAZINE_MOST = 256,	   /* 2 KB of metadata a kind */
	MAGAZINE_LEAST = 2,
	BATCH_BYTES =
		16 << 10 /* taken ahead of need: the pages of these count as resident though untouched */
};

static uint32_t next_size(uint32_t size)
{
	if (size < FINE_MOST)
		return size + FINE_STEP;
	uint32_t doubling = FINE_MOST;
	while (doubling * 2 <= size)
		doubling *= 2;
	return size + doubling / STEPS_PER_DOUBLING;
}

static uint32_t clamped(uint32_t value, uint32_t least, uint32_t most)
{
	return value < least ? least : value > most ? most : value;
}

static void fill_class(struct neap__class *class, uint32_t size)
{
	class->size = size;
	class->units = size <= NEAP__WIDE_FROM ? 1 : NEAP__WIDE_UNITS;
	class->objects = class->units * NEAP__UNIT / size;
	class->room = clamped(MAGAZINE_BYTES / size, MAGAZINE_LEAST, MAGAZINE_MOST);
	class->batch = clamped(BATCH_BYTES / size, 1, (class->room + 1) / 2);
	neap__assert(class->room <= NEAP__ROOM_MOST);
	class->magic = (((uint64_t)1 << NEAP__MAGIC_SHIFT) + size - 1) / size;
	uint32_t tail = class->units * NEAP__UNIT - class->objects * size;
	neap__assert(tail * 100 < class->units * NEAP__UNIT * 9);
}

void neap__classes_init(void)
{
	uint32_t size = FINE_STEP, below = 0;
	for (unsigned i = 0; i < NEAP__CLASSES; i++, below = size, size = next_size(size)) {
		fill_class(&neap__classes[i], size);
		/* The worst request of the class is one byte over the class below. */
		neap__assert(size - (below + 1) <= FINE_STEP - 1 || (size - (below + 1)) * 8 <= below + 1);
		for (uint32_t r = below; r <= size && r <= 1024; r += 16)
			if (r > below || below == 0)
				neap__class_fine[r / 16] = (uint8_t)i;
		for (uint32_t r = below / 128 * 128 + 128; r <= size; r += 128)
			neap__class_coarse[r / 128] = (uint8_t)i;
	}
	neap__assert(below == NEAP_HEAP_SMALL_MOST);
}
