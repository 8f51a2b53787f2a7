/* commands.c: the table of subcommands. To add one: write its file, declare its run function, add a row. */
#include "command.h"

#include <stddef.h>

#ifdef NEAP_HAVE_INSPECT
#	include "inspect.h"
#endif

const struct command commands[] = {
#ifdef NEAP_HAVE_INSPECT
	{"inspect", "Find it", "PID|CORE", "every map of a Go program, and what it would give back",
	 run_inspect},
	{"snapshot", "Find it", "PID|CORE -o FILE", "the maps of this moment, for diff", run_snapshot},
	{"diff", "Find it", "BEFORE AFTER", "what happened to the maps between two snapshots", run_diff},
	{"why", "Find it", "PID|CORE ADDRESS", "who holds an object or a map", run_why},
#endif
	{NULL, NULL, NULL, NULL, NULL},
};
