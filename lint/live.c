/* live.c: which locals and results a block may still read: see live.h. */
#include "live.h"

#include <stdlib.h>

static void find_crossing(struct live *live, const struct body *body)
{
	for (uint32_t i = 0; i < body->n_insns; i++)
		for (uint32_t o = 0; o < body->insns[i].n_operands; o++) {
			const struct operand *operand = operand_of(body, &body->insns[i], o);
			if (operand->kind == OPERAND_VALUE &&
			    (body->insns[operand->index].block != body->insns[i].block ||
			     body->insns[i].op == OP_PHI))
				live->crosses[operand->index] = 1;
		}
	for (uint32_t i = 0; i < body->n_insns; i++)
		if (body->insns[i].op == OP_LOCAL)
			live->crosses[i] = 0; /* an address that is the same everywhere */
}

/* A bit for each crossing result, and for each local that is only loaded and stored as a whole. */
static void number_bits(struct live *live, const struct body *body)
{
	for (uint32_t i = 0; i < body->n_insns; i++)
		if (live->crosses[i] || body->insns[i].op == OP_LOCAL)
			live->bit_of[i] = 1;
	for (uint32_t i = 0; i < body->n_insns; i++) {
		const struct insn *insn = &body->insns[i];
		for (uint32_t o = 0; o < insn->n_operands; o++) {
			const struct operand *operand = operand_of(body, insn, o);
			if (operand->kind != OPERAND_VALUE || body->insns[operand->index].op != OP_LOCAL)
				continue;
			bool whole = insn->size == body->insns[operand->index].size;
			if (!whole || !(insn->op == OP_LOAD || (insn->op == OP_STORE && o == 1)))
				live->bit_of[operand->index] = 0;
		}
	}
	for (uint32_t i = 0; i < body->n_insns; i++)
		if (live->bit_of[i] != 0)
			live->bit_of[i] = ++live->n_bits;
	live->n_words = live->n_bits / 64 + 1;
}

static void set_bit(uint64_t *set, uint32_t bit)
{
	set[(bit - 1) / 64] |= 1ull << (bit - 1) % 64;
}

static bool has_bit(const uint64_t *set, uint32_t bit)
{
	return set[(bit - 1) / 64] >> (bit - 1) % 64 & 1;
}

/* What the block reads before it writes, and what it writes. */
static void look_at_block(const struct live *live, const struct body *body, const struct block *block,
			  uint64_t *reads, uint64_t *writes)
{
	for (uint32_t i = block->first; i < block->first + block->n; i++) {
		const struct insn *insn = &body->insns[i];
		for (uint32_t o = 0; o < insn->n_operands; o++) {
			const struct operand *operand = operand_of(body, insn, o);
			uint32_t bit = operand->kind == OPERAND_VALUE ? live->bit_of[operand->index] : 0;
			bool is_target = insn->op == OP_STORE && o == 1;
			if (bit == 0 || insn->op == OP_PHI)
				continue;
			if (is_target && body->insns[operand->index].op == OP_LOCAL)
				set_bit(writes, bit);
			else if (!has_bit(writes, bit))
				set_bit(reads, bit);
		}
		if (live->bit_of[i] == 0 || insn->op == OP_LOCAL)
			continue;
		if (insn->op == OP_PHI) /* set by whoever jumps here */
			set_bit(reads, live->bit_of[i]);
		else
			set_bit(writes, live->bit_of[i]);
	}
}

/* The operands of the phis are read at the end of the blocks that jump to them. */
static void look_at_phis(const struct live *live, const struct body *body, uint64_t *reads,
			 const uint64_t *writes)
{
	for (uint32_t i = 0; i < body->n_insns; i++)
		for (uint32_t o = 0; body->insns[i].op == OP_PHI && o < body->insns[i].n_operands; o++) {
			const struct operand *operand = operand_of(body, &body->insns[i], o);
			size_t from = (size_t)body->targets[body->insns[i].targets + o] * live->n_words;
			uint32_t bit = operand->kind == OPERAND_VALUE ? live->bit_of[operand->index] : 0;
			if (bit != 0 && !has_bit(writes + from, bit))
				set_bit(reads + from, bit);
		}
}

/* in = reads | (what the blocks after it need and it does not write), until nothing changes. */
static void solve(struct live *live, const struct body *body, const uint64_t *writes)
{
	bool changed = true;
	while (changed) {
		changed = false;
		for (uint32_t n = body->n_order; n-- > 0;) {
			uint32_t b = body->order[n];
			const struct block *block = &body->blocks[b];
			const struct insn *last = &body->insns[block->first + block->n - 1];
			uint64_t *in = live->in + (size_t)b * live->n_words;
			for (uint32_t t = 0; t < last->n_targets; t++) {
				const uint64_t *next =
					live->in + (size_t)body->targets[last->targets + t] * live->n_words;
				for (uint32_t w = 0; w < live->n_words; w++) {
					uint64_t more = next[w] & ~writes[(size_t)b * live->n_words + w];
					changed |= (more & ~in[w]) != 0;
					in[w] |= more;
				}
			}
		}
	}
}

static void find_joins(struct live *live, const struct body *body)
{
	uint8_t *ways = lint_calloc(body->n_blocks, 1);
	for (uint32_t b = 0; b < body->n_blocks; b++) {
		const struct insn *last = &body->insns[body->blocks[b].first + body->blocks[b].n - 1];
		for (uint32_t t = 0; t < last->n_targets; t++) {
			uint32_t to = body->targets[last->targets + t];
			live->is_join[to] = ways[to] > 0;
			ways[to] = 1;
		}
	}
	free(ways);
}

struct live *lint_live_solve(const struct body *body)
{
	struct live *live = lint_calloc(1, sizeof *live);
	live->crosses = lint_calloc(body->n_insns + 1, sizeof *live->crosses);
	live->bit_of = lint_calloc(body->n_insns + 1, sizeof *live->bit_of);
	live->is_join = lint_calloc(body->n_blocks, sizeof *live->is_join);
	find_joins(live, body);
	live->locals = lint_calloc(body->n_variables + 1, sizeof *live->locals);
	for (uint32_t i = 0; i < body->n_variables; i++)
		live->locals[live->n_locals++] = body->variables[i].insn;
	find_crossing(live, body);
	number_bits(live, body);
	size_t words = (size_t)body->n_blocks * live->n_words;
	live->in = lint_calloc(words, sizeof *live->in);
	uint64_t *writes = lint_calloc(words, sizeof *writes);
	for (uint32_t b = 0; b < body->n_blocks; b++)
		look_at_block(live, body, &body->blocks[b], live->in + (size_t)b * live->n_words,
			      writes + (size_t)b * live->n_words);
	look_at_phis(live, body, live->in, writes);
	solve(live, body, writes);
	free(writes);
	return live;
}

void lint_live_free(struct live *live)
{
	if (live == NULL)
		return;
	free(live->crosses);
	free(live->bit_of);
	free(live->in);
	free(live->is_join);
	free(live->locals);
	free(live);
}
