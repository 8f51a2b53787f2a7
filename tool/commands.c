/* commands.c: the table of subcommands. To add one: write its file, declare its run function, add a row. */
#include "command.h"

#include <stddef.h>

int command_lab(int argc, char **argv);
int command_tour(int argc, char **argv);

const struct command commands[] = {
	{"tour", "See it", "[--keys FILE]", "delete your own file names from two maps, see what stays",
	 command_tour},
	{"lab", "See it", "list | run NAME", "experiments: a claim, measured here, and a verdict",
	 command_lab},
	{NULL, NULL, NULL, NULL, NULL},
};
