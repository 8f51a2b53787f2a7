/* check_static.c: rules that need no states: banned functions, and rows that their body contradicts. */
#include <string.h>

#include "engine.h"

static const struct {
	const char *name, *instead;
} banned[] = {
	{"gets", "fgets, which knows the size"},
	{"strcpy", "snprintf or memcpy with a size that was checked"},
	{"strcat", "snprintf at the end of what is there"},
	{"sprintf", "snprintf"},
	{"vsprintf", "vsnprintf"},
	{"strtok", "strtok_r or strcspn, which keep no hidden state"},
	{"mktemp", "mkstemp"},
	{"tmpnam", "mkstemp"},
	{"alloca", "an array of fixed size, or malloc"},
};

static const char *replacement(const char *name)
{
	for (size_t i = 0; i < sizeof banned / sizeof banned[0]; i++)
		if (strcmp(banned[i].name, name) == 0)
			return banned[i].instead;
	return NULL;
}

void lint_check_banned(struct program *program, struct findings *findings)
{
	for (uint32_t f = 0; f < program->n_bottom_up; f++) {
		const struct function *function = &program->functions[program->bottom_up[f]];
		for (uint32_t i = 0; i < function->body->n_insns; i++) {
			const struct insn *insn = &function->body->insns[i];
			const struct function *callee =
				insn->op == OP_CALL ? lint_callee(program, function->body, insn) : NULL;
			const char *instead =
				callee != NULL && callee->body == NULL ? replacement(callee->name) : NULL;
			struct finding *finding =
				instead == NULL
					? NULL
					: lint_finding_add(findings, CHECK_BANNED_FUNCTION, insn->file,
							   insn->line, insn->column, "%s is banned; use %s",
							   callee->name, instead);
			if (finding != NULL)
				finding->function = function->name;
		}
	}
}

/* `what` has room for two names: the function's and the argument's. */
__attribute__((format(printf, 3, 0))) static void
tell_broken(struct engine *engine, const struct function *function, const char *what, const char *name)
{
	struct finding *finding =
		lint_finding_add(&engine->found, CHECK_CONTRACT_BROKEN, function->file, function->line,
				 lint_function_column(engine->program, function), what, function->name, name);
	if (finding != NULL)
		finding->function = function->name;
}

static bool hands_on(const struct arg_effects *body)
{
	bool on =
		body->frees || body->may_free || body->keeps || body->heap != NEVER || body->result != NEVER;
	for (int j = 0; j < ARGS_MAX; j++)
		on |= body->into[j] != NEVER;
	return on;
}

static bool keeps_address(const struct arg_effects *body)
{
	bool kept = body->heap == 0;
	for (int j = 0; j < ARGS_MAX; j++)
		kept |= body->into[j] == 0;
	return kept;
}

/* Some call gets the parameter. A handle may be looked up there, and what it stands for released by another name. */
static bool is_passed_on(const struct function *function, uint32_t param)
{
	const struct body *body = function->body;
	for (uint32_t i = 0; i < body->n_insns; i++)
		for (uint32_t o = 0; body->insns[i].op == OP_CALL && o + 1 < body->insns[i].n_operands; o++) {
			const struct operand *at = operand_of(body, &body->insns[i], o);
			while (at->kind == OPERAND_VALUE &&
			       (body->insns[at->index].op == OP_LOAD || body->insns[at->index].op == OP_SAME))
				at = operand_of(body, &body->insns[at->index], 0);
			const struct insn *local = at->kind == OPERAND_VALUE ? &body->insns[at->index] : NULL;
			if ((at->kind == OPERAND_PARAM && at->index == param) ||
			    (local != NULL && local->variable != 0 &&
			     body->variables[local->variable - 1].param == (int)param))
				return true;
		}
	return false;
}

/* One argument: what was promised of it, against what the body does with it. */
static void check_argument(struct engine *engine, const struct function *function, uint32_t i,
			   const struct arg_effects *row, const struct arg_effects *body)
{
	const char *name = function->params[i].name;
	bool may_release = row->frees || row->may_free || row->put_pool >= 0;
	if (row->taken && !hands_on(body) && !is_passed_on(function, i))
		tell_broken(engine, function,
			    "%s promises to take %s over, and neither releases nor keeps it", name);
	else if (row->lent && (body->frees || body->may_free))
		tell_broken(engine, function, "%s releases %s, which is only lent to it", name);
	else if (row->lent && keeps_address(body))
		tell_broken(engine, function, "%s keeps %s, which is only lent to it", name);
	else if (row->frees && !row->taken && !body->frees && !body->may_free && !body->keeps)
		tell_broken(engine, function, "%s promises to release %s, and does not", name);
	else if (!may_release && !row->lent && !row->keeps && body->frees)
		tell_broken(engine, function, "%s releases %s, which its row does not say", name);
}

void lint_check_contract(struct engine *engine, const struct function *function)
{
	const struct effects *body = function->summary,
			     *row = function->known != NULL ? function->known : function->promised;
	for (uint32_t i = 0; row != NULL && i < function->n_params && i < ARGS_MAX; i++)
		check_argument(engine, function, i, &row->args[i], &body->args[i]);
	for (uint32_t i = 0; row != NULL && row->makes != NULL && body->makes == NULL &&
			     i < function->n_params && i < ARGS_MAX;
	     i++)
		if (!row->args[i].frees && /* realloc gives its argument back when it can */
		    (body->borrows == (int)i || (body->args[i].result == 0 && function->params[i].pointer)))
			tell_broken(engine, function,
				    "%s promises a new object, and gives what belongs to %s",
				    function->params[i].name);
}
