/* internal.h: what the files of the pool share.
 *
 *   pool.c      create and destroy; get and put: the short paths and the way to the depot
 *   depot.c     magazines, the two generations, ageing
 *   cache.c     the magazines of a thread: joining, leaving, taking them away from outside
 *   registry.c  all pools of the process: for collections, ends of threads, forks
 *   checked.c   the checking pool: one lock, and every misuse that can be seen
 *   stats.c     counts, and the laws that they obey
 *
 *     thread A             thread B                     depot, under the pool's lock
 *     +--------+ loaded    +--------+                   primary  [M] [M] [M]   full or partly full magazines
 *     |o o o o |           |o       |                   victim   [M]           those that one collection has seen
 *     +--------+ previous  +--------+                   empties  [ ] [ ]
 *     |        |           |o o o o |
 *     +--------+           +--------+
 *
 * The owner of a cache marks it busy while it touches its magazines, without any fence; whoever wants to take them
 * away closes the cache, makes all threads pass a fence (membarrier), and looks whether it is busy. Of the two
 * marks at least one is seen (Dekker's rule with the fence on one side). A claim happens under the pool's lock, which
 * an owner that finds its cache claimed waits for. neap/pool_core.h has the owner's side.
 */
#ifndef NEAP_SRC_POOL_INTERNAL_H
#define NEAP_SRC_POOL_INTERNAL_H

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/locks.h"
#include "neap/pool_core.h"

/* A stack of objects. */
struct neap__pool_magazine {
	struct neap__pool_magazine *next; /* in a list of the depot */
	uint32_t count, room; /* count <= room + 1: the last is what was in hand when it was full */
	size_t bytes;	      /* of its objects; only while it is in the depot */
	void *objects[];
};

/* Why the short paths of a cache are closed. The magazines of a cache are never NULL: one without room stands for
 * none. Those of the loaded one are counted by the cache's `top` and `hand`; its own count is that of its last settling.
 */
enum neap__pool_closed {
	NEAP__POOL_CLAIMED = 1, /* somebody else wants to be in it; written under the lock */
	NEAP__POOL_FENCED = 2	/* no membarrier here: the owner has to pass a fence itself */
};

/* Idle objects of a checking pool. */
struct neap__pool_checked {
	struct neap__pool_idle *idle; /* oldest first */
	size_t count, room, victims;  /* the first `victims` were seen by a collection */
};

struct neap_pool {
	/* Read by every get and put; constant. */
	struct neap__pool_front front;
	struct neap_pool_type type;
	uint32_t id; /* index in the registry and in each thread's table; reused */

	struct neap_allocator allocator;
	char name[64];
	size_t byte_cap;
	uint64_t idle_ns;
	uint32_t magazine_room;

	struct neap__lock lock; /* all that follows */
	struct neap__pool_magazine *primary, *victim, *empties;
	size_t depot_bytes;			  /* of primary and victim */
	struct neap__pool_cache *caches, *spares; /* of threads; of threads that ended, for the next ones */
	bool inherited;				  /* a fork brought in more than the cap allows */
	struct neap__pool_checked checked;
	uint64_t gone_hits, gone_puts; /* of threads that ended, or have no cache */
	uint64_t misses, dropped, refused, collected, created, destroyed;
	uint64_t aged_at; /* clock at the last change of generations */
	uint32_t pins;	  /* who works on the pool without its lock; under the registry's lock */
};

/* What has to be destroyed once no lock is held. */
struct neap__pool_waste {
	struct neap__pool_magazine *magazines;
	struct neap__pool_checked idle; /* of a checking pool that ends */
};

/* ---- depot.c ---- */

extern struct neap__pool_magazine neap__pool_none; /* no room, no objects */

/* A new empty magazine, or NULL. No memory is asked for or freed under the lock: an allocator may have locks and fork
 * handlers of its own.
 */
struct neap__pool_magazine *neap__pool_magazine_create(struct neap_pool *pool, uint32_t room);
/* With the lock held. An empty magazine that is there, or NULL. */
struct neap__pool_magazine *neap__depot_empty(struct neap_pool *pool);
/* Keeps an empty magazine for later. */
void neap__depot_recycle(struct neap_pool *pool, struct neap__pool_magazine *magazine);
/* Takes in a magazine: its objects are kept, or added to `waste` when they do not fit. */
void neap__depot_take_in(struct neap_pool *pool, struct neap__pool_magazine *magazine,
			 struct neap__pool_waste *waste);
