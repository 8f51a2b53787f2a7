/* decode.c: from LLVM's form of a unit to ours.
 *
 * One pass over a module made by `clang -O0 -g -fno-discard-value-names`: globals, then functions as they are declared,
 * then bodies. In a body every instruction, parameter and block gets its number first, so that operands can name what
 * comes later. See decoder.h for who does what.
 */
#include "decoder.h"

#include <llvm-c/DebugInfo.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"

struct number *lint_number_slot(const struct decoder *d, LLVMValueRef value)
{
	size_t mask = d->numbers_size - 1;
	size_t at = (size_t)(((uintptr_t)value >> 4) * 0x9E3779B97F4A7C15u >> 20) & mask;
	while (d->numbers[at].value != NULL && d->numbers[at].value != value)
		at = (at + 1) & mask;
	return &d->numbers[at];
}

static void set_number(struct decoder *d, LLVMValueRef value, uint32_t index)
{
	*lint_number_slot(d, value) = (struct number){value, index};
}

static void number_values(struct decoder *d, LLVMValueRef function)
{
	uint32_t n = 0, blocks = 0;
	for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(function); b != NULL;
	     b = LLVMGetNextBasicBlock(b), blocks++)
		for (LLVMValueRef i = LLVMGetFirstInstruction(b); i != NULL; i = LLVMGetNextInstruction(i))
			n++;
	size_t need = 64;
	while (need < 2u * (n + blocks + d->function->n_params))
		need *= 2;
	free(d->numbers);
	d->numbers = lint_calloc(need, sizeof *d->numbers);
	d->numbers_size = need;
	d->body->n_insns = n;
	d->body->n_blocks = blocks;
	n = blocks = 0;
	for (uint32_t i = 0; i < d->function->n_params; i++)
		set_number(d, LLVMGetParam(function, i), i);
	for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(function); b != NULL;
	     b = LLVMGetNextBasicBlock(b)) {
		set_number(d, LLVMBasicBlockAsValue(b), blocks++);
		for (LLVMValueRef i = LLVMGetFirstInstruction(b); i != NULL; i = LLVMGetNextInstruction(i))
			set_number(d, i, n++);
	}
}

static void decode_params(struct decoder *d, LLVMValueRef function)
{
	for (uint32_t i = 0; i < d->function->n_params; i++) {
		struct param *param = &d->function->params[i];
		size_t len;
		const char *name = LLVMGetValueName2(LLVMGetParam(function, i), &len);
		const char *coerce = strstr(name, ".coerce");
		if (coerce != NULL)
			len = (size_t)(coerce - name);
		param->name = lint_region_text(&d->program->region, name, len);
		param->carrier |=
			coerce != NULL && lint_type_width(LLVMTypeOf(LLVMGetParam(function, i))) == 64;
		param->by_value = LLVMGetEnumAttributeAtIndex(function, i + 1, d->by_value) != NULL;
		param->result = LLVMGetEnumAttributeAtIndex(function, i + 1, d->struct_result) != NULL;
	}
}

static void keep_arrays(struct decoder *d)
{
	struct region *region = &d->program->region;
	struct body *body = d->body;
	body->operands = lint_region_alloc(region, body->n_operands * sizeof *body->operands + 1);
	body->targets = lint_region_alloc(region, body->n_targets * sizeof *body->targets + 1);
	body->variables = lint_region_alloc(region, body->n_variables * sizeof *body->variables + 1);
	body->scopes = lint_region_alloc(region, body->n_scopes * sizeof *body->scopes + 1);
	if (body->n_operands > 0)
		memcpy(body->operands, d->operands, body->n_operands * sizeof *body->operands);
	if (body->n_targets > 0)
		memcpy(body->targets, d->targets, body->n_targets * sizeof *body->targets);
	if (body->n_variables > 0)
		memcpy(body->variables, d->variables, body->n_variables * sizeof *body->variables);
	memcpy(body->scopes, d->scopes, body->n_scopes * sizeof *body->scopes);
}

static void decode_place(struct decoder *d, LLVMValueRef function)
{
	d->function->line = LLVMGetDebugLocLine(function);
	d->function->file = lint_decode_file(d, function, d->function->file);
}

static void decode_body(struct decoder *d, LLVMValueRef value)
{
	d->function = lint_decode_function(d, value);
	if (d->function->body != NULL)
		return; /* the first definition of an inline function serves all units */
	LLVMRunFunctionPassManager(d->bodies, value);
	struct body *body = lint_region_alloc(&d->program->region, sizeof *body);
	body->n_scopes = 1;
	d->function->unit = d->unit;
	d->body = body;
	if (d->function->n_params != LLVMCountParams(value)) { /* declared without a prototype elsewhere */
		d->function->params = NULL;
		d->function = lint_decode_function(d, value);
	}
	number_values(d, value);
	decode_params(d, value);
	decode_place(d, value);
	body->insns = lint_region_alloc(&d->program->region, body->n_insns * sizeof *body->insns);
	body->blocks = lint_region_alloc(&d->program->region, body->n_blocks * sizeof *body->blocks);
	d->scopes = lint_grow(d->scopes, &d->cap_scopes, 1, sizeof *d->scopes);
	d->scopes[0] = (struct scope){0, NULL};
	uint32_t n = 0, blocks = 0;
	for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(value); b != NULL;
	     b = LLVMGetNextBasicBlock(b), blocks++) {
		body->blocks[blocks].first = n;
		for (LLVMValueRef i = LLVMGetFirstInstruction(b); i != NULL; i = LLVMGetNextInstruction(i)) {
			lint_decode_insn(d, i, n++, blocks);
		}
		body->blocks[blocks].n = n - body->blocks[blocks].first;
	}
	keep_arrays(d);
	lint_body_finish(d->program, d->function, body);
	d->function->body = body;
}

void lint_decode(struct program *program, LLVMModuleRef module, const char *path)
{
	program->units =
		lint_grow(program->units, &program->cap_units, program->n_units + 1, sizeof *program->units);
	struct decoder d = {.program = program,
			    .module = module,
			    .context = LLVMGetModuleContext(module),
			    .layout = LLVMGetModuleDataLayout(module),
			    .unit = (uint32_t)program->n_units++,
			    .no_return = LLVMGetEnumAttributeKindForName("noreturn", 8),
			    .by_value = LLVMGetEnumAttributeKindForName("byval", 5),
			    .struct_result = LLVMGetEnumAttributeKindForName("sret", 4)};
	program->units[d.unit].path = lint_region_text(&program->region, path, strlen(path));
	if (program->n_files == 0) /* file 0 stands for what has no debug record */
		lint_file_named(program, NULL, path);
	for (LLVMValueRef g = LLVMGetFirstGlobal(module); g != NULL; g = LLVMGetNextGlobal(g))
		lint_decode_global(&d, g);
	for (LLVMValueRef f = LLVMGetFirstFunction(module); f != NULL; f = LLVMGetNextFunction(f)) {
		struct function *function = lint_decode_function(&d, f);
		function->no_return |=
			LLVMGetEnumAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
						    d.no_return) != NULL;
		function->variadic = LLVMIsFunctionVarArg(LLVMGlobalGetValueType(f));
	}
	d.bodies = LLVMCreateFunctionPassManagerForModule(module);
	for (LLVMValueRef f = LLVMGetFirstFunction(module); f != NULL; f = LLVMGetNextFunction(f))
		if (!LLVMIsDeclaration(f))
			decode_body(&d, f);
	LLVMDisposePassManager(d.bodies);
	free(d.numbers);
	free(d.operands);
	free(d.targets);
	free(d.variables);
	free(d.scopes);
}
