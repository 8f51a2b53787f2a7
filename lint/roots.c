/* roots.c: explores every function for its own sake and writes its summary. */
#include "engine.h"
#include "keys.h"
#include "live.h"
#include "recall.h"

#include <stdlib.h>
#include <string.h>

static struct state *first_state(struct engine *engine, const struct function *function, struct value *params)
{
	struct state *state = lint_state_new(&engine->states);
	for (uint32_t i = 0; i < function->n_params; i++) {
		if (function->params[i].pointer) {
			uint32_t thing = lint_thing(engine, THING_PARAM, i);
			engine->things[thing].index = i;
			params[i] = (struct value){.kind = VALUE_ADDRESS, .id = thing};
		} else if (!function->params[i].carrier) {
			params[i] = lint_symbol_anew(engine, state, i);
		}
	}
	return state;
}

/* What the states at the returns agree on about one parameter. */
static void summarise_param(struct engine *engine, const struct state_list *ends, uint32_t i,
			    struct arg_effects *arg)
{
	uint32_t thing = lint_thing(engine, THING_PARAM, i), freed = 0, null = 0, read = 0, always = 0;
	bool checked = false;
	for (size_t s = 0; s < ends->n; s++) {
		const struct trait *trait = lint_trait_find(ends->items[s], thing);
		if (trait == NULL)
			continue;
		freed += trait->life == LIFE_FREED;
		null += trait->null == NULLNESS_NULL;
		read += trait->read;
		always += trait->always_read;
		checked |= trait->tested;
		if (trait->life == LIFE_PUT || trait->life == LIFE_BLURRED)
			arg->may_free = true;
		if (trait->change > arg->change)
			arg->change = trait->change;
	}
	arg->reads |= read > 0;
	arg->null_ok |= checked || always < ends->n || engine->over_steps || engine->over_states;
	if (freed > 0 && freed + null == ends->n)
		arg->frees = true;
	else if (freed > 0)
		arg->may_free = true;
	arg->null_ok |= arg->frees && null > 0;
	if ((arg->frees || arg->may_free) && arg->family == NULL)
		arg->family = "object";
}

/* The result is a new object on every path on which it is not NULL. A NULL from a path on which nothing was asked for an
 * object is an answer to the arguments, which the caller knows, and no failure that every caller has to expect.
 */
static void summarise_result(struct engine *engine, const struct function *function,
			     const struct state_list *ends, struct effects *ret)
{
	const char *family = NULL;
	bool null = false, other = false;
	int container = -1;
	for (size_t s = 0; s < ends->n; s++) {
		struct value result = ends->items[s]->result;
		if (result.kind == VALUE_NUMBER && result.number == 0) {
			null |= ends->items[s]->tried;
			continue;
		}
		const struct thing *thing = result.kind == VALUE_ADDRESS ? &engine->things[result.id] : NULL;
		const struct trait *trait = thing != NULL ? lint_trait_find(ends->items[s], result.id) : NULL;
		if (trait != NULL && trait->null == NULLNESS_NULL) {
			null = true;
			continue;
		}
		null |= trait != NULL && trait->null == NULLNESS_MAYBE;
		if (thing != NULL && thing->kind == THING_NEW && result.number == 0 && trait != NULL &&
		    trait->life == LIFE_LIVE && trait->change == CHANGE_NONE &&
		    trait->made_line != UINT32_MAX)
			family = thing->family;
		else if (thing != NULL && thing->kind == THING_BORROWED && thing->parent != NO_THING &&
			 engine->things[thing->parent].kind == THING_PARAM)
			container = (int)engine->things[thing->parent].index;
		else
			other = true;
	}
	ret->makes = NULL;
	if (!function->returns_pointer || other || (family != NULL && container >= 0))
		return;
	ret->maybe_null = null;
	ret->makes = family;
	if (family == NULL && container >= 0 && container < ARGS_MAX)
		ret->borrows = (int8_t)container;
}

static void tell_limits(struct engine *engine, const struct function *function)
{
	if (engine->over_steps)
		lint_note_add(&engine->found, function->file, function->line,
			      "gave up on %s: more paths than the budget allows; some were not followed",
			      function->name);
	else if (engine->over_states)
		lint_note_add(&engine->found, function->file, function->line,
			      "%s: more states than the budget allows; some paths were not followed",
			      function->name);
	if (function->body->calls_setjmp)
		lint_note_add(&engine->found, function->file, function->line,
			      "%s calls setjmp: what happens after a longjmp is not followed",
			      function->name);
	if (function->body->irreducible)
		lint_note_add(&engine->found, function->file, function->line,
			      "%s has a loop with two entries: its rounds are counted from one of them",
			      function->name);
	if (function->body->has_asm)
		lint_note_add(
			&engine->found, function->file, function->line,
			"%s has inline assembly: its operands are taken to be changed, other memory not",
			function->name);
}

static void reset_engine(struct engine *engine)
{
	engine->n_things = engine->n_symbols = 0;
	if (engine->thing_table != NULL)
		memset(engine->thing_table, 0, engine->thing_size * sizeof *engine->thing_table);
	if (engine->symbol_table != NULL)
		memset(engine->symbol_table, 0, engine->symbol_size * sizeof *engine->symbol_table);
	lint_region_clear(&engine->region);
	engine->total_steps += engine->steps;
	engine->steps = 0;
	engine->over_steps = engine->over_states = false;
}

