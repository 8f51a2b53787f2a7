/* neap/cache.h: a cache with bounds, whose entries expire without timers, threads or leftovers.
 *
 * Bounded in entries and in bytes, evicted by S3-FIFO; entries live for a time from their last store, or from their
 * last use, or both. Expired entries are removed by whatever operation comes next, at most NEAP_CACHE_STEP
 * entries at a time, so no operation ever stops to clean up. Keys and values are described by struct neap_map_type;
 * string keys are always copied, values are copied in and out.
 *
 * Threads. Every function but create and destroy may be called by any thread at any time. Each shard has one lock, held
 * for at most NEAP_CACHE_STEP visits of entries (neap_cache_clear: of all); neap_cache_load also waits for another thread's loader.
 * Callbacks run without the lock, except `retain` and the hash and equality of a user's key. No function starts a
 * thread or runs a collection.
 */
#ifndef NEAP_CACHE_H
#define NEAP_CACHE_H

#include "neap/map.h"
#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_cache;

/* Entries that one operation visits at most to expire and evict; neap_cache_clear and _destroy visit all. */
#define NEAP_CACHE_STEP 256

/* All zero means: no bound, nothing expires. Times are in nanoseconds. */
struct neap_cache_options {
	const char *name;			/* copied, at most 63 bytes kept */
	const struct neap_allocator *allocator; /* NULL: malloc; called under a shard's lock */
	size_t max_entries;			/* 0: no bound */
	size_t max_bytes; /* of entries, their share of the index, and what `weigh` says; 0: no bound */
	uint64_t ttl;  /* an entry lives this long after it was stored; 0, or 2^45 ticks and more: for ever */
	uint64_t idle; /* ... and this long after it was last used; 0: for ever; less than 2^30 ticks */
	uint64_t stale; /* after its end an entry may be handed out for this long while it is loaded anew;
			   * less than 2^29 ticks
			   */
	uint64_t
		tick; /* how exact times are; 0: 10 ms. An entry never ends early, and at most two ticks late */
	uint32_t shards; /* locks, each with its part of the bounds: a power of two up to 64; 0: 1 */

	/* Nanoseconds that never matter by themselves, only their differences. May jump: when it goes back, time stands
	 * still until it has caught up; when it leaps by more than 2^30 ticks over more ended entries than one operation
	 * may visit, the rest of the leap does not count. NULL: the coarse monotonic clock.
	 */
	uint64_t (*clock)(void *ctx);
	/* Bytes outside of the value that it holds. Called once for each value that is stored. May be NULL. */
	size_t (*weigh)(const void *key, const void *value, void *ctx);
	/* Called under the lock on every value that is copied out, so that a reference can be counted before anybody can
	 * release the value. Must not touch the cache. May be NULL.
	 */
	void (*retain)(void *value, void *ctx);
	void *ctx;
	const uint64_t *seed; /* two words that fix the hash: for tests; NULL: from the system */
};

/* Releases every entry and all memory. No other thread may be using it. NULL is allowed. */
NEAP_API NEAP_FREES(1) void neap_cache_destroy(NEAP_TAKEN struct neap_cache *cache);
/* An empty cache, or NULL when memory is refused or the type or an option is out of range. `type` must outlive it.
 * type->release gets every key and value that leaves: expired, evicted, deleted, cleared; an overwritten value with key
 * NULL. It may use the cache.
 */
NEAP_API NEAP_GIVES(neap_cache_destroy) struct neap_cache *neap_cache_create(
	const struct neap_map_type *type, NEAP_LENT const struct neap_cache_options *options);

/* Copies the value of a live entry to `ret_value` (may be NULL) and counts a use; false: there is none. */
NEAP_API NEAP_NONNULL(1, 2) bool neap_cache_get(struct neap_cache *cache, const void *key, void *ret_value);
/* Stores, for the time that the options say. 0; NEAP_ENOMEM; NEAP_ETOOBIG when the entry alone is over the bounds, or
 * when a step of evictions did not make room for it. After an error the old value is still there.
 */
NEAP_API NEAP_NONNULL(1, 2) int neap_cache_put(struct neap_cache *cache, const void *key, const void *value);
/* The same with a time of its own, 0: for ever. */
NEAP_API NEAP_NONNULL(1, 2) int neap_cache_put_for(struct neap_cache *cache, const void *key,
						   const void *value, uint64_t ttl);
/* Deletes; true when there was a live entry. */
NEAP_API NEAP_NONNULL(1, 2) bool neap_cache_delete(struct neap_cache *cache, const void *key);

/* Fills `ret_value` and returns 0, or an error, which nobody remembers. */
typedef int neap_cache_loader(const void *key, void *ret_value, void *ctx);
/* The value of `key`: from the cache, or from `loader`, which runs without a lock, once for all threads that ask for the
 * same key meanwhile; they wait, or get the stale value when there is one. 0; the loader's error, handed to all
 * who waited; NEAP_ENOMEM. `ret_value` must not be NULL. A value that has no room in the cache is still handed to the caller, and its
 * release is the caller's then: *ret_kept (may be NULL) is false. When the loader ends its thread, a waiter loads.
 */
NEAP_API NEAP_NONNULL(1, 2, 3, 5) NEAP_CHECKED
	int neap_cache_load(struct neap_cache *cache, const void *key, neap_cache_loader *loader, void *ctx,
			    void *ret_value, bool *ret_kept);

/* Removes expired entries, at most NEAP_CACHE_STEP in each shard. True when more are due. For quiet times: nothing
 * depends on it.
 */
NEAP_API bool neap_cache_expire(struct neap_cache *cache);
/* Removes everything, in time proportional to it. */
NEAP_API void neap_cache_clear(struct neap_cache *cache);
/* Entries, expired ones that were not removed yet included. */
NEAP_API size_t neap_cache_len(struct neap_cache *cache);

struct neap_cache_stats {
	size_t size; /* sizeof(struct neap_cache_stats): set it before the call */
	size_t len, bytes;
	size_t overhead; /* bytes of tables, wheels and the memory of evicted keys; not part of the bound */
	uint64_t hits, misses;
	uint64_t stored, overwritten, deleted, expired, evicted, refused;
	uint64_t loads, load_errors, waits, stale; /* stale: handed out after its end */
	size_t longest_step; /* entries that one operation visited, at most NEAP_CACHE_STEP */
};

NEAP_API NEAP_NONNULL(1, 2) void neap_cache_stats(struct neap_cache *cache, struct neap_cache_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
