/* khash.c: khash as htslib ships it, with its own integer and string hashes. */
#include "../peer.h"

#include <htslib/khash.h>

#define PEER_NAME "khash"
#define PEER_RANK 12

#if BENCH_SHAPE == SHAPE_STR
#	define PEER_ABOUT "khash of htslib, kh_str_hash_func (X31)"
KHASH_MAP_INIT_STR(table, bench_value)
#	define KEY(key) (key).ptr
#else
#	define PEER_ABOUT "khash of htslib, kh_int64_hash_func (shifts)"
KHASH_MAP_INIT_INT64(table, bench_value)
#	define KEY(key)   (key)
#endif

struct map {
	khash_t(table) table;
};

static inline struct map *map_make(size_t reserve)
{
	khash_t(table) *table = kh_init(table);
	if (!table)
		abort();
	/* kh_resize takes slots, not entries: khash fills up to 0.77 of them. */
	if (reserve && kh_resize(table, table, (khint_t)((double)reserve / 0.77) + 1) < 0)
		abort();
	return (struct map *)table;
}

static inline void map_destroy(struct map *map)
{
	kh_destroy(table, &map->table);
}

static inline void map_put(struct map *map, bench_key key)
{
	int absent;
	khint_t at = kh_put(table, &map->table, KEY(key), &absent);
	if (absent < 0)
		abort();
	kh_value(&map->table, at) = value_of(key);
}

static inline const bench_value *map_get(struct map *map, bench_key key)
{
	khint_t at = kh_get(table, &map->table, KEY(key));
	return at == kh_end(&map->table) ? NULL : &kh_value(&map->table, at);
}

static inline bool map_erase(struct map *map, bench_key key)
{
	khint_t at = kh_get(table, &map->table, KEY(key));
	if (at == kh_end(&map->table))
		return false;
	kh_del(table, &map->table, at);
	return true;
}

static inline uint64_t map_iterate(struct map *map)
{
	uint64_t sum = 0;
	for (khint_t at = kh_begin(&map->table); at != kh_end(&map->table); at++)
		if (kh_exist(&map->table, at))
			sum += word_of(&kh_value(&map->table, at));
	return sum;
}

#define PEER_HAS_SHRINK
static inline void map_shrink(struct map *map)
{
	kh_resize(table, &map->table, (khint_t)((double)kh_size(&map->table) / 0.77) + 1);
}

#include "../peer_loops.h"
