/* whole.c: operations on every entry: range, clear, length, statistics. */
#include <pthread.h>
#include <string.h>

#include "cmap/table.h"

/* ---- Range ---- */

/* A copy of the slots of one shard, to show them without its lock. */
struct snapshot {
	struct neap_cmap *map;
	struct neap__section section; /* keeps the nodes */
	uint64_t *words;
	size_t room, used; /* slots */
};

/* Also when the callback ends the thread. */
static void snapshot_drop(void *ctx)
{
	struct snapshot *snapshot = ctx;
	neap__free(&snapshot->map->allocator, snapshot->words,
		   snapshot->room * snapshot->map->slot_words * 8);
	neap__leave(snapshot->section);
}

/* The shard of `hash`; sets where the next one begins. */
static int snapshot_take(struct snapshot *snapshot, uint64_t hash, uint64_t *ret_end)
{
	struct neap_cmap *map = snapshot->map;
	snapshot->used = 0;
	for (;;) {
		struct neap__cmap_shard *shard = neap__shard_take(map, hash);
		size_t live = atomic_load_explicit(&shard->live, memory_order_relaxed);
		*ret_end = neap__shard_end(shard);
		if (live <= snapshot->room) {
			if (shard->table != NULL)
				for (struct neap__walk w = neap__walk_start(map, shard->table->word);
				     neap__walk_next(&w);)
					neap__spot_words(map, w.spot,
							 snapshot->words +
								 snapshot->used++ * map->slot_words);
			neap__word_lock_give(&shard->lock);
			return NEAP_OK;
		}
		neap__word_lock_give(&shard->lock);
		neap__free(&map->allocator, snapshot->words, snapshot->room * map->slot_words * 8);
		snapshot->room = live + live / 4;
		snapshot->words = neap__alloc(&map->allocator, snapshot->room * map->slot_words * 8, 8);
		if (snapshot->words == NULL) {
			snapshot->room = 0;
			return NEAP_ENOMEM;
		}
	}
}

static bool snapshot_show(const struct snapshot *snapshot,
			  bool (*each)(const void *key, const void *value, void *ctx), void *ctx)
{
	struct neap_cmap *map = snapshot->map;
	for (size_t i = 0; i < snapshot->used; i++) {
		uint64_t *words = snapshot->words + i * map->slot_words;
		const void *key = words, *value = words + map->key_words;
		if (neap__cmap_has_nodes(map)) {
			struct neap__node *node = (struct neap__node *)(uintptr_t)*words;
			key = neap__node_key(map, node);
			value = neap__node_value(map, node);
		}
		if (!each(key, value, ctx))
			return false;
	}
	return true;
}

int neap_cmap_range(struct neap_cmap *map, bool (*each)(const void *key, const void *value, void *ctx),
		    void *ctx)
{
	if (map == NULL)
		return NEAP_OK;
	struct snapshot snapshot = {.map = map, .section = neap__enter()};
	uint64_t hash = 0;
	int result = NEAP_OK;
	pthread_cleanup_push(snapshot_drop, &snapshot);
	do
		result = snapshot_take(&snapshot, hash, &hash);
	while (result == NEAP_OK && snapshot_show(&snapshot, each, ctx) && hash != 0);
	pthread_cleanup_pop(1);
	neap__reclaim_some(map, true);
	return result;
}

int neap__cmap_range_shard(struct neap_cmap *map, uint64_t *at, neap__cmap_entry_fn *each, void *ctx)
{
	struct snapshot snapshot = {.map = map, .section = neap__enter()};
	uint64_t end = 0;
	int result = snapshot_take(&snapshot, *at, &end);
	if (result == NEAP_OK && snapshot_show(&snapshot, each, ctx))
		*at = end;
	snapshot_drop(&snapshot);
	return result;
}

/* ---- Clear, length, statistics ---- */

