/* engine.c: frames, pending blocks, jumps, and the order of the roots: see engine.h. */
#include "engine.h"
#include "live.h"

#include <stdlib.h>

/* Instructions for one root. Lua's main loop, the largest function among our tests, takes 30,000. */
#define STEPS_MAX 30000
/* States that may wait at one block. Beyond STATES_STRICT they are merged more freely. */
#define STATES_MAX    12
#define STATES_STRICT 4
/* Rounds of a loop that are followed as they are. */
#define ROUNDS_EXACT 2

struct pending {
	struct state **states;
	size_t n, capacity;
};

/* --- Results that cross blocks ------------------------------------------------------------------------------------ */

static const struct live *live_of(struct engine *engine, const struct function *function)
{
	struct live **slot = &engine->live[function->index];
	if (*slot == NULL)
		*slot = lint_live_solve(function->body);
	return *slot;
}

void lint_set_result(struct frame *frame, struct state *state, const struct insn *insn, struct value value)
{
	uint32_t index = (uint32_t)(insn - frame->body->insns);
	frame->temps[index] = value;
	if (frame->live->crosses[index])
		lint_kept_set(state, frame->depth, index, value);
}

static void load_kept(struct frame *frame, const struct state *state)
{
	for (size_t i = 0; i < state->n_kept; i++)
		if (state->kept[i].depth == frame->depth)
			frame->temps[state->kept[i].insn] = state->kept[i].value;
}

/* --- Pending blocks ---------------------------------------------------------------------------------------------- */

static struct loop_count *loop_of(struct state *state, uint32_t depth, uint32_t block)
{
	for (size_t i = 0; i < state->n_loops; i++)
		if (state->loops[i].block == block && state->loops[i].depth == depth)
			return &state->loops[i];
	state->loops = lint_grow(state->loops, &state->cap_loops, state->n_loops + 1, sizeof *state->loops);
	state->loops[state->n_loops] = (struct loop_count){.block = block, .depth = depth};
	return &state->loops[state->n_loops++];
}

/* What the last round wrote is not known after many rounds: numbers are forgotten, pointers keep their thing. */
static void widen(struct state *state, uint32_t since)
{
	size_t kept = 0;
	for (size_t i = 0; i < state->n_cells; i++) {
		struct cell *cell = &state->cells[i];
		if (cell->stamp > since && cell->value.kind == VALUE_ADDRESS)
			cell->value.number = cell->value.number == 0 ? 0 : OFFSET_ANY;
		else if (cell->stamp > since)
			continue;
		state->cells[kept++] = *cell;
	}
	state->n_cells = kept;
}

/* Counts rounds; false when the loop has been followed far enough. */
static bool enter_loop(struct frame *frame, struct state *state, uint32_t from, uint32_t to)
{
	const struct body *body = frame->body;
	if (!body->blocks[to].loop_head)
		return true;
	struct loop_count *loop = loop_of(state, frame->depth, to);
	if (body->blocks[from].order < body->blocks[to].order) { /* from outside */
		loop->count = 1;
		loop->stamp = state->stamp;
		return true;
	}
	state->iterated = true;
	uint32_t since = loop->stamp;
	loop->count++;
	loop->stamp = state->stamp;
	if (loop->count == ROUNDS_EXACT + 1)
		widen(state, since);
	return loop->count <= ROUNDS_EXACT + 1;
}

static void set_phis(struct engine *engine, struct frame *frame, struct state *state, uint32_t from,
		     uint32_t to)
{
	const struct block *block = &frame->body->blocks[to];
	struct value values[16];
	uint32_t n = 0;
	for (uint32_t i = block->first;
	     i < block->first + block->n && frame->body->insns[i].op == OP_PHI && n < 16; i++, n++) {
		const struct insn *phi = &frame->body->insns[i];
		values[n] = (struct value){0};
		for (uint32_t o = 0; o < phi->n_operands; o++)
			if (frame->body->targets[phi->targets + o] == from)
				values[n] = lint_operand(engine, frame, operand_of(frame->body, phi, o));
	}
	for (uint32_t i = 0; i < n; i++)
		lint_kept_set(state, frame->depth, block->first + i, values[i]);
}

