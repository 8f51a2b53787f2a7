/* escape_build.c: from the instructions of a function to its escape graph. */
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "escape_points.h"

/* Edges beyond this many (32 MiB) are not drawn: see `gave_up`. */
#define EDGES_MAX ((uint32_t)2 << 20)

static uint32_t add_place(struct escape *e, enum place_kind kind, uint32_t index)
{
	e->places = lint_grow(e->places, &e->cap_places, e->n_places + 1, sizeof *e->places);
	e->places[e->n_places] = (struct place){.kind = (uint8_t)kind, .index = index, .edges = NO_PLACE};
	return e->n_places++;
}

bool lint_flow(struct escape *e, uint32_t dst, uint32_t src, int level, uint32_t why)
{
	if (dst == NO_PLACE || src == NO_PLACE || (dst == src && level >= 0))
		return false;
	for (uint32_t at = e->places[dst].edges; at != NO_PLACE; at = e->edges[at].next)
		if (e->edges[at].src == src && e->edges[at].level <= level)
			return false;
	if (e->n_edges >= EDGES_MAX) {
		e->gave_up = true;
		return false;
	}
	e->edges = lint_grow(e->edges, &e->cap_edges, e->n_edges + 1, sizeof *e->edges);
	e->edges[e->n_edges] = (struct edge){src, e->places[dst].edges, why, (int8_t)level};
	e->places[dst].edges = e->n_edges++;
	return true;
}

uint32_t lint_place_of(struct escape *e, const struct operand *operand)
{
	if (operand->kind == OPERAND_PARAM)
		return e->function->params[operand->index].carrier ? e->first_param + operand->index
								   : NO_PLACE;
	if (operand->kind != OPERAND_VALUE || !e->function->body->insns[operand->index].carrier)
		return NO_PLACE;
	uint32_t *place = &e->value_place[operand->index];
	if (*place == NO_PLACE) {
		uint32_t made = add_place(e, PLACE_VALUE, operand->index);
		e->value_place[operand->index] = made;
		return made;
	}
	return *place;
}

static uint32_t place_of_object(const struct escape *e, const struct object *object)
{
	switch (object->kind) {
	case OBJECT_OUTSIDE: return e->heap;
	case OBJECT_RESULT: return e->result;
	case OBJECT_THROUGH: return e->first_through + object->index;
	default: return e->object_place[object->index];
	}
}

/* src, after `level` dereferences, is stored where the pointer `to` points. */
static void store(struct escape *e, const struct points *p, const struct operand *to, uint32_t src, int level,
		  uint32_t why)
{
	if (src == NO_PLACE)
		return;
	if (p->gave_up) {
		lint_flow(e, e->heap, src, level, why);
		return;
	}
	uint64_t *scratch = lint_calloc(p->n_words, sizeof *scratch);
	const uint64_t *set = lint_points_of(p, to, scratch);
	for (uint32_t w = 0; w < p->n_words; w++)
		for (uint64_t left = set[w]; left != 0; left &= left - 1) {
			uint32_t object = w * 64 + (uint32_t)__builtin_ctzll(left);
			lint_flow(e, place_of_object(e, &p->objects[object]), src, level, why);
		}
	free(scratch);
}

static void call_unseen(struct escape *e, const struct insn *insn, uint32_t index)
{
	uint32_t n = insn->op == OP_CALL ? insn->n_operands - 1 : insn->n_operands;
	for (uint32_t i = 0; i < n; i++)
		lint_flow(e, e->unseen, lint_place_of(e, operand_of(e->function->body, insn, i)), 0, index);
}

