/* invoke.c: what a call does to a state.
 *
 * In this order: a row of a table, since it states a contract; the body, when it is small, with what the caller
 * knows; the summary of the body; and for code that is not visible, the assumption that it releases nothing,
 * keeps everything it is given, and may have written to it.
 */
#include "engine.h"
#include "escape.h"
#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/pool.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A body up to this long is followed where it is called; the wrappers that people write are shorter. */
#define INLINE_INSNS 300
#define INLINE_DEPTH 5
/* A check, must(p != NULL), is followed still deeper: a summary has no words for what holds after it. */
#define CHECK_INSNS 30
#define CHECK_DEPTH (INLINE_DEPTH + 2)
/* A call is followed while the steps of the root, and those that exploring the callee alone took, are not more than this:
 * the rest of the budget is the root's own.
 */
#define FOLLOW_STEPS 6000
/* Things reached from an argument are forgotten to this depth: head, node, next node. */
#define HAVOC_DEPTH 3

/* Where the library puts what the analysis looks at. */
#define STRICT_ITERATION_OFFSET ((int64_t)offsetof(struct neap_map_options, strict_iteration))
#define ITER_KEY_OFFSET		((int64_t)offsetof(struct neap_map_iter, key))
#define ITER_VALUE_OFFSET	((int64_t)offsetof(struct neap_map_iter, value))
#define POOL_CREATE_OFFSET	((int64_t)offsetof(struct neap_pool_type, create))
#define POOL_RESET_OFFSET	((int64_t)offsetof(struct neap_pool_type, reset))
static_assert(offsetof(struct neap_hmap_iter, key) == offsetof(struct neap_map_iter, key) &&
		      offsetof(struct neap_hmap_iter, value) == offsetof(struct neap_map_iter, value),
	      "both kinds of iterator begin with key and value");

struct invocation {
	struct engine *engine;
	struct frame *frame;
	const struct insn *insn;
	const struct function *callee; /* NULL: not known */
	const struct effects *effects; /* NULL: not known */
	const char *name;
	struct value args[ARGS_MAX];
	uint32_t n_args; /* all of them, some may be past ARGS_MAX */
};

void lint_havoc_thing(struct engine *engine, struct state *state, uint32_t thing, uint32_t depth)
{
	uint32_t reached[32], n = 0;
	const struct thing *what = &engine->things[thing];
	if (what->kind == THING_FUNCTION ||
	    (what->kind == THING_GLOBAL && engine->program->globals[what->index].is_constant))
		return;
	for (size_t i = 0; i < state->n_cells && n < 32; i++)
		if (state->cells[i].thing == thing && state->cells[i].value.kind == VALUE_ADDRESS &&
		    state->cells[i].value.id != thing)
			reached[n++] = state->cells[i].value.id;
	lint_cells_lose(engine, state, thing, 0, 0);
	for (uint32_t i = 0; i < n && depth < HAVOC_DEPTH; i++)
		lint_havoc_thing(engine, state, reached[i], depth + 1);
}

static void havoc_globals(struct engine *engine, struct state *state)
{
	for (size_t i = state->n_cells; i-- > 0;) {
		if (i >= state->n_cells)
			continue;
		const struct thing *thing = &engine->things[state->cells[i].thing];
		if (thing->kind == THING_GLOBAL && !engine->program->globals[thing->index].is_constant)
			lint_cells_lose(engine, state, state->cells[i].thing, 0, 0);
	}
}

/* Where the root itself makes happen what happens in this frame. */
static const struct insn *root_place(const struct frame *frame, const struct insn *insn)
{
	for (; frame->caller != NULL; frame = frame->caller)
		insn = frame->call;
	return insn;
}

static struct value new_thing(const struct invocation *v, struct state *state, enum thing_kind kind,
			      const char *family, uint32_t salt)
{
	uint32_t id = lint_thing_anew(v->engine, state, kind, lint_key(v->frame, v->insn, 100 + salt));
	struct thing *thing = &v->engine->things[id];
	thing->family = family;
	thing->function = v->frame->function;
	thing->depth = v->frame->depth;
	thing->index = (uint32_t)(v->insn - v->frame->body->insns);
	struct trait *trait = lint_trait(state, id);
	*trait = (struct trait){.thing = id};
	trait->owned = kind == THING_NEW;
	trait->made_line = root_place(v->frame, v->insn)->line;
	trait->made_column = root_place(v->frame, v->insn)->column;
	trait->file = v->insn->file;
	trait->line = v->insn->line;
	return (struct value){.kind = VALUE_ADDRESS, .id = id};
}

/* --- Containers ---------------------------------------------------------------------------------------------------- */

