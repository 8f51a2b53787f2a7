/* layout.c: what a reader outside the process has to know of a map, as data and as assertions.
 *
 * docs/layout.md is the same in prose; the assertions keep the two together.
 */
#include "neap/layout.h"

#include "map/internal.h"

#define AT(structure, field, offset) _Static_assert(offsetof(structure, field) == (offset), "docs/layout.md")

AT(struct neap_map, dir, 0);
AT(struct neap_map, slots_bias, 8);
AT(struct neap_map, seed, 16);
AT(struct neap_map, guard, 32);
AT(struct neap_map, len, 40);
AT(struct neap_map, segs_bias, 48);
AT(struct neap_map, dir_shift, 56);
AT(struct neap_map, home_shift, 57);
AT(struct neap_map, flags, 58);
AT(struct neap_map, group_bits, 59);
AT(struct neap_map, home_mask, 60);
AT(struct neap_map, ctrl, 64);
AT(struct neap_map, slots, 72);
AT(struct neap_map, segs, 80);
AT(struct neap__segment, live, 0);
AT(struct neap__segment, room, 2);
AT(struct neap__segment, path, 4);
_Static_assert(sizeof(struct neap__segment) == 8, "docs/layout.md");
AT(struct neap__link, next, 0);
AT(struct neap__link, prev, 8);
AT(struct neap__link, object, 16);
AT(struct neap__link, kind, 32);
AT(struct neap__registry, shards, 0);
AT(struct neap__registry, stride, 4);
_Static_assert(offsetof(struct neap_map, ctrl) == 64, "a look-up reads one cache line of the map");

#define FIELD(structure, field)                                                          \
	{                                                                                \
#		structure "." #		       field, offsetof(struct structure, field) \
	}

const struct neap_layout neap_layout[] = {
	{"version", 2},
	{"neap_map", sizeof(struct neap_map)},
	FIELD(neap_map, dir),
	FIELD(neap_map, ctrl),
	FIELD(neap_map, slots),
	FIELD(neap_map, seed),
	FIELD(neap_map, guard),
	FIELD(neap_map, len),
	FIELD(neap_map, dir_shift),
	FIELD(neap_map, home_shift),
	FIELD(neap_map, flags),
	FIELD(neap_map, group_bits),
	FIELD(neap_map, home_mask),
	FIELD(neap_map, segs),
	FIELD(neap_map, slot_size),
	FIELD(neap_map, value_offset),
	FIELD(neap_map, hash_offset),
	FIELD(neap_map, group_bytes),
	FIELD(neap_map, small_slots),
	FIELD(neap_map, limit),
	FIELD(neap_map, one),
	FIELD(neap_map, spill_room),
	FIELD(neap_map, epoch),
	FIELD(neap_map, spilled),
	FIELD(neap_map, spill),
	FIELD(neap_map, pool),
	FIELD(neap_map, type),
	FIELD(neap_map, name),
	FIELD(neap_map, bytes),
	FIELD(neap_map, name_len),
	FIELD(neap_map, listed),
	FIELD(neap_map_type, kind),
	FIELD(neap_map_type, key_size),
	FIELD(neap_map_type, value_size),
	{"neap__segment", sizeof(struct neap__segment)},
	FIELD(neap__segment, live),
	FIELD(neap__segment, room),
	FIELD(neap__segment, path),
	FIELD(neap__pool, count),
	FIELD(neap__pool, touched),
	FIELD(neap__pool, depth),
	{"group_slots", NEAP__GROUP_SLOTS},
	{"control_bytes", NEAP__CONTROL_BYTES},
	{"key_string", NEAP_KEY_STR},
	{"inline_max", NEAP_MAP_INLINE_MAX},
	{"neap__registry", sizeof(struct neap__registry)},
	FIELD(neap__registry, shards),
	FIELD(neap__registry, stride),
	FIELD(neap__registry, shard),
	FIELD(neap__shard, first),
	FIELD(neap__shard, count),
	FIELD(neap__link, next),
	FIELD(neap__link, object),
	FIELD(neap__link, kind),
	{"kind_bookmark", NEAP__KIND_BOOKMARK},
	{"kind_map", NEAP__KIND_MAP},
	{"kind_hmap", NEAP__KIND_HMAP},
	{NULL, 0},
};

const struct neap_beacon neap__map_beacon = {NEAP_BEACON_MAGIC, &neap__map_beacon, "map", neap_layout,
					     &neap__registry};
