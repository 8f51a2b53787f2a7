/* linked_process.c: see linked_process.h. */
#include "linked_process.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "freeze.h"
#include "linked_graph.h"

enum {
	MAGIC_BYTES = 16,
	BEACON_BYTES = 48,
	FACTS_LIMIT = 256,
	SHARDS_LIMIT = 4096,
	BOOKMARKS = 64,
};

#define SCAN_LIMIT (1ull << 30) /* of one mapping of a file */

static const char magic[MAGIC_BYTES] = "\x7fneap beacon\r\n\x1a";
static const char *const module_names[LINKED_MODULES] = {"map", "hmap", "cmap", "heap", "gc"};

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

bool linked_text(struct linked_process *process, uint64_t address, char *text, size_t size)
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
		    !linked_text(process, name, fact.name, sizeof fact.name))
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
	if (words[0] != address || !linked_text(process, words[1], module, sizeof module))
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

uint64_t linked_next_resident(const struct linked_process *process, uint64_t address, uint64_t limit)
{
	for (size_t i = 0; i < process->residence->count; i++) {
		const struct resident_range *range = &process->residence->ranges[i];
		uint64_t from = address > range->start ? address : range->start,
			 to = limit < range->end ? limit : range->end;
		for (uint64_t at = from; at < to; at += TARGET_PAGE)
			if (range->pages[(at - range->start) / TARGET_PAGE] != 0)
				return at;
	}
	return limit;
}

/* What of the heap is in use, and what of it is resident. */
struct heap_use {
	struct linked_process *process;
	struct linked_heap heap;
	uint64_t used, resident;
};

static void use_run(void *context, const struct linked_run *run)
{
	struct heap_use *use = context;
	use->used += run->used;
	use->resident += linked_resident(use->process, run->address, run->units * use->heap.unit);
}

static int compare_listed(const void *left, const void *right)
{
	const struct linked_listed *a = left, *b = right;
	return a->object < b->object ? -1 : a->object > b->object;
}

void linked_list_add(struct linked_list *list, uint64_t object, enum linked_module module)
{
	list->maps = make_room(list->maps, list->count, &list->capacity, sizeof *list->maps);
	list->maps[list->count++] = (struct linked_listed){.object = object, .module = module};
}

/* A link is believed when the map that it names holds it. */
static void take_link(struct linked_process *process, enum linked_module facts, uint64_t link,
		      struct linked_list *list)
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
	linked_list_add(list, object, module);
}

static void take_shard(struct linked_process *process, enum linked_module facts, uint64_t shard,
		       struct linked_list *list)
{
	uint64_t link = 0, count = 0, steps = 0;
	(void)image_word(process->image, shard + linked_fact(process, facts, "neap__shard.first"), &link);
	(void)image_word(process->image, shard + linked_fact(process, facts, "neap__shard.count"), &count);
	while (link != 0 && steps++ < count + BOOKMARKS && list->count < LINKED_MAPS_LIMIT) {
		take_link(process, facts, link, list);
		if (!image_word(process->image, link + linked_fact(process, facts, "neap__link.next"),
				&link)) {
			process->torn++;
			return;
		}
	}
	process->torn += link != 0;
}

static void take_registry(struct linked_process *process, struct linked_list *list)
{
	enum linked_module facts = process->facts[LINKED_MAP].count > 0 ? LINKED_MAP : LINKED_HMAP;
	if (process->facts[facts].count == 0)
		return;
	uint64_t registry = process->facts[facts].object, shards = 0, stride = 0;
	(void)image_word(process->image, registry + linked_fact(process, facts, "neap__registry.shards"),
			 &shards);
	(void)image_word(process->image, registry + linked_fact(process, facts, "neap__registry.stride"),
			 &stride);
	shards &= UINT32_MAX;
	stride &= UINT32_MAX;
	for (uint64_t i = 0; i < shards && shards <= SHARDS_LIMIT; i++)
		take_shard(process, facts,
			   registry + linked_fact(process, facts, "neap__registry.shard") + i * stride, list);
}

struct linked_list linked_maps(struct linked_process *process, bool with_concurrent)
{
	struct linked_list list = {0};
	take_registry(process, &list);
	if (with_concurrent)
		linked_cmaps(process, &list);
	if (list.count > 0)
		qsort(list.maps, list.count, sizeof *list.maps, compare_listed);
	size_t kept = 0;
	for (size_t i = 0; i < list.count; i++)
		if (kept == 0 || list.maps[i].object != list.maps[kept - 1].object)
			list.maps[kept++] = list.maps[i];
	list.count = kept;
	return list;
}

static uint64_t part(uint64_t bytes, uint64_t *left)
{
	bytes = bytes < *left ? bytes : *left;
	*left -= bytes;
	return bytes;
}

