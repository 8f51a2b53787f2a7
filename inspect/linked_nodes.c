/* linked_nodes.c: blocks of libneap's heap, collected objects and maps become nodes. See linked_graph.h.
 *
 * Blocks come first and are sorted; then each map takes over the blocks that its parts lie in, and what memory it has
 * besides: its areas are mappings of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "linked_graph.h"

enum { CORES_LIMIT = 1 << 24, ENTRIES_LIMIT = 1 << 28 };

uint32_t linked_add_node(struct linked_graph *graph, const struct linked_node *node)
{
	uint32_t number = (uint32_t)graph->node_count;
	graph->nodes =
		make_room(graph->nodes, graph->node_count, &graph->node_capacity, sizeof *graph->nodes);
	graph->nodes[graph->node_count++] = *node;
	return number;
}

static void add_extent(struct linked_graph *graph, uint64_t start, uint64_t end, uint32_t node)
{
	graph->extents = make_room(graph->extents, graph->extent_count, &graph->extent_capacity,
				   sizeof *graph->extents);
	graph->extents[graph->extent_count++] = (struct linked_extent){start, end, node};
}

void linked_add_own(struct linked_graph *graph, uint64_t start, uint64_t size)
{
	graph->own = make_room(graph->own, graph->own_count, &graph->own_capacity, sizeof *graph->own);
	graph->own[graph->own_count++] = (struct linked_extent){start, start + size, 0};
}

uint64_t linked_own_end(const struct linked_graph *graph, uint64_t address)
{
	for (size_t i = 0; i < graph->own_count; i++)
		if (address >= graph->own[i].start && address < graph->own[i].end)
			return graph->own[i].end;
	return 0;
}

uint64_t linked_own_start(const struct linked_graph *graph, uint64_t address, uint64_t end)
{
	for (size_t i = 0; i < graph->own_count; i++)
		if (graph->own[i].start > address && graph->own[i].start < end)
			end = graph->own[i].start;
	return end;
}

static int compare_extents(const void *left, const void *right)
{
	const struct linked_extent *a = left, *b = right;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->end > b->end ? -1 : a->end < b->end;
}

/* Of two that overlap, which only a process that changes shows, the first stays. */
void linked_sort_extents(struct linked_graph *graph)
{
	size_t kept = 0;
	if (graph->extent_count > 0)
		qsort(graph->extents, graph->extent_count, sizeof *graph->extents, compare_extents);
	for (size_t i = 0; i < graph->extent_count; i++)
		if (kept == 0 || graph->extents[i].start >= graph->extents[kept - 1].end)
			graph->extents[kept++] = graph->extents[i];
	graph->extent_count = kept;
}

