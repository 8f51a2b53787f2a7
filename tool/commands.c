/* commands.c: the table of subcommands. To add one: write its file, declare its run function, add a row. */
#include "command.h"

#include <stddef.h>

const struct command commands[] = {
	{NULL, NULL, NULL, NULL, NULL},
};
