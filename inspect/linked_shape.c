/* linked_shape.c: where the memory of a map of libneap lies, and its entries. See linked_process.h.
 *
 * Only slots with an entry are visited: what a deleted entry left behind holds nothing.
 */
#include <string.h>

#include "linked_process.h"

enum {
	GROUPS_LIMIT = 1 << 16, /* of a segment */
	SEGMENTS_LIMIT = 1 << 24,
	SLOT_LIMIT = 1 << 16,
	LOG_BUCKETS_LIMIT = 40,
	CHAIN_LIMIT = 10000,
	BUCKET_SLOTS = 8,
	TOP_LIVE = 5,
	HEAD_BUCKETS = 16, /* of Go's header; the old array follows */
};

static uint64_t field(struct linked_process *process, enum linked_module module, uint64_t object,
		      const char *name, size_t width)
{
	uint64_t value = 0;
	const void *at = image_at(process->image, object + linked_fact(process, module, name), width);
	if (at != NULL)
		memcpy(&value, at, width);
	return value;
}

bool linked_shape(struct linked_process *process, uint64_t map, struct linked_shape *ret)
{
	const enum linked_module module = LINKED_MAP;
	uint64_t control = linked_fact(process, module, "control_bytes"),
		 small = field(process, module, map, "neap_map.small_slots", 1);
	*ret = (struct linked_shape){
		.control = field(process, module, map, "neap_map.ctrl", 8),
		.control_bytes = control,
		.slots = field(process, module, map, "neap_map.slots", 8),
		.pool = field(process, module, map, "neap_map.pool", 8),
		.segments = 1,
		.group_slots = small != 0 ? small : linked_fact(process, module, "group_slots"),
		.group_size = field(process, module, map, "neap_map.group_bytes", 4),
		.slot_size = field(process, module, map, "neap_map.slot_size", 4),
	};
	if (control == 0)
		return false;
	ret->groups = field(process, module, map, "neap_map.home_mask", 4) / control + 1;
	if (ret->pool != 0)
		ret->segments = field(process, module, ret->pool, "neap__pool.count", 4);
	if (small != 0)
		ret->group_size = ret->group_slots * ret->slot_size;
	if (ret->group_slots == 0 || ret->group_slots > SNAPSHOT_SLOTS_MAX || ret->groups > GROUPS_LIMIT ||
	    ret->segments > SEGMENTS_LIMIT || ret->slot_size > SLOT_LIMIT ||
	    ret->group_slots * ret->slot_size > ret->group_size)
		return false;
	/* a map that never had an entry has the library's constant for a table */
	const struct target_range *table = target_range_at(process->target, ret->control);
	if (ret->slots == 0 || (table != NULL && !table->writable))
		ret->segments = 0;
	return true;
}

/* ---- Neap's map ---- */

static void neap_pieces(struct linked_process *process, uint64_t map, linked_stretch_fn visit, void *context)
{
	struct linked_shape shape;
	const char *const blocks[] = {"neap_map.dir", "neap_map.pool", "neap_map.segs", "neap_map.spill",
				      "neap_map.name"};
	for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
		visit(context, field(process, LINKED_MAP, map, blocks[i], 8), 1);
	if (!linked_shape(process, map, &shape) || shape.segments == 0)
		return;
	visit(context, shape.slots, shape.segments * shape.groups * shape.group_size);
	visit(context, shape.control, shape.segments * shape.groups * shape.control_bytes);
}

static void neap_entries(struct linked_process *process, uint64_t map, linked_stretch_fn visit, void *context)
{
	struct linked_shape shape;
	if (!linked_shape(process, map, &shape))
		return;
	for (uint64_t group = 0; group < shape.segments * shape.groups; group++) {
		const uint8_t *tags = image_at(process->image, shape.control + group * shape.control_bytes,
					       shape.control_bytes);
		for (unsigned slot = 0; tags != NULL && slot < shape.group_slots; slot++)
			if (tags[slot] != 0)
				visit(context,
				      shape.slots + group * shape.group_size + slot * shape.slot_size,
				      shape.slot_size);
	}
	uint64_t spill = field(process, LINKED_MAP, map, "neap_map.spill", 8),
		 spilled = field(process, LINKED_MAP, map, "neap_map.spilled", 4);
	for (uint64_t i = 0; spill != 0 && i < spilled && i < SEGMENTS_LIMIT; i++)
		visit(context, spill + i * shape.slot_size, shape.slot_size);
}

