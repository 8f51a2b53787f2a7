/* command.h: what a subcommand of `neap` is, and the exit codes that all of them share. */
#ifndef NEAP_TOOL_COMMAND_H
#define NEAP_TOOL_COMMAND_H

#include <stdbool.h>

/* The process's exit status. */
enum exit_code {
	EXIT_CLEAN = 0,	     /* done, nothing to report */
	EXIT_FINDINGS = 1,   /* done, and a claim failed or a finding was printed */
	EXIT_USAGE = 2,	     /* the command line or an input file is wrong */
	EXIT_NO_TARGET = 3,  /* no such process or file, or no permission */
	EXIT_PARTIAL = 4,    /* a result, but part of it is missing: torn reads, late samples, a full disk */
	EXIT_NO_FEATURE = 5, /* the kernel or the build lacks what the command needs */
};

/* One subcommand. `run` gets argv[0] = the subcommand's own name, as main would. */
struct command {
	const char *name;
	const char *group;   /* heading in `neap --help`: "See it", "Find it", "Fix it", "Share" */
	const char *usage;   /* what follows the name: "PID [--json]" */
	const char *summary; /* one line */
	int (*run)(int argc, char **argv);
};

int run_escape(int argc, char **argv);
int run_lint(int argc, char **argv);

/* The subcommands, each defined in its own file; ended by a NULL name. */
extern const struct command commands[];

/* "neap NAME: message" on standard error, and EXIT_USAGE, so that a caller can `return usage_error(...)`. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* True when standard output (fd 1) or standard error (fd 2) is a terminal that wants colour (NO_COLOR). */
bool wants_colour(int fd);

#endif
