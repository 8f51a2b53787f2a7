/* lint_words.c: what `neap lint` and `neap escape` have in common on the command line, and what they say of files that
 * could not be analysed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "lint_module.h"
#include "lint_run.h"

int lint_take_word(const char *command, int argc, char **argv, int *at, struct job_list *jobs)
{
	const char *word = argv[*at];
	char *error = NULL;
	int failed = 0, result = EXIT_CLEAN;
	if (strcmp(word, "--") == 0) {
		while (++*at < argc)
			lint_jobs_add_flag(jobs, argv[*at]);
	} else if (strcmp(word, "-p") == 0 && *at + 1 < argc) {
		failed = lint_jobs_add_database(jobs, argv[++*at], &error);
	} else if (strcmp(word, "-include") == 0 && *at + 1 < argc) {
		lint_jobs_add_flag(jobs, word);
		lint_jobs_add_flag(jobs, argv[++*at]);
	} else if (is_compiler_flag(word)) {
		lint_jobs_add_flag(jobs, word);
	} else if (word[0] == '-') {
		result = usage_error(command, "unknown option, or one without its value: '%s'", word);
	} else {
		failed = lint_jobs_add_path(jobs, word, &error);
	}
	if (failed != 0)
		result = usage_error(command, "%s", error);
	free(error);
	return result;
}

/* clang's words, with paths below the current folder relative to it. */
static void print_said(const char *said, const char *folder)
{
	size_t len = strlen(folder);
	for (const char *next; len > 1 && (next = strstr(said, folder)) != NULL; said = next + len + 1) {
		if (next[len] != '/')
			break;
		fprintf(stderr, "%.*s", (int)(next - said), said);
	}
	fputs(said, stderr);
}

unsigned lint_tell_left_out(const char *command, struct program *program, const struct job_list *jobs)
{
	unsigned n = 0;
	for (size_t i = 0; i < jobs->n; i++) {
		const struct job *job = &jobs->jobs[i];
		if (job->state == JOB_LOADED)
			continue;
		n++;
		uint32_t file = lint_file_named(program, job->directory, job->file);
		const char *path = program->files[file].path;
		if (job->state == JOB_CPLUSPLUS) {
			fprintf(stderr, "neap %s: %s: C++ is not analysed\n", command, path);
			continue;
		}
		fprintf(stderr, "neap %s: %s: does not compile, so nothing is known of it\n", command, path);
		if (job->said != NULL)
			print_said(job->said, program->folder);
	}
	return n;
}
