/* neap/cmap.h: a hash map for many threads, whose readers write nothing that others read and whose deletes give memory back.
 *
 * The names and meanings are those of Go's sync.Map. Keys and values are described by the same struct
 * neap_map_type as those of neap/map.h, with two differences: the bytes of string keys are always copied, and a
 * value is always copied in and out; there is no pointer into the map. neap/cmap_typed.h generates functions
 * for one type of key and of value.
 *
 * Threads. Every function may be called by any thread at any time, except neap_cmap_create and
 * neap_cmap_destroy, which must not run beside any other call on that map. Every operation on one key is
 * linearisable. A load never waits, but for values of more than 8 bytes that are kept inside the table (see
 * NEAP_CMAP_INLINE_*), where it may wait for a writer that is half way through the same value. Writers wait for
 * writers of the same shard only. Both may be slow for a moment while one of them splits or merges a shard: at most
 * neap_cmap_move_bound() entries move. No function starts a thread or needs a collector.
 *
 * Fork. A child of fork has the maps as they were, whole; only the thread that called fork goes on using them.
 *
 * Not safe against a thread that is stopped for ever in the middle of an operation (pthread_cancel with
 * PTHREAD_CANCEL_ASYNCHRONOUS, or longjmp out of a hash function). A thread may end inside the callback of
 * neap_cmap_range and between neap_cmap_enter and neap_cmap_leave.
 */
#ifndef NEAP_CMAP_H
#define NEAP_CMAP_H

#include "neap/map.h"
#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_cmap;

/* A key of kind NEAP_KEY_BYTES and a value that are no longer than this lie in the table itself, unless the type
 * has a release callback. Every other entry is one block of memory, which a store replaces.
 */
#define NEAP_CMAP_INLINE_KEY   32
#define NEAP_CMAP_INLINE_VALUE 64

/* All zero means the defaults. */
struct neap_cmap_options {
	const char *name; /* copied, at most 63 bytes kept */
	/* NULL: malloc, and whole pages from the system for tables of 16 KB and more. Called by whichever thread
	 * calls the map, several at once.
	 */
	const struct neap_allocator *allocator;
	uint32_t shards;      /* least number of locks: a power of two, 2 to 4096; 0: 64 */
	const uint64_t *seed; /* two words that fix the hash: for tests; NULL: from the system */
};

/* Releases every entry and all memory. No other thread may be using the map. NULL is allowed. */
NEAP_API NEAP_FREES(1) void neap_cmap_destroy(NEAP_TAKEN struct neap_cmap *map);
/* An empty map, or NULL when memory is refused or the type or an option is out of range. `type` must outlive it.
 * About 16 KB as soon as every shard has an entry: for many small maps use neap/map.h and a lock.
 *
 * type->release is called once no reader can see the value any more, by whichever thread finds that out, in any
 * operation on the map, with no lock held. It may use the map, and must not end the thread.
 */
NEAP_API NEAP_GIVES(neap_cmap_destroy) struct neap_cmap *neap_cmap_create(
	const struct neap_map_type *type, NEAP_LENT const struct neap_cmap_options *options);

/* Copies the value of `key` to `ret_value` (may be NULL) and returns true; false: there is none. Writes to no
 * memory that another thread reads. NULL map: false.
 */
NEAP_API NEAP_NONNULL(2) bool neap_cmap_load(struct neap_cmap *map, const void *key, void *ret_value);
/* Inserts, or overwrites the value of an equal key. `value` NULL means zeroes. 0, NEAP_ENOMEM or NEAP_ENIL, with
 * the map as it was.
 */
NEAP_API NEAP_NONNULL(2) int neap_cmap_store(struct neap_cmap *map, const void *key, const void *value);
/* Inserts when the key is absent. 1: it was there, and its value is in `ret_value` (may be NULL); 0: `value` was
 * stored; or NEAP_ENOMEM, NEAP_ENIL.
 */
