/* decode.c: from LLVM's form of a unit to ours.
 *
 * One pass over a module made by `clang -O0 -g -fno-discard-value-names`. Numbers every instruction, turns
 * constants into operands, address arithmetic into byte offsets, memory intrinsics into COPY and FILL, and
 * takes names, lines and lexical scopes from the debug records. Nothing outside this file depends on the
 * compiler's version; it uses the part of the C API that LLVM 14 to 19 share.
 */
#include "decode.h"

#include <llvm-c/DebugInfo.h>
#include <llvm-c/Target.h>
#include <stdlib.h>
#include <string.h>

/* Initial values longer than this many pieces are not followed: tables that large hold numbers. */
#define INITIALS_MAX 256

/* Operand numbers in the debug records of LLVM. */
enum { DI_VARIABLE_SCOPE = 0, DI_VARIABLE_NAME = 1, DI_BLOCK_PARENT = 1 };

struct number {
	LLVMValueRef value;
	uint32_t index;
};

struct decoder {
	struct program *program;
	LLVMModuleRef module;
	LLVMContextRef context;
	LLVMTargetDataRef layout;
	uint32_t unit;
	unsigned no_return, by_value, struct_result;
	/* Of the function at hand. */
	struct function *function;
	struct body *body;
	struct number *numbers; /* value to instruction or block */
	size_t numbers_size;
	size_t cap_operands, cap_targets, cap_variables, cap_scopes;
	struct operand *operands;
	uint32_t *targets;
	struct variable *variables;
	struct scope *scopes;
	/* The last source file, since nearly every instruction repeats it. */
	const char *last_file_name;
	uint32_t last_file;
	const char *last_type_name, *last_type;
};

/* --- Numbers of values -------------------------------------------------------------------------------------- */

static struct number *number_slot(const struct decoder *d, LLVMValueRef value)
{
	size_t mask = d->numbers_size - 1;
	size_t at = (size_t)(((uintptr_t)value >> 4) * 0x9E3779B97F4A7C15u >> 20) & mask;
	while (d->numbers[at].value != NULL && d->numbers[at].value != value)
		at = (at + 1) & mask;
	return &d->numbers[at];
}

static void set_number(struct decoder *d, LLVMValueRef value, uint32_t index)
{
	*number_slot(d, value) = (struct number){value, index};
}

static uint32_t number_of_block(const struct decoder *d, LLVMBasicBlockRef block)
{
	return number_slot(d, LLVMBasicBlockAsValue(block))->index;
}

/* --- Types ---------------------------------------------------------------------------------------------------- */

static bool is_pointer_type(LLVMTypeRef type)
{
	return LLVMGetTypeKind(type) == LLVMPointerTypeKind;
}

static bool is_aggregate_type(LLVMTypeRef type)
{
	LLVMTypeKind kind = LLVMGetTypeKind(type);
	return kind == LLVMStructTypeKind || kind == LLVMArrayTypeKind || kind == LLVMVectorTypeKind;
}

static bool is_carrier_type(LLVMTypeRef type)
{
	return is_pointer_type(type) || is_aggregate_type(type);
}

static uint8_t width_of(LLVMTypeRef type)
{
	if (LLVMGetTypeKind(type) != LLVMIntegerTypeKind)
		return 0;
	unsigned width = LLVMGetIntTypeWidth(type);
	return width > 64 ? 0 : (uint8_t)width;
}

static uint64_t size_of(const struct decoder *d, LLVMTypeRef type)
{
	return LLVMTypeIsSized(type) ? LLVMABISizeOfType(d->layout, type) : 0;
}

/* --- Names ------------------------------------------------------------------------------------------------------ */

static bool is_internal(LLVMValueRef value)
{
	LLVMLinkage linkage = LLVMGetLinkage(value);
	return linkage == LLVMInternalLinkage || linkage == LLVMPrivateLinkage;
}

static const char *name_of(LLVMValueRef value)
{
	size_t len;
	return LLVMGetValueName2(value, &len);
}

