/* linked_process.c: see linked_process.h. */
#include "linked_process.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "freeze.h"

enum {
	MAGIC_BYTES = 16,
	BEACON_BYTES = 48,
	FACTS_LIMIT = 256,
	SHARDS_LIMIT = 4096,
	BOOKMARKS = 64,
	MAPS_LIMIT = 1 << 24,
	UNITS_LIMIT = 1 << 26,
};

#define SCAN_LIMIT (1ull << 30) /* of one mapping of a file */

static const char magic[MAGIC_BYTES] = "\x7fneap beacon\r\n\x1a";
static const char *const module_names[LINKED_MODULES] = {"map", "hmap", "heap"};

uint64_t linked_fact(struct linked_process *process, enum linked_module module, const char *name)
{
	const struct linked_facts *facts = &process->facts[module];
	for (size_t i = 0; i < facts->count; i++)
		if (strcmp(facts->list[i].name, name) == 0)
			return facts->list[i].value;
	if (process->missing[0] == '\0')
		snprintf(process->missing, sizeof process->missing, "%s", name);
	return 0;
}

static bool read_text(struct linked_process *process, uint64_t address, char *text, size_t size)
{
	for (size_t i = 0; i + 1 < size; i++) {
		const char *byte = image_at(process->image, address + i, 1);
		if (byte == NULL)
			return false;
		text[i] = *byte;
		if (*byte == '\0')
			return true;
	}
	return false;
}

static void read_facts(struct linked_process *process, struct linked_facts *facts, uint64_t table)
{
	for (size_t i = 0; i < FACTS_LIMIT; i++) {
		struct linked_fact fact = {0};
		uint64_t name;
		if (!image_word(process->image, table + i * 16, &name) || name == 0 ||
		    !image_word(process->image, table + i * 16 + 8, &fact.value) ||
		    !read_text(process, name, fact.name, sizeof fact.name))
			return;
		facts->list = make_room(facts->list, facts->count, &facts->capacity, sizeof *facts->list);
		facts->list[facts->count++] = fact;
	}
}

static void take_beacon(struct linked_process *process, uint64_t address, const uint8_t *bytes)
{
	uint64_t words[4]; /* self, module, layout, object */
	char module[16];
	memcpy(words, bytes + MAGIC_BYTES, sizeof words);
	if (words[0] != address || !read_text(process, words[1], module, sizeof module))
		return;
	for (unsigned i = 0; i < LINKED_MODULES; i++) {
		if (strcmp(module, module_names[i]) != 0 || process->facts[i].count > 0)
			continue;
		process->facts[i].object = words[3];
		read_facts(process, &process->facts[i], words[2]);
	}
}

/* Constant data belongs to a file; a program may also be one that was unpacked into memory without one, which is not
   looked for. */
static void find_beacons(struct linked_process *process)
{
	for (size_t i = 0; i < process->target->range_count; i++) {
		const struct target_range *range = &process->target->ranges[i];
		uint64_t size = range->end - range->start;
		if (!range->readable || (range->path[0] != '/' && process->target->live) || size > SCAN_LIMIT)
			continue;
		const uint8_t *bytes = image_at(process->image, range->start, size);
		for (uint64_t at = 0; bytes != NULL && at + BEACON_BYTES <= size; at += 8)
			if (bytes[at] == 0x7f && memcmp(bytes + at, magic, sizeof magic) == 0)
				take_beacon(process, range->start + at, bytes + at);
	}
}

uint64_t linked_resident(const struct linked_process *process, uint64_t start, uint64_t size)
{
	uint64_t total = 0, end = start + size;
	for (size_t i = 0; i < process->residence->count && end > start; i++) {
		const struct resident_range *range = &process->residence->ranges[i];
		uint64_t from = start > range->start ? start : range->start,
			 to = end < range->end ? end : range->end;
		for (uint64_t at = from; at < to;) {
			uint64_t next = (at / TARGET_PAGE + 1) * TARGET_PAGE;
			next = next < to ? next : to;
			total += range->pages[(at - range->start) / TARGET_PAGE] != 0 ? next - at : 0;
			at = next;
		}
	}
	return total;
}

/* The heap of libneap: what lies in it, and what of that is in use. */
struct linked_heap {
	uint64_t start, end, used, resident;
};

