/* mark.h: from grey to black: the marker, pages that are read again, and rounds over them.
 *
 * The marker belongs to the holder of the mark lock, or to who stopped the world.
 */
#ifndef NEAP_SRC_GC_MARK_H
#define NEAP_SRC_GC_MARK_H

#include "gc/internal.h"

struct neap__gc_large {
	uint32_t head, object;
	uint64_t offset;
};

/* One thread at a time marks: the holder of the mark lock, or who stopped the world. */
struct neap__gc_marker {
	uint64_t stack[NEAP__GC_STACK_ROOM]; /* head << 32 | object */
	size_t depth;
	uint64_t fifo[NEAP__GC_FIFO]; /* on the way to the stack */
	unsigned in, out;
	uint64_t asked[NEAP__GC_FIFO]; /* on the way from the stack; 0: nothing */
	unsigned turn;
	struct neap__gc_large large[256]; /* objects that are read in pieces; a map's offset is 0 or 1 */
	unsigned larges;
	uint64_t objects;	/* read in this cycle */
	_Atomic uint64_t bytes; /* marked by the marker in this cycle; relaxed, for who paces */
	uint64_t credit;	/* bytes still to read in this call */
	uint64_t overflows;	/* in this cycle */
	struct neap__os_pages pages[NEAP__GC_PAGES_AT_ONCE];
};

/* mark.c; by the holder of the mark lock, or with the world stopped */
void neap__gc_mark_range(uintptr_t start, uintptr_t end, void *unused); /* conservatively */
void neap__gc_mark_word(uintptr_t word);
/* True when this call marked an object, which nobody else will read. */
bool neap__gc_mark_alone(uintptr_t word, uint32_t *ret_head, uint32_t *ret_object);
/* Of an object that is not marked: marks what it leads to. */
void neap__gc_read_unmarked(uint32_t head, uint32_t object);
bool neap__gc_drain(uint64_t bytes); /* false: something is left */
void neap__gc_take_shades(void);
void neap__gc_marker_reset(void);
void neap__gc_shade(struct neap__gc_thread *thread, uintptr_t word); /* by a busy thread */
void neap__gc_shades_flush(struct neap__gc_thread *thread);
/* The words of an object in [from, to), bytes from its start, that may be pointers. */
typedef void neap__gc_word_fn(uintptr_t word, void *ctx);
void neap__gc_each_word(uint32_t head, uint32_t object, uint64_t from, uint64_t to, neap__gc_word_fn *each,
			void *ctx);

/* The words at `base` whose bit is set, from the bit of the first one on. */
static inline __attribute__((always_inline)) void neap__gc_words_at(const char *base, uint64_t bits,
								    neap__gc_word_fn *each, void *ctx)
{
	for (; bits != 0; bits &= bits - 1) {
		const char *at = base + (unsigned)__builtin_ctzll(bits) * sizeof(uintptr_t);
		each(__atomic_load_n((const uintptr_t *)(const void *)at, __ATOMIC_RELAXED), ctx);
	}
}

/* The words of a value of a type, outside of any object, that may be pointers. */
void neap__gc_each_typed(const void *base, unsigned type, neap__gc_word_fn *each, void *ctx);

/* again.c; like mark.c */
bool neap__gc_again_start(void);
/* Bytes [from, to) of a large tracked object that is read for the first time. */
void neap__gc_read_first(uint32_t head, uint64_t from, uint64_t to);
/* Marked objects in [start, end): whole pages, of the tracked region, that were written to. */
void neap__gc_read_again(uintptr_t start, uintptr_t end);
void neap__gc_again_end(void); /* marking is over */

/* rounds.c */
bool neap__gc_arm_all(void); /* false: the kernel changed its mind, no page is watched */
void neap__gc_drain_beside_program(void);
void neap__gc_rounds(void);
/* World stopped, all written pages, until a time on neap__os_now's clock: false when it comes first. What is left is
 * read by the next call; neap__gc_rounds_reset comes before the first one of a cycle.
 */
void neap__gc_rounds_reset(void);
void neap__gc_read_beside(uint64_t until); /* between two such stops, beside the program */
bool neap__gc_read_stopped(uint64_t until);
bool neap__gc_drain_stopped(uint64_t until);

#endif