static struct function *function_for(struct decoder *d, LLVMValueRef value)
{
	struct function *function =
		lint_function_named(d->program, d->unit, name_of(value), is_internal(value));
	if (function->params != NULL)
		return function;
	LLVMTypeRef result = LLVMGetReturnType(LLVMGlobalGetValueType(value));
	function->returns_pointer = is_pointer_type(result);
	function->returns_carrier = is_carrier_type(result);
	function->n_params = LLVMCountParams(value);
	function->params =
		lint_region_alloc(&d->program->region, (function->n_params + 1) * sizeof *function->params);
	for (uint32_t i = 0; i < function->n_params; i++) {
		LLVMTypeRef type = LLVMTypeOf(LLVMGetParam(value, i));
		function->params[i].pointer = is_pointer_type(type);
		function->params[i].carrier = is_carrier_type(type);
		function->params[i].name = "";
	}
	return function;
}

static uint32_t global_for(struct decoder *d, LLVMValueRef value)
{
	bool is_new;
	const char *name = name_of(value);
	bool is_static = is_internal(value);
	struct global *global = lint_global_named(d->program, d->unit, name, is_static, &is_new);
	return (uint32_t)(global - d->program->globals);
}

static uint32_t file_for(struct decoder *d, const char *name, unsigned len, const char *directory)
{
	if (name == d->last_file_name)
		return d->last_file;
	char *file = lint_region_text(&d->program->region, name, len);
	d->last_file_name = name;
	d->last_file = lint_file_named(d->program, directory, file);
	return d->last_file;
}

/* --- Constants ---------------------------------------------------------------------------------------------------- */

static int64_t gep_offset(const struct decoder *d, LLVMValueRef gep, bool *ret_varies)
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
			offset += LLVMConstIntGetSExtValue(index) * (int64_t)size_of(d, type);
		else
			*ret_varies = true;
	}
	return offset;
}

static struct operand constant(struct decoder *d, LLVMValueRef value);

static struct operand constant_expression(struct decoder *d, LLVMValueRef value)
{
	struct operand base = constant(d, LLVMGetOperand(value, 0));
	bool varies = false;
	switch (LLVMGetConstOpcode(value)) {
	case LLVMGetElementPtr:
		if (base.kind == OPERAND_GLOBAL)
			base.number += gep_offset(d, value, &varies);
		else if (base.kind == OPERAND_NULL)
			base = (struct operand){.kind = OPERAND_INT, .number = gep_offset(d, value, &varies)};
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

static struct operand constant(struct decoder *d, LLVMValueRef value)
{
	if (LLVMIsAConstantInt(value) != NULL && width_of(LLVMTypeOf(value)) != 0)
		return (struct operand){.kind = OPERAND_INT, .number = LLVMConstIntGetSExtValue(value)};
	if (LLVMIsAFunction(value) != NULL)
		return (struct operand){.kind = OPERAND_FUNCTION, .index = function_for(d, value)->index};
	if (LLVMIsAGlobalVariable(value) != NULL)
		return (struct operand){.kind = OPERAND_GLOBAL, .index = global_for(d, value)};
	if (LLVMIsAGlobalAlias(value) != NULL)
		return constant(d, LLVMAliasGetAliasee(value));
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
		int64_t step = (int64_t)size_of(d, LLVMGetElementType(type));
		for (unsigned i = 0; i < (unsigned)LLVMGetNumOperands(value); i++)
			initial_pieces(d, LLVMGetOperand(value, i), offset + step * i, list);
	} else if (LLVMIsAConstantDataArray(value) != NULL) {
		list->whole = false; /* numbers and characters: no analysis follows them */
	} else if (kind == LLVMIntegerTypeKind || kind == LLVMPointerTypeKind) {
		list->items = lint_grow(list->items, &list->capacity, list->n + 1, sizeof *list->items);
		list->items[list->n++] =
			(struct initial){offset, (uint32_t)size_of(d, type), constant(d, value)};
	} else {
		list->whole = false;
	}
}

/* "node" of the type %struct.node or %struct.node.7, which is what a second unit's may be called. NULL: no struct. */
static const char *struct_name(struct decoder *d, LLVMTypeRef type)
{
	const char *name = LLVMGetTypeKind(type) == LLVMStructTypeKind ? LLVMGetStructName(type) : NULL;
	if (name == NULL || name == d->last_type_name)
		return name == NULL ? NULL : d->last_type;
	d->last_type_name = name;
	const char *dot = strchr(name, '.');
	name = dot != NULL ? dot + 1 : name;
	d->last_type = lint_region_text(&d->program->region, name, strcspn(name, "."));
	return d->last_type;
}

/* Literals longer than this are not names of types. */
#define TEXT_MAX 120

static void decode_global(struct decoder *d, LLVMValueRef value)
{
	uint32_t index = global_for(d, value);
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
		unsigned len = 0;
		const char *file = LLVMGetDebugLocFilename(value, &len);
		global->line = LLVMGetDebugLocLine(value);
		unsigned directory_len = 0;
		const char *directory = LLVMGetDebugLocDirectory(value, &directory_len);
		if (file != NULL && len > 0)
			global->file = file_for(d, file, len, directory);
	}
	free(list.items);
	global->type = struct_name(d, LLVMGlobalGetValueType(value));
	size_t text_len = 0;
	if (initial != NULL && LLVMIsAConstantDataArray(initial) != NULL && LLVMIsConstantString(initial)) {
		const char *text = LLVMGetAsString(initial, &text_len);
		if (text_len <= TEXT_MAX)
			global->text = lint_region_text(&d->program->region, text, text_len);
	}
	global->is_constant = LLVMIsGlobalConstant(value);
	global->is_thread_local = LLVMIsThreadLocal(value);
	global->is_string = LLVMGetLinkage(value) == LLVMPrivateLinkage;
	global->size = size_of(d, LLVMGlobalGetValueType(value));
}

