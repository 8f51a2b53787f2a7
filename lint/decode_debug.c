/* decode_debug.c: which variable of the source a local is, and in which scope.
 *
 * LLVM's C API has no accessors for these records; their operands are read by number, which have not changed since LLVM 4.
 */
#include "decoder.h"

#include <llvm-c/DebugInfo.h>

enum { DI_VARIABLE_SCOPE = 0, DI_VARIABLE_NAME = 1, DI_BLOCK_PARENT = 1 };

/* Scopes nested deeper than this are taken for the function itself. */
#define SCOPE_DEPTH_MAX 60

/* Operand `i` of a debug record, or NULL. */
static LLVMValueRef metadata_operand(LLVMValueRef node, unsigned i)
{
	if (node == NULL || LLVMIsAMDNode(node) == NULL || i >= (unsigned)LLVMGetNumOperands(node))
		return NULL;
	return LLVMGetOperand(node, i);
}

/* The scope's number; parents come before children. 0 is the function itself. */
static uint32_t scope_for(struct decoder *d, LLVMValueRef node, unsigned depth)
{
	if (node == NULL || LLVMIsAMDNode(node) == NULL || depth > SCOPE_DEPTH_MAX)
		return 0;
	for (uint32_t i = 0; i < d->body->n_scopes; i++)
		if (d->scopes[i].key == node)
			return i;
	if (LLVMGetMetadataKind(LLVMValueAsMetadata(node)) != LLVMDILexicalBlockMetadataKind)
		return 0;
	uint32_t parent = scope_for(d, metadata_operand(node, DI_BLOCK_PARENT), depth + 1);
	d->scopes = lint_grow(d->scopes, &d->cap_scopes, d->body->n_scopes + 1, sizeof *d->scopes);
	d->scopes[d->body->n_scopes] = (struct scope){.parent = parent, .key = node};
	return d->body->n_scopes++;
}

/* A debug record that says which variable of the source a local is. */
void lint_decode_declare(struct decoder *d, LLVMValueRef call)
{
	LLVMValueRef storage = metadata_operand(LLVMGetOperand(call, 0), 0);
	if (storage == NULL || LLVMIsAAllocaInst(storage) == NULL)
		return;
	const struct insn *local = &d->body->insns[lint_number_slot(d, storage)->index];
	if (local->variable == 0)
		return;
	struct variable *variable = &d->variables[local->variable - 1];
	LLVMValueRef record = LLVMGetOperand(call, 1);
	LLVMValueRef name = metadata_operand(record, DI_VARIABLE_NAME);
	unsigned len = 0;
	const char *text = name != NULL ? LLVMGetMDString(name, &len) : NULL;
	if (text != NULL && len > 0)
		variable->name = lint_region_text(&d->program->region, text, len);
	variable->declared = true;
	variable->line = LLVMGetDebugLocLine(call);
	variable->column = (uint16_t)LLVMGetDebugLocColumn(call);
	variable->scope = scope_for(d, metadata_operand(record, DI_VARIABLE_SCOPE), 0);
}
