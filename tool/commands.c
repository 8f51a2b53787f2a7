/* commands.c: the table of subcommands. To add one: write its file, declare its run function, add a row. */
#include "command.h"

#include <stddef.h>

const struct command commands[] = {
	{"escape", "Find it", "FILE... [-m | -m=2] [--json]", "where the address of every local can go",
	 run_escape},
	{"lint", "Find it", "PATH... [--json | --sarif]",
	 "use after delete and its like, before the program runs", run_lint},
	{NULL, NULL, NULL, NULL, NULL},
};
