/* neap/hmap.h: the classic Go map, as it was up to Go 1.23, state for state.
 *
 * It is here as a yardstick and as ground truth: a header of 48 bytes, buckets of eight slots, overflow chains,
 * growth that moves one or two buckets per write, and deletes that leave the memory where it is. For a map
 * whose memory follows its entries take neap/map.h. docs/hmap.md draws the layout and tells how it works.
 *
 * A map is a handle: copying the pointer shares the map. A NULL map is Go's nil map: it reads as empty and
 * refuses writes with NEAP_ENIL.
 *
 * Memory. There is no collector under it: arrays, overflow buckets and blocks of large keys and values come
 * from one struct neap_allocator and go back to it when Go's collector could have taken them. What a running
 * iterator still needs stays until that iterator is done (neap_hmap_iter_deinit).
 *
 * Threads. Many threads may read one map at once, or one may write. Each write marks the map while it runs;
 * whoever meets the mark stops the program ("concurrent map writes", "concurrent map read and map write",
 * "concurrent map iteration and map write": struct neap_fault). As in Go this is a trap, not a lock: it
 * catches most such accidents, not all. Nothing here starts a thread, waits for a lock, or collects.
 */
#ifndef NEAP_HMAP_H
#define NEAP_HMAP_H

#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_hmap;

/* What a key is. It decides, with the sizes, which of Go's variants of the map is used: 4-byte keys, 8-byte
 * keys, strings, or the general one. Values of more than 128 bytes always take the general one.
 */
enum neap_hmap_kind {
	NEAP_HMAP_BYTES =
		0, /* equal when all key_size bytes are: integers, pointers, structs without padding */
	NEAP_HMAP_F32 = 1, /* float, as in Go: 0 == -0, and a NaN equals nothing, not even itself */
	NEAP_HMAP_F64 = 2, /* double, likewise */
	NEAP_HMAP_STR = 3, /* struct neap_str */
	NEAP_HMAP_USER = 4 /* the `hash` and `equal` of the type */
};

/* Flags of struct neap_hmap_type. Go treats keys and values with pointers differently: it clears them sooner,
 * for its collector's sake. String keys, and all keys and values over 128 bytes, count as pointers anyway.
 */
enum neap_hmap_type_flags {
	NEAP_HMAP_KEY_POINTERS = 1u << 0,
	NEAP_HMAP_VALUE_POINTERS = 1u << 1,
	/* NEAP_HMAP_USER only: some key differs from itself, as an interface that holds a NaN does. */
	NEAP_HMAP_IRREFLEXIVE = 1u << 2,
	/* NEAP_HMAP_USER only: equal keys may differ in their bytes; overwriting stores the new key's bytes. */
	NEAP_HMAP_KEY_UPDATE = 1u << 3,
};

/* Keys and values larger than this many bytes are held by pointer in blocks of their own. */
#define NEAP_HMAP_INLINE_MAX 128
/* Slots in a bucket. */
#define NEAP_HMAP_BUCKET_SLOTS 8

/* What the entries of a map are. Must outlive every map of the type; usually static const.
 *
 * The bytes of string keys, and whatever else a key points to, belong to the caller. They must stay readable
 * until the entry is deleted and every iterator that was started before the delete is done: an iterator in an
 * old array looks at old copies of keys. As in Go, overwriting the value of an equal string, float or
 * NEAP_HMAP_KEY_UPDATE key replaces the stored key by the one passed in.
 */
struct neap_hmap_type {
	uint32_t size; /* sizeof(struct neap_hmap_type), so that the struct may grow */
	uint32_t kind; /* enum neap_hmap_kind */
	uint32_t flags;
	uint32_t key_size, key_align;	  /* bytes; up to 2^20, a multiple of the alignment: 1, 2, 4 or 8 */
	uint32_t value_size, value_align; /* bytes; value_size 0 and value_align 1 make a set */

