/* linked_rows.c: what a program linked with libneap holds, for a snapshot. See snapshot.h. */
#include <stdlib.h>
#include <string.h>

#include "linked_graph.h"

enum { NAME_BYTES = 256, STEPS_MOST = 32 };

/* The place in a node that leads on. All entries of a map have one name. */
static void add_place(struct linked_names *names, const struct linked_graph *graph, uint32_t node,
		      uint64_t slot, char *text, size_t size)
{
	if (graph->nodes[node].kind == LINKED_TABLE)
		snprintf(text, size, "[entry]");
	else
		linked_word_name(names, node, slot, text, size);
}

void linked_add_way(struct linked_graph *graph, struct linked_names *names, uint64_t map,
		    struct snapshot_builder *builder)
{
	uint32_t *way = NULL, node = linked_node_at(graph, map);
	size_t count = 0, capacity = 0;
	char text[NAME_BYTES];
	const struct snapshot_map *last = snapshot_last_map(builder);
	if (node == LINKED_NO_NODE || graph->parent[node] == 0 || last == NULL || last->address != map)
		return;
	for (; (graph->parent[node] & LINKED_ROOT) == 0; node = graph->parent[node] - 1) {
		way = make_room(way, count, &capacity, sizeof *way);
		way[count++] = node;
	}
	linked_root_name(names, &graph->roots[graph->parent[node] & ~LINKED_ROOT], graph->slot[node], text,
			 sizeof text);
	snapshot_add_step(builder, text);
	for (size_t shown = 0; count > 0; node = way[--count]) {
		if (shown++ < STEPS_MOST) {
			linked_node_name(names, node, text, sizeof text);
			size_t used = strlen(text);
			add_place(names, graph, node, graph->slot[way[count - 1]], text + used,
				  sizeof text - used);
			snapshot_add_step(builder, text);
		}
	}
	linked_node_name(names, node, text, sizeof text);
	snapshot_add_step(builder, text);
	free(way);
}

static int compare_nodes(const void *left, const void *right, void *context)
{
	const struct linked_node *nodes = context;
	uint64_t a = nodes[*(const uint32_t *)left].start, b = nodes[*(const uint32_t *)right].start;
	return a < b ? -1 : a > b;
}

static void add_row(struct linked_names *names, struct linked_graph *graph,
		    const struct dominators *dominators, const uint32_t *row, uint32_t node,
		    struct snapshot_builder *builder)
{
	char text[NAME_BYTES];
	uint32_t above = dominators_above(dominators, node), parent = graph->parent[node];
	struct snapshot_object made = {.address = graph->nodes[node].start,
				       .size = linked_node_size(&graph->nodes[node]),
				       .retained = dominators_retained(dominators, node),
				       .members = dominators_members(dominators, node),
				       .above = above == DOMINATORS_NONE ? 0 : row[above],
				       .offset = UINT32_MAX};
	linked_node_name(names, node, text, sizeof text);
	made.name = snapshot_add_string(builder, text);
	made.word = snapshot_add_string(builder, "");
	if ((parent & LINKED_ROOT) != 0) {
		linked_root_name(names, &graph->roots[parent & ~LINKED_ROOT], graph->slot[node], text,
				 sizeof text);
		made.parent = SNAPSHOT_ROOT | snapshot_add_string(builder, text);
	} else {
		const struct linked_node *holder = &graph->nodes[parent - 1];
		uint64_t offset = graph->slot[node] - holder->start;
		made.parent = row[parent - 1];
		if (holder->kind == LINKED_TABLE)
			made.word = snapshot_add_string(builder, "[entry]");
		else if (offset < linked_node_size(holder) && offset < UINT32_MAX)
			made.offset = (uint32_t)offset;
		else
			made.word = snapshot_add_string(builder, ", key of a weak map's entry");
	}
	snapshot_add_object(builder, &made);
}

void linked_add_rows(struct linked_graph *graph, struct snapshot_builder *builder)
{
	struct linked_names *names = linked_names_open(graph);
	struct dominators dominators;
	uint32_t *order = take(graph->node_count, sizeof *order), *row = take(graph->node_count, sizeof *row);
	size_t count = 0;
	linked_graph_dominators(graph, &dominators);
	for (size_t i = 0; i < graph->node_count; i++)
		if (graph->parent[i] != 0)
			order[count++] = (uint32_t)i;
	qsort_r(order, count, sizeof *order, compare_nodes, graph->nodes);
	for (size_t i = 0; i < count; i++)
		row[order[i]] = (uint32_t)i + 1;
	for (size_t i = 0; i < count; i++)
		add_row(names, graph, &dominators, row, order[i], builder);
	free(order);
	free(row);
	dominators_free(&dominators);
	linked_names_close(names);
}
