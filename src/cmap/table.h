/* table.h: finding, adding and removing in one table, for readers without a lock and for the writer with it.
 *
 * Size. The code of a table is 2 e + b: it has (2 + b) * 2^e / 2 buckets, 1, 2, 3, 4, 6, 8, 12 ...
 *
 * The reader's side is neap/cmap_core.h.
 *
 * What readers rely on (u: what is read; all reads and writes are atomic, so that no word is ever torn)
 *
 *   add      words of the slot;  tags with release
 *   remove   tags;  turn + 2;  release fence
 *   change   one word of value: that word with release.  Several: turn + 1, release fence, words, turn + 1 with release
 *
 *   look-up  u turn;  u tags;  for each slot with the tag: u key words, u value words;  acquire fence;  u turn again
 *
 * Claim 1: a hit is right. Key and value were read between two equal, even turns. An entry that left its slot in
 * between would have moved the turn: its `turn + 2` comes before the words of whatever took the slot next, and a
 * reader of one of those words also sees the turn (release fence, acquire fence). The same fences keep a
 * value of several words whole; a value of one word is read at once. So at the moment when the value was read, the
 * key had that value.
 *
 * Claim 2: a miss is right. An entry does not move within a table: it is added once and removed once. If the key was in
 * the table during the whole look-up, every bucket between its home and its own had passed > 0 all the time, so
 * the look-up reached its bucket, found its tag in the one read of the tags, and read its key, which never changed.
 * So the key was absent at some moment of the look-up, and that is where the look-up counts.
 *
 * Claim 3: a table that was replaced can still be read. Its last writer held the lock while it copied, and nobody
 * writes it afterwards: it is the truth at the moment at which it was replaced. The reader found it before that
 * moment and returns after it, so its answer counts there. (A reader that starts later finds the new table.)
 *
 * Nodes need none of the turns: the address is read once, the node's key is compared, and the node never changes.
 */
#ifndef NEAP_SRC_CMAP_TABLE_H
#define NEAP_SRC_CMAP_TABLE_H

#include "cmap/internal.h"

enum { NEAP__PASSED_MOST = 255 };
#define NEAP__PASSED_1 (UINT64_C(1) << 56)

/* The table of a shard without entries: one bucket of nothing. */
extern const struct neap__bucket neap__no_bucket;

enum {
	NEAP__TRIES = 64 /* at a bucket whose value is being written, before the reader waits for the lock */
};

static inline uint64_t neap__code_buckets(unsigned code)
{
	return ((uint64_t)(2 + (code & 1)) << (code >> 1)) >> 1;
}

static inline uintptr_t neap__table_word(const void *buckets, unsigned code)
{
	return (uintptr_t)buckets | (uintptr_t)(code & 1) << 63 | (33 - (code >> 1));
}

static inline unsigned neap__table_code(uintptr_t word)
{
	return (unsigned)(2 * (33 - (word & 63)) + (word >> 63));
}

static inline uint64_t neap__next_bucket(uint64_t index, uintptr_t table)
{
	return index + 1 == neap__code_buckets(neap__table_code(table)) ? 0 : index + 1;
}

/* Entries that a table may hold before it grows: 13/16 of its slots; measured, see docs/cmap.md. */
static inline uint64_t neap__code_limit(unsigned code)
{
	return code == 0 ? (uint64_t)NEAP__BUCKET_SLOTS
			 : neap__code_buckets(code) * NEAP__BUCKET_SLOTS * 13 / 16;
}

/* The smallest table in which `n` entries are at most 4/5 of the limit, so that it is not left at once. */
static inline unsigned neap__code_for(uint64_t n)
{
	unsigned code = 0;
	while (neap__code_limit(code) < n + n / 4)
		code += code == 0 ? 2 : 1; /* code 1 would be one and a half buckets */
	return code;
}

static inline struct neap__bucket *neap__bucket_at(const struct neap_cmap *map, uintptr_t table,
						   uint64_t index)
{
	return (struct neap__bucket *)(neap__table_buckets(table) + index * map->bucket_words * 8);
}

/* For the holder of the lock: where a key is, or NULL. */
struct neap__spot {
	struct neap__bucket *bucket;
	unsigned slot;
};

static inline _Atomic uint64_t *neap__slot_words(const struct neap_cmap *map, struct neap__bucket *bucket,
						 unsigned slot)
{
	return bucket->words + (size_t)slot * map->slot_words;
}

static inline struct neap__node *neap__slot_node(const struct neap__bucket *bucket, unsigned slot)
{
	return (struct neap__node *)(uintptr_t)atomic_load_explicit(&bucket->words[slot],
								    memory_order_acquire);
}

enum neap__outcome neap__table_load(const struct neap_cmap *map, uintptr_t table, uint64_t hash,
				    const void *key, void *ret_value);
struct neap__spot neap__table_find(const struct neap_cmap *map, uintptr_t table, uint64_t hash,
				   const void *key);
/* Adds an entry whose words are given (the key's and the value's, or a node's address); there must be room. */
void neap__table_add(const struct neap_cmap *map, uintptr_t table, uint64_t hash, const uint64_t *words);
void neap__table_remove(const struct neap_cmap *map, uintptr_t table, uint64_t hash, struct neap__spot spot);
/* Overwrites the value words, or the node's address. */
void neap__table_change(const struct neap_cmap *map, struct neap__spot spot, const uint64_t *words);
/* Reads the words of a slot, under the lock. */
void neap__spot_words(const struct neap_cmap *map, struct neap__spot spot, uint64_t *ret);

/* Every entry, under the lock or in a table that nobody writes:
 *     for (struct neap__walk w = neap__walk_start(map, table); neap__walk_next(&w);) use(w.spot)
 */
struct neap__walk {
	const struct neap_cmap *map;
	uintptr_t table;
	uint64_t bucket, buckets, left;
	struct neap__spot spot;
};

struct neap__walk neap__walk_start(const struct neap_cmap *map, uintptr_t table);
bool neap__walk_next(struct neap__walk *walk);

#endif
