/* escape_report.c: decisions as text in the form of Go's -m and -m=2, and as JSON. */
#include "escape_report.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

struct position {
	uint32_t file, line;
	unsigned column;
};

static const struct variable *variable_of(const struct escape *e, uint32_t insn)
{
	const struct body *body = e->function->body;
	return &body->variables[body->insns[insn].variable - 1];
}

const char *lint_place_name(const struct escape *e, uint32_t index)
{
	const struct place *place = &e->places[index];
	const struct body *body = e->function->body;
	switch (place->kind) {
	case PLACE_HEAP: return "{heap}";
	case PLACE_RESULT: return "{result}";
	case PLACE_UNSEEN: return "{unseen code}";
	case PLACE_PARAM: return e->function->params[place->index].name;
	case PLACE_THROUGH:
		return lint_region_format(e->region, "*%s", e->function->params[place->index].name);
	case PLACE_VARIABLE: return variable_of(e, place->index)->name;
	case PLACE_NEW:
		return lint_region_format(e->region, "%s(...)",
					  lint_callee_name(e->program, body, &body->insns[place->index]));
	default: return NULL;
	}
}

static struct position position_of(const struct escape *e, uint32_t index)
{
	const struct place *place = &e->places[index];
	const struct function *function = e->function;
	if (place->kind == PLACE_VARIABLE && variable_of(e, place->index)->line != 0) {
		const struct variable *variable = variable_of(e, place->index);
		return (struct position){variable->file, variable->line, variable->column};
	}
	if (place->kind == PLACE_NEW) {
		const struct insn *insn = &function->body->insns[place->index];
		return (struct position){insn->file, insn->line, insn->column};
	}
	return (struct position){function->file, function->line, 0};
}

/* "leaking param: p to result level=0", without the position. */
static char *param_text(const struct escape *e, const struct decision *decision, const char *name)
{
	const char *content = decision->level > 0 ? " content" : "";
	const struct place *root = &e->places[decision->root];
	switch (root->kind) {
	case PLACE_HEAP: return lint_region_format(e->region, "leaking param%s: %s", content, name);
	case PLACE_RESULT:
		return lint_region_format(e->region, "leaking param: %s to result level=%d", name,
					  decision->level);
	case PLACE_THROUGH:
		return lint_region_format(e->region, "leaking param%s: %s stored into %s", content, name,
					  lint_place_name(e, decision->root));
	default:
		return lint_region_format(
			e->region, "leaking param%s: %s may be kept by %s", content, name,
			decision->at == NO_PLACE ? "unseen code"
						 : lint_callee_name(e->program, e->function->body,
								    &e->function->body->insns[decision->at]));
	}
}

static const char *grade_text(unsigned grade)
{
	static const char *const names[] = {"", ": INFO", ": MAY-DANGLE", ": DANGLING"};
	return names[grade];
}

static char *object_text(const struct escape *e, const struct decision *decision, const char *name)
{
	const struct place *root = &e->places[decision->root];
	const char *grade = grade_text(decision->grade);
	const struct body *body = e->function->body;
	switch (root->kind) {
	case PLACE_HEAP: return lint_region_format(e->region, "%s escapes to heap%s", name, grade);
	case PLACE_RESULT: return lint_region_format(e->region, "%s escapes to result%s", name, grade);
	case PLACE_THROUGH:
		return lint_region_format(e->region, "%s stored into %s%s", name,
					  lint_place_name(e, decision->root), grade);
	default: {
		bool is_call = decision->at != NO_PLACE && body->insns[decision->at].op == OP_CALL;
		return lint_region_format(
			e->region, "%s may be kept by %s%s", name,
			is_call ? lint_callee_name(e->program, body, &body->insns[decision->at])
				: "inline assembly",
			grade);
	}
	}
}

static char *decision_text(const struct escape *e, const struct decision *decision)
{
	const char *name = lint_place_name(e, decision->place);
	if (!decision->escapes)
		return lint_region_format(e->region, "%s does not escape", name);
	if (e->places[decision->place].kind == PLACE_PARAM && decision->grade == GRADE_NONE)
		return param_text(e, decision, name);
	return object_text(e, decision, name);
}

/* --- Chains -------------------------------------------------------------------------------------------------- */

