/* memory.c: loads, stores and copies: the cells of a state, and who else can reach what they point to.
 *
 * What was stored is found again at the same offset of the same thing. A store at an unknown offset, or to a thing that
 * stands for several, forgets the thing; a load of what is not known makes a thing or a symbol that the next load finds.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

/* The initial value of a global that nobody writes, or false. */
static bool initial_value(struct engine *engine, const struct thing *thing, int64_t offset, struct value *ret)
{
	const struct global *global = &engine->program->globals[thing->index];
	if (!global->defined || !global->initial_known || (global->written && !global->is_constant))
		return false;
	*ret = number_value(0);
	for (uint32_t i = 0; i < global->n_initials; i++)
		if (global->initials[i].offset == offset)
			*ret = lint_constant(engine, &global->initials[i].value);
	return true;
}

struct value lint_unknown(struct engine *engine, struct frame *frame, struct state *state,
			  const struct insn *insn, uint32_t parent, int64_t offset)
{
	uint64_t key = lint_key(frame, insn, parent * 31 + (uint32_t)offset);
	if (!insn->pointer)
		return insn->width != 0 ? lint_symbol_anew(engine, state, key) : (struct value){0};
	uint32_t thing = lint_thing_anew(engine, state, THING_LOADED, key);
	engine->things[thing].parent = parent;
	engine->things[thing].offset = offset;
	return address_value(thing, 0);
}

bool lint_peek(struct engine *engine, struct state *state, struct value address, int64_t offset,
	       struct value *ret)
{
	if (address.kind != VALUE_ADDRESS || address.number == OFFSET_ANY)
		return false;
	const struct value *cell = lint_cell_find(state, address.id, address.number + offset);
	if (cell != NULL)
		*ret = *cell;
	return cell != NULL ||
	       (engine->things[address.id].kind == THING_GLOBAL &&
		initial_value(engine, &engine->things[address.id], address.number + offset, ret));
}

struct value lint_load(struct engine *engine, struct frame *frame, struct state *state, struct value address,
		       const struct insn *insn)
{
	if (address.kind != VALUE_ADDRESS || address.number == OFFSET_ANY ||
	    engine->things[address.id].kind == THING_BLURRED)
		return lint_unknown(engine, frame, state, insn, NO_THING, 0);
	struct value *cell = lint_cell_find(state, address.id, address.number);
	if (cell != NULL && cell->kind != VALUE_UNKNOWN)
		return *cell;
	struct value value;
	/* A pointer that starts as NULL is set by somebody, in a file that is not here if need be. */
	bool is_whole = engine->program->closed ||
			(engine->things[address.id].kind == THING_GLOBAL &&
			 engine->program->globals[engine->things[address.id].index].is_static);
	if (engine->things[address.id].kind == THING_GLOBAL &&
	    initial_value(engine, &engine->things[address.id], address.number, &value) &&
	    (insn->pointer || insn->width) && (!insn->pointer || value.kind != VALUE_NUMBER || is_whole))
		return value;
	value = lint_unknown(engine, frame, state, insn, address.id, address.number);
	lint_cell_set(state, address.id, address.number, value);
	return value;
}

void lint_escape_thing(struct engine *engine, struct state *state, uint32_t thing)
{
	struct trait *trait = lint_trait(state, thing);
	if (trait->escaped)
		return;
	trait->escaped = true;
	trait->owned = false;
	for (size_t i = 0; i < state->n_cells; i++)
		if (state->cells[i].thing == thing && state->cells[i].value.kind == VALUE_ADDRESS)
			lint_escape_thing(engine, state, state->cells[i].value.id);
}

/* Forgets cells because they may have changed: what they pointed to may live on elsewhere. */
void lint_cells_lose(struct engine *engine, struct state *state, uint32_t thing, int64_t offset,
		     uint64_t size)
{
	for (size_t i = 0; i < state->n_cells; i++)
		if (state->cells[i].thing == thing && state->cells[i].value.kind == VALUE_ADDRESS &&
		    (size == 0 ||
		     (state->cells[i].offset >= offset && state->cells[i].offset < offset + (int64_t)size)))
			lint_escape_thing(engine, state, state->cells[i].value.id);
	lint_cells_forget(state, thing, offset, size);
}