	/* Needed for NEAP_HMAP_USER; for the other kinds NULL means the library's hash. Equal keys must hash
	 * alike; the low bits choose the bucket and the top byte the tophash, so all 64 bits must be good. Of
	 * keys that differ from themselves every call should return another value.
	 */
	uint64_t (*hash)(const void *key, uint64_t seed);
	bool (*equal)(const void *a, const void *b); /* NEAP_HMAP_USER only */

	/* Called with each value that leaves the map: deleted, overwritten by neap_hmap_put, cleared,
	 * destroyed. May be NULL. Must not touch the map.
	 */
	void (*release)(void *value, void *ctx);
	void *release_ctx;
};

/* Whose behaviour. 1.22 differs from 1.19 in three places: how many overflow buckets are made in advance for
 * keys or values with pointers (the allocator grew a header), clear ends running iterators, and an iteration's
 * start is drawn from 64 random bits. With 1.19 an iterator that runs on after a clear may produce entries that
 * were cleared, with values that were released. (Go 1.20 and 1.21 grew at a load of 6, by accident; not rebuilt here.)
 */
enum neap_hmap_version { NEAP_HMAP_GO_1_22 = 0, NEAP_HMAP_GO_1_19 = 1 };

/* All zero means the defaults. */
struct neap_hmap_options {
	const char *name;			/* shown by tools and faults; copied, at most 63 bytes kept */
	const struct neap_allocator *allocator; /* NULL: malloc */
	size_t hint;				/* entries to expect: the second argument of Go's make */
	uint32_t version;			/* enum neap_hmap_version */
	const uint32_t *hash0; /* fixes the first hash seed (tests, pictures); NULL: random */
	/* Every random draw of the map: hash seeds, starts of iterations, NaN hashes, the sampling of
	 * overflow buckets. NULL: the library's own. Called by the thread that calls the map.
	 */
	uint64_t (*random)(void *ctx);
	void *random_ctx;
};

/* Releases every value and all memory, that kept for iterators too: none of them may be used afterwards, nor
 * deinited. NULL is allowed.
 */
NEAP_API NEAP_FREES(1) void neap_hmap_destroy(struct neap_hmap *map);
/* An empty map of `type`, or NULL when the allocator refuses or the type is out of range. `options` may be
 * NULL. A hint that would need more memory than there are addresses counts as 0, as in Go. The caller owns it.
 */
NEAP_API NEAP_GIVES(neap_hmap_destroy) struct neap_hmap *neap_hmap_create(
	const struct neap_hmap_type *type, const struct neap_hmap_options *options);

/* Number of entries; 0 for NULL. */
NEAP_API size_t neap_hmap_len(const struct neap_hmap *map);
/* The name given at creation, or "unnamed". Lives as long as the map. */
NEAP_API const char *neap_hmap_name(const struct neap_hmap *map);
NEAP_API const struct neap_hmap_type *neap_hmap_type_of(const struct neap_hmap *map);

/* The value of `key`, or NULL. Valid until the map changes. For a set, a pointer not to be dereferenced. */
NEAP_API NEAP_NONNULL(2) void *neap_hmap_get(const struct neap_hmap *map, const void *key);
/* Inserts the entry, or overwrites the value of an equal key. `value` may be NULL for zeroes and must not
 * point into this map. 0; or NEAP_ENIL, or NEAP_ENOMEM with the entries as they were.
 */
NEAP_API NEAP_NONNULL(2) int neap_hmap_put(struct neap_hmap *map, const void *key, const void *value);
/* The value slot of `key`, inserted with a zeroed value when it was absent; `ret_inserted` (may be NULL) says
 * which. NULL when memory was refused or the map is NULL, with the entries as they were. Valid until the map
 * changes.
 */
NEAP_API NEAP_NONNULL(2) void *neap_hmap_slot(struct neap_hmap *map, const void *key, bool *ret_inserted);
/* Deletes; true when there was such an entry. Gives back no memory but the blocks of a large key or value.
 * Never fails for want of memory: a bucket that can't be moved now is moved later.
 */