/* ---- The classic map ---- */

struct buckets {
	struct linked_process *process;
	uint64_t size, link, key_slot, value_slot, values;
	linked_stretch_fn visit;
	void *context;
	bool entries; /* visit these, else whole buckets */
};

static void visit_bucket(const struct buckets *buckets, uint64_t address, const uint8_t *bytes)
{
	if (!buckets->entries) {
		buckets->visit(buckets->context, address, buckets->size);
		return;
	}
	for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
		if (bytes[slot] < TOP_LIVE)
			continue;
		buckets->visit(buckets->context, address + BUCKET_SLOTS + slot * buckets->key_slot,
			       buckets->key_slot);
		buckets->visit(buckets->context, address + buckets->values + slot * buckets->value_slot,
			       buckets->value_slot);
	}
}

static void visit_array(const struct buckets *buckets, uint64_t array, unsigned log_buckets)
{
	for (uint64_t i = 0; array != 0 && i < 1ull << log_buckets; i++) {
		uint64_t bucket = array + i * buckets->size;
		for (unsigned depth = 0; bucket != 0 && depth < CHAIN_LIMIT; depth++) {
			const uint8_t *bytes = image_at(buckets->process->image, bucket, buckets->size);
			if (bytes == NULL)
				return;
			visit_bucket(buckets, bucket, bytes);
			memcpy(&bucket, bytes + buckets->link, sizeof bucket);
		}
	}
}

static void visit_classic(struct linked_process *process, uint64_t map, bool entries, linked_stretch_fn visit,
			  void *context)
{
	const enum linked_module module = LINKED_HMAP;
	const uint8_t *head = image_at(process->image, map + linked_fact(process, module, "neap_hmap.head"),
				       HEAD_BUCKETS + 16);
	struct buckets buckets = {.process = process,
				  .size = field(process, module, map, "neap_hmap.bucket_size", 8),
				  .link = field(process, module, map, "neap_hmap.link", 8),
				  .key_slot = field(process, module, map, "neap_hmap.key_slot", 8),
				  .value_slot = field(process, module, map, "neap_hmap.value_slot", 8),
				  .values = field(process, module, map, "neap_hmap.values", 8),
				  .visit = visit,
				  .context = context,
				  .entries = entries};
	const uint64_t size = buckets.size;
	if (head == NULL || head[9] > LOG_BUCKETS_LIMIT || size < 16 || size > SLOT_LIMIT ||
	    buckets.link > size - 8 || buckets.key_slot > size / BUCKET_SLOTS ||
	    buckets.value_slot > size / BUCKET_SLOTS || buckets.values > size)
		return;
	uint64_t arrays[2];
	memcpy(arrays, head + HEAD_BUCKETS, sizeof arrays);
	bool same = (head[8] & LINKED_SAME_SIZE) != 0;
	visit_array(&buckets, arrays[0], head[9]);
	if (same || head[9] > 0)
		visit_array(&buckets, arrays[1], same ? head[9] : head[9] - 1u);
}

/* ---- All kinds ---- */

void linked_map_pieces(struct linked_process *process, const struct linked_listed *map,
		       linked_stretch_fn visit, void *context)
{
	if (map->module == LINKED_CMAP) {
		linked_cmap_pieces(process, map->object, visit, context);
		return;
	}
	if (map->module == LINKED_HMAP) {
		visit(context, map->object, linked_fact(process, LINKED_HMAP, "neap_hmap"));
		visit_classic(process, map->object, false, visit, context);
		return;
	}
	visit(context, map->object, linked_fact(process, LINKED_MAP, "neap_map"));
	neap_pieces(process, map->object, visit, context);
}

void linked_map_entries(struct linked_process *process, const struct linked_listed *map,
			linked_stretch_fn visit, void *context)
{
	if (map->module == LINKED_CMAP)
		linked_cmap_entries(process, map->object, visit, context);
	else if (map->module == LINKED_HMAP)
		visit_classic(process, map->object, true, visit, context);
	else
		neap_entries(process, map->object, visit, context);
}
