/* eval.c: what instructions do to a state: operands, arithmetic, tests. What they do to memory is in memory.c. */
#include "engine.h"

#include <stdlib.h>

struct value lint_constant(struct engine *engine, const struct operand *operand)
{
	uint32_t thing;
	switch (operand->kind) {
	case OPERAND_INT: return number_value(operand->number);
	case OPERAND_NULL: return number_value(0);
	case OPERAND_GLOBAL:
		thing = lint_thing(engine, THING_GLOBAL, 0x10000u + operand->index);
		engine->things[thing].index = operand->index;
		return address_value(thing, operand->number);
	case OPERAND_FUNCTION:
		thing = lint_thing(engine, THING_FUNCTION, 0x20000u + operand->index);
		engine->things[thing].index = operand->index;
		return address_value(thing, 0);
	default: return (struct value){0};
	}
}

struct value lint_operand(struct engine *engine, const struct frame *frame, const struct operand *operand)
{
	switch (operand->kind) {
	case OPERAND_VALUE: return frame->temps[operand->index];
	case OPERAND_PARAM: return frame->params[operand->index];
	default: return lint_constant(engine, operand);
	}
}

/* --- Arithmetic and tests ----------------------------------------------------------------------------------------- */

static int64_t cut(int64_t number, unsigned width, bool sign)
{
	if (width == 0 || width >= 64)
		return number;
	uint64_t mask = (1ull << width) - 1, bits = (uint64_t)number & mask;
	if (sign && (bits >> (width - 1) & 1))
		bits |= ~mask;
	return (int64_t)bits;
}

static int64_t compute(enum op op, int64_t a, int64_t b, unsigned width)
{
	uint64_t x = (uint64_t)a, y = (uint64_t)b, result = 0;
	switch (op) {
	case OP_ADD: result = x + y; break;
	case OP_SUB: result = x - y; break;
	case OP_MUL: result = x * y; break;
	case OP_AND: result = x & y; break;
	case OP_OR: result = x | y; break;
	case OP_XOR: result = x ^ y; break;
	default: result = y < 64 ? x << y : 0; break;
	}
	return cut((int64_t)result, width, true);
}

static enum compare negated(enum compare compare)
{
	static const enum compare table[] = {
		[CMP_EQ] = CMP_NE,   [CMP_NE] = CMP_EQ,	  [CMP_ULT] = CMP_UGE,	  [CMP_ULE] = CMP_UGT,
		[CMP_UGT] = CMP_ULE, [CMP_UGE] = CMP_ULT, [CMP_SLT] = CMP_SGE,	  [CMP_SLE] = CMP_SGT,
		[CMP_SGT] = CMP_SLE, [CMP_SGE] = CMP_SLT, [CMP_FLOAT] = CMP_FLOAT};
	return table[compare];
}

static enum compare swapped(enum compare compare)
{
	static const enum compare table[] = {
		[CMP_EQ] = CMP_EQ,   [CMP_NE] = CMP_NE,	  [CMP_ULT] = CMP_UGT,	  [CMP_ULE] = CMP_UGE,
		[CMP_UGT] = CMP_ULT, [CMP_UGE] = CMP_ULE, [CMP_SLT] = CMP_SGT,	  [CMP_SLE] = CMP_SGE,
		[CMP_SGT] = CMP_SLT, [CMP_SGE] = CMP_SLE, [CMP_FLOAT] = CMP_FLOAT};
	return table[compare];
}

static bool holds(enum compare compare, int64_t a, int64_t b)
{
	uint64_t x = (uint64_t)a, y = (uint64_t)b;
	switch (compare) {
	case CMP_EQ: return a == b;
	case CMP_NE: return a != b;
	case CMP_ULT: return x < y;
	case CMP_ULE: return x <= y;
	case CMP_UGT: return x > y;
	case CMP_UGE: return x >= y;
	case CMP_SLT: return a < b;
	case CMP_SLE: return a <= b;
	case CMP_SGT: return a > b;
	default: return a >= b;
	}
}

/* 1: certainly not NULL, 0: certainly NULL, -1: not known. */
static int is_not_null(const struct engine *engine, struct state *state, struct value address)
{
	uint8_t kind = engine->things[address.id].kind;
	if (kind == THING_LOCAL || kind == THING_GLOBAL || kind == THING_FUNCTION ||
	    (address.number != 0 && address.number != OFFSET_ANY))
		return 1;
	const struct trait *trait = lint_trait_find(state, address.id);
	if (trait == NULL || trait->null == NULLNESS_UNKNOWN || trait->null == NULLNESS_MAYBE)
		return -1;
	return trait->null == NULLNESS_NOT;
}

