/* escape.h: where the address of every local, allocation and parameter can go.
 *
 * Nouns. A *place* is something that holds values: a variable, an allocation, a parameter, an unnamed value,
 * and four kinds of place that outlive the function: the heap, the result, what a parameter points to, and
 * code that is not visible. An edge `dst <- src` with a level says that src flows to dst after so many
 * dereferences; level -1 is "the address of src".
 *
 *     q = &o      q <- o (-1)
 *     p = q       p <- q (0)
 *     v = *p      v <- p (1)
 *     *p = x      every place that p can point to <- x (0)
 *
 * An object escapes when a walk against the edges, from a place that outlives the function, reaches it with a
 * level below 0. A walk keeps the least level at each place and never lets it fall below 0 on the way: the
 * content of an address is no address. This is Go's analysis (cmd/compile/internal/escape), with one change:
 * a store through a pointer goes to what it can point to, where Go gives up and says heap.
 */
#ifndef NEAP_LINT_ESCAPE_H
#define NEAP_LINT_ESCAPE_H

#include "code.h"
#include "effects.h"

enum place_kind {
	PLACE_VALUE,	/* an instruction's result */
	PLACE_VARIABLE, /* storage of a local */
	PLACE_NEW,	/* an object that a call made */
	PLACE_PARAM,
	PLACE_HEAP,
	PLACE_RESULT,
	PLACE_THROUGH, /* what a parameter points to */
	PLACE_UNSEEN   /* code that is not visible and may keep what it is given */
};

#define NO_PLACE UINT32_MAX

struct edge {
	uint32_t src, next; /* next edge into the same place; NO_PLACE ends */
	uint32_t why;	    /* the instruction, or NO_PLACE */
	int8_t level;
};

struct place {
	uint8_t kind;
	uint32_t index; /* instruction, parameter */
	uint32_t edges; /* first edge into it */
	/* Of the walk at hand. */
	uint32_t walk;
	int8_t level;
	bool queued;
	uint32_t to, via; /* the next place on the shortest way to the root, and its edge */
};

enum grade { GRADE_NONE, GRADE_INFO, GRADE_MAY_DANGLE, GRADE_DANGLING };

/* One decision about one object or parameter, and one step of how it came about. */
struct step {
	uint32_t dst, src, why; /* places, instruction */
	int8_t level;
};

struct decision {
	uint32_t place, root;
	int8_t level;	    /* parameters: dereferences; below 0 for addresses */
	uint8_t grade;	    /* enum grade: stack objects */
	bool escapes;	    /* false: "does not escape" */
	uint32_t at;	    /* the instruction that lets it out, or NO_PLACE */
	struct step *steps; /* from the object to the root */
	uint32_t n_steps;
};

/* The graph of one function. */
struct escape {
	const struct program *program;
	const struct function *function;
	struct place *places;
	struct edge *edges;
	uint32_t n_places, n_edges;
	size_t cap_places, cap_edges;
	uint32_t *value_place, *object_place; /* by instruction: its value; its storage or object */
	uint32_t first_param, first_through;
	uint32_t heap, result, unseen;
	uint32_t walks;
	bool gave_up; /* the budget ran out: every flow below is a lower bound */
	struct decision *decisions;
	size_t n_decisions, cap_decisions;
	struct region *region;
};

/* Everything about one function with a body: graph, decisions, and its effects into `ret`. */
void lint_escape_function(struct escape *escape, const struct program *program,
			  const struct function *function, struct region *region, struct effects *ret);
void lint_escape_clear(struct escape *escape);

/* Effects of every function, bottom-up; `each` (may be NULL) hears of each function once, when it is final. */
typedef void escape_fn(const struct escape *escape, void *ctx);
void lint_escape_program(struct program *program, escape_fn *each, void *ctx);

/* The effects to assume of a callee, or NULL when nothing is known of it. */
static inline const struct effects *lint_effects_of(const struct function *callee)
{
	return callee == NULL ? NULL : callee->known != NULL ? callee->known : callee->summary;
}

/* Building blocks, in order of use. */
bool lint_escape_build(struct escape *escape);
uint32_t lint_place_of(struct escape *escape, const struct operand *operand);
bool lint_flow(struct escape *escape, uint32_t dst, uint32_t src, int level, uint32_t why);
void lint_escape_walk(struct escape *escape, uint32_t root);
/* DANGLING or MAY-DANGLE: can the function end with what `insn` stored still in place? */
enum grade lint_escape_grade(const struct escape *escape, uint32_t insn);

/* The name of a place as the reports write it. */
const char *lint_place_name(const struct escape *escape, uint32_t place);

#endif
