/* internal.h: the bytes of the classic Go map.
 *
 *      struct neap_hmap
 *     ┌──────────────────────────┐ 0
 *     │ count                    │            ┌ bucket 0 ┐ bucket 1 ┐ … ┐ 2^B-1 ┐ made in advance ┐
 *     │ flags B noverflow hash0  │      ┌────►│          │          │   │       │    …      last ─┼─► buckets
 *     │ buckets ─────────────────┼──────┘     └────┬─────┴──────────┴───┴───────┴─────────────────┘
 *     │ oldbuckets               │                 │ overflow
 *     │ nevacuate                │            ┌────▼─────┐
 *     │ extra ───────────┐       │            │ overflow │  from the array's spare ones, or a chunk
 *     ├──────────────────┼───────┤ 48         └──────────┘
 *     │ struct extra  ◄──┘       │
 *     │ Neap's own records       │
 *     └──────────────────────────┘
 *
 *      bucket:  tophash[8] │ key[8] │ value[8] │ overflow
 *
 * The first 48 bytes are Go's, and so is every byte of a bucket and of an array. What Go leaves to its collector
 * is written down here: a `table` stands in front of each array and knows its length, the overflow buckets that
 * were allocated one by one (`chunk`), and how many iterators hold it (`pins`).
 *
 *     count        == live slots in buckets + live slots in old buckets not yet evacuated
 *     bytes        == everything that the allocator handed out and did not get back
 *     an iterator that is not done is counted in map->iterators and in the pins of the table it started in
 *
 * Not here: a lock, a shrink, anything faster than Go's.
 *
 * Credits: the Go authors' runtime/map.go, whose behaviour this is.
 */
#ifndef NEAP_SRC_HMAP_INTERNAL_H
#define NEAP_SRC_HMAP_INTERNAL_H

#include <string.h>

#include "base/alloc.h"
#include "base/registry.h"
#include "neap/hmap.h"
#include "neap/map_core.h"

enum {
	HMAP_SLOTS = NEAP_HMAP_BUCKET_SLOTS,
	HMAP_DATA = 8,	      /* keys start here: after eight tophash bytes, aligned for any key */
	HMAP_ALIGN = 8,	      /* Go aligns no key or value beyond a word */
	HMAP_NAME_BYTES = 64, /* neap/hmap.h: at most 63 bytes and a NUL */
};

/* A bucket. Keys, values and the overflow link follow; their places depend on the type. */
struct neap__hmap_bucket {
	uint8_t tophash[HMAP_SLOTS];
};

/* In front of an overflow bucket that is not part of an array. The bucket follows. */
struct neap__hmap_chunk {
	struct neap__hmap_chunk *prev, *next; /* in the table's list */
};

/* In front of an array of buckets. The array follows. */
struct neap__hmap_table {
	struct neap__hmap_table *next;	 /* in the map's list of retired tables */
	size_t buckets;			 /* in the array, those made in advance included */
	size_t pins;			 /* iterators that hold it; atomic: readers on many threads iterate */
	size_t overflow_len;		 /* overflow buckets ever taken: the length of Go's slice of them */
	struct neap__hmap_chunk *chunks; /* overflow buckets in use */
	struct neap__hmap_chunk *orphans; /* overflow buckets that clear cut off while iterators held them */
};

/* In front of the block of a key or value over 128 bytes. */
struct neap__hmap_block {
	struct neap__hmap_block *next; /* in the map's list of blocks kept for iterators */
	size_t size;		       /* of what follows */
};

/* Go's mapextra. For types without pointers Go keeps slices of the overflow buckets so that its collector sees
 * them; here the two point to the tables, which hold the same in `overflow_len`.
 */
struct neap__hmap_extra {
	struct neap__hmap_table *overflow, *oldoverflow;
	struct neap__hmap_bucket *next_overflow; /* the next spare bucket of the array, or NULL */
};

/* Go's variants of the map; ONE_STR is how strings are looked up in a map of one bucket. */
enum neap__hmap_variant { HMAP_FAST32, HMAP_FAST64, HMAP_FASTSTR, HMAP_ONE_STR, HMAP_GENERAL };

struct neap_hmap {
	struct neap_hmap_header head;  /* first: Go's 48 bytes */
	struct neap__hmap_extra extra; /* head.extra points here once Go would have made one */

