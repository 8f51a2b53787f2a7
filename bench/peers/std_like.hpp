// std_like.hpp: the part of an adapter that every map with std::unordered_map's interface shares. Included
// after `struct map` with a member `table`, table_size (what its reserve takes), a macro table_shrink and, if it
// wants one, PEER_HAS_BATCH with map_get_batch.

static inline struct map *map_make(size_t reserve)
{
	struct map *map = new struct map;
	if (reserve)
		map->table.reserve(static_cast<table_size>(reserve));
	return map;
}

static inline void map_destroy(struct map *map)
{
	delete map;
}

static inline table_key key_of(bench_key key)
{
#if BENCH_SHAPE == SHAPE_STR
	return table_key(key.ptr, key.len);
#else
	return key;
#endif
}

static inline void map_put(struct map *map, bench_key key)
{
	map->table[key_of(key)] = value_of(key);
}

static inline const bench_value *map_get(struct map *map, bench_key key)
{
	auto at = map->table.find(key_of(key));
	return at == map->table.end() ? nullptr : &at->second;
}

static inline bool map_erase(struct map *map, bench_key key)
{
	return map->table.erase(key_of(key)) != 0;
}

static inline uint64_t map_iterate(struct map *map)
{
	uint64_t sum = 0;
	for (const auto &entry : map->table)
		sum += word_of(&entry.second);
	return sum;
}

#define PEER_HAS_SHRINK
static inline void map_shrink(struct map *map)
{
	table_shrink(map->table);
}

#include "../peer_loops.h"
