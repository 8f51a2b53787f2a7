/* layout.c: the bytes of a classic map that lie behind Go's header, for readers outside the process. */
#include "neap/layout.h"

#include "hmap/internal.h"

#define HMAP_FIELD(structure, field)                                                     \
	{                                                                                \
#		structure "." #		       field, offsetof(struct structure, field) \
	}

const struct neap_layout neap_hmap_layout[] = {
	{"version", 1},
	{"neap_hmap", sizeof(struct neap_hmap)},
	HMAP_FIELD(neap_hmap, head),
	HMAP_FIELD(neap_hmap, table),
	HMAP_FIELD(neap_hmap, old),
	HMAP_FIELD(neap_hmap, type),
	HMAP_FIELD(neap_hmap, key_slot),
	HMAP_FIELD(neap_hmap, value_slot),
	HMAP_FIELD(neap_hmap, values),
	HMAP_FIELD(neap_hmap, bucket_size),
	HMAP_FIELD(neap_hmap, key_indirect),
	HMAP_FIELD(neap_hmap, value_indirect),
	HMAP_FIELD(neap_hmap, name),
	HMAP_FIELD(neap_hmap, bytes),
	HMAP_FIELD(neap_hmap, listed),
	{"neap__hmap_table", sizeof(struct neap__hmap_table)},
	HMAP_FIELD(neap__hmap_table, buckets),
	HMAP_FIELD(neap_hmap, link),
	HMAP_FIELD(neap_hmap_type, kind),
	HMAP_FIELD(neap_hmap_type, key_size),
	HMAP_FIELD(neap_hmap_type, value_size),
	{"neap__registry", sizeof(struct neap__registry)},
	{"neap__registry.shards", offsetof(struct neap__registry, shards)},
	{"neap__registry.stride", offsetof(struct neap__registry, stride)},
	{"neap__registry.shard", offsetof(struct neap__registry, shard)},
	{"neap__shard.first", offsetof(struct neap__shard, first)},
	{"neap__shard.count", offsetof(struct neap__shard, count)},
	{"neap__link.next", offsetof(struct neap__link, next)},
	{"neap__link.object", offsetof(struct neap__link, object)},
	{"neap__link.kind", offsetof(struct neap__link, kind)},
	{"kind_hmap", NEAP__KIND_HMAP},
	{"key_string", NEAP_HMAP_STR},
	{"inline_max", NEAP_HMAP_INLINE_MAX},
	{NULL, 0},
};

const struct neap_beacon neap__hmap_beacon = {NEAP_BEACON_MAGIC, &neap__hmap_beacon, "hmap", neap_hmap_layout,
					      &neap__registry};