/* --- Operands ---------------------------------------------------------------------------------------------------- */

static struct operand operand_for(struct decoder *d, LLVMValueRef value)
{
	if (LLVMIsAInstruction(value) != NULL)
		return (struct operand){.kind = OPERAND_VALUE, .index = number_slot(d, value)->index};
	if (LLVMIsAArgument(value) != NULL)
		return (struct operand){.kind = OPERAND_PARAM, .index = number_slot(d, value)->index};
	if (LLVMIsConstant(value))
		return constant(d, value);
	return (struct operand){.kind = OPERAND_UNKNOWN};
}

static void add_operand(struct decoder *d, struct insn *insn, struct operand operand)
{
	d->operands = lint_grow(d->operands, &d->cap_operands, d->body->n_operands + 1, sizeof *d->operands);
	d->operands[d->body->n_operands++] = operand;
	insn->n_operands++;
}

static void add_operands(struct decoder *d, struct insn *insn, LLVMValueRef value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		add_operand(d, insn, operand_for(d, LLVMGetOperand(value, i)));
}

static void add_target(struct decoder *d, struct insn *insn, LLVMBasicBlockRef block)
{
	d->targets = lint_grow(d->targets, &d->cap_targets, d->body->n_targets + 1, sizeof *d->targets);
	d->targets[d->body->n_targets++] = number_of_block(d, block);
	insn->n_targets++;
}

static bool operand_carries(const struct decoder *d, const struct insn *insn, uint32_t i)
{
	const struct operand *operand = &d->operands[insn->first_operand + i];
	switch (operand->kind) {
	case OPERAND_VALUE: return d->body->insns[operand->index].carrier;
	case OPERAND_PARAM: return d->function->params[operand->index].carrier;
	case OPERAND_GLOBAL:
	case OPERAND_FUNCTION: return true;
	default: return false;
	}
}

/* --- Calls --------------------------------------------------------------------------------------------------------- */

