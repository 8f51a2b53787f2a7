/* dominators.c: see dominators.h.
 *
 * 1. A depth-first search numbers the vertices and keeps the edges. The stack holds (vertex, where from) pairs; a
 *    vertex is numbered when it is taken off, so that the tree is a depth-first tree.
 * 2. The edges are turned round: predecessors of each number.
 * 3. From the last number to the first: semi(w) = the least label on the way up from any predecessor, where `label`
 *    is taken over the vertices already passed (those with greater numbers), with path compression.
 * 4. From the first number to the last: idom(w) starts at the tree parent and climbs until it is not above semi(w).
 */
#include "dominators.h"

#include <stdlib.h>
#include <string.h>

#include "problem.h"

struct visit {
	uint32_t vertex, from; /* `from`: a number */
};

struct search {
	const struct dominators_graph *graph;
	struct dominators *result;
	uint32_t *parent; /* by number */
	struct visit *stack;
	size_t stack_count, stack_capacity;
	uint32_t from;
	uint32_t *targets; /* of all edges: vertices, in the order of the sources' numbers */
	size_t edge_count, edge_capacity;
	size_t *first_edge; /* by number: of its own edges */
};

static void add_edge(void *context, uint32_t vertex)
{
	struct search *search = context;
	if (vertex >= search->graph->vertices)
		return;
	search->targets = make_room(search->targets, search->edge_count, &search->edge_capacity,
				    sizeof *search->targets);
	search->targets[search->edge_count++] = vertex;
	if (search->result->place[vertex] != 0)
		return;
	search->stack =
		make_room(search->stack, search->stack_count, &search->stack_capacity, sizeof *search->stack);
	search->stack[search->stack_count++] = (struct visit){vertex, search->from};
}

static void number_vertices(struct search *search)
{
	const struct dominators_graph *graph = search->graph;
	struct dominators *result = search->result;
	search->first_edge[0] = 0;
	graph->roots(graph->context, add_edge, search);
	while (search->stack_count > 0) {
		struct visit visit = search->stack[--search->stack_count];
		if (result->place[visit.vertex] != 0)
			continue;
		uint32_t number = ++result->count;
		result->place[visit.vertex] = number;
		result->vertex[number] = visit.vertex;
		search->parent[number] = visit.from;
		search->first_edge[number] = search->edge_count;
		search->from = number;
		graph->successors(graph->context, visit.vertex, add_edge, search);
	}
	search->first_edge[result->count + 1] = search->edge_count;
	free(search->stack);
}

/* The numbers from which edges lead to each number: those of w are list[start[w]] to list[start[w + 1] - 1]. */
struct predecessors {
	size_t *start;
	uint32_t *list;
};

static struct predecessors turn_round(struct search *search)
{
	const struct dominators *result = search->result;
	struct predecessors turned = {take((size_t)result->count + 2, sizeof *turned.start), NULL};
	for (size_t edge = 0; edge < search->edge_count; edge++) {
		search->targets[edge] = result->place[search->targets[edge]];
		turned.start[search->targets[edge]]++;
	}
	size_t sum = 0;
	for (uint32_t w = 0; w <= result->count + 1; w++) { /* from here on: where the next one of w goes */
		size_t count = turned.start[w];
		turned.start[w] = sum;
		sum += count;
	}
	turned.list = take(search->edge_count, sizeof *turned.list);
	for (uint32_t from = 0; from <= result->count; from++)
		for (size_t edge = search->first_edge[from]; edge < search->first_edge[from + 1]; edge++)
			turned.list[turned.start[search->targets[edge]]++] = from;
	/* every start has moved to the next one's: move them back */
	memmove(turned.start + 1, turned.start, ((size_t)result->count + 1) * sizeof *turned.start);
	turned.start[0] = 0;
	free(search->targets);
	free(search->first_edge);
	return turned;
}

struct forest {
	uint32_t *ancestor, *label; /* by number */
	uint32_t *path;		    /* room for a way up */
	size_t path_capacity;
};

