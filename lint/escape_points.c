/* escape_points.c: what the pointers of one function can point to: see escape_points.h. */
#include "escape_points.h"

#include <stdlib.h>
#include <string.h>

#include "effects.h"
#include "escape.h"

/* Sets of more than this many words in all (64 MiB) belong to generated code of 50,000 lines in one function;
 * the analysis then assumes the worst of every store and says so.
 */
#define SET_WORDS_MAX ((size_t)8 << 20)

/* Every pass follows all chains in program order; what is left needs one pass per backward jump in the longest
 * chain. 40 is four times the most that Lua, zstd or our own code takes.
 */
#define PASSES_MAX 40

/* Objects 0 and 1 are always there. */
enum { OUTSIDE = 0, RESULT = 1, FIRST_PARAM = 2 };

static uint64_t *value_set(const struct points *p, uint32_t insn)
{
	return p->values + (size_t)insn * p->n_words;
}

static uint64_t *content_set(const struct points *p, uint32_t object)
{
	return p->contents + (size_t)object * p->n_words;
}

static bool add_bit(uint64_t *set, uint32_t bit)
{
	uint64_t before = set[bit / 64];
	set[bit / 64] |= 1ull << (bit % 64);
	return before != set[bit / 64];
}

static bool add_set(const struct points *p, uint64_t *to, const uint64_t *from)
{
	uint64_t changed = 0;
	for (uint32_t w = 0; w < p->n_words; w++) {
		changed |= from[w] & ~to[w];
		to[w] |= from[w];
	}
	return changed != 0;
}

/* The content of every object of `from` into `to`. */
static bool add_contents(const struct points *p, uint64_t *to, const uint64_t *from)
{
	bool changed = false;
	for (uint32_t w = 0; w < p->n_words; w++)
		for (uint64_t left = from[w]; left != 0; left &= left - 1)
			changed |= add_set(p, to, content_set(p, w * 64 + (uint32_t)__builtin_ctzll(left)));
	return changed;
}

static bool store_into(const struct points *p, const uint64_t *to, const uint64_t *what)
{
	bool changed = false;
	for (uint32_t w = 0; w < p->n_words; w++)
		for (uint64_t left = to[w]; left != 0; left &= left - 1)
			changed |= add_set(p, content_set(p, w * 64 + (uint32_t)__builtin_ctzll(left)), what);
	return changed;
}

const uint64_t *lint_points_of(const struct points *points, const struct operand *operand, uint64_t *scratch)
{
	memset(scratch, 0, points->n_words * sizeof *scratch);
	switch (operand->kind) {
	case OPERAND_VALUE: return value_set(points, operand->index);
	case OPERAND_PARAM:
		if (points->function->params[operand->index].result)
			add_bit(scratch, RESULT);
		else if (points->function->params[operand->index].carrier)
			add_bit(scratch, FIRST_PARAM + operand->index);
		return scratch;
	case OPERAND_GLOBAL: /* the initial value of a local holds no address that matters */
		if (!points->program->globals[operand->index].is_string)
			add_bit(scratch, OUTSIDE);
		return scratch;
	case OPERAND_UNKNOWN: add_bit(scratch, OUTSIDE); return scratch;
	default: return scratch;
	}
}

/* `set`, after `level` dereferences, is stored where argument `j` points. `b` has room for two sets. */
static bool store_level(const struct points *p, const struct body *body, const struct insn *insn, uint32_t j,
			int level, const uint64_t *set, uint64_t *b)
{
	const uint64_t *to = lint_points_of(p, operand_of(body, insn, j), b);
	if (level == 0)
		return store_into(p, to, set);
	uint64_t *content = b + p->n_words;
	memset(content, 0, p->n_words * sizeof *content);
	add_contents(p, content, set);
	return store_into(p, to, content);
}

/* What a call's result can point to, and what the call stores into what its arguments point to. */
static bool call_points(const struct points *p, const struct body *body, const struct insn *insn,
			uint32_t index, uint64_t *a, uint64_t *b)
{
	const struct effects *effects = lint_effects_of(lint_callee(p->program, body, insn));
	uint64_t *to = value_set(p, index);
	bool changed = false, from_argument = false;
	if (p->object_of[index] != 0)
		changed |= add_bit(to, p->object_of[index] - 1);
	for (uint32_t i = 0; effects != NULL && i + 1 < insn->n_operands && i < effects->n_args; i++) {
		const struct arg_effects *arg = &effects->args[i];
		const uint64_t *set = lint_points_of(p, operand_of(body, insn, i), a);
		bool borrowed = effects->borrows == (int)i;
		from_argument |= arg->result != NEVER || borrowed;
		if (arg->result != NEVER && insn->result_stored)
			changed |= store_level(p, body, insn, 0, arg->result, set, b);
		else if (arg->result == 0 || borrowed)
			changed |= add_set(p, to, set);
		if ((arg->result > 0 && !insn->result_stored) || borrowed)
			changed |= add_contents(p, to, set);
		for (uint32_t j = 0; j + 1 < insn->n_operands && j < ARGS_MAX; j++)
			if (arg->into[j] != NEVER)
				changed |= store_level(p, body, insn, j, arg->into[j], set, b);
	}
	if (insn->carrier && !from_argument && p->object_of[index] == 0)
		changed |= add_bit(to, OUTSIDE);
	return changed;
}

