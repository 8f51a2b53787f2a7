/* check_threads.c: containers that a thread is handed by its argument, and somebody else uses at the same time.
 *
 * A *hold* is a way in which a thread's function reaches a container: its argument itself, or what a member of the struct
 * that its argument points to holds. When a path starts a thread, the container behind each hold is marked as handed.
 * Until the path waits for a thread, its own uses of that container are uses from outside; a second thread that is handed
 * the same container makes the two holds meet. Inside, the thread's function is explored as every function is, and its
 * uses of what its parameter leads to are noted with the hold.
 *
 * After the last root: two uses that can happen at the same time, one of which changes the container; each of them that
 * has no lock is told. A start may fail, so it has a second outcome in which nothing was handed. Not followed: elements of
 * arrays whose index is not known, and containers deeper than one member.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

/* In place of a member's offset: the argument itself. */
#define HOLD_SELF (-1)

struct hold {
	uint32_t function; /* of the thread */
	int64_t member;
};

struct use {
	uint32_t hold, function; /* index into holds; where it is */
	const struct insn *insn;
	const char *name;
	bool outside, changes, locked;
};

/* Two holds of one container by two threads; a == b: two threads of one function. */
struct meeting {
	uint32_t a, b;
};

struct threads {
	uint8_t *starts; /* by function: it is some thread's */
	struct hold *holds;
	struct use *uses;
	struct meeting *meetings;
	size_t n_holds, cap_holds, n_uses, cap_uses, n_meetings, cap_meetings;
};

/* The argument of a start that is handed to the thread, or -1. The function stands before it. */
static int handed_argument(const struct effects *effects)
{
	for (int i = 1; effects != NULL && i < effects->n_args; i++)
		if (effects->args[i].thread)
			return i;
	return -1;
}

int64_t lint_thread_started(const struct program *program, const struct body *body, const struct insn *insn)
{
	const struct function *callee = insn->op == OP_CALL ? lint_callee(program, body, insn) : NULL;
	int at = callee != NULL ? handed_argument(callee->known) : -1;
	if (at < 1 || (uint32_t)at + 1 >= insn->n_operands)
		return -1;
	const struct operand *operand = operand_of(body, insn, (uint32_t)at - 1);
	return operand->kind == OPERAND_FUNCTION ? (int64_t)operand->index : -1;
}

struct threads *lint_threads_open(const struct program *program)
{
	struct threads *threads = lint_calloc(1, sizeof *threads);
	threads->starts = lint_calloc(program->n_functions + 1, 1);
	for (uint32_t f = 0; f < program->n_bottom_up; f++) {
		const struct body *body = program->functions[program->bottom_up[f]].body;
		for (uint32_t i = 0; i < body->n_insns; i++) {
			int64_t started = lint_thread_started(program, body, &body->insns[i]);
			if (started >= 0)
				threads->starts[started] = 1;
		}
	}
	return threads;
}

static uint32_t hold_of(struct threads *threads, uint32_t function, int64_t member)
{
	for (uint32_t i = 0; i < threads->n_holds; i++)
		if (threads->holds[i].function == function && threads->holds[i].member == member)
			return i;
	threads->holds =
		lint_grow(threads->holds, &threads->cap_holds, threads->n_holds + 1, sizeof *threads->holds);
	threads->holds[threads->n_holds] = (struct hold){function, member};
	return (uint32_t)threads->n_holds++;
}

/* --- Starting and waiting ----------------------------------------------------------------------------------------- */

static void hand(struct engine *engine, struct state *state, uint32_t thing, uint32_t function,
		 int64_t member)
{
	struct threads *threads = engine->threads;
	struct trait *trait = lint_trait(state, thing);
	uint32_t hold = hold_of(threads, function, member);
	if (trait->handed != 0) {
		threads->meetings = lint_grow(threads->meetings, &threads->cap_meetings,
					      threads->n_meetings + 1, sizeof *threads->meetings);
		threads->meetings[threads->n_meetings++] = (struct meeting){trait->handed - 1, hold};
	}
	trait->handed = hold + 1;
}

/* The state in which a start has failed, from that in which it succeeds. */
static struct state *start_failed(struct engine *engine, struct state *state)
{
	struct state *failed = lint_state_copy(state);
	state->result = (struct value){.kind = VALUE_NUMBER};
	failed->forks++;
	if (failed->result.kind == VALUE_SYMBOL)
		lint_assume(engine, failed, failed->result, true);
	return failed;
}

