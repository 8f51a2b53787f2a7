/* commands.c: the table of subcommands. To add one: write its file, declare its run function, add a row. */
#include "command.h"

#include <stddef.h>

#include "observe_tool.h"

#ifdef NEAP_HAVE_INSPECT
#	include "inspect.h"
#endif

int command_lab(int argc, char **argv);
int command_tour(int argc, char **argv);

const struct command commands[] = {
	{"tour", "See it", "[--keys FILE]", "delete your own file names from two maps, see what stays",
	 command_tour},
	{"lab", "See it", "list | run NAME", "experiments: a claim, measured here, and a verdict",
	 command_lab},
#ifdef NEAP_HAVE_INSPECT
	{"inspect", "Find it", "PID|CORE|SNAPSHOT", "every map of a program, and what it would give back",
	 run_inspect},
	{"snapshot", "Find it", "PID|CORE|ADDRESS -o FILE", "the maps of this moment, for diff",
	 run_snapshot},
	{"diff", "Find it", "BEFORE AFTER", "what happened to the maps between two snapshots", run_diff},
	{"why", "Find it", "PID|CORE ADDRESS", "who holds an object or a map", run_why},
#endif
	{"watch", "Find it", "PID [--over BYTES]", "save a process when its memory runs away", run_watch},
	{"top", "Find it", "PID|ADDRESS", "where the memory of a running program is, live", run_top},
	{"escape", "Find it", "FILE... [-m | -m=2] [--json]", "where the address of every local can go",
	 run_escape},
	{"lint", "Find it", "PATH... [--json | --sarif]",
	 "use after delete and its like, before the program runs", run_lint},
	{"profile", "Share", "PID|ADDRESS [-o FILE]", "its heap profile, for go tool pprof", run_profile},
#ifdef NEAP_HAVE_INSPECT
	{"export", "Share", "PID|CORE|SNAPSHOT -o FILE", "its maps for go tool pprof, Chromium, or as JSON",
	 run_export},
	{"report", "Share", "PID|CORE|SNAPSHOT -o FILE", "one HTML page: slots, pages, holders, changes",
	 run_report},
#endif
	{"reclaim", "Fix it", "PID|ADDRESS [--yes]", "ask a program to give free memory back", run_reclaim},
	{"doctor", "Fix it", "", "what this machine lets neap do, and how to allow the rest", run_doctor},
	{NULL, NULL, NULL, NULL, NULL},
};