/* A magazine with objects, or NULL. */
struct neap__pool_magazine *neap__depot_hand_out(struct neap_pool *pool);
/* Ages by one generation. */
void neap__depot_age(struct neap_pool *pool, struct neap__pool_waste *waste);
/* The same when nobody else has done it for long enough. */
void neap__depot_age_if_due(struct neap_pool *pool, struct neap__pool_waste *waste);
/* Empties the depot. */
void neap__depot_drain(struct neap_pool *pool, struct neap__pool_waste *waste);
/* Without the lock. Destroys objects; returns their bytes. The pool is pinned or in use by the caller. */
size_t neap__pool_dispose(struct neap_pool *pool, struct neap__pool_waste waste);
/* A new object, counted, or NULL (pool.c). */
void *neap__pool_create_object(struct neap_pool *pool);
void neap__pool_destroy_object(struct neap_pool *pool, void *object);
size_t neap__pool_bytes_of(const struct neap_pool *pool, const void *object);

/* ---- cache.c ---- */

/* 0, or NEAP__POOL_FENCED: how every cache begins. Set before the first one is made. */
extern _Atomic uint8_t neap__pool_fenced;

/* This thread's cache of a pool, in the seat where the short paths find it, or NULL. */
struct neap__pool_cache *neap__pool_cache_of(const struct neap_pool *pool);
/* The same, made when there is none; without the lock. NULL: no memory, or the thread is past its end. */
struct neap__pool_cache *neap__pool_cache_join(struct neap_pool *pool);
/* Claims all caches of a pool, calls `each` for those that nobody is in, settled, and lets their owners in again. With
 * the lock held.
 */
void neap__pool_caches_visit(struct neap_pool *pool, void (*each)(struct neap__pool_cache *cache, void *ctx),
			     void *ctx);
/* Puts what is in hand into the loaded magazine and makes its own count right; loads another one. By the owner or a
 * claimer, with the lock held.
 */
void neap__pool_cache_settle(struct neap__pool_cache *cache);
void neap__pool_cache_load(struct neap__pool_cache *cache, struct neap__pool_magazine *magazine);
/* Moves the objects of a cache that its owner is not in to the depot. With the lock held. */
void neap__pool_cache_empty(struct neap__pool_cache *cache, struct neap__pool_waste *waste);
/* Makes a cache, whose objects are gone, a spare one. With the lock held. */
void neap__pool_cache_end(struct neap__pool_cache *cache);
/* Decides about fences, and makes the key that ends threads' caches. False: no key. */
bool neap__pool_caches_start(void);

/* ---- registry.c ---- */

/* Gives the pool its id. 0 or NEAP_ENOMEM. */
int neap__pool_register(struct neap_pool *pool);
/* Takes it out, after everybody who works on it has finished. */
void neap__pool_unregister(struct neap_pool *pool);
/* The pool with this id, or the next one after it, and pins it; NULL at the end. */
struct neap_pool *neap__pool_pin_from(uint32_t id);
/* The pool with this id and serial, pinned, or NULL when it is gone. */
struct neap_pool *neap__pool_pin(uint32_t id, uint64_t serial);
void neap__pool_unpin(struct neap_pool *pool);

/* ---- checked.c ---- */

void *neap__checked_get(struct neap_pool *pool);
void neap__checked_put(struct neap_pool *pool, void *object);
/* With the lock held. Moves the victims to `waste`; what is left becomes victims. Without memory they stay. */
void neap__checked_age(struct neap_pool *pool, struct neap__pool_waste *waste);
/* With the lock held. Moves the whole list to `waste`. Never fails. */
void neap__checked_drain(struct neap_pool *pool, struct neap__pool_waste *waste);
/* Without the lock. Destroys a list's objects and frees it; returns their bytes. */
size_t neap__checked_dispose(struct neap_pool *pool, struct neap__pool_checked list);
bool neap__checked_wanted(uint32_t check);

/* ---- stats.c ---- */

/* Checks the laws at the top of neap/pool.h; NULL when all hold, else the one that is broken. */
const char *neap__pool_check(struct neap_pool *pool);

#endif
