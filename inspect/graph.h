/* graph.h: who holds what. One breadth-first search from the roots over the objects of the heap.
 *
 *   root     a global variable or a word of a stack that points into the heap
 *   parent   the object or root from which an object was first reached; following parents gives a shortest path
 *
 * The old array of a growing map is entered last: what is reached only through slots that were already moved
 * out of it is `stale`, kept alive by nothing but the unfinished growth.
 *
 * Not roots here: modules loaded as plugins.
 */
#ifndef NEAP_INSPECT_GRAPH_H
#define NEAP_INSPECT_GRAPH_H

#include "dominators.h"
#include "maps.h"

struct graph_root {
	uint64_t slot;		      /* address of the word that points into the heap */
	const struct go_stack *stack; /* NULL: a global variable, or a finalizer or cleanup */
};

struct graph_stale {
	uint32_t map; /* index in maps.list */
	uint64_t objects, bytes;
};

struct graph_ways;

struct graph {
	uint32_t *parent; /* by object: 0 not reached, object + 1, or GRAPH_ROOT | root */
	struct graph_root *roots;
	size_t root_count, root_capacity;
	uint64_t objects, bytes;   /* reached, stale ones included */
	struct graph_stale *stale; /* per map that has any */
	size_t stale_count, stale_capacity;
	struct graph_ways *ways; /* what graph_path remembers of large objects */
};

#define GRAPH_ROOT 0x80000000u

/* Marks every map's `reachable`. -1 and a problem when the heap has more objects than the graph can number. */
int graph_build(struct go_process *process, struct maps *maps, struct graph *ret, struct problem *problem);
void graph_free(struct graph *graph);

/* One step of a path, from the root on. */
struct graph_step {
	uint64_t object; /* GO_NO_OBJECT for the root */
	uint32_t root;
	uint64_t slot; /* address of the word in the step before that points here */
};

/* The shortest path to an object; returns its length, 0 when nothing reaches it. *ret belongs to the caller. */
size_t graph_path(struct go_process *process, const struct graph *graph, uint64_t object,
		  struct graph_step **ret);

/* The address of the first word in object `from`, a parent, that points to object `to`; 0 when it has gone. */
uint64_t graph_word_to(struct go_process *process, const struct graph *graph, uint64_t from, uint64_t to);

/* Every word that the collector starts from: `stack` is NULL for a global variable and for what a finalizer or
   cleanup holds. Words that are no pointers are visited too. */
typedef void (*graph_root_fn)(void *context, uint64_t slot, uint64_t value, const struct go_stack *stack);
void graph_each_root(struct go_process *process, graph_root_fn visit, void *context);

/* For graph.c. */
struct graph_ways *graph_ways_create(void);
void graph_ways_free(struct graph_ways *ways); /* NULL is allowed */

/* The dominator tree of the objects; an object's vertex is its number. Free with dominators_free. */
void graph_dominators(struct go_process *process, struct dominators *ret);

/* Names for people. `graph_root_name`: the variable, or goroutine and function. `graph_step_name`: the type of
   the object and, of the word in it that leads on, the field or slot. Both cut to `size`. */
void graph_root_name(struct go_process *process, const struct maps *maps, const struct graph_root *root,
		     char *name, size_t size);
void graph_object_name(struct go_process *process, const struct maps *maps, uint64_t object, char *name,
		       size_t size);
void graph_word_name(struct go_process *process, const struct maps *maps, uint64_t object, uint64_t slot,
		     char *name, size_t size);

#endif