NEAP_API NEAP_NONNULL(2) bool neap_hmap_delete(struct neap_hmap *map, const void *key);
/* Deletes every entry, NaN keys too; keeps the bucket array, frees overflow buckets and an unfinished
 * evacuation's old array. NULL is allowed.
 */
NEAP_API void neap_hmap_clear(struct neap_hmap *map);

/* Iteration.
 *
 *     struct neap_hmap_iter it;
 *     neap_hmap_iter_init(&it, map);
 *     while (neap_hmap_iter_next(&it))
 *             use(it.key, it.value);
 *     neap_hmap_iter_deinit(&it);
 *
 * Starts at a random bucket and slot and goes once around. As in Go the loop may insert and delete: an entry
 * that stays is produced exactly once, one deleted before it was reached is not produced, one inserted may or
 * may not be. Allocates nothing.
 *
 * An iterator holds on to the bucket array it started in. It lets go when next returns false or at deinit; one
 * that is abandoned in the middle does no harm but keeps that memory until the map is destroyed. Must not be
 * copied.
 */
struct neap_hmap_iter {
	const void
		*key; /* the iterator's own copy (blocks of large keys excepted); valid until the next step */
	void *value;  /* valid until the map changes */
	/* The rest belongs to src/hmap/iterate.c, which explains it. */
	struct neap_hmap *neap__map;
	void *neap__home, *neap__away;
	uint8_t *neap__buckets, *neap__at;
	size_t neap__start, neap__bucket, neap__check;
	uint8_t neap__offset, neap__wrapped, neap__B, neap__i;
	uint64_t neap__key[NEAP_HMAP_INLINE_MAX / 8];
};

/* Starts an iteration; `map` may be NULL. Any number of iterators may run on one map. */
NEAP_API NEAP_NONNULL(1) void neap_hmap_iter_init(struct neap_hmap_iter *it, struct neap_hmap *map);
/* Steps to the next entry and sets key and value; false at the end, and from then on. */
NEAP_API NEAP_NONNULL(1) bool neap_hmap_iter_next(struct neap_hmap_iter *it);
/* Ends the iteration; needed after a loop that was left early, harmless after others and when repeated. */
NEAP_API NEAP_NONNULL(1) void neap_hmap_iter_deinit(struct neap_hmap_iter *it);

/* ---- Looking inside ---- */

/* What a tophash byte says about its slot. Anything from NEAP_HMAP_MIN_TOPHASH on is an entry: the top byte of
 * the key's hash, plus 5 when it was below 5.
 */
enum neap_hmap_tophash {
	NEAP_HMAP_EMPTY_REST = 0,      /* empty, and so is every later slot of the chain */
	NEAP_HMAP_EMPTY_ONE = 1,       /* empty: the tombstone */
	NEAP_HMAP_EVACUATED_X = 2,     /* moved to the same place of the new array */
	NEAP_HMAP_EVACUATED_Y = 3,     /* moved to the upper half of the new array */
	NEAP_HMAP_EVACUATED_EMPTY = 4, /* was empty when its bucket was moved */
	NEAP_HMAP_MIN_TOPHASH = 5
};

enum neap_hmap_flags {
	NEAP_HMAP_ITERATOR = 1,	      /* an iterator may use buckets */
	NEAP_HMAP_OLD_ITERATOR = 2,   /* an iterator may use oldbuckets: they are not cleared */
	NEAP_HMAP_WRITING = 4,	      /* a write is going on */
	NEAP_HMAP_SAME_SIZE_GROW = 8, /* the growth in progress keeps the size */
};

