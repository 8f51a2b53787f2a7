/* linked_maps.c: the maps of libneap, slot by slot. docs/layout.md has the layout; the offsets come from the process.
 *
 *   Neap's map    segments of groups; a group has a control word (15 tags, 0 for empty) and 15 slots
 *   classic map   Go's: buckets of eight slots and their tophashes, overflow chains, an old array while it grows
 *
 * A tombstone of Neap's map is no state of a slot but room that a segment lost: its slots are counted as empty, and the
 * number of tombstones comes from the segment table.
 */
#include <stdlib.h>
#include <string.h>

#include "linked_process.h"

enum {
	NAME_BYTES = 64,
	KEY_LIMIT = 1 << 20,
	LOG_BUCKETS_LIMIT = 40,
	CHAIN_LIMIT = 10000,
	BUCKET_SLOTS = 8,
	HEAD_OLD = 24, /* of Go's header: B at 9, buckets at 16, oldbuckets at 24 */
	TOP_TOMBSTONE = 1,
	TOP_LIVE = 5,
};

struct map_read {
	struct linked_process *process;
	enum linked_module module;
	const uint8_t *bytes; /* the header */
	struct snapshot_builder *builder;
	struct snapshot_map record;
	uint64_t type; /* address */
	uint32_t key_size, key_kind;
	uint64_t resident; /* bytes of the tables */
	bool torn;
};

static uint64_t number(const struct map_read *map, const char *name, size_t width)
{
	uint64_t value = 0;
	memcpy(&value, map->bytes + linked_fact(map->process, map->module, name), width);
	return value;
}

static bool is_string(const struct map_read *map)
{
	return map->key_kind == linked_fact(map->process, map->module, "key_string");
}

/* Of the key's bytes, or of the string's. */
static uint64_t key_fingerprint(const struct map_read *map, const uint8_t *slot)
{
	struct image *image = map->process->image;
	uint32_t held =
		map->key_size > linked_fact(map->process, map->module, "inline_max") ? 8 : map->key_size;
	uint64_t address = 0;
	uint32_t length = 0;
	const void *bytes = NULL;
	if (is_string(map)) {
		memcpy(&address, slot, sizeof address);
		memcpy(&length, slot + 8, sizeof length);
		bytes = length > KEY_LIMIT ? NULL : image_at(image, address, length);
	} else if (held != map->key_size) {
		memcpy(&address, slot, sizeof address);
		length = map->key_size;
		bytes = length > KEY_LIMIT ? NULL : image_at(image, address, length);
	}
	return bytes != NULL ? snapshot_fingerprint(bytes, length) : snapshot_fingerprint(slot, held);
}

struct key_shape {
	uint32_t kind, key_size, value_size;
};

/* How the facts call what every kind of map has. */
static const struct kind_names {
	const char *noun, *type, *name, *kind, *key_size, *value_size;
} kinds[] = {
	[LINKED_MAP] = {"map", "neap_map.type", "neap_map.name", "neap_map_type.kind",
			"neap_map_type.key_size", "neap_map_type.value_size"},
	[LINKED_HMAP] = {"hmap", "neap_hmap.type", "neap_hmap.name", "neap_hmap_type.kind",
			 "neap_hmap_type.key_size", "neap_hmap_type.value_size"},
	[LINKED_CMAP] = {"concurrent map", "neap_cmap.type", "neap_cmap.name", "neap_map_type.kind",
			 "neap_map_type.key_size", "neap_map_type.value_size"},
};

static struct key_shape read_shape(struct linked_process *process, enum linked_module module, uint64_t type)
{
	const char *const fields[] = {kinds[module].kind, kinds[module].key_size, kinds[module].value_size};
	uint32_t sizes[3] = {0};
	for (size_t i = 0; i < 3; i++) {
		const void *at = image_at(process->image, type + linked_fact(process, module, fields[i]), 4);
		if (at != NULL)
			memcpy(&sizes[i], at, sizeof sizes[i]);
	}
	return (struct key_shape){sizes[0], sizes[1], sizes[2]};
}