static void call(struct escape *e, const struct points *p, const struct insn *insn, uint32_t index)
{
	const struct body *body = e->function->body;
	const struct effects *effects = lint_effects_of(lint_callee(e->program, body, insn));
	if (effects == NULL) {
		call_unseen(e, insn, index);
		return;
	}
	uint32_t to = insn->carrier ? lint_place_of(e, &(struct operand){OPERAND_VALUE, index, 0}) : NO_PLACE;
	if (e->object_place[index] != NO_PLACE)
		lint_flow(e, to, e->object_place[index], -1, index);
	for (uint32_t i = 0; i + 1 < insn->n_operands && i < effects->n_args; i++) {
		const struct arg_effects *arg = &effects->args[i];
		uint32_t src = lint_place_of(e, operand_of(body, insn, i));
		if (arg->heap != NEVER)
			lint_flow(e, e->heap, src, arg->heap, index);
		if (arg->result != NEVER && insn->result_stored)
			store(e, p, operand_of(body, insn, 0), src, arg->result, index);
		else if (arg->result != NEVER)
			lint_flow(e, to, src, arg->result, index);
		if (effects->borrows == (int)i)
			lint_flow(e, to, src, 1, index);
		if (arg->keeps)
			lint_flow(e, e->unseen, src, 0, index);
		for (uint32_t j = 0; j + 1 < insn->n_operands && j < ARGS_MAX; j++)
			if (arg->into[j] != NEVER)
				store(e, p, operand_of(body, insn, j), src, arg->into[j], index);
	}
}

static void build_insn(struct escape *e, const struct points *p, uint32_t index)
{
	const struct body *body = e->function->body;
	const struct insn *insn = &body->insns[index];
	switch (insn->op) {
	case OP_NONE:
	case OP_COMPARE:
	case OP_FILL:
	case OP_OTHER: return;
	case OP_STORE:
		store(e, p, operand_of(body, insn, 1), lint_place_of(e, operand_of(body, insn, 0)), 0, index);
		return;
	case OP_COPY:
		store(e, p, operand_of(body, insn, 0), lint_place_of(e, operand_of(body, insn, 1)), 1, index);
		return;
	case OP_CALL: call(e, p, insn, index); return;
	case OP_ASM: call_unseen(e, insn, index); return;
	case OP_RETURN:
		if (insn->n_operands > 0)
			lint_flow(e, e->result, lint_place_of(e, operand_of(body, insn, 0)), 0, index);
		return;
	case OP_ATOMIC:
		for (uint32_t i = 1; i < insn->n_operands; i++)
			store(e, p, operand_of(body, insn, 0), lint_place_of(e, operand_of(body, insn, i)), 0,
			      index);
		break;
	default: break;
	}
	if (!insn->carrier)
		return;
	uint32_t to = lint_place_of(e, &(struct operand){OPERAND_VALUE, index, 0});
	if (insn->op == OP_LOCAL) {
		lint_flow(e, to, e->object_place[index], -1, index);
	} else if (insn->op == OP_LOAD || insn->op == OP_ATOMIC) {
		lint_flow(e, to, lint_place_of(e, operand_of(body, insn, 0)), 1, index);
	} else {
		for (uint32_t i = insn->op == OP_SELECT ? 1 : 0; i < insn->n_operands; i++)
			lint_flow(e, to, lint_place_of(e, operand_of(body, insn, i)), 0, index);
	}
}

static void add_objects(struct escape *e, const struct points *p)
{
	uint32_t n = e->function->body->n_insns;
	e->value_place = lint_calloc(n + 1, sizeof *e->value_place);
	e->object_place = lint_calloc(n + 1, sizeof *e->object_place);
	memset(e->value_place, 0xff, n * sizeof *e->value_place);
	memset(e->object_place, 0xff, n * sizeof *e->object_place);
	for (uint32_t i = 0; i < p->n_objects; i++)
		if (p->objects[i].kind == OBJECT_VARIABLE || p->objects[i].kind == OBJECT_NEW)
			e->object_place[p->objects[i].index] =
				add_place(e, p->objects[i].kind == OBJECT_NEW ? PLACE_NEW : PLACE_VARIABLE,
					  p->objects[i].index);
}

bool lint_escape_build(struct escape *e)
{
	struct points points;
	lint_points_solve(&points, e->program, e->function);
	e->gave_up = points.gave_up;
	e->heap = add_place(e, PLACE_HEAP, 0);
	e->result = add_place(e, PLACE_RESULT, 0);
	e->unseen = add_place(e, PLACE_UNSEEN, 0);
	e->first_param = e->n_places;
	for (uint32_t i = 0; i < e->function->n_params; i++)
		add_place(e, PLACE_PARAM, i);
	e->first_through = e->n_places;
	for (uint32_t i = 0; i < e->function->n_params; i++)
		add_place(e, PLACE_THROUGH, i);
	add_objects(e, &points);
	for (uint32_t i = 0; i < e->function->body->n_insns; i++)
		build_insn(e, &points, i);
	lint_points_clear(&points);
	return !e->gave_up;
}