NEAP_API NEAP_NONNULL(2) int neap_cmap_load_or_store(struct neap_cmap *map, const void *key,
						     const void *value, void *ret_value);
/* Deletes; true when there was such an entry. Never fails for want of memory. */
NEAP_API NEAP_NONNULL(2) bool neap_cmap_delete(struct neap_cmap *map, const void *key);
/* Deletes and copies the value out, which is not handed to `release`: what it owns is the caller's, but a thread
 * that loaded it before may still be using it (see neap_cmap_synchronize). The key is released, with value NULL.
 */
NEAP_API NEAP_NONNULL(2) bool neap_cmap_load_and_delete(struct neap_cmap *map, const void *key,
							void *ret_value);
/* Stores `value` when the present value has the bytes of `expected`. 1: done; 0: absent or another value;
 * NEAP_ENOMEM or NEAP_ENIL.
 */
NEAP_API NEAP_NONNULL(2, 3) int neap_cmap_compare_and_swap(struct neap_cmap *map, const void *key,
							   const void *expected, const void *value);
/* Deletes when the present value has the bytes of `expected`; true when it did. */
NEAP_API NEAP_NONNULL(2, 3) bool neap_cmap_compare_and_delete(struct neap_cmap *map, const void *key,
							      const void *expected);

/* Calls `each` with copies of every key and value until it returns false. An entry that stays in the map all the
 * time is seen exactly once, any other at most once. Each shard is seen as it was at one moment; different shards
 * at different moments. `each` may use the map, and may end the thread. Allocates a copy of one shard at a time:
 * 0, or NEAP_ENOMEM after some entries were seen.
 */
NEAP_API int neap_cmap_range(struct neap_cmap *map,
			     bool (*each)(const void *key, const void *value, void *ctx), void *ctx);
/* Deletes every entry at one moment: takes all locks. */
NEAP_API void neap_cmap_clear(struct neap_cmap *map);
/* Number of entries: the sum over the shards, each at its own moment. Exact when nobody writes. */
NEAP_API size_t neap_cmap_len(const struct neap_cmap *map);
NEAP_API const char *neap_cmap_name(const struct neap_cmap *map);

/* Between enter and leave, nothing that this thread loads from any concurrent map is released. Sections nest:
 * leave gets what enter returned. Memory that others delete meanwhile is kept, so sections should be short.
 */
NEAP_API NEAP_CHECKED uint64_t neap_cmap_enter(void);
NEAP_API void neap_cmap_leave(uint64_t outer);
/* Waits until every section and every load that was running has ended. Must not be called within a section. */
NEAP_API void neap_cmap_synchronize(void);
/* Frees everything deleted that no reader can see any more; returns the bytes that still wait. Deletes do this by
 * themselves whenever 16 KB are waiting.
 */
NEAP_API size_t neap_cmap_reclaim(struct neap_cmap *map);

/* Where the bytes are. live + empty + waiting + metadata == total, exactly when nobody writes. */
struct neap_cmap_stats {
	size_t size; /* sizeof(struct neap_cmap_stats): set it before the call */
	size_t len, slots;
	size_t live;	 /* bytes of slots with an entry, and of blocks */
	size_t empty;	 /* bytes of the other slots */
	size_t waiting;	 /* deleted, but a reader may still see it */
	size_t metadata; /* header, directory, shards, control words, what rounding to pages takes */
	size_t total;
	size_t shards, directory_entries;
	uint64_t resizes, splits, merges, reclaims; /* since creation */
	size_t longest_probe;			    /* buckets that a look-up may have to visit */
	bool fences; /* the system refused membarrier: every load pays a full fence instead */
};

/* Fills `ret`. Takes the locks of the shards one after the other. */
NEAP_API NEAP_NONNULL(2) void neap_cmap_stats(struct neap_cmap *map, struct neap_cmap_stats *ret);
/* The most entries that one operation moves, unless the hash is degenerate. */
NEAP_API size_t neap_cmap_move_bound(const struct neap_cmap *map);

#ifdef __cplusplus
}
#endif

#endif
