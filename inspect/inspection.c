/* inspection.c: see inspection.h. */
#include "inspection.h"

#include <stdlib.h>
#include <string.h>

#include "freeze.h"

enum { HOLDER_STEPS = 4 };

static int compare_orders(const void *left, const void *right, void *context)
{
	const struct maps *maps = context;
	const struct found_map *a = &maps->list[*(const uint32_t *)left],
			       *b = &maps->list[*(const uint32_t *)right];
	uint64_t gain_a = map_reclaimable(a), gain_b = map_reclaimable(b);
	if (gain_a != gain_b)
		return gain_a > gain_b ? -1 : 1;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return a->header.address < b->header.address ? -1 : 1;
}

static void put_in_order(struct inspection *inspection)
{
	struct maps *maps = &inspection->maps;
	inspection->order = take(maps->count, sizeof *inspection->order);
	for (size_t i = 0; i < maps->count; i++) {
		inspection->order[i] = (uint32_t)i;
		inspection->held += maps->list[i].bytes;
		inspection->reclaimable += map_reclaimable(&maps->list[i]);
	}
	qsort_r(inspection->order, maps->count, sizeof *inspection->order, compare_orders, maps);
}

/* Takes over the process, which may be NULL after a problem. */
static struct inspection *inspect(struct go_process *process, const struct inspection_wish *wish,
				  double start, struct problem *problem)
{
	if (process == NULL)
		return NULL;
	struct inspection *inspection = take(1, sizeof *inspection);
	inspection->process = process;
	inspection->keeps_graph = wish->graph;
	maps_find(process, wish->every_type, &inspection->maps);
	if (graph_build(process, &inspection->maps, &inspection->graph, problem) != 0) {
		inspection_free(inspection);
		return NULL;
	}
	if (wish->retained)
		graph_dominators(process, &inspection->dominators);
	account_make(process, &inspection->maps, &inspection->account);
	put_in_order(inspection);
	inspection->seconds = monotonic_seconds() - start;
	return inspection;
}

struct inspection *inspection_from(struct target *target, const struct inspection_wish *wish,
				   struct problem *problem)
{
	double start = monotonic_seconds();
	return inspect(go_process_from(target, problem), wish, start, problem);
}

/* A look may fall into the growth of a map, which then has no array. That is brief: a second look sees it. What it does not
   see either and goes on changing is torn; what stays as it is is no map. */
static struct inspection *look_again(struct inspection *first, const char *name,
				     const struct inspection_wish *wish, double start)
{
	struct problem ignored = {0};
	struct go_process *process = go_process_open(name, wish->program, wish->mode, &ignored);
	if (process != NULL) { /* both looks together stop the process no longer than one */
		process->target->stopped += first->process->target->stopped;
		process->target->worked += first->process->target->worked;
		process->target->stops += first->process->target->stops;
		process->target->stop_reads += first->process->target->stop_reads;
	}
	struct inspection *second = inspect(process, wish, start, &ignored);
	if (second == NULL)
		return first;
	maps_sift_suspects(second->process, &second->maps);
	second->process->torn += second->maps.suspect_count;
	inspection_free(first);
	return second;
}

struct inspection *inspection_make(const char *name, const struct inspection_wish *wish,
				   struct problem *problem)
{
	double start = monotonic_seconds();
	struct inspection *inspection =
		inspect(go_process_open(name, wish->program, wish->mode, problem), wish, start, problem);
	if (inspection == NULL || !inspection->process->target->live)
		return inspection;
	maps_sift_suspects(inspection->process, &inspection->maps);
	return inspection->maps.suspect_count == 0 ? inspection : look_again(inspection, name, wish, start);
}

void inspection_free(struct inspection *inspection)
{
	if (inspection == NULL)
		return;
	graph_free(&inspection->graph);
	dominators_free(&inspection->dominators);
	maps_free(&inspection->maps);
	go_process_close(inspection->process);
	free(inspection->order);
	free(inspection);
}

static int compare_groups(const void *left, const void *right)
{
	const struct type_group *a = left, *b = right;
	if (a->reclaimable != b->reclaimable)
		return a->reclaimable > b->reclaimable ? -1 : 1;
	return a->held > b->held ? -1 : a->held < b->held;
}

