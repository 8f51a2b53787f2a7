/* escape_walk.c: who outlives whom: the walks over the graph, the decisions, and the function's effects. */
#include <stdlib.h>
#include <string.h>

#include "escape.h"

/* A component of the call graph is walked until its effects stand still. Each pass can only lower levels, of
 * which there are LEVEL_MAX + 2 for each pair; real code needs three passes.
 */
#define COMPONENT_PASSES 12

/* Least dereferences from `root` to every place, by a queue; each place re-enters when its level falls. */
void lint_escape_walk(struct escape *e, uint32_t root)
{
	uint32_t *queue = lint_calloc(e->n_places + 1, sizeof *queue);
	uint32_t head = 0, n = 0, size = e->n_places + 1;
	uint32_t walk = ++e->walks;
	e->places[root].walk = walk;
	e->places[root].level = 0;
	e->places[root].to = NO_PLACE;
	queue[n++] = root;
	while (n > 0) {
		uint32_t at = queue[head];
		head = (head + 1) % size;
		n--;
		struct place *place = &e->places[at];
		place->queued = false;
		int base = place->level < 0 ? 0 : place->level;
		for (uint32_t edge = place->edges; edge != NO_PLACE; edge = e->edges[edge].next) {
			struct place *src = &e->places[e->edges[edge].src];
			int level = base + e->edges[edge].level;
			if (level > LEVEL_MAX)
				level = LEVEL_MAX;
			if (src->walk == walk && src->level <= level)
				continue;
			src->walk = walk;
			src->level = (int8_t)level;
			src->to = at;
			src->via = edge;
			if (!src->queued) {
				src->queued = true;
				queue[(head + n++) % size] = e->edges[edge].src;
			}
		}
	}
	free(queue);
}

/* Longer chains are cut: an object whose address it holds itself makes a way without an end. */
#define STEPS_MAX 64

/* The way from a place to the root of the last walk. */
static void keep_steps(struct escape *e, struct decision *decision)
{
	uint32_t n = 0;
	for (uint32_t at = decision->place; e->places[at].to != NO_PLACE && n < STEPS_MAX;
	     at = e->places[at].to)
		n++;
	decision->steps = lint_region_alloc(e->region, n * sizeof *decision->steps + 1);
	decision->n_steps = n;
	uint32_t at = decision->place;
	for (uint32_t i = 0; i < n; i++, at = e->places[at].to) {
		const struct edge *edge = &e->edges[e->places[at].via];
		decision->steps[i] = (struct step){e->places[at].to, at, edge->why, edge->level};
	}
	decision->at = n > 0 ? decision->steps[n - 1].why : NO_PLACE;
}

static bool is_main(const struct escape *e)
{
	return strcmp(e->function->name, "main") == 0;
}

/* A struct parameter that clang passes in memory is a local of the callee; its operand is the address of it. */
static bool is_struct_param(const struct escape *e, uint32_t place)
{
	return e->places[place].kind == PLACE_PARAM && e->function->params[e->places[place].index].by_value;
}

static enum grade grade_of(const struct escape *e, const struct decision *decision)
{
	if (e->places[decision->place].kind != PLACE_VARIABLE &&
	    !(is_struct_param(e, decision->place) && decision->level < 0))
		return GRADE_NONE;
	if (decision->root == e->unseen)
		return GRADE_INFO;
	if (decision->root == e->result)
		return GRADE_DANGLING;
	if (is_main(e)) /* its frame lives as long as the program */
		return GRADE_INFO;
	return decision->at == NO_PLACE ? GRADE_DANGLING : lint_escape_grade(e, decision->at);
}

static struct decision *add_decision(struct escape *e, struct decision decision)
{
	e->decisions = lint_grow(e->decisions, &e->cap_decisions, e->n_decisions + 1, sizeof *e->decisions);
	e->decisions[e->n_decisions] = decision;
	return &e->decisions[e->n_decisions++];
}