static uint64_t map_word(struct linked_process *process, const struct linked_listed *map, const char *field)
{
	uint64_t value = 0;
	(void)image_word(process->image, map->object + linked_fact(process, map->module, field), &value);
	return value;
}

void linked_map_type(struct linked_process *process, const struct linked_listed *map, char *text, size_t size)
{
	const struct kind_names *names = &kinds[map->module];
	const struct key_shape shape = read_shape(process, map->module, map_word(process, map, names->type));
	if (shape.kind == linked_fact(process, map->module, "key_string"))
		snprintf(text, size, "%s, strings, values of %u B", names->noun, shape.value_size);
	else
		snprintf(text, size, "%s, keys of %u B, values of %u B", names->noun, shape.key_size,
			 shape.value_size);
}

void linked_map_name(struct linked_process *process, const struct linked_listed *map, char *text, size_t size)
{
	const bool outside = map->module == LINKED_MAP; /* the others hold its bytes */
	uint64_t at = outside ? map_word(process, map, "neap_map.name")
			      : map->object + linked_fact(process, map->module, kinds[map->module].name);
	uint64_t length =
		outside ? (map_word(process, map, "neap_map.name_len") & UINT32_MAX) + 1 : NAME_BYTES;
	length = length < NAME_BYTES ? length : NAME_BYTES;
	length = length < size ? length : size;
	const char *name = at == 0 ? NULL : image_at(process->image, at, length);
	size_t used = 0;
	for (; name != NULL && used + 1 < length && name[used] != '\0'; used++)
		text[used] = (unsigned char)name[used] < ' ' || name[used] == 0x7f ? '?' : name[used];
	text[used] = '\0';
	if (used == 0)
		snprintf(text, size, "(no name)");
}

/* ---- Neap's map ---- */

static void take_neap_group(struct map_read *map, const uint8_t *tags, uint64_t slots)
{
	struct snapshot_map *record = &map->record;
	uint32_t states = 0;
	const uint8_t *bytes = image_at(map->process->image, slots, record->group_size);
	map->torn |= bytes == NULL;
	for (unsigned slot = 0; slot < record->group_slots && bytes != NULL; slot++) {
		if (tags[slot] == 0)
			continue;
		states |= (uint32_t)SNAPSHOT_LIVE << (2 * slot);
		record->live++;
		snapshot_add_key(map->builder, key_fingerprint(map, bytes + slot * record->slot_stride));
	}
	record->slots += record->group_slots;
	snapshot_add_group(map->builder, slots, states, 0);
}

static void take_segment(struct map_read *map, uint64_t segment, uint64_t groups)
{
	struct linked_process *process = map->process;
	const enum linked_module module = LINKED_MAP;
	uint64_t control = number(map, "neap_map.ctrl", 8), slots = number(map, "neap_map.slots", 8);
	uint64_t word = linked_fact(process, module, "control_bytes"),
		 size = linked_fact(process, module, "neap__segment");
	const uint8_t *entry =
		image_at(process->image, number(map, "neap_map.segs", 8) + segment * size, size);
	uint16_t live = 0, room = 0;
	uint64_t limit = number(map, "neap_map.limit", 2);
	if (entry != NULL) {
		memcpy(&live, entry + linked_fact(process, module, "neap__segment.live"), sizeof live);
		memcpy(&room, entry + linked_fact(process, module, "neap__segment.room"), sizeof room);
	}
	map->record.tombstones += limit > (uint64_t)live + room ? limit - live - room : 0;
	for (uint64_t group = segment * groups; group < (segment + 1) * groups; group++) {
		const uint8_t *tags = image_at(process->image, control + group * word, word);
		if (tags == NULL) {
			map->torn = true;
			return;
		}
		take_neap_group(map, tags, slots + group * map->record.group_size);
	}
}