static bool has_attribute(LLVMValueRef call, LLVMAttributeIndex index, unsigned kind)
{
	return LLVMGetCallSiteEnumAttribute(call, index, kind) != NULL;
}

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
	if (node == NULL || LLVMIsAMDNode(node) == NULL || depth > 60)
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
static void decode_declare(struct decoder *d, LLVMValueRef call)
{
	LLVMValueRef storage = metadata_operand(LLVMGetOperand(call, 0), 0);
	if (storage == NULL || LLVMIsAAllocaInst(storage) == NULL)
		return;
	const struct insn *local = &d->body->insns[number_slot(d, storage)->index];
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

static bool starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* True when the call was a compiler intrinsic and is done with. */
static bool decode_intrinsic(struct decoder *d, struct insn *insn, LLVMValueRef call, const char *name)
{
	if (!starts(name, "llvm."))
		return false;
	unsigned n = LLVMGetNumArgOperands(call);
	if (starts(name, "llvm.dbg.declare")) {
		decode_declare(d, call);
	} else if (starts(name, "llvm.memcpy") || starts(name, "llvm.memmove")) {
		insn->op = OP_COPY;
		add_operands(d, insn, call, 3);
		LLVMValueRef size = LLVMGetOperand(call, 2);
		insn->size = LLVMIsAConstantInt(size) != NULL ? LLVMConstIntGetZExtValue(size) : 0;
	} else if (starts(name, "llvm.memset")) {
		insn->op = OP_FILL;
		add_operands(d, insn, call, 3);
		LLVMValueRef size = LLVMGetOperand(call, 2);
		insn->size = LLVMIsAConstantInt(size) != NULL ? LLVMConstIntGetZExtValue(size) : 0;
	} else if (starts(name, "llvm.expect") || starts(name, "llvm.ptr.annotation")) {
		insn->op = OP_SAME;
		add_operands(d, insn, call, 1);
	} else if (insn->width != 0 || insn->carrier) {
		insn->op = OP_OTHER;
		if (!starts(name, "llvm.objectsize"))
			add_operands(d, insn, call, n);
	}
	return true;
}

static void decode_call(struct decoder *d, struct insn *insn, LLVMValueRef call)
{
	LLVMValueRef callee = LLVMGetCalledValue(call);
	if (LLVMIsAInlineAsm(callee) != NULL) {
		insn->op = OP_ASM;
		d->body->has_asm = true;
		add_operands(d, insn, call, LLVMGetNumArgOperands(call));
		return;
	}
	struct operand target = operand_for(d, callee);
	const char *name = target.kind == OPERAND_FUNCTION ? d->program->functions[target.index].name : "";
	if (decode_intrinsic(d, insn, call, name))
		return;
	insn->op = OP_CALL;
	unsigned n = LLVMGetNumArgOperands(call);
	add_operands(d, insn, call, n);
	add_operand(d, insn, target);
	insn->no_return = has_attribute(call, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, d->no_return) ||
			  (target.kind == OPERAND_FUNCTION && d->program->functions[target.index].no_return);
	insn->result_stored = n > 0 && has_attribute(call, 1, d->struct_result);
	d->body->n_loads++;
	d->body->has_indirect |= target.kind != OPERAND_FUNCTION;
	d->body->calls_setjmp |= strcmp(name, "_setjmp") == 0 || strcmp(name, "setjmp") == 0 ||
				 strcmp(name, "__sigsetjmp") == 0 || strcmp(name, "sigsetjmp") == 0;
}

/* --- Instructions -------------------------------------------------------------------------------------------------- */

static enum compare compare_of(LLVMIntPredicate predicate)
{
	switch (predicate) {
	case LLVMIntEQ: return CMP_EQ;
	case LLVMIntNE: return CMP_NE;
	case LLVMIntULT: return CMP_ULT;
	case LLVMIntULE: return CMP_ULE;
	case LLVMIntUGT: return CMP_UGT;
	case LLVMIntUGE: return CMP_UGE;
	case LLVMIntSLT: return CMP_SLT;
	case LLVMIntSLE: return CMP_SLE;
	case LLVMIntSGT: return CMP_SGT;
	default: return CMP_SGE;
	}
}

static void decode_local(struct decoder *d, struct insn *insn, LLVMValueRef value, uint32_t index)
{
	insn->op = OP_LOCAL;
	LLVMValueRef count = LLVMGetOperand(value, 0);
	if (LLVMIsAConstantInt(count) != NULL)
		insn->size = size_of(d, LLVMGetAllocatedType(value)) * LLVMConstIntGetZExtValue(count);
	d->variables =
		lint_grow(d->variables, &d->cap_variables, d->body->n_variables + 1, sizeof *d->variables);
	struct variable *variable = &d->variables[d->body->n_variables++];
	*variable = (struct variable){.insn = index, .param = -1, .file = d->function->file};
	size_t len;
	const char *name = LLVMGetValueName2(value, &len);
	if (len > 5 && strcmp(name + len - 5, ".addr") == 0)
		len -= 5;
	variable->name = starts(name, ".compoundliteral") ? "compound literal"
							  : lint_region_text(&d->program->region, name, len);
	variable->declared = starts(name, ".compoundliteral");
	variable->line = LLVMGetDebugLocLine(value);
	insn->variable = d->body->n_variables;
}

/* A 64-bit integer loaded from the bytes of a struct, union or pointer may be a pointer in disguise (how clang
 * passes small structs and exchanges pointers atomically); one loaded from an integer is not.
 */
static bool loads_disguised_pointer(LLVMValueRef address, uint8_t width)
{
	if (width != 64 || LLVMIsAInstruction(address) == NULL)
		return false;
	if (strncmp(name_of(address), "coerce", 6) == 0)
		return true;
	if (LLVMGetInstructionOpcode(address) != LLVMBitCast)
		return false;
	LLVMValueRef from = LLVMGetOperand(address, 0);
	return LLVMIsAAllocaInst(from) != NULL && is_carrier_type(LLVMGetAllocatedType(from));
}

static uint64_t aggregate_offset(const struct decoder *d, LLVMTypeRef type, LLVMValueRef value)
{
	uint64_t offset = 0;
	const unsigned *indices = LLVMGetIndices(value);
	for (unsigned i = 0; i < LLVMGetNumIndices(value); i++) {
		if (LLVMGetTypeKind(type) == LLVMStructTypeKind) {
			offset += LLVMOffsetOfElement(d->layout, type, indices[i]);
			type = LLVMStructGetTypeAtIndex(type, indices[i]);
		} else {
			type = LLVMGetElementType(type);
			offset += size_of(d, type) * indices[i];
		}
	}
	return offset;
}

static void decode_memory(struct decoder *d, struct insn *insn, LLVMValueRef value, LLVMOpcode opcode)
{
	d->body->n_loads++;
	switch (opcode) {
	case LLVMLoad:
		insn->op = OP_LOAD;
		insn->size = size_of(d, LLVMTypeOf(value));
		add_operands(d, insn, value, 1);
		insn->carrier |= loads_disguised_pointer(LLVMGetOperand(value, 0), insn->width);
		break;
	case LLVMStore:
		insn->op = OP_STORE;
		insn->size = size_of(d, LLVMTypeOf(LLVMGetOperand(value, 0)));
		add_operands(d, insn, value, 2);
		break;
	default:
		insn->op = OP_ATOMIC;
		insn->size = size_of(d, LLVMTypeOf(LLVMGetOperand(value, 1)));
		add_operands(d, insn, value, (unsigned)LLVMGetNumOperands(value));
		break;
	}
}

static void decode_jump(struct decoder *d, struct insn *insn, LLVMValueRef value, LLVMOpcode opcode)
{
	insn->targets = d->body->n_targets;
	if (opcode == LLVMRet) {
		insn->op = OP_RETURN;
		add_operands(d, insn, value, (unsigned)LLVMGetNumOperands(value));
		return;
	}
	insn->op = OP_UNREACHABLE;
	if (opcode == LLVMBr) {
		insn->op = LLVMIsConditional(value) ? OP_BRANCH : OP_JUMP;
		if (insn->op == OP_BRANCH)
			add_operand(d, insn, operand_for(d, LLVMGetCondition(value)));
	} else if (opcode == LLVMSwitch) {
		insn->op = OP_SWITCH;
		add_operand(d, insn, operand_for(d, LLVMGetOperand(value, 0)));
		for (unsigned i = 2; i < (unsigned)LLVMGetNumOperands(value); i += 2)
			add_operand(d, insn, operand_for(d, LLVMGetOperand(value, i)));
	} else if (opcode == LLVMIndirectBr) {
		insn->op = OP_SWITCH; /* computed goto: any target */
		add_operand(d, insn, (struct operand){.kind = OPERAND_UNKNOWN});
	}
	for (unsigned i = 0; i < LLVMGetNumSuccessors(value); i++)
		add_target(d, insn, LLVMGetSuccessor(value, i));
}

static void decode_arithmetic(struct decoder *d, struct insn *insn, LLVMValueRef value, LLVMOpcode opcode)
{
	static const struct {
		LLVMOpcode opcode;
		enum op op;
	} table[] = {{LLVMAdd, OP_ADD},	      {LLVMSub, OP_SUB},
		     {LLVMMul, OP_MUL},	      {LLVMAnd, OP_AND},
		     {LLVMOr, OP_OR},	      {LLVMXor, OP_XOR},
		     {LLVMShl, OP_SHL},	      {LLVMTrunc, OP_TRUNCATE},
		     {LLVMZExt, OP_ZEXTEND},  {LLVMSExt, OP_SEXTEND},
		     {LLVMBitCast, OP_SAME},  {LLVMPtrToInt, OP_SAME},
		     {LLVMIntToPtr, OP_SAME}, {LLVMAddrSpaceCast, OP_SAME},
		     {LLVMFreeze, OP_SAME},   {LLVMSelect, OP_SELECT}};
	insn->op = OP_ARITH;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].opcode == opcode)
			insn->op = (uint8_t)table[i].op;
	unsigned n = (unsigned)LLVMGetNumOperands(value);
	add_operands(d, insn, value, n);
	insn->from_width = width_of(LLVMTypeOf(LLVMGetOperand(value, 0)));
	if (opcode == LLVMPtrToInt)
		insn->from_width = 64;
	if (opcode == LLVMBitCast &&
	    is_pointer_type(LLVMTypeOf(LLVMGetOperand(value, 0)))) /* pointers with types */
		insn->type = struct_name(d, LLVMGetElementType(LLVMTypeOf(LLVMGetOperand(value, 0))));
	for (uint32_t i = opcode == LLVMSelect ? 1 : 0; i < n && !insn->carrier; i++)
		insn->carrier = operand_carries(d, insn, i) && insn->width == 64;
}