/* Objects are told once, with the worst that happens to them. */
static void object_decision(struct escape *e, uint32_t place, uint32_t root)
{
	struct decision decision = {.place = place, .root = root, .level = -1, .escapes = true};
	keep_steps(e, &decision);
	decision.grade = (uint8_t)grade_of(e, &decision);
	for (size_t i = 0; i < e->n_decisions; i++)
		if (e->decisions[i].place == place) {
			if (e->decisions[i].grade < decision.grade)
				e->decisions[i] = decision;
			return;
		}
	add_decision(e, decision);
}

static void note_param(struct escape *e, uint32_t param, uint32_t root, struct effects *ret)
{
	if (param >= ARGS_MAX)
		return;
	struct arg_effects *arg = &ret->args[param];
	int8_t level = e->places[e->first_param + param].level;
	if (root == e->heap)
		lint_level_lower(&arg->heap, level);
	else if (root == e->result)
		lint_level_lower(&arg->result, level);
	else if (root == e->unseen)
		arg->keeps = true;
	else if (e->places[root].index < ARGS_MAX)
		lint_level_lower(&arg->into[e->places[root].index], level);
}

static bool param_reached(const struct escape *e, uint32_t param, uint32_t root)
{
	const struct place *place = &e->places[e->first_param + param];
	const struct place *from = &e->places[root];
	return place->walk == e->walks && !(from->kind == PLACE_THROUGH && from->index == param);
}

static void decide_root(struct escape *e, uint32_t root, struct effects *ret)
{
	if (e->places[root].edges == NO_PLACE)
		return;
	lint_escape_walk(e, root);
	for (uint32_t i = 0; i < e->function->n_params; i++)
		if (param_reached(e, i, root)) {
			note_param(e, i, root, ret);
			struct decision decision = {
				.place = e->first_param + i, .root = root, .escapes = true};
			decision.level = e->places[decision.place].level;
			if (is_struct_param(e, decision.place))
				decision.level = (int8_t)(decision.level <= 0 ? -1 : decision.level - 1);
			keep_steps(e, &decision);
			decision.grade = (uint8_t)grade_of(e, &decision);
			add_decision(e, decision);
		}
	bool makes = false;
	for (uint32_t i = 0; i < e->n_places; i++) {
		const struct place *place = &e->places[i];
		if (place->walk != e->walks || place->level >= 0)
			continue;
		if (place->kind != PLACE_VARIABLE && place->kind != PLACE_NEW)
			continue;
		makes |= place->kind == PLACE_NEW && root == e->result;
		object_decision(e, i, root);
	}
	if (makes && e->function->returns_pointer && ret->makes == NULL)
		ret->makes = "object";
}

static bool decided(const struct escape *e, uint32_t place)
{
	for (size_t i = 0; i < e->n_decisions; i++)
		if (e->decisions[i].place == place)
			return true;
	return false;
}

/* By instruction: the local's address is used for more than loading and storing it. Of others only the value matters. */
static uint8_t *used_addresses(const struct body *body)
{
	uint8_t *used = lint_calloc(body->n_insns + 1, 1);
	for (uint32_t i = 0; i < body->n_insns; i++) {
		const struct insn *insn = &body->insns[i];
		for (uint32_t o = 0; o < insn->n_operands; o++) {
			const struct operand *operand = operand_of(body, insn, o);
			if (operand->kind == OPERAND_VALUE &&
			    !(insn->op == OP_LOAD || (insn->op == OP_STORE && o == 1) ||
			      (insn->op == OP_FILL && o == 0)))
				used[operand->index] = 1;
		}
	}
	return used;
}

/* A struct parameter in registers has its own storage under the same name. */
static bool names_param(const struct escape *e, const char *name)
{
	for (uint32_t i = 0; i < e->function->n_params; i++)
		if (strcmp(e->function->params[i].name, name) == 0)
			return true;
	return false;
}