static bool is_concrete(const struct engine *engine, uint32_t thing)
{
	uint8_t kind = engine->things[thing].kind;
	return kind == THING_LOCAL || kind == THING_GLOBAL || kind == THING_NEW || kind == THING_FUNCTION;
}

static struct value compare_addresses(struct engine *engine, struct value a, struct value b,
				      enum compare compare)
{
	/* A fixed place against one at an unknown distance from the same start: the latter is taken to be later. */
	if (a.id == b.id && (compare == CMP_ULT || compare == CMP_ULE) && a.number != OFFSET_ANY &&
	    b.number == OFFSET_ANY)
		return number_value(1);
	if (a.id == b.id && a.number != OFFSET_ANY && b.number != OFFSET_ANY)
		return number_value(holds(compare, a.number, b.number));
	if (compare != CMP_EQ && compare != CMP_NE)
		return (struct value){0};
	if (a.id != b.id && is_concrete(engine, a.id) && is_concrete(engine, b.id))
		return number_value(compare == CMP_NE);
	if (a.number == OFFSET_ANY || b.number == OFFSET_ANY)
		return (struct value){0};
	return lint_symbol_test(engine, compare, a, b);
}

/* The value is 0 here. That is all that is made of a symbol's only number: the same question of two symbols, asked where it was
 * not known yet, has an answer of its own, which a number would not find.
 */
static bool is_zero(const struct state *state, struct value value)
{
	int64_t number;
	if (value.kind == VALUE_SYMBOL && lint_fact_single(state, value.id, &number))
		return number + value.number == 0;
	return value.kind == VALUE_NUMBER && value.number == 0;
}

static struct value compare_values(struct engine *engine, struct state *state, struct value a, struct value b,
				   enum compare compare)
{
	if (a.kind == VALUE_NUMBER && b.kind != VALUE_NUMBER) {
		struct value t = a;
		a = b;
		b = t;
		compare = swapped(compare);
	}
	if (compare == CMP_FLOAT)
		return (struct value){0};
	if ((compare == CMP_ULT || compare == CMP_UGE) && is_zero(state, b))
		return number_value(compare == CMP_UGE); /* nothing is below 0 */
	if (a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER)
		return number_value(holds(compare, a.number, b.number));
	if (a.kind == VALUE_ADDRESS && b.kind == VALUE_ADDRESS)
		return compare_addresses(engine, a, b, compare);
	if (a.kind == VALUE_SYMBOL && b.kind == VALUE_SYMBOL) {
		if (a.id == b.id && (compare == CMP_EQ || compare == CMP_NE))
			return number_value(holds(compare, a.number, b.number));
		return lint_symbol_test(engine, compare, a, b);
	}
	if (b.kind != VALUE_NUMBER)
		return (struct value){0};
	if (a.kind == VALUE_SYMBOL)
		return (struct value){.kind = VALUE_TEST,
				      .compare = (uint8_t)compare,
				      .id = a.id,
				      .number = b.number - a.number};
	/* An element that is NULL, or not, says nothing of its array. */
	if (a.kind == VALUE_ADDRESS && a.number == OFFSET_ANY && (compare == CMP_EQ || compare == CMP_NE))
		return lint_symbol_test(engine, compare, a, b);
	if (a.kind == VALUE_ADDRESS && b.number == 0 &&
	    (compare == CMP_EQ || compare == CMP_NE || compare == CMP_UGT)) {
		compare = compare == CMP_EQ ? CMP_EQ : CMP_NE;
		int not_null = is_not_null(engine, state, a);
		if (not_null >= 0)
			return number_value((not_null == 1) == (compare == CMP_NE));
		return (struct value){
			.kind = VALUE_TEST, .compare = (uint8_t)compare, .of_thing = true, .id = a.id};
	}
	if (a.kind == VALUE_TEST && (b.number == 0 || b.number == 1) &&
	    (compare == CMP_EQ || compare == CMP_NE)) {
		if ((compare == CMP_EQ) == (b.number == 0))
			a.compare = (uint8_t)negated(a.compare);
		return a;
	}
	return (struct value){0};
}

