/* ck.c: Concurrency Kit's ck_ht: readers without locks, one writer at a time, here under a spin lock.
 *
 * It leaves it to the caller to free tables that readers may still see; they are kept here, as they are by most of its
 * users, and it has no way to shrink.
 */
#include "peer.h"

#include <ck_ht.h>
#include <ck_spinlock.h>
#include <stdlib.h>

struct ck_map {
	ck_ht_t table;
	ck_spinlock_t lock;
};

static void *ck_get(size_t size)
{
	return malloc(size);
}

static void ck_put(void *block, size_t size, bool readers)
{
	(void)size;
	if (!readers)
		free(block);
}

static struct ck_malloc ck_memory = {.malloc = ck_get, .free = ck_put};

static void *ck_make(void)
{
	struct ck_map *map = aligned_alloc(64, (sizeof *map + 63) & ~(size_t)63);
	if (map == NULL || !ck_ht_init(&map->table, CK_HT_MODE_DIRECT, NULL, &ck_memory, 64, 42))
		abort();
	ck_spinlock_init(&map->lock);
	return map;
}

/* 0 and ~0 are not keys there. */
static uintptr_t ck_key(uint64_t key)
{
	return key + 1;
}

static bool ck_load(void *map, uint64_t key, uint64_t *ret)
{
	struct ck_map *ck = map;
	ck_ht_hash_t hash;
	ck_ht_entry_t entry;
	ck_ht_hash_direct(&hash, &ck->table, ck_key(key));
	ck_ht_entry_key_set_direct(&entry, ck_key(key));
	if (!ck_ht_get_spmc(&ck->table, hash, &entry))
		return false;
	*ret = ck_ht_entry_value_direct(&entry);
	return true;
}

static void ck_store(void *map, uint64_t key, uint64_t value)
{
	struct ck_map *ck = map;
	ck_ht_hash_t hash;
	ck_ht_entry_t entry;
	ck_ht_hash_direct(&hash, &ck->table, ck_key(key));
	ck_ht_entry_set_direct(&entry, hash, ck_key(key), value);
	ck_spinlock_lock(&ck->lock);
	if (!ck_ht_set_spmc(&ck->table, hash, &entry))
		abort();
	ck_spinlock_unlock(&ck->lock);
}

static void ck_erase(void *map, uint64_t key)
{
	struct ck_map *ck = map;
	ck_ht_hash_t hash;
	ck_ht_entry_t entry;
	ck_ht_hash_direct(&hash, &ck->table, ck_key(key));
	ck_ht_entry_key_set_direct(&entry, ck_key(key));
	ck_spinlock_lock(&ck->lock);
	(void)ck_ht_remove_spmc(&ck->table, hash, &entry);
	ck_spinlock_unlock(&ck->lock);
}

static void ck_destroy(void *map)
{
	struct ck_map *ck = map;
	ck_ht_destroy(&ck->table);
	free(ck);
}

const struct concurrent_peer peer_ck = {"ck",	  "Concurrency Kit's ck_ht, a spin lock for writers",
					ck_make,  ck_destroy,
					NULL,	  NULL,
					NULL,	  ck_load,
					ck_store, ck_erase};
