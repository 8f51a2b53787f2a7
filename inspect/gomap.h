/* gomap.h: a Go map as bytes: header, groups of eight slots, and what each slot holds.
 *
 * Both of Go's maps keep entries in groups of eight: a bucket of the classic map, a group of the Swiss one.
 *
 *   classic bucket   | tophash x 8 | key x 8 | value x 8 | overflow pointer |
 *   Swiss group      | control x 8 | (key, value) x 8 |            (or keys apart: the type says)
 *
 * A walk visits every group of a map once and checks on the way what must hold; it stops at the first thing
 * that can't be a map of that type. Nothing that is read is believed: arrays must be heap objects of exactly
 * the size that the runtime would have allocated, chains are bounded, states must be legal.
 */
#ifndef NEAP_INSPECT_GOMAP_H
#define NEAP_INSPECT_GOMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct go_process;

enum { GO_GROUP_SLOTS = 8 };

/* A map type, with where things lie in its groups. */
struct go_map_type {
	uint64_t type, key, elem, group; /* descriptors */
	uint32_t group_size;
	uint32_t key_size, elem_size; /* in the slot: 8 when the key or value is held by pointer */
	uint32_t keys_at, key_stride;
	uint32_t elems_at, elem_stride;
	bool key_indirect, elem_indirect;
	bool pointers; /* the groups hold pointers, so their array is scanned */
};

struct go_map_types {
	struct go_map_type *list; /* sorted so that types of one layout are neighbours */
	size_t count, capacity;
};

void go_map_types_load(struct go_process *process, struct go_map_types *ret);
void go_map_types_free(struct go_map_types *types);
const struct go_map_type *go_map_types_find(const struct go_map_types *types, uint64_t type);

/* True when a walk can't tell the two types apart. */
bool go_map_type_same_layout(const struct go_map_type *left, const struct go_map_type *right);

struct go_map_header {
	uint64_t address;
	uint64_t count; /* entries, as the header has it */
	/* classic */
	uint8_t flags, log_buckets;
	bool writing; /* a write is under way, by the map's own flag; of both kinds */
	uint32_t seed;
	uint64_t buckets, old_buckets, evacuated, extra;
	/* Swiss */
	uint64_t swiss_seed, directory, directory_length;
	uint8_t depth;
};

enum go_slot {
	GO_SLOT_LIVE,
	GO_SLOT_TOMBSTONE, /* deleted, and something behind it in the probe order is not */
	GO_SLOT_EMPTY,	   /* never used, or deleted with nothing behind it: the bytes don't tell which */
	GO_SLOT_MOVED,	   /* in an old array, copied to the new one, and cleared */
	GO_SLOT_STALE,	   /* the same, not cleared: what it points to stays alive */
};

struct go_group {
	uint64_t address;
	const uint8_t *bytes;
	uint64_t home;	/* number of the bucket or, counted through all tables, of the group */
	unsigned depth; /* position in the overflow chain; 0 for Swiss maps */
	bool old;	/* in the array that a growth is emptying */
	/* Swiss: the groups of its table, its place among them, and the table's first place and number of places in the
	   directory; all 0 for the one group of a map without a table */
	uint64_t table_groups, in_table, directory_at, directory_places;
	enum go_slot slots[GO_GROUP_SLOTS];
};

struct go_map_visitor {
	void *context;
	/* A heap object that belongs to the map: `size` bytes as allocated. May be NULL. */
	void (*block)(void *context, uint64_t address, uint64_t size, bool old);
	void (*group)(void *context, const struct go_group *group); /* may be NULL */
	const bool *enough; /* the walk ends early, as a success, once this is true; may be NULL */
	bool reads_only;    /* nothing is judged: what can't be is passed over, and all else is looked at */
};

static inline bool go_map_seen_enough(const struct go_map_visitor *visitor)
{
	return visitor->enough != NULL && *visitor->enough;
}

/* Decodes the header at `address`; false when the words can't be a map's. */
bool go_map_header(struct go_process *process, uint64_t address, struct go_map_header *ret);

/* Visits the map as one of `type`. False as soon as something can't be. */
bool go_map_walk(struct go_process *process, const struct go_map_header *header,
		 const struct go_map_type *type, const struct go_map_visitor *visitor);

/* What the runtime would allocate for a new map with `count` entries, header included. */
uint64_t go_map_rebuilt_bytes(struct go_process *process, const struct go_map_type *type, uint64_t count);

/* The first group array of a map with contents, and where its entries begin; 0 for an empty map. */
uint64_t go_map_first_groups(struct go_process *process, const struct go_map_header *header);

/* Where the bytes of a slot's key and value are in a copy of its group. */
static inline const uint8_t *go_slot_key(const struct go_map_type *type, const uint8_t *group, unsigned slot)
{
	return group + type->keys_at + slot * type->key_stride;
}

static inline const uint8_t *go_slot_elem(const struct go_map_type *type, const uint8_t *group, unsigned slot)
{
	return group + type->elems_at + slot * type->elem_stride;
}

/* The two readers behind these (map_classic.c, map_swiss.c). */
bool go_classic_header(struct go_process *process, const uint8_t *bytes, struct go_map_header *ret);
bool go_classic_walk(struct go_process *process, const struct go_map_header *header,
		     const struct go_map_type *type, const struct go_map_visitor *visitor);
uint64_t go_classic_rebuilt(struct go_process *process, const struct go_map_type *type, uint64_t count);
bool go_swiss_header(struct go_process *process, const uint8_t *bytes, struct go_map_header *ret);
bool go_swiss_walk(struct go_process *process, const struct go_map_header *header,
		   const struct go_map_type *type, const struct go_map_visitor *visitor);
/* How many groups a lookup of a key with this hash looks at up to `group`; 0 when it would not come there. */
uint64_t go_swiss_probe(const struct go_map_header *header, const struct go_group *group, uint64_t hash);
uint64_t go_swiss_rebuilt(struct go_process *process, const struct go_map_type *type, uint64_t count);

#endif