static void decode_value(struct decoder *d, struct insn *insn, LLVMValueRef value, uint32_t index)
{
	LLVMOpcode opcode = LLVMGetInstructionOpcode(value);
	switch (opcode) {
	case LLVMAlloca: decode_local(d, insn, value, index); break;
	case LLVMLoad:
	case LLVMStore:
	case LLVMAtomicRMW:
	case LLVMAtomicCmpXchg: decode_memory(d, insn, value, opcode); break;
	case LLVMGetElementPtr:
		insn->op = OP_OFFSET;
		insn->member = true;
		insn->type = struct_name(d, LLVMGetGEPSourceElementType(value));
		insn->offset = gep_offset(d, value, &insn->varies);
		add_operands(d, insn, value, 1);
		break;
	case LLVMICmp:
	case LLVMFCmp:
		insn->op = OP_COMPARE;
		insn->compare =
			opcode == LLVMICmp ? (uint8_t)compare_of(LLVMGetICmpPredicate(value)) : CMP_FLOAT;
		insn->from_width = width_of(LLVMTypeOf(LLVMGetOperand(value, 0)));
		add_operands(d, insn, value, 2);
		break;
	case LLVMPHI:
		insn->op = OP_PHI;
		insn->targets = d->body->n_targets;
		for (unsigned i = 0; i < LLVMCountIncoming(value); i++) {
			add_operand(d, insn, operand_for(d, LLVMGetIncomingValue(value, i)));
			add_target(d, insn, LLVMGetIncomingBlock(value, i));
		}
		break;
	case LLVMExtractValue:
		insn->op = OP_EXTRACT;
		insn->offset = (int64_t)aggregate_offset(d, LLVMTypeOf(LLVMGetOperand(value, 0)), value);
		add_operands(d, insn, value, 1);
		break;
	case LLVMInsertValue:
		insn->op = OP_INSERT;
		insn->offset = (int64_t)aggregate_offset(d, LLVMTypeOf(value), value);
		add_operands(d, insn, value, 2);
		break;
	case LLVMCall: decode_call(d, insn, value); break;
	case LLVMRet:
	case LLVMBr:
	case LLVMSwitch:
	case LLVMIndirectBr:
	case LLVMUnreachable: decode_jump(d, insn, value, opcode); break;
	case LLVMFence: break;
	case LLVMVAArg:
		insn->op = OP_OTHER;
		add_operands(d, insn, value, 1);
		break;
	default: decode_arithmetic(d, insn, value, opcode); break;
	}
}

