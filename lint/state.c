/* state.c: cells, traits and facts: see state.h. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

struct state *lint_state_new(struct state_pool *pool)
{
	struct state *state = pool->idle;
	if (state == NULL) {
		state = lint_calloc(1, sizeof *state);
		state->pool = pool;
		return state;
	}
	pool->idle = state->next;
	struct state had = *state;
	*state = (struct state){.pool = pool,
				.cells = had.cells,
				.traits = had.traits,
				.facts = had.facts,
				.kept = had.kept,
				.loops = had.loops,
				.cap_cells = had.cap_cells,
				.cap_traits = had.cap_traits,
				.cap_facts = had.cap_facts,
				.cap_kept = had.cap_kept,
				.cap_loops = had.cap_loops};
	return state;
}

/* `n` items of `from` to `to`, which has room for `capacity` and is what is returned, or grown. */
static void *copy_array(void *to, size_t *capacity, const void *from, size_t n, size_t item)
{
	/* Room for a few more: nearly every copy is written to at once. */
	to = lint_grow(to, capacity, n + 4, item);
	if (n > 0)
		memcpy(to, from, n * item);
	return to;
}

struct state *lint_state_copy(const struct state *state)
{
	struct state *copy = lint_state_new(state->pool), had = *copy;
	*copy = *state;
	copy->next = NULL;
	copy->cap_cells = had.cap_cells;
	copy->cap_traits = had.cap_traits;
	copy->cap_facts = had.cap_facts;
	copy->cap_kept = had.cap_kept;
	copy->cap_loops = had.cap_loops;
	copy->cells =
		copy_array(had.cells, &copy->cap_cells, state->cells, state->n_cells, sizeof *copy->cells);
	copy->traits = copy_array(had.traits, &copy->cap_traits, state->traits, state->n_traits,
				  sizeof *copy->traits);
	copy->facts =
		copy_array(had.facts, &copy->cap_facts, state->facts, state->n_facts, sizeof *copy->facts);
	copy->kept = copy_array(had.kept, &copy->cap_kept, state->kept, state->n_kept, sizeof *copy->kept);
	copy->loops =
		copy_array(had.loops, &copy->cap_loops, state->loops, state->n_loops, sizeof *copy->loops);
	return copy;
}

void lint_state_free(struct state *state)
{
	if (state == NULL)
		return;
	state->next = state->pool->idle;
	state->pool->idle = state;
}

void lint_state_pool_clear(struct state_pool *pool)
{
	while (pool->idle != NULL) {
		struct state *state = pool->idle;
		pool->idle = state->next;
		free(state->cells);
		free(state->traits);
		free(state->facts);
		free(state->kept);
		free(state->loops);
		free(state);
	}
}

/* --- Cells ------------------------------------------------------------------------------------------------- */

