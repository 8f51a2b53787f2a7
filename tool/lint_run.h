/* lint_run.h: the two commands of libneap-lint.so; argv as main would get it, the exit code as result. */
#ifndef NEAP_TOOL_LINT_RUN_H
#define NEAP_TOOL_LINT_RUN_H

int run_lint_analysis(int argc, char **argv);
int run_escape_analysis(int argc, char **argv);

#endif