static bool insn_points(const struct points *p, const struct body *body, uint32_t index, uint64_t *a,
			uint64_t *b)
{
	const struct insn *insn = &body->insns[index];
	uint64_t *to = value_set(p, index);
	bool changed = false;
	switch (insn->op) {
	case OP_LOCAL: return add_bit(to, p->object_of[index] - 1);
	case OP_LOAD:
		return insn->carrier && add_contents(p, to, lint_points_of(p, operand_of(body, insn, 0), a));
	case OP_STORE: {
		const uint64_t *what = lint_points_of(p, operand_of(body, insn, 0), a);
		return store_into(p, lint_points_of(p, operand_of(body, insn, 1), b), what);
	}
	case OP_COPY: {
		uint64_t *content = b + p->n_words;
		memset(content, 0, p->n_words * sizeof *content);
		add_contents(p, content, lint_points_of(p, operand_of(body, insn, 1), a));
		return store_into(p, lint_points_of(p, operand_of(body, insn, 0), b), content);
	}
	case OP_ATOMIC:
		for (uint32_t i = 1; i < insn->n_operands; i++) {
			const uint64_t *what = lint_points_of(p, operand_of(body, insn, i), a);
			changed |= store_into(p, lint_points_of(p, operand_of(body, insn, 0), b), what);
		}
		return add_contents(p, to, lint_points_of(p, operand_of(body, insn, 0), a)) || changed;
	case OP_CALL: return call_points(p, body, insn, index, a, b);
	case OP_ASM:
	case OP_OTHER: return insn->carrier && add_bit(to, OUTSIDE);
	case OP_FILL:
	case OP_COMPARE:
	case OP_NONE: return false;
	default: break;
	}
	for (uint32_t i = insn->op == OP_SELECT ? 1 : 0; insn->carrier && i < insn->n_operands; i++)
		changed |= add_set(p, to, lint_points_of(p, operand_of(body, insn, i), a));
	return changed;
}

static void number_objects(struct points *p)
{
	const struct function *function = p->function;
	const struct body *body = function->body;
	size_t capacity = 0;
	p->objects = lint_grow(NULL, &capacity, FIRST_PARAM + function->n_params, sizeof *p->objects);
	p->objects[OUTSIDE] = (struct object){OBJECT_OUTSIDE, 0};
	p->objects[RESULT] = (struct object){OBJECT_RESULT, 0};
	p->n_objects = FIRST_PARAM;
	for (uint32_t i = 0; i < function->n_params; i++)
		p->objects[p->n_objects++] = (struct object){OBJECT_THROUGH, i};
	for (uint32_t i = 0; i < body->n_insns; i++) {
		const struct insn *insn = &body->insns[i];
		bool makes = false;
		if (insn->op == OP_CALL) {
			const struct effects *effects = lint_effects_of(lint_callee(p->program, body, insn));
			makes = effects != NULL && effects->makes != NULL;
		}
		if (insn->op != OP_LOCAL && !makes)
			continue;
		p->objects = lint_grow(p->objects, &capacity, p->n_objects + 1, sizeof *p->objects);
		p->objects[p->n_objects++] = (struct object){makes ? OBJECT_NEW : OBJECT_VARIABLE, i};
		p->object_of[i] = p->n_objects;
	}
	p->n_words = (p->n_objects + 63) / 64;
}

void lint_points_solve(struct points *points, const struct program *program, const struct function *function)
{
	const struct body *body = function->body;
	*points = (struct points){.program = program, .function = function};
	points->object_of = lint_calloc(body->n_insns + 1, sizeof *points->object_of);
	number_objects(points);
	if (((size_t)body->n_insns + points->n_objects) * points->n_words > SET_WORDS_MAX) {
		points->gave_up = true;
		return;
	}
	points->values = lint_calloc((size_t)body->n_insns * points->n_words + 1, sizeof *points->values);
	points->contents = lint_calloc((size_t)points->n_objects * points->n_words, sizeof *points->contents);
	add_bit(content_set(points, OUTSIDE), OUTSIDE);
	for (uint32_t i = 0; i < function->n_params; i++)
		add_bit(content_set(points, FIRST_PARAM + i), FIRST_PARAM + i);
	uint64_t *scratch = lint_calloc((size_t)points->n_words * 3, sizeof *scratch);
	bool changed = true;
	for (int pass = 0; changed; pass++) {
		changed = false;
		for (uint32_t i = 0; i < body->n_insns; i++)
			changed |= insn_points(points, body, i, scratch, scratch + points->n_words);
		if (pass == PASSES_MAX && changed) {
			points->gave_up = true;
			break;
		}
	}
	free(scratch);
}

void lint_points_clear(struct points *points)
{
	free(points->objects);
	free(points->object_of);
	free(points->values);
	free(points->contents);
}