static void take_neap(struct map_read *map)
{
	struct linked_process *process = map->process;
	const enum linked_module module = LINKED_MAP;
	struct linked_shape shape;
	bool fits = linked_shape(process, map->record.address, &shape);
	struct snapshot_map *record = &map->record;
	record->group_slots = (uint32_t)shape.group_slots;
	record->group_size = (uint32_t)shape.group_size;
	record->slot_stride = (uint32_t)shape.slot_size;
	if (!fits || map->key_size > KEY_LIMIT) {
		map->torn = true;
		return;
	}
	for (uint64_t i = 0; i < shape.segments && !map->torn; i++)
		take_segment(map, i, shape.groups);
	record->live += number(map, "neap_map.spilled", 4);
	map->resident =
		linked_resident(process, shape.slots, shape.segments * shape.groups * shape.group_size) +
		linked_resident(process, shape.control, shape.segments * shape.groups * shape.control_bytes);
	/* packed as full as a segment may be, with its control words */
	uint64_t per_group = linked_fact(process, module, "group_slots");
	uint64_t packed = (record->count * 8 + 7 * per_group - 1) / (7 * per_group);
	record->rebuilt = linked_fact(process, module, "neap_map") +
			  packed * (record->group_size + shape.control_bytes);
}

/* ---- The classic map ---- */

static void take_bucket(struct map_read *map, uint64_t address, const uint8_t *bytes, unsigned depth)
{
	struct snapshot_map *record = &map->record;
	uint32_t states = 0;
	for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
		uint8_t top = bytes[slot];
		enum snapshot_slot state = top >= TOP_LIVE	  ? SNAPSHOT_LIVE
					   : top == 0		  ? SNAPSHOT_EMPTY
					   : top == TOP_TOMBSTONE ? SNAPSHOT_TOMBSTONE
								  : SNAPSHOT_OLD;
		states |= (uint32_t)state << (2 * slot);
		record->live += state == SNAPSHOT_LIVE;
		record->tombstones += state == SNAPSHOT_TOMBSTONE;
		if (state == SNAPSHOT_LIVE)
			snapshot_add_key(
				map->builder,
				key_fingerprint(map, bytes + record->slot_at + slot * record->slot_stride));
	}
	record->slots += BUCKET_SLOTS;
	snapshot_add_group(map->builder, address, states, depth);
}

static void take_buckets(struct map_read *map, uint64_t array, unsigned log_buckets, uint64_t link)
{
	struct linked_process *process = map->process;
	for (uint64_t i = 0; i < 1ull << log_buckets && !map->torn; i++) {
		uint64_t bucket = array + i * map->record.group_size;
		for (unsigned depth = 0; bucket != 0 && depth < CHAIN_LIMIT; depth++) {
			const uint8_t *bytes = image_at(process->image, bucket, map->record.group_size);
			if (bytes == NULL) {
				map->torn = true;
				return;
			}
			take_bucket(map, bucket, bytes, depth);
			memcpy(&bucket, bytes + link, sizeof bucket);
		}
	}
	map->resident += linked_resident(process, array, map->record.group_size << log_buckets);
}

static void take_classic(struct map_read *map)
{
	struct linked_process *process = map->process;
	const enum linked_module module = LINKED_HMAP;
	const uint8_t *head = map->bytes + linked_fact(process, module, "neap_hmap.head");
	uint64_t arrays[2], link = number(map, "neap_hmap.link", 8);
	unsigned flags = head[8], log_buckets = head[9];
	memcpy(arrays, head + HEAD_OLD - 8, sizeof arrays);
	struct snapshot_map *record = &map->record;
	record->group_slots = BUCKET_SLOTS;
	record->group_size = (uint32_t)number(map, "neap_hmap.bucket_size", 8);
	record->slot_at = BUCKET_SLOTS;
	record->slot_stride = (uint32_t)number(map, "neap_hmap.key_slot", 8);
	if (log_buckets > LOG_BUCKETS_LIMIT || record->group_size < 16 || link > record->group_size - 8 ||
	    (uint64_t)record->slot_at + 8ull * record->slot_stride > record->group_size) {
		map->torn = true;
		return;
	}
	if (arrays[0] != 0)
		take_buckets(map, arrays[0], log_buckets, link);
	bool same = (flags & LINKED_SAME_SIZE) != 0;
	if (arrays[1] != 0 && (same || log_buckets > 0))
		take_buckets(map, arrays[1], same ? log_buckets : log_buckets - 1, link);
	if (arrays[1] != 0)
		record->flags |= SNAPSHOT_GROWING;
	unsigned needed = 0;
	while (record->count > BUCKET_SLOTS && 2 * record->count > 13ull << needed)
		needed++;
	record->rebuilt =
		linked_fact(process, module, "neap_hmap") + ((uint64_t)record->group_size << needed);
}