	struct neap__hmap_table *table;	  /* of head.buckets */
	struct neap__hmap_table *old;	  /* of head.oldbuckets */
	struct neap__hmap_table *retired; /* given up by the map, held by iterators */
	struct neap__hmap_block *limbo;	  /* blocks deleted while iterators ran */
	struct neap__hmap_chunk *reserve; /* overflow buckets that an evacuation is sure to have */
	size_t iterators;		  /* that are running, or were abandoned; atomic */
	bool settling;			  /* a thread is freeing retired memory; atomic */

	/* What the type comes to. */
	const struct neap_hmap_type *type;
	enum neap__hmap_variant variant;
	size_t key_slot, value_slot; /* bytes of a slot: the key or a pointer to it */
	size_t values, link;	     /* offsets in a bucket; keys are at HMAP_DATA */
	size_t bucket_size;
	bool key_indirect, value_indirect;
	bool key_pointers, pointers; /* Go's ptrdata of the key, of the bucket */
	bool reflexive, key_update;

	/* How it was made. */
	struct neap_allocator allocator;
	uint64_t (*random)(void *ctx);
	void *random_ctx;
	uint64_t hash_key[2];
	uint32_t version;
	char name[HMAP_NAME_BYTES];

	size_t bytes, peak; /* handed out by the allocator now, and at most */
	uint64_t grows, same_size_grows, evacuated;

	struct neap__link listed; /* in the list of all maps */
};

/* Go's layout, which inspectors of Go processes know by heart. */
_Static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8, "Go's map is rebuilt for 64-bit machines");
_Static_assert(offsetof(struct neap_hmap, head) == 0, "a map starts with Go's header");
_Static_assert(offsetof(struct neap_hmap_header, count) == 0, "hmap.count");
_Static_assert(offsetof(struct neap_hmap_header, flags) == 8, "hmap.flags");
_Static_assert(offsetof(struct neap_hmap_header, B) == 9, "hmap.B");
_Static_assert(offsetof(struct neap_hmap_header, noverflow) == 10, "hmap.noverflow");
_Static_assert(offsetof(struct neap_hmap_header, hash0) == 12, "hmap.hash0");
_Static_assert(offsetof(struct neap_hmap_header, buckets) == 16, "hmap.buckets");
_Static_assert(offsetof(struct neap_hmap_header, oldbuckets) == 24, "hmap.oldbuckets");
_Static_assert(offsetof(struct neap_hmap_header, nevacuate) == 32, "hmap.nevacuate");
_Static_assert(offsetof(struct neap_hmap_header, extra) == 40, "hmap.extra");
_Static_assert(sizeof(struct neap_hmap_header) == 48, "hmap");
_Static_assert(offsetof(struct neap__hmap_extra, next_overflow) == 16, "mapextra.nextOverflow");
_Static_assert(sizeof(struct neap__hmap_bucket) == HMAP_DATA, "bmap");
_Static_assert(sizeof(struct neap__hmap_table) % HMAP_ALIGN == 0, "an array stays aligned behind its table");
_Static_assert(sizeof(struct neap__hmap_chunk) % HMAP_ALIGN == 0, "a bucket stays aligned behind its chunk");
_Static_assert(sizeof(struct neap__hmap_block) % HMAP_ALIGN == 0, "a key stays aligned behind its block");

/* ---- Places in a bucket ---- */

static inline struct neap__hmap_bucket *neap__hmap_at(const struct neap_hmap *map, void *array, size_t index)
{
	return (struct neap__hmap_bucket *)((uint8_t *)array + index * map->bucket_size);
}

static inline uint8_t *neap__hmap_key_slot(const struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i)
{
	return (uint8_t *)b + HMAP_DATA + i * map->key_slot;
}

static inline uint8_t *neap__hmap_value_slot(const struct neap_hmap *map, struct neap__hmap_bucket *b,
					     size_t i)
{
	return (uint8_t *)b + map->values + i * map->value_slot;
}

static inline struct neap__hmap_bucket **neap__hmap_link(const struct neap_hmap *map,
							 struct neap__hmap_bucket *b)
{
	return (struct neap__hmap_bucket **)(void *)((uint8_t *)b + map->link);
}

static inline struct neap__hmap_bucket *neap__hmap_overflow(const struct neap_hmap *map,
							    struct neap__hmap_bucket *b)
{
	return *neap__hmap_link(map, b);
}

/* What a slot stands for: itself, or the block that it points to. */
static inline void *neap__hmap_key(const struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i)
{
	uint8_t *slot = neap__hmap_key_slot(map, b, i);
	return map->key_indirect ? *(void **)(void *)slot : slot;
}