/* What points into the container, and iterators over it, are not what they were. */
static void change_container(struct engine *engine, struct state *state, uint32_t container,
			     enum change change, const struct insn *insn)
{
	static const uint8_t lives[] = {
		[CHANGE_INSERT] = LIFE_MOVED, [CHANGE_DELETE] = LIFE_DELETED, [CHANGE_CLEAR] = LIFE_CLEARED};
	for (size_t i = 0; i < state->n_traits; i++) {
		struct trait *trait = &state->traits[i];
		const struct thing *thing = &engine->things[trait->thing];
		if (thing->kind == THING_BORROWED && thing->parent == container && trait->life == LIFE_LIVE) {
			trait->life = lives[change];
			trait->file = insn->file;
			trait->line = insn->line;
		}
		if (trait->iterates == container + 1 && trait->change == CHANGE_NONE) {
			trait->change = (uint8_t)change;
			trait->file = insn->file;
			trait->line = insn->line;
		}
	}
	lint_trait(state, container)->change = (uint8_t)change;
}

static void end_borrows(struct engine *engine, struct state *state, uint32_t container,
			const struct insn *insn)
{
	for (size_t i = 0; i < state->n_traits; i++) {
		struct trait *trait = &state->traits[i];
		const struct thing *thing = &engine->things[trait->thing];
		if (thing->kind == THING_BORROWED && thing->parent == container && trait->life == LIFE_LIVE) {
			trait->life = LIFE_FREED;
			trait->file = insn->file;
			trait->line = insn->line;
		}
	}
}

static struct value borrow(const struct invocation *v, struct state *state, struct value container,
			   bool maybe_null, uint32_t salt)
{
	struct value value = new_thing(v, state, THING_BORROWED, NULL, salt);
	if (container.kind == VALUE_ADDRESS)
		v->engine->things[value.id].parent = container.id;
	else
		v->engine->things[value.id].parent = NO_THING;
	lint_trait(state, value.id)->null = maybe_null ? NULLNESS_MAYBE : NULLNESS_NOT;
	return value;
}

static void iterate(const struct invocation *v, struct state *state, int i, int container)
{
	struct value iterator = v->args[i];
	if (iterator.kind != VALUE_ADDRESS || v->args[container].kind != VALUE_ADDRESS)
		return;
	struct trait *trait = lint_trait(state, iterator.id);
	trait->iterates = v->args[container].id + 1;
	trait->change = CHANGE_NONE;
	trait->scans = v->effects->args[i].scans;
}

static void step(const struct invocation *v, struct state *state, int i)
{
	struct value iterator = v->args[i];
	lint_check_iterator(v->engine, v->frame, state, v->insn, iterator);
	if (iterator.kind != VALUE_ADDRESS || iterator.number == OFFSET_ANY)
		return;
	const struct trait *trait = lint_trait_find(state, iterator.id);
	struct value container = {0};
	if (trait != NULL && trait->iterates != 0)
		container = (struct value){.kind = VALUE_ADDRESS, .id = trait->iterates - 1};
	lint_cell_set(state, iterator.id, iterator.number + ITER_KEY_OFFSET,
		      borrow(v, state, container, false, 1));
	lint_cell_set(state, iterator.id, iterator.number + ITER_VALUE_OFFSET,
		      borrow(v, state, container, false, 2));
}

/* --- Arguments ----------------------------------------------------------------------------------------------------- */

static const struct operand *argument(const struct invocation *v, uint32_t i)
{
	return operand_of(v->frame->body, v->insn, i);
}

static bool is_row(const struct invocation *v)
{
	return v->callee != NULL && v->callee->known != NULL;
}

/* Of variable arguments only the operand says whether a 0 is a pointer. */
static bool is_pointer_argument(const struct invocation *v, uint32_t i)
{
	const struct operand *operand = argument(v, i);
	return operand->kind == OPERAND_NULL ||
	       (operand->kind == OPERAND_VALUE && v->frame->body->insns[operand->index].pointer);
}

