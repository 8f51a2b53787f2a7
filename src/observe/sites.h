/* sites.h: the stacks that allocated, and what each has allocated and freed. */
#ifndef NEAP_SRC_OBSERVE_SITES_H
#define NEAP_SRC_OBSERVE_SITES_H

#include <stdatomic.h>

#include "neap/base.h"

enum { NEAP__FRAMES_MOST = 48, NEAP__SITES_MOST = 1 << 16 };

struct neap__site {
	uint64_t hash;
	uint32_t depth;
	double alloc_objects, alloc_bytes, free_objects,
		free_bytes;		    /* weighted: estimates of all allocations */
	double growth, growth_bytes;	    /* of maps: how often, and by how much; never freed here */
	uintptr_t frame[NEAP__FRAMES_MOST]; /* addresses of calls, innermost first */
};

/* Makes the tables and sets the three pointers of neap__sampling; once. False: no memory. */
bool neap__sites_start(void);
/* Sites 1 to the returned number are filled and never move or go away. */
uint32_t neap__sites_count(void);
/* A copy of the site with that number. */
void neap__site_get(uint32_t number, struct neap__site *ret);

struct neap__sampling_stats {
	uint64_t samples, lost; /* recorded; not recorded, because a table was full */
};
void neap__sampling_stats_get(struct neap__sampling_stats *ret);

/* The caller's stack: addresses inside the call instructions, innermost first, at most `room`; the first `skip` frames
 * are left out. Takes no lock and allocates nothing: for signal handlers and allocators.
 */
unsigned neap__stack_walk(uintptr_t *ret, unsigned room, unsigned skip);
/* Walks that kept rules did not suffice for, each ten times as slow: the first of each thread at least. Relaxed. */
extern _Atomic uint64_t neap__unwinder_walks;

#endif
