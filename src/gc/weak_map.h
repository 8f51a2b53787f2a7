/* weak_map.h: what weak_map.c (the entries) and ephemeron.c (what they keep) share.
 *
 *     handle (collected, no pointers) -> core (lock, map) -> struct neap_map from key to value, both addresses
 *
 * An entry whose value is 0 is dead: its key was found unreachable in the last stop of a cycle, where nothing may be
 * given back to an allocator. It reads as absent, and is deleted before the next cycle begins, or overwritten.
 *
 * Law: an entry that is not dead has a key that is allocated.
 */
#ifndef NEAP_SRC_GC_WEAK_MAP_H
#define NEAP_SRC_GC_WEAK_MAP_H

#include "gc/internal.h"
#include "neap/map.h"

struct weak_core {
	struct neap__lock lock; /* the map and `dead`; its holder is busy, or runs the cycle */
	struct neap_map *map;
	uintptr_t handle; /* cores lie where no root is looked for */
	size_t dead;
	/* At most so many entries had keys that did not live, in the last pass over all with the world stopped. */
	size_t others;
	/* While a cycle marks beside the program: the keys that were white when the marker read the entries. All others
	 * are black, and their values; so are those of entries that were put since. NULL: the last stop reads all.
	 */
	uintptr_t *white;
	size_t white_count, white_room;
	struct weak_core *next;
};

struct weak_maps {
	struct neap__lock lock; /* the list; taken before the lock of a map */
	struct weak_core *first;
	struct weak_core *at; /* where the marker is; whoever frees a core moves it on */
};
extern struct weak_maps neap__weak_maps;

void neap__weak_white_close(struct weak_core *core); /* ephemeron.c */

#endif
