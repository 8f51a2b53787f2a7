/* dominators.h: the dominator tree of a graph, and what each vertex retains.
 *
 *   a dominates b   every path from the roots to b passes through a
 *   idom(b)         the dominator of b that is nearest to it; the roots stand for one vertex above all
 *   retained(a)     the weight of everything that a dominates, itself included: what becomes unreachable when a
 *                   goes away
 *
 *   retained(a) = weight(a) + sum of retained(b) over all b with idom(b) = a
 *
 * Vertices are numbers below 2^32 - 2; a vertex that no root reaches has no dominator and retains nothing. Semi-NCA:
 * L. Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems", Princeton 2005. Memory while it runs:
 * 28 bytes per vertex and 8 per edge; afterwards 24 per vertex.
 */
#ifndef NEAP_INSPECT_DOMINATORS_H
#define NEAP_INSPECT_DOMINATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*dominators_visit_fn)(void *context, uint32_t vertex);

/* The graph, as functions: each calls `visit(visitor, ...)` for every vertex that it names, repetitions allowed. */
struct dominators_graph {
	void *context;
	uint32_t vertices;
	void (*roots)(void *context, dominators_visit_fn visit, void *visitor);
	void (*successors)(void *context, uint32_t vertex, dominators_visit_fn visit, void *visitor);
	uint64_t (*weight)(void *context, uint32_t vertex);
};

struct dominators {
	uint32_t count;	    /* reached vertices; they have the numbers 1 to count, in depth-first order */
	uint32_t *place;    /* by vertex: its number, 0 when it is not reached */
	uint32_t *vertex;   /* by number */
	uint32_t *idom;	    /* by number: a smaller number; 0 is above the roots */
	uint64_t *retained; /* by number: weight; [0] is that of everything */
	uint32_t *members;  /* by number: vertices dominated, itself included */
};

#define DOMINATORS_NONE UINT32_MAX

void dominators_build(const struct dominators_graph *graph, struct dominators *ret);
void dominators_free(struct dominators *dominators);

/* 0 for a vertex that is not reached. */
uint64_t dominators_retained(const struct dominators *dominators, uint32_t vertex);
uint32_t dominators_members(const struct dominators *dominators, uint32_t vertex);

/* The vertex that dominates `vertex` immediately; DOMINATORS_NONE when only all roots together do. */
uint32_t dominators_above(const struct dominators *dominators, uint32_t vertex);

#endif