/* ---- Both ---- */

/* The tables' resident bytes by the states of their slots; the header and blocks of keys and values are live. */
static void account(const struct map_read *map, struct snapshot_header *header)
{
	const struct snapshot_map *record = &map->record;
	uint64_t tables = map->resident, slots = record->slots == 0 ? 1 : record->slots;
	uint64_t outside = record->bytes > tables ? record->bytes - tables : 0;
	uint64_t live = (uint64_t)((double)tables * (double)(record->live < slots ? record->live : slots) /
				   (double)slots);
	uint64_t left = tables - live;
	uint64_t tombstone = (uint64_t)((double)tables * (double)record->tombstones / (double)slots);
	tombstone = tombstone < left ? tombstone : left;
	/* what lies outside the tables: keys and values held by pointer, when there are entries to hold any */
	header->live += live + (record->live > 0 && outside < record->bytes ? outside : 0);
	header->tombstone += tombstone;
	header->empty += left - tombstone;
}

uint64_t linked_map_take(struct linked_process *process, enum linked_module module, uint64_t object,
			 struct snapshot_builder *builder, struct snapshot_header *header, uint64_t heap,
			 uint64_t heap_end)
{
	const bool classic = module == LINKED_HMAP;
	struct map_read map = {.process = process, .module = module, .builder = builder};
	uint64_t size = linked_fact(process, module, classic ? "neap_hmap" : "neap_map");
	map.bytes = image_at(process->image, object, size);
	if (map.bytes == NULL || process->missing[0] != '\0') {
		process->torn++;
		return 0;
	}
	map.type = number(&map, classic ? "neap_hmap.type" : "neap_map.type", 8);
	const struct key_shape shape = read_shape(process, module, map.type);
	const struct linked_listed listed = {.object = object, .module = module};
	char text[NAME_BYTES * 2];
	map.key_kind = shape.kind;
	map.key_size = shape.key_size;
	linked_map_type(process, &listed, text, sizeof text);
	map.record.type = snapshot_add_string(builder, text);
	linked_map_name(process, &listed, text, NAME_BYTES);
	map.record.holder = snapshot_add_string(builder, text);
	map.record.address = object;
	map.record.bytes = number(&map, classic ? "neap_hmap.bytes" : "neap_map.bytes", 8);
	map.record.count = classic ? number(&map, "neap_hmap.head", 8) : number(&map, "neap_map.len", 8);
	map.record.confidence = MAP_TYPED;
	map.record.candidates = 1;
	map.record.flags = SNAPSHOT_REACHABLE;
	snapshot_add_map(builder, &map.record);
	if (classic)
		take_classic(&map);
	else
		take_neap(&map);
	map.torn |= map.record.live != map.record.count;
	map.record.flags |= map.torn ? SNAPSHOT_TORN : 0u;
	process->torn += map.torn;
	struct snapshot_map *added = snapshot_last_map(builder);
	map.record.first_group = added->first_group;
	map.record.first_key = added->first_key;
	map.record.first_step = added->first_step;
	map.record.group_count = added->group_count;
	if (map.record.group_slots == 0 || map.record.group_slots > SNAPSHOT_SLOTS_MAX)
		map.record.group_slots = 1; /* it has no groups */
	*added = map.record;
	account(&map, header);
	return object >= heap && object < heap_end ? map.record.bytes : 0;
}
