/* graph.c: see graph.h. graph_roots.c finds the roots, graph_name.c gives the names, graph_path.c the
 * shortest way to an object, graph_retained.c tells what would go away with it. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

enum {
	LOOK_AHEAD = 12, /* objects of the queue */
	UNDER_WAY = 16,	 /* pointers found, whose targets' entries are on their way into the cache */
};

/* A pointer that was found and will be followed a moment later, in the order in which they were found. */
struct arrival {
	uint64_t object, size;
	uint32_t from;
};

/* Where the words of moved groups lie: they are kept back until everything else was reached. */
struct kept_back {
	uint64_t start, end;
	uint32_t map;
};

struct deferred {
	uint64_t value;
	uint32_t parent, map;
};

struct search {
	struct go_process *process;
	struct graph *graph;
	uint32_t *queue;
	uint64_t head, tail;
	struct arrival under_way[UNDER_WAY];
	uint64_t arrivals;	     /* since the last landing */
	uint32_t from;		     /* parent of what is found now */
	struct kept_back *kept_back; /* sorted */
	size_t kept_count, kept_capacity;
	uint64_t kept_low, kept_high; /* bounds of all of them */
	struct deferred *deferred;
	size_t deferred_count, deferred_capacity;
};

static void arrive(struct search *search, const struct arrival *arrival)
{
	uint64_t object = arrival->object;
	if (search->graph->parent[object] != 0)
		return;
	search->graph->parent[object] = arrival->from;
	search->graph->objects++;
	search->graph->bytes += arrival->size;
	search->queue[search->tail++] = (uint32_t)object;
}

static void reach(struct search *search, uint64_t value)
{
	uint32_t index;
	const struct go_span *span = go_heap_object(&search->process->heap, value, &index);
	if (span == NULL)
		return;
	struct arrival *place = &search->under_way[search->arrivals++ % UNDER_WAY], oldest = *place;
	*place = (struct arrival){span->first + index, span->elem_size, search->from};
	__builtin_prefetch(&search->graph->parent[place->object]);
	if (search->arrivals > UNDER_WAY)
		arrive(search, &oldest);
}

/* What is still under way arrives, in its order. */
static void land(struct search *search)
{
	uint64_t count = search->arrivals < UNDER_WAY ? search->arrivals : UNDER_WAY;
	for (uint64_t i = search->arrivals - count; i < search->arrivals; i++)
		arrive(search, &search->under_way[i % UNDER_WAY]);
	search->arrivals = 0;
}

static const struct kept_back *kept_back_at(const struct search *search, uint64_t slot)
{
	size_t low = 0, high = search->kept_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (search->kept_back[middle].end <= slot)
			low = middle + 1;
		else
			high = middle;
	}
	bool inside = low < search->kept_count && search->kept_back[low].start <= slot;
	return inside ? &search->kept_back[low] : NULL;
}

static void defer(struct search *search, uint64_t value, uint32_t map)
{
	search->deferred = make_room(search->deferred, search->deferred_count, &search->deferred_capacity,
				     sizeof *search->deferred);
	search->deferred[search->deferred_count++] = (struct deferred){value, search->from, map};
}

static void reach_word(void *context, uint64_t slot, uint64_t value)
{
	struct search *search = context;
	const struct kept_back *kept = NULL;
	if (slot >= search->kept_low && slot < search->kept_high)
		kept = kept_back_at(search, slot);
	if (kept != NULL)
		defer(search, value, kept->map);
	else
		reach(search, value);
}

/* The objects of the queue lie anywhere: what is needed in a moment is asked for now. */
static void look_ahead(const struct search *search)
{
	if (search->head + LOOK_AHEAD >= search->tail)
		return;
	uint32_t object = search->queue[search->head + LOOK_AHEAD];
	const struct go_span *span = go_heap_span_of(&search->process->heap, object);
	if (!span->noscan && span->memory != NULL)
		__builtin_prefetch(span->memory + (object - span->first) * span->elem_size);
}

static void drain(struct search *search)
{
	for (;;) {
		if (search->head == search->tail)
			land(search);
		if (search->head == search->tail)
			return;
		look_ahead(search);
		uint32_t object = search->queue[search->head++];
		struct go_span *span = go_heap_span_of(&search->process->heap, object);
		if (span->noscan)
			continue;
		search->from = object + 1;
		go_object_pointers(search->process, span, (uint32_t)(object - span->first), reach_word,
				   search);
	}
}

