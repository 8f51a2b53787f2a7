/* decode_constants.c: constants as operands, and the initial values of globals.
 *
 * The address of a global with a known offset is one operand, however the compiler built it. An initial value is a list
 * of pieces: a number, or an address, at an offset; what no piece covers is zero.
 */
#include "decoder.h"

#include <llvm-c/DebugInfo.h>
#include <stdlib.h>
#include <string.h>

/* Initial values longer than this many pieces are not followed: tables that large hold numbers. */
#define INITIALS_MAX 256
/* Literals longer than this are not names of types. */
#define TEXT_MAX 120

int64_t lint_decode_offset(const struct decoder *d, LLVMValueRef gep, bool *ret_varies)
{
	LLVMTypeRef type = LLVMGetGEPSourceElementType(gep);
	int64_t offset = 0;
	*ret_varies = false;
	for (unsigned i = 1; i < (unsigned)LLVMGetNumOperands(gep); i++) {
		LLVMValueRef index = LLVMGetOperand(gep, i);
		bool known = LLVMIsAConstantInt(index) != NULL;
		if (i > 1 && LLVMGetTypeKind(type) == LLVMStructTypeKind) {
			unsigned member = (unsigned)LLVMConstIntGetZExtValue(index);
			offset += (int64_t)LLVMOffsetOfElement(d->layout, type, member);
			type = LLVMStructGetTypeAtIndex(type, member);
			continue;
		}
		if (i > 1)
			type = LLVMGetElementType(type);
		if (known)
			offset += LLVMConstIntGetSExtValue(index) * (int64_t)lint_type_size(d, type);
		else
			*ret_varies = true;
	}
	return offset;
}

static struct operand constant_expression(struct decoder *d, LLVMValueRef value)
{
	struct operand base = lint_decode_constant(d, LLVMGetOperand(value, 0));
	bool varies = false;
	switch (LLVMGetConstOpcode(value)) {
	case LLVMGetElementPtr:
		if (base.kind == OPERAND_GLOBAL)
			base.number += lint_decode_offset(d, value, &varies);
		else if (base.kind == OPERAND_NULL)
			base = (struct operand){.kind = OPERAND_INT,
						.number = lint_decode_offset(d, value, &varies)};
		return base;
	case LLVMBitCast:
	case LLVMAddrSpaceCast:
	case LLVMPtrToInt: return base;
	case LLVMIntToPtr:
		if (base.kind == OPERAND_INT && base.number == 0)
			base.kind = OPERAND_NULL;
		return base;
	default: return (struct operand){.kind = OPERAND_UNKNOWN};
	}
}

struct operand lint_decode_constant(struct decoder *d, LLVMValueRef value)
{
	if (LLVMIsAConstantInt(value) != NULL && lint_type_width(LLVMTypeOf(value)) != 0)
		return (struct operand){.kind = OPERAND_INT, .number = LLVMConstIntGetSExtValue(value)};
	if (LLVMIsAFunction(value) != NULL)
		return (struct operand){.kind = OPERAND_FUNCTION,
					.index = lint_decode_function(d, value)->index};
	if (LLVMIsAGlobalVariable(value) != NULL)
		return (struct operand){.kind = OPERAND_GLOBAL, .index = lint_decode_global_index(d, value)};
	if (LLVMIsAGlobalAlias(value) != NULL)
		return lint_decode_constant(d, LLVMAliasGetAliasee(value));
	if (LLVMIsAConstantExpr(value) != NULL && LLVMGetNumOperands(value) > 0)
		return constant_expression(d, value);
	if (LLVMIsAUndefValue(value) == NULL && LLVMIsNull(value))
		return (struct operand){.kind = OPERAND_NULL};
	return (struct operand){.kind = OPERAND_UNKNOWN};
}

struct initial_list {
	struct initial *items;
	size_t n, capacity;
	bool whole;
};

static void initial_pieces(struct decoder *d, LLVMValueRef value, int64_t offset, struct initial_list *list)
{
	LLVMTypeRef type = LLVMTypeOf(value);
	LLVMTypeKind kind = LLVMGetTypeKind(type);
	if (LLVMIsAUndefValue(value) != NULL || (LLVMIsConstant(value) && LLVMIsNull(value)))
		return;
	if (list->n >= INITIALS_MAX) {
		list->whole = false;
		return;
	}
	if (LLVMIsAConstantStruct(value) != NULL) {
		for (unsigned i = 0; i < (unsigned)LLVMGetNumOperands(value); i++)
			initial_pieces(d, LLVMGetOperand(value, i),
				       offset + (int64_t)LLVMOffsetOfElement(d->layout, type, i), list);
	} else if (LLVMIsAConstantArray(value) != NULL) {
		int64_t step = (int64_t)lint_type_size(d, LLVMGetElementType(type));
		for (unsigned i = 0; i < (unsigned)LLVMGetNumOperands(value); i++)
			initial_pieces(d, LLVMGetOperand(value, i), offset + step * i, list);
	} else if (kind == LLVMIntegerTypeKind || kind == LLVMPointerTypeKind) {
		list->items = lint_grow(list->items, &list->capacity, list->n + 1, sizeof *list->items);
		list->items[list->n++] = (struct initial){offset, (uint32_t)lint_type_size(d, type),
							  lint_decode_constant(d, value)};
	} else { /* arrays of numbers and characters among them: no analysis follows them */
		list->whole = false;
	}
}

void lint_decode_global(struct decoder *d, LLVMValueRef value)
{
	uint32_t index = lint_decode_global_index(d, value);
	LLVMValueRef initial = LLVMGetInitializer(value);
	struct initial_list list = {.whole = initial != NULL};
	if (initial != NULL)
		initial_pieces(d, initial, 0, &list);
	struct global *global = &d->program->globals[index];
	if (initial != NULL) {
		global->defined = true;
		global->unit = d->unit;
		global->initials = lint_region_alloc(&d->program->region, list.n * sizeof *list.items + 1);
		if (list.n > 0)
			memcpy(global->initials, list.items, list.n * sizeof *list.items);
		global->n_initials = (uint32_t)list.n;
		global->initial_known = list.whole;
		global->line = LLVMGetDebugLocLine(value);
		global->file = lint_decode_file(d, value, global->file);
	}
	free(list.items);
	global->type = lint_type_name(d, LLVMGlobalGetValueType(value));
	size_t text_len = 0;
	if (initial != NULL && LLVMIsAConstantDataArray(initial) != NULL && LLVMIsConstantString(initial)) {
		const char *text = LLVMGetAsString(initial, &text_len);
		if (text_len <= TEXT_MAX)
			global->text = lint_region_text(&d->program->region, text, text_len);
	}
	global->is_constant = LLVMIsGlobalConstant(value);
	global->is_thread_local = LLVMIsThreadLocal(value);
	global->is_string = LLVMGetLinkage(value) == LLVMPrivateLinkage;
	global->size = lint_type_size(d, LLVMGlobalGetValueType(value));
}
