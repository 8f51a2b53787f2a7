/* test_live.c: which locals and results a block may still read, on bodies that a generator makes.
 *
 * A second, slow answer comes straight from the definition: something is live at a block when some way from there comes to
 * a read of it and meets no write before; the operand of a phi is read where its block is left. The two answers are the
 * same but for the results of phis, which the fast one may keep for longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lint/body.h"
#include "lint/live.h"

enum { BLOCKS = 7, PER_BLOCK = 6, INSNS = BLOCKS * (PER_BLOCK + 1), OPERANDS = INSNS * 3, BODIES = 3000 };

static struct insn insns[INSNS];
static struct operand operands[OPERANDS];
static uint32_t targets[OPERANDS];
static struct block blocks[BLOCKS];
static struct variable variables[INSNS];
static struct body body;
static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static void add_operand(struct insn *insn, uint32_t value)
{
	operands[body.n_operands++] = (struct operand){.kind = OPERAND_VALUE, .index = value};
	insn->n_operands++;
}

static struct insn *add_insn(enum op op, uint32_t block)
{
	struct insn *insn = &insns[body.n_insns++];
	*insn = (struct insn){.op = (uint8_t)op,
			      .block = block,
			      .size = 8,
			      .first_operand = body.n_operands,
			      .targets = body.n_targets};
	blocks[block].n++;
	return insn;
}

static void add_target(struct insn *insn, uint32_t block)
{
	targets[body.n_targets++] = block;
	insn->n_targets++;
}

/* Any instruction that has a result, so that loops read what a later block of theirs made; locals mostly of the entry. */
static uint32_t any_result(void)
{
	for (;;) {
		uint32_t i = below(body.n_insns);
		if (insns[i].op != OP_STORE && insns[i].op < OP_RETURN)
			return i;
	}
}

static uint32_t any_local(void)
{
	return below(body.n_variables);
}

/* Phis first, one operand for each block that jumps here; they are filled in when all jumps are known. */
static void make_block(uint32_t b, uint32_t n_blocks)
{
	blocks[b] = (struct block){.first = body.n_insns};
	for (uint32_t i = 0; b == 0 && i < 3; i++) {
		variables[body.n_variables++].insn = body.n_insns;
		add_insn(OP_LOCAL, b);
	}
	for (uint32_t i = below(3); b > 0 && i > 0; i--)
		add_insn(OP_PHI, b);
	for (uint32_t i = below(PER_BLOCK - 2); i > 0; i--) {
		uint32_t kind = below(8);
		struct insn *insn = add_insn(kind < 3 ? OP_LOAD : kind < 6 ? OP_STORE : OP_ADD, b);
		if (insn->op == OP_STORE)
			add_operand(insn, any_result());
		add_operand(insn, insn->op == OP_ADD ? any_result() : any_local());
		insn->size = below(12) == 0 ? 4 : 8;
	}
	uint32_t ways = below(3);
	struct insn *last = add_insn(ways == 0 ? OP_RETURN : ways == 1 ? OP_JUMP : OP_BRANCH, b);
	if (ways == 2)
		add_operand(last, any_result());
	for (; ways > 0; ways--)
		add_target(last, below(n_blocks));
}

static void fill_phis(void)
{
	for (uint32_t i = 0; i < body.n_insns; i++) {
		struct insn *phi = &insns[i];
		if (phi->op != OP_PHI)
			continue;
		phi->first_operand = body.n_operands;
		phi->targets = body.n_targets;
		phi->n_targets = 0;
		for (uint32_t b = 0; b < body.n_blocks; b++) {
			const struct insn *last = &insns[blocks[b].first + blocks[b].n - 1];
			for (uint32_t t = 0; t < last->n_targets; t++)
				if (targets[last->targets + t] == phi->block) {
					add_operand(phi, any_result());
					targets[body.n_targets++] = b;
					break;
				}
		}
	}
}

static void make_body(struct program *program)
{
	static const struct function none = {.name = "none"};
	memset(&body, 0, sizeof body);
	body = (struct body){.insns = insns,
			     .operands = operands,
			     .targets = targets,
			     .blocks = blocks,
			     .variables = variables};
	memset(variables, 0, sizeof variables);
	uint32_t n = 1 + below(BLOCKS);
	for (uint32_t b = 0; b < n; b++)
		make_block(b, n);
	body.n_blocks = n;
	fill_phis();
	lint_body_finish(program, &none, &body);
}

/* --- The definition ---------------------------------------------------------------------------------------------- */

static bool names(const struct insn *insn, uint32_t o, uint32_t what)
{
	return operand_of(&body, insn, o)->index == what;
}

