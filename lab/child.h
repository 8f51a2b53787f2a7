/* child.h: a piece of work in a process of its own, so that its RSS is its own and its crash is a result. */
#ifndef NEAP_LAB_CHILD_H
#define NEAP_LAB_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory that a child shares with its parent: the way results come back. NULL: refused. */
void *shared_create(size_t size);
void shared_destroy(void *shared, size_t size);

enum {
	CHILD_LINES = 4096, /* bytes of its standard error that are kept */
};

/* How a child ended. */
struct child_end {
	bool started;
	int status;		 /* its exit status, or -1 when a signal ended it */
	int signal;		 /* that signal, or 0 */
	bool timed_out;		 /* it was stopped because it ran for longer than allowed */
	char lines[CHILD_LINES]; /* what it wrote on standard error, only when captured */
};

/* Runs work(ctx) in a forked child and waits for it. Its result is the exit status. The child dies with its
 * parent, and after `seconds`. `capture` keeps its standard error instead of letting it through.
 */
struct child_end child_run(int (*work)(void *ctx), void *ctx, unsigned seconds, bool capture);

/* Runs a program, with its standard output and standard error captured: argv[0] is looked up in PATH. Output is
 * malloc'd text in *ret_output, NUL-terminated.
 */
struct child_end program_run(const char *const argv[], unsigned seconds, char **ret_output);

/* "stopped by signal 6 (Aborted)", "exit status 3", "no answer within 20 s": for messages; static storage. */
const char *child_end_text(const struct child_end *end);

#endif
