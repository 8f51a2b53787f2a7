/* directory.c: from the leading bits of a hash to its shard and table.
 *
 * A shard of depth d stands in 2^(D-d) neighbouring entries of a directory of depth D. Readers read the directory's
 * address and depth as one word, then one entry; writers take the entry's shard, lock it, and look whether it has
 * been replaced meanwhile. Entries are written under the structure lock; a directory of another depth is a new one.
 */
#include "cmap/table.h"

_Static_assert(offsetof(struct neap__directory, entries) == 64 && sizeof(struct neap__directory_entry) == 16,
	       "four entries to a cache line; the header lies in the line before them");

struct neap__directory *neap__directory_of(struct neap_cmap *map)
{
	uintptr_t word = atomic_load_explicit(&map->front.directory, memory_order_relaxed) & ~(uintptr_t)63;
	return (struct neap__directory *)(word - offsetof(struct neap__directory, entries));
}

void neap__directory_set(struct neap_cmap *map, struct neap__directory *directory)
{
	uintptr_t entries = (uintptr_t)directory->entries;
	neap__assert((entries & 63) == 0 && directory->depth >= 1);
	atomic_store_explicit(&map->front.directory, entries | (64 - directory->depth), memory_order_release);
}

void neap__directory_assign(struct neap__directory *directory, struct neap__cmap_shard *shard)
{
	const unsigned spare = directory->depth - shard->depth;
	struct neap__directory_entry *entry = directory->entries + ((size_t)shard->path << spare);
	uintptr_t table = shard->table != NULL ? shard->table->word : neap__table_word(&neap__no_bucket, 0);
	for (size_t i = 0; i < (size_t)1 << spare; i++) {
		atomic_store_explicit(&entry[i].table, table, memory_order_release);
		atomic_store_explicit(&entry[i].shard, shard, memory_order_release);
	}
}

struct neap__cmap_shard *neap__shard_take(struct neap_cmap *map, uint64_t hash)
{
	for (;;) {
		struct neap__directory_entry *entry = neap__directory_entry(map, hash);
		struct neap__cmap_shard *shard = atomic_load_explicit(&entry->shard, memory_order_acquire);
		neap__word_lock_take(&shard->lock);
		if (!shard->dead)
			return shard;
		neap__word_lock_give(&shard->lock);
	}
}

/* Copies every shard of one directory into another one. */
static void take_over(struct neap__directory *to, const struct neap__directory *from)
{
	for (size_t i = 0; i < (size_t)1 << from->depth;) {
		struct neap__cmap_shard *shard =
			atomic_load_explicit(&from->entries[i].shard, memory_order_relaxed);
		neap__directory_assign(to, shard);
		i += (size_t)1 << (from->depth - shard->depth);
	}
}

static bool change_depth(struct neap_cmap *map, unsigned depth)
{
	struct neap__directory *old = neap__directory_of(map);
	struct neap__directory *fresh = neap__directory_make(map, depth);
	if (fresh == NULL)
		return false;
	take_over(fresh, old);
	neap__directory_set(map, fresh);
	neap__retire(map, &old->retired, NEAP__RETIRED_DIRECTORY);
	return true;
}

bool neap__directory_deepen(struct neap_cmap *map)
{
	return change_depth(map, neap__directory_of(map)->depth + 1);
}

void neap__directory_flatten(struct neap_cmap *map)
{
	unsigned depth = neap__directory_of(map)->depth;
	while (depth > map->least_depth && map->at_depth[depth] == 0)
		depth--;
	if (depth + 1 < neap__directory_of(map)->depth ||
	    (depth == map->least_depth && depth != neap__directory_of(map)->depth))
		(void)change_depth(map, depth);
}