static void add_root(void *context, uint64_t slot, uint64_t value, const struct go_stack *stack)
{
	struct search *search = context;
	struct graph *graph = search->graph;
	if (go_heap_span(&search->process->heap, value) == NULL || graph->root_count >= GRAPH_ROOT - 1)
		return;
	graph->roots =
		make_room(graph->roots, graph->root_count, &graph->root_capacity, sizeof *graph->roots);
	graph->roots[graph->root_count] = (struct graph_root){slot, stack};
	search->from = GRAPH_ROOT | (uint32_t)graph->root_count++;
	reach(search, value);
}

struct keep_walk {
	struct search *search;
	const struct go_map_type *type;
	uint32_t map;
};

static void keep_group(void *context, const struct go_group *group)
{
	struct keep_walk *walk = context;
	struct search *search = walk->search;
	bool stale = false;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++)
		stale |= group->slots[slot] == GO_SLOT_STALE;
	if (!stale)
		return;
	search->kept_back = make_room(search->kept_back, search->kept_count, &search->kept_capacity,
				      sizeof *search->kept_back);
	/* not the overflow pointer at the group's end: it leads to the rest of the chain */
	search->kept_back[search->kept_count++] =
		(struct kept_back){group->address, group->address + walk->type->group_size - 8, walk->map};
}

static int compare_kept(const void *left, const void *right)
{
	const struct kept_back *a = left, *b = right;
	return a->start < b->start ? -1 : a->start > b->start;
}

static void keep_back(struct search *search, const struct maps *maps)
{
	for (size_t i = 0; i < maps->count; i++) {
		const struct found_map *map = &maps->list[i];
		struct keep_walk walk = {search, map->type, (uint32_t)i};
		struct go_map_visitor visitor = {.context = &walk, .group = keep_group};
		if (map->counts.stale > 0 && map->type->pointers)
			(void)go_map_walk(search->process, &map->header, map->type, &visitor);
	}
	if (search->kept_count == 0)
		return;
	qsort(search->kept_back, search->kept_count, sizeof *search->kept_back, compare_kept);
	search->kept_low = search->kept_back[0].start;
	search->kept_high = search->kept_back[search->kept_count - 1].end;
}

static struct graph_stale *stale_of(struct graph *graph, uint32_t map)
{
	for (size_t i = 0; i < graph->stale_count; i++)
		if (graph->stale[i].map == map)
			return &graph->stale[i];
	graph->stale =
		make_room(graph->stale, graph->stale_count, &graph->stale_capacity, sizeof *graph->stale);
	graph->stale[graph->stale_count] = (struct graph_stale){.map = map};
	return &graph->stale[graph->stale_count++];
}

/* What is reached now was not reached before: only moved slots lead there. */
static void reach_deferred(struct search *search)
{
	struct graph *graph = search->graph;
	for (size_t i = 0; i < search->deferred_count; i++) {
		const struct deferred deferred = search->deferred[i];
		uint64_t objects = graph->objects, bytes = graph->bytes;
		search->from = deferred.parent;
		reach(search, deferred.value);
		drain(search); /* may defer more, at the end of the list */
		if (graph->objects == objects)
			continue;
		struct graph_stale *stale = stale_of(graph, deferred.map);
		stale->objects += graph->objects - objects;
		stale->bytes += graph->bytes - bytes;
	}
}

static void search_free(struct search *search)
{
	free(search->queue);
	free(search->kept_back);
	free(search->deferred);
}

int graph_build(struct go_process *process, struct maps *maps, struct graph *ret, struct problem *problem)
{
	uint64_t count = process->heap.object_count;
	*ret = (struct graph){0};
	if (count >= GRAPH_ROOT - 1)
		return problem_set(problem, PROBLEM_FEATURE,
				   "%llu objects are more than the graph can number (2^31)",
				   (unsigned long long)count);
	ret->parent = take(count, sizeof *ret->parent);
	ret->ways = graph_ways_create();
	struct search search = {.process = process, .graph = ret};
	search.queue = take(count, sizeof *search.queue);
	keep_back(&search, maps);
	graph_each_root(process, add_root, &search);
	drain(&search);
	reach_deferred(&search);
	search_free(&search);
	for (size_t i = 0; i < maps->count; i++) {
		struct found_map *map = &maps->list[i];
		map->reachable = map->object == GO_NO_OBJECT || ret->parent[map->object] != 0;
	}
	return 0;
}

void graph_free(struct graph *graph)
{
	free(graph->parent);
	free(graph->roots);
	free(graph->stale);
	graph_ways_free(graph->ways);
}