/* What is resident and belongs to no part is "other": it includes what malloc holds free, which it tells nobody. */
static void divide(struct snapshot_header *header, const struct heap_use *heap, uint64_t maps_in_heap)
{
	uint64_t used = heap->used < heap->resident ? heap->used : heap->resident, left = header->rss;
	header->live = part(header->live, &left);
	header->tombstone = part(header->tombstone, &left);
	header->empty = part(header->empty, &left);
	header->objects = part(used > maps_in_heap ? used - maps_in_heap : 0, &left);
	header->free_held = part(heap->resident - used, &left);
	header->other = left;
}

/* What the process holds, as far as it is wished for. */
struct holding {
	struct linked_graph graph;
	struct linked_names *names; /* NULL: it is not known */
};

static void find_holders(struct linked_process *process, const struct inspection_wish *wish,
			 struct holding *ret, struct problem *problem)
{
	*ret = (struct holding){0};
	if ((!wish->graph && !wish->ways) || linked_graph_build(process, &ret->graph, problem) != 0)
		return;
	linked_graph_widen(&ret->graph);
	ret->names = linked_names_open(&ret->graph);
}

static void free_holders(struct holding *holding)
{
	if (holding->names != NULL)
		linked_names_close(holding->names);
	linked_graph_free(&holding->graph);
}

static struct snapshot *take_all(struct linked_process *process, const struct inspection_wish *wish,
				 struct problem *problem)
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
	struct heap_use use = {.process = process};
	if (linked_heap(process, &use.heap))
		linked_heap_runs(process, &use.heap, use_run, &use);
	struct holding holding;
	find_holders(process, wish, &holding, problem);
	struct linked_list list = linked_maps(process, false);
	uint64_t in_heap = 0;
	for (size_t i = 0; i < list.count; i++) {
		const struct linked_listed *map = &list.maps[i];
		in_heap += linked_map_take(process, map->module, map->object, builder, &header,
					   use.heap.start, use.heap.end);
		if (holding.names != NULL)
			linked_add_way(&holding.graph, holding.names, map->object, builder);
	}
	free(list.maps);
	divide(&header, &use, in_heap);
	if (wish->graph && holding.names != NULL)
		linked_add_rows(&holding.graph, builder);
	free_holders(&holding);
	header.torn = (uint32_t)process->torn;
	header.stopped = (uint64_t)(process->target->stopped * 1e9);
	return snapshot_finish(builder, &header);
}

static int find_modules(struct linked_process *process, struct problem *problem)
{
	size_t found = 0;
	find_beacons(process);
	for (unsigned i = 0; i < LINKED_MODULES; i++)
		found += process->facts[i].count;
	return found > 0 ? 0
			 : problem_set(problem, PROBLEM_INPUT,
				       "%s is no Go program and is not linked with libneap",
				       process->target->name);
}

struct linked_process *linked_from(struct target *target, const struct inspection_wish *wish,
				   struct problem *problem)
{
	struct linked_process *process = take(1, sizeof *process);
	process->target = target;
	process->residence = residence_take(target);
	process->image = image_create(target);
	if (wish->mode == TARGET_STOPPED && target->live)
		(void)image_copy_still(target, &process->image, &process->residence, problem);
	if (problem->kind == 0 && find_modules(process, problem) == 0)
		return process;
	linked_close(process);
	return NULL;
}

struct linked_process *linked_open(const char *name, const struct inspection_wish *wish,
				   struct problem *problem)
{
	struct target *target = target_open(name, wish->program, wish->mode, problem);
	return target == NULL ? NULL : linked_from(target, wish, problem);
}

void linked_close(struct linked_process *process)
{
	if (process == NULL)
		return;
	for (unsigned i = 0; i < LINKED_MODULES; i++)
		free(process->facts[i].list);
	image_destroy(process->image);
	residence_free(process->residence);
	target_close(process->target);
	free(process);
}

int linked_complete(const struct linked_process *process, struct problem *problem)
{
	if (process->missing[0] == '\0')
		return 0;
	return problem_set(problem, PROBLEM_FEATURE,
			   "the libneap in %s does not tell '%s': it is of another version",
			   process->target->name, process->missing);
}

struct snapshot *linked_snapshot_of(struct linked_process *process, const struct inspection_wish *wish,
				    struct problem *problem)
{
	struct snapshot *snapshot = take_all(process, wish, problem);
	if (linked_complete(process, problem) == 0 && problem->kind == 0)
		return snapshot;
	snapshot_close(snapshot);
	return NULL;
}

struct snapshot *linked_snapshot(const char *name, const struct inspection_wish *wish,
				 struct problem *problem)
{
	struct linked_process *process = linked_open(name, wish, problem);
	struct snapshot *snapshot = process == NULL ? NULL : linked_snapshot_of(process, wish, problem);
	linked_close(process);
	return snapshot;
}
