/* layout.c: where a concurrent map keeps its entries, for readers outside the process. docs/layout.md is the same in prose. */
#include "neap/layout.h"

#include "cmap/internal.h"

#define CMAP_FIELD(structure, field)                                                     \
	{                                                                                \
#		structure "." #		       field, offsetof(struct structure, field) \
	}

const struct neap_layout neap_cmap_layout[] = {
	{"version", 1},
	{"neap_cmap", sizeof(struct neap_cmap)},
	CMAP_FIELD(neap_cmap, front.directory),
	CMAP_FIELD(neap_cmap, bucket_words),
	CMAP_FIELD(neap_cmap, slot_words),
	CMAP_FIELD(neap_cmap, key_words),
	CMAP_FIELD(neap_cmap, key_at),
	CMAP_FIELD(neap_cmap, value_at),
	CMAP_FIELD(neap_cmap, type),
	CMAP_FIELD(neap_cmap, next),
	CMAP_FIELD(neap_cmap, name),
	{"neap__directory_entry", sizeof(struct neap__directory_entry)},
	CMAP_FIELD(neap__directory_entry, table),
	CMAP_FIELD(neap__directory_entry, shard),
	CMAP_FIELD(neap__cmap_shard, table),
	CMAP_FIELD(neap__bucket, tags),
	CMAP_FIELD(neap__bucket, words),
	{"bucket_slots", NEAP__BUCKET_SLOTS},
	CMAP_FIELD(neap_map_type, kind),
	CMAP_FIELD(neap_map_type, key_size),
	CMAP_FIELD(neap_map_type, value_size),
	{"key_string", NEAP_KEY_STR},
	{NULL, 0},
};

const struct neap_beacon neap__cmap_beacon = {NEAP_BEACON_MAGIC, &neap__cmap_beacon, "cmap", neap_cmap_layout,
					      &neap__cmap_list};
