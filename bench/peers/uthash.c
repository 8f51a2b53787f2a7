/* uthash.c: uthash with its default hash (Jenkins), one malloc per entry, each key hashed once per insert as
 * its manual recommends. It has no reserve.
 */
#include "../peer.h"

#include <stdlib.h>
#include <uthash.h>

#define PEER_NAME  "uthash"
#define PEER_ABOUT "uthash, HASH_JEN, one malloc per entry, no reserve"
#define PEER_RANK  13

struct entry {
	bench_key key;
	bench_value value;
	UT_hash_handle hh;
};

struct map {
	struct entry *head;
};

#if BENCH_SHAPE == SHAPE_STR
#	define KEY_AT(key)  ((key).ptr)
#	define KEY_LEN(key) ((key).len)
#else
#	define KEY_AT(key)  (&(key))
#	define KEY_LEN(key) (sizeof(key))
#endif

static inline struct map *map_make(size_t reserve)
{
	(void)reserve;
	struct map *map = malloc(sizeof *map);
	if (!map)
		abort();
	map->head = NULL;
	return map;
}

static inline void map_destroy(struct map *map)
{
	struct entry *entry, *next;
	HASH_ITER(hh, map->head, entry, next)
	{
		HASH_DEL(map->head, entry);
		free(entry);
	}
	free(map);
}

static inline void map_put(struct map *map, bench_key key)
{
	struct entry *entry;
	unsigned hash;
	HASH_VALUE(KEY_AT(key), KEY_LEN(key), hash);
	HASH_FIND_BYHASHVALUE(hh, map->head, KEY_AT(key), KEY_LEN(key), hash, entry);
	if (!entry) {
		entry = malloc(sizeof *entry);
		if (!entry)
			abort();
		entry->key = key;
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->head, KEY_AT(entry->key), KEY_LEN(key), hash, entry);
	}
	entry->value = value_of(key);
}

static inline const bench_value *map_get(struct map *map, bench_key key)
{
	struct entry *entry;
	HASH_FIND(hh, map->head, KEY_AT(key), KEY_LEN(key), entry);
	return entry ? &entry->value : NULL;
}

static inline bool map_erase(struct map *map, bench_key key)
{
	struct entry *entry;
	HASH_FIND(hh, map->head, KEY_AT(key), KEY_LEN(key), entry);
	if (!entry)
		return false;
	HASH_DEL(map->head, entry);
	free(entry);
	return true;
}

static inline uint64_t map_iterate(struct map *map)
{
	uint64_t sum = 0;
	for (struct entry *entry = map->head; entry; entry = entry->hh.next)
		sum += word_of(&entry->value);
	return sum;
}

#include "../peer_loops.h"
