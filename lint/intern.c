/* intern.c: things and symbols by key, so that the same place on every path makes the same one: see state.h.
 *
 * The key of what an instruction makes is the instruction and the chain of calls that led to it. When a state meets the key
 * again in a later round of a loop, what it has of the earlier round becomes a twin of which nothing is said.
 */
#include "engine.h"

#include <stdlib.h>

uint64_t lint_key(const struct frame *frame, const struct insn *insn, uint32_t salt)
{
	uint32_t index = (uint32_t)(insn - frame->body->insns);
	uint64_t key = frame->chain * 0x9E3779B97F4A7C15u + index;
	key = (key ^ key >> 31) * 0xff51afd7ed558ccdu + salt;
	return (key ^ key >> 29) * 0xc4ceb9fe1a85ec53u + frame->function->index;
}

static void table_grow(uint32_t **table, size_t *size, size_t used,
		       const uint64_t *(*key_of)(void *, uint32_t), void *ctx)
{
	if (used * 2 < *size)
		return;
	free(*table);
	*size = *size == 0 ? 256 : *size * 2;
	*table = lint_calloc(*size, sizeof **table);
	for (uint32_t i = 0; i < used; i++) {
		size_t at = *key_of(ctx, i) % (*size - 1);
		while ((*table)[at] != 0)
			at = (at + 1) & (*size - 1);
		(*table)[at] = i + 1;
	}
}

static const uint64_t *thing_key(void *ctx, uint32_t i)
{
	return &((struct engine *)ctx)->things[i].key;
}

static const uint64_t *symbol_key(void *ctx, uint32_t i)
{
	return &((struct engine *)ctx)->symbols[i].key;
}

uint32_t lint_thing(struct engine *engine, enum thing_kind kind, uint64_t key)
{
	key = (key + kind) * 0xc4ceb9fe1a85ec53u;
	key ^= key >> 32;
	table_grow(&engine->thing_table, &engine->thing_size, engine->n_things, thing_key, engine);
	size_t at = key % (engine->thing_size - 1);
	for (; engine->thing_table[at] != 0; at = (at + 1) & (engine->thing_size - 1))
		if (engine->things[engine->thing_table[at] - 1].key == key)
			return engine->thing_table[at] - 1;
	engine->things =
		lint_grow(engine->things, &engine->cap_things, engine->n_things + 1, sizeof *engine->things);
	engine->things[engine->n_things] = (struct thing){.kind = (uint8_t)kind, .key = key};
	engine->thing_table[at] = (uint32_t)++engine->n_things;
	return (uint32_t)engine->n_things - 1;
}

static uint32_t symbol_for(struct engine *engine, uint64_t key)
{
	key ^= key >> 32;
	table_grow(&engine->symbol_table, &engine->symbol_size, engine->n_symbols, symbol_key, engine);
	size_t at = key % (engine->symbol_size - 1);
	for (; engine->symbol_table[at] != 0; at = (at + 1) & (engine->symbol_size - 1))
		if (engine->symbols[engine->symbol_table[at] - 1].key == key)
			return engine->symbol_table[at] - 1;
	engine->symbols = lint_grow(engine->symbols, &engine->cap_symbols, engine->n_symbols + 1,
				    sizeof *engine->symbols);
	engine->symbols[engine->n_symbols] = (struct symbol){.key = key};
	engine->symbol_table[at] = (uint32_t)++engine->n_symbols;
	return (uint32_t)engine->n_symbols - 1;
}

static void rename_derived(struct engine *engine, struct state *state, uint32_t first);

/* What the state knows of the symbol was about its earlier self. */
static void rename_symbol(struct engine *engine, struct state *state, uint32_t symbol)
{
	lint_state_rename_symbol(state, symbol, symbol_for(engine, ~engine->symbols[symbol].key));
	rename_derived(engine, state, engine->symbols[symbol].first);
}

/* A link is 1 + 2 * symbol + which of its sides it is derived from. */
static void rename_derived(struct engine *engine, struct state *state, uint32_t first)
{
	for (uint32_t link = first; link != 0; link = engine->symbols[(link - 1) / 2].next[(link - 1) % 2])
		rename_symbol(engine, state, (link - 1) / 2);
}

uint32_t lint_thing_anew(struct engine *engine, struct state *state, enum thing_kind kind, uint64_t key)
{
	size_t before = engine->n_things;
	uint32_t thing = lint_thing(engine, kind, key);
	if (engine->n_things == before && state->iterated) {
		uint32_t twin = lint_thing(engine, THING_BLURRED, key);
		lint_cells_lose(engine, state, thing, 0, 0);
		lint_state_rename_thing(state, thing, twin);
		rename_derived(engine, state, engine->things[thing].first);
		lint_trait(state, twin)->life = LIFE_BLURRED;
	}
	return thing;
}

struct value lint_symbol_anew(struct engine *engine, struct state *state, uint64_t key)
{
	size_t before = engine->n_symbols;
	uint32_t symbol = symbol_for(engine, key);
	if (engine->n_symbols == before && state->iterated)
		rename_symbol(engine, state, symbol);
	return (struct value){.kind = VALUE_SYMBOL, .id = symbol};
}

static void note_derived(struct engine *engine, uint32_t id, uint32_t side, const struct value *from)
{
	struct symbol *symbol = &engine->symbols[id];
	uint32_t *first = from->kind == VALUE_ADDRESS ? &engine->things[from->id].first
						      : &engine->symbols[from->id].first;
	symbol->of[side] = from->id;
	symbol->of_thing[side] = from->kind == VALUE_ADDRESS;
	symbol->next[side] = *first;
	*first = 1 + 2 * id + side;
}

struct value lint_symbol_test(struct engine *engine, enum compare compare, struct value a, struct value b)
{
	/* Only "equal" and "less" have symbols: the other questions are these turned round, or denied. */
	bool swap = compare == CMP_SGT || compare == CMP_UGT || compare == CMP_SLE || compare == CMP_ULE;
	bool deny = compare == CMP_NE || compare == CMP_SLE || compare == CMP_ULE || compare == CMP_SGE ||
		    compare == CMP_UGE;
	uint64_t question = compare == CMP_EQ || compare == CMP_NE ? 1 : compare >= CMP_SLT ? 2 : 3;
	if (swap ||
	    (question == 1 && b.kind != VALUE_NUMBER && (a.id > b.id || (a.id == b.id && a.kind > b.kind)))) {
		struct value t = a;
		a = b;
		b = t;
	}
	uint64_t key = question;
	const uint64_t parts[] = {a.kind, a.id, (uint64_t)a.number, b.kind, b.id, (uint64_t)b.number};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		key = ((key ^ parts[i]) * 0xff51afd7ed558ccdu) ^ key >> 33;
	uint32_t id = symbol_for(engine, key);
	if (!engine->symbols[id].derived) {
		engine->symbols[id].derived = true;
		note_derived(engine, id, 0, &a);
		note_derived(engine, id, 1, b.kind == VALUE_NUMBER ? &a : &b);
	}
	return (struct value){.kind = VALUE_TEST, .compare = deny ? CMP_EQ : CMP_NE, .id = id};
}