/* What a step is, in Go's words. */
static const char *step_verb(const struct escape *e, const struct insn *insn)
{
	switch (insn->op) {
	case OP_LOCAL: return "address-of";
	case OP_STORE: return "assign";
	case OP_RETURN: return "return";
	case OP_COPY: return "copy";
	case OP_LOAD: return "dereference";
	case OP_ATOMIC: return "atomic store";
	case OP_CALL:
		return lint_region_format(e->region, "call of %s",
					  lint_callee_name(e->program, e->function->body, insn));
	default: return "expression";
	}
}

/* Where a step puts things, named better than "{heap}" when the instruction says which global it is. */
static const char *step_target(const struct escape *e, const struct step *step)
{
	const struct body *body = e->function->body;
	if (e->places[step->dst].kind == PLACE_HEAP && step->why != NO_PLACE) {
		const struct insn *insn = &body->insns[step->why];
		const struct operand *to = insn->op == OP_STORE ? operand_of(body, insn, 1) : NULL;
		if (to != NULL && to->kind == OPERAND_GLOBAL)
			return lint_region_format(e->region, "{heap} (%s)",
						  e->program->globals[to->index].name);
	}
	return lint_place_name(e, step->dst);
}

static const char *level_text(int level)
{
	static const char *const texts[] = {"&", "", "*", "**", "***"};
	return texts[level < -1 ? 0 : level > 3 ? 4 : level + 1];
}

/* One printed link: from a named place over unnamed values to the next named one. */
struct link {
	const char *dst, *src;
	int level;
	const struct insn *why;
};

typedef void link_fn(const struct escape *e, const struct link *link, void *ctx);

/* Folds the values without a name into the links between places that have one. */
static void each_link(const struct escape *e, const struct decision *decision, link_fn *fn, void *ctx)
{
	const struct body *body = e->function->body;
	const char *src = NULL;
	int level = 0;
	for (uint32_t i = 0; i < decision->n_steps; i++) {
		const struct step *step = &decision->steps[i];
		const char *name = lint_place_name(e, step->src);
		if (src == NULL || (name != NULL && e->places[step->src].kind != PLACE_VALUE)) {
			src = name != NULL ? name : "{value}";
			level = 0;
		}
		level += step->level;
		const char *dst = step_target(e, step);
		if (dst == NULL || strcmp(dst, src) == 0 || strcmp(dst, "retval") == 0)
			continue; /* unnamed, a parameter's own storage, clang's place for the result */
		struct link link = {dst, src, level, step->why == NO_PLACE ? NULL : &body->insns[step->why]};
		fn(e, &link, ctx);
		src = NULL;
	}
}

static void print_link(const struct escape *e, const struct link *link, void *ctx)
{
	struct escape_report *report = ctx;
	fprintf(report->out, "  flow: %s = %s%s", link->dst, level_text(link->level), link->src);
	if (link->why != NULL && link->why->line != 0)
		fprintf(report->out, ": from %s at %s:%u:%u", step_verb(e, link->why),
			e->program->files[link->why->file].path, link->why->line,
			(unsigned)link->why->column);
	fputc('\n', report->out);
}

static void collect_link(const struct escape *e, const struct link *link, void *ctx)
{
	json_t *item = json_pack("{s:s, s:s, s:i}", "to", link->dst, "from", link->src, "level", link->level);
	if (link->why != NULL && link->why->line != 0) {
		json_object_set_new(item, "by", json_string(step_verb(e, link->why)));
		json_object_set_new(item, "file", json_string(e->program->files[link->why->file].path));
		json_object_set_new(item, "line", json_integer(link->why->line));
		json_object_set_new(item, "column", json_integer(link->why->column));
	}
	json_array_append_new(ctx, item);
}

/* --- The report ------------------------------------------------------------------------------------------------ */

static const char *fate_name(const struct escape *e, const struct decision *decision)
{
	static const char *const names[] = {[PLACE_HEAP] = "heap",
					    [PLACE_RESULT] = "result",
					    [PLACE_THROUGH] = "parameter",
					    [PLACE_UNSEEN] = "unseen"};
	return decision->escapes ? names[e->places[decision->root].kind] : "none";
}

static const char *kind_name(const struct escape *e, const struct decision *decision)
{
	switch (e->places[decision->place].kind) {
	case PLACE_VARIABLE: return "variable";
	case PLACE_NEW: return "allocation";
	default: return "parameter";
	}
}