size_t inspection_by_type(const struct inspection *inspection, struct type_group **ret)
{
	const struct maps *maps = &inspection->maps;
	/* one place per map type of the program: types are few, maps may be many */
	struct type_group *groups = take(maps->types.count, sizeof *groups);
	for (size_t i = 0; i < maps->count; i++) {
		const struct found_map *map = &maps->list[i];
		struct type_group *group = &groups[map->type - maps->types.list];
		group->type = map->type;
		group->maps++;
		group->live += map->header.count;
		group->slots += map->counts.slots;
		group->held += map->bytes;
		group->reclaimable += map_reclaimable(map);
	}
	size_t count = 0;
	for (size_t i = 0; i < maps->types.count; i++)
		if (groups[i].maps > 0)
			groups[count++] = groups[i];
	qsort(groups, count, sizeof *groups, compare_groups);
	*ret = groups;
	return count;
}

void inspection_drop_indexes(char *text)
{
	char *to = text;
	bool inside = false;
	for (const char *from = text; *from != '\0'; from++) {
		inside &= *from >= '0' && *from <= '9';
		if (!inside)
			*to++ = *from;
		inside |= *from == '[';
	}
	*to = '\0';
}

static void name_step(const struct inspection *inspection, const struct graph_step *step,
		      const struct graph_step *next, bool indexes, char *text, size_t size)
{
	if (step->object == GO_NO_OBJECT) {
		graph_root_name(inspection->process, &inspection->maps, &inspection->graph.roots[step->root],
				text, size);
		return;
	}
	graph_object_name(inspection->process, &inspection->maps, step->object, text, size);
	size_t used = strlen(text);
	graph_word_name(inspection->process, &inspection->maps, step->object, next->slot, text + used,
			size - used);
	if (!indexes)
		inspection_drop_indexes(text + used);
}

size_t inspection_steps(const struct inspection *inspection, const struct found_map *map, bool indexes,
			struct inspection_step **ret)
{
	struct go_process *process = inspection->process;
	if (map->object == GO_NO_OBJECT) {
		struct graph_root root = {map->header.address,
					  go_stack_at(&process->stacks, map->header.address)};
		*ret = take(1, sizeof **ret);
		graph_root_name(process, &inspection->maps, &root, (*ret)->name, sizeof(*ret)->name);
		return 1;
	}
	struct graph_step *steps;
	size_t count = graph_path(process, &inspection->graph, map->object, &steps);
	*ret = take(count, sizeof **ret);
	for (size_t i = 0; i + 1 < count; i++) /* not the map itself */
		name_step(inspection, &steps[i], &steps[i + 1], indexes, (*ret)[i].name, sizeof(*ret)->name);
	free(steps);
	return count == 0 ? 0 : count - 1;
}

static void append(char *text, size_t size, const char *more)
{
	size_t used = strlen(text);
	snprintf(text + used, size - used, "%s", more);
}

void inspection_holder(const struct inspection *inspection, const struct found_map *map, bool indexes,
		       char *text, size_t size)
{
	struct inspection_step *steps;
	size_t count = inspection_steps(inspection, map, indexes, &steps);
	*text = '\0';
	if (count == 0)
		append(text, size, "nothing: garbage, not collected yet");
	for (size_t i = 0; i < count; i++) {
		append(text, size, i == 0 ? "" : " -> ");
		if (i > HOLDER_STEPS / 2 && i + HOLDER_STEPS / 2 < count) {
			append(text, size, "...");
			i = count - 1 - HOLDER_STEPS / 2;
			continue;
		}
		append(text, size, steps[i].name);
	}
	free(steps);
}

bool inspection_has_retained(const struct inspection *inspection, const struct found_map *map)
{
	return map->object != GO_NO_OBJECT && inspection->dominators.place != NULL;
}

uint64_t inspection_retained(const struct inspection *inspection, const struct found_map *map)
{
	if (!inspection_has_retained(inspection, map))
		return 0;
	return dominators_retained(&inspection->dominators, (uint32_t)map->object);
}

const struct found_map *inspection_map_at(const struct inspection *inspection, uint64_t address)
{
	const struct found_map *map = maps_at(&inspection->maps, address);
	uint32_t index;
	if (map != NULL)
		return map;
	const struct go_span *span = go_heap_object(&inspection->process->heap, address, &index);
	const struct map_block *block =
		span == NULL ? NULL : maps_block_of(&inspection->maps, span->first + index);
	return block == NULL ? NULL : &inspection->maps.list[block->map];
}

const char *map_confidence_name(enum map_confidence confidence)
{
	static const char *const names[] = {"unconfirmed", "ambiguous", "inferred", "header", "typed"};
	return names[confidence];
}
