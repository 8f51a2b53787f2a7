/* verstable.c: Verstable with the hash functions that it comes with. */
#include "../peer.h"

#define PEER_NAME "Verstable"
#define PEER_RANK 23

#define NAME   vtable
#define VAL_TY bench_value
#if BENCH_SHAPE == SHAPE_STR
#	define PEER_ABOUT "Verstable, vt_hash_string (FNV-1a)"
#	define KEY_TY	   const char *
#	define HASH_FN	   vt_hash_string
#	define CMPR_FN	   vt_cmpr_string
#else
#	define PEER_ABOUT "Verstable, vt_hash_integer"
#	define KEY_TY	   uint64_t
#	define HASH_FN	   vt_hash_integer
#	define CMPR_FN	   vt_cmpr_integer
#endif
#include <verstable.h>

#include <stdlib.h>

struct map {
	vtable table;
};

#if BENCH_SHAPE == SHAPE_STR
#	define KEY(key) (key).ptr
#else
#	define KEY(key) (key)
#endif

static inline struct map *map_make(size_t reserve)
{
	struct map *map = malloc(sizeof *map);
	if (!map)
		abort();
	vtable_init(&map->table);
	if (reserve && !vtable_reserve(&map->table, reserve))
		abort();
	return map;
}

static inline void map_destroy(struct map *map)
{
	vtable_cleanup(&map->table);
	free(map);
}

static inline void map_put(struct map *map, bench_key key)
{
	if (vtable_is_end(vtable_insert(&map->table, KEY(key), value_of(key))))
		abort();
}

static inline const bench_value *map_get(struct map *map, bench_key key)
{
	vtable_itr at = vtable_get(&map->table, KEY(key));
	return vtable_is_end(at) ? NULL : &at.data->val;
}

static inline bool map_erase(struct map *map, bench_key key)
{
	return vtable_erase(&map->table, KEY(key));
}

static inline uint64_t map_iterate(struct map *map)
{
	uint64_t sum = 0;
	for (vtable_itr at = vtable_first(&map->table); !vtable_is_end(at); at = vtable_next(at))
		sum += word_of(&at.data->val);
	return sum;
}

#define PEER_HAS_SHRINK
static inline void map_shrink(struct map *map)
{
	vtable_shrink(&map->table);
}

#include "../peer_loops.h"