static uint64_t unit_bytes(struct linked_process *process, uint64_t spans, uint64_t unit, uint64_t *used)
{
	const enum linked_module heap = LINKED_HEAP;
	uint64_t size = linked_fact(process, heap, "neap__span"), tags = 0, tag = 0, class_table = 0,
		 class_size = 0;
	const uint8_t *span = image_at(process->image, spans + unit * size, size);
	uint32_t units = 0, taken = 0;
	if (span == NULL || size == 0)
		return 0;
	uint8_t state = span[linked_fact(process, heap, "neap__span.state")];
	memcpy(&units, span + linked_fact(process, heap, "neap__span.units"), sizeof units);
	memcpy(&taken, span + linked_fact(process, heap, "neap__span.used"), sizeof taken);
	if (state == linked_fact(process, heap, "state_large")) {
		memcpy(used, span + linked_fact(process, heap, "neap__span.size"), sizeof *used);
	} else if (state > linked_fact(process, heap, "state_large")) {
		uint64_t object = process->facts[heap].object,
			 classes = linked_fact(process, heap, "classes");
		(void)image_word(process->image, object + linked_fact(process, heap, "neap__heap.tags"),
				 &tags);
		(void)image_word(process->image,
				 object + linked_fact(process, heap, "neap__heap.class_table"), &class_table);
		const uint8_t *byte = image_at(process->image, tags + unit, 1);
		tag = byte == NULL ? 0 : *byte;
		if (tag != 0 && classes != 0 &&
		    image_word(process->image,
			       class_table + (tag - 1) % classes * linked_fact(process, heap, "neap__class") +
				       linked_fact(process, heap, "neap__class.size"),
			       &class_size))
			*used = (class_size & UINT32_MAX) * taken;
	}
	return units;
}

static void take_region(struct linked_process *process, struct linked_heap *heap, uint64_t region)
{
	const enum linked_module module = LINKED_HEAP;
	uint64_t object = process->facts[module].object, unit = linked_fact(process, module, "unit"),
		 spans = 0;
	const uint8_t *bytes = image_at(process->image, region, linked_fact(process, module, "neap__region"));
	uint32_t first, frontier;
	if (bytes == NULL ||
	    !image_word(process->image, object + linked_fact(process, module, "neap__heap.spans"), &spans))
		return;
	memcpy(&first, bytes + linked_fact(process, module, "neap__region.first"), sizeof first);
	memcpy(&frontier, bytes + linked_fact(process, module, "neap__region.frontier"), sizeof frontier);
	if (frontier > UNITS_LIMIT || first > frontier)
		return;
	heap->resident += linked_resident(process, heap->start + first * unit, (frontier - first) * unit);
	for (uint64_t at = first; at < frontier;) {
		uint64_t used = 0, units = unit_bytes(process, spans, at, &used);
		if (units == 0 || units > frontier - at || used > units * unit) {
			process->torn++;
			return;
		}
		heap->used += used;
		at += units;
	}
}

static struct linked_heap take_heap(struct linked_process *process)
{
	const enum linked_module module = LINKED_HEAP;
	struct linked_heap heap = {0};
	uint64_t object = process->facts[module].object, units = 0;
	if (process->facts[module].count == 0 ||
	    !image_word(process->image, object + linked_fact(process, module, "neap__heap.base"),
			&heap.start) ||
	    heap.start == 0 ||
	    !image_word(process->image, object + linked_fact(process, module, "neap__heap.units"), &units))
		return heap;
	heap.end = heap.start + (units & UINT32_MAX) * linked_fact(process, module, "unit");
	uint64_t regions = linked_fact(process, module, "regions"),
		 size = linked_fact(process, module, "neap__region");
	for (uint64_t i = 0; i < regions && i < 16; i++)
		take_region(process, &heap,
			    object + linked_fact(process, module, "neap__heap.regions") + i * size);
	return heap;
}

struct listed {
	uint64_t object;
	enum linked_module module;
};

static int compare_listed(const void *left, const void *right)
{
	const struct listed *a = left, *b = right;
	return a->object < b->object ? -1 : a->object > b->object;
}

struct list {
	struct listed *maps;
	size_t count, capacity;
};

/* A link is believed when the map that it names holds it. */
static void take_link(struct linked_process *process, enum linked_module facts, uint64_t link,
		      struct list *list)
{
	uint64_t object = 0, kind = 0;
	if (!image_word(process->image, link + linked_fact(process, facts, "neap__link.object"), &object) ||
	    object == 0 ||
	    !image_word(process->image, link + linked_fact(process, facts, "neap__link.kind"), &kind))
		return;
	bool classic = process->facts[LINKED_HMAP].count > 0 &&
		       (kind & UINT32_MAX) == linked_fact(process, LINKED_HMAP, "kind_hmap");
	enum linked_module module = classic ? LINKED_HMAP : LINKED_MAP;
	const char *at = classic ? "neap_hmap.listed" : "neap_map.listed";
	if (process->facts[module].count == 0 || object + linked_fact(process, module, at) != link) {
		process->torn++;
		return;
	}
	list->maps = make_room(list->maps, list->count, &list->capacity, sizeof *list->maps);
	list->maps[list->count++] = (struct listed){object, module};
}

