/* lint_entry.c: what libneap-lint.so shows to the program that loads it. */
#include "lint_module.h"
#include "lint_run.h"

extern const struct lint_module neap_lint_module;
__attribute__((visibility("default"))) const struct lint_module neap_lint_module = {
	NEAP_LINT_VERSION, NEAP_LLVM, run_lint_analysis, run_escape_analysis};