/* The state, which is consumed, waits at block `to`. */
static void push(struct engine *engine, struct frame *frame, struct state *state, uint32_t from, uint32_t to)
{
	set_phis(engine, frame, state, from, to);
	if (!enter_loop(frame, state, from, to)) {
		lint_state_free(state);
		return;
	}
	if (frame->live->is_join[to])
		lint_prune(engine, frame, state, to);
	struct pending *pending = &frame->pending[to];
	uint32_t place = frame->body->blocks[to].order;
	frame->next = place < frame->next ? place : frame->next;
	for (size_t i = 0; i < pending->n; i++)
		if (lint_merge(engine, pending->states[i], state, pending->n >= STATES_STRICT)) {
			lint_state_free(state);
			return;
		}
	if (pending->n == STATES_MAX) {
		engine->over_states = true;
		lint_state_free(state);
		return;
	}
	pending->states = lint_grow(pending->states, &pending->capacity, pending->n + 1, sizeof(void *));
	pending->states[pending->n++] = state;
}

/* --- Jumps --------------------------------------------------------------------------------------------------------- */

static void branch(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn)
{
	struct value condition = lint_operand(engine, frame, operand_of(frame->body, insn, 0));
	const uint32_t *targets = &frame->body->targets[insn->targets];
	struct state *other = lint_state_copy(state);
	bool can_be_true = lint_assume(engine, state, condition, true),
	     can_be_false = lint_assume(engine, other, condition, false);
	state->forks += can_be_true && can_be_false;
	other->forks += can_be_true && can_be_false;
	if (can_be_true)
		push(engine, frame, state, insn->block, targets[0]);
	else
		lint_state_free(state);
	if (can_be_false)
		push(engine, frame, other, insn->block, targets[1]);
	else
		lint_state_free(other);
}

static struct value equals(struct value value, int64_t number)
{
	if (value.kind == VALUE_NUMBER)
		return (struct value){.kind = VALUE_NUMBER, .number = value.number == number};
	if (value.kind == VALUE_SYMBOL)
		return (struct value){.kind = VALUE_TEST,
				      .compare = CMP_EQ,
				      .id = value.id,
				      .number = number - value.number};
	return (struct value){0};
}

static void multiway(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn)
{
	struct value value = lint_operand(engine, frame, operand_of(frame->body, insn, 0));
	const uint32_t *targets = &frame->body->targets[insn->targets];
	bool open = true; /* the default can still be reached */
	for (uint32_t i = 1; i < insn->n_targets && open; i++) {
		struct value test = (struct value){0};
		if (i < insn->n_operands)
			test = equals(value, operand_of(frame->body, insn, i)->number);
		struct state *taken = lint_state_copy(state);
		bool can_be_taken = lint_assume(engine, taken, test, true);
		open = lint_assume(engine, state, test, false);
		taken->forks += open;
		state->forks += can_be_taken;
		if (can_be_taken)
			push(engine, frame, taken, insn->block, targets[i]);
		else
			lint_state_free(taken);
	}
	if (open && insn->n_targets > 0)
		push(engine, frame, state, insn->block, targets[0]);
	else
		lint_state_free(state);
}

static void leave(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn)
{
	state->result = insn->n_operands > 0 ? lint_operand(engine, frame, operand_of(frame->body, insn, 0))
					     : (struct value){0};
	lint_check_return(engine, frame, state, insn);
	frame->results = lint_grow(frame->results, &frame->cap_results, frame->n_results + 1, sizeof(void *));
	frame->results[frame->n_results++] = state;
}

static void run_from(struct engine *engine, struct frame *frame, struct state *state, uint32_t at);

