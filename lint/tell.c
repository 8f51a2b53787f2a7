/* tell.c: where a finding is told, and what things are called in it.
 *
 * A mistake inside of a call is told where the root calls, unless the callee's own exploration has told it already.
 */
#include <stdio.h>
#include <string.h>

#include "engine.h"

static bool told_before(const struct findings *findings, enum check_id check, const struct insn *insn)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->items[i].check == check && findings->items[i].file == insn->file &&
		    findings->items[i].line == insn->line)
			return true;
	return false;
}

struct finding *lint_report(struct engine *engine, const struct frame *frame, enum check_id check,
			    const struct insn *insn, const char *format, ...)
{
	char text[300];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	const struct insn *inner = frame->caller != NULL ? insn : NULL;
	if (inner != NULL &&
	    (told_before(engine->findings, check, inner) || told_before(&engine->found, check, inner)))
		return NULL; /* the callee's own mistake */
	for (; frame->caller != NULL; frame = frame->caller)
		insn = frame->call;
	struct finding *finding =
		lint_finding_add(&engine->found, check, insn->file, insn->line, insn->column, "%s", text);
	if (finding == NULL)
		return NULL;
	finding->function = engine->root->name;
	if (inner != NULL) {
		lint_related(finding, inner->file, inner->line, "in the call, here");
		finding->in_call = true;
	}
	return finding;
}

void lint_related(struct finding *finding, uint32_t file, uint32_t line, const char *text)
{
	if (finding == NULL || line == 0 || finding->related != NULL)
		return;
	finding->related_file = file;
	finding->related_line = line;
	finding->related = text;
}

const char *lint_value_name(struct engine *engine, const struct frame *frame, const struct operand *operand)
{
	const struct body *body = frame->body;
	for (int depth = 0; depth < 8; depth++) {
		if (operand->kind == OPERAND_PARAM)
			return frame->function->params[operand->index].name;
		if (operand->kind == OPERAND_GLOBAL)
			return engine->program->globals[operand->index].is_string
				       ? "a literal"
				       : engine->program->globals[operand->index].name;
		if (operand->kind != OPERAND_VALUE)
			break;
		const struct insn *insn = &body->insns[operand->index];
		if (insn->op == OP_LOCAL)
			return insn->variable != 0 && body->variables[insn->variable - 1].declared
				       ? body->variables[insn->variable - 1].name
				       : "the pointer";
		if (insn->op == OP_CALL)
			return lint_region_format(&engine->region, "the result of %s",
						  lint_callee_name(engine->program, body, insn));
		if (insn->n_operands == 0 || insn->op == OP_PHI || insn->op == OP_SELECT)
			break;
		operand = operand_of(body, insn, 0);
	}
	return "the pointer";
}
