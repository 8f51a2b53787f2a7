/* shard.c: tables grow and shrink under the lock of their shard, shards split in two and merge with their other half.
 *
 *   more than the limit   a larger table; from NEAP__TABLE_BYTES on two shards
 *   under 3/8 of it       a smaller table
 *   two halves together   under 3/8 of the limit of the largest table: one shard
 *
 * After each of these the table is at most 4/5 of its limit, so that the next change is a number of operations away
 * that is proportional to what was moved. Readers go on in the old table (table.h, claim 3), which is then retired.
 */
#include "cmap/table.h"

enum { MERGE_EVERY = 32 }; /* deletes between looks at the other half */

static bool wants_less(const struct neap__cmap_shard *shard, uint32_t live)
{
	unsigned code = neap__table_code(shard->table->word);
	return code != 0 && live < neap__code_limit(code) * 3 / 8;
}

/* Copies into `to` every entry of `from` (may be NULL), or those of one half: bit 63 - depth of the hash is `half`. */
static void copy_entries(struct neap_cmap *map, const struct neap__cmap_table *from,
			 struct neap__cmap_table *to, unsigned depth, int half)
{
	uint64_t words[(NEAP_CMAP_INLINE_KEY + NEAP_CMAP_INLINE_VALUE) / 8];
	if (from == NULL)
		return;
	for (struct neap__walk w = neap__walk_start(map, from->word); neap__walk_next(&w);) {
		uint64_t hash = neap__cmap_slot_hash(map, w.spot.bucket, w.spot.slot);
		if (half >= 0 && (int)(hash >> (63 - depth) & 1) != half)
			continue;
		neap__spot_words(map, w.spot, words);
		neap__table_add(map, to->word, hash, words);
	}
}

/* Puts `table` in the place of the shard's table, for readers that come from now on. */
static struct neap__cmap_table *exchange_table(struct neap_cmap *map, struct neap__cmap_shard *shard,
					       struct neap__cmap_table *table)
{
	struct neap__cmap_table *old = shard->table;
	neap__word_lock_take(&map->structure);
	shard->table = table; /* who changes the directory's depth reads it without the shard's lock */
	neap__directory_assign(neap__directory_of(map), shard);
	neap__word_lock_give(&map->structure);
	return old;
}

static int resize(struct neap_cmap *map, struct neap__cmap_shard *shard, unsigned code)
{
	struct neap__cmap_table *table = neap__table_make(map, code);
	if (table == NULL)
		return NEAP_ENOMEM;
	copy_entries(map, shard->table, table, 0, -1);
	struct neap__cmap_table *old = exchange_table(map, shard, table);
	if (old != NULL)
		neap__retire(map, &old->retired, NEAP__RETIRED_TABLE);
	atomic_fetch_add_explicit(&map->resizes, 1, memory_order_relaxed);
	return NEAP_OK;
}

/* Entries whose next bit is 1. */
static uint32_t upper_half(struct neap_cmap *map, const struct neap__cmap_shard *shard)
{
	uint32_t upper = 0;
	for (struct neap__walk w = neap__walk_start(map, shard->table->word); neap__walk_next(&w);)
		upper += (uint32_t)(neap__cmap_slot_hash(map, w.spot.bucket, w.spot.slot) >>
					    (63 - shard->depth) &
				    1);
	return upper;
}

/* A new shard with the `live` entries of one half of another; NULL: no memory. */
static struct neap__cmap_shard *half_of(struct neap_cmap *map, const struct neap__cmap_shard *whole,
					unsigned half, uint32_t live)
{
	struct neap__cmap_shard *shard = neap__shard_make(map, whole->depth + 1u, whole->path << 1 | half);
	if (shard == NULL)
		return NULL;
	shard->table = neap__table_make(map, neap__code_for(live));
	if (shard->table == NULL) {
		neap__cmap_free(map, shard, sizeof *shard);
		return NULL;
	}
	copy_entries(map, whole->table, shard->table, whole->depth, (int)half);
	atomic_store_explicit(&shard->live, live, memory_order_relaxed);
	if (neap__cmap_has_nodes(map))
		for (struct neap__walk w = neap__walk_start(map, shard->table->word); neap__walk_next(&w);)
			shard->node_bytes += neap__slot_node(w.spot.bucket, w.spot.slot)->retired.size;
	return shard;
}

static void shard_discard(struct neap_cmap *map, struct neap__cmap_shard *shard)
{
	neap__table_free(map, shard->table);
	neap__cmap_free(map, shard, sizeof *shard);
}

/* After others have taken its place in the directory: its lock is given back for the last time. */
static void shard_bury(struct neap_cmap *map, struct neap__cmap_shard *shard)
{
	neap__retire_flush(map, shard);
	shard->dead = true;
	if (shard->table != NULL)
		neap__retire(map, &shard->table->retired, NEAP__RETIRED_TABLE);
	neap__word_lock_give(&shard->lock);
	neap__retire(map, &shard->retired, NEAP__RETIRED_SHARD);
}