static void decode_insn(struct decoder *d, LLVMValueRef value, uint32_t index, uint32_t block)
{
	struct insn *insn = &d->body->insns[index];
	LLVMTypeRef type = LLVMTypeOf(value);
	insn->first_operand = d->body->n_operands;
	insn->block = block;
	insn->width = width_of(type);
	insn->pointer = is_pointer_type(type);
	insn->carrier = is_carrier_type(type);
	insn->line = LLVMGetDebugLocLine(value);
	insn->column = (uint16_t)LLVMGetDebugLocColumn(value);
	insn->file = d->function->file;
	if (insn->line != 0) {
		unsigned len = 0, directory_len = 0;
		const char *file = LLVMGetDebugLocFilename(value, &len);
		if (file != NULL && len > 0)
			insn->file = file == d->last_file_name
					     ? d->last_file
					     : file_for(d, file, len,
							LLVMGetDebugLocDirectory(value, &directory_len));
	}
	decode_value(d, insn, value, index);
}

/* --- Blocks ---------------------------------------------------------------------------------------------------------- */

struct order_frame {
	uint32_t block, next;
};

/* Reverse post order; a jump to a block that is open on the walk's path goes backwards. */
static void order_blocks(struct decoder *d)
{
	struct body *body = d->body;
	uint8_t *mark = lint_calloc(body->n_blocks, 1); /* 1 open, 2 done */
	struct order_frame *frames = lint_calloc(body->n_blocks + 1, sizeof *frames);
	body->order = lint_region_alloc(&d->program->region, body->n_blocks * sizeof(uint32_t));
	uint32_t depth = 0, filled = body->n_blocks;
	frames[depth++] = (struct order_frame){0, 0};
	mark[0] = 1;
	while (depth > 0) {
		struct order_frame *frame = &frames[depth - 1];
		const struct block *block = &body->blocks[frame->block];
		const struct insn *last = &body->insns[block->first + block->n - 1];
		if (frame->next == last->n_targets) {
			mark[frame->block] = 2;
			body->order[--filled] = frame->block;
			depth--;
			continue;
		}
		uint32_t to = body->targets[last->targets + frame->next++];
		if (mark[to] == 1)
			body->blocks[to].loop_head = true;
		if (mark[to] != 0)
			continue;
		mark[to] = 1;
		frames[depth++] = (struct order_frame){to, 0};
	}
	body->n_order = body->n_blocks - filled;
	memmove(body->order, body->order + filled, body->n_order * sizeof(uint32_t));
	for (uint32_t i = 0; i < body->n_blocks; i++)
		body->blocks[i].order = UINT32_MAX;
	for (uint32_t i = 0; i < body->n_order; i++)
		body->blocks[body->order[i]].order = i;
	free(mark);
	free(frames);
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
		param->carrier |= coerce != NULL && width_of(LLVMTypeOf(LLVMGetParam(function, i))) == 64;
		param->by_value = LLVMGetEnumAttributeAtIndex(function, i + 1, d->by_value) != NULL;
		param->result = LLVMGetEnumAttributeAtIndex(function, i + 1, d->struct_result) != NULL;
	}
}