/* Uses that the callee makes of its arguments; false when the path ends there. */
static bool use_arguments(const struct invocation *v, struct state *state)
{
	for (uint32_t i = 0; i < v->n_args && i < ARGS_MAX; i++) {
		const struct arg_effects *arg = v->effects != NULL ? &v->effects->args[i] : NULL;
		struct value value = v->args[i];
		const struct trait *trait =
			value.kind == VALUE_ADDRESS ? lint_trait_find(state, value.id) : NULL;
		bool dead = trait != NULL && trait->life != LIFE_LIVE;
		bool null = value.kind == VALUE_NUMBER && value.number == 0 && is_pointer_argument(v, i);
		if (arg == NULL && !dead)
			continue; /* handing a dead pointer to unseen code is a use; NULL may be meant */
		if (arg != NULL && !arg->reads && !arg->writes && arg->change == CHANGE_NONE &&
		    arg->iterates < 0)
			continue;
		if (arg != NULL && arg->null_ok && (null || !dead))
			continue; /* read only when it is not NULL */
		if (value.kind != VALUE_ADDRESS && !null)
			continue;
		if (dead && trait->null == NULLNESS_NULL)
			continue;
		if (!lint_check_use(v->engine, v->frame, state, v->insn, argument(v, i), value, v->name))
			return false;
	}
	return true;
}

/* Something of another argument is stored where this one points to, and it is no container. */
static bool is_stored_into(const struct effects *effects, int i)
{
	bool stored = false;
	for (int other = 0; other < ARGS_MAX; other++)
		stored |= effects->args[other].into[i] != NEVER;
	return stored && effects->args[i].change == CHANGE_NONE && effects->makes == NULL;
}

static void apply_argument(const struct invocation *v, struct state *state, int i)
{
	const struct arg_effects *arg = &v->effects->args[i];
	struct value value = v->args[i];
	if (arg->frees)
		lint_check_release(v->engine, v->frame, state, v->insn, argument(v, (uint32_t)i), value,
				   arg->family);
	if (arg->put_pool >= 0)
		lint_check_pool_put(v->engine, v->frame, state, v->insn, argument(v, (uint32_t)i), value,
				    v->args[arg->put_pool]);
	if (value.kind != VALUE_ADDRESS)
		return;
	if (arg->frees)
		end_borrows(v->engine, state, value.id, v->insn);
	if (arg->may_free)
		lint_trait(state, value.id)->life = LIFE_BLURRED;
	if (arg->change != CHANGE_NONE)
		change_container(v->engine, state, value.id, arg->change, v->insn);
	if (arg->change != CHANGE_NONE || (arg->reads && i == 0)) {
		bool changes = arg->change != CHANGE_NONE;
		lint_sharing_access(v->engine, v->frame, state, v->insn, (uint32_t)i, changes);
		if (is_row(v) && strncmp(v->name, "neap_", 5) == 0)
			lint_threads_use(v->engine, v->frame, state, v->insn, (uint32_t)i, value, changes);
	}
	if (arg->iterates >= 0)
		iterate(v, state, i, arg->iterates);
	if (arg->steps)
		step(v, state, i);
	if (arg->resets)
		lint_trait(state, value.id)->change = CHANGE_CLEAR;
	/* A result that may be the argument, by a summary: not surely, so the caller may or may not own it now. */
	bool given_back = arg->result == 0 && (v->insn->result_stored || !is_row(v));
	bool kept = arg->heap == 0 || arg->keeps || given_back;
	for (int j = 0; j < ARGS_MAX; j++)
		kept |= arg->into[j] == 0;
	if (kept)
		lint_escape_thing(v->engine, state, value.id);
	/* The content of an argument that goes somewhere: what its cells point to can be reached from there. A function that
	 * releases more than memory takes care of what its object leads to.
	 */
	bool content_kept = arg->heap > 0 || (arg->result > 0 && v->insn->result_stored) ||
			    (arg->frees && strcmp(arg->family, "malloc") != 0);
	for (int j = 0; j < ARGS_MAX; j++)
		content_kept |= arg->into[j] > 0;
	for (size_t c = 0; content_kept && c < state->n_cells; c++)
		if (state->cells[c].thing == value.id && state->cells[c].value.kind == VALUE_ADDRESS)
			lint_escape_thing(v->engine, state, state->cells[c].value.id);
	if ((arg->writes && !arg->steps) || !is_row(v) || is_stored_into(v->effects, i))
		lint_havoc_thing(v->engine, state, value.id, 0);
}

/* --- Results -------------------------------------------------------------------------------------------------------- */

/* Before a function of a recursion is explored, its summary only says that something new may be the result. */
static bool is_explored(const struct function *function)
{
	return function == NULL || function->body == NULL || function->known != NULL || function->steps != 0;
}

