/* lint.c: `neap lint`: use after delete, double release, leaks and their like, found before the program runs.
 *
 * Here: the help, and the choice between our own analysis (a module, lint_run.c) and gcc's (lint_gcc.c).
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "lint_module.h"

static const char lint_help[] =
	"usage: neap lint [OPTION...] PATH... [-- CLANG-FLAG...]\n"
	"\n"
	"Follows the pointers of C files along every path: use after free, delete, clear and put, double "
	"release,\n"
	"leaks, addresses of locals that outlive them, NULL, iterators and values kept across a change of "
	"their map.\n"
	"PATH is a C file or a folder.\n"
	"\n"
	"  --json, --sarif         instead of text\n"
	"  -p FILE                 every file of a compile database\n"
	"  --api FILE              what functions without source do, one a line: see neap-lint(1)\n"
	"  --baseline FILE         findings listed there are not told\n"
	"  --write-baseline FILE   list the present ones there\n"
	"  --cache FOLDER          keep compiled files there instead of in ~/.cache/neap/lint\n"
	"  --no-cache              keep nothing, use nothing that was kept\n"
	"  --summaries             print what was found out about every function, in the form of --api\n"
	"  --notes                 name every function of which less is known than it seems\n"
	"  --no-banned             do not tell of banned functions\n"
	"  --rules                 the rules, with the reason of each\n"
	"  --time                  processor time of the analysis without clang, on standard error\n"
	"  --gcc                   gcc's analyser instead of this one: finds less, needs no LLVM\n"
	"  -I, -D, -U, -std=, -include   as for the compiler; all words after -- go to clang\n"
	"\n"
	"  neap lint src\n"
	"  neap lint --sarif -p build/compile_commands.json > lint.sarif\n"
	"\n"
	"A comment answers a finding on its line or the next:  /* neap-lint: allow leak: freed at exit */\n"
	"\n"
	"Exit code: 0 nothing found, 1 findings, 2 usage, 4 some file was not analysed, 5 no module, or "
	"no clang.\n";

static bool has_word(int argc, char **argv, const char *word)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

int run_lint(int argc, char **argv)
{
	if (has_word(argc, argv, "--help")) {
		fputs(lint_help, stdout);
		return EXIT_CLEAN;
	}
	if (has_word(argc, argv, "--gcc"))
		return run_gcc_lint(argc, argv);
	char text[1024];
	const struct lint_module *module = lint_module_load(text, sizeof text);
	if (module != NULL)
		return module->run_lint(argc, argv);
	fprintf(stderr, "neap lint: %s\n  or use what gcc's analyser finds: neap lint --gcc FILE...\n", text);
	return EXIT_NO_FEATURE;
}