static size_t cell_place(const struct state *state, uint32_t thing, int64_t offset)
{
	size_t low = 0, high = state->n_cells;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct cell *cell = &state->cells[middle];
		if (cell->thing < thing || (cell->thing == thing && cell->offset < offset))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct value *lint_cell_find(struct state *state, uint32_t thing, int64_t offset)
{
	size_t at = cell_place(state, thing, offset);
	if (at == state->n_cells || state->cells[at].thing != thing || state->cells[at].offset != offset)
		return NULL;
	return &state->cells[at].value;
}

void lint_cell_set(struct state *state, uint32_t thing, int64_t offset, struct value value)
{
	size_t at = cell_place(state, thing, offset);
	bool found =
		at < state->n_cells && state->cells[at].thing == thing && state->cells[at].offset == offset;
	if (!found) {
		state->cells =
			lint_grow(state->cells, &state->cap_cells, state->n_cells + 1, sizeof *state->cells);
		memmove(&state->cells[at + 1], &state->cells[at],
			(state->n_cells - at) * sizeof *state->cells);
		state->n_cells++;
	}
	state->cells[at] = (struct cell){thing, ++state->stamp, offset, value};
}

void lint_cells_forget(struct state *state, uint32_t thing, int64_t offset, uint64_t size)
{
	size_t from = cell_place(state, thing, size == 0 ? INT64_MIN : offset), to = from;
	while (to < state->n_cells && state->cells[to].thing == thing &&
	       (size == 0 || state->cells[to].offset < offset + (int64_t)size))
		to++;
	if (to > from)
		memmove(&state->cells[from], &state->cells[to], (state->n_cells - to) * sizeof *state->cells);
	state->n_cells -= to - from;
}

/* Where the row of `key` is, or would be: traits and facts begin with their key and are ordered by it. */
static size_t row_of(const void *rows, size_t count, size_t size, uint32_t key)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (*(const uint32_t *)((const char *)rows + middle * size) < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* --- Traits ------------------------------------------------------------------------------------------------ */

struct trait *lint_trait_find(struct state *state, uint32_t thing)
{
	size_t at = row_of(state->traits, state->n_traits, sizeof *state->traits, thing);
	return at < state->n_traits && state->traits[at].thing == thing ? &state->traits[at] : NULL;
}

struct trait *lint_trait(struct state *state, uint32_t thing)
{
	size_t at = row_of(state->traits, state->n_traits, sizeof *state->traits, thing);
	if (at < state->n_traits && state->traits[at].thing == thing)
		return &state->traits[at];
	state->traits =
		lint_grow(state->traits, &state->cap_traits, state->n_traits + 1, sizeof *state->traits);
	memmove(&state->traits[at + 1], &state->traits[at], (state->n_traits - at) * sizeof *state->traits);
	state->n_traits++;
	state->traits[at] = (struct trait){.thing = thing};
	return &state->traits[at];
}

/* --- Facts ------------------------------------------------------------------------------------------------- */

static struct fact *fact_find(const struct state *state, uint32_t symbol)
{
	size_t at = row_of(state->facts, state->n_facts, sizeof *state->facts, symbol);
	return at < state->n_facts && state->facts[at].symbol == symbol ? &state->facts[at] : NULL;
}

static struct fact *fact_add(struct state *state, uint32_t symbol)
{
	size_t at = row_of(state->facts, state->n_facts, sizeof *state->facts, symbol);
	state->facts = lint_grow(state->facts, &state->cap_facts, state->n_facts + 1, sizeof *state->facts);
	memmove(&state->facts[at + 1], &state->facts[at], (state->n_facts - at) * sizeof *state->facts);
	state->n_facts++;
	state->facts[at] = (struct fact){.symbol = symbol, .low = INT64_MIN, .high = INT64_MAX};
	return &state->facts[at];
}

/* Unsigned comparisons are followed only where they mean the same as signed ones. */
static enum compare as_signed(enum compare compare, int64_t low, int64_t number)
{
	static const enum compare to_signed[] = {
		[CMP_ULT] = CMP_SLT, [CMP_ULE] = CMP_SLE, [CMP_UGT] = CMP_SGT, [CMP_UGE] = CMP_SGE};
	if (compare < CMP_ULT || compare > CMP_UGE)
		return compare;
	return low >= 0 && number >= 0 ? to_signed[compare] : CMP_FLOAT;
}

bool lint_fact_single(const struct state *state, uint32_t symbol, int64_t *ret)
{
	const struct fact *fact = fact_find(state, symbol);
	if (fact == NULL || fact->low != fact->high)
		return false;
	*ret = fact->low;
	return true;
}

int lint_fact_decide(const struct state *state, uint32_t symbol, enum compare compare, int64_t number)
{
	const struct fact *fact = fact_find(state, symbol);
	if (fact == NULL)
		return -1;
	switch (as_signed(compare, fact->low, number)) {
	case CMP_EQ:
	case CMP_NE: {
		int equal = fact->low == number && fact->high == number ? 1 : -1;
		if (number < fact->low || number > fact->high || (fact->has_except && fact->except == number))
			equal = 0;
		return equal < 0 ? -1 : (compare == CMP_EQ) == (equal == 1);
	}
	case CMP_SLT: return fact->high < number ? 1 : fact->low >= number ? 0 : -1;
	case CMP_SLE: return fact->high <= number ? 1 : fact->low > number ? 0 : -1;
	case CMP_SGT: return fact->low > number ? 1 : fact->high <= number ? 0 : -1;
	case CMP_SGE: return fact->low >= number ? 1 : fact->high < number ? 0 : -1;
	default: return -1;
	}
}

bool lint_fact_narrow(struct state *state, uint32_t symbol, enum compare compare, int64_t number)
{
	if (lint_fact_decide(state, symbol, compare, number) == 0)
		return false;
	struct fact *fact = fact_find(state, symbol);
	if (fact == NULL)
		fact = fact_add(state, symbol);
	if ((compare == CMP_ULT && number > 0) || (compare == CMP_ULE && number >= 0)) /* 0 <= x */
		fact->low = fact->low < 0 ? 0 : fact->low;
	switch (as_signed(compare, fact->low, number)) {
	case CMP_EQ: fact->low = fact->high = number; break;
	case CMP_NE:
		if (fact->low == number)
			fact->low++;
		else if (fact->high == number)
			fact->high--;
		else {
			fact->except = number;
			fact->has_except = true;
		}
		break;
	case CMP_SLT: fact->high = fact->high < number - 1 ? fact->high : number - 1; break;
	case CMP_SLE: fact->high = fact->high < number ? fact->high : number; break;
	case CMP_SGT: fact->low = fact->low > number + 1 ? fact->low : number + 1; break;
	case CMP_SGE: fact->low = fact->low > number ? fact->low : number; break;
	default: break;
	}
	return fact->low <= fact->high;
}

/* --- Kept results ------------------------------------------------------------------------------------------ */

void lint_kept_set(struct state *state, uint32_t depth, uint32_t insn, struct value value)
{
	size_t at = state->n_kept; /* mostly the newest, at the end */
	while (at > 0 && (state->kept[at - 1].depth > depth ||
			  (state->kept[at - 1].depth == depth && state->kept[at - 1].insn >= insn)))
		at--;
	if (at == state->n_kept || state->kept[at].depth != depth || state->kept[at].insn != insn) {
		state->kept =
			lint_grow(state->kept, &state->cap_kept, state->n_kept + 1, sizeof *state->kept);
		memmove(&state->kept[at + 1], &state->kept[at], (state->n_kept - at) * sizeof *state->kept);
		state->n_kept++;
	}
	state->kept[at] = (struct kept){insn, depth, value};
}

/* --- Renaming ---------------------------------------------------------------------------------------------- */

static void rename_value(struct value *value, uint32_t from, uint32_t to, bool thing)
{
	if (value->id != from)
		return;
	bool names_thing = value->kind == VALUE_ADDRESS || (value->kind == VALUE_TEST && value->of_thing);
	bool names_symbol = value->kind == VALUE_SYMBOL || (value->kind == VALUE_TEST && !value->of_thing);
	if (thing ? names_thing : names_symbol)
		value->id = to;
}

static void rename_values(struct state *state, uint32_t from, uint32_t to, bool thing)
{
	for (size_t i = 0; i < state->n_cells; i++)
		rename_value(&state->cells[i].value, from, to, thing);
	for (size_t i = 0; i < state->n_kept; i++)
		rename_value(&state->kept[i].value, from, to, thing);
}

void lint_state_rename_thing(struct state *state, uint32_t from, uint32_t to)
{
	rename_values(state, from, to, true);
	lint_cells_forget(state, from, 0, 0);
	size_t at = row_of(state->traits, state->n_traits, sizeof *state->traits, from);
	if (at < state->n_traits && state->traits[at].thing == from) {
		memmove(&state->traits[at], &state->traits[at + 1],
			(state->n_traits - at - 1) * sizeof *state->traits);
		state->n_traits--;
	}
}

void lint_state_rename_symbol(struct state *state, uint32_t from, uint32_t to)
{
	rename_values(state, from, to, false);
	struct fact *fact = fact_find(state, from);
	if (fact == NULL)
		return;
	state->n_facts--;
	memmove(fact, fact + 1, (state->n_facts - (size_t)(fact - state->facts)) * sizeof *fact);
}
