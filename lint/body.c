/* body.c: what a body says about itself: see body.h. */
#include "body.h"

#include <stdlib.h>
#include <string.h>

struct order_frame {
	uint32_t block, next;
};

/* Reverse post order; a jump to a block that is open on the walk's path goes backwards. */
static void order_blocks(struct program *program, struct body *body)
{
	uint8_t *mark = lint_calloc(body->n_blocks, 1); /* 1 open, 2 done */
	struct order_frame *frames = lint_calloc(body->n_blocks + 1, sizeof *frames);
	body->order = lint_region_alloc(&program->region, body->n_blocks * sizeof(uint32_t));
	uint32_t depth = 0, filled = body->n_blocks;
	frames[depth++] = (struct order_frame){0, 0};
	mark[0] = 1;
	while (depth > 0) {
		struct order_frame *frame = &frames[depth - 1];
		const struct block *block = &body->blocks[frame->block];
		const struct insn *last = &body->insns[block->first + block->n - 1];
		if (frame->next == last->n_targets) {
			mark[frame->block] = 2;
			body->order[--filled] = frame->block;
			depth--;
			continue;
		}
		uint32_t to = body->targets[last->targets + frame->next++];
		if (mark[to] == 1)
			body->blocks[to].loop_head = true;
		if (mark[to] != 0)
			continue;
		mark[to] = 1;
		frames[depth++] = (struct order_frame){to, 0};
	}
	body->n_order = body->n_blocks - filled;
	memmove(body->order, body->order + filled, body->n_order * sizeof(uint32_t));
	for (uint32_t i = 0; i < body->n_blocks; i++)
		body->blocks[i].order = UINT32_MAX;
	for (uint32_t i = 0; i < body->n_order; i++)
		body->blocks[body->order[i]].order = i;
	free(mark);
	free(frames);
}

/* The block that every way to both comes through last (Cooper, Harvey and Kennedy 2001); by order. */
static uint32_t common_dominator(const uint32_t *dominator, uint32_t a, uint32_t b)
{
	while (a != b) {
		while (a > b)
			a = dominator[a];
		while (b > a)
			b = dominator[b];
	}
	return a;
}

/* The immediate dominator of each block, both as places in reverse post order; UINT32_MAX: none yet. */
static uint32_t *find_dominators(const struct body *body)
{
	uint32_t *dominator = lint_calloc(body->n_order, sizeof *dominator);
	memset(dominator, 0xff, body->n_order * sizeof *dominator);
	dominator[0] = 0;
	for (bool changed = true; changed;) {
		changed = false;
		for (uint32_t from = 0; from < body->n_order; from++) {
			const struct block *block = &body->blocks[body->order[from]];
			const struct insn *last = &body->insns[block->first + block->n - 1];
			for (uint32_t t = 0; dominator[from] != UINT32_MAX && t < last->n_targets; t++) {
				uint32_t to = body->blocks[body->targets[last->targets + t]].order;
				uint32_t now = to == 0 ? 0
					       : dominator[to] == UINT32_MAX
						       ? from
						       : common_dominator(dominator, dominator[to], from);
				changed |= dominator[to] != now;
				dominator[to] = now;
			}
		}
	}
	return dominator;
}

/* A jump backwards to a block that does not dominate it: the loop has a second door. */
static void find_irreducible(struct body *body)
{
	uint32_t *dominator = find_dominators(body);
	for (uint32_t from = 0; from < body->n_order; from++) {
		const struct block *block = &body->blocks[body->order[from]];
		const struct insn *last = &body->insns[block->first + block->n - 1];
		for (uint32_t t = 0; t < last->n_targets; t++) {
			uint32_t to = body->blocks[body->targets[last->targets + t]].order, at = from;
			while (at > to)
				at = dominator[at];
			body->irreducible |= to <= from && at != to;
		}
	}
	free(dominator);
}

/* A parameter's shadow is the local that the entry block stores it into. */
static void find_shadows(struct body *body)
{
	const struct block *entry = &body->blocks[0];
	for (uint32_t i = entry->first; i < entry->first + entry->n; i++) {
		const struct insn *insn = &body->insns[i];
		if (insn->op != OP_STORE)
			continue;
		const struct operand *value = &body->operands[insn->first_operand];
		const struct operand *to = value + 1;
		if (value->kind == OPERAND_PARAM && to->kind == OPERAND_VALUE &&
		    body->insns[to->index].variable != 0)
			body->variables[body->insns[to->index].variable - 1].param = (int)value->index;
	}
}

static bool operand_carries(const struct function *function, const struct body *body, const struct insn *insn,
			    uint32_t i)
{
	const struct operand *operand = operand_of(body, insn, i);
	switch (operand->kind) {
	case OPERAND_VALUE: return body->insns[operand->index].carrier;
	case OPERAND_PARAM: return function->params[operand->index].carrier;
	case OPERAND_GLOBAL:
	case OPERAND_FUNCTION: return true;
	default: return false;
	}
}

/* An integer variable that is given a pointer's bits carries them from then on, and so does what is computed of
 * it. Twice, because one such variable may be made of another.
 */
static void follow_integers(const struct function *function, struct body *body)
{
	uint8_t *given = lint_calloc(body->n_insns + 1, 1);
	for (uint32_t pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < body->n_insns; i++) {
			struct insn *insn = &body->insns[i];
			const struct operand *address =
				&body->operands[insn->first_operand + (insn->op == OP_STORE)];
			if (insn->op == OP_STORE && address->kind == OPERAND_VALUE &&
			    operand_carries(function, body, insn, 0))
				given[address->index] = 1;
			else if (insn->op == OP_LOAD && address->kind == OPERAND_VALUE && insn->width == 64)
				insn->carrier |= given[address->index];
			for (uint32_t o = 0; insn->op >= OP_ADD && insn->op <= OP_XOR && o < insn->n_operands;
			     o++)
				insn->carrier |=
					insn->width == 64 && operand_carries(function, body, insn, o);
			if (insn->op == OP_SAME)
				insn->carrier |= operand_carries(function, body, insn, 0);
		}
	free(given);
}

void lint_body_finish(struct program *program, const struct function *function, struct body *body)
{
	find_shadows(body);
	follow_integers(function, body);
	order_blocks(program, body);
	find_irreducible(body);
}
