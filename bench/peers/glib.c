/* glib.c: GHashTable as GLib programs use it: integers as pointers with g_direct_hash, values of one word in
 * the pointer, larger ones in a g_new block that the table frees. It has no reserve and shrinks by itself.
 */
#include "../peer.h"

#include <glib.h>

#define PEER_NAME "GLib"
#define PEER_RANK 14

struct map;

#if BENCH_SHAPE == SHAPE_STR
#	define PEER_ABOUT "GHashTable, g_str_hash (djb2), no reserve"
#	define KEY(key)   ((gpointer)(key).ptr)
#	define HASH	   g_str_hash
#	define EQUAL	   g_str_equal
#else
#	define PEER_ABOUT "GHashTable, g_direct_hash, no reserve"
#	define KEY(key)   ((gpointer)(key))
#	define HASH	   g_direct_hash
#	define EQUAL	   g_direct_equal
#endif

static inline struct map *map_make(size_t reserve)
{
	(void)reserve;
#if BENCH_SHAPE == SHAPE_BIG
	return (struct map *)g_hash_table_new_full(HASH, EQUAL, NULL, g_free);
#else
	return (struct map *)g_hash_table_new(HASH, EQUAL);
#endif
}

static inline void map_destroy(struct map *map)
{
	g_hash_table_destroy((GHashTable *)map);
}

static inline void map_put(struct map *map, bench_key key)
{
#if BENCH_SHAPE == SHAPE_BIG
	bench_value *value = g_new(bench_value, 1);
	*value = value_of(key);
	g_hash_table_insert((GHashTable *)map, KEY(key), value);
#else
	g_hash_table_insert((GHashTable *)map, KEY(key), (gpointer)value_of(key));
#endif
}

/* A pointer to the value is what the loops read; a value in the pointer itself is put where one can point. */
static bench_value found;

static inline const bench_value *map_get(struct map *map, bench_key key)
{
#if BENCH_SHAPE == SHAPE_BIG
	(void)found;
	return g_hash_table_lookup((GHashTable *)map, KEY(key));
#else
	found = (bench_value)g_hash_table_lookup((GHashTable *)map, KEY(key));
	return found ? &found : NULL;
#endif
}

static inline bool map_erase(struct map *map, bench_key key)
{
	return g_hash_table_remove((GHashTable *)map, KEY(key));
}

static inline uint64_t map_iterate(struct map *map)
{
	GHashTableIter at;
	gpointer value;
	uint64_t sum = 0;
	g_hash_table_iter_init(&at, (GHashTable *)map);
	while (g_hash_table_iter_next(&at, NULL, &value)) {
#if BENCH_SHAPE == SHAPE_BIG
		sum += word_of(value);
#else
		sum += (uint64_t)value;
#endif
	}
	return sum;
}

#include "../peer_loops.h"
