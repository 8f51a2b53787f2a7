/* neap.c: Neap's map through the typed header, as a program uses it; compiled with -DERASED through the functions
 * of neap/map.h, whose keys and values are void pointers. The seed is fixed, so that every run makes the same
 * table and a slow operation can be told from an interruption; a seed from the system costs the same.
 */
#include "../peer.h"

#include <neap/map.h>
#include <stdlib.h>

#if BENCH_SHAPE == SHAPE_STR
typedef struct neap_str table_key;
#	define KEY(text)  ((struct neap_str){(text).ptr, (text).len, 0})
#	define TABLE_KIND NEAP_KEY_STR
_Static_assert(sizeof(struct text) == sizeof(struct neap_str),
	       "an array of the one is an array of the other");
#else
typedef uint64_t table_key;
#	define KEY(key)   (key)
#	define TABLE_KIND NEAP_KEY_BYTES
#endif

#define PEER_HAS_BATCH
#define PEER_HAS_RANGE
#define PEER_HAS_BYTES
#define PEER_HAS_SHRINK

#ifdef ERASED
#	define PEER_NAME  "neap erased"
#	define PEER_ABOUT "Neap's map through neap/map.h"
#	define PEER_RANK  (-1)

static const struct neap_map_type table_type = {
	.size = sizeof table_type,
	.kind = TABLE_KIND,
	.key_size = sizeof(table_key),
	.key_align = _Alignof(table_key),
	.value_size = sizeof(bench_value),
	.value_align = _Alignof(bench_value),
};

static inline struct neap_map *table_create(const struct neap_map_options *options)
{
	return neap_map_create(&table_type, options);
}

static inline bench_value *table_get(struct neap_map *map, table_key key)
{
	return neap_map_get(map, &key);
}

static inline int table_put(struct neap_map *map, table_key key, bench_value value)
{
	return neap_map_put(map, &key, &value);
}

static inline bool table_delete(struct neap_map *map, table_key key)
{
	return neap_map_delete(map, &key);
}

static inline void table_get_many(struct neap_map *map, const table_key *keys, size_t n, bench_value **ret)
{
	neap_map_get_many(map, keys, n, (void **)ret);
}

static inline bool table_scan_next(struct neap_map_scan *scan)
{
	return neap_map_scan_next(scan);
}

static inline bool table_next(struct neap_map_iter *it)
{
	return neap_map_iter_next(it);
}
#else
#	define PEER_NAME      "neap"
#	define PEER_ABOUT     "Neap's map through neap/map_typed.h"
#	define PEER_RANK      (-2)
#	define NEAP_MAP_NAME  table
#	define NEAP_MAP_KEY   table_key
#	define NEAP_MAP_VALUE bench_value
#	define NEAP_MAP_KIND  TABLE_KIND
#	include <neap/map_typed.h>
#endif

struct map;

static inline struct neap_map *table_of(struct map *map)
{
	return (struct neap_map *)map;
}

static inline struct map *map_make(size_t reserve)
{
	static const uint64_t seed[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};
	struct neap_map_options options = {.reserve = reserve, .seed = seed};
	struct neap_map *map = table_create(&options);
	if (!map)
		abort();
	return (struct map *)map;
}

static inline void map_destroy(struct map *map)
{
	neap_map_destroy(table_of(map));
}

static inline void map_put(struct map *map, bench_key key)
{
	if (table_put(table_of(map), KEY(key), value_of(key)) != NEAP_OK)
		abort();
}

static inline const bench_value *map_get(struct map *map, bench_key key)
{
	return table_get(table_of(map), KEY(key));
}

static inline bool map_erase(struct map *map, bench_key key)
{
	return table_delete(table_of(map), KEY(key));
}

static inline uint64_t map_iterate(struct map *map)
{
	uint64_t sum = 0;
	for (struct neap_map_scan at = neap_map_scan(table_of(map)); table_scan_next(&at);)
		sum += word_of((const bench_value *)at.value);
	return sum;
}

static inline uint64_t map_range(struct map *map)
{
	struct neap_map_iter it;
	uint64_t sum = 0;
	for (neap_map_iter_init(&it, table_of(map)); table_next(&it);)
		sum += word_of((const bench_value *)it.value);
	return sum;
}

static inline uint64_t map_get_batch(struct map *map, const bench_key *keys, size_t n)
{
	bench_value *values[BATCH];
	uint64_t sum = 0;
	table_get_many(table_of(map), (const table_key *)(const void *)keys, n, values);
	for (size_t i = 0; i < n; i++)
		sum += values[i] ? word_of(values[i]) : 0;
	return sum;
}

static inline size_t map_bytes(struct map *map)
{
	return neap_map_bytes(table_of(map));
}

static inline void map_shrink(struct map *map)
{
	if (neap_map_compact(table_of(map)) != NEAP_OK)
		abort();
}

#include "../peer_loops.h"
