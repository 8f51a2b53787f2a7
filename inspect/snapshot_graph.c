/* snapshot_graph.c: every object of a Go program that something holds, for a snapshot. See snapshot.h.
 *
 * Rows are in the order of addresses, which the numbers of objects need not be. Elements of an array share one name for
 * the place, "[].next": there would be as many names as elements.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

enum { NAME_BYTES = 256 };

struct rows {
	const struct inspection *inspection;
	struct snapshot_builder *builder;
	uint32_t *objects; /* numbers, by row */
	uint32_t *row;	   /* by number: row + 1; 0: not held */
	size_t count;
};

static uint64_t address_of(const struct go_process *process, uint64_t object)
{
	const struct go_span *span = go_heap_span_of(&process->heap, object);
	return go_span_object(span, (uint32_t)(object - span->first));
}

static int compare_objects(const void *left, const void *right, void *context)
{
	uint64_t a = address_of(context, *(const uint32_t *)left),
		 b = address_of(context, *(const uint32_t *)right);
	return a < b ? -1 : a > b;
}

static void take_parent(const struct rows *rows, uint32_t object, struct snapshot_object *ret)
{
	const struct inspection *inspection = rows->inspection;
	struct go_process *process = inspection->process;
	const struct graph *graph = &inspection->graph;
	uint32_t parent = graph->parent[object];
	char text[NAME_BYTES] = "";
	ret->offset = UINT32_MAX;
	if ((parent & GRAPH_ROOT) != 0) {
		graph_root_name(process, &inspection->maps, &graph->roots[parent & ~GRAPH_ROOT], text,
				sizeof text);
		ret->parent = SNAPSHOT_ROOT | snapshot_add_string(rows->builder, text);
		ret->word = snapshot_add_string(rows->builder, "");
		return;
	}
	ret->parent = rows->row[parent - 1];
	uint64_t slot = graph_word_to(process, graph, parent - 1, object),
		 offset = slot - address_of(process, parent - 1);
	if (slot != 0) {
		ret->offset = offset < UINT32_MAX ? (uint32_t)offset : UINT32_MAX;
		graph_word_name(process, &inspection->maps, parent - 1, slot, text, sizeof text);
		inspection_drop_indexes(text);
	}
	ret->word = snapshot_add_string(rows->builder, text);
}

static void add_row(const struct rows *rows, uint32_t object)
{
	const struct inspection *inspection = rows->inspection;
	const struct dominators *dominators = &inspection->dominators;
	char name[NAME_BYTES];
	uint32_t above = dominators_above(dominators, object);
	struct snapshot_object made = {.address = address_of(inspection->process, object),
				       .size = go_heap_span_of(&inspection->process->heap, object)->elem_size,
				       .retained = dominators_retained(dominators, object),
				       .members = dominators_members(dominators, object),
				       .above = above == DOMINATORS_NONE ? 0 : rows->row[above]};
	graph_object_name(inspection->process, &inspection->maps, object, name, sizeof name);
	made.name = snapshot_add_string(rows->builder, name);
	take_parent(rows, object, &made);
	snapshot_add_object(rows->builder, &made);
}

void snapshot_add_graph(struct snapshot_builder *builder, const struct inspection *inspection)
{
	const struct graph *graph = &inspection->graph;
	uint64_t all = inspection->process->heap.object_count;
	struct rows rows = {inspection, builder, take(graph->objects, sizeof *rows.objects),
			    take(all, sizeof *rows.row), 0};
	for (uint64_t object = 0; object < all && rows.count < graph->objects; object++)
		if (graph->parent[object] != 0)
			rows.objects[rows.count++] = (uint32_t)object;
	qsort_r(rows.objects, rows.count, sizeof *rows.objects, compare_objects, inspection->process);
	for (size_t i = 0; i < rows.count; i++)
		rows.row[rows.objects[i]] = (uint32_t)i + 1;
	for (size_t i = 0; i < rows.count; i++)
		add_row(&rows, rows.objects[i]);
	free(rows.objects);
	free(rows.row);
}
