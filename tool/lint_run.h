/* lint_run.h: the two commands of libneap-lint.so; argv as main would get it, the exit code as result. */
#ifndef NEAP_TOOL_LINT_RUN_H
#define NEAP_TOOL_LINT_RUN_H

#include "lint/front.h"

int run_lint_analysis(int argc, char **argv);
int run_escape_analysis(int argc, char **argv);

/* Takes argv[*at], and its value when it has one, for files, compile databases and the compiler's flags; moves *at to the
 * last word taken. EXIT_CLEAN, or EXIT_USAGE with the reason on standard error. `command` is "lint" or "escape".
 */
int lint_take_word(const char *command, int argc, char **argv, int *at, struct job_list *jobs);
/* Files that are not in the program, on standard error, so that a clean result never hides them. How many there are. */
unsigned lint_tell_left_out(const char *command, struct program *program, const struct job_list *jobs);

#endif