struct state *lint_threads_start(struct engine *engine, struct state *state, const struct effects *effects,
				 const struct value *args, uint32_t n_args)
{
	int at = handed_argument(effects);
	if (at < 1 || (uint32_t)at >= n_args || args[at].kind != VALUE_ADDRESS ||
	    args[at].number == OFFSET_ANY || args[at - 1].kind != VALUE_ADDRESS ||
	    engine->things[args[at - 1].id].kind != THING_FUNCTION)
		return NULL;
	uint32_t function = engine->things[args[at - 1].id].index;
	struct state *failed = start_failed(engine, state);
	engine->shares = true;
	for (size_t i = 0; i < state->n_cells; i++) {
		const struct cell cell = state->cells[i];
		if (cell.thing == args[at].id && cell.value.kind == VALUE_ADDRESS && cell.value.number == 0 &&
		    cell.offset >= args[at].number)
			hand(engine, state, cell.value.id, function, cell.offset - args[at].number);
	}
	if (args[at].number == 0)
		hand(engine, state, args[at].id, function, HOLD_SELF);
	return failed;
}

void lint_threads_wait(struct state *state, const char *callee)
{
	static const char *const names[] = {"pthread_join", "thrd_join", "sem_wait", "pthread_barrier_wait",
					    "pthread_cond_wait"};
	bool waits = false;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		waits |= strcmp(callee, names[i]) == 0;
	for (size_t i = 0; waits && i < state->n_traits; i++)
		state->traits[i].handed = 0;
}

/* --- Uses ---------------------------------------------------------------------------------------------------------- */

static void note_use(struct engine *engine, struct use use)
{
	struct threads *threads = engine->threads;
	engine->shares = true;
	for (size_t i = 0; i < threads->n_uses; i++)
		if (threads->uses[i].insn == use.insn && threads->uses[i].hold == use.hold) {
			threads->uses[i].locked &= use.locked;
			return;
		}
	use.name = lint_region_text(&engine->program->region, use.name, strlen(use.name));
	threads->uses =
		lint_grow(threads->uses, &threads->cap_uses, threads->n_uses + 1, sizeof *threads->uses);
	threads->uses[threads->n_uses++] = use;
}

/* Where the argument of the thread whose function is the root leads to the container; false when it does not. */
static bool leads_to(const struct engine *engine, uint32_t container, int64_t *ret_member)
{
	const struct thing *thing = &engine->things[container];
	*ret_member = thing->kind == THING_PARAM ? HOLD_SELF : thing->offset;
	if (!engine->threads->starts[engine->root->index])
		return false;
	if (thing->kind == THING_LOADED && thing->parent != NO_THING)
		thing = &engine->things[thing->parent];
	return thing->kind == THING_PARAM && thing->index == 0;
}

void lint_threads_use(struct engine *engine, const struct frame *frame, struct state *state,
		      const struct insn *insn, uint32_t argument, struct value container, bool changes)
{
	if (container.kind != VALUE_ADDRESS || container.number != 0)
		return;
	const struct trait *trait = lint_trait_find(state, container.id);
	struct use use = {.function = frame->function->index,
			  .insn = insn,
			  .changes = changes,
			  .locked = state->locks > 0};
	int64_t member;
	use.name = lint_value_name(engine, frame, operand_of(frame->body, insn, argument));
	if (trait != NULL && trait->handed != 0) {
		use.outside = true;
		use.hold = trait->handed - 1;
		note_use(engine, use);
	} else if (leads_to(engine, container.id, &member)) {
		use.hold = hold_of(engine->threads, engine->root->index, member);
		note_use(engine, use);
	}
}

/* --- Judging ------------------------------------------------------------------------------------------------------- */

static bool at_the_same_time(const struct threads *threads, const struct use *a, const struct use *b)
{
	if (a->hold == b->hold && a->outside != b->outside)
		return true;
	for (size_t i = 0; !a->outside && !b->outside && i < threads->n_meetings; i++) {
		const struct meeting *meeting = &threads->meetings[i];
		if ((meeting->a == a->hold && meeting->b == b->hold) ||
		    (meeting->b == a->hold && meeting->a == b->hold))
			return true;
	}
	return false;
}

void lint_threads_judge(struct engine *engine)
{
	const struct threads *threads = engine->threads;
	for (size_t i = 0; i < threads->n_uses; i++) {
		const struct use *use = &threads->uses[i], *other = NULL;
		for (size_t j = 0; !use->locked && other == NULL && j < threads->n_uses; j++)
			if ((use->changes || threads->uses[j].changes) &&
			    at_the_same_time(threads, use, &threads->uses[j]))
				other = &threads->uses[j];
		struct finding *finding =
			other == NULL
				? NULL
				: lint_finding_add(engine->findings, CHECK_UNLOCKED_SHARING, use->insn->file,
						   use->insn->line, use->insn->column,
						   "%s is used by several threads, and no lock is held here",
						   use->name);
		if (finding != NULL)
			finding->function = engine->program->functions[use->function].name;
		if (other != use && other != NULL)
			lint_related(finding, other->insn->file, other->insn->line,
				     "it is used here at the same time");
	}
}

void lint_threads_close(struct threads *threads)
{
	free(threads->starts);
	free(threads->holds);
	free(threads->uses);
	free(threads->meetings);
	free(threads);
}
