/* linked_graph.c: the search. See linked_graph.h. */
#include "linked_graph.h"

#include <stdlib.h>
#include <string.h>

#include "freeze.h"

enum { STACK_LIMIT = 8 << 20 }; /* bytes of a stack that are copied while the process is stopped */
/* Bytes of a root of which also pages are read that are not resident, because they may be swapped out. A larger one is
 * not believed so far: what was read of it may be damaged.
 */
static const uint64_t believed_limit = 1 << 30;

/* ---- Words ---- */

struct words {
	struct linked_graph *graph;
	linked_word_fn visit;
	void *context;
	bool exact;
};

static void visit_words(const struct words *words, uint64_t start, uint64_t size)
{
	uint64_t from = (start + 7) & ~7ull, end = start + size;
	const uint8_t *bytes =
		from + 8 > end ? NULL : image_at(words->graph->process->image, from, end - from);
	for (uint64_t at = from; bytes != NULL && at + 8 <= end; at += 8) {
		uint64_t value;
		memcpy(&value, bytes + (at - from), sizeof value);
		words->visit(words->context, at, value, words->exact);
	}
}

static void visit_entry(void *context, uint64_t start, uint64_t size)
{
	visit_words(context, start, size);
}

/* The words of `size` bytes whose bits are set. */
static void visit_bits(const struct words *words, uint64_t start, uint64_t size, uint64_t bits)
{
	for (uint64_t word = 0; bits != 0 && word < size / 8; word++) {
		uint64_t mask = linked_word(words->graph->process, bits + word / 64 * 8), value;
		if (mask == 0)
			word |= 63;
		else if ((mask >> word % 64 & 1) != 0 &&
			 image_word(words->graph->process->image, start + word * 8, &value))
			words->visit(words->context, start + word * 8, value, true);
	}
}

/* What its type says; other memory is held by any of its words. */
static void visit_object(const struct words *words, const struct linked_node *node)
{
	struct linked_process *process = words->graph->process;
	const enum linked_module gc = LINKED_GC;
	struct words any = *words;
	any.exact = node->what == linked_fact(process, gc, "type_words");
	visit_words(&any, node->start, node->size);
	if (any.exact)
		return;
	uint64_t collector = linked_word(process, process->facts[gc].object +
							  linked_fact(process, gc, "neap__gc_view.gc")),
		 type = linked_word(process, collector + linked_fact(process, gc, "neap__gc.types")) +
			node->what * linked_fact(process, gc, "neap__gc_type");
	uint64_t head = linked_word(process, type + linked_fact(process, gc, "neap__gc_type.head")),
		 tail = linked_word(process, type + linked_fact(process, gc, "neap__gc_type.tail")),
		 head_size =
			 linked_word(process, type + linked_fact(process, gc, "neap__gc_type.head_size")) &
			 UINT32_MAX,
		 stride = linked_word(process, type + linked_fact(process, gc, "neap__gc_type.stride")) &
			  UINT32_MAX;
	visit_bits(words, node->start, head_size < node->size ? head_size : node->size, head);
	for (uint64_t at = head_size; stride != 0 && at + stride <= node->size; at += stride)
		visit_bits(words, node->start + at, stride, tail);
}

static void visit_edges(const struct words *words, uint32_t node)
{
	const struct linked_graph *graph = words->graph;
	size_t low = 0, high = graph->edge_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (graph->edges[middle].from < node)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < graph->edge_count && graph->edges[low].from == node; low++)
		words->visit(words->context, graph->edges[low].slot, graph->nodes[graph->edges[low].to].start,
			     true);
}

void linked_node_words(struct linked_graph *graph, uint32_t number, linked_word_fn visit, void *context)
{
	const struct linked_node *node = &graph->nodes[number];
	struct words words = {graph, visit, context, false};
	if (node->kind == LINKED_OBJECT)
		visit_edges(&words, number);
	if (node->silent || node->gone)
		return;
	if (node->kind == LINKED_TABLE) {
		const struct linked_listed *map = &graph->maps.maps[node->what];
		words.exact = map->handle != 0;
		if (!map->weak)
			linked_map_entries(graph->process, map, visit_entry, &words);
	} else if (node->kind == LINKED_OBJECT) {
		visit_object(&words, node);
	} else {
		visit_words(&words, node->start, node->size);
		if (node->kind == LINKED_CHUNK) /* its last word lies where a free one says its size */
			visit_words(&words, node->start + node->size, node->what);
	}
}

/* ---- The search ---- */

struct search {
	struct linked_graph *graph;
	uint32_t *queue;
	size_t head, tail;
	uint32_t from; /* parent of what is found now */
};

static void reach(struct search *search, uint64_t slot, uint64_t value, bool collected)
{
	struct linked_graph *graph = search->graph;
	uint32_t node = linked_node_at(graph, value);
	if (node == LINKED_NO_NODE || graph->parent[node] != 0 ||
	    (graph->nodes[node].kind == LINKED_OBJECT && !collected))
		return;
	graph->parent[node] = search->from;
	graph->slot[node] = slot;
	search->queue[search->tail++] = node;
}

static void reach_word(void *context, uint64_t slot, uint64_t value, bool exact)
{
	reach(context, slot, value, exact);
}

