/* stats.c: where the bytes of a map are, exactly.
 *
 *     live      slots with an entry, and the blocks outside that they own
 *     tombstone slots that deletes left unusable:  sum over segments of limit - live - room
 *     empty     the other slots, and spare places of the spill list
 *     free_held slots, control words and segment table entries of segments past the last one
 *     metadata  everything else
 *     total     the allocator's and the system's bytes
 */
#include <string.h>

#include "map/internal.h"

/* The groups that the longest possible probe of one segment visits: the longest run of groups, around the end,
 * that share an overflow bit, and the group where such a probe stops.
 */
static uint32_t longest_probe_in(const struct neap_map *map, uint32_t number)
{
	uint32_t groups = neap__last_group(map) + 1u, longest = 0, run[8] = {0};
	for (uint32_t step = 0; step < 2 * groups; step++) {
		uint8_t overflow = neap__ctrl_at(map, number, step & neap__last_group(map))[NEAP__OVERFLOW];
		for (uint32_t bit = 0; bit < 8; bit++) {
			run[bit] = (overflow >> bit & 1) != 0 ? run[bit] + 1 : 0;
			if (run[bit] > longest)
				longest = run[bit];
		}
	}
	return longest < groups ? longest + 1 : groups;
}

static size_t slots_bytes_small(const struct neap_map *map)
{
	uint8_t *block = map->ctrl;
	return neap__small_bytes(map) - (neap__small_bytes(map) != 0 ? (size_t)(map->slots - block) : 0);
}

/* The slots of all segments, and what the tail of a pool holds beyond them. */
static void tables(const struct neap_map *map, size_t *ret_slots, size_t *ret_tail)
{
	if (map->pool == NULL) {
		*ret_slots = slots_bytes_small(map);
		*ret_tail = 0;
		return;
	}
	const struct neap__pool *pool = map->pool;
	size_t in_use = (pool->ctrl.stride + pool->slots.stride + pool->segs.stride) * pool->count;
	*ret_slots = pool->slots.stride * pool->count;
	*ret_tail = neap__pool_bytes(map, pool->touched) - in_use;
}

static bool add_outside(uint8_t *slot, uint64_t hash, void *ctx)
{
	(void)hash;
	struct neap_map_stats *stats = ((void **)ctx)[0];
	stats->live += neap__slot_outside(((void **)ctx)[1], slot);
	return true;
}

static void structure(const struct neap_map *map, struct neap_map_stats *ret)
{
	ret->segments = neap__segment_count(map);
	ret->groups_per_segment = neap__last_group(map) + 1u;
	ret->directory_entries = map->pool != NULL ? (size_t)1 << map->pool->depth : 0;
	ret->depth = map->pool != NULL ? map->pool->depth : 0;
	ret->spilled = map->spilled;
	ret->degenerate = (map->flags & NEAP__DEGENERATE) != 0;
	ret->splits = map->splits;
	ret->merges = map->merges;
	ret->rebuilds = map->rebuilds;
	ret->relocations = map->relocations;
	ret->entries_moved = map->entries_moved;
	ret->peak_total = map->peak_bytes;
	ret->max_moved_in_operation = map->moved_most;
}

void neap_map_stats(const struct neap_map *map, struct neap_map_stats *ret)
{
	*ret = (struct neap_map_stats){.size = sizeof *ret};
	if (map == NULL)
		return;
	neap__reading(map, "neap_map_stats");
	structure(map, ret);
	for (uint32_t number = 0; number < ret->segments; number++) {
		const struct neap__segment *seg = &map->segs[number];
		ret->tombstone_slots += (size_t)map->limit - seg->live - seg->room;
		uint32_t probe = longest_probe_in(map, number);
		if (probe > ret->longest_probe)
			ret->longest_probe = probe;
	}
	ret->longest_probe += map->spilled != 0;

	size_t slot_bytes, tail;
	tables(map, &slot_bytes, &tail);
	size_t in_tables = map->len - map->spilled;
	ret->len = map->len;
	ret->slots = slot_bytes / map->slot_size + map->spill_room;
	ret->tombstone = ret->tombstone_slots * map->slot_size;
	ret->empty = slot_bytes - in_tables * map->slot_size - ret->tombstone +
		     (size_t)(map->spill_room - map->spilled) * map->slot_size;
	ret->free_held = tail;
	ret->live = map->len * map->slot_size;
	if (map->flags & NEAP__OUTSIDE) {
		void *ctx[2] = {ret, (void *)(uintptr_t)map};
		neap__each_slot(map, add_outside, ctx);
	}
	ret->total = map->bytes;
	ret->metadata = ret->total - ret->live - ret->tombstone - ret->empty - ret->free_held;
}