static struct value result_of(const struct invocation *v, struct state *state)
{
	const struct effects *effects = v->effects;
	if (effects != NULL && effects->makes != NULL && v->insn->pointer) {
		struct value value = new_thing(v, state, THING_NEW, effects->makes, 0);
		struct trait *trait = lint_trait(state, value.id);
		trait->null = effects->maybe_null ? NULLNESS_MAYBE : NULLNESS_NOT;
		trait->owned &= !effects->collected && is_explored(v->callee);
		if (effects->typed >= 0 && (uint32_t)effects->typed < v->n_args)
			lint_barrier_made(v->engine, state, value, v->args[effects->typed]);
		return value;
	}
	if (effects != NULL && effects->borrows >= 0 && (uint32_t)effects->borrows < v->n_args)
		return borrow(v, state, v->args[effects->borrows], effects->maybe_null, 0);
	for (uint32_t i = 0; effects != NULL && i < v->n_args && i < ARGS_MAX; i++)
		if (effects->args[i].result == 0 && is_row(v) && v->args[i].kind == VALUE_ADDRESS) {
			struct value value = v->args[i];
			value.number = effects->maybe_null ? OFFSET_ANY : value.number;
			return value;
		}
	if (v->insn->pointer) {
		struct value value = new_thing(v, state, THING_RESULT, NULL, 3);
		if (effects != NULL && effects->never_null)
			lint_trait(state, value.id)->null = NULLNESS_NOT;
		return value;
	}
	if (v->insn->width != 0)
		return lint_symbol_anew(v->engine, state, lint_key(v->frame, v->insn, 4));
	return (struct value){0};
}

/* A map that forbids changes while iterating says so in the options it was made with. */
static void note_strict(const struct invocation *v, struct state *state, struct value map)
{
	if (strcmp(v->name, "neap_map_create") != 0 || v->args[1].kind != VALUE_ADDRESS)
		return;
	const struct value *strict =
		lint_cell_find(state, v->args[1].id, v->args[1].number + STRICT_ITERATION_OFFSET);
	if (strict != NULL && strict->kind == VALUE_NUMBER && strict->number != 0)
		lint_trait(state, map.id)->strict = true;
}

/* A pool whose type says how to make an object and not how to reset one. */
static void note_pool(const struct invocation *v, struct state *state, struct value pool)
{
	int8_t described_by = v->effects->pools;
	struct value create, reset;
	if (described_by < 0 || (uint32_t)described_by >= v->n_args)
		return;
	if (lint_peek(v->engine, state, v->args[described_by], POOL_CREATE_OFFSET, &create) &&
	    lint_peek(v->engine, state, v->args[described_by], POOL_RESET_OFFSET, &reset))
		lint_trait(state, pool.id)->no_reset =
			create.kind == VALUE_ADDRESS && reset.kind == VALUE_NUMBER && reset.number == 0;
}

/* realloc and its like, by a row: on failure NULL, and the old object is as it was. A summary that says "free" has seen
 * it on every path, and what is taken is taken for good.
 */
static struct state *failed_twin(const struct invocation *v, const struct state *state)
{
	int released = -1;
	for (int i = 0; i < ARGS_MAX; i++)
		if (v->effects->args[i].frees && !v->effects->args[i].taken)
			released = i;
	if (released < 0 || !is_row(v) || v->effects->makes == NULL ||
	    v->args[released].kind != VALUE_ADDRESS)
		return NULL;
	struct state *failed = lint_state_copy(state);
	failed->result = (struct value){.kind = VALUE_NUMBER};
	failed->forks++;
	return failed;
}

static void apply(const struct invocation *v, struct state *state, struct state_list *ret)
{
	struct state *failed = failed_twin(v, state);
	lint_threads_wait(state, v->name);
	for (uint32_t i = 0; i < v->n_args && i < ARGS_MAX; i++)
		apply_argument(v, state, (int)i);
	if (!is_row(v))
		havoc_globals(v->engine, state);
	state->result = result_of(v, state);
	state->tried |= v->effects->makes != NULL && v->effects->maybe_null;
	if (v->effects->makes != NULL && state->result.kind == VALUE_ADDRESS) {
		note_strict(v, state, state->result);
		note_pool(v, state, state->result);
		if (failed != NULL)
			lint_trait(state, state->result.id)->null = NULLNESS_NOT;
	}
	for (uint32_t i = 0; i < ARGS_MAX; i++) {
		state->locks += v->effects->args[i].locks;
		state->locks -= v->effects->args[i].unlocks && state->locks > 0;
	}
	if (failed == NULL)
		failed = lint_threads_start(v->engine, state, v->effects, v->args, v->n_args);
	state->forks += failed != NULL;
	lint_list_add(ret, state);
	if (failed != NULL)
		lint_list_add(ret, failed);
}

