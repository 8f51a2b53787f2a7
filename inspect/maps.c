/* maps.c: puts discovery and typing together. See maps.h. */
#include "maps.h"

#include <stdlib.h>

static int compare_maps(const void *left, const void *right)
{
	const struct found_map *a = left, *b = right;
	return a->header.address < b->header.address ? -1 : a->header.address > b->header.address;
}

static int compare_blocks(const void *left, const void *right)
{
	const struct map_block *a = left, *b = right;
	return a->object < b->object ? -1 : a->object > b->object;
}

enum {
	HASHED_KEYS = 64,  /* per map: enough, as each that agrees by chance is one in 128 */
	HASH_CONFIRMS = 2, /* agreeing keys that make a tiny map of a candidate */
};

/* Recomputes the hashes of some keys of every map. A tiny candidate whose keys all agree is a map. */
static void check_hashes(struct go_process *process, struct maps *maps)
{
	for (size_t i = 0; i < maps->count; i++) {
		struct found_map *map = &maps->list[i];
		if (map->type == NULL)
			continue;
		go_hash_check(process, &maps->hash_key, &map->header, map->type, HASHED_KEYS,
			      &map->hash_checked, &map->hash_agreed);
		if (map->confidence == MAP_UNCONFIRMED && map->hash_agreed >= HASH_CONFIRMS &&
		    map->hash_agreed == map->hash_checked)
			map->confidence = map->candidates == 1 ? MAP_INFERRED : MAP_AMBIGUOUS;
	}
}

/* Look-alikes go: what is empty or tiny and has no holder that says it is a map. */
static void drop_unconfirmed(struct maps *maps)
{
	size_t kept = 0;
	for (size_t i = 0; i < maps->count; i++)
		if (maps->list[i].confidence != MAP_UNCONFIRMED)
			maps->list[kept++] = maps->list[i];
	maps->count = kept;
}

struct block_walk {
	struct go_process *process;
	struct maps *maps;
	uint32_t map;
};

static void add_block(struct block_walk *walk, uint64_t address, bool header, bool old)
{
	uint32_t index;
	const struct go_span *span = go_heap_object(&walk->process->heap, address, &index);
	struct maps *maps = walk->maps;
	if (span == NULL)
		return;
	maps->blocks =
		make_room(maps->blocks, maps->block_count, &maps->block_capacity, sizeof *maps->blocks);
	maps->blocks[maps->block_count++] = (struct map_block){span->first + index, walk->map, header, old};
}

static void take_block(void *context, uint64_t address, uint64_t size, bool old)
{
	(void)size;
	add_block(context, address, false, old);
}

static void collect_blocks(struct go_process *process, struct maps *maps)
{
	for (size_t i = 0; i < maps->count; i++) {
		struct block_walk walk = {process, maps, (uint32_t)i};
		struct go_map_visitor visitor = {.context = &walk, .block = take_block};
		add_block(&walk, maps->list[i].header.address, true, false);
		(void)go_map_walk(process, &maps->list[i].header, maps->list[i].type, &visitor);
	}
	if (maps->block_count > 0)
		qsort(maps->blocks, maps->block_count, sizeof *maps->blocks, compare_blocks);
}

static void weigh(struct go_process *process, struct found_map *map)
{
	uint64_t size = process->layout.maps == GO_MAP_CLASSIC ? process->layout.hmap_size
							       : process->layout.swiss_size;
	map->bytes = map->counts.block_bytes;
	if (map->object != GO_NO_OBJECT)
		map->bytes += go_heap_round(process, size, true);
	map->rebuilt = go_map_rebuilt_bytes(process, map->type, map->header.count);
}

void maps_find(struct go_process *process, bool every_type, struct maps *ret)
{
	*ret = (struct maps){0};
	go_map_types_load(process, &ret->types);
	go_hash_key_find(process, &ret->hash_key);
	maps_discover(process, ret);
	maps_read_again(process, ret);
	if (ret->count > 0)
		qsort(ret->list, ret->count, sizeof *ret->list, compare_maps);
	maps_propagate_types(process, every_type, ret);
	check_hashes(process, ret);
	drop_unconfirmed(ret);
	for (size_t i = 0; i < ret->count; i++)
		weigh(process, &ret->list[i]);
	collect_blocks(process, ret);
}

void maps_free(struct maps *maps)
{
	go_map_types_free(&maps->types);
	free(maps->list);
	free(maps->blocks);
	free(maps->object_types);
	free(maps->suspects);
}

struct found_map *maps_at(const struct maps *maps, uint64_t header)
{
	size_t low = 0, high = maps->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (maps->list[middle].header.address < header)
			low = middle + 1;
		else
			high = middle;
	}
	return low < maps->count && maps->list[low].header.address == header ? &maps->list[low] : NULL;
}

const struct map_block *maps_block_of(const struct maps *maps, uint64_t object)
{
	size_t low = 0, high = maps->block_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (maps->blocks[middle].object < object)
			low = middle + 1;
		else
			high = middle;
	}
	return low < maps->block_count && maps->blocks[low].object == object ? &maps->blocks[low] : NULL;
}

uint64_t map_reclaimable(const struct found_map *map)
{
	return map->bytes > map->rebuilt ? map->bytes - map->rebuilt : 0;
}
