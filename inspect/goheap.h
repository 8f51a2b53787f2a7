/* goheap.h: the heap of a Go program: spans, and the objects in them.
 *
 *   arena    64 MiB of address space, aligned
 *   span     pages of 8 KiB with objects of one size; `noscan` spans hold no pointers
 *   object   a slot of a span; objects are numbered through all spans in address order
 *
 *   span.pages * 8192 >= span.count * span.elem_size
 *   object number = span.first + index
 */
#ifndef NEAP_INSPECT_GOHEAP_H
#define NEAP_INSPECT_GOHEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem.h"

struct go_process;

enum {
	GO_PAGE = 8192,
	GO_ARENA_SHIFT = 26,
	GO_ARENA_PAGES = 1 << (GO_ARENA_SHIFT - 13),
	GO_SIZE_CLASSES = 68,
	GO_SMALL_MAX = 32768,	  /* larger objects have a span of their own */
	GO_ADDRESS_BITS = 47,	  /* of user space */
	GO_SPAN_INDEX_SHIFT = 6,  /* at most 64 spans to step over from an index entry on */
	GO_HEADER_FREE_MAX = 512, /* 1.22 on: objects to this size have no type word in front */
	GO_SPANS_LATE = 4096,	  /* spans that may be added in the stop */
};

#define GO_NO_OBJECT UINT64_MAX

struct go_span {
	uint64_t base, elem_size;
	uint64_t pages;
	uint64_t first;	     /* number of its first object */
	uint64_t specials;   /* address of the first record about its objects: finalizers and the like */
	uint64_t large_type; /* 1.22 on, for a large object: its type */
	const uint8_t *alloc_bits; /* from the last collection; NULL when unreadable */
	const uint8_t *memory;	   /* local copy of the span, NULL until go_span_memory */
	uint32_t count;		   /* objects */
	uint32_t freeindex;	   /* every object below is allocated */
	uint32_t magic;		   /* reciprocal of elem_size, as the runtime's divMul */
	uint8_t size_class;	   /* 0: one large object */
	bool noscan;
	uint8_t moment; /* of the image, when it was last looked at again; 0: never */
};

struct go_heap {
	uint64_t mheap;	       /* address of runtime.mheap_ */
	const char *found_by;  /* "symbol" or "scan" */
	struct go_span *spans; /* sorted by base; behind them those that were added in the stop */
	size_t span_count, span_capacity;
	uint8_t moment; /* of the image: what was read before is read again when it is looked at; 0: nothing is */
	uint64_t object_count; /* slots, free ones included */
	uint64_t in_use_bytes; /* pages of spans in use */
	uint64_t misfits;      /* spans whose record contradicts itself */
	int32_t *arena_index;  /* by address >> 26; 0: none, else 1 + index in arenas */
	uint32_t *span_index;  /* by object number >> GO_SPAN_INDEX_SHIFT: the span of that object */
	struct go_arena *arenas;
	size_t arena_count, arena_capacity;
};

#define GO_PAGE_MANUAL UINT32_MAX

struct go_arena {
	uint64_t base;
	uint64_t record;       /* address of the runtime's heapArena */
	const uint8_t *bitmap; /* to 1.21: local copy of its pointer bits, NULL until asked for */
	uint32_t *page_span;   /* by page: number of the span + 1, 0 for none, GO_PAGE_MANUAL for a stack */
};

/* Finds the heap and reads its spans. The layout is checked against what it finds: -1 and a problem when the
   spans contradict it. */
int go_heap_load(struct go_process *process, struct problem *problem);
void go_heap_free(struct go_heap *heap);

/* Fills a span from its record; false when the record contradicts itself. */
bool go_span_take(struct go_process *process, const uint8_t *record, struct go_span *ret);
/* The arena of an address; NULL when the runtime knows none there, unless the caller is `sure`. */
struct go_arena *go_heap_arena(struct go_process *process, uint64_t address, bool sure);
bool go_span_in_use(const struct go_process *process, const uint8_t *record);

/* Reads again, once in a moment, what the runtime says of the page at `address`, and the memory of its span. May add a span;
   go_heap_number must follow before objects are looked up by number. */
void go_heap_look_again(struct go_process *process, uint64_t address);

/* Makes span_index from the spans, whose `first` must be set. */
void go_heap_number(struct go_heap *heap);

/* The span that holds `address`, or NULL. Here and below: inlined, because every pointer of the target's heap
   passes through them. */
static inline struct go_span *go_heap_span(const struct go_heap *heap, uint64_t address)
{
	if (address >> GO_ADDRESS_BITS != 0 || heap->arena_index == NULL)
		return NULL;
	int32_t arena = heap->arena_index[address >> GO_ARENA_SHIFT];
	if (arena == 0)
		return NULL;
	uint32_t number = heap->arenas[arena - 1].page_span[address / GO_PAGE % GO_ARENA_PAGES];
	return number == 0 || number == GO_PAGE_MANUAL ? NULL : &heap->spans[number - 1];
}

/* The object that holds `address`: its span and index within it. NULL when there is none. */
static inline struct go_span *go_heap_object(const struct go_heap *heap, uint64_t address, uint32_t *index)
{
	struct go_span *span = go_heap_span(heap, address);
	if (span == NULL)
		return NULL;
	uint64_t offset = address - span->base;
	uint64_t found = offset * span->magic >> 32; /* 0 for a large object */
	if (found >= span->count || offset - found * span->elem_size >= span->elem_size)
		return NULL;
	*index = (uint32_t)found;
	return span;
}

/* The span of an object by the object's number. */
static inline struct go_span *go_heap_span_of(const struct go_heap *heap, uint64_t object)
{
	struct go_span *span = &heap->spans[heap->span_index[object >> GO_SPAN_INDEX_SHIFT]];
	while (object - span->first >= span->count)
		span++;
	return span;
}

static inline bool go_span_allocated(const struct go_span *span, uint32_t index)
{
	return index < span->freeindex || span->alloc_bits == NULL ||
	       (span->alloc_bits[index / 8] >> (index % 8) & 1) != 0;
}

static inline uint64_t go_span_object(const struct go_span *span, uint32_t index)
{
	return span->base + (uint64_t)index * span->elem_size;
}

/* A local copy of the whole span, or NULL when part of it can't be read. */
const uint8_t *go_span_memory(struct go_process *process, struct go_span *span);

/* The bytes that the runtime would allocate for `size`: its size class, or whole pages. `pointers` says
   whether the object holds any (from 1.22 on a larger one then has a word in front). */
uint64_t go_heap_round(const struct go_process *process, uint64_t size, bool pointers);

/* What starts exactly at `address`: the object's size, and the type word of 1.22 and later when there is one.
   0 when no object's data starts there. */
uint64_t go_heap_data(struct go_process *process, uint64_t address, struct go_span **span, uint64_t *type);

/* Calls `visit` for each pointer-sized word of the object that may hold a pointer and isn't 0. Words are
   taken as pointers when the heap doesn't tell. */
typedef void (*go_pointer_fn)(void *context, uint64_t slot, uint64_t value);
void go_object_pointers(struct go_process *process, struct go_span *span, uint32_t index, go_pointer_fn visit,
			void *context);

/* The pointer mask of the first 64 words of an object that has no type word. False when it can't be told. */
bool go_object_mask(struct go_process *process, struct go_span *span, uint32_t index, uint64_t *ret);

#endif
