/* prune.c: drops from a state what the rest of the path cannot reach.
 *
 * A variable that is dead goes first. Then everything is marked that a value of the state, a result that an active
 * caller still holds, or an argument names. The traits and cells of other things go, except of those that outlive the
 * path's knowledge (locals, globals, parameters) and those that somebody still owes a release: that is a leak, and told
 * at the return. Facts go with the last mention of their symbol, those about a comparison with either of its sides.
 */
#include "engine.h"
#include "live.h"

static void drop_dead(const struct engine *engine, const struct frame *frame, struct state *state,
		      uint32_t block)
{
	const struct live *live = frame->live;
	size_t kept = 0;
	for (size_t i = 0; i < state->n_cells; i++) {
		const struct thing *thing = &engine->things[state->cells[i].thing];
		if (thing->kind == THING_LOCAL && thing->depth == frame->depth &&
		    thing->function == frame->function && !lint_is_live(live, block, thing->index))
			continue;
		if (kept != i)
			state->cells[kept] = state->cells[i];
		kept++;
	}
	state->n_cells = kept;
	kept = 0;
	for (size_t i = 0; i < state->n_kept; i++)
		if (state->kept[i].depth != frame->depth || lint_is_live(live, block, state->kept[i].insn))
			state->kept[kept++] = state->kept[i];
	state->n_kept = kept;
}

static inline void mark_value(struct engine *engine, const struct value *value)
{
	if (value->kind < VALUE_ADDRESS)
		return;
	if (value->kind == VALUE_ADDRESS || value->of_thing)
		engine->things[value->id].mark = engine->marks;
	else
		engine->symbols[value->id].mark = engine->marks;
}

/* What the active calls hold outside of the state: arguments, and results of the blocks that they are in. */
static void mark_frames(struct engine *engine, const struct frame *frame)
{
	for (; frame != NULL; frame = frame->caller)
		for (size_t i = 0; i < frame->n_held; i++)
			mark_value(engine, &frame->held[i]);
}

/* A container is needed by what points into it and by its iterators. */
static void mark_containers(struct engine *engine, const struct state *state)
{
	for (size_t i = 0; i < state->n_traits; i++) {
		const struct trait *trait = &state->traits[i];
		const struct thing *thing = &engine->things[trait->thing];
		if (trait->iterates != 0)
			engine->things[trait->iterates - 1].mark = engine->marks;
		if (thing->kind == THING_BORROWED && thing->mark == engine->marks &&
		    thing->parent != NO_THING)
			engine->things[thing->parent].mark = engine->marks;
	}
}

static bool stays(const struct engine *engine, const struct thing *thing)
{
	return thing->mark == engine->marks || thing->kind == THING_LOCAL || thing->kind == THING_GLOBAL ||
	       thing->kind == THING_PARAM || thing->kind == THING_FUNCTION;
}

static void drop_unmarked(const struct engine *engine, struct state *state)
{
	size_t kept = 0;
	for (size_t i = 0; i < state->n_traits; i++)
		if (state->traits[i].owned || stays(engine, &engine->things[state->traits[i].thing])) {
			if (kept != i)
				state->traits[kept] = state->traits[i];
			kept++;
		}
	state->n_traits = kept;
	kept = 0;
	for (size_t i = 0; i < state->n_facts; i++) {
		const struct symbol *symbol = &engine->symbols[state->facts[i].symbol];
		bool needed = symbol->mark == engine->marks || symbol->derived;
		for (int side = 0; side < 2 && needed && symbol->mark != engine->marks; side++)
			needed = symbol->of_thing[side]
					 ? stays(engine, &engine->things[symbol->of[side]])
					 : engine->symbols[symbol->of[side]].mark == engine->marks;
		if (needed)
			state->facts[kept++] = state->facts[i];
	}
	state->n_facts = kept;
}

void lint_prune(struct engine *engine, const struct frame *frame, struct state *state, uint32_t block)
{
	drop_dead(engine, frame, state, block);
	engine->marks++;
	for (size_t i = 0; i < state->n_cells; i++)
		mark_value(engine, &state->cells[i].value);
	for (size_t i = 0; i < state->n_kept; i++)
		mark_value(engine, &state->kept[i].value);
	mark_frames(engine, frame);
	mark_containers(engine, state);
	drop_unmarked(engine, state);
}
