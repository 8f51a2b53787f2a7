/* main.c: `neap`: finds the subcommand and runs it. */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "neap/base.h"

int usage_error(const char *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "neap %s: ", command);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n  try: neap %s --help\n", command);
	va_end(args);
	return EXIT_USAGE;
}

bool wants_colour(int fd)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	return isatty(fd) && (no_colour == NULL || *no_colour == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

static void print_help(void)
{
	printf("neap - what a deleted map entry leaves behind, and how to get it back\n");
	const char *group = "";
	for (const struct command *command = commands; command->name != NULL; command++) {
		if (strcmp(group, command->group) != 0)
			printf("\n%s\n", command->group);
		group = command->group;
		printf("  neap %-8s %-28s %s\n", command->name, command->usage, command->summary);
	}
	printf("\nneap COMMAND --help explains one command. Exit codes: 0 clean, 1 findings, 2 usage,\n"
	       "3 no process or permission, 4 partial result, 5 kernel feature missing.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_help();
		return argc < 2 ? EXIT_USAGE : EXIT_CLEAN;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("neap %s\n", neap_version());
		return EXIT_CLEAN;
	}
	for (const struct command *command = commands; command->name != NULL; command++)
		if (strcmp(command->name, argv[1]) == 0)
			return command->run(argc - 1, argv + 1);
	fprintf(stderr, "neap: no command '%s'\n  try: neap --help\n", argv[1]);
	return EXIT_USAGE;
}