static struct linked_extent *extent_at(const struct linked_graph *graph, uint64_t address)
{
	size_t low = 0, high = graph->extent_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (graph->extents[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	bool inside = low < graph->extent_count && graph->extents[low].start <= address;
	return inside ? &graph->extents[low] : NULL;
}

uint32_t linked_node_at(const struct linked_graph *graph, uint64_t address)
{
	const struct linked_extent *extent = extent_at(graph, address);
	return extent == NULL || graph->nodes[extent->node].gone ? LINKED_NO_NODE : extent->node;
}

/* ---- Blocks and objects ---- */

static void add_block(struct linked_graph *graph, uint64_t start, const struct linked_node *like)
{
	struct linked_node node = *like;
	node.start = start;
	if (node.size == 0)
		return;
	add_extent(graph, start, start + node.size, linked_add_node(graph, &node));
}

void linked_add_chunk(struct linked_graph *graph, uint64_t start, uint64_t end, uint32_t tail)
{
	add_block(graph, start,
		  &(struct linked_node){.kind = LINKED_CHUNK, .size = end - start, .what = tail});
}

static void take_object(struct linked_graph *graph, const struct linked_run *run, uint64_t index)
{
	struct linked_process *process = graph->process;
	struct linked_node node = {.size = run->block_size, .kind = LINKED_OBJECT, .what = LINKED_NO_TYPE};
	const void *type = run->types == 0 ? NULL : image_at(process->image, run->types + 2 * index, 2);
	uint16_t number = 0;
	node.silent = type == NULL;
	if (type != NULL) {
		memcpy(&number, type, sizeof number);
		node.what = number;
		if (number == linked_fact(process, LINKED_GC, "type_nothing"))
			return; /* claimed by a thread, not handed out */
	}
	add_block(graph, run->address + index * run->block_size, &node);
}

static void take_run(void *context, const struct linked_run *run)
{
	struct linked_graph *graph = context;
	struct linked_process *process = graph->process;
	struct linked_node node = {.kind = LINKED_BLOCK, .size = run->block_size, .silent = !run->pointers};
	if (run->state == linked_fact(process, LINKED_HEAP, "state_large"))
		add_block(graph, run->address, &node);
	for (uint64_t i = 0; i < run->blocks && (i + 1) * run->block_size <= run->units * run->unit_bytes;
	     i++) {
		if (!linked_run_has(process, run, i))
			continue;
		if (run->collected)
			take_object(graph, run, i);
		else
			add_block(graph, run->address + i * run->block_size, &node);
	}
}

static void take_heap(struct linked_graph *graph)
{
	struct linked_process *process = graph->process;
	const enum linked_module module = LINKED_HEAP;
	struct linked_heap heap;
	if (!linked_heap(process, &heap))
		return;
	uint64_t object = process->facts[module].object,
		 pool = object + linked_fact(process, module, "neap__heap.pool"),
		 view = process->facts[LINKED_GC].object;
	linked_add_own(graph,
		       linked_word(process, pool + linked_fact(process, module, "neap__meta_pool.base")),
		       linked_word(process, pool + linked_fact(process, module, "neap__meta_pool.size")));
	linked_add_own(graph, heap.start, heap.end - heap.start);
	linked_add_own(graph, object, linked_fact(process, module, "neap__heap"));
	if (process->facts[LINKED_GC].count > 0)
		linked_add_own(
			graph,
			linked_word(process, view + linked_fact(process, LINKED_GC, "neap__gc_view.gc")),
			linked_fact(process, LINKED_GC, "neap__gc"));
	linked_heap_runs(process, &heap, take_run, graph);
}

/* ---- Maps ---- */

struct map_parts {
	struct linked_graph *graph;
	uint32_t node;
	size_t sorted; /* extents of blocks; those of maps follow */
};

static void take_part(void *context, uint64_t start, uint64_t size)
{
	struct map_parts *parts = context;
	struct linked_graph *graph = parts->graph;
	size_t all = graph->extent_count;
	if (start == 0 || size == 0)
		return;
	graph->extent_count = parts->sorted;
	struct linked_extent *extent = extent_at(graph, start);
	graph->extent_count = all;
	const struct target_range *range = target_range_at(graph->process->target, start);
	if (extent != NULL && extent->node != parts->node) {
		graph->nodes[extent->node].gone = true;
		extent->node = parts->node;
		graph->nodes[parts->node].size += extent->end - extent->start;
	} else if (extent == NULL && size > 1 && range != NULL && range->writable) {
		add_extent(graph, start, start + size, parts->node);
		graph->nodes[parts->node].size += size;
	}
}

static struct linked_listed *map_at(const struct linked_graph *graph, uint64_t object)
{
	size_t low = 0, high = graph->maps.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (graph->maps.maps[middle].object < object)
			low = middle + 1;
		else
			high = middle;
	}
	return low < graph->maps.count && graph->maps.maps[low].object == object ? &graph->maps.maps[low]
										 : NULL;
}

/* The object that is the handle of a collected map leads to it. */
static void find_handles(struct linked_graph *graph)
{
	struct linked_process *process = graph->process;
	const enum linked_module gc = LINKED_GC;
	uint64_t view = process->facts[gc].object;
	if (process->facts[gc].count == 0)
		return;
	uint64_t collector = linked_word(process, view + linked_fact(process, gc, "neap__gc_view.gc")),
		 types = linked_word(process, collector + linked_fact(process, gc, "neap__gc.types"));
	for (size_t i = 0; i < graph->node_count && types != 0; i++) {
		const struct linked_node *node = &graph->nodes[i];
		if (node->kind != LINKED_OBJECT || node->silent)
			continue;
		uint64_t type = types + node->what * linked_fact(process, gc, "neap__gc_type");
		const uint8_t *is_map =
			image_at(process->image, type + linked_fact(process, gc, "neap__gc_type.map"), 1);
		if (is_map == NULL || *is_map == 0)
			continue;
		uint64_t core =
			linked_word(process, node->start + linked_fact(process, gc, "neap__map_handle.core"));
		uint64_t inner = linked_word(process, core + linked_fact(process, gc, "neap__map_core.map"));
		if (core != 0 && inner == 0)
			inner = linked_word(process, core + linked_fact(process, gc, "neap__map_core.cmap"));
		struct linked_listed *map = map_at(graph, inner);
		if (map != NULL)
			map->handle = node->start;
	}
	uint64_t maps = linked_word(process, view + linked_fact(process, gc, "neap__gc_view.weak_maps")),
		 core = linked_word(process, maps + linked_fact(process, gc, "weak_maps.first"));
	for (unsigned left = CORES_LIMIT; core != 0 && left > 0; left--) {
		struct linked_listed *map =
			map_at(graph, linked_word(process, core + linked_fact(process, gc, "weak_core.map")));
		if (map != NULL) {
			map->weak = true;
			map->handle =
				linked_word(process, core + linked_fact(process, gc, "weak_core.handle"));
		}
		core = linked_word(process, core + linked_fact(process, gc, "weak_core.next"));
	}
}

struct weak_walk {
	struct linked_graph *graph;
	uint64_t left;
};

static void add_edge(struct linked_graph *graph, uint64_t from, uint64_t to, uint64_t slot)
{
	uint32_t holder = linked_node_at(graph, from), held = linked_node_at(graph, to);
	if (holder == LINKED_NO_NODE || held == LINKED_NO_NODE)
		return;
	graph->edges =
		make_room(graph->edges, graph->edge_count, &graph->edge_capacity, sizeof *graph->edges);
	graph->edges[graph->edge_count++] = (struct linked_edge){holder, held, slot};
}

static void take_weak_entry(void *context, uint64_t start, uint64_t size)
{
	struct weak_walk *walk = context;
	struct linked_process *process = walk->graph->process;
	if (size < 16 || walk->left == 0)
		return;
	walk->left--;
	add_edge(walk->graph, linked_word(process, start), linked_word(process, start + 8), start + 8);
}

static int compare_edges(const void *left, const void *right)
{
	const struct linked_edge *a = left, *b = right;
	return a->from < b->from ? -1 : a->from > b->from;
}

static void take_maps(struct linked_graph *graph)
{
	struct linked_process *process = graph->process;
	size_t sorted = graph->extent_count;
	for (size_t i = 0; i < graph->maps.count; i++) {
		const struct linked_listed *map = &graph->maps.maps[i];
		struct linked_node node = {.start = map->object, .kind = LINKED_TABLE, .what = (uint32_t)i};
		struct map_parts parts = {graph, linked_add_node(graph, &node), sorted};
		linked_map_pieces(process, map, take_part, &parts);
	}
	linked_sort_extents(graph);
	struct weak_walk walk = {graph, ENTRIES_LIMIT};
	for (size_t i = 0; i < graph->maps.count; i++) {
		const struct linked_listed *map = &graph->maps.maps[i];
		if (map->handle != 0)
			add_edge(graph, map->handle, map->object, map->handle);
		if (map->weak)
			linked_map_entries(process, map, take_weak_entry, &walk);
	}
	if (graph->edge_count > 0)
		qsort(graph->edges, graph->edge_count, sizeof *graph->edges, compare_edges);
}

void linked_take_nodes(struct linked_graph *graph)
{
	struct linked_process *process = graph->process;
	enum linked_module facts = process->facts[LINKED_MAP].count > 0 ? LINKED_MAP : LINKED_HMAP;
	graph->maps = linked_maps(process, true);
	if (process->facts[facts].count > 0)
		linked_add_own(graph, process->facts[facts].object,
			       linked_fact(process, facts, "neap__registry"));
	if (process->facts[LINKED_CMAP].count > 0)
		linked_add_own(graph, process->facts[LINKED_CMAP].object, sizeof(uint64_t));
	take_heap(graph);
	linked_take_chunks(graph);
	linked_sort_extents(graph);
	find_handles(graph);
	take_maps(graph);
}
