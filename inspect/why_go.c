/* why_go.c: who holds an object of a Go program. See why.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "why.h"

struct why_step *why_add(struct why *why)
{
	why->steps = make_room(why->steps, why->count, &why->capacity, sizeof *why->steps);
	why->steps[why->count] = (struct why_step){0};
	return &why->steps[why->count++];
}

void why_turn(struct why *why)
{
	for (size_t i = 0; i < why->count / 2; i++) {
		struct why_step swap = why->steps[i];
		why->steps[i] = why->steps[why->count - 1 - i];
		why->steps[why->count - 1 - i] = swap;
	}
}

void why_free(struct why *why)
{
	free(why->steps);
}

static void name_object(const struct inspection *inspection, uint64_t object, struct why_step *step)
{
	const struct go_span *span = go_heap_span_of(&inspection->process->heap, object);
	graph_object_name(inspection->process, &inspection->maps, object, step->name, sizeof step->name);
	step->address = go_span_object(span, (uint32_t)(object - span->first));
	step->size = span->elem_size;
}

static void name_step(const struct inspection *inspection, const struct graph_step *from,
		      const struct graph_step *next, struct why_step *step)
{
	if (from->object == GO_NO_OBJECT) {
		step->root = true;
		graph_root_name(inspection->process, &inspection->maps, &inspection->graph.roots[from->root],
				step->name, sizeof step->name);
		return;
	}
	name_object(inspection, from->object, step);
	if (next != NULL)
		graph_word_name(inspection->process, &inspection->maps, from->object, next->slot, step->word,
				sizeof step->word);
}

static void explain(const struct inspection *inspection, uint64_t object, struct why *ret)
{
	const struct dominators *dominators = &inspection->dominators;
	struct graph_step *steps;
	size_t count = graph_path(inspection->process, &inspection->graph, object, &steps);
	for (size_t i = 0; i < count; i++)
		name_step(inspection, &steps[i], i + 1 < count ? &steps[i + 1] : NULL, why_add(ret));
	free(steps);
	ret->torn = inspection->process->torn;
	ret->stopped = inspection->process->target->stopped;
	if (count == 0)
		return;
	ret->counted = true;
	ret->objects = dominators_members(dominators, (uint32_t)object);
	ret->bytes = dominators_retained(dominators, (uint32_t)object);
	uint32_t above = dominators_above(dominators, (uint32_t)object);
	ret->bounded = above != DOMINATORS_NONE;
	if (ret->bounded) {
		name_object(inspection, above, &ret->bound);
		ret->bound_bytes = dominators_retained(dominators, above);
	}
}

int why_go(const char *target, const struct inspection_wish *wish, uint64_t address, struct why *ret,
	   struct problem *problem)
{
	*ret = (struct why){0};
	struct inspection *inspection = inspection_make(target, wish, problem);
	if (inspection == NULL)
		return -1;
	uint32_t index;
	const struct go_span *span = go_heap_object(&inspection->process->heap, address, &index);
	if (span != NULL)
		explain(inspection, span->first + index, ret);
	else
		problem_set(problem, PROBLEM_INPUT, "0x%" PRIx64 " is not in the Go heap of %s", address,
			    target);
	inspection_free(inspection);
	return span == NULL ? -1 : 0;
}
