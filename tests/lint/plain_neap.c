/* plain_neap.c: `neap lint` and `neap escape` alone, without a module to load: for tests/planted/run, which builds it anew
 * for each fault.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tool/command.h"
#include "tool/lint_run.h"

int usage_error(const char *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "neap %s: ", command);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return EXIT_USAGE;
}

bool wants_colour(int fd)
{
	(void)fd;
	return false;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "escape") == 0)
		return run_escape_analysis(argc - 1, argv + 1);
	return argc > 1 ? run_lint_analysis(argc - 1, argv + 1) : EXIT_USAGE;
}