static json_t *decision_json(const struct escape *e, const struct decision *decision, const char *text)
{
	static const char *const grades[] = {"", "INFO", "MAY-DANGLE", "DANGLING"};
	struct position at = position_of(e, decision->place);
	json_t *item =
		json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "name", lint_place_name(e, decision->place),
			  "kind", kind_name(e, decision), "escapes_to", fate_name(e, decision), "text", text,
			  "line", (int)at.line, "column", (int)at.column);
	if (decision->escapes && e->places[decision->place].kind == PLACE_PARAM)
		json_object_set_new(item, "level", json_integer(decision->level));
	if (decision->escapes && e->places[decision->root].kind == PLACE_THROUGH)
		json_object_set_new(item, "into",
				    json_string(e->function->params[e->places[decision->root].index].name));
	if (decision->grade != GRADE_NONE)
		json_object_set_new(item, "grade", json_string(grades[decision->grade]));
	if (decision->n_steps > 0) {
		json_t *flow = json_array();
		each_link(e, decision, collect_link, flow);
		json_object_set_new(item, "flow", flow);
	}
	return item;
}

/* A comment answers a grade as it answers dangling-stack of `neap lint`, where the local is declared. */
static bool is_answered(struct escape_report *report, const struct escape *e, const struct decision *decision)
{
	if (decision->grade <= GRADE_INFO)
		return false;
	struct position at = position_of(e, decision->place);
	uint32_t line;
	const char *reason = lint_answer_at(report->program, e->region, at.file, at.line,
					    lint_checks[CHECK_DANGLING_STACK].id, &line);
	return reason != NULL && reason[0] != '\0';
}

static void count(struct escape_report *report, const struct decision *decision)
{
	report->dangling += decision->grade == GRADE_DANGLING;
	report->may_dangle += decision->grade == GRADE_MAY_DANGLE;
	report->info += decision->grade == GRADE_INFO;
}

static bool is_told(const struct escape_report *report, const struct escape *e,
		    const struct decision *decision)
{
	const struct place *place = &e->places[decision->place];
	if (place->kind == PLACE_VARIABLE && !variable_of(e, place->index)->declared)
		return false;
	return report->detail != DETAIL_GRADES || decision->grade > GRADE_INFO;
}

static void print_decision(struct escape_report *report, const struct escape *e,
			   const struct decision *decision, const char *text)
{
	struct position at = position_of(e, decision->place);
	fprintf(report->out, "%s:%u:", e->program->files[at.file].path, at.line);
	if (at.column != 0)
		fprintf(report->out, "%u:", at.column);
	fprintf(report->out, " %s%s\n", text,
		report->detail == DETAIL_CHAINS && decision->n_steps > 0 ? ":" : "");
	if (report->detail == DETAIL_CHAINS)
		each_link(e, decision, print_link, report);
}

/* In the order of the source: functions as they come, decisions by line. */
static int compare_decisions(const void *a, const void *b, void *ctx)
{
	const struct escape *e = ctx;
	const struct decision *x = a, *y = b;
	struct position p = position_of(e, x->place), q = position_of(e, y->place);
	if (p.line != q.line)
		return p.line < q.line ? -1 : 1;
	if (p.column != q.column)
		return p.column < q.column ? -1 : 1;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

void lint_escape_report(const struct escape *e, void *ctx)
{
	struct escape_report *report = ctx;
	if (e->function->line != 0 && e->program->files[e->function->file].system)
		return;
	report->gave_up += e->gave_up;
	if (e->n_decisions > 1)
		qsort_r(e->decisions, e->n_decisions, sizeof *e->decisions, compare_decisions, (void *)e);
	json_t *list = report->functions != NULL ? json_array() : NULL;
	const char *last = "";
	for (size_t i = 0; i < e->n_decisions; i++) {
		const struct decision *decision = &e->decisions[i];
		const char *text = decision_text(e, decision);
		if (!is_told(report, e, decision) || strcmp(last, text) == 0)
			continue; /* a struct in two registers is one parameter of the source */
		last = text;
		if (!is_answered(report, e, decision))
			count(report, decision);
		else if (report->detail == DETAIL_GRADES)
			continue;
		if (list != NULL)
			json_array_append_new(list, decision_json(e, decision, text));
		else
			print_decision(report, e, decision, text);
	}
	if (list != NULL)
		json_array_append_new(report->functions,
				      json_pack("{s:s, s:s, s:i, s:b, s:o}", "name", e->function->name,
						"file", e->program->files[e->function->file].path, "line",
						(int)e->function->line, "gave_up", e->gave_up, "decisions",
						list));
	else if (e->gave_up)
		fprintf(report->out,
			"%s:%u: note: gave up on %s: too large for the budget, stores through pointers "
			"are taken to reach the heap\n",
			e->program->files[e->function->file].path, e->function->line, e->function->name);
}