void neap_cmap_clear(struct neap_cmap *map)
{
	if (map == NULL)
		return;
	struct neap__section section = neap__enter();
	neap__cmap_take_all(map);
	struct neap__directory *directory = neap__directory_of(map);
	for (size_t i = 0; i < (size_t)1 << directory->depth;) {
		struct neap__cmap_shard *shard =
			atomic_load_explicit(&directory->entries[i].shard, memory_order_relaxed);
		i += (size_t)1 << (directory->depth - shard->depth);
		neap__shard_empty(map, shard);
	}
	neap__cmap_give_all(map);
	neap__leave(section);
	neap__reclaim_some(map, false);
}

size_t neap_cmap_len(const struct neap_cmap *map)
{
	size_t len = 0;
	if (map == NULL)
		return 0;
	struct neap_cmap *at = (struct neap_cmap *)(uintptr_t)map; /* nothing of it is changed */
	struct neap__section section = neap__enter();
	uint64_t hash = 0;
	do {
		struct neap__cmap_shard *shard =
			atomic_load_explicit(&neap__directory_entry(at, hash)->shard, memory_order_acquire);
		len += atomic_load_explicit(&shard->live, memory_order_relaxed);
		hash = neap__shard_end(shard);
	} while (hash != 0);
	neap__leave(section);
	return len;
}

static size_t longest_probe(const struct neap_cmap *map, uintptr_t table)
{
	uint64_t buckets = neap__code_buckets(neap__table_code(table));
	size_t longest = 1, run = 1;
	for (uint64_t i = 0; i < 2 * buckets && run <= buckets; i++) {
		uint64_t tags = atomic_load_explicit(&neap__bucket_at(map, table, i % buckets)->tags,
						     memory_order_relaxed);
		run = tags >> 56 != 0 ? run + 1 : 1;
		longest = run > longest ? run : longest;
	}
	return longest < buckets ? longest : buckets;
}

static void shard_stats(struct neap_cmap *map, const struct neap__cmap_shard *shard,
			struct neap_cmap_stats *ret)
{
	size_t live = atomic_load_explicit(&shard->live, memory_order_relaxed), slot = map->slot_words * 8;
	ret->shards++;
	ret->len += live;
	ret->live += live * slot + shard->node_bytes;
	ret->waiting += shard->waiting.bytes;
	ret->metadata += sizeof *shard;
	if (shard->table == NULL)
		return;
	uint64_t slots = neap__code_buckets(neap__table_code(shard->table->word)) * NEAP__BUCKET_SLOTS;
	size_t probe = longest_probe(map, shard->table->word);
	ret->slots += slots;
	ret->empty += (slots - live) * slot;
	ret->metadata += sizeof *shard->table + shard->table->bytes - slots * slot;
	ret->longest_probe = probe > ret->longest_probe ? probe : ret->longest_probe;
}

void neap_cmap_stats(struct neap_cmap *map, struct neap_cmap_stats *ret)
{
	struct neap_cmap_stats all = {.size = sizeof all};
	if (map != NULL) {
		struct neap__section section = neap__enter();
		uint64_t hash = 0;
		do {
			struct neap__cmap_shard *shard = neap__shard_take(map, hash);
			hash = neap__shard_end(shard);
			shard_stats(map, shard, &all);
			neap__word_lock_give(&shard->lock);
		} while (hash != 0);
		neap__word_lock_take(&map->retirement);
		all.waiting += map->fresh.bytes + map->pending.bytes;
		neap__word_lock_give(&map->retirement);
		uintptr_t word = atomic_load_explicit(&map->front.directory, memory_order_acquire);
		all.directory_entries = (size_t)1 << (64 - (word & 63));
		all.metadata += sizeof *map + sizeof(struct neap__directory) +
				all.directory_entries * sizeof(struct neap__directory_entry);
		neap__leave(section);
		all.resizes = atomic_load(&map->resizes);
		all.splits = atomic_load(&map->splits);
		all.merges = atomic_load(&map->merges);
		all.reclaims = atomic_load(&map->reclaims);
		all.fences = atomic_load(&neap__epochs.fences);
	}
	all.total = all.live + all.empty + all.waiting + all.metadata;
	size_t size = ret->size < sizeof all ? ret->size : sizeof all;
	memcpy(ret, &all, size);
	ret->size = size;
}
