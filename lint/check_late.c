/* check_late.c: pointers that are compared with NULL when it is too late.
 *
 * On one way such a test may be for nothing and be needed on another, so it is told only when every way that comes to it
 * has used the pointer before, and none has tested it. Uses and tests count in the root itself: in a function that is
 * called, or in a macro of a header, a test is caution.
 */
#include "engine.h"

#include <stdlib.h>

static bool was_used_untested(struct state *state, struct value address, uint32_t *ret_line)
{
	if (address.kind != VALUE_ADDRESS || address.number != 0)
		return false;
	const struct trait *trait = lint_trait_find(state, address.id);
	if (trait == NULL || trait->null != NULLNESS_NOT || trait->tested || !trait->always_read)
		return false;
	*ret_line = trait->used_line;
	return trait->used_line != 0;
}

void lint_check_null_test(struct engine *engine, const struct frame *frame, struct state *state,
			  const struct insn *insn, struct value address)
{
	if (frame->caller != NULL || (insn->compare != CMP_EQ && insn->compare != CMP_NE) ||
	    operand_of(frame->body, insn, 1)->kind != OPERAND_NULL)
		return;
	struct null_test *test = &engine->null_tests[insn - frame->body->insns];
	if (!was_used_untested(state, address, &test->used_line))
		test->needed = true;
}

void lint_check_late_tests(struct engine *engine)
{
	const struct frame frame = {.function = engine->root, .body = engine->root->body};
	bool whole = !engine->over_steps && !engine->over_states;
	for (uint32_t i = 0; whole && i < frame.body->n_insns; i++) {
		const struct null_test *test = &engine->null_tests[i];
		const struct insn *insn = &frame.body->insns[i];
		if (test->needed || test->used_line == 0)
			continue;
		lint_related(lint_report(engine, &frame, CHECK_LATE_NULL_TEST, insn,
					 "%s is compared with NULL after it was used",
					 lint_value_name(engine, &frame, operand_of(frame.body, insn, 0))),
			     insn->file, test->used_line, "it was used here");
	}
	free(engine->null_tests);
	engine->null_tests = NULL;
}