static int split(struct neap_cmap *map, struct neap__cmap_shard *shard, uint32_t upper)
{
	uint32_t live = atomic_load_explicit(&shard->live, memory_order_relaxed);
	struct neap__cmap_shard *low = half_of(map, shard, 0, live - upper);
	struct neap__cmap_shard *high = low != NULL ? half_of(map, shard, 1, upper) : NULL;
	if (high == NULL) {
		if (low != NULL)
			shard_discard(map, low);
		return NEAP_ENOMEM;
	}
	neap__word_lock_take(&map->structure);
	if (shard->depth == neap__directory_of(map)->depth && !neap__directory_deepen(map)) {
		neap__word_lock_give(&map->structure);
		shard_discard(map, low);
		shard_discard(map, high);
		return NEAP_ENOMEM;
	}
	map->at_depth[shard->depth]--;
	map->at_depth[shard->depth + 1] += 2;
	neap__directory_assign(neap__directory_of(map), low);
	neap__directory_assign(neap__directory_of(map), high);
	neap__word_lock_give(&map->structure);
	atomic_fetch_add_explicit(&map->splits, 1, memory_order_relaxed);
	shard_bury(map, shard);
	return 1;
}

int neap__shard_grow(struct neap_cmap *map, struct neap__cmap_shard *shard)
{
	uint32_t live = atomic_load_explicit(&shard->live, memory_order_relaxed);
	unsigned code = shard->table != NULL ? neap__table_code(shard->table->word) : 0;
	if (shard->table != NULL && live < neap__code_limit(code))
		return NEAP_OK;
	if (live >= UINT32_MAX / 2)
		return NEAP_ENOMEM;
	if (shard->table != NULL && code >= map->largest && shard->depth < NEAP__CMAP_DEPTH_MOST) {
		uint32_t upper = upper_half(map, shard);
		if (upper >= live / 16 && live - upper >= live / 16)
			return split(map, shard, upper);
		/* A degenerate hash: halves would not be halves. */
	}
	return resize(map, shard, neap__code_for((uint64_t)live + 1));
}

/* With the other half, which is the same or the other side of `shard->path`: true when both have become one. */
static bool merge(struct neap_cmap *map, struct neap__cmap_shard *shard)
{
	uint64_t other_hash = (uint64_t)(shard->path ^ 1) << (64 - shard->depth);
	struct neap__cmap_shard *other =
		atomic_load_explicit(&neap__directory_entry(map, other_hash)->shard, memory_order_acquire);
	if (!neap__word_lock_try(&other->lock))
		return false;
	uint32_t live = atomic_load_explicit(&shard->live, memory_order_relaxed) +
			atomic_load_explicit(&other->live, memory_order_relaxed);
	struct neap__cmap_shard *whole = NULL;
	if (!other->dead && other->depth == shard->depth && live < neap__code_limit(map->largest) * 3 / 8)
		whole = neap__shard_make(map, shard->depth - 1u, shard->path >> 1);
	if (whole != NULL && (whole->table = neap__table_make(map, neap__code_for(live))) == NULL) {
		neap__cmap_free(map, whole, sizeof *whole);
		whole = NULL;
	}
	if (whole == NULL) {
		neap__word_lock_give(&other->lock);
		return false;
	}
	copy_entries(map, shard->table, whole->table, 0, -1);
	copy_entries(map, other->table, whole->table, 0, -1);
	atomic_store_explicit(&whole->live, live, memory_order_relaxed);
	whole->node_bytes = shard->node_bytes + other->node_bytes;
	neap__word_lock_take(&map->structure);
	map->at_depth[shard->depth] -= 2;
	map->at_depth[whole->depth]++;
	neap__directory_assign(neap__directory_of(map), whole);
	neap__directory_flatten(map);
	neap__word_lock_give(&map->structure);
	atomic_fetch_add_explicit(&map->merges, 1, memory_order_relaxed);
	shard_bury(map, other);
	shard_bury(map, shard);
	return true;
}

void neap__shard_settle(struct neap_cmap *map, struct neap__cmap_shard *shard)
{
	uint32_t live = atomic_load_explicit(&shard->live, memory_order_relaxed);
	if (shard->waiting.bytes >= NEAP__SHARD_BATCH || live == 0)
		neap__retire_flush(map, shard);
	if (shard->depth > map->least_depth && live % MERGE_EVERY == 0 &&
	    live < neap__code_limit(map->largest) * 3 / 16 && merge(map, shard))
		return;
	if (wants_less(shard, live))
		(void)resize(map, shard, neap__code_for(live)); /* no memory: at the next delete */
	neap__word_lock_give(&shard->lock);
}

void neap__shard_empty(struct neap_cmap *map, struct neap__cmap_shard *shard)
{
	struct neap__cmap_table *old = shard->table;
	shard->table = NULL;
	neap__directory_assign(neap__directory_of(map), shard);
	atomic_store_explicit(&shard->live, 0, memory_order_relaxed);
	if (old != NULL) {
		old->contents = shard->node_bytes;
		neap__retire(map, &old->retired, NEAP__RETIRED_CONTENTS);
	}
	shard->node_bytes = 0;
}

void neap__cmap_take_all(struct neap_cmap *map)
{
	uint64_t hash = 0;
	do
		hash = neap__shard_end(neap__shard_take(map, hash));
	while (hash != 0);
	neap__word_lock_take(&map->structure);
}

void neap__cmap_give_all(struct neap_cmap *map)
{
	struct neap__directory *directory = neap__directory_of(map);
	neap__word_lock_give(&map->structure);
	/* Back to front: this thread knows the shards, and each stays in its place until its own lock is given back. */
	for (size_t i = (size_t)1 << directory->depth; i > 0;) {
		struct neap__cmap_shard *shard =
			atomic_load_explicit(&directory->entries[i - 1].shard, memory_order_relaxed);
		i -= (size_t)1 << (directory->depth - shard->depth);
		neap__word_lock_give(&shard->lock);
	}
}
