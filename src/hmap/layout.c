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
	{NULL, 0},
};