static bool reads(const struct insn *insn, uint32_t what)
{
	bool target = insn->op == OP_STORE && insns[what].op == OP_LOCAL;
	for (uint32_t o = 0; insn->op != OP_PHI && o < insn->n_operands; o++)
		if (names(insn, o, what) && !(target && o == 1))
			return true;
	return false;
}

static bool writes(const struct insn *insn, uint32_t what)
{
	if (insns[what].op == OP_LOCAL)
		return insn->op == OP_STORE && names(insn, 1, what);
	return insn == &insns[what];
}

static bool phi_reads(uint32_t from, uint32_t to, uint32_t what)
{
	for (uint32_t i = blocks[to].first; insns[i].op == OP_PHI; i++)
		for (uint32_t o = 0; o < insns[i].n_operands; o++)
			if (targets[insns[i].targets + o] == from && names(&insns[i], o, what))
				return true;
	return false;
}

static bool live_from(uint32_t b, uint32_t what, bool *seen)
{
	if (seen[b])
		return false;
	seen[b] = true;
	for (uint32_t i = blocks[b].first; i < blocks[b].first + blocks[b].n; i++) {
		if (reads(&insns[i], what))
			return true;
		if (writes(&insns[i], what) && insns[i].op != OP_PHI)
			return false;
	}
	const struct insn *last = &insns[blocks[b].first + blocks[b].n - 1];
	for (uint32_t t = 0; t < last->n_targets; t++) {
		uint32_t to = targets[last->targets + t];
		if (phi_reads(b, to, what))
			return true;
	}
	for (uint32_t t = 0; t < last->n_targets; t++)
		if (live_from(targets[last->targets + t], what, seen))
			return true;
	return false;
}

/* A local whose address is used for nothing but whole loads and stores; a result that another block, or a phi, reads. */
static bool is_followed(uint32_t what)
{
	bool local = insns[what].op == OP_LOCAL, whole = true, crosses = false;
	for (uint32_t i = 0; i < body.n_insns; i++)
		for (uint32_t o = 0; o < insns[i].n_operands; o++) {
			const struct insn *insn = &insns[i];
			if (!names(insn, o, what))
				continue;
			crosses |= insn->block != insns[what].block || insn->op == OP_PHI;
			whole &= insn->size == 8 && (insn->op == OP_LOAD || (insn->op == OP_STORE && o == 1));
		}
	return local ? whole : crosses;
}

static void same_by_definition(void **state)
{
	(void)state;
	unsigned live_ones = 0, dead_ones = 0, of_phis = 0;
	for (seed = 1; seed < BODIES;) {
		uint64_t this_seed = seed;
		struct program program = {0};
		make_body(&program);
		struct live *live = lint_live_solve(&body);
		for (uint32_t what = 0; what < body.n_insns; what++) {
			bool followed = is_followed(what);
			if (followed != (live->bit_of[what] != 0))
				fail_msg("body %u: instruction %u is %sfollowed", (unsigned)this_seed, what,
					 followed ? "not " : "");
			for (uint32_t n = 0; followed && n < body.n_order; n++) {
				bool seen[BLOCKS] = {false};
				uint32_t b = body.order[n];
				bool must = live_from(b, what, seen), is = lint_is_live(live, b, what);
				if (must != is && (must || insns[what].op != OP_PHI))
					fail_msg("body %u: %u at block %u: %s", (unsigned)this_seed, what, b,
						 must ? "lost" : "kept");
				live_ones += must;
				dead_ones += !must;
				of_phis += must && insns[what].op == OP_PHI;
			}
		}
		lint_live_free(live);
		lint_region_clear(&program.region);
		seed = this_seed + 1;
	}
	assert_true(live_ones > BODIES && dead_ones > BODIES && of_phis > BODIES / 10);
}

/* A block is a join when two ways lead there, both ways of one branch among them. */
static void joins(void **state)
{
	(void)state;
	for (seed = 1; seed < 200;) {
		uint64_t this_seed = seed;
		struct program program = {0};
		make_body(&program);
		struct live *live = lint_live_solve(&body);
		for (uint32_t b = 0; b < body.n_blocks; b++) {
			uint32_t ways = 0;
			for (uint32_t from = 0; from < body.n_blocks; from++) {
				const struct insn *last = &insns[blocks[from].first + blocks[from].n - 1];
				for (uint32_t t = 0; t < last->n_targets; t++)
					ways += targets[last->targets + t] == b;
			}
			assert_int_equal(live->is_join[b], ways > 1);
		}
		lint_live_free(live);
		lint_region_clear(&program.region);
		seed = this_seed + 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(same_by_definition), cmocka_unit_test(joins)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
