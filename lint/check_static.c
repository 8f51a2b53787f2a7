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

void lint_check_contract(struct engine *engine, const struct function *function)
{
	const struct effects *row = function->known, *body = function->summary;
	for (uint32_t i = 0; row != NULL && i < function->n_params && i < ARGS_MAX; i++) {
		const char *name = function->params[i].name;
		bool promised = row->args[i].frees,
		     may = promised || row->args[i].may_free || row->args[i].put_pool >= 0;
		/* Code that is not visible, an allocator behind a pointer, may release it. */
		bool broken =
			promised && !body->args[i].frees && !body->args[i].may_free && !body->args[i].keeps;
		if (!broken && (may || !body->args[i].frees))
			continue;
		struct finding *finding = lint_finding_add(
			engine->findings, CHECK_CONTRACT_BROKEN, function->file, function->line, 0,
			broken ? "%s promises to release %s, and does not"
			       : "%s releases %s, which its row does not say",
			function->name, name);
		if (finding != NULL)
			finding->function = function->name;
	}
}