static inline void *neap__hmap_value(const struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i)
{
	uint8_t *slot = neap__hmap_value_slot(map, b, i);
	return map->value_indirect ? *(void **)(void *)slot : slot;
}

/* ---- States ---- */

static inline bool neap__hmap_empty(uint8_t tophash)
{
	return tophash <= NEAP_HMAP_EMPTY_ONE;
}

/* All slots of a chain are in an evacuated state or none is, so the first one tells. */
static inline bool neap__hmap_evacuated(const struct neap__hmap_bucket *b)
{
	return b->tophash[0] > NEAP_HMAP_EMPTY_ONE && b->tophash[0] < NEAP_HMAP_MIN_TOPHASH;
}

static inline uint8_t neap__hmap_tophash(uint64_t hash)
{
	uint8_t top = (uint8_t)(hash >> 56);
	return top < NEAP_HMAP_MIN_TOPHASH ? (uint8_t)(top + NEAP_HMAP_MIN_TOPHASH) : top;
}

static inline size_t neap__hmap_mask(unsigned B)
{
	return ((size_t)1 << B) - 1;
}

static inline bool neap__hmap_growing(const struct neap_hmap *map)
{
	return map->head.oldbuckets != NULL;
}

/* Relaxed, because a reader on another thread looks at the flags on purpose while a write may be going on. */
static inline uint8_t neap__hmap_flags(const struct neap_hmap *map)
{
	return __atomic_load_n(&map->head.flags, __ATOMIC_RELAXED);
}

static inline void neap__hmap_set_flags(struct neap_hmap *map, unsigned flags)
{
	__atomic_store_n(&map->head.flags, (uint8_t)flags, __ATOMIC_RELAXED);
}

static inline bool neap__hmap_same_size(const struct neap_hmap *map)
{
	return (neap__hmap_flags(map) & NEAP_HMAP_SAME_SIZE_GROW) != 0;
}

/* Buckets in the old array, those made in advance not counted. */
static inline size_t neap__hmap_old_buckets(const struct neap_hmap *map)
{
	return (size_t)1 << (map->head.B - !neap__hmap_same_size(map));
}

/* ---- hash.c ---- */

/* Of any key; for the variants of 4- and 8-byte keys use neap__hmap_hash. */
uint64_t neap__hmap_hash_any(const struct neap_hmap *map, const void *key);
/* The general comparison; the variants compare in place. */
bool neap__hmap_equal(const struct neap_hmap *map, const void *a, const void *b);
/* One draw: 64 random bits. */
uint64_t neap__hmap_random(const struct neap_hmap *map);

static inline uint64_t neap__hmap_word(const void *key, size_t size)
{
	uint64_t word = 0;
	memcpy(&word, key, size);
	return word;
}

/* The hash of a key of `variant`; a constant variant leaves one multiplication inline. */
static inline uint64_t neap__hmap_hash_as(const struct neap_hmap *map, enum neap__hmap_variant variant,
					  const void *key)
{
	if (map->type->hash != NULL || (variant != HMAP_FAST32 && variant != HMAP_FAST64))
		return neap__hmap_hash_any(map, key);
	const uint64_t seed[2] = {map->hash_key[0] ^ map->head.hash0, map->hash_key[1]};
	return neap__hash_word(neap__hmap_word(key, variant == HMAP_FAST32 ? 4 : 8), seed);
}

static inline uint64_t neap__hmap_hash(const struct neap_hmap *map, const void *key)
{
	return neap__hmap_hash_as(map, map->variant, key);
}

/* The chain in which a key of this hash is to be looked up: the old one until that has been evacuated. */
static inline struct neap__hmap_bucket *neap__hmap_chain(const struct neap_hmap *map, uint64_t hash)
{
	if (neap__hmap_growing(map)) {
		size_t index = hash & (neap__hmap_old_buckets(map) - 1);
		struct neap__hmap_bucket *b = neap__hmap_at(map, map->head.oldbuckets, index);
		if (!neap__hmap_evacuated(b))
			return b;
	}
	return neap__hmap_at(map, map->head.buckets, hash & neap__hmap_mask(map->head.B));
}

/* ---- memory.c ---- */

void *neap__hmap_alloc(struct neap_hmap *map, size_t size);
/* As alloc, zeroed; untouched pages of a large block cost nothing when the allocator is malloc. */
void *neap__hmap_alloc_zeroed(struct neap_hmap *map, size_t size);
void neap__hmap_free(struct neap_hmap *map, void *block, size_t size);

