/* decoder.h: what the files of the decoder share. Only they, and front.c, know LLVM.
 *
 *     decode.c             units and bodies: who is decoded, in which order
 *     decode_types.c       types, and the names of functions, globals and files
 *     decode_constants.c   constants, addresses among them, and the initial values of globals
 *     lint_decode_insn.c        instructions and their operands
 *     decode_debug.c       which variable and scope of the source a local belongs to
 *
 * What can be said of a body without LLVM, the order of its blocks for one, is in body.c. The decoder uses the part of
 * the C API that LLVM 14 to 19 share.
 */
#ifndef NEAP_LINT_DECODER_H
#define NEAP_LINT_DECODER_H

#include <llvm-c/Target.h>

#include "decode.h"

/* LLVM's value, and its number among ours: an instruction, a parameter or a block. */
struct number {
	LLVMValueRef value;
	uint32_t index;
};

/* Source files that were named lately: nearly every instruction repeats one. */
#define DECODED_FILES 64
struct decoded_file {
	const char *name;
	uint32_t file;
};

struct decoder {
	struct program *program;
	LLVMModuleRef module;
	LLVMContextRef context;
	LLVMTargetDataRef layout;
	LLVMPassManagerRef bodies; /* of no passes: running it reads a body that is still bytes */
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
	struct decoded_file files[DECODED_FILES]; /* by LLVM's text of the name */
	const char *last_type_name, *last_type;
};

/* Open addressing by address: the slot of the value, or the free one where it should go. */
struct number *lint_number_slot(const struct decoder *d, LLVMValueRef value);

bool lint_type_is_pointer(LLVMTypeRef type);
/* A value of the type may hold a pointer: pointers, structs, arrays, vectors. */
bool lint_type_is_carrier(LLVMTypeRef type);
/* Bits of an integer of at most 64, 0 for all others. */
uint8_t lint_type_width(LLVMTypeRef type);
/* Bytes; 0 when it has no size. */
uint64_t lint_type_size(const struct decoder *d, LLVMTypeRef type);
/* "node" of the type %struct.node or %struct.node.7, which is what a second unit's may be called. NULL: no struct. */
const char *lint_type_name(struct decoder *d, LLVMTypeRef type);

const char *lint_llvm_name(LLVMValueRef value);
struct function *lint_decode_function(struct decoder *d, LLVMValueRef value);
uint32_t lint_decode_global_index(struct decoder *d, LLVMValueRef value);
/* The file of the value's debug record, `otherwise` when it has none. */
uint32_t lint_decode_file(struct decoder *d, LLVMValueRef value, uint32_t otherwise);

struct operand lint_decode_constant(struct decoder *d, LLVMValueRef value);
/* Bytes that the address computation adds; without its unknown indices when `ret_varies`. */
int64_t lint_decode_offset(const struct decoder *d, LLVMValueRef gep, bool *ret_varies);
void lint_decode_global(struct decoder *d, LLVMValueRef value);

void lint_decode_insn(struct decoder *d, LLVMValueRef value, uint32_t index, uint32_t block);
/* A debug record that says which variable of the source a local is. */
void lint_decode_declare(struct decoder *d, LLVMValueRef call);

#endif
