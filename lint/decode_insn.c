/* decode_insn.c: one instruction of LLVM's becomes one of ours.
 *
 * Address arithmetic becomes a byte offset, memory intrinsics become COPY and FILL, and instructions that no analysis
 * needs become NONE, so that numbers stay the same.
 */
#include "decoder.h"

#include <llvm/Config/llvm-config.h>

#include <string.h>

static uint32_t number_of_block(const struct decoder *d, LLVMBasicBlockRef block)
{
	return lint_number_slot(d, LLVMBasicBlockAsValue(block))->index;
}

static struct operand operand_for(struct decoder *d, LLVMValueRef value)
{
	if (LLVMIsAInstruction(value) != NULL)
		return (struct operand){.kind = OPERAND_VALUE, .index = lint_number_slot(d, value)->index};
	if (LLVMIsAArgument(value) != NULL)
		return (struct operand){.kind = OPERAND_PARAM, .index = lint_number_slot(d, value)->index};
	if (LLVMIsConstant(value))
		return lint_decode_constant(d, value);
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

static bool has_attribute(LLVMValueRef call, LLVMAttributeIndex index, unsigned kind)
{
	return LLVMGetCallSiteEnumAttribute(call, index, kind) != NULL;
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
		lint_decode_declare(d, call);
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
		insn->size = lint_type_size(d, LLVMGetAllocatedType(value)) * LLVMConstIntGetZExtValue(count);
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
	if (strncmp(lint_llvm_name(address), "coerce", 6) == 0)
		return true;
	if (LLVMGetInstructionOpcode(address) != LLVMBitCast)
		return false;
	LLVMValueRef from = LLVMGetOperand(address, 0);
	return LLVMIsAAllocaInst(from) != NULL && lint_type_is_carrier(LLVMGetAllocatedType(from));
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
			offset += lint_type_size(d, type) * indices[i];
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
		insn->size = lint_type_size(d, LLVMTypeOf(value));
		add_operands(d, insn, value, 1);
		insn->carrier |= loads_disguised_pointer(LLVMGetOperand(value, 0), insn->width);
		break;
	case LLVMStore:
		insn->op = OP_STORE;
		insn->size = lint_type_size(d, LLVMTypeOf(LLVMGetOperand(value, 0)));
		add_operands(d, insn, value, 2);
		break;
	default:
		insn->op = OP_ATOMIC;
		insn->size = lint_type_size(d, LLVMTypeOf(LLVMGetOperand(value, 1)));
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

static void set_type(struct decoder *d, struct insn *insn, LLVMTypeRef type)
{
	insn->type = lint_type_name(d, type);
	insn->size = insn->type != NULL ? lint_type_size(d, type) : 0;
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
	insn->from_width = lint_type_width(LLVMTypeOf(LLVMGetOperand(value, 0)));
	if (opcode == LLVMPtrToInt)
		insn->from_width = 64;
#if LLVM_VERSION_MAJOR < 15 /* later ones have no types behind pointers */
	if (opcode == LLVMBitCast && lint_type_is_pointer(LLVMTypeOf(LLVMGetOperand(value, 0))))
		set_type(d, insn, LLVMGetElementType(LLVMTypeOf(LLVMGetOperand(value, 0))));
#endif
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
		set_type(d, insn, LLVMGetGEPSourceElementType(value));
		insn->offset = lint_decode_offset(d, value, &insn->varies);
		add_operands(d, insn, value, 1);
		break;
	case LLVMICmp:
	case LLVMFCmp:
		insn->op = OP_COMPARE;
		insn->compare =
			opcode == LLVMICmp ? (uint8_t)compare_of(LLVMGetICmpPredicate(value)) : CMP_FLOAT;
		insn->from_width = lint_type_width(LLVMTypeOf(LLVMGetOperand(value, 0)));
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

void lint_decode_insn(struct decoder *d, LLVMValueRef value, uint32_t index, uint32_t block)
{
	struct insn *insn = &d->body->insns[index];
	LLVMTypeRef type = LLVMTypeOf(value);
	insn->first_operand = d->body->n_operands;
	insn->block = block;
	insn->width = lint_type_width(type);
	insn->pointer = lint_type_is_pointer(type);
	insn->carrier = lint_type_is_carrier(type);
	insn->line = LLVMGetDebugLocLine(value);
	insn->column = (uint16_t)LLVMGetDebugLocColumn(value);
	insn->file = insn->line != 0 ? lint_decode_file(d, value, d->function->file) : d->function->file;
	decode_value(d, insn, value, index);
}
