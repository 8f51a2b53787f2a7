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
	{"why", "Find it", "PID|CORE ADDRESS", "who holds an object or a map", run_why},
#endif
	{NULL, NULL, NULL, NULL, NULL},
};