static void visit_root(struct linked_graph *graph, size_t number, linked_word_fn visit, void *context)
{
	const struct linked_root *root = &graph->roots[number];
	struct words words = {graph, visit, context, root->collected};
	if (root->kind == LINKED_REGISTER) {
		uint64_t value;
		memcpy(&value,
		       (const char *)&graph->process->target->threads[root->thread].registers +
			       root->start * sizeof value,
		       sizeof value);
		visit(context, 0, value, true);
		return;
	}
	/* in pieces, of which one that can't be read leaves out no other */
	for (uint64_t at = root->start; at < root->end;) {
		uint64_t next = (at / TARGET_PAGE + 1) * TARGET_PAGE,
			 end = next < root->end ? next : root->end;
		/* the library's own variables are no part of the program's */
		uint64_t own = root->kind == LINKED_STATIC ? linked_own_end(graph, at) : 0;
		if (own > at) {
			at = own;
			continue;
		}
		if (root->kind == LINKED_STATIC)
			end = linked_own_start(graph, at, end);
		bool readable = image_at(graph->process->image, at, end - at) != NULL;
		if (readable)
			visit_words(&words, at, end - at);
		at = !readable || root->end - root->start > believed_limit
			     ? linked_next_resident(graph->process, end, root->end)
			     : end;
	}
}

static void run_search(struct linked_graph *graph, size_t first_root)
{
	struct search search = {.graph = graph, .queue = take(graph->node_count, sizeof *search.queue)};
	for (size_t i = first_root; i < graph->root_count; i++) {
		search.from = LINKED_ROOT | (uint32_t)i;
		visit_root(graph, i, reach_word, &search);
	}
	while (search.head < search.tail) {
		uint32_t node = search.queue[search.head++];
		search.from = node + 1;
		linked_node_words(graph, node, reach_word, &search);
	}
	free(search.queue);
}

/* Stacks and registers are of one moment: a short stop. */
static int copy_stacks(struct linked_process *process, struct problem *problem)
{
	struct target *target = process->target;
	struct freeze freeze;
	if (!target->changing || target->mode != TARGET_RUNNING)
		return 0;
	if (target_stop(target, &freeze, problem) != 0)
		return -1;
	for (size_t i = 0; i < target->thread_count; i++) {
		const struct target_range *range = target_range_at(target, target->threads[i].sp);
		if (range == NULL)
			continue;
		if (target_stop_left(target, &freeze) <= 0) { /* it is read afterwards, of another moment */
			process->torn++;
			continue;
		}
		uint64_t sp = target->threads[i].sp & ~(uint64_t)(TARGET_PAGE - 1), size = range->end - sp;
		size = size < STACK_LIMIT ? size : STACK_LIMIT;
		image_forget(process->image, sp, size);
		image_preload(process->image, sp, size);
	}
	target_go_on(target, &freeze);
	return 0;
}

int linked_graph_build(struct linked_process *process, struct linked_graph *ret, struct problem *problem)
{
	*ret = (struct linked_graph){.process = process};
	if (copy_stacks(process, problem) != 0)
		return -1;
	linked_take_nodes(ret);
	linked_take_roots(ret);
	if (ret->node_count >= LINKED_ROOT - 1 || ret->root_count >= LINKED_ROOT - 1)
		return problem_set(problem, PROBLEM_FEATURE, "%zu blocks are more than the graph can number",
				   ret->node_count);
	ret->parent = take(ret->node_count, sizeof *ret->parent);
	ret->slot = take(ret->node_count, sizeof *ret->slot);
	run_search(ret, 0);
	return linked_complete(process, problem);
}

void linked_graph_widen(struct linked_graph *graph)
{
	size_t first = graph->root_count;
	linked_take_elsewhere(graph);
	run_search(graph, first);
}

void linked_graph_free(struct linked_graph *graph)
{
	free(graph->maps.maps);
	free(graph->nodes);
	free(graph->extents);
	free(graph->objects);
	free(graph->roots);
	free(graph->edges);
	free(graph->own);
	free(graph->parent);
	free(graph->slot);
}

/* ---- Dominators ---- */

struct binding {
	struct linked_graph *graph;
	dominators_visit_fn visit;
	void *visitor;
};

static void bind_word(void *context, uint64_t slot, uint64_t value, bool exact)
{
	(void)slot;
	const struct binding *binding = context;
	uint32_t node = linked_node_at(binding->graph, value);
	if (node != LINKED_NO_NODE && (exact || binding->graph->nodes[node].kind != LINKED_OBJECT))
		binding->visit(binding->visitor, node);
}

static void each_root(void *context, dominators_visit_fn visit, void *visitor)
{
	struct binding binding = {context, visit, visitor};
	for (size_t i = 0; i < binding.graph->root_count; i++)
		visit_root(binding.graph, i, bind_word, &binding);
}

static void each_successor(void *context, uint32_t node, dominators_visit_fn visit, void *visitor)
{
	struct binding binding = {context, visit, visitor};
	linked_node_words(context, node, bind_word, &binding);
}

static uint64_t weight(void *context, uint32_t node)
{
	return linked_node_size(&((const struct linked_graph *)context)->nodes[node]);
}

void linked_graph_dominators(struct linked_graph *graph, struct dominators *ret)
{
	const struct dominators_graph over = {graph, (uint32_t)graph->node_count, each_root, each_successor,
					      weight};
	dominators_build(&over, ret);
}
