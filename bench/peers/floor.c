/* floor.c: what the memory alone costs. Not a map: an array with one slot per entry, found by scaling the key
 * (keys are random), without tags, collisions or comparisons. One random access to N * sizeof(entry) bytes
 * per operation, where strings also touch the stored key's bytes; a miss reads one byte of N. What a map costs
 * above this row is the map; what it costs below it, it saves by touching less than an entry.
 */
#include "../peer.h"

#include <stdlib.h>

#define PEER_NAME  "floor"
#define PEER_ABOUT "an array, not a map: one random access to the same footprint"
#define PEER_RANK  100

struct entry {
	bench_key key;
	bench_value value;
};

struct map {
	size_t n;
	struct entry *entries;
	uint8_t *tags;
};

static inline struct map *map_make(size_t reserve)
{
	(void)reserve;
	struct map *map = malloc(sizeof *map);
	if (!map)
		abort();
	map->n = bench_entries;
	map->entries = calloc(map->n, sizeof *map->entries);
	map->tags = calloc(map->n, 1);
	if (!map->entries || !map->tags)
		abort();
	return map;
}

static inline void map_destroy(struct map *map)
{
	free(map->entries);
	free(map->tags);
	free(map);
}

static inline size_t slot_of(const struct map *map, bench_key key)
{
#if BENCH_SHAPE == SHAPE_STR
	uint64_t last;
	memcpy(&last, key.ptr + key.len - sizeof last, sizeof last);
	uint64_t scaled = last * 0x9e3779b97f4a7c15u;
#else
	uint64_t scaled = key;
#endif
	return (size_t)(((unsigned __int128)scaled * map->n) >> 64);
}

static inline void map_put(struct map *map, bench_key key)
{
	struct entry *entry = &map->entries[slot_of(map, key)];
	entry->key = key;
	entry->value = value_of(key);
}

static inline const bench_value *map_get(struct map *map, bench_key key)
{
	const struct entry *entry = &map->entries[slot_of(map, key)];
#if BENCH_SHAPE == SHAPE_STR
	return entry->key.ptr && entry->key.ptr[0] ? &entry->value : NULL;
#else
	return &entry->value;
#endif
}

static inline bool map_erase(struct map *map, bench_key key)
{
	map->entries[slot_of(map, key)] = (struct entry){0};
	return true;
}

static inline uint64_t map_iterate(struct map *map)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < map->n; i++)
		sum += word_of(&map->entries[i].value);
	return sum;
}

#define PEER_HAS_MISS
static inline uint64_t map_get_miss(struct map *map, const bench_key *keys, size_t n)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += map->tags[slot_of(map, keys[i])];
	return sum;
}

#include "../peer_loops.h"