static void take_shard(struct linked_process *process, enum linked_module facts, uint64_t shard,
		       struct list *list)
{
	uint64_t link = 0, count = 0, steps = 0;
	(void)image_word(process->image, shard + linked_fact(process, facts, "neap__shard.first"), &link);
	(void)image_word(process->image, shard + linked_fact(process, facts, "neap__shard.count"), &count);
	while (link != 0 && steps++ < count + BOOKMARKS && list->count < MAPS_LIMIT) {
		take_link(process, facts, link, list);
		if (!image_word(process->image, link + linked_fact(process, facts, "neap__link.next"),
				&link)) {
			process->torn++;
			return;
		}
	}
	process->torn += link != 0;
}

static struct list list_maps(struct linked_process *process)
{
	struct list list = {0};
	enum linked_module facts = process->facts[LINKED_MAP].count > 0 ? LINKED_MAP : LINKED_HMAP;
	if (process->facts[facts].count == 0)
		return list;
	uint64_t registry = process->facts[facts].object, shards = 0, stride = 0;
	(void)image_word(process->image, registry + linked_fact(process, facts, "neap__registry.shards"),
			 &shards);
	(void)image_word(process->image, registry + linked_fact(process, facts, "neap__registry.stride"),
			 &stride);
	shards &= UINT32_MAX;
	stride &= UINT32_MAX;
	for (uint64_t i = 0; i < shards && shards <= SHARDS_LIMIT; i++)
		take_shard(process, facts,
			   registry + linked_fact(process, facts, "neap__registry.shard") + i * stride,
			   &list);
	if (list.count > 0)
		qsort(list.maps, list.count, sizeof *list.maps, compare_listed);
	return list;
}

static uint64_t part(uint64_t bytes, uint64_t *left)
{
	bytes = bytes < *left ? bytes : *left;
	*left -= bytes;
	return bytes;
}

/* What is resident and belongs to no part is "other": it includes what malloc holds free, which it tells nobody. */
static void divide(struct snapshot_header *header, const struct linked_heap *heap, uint64_t maps_in_heap)
{
	uint64_t used = heap->used < heap->resident ? heap->used : heap->resident, left = header->rss;
	header->live = part(header->live, &left);
	header->tombstone = part(header->tombstone, &left);
	header->empty = part(header->empty, &left);
	header->objects = part(used > maps_in_heap ? used - maps_in_heap : 0, &left);
	header->free_held = part(heap->resident - used, &left);
	header->other = left;
}

static struct snapshot *take_all(struct linked_process *process)
{
	struct snapshot_builder *builder = snapshot_begin();
	struct snapshot_header header = {.kind = SNAPSHOT_NEAP,
					 .pid = (uint32_t)process->target->pid,
					 .rss = process->residence->rss,
					 .program = snapshot_add_string(builder, process->target->name),
					 .runtime = snapshot_add_string(builder, "libneap")};
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	header.time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	const struct linked_heap heap = take_heap(process);
	struct list list = list_maps(process);
	uint64_t in_heap = 0;
	for (size_t i = 0; i < list.count; i++)
		if (i == 0 || list.maps[i].object != list.maps[i - 1].object)
			in_heap += linked_map_take(process, list.maps[i].module, list.maps[i].object, builder,
						   &header, heap.start, heap.end);
	free(list.maps);
	divide(&header, &heap, in_heap);
	header.torn = (uint32_t)process->torn;
	header.stopped = (uint64_t)(process->target->stopped * 1e9);
	return snapshot_finish(builder, &header);
}

struct snapshot *linked_snapshot(const char *name, const struct inspection_wish *wish,
				 struct problem *problem)
{
	struct linked_process process = {.target = target_open(name, wish->program, wish->mode, problem)};
	struct snapshot *snapshot = NULL;
	size_t found = 0;
	if (process.target == NULL)
		return NULL;
	process.residence = residence_take(process.target);
	process.image = image_create(process.target);
	if (wish->mode == TARGET_STOPPED && process.target->live)
		(void)image_copy_still(process.target, &process.image, &process.residence, problem);
	if (problem->kind == 0)
		find_beacons(&process);
	for (unsigned i = 0; i < LINKED_MODULES; i++)
		found += process.facts[i].count;
	if (problem->kind == 0 && found == 0)
		problem_set(problem, PROBLEM_INPUT, "%s is no Go program and is not linked with libneap",
			    process.target->name);
	if (problem->kind == 0)
		snapshot = take_all(&process);
	if (snapshot != NULL && process.missing[0] != '\0') {
		problem_set(problem, PROBLEM_FEATURE,
			    "the libneap in %s does not tell '%s': it is of another version",
			    process.target->name, process.missing);
		snapshot_close(snapshot);
		snapshot = NULL;
	}
	for (unsigned i = 0; i < LINKED_MODULES; i++)
		free(process.facts[i].list);
	image_destroy(process.image);
	residence_free(process.residence);
	target_close(process.target);
	return snapshot;
}