static void run_call(struct engine *engine, struct frame *frame, struct state *state, uint32_t at)
{
	struct state_list after = {0};
	const struct insn *insn = &frame->body->insns[at];
	lint_call(engine, frame, state, insn, &after);
	for (size_t i = 0; i < after.n; i++)
		if (insn->no_return) {
			lint_state_free(after.items[i]);
		} else {
			if (insn->width != 0 || insn->carrier)
				lint_set_result(frame, after.items[i], insn, after.items[i]->result);
			run_from(engine, frame, after.items[i], at + 1);
		}
	free(after.items);
}

/* Runs the rest of a block; the state is consumed. */
static void run_from(struct engine *engine, struct frame *frame, struct state *state, uint32_t at)
{
	for (;; at++) {
		const struct insn *insn = &frame->body->insns[at];
		engine->depth = frame->depth;
		if (++engine->steps > STEPS_MAX) {
			engine->over_steps = true;
			lint_state_free(state);
			return;
		}
		switch (insn->op) {
		case OP_CALL: run_call(engine, frame, state, at); return;
		case OP_RETURN: leave(engine, frame, state, insn); return;
		case OP_BRANCH: branch(engine, frame, state, insn); return;
		case OP_SWITCH: multiway(engine, frame, state, insn); return;
		case OP_JUMP:
			push(engine, frame, state, insn->block, frame->body->targets[insn->targets]);
			return;
		case OP_UNREACHABLE: lint_state_free(state); return;
		default: break;
		}
		if (!lint_eval(engine, frame, state, insn)) { /* a rule ended the path */
			lint_state_free(state);
			return;
		}
	}
}

static bool run_next(struct engine *engine, struct frame *frame)
{
	for (uint32_t i = frame->next; i < frame->body->n_order; i++) {
		uint32_t block = frame->body->order[i];
		struct pending *pending = &frame->pending[block];
		if (pending->n == 0)
			continue;
		frame->next = i + 1;
		struct pending now = *pending;
		*pending = (struct pending){0};
		for (size_t s = 0; s < now.n; s++) {
			load_kept(frame, now.states[s]);
			run_from(engine, frame, now.states[s], frame->body->blocks[block].first);
		}
		free(now.states);
		return true;
	}
	return false;
}

/* --- Frames --------------------------------------------------------------------------------------------------------- */

/* What a callee made is its caller's business when it is the result. Otherwise it was stored somewhere, or lost, which
 * is told where the callee is the root.
 */
static void give_up_ownership(struct engine *engine, const struct frame *frame, struct state *state)
{
	for (size_t i = 0; frame->depth > 0 && i < state->n_traits; i++) {
		struct trait *trait = &state->traits[i];
		struct thing *thing = &engine->things[trait->thing];
		if (thing->kind != THING_NEW || thing->depth != frame->depth)
			continue;
		if (state->result.kind == VALUE_ADDRESS && state->result.id == trait->thing)
			thing->depth--;
		else if (trait->owned)
			lint_escape_thing(engine, state, trait->thing);
	}
}

/* Locals of a frame that has ended are gone; a pointer to one that somebody kept is a mistake when it is used. */
static void end_frame(struct engine *engine, const struct frame *frame, struct state *state)
{
	size_t kept = 0;
	for (size_t i = 0; i < state->n_cells; i++) {
		const struct thing *thing = &engine->things[state->cells[i].thing];
		if (thing->kind == THING_LOCAL && thing->depth == frame->depth)
			continue;
		state->cells[kept++] = state->cells[i];
	}
	state->n_cells = kept;
	kept = 0;
	for (size_t i = 0; i < state->n_kept; i++)
		if (state->kept[i].depth < frame->depth)
			state->kept[kept++] = state->kept[i];
	state->n_kept = kept;
	kept = 0;
	for (size_t i = 0; i < state->n_loops; i++)
		if (state->loops[i].depth < frame->depth)
			state->loops[kept++] = state->loops[i];
	state->n_loops = kept;
	kept = 0;
	for (size_t i = 0; i < state->n_traits; i++) {
		const struct thing *thing = &engine->things[state->traits[i].thing];
		if (thing->kind != THING_LOCAL || thing->depth != frame->depth)
			state->traits[kept++] = state->traits[i];
	}
	state->n_traits = kept;
	give_up_ownership(engine, frame, state);
	for (size_t i = 0; i <= state->n_cells; i++) {
		const struct value *value = i < state->n_cells ? &state->cells[i].value : &state->result;
		if (value->kind != VALUE_ADDRESS)
			continue;
		const struct thing *thing = &engine->things[value->id];
		if (thing->kind == THING_LOCAL && thing->depth == frame->depth)
			lint_trait(state, value->id)->life = LIFE_RETURNED;
	}
}

