/* layout.c: where the collector keeps its objects, their types and its roots, for readers outside the process.
 * docs/layout.md is the same in prose.
 */
#include "neap/layout.h"

#include "gc/map.h"
#include "gc/weak_map.h"

#define GC_FIELD(structure, field)                                                       \
	{                                                                                \
#		structure "." #		       field, offsetof(struct structure, field) \
	}

/* What the beacon leads to. */
static const struct neap__gc_view {
	const struct neap__gc *gc;
	const struct weak_maps *weak_maps;
} gc_view = {&neap__gc, &neap__weak_maps};

const struct neap_layout neap_gc_layout[] = {
	{"version", 1},
	GC_FIELD(neap__gc_view, gc),
	GC_FIELD(neap__gc_view, weak_maps),
	{"neap__gc", sizeof(struct neap__gc)},
	GC_FIELD(neap__gc, state),
	GC_FIELD(neap__gc, reach),
	GC_FIELD(neap__gc, first),
	GC_FIELD(neap__gc, spans),
	GC_FIELD(neap__gc, types),
	GC_FIELD(neap__gc, type_count),
	GC_FIELD(neap__gc, handles),
	GC_FIELD(neap__gc, handles_made),
	GC_FIELD(neap__gc, ranges),
	{"neap__gc_span", sizeof(struct neap__gc_span)},
	GC_FIELD(neap__gc_span, head),
	GC_FIELD(neap__gc_span, units),
	GC_FIELD(neap__gc_span, size),
	GC_FIELD(neap__gc_span, words),
	GC_FIELD(neap__gc_span, types),
	GC_FIELD(neap__gc_span, objects),
	{"neap__gc_word", sizeof(struct neap__gc_word)},
	GC_FIELD(neap__gc_word, alloc),
	{"neap__gc_type", sizeof(struct neap__gc_type)},
	GC_FIELD(neap__gc_type, source),
	GC_FIELD(neap__gc_type, head),
	GC_FIELD(neap__gc_type, tail),
	GC_FIELD(neap__gc_type, head_size),
	GC_FIELD(neap__gc_type, stride),
	GC_FIELD(neap__gc_type, map),
	GC_FIELD(neap_gc_type, name),
	{"type_words", NEAP__GC_CONSERVATIVE},
	{"type_nothing", NEAP__GC_NOTHING},
	GC_FIELD(neap__gc_range, start),
	GC_FIELD(neap__gc_range, end),
	{"neap__gc_range", sizeof(struct neap__gc_range)},
	GC_FIELD(neap__gc_range_table, count),
	GC_FIELD(neap__map_handle, core),
	GC_FIELD(neap__map_core, map),
	GC_FIELD(neap__map_core, cmap),
	GC_FIELD(weak_maps, first),
	GC_FIELD(weak_core, map),
	GC_FIELD(weak_core, handle),
	GC_FIELD(weak_core, next),
	{NULL, 0},
};

const struct neap_beacon neap__gc_beacon = {NEAP_BEACON_MAGIC, &neap__gc_beacon, "gc", neap_gc_layout,
					    &gc_view};
