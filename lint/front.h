/* front.h: from file names to a program.
 *
 * A *job* is one C file and the flags that it is compiled with. lint_front_load() runs clang on every job,
 * a few at a time, reads the bitcode from memory, and decodes it. What clang says about a file that does not
 * compile is kept, because an analyser that is silent about it would look as if the file had passed.
 */
#ifndef NEAP_LINT_FRONT_H
#define NEAP_LINT_FRONT_H

#include "code.h"

enum job_state {
	JOB_READY,     /* not compiled yet */
	JOB_LOADED,    /* in the program */
	JOB_CPLUSPLUS, /* not C: left out */
	JOB_FAILED     /* clang refused it: `said` says why */
};

struct job {
	const char *file;      /* as the user named it, or absolute from the compile database */
	const char *directory; /* where clang runs; NULL: here */
	const char **flags;    /* -I, -D and the like; NULL-ended */
	enum job_state state;
	char *said;	     /* clang's own words */
	const char **inputs; /* every file that clang read for it; n_inputs of them */
	size_t n_inputs;
	bool from_cache;
	double seconds; /* of clang */
};

struct job_list {
	struct job *jobs;
	size_t n, capacity;
	struct region region;
	const char **common; /* flags for every file named on the command line; NULL-ended */
	size_t n_common, cap_common;
};

void lint_jobs_add_flag(struct job_list *list, const char *flag);
/* A C file, or a folder whose .c files (and those below it) are meant. 0, or -1 with `ret_error` set. */
int lint_jobs_add_path(struct job_list *list, const char *path, char **ret_error);
/* The entries of a compile_commands.json. 0, or -1 with `ret_error` set. */
int lint_jobs_add_database(struct job_list *list, const char *path, char **ret_error);
void lint_jobs_clear(struct job_list *list);

/* Compiles and decodes every job. `cache` is a folder for bitcode by content, or NULL. Returns how many jobs
 * are in the program; the others say why in their state. -1 when clang itself cannot be run (`ret_error`).
 */
int lint_front_load(struct program *program, struct job_list *list, const char *cache, char **ret_error);

#endif