static struct value arithmetic(struct engine *engine, struct frame *frame, struct state *state,
			       const struct insn *insn, struct value a, struct value b)
{
	if (a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER)
		return number_value(compute(insn->op, a.number, b.number, insn->width));
	bool either_way = insn->op == OP_ADD || insn->op == OP_OR || insn->op == OP_AND || insn->op == OP_XOR;
	if (either_way && a.kind == VALUE_NUMBER) {
		struct value t = a;
		a = b;
		b = t;
	}
	if (b.kind == VALUE_NUMBER && b.number == 0 && (insn->op == OP_OR || insn->op == OP_XOR))
		return a;
	bool sum = insn->op == OP_ADD || insn->op == OP_SUB;
	int64_t by = insn->op == OP_SUB ? -b.number : b.number;
	if (sum && a.kind == VALUE_SYMBOL && b.kind == VALUE_NUMBER && by > -(1 << 30) && by < 1 << 30) {
		a.number += by;
		return a;
	}
	if (sum && a.kind == VALUE_ADDRESS) {
		a.number = b.kind == VALUE_NUMBER && a.number != OFFSET_ANY ? a.number + by : OFFSET_ANY;
		return a;
	}
	if (insn->op == OP_XOR && a.kind == VALUE_TEST && b.kind == VALUE_NUMBER && (b.number & 1)) {
		a.compare = (uint8_t)negated(a.compare);
		return a;
	}
	if (insn->op == OP_AND && b.kind == VALUE_NUMBER && b.number == 0)
		return number_value(0);
	struct value result = lint_symbol_anew(engine, state, lint_key(frame, insn, 3));
	if (insn->op == OP_OR && b.kind == VALUE_NUMBER && b.number != 0) /* some bit is set, whatever a is */
		lint_fact_narrow(state, result.id, CMP_NE, 0);
	return result;
}

bool lint_assume(struct engine *engine, struct state *state, struct value value, bool truth)
{
	if (value.kind == VALUE_NUMBER)
		return (value.number != 0) == truth;
	if (value.kind == VALUE_ADDRESS) {
		int not_null = is_not_null(engine, state, value);
		return not_null < 0 || (not_null == 1) == truth;
	}
	if (value.kind == VALUE_SYMBOL)
		return lint_fact_narrow(state, value.id, truth ? CMP_NE : CMP_EQ, -value.number);
	if (value.kind != VALUE_TEST)
		return true;
	enum compare compare = truth ? value.compare : negated(value.compare);
	if (!value.of_thing)
		return lint_fact_narrow(state, value.id, compare, value.number);
	int not_null = is_not_null(engine, state, (struct value){.kind = VALUE_ADDRESS, .id = value.id});
	if (not_null >= 0)
		return (not_null == 1) == (compare == CMP_NE);
	struct trait *trait = lint_trait(state, value.id);
	trait->null = compare == CMP_NE ? NULLNESS_NOT : NULLNESS_NULL;
	/* A test in a callee is caution, and no evidence that this caller passes NULL. */
	trait->checked |= engine->depth == 0;
	trait->tested = true;
	if (trait->null == NULLNESS_NULL)
		trait->owned = false;
	return true;
}

/* --- Instructions --------------------------------------------------------------------------------------------------- */

static struct value offset_of(const struct insn *insn, struct value base)
{
	if (base.kind == VALUE_ADDRESS)
		base.number =
			insn->varies || base.number == OFFSET_ANY ? OFFSET_ANY : base.number + insn->offset;
	else if (base.kind == VALUE_NUMBER && !insn->varies)
		base.number += insn->offset;
	else
		base = (struct value){0};
	return base;
}

static bool eval_memory(struct engine *engine, struct frame *frame, struct state *state,
			const struct insn *insn)
{
	const struct operand *first = operand_of(frame->body, insn, 0);
	const struct operand *second = operand_of(frame->body, insn, 1);
	struct value a = lint_operand(engine, frame, first);
	struct value b = lint_operand(engine, frame, second);
	switch (insn->op) {
	case OP_STORE:
		if (!lint_check_use(engine, frame, state, insn, second, b, "written through"))
			return false;
		if (a.kind != VALUE_NUMBER)
			lint_check_barrier(engine, frame, state, insn, b);
		lint_store(engine, frame, state, b, a, insn->size, insn);
		return true;
	case OP_COPY:
		if (!lint_check_use(engine, frame, state, insn, first, a, "written through") ||
		    !lint_check_use(engine, frame, state, insn, second, b, "read through"))
			return false;
		lint_check_barrier(engine, frame, state, insn, a);
		lint_copy_cells(engine, frame, state, insn, a, b);
		return true;
	case OP_FILL:
		if (!lint_check_use(engine, frame, state, insn, first, a, "written through"))
			return false;
		lint_fill_cells(engine, state, insn, a, b);
		return true;
	default:
		if (!lint_check_use(engine, frame, state, insn, first, a, "written through"))
			return false;
		lint_check_barrier(engine, frame, state, insn, a);
		for (uint32_t i = 1; i < insn->n_operands; i++) {
			struct value stored = lint_operand(engine, frame, operand_of(frame->body, insn, i));
			if (stored.kind == VALUE_ADDRESS)
				lint_escape_thing(engine, state, stored.id);
		}
		if (a.kind == VALUE_ADDRESS)
			lint_cells_lose(engine, state, a.id, a.number == OFFSET_ANY ? 0 : a.number,
					a.number == OFFSET_ANY ? 0 : insn->size);
		lint_set_result(frame, state, insn, lint_unknown(engine, frame, state, insn, NO_THING, 1));
		return true;
	}
}

