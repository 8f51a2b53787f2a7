/* lint_module.h: the static analyses as a module that is loaded when they are asked for.
 *
 * LLVM is large: a program that is linked with it has ten megabytes more in memory before main runs. So `neap lint`
 * and `neap escape` live in libneap-lint.so, which is looked for in this order:
 *
 *     $NEAP_MODULES                        a folder, for those who keep it elsewhere
 *     the folder of the running `neap`     a build tree
 *     LIBDIR/neap beside that              where `ninja install` puts it
 *
 * The module takes usage_error() and wants_colour() from the program, and is refused when its version is another.
 */
#ifndef NEAP_TOOL_LINT_MODULE_H
#define NEAP_TOOL_LINT_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* What the module exports, by the name neap_lint_module. */
struct lint_module {
	const char *version; /* neap_version() of its build */
	const char *llvm;    /* the LLVM that it was built with: "14.0.6" */
	int (*run_lint)(int argc, char **argv);
	int (*run_escape)(int argc, char **argv);
};

/* The module, loaded once for the life of the process, or NULL. Writes its path and LLVM, or why it cannot be had and
 * what to do about it, to `ret_text`: a line or two without the newline at the end. One thread at a time.
 */
const struct lint_module *lint_module_load(char *ret_text, size_t size);

/* Flags of the compiler that may stand among the files. */
static inline bool is_compiler_flag(const char *word)
{
	return strncmp(word, "-I", 2) == 0 || strncmp(word, "-D", 2) == 0 || strncmp(word, "-U", 2) == 0 ||
	       strncmp(word, "-std=", 5) == 0;
}

/* `neap lint --gcc`, without the module. */
int run_gcc_lint(int argc, char **argv);

#endif