static bool holds_privately(const struct engine *engine, struct state *state, uint32_t thing)
{
	const struct trait *trait = lint_trait_find(state, thing);
	uint8_t kind = engine->things[thing].kind;
	return (kind == THING_LOCAL || kind == THING_NEW) && (trait == NULL || !trait->escaped);
}

void lint_store(struct engine *engine, struct frame *frame, struct state *state, struct value address,
		struct value value, uint64_t size, const struct insn *insn)
{
	if (address.kind != VALUE_ADDRESS) {
		if (value.kind == VALUE_ADDRESS)
			lint_escape_thing(engine, state, value.id);
		return;
	}
	bool blurred = address.number == OFFSET_ANY || engine->things[address.id].kind == THING_BLURRED;
	if (value.kind == VALUE_ADDRESS && engine->things[value.id].kind == THING_LOCAL) {
		struct trait *trait = lint_trait(state, value.id); /* for "its address was stored here" */
		const struct insn *at = insn;
		for (const struct frame *f = frame; f->caller != NULL; f = f->caller)
			at = f->call;
		trait->file = at->file;
		trait->line = at->line;
		trait->column = at->column;
	}
	if (value.kind == VALUE_ADDRESS && (blurred || !holds_privately(engine, state, address.id)) &&
	    (blurred || engine->things[value.id].kind != THING_LOCAL))
		lint_escape_thing(engine, state, value.id);
	if (blurred) {
		lint_cells_lose(engine, state, address.id, 0, 0);
		return;
	}
	lint_cells_forget(state, address.id, address.number, size);
	lint_cell_set(state, address.id, address.number, value);
}

/* Zeroed memory reads as zero in the words that a program looks at; larger blocks are left unknown. */
static void zero_cells(struct state *state, struct value to, uint64_t size)
{
	for (uint64_t at = 0; size <= 512 && at < size; at += 4)
		lint_cell_set(state, to.id, to.number + (int64_t)at, number_value(0));
}

void lint_copy_cells(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn,
		     struct value to, struct value from)
{
	if (to.kind != VALUE_ADDRESS)
		return;
	bool exact = to.number != OFFSET_ANY && from.kind == VALUE_ADDRESS && from.number != OFFSET_ANY &&
		     insn->size > 0;
	if (!exact) {
		lint_cells_lose(engine, state, to.id, 0, 0);
		if (from.kind == VALUE_ADDRESS) /* what it points to is in two places now */
			lint_cells_lose(engine, state, from.id, 0, 0);
		return;
	}
	lint_cells_forget(state, to.id, to.number, insn->size);
	const struct thing *source = &engine->things[from.id];
	if (source->kind == THING_GLOBAL && insn->size <= 256) {
		const struct global *global = &engine->program->globals[source->index];
		if (global->is_constant && global->initial_known && from.number == 0)
			zero_cells(state, to, insn->size);
		for (uint32_t i = 0; i < global->n_initials && global->is_constant; i++)
			lint_store(engine, frame, state,
				   address_value(to.id, to.number + global->initials[i].offset),
				   lint_operand(engine, frame, &global->initials[i].value),
				   global->initials[i].size, insn);
		return;
	}
	size_t n = state->n_cells;
	struct cell *cells = lint_calloc(n + 1, sizeof *cells);
	memcpy(cells, state->cells, n * sizeof *cells);
	for (size_t i = 0; i < n; i++)
		if (cells[i].thing == from.id && cells[i].offset >= from.number &&
		    cells[i].offset < from.number + (int64_t)insn->size)
			lint_store(engine, frame, state,
				   address_value(to.id, to.number + cells[i].offset - from.number),
				   cells[i].value, 1, insn);
	free(cells);
}

void lint_fill_cells(struct engine *engine, struct state *state, const struct insn *insn, struct value to,
		     struct value byte)
{
	if (to.kind != VALUE_ADDRESS)
		return;
	bool exact = to.number != OFFSET_ANY && insn->size > 0;
	if (exact)
		lint_cells_forget(state, to.id, to.number, insn->size);
	else
		lint_cells_lose(engine, state, to.id, 0, 0);
	if (exact && byte.kind == VALUE_NUMBER && byte.number == 0)
		zero_cells(state, to, insn->size);
}
