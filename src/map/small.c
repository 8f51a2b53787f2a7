/* small.c: maps of few entries, each in one block.
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
 * Growth steps are 4, 8, 15 slots, then twice the groups, as long as the slots stay within SMALL_BYTES: for wide slots
 * that is several segments. (A pool for 1,000 entries of 64 bytes, three mappings and their pages, cost 40 ns an entry
 * more than a block that malloc hands back.) The largest table goes to a pool of two segments, or of as many segments
 * as it is large; then it goes when it holds what these take with near certainty, because the step costs the more the
 * more pages it fills.
 */
#include <string.h>

#include "map/internal.h"

static const struct {
	_Alignas(16) uint8_t bytes[NEAP__CONTROL_BYTES];
} no_entries;

/* The largest small table has as many groups as a segment of 24-byte slots or, where that is less, what these bytes of
 * slots hold. With its control words it stays below the size from which malloc takes pages of its own.
 */
#ifdef NEAP_HOSTILE
enum { SMALL_GROUP_BITS = 3, SMALL_BYTES = 1 << 20 };
#else
enum { SMALL_GROUP_BITS = 7, SMALL_BYTES = 122880 };
#endif

/* A size of small table: groups, and slots when fewer than a group. */
struct small_size {
	uint32_t group_bits;
	uint32_t slots; /* 0: whole groups */
};

static uint32_t limit_of(const struct neap_map *map, struct small_size size)
{
	if (size.slots != 0)
		return size.slots;
	uint32_t limit = NEAP__LIMIT(1u << size.group_bits);
	return size.group_bits <= map->group_bits || limit < neap__small_most(map)
		       ? limit
		       : (uint32_t)neap__small_most(map);
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
static struct small_size size_for(const struct neap_map *map, size_t n)
{
	static const uint32_t cut[] = {4, 8};
	for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++)
		if (n <= cut[i] && cut[i] < NEAP__GROUP_SLOTS)
			return (struct small_size){0, cut[i]};
	struct small_size size = {0, 0};
	while (limit_of(map, size) < n)
		size.group_bits++;
	return size;
}

static bool has_block(const struct neap_map *map)
{
	return map->pool == NULL && map->ctrl != no_entries.bytes;
}

uint32_t neap__small_segments(const struct neap_map *map)
{
	uint32_t bits = map->group_bits;
	while (bits < SMALL_GROUP_BITS && map->group_bytes << (bits + 1) <= SMALL_BYTES)
		bits++;
	return 1u << (bits - map->group_bits);
}

size_t neap__small_most(const struct neap_map *map)
{
	size_t limit = neap__limit(map), most = neap__small_segments(map) * neap__expected_fill(map);
	return most > limit ? most : limit;
}

size_t neap__small_bytes_for(const struct neap_map *map, size_t n)
{
	return bytes_of(map, size_for(map, n));
}

uint32_t neap__small_limit_for(const struct neap_map *map, size_t n)
{
	return limit_of(map, size_for(map, n));
}

size_t neap__small_bytes(const struct neap_map *map)
{
	return has_block(map) ? bytes_of(map, size_now(map)) : 0;
}

/* Points the map at an empty table. */
static void set_geometry(struct neap_map *map, struct small_size size, uint32_t limit, uint8_t *ctrl,
			 uint8_t *slots)
{
	neap__map_aim(map, ctrl, slots, &map->one);
	map->one_dir[0] = map->one_dir[1] = ctrl;
	map->dir = map->one_dir;
	map->dir_shift = 63;
	map->one = (struct neap__segment){0, (uint16_t)limit, neap__path_of(0, 0)};
	map->home_mask = NEAP__CONTROL_BYTES * ((1u << size.group_bits) - 1u);
	map->home_shift = (uint8_t)(36 - size.group_bits);
	map->small_slots = (uint8_t)size.slots;
	map->limit = (uint16_t)limit;
	neap__policy_set(map);
}

void neap__small_reset(struct neap_map *map)
{
	uint8_t *ctrl = (uint8_t *)(uintptr_t)no_entries.bytes; /* never written: room is 0 */
	set_geometry(map, (struct small_size){0, 0}, 0, ctrl, ctrl);
}

void neap__small_free(struct neap_map *map)
{
	if (has_block(map))
		neap__map_free(map, map->ctrl, bytes_of(map, size_now(map)));
	neap__small_reset(map);
}

int neap__small_resize(struct neap_map *map, size_t n)
{
	struct small_size size = size_for(map, n);
	size_t bytes = bytes_of(map, size);
	uint8_t *block = neap__map_alloc(map, bytes, 64);
	if (block == NULL)
		return NEAP_ENOMEM;

	uint32_t groups_before = neap__segment_count(map) * (neap__last_group(map) + 1u);
	struct neap__table old = {map->ctrl, map->slots, groups_before};
	struct neap__pool *pool = map->pool;
	uint8_t *old_block = has_block(map) ? map->ctrl : NULL;
	size_t old_bytes = neap__small_bytes(map);

	uint32_t groups = 1u << size.group_bits;
	memset(block, 0, (size_t)groups * NEAP__CONTROL_BYTES);
	map->pool = NULL;
	set_geometry(map, size, limit_of(map, size), block, block + slots_offset(groups));
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
