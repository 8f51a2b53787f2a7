/* check_return.c: what a function leaves behind: leaks, addresses of its locals, released results. */
#include <string.h>

#include "engine.h"

static bool is_own_local(const struct engine *engine, const struct frame *frame, struct value value)
{
	if (value.kind != VALUE_ADDRESS)
		return false;
	const struct thing *thing = &engine->things[value.id];
	return thing->kind == THING_LOCAL && thing->depth == frame->depth;
}

static const char *local_name(const struct engine *engine, uint32_t thing)
{
	const struct body *body = engine->things[thing].function->body;
	const struct insn *insn = &body->insns[engine->things[thing].index];
	return body->variables[insn->variable - 1].name;
}

/* The pointer that led to the thing is not what it was: the top of a stack that was pushed to, say. What was stored there
 * may have been popped.
 */
static bool has_moved_on(const struct engine *engine, struct state *state, uint32_t thing)
{
	const struct thing *what = &engine->things[thing];
	if (what->kind != THING_LOADED || what->parent == NO_THING)
		return false;
	const struct value *now = lint_cell_find(state, what->parent, what->offset);
	return now == NULL || now->kind != VALUE_ADDRESS || now->id != thing || now->number != 0;
}

/* Memory that others still see when the function is over. */
static bool outlives(const struct engine *engine, struct state *state, uint32_t thing)
{
	const struct trait *trait = lint_trait_find(state, thing);
	uint8_t kind = engine->things[thing].kind;
	return kind == THING_GLOBAL || kind == THING_PARAM || kind == THING_LOADED ||
	       kind == THING_BORROWED ||
	       (kind == THING_NEW && trait != NULL && trait->escaped && trait->life == LIFE_LIVE);
}

static void check_locals(struct engine *engine, struct frame *frame, struct state *state,
			 const struct insn *insn)
{
	for (size_t i = 0; i < state->n_cells; i++) {
		struct cell cell = state->cells[i];
		if (!is_own_local(engine, frame, cell.value) || !outlives(engine, state, cell.thing) ||
		    has_moved_on(engine, state, cell.thing))
			continue;
		const struct trait *trait = lint_trait_find(state, cell.value.id);
		struct insn at = *insn;
		if (trait != NULL && trait->line != 0) {
			at.file = trait->file;
			at.line = trait->line;
			at.column = trait->column;
		}
		struct finding *finding =
			lint_report(engine, frame, CHECK_DANGLING_STACK, &at,
				    "the address of %s is still stored when %s returns",
				    local_name(engine, cell.value.id), frame->function->name);
		lint_related(finding, insn->file, insn->line, "the function returns here");
	}
}

static void check_result(struct engine *engine, struct frame *frame, struct state *state,
			 const struct insn *insn)
{
	if (is_own_local(engine, frame, state->result)) {
		lint_report(engine, frame, CHECK_DANGLING_STACK, insn,
			    "%s returns the address of its local %s", frame->function->name,
			    local_name(engine, state->result.id));
		return;
	}
	if (state->result.kind != VALUE_ADDRESS)
		return;
	struct trait *trait = lint_trait_find(state, state->result.id);
	if (trait != NULL && (trait->life == LIFE_FREED || trait->life == LIFE_PUT) &&
	    trait->null != NULLNESS_NULL) {
		struct finding *finding = lint_report(
			engine, frame, trait->life == LIFE_FREED ? CHECK_USE_AFTER_FREE : CHECK_USE_AFTER_PUT,
			insn, "%s returns a pointer that was released", frame->function->name);
		lint_related(finding, trait->file, trait->line, "it was released here");
		return;
	}
	if (trait != NULL && !trait->owned)
		trait->made_line = UINT32_MAX; /* somebody else has it too: no gift to the caller */
	lint_escape_thing(engine, state, state->result.id);
}

static void check_leaks(struct engine *engine, struct frame *frame, struct state *state,
			const struct insn *insn)
{
	for (size_t i = 0; i < state->n_traits; i++) {
		const struct trait *trait = &state->traits[i];
		const struct thing *thing = &engine->things[trait->thing];
		if (thing->kind != THING_NEW || !trait->owned || trait->escaped || trait->life != LIFE_LIVE ||
		    trait->null == NULLNESS_NULL)
			continue;
		struct insn at = *insn;
		at.line = trait->made_line;
		at.column = trait->made_column;
		at.file = frame->function->file;
		const struct insn *made = &thing->function->body->insns[thing->index];
		struct finding *finding =
			lint_report(engine, frame, CHECK_LEAK, &at, "what %s made is lost when %s returns",
				    lint_callee_name(engine->program, thing->function->body, made),
				    frame->function->name);
		lint_related(finding, insn->file, insn->line, "the function returns here");
	}
}

void lint_check_return(struct engine *engine, struct frame *frame, struct state *state,
		       const struct insn *insn)
{
	if (frame->caller != NULL)
		return;
	check_result(engine, frame, state, insn);
	if (strcmp(frame->function->name, "main") == 0)
		return; /* the process ends: nothing outlives it */
	check_locals(engine, frame, state, insn);
	check_leaks(engine, frame, state, insn);
}