static void run_root(struct engine *engine, struct function *function)
{
	struct state_list ends = {0};
	struct value *params = lint_calloc(function->n_params + 1, sizeof *params);
	engine->root = function;
	engine->null_tests = lint_calloc(function->body->n_insns, sizeof *engine->null_tests);
	struct state *state = first_state(engine, function, params);
	lint_explore(engine, NULL, NULL, function, params, state, &ends);
	bool whole = !engine->over_steps && !engine->over_states;
	for (uint32_t i = 0; i < function->n_params && i < ARGS_MAX; i++)
		if (function->params[i].pointer) {
			struct arg_effects *arg = &function->summary->args[i];
			summarise_param(engine, &ends, i, arg);
			if (!whole && arg->frees) {
				arg->frees = false;
				arg->may_free = true;
			}
		}
	summarise_result(engine, function, &ends, function->summary);
	if (whole && ends.n == 0 && !function->recursive && strcmp(function->name, "main") != 0)
		function->no_return = true;
	function->steps = engine->steps;
	lint_check_late_tests(engine);
	tell_limits(engine, function);
	lint_check_contract(engine, function);
	for (size_t i = 0; i < ends.n; i++)
		lint_state_free(ends.items[i]);
	free(ends.items);
	free(params);
	reset_engine(engine);
}

/* What was found in the root, once for each place. */
static void tell_found(struct engine *engine)
{
	struct findings *found = &engine->found, *all = engine->findings;
	for (size_t i = 0; i < found->n; i++) {
		const struct finding *from = &found->items[i];
		struct finding *to = lint_finding_add(all, from->check, from->file, from->line, from->column,
						      "%s", from->message);
		if (to == NULL)
			continue;
		to->function = lint_region_text(&all->region, from->function, strlen(from->function));
		to->in_call = from->in_call;
		if (from->related != NULL)
			lint_related(to, from->related_file, from->related_line,
				     lint_region_text(&all->region, from->related, strlen(from->related)));
	}
	for (size_t i = 0; i < found->n_notes; i++)
		lint_note_add(all, found->notes[i].file, found->notes[i].line, "%s", found->notes[i].text);
	lint_findings_clear(found);
	*found = (struct findings){0};
}

/* Functions of this run by content key. Every unit has its own copy of a header's inline functions; one is enough. */
struct seen {
	uint32_t *slots; /* open addressing: 1 + function */
	size_t size;
};

/* The slot of the function's key: taken by an equal one, or free. */
static uint32_t *seen_slot(const struct seen *seen, const struct program *program, uint64_t key)
{
	size_t at = key & (seen->size - 1);
	while (seen->slots[at] != 0 && program->functions[seen->slots[at] - 1].content_key != key)
		at = (at + 1) & (seen->size - 1);
	return &seen->slots[at];
}

/* The summary of an equal function; what was found there is told there. */
static bool copy_equal(struct engine *engine, const struct seen *seen, struct function *function)
{
	uint32_t slot = *seen_slot(seen, engine->program, function->content_key);
	if (slot == 0)
		return false;
	const struct function *equal = &engine->program->functions[slot - 1];
	*function->summary = *equal->summary;
	function->no_return = equal->no_return;
	function->steps = equal->steps;
	return true;
}

/* By an equal function of this run, by an earlier run, or by exploring it. */
static void judge_root(struct engine *engine, struct recall *recall, struct seen *seen,
		       struct function *function)
{
	if (copy_equal(engine, seen, function))
		return;
	function->recalled = lint_recall_get(recall, function, &engine->found);
	engine->shares = false;
	if (!function->recalled)
		run_root(engine, function);
	if (engine->shares) /* judged over the whole program: to be seen again, in every copy and every run */
		return;
	if (!function->recalled)
		lint_recall_put(recall, function, &engine->found);
	*seen_slot(seen, engine->program, function->content_key) = function->index + 1;
}

void lint_engine_run(struct program *program, const char *cache, struct findings *findings)
{
	struct engine engine = {.program = program, .findings = findings};
	engine.live = lint_calloc(program->n_functions + 1, sizeof(void *));
	engine.threads = lint_threads_open(program);
	lint_barrier_types(program);
	lint_keys_compute(program);
	struct recall *recall = lint_recall_open(cache, program);
	struct seen seen = {.size = 64};
	while (seen.size < 2 * (size_t)program->n_bottom_up)
		seen.size *= 2;
	seen.slots = lint_calloc(seen.size, sizeof *seen.slots);
	for (uint32_t i = 0; i < program->n_bottom_up; i++) {
		judge_root(&engine, recall, &seen, &program->functions[program->bottom_up[i]]);
		tell_found(&engine);
	}
	free(seen.slots);
	lint_recall_close(recall);
	lint_check_sharing(&engine);
	lint_threads_judge(&engine);
	lint_threads_close(engine.threads);
	lint_findings_fold(findings);
	for (size_t i = 0; i < program->n_functions; i++)
		lint_live_free(engine.live[i]);
	free(engine.live);
	lint_state_pool_clear(&engine.states);
	free(engine.things);
	free(engine.thing_table);
	free(engine.symbol_table);
	free(engine.symbols);
}
