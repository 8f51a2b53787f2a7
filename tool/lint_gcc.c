/* lint_gcc.c: `neap lint --gcc`: what gcc's own analyser and warnings find, where LLVM is absent.
 *
 * gcc's findings come out in gcc's words. It knows malloc and free, and of Neap what the attributes of our headers
 * tell it; use after a map's delete it cannot find.
 */
#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
					"-Werror",
					"-c",
					"-o",
					"/dev/null"};

static int run_words(char *const *words)
{
	pid_t pid;
	int status = 0, error = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);
	if (error != 0) {
		fprintf(stderr, "neap lint --gcc: cannot run gcc: %s\n  install gcc 12 or later\n",
			strerror(error));
		return EXIT_NO_FEATURE;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? EXIT_CLEAN : EXIT_FINDINGS;
}

int run_gcc_lint(int argc, char **argv)
{
	size_t fixed = sizeof gcc_words / sizeof gcc_words[0], n = fixed;
	char **words = calloc(fixed + (size_t)argc + 2, sizeof *words);
	if (words == NULL)
		return EXIT_PARTIAL;
	for (size_t i = 0; i < fixed; i++)
		words[i] = (char *)gcc_words[i];
	bool flags_only = false;
	for (int i = 1; i < argc; i++) {
		flags_only |= strcmp(argv[i], "--") == 0;
		if (is_compiler_flag(argv[i]) || (flags_only && strcmp(argv[i], "--") != 0))
			words[n++] = argv[i];
	}
	int result = EXIT_CLEAN, files = 0;
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (argv[i][0] == '-')
			continue;
		words[n] = argv[i];
		int one = run_words(words);
		result = one > result ? one : result;
		files++;
	}
	free(words);
	return files == 0 ? usage_error("lint", "no file for gcc; --gcc takes files, not folders") : result;
}
