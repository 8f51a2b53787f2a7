/* check_sharing.c: containers in globals that several threads use, one of them without a lock.
 *
 * While the engine follows paths, each use of a container that was loaded from a global is noted, with the function,
 * whether it changes the container, and how many locks are held. Afterwards, functions that a thread may run are
 * those that were handed to a thread and all that they call. A global is shared when a thread's function uses it
 * and another function, or a second thread, does too; if any use changes it, every use without a lock is told.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

struct access {
	uint32_t global, function;
	int64_t member;
	const struct insn *insn;
	bool changes, locked;
};

struct sharing {
	struct access *items;
	size_t n, capacity;
};

/* The global that leads to the container, or -1; and the member in it that does, or OFFSET_ANY. */
static int64_t global_of(const struct frame *frame, uint32_t argument, const struct insn *insn,
			 int64_t *ret_member)
{
	const struct operand *operand = operand_of(frame->body, insn, argument);
	int64_t member = 0;
	for (int depth = 0; depth < 6 && operand->kind == OPERAND_VALUE; depth++) {
		const struct insn *from = &frame->body->insns[operand->index];
		if (from->op != OP_LOAD && from->op != OP_SAME && from->op != OP_OFFSET)
			return -1;
		if (from->op == OP_LOAD)
			member = 0;
		else if (from->varies)
			member = OFFSET_ANY;
		else if (member != OFFSET_ANY)
			member += from->offset;
		operand = operand_of(frame->body, from, 0);
	}
	*ret_member = member == OFFSET_ANY ? OFFSET_ANY : member + operand->number;
	return operand->kind == OPERAND_GLOBAL ? (int64_t)operand->index : -1;
}

void lint_sharing_access(struct engine *engine, const struct frame *frame, const struct state *state,
			 const struct insn *insn, uint32_t argument, bool changes)
{
	const struct function *callee = lint_callee(engine->program, frame->body, insn);
	int64_t member, global = global_of(frame, argument, insn, &member);
	if (global < 0 || callee == NULL || callee->known == NULL || strncmp(callee->name, "neap_", 5) != 0)
		return;
	if (engine->sharing == NULL)
		engine->sharing = lint_calloc(1, sizeof *engine->sharing);
	struct sharing *sharing = engine->sharing;
	engine->shares = true;
	for (size_t i = 0; i < sharing->n; i++)
		if (sharing->items[i].insn == insn) {
			sharing->items[i].locked &= state->locks > 0;
			return;
		}
	sharing->items =
		lint_grow(sharing->items, &sharing->capacity, sharing->n + 1, sizeof *sharing->items);
	sharing->items[sharing->n++] = (struct access){(uint32_t)global, frame->function->index, member, insn,
						       changes,		 state->locks > 0};
}

/* How many thread starts lead to each function: 2 means two or more. */
static void reach(const struct program *program, uint32_t function, uint8_t *times, uint8_t *seen)
{
	if (seen[function])
		return;
	seen[function] = 1;
	times[function] = (uint8_t)(times[function] < 2 ? times[function] + 1 : 2);
	const struct body *body = program->functions[function].body;
	for (uint32_t i = 0; body != NULL && i < body->n_insns; i++) {
		const struct function *callee =
			body->insns[i].op == OP_CALL ? lint_callee(program, body, &body->insns[i]) : NULL;
		if (callee != NULL && callee->body != NULL)
			reach(program, callee->index, times, seen);
	}
}

static void mark_threads(const struct program *program, uint8_t *times)
{
	uint8_t *seen = lint_calloc(program->n_functions + 1, 1);
	for (uint32_t f = 0; f < program->n_bottom_up; f++) {
		const struct body *body = program->functions[program->bottom_up[f]].body;
		for (uint32_t i = 0; i < body->n_insns; i++) {
			int64_t started = lint_thread_started(program, body, &body->insns[i]);
			if (started < 0)
				continue;
			memset(seen, 0, program->n_functions + 1);
			reach(program, (uint32_t)started, times, seen);
		}
	}
	free(seen);
}

static bool is_shared(const struct sharing *sharing, const struct access *of, const uint8_t *times)
{
	bool changes = false, in_thread = false, elsewhere = false;
	for (size_t i = 0; i < sharing->n; i++) {
		const struct access *access = &sharing->items[i];
		if (access->global != of->global || access->member != of->member)
			continue;
		changes |= access->changes;
		in_thread |= times[access->function] > 0;
		elsewhere |= times[access->function] != 1;
	}
	return changes && in_thread && elsewhere;
}

void lint_check_sharing(struct engine *engine)
{
	struct sharing *sharing = engine->sharing;
	uint8_t *times = lint_calloc(engine->program->n_functions + 1, 1);
	if (sharing != NULL)
		mark_threads(engine->program, times);
	for (size_t i = 0; sharing != NULL && i < sharing->n; i++) {
		const struct access *access = &sharing->items[i];
		if (access->locked || !is_shared(sharing, access, times) ||
		    strcmp(engine->program->functions[access->function].name, "main") == 0)
			continue;
		struct finding *finding = lint_finding_add(
			engine->findings, CHECK_UNLOCKED_SHARING, access->insn->file, access->insn->line,
			access->insn->column, "%s is used by several threads, and no lock is held here",
			engine->program->globals[access->global].name);
		if (finding != NULL)
			finding->function = engine->program->functions[access->function].name;
	}
	if (sharing != NULL)
		free(sharing->items);
	free(sharing);
	free(times);
}
