/* graph_path.c: the shortest way from a root to an object.
 *
 * The search left each object's parent, not the word in the parent that leads to it. In a small parent that word is looked
 * for. A large one, a slice of a million maps, is asked for each of its children: reading it whole each time would take
 * children x words. So its ways are listed once, sorted by child:
 *
 *     way    a child, which is an object whose parent this is, and the first word that leads to it
 *
 * An object has one parent, so that all lists together have at most as many ways as the heap has objects.
 */
#include <stdlib.h>

#include "graph.h"

enum {
	LISTED_BYTES = 4096, /* parents from this size on have their ways listed */
	LISTS = 64,	     /* lists that are kept: a newer one replaces the one in its place */
};

struct way {
	uint64_t child, slot;
};

struct way_list {
	uint64_t parent; /* an object, plus 1; 0: no list */
	struct way *ways;
	size_t count, capacity;
};

struct graph_ways {
	struct way_list lists[LISTS];
};

struct graph_ways *graph_ways_create(void)
{
	return take(1, sizeof(struct graph_ways));
}

void graph_ways_free(struct graph_ways *ways)
{
	for (size_t i = 0; ways != NULL && i < LISTS; i++)
		free(ways->lists[i].ways);
	free(ways);
}

/* The word of an object that points to another one. */
struct word_search {
	const struct go_heap *heap;
	uint64_t wanted, found;
};

static void match_word(void *context, uint64_t slot, uint64_t value)
{
	struct word_search *search = context;
	uint32_t index;
	const struct go_span *span = go_heap_object(search->heap, value, &index);
	if (search->found == 0 && span != NULL && span->first + index == search->wanted)
		search->found = slot;
}

struct listing {
	const struct go_heap *heap;
	const struct graph *graph;
	struct way_list *list;
};

static void list_word(void *context, uint64_t slot, uint64_t value)
{
	struct listing *listing = context;
	struct way_list *list = listing->list;
	uint32_t index;
	const struct go_span *span = go_heap_object(listing->heap, value, &index);
	if (span == NULL || listing->graph->parent[span->first + index] != list->parent)
		return;
	list->ways = make_room(list->ways, list->count, &list->capacity, sizeof *list->ways);
	list->ways[list->count++] = (struct way){span->first + index, slot};
}

static int compare_ways(const void *left, const void *right)
{
	const struct way *a = left, *b = right;
	if (a->child != b->child)
		return a->child < b->child ? -1 : 1;
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

/* The first of the ways to `child`, 0 when there is none. */
static uint64_t find_way(const struct way_list *list, uint64_t child)
{
	size_t low = 0, high = list->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (list->ways[middle].child < child)
			low = middle + 1;
		else
			high = middle;
	}
	return low < list->count && list->ways[low].child == child ? list->ways[low].slot : 0;
}

uint64_t graph_word_to(struct go_process *process, const struct graph *graph, uint64_t from, uint64_t to)
{
	struct go_span *span = go_heap_span_of(&process->heap, from);
	uint32_t index = (uint32_t)(from - span->first);
	if (span->elem_size < LISTED_BYTES) {
		struct word_search search = {&process->heap, to, 0};
		go_object_pointers(process, span, index, match_word, &search);
		return search.found;
	}
	struct way_list *list = &graph->ways->lists[from % LISTS];
	if (list->parent != from + 1) {
		list->parent = from + 1;
		list->count = 0;
		struct listing listing = {&process->heap, graph, list};
		go_object_pointers(process, span, index, list_word, &listing);
		if (list->count > 0)
			qsort(list->ways, list->count, sizeof *list->ways, compare_ways);
	}
	return find_way(list, to);
}

size_t graph_path(struct go_process *process, const struct graph *graph, uint64_t object,
		  struct graph_step **ret)
{
	struct graph_step *steps = NULL;
	size_t count = 0, capacity = 0;
	*ret = NULL;
	if (object >= process->heap.object_count || graph->parent[object] == 0)
		return 0;
	for (;;) { /* parents were set once, each before its children: no cycle */
		uint32_t parent = graph->parent[object];
		bool root = (parent & GRAPH_ROOT) != 0;
		uint64_t slot = root ? graph->roots[parent & ~GRAPH_ROOT].slot
				     : graph_word_to(process, graph, parent - 1, object);
		steps = make_room(steps, count, &capacity, sizeof *steps);
		steps[count++] = (struct graph_step){object, 0, slot};
		if (root) {
			steps = make_room(steps, count, &capacity, sizeof *steps);
			steps[count++] = (struct graph_step){GO_NO_OBJECT, parent & ~GRAPH_ROOT, 0};
			break;
		}
		object = parent - 1;
	}
	for (size_t i = 0; i < count / 2; i++) {
		struct graph_step swap = steps[i];
		steps[i] = steps[count - 1 - i];
		steps[count - 1 - i] = swap;
	}
	*ret = steps;
	return count;
}
