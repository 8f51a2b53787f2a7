/* check_lifetime.c: the life of memory: use after free, delete, clear, put and return; double release; NULL. */
#include <stdio.h>
#include <string.h>

#include "engine.h"

/* The rule for a use of dead memory, and what is said of how it died. */
static enum check_id use_rule(uint8_t life, const char **ret_fate)
{
	static const struct {
		uint8_t life;
		enum check_id check;
		const char *fate;
	} table[] = {
		{LIFE_PUT, CHECK_USE_AFTER_PUT, "went back to its pool"},
		{LIFE_DELETED, CHECK_USE_AFTER_DELETE, "points into a map from which an entry was deleted"},
		{LIFE_CLEARED, CHECK_USE_AFTER_CLEAR, "points into a map that was cleared"},
		{LIFE_MOVED, CHECK_KEPT_ACROSS_CHANGE, "points into a map that has changed"},
		{LIFE_RETURNED, CHECK_USE_AFTER_RETURN, "is a local of a function that has returned"},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].life == life) {
			*ret_fate = table[i].fate;
			return table[i].check;
		}
	*ret_fate = "was released";
	return CHECK_USE_AFTER_FREE;
}

static void report_dead(struct engine *engine, struct frame *frame, struct trait *trait,
			const struct insn *insn, const struct operand *operand, const char *how)
{
	const char *fate, *name = lint_value_name(engine, frame, operand);
	enum check_id check = use_rule(trait->life, &fate);
	struct finding *finding;
	if (insn->op == OP_CALL)
		finding =
			lint_report(engine, frame, check, insn, "%s %s and is passed to %s", name, fate, how);
	else
		finding = lint_report(engine, frame, check, insn, "%s %s and is %s", name, fate, how);
	lint_related(finding, trait->file, trait->line, "its life ended here");
	trait->life = LIFE_BLURRED;
	trait->owned = false;
}

/* The variable that a value was loaded from is also written by others, through its address. */
static bool is_shared_variable(const struct frame *frame, const struct operand *operand)
{
	const struct body *body = frame->body;
	while (operand->kind == OPERAND_VALUE && body->insns[operand->index].op != OP_LOCAL &&
	       body->insns[operand->index].n_operands > 0 && body->insns[operand->index].op != OP_CALL)
		operand = operand_of(body, &body->insns[operand->index], 0);
	if (operand->kind != OPERAND_VALUE)
		return false;
	for (uint32_t i = 0; i < body->n_insns; i++)
		for (uint32_t o = 0; body->insns[i].op == OP_CALL && o + 1 < body->insns[i].n_operands; o++) {
			const struct operand *argument = operand_of(body, &body->insns[i], o);
			if (argument->kind == OPERAND_VALUE && argument->index == operand->index)
				return true;
		}
	return false;
}

/* In a function that is called only where it has no other way, since what decides between two may be known to the caller,
 * and in a state that still knows what its values have to do with each other.
 */
static bool report_null(struct engine *engine, struct frame *frame, const struct state *state,
			const struct insn *insn, const struct operand *operand, const char *how)
{
	if ((frame->caller != NULL && (state->forks != frame->forks || state->merged)) ||
	    is_shared_variable(frame, operand))
		return false;
	const char *name = lint_value_name(engine, frame, operand);
	if (insn->op == OP_CALL)
		lint_report(engine, frame, CHECK_NULL_DEREFERENCE, insn,
			    "%s is NULL here and is passed to %s, which uses it", name, how);
	else
		lint_report(engine, frame, CHECK_NULL_DEREFERENCE, insn, "%s is NULL here and is %s", name,
			    how);
	return false;
}

/* The root itself reads or writes there. */
static bool is_own_use(const struct frame *frame, const struct insn *insn)
{
	return frame->caller == NULL && insn->op != OP_CALL;
}

