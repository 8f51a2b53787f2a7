/* create.c: making and ending a map: its type, the words of its slots, its first shards. */
#include <string.h>

#include "base/key.h"
#include "cmap/table.h"

enum { SHARDS_MOST = 4096 };

static uint32_t part_up(uint32_t n, uint32_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static void cmap_lay_out(struct neap_cmap *map, const struct neap_map_type *type)
{
	bool words = type->kind == NEAP_KEY_BYTES && type->key_size <= NEAP_CMAP_INLINE_KEY &&
		     type->value_size <= NEAP_CMAP_INLINE_VALUE && type->release == NULL;
	if (words) {
		map->key_words = (type->key_size + 7) / 8;
		map->value_words = (type->value_size + 7) / 8;
	}
	map->word_path = words && type->key_size == 8 && type->value_size == 8 &&
			 (type->flags & NEAP_MAP_SIPHASH) == 0;
	map->slot_words = words ? map->key_words + map->value_words : 1;
	map->bucket_words = NEAP__BUCKET_HEAD + NEAP__BUCKET_SLOTS * map->slot_words;
	map->key_at = part_up(sizeof(struct neap__node), type->key_align);
	map->value_at = part_up(map->key_at + type->key_size, type->value_size == 0 ? 1 : type->value_align);
	map->text_at = map->value_at + type->value_size;
	while (neap__code_buckets(map->largest + 1u) * map->bucket_words * 8 <= NEAP__TABLE_BYTES)
		map->largest++;
	if (map->largest < 2)
		map->largest = 2;
}

static bool first_shards(struct neap_cmap *map)
{
	struct neap__directory *directory = neap__directory_make(map, map->least_depth);
	if (directory == NULL)
		return false;
	for (uint32_t path = 0; path < 1u << map->least_depth; path++) {
		struct neap__cmap_shard *shard = neap__shard_make(map, map->least_depth, path);
		if (shard == NULL) {
			while (path-- > 0)
				neap__cmap_free(map, atomic_load(&directory->entries[path].shard),
						sizeof *shard);
			neap__directory_free(map, directory);
			return false;
		}
		neap__directory_assign(directory, shard);
	}
	map->at_depth[map->least_depth] = 1u << map->least_depth;
	neap__directory_set(map, directory);
	return true;
}

struct neap_cmap *neap_cmap_create(const struct neap_map_type *type, const struct neap_cmap_options *options)
{
	static const struct neap_cmap_options defaults;
	const struct neap_cmap_options *o = options != NULL ? options : &defaults;
	uint32_t shards = o->shards != 0 ? o->shards : NEAP__CMAP_SHARDS;
	if (!neap__type_ok(type) || shards < 2 || shards > SHARDS_MOST || (shards & (shards - 1)) != 0)
		return NULL;
	neap__epochs_start();
	const struct neap_allocator *from = o->allocator != NULL ? o->allocator : &neap__malloc_allocator;
	struct neap_cmap *map = neap__alloc(from, sizeof *map, 64);
	if (map == NULL)
		return NULL;
	memset(map, 0, sizeof *map);
	map->allocator = *from;
	map->system_pages = o->allocator == NULL;
	map->type = type;
	map->beacon = &neap__cmap_beacon;
	map->bytes = sizeof *map;
	map->least_depth = (unsigned)__builtin_ctz(shards);
	map->ask_at = NEAP__WAIT_BATCH;
	cmap_lay_out(map, type);
	if (o->seed != NULL)
		memcpy(map->front.seed, o->seed, sizeof map->front.seed);
	else
		neap__os_random(map->front.seed, sizeof map->front.seed);
	map->front.seed[1] |= UINT64_C(1) << 63 | 1;
	strncpy(map->name, o->name != NULL ? o->name : "unnamed", NEAP__CMAP_NAME_MOST);
	if (!first_shards(map)) {
		neap__free(from, map, sizeof *map);
		return NULL;
	}
	neap__cmap_enlist(map);
	return map;
}

void neap_cmap_destroy(struct neap_cmap *map)
{
	if (map == NULL)
		return;
	neap__cmap_delist(map);
	struct neap__directory *directory = neap__directory_of(map);
	for (size_t i = 0; i < (size_t)1 << directory->depth;) {
		struct neap__cmap_shard *shard = atomic_load(&directory->entries[i].shard);
		i += (size_t)1 << (directory->depth - shard->depth);
		neap__retire_flush(map, shard);
		if (shard->table != NULL)
			neap__retire(map, &shard->table->retired, NEAP__RETIRED_CONTENTS);
		neap__retire(map, &shard->retired, NEAP__RETIRED_SHARD);
	}
	neap__retire(map, &directory->retired, NEAP__RETIRED_DIRECTORY);
	neap__reclaim_all(map);
	neap__assert(map->bytes == sizeof *map);
	struct neap_allocator allocator = map->allocator;
	neap__free(&allocator, map, sizeof *map);
}

const char *neap_cmap_name(const struct neap_cmap *map)
{
	return map != NULL ? map->name : "nil";
}

size_t neap_cmap_move_bound(const struct neap_cmap *map)
{
	return neap__code_limit(map->largest);
}