/* A parameter's shadow is the local that the entry block stores it into. */
static void find_shadows(struct decoder *d)
{
	const struct block *entry = &d->body->blocks[0];
	for (uint32_t i = entry->first; i < entry->first + entry->n; i++) {
		const struct insn *insn = &d->body->insns[i];
		if (insn->op != OP_STORE)
			continue;
		const struct operand *value = &d->operands[insn->first_operand];
		const struct operand *to = value + 1;
		if (value->kind == OPERAND_PARAM && to->kind == OPERAND_VALUE &&
		    d->body->insns[to->index].variable != 0)
			d->variables[d->body->insns[to->index].variable - 1].param = (int)value->index;
	}
}

/* An integer variable that is given a pointer's bits carries them from then on, and so does what is computed of
 * it. Twice, because one such variable may be made of another.
 */
static void follow_integers(struct decoder *d)
{
	struct body *body = d->body;
	uint8_t *given = lint_calloc(body->n_insns + 1, 1);
	for (uint32_t pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < body->n_insns; i++) {
			struct insn *insn = &body->insns[i];
			const struct operand *address =
				&d->operands[insn->first_operand + (insn->op == OP_STORE)];
			if (insn->op == OP_STORE && address->kind == OPERAND_VALUE &&
			    operand_carries(d, insn, 0))
				given[address->index] = 1;
			else if (insn->op == OP_LOAD && address->kind == OPERAND_VALUE && insn->width == 64)
				insn->carrier |= given[address->index];
			for (uint32_t o = 0; insn->op >= OP_ADD && insn->op <= OP_XOR && o < insn->n_operands;
			     o++)
				insn->carrier |= insn->width == 64 && operand_carries(d, insn, o);
			if (insn->op == OP_SAME)
				insn->carrier |= operand_carries(d, insn, 0);
		}
	free(given);
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
	unsigned len = 0, directory_len = 0;
	const char *file = LLVMGetDebugLocFilename(function, &len);
	d->function->line = LLVMGetDebugLocLine(function);
	if (file != NULL && len > 0)
		d->function->file =
			file_for(d, file, len, LLVMGetDebugLocDirectory(function, &directory_len));
}