bool lint_check_use(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn,
		    const struct operand *operand, struct value address, const char *how)
{
	if (address.kind == VALUE_NUMBER && address.number >= 0 && address.number < 4096)
		return report_null(engine, frame, state, insn, operand, how);
	if (address.kind != VALUE_ADDRESS)
		return true;
	uint8_t kind = engine->things[address.id].kind;
	struct trait *trait = lint_trait_find(state, address.id);
	if (trait == NULL) {
		if (kind != THING_LOCAL && kind != THING_GLOBAL && kind != THING_FUNCTION) {
			trait = lint_trait(state, address.id);
			trait->read = trait->always_read = true;
			trait->null = NULLNESS_NOT;
			trait->used_line = is_own_use(frame, insn) ? insn->line : 0;
		}
		return true;
	}
	if (trait->null == NULLNESS_NULL && !trait->checked && kind != THING_NEW && kind != THING_BORROWED)
		return false;
	if (trait->null == NULLNESS_NULL)
		return report_null(engine, frame, state, insn, operand, how);
	if (trait->life != LIFE_LIVE && trait->life != LIFE_BLURRED)
		report_dead(engine, frame, trait, insn, operand, how);
	/* What a callee has made and uses is told where the callee is the root, which has no fewer ways. */
	bool is_callees = kind == THING_NEW && engine->things[address.id].depth > 0;
	if (trait->null == NULLNESS_MAYBE && trait->life == LIFE_LIVE && !is_callees) {
		struct finding *finding =
			lint_report(engine, frame, CHECK_UNCHECKED_ALLOCATION, insn, "%s may be NULL here",
				    lint_value_name(engine, frame, operand));
		lint_related(finding, trait->file, trait->line, "it came from here");
	}
	trait->read = trait->always_read = true;
	if (trait->used_line == 0 && is_own_use(frame, insn))
		trait->used_line = insn->line;
	if (kind != THING_LOCAL && kind != THING_GLOBAL)
		trait->null = NULLNESS_NOT;
	return true;
}

/* Families that one function releases. Unknown ones match everything. */
static bool families_match(const char *made, const char *released)
{
	return made == NULL || released == NULL || strcmp(made, released) == 0 ||
	       strcmp(made, "object") == 0 || strcmp(released, "object") == 0;
}

static void release_wrong(struct engine *engine, struct frame *frame, struct state *state,
			  const struct insn *insn, const struct operand *operand, struct value address,
			  const char *family)
{
	const struct thing *thing = &engine->things[address.id];
	const char *name = lint_value_name(engine, frame, operand),
		   *callee = lint_callee_name(engine->program, frame->body, insn);
	/* Where the releasing function itself is built, objects of its family are made of plain memory. */
	const struct function *releasing = lint_callee(engine->program, frame->body, insn);
	bool is_implementation = releasing != NULL && releasing->body != NULL;
	if (thing->kind == THING_LOCAL || thing->kind == THING_FUNCTION)
		lint_report(engine, frame, CHECK_BAD_FREE, insn, "%s is not on the heap and is passed to %s",
			    name, callee);
	else if (thing->kind == THING_GLOBAL)
		lint_report(engine, frame, CHECK_BAD_FREE, insn, "%s is static and is passed to %s", name,
			    callee);
	else if (thing->kind == THING_BORROWED)
		lint_report(engine, frame, CHECK_BAD_FREE, insn, "%s lies inside a map and is passed to %s",
			    name, callee);
	else if (thing->kind == THING_NEW && address.number != 0 && address.number != OFFSET_ANY)
		lint_report(engine, frame, CHECK_BAD_FREE, insn,
			    "%s does not point to the start of its object", name);
	else if (thing->kind == THING_NEW && !families_match(thing->family, family) && !is_implementation)
		lint_related(lint_report(engine, frame, CHECK_MISMATCHED_RELEASE, insn,
					 "%s is released by %s", name, callee),
			     lint_trait(state, address.id)->file, lint_trait(state, address.id)->line,
			     "it was made here");
}

