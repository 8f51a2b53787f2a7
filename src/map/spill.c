/* spill.c: entries that a degenerate hash leaves without a place.
 *
 * A segment that is full, and too deep for another split to be worth its memory, sends further entries to one
 * list per map: slots first, their tags behind them.
 *
 *     | slot 0 | slot 1 | ... | slot room-1 | tag 0 | tag 1 | ... | tag room-1 |
 *
 * A look-up that runs through every group of a segment with the overflow bit of its tag set in all of them
 * comes here. So the bit is set in all groups of the segment when an entry spills, and set again by settle()
 * whenever the overflow bytes of a segment were rewritten.
 *
 * The list is searched from end to end: a degenerate hash costs linear time. It costs no more memory than the
 * entries need, nothing is lost, and neap_map_stats reports it.
 */
#include <string.h>

#include "map/internal.h"

enum { FIRST_ROOM = 16 };

static size_t bytes_for(const struct neap_map *map, uint32_t room)
{
	return (size_t)room * (map->slot_size + 1);
}

static int make_spill_room(struct neap_map *map, uint32_t room)
{
	uint8_t *list = neap__map_alloc(map, bytes_for(map, room), 64);
	if (list == NULL)
		return NEAP_ENOMEM;
	if (map->spilled != 0) {
		memcpy(list, map->spill, (size_t)map->spilled * map->slot_size);
		memcpy(list + (size_t)room * map->slot_size, neap__spill_tags(map), map->spilled);
	}
	neap__map_free(map, map->spill, bytes_for(map, map->spill_room));
	map->spill = list;
	map->spill_room = room;
	return NEAP_OK;
}

static void mark_all(struct neap_map *map, uint32_t number, uint32_t tag)
{
	for (uint32_t group = 0; group <= neap__last_group(map); group++)
		neap__mark_overflow(neap__ctrl_at(map, number, group), tag);
}

/* A slot for an entry of `hash`, for which there is room. */
static uint8_t *spill_append(struct neap_map *map, uint64_t hash)
{
	uint32_t tag = neap__tag(hash);
	neap__spill_tags(map)[map->spilled] = (uint8_t)tag;
	mark_all(map, neap__segment_of(map, hash), tag);
	return neap__spill_at(map, map->spilled++);
}

uint8_t *neap__spill_claim(struct neap_map *map, uint64_t hash)
{
	if (map->spilled == map->spill_room) {
		uint32_t room = map->spill_room == 0 ? FIRST_ROOM : map->spill_room + map->spill_room / 2;
		if (make_spill_room(map, room) != NEAP_OK)
			return NULL;
	}
	map->len++;
	return spill_append(map, hash);
}

int neap__spill_provide(struct neap_map *map, uint32_t more)
{
	return map->spill_room - map->spilled >= more ? NEAP_OK : make_spill_room(map, map->spilled + more);
}

void neap__spill_move(struct neap_map *map, const uint8_t *slot, uint64_t hash)
{
	memcpy(spill_append(map, hash), slot, map->slot_size);
	map->moved_now++;
}

void neap__spill_fit(struct neap_map *map)
{
	if (map->spilled == 0)
		neap__spill_free(map);
	else
		(void)make_spill_room(map, map->spilled < FIRST_ROOM ? FIRST_ROOM : map->spilled);
}

uint8_t *neap__spill_find(const struct neap_map *map, const void *key, uint64_t hash)
{
	const uint8_t *tags = neap__spill_tags(map);
	uint8_t tag = (uint8_t)neap__tag(hash);
	for (uint32_t i = 0; i < map->spilled; i++)
		if (tags[i] == tag && neap__key_equal(map, neap__spill_at(map, i), key, hash))
			return neap__spill_at(map, i);
	return NULL;
}

/* Closes the hole at `index` with the last entry; the list is freed when it is empty. */
static void close_hole(struct neap_map *map, uint32_t index)
{
	uint32_t last = --map->spilled;
	if (index != last) {
		memcpy(neap__spill_at(map, index), neap__spill_at(map, last), map->slot_size);
		neap__spill_tags(map)[index] = neap__spill_tags(map)[last];
	}
	if (map->spilled == 0)
		neap__spill_free(map);
	else if (map->spilled < map->spill_room / 4)
		(void)make_spill_room(map, map->spill_room / 2);
}

void neap__spill_remove(struct neap_map *map, uint8_t *slot)
{
	map->epoch++;
	close_hole(map, (uint32_t)((size_t)(slot - map->spill) / map->slot_size));
}

void neap__spill_settle(struct neap_map *map, uint32_t number)
{
	for (uint32_t i = 0; i < map->spilled;) {
		const uint8_t *slot = neap__spill_at(map, i);
		uint32_t hash_high = neap__slot_hash(map, slot), tag = neap__spill_tags(map)[i];
		if (neap__segment_of(map, (uint64_t)hash_high << 32) != number) {
			i++;
		} else if (map->segs[number].room > 0) {
			neap__segment_adopt(map, number, slot, tag, hash_high);
			map->epoch++;
			close_hole(map, i);
		} else {
			mark_all(map, number, tag);
			i++;
		}
	}
}

size_t neap__spill_bytes(const struct neap_map *map)
{
	return bytes_for(map, map->spill_room);
}

void neap__spill_free(struct neap_map *map)
{
	neap__map_free(map, map->spill, bytes_for(map, map->spill_room));
	map->spill = NULL;
	map->spill_room = 0;
}
