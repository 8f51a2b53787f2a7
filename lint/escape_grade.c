/* escape_grade.c: does an address that was stored outside the frame stay there when the function ends?
 *
 * To put the address of a local where others find it and to take it away again before returning is legal, and
 * common in parsers and in code that links frames. So the grade asks: is there a way from the store to a return
 * that passes no instruction which clears the place? Then the address dangles. If every way passes one, it
 * may dangle only when somebody else copied it meanwhile.
 *
 * What clears: a store or a fill to the same place (same root and same offsets), a delete or clear of the same
 * container, a release of the same object, a join after handing the address to a thread.
 */
#include <stdlib.h>
#include <string.h>

#include "escape.h"

/* Two operands name the same address when they are built the same way: paths through memory are compared to
 * this depth, which is that of a->b->c->d.
 */
#define SAME_DEPTH 8

static bool same_address(const struct escape *e, const struct operand *a, const struct operand *b, int depth)
{
	const struct body *body = e->function->body;
	if (a->kind != b->kind || a->number != b->number)
		return false;
	if (a->kind != OPERAND_VALUE || a->index == b->index)
		return a->index == b->index;
	const struct insn *x = &body->insns[a->index], *y = &body->insns[b->index];
	if (depth == 0 || x->op != y->op || x->varies || y->varies || x->offset != y->offset)
		return false;
	if (x->op != OP_LOAD && x->op != OP_OFFSET && x->op != OP_SAME)
		return false;
	return same_address(e, operand_of(body, x, 0), operand_of(body, y, 0), depth - 1);
}

/* The operand that says where a store, a copy or a call puts things, or NULL. */
static const struct operand *target_of(const struct escape *e, const struct insn *insn,
				       const struct effects *effects)
{
	const struct body *body = e->function->body;
	if (insn->op == OP_STORE)
		return operand_of(body, insn, 1);
	if (insn->op == OP_COPY || insn->op == OP_FILL || insn->op == OP_ATOMIC)
		return operand_of(body, insn, 0);
	if (insn->op != OP_CALL || effects == NULL)
		return NULL;
	for (uint32_t i = 0; i < effects->n_args; i++)
		for (uint32_t j = 0; j + 1 < insn->n_operands && j < ARGS_MAX; j++)
			if (effects->args[i].into[j] != NEVER)
				return operand_of(body, insn, j);
	return NULL;
}

static bool hands_to_thread(const struct effects *effects)
{
	for (uint32_t i = 0; effects != NULL && i < effects->n_args; i++)
		if (effects->args[i].thread)
			return true;
	return false;
}

static bool is_join(const struct escape *e, const struct insn *insn)
{
	const char *name = lint_callee_name(e->program, e->function->body, insn);
	return strcmp(name, "pthread_join") == 0 || strcmp(name, "thrd_join") == 0;
}

/* A call that releases what `target` names or takes things out of it. */
static bool call_clears(const struct escape *e, const struct insn *insn, const struct operand *target)
{
	const struct body *body = e->function->body;
	const struct effects *effects = lint_effects_of(lint_callee(e->program, body, insn));
	for (uint32_t i = 0; effects != NULL && i + 1 < insn->n_operands && i < ARGS_MAX; i++) {
		const struct arg_effects *arg = &effects->args[i];
		if ((arg->frees || arg->change == CHANGE_DELETE || arg->change == CHANGE_CLEAR) &&
		    same_address(e, operand_of(body, insn, i), target, SAME_DEPTH))
			return true;
	}
	return false;
}

static bool clears(const struct escape *e, const struct insn *insn, const struct operand *target, bool thread)
{
	if (insn->op == OP_CALL)
		return thread ? is_join(e, insn) : call_clears(e, insn, target);
	if (target == NULL || (insn->op != OP_STORE && insn->op != OP_FILL))
		return false;
	const struct operand *to = target_of(e, insn, NULL);
	return same_address(e, to, target, SAME_DEPTH);
}

struct search {
	const struct escape *e;
	const struct operand *target;
	bool thread;
	uint32_t *queue, n;
	bool *seen;
};

/* From `insn` on in its block: true when a return was reached. Adds the blocks that follow. */
static bool search_block(struct search *s, uint32_t block_index, uint32_t from)
{
	const struct body *body = s->e->function->body;
	const struct block *block = &body->blocks[block_index];
	for (uint32_t i = from; i < block->first + block->n; i++) {
		const struct insn *insn = &body->insns[i];
		if (clears(s->e, insn, s->target, s->thread) || (insn->op == OP_CALL && insn->no_return))
			return false;
		if (insn->op == OP_RETURN)
			return true;
	}
	const struct insn *last = &body->insns[block->first + block->n - 1];
	for (uint32_t t = 0; t < last->n_targets; t++) {
		uint32_t to = body->targets[last->targets + t];
		if (!s->seen[to]) {
			s->seen[to] = true;
			s->queue[s->n++] = to;
		}
	}
	return false;
}

enum grade lint_escape_grade(const struct escape *e, uint32_t insn_index)
{
	const struct body *body = e->function->body;
	const struct insn *insn = &body->insns[insn_index];
	const struct effects *effects =
		insn->op == OP_CALL ? lint_effects_of(lint_callee(e->program, body, insn)) : NULL;
	struct search s = {.e = e, .target = target_of(e, insn, effects), .thread = hands_to_thread(effects)};
	if (s.target == NULL && !s.thread)
		return GRADE_DANGLING;
	s.queue = lint_calloc(body->n_blocks + 1, sizeof *s.queue);
	s.seen = lint_calloc(body->n_blocks + 1, sizeof *s.seen);
	bool reached = search_block(&s, insn->block, insn_index + 1);
	for (uint32_t at = 0; !reached && at < s.n; at++)
		reached = search_block(&s, s.queue[at], body->blocks[s.queue[at]].first);
	free(s.queue);
	free(s.seen);
	return reached ? GRADE_DANGLING : GRADE_MAY_DANGLE;
}
