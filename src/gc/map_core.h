/* map_core.h: what map.c makes of a collected map, and layout.c tells readers outside the process.
 *
 *     handle (collected, one word) -> core (lock, map, the marker's iterator) -> struct neap_map (any allocator)
 */
#ifndef NEAP_SRC_GC_MAP_CORE_H
#define NEAP_SRC_GC_MAP_CORE_H

#include "gc/internal.h"
#include "neap/gc_map.h"

struct map_core {
	struct neap__lock lock;
	struct neap_map *map;
	uintptr_t handle;    /* hidden: cores lie where no root is looked for */
	unsigned key, value; /* numbers of types; 0: no pointers */
	struct map_core *next;
	struct neap_map_iter iter; /* the marker's */
};

struct neap_gc_map {
	struct map_core *_Atomic core; /* NULL: destroyed, or not made yet */
	void *unused;
};

#endif
