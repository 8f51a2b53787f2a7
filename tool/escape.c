/* escape.c: `neap escape`: where the address of every local, allocation and parameter of a C file can go.
 *
 * Here: the help. The analysis is a module, escape_run.c.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "lint_module.h"

static const char escape_help[] =
	"usage: neap escape [-m | -m=2] [--json] [-p compile_commands.json] FILE... [-- CLANG-FLAG...]\n"
	"\n"
	"Says of every local, allocation and parameter of a C file where its address can go.\n"
	"\n"
	"  (nothing)    locals whose address outlives the function: DANGLING, or MAY-DANGLE when every way "
	"to a\n"
	"               return takes the address away again\n"
	"  -m           every decision, in the form of Go's -m: escapes to heap, leaking param, does not "
	"escape;\n"
	"               INFO: code that is not visible here may keep it\n"
	"  -m=2         and how it came about, step by step\n"
	"  --json       the same as JSON, schema 1\n"
	"  --api FILE   what functions without source do, one a line: see neap-lint(1)\n"
	"  --no-cache   compile every file anew: see neap-lint(1)\n"
	"  -p FILE      every file of a compile database\n"
	"  -I, -D, -U, -std=, -include  as for the compiler; all words after -- go to clang\n"
	"\n"
	"  neap escape -m parse.c\n"
	"  neap escape -m=2 parse.c -- -Iinclude\n"
	"  neap escape -p build/compile_commands.json --json > fates.json\n"
	"\n"
	"Exit code: 0 nothing dangles, 1 something does or may, 2 usage, 4 some file was not analysed,\n"
	"5 the module or clang is missing.\n";

int run_escape(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0) {
			fputs(escape_help, stdout);
			return EXIT_CLEAN;
		}
	char text[1024];
	const struct lint_module *module = lint_module_load(text, sizeof text);
	if (module != NULL)
		return module->run_escape(argc, argv);
	fprintf(stderr, "neap escape: %s\n", text);
	return EXIT_NO_FEATURE;
}