static void decode_body(struct decoder *d, LLVMValueRef value)
{
	d->function = function_for(d, value);
	if (d->function->body != NULL)
		return; /* the first definition of an inline function serves all units */
	struct body *body = lint_region_alloc(&d->program->region, sizeof *body);
	body->n_scopes = 1;
	d->function->unit = d->unit;
	d->body = body;
	if (d->function->n_params != LLVMCountParams(value)) { /* declared without a prototype elsewhere */
		d->function->params = NULL;
		d->function = function_for(d, value);
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
			decode_insn(d, i, n++, blocks);
		}
		body->blocks[blocks].n = n - body->blocks[blocks].first;
	}
	find_shadows(d);
	follow_integers(d);
	keep_arrays(d);
	order_blocks(d);
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
	for (LLVMValueRef g = LLVMGetFirstGlobal(module); g != NULL; g = LLVMGetNextGlobal(g))
		decode_global(&d, g);
	for (LLVMValueRef f = LLVMGetFirstFunction(module); f != NULL; f = LLVMGetNextFunction(f)) {
		struct function *function = function_for(&d, f);
		function->no_return |=
			LLVMGetEnumAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
						    d.no_return) != NULL;
		function->variadic = LLVMIsFunctionVarArg(LLVMGlobalGetValueType(f));
	}
	for (LLVMValueRef f = LLVMGetFirstFunction(module); f != NULL; f = LLVMGetNextFunction(f))
		if (!LLVMIsDeclaration(f))
			decode_body(&d, f);
	free(d.numbers);
	free(d.operands);
	free(d.targets);
	free(d.variables);
	free(d.scopes);
}
