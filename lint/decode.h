/* decode.h: from LLVM's form of a unit to ours. The only header of lint/ that names LLVM. */
#ifndef NEAP_LINT_DECODE_H
#define NEAP_LINT_DECODE_H

#include <llvm-c/Core.h>

#include "code.h"

/* Adds the module as a new unit of the program. `directory` is what relative names in it stand on. */
void lint_decode(struct program *program, LLVMModuleRef module, const char *path);

#endif
