/* check.c: the laws of internal.h, one by one. Nobody may be writing. */
#include "cmap/table.h"

/* How many entries of a table pass this bucket on the way from their home. */
static void count_passes(const struct neap_cmap *map, const struct neap__cmap_shard *shard, uint16_t *passes)
{
	uintptr_t table = shard->table->word;
	uint64_t buckets = neap__code_buckets(neap__table_code(table));
	for (struct neap__walk w = neap__walk_start(map, table); neap__walk_next(&w);) {
		uint64_t hash = neap__cmap_slot_hash(map, w.spot.bucket, w.spot.slot);
		uint64_t tags = atomic_load(&w.spot.bucket->tags);
		neap__assert(hash >> (64 - shard->depth) == shard->path);
		neap__assert((tags >> 8 * w.spot.slot & 0xff) == neap__cmap_tag(hash));
		for (uint64_t i = neap__table_home(table, hash); i != w.bucket;
		     i = i + 1 == buckets ? 0 : i + 1)
			passes[i]++;
	}
}

static void check_shard(struct neap_cmap *map, const struct neap__cmap_shard *shard)
{
	uint32_t live = atomic_load(&shard->live), found = 0;
	neap__assert(!shard->dead && shard->depth >= map->least_depth);
	if (shard->table == NULL) {
		neap__assert(live == 0 && shard->node_bytes == 0);
		return;
	}
	uint64_t buckets = neap__code_buckets(neap__table_code(shard->table->word));
	uint16_t *passes = neap__alloc(&neap__malloc_allocator, buckets * sizeof *passes, sizeof *passes);
	if (passes == NULL)
		return;
	for (uint64_t i = 0; i < buckets; i++)
		passes[i] = 0;
	count_passes(map, shard, passes);
	for (uint64_t i = 0; i < buckets; i++) {
		struct neap__bucket *bucket = neap__bucket_at(map, shard->table->word, i);
		uint64_t passed = atomic_load(&bucket->tags) >> 56;
		neap__assert(passed == passes[i] || passed == NEAP__PASSED_MOST);
		neap__assert((atomic_load(&bucket->turn) & 1) == 0);
	}
	size_t node_bytes = 0;
	for (struct neap__walk w = neap__walk_start(map, shard->table->word); neap__walk_next(&w); found++)
		if (neap__cmap_has_nodes(map))
			node_bytes += neap__slot_node(w.spot.bucket, w.spot.slot)->retired.size;
	neap__assert(found == live && node_bytes == shard->node_bytes);
	neap__free(&neap__malloc_allocator, passes, buckets * sizeof *passes);
}

void neap__cmap_check(struct neap_cmap *map)
{
	struct neap__directory *directory = neap__directory_of(map);
	uint32_t at_depth[NEAP__CMAP_DEPTH_MOST + 1] = {0};
	for (size_t i = 0; i < (size_t)1 << directory->depth;) {
		struct neap__cmap_shard *shard = atomic_load(&directory->entries[i].shard);
		size_t width = (size_t)1 << (directory->depth - shard->depth);
		uintptr_t table =
			shard->table != NULL ? shard->table->word : neap__table_word(&neap__no_bucket, 0);
		neap__assert(i == (size_t)shard->path * width);
		for (size_t same = 0; same < width; same++)
			neap__assert(atomic_load(&directory->entries[i + same].shard) == shard &&
				     atomic_load(&directory->entries[i + same].table) == table);
		check_shard(map, shard);
		at_depth[shard->depth]++;
		i += width;
	}
	for (unsigned depth = 0; depth <= NEAP__CMAP_DEPTH_MOST; depth++)
		neap__assert(at_depth[depth] == map->at_depth[depth]);
}
