/* decode_types.c: LLVM's types in bytes and bits; names of functions, globals and files. */
#include "decoder.h"

#include <stdlib.h>
#include <string.h>

bool lint_type_is_pointer(LLVMTypeRef type)
{
	return LLVMGetTypeKind(type) == LLVMPointerTypeKind;
}

static bool is_aggregate(LLVMTypeRef type)
{
	LLVMTypeKind kind = LLVMGetTypeKind(type);
	return kind == LLVMStructTypeKind || kind == LLVMArrayTypeKind || kind == LLVMVectorTypeKind;
}

bool lint_type_is_carrier(LLVMTypeRef type)
{
	return lint_type_is_pointer(type) || is_aggregate(type);
}

uint8_t lint_type_width(LLVMTypeRef type)
{
	if (LLVMGetTypeKind(type) != LLVMIntegerTypeKind)
		return 0;
	unsigned width = LLVMGetIntTypeWidth(type);
	return width > 64 ? 0 : (uint8_t)width;
}

uint64_t lint_type_size(const struct decoder *d, LLVMTypeRef type)
{
	return LLVMTypeIsSized(type) ? LLVMABISizeOfType(d->layout, type) : 0;
}

/* "node" of the type %struct.node or %struct.node.7, which is what a second unit's may be called. NULL: no struct. */
const char *lint_type_name(struct decoder *d, LLVMTypeRef type)
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

static bool is_internal(LLVMValueRef value)
{
	LLVMLinkage linkage = LLVMGetLinkage(value);
	return linkage == LLVMInternalLinkage || linkage == LLVMPrivateLinkage;
}

const char *lint_llvm_name(LLVMValueRef value)
{
	size_t len;
	return LLVMGetValueName2(value, &len);
}

/* Two units that define the same name, main for instance, belong to two programs: to each its own. Copies of one inline
 * function are the same.
 */
static bool defines_alone(LLVMValueRef value)
{
	return !LLVMIsDeclaration(value) && LLVMGetLinkage(value) == LLVMExternalLinkage;
}

struct function *lint_decode_function(struct decoder *d, LLVMValueRef value)
{
	const char *name = lint_llvm_name(value);
	struct function *function = lint_function_named(d->program, d->unit, name, is_internal(value));
	if (!is_internal(value) && function->body != NULL && function->unit != d->unit &&
	    defines_alone(value))
		function = lint_function_named(d->program, d->unit, name, true);
	if (function->params != NULL)
		return function;
	LLVMTypeRef result = LLVMGetReturnType(LLVMGlobalGetValueType(value));
	function->returns_pointer = lint_type_is_pointer(result);
	function->returns_carrier = lint_type_is_carrier(result);
	function->n_params = LLVMCountParams(value);
	function->params =
		lint_region_alloc(&d->program->region, (function->n_params + 1) * sizeof *function->params);
	for (uint32_t i = 0; i < function->n_params; i++) {
		LLVMTypeRef type = LLVMTypeOf(LLVMGetParam(value, i));
		function->params[i].pointer = lint_type_is_pointer(type);
		function->params[i].carrier = lint_type_is_carrier(type);
		function->params[i].name = "";
	}
	return function;
}

uint32_t lint_decode_global_index(struct decoder *d, LLVMValueRef value)
{
	bool is_new;
	const char *name = lint_llvm_name(value);
	bool is_static = is_internal(value);
	struct global *global = lint_global_named(d->program, d->unit, name, is_static, &is_new);
	return (uint32_t)(global - d->program->globals);
}

uint32_t lint_decode_file(struct decoder *d, LLVMValueRef value, uint32_t otherwise)
{
	unsigned len = 0, directory_len = 0;
	const char *name = LLVMGetDebugLocFilename(value, &len);
	if (name == NULL || len == 0)
		return otherwise;
	struct decoded_file *known = &d->files[((uintptr_t)name >> 3) % DECODED_FILES];
	if (known->name == name)
		return known->file;
	const char *directory = LLVMGetDebugLocDirectory(value, &directory_len);
	char *name_copy = strndup(name, len),
	     *directory_copy = directory != NULL ? strndup(directory, directory_len) : NULL;
	if (name_copy != NULL)
		*known = (struct decoded_file){name, lint_file_named(d->program, directory_copy, name_copy)};
	free(name_copy);
	free(directory_copy);
	return known->name == name ? known->file : otherwise;
}
