/* close_up.h: one Go map, measured: how full its groups and pages are, and how far from home its entries lie.
 *
 *   probe   of an entry: the groups that a lookup of its key looks at, up to the one that holds it. In a Swiss map
 *           that follows from the key's hash, which is recomputed where that is possible; in a classic map it is the
 *           bucket's position in its chain.
 */
#ifndef NEAP_INSPECT_CLOSE_UP_H
#define NEAP_INSPECT_CLOSE_UP_H

#include "maps.h"

enum {
	CLOSE_UP_CELLS = 72,  /* of the strip from the first group to the last */
	CLOSE_UP_PROBES = 16, /* the last place counts all that are longer */
	CLOSE_UP_PAGES = 6,   /* pages by entries: none, 1 to 3, 4 to 15, 16 to 63, 64 to 255, more */
};

struct close_up {
	uint64_t live[CLOSE_UP_CELLS], slots[CLOSE_UP_CELLS];
	uint64_t groups_by_live[GO_GROUP_SLOTS + 1];
	uint64_t pages[CLOSE_UP_PAGES]; /* 4 KiB pages of the arrays */
	uint64_t page_count;
	uint64_t probes[CLOSE_UP_PROBES];  /* entries whose probe is index + 1 */
	uint64_t longest_probe, not_known; /* not_known: entries whose key's hash can't be recomputed */
	uint64_t misplaced;		   /* entries that no lookup would find: their hash leads elsewhere */
	uint64_t tables, table_groups_min, table_groups_max; /* Swiss; 0 tables: one group without a table */
};

void close_up_make(struct go_process *process, const struct maps *maps, const struct found_map *map,
		   struct close_up *ret);

/* The least number of entries of pages[i]. */
unsigned close_up_page_from(size_t i);

#endif
