/* snapshot_go.c: a snapshot of the maps of a Go program. See snapshot.h. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "snapshot.h"

enum { NAME_BYTES = 512 };

#define STRING_LIMIT (1ull << 40)

struct taking {
	struct snapshot_builder *builder;
	struct go_process *process;
	const struct go_map_type *type; /* of the map that is being taken */
};

/* A string is its characters, wherever they lie; every other key is its bytes. */
static uint64_t fingerprint(const struct taking *taking, const uint8_t *key)
{
	const struct go_map_type *type = taking->type;
	uint64_t words[2] = {0}, size = type->key_size;
	const uint8_t *bytes = key;
	memcpy(words, key, size < sizeof words ? size : sizeof words);
	if (type->key_indirect) {
		size = go_type_size(taking->process, type->key);
		bytes = image_at(taking->process->image, words[0], size);
	} else if (go_type_kind(taking->process, type->key) == GO_KIND_STRING) {
		size = words[1];
		bytes = size > STRING_LIMIT ? NULL : image_at(taking->process->image, words[0], size);
	}
	return bytes == NULL ? snapshot_fingerprint(key, type->key_size) : snapshot_fingerprint(bytes, size);
}

static const enum snapshot_slot slot_codes[] = {
	[GO_SLOT_LIVE] = SNAPSHOT_LIVE,	  [GO_SLOT_TOMBSTONE] = SNAPSHOT_TOMBSTONE,
	[GO_SLOT_EMPTY] = SNAPSHOT_EMPTY, [GO_SLOT_MOVED] = SNAPSHOT_OLD,
	[GO_SLOT_STALE] = SNAPSHOT_OLD,
};

static void take_group(void *context, const struct go_group *group)
{
	const struct taking *taking = context;
	uint32_t states = 0;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		states |= (uint32_t)slot_codes[group->slots[slot]] << (2 * slot);
		if (group->slots[slot] == GO_SLOT_LIVE)
			snapshot_add_key(taking->builder,
					 fingerprint(taking, go_slot_key(taking->type, group->bytes, slot)));
	}
	snapshot_add_group(taking->builder, group->address, states, group->depth);
}

static void take_steps(const struct taking *taking, const struct inspection *inspection,
		       const struct found_map *map)
{
	struct inspection_step *steps;
	size_t count = inspection_steps(inspection, map, false, &steps);
	for (size_t i = 0; i < count; i++)
		snapshot_add_step(taking->builder, steps[i].name);
	free(steps);
}

static uint32_t flags_of(const struct inspection *inspection, const struct found_map *map)
{
	return (map->reachable ? SNAPSHOT_REACHABLE : 0u) | (map->growing ? SNAPSHOT_GROWING : 0u) |
	       (map->torn ? SNAPSHOT_TORN : 0u) | (inspection->dominators.count > 0 ? SNAPSHOT_RETAINED : 0u);
}

static void take_map(struct taking *taking, const struct inspection *inspection, const struct found_map *map)
{
	char type[NAME_BYTES], holder[NAME_BYTES];
	struct go_map_visitor visitor = {.context = taking, .group = take_group};
	taking->type = map->type;
	go_type_name(inspection->process, map->type->type, type, sizeof type);
	inspection_holder(inspection, map, true, holder, sizeof holder);
	const struct snapshot_map record = {
		.address = map->header.address,
		.seed = map->header.seed != 0 ? map->header.seed : map->header.swiss_seed,
		.count = map->header.count,
		.slots = map->counts.slots,
		.live = map->counts.live,
		.tombstones = map->counts.tombstones,
		.stale = map->counts.stale,
		.ghosts = map->counts.ghosts,
		.bytes = map->bytes,
		.rebuilt = map->rebuilt,
		.retained = inspection_retained(inspection, map),
		.group_size = map->type->group_size,
		.group_slots = GO_GROUP_SLOTS,
		.slot_at = map->type->keys_at,
		.slot_stride = map->type->key_stride,
		.type = snapshot_add_string(taking->builder, type),
		.holder = snapshot_add_string(taking->builder, holder),
		.confidence = map->confidence,
		.candidates = map->candidates,
		.flags = flags_of(inspection, map),
	};
	snapshot_add_map(taking->builder, &record);
	take_steps(taking, inspection, map);
	(void)go_map_walk(inspection->process, &map->header, map->type, &visitor);
}

struct snapshot *snapshot_of(const struct inspection *inspection)
{
	const struct go_process *process = inspection->process;
	const struct account *account = &inspection->account;
	struct taking taking = {snapshot_begin(), inspection->process, NULL};
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < inspection->maps.count; i++)
		take_map(&taking, inspection, &inspection->maps.list[i]);
	if (inspection->keeps_graph)
		snapshot_add_graph(taking.builder, inspection);
	const struct snapshot_header header = {
		.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		.pid = (uint32_t)process->target->pid,
		.torn = (uint32_t)process->torn,
		.program = snapshot_add_string(taking.builder, process->target->name),
		.runtime = snapshot_add_string(taking.builder, process->version.text),
		.kind = SNAPSHOT_GO,
		.rss = account->rss,
		.live = account->live,
		.tombstone = account->tombstone,
		.empty = account->empty,
		.stale = account->stale,
		.objects = account->objects,
		.free_held = account->free_held,
		.other = account->other,
		.unexplained = account->unexplained,
		.object_count = inspection->graph.objects,
		.object_bytes = inspection->graph.bytes,
		.stopped = (uint64_t)(process->target->stopped * 1e9),
	};
	return snapshot_finish(taking.builder, &header);
}
