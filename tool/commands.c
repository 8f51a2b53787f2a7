/* commands.c: the table of subcommands. To add one: write its file, declare its run function, add a row. */
#include "command.h"

#include <stddef.h>

const struct command commands[] = {
	{"escape", "Find it", "FILE... [-m | -m=2] [--json]", "where the address of every local can go",
	 run_escape},
	{NULL, NULL, NULL, NULL, NULL},
};
