/* why_linked.c: who holds a block, an object or a map of a program linked with libneap. See why.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "linked_graph.h"
#include "why.h"

static void name_node(struct linked_names *names, const struct linked_graph *graph, uint32_t node,
		      struct why_step *step)
{
	linked_node_name(names, node, step->name, sizeof step->name);
	step->address = graph->nodes[node].start;
	step->size = linked_node_size(&graph->nodes[node]);
}

/* From the node up to its root, then turned round. */
static void add_path(struct linked_names *names, const struct linked_graph *graph, uint32_t node,
		     struct why *ret)
{
	uint64_t slot = 0;
	for (bool first = true;; first = false) {
		struct why_step *step = why_add(ret);
		name_node(names, graph, node, step);
		if (!first)
			linked_word_name(names, node, slot, step->word, sizeof step->word);
		slot = graph->slot[node];
		if ((graph->parent[node] & LINKED_ROOT) != 0)
			break;
		node = graph->parent[node] - 1;
	}
	struct why_step *root = why_add(ret);
	const struct linked_root *at = &graph->roots[graph->parent[node] & ~LINKED_ROOT];
	root->root = true;
	linked_root_name(names, at, slot, root->name, sizeof root->name);
	if (at->kind == LINKED_ELSEWHERE)
		ret->note = "nothing else leads to it, and what holds that memory is not known: it may be "
			    "left over";
	why_turn(ret);
}

static void explain(struct linked_graph *graph, uint32_t node, struct why *ret)
{
	if (graph->parent[node] == 0)
		linked_graph_widen(graph);
	if (graph->parent[node] == 0)
		return;
	struct linked_names *names = linked_names_open(graph);
	struct dominators dominators;
	add_path(names, graph, node, ret);
	linked_graph_dominators(graph, &dominators);
	ret->counted = true;
	ret->objects = dominators_members(&dominators, node);
	ret->bytes = dominators_retained(&dominators, node);
	uint32_t above = dominators_above(&dominators, node);
	ret->bounded = above != DOMINATORS_NONE;
	if (ret->bounded) {
		name_node(names, graph, above, &ret->bound);
		ret->bound_bytes = dominators_retained(&dominators, above);
	}
	dominators_free(&dominators);
	linked_names_close(names);
}

/* By the name of a map, or by an address. */
static uint32_t find_node(struct linked_graph *graph, const char *what)
{
	uint64_t address;
	char name[64];
	for (size_t i = 0; i < graph->maps.count; i++) {
		linked_map_name(graph->process, &graph->maps.maps[i], name, sizeof name);
		if (strcmp(name, what) == 0)
			return linked_node_at(graph, graph->maps.maps[i].object);
	}
	return target_parse_address(what, &address) ? linked_node_at(graph, address) : LINKED_NO_NODE;
}

int why_linked(const char *target, const struct inspection_wish *wish, const char *what, struct why *ret,
	       struct problem *problem)
{
	struct linked_graph graph = {0};
	*ret = (struct why){0};
	struct linked_process *process = linked_open(target, wish, problem);
	if (process == NULL)
		return -1;
	if (linked_graph_build(process, &graph, problem) == 0) {
		uint32_t node = find_node(&graph, what);
		if (node != LINKED_NO_NODE)
			explain(&graph, node, ret);
		else
			problem_set(problem, PROBLEM_INPUT,
				    "'%s' is no map of %s and no address of a block that is in use", what,
				    target);
	}
	ret->torn = process->torn;
	ret->stopped = process->target->stopped;
	linked_graph_free(&graph);
	linked_close(process);
	return problem->kind == 0 ? 0 : -1;
}
