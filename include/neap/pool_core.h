/* neap/pool_core.h: the bytes of a thread's magazines, and the short paths over them: take and keep.
 *
 * Not for callers: neap/pool_typed.h inlines these paths for one type of object, the library instantiates them for
 * all others (src/pool/pool.c). src/pool/internal.h has the whole picture. C only: C++ calls the library.
 *
 *     neap__pool_seats, of the thread       neap__pool_cache               magazine
 *     +--------+-------+                    +------------------+           +----------------------+
 *     | serial | cache |------------------->| busy, closed     |           | objects              |
 *     | serial | cache |                    | first, top, end  |---------->| o  o  o  .  .  .  .  |
 *     +--------+-------+                    | counts           |           +----------------------+
 *                                           +------------------+            first   top         end
 *
 * A seat belongs to a pool when it has the pool's serial, which is never used again. `busy` and `closed` are Dekker's
 * two marks; the fence between them is made by the one who closes (membarrier), not by the owner. A take or keep that
 * does not succeed has changed nothing: the caller goes to the library.
 */
#ifndef NEAP_POOL_CORE_H
#define NEAP_POOL_CORE_H

#include "neap/pool.h"

#ifndef __cplusplus

#	include <stdatomic.h>

struct neap__pool_magazine;

/* A thread's share of one pool: a stack of objects from `first` to `top`, with room up to `end`; the last object put is
 * not on it but in hand, so that a get and a put in turns do not wait for each other's `top`: a quarter less time.
 */
struct neap__pool_cache {
	_Atomic uint8_t busy;	/* written by the owner: it is in its magazines */
	_Atomic uint8_t closed; /* 0, or why the short paths are closed (src/pool/internal.h) */
	void *hand;		/* or NULL; always NULL while no magazine is loaded */
	void **first, **top, **end;
	uint64_t hits, puts;
	struct neap__pool_magazine *loaded, *previous;
	struct neap_pool *pool;
	struct neap__pool_cache *next; /* of the pool's, under its lock */
};

/* What a pool begins with: constant. */
struct neap__pool_front {
	uint64_t serial;
	uint32_t seat;	    /* where its seat begins in neap__pool_seats, bytes: many pools share one */
	bool checking;	    /* no thread has a seat */
	size_t object_most; /* bytes */
};

struct neap__pool_seat {
	uint64_t serial; /* 0: free */
	struct neap__pool_cache *cache;
};

enum { NEAP__POOL_SEATS = 8 }; /* 128 bytes of each thread; more pools than that take turns */
extern NEAP_API _Thread_local struct neap__pool_seat neap__pool_seats[NEAP__POOL_SEATS]
	__attribute__((tls_model("initial-exec")));

/* Puts back an object that has been reset and is not too large. */
NEAP_API void neap__pool_put_reset(struct neap_pool *pool, void *object);
/* Destroys an object that is too large. */
NEAP_API void neap__pool_refuse(struct neap_pool *pool, void *object);

#	define NEAP__POOL_INLINE static inline __attribute__((always_inline, unused))

/* This thread's cache, entered; NULL: there is none, or it is closed. */
NEAP__POOL_INLINE struct neap__pool_cache *neap__pool_enter(const struct neap_pool *pool)
{
	const struct neap__pool_front *front = (const struct neap__pool_front *)(const void *)pool;
	const struct neap__pool_seat *seat =
		(const struct neap__pool_seat *)(const void *)((const char *)neap__pool_seats + front->seat);
	if (__builtin_expect(seat->serial != front->serial, 0))
		return NULL;
	struct neap__pool_cache *cache = seat->cache;
	if (cache == NULL)
		__builtin_unreachable(); /* a seat with a serial has one */
#	ifdef __SANITIZE_THREAD__
	(void)atomic_exchange(&cache->busy, 1); /* the tool knows no fences */
#	else
	/* Pairs with the fence that whoever closes the cache makes this thread pass. */
	atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
#	endif
	/* Acquire: what the last one who closed it left behind. */
	if (__builtin_expect(atomic_load_explicit(&cache->closed, memory_order_acquire) == 0, 1))
		return cache;
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
	return NULL;
}

/* Release: whoever closes the cache sees what this thread did. */
NEAP__POOL_INLINE void neap__pool_leave(struct neap__pool_cache *cache)
{
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* Between enter and leave. NULL: empty. */
NEAP__POOL_INLINE void *neap__pool_pop(struct neap__pool_cache *cache)
{
	void *object = cache->hand;
	if (object != NULL) {
		cache->hits++;
		cache->hand = NULL;
		return object;
	}
	if (__builtin_expect(cache->top == cache->first, 0))
		return NULL;
	cache->hits++;
	return *--cache->top;
}

/* Between enter and leave. False: full. */
NEAP__POOL_INLINE bool neap__pool_push(struct neap__pool_cache *cache, void *object)
{
	if (__builtin_expect(cache->top >= cache->end, 0))
		return false;
	cache->puts++;
	if (cache->hand == NULL)
		cache->hand = object;
	else
		*cache->top++ = object;
	return true;
}

/* An idle object from the thread's magazine, or NULL. */
NEAP__POOL_INLINE void *neap__pool_take(const struct neap_pool *pool)
{
	struct neap__pool_cache *cache = neap__pool_enter(pool);
	if (__builtin_expect(cache == NULL, 0))
		return NULL;
	void *object = neap__pool_pop(cache);
	neap__pool_leave(cache);
	return object;
}

/* Keeps an object that has been reset. False: the thread's magazine can't. */
NEAP__POOL_INLINE bool neap__pool_keep(const struct neap_pool *pool, void *object)
{
	struct neap__pool_cache *cache = neap__pool_enter(pool);
	if (__builtin_expect(cache == NULL, 0))
		return false;
	bool kept = neap__pool_push(cache, object);
	neap__pool_leave(cache);
	return kept;
}

#endif
#endif
