/* layout.c: where the heap keeps its spans, for readers outside the process. docs/layout.md is the same in prose. */
#include "neap/layout.h"

#include "heap/internal.h"

#define HEAP_FIELD(structure, field)                                                     \
	{                                                                                \
#		structure "." #		       field, offsetof(struct structure, field) \
	}

const struct neap_layout neap_heap_layout[] = {
	{"version", 1},
	{"neap__heap", sizeof(struct neap__heap)},
	HEAP_FIELD(neap__heap, state),
	HEAP_FIELD(neap__heap, page_shift),
	HEAP_FIELD(neap__heap, base),
	HEAP_FIELD(neap__heap, units),
	HEAP_FIELD(neap__heap, tags),
	HEAP_FIELD(neap__heap, spans),
	HEAP_FIELD(neap__heap, regions),
	{"regions", sizeof(((struct neap__heap *)0)->regions) / sizeof(struct neap__region)},
	{"neap__region", sizeof(struct neap__region)},
	HEAP_FIELD(neap__region, first),
	HEAP_FIELD(neap__region, frontier),
	{"neap__span", sizeof(struct neap__span)},
	HEAP_FIELD(neap__span, head),
	HEAP_FIELD(neap__span, units),
	HEAP_FIELD(neap__span, state),
	HEAP_FIELD(neap__span, objects),
	HEAP_FIELD(neap__span, used),
	HEAP_FIELD(neap__span, alloc),
	HEAP_FIELD(neap__span, size),
	{"neap__class", sizeof(struct neap__class)},
	HEAP_FIELD(neap__class, size),
	{"classes", NEAP__CLASSES},
	{"unit", NEAP__UNIT},
	{"state_free", NEAP__SPAN_FREE},
	{"state_large", NEAP__SPAN_LARGE},
	{"state_open", NEAP__SPAN_OPEN},
	{"state_partial", NEAP__SPAN_PARTIAL},
	{"state_full", NEAP__SPAN_FULL},
	HEAP_FIELD(neap__heap, class_table),
	HEAP_FIELD(neap__heap, pool),
	HEAP_FIELD(neap__meta_pool, base),
	HEAP_FIELD(neap__meta_pool, size),
	HEAP_FIELD(neap__class, objects),
	{"state_collected", NEAP__SPAN_COLLECTED},
	{NULL, 0},
};

const struct neap_beacon neap__heap_beacon = {NEAP_BEACON_MAGIC, &neap__heap_beacon, "heap", neap_heap_layout,
					      &neap__heap};