void lint_check_release(struct engine *engine, struct frame *frame, struct state *state,
			const struct insn *insn, const struct operand *operand, struct value address,
			const char *family)
{
	if (address.kind != VALUE_ADDRESS)
		return;
	struct trait *trait = lint_trait(state, address.id);
	if (trait->null == NULLNESS_NULL || trait->life == LIFE_BLURRED)
		return;
	const char *name = lint_value_name(engine, frame, operand);
	if (trait->life == LIFE_FREED) {
		struct finding *finding =
			lint_report(engine, frame, CHECK_DOUBLE_FREE, insn, "%s is released again", name);
		lint_related(finding, trait->file, trait->line, "it was released here");
		trait->life = LIFE_BLURRED;
		return;
	}
	if (trait->life != LIFE_LIVE) {
		report_dead(engine, frame, trait, insn, operand,
			    lint_callee_name(engine->program, frame->body, insn));
		return;
	}
	release_wrong(engine, frame, state, insn, operand, address, family);
	trait = lint_trait(state, address.id);
	trait->life = LIFE_FREED;
	trait->owned = false;
	trait->file = insn->file;
	trait->line = insn->line;
}

/* Some row promises a function that resets. */
static bool program_resets(const struct program *program)
{
	for (size_t f = 0; f < program->n_functions; f++)
		for (int i = 0; program->functions[f].known != NULL && i < ARGS_MAX; i++)
			if (program->functions[f].known->args[i].resets)
				return true;
	return false;
}

/* Is somebody expected to reset the object before it goes back? Of a pool that does so itself only when it cannot. */
static bool must_be_reset(struct engine *engine, const struct frame *frame, struct state *state,
			  const struct insn *insn, struct value pool)
{
	const struct function *put = lint_callee(engine->program, frame->body, insn);
	if (put == NULL || put->known == NULL || !put->known->pool_resets)
		return program_resets(engine->program);
	const struct trait *trait = pool.kind == VALUE_ADDRESS ? lint_trait_find(state, pool.id) : NULL;
	return trait != NULL && trait->no_reset;
}

void lint_check_pool_put(struct engine *engine, struct frame *frame, struct state *state,
			 const struct insn *insn, const struct operand *operand, struct value address,
			 struct value pool)
{
	if (address.kind != VALUE_ADDRESS)
		return;
	struct trait *trait = lint_trait(state, address.id);
	const char *name = lint_value_name(engine, frame, operand);
	if (trait->null == NULLNESS_NULL)
		return;
	if (trait->life == LIFE_PUT) {
		lint_related(lint_report(engine, frame, CHECK_DOUBLE_PUT, insn,
					 "%s goes back to its pool again", name),
			     trait->file, trait->line, "it went back here");
		trait->life = LIFE_BLURRED;
		return;
	}
	if (trait->life != LIFE_LIVE)
		return;
	if (engine->things[address.id].kind == THING_NEW && trait->change != CHANGE_CLEAR && trait->read &&
	    must_be_reset(engine, frame, state, insn, pool))
		lint_report(engine, frame, CHECK_PUT_WITHOUT_RESET, insn,
			    "%s goes back to its pool as it was used", name);
	trait = lint_trait(state, address.id);
	trait->life = LIFE_PUT;
	trait->owned = false;
	trait->file = insn->file;
	trait->line = insn->line;
}

void lint_check_iterator(struct engine *engine, struct frame *frame, struct state *state,
			 const struct insn *insn, struct value iterator)
{
	if (iterator.kind != VALUE_ADDRESS)
		return;
	struct trait *trait = lint_trait_find(state, iterator.id);
	if (trait == NULL || trait->iterates == 0 || trait->change == CHANGE_NONE)
		return;
	const struct trait *map = lint_trait_find(state, trait->iterates - 1);
	if (trait->scans || (map != NULL && map->strict))
		lint_related(
			lint_report(engine, frame, CHECK_ITERATOR_AFTER_CHANGE, insn,
				    trait->scans
					    ? "the scan steps on, but its map has changed"
					    : "the iterator steps on, but its map has changed and is strict"),
			trait->file, trait->line, "the map changed here");
	trait->change = CHANGE_NONE;
}
