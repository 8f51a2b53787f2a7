/* escape_points.h: what the pointers of one function can point to.
 *
 * Inclusion sets in the manner of Andersen (1994): one set for each value and for the content of each object,
 * grown over the instructions until nothing changes. Fields and elements are not told apart. Objects are the
 * function's variables and allocations, what each parameter points to (one object however deep), the result's
 * storage, and everything outside.
 */
#ifndef NEAP_LINT_ESCAPE_POINTS_H
#define NEAP_LINT_ESCAPE_POINTS_H

#include "code.h"

enum object_kind { OBJECT_OUTSIDE, OBJECT_RESULT, OBJECT_THROUGH, OBJECT_VARIABLE, OBJECT_NEW };

struct object {
	uint8_t kind;
	uint32_t index; /* instruction or parameter */
};

struct points {
	const struct program *program;
	const struct function *function;
	struct object *objects;
	uint32_t n_objects, n_words; /* words of 64 bits in one set */
	uint32_t *object_of;	     /* by instruction: 1 + the object that it makes, or 0 */
	uint64_t *values, *contents; /* sets, one after the other */
	bool gave_up;
};

/* Solves for the function. With gave_up set nothing is known: every pointer may point anywhere. */
void lint_points_solve(struct points *points, const struct program *program, const struct function *function);
/* The set of an operand; `scratch` is n_words long and may be what is returned. */
const uint64_t *lint_points_of(const struct points *points, const struct operand *operand, uint64_t *scratch);
void lint_points_clear(struct points *points);

#endif
