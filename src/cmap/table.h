/* table.h: finding, adding and removing in one table, for readers without a lock and for the writer with it.
 *
 * Size. The low 6 bits of a table's word are its code, 2 e + b: it has (2 + b) * 2^e / 2 buckets, 1, 2, 3, 4, 6, 8, 12
 * ... The home bucket is the 32 home bits of the hash scaled to that number.
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

enum { NEAP__CODE_MASK = 63, NEAP__PASSED_MOST = 255 };
#define NEAP__TAG_LOW  UINT64_C(0x0001010101010101)
#define NEAP__PASSED_1 (UINT64_C(1) << 56)

/* The table of a shard without entries: one bucket of nothing. */
extern const struct neap__bucket neap__no_bucket;

static inline uint64_t neap__code_buckets(unsigned code)
{
	return ((uint64_t)(2 + (code & 1)) << (code >> 1)) >> 1;
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

static inline uint64_t neap__home_bucket(uint64_t hash, unsigned code)
{
	return ((uint64_t)(uint32_t)(hash >> 8) * (2 + (code & 1))) >> (33 - (code >> 1));
}

static inline uint64_t neap__cmap_tag(uint64_t hash)
{
	uint64_t tag = hash & 0xff;
	return tag + (tag == 0);
}

static inline struct neap__bucket *neap__bucket_at(const struct neap_cmap *map, uintptr_t table,
						   uint64_t index)
{
	return (struct neap__bucket *)((table & ~(uintptr_t)NEAP__CODE_MASK) + index * map->bucket_words * 8);
}

/* The top bit of byte i for every slot i with this tag. Exact: a false bit could name a slot without an entry, which
 * still has the words of the one that left (Hacker's Delight 6-1: no carry crosses a byte).
 */
static inline uint64_t neap__tags_match(uint64_t tags, uint64_t tag)
{
	const uint64_t low7 = UINT64_C(0x007f7f7f7f7f7f7f);
	uint64_t differs = tags ^ tag * NEAP__TAG_LOW;
	return ~(((differs & low7) + low7) | differs | low7) & UINT64_C(0x0080808080808080);
}

static inline unsigned neap__match_slot(uint64_t match)
{
	return (unsigned)__builtin_ctzll(match) / 8;
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

enum neap__outcome { NEAP__ABSENT, NEAP__FOUND, NEAP__CHANGED };

/* At a bucket whose value is being written, before the reader waits for the lock. */
enum { NEAP__TRIES = 64 };

static inline uint64_t neap__next_bucket(uint64_t index, unsigned code)
{
	return index + 1 == neap__code_buckets(code) ? 0 : index + 1;
}

static inline bool neap__same_key(const _Atomic uint64_t *words, const uint64_t *key, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (atomic_load_explicit(&words[i], memory_order_relaxed) != key[i])
			return false;
	return true;
}

/* One bucket, once: claims 1 and 2. `kw` and `vw` are constants in the common case. */
static inline __attribute__((always_inline)) enum neap__outcome
neap__look(const struct neap__bucket *bucket, uint64_t tags, uint64_t tag, const uint64_t *key, unsigned kw,
	   unsigned vw, uint64_t turn, uint64_t *ret)
{
	for (uint64_t match = neap__tags_match(tags, tag); match != 0; match &= match - 1) {
		const _Atomic uint64_t *words = bucket->words + (size_t)neap__match_slot(match) * (kw + vw);
		if (!neap__same_key(words, key, kw))
			continue;
		for (unsigned i = 0; i < vw; i++)
			ret[i] = atomic_load_explicit(&words[kw + i], memory_order_acquire);
		atomic_thread_fence(memory_order_acquire);
		return atomic_load_explicit(&bucket->turn, memory_order_relaxed) == turn && (turn & 1) == 0
			       ? NEAP__FOUND
			       : NEAP__CHANGED;
	}
	return NEAP__ABSENT;
}

/* All buckets on the way. NEAP__CHANGED: a writer was in the way NEAP__TRIES times. */
static inline __attribute__((always_inline)) enum neap__outcome
neap__load_words(const struct neap_cmap *map, uintptr_t table, uint64_t hash, const uint64_t *key,
		 unsigned kw, unsigned vw, uint64_t *ret)
{
	const unsigned code = table & NEAP__CODE_MASK;
	const uint64_t home = neap__home_bucket(hash, code), tag = neap__cmap_tag(hash);
	unsigned tries = 0;
	for (uint64_t index = home;;) {
		const struct neap__bucket *bucket = neap__bucket_at(map, table, index);
		__builtin_prefetch((const uint8_t *)bucket + 64); /* where half of the slots are */
		uint64_t turn = atomic_load_explicit(&bucket->turn, memory_order_acquire);
		uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_acquire);
		enum neap__outcome outcome = neap__look(bucket, tags, tag, key, kw, vw, turn, ret);
		if (__builtin_expect(outcome == NEAP__FOUND, 1))
			return NEAP__FOUND;
		if (outcome == NEAP__CHANGED) {
			if (++tries == NEAP__TRIES)
				return NEAP__CHANGED;
			continue;
		}
		if (__builtin_expect(tags >> 56 == 0, 1))
			return NEAP__ABSENT;
		index = neap__next_bucket(index, code);
		if (index == home)
			return NEAP__ABSENT;
	}
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