/* The first 48 bytes of a map: Go's hmap, byte for byte. There is no dirty bit in it. */
struct neap_hmap_header {
	size_t count;	    /* entries */
	uint8_t flags;	    /* enum neap_hmap_flags */
	uint8_t B;	    /* there are 2^B buckets, not counting overflow buckets */
	uint16_t noverflow; /* overflow buckets; from B = 16 on a sampled count, 1 in 2^(B-15) */
	uint32_t hash0;	    /* hash seed; drawn anew when the last entry is deleted */
	void *buckets;	  /* 2^B buckets and those made in advance; NULL until the first write when B is 0 */
	void *oldbuckets; /* the previous array while a growth is unfinished, else NULL */
	uintptr_t nevacuate; /* every old bucket below this number has been moved */
	void *extra;	     /* bookkeeping of overflow buckets; NULL until needed */
};

/* The live header, valid as long as the map. `map` must not be NULL. For threads that may read the map. */
NEAP_API const struct neap_hmap_header *neap_hmap_header(const struct neap_hmap *map);

/* One bucket, as neap_hmap_each_bucket shows it. Valid during the call. */
struct neap_hmap_bucket {
	size_t index;		/* of the chain it belongs to, within its array */
	unsigned depth;		/* 0: the bucket in the array; 1 and more: overflow buckets behind it */
	bool old;		/* in oldbuckets */
	bool in_array;		/* an array's bucket, or an overflow bucket made in advance behind it */
	const uint8_t *tophash; /* 8 of them: enum neap_hmap_tophash */
	/* 8 slots each. A slot is a pointer when the key or value is over 128 bytes; follow it only under the
	 * tophash of an entry: under an evacuated mark its block may be gone.
	 */
	const void *keys;
	const void *values;
	size_t bytes; /* of the bucket, from tophash to the overflow link */
};

/* Shows every bucket: for each number the one in oldbuckets first, each followed by its overflow chain.
 * Stops when `visit` returns false. `visit` must not write to the map.
 */
NEAP_API void neap_hmap_each_bucket(const struct neap_hmap *map,
				    bool (*visit)(const struct neap_hmap_bucket *bucket, void *ctx),
				    void *ctx);

/* Where the bytes of a map are:
 *
 *     live + tombstone + empty + evacuated + retired + metadata == total
 *
 * exactly, and total is what the allocator has handed out for this map and not got back.
 */
struct neap_hmap_stats {
	size_t size; /* sizeof(struct neap_hmap_stats): set it before the call */

	size_t len;		/* entries */
	size_t slots;		/* in buckets and their overflow chains, the unmoved old ones included */
	size_t tombstone_slots; /* emptyOne among them */
	size_t empty_slots;	/* emptyRest among them */

	/* Bytes. A slot is its key and its value. */
	size_t live;	  /* slots with an entry, and the blocks of large keys and values */
	size_t tombstone; /* emptyOne slots */
	size_t empty; /* emptyRest slots, and the slots of overflow buckets made in advance and not used yet */
	size_t evacuated; /* slots of old buckets whose entries have been moved: held by the unfinished growth */
	size_t retired;	 /* arrays, overflow buckets and blocks kept only for iterators */
	size_t metadata; /* header, tophashes, overflow links, bookkeeping */
	size_t total;

	/* Parts of the sums above, bytes. */
	size_t old_bytes;      /* the old array and its overflow buckets */
	size_t overflow_bytes; /* overflow buckets in use, those in the array included */
	size_t unlike_go; /* records that Go does not need, because it has a collector, or keeps in its heap */

	/* Structure. */
	size_t buckets, old_buckets; /* in the arrays, those made in advance not counted */
	size_t overflow_buckets;     /* in use behind buckets, not the old ones */
	size_t old_overflow_buckets;
	size_t spare_buckets; /* made in advance and not used yet */
	size_t nevacuate;
	uint32_t noverflow;
	uint32_t B, flags;
	double load; /* entries per bucket */

	/* Since creation. */
	uint64_t grows, same_size_grows, buckets_evacuated;
	size_t peak_total;
};

/* Fills `ret`; walks every bucket. NULL map: all zero. Not beside iterations on other threads. */
NEAP_API NEAP_NONNULL(2) void neap_hmap_stats(const struct neap_hmap *map, struct neap_hmap_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
