/* small.c: tables of less than a segment.
 *
 * A small map is one block: the control words of 1, 2, 4, ... groups, then their slots. The smallest tables
 * have one group whose slot array is cut short after 4 or 8 slots; nothing else changes, because the first
 * empty slot of a group is always below its number of entries.
 *
 *     | ctrl 0 | ctrl 1 | ... | slots of group 0 | slots of group 1 | ...
 *
 * The map looks like a pool of one segment: number 0, depth 0, a directory of two entries that say so. An empty map has no
 * block at all: its one control word is a constant of all zeroes, which every look-up misses, and its room is
 * 0, which sends the first insert to the policy.
 *
 * Growth steps are 4, 8, 15 slots, then twice the groups; from a whole segment the map goes to a pool of two.
 */
#include <string.h>

#include "map/internal.h"

static const struct {
	_Alignas(16) uint8_t bytes[NEAP__CONTROL_BYTES];
} no_entries;

/* A size of small table: groups, and slots when fewer than a group. */
struct small_size {
	uint32_t group_bits;
	uint32_t slots; /* 0: whole groups */
};

static uint32_t limit_of(struct small_size size)
{
	return size.slots != 0 ? size.slots : NEAP__LIMIT(1u << size.group_bits);
}

static size_t slots_offset(uint32_t groups)
{
	return groups == 1 ? 64 : (size_t)groups * NEAP__CONTROL_BYTES;
}

static size_t bytes_of(const struct neap_map *map, struct small_size size)
{
	size_t slots = size.slots != 0 ? size.slots : (size_t)NEAP__GROUP_SLOTS << size.group_bits;
	return slots_offset(1u << size.group_bits) + slots * map->slot_size;
}

static struct small_size size_now(const struct neap_map *map)
{
	uint32_t groups = neap__last_group(map) + 1u;
	return (struct small_size){(uint32_t)__builtin_ctz(groups), map->small_slots};
}

/* The smallest size with room for n entries, n <= neap__small_most. */
static struct small_size size_for(size_t n)
{
	static const uint32_t cut[] = {4, 8};
	for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++)
		if (n <= cut[i] && cut[i] < NEAP__GROUP_SLOTS)
			return (struct small_size){0, cut[i]};
	struct small_size size = {0, 0};
	while (limit_of(size) < n)
		size.group_bits++;
	return size;
}

static bool has_block(const struct neap_map *map)
{
	return map->pool == NULL && map->ctrl != no_entries.bytes;
}

size_t neap__small_most(const struct neap_map *map)
{
	return limit_of((struct small_size){map->group_bits, 0});
}

uint32_t neap__small_limit_for(size_t n)
{
	return limit_of(size_for(n));
}

uint32_t neap__small_limit(const struct neap_map *map)
{
	return has_block(map) ? limit_of(size_now(map)) : 0;
}

size_t neap__small_bytes(const struct neap_map *map)
{
	return has_block(map) ? bytes_of(map, size_now(map)) : 0;
}

static void set_geometry(struct neap_map *map, struct small_size size, uint8_t *ctrl, uint8_t *slots)
{
	neap__map_aim(map, ctrl, slots, &map->one);
	map->one_dir[0] = map->one_dir[1] = ctrl;
	map->dir = map->one_dir;
	map->dir_shift = 63;
	map->one.path = neap__path_of(0, 0);
	map->home_mask = NEAP__CONTROL_BYTES * ((1u << size.group_bits) - 1u);
	map->home_shift = (uint8_t)(36 - size.group_bits);
	map->small_slots = (uint8_t)size.slots;
	neap__policy_set(map);
}

void neap__small_reset(struct neap_map *map)
{
	uint8_t *ctrl = (uint8_t *)(uintptr_t)no_entries.bytes; /* never written: room is 0 */
	map->one.live = map->one.room = 0;
	set_geometry(map, (struct small_size){0, 0}, ctrl, ctrl);
}

void neap__small_free(struct neap_map *map)
{
	if (has_block(map))
		neap__map_free(map, map->ctrl, bytes_of(map, size_now(map)));
	neap__small_reset(map);
}

int neap__small_resize(struct neap_map *map, size_t n)
{
	struct small_size size = size_for(n);
	size_t bytes = bytes_of(map, size);
	uint8_t *block = neap__map_alloc(map, bytes, 64);
	if (block == NULL)
		return NEAP_ENOMEM;

	struct neap__table old = {map->ctrl, map->slots, neap__last_group(map) + 1u};
	struct neap__pool *pool = map->pool;
	uint8_t *old_block = has_block(map) ? map->ctrl : NULL;
	size_t old_bytes = neap__small_bytes(map);

	uint32_t groups = 1u << size.group_bits;
	memset(block, 0, (size_t)groups * NEAP__CONTROL_BYTES);
	map->pool = NULL;
	map->one.live = 0;
	map->one.room = (uint16_t)limit_of(size);
	set_geometry(map, size, block, block + slots_offset(groups));
	neap__segments_fill(map, &old);

	map->epoch++;
	if (pool != NULL) {
		map->pool = pool;
		neap__pool_destroy(map);
	}
	neap__map_free(map, old_block, old_bytes);
	neap__spill_settle(map, 0);
	return NEAP_OK;
}