/* Arguments, and the results of the caller's block that come before the call. */
static void note_held(struct frame *frame)
{
	const struct frame *caller = frame->caller;
	uint32_t from = caller != NULL ? caller->body->blocks[frame->call->block].first : 0;
	uint32_t to = caller != NULL ? (uint32_t)(frame->call - caller->body->insns) : 0;
	frame->held = lint_calloc(frame->function->n_params + to - from, sizeof *frame->held);
	for (uint32_t i = 0; i < frame->function->n_params; i++)
		if (frame->params[i].kind >= VALUE_ADDRESS)
			frame->held[frame->n_held++] = frame->params[i];
	for (uint32_t i = from; i < to; i++)
		if (caller->temps[i].kind >= VALUE_ADDRESS)
			frame->held[frame->n_held++] = caller->temps[i];
}

void lint_explore(struct engine *engine, struct frame *caller, const struct insn *call,
		  const struct function *function, const struct value *params, struct state *state,
		  struct state_list *ret)
{
	const struct body *body = function->body;
	/* neap-lint: allow dangling-stack: only frames that it calls point to it; states hold copies */
	struct frame frame = {.caller = caller,
			      .call = call,
			      .function = function,
			      .body = body,
			      .params = params,
			      .live = live_of(engine, function)};
	frame.depth = caller == NULL ? 0 : caller->depth + 1;
	frame.chain = caller == NULL ? 1 : lint_key(caller, call, 17);
	frame.temps = lint_calloc(body->n_insns + 1, sizeof *frame.temps);
	frame.pending = lint_calloc(body->n_blocks, sizeof *frame.pending);
	frame.next = body->n_order;
	frame.forks = frame.depth <= 1 ? state->forks : caller->forks;
	note_held(&frame);
	for (uint32_t i = 0; i < frame.live->n_locals; i++) {
		uint32_t local = frame.live->locals[i];
		uint32_t thing = lint_thing(engine, THING_LOCAL, lint_key(&frame, &body->insns[local], 0));
		engine->things[thing].index = local;
		engine->things[thing].function = function;
		engine->things[thing].depth = frame.depth;
		frame.temps[local] = (struct value){.kind = VALUE_ADDRESS, .id = thing};
	}
	run_from(engine, &frame, state, body->blocks[0].first);
	while (!engine->over_steps && run_next(engine, &frame))
		;
	for (uint32_t b = 0; b < body->n_blocks; b++) {
		for (size_t s = 0; s < frame.pending[b].n; s++)
			lint_state_free(frame.pending[b].states[s]);
		free(frame.pending[b].states);
	}
	for (size_t i = 0; i < frame.n_results; i++) {
		end_frame(engine, &frame, frame.results[i]);
		bool merged = false;
		for (size_t r = 0; r < ret->n && !merged; r++)
			merged = same_value(&ret->items[r]->result, &frame.results[i]->result) &&
				 lint_merge(engine, ret->items[r], frame.results[i], ret->n >= STATES_STRICT);
		if (merged)
			lint_state_free(frame.results[i]);
		else
			lint_list_add(ret, frame.results[i]);
	}
	free(frame.results);
	free(frame.held);
	free(frame.pending);
	free(frame.temps);
}

void lint_list_add(struct state_list *list, struct state *state)
{
	list->items = lint_grow(list->items, &list->capacity, list->n + 1, sizeof(void *));
	list->items[list->n++] = state;
}
