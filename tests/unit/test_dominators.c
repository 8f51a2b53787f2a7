/* test_dominators.c: the dominator tree of random graphs against the definition: a dominates b when b can't be
 * reached without a. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dominators.h"

enum { VERTICES = 24, EDGES = 60, ROUNDS = 3000 };

struct sample {
	unsigned edges, roots;
	uint32_t from[EDGES], to[EDGES], root[4];
};

static uint64_t state = 1; /* xorshift64*, Vigna 2016 */

static uint32_t draw(uint32_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)(state * 0x2545F4914F6CDD1Dull >> 33) % below;
}

static void roots(void *context, dominators_visit_fn visit, void *visitor)
{
	const struct sample *sample = context;
	for (unsigned i = 0; i < sample->roots; i++)
		visit(visitor, sample->root[i]);
}

static void successors(void *context, uint32_t vertex, dominators_visit_fn visit, void *visitor)
{
	const struct sample *sample = context;
	for (unsigned i = 0; i < sample->edges; i++)
		if (sample->from[i] == vertex)
			visit(visitor, sample->to[i]);
}

static uint64_t weight(void *context, uint32_t vertex)
{
	(void)context;
	return 1ull << vertex; /* so that a sum tells which vertices are in it */
}

/* The vertices that can be reached without `without`, as bits. */
static uint64_t reached(const struct sample *sample, uint32_t without)
{
	uint64_t found = 0, before;
	for (unsigned i = 0; i < sample->roots; i++)
		if (sample->root[i] != without)
			found |= 1ull << sample->root[i];
	do {
		before = found;
		for (unsigned i = 0; i < sample->edges; i++)
			if ((found >> sample->from[i] & 1) != 0 && sample->to[i] != without)
				found |= 1ull << sample->to[i];
	} while (found != before);
	return found;
}

static void compare(struct sample *sample)
{
	const struct dominators_graph graph = {sample, VERTICES, roots, successors, weight};
	struct dominators dominators;
	uint64_t all = reached(sample, UINT32_MAX), only[VERTICES];
	dominators_build(&graph, &dominators);
	assert_int_equal(dominators.count, __builtin_popcountll(all));
	for (uint32_t vertex = 0; vertex < VERTICES; vertex++) {
		only[vertex] = (all >> vertex & 1) != 0 ? all & ~reached(sample, vertex) : 0;
		assert_int_equal(dominators_retained(&dominators, vertex), only[vertex]);
		assert_int_equal(dominators_members(&dominators, vertex), __builtin_popcountll(only[vertex]));
	}
	for (uint32_t vertex = 0; vertex < VERTICES; vertex++) {
		uint32_t nearest =
			DOMINATORS_NONE; /* the one with the fewest members that is not the vertex */
		for (uint32_t other = 0; other < VERTICES; other++)
			if (other != vertex && (only[other] >> vertex & 1) != 0 &&
			    (nearest == DOMINATORS_NONE ||
			     __builtin_popcountll(only[other]) < __builtin_popcountll(only[nearest])))
				nearest = other;
		assert_int_equal(dominators_above(&dominators, vertex), nearest);
	}
	dominators_free(&dominators);
}

static void random_graphs_agree_with_the_definition(void **unused)
{
	(void)unused;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct sample sample = {.edges = draw(EDGES + 1), .roots = draw(5)};
		for (unsigned i = 0; i < sample.edges; i++) {
			sample.from[i] = draw(VERTICES);
			sample.to[i] = draw(VERTICES);
		}
		for (unsigned i = 0; i < sample.roots; i++)
			sample.root[i] = draw(VERTICES);
		compare(&sample);
	}
}

/* A list of VERTICES vertices: every vertex retains the rest of it. */
static void a_list_is_dominated_link_by_link(void **unused)
{
	(void)unused;
	struct sample sample = {.edges = VERTICES - 1, .roots = 1};
	for (uint32_t i = 0; i + 1 < VERTICES; i++) {
		sample.from[i] = i;
		sample.to[i] = i + 1;
	}
	compare(&sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_graphs_agree_with_the_definition),
		cmocka_unit_test(a_list_is_dominated_link_by_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
