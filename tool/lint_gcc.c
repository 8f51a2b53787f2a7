/* lint_gcc.c: `neap lint --gcc`: what gcc's own analyser and warnings find, where LLVM is absent.
 *
 * gcc's findings come out in gcc's words, on standard error. It knows malloc and free, and of Neap what the attributes
 * of our headers tell it; use after a map's delete it cannot find. Whatever gcc would pass over without a word (folders,
 * databases, files of other languages, options of our own analysis) is refused here: it would look like a pass.
 */
#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "lint_module.h"

extern char **environ;

/* -O2 lets gcc see through small functions; its analyser alone misses four tenths of what this finds. */
static const char *const gcc_words[] = {"gcc",
					"-O2",
					"-fanalyzer",
					"-Wuse-after-free=3",
					"-Wdangling-pointer=2",
					"-Wreturn-local-addr",
					"-Wfree-nonheap-object",
					"-Wnull-dereference",
					"-c",
					"-o",
					"/dev/null"};

/* Starts gcc with its standard error on a pipe: 0 and the end to read from, or an errno value. */
static int spawn_gcc(char *const *words, pid_t *ret_pid, FILE **ret_said)
{
	int ends[2];
	if (pipe(ends) != 0)
		return errno;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	posix_spawn_file_actions_addclose(&actions, ends[1]);
	int error = posix_spawnp(ret_pid, words[0], &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	*ret_said = error == 0 ? fdopen(ends[0], "r") : NULL;
	if (*ret_said == NULL)
		close(ends[0]);
	return error;
}

/* One file. What gcc says goes on to standard error; a warning in it is a finding. */
static int run_words(char *const *words, const char *file)
{
	pid_t pid;
	FILE *said = NULL;
	int status = 0, error = spawn_gcc(words, &pid, &said);
	if (error != 0) {
		fprintf(stderr, "neap lint --gcc: cannot run gcc: %s\n  install gcc 12 or later\n",
			strerror(error));
		return EXIT_NO_FEATURE;
	}
	bool warned = false;
	char *line = NULL;
	size_t size = 0;
	while (said != NULL && getline(&line, &size, said) > 0) {
		warned |= strstr(line, "warning: ") != NULL;
		fputs(line, stderr);
	}
	free(line);
	bool heard = said != NULL && fclose(said) == 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (heard && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return warned ? EXIT_FINDINGS : EXIT_CLEAN;
	fprintf(stderr, "neap lint --gcc: %s: gcc did not compile it, so nothing is known of it\n", file);
	return EXIT_PARTIAL;
}

/* A C file that can be read; otherwise EXIT_USAGE, with the reason told. */
static int check_file(const char *path)
{
	const char *end = strrchr(path, '.');
	struct stat info;
	if (stat(path, &info) != 0)
		return usage_error("lint", "--gcc: %s: %s", path, strerror(errno));
	if (S_ISDIR(info.st_mode))
		return usage_error("lint", "--gcc takes files, and %s is a folder", path);
	if (end == NULL || strcmp(end, ".c") != 0)
		return usage_error("lint", "--gcc takes C files, and %s is not named like one", path);
	return EXIT_CLEAN;
}

/* Flags go to `words`, files to `files`, which have room for all arguments. */
static int parse_gcc(int argc, char **argv, char **words, size_t *n_words, char **files, size_t *n_files)
{
	bool flags_only = false;
	int result = EXIT_CLEAN;
	for (int i = 1; i < argc && result == EXIT_CLEAN; i++) {
		if (flags_only || is_compiler_flag(argv[i])) {
			words[(*n_words)++] = argv[i];
		} else if (strcmp(argv[i], "-include") == 0 && i + 1 < argc) {
			words[(*n_words)++] = argv[i++];
			words[(*n_words)++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0) {
			flags_only = true;
		} else if (argv[i][0] != '-') {
			result = check_file(argv[i]);
			files[(*n_files)++] = argv[i];
		} else if (strcmp(argv[i], "--gcc") != 0) {
			return usage_error("lint",
					   "%s does not go with --gcc, which takes files and compiler flags",
					   argv[i]);
		}
	}
	if (result == EXIT_CLEAN && *n_files == 0)
		return usage_error("lint", "no file for gcc");
	return result;
}

int run_gcc_lint(int argc, char **argv)
{
	size_t n = sizeof gcc_words / sizeof gcc_words[0], n_files = 0;
	char **words = calloc(n + (size_t)argc + 2, sizeof *words),
	     **files = calloc((size_t)argc, sizeof *files);
	int result = EXIT_PARTIAL;
	if (words != NULL && files != NULL) {
		memcpy(words, gcc_words, sizeof gcc_words);
		setenv("LC_ALL", "C", 1); /* "warning" is looked for in what gcc says */
		result = parse_gcc(argc, argv, words, &n, files, &n_files);
		for (size_t i = 0; i < n_files && result != EXIT_USAGE; i++) {
			words[n] = files[i];
			int one = run_words(words, files[i]);
			result = one > result ? one : result;
		}
	}
	free(words);
	free(files);
	return result;
}