static struct value eval_select(struct engine *engine, struct state *state, struct value condition,
				struct value a, struct value b)
{
	struct state *probe = lint_state_copy(state);
	bool can_be_true = lint_assume(engine, probe, condition, true);
	lint_state_free(probe);
	probe = lint_state_copy(state);
	bool can_be_false = lint_assume(engine, probe, condition, false);
	lint_state_free(probe);
	if (can_be_true != can_be_false)
		return can_be_true ? a : b;
	return same_value(&a, &b) ? a : (struct value){0};
}

static struct value eval_plain(struct engine *engine, struct frame *frame, struct state *state,
			       const struct insn *insn, struct value a, struct value b)
{
	switch (insn->op) {
	case OP_OFFSET:
	case OP_SAME:
		if (insn->type != NULL && engine->program->n_barriered > 0)
			lint_barrier_named(engine, state, a, insn);
		return insn->op == OP_OFFSET ? offset_of(insn, a) : a;
	case OP_TRUNCATE:
		if (a.kind == VALUE_NUMBER)
			return number_value(cut(a.number, insn->width, true));
		return a.kind == VALUE_TEST || a.kind == VALUE_SYMBOL ? a : (struct value){0};
	case OP_ZEXTEND:
		return a.kind == VALUE_NUMBER ? number_value(cut(a.number, insn->from_width, false)) : a;
	case OP_SEXTEND: return a;
	case OP_COMPARE:
		lint_check_null_test(engine, frame, state, insn, a);
		return compare_values(engine, state, a, b, insn->compare);
	case OP_SELECT:
		return eval_select(engine, state, a, b,
				   lint_operand(engine, frame, operand_of(frame->body, insn, 2)));
	case OP_EXTRACT: /* a struct in registers is known by its first word only */
		return insn->pointer && insn->offset == 0 ? a : (struct value){0};
	case OP_ADD:
	case OP_SUB:
	case OP_MUL:
	case OP_AND:
	case OP_OR:
	case OP_XOR:
	case OP_SHL: return arithmetic(engine, frame, state, insn, a, b);
	default: return (struct value){0};
	}
}

bool lint_eval(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn)
{
	const struct body *body = frame->body;
	switch (insn->op) {
	case OP_NONE:
	case OP_LOCAL:
	case OP_PHI: return true;
	case OP_STORE:
	case OP_COPY:
	case OP_FILL:
	case OP_ATOMIC: return eval_memory(engine, frame, state, insn);
	case OP_ASM:
		for (uint32_t i = 0; i < insn->n_operands; i++) {
			struct value value = lint_operand(engine, frame, operand_of(body, insn, i));
			if (value.kind == VALUE_ADDRESS) {
				lint_escape_thing(engine, state, value.id);
				lint_havoc_thing(engine, state, value.id, 0);
			}
		}
		break;
	default: break;
	}
	struct value a = {0}, b = {0}, result;
	if (insn->n_operands > 0)
		a = lint_operand(engine, frame, operand_of(body, insn, 0));
	if (insn->n_operands > 1)
		b = lint_operand(engine, frame, operand_of(body, insn, 1));
	if (insn->op == OP_LOAD) {
		if (!lint_check_use(engine, frame, state, insn, operand_of(body, insn, 0), a, "read through"))
			return false;
		result = lint_load(engine, frame, state, a, insn);
		if (!insn->pointer && insn->width == 0 && a.kind == VALUE_ADDRESS) /* a struct in registers */
			lint_cells_lose(engine, state, a.id, a.number == OFFSET_ANY ? 0 : a.number,
					a.number == OFFSET_ANY ? 0 : insn->size);
	} else {
		result = eval_plain(engine, frame, state, insn, a, b);
	}
	if (result.kind == VALUE_UNKNOWN && (insn->pointer || insn->width != 0))
		result = lint_unknown(engine, frame, state, insn, NO_THING, 2);
	lint_set_result(frame, state, insn, result);
	return true;
}