/* The least label on the way from `v` up to the last vertex with a number above `passed`. */
static uint32_t least_label(struct forest *forest, uint32_t v, uint32_t passed)
{
	size_t length = 0;
	if (v <= passed)
		return forest->label[v];
	for (uint32_t at = v; forest->ancestor[at] > passed; at = forest->ancestor[at]) {
		forest->path = make_room(forest->path, length, &forest->path_capacity, sizeof *forest->path);
		forest->path[length++] = at;
	}
	while (length > 0) { /* from the top down: each hangs below the top afterwards */
		uint32_t at = forest->path[--length], above = forest->ancestor[at];
		if (forest->label[above] < forest->label[at])
			forest->label[at] = forest->label[above];
		forest->ancestor[at] = forest->ancestor[above];
	}
	return forest->label[v];
}

/* `parent` becomes the ancestors; returns semi by number. */
static uint32_t *find_semi(struct search *search, const struct predecessors *turned)
{
	uint32_t count = search->result->count;
	struct forest forest = {.ancestor = search->parent};
	uint32_t *semi = take((size_t)count + 1, sizeof *semi);
	forest.label = take((size_t)count + 1, sizeof *forest.label);
	for (uint32_t w = 0; w <= count; w++)
		forest.label[w] = w;
	for (uint32_t w = count; w >= 1; w--) {
		uint32_t least = w;
		for (size_t i = turned->start[w]; i < turned->start[w + 1]; i++) {
			uint32_t label = least_label(&forest, turned->list[i], w);
			least = label < least ? label : least;
		}
		semi[w] = forest.label[w] = least;
	}
	free(forest.label);
	free(forest.path);
	return semi;
}

static void weigh(const struct dominators_graph *graph, struct dominators *result)
{
	result->retained = take((size_t)result->count + 1, sizeof *result->retained);
	result->members = take((size_t)result->count + 1, sizeof *result->members);
	for (uint32_t w = result->count; w >= 1; w--) { /* all that w dominates has been added to it */
		uint32_t above = result->idom[w];
		result->retained[w] += graph->weight(graph->context, result->vertex[w]);
		result->members[w]++;
		result->retained[above] += result->retained[w];
		result->members[above] += result->members[w];
	}
}

void dominators_build(const struct dominators_graph *graph, struct dominators *ret)
{
	size_t room = (size_t)graph->vertices + 2;
	*ret = (struct dominators){.place = take(graph->vertices, sizeof *ret->place),
				   .vertex = take(room, sizeof *ret->vertex)};
	struct search search = {.graph = graph,
				.result = ret,
				.parent = take(room, sizeof *search.parent),
				.first_edge = take(room, sizeof *search.first_edge)};
	number_vertices(&search);
	ret->idom = take((size_t)ret->count + 1, sizeof *ret->idom);
	memcpy(ret->idom, search.parent, ((size_t)ret->count + 1) * sizeof *ret->idom);
	struct predecessors turned = turn_round(&search);
	uint32_t *semi = find_semi(&search, &turned);
	free(turned.start);
	free(turned.list);
	free(search.parent);
	for (uint32_t w = 1; w <= ret->count; w++)
		while (ret->idom[w] > semi[w])
			ret->idom[w] = ret->idom[ret->idom[w]];
	free(semi);
	weigh(graph, ret);
}

void dominators_free(struct dominators *dominators)
{
	free(dominators->place);
	free(dominators->vertex);
	free(dominators->idom);
	free(dominators->retained);
	free(dominators->members);
}

uint64_t dominators_retained(const struct dominators *dominators, uint32_t vertex)
{
	uint32_t number = dominators->place[vertex];
	return number == 0 ? 0 : dominators->retained[number];
}

uint32_t dominators_members(const struct dominators *dominators, uint32_t vertex)
{
	uint32_t number = dominators->place[vertex];
	return number == 0 ? 0 : dominators->members[number];
}

uint32_t dominators_above(const struct dominators *dominators, uint32_t vertex)
{
	uint32_t number = dominators->place[vertex];
	if (number == 0 || dominators->idom[number] == 0)
		return DOMINATORS_NONE;
	return dominators->vertex[dominators->idom[number]];
}
