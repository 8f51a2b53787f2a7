/* check.c: the invariants of a map, checked one by one. For tests, for builds with check=3, and for tools.
 *
 *  1  sum over segments of live + spilled == len
 *  2  per segment: live == occupied slots;  live + room <= limit
 *  3  every entry is in the segment that the directory names for its hash
 *  4  every group that an entry's probe passes before its own has the overflow bit of its tag
 *  5  the directory entries of a segment are exactly those of its path, no deeper than the directory;
 *     at_depth counts the segments of each depth
 *  6  count <= touched <= reserved; the biases lead from a control word to the slots and the segment table
 *  7  metadata, computed part by part, is what remains of `bytes` when the other parts are taken away
 *  8  every spilled entry's tag is marked in all groups of its segment
 */
#include <string.h>

#include "map/internal.h"

#define REQUIRE(condition)                 \
	do {                               \
		if (!(condition))          \
			return #condition; \
	} while (0)

static const char *check_entry(const struct neap_map *map, uint32_t number, uint32_t group, uint32_t index)
{
	const uint8_t *ctrl = neap__ctrl_at(map, number, group);
	const uint8_t *slot = neap__slots_at(map, number, group) + (size_t)index * map->slot_size;
	uint64_t hash = neap__hash_from(neap__slot_hash(map, slot), ctrl[index]);
	REQUIRE(neap__segment_of(map, hash) == number);
	if (map->hash_offset == 0) /* else the tag can't be computed again for a NaN */
		REQUIRE(ctrl[index] ==
			neap__tag(neap__key_hash(map, neap__slot_key(map, (uint8_t *)(uintptr_t)slot))));
	for (uint32_t at = neap__home(map, hash); at != group; at = (at + 1) % (neap__last_group(map) + 1))
		REQUIRE(neap__overflowed(neap__ctrl_at(map, number, at), ctrl[index]));
	return NULL;
}

static const char *check_segment(const struct neap_map *map, uint32_t number)
{
	const struct neap__segment *seg = &map->segs[number];
	const uint8_t *begin = neap__begin_of(map, number);
	uint32_t occupied = 0;
	REQUIRE(neap__segment_record(map, neap__shape_of(map), begin) == seg);
	REQUIRE(neap__group_slots(map, neap__shape_of(map), begin) == neap__slots_at(map, number, 0));
	for (uint32_t group = 0; group <= neap__last_group(map); group++) {
		uint32_t mask = ~neap__empty(neap__ctrl_at(map, number, group)) & NEAP__GROUP_MASK;
		REQUIRE(map->small_slots == 0 || mask >> map->small_slots == 0);
		for (; mask != 0; mask &= mask - 1, occupied++) {
			const char *broken = check_entry(map, number, group, (uint32_t)neap__first(mask));
			if (broken != NULL)
				return broken;
		}
	}
	REQUIRE(seg->live == occupied);
	REQUIRE((uint32_t)seg->live + seg->room <= map->limit);
	return NULL;
}

static const char *check_directory(const struct neap_map *map)
{
	const struct neap__pool *pool = map->pool;
	uint32_t at_depth[NEAP__MAX_DEPTH + 1] = {0};
	size_t named = 0;
	REQUIRE(map->dir == pool->dir && map->dir_shift == 64 - pool->depth);
	for (uint32_t number = 0; number < pool->count; number++) {
		uint32_t path = map->segs[number].path, depth = neap__path_depth(path);
		REQUIRE(depth <= pool->depth);
		at_depth[depth]++;
		size_t first = (uint64_t)neap__path_bits(path) >> (32 - pool->depth);
		for (size_t i = 0; i < (size_t)1 << (pool->depth - depth); i++, named++)
			REQUIRE(pool->dir[first + i] == neap__begin_of(map, number));
	}
	REQUIRE(named == (size_t)1 << pool->depth);
	REQUIRE(memcmp(at_depth, pool->at_depth, sizeof at_depth) == 0);
	REQUIRE(pool->count <= pool->touched && pool->touched <= pool->reserved);
	for (size_t i = 0; pool->next != NULL && i < pool->next_built; i++) {
		bool longer = pool->next_depth > pool->depth;
		const uint8_t *begin = longer ? pool->dir[i / 2] : pool->dir[2 * i];
		uint32_t path = map->segs[neap__number_at(map, begin)].path;
		REQUIRE(neap__path_depth(path) > pool->next_depth || pool->next[i] == begin);
	}
	return NULL;
}

static const char *check_spill(const struct neap_map *map)
{
	REQUIRE(map->spilled <= map->spill_room);
	for (uint32_t i = 0; i < map->spilled; i++) {
		uint32_t tag = neap__spill_tags(map)[i];
		uint64_t hash = neap__hash_from(neap__slot_hash(map, neap__spill_at(map, i)), tag);
		for (uint32_t group = 0; group <= neap__last_group(map); group++)
			REQUIRE(neap__overflowed(neap__ctrl_at(map, neap__segment_of(map, hash), group),
						 tag));
	}
	return NULL;
}

static size_t metadata_of(const struct neap_map *map)
{
	size_t bytes = sizeof *map + (map->name != NULL ? map->name_len + 1 : 0) + map->spill_room;
	const struct neap__pool *pool = map->pool;
	if (pool == NULL)
		return bytes + (neap__small_bytes(map) != 0 ? (size_t)(map->slots - map->ctrl) : 0);
	bytes += sizeof *pool + (sizeof(uint8_t *) << pool->depth) +
		 (pool->ctrl.stride + pool->segs.stride) * pool->count;
	return bytes + (pool->next != NULL ? sizeof(uint8_t *) << pool->next_depth : 0);
}

const char *neap__map_check(const struct neap_map *map)
{
	const char *broken = NULL;
	size_t live = 0;
	for (uint32_t number = 0; number < neap__segment_count(map) && broken == NULL; number++) {
		broken = check_segment(map, number);
		live += map->segs[number].live;
	}
	if (broken == NULL && map->pool != NULL)
		broken = check_directory(map);
	if (broken == NULL)
		broken = check_spill(map);
	if (broken != NULL)
		return broken;
	REQUIRE(live + map->spilled == map->len);

	uintptr_t guard = map->guard; /* the check may run in the middle of an operation */
	((struct neap_map *)(uintptr_t)map)->guard = 0;
	struct neap_map_stats stats;
	neap_map_stats(map, &stats);
	((struct neap_map *)(uintptr_t)map)->guard = guard;
	bool settled =
		guard <= NEAP__HOOKED || (map->flags & NEAP__OUTSIDE) == 0; /* else blocks may be in flight */
	REQUIRE(stats.metadata == metadata_of(map) || !settled);
	REQUIRE(stats.live + stats.tombstone + stats.empty + stats.free_held + stats.metadata == map->bytes);
	return NULL;
}
