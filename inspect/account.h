/* account.h: where the resident memory of a Go process is: every resident page is put into one part.
 *
 *   live + tombstone + empty + stale + objects + free_held + other + unexplained = rss
 *
 * A page of a map's array is split by the states of the map's slots; a page of a span by its objects.
 */
#ifndef NEAP_INSPECT_ACCOUNT_H
#define NEAP_INSPECT_ACCOUNT_H

#include "maps.h"

struct account {
	uint64_t live;	     /* maps: headers and slots with an entry */
	uint64_t tombstone;  /* maps: slots marked deleted */
	uint64_t empty;	     /* maps: slots without entry, preallocated buckets, rounding */
	uint64_t stale;	     /* maps: slots of an old array, moved or kept */
	uint64_t objects;    /* other heap objects, garbage not yet swept included */
	uint64_t free_held;  /* heap pages and slots that hold nothing and are still resident */
	uint64_t other;	     /* code, stacks, the runtime's own memory, libraries */
	int64_t unexplained; /* rss minus all of these: what changed in between, or is counted differently */
	uint64_t rss;
};

void account_make(struct go_process *process, const struct maps *maps, struct account *ret);

#endif
