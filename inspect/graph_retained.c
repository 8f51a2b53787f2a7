/* graph_retained.c: the dominators of the heap's objects. See dominators.h. */
#include <stdlib.h>

#include "graph.h"

struct binding {
	struct go_process *process;
	dominators_visit_fn visit;
	void *visitor;
};

static void visit_value(struct binding *binding, uint64_t value)
{
	uint32_t index;
	const struct go_span *span = go_heap_object(&binding->process->heap, value, &index);
	if (span != NULL)
		binding->visit(binding->visitor, (uint32_t)(span->first + index));
}

static void visit_root(void *context, uint64_t slot, uint64_t value, const struct go_stack *stack)
{
	(void)slot, (void)stack;
	visit_value(context, value);
}

static void each_root(void *context, dominators_visit_fn visit, void *visitor)
{
	struct binding binding = {context, visit, visitor};
	graph_each_root(context, visit_root, &binding);
}

static void visit_word(void *context, uint64_t slot, uint64_t value)
{
	(void)slot;
	visit_value(context, value);
}

static void each_successor(void *context, uint32_t object, dominators_visit_fn visit, void *visitor)
{
	struct go_process *process = context;
	struct binding binding = {process, visit, visitor};
	struct go_span *span = go_heap_span_of(&process->heap, object);
	if (!span->noscan)
		go_object_pointers(process, span, (uint32_t)(object - span->first), visit_word, &binding);
}

static uint64_t weight(void *context, uint32_t object)
{
	const struct go_process *process = context;
	return go_heap_span_of(&process->heap, object)->elem_size;
}

void graph_dominators(struct go_process *process, struct dominators *ret)
{
	const struct dominators_graph graph = {process, (uint32_t)process->heap.object_count, each_root,
					       each_successor, weight};
	dominators_build(&graph, ret);
}