/* The buckets that an array for 2^B gets in all: Go rounds up to what its allocator would hand out anyway. */
size_t neap__hmap_array_buckets(const struct neap_hmap *map, unsigned B);
/* A table with a zeroed array, or NULL. */
struct neap__hmap_table *neap__hmap_table_create(struct neap_hmap *map, unsigned B);
/* Makes `table` the map's current one and its surplus buckets the spare ones. */
void neap__hmap_table_install(struct neap_hmap *map, struct neap__hmap_table *table, unsigned B);
/* The map has no more use for `table`: freed, or retired when iterators hold it. */
void neap__hmap_table_drop(struct neap_hmap *map, struct neap__hmap_table *table);
/* Does an iterator hold it? */
bool neap__hmap_table_held(const struct neap__hmap_table *table);
/* Frees whatever only iterators that are done by now had held. */
void neap__hmap_settle(struct neap_hmap *map);

/* Appends an overflow bucket to the chain that ends in `b`; NULL when memory was refused. */
struct neap__hmap_bucket *neap__hmap_new_overflow(struct neap_hmap *map, struct neap__hmap_bucket *b);
/* Makes sure that the next `n` calls of new_overflow succeed; false when memory was refused. */
bool neap__hmap_reserve_overflow(struct neap_hmap *map, size_t n);
/* Frees what reserve_overflow got and new_overflow did not use. */
void neap__hmap_unreserve(struct neap_hmap *map);
/* Frees the overflow buckets behind `b`, a bucket of the old array, and cuts them off. */
void neap__hmap_cut_chain(struct neap_hmap *map, struct neap__hmap_table *table, struct neap__hmap_bucket *b);
/* Marks that Go would have a mapextra by now. */
void neap__hmap_need_extra(struct neap_hmap *map);
/* Go's createOverflow: from now on extra.overflow is not NULL. */
void neap__hmap_need_overflow_list(struct neap_hmap *map);
/* Cuts off and frees every overflow bucket of the current table; iterators keep theirs. */
void neap__hmap_drop_overflow(struct neap_hmap *map);

void *neap__hmap_block_create(struct neap_hmap *map, size_t size);
/* Frees a block, or keeps it when iterators run. NULL is allowed. */
void neap__hmap_block_drop(struct neap_hmap *map, void *data);
void neap__hmap_free_all(struct neap_hmap *map);

static inline void *neap__hmap_array(struct neap__hmap_table *table)
{
	return table + 1;
}

/* ---- grow.c ---- */

/* More than 6.5 entries per bucket? */
bool neap__hmap_overloaded(size_t count, unsigned B);
/* About as many overflow buckets as buckets? */
bool neap__hmap_overflowing(const struct neap_hmap *map);
/* Starts a growth: twice the buckets when overloaded, else as many. 0 or NEAP_ENOMEM. */
int neap__hmap_grow(struct neap_hmap *map);
/* Evacuates the old bucket behind `bucket`, and one more. 0, or NEAP_ENOMEM when the first was not moved. */
int neap__hmap_grow_work(struct neap_hmap *map, size_t bucket);

/* ---- find.c ---- */

struct neap__hmap_place {
	struct neap__hmap_bucket *b; /* NULL: none */
	size_t i;
};

/* Looks for `key` in the chain that starts at `b`. */
struct neap__hmap_place neap__hmap_find(const struct neap_hmap *map, struct neap__hmap_bucket *b,
					const void *key, uint64_t hash);
/* Likewise, for an insert: the first empty slot, if there is one, and the last bucket that the search saw. */
struct neap__hmap_place neap__hmap_find_or_free(const struct neap_hmap *map, struct neap__hmap_bucket *b,
						const void *key, uint64_t hash,
						struct neap__hmap_place *ret_free,
						struct neap__hmap_bucket **ret_tail);
/* Look-up of neap_hmap_get: hashes, unless the map has one bucket and its variant needs no hash there. */
void *neap__hmap_get(const struct neap_hmap *map, const void *key);

/* Calls `visit` for each entry, in no useful order. The map must not change. */
void neap__hmap_each_entry(struct neap_hmap *map,
			   void (*visit)(struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i));

/* ---- glance.c ---- */

extern const struct neap__species neap__hmap_species;
extern const struct neap_beacon neap__hmap_beacon; /* layout.c */

/* ---- survey.c ---- */

void neap__hmap_survey(const void *object, struct neap__survey *survey);

/* ---- check.c ---- */

/* Walks the whole structure; NULL when every law holds, else the name of the broken one (static). */
const char *neap__hmap_check(const struct neap_hmap *map);

#endif