static void apply_unseen(const struct invocation *v, struct state *state, struct state_list *ret)
{
	for (uint32_t i = 0; i < v->n_args; i++) {
		struct value value = lint_operand(v->engine, v->frame, argument(v, i));
		if (value.kind != VALUE_ADDRESS)
			continue;
		lint_escape_thing(v->engine, state, value.id);
		lint_havoc_thing(v->engine, state, value.id, 0);
	}
	havoc_globals(v->engine, state);
	/* Others may also change what escaped before. */
	for (size_t i = 0; i < state->n_traits; i++) {
		const struct thing *thing = &v->engine->things[state->traits[i].thing];
		if (state->traits[i].escaped && thing->kind != THING_GLOBAL)
			lint_cells_lose(v->engine, state, state->traits[i].thing, 0, 0);
	}
	state->result = result_of(v, state);
	lint_list_add(ret, state);
}

static bool is_active(const struct frame *frame, const struct function *function)
{
	for (; frame != NULL; frame = frame->caller)
		if (frame->function == function)
			return true;
	return false;
}

/* A check: a short body in which the process may end. */
static bool is_check(const struct body *body)
{
	for (uint32_t i = 0; body->n_insns <= CHECK_INSNS && i < body->n_insns; i++)
		if (body->insns[i].op == OP_UNREACHABLE)
			return true;
	return false;
}

static bool worth_following(const struct invocation *v)
{
	const struct function *callee = v->callee;
	if (callee->body == NULL || callee->known != NULL || callee->variadic ||
	    is_active(v->frame, callee) || callee->n_params != v->n_args)
		return false;
	return (callee->body->n_insns <= INLINE_INSNS && v->frame->depth < INLINE_DEPTH &&
		v->engine->steps + callee->steps < FOLLOW_STEPS) ||
	       (v->frame->depth < CHECK_DEPTH && is_check(callee->body));
}

/* NULL as one of several results of a function that makes nothing is an answer to a question that the caller may know
 * not to arise: it decides tests, and is no evidence of a mistake.
 */
static void soften_null(const struct invocation *v, struct state_list *ret)
{
	if (!v->insn->pointer || ret->n < 2 || (v->effects != NULL && v->effects->makes != NULL))
		return;
	for (size_t i = 0; i < ret->n; i++) {
		struct state *state = ret->items[i];
		if (state->result.kind != VALUE_NUMBER || state->result.number != 0)
			continue;
		state->result = new_thing(v, state, THING_RESULT, NULL, 5);
		lint_trait(state, state->result.id)->null = NULLNESS_NULL;
	}
}

/* What the callee keeps on some of its ways it is taken to keep on all: that a queue is closed, say, the caller knows not
 * to be so.
 */
static void hand_over(const struct invocation *v, struct state_list *ret)
{
	for (uint32_t i = 0; v->effects != NULL && i < v->n_args && i < ARGS_MAX; i++) {
		const struct arg_effects *arg = &v->effects->args[i];
		bool kept = arg->heap == 0 || arg->keeps;
		for (int j = 0; j < ARGS_MAX; j++)
			kept |= arg->into[j] == 0;
		for (size_t s = 0; kept && v->args[i].kind == VALUE_ADDRESS && s < ret->n; s++)
			lint_trait(ret->items[s], v->args[i].id)->owned = false;
	}
}

void lint_call(struct engine *engine, struct frame *frame, struct state *state, const struct insn *insn,
	       struct state_list *ret)
{
	struct invocation v = {
		.engine = engine, .frame = frame, .insn = insn, .n_args = insn->n_operands - 1};
	for (uint32_t i = 0; i < v.n_args && i < ARGS_MAX; i++)
		v.args[i] = lint_operand(engine, frame, operand_of(frame->body, insn, i));
	struct value target = lint_operand(engine, frame, operand_of(frame->body, insn, v.n_args));
	if (target.kind == VALUE_ADDRESS && engine->things[target.id].kind == THING_FUNCTION)
		v.callee = &engine->program->functions[engine->things[target.id].index];
	v.effects = lint_effects_of(v.callee);
	v.name = v.callee != NULL ? v.callee->name : "a function pointer";
	if (!use_arguments(&v, state) || (v.callee != NULL && v.callee->no_return)) {
		lint_state_free(state);
		return;
	}
	if (v.callee != NULL && worth_following(&v)) {
		struct value *params = lint_calloc(v.n_args + 1, sizeof *params);
		for (uint32_t i = 0; i < v.n_args; i++)
			params[i] = lint_operand(engine, frame, operand_of(frame->body, insn, i));
		lint_explore(engine, frame, insn, v.callee, params, state, ret);
		free(params);
		hand_over(&v, ret);
		soften_null(&v, ret);
	} else if (v.effects != NULL) {
		apply(&v, state, ret);
	} else {
		apply_unseen(&v, state, ret);
	}
}
