/* neap/layout.h: the layout of the library's structures, for tools that read a program from outside.
 *
 * A debugger or inspector finds the symbol neap_layout in the program or the shared library, or a beacon in its
 * constant data, and reads from there the offsets and sizes that docs/layout.md names. Nothing in a program has to
 * call anything.
 */
#ifndef NEAP_LAYOUT_H
#define NEAP_LAYOUT_H

#include "neap/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One fact: "neap_map.len" is an offset in bytes, "neap_map" a size in bytes, "version" that of the layout. */
struct neap_layout {
	const char *name;
	uint64_t value;
};

/* Ended by a NULL name. Static, constant. */
NEAP_API extern const struct neap_layout neap_layout[];
/* The same for the classic map. */
NEAP_API extern const struct neap_layout neap_hmap_layout[];
/* The concurrent map. */
NEAP_API extern const struct neap_layout neap_cmap_layout[];
/* And for the heap. */
NEAP_API extern const struct neap_layout neap_heap_layout[];
/* And for the collector. */
NEAP_API extern const struct neap_layout neap_gc_layout[];

/* What a reader finds without symbols, in a program that was linked statically and stripped: one for each module
 * that the program uses, in its constant data, aligned to 8. `self` tells the thing from copies of its bytes.
 */
#define NEAP_BEACON_MAGIC "\x7fneap beacon\r\n\x1a" /* 15 bytes and the NUL */
struct neap_beacon {
	char magic[16];
	const struct neap_beacon *self;
	const char *module;		  /* "map", "hmap", "cmap", "heap", "gc" */
	const struct neap_layout *layout; /* of the module */
	const void *
		object; /* where to begin: the list of all maps, that of concurrent ones, the heap, two words that lead to the
			   collector */
};

/* Not for callers: the list of all maps of the process, whose layout is in neap_layout. */
struct neap__registry;
NEAP_API extern struct neap__registry neap__registry;

#ifdef __cplusplus
}
#endif

#endif