static void decide_rest(struct escape *e)
{
	const struct body *body = e->function->body;
	for (uint32_t i = 0; i < e->function->n_params; i++)
		if (e->function->params[i].pointer && !e->function->params[i].result &&
		    !e->function->params[i].by_value && !decided(e, e->first_param + i))
			add_decision(e, (struct decision){.place = e->first_param + i,
							  .root = NO_PLACE,
							  .at = NO_PLACE});
	uint8_t *used = used_addresses(body);
	for (uint32_t p = e->first_through; p < e->n_places; p++) {
		const struct place *place = &e->places[p];
		bool told = place->kind == PLACE_NEW;
		if (place->kind == PLACE_VARIABLE) {
			const struct variable *variable =
				&body->variables[body->insns[place->index].variable - 1];
			told = variable->declared && !names_param(e, variable->name) && used[place->index];
		}
		if (told && !decided(e, p))
			add_decision(e, (struct decision){.place = p, .root = NO_PLACE, .at = NO_PLACE});
	}
	free(used);
}

void lint_escape_function(struct escape *e, const struct program *program, const struct function *function,
			  struct region *region, struct effects *ret)
{
	*e = (struct escape){.program = program, .function = function, .region = region};
	lint_effects_init(ret, function->name);
	ret->n_args = (uint8_t)(function->n_params < ARGS_MAX ? function->n_params : ARGS_MAX);
	ret->exits = function->no_return;
	lint_escape_build(e);
	decide_root(e, e->heap, ret);
	for (uint32_t i = 0; i < function->n_params; i++)
		decide_root(e, e->first_through + i, ret);
	decide_root(e, e->result, ret);
	decide_root(e, e->unseen, ret);
	decide_rest(e);
}

void lint_escape_clear(struct escape *e)
{
	free(e->places);
	free(e->edges);
	free(e->value_place);
	free(e->object_place);
	free(e->decisions);
}

/* Nothing that this analysis computes differs. */
static bool same_effects(const struct effects *a, const struct effects *b)
{
	bool same = (a->makes == NULL) == (b->makes == NULL);
	for (int i = 0; i < ARGS_MAX && same; i++) {
		const struct arg_effects *x = &a->args[i], *y = &b->args[i];
		same = x->heap == y->heap && x->result == y->result && x->keeps == y->keeps &&
		       memcmp(x->into, y->into, sizeof x->into) == 0;
	}
	return same;
}

/* One pass over a component; true when some function's effects changed. */
static bool component_pass(struct program *program, uint32_t first, uint32_t end, escape_fn *each, void *ctx)
{
	bool changed = false;
	for (uint32_t i = first; i < end; i++) {
		struct function *function = &program->functions[program->bottom_up[i]];
		struct escape escape;
		struct effects effects;
		lint_escape_function(&escape, program, function, &program->region, &effects);
		changed |= !same_effects(&effects, function->summary);
		*function->summary = effects;
		if (each != NULL)
			each(&escape, ctx);
		lint_escape_clear(&escape);
	}
	return changed;
}

void lint_escape_program(struct program *program, escape_fn *each, void *ctx)
{
	for (uint32_t first = 0, end; first < program->n_bottom_up; first = end) {
		uint32_t component = program->functions[program->bottom_up[first]].component;
		for (end = first; end < program->n_bottom_up; end++) {
			struct function *function = &program->functions[program->bottom_up[end]];
			if (function->component != component)
				break;
			function->summary = lint_region_alloc(&program->region, sizeof *function->summary);
			lint_effects_init(function->summary, function->name);
			function->summary->n_args = ARGS_MAX;
		}
		bool recursive = program->functions[program->bottom_up[first]].recursive;
		for (int pass = 0; recursive && pass < COMPONENT_PASSES; pass++)
			if (!component_pass(program, first, end, NULL, NULL))
				break;
		component_pass(program, first, end, each, ctx);
	}
}
