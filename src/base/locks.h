/* locks.h: every lock of the library, and the order in which a thread may take them.
 *
 * Law: a thread that holds a lock takes only locks of a higher rank, or of the same rank and a higher order.
 * So no two threads can wait for each other, and fork can take all of them by walking up. A build with check=2
 * or more keeps the highest place held per thread and stops at the first step downwards.
 */
#ifndef NEAP_SRC_BASE_LOCKS_H
#define NEAP_SRC_BASE_LOCKS_H

#include <pthread.h>
#include <stdint.h>

/* Lowest first. */
enum neap__lock_rank {
	NEAP__RANK_NONE = 0,
	NEAP__RANK_SCOPES, /* the objects of one struct neap_scopes; only neap_scopes_late calls anything under it */
	NEAP__RANK_POOLS,    /* the list of pools */
	NEAP__RANK_POOL,     /* one pool; order: its id */
	NEAP__RANK_GC_CYCLE, /* one collection at a time */
	NEAP__RANK_GC_LOADER, /* held around the loader's own lock, which fork would leave locked in the child */
	NEAP__RANK_GC_THREADS,	 /* the attached threads; held while the world is stopped */
	NEAP__RANK_GC_MARK,	 /* the marker's stack and queue */
	NEAP__RANK_GC_WEAK_MAPS, /* the list of weak maps */
	NEAP__RANK_GC_MAP,	 /* the entries of one collected map */
	NEAP__RANK_GC_TABLES,	 /* types, ranges, handles, maps */
	NEAP__RANK_GC_SHADED,	 /* what barriers shaded */
	NEAP__RANK_GC_CENTRAL,	 /* the collected spans of one kind; order: the kind */
	NEAP__RANK_GC_ROWS,	 /* weak references, finalizers */
	NEAP__RANK_GUARD,	 /* a quarantine or sampler; order: 0 sampler, 1 quarantine */
	NEAP__RANK_HEAP_PASS,	 /* one pass of returning pages at a time, none during a fork */
	NEAP__RANK_HEAP_ORPHAN,	 /* the cache that threads past their exit share */
	NEAP__RANK_HEAP_CACHES,	 /* the list of thread caches */
	NEAP__RANK_HEAP_CENTRAL, /* the spans of one kind; order: the kind */
	NEAP__RANK_HEAP_PAGES,	 /* free runs, frontiers, large objects */
	NEAP__RANK_HEAP_META	 /* the pool of bitmaps and caches */
};

struct neap__lock {
	pthread_mutex_t mutex;
	uint32_t place;	  /* rank << 16 | order */
	uint32_t covered; /* the place that the holder held before; kept by the holder (check >= 2) */
};

void neap__lock_init(struct neap__lock *lock, enum neap__lock_rank rank, unsigned order);
void neap__lock_deinit(struct neap__lock *lock);
void neap__lock_take(struct neap__lock *lock);
/* Locks are given back in the reverse order of taking them. */
void neap__lock_give(struct neap__lock *lock);

#endif
