/* snapshot.c: `neap snapshot`: the maps of a Go program, written to a file to be compared later. */
#include <getopt.h>
#include <stdio.h>

#include "command.h"
#include "inspect.h"
#include "look.h"

static const char help[] =
	"usage: neap snapshot PID|CORE -o FILE [--consistent | --snapshot] [--retained | --graph] [--program "
	"FILE]\n"
	"\n"
	"Writes the state of every slot of every map to FILE, for `neap diff`. The file "
	"holds no keys and no values,\n"
	"only fingerprints of the keys, and who holds each map. With --retained it also says what would "
	"become free with\n"
	"each, and with --graph every object and who holds it, for `neap why FILE ADDRESS`: 48 bytes an "
	"object. "
	"The file is\n"
	"written whole or not at all.\n"
	"\n"
	"examples:\n"
	"  neap snapshot 4711 -o before.snap\n"
	"  sleep 60; neap snapshot 4711 -o after.snap; neap diff before.snap after.snap\n";

int run_snapshot(int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'}, {"consistent", no_argument, NULL, 'c'},
		{"retained", no_argument, NULL, 'r'},	  {"graph", no_argument, NULL, 'g'},
		{"snapshot", no_argument, NULL, 's'},	  {"program", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0}};
	const char *output = NULL;
	struct inspection_wish wish = {0};
	struct problem problem = {0};
	optind = 1;
	for (int option = getopt_long(argc, argv, "ho:", options, NULL); option != -1;
	     option = getopt_long(argc, argv, "ho:", options, NULL)) {
		switch (option) {
		case 'h': fputs(help, stdout); return EXIT_CLEAN;
		case 'o': output = optarg; break;
		case 'c': wish.mode = TARGET_STOPPED; break;
		case 's': wish.mode = TARGET_CLONED; break;
		case 'p': wish.program = optarg; break;
		case 'r': wish.retained = true; break;
		case 'g': wish.graph = wish.retained = wish.every_type = true; break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind != 1 || output == NULL)
		return usage_error("snapshot",
				   "name one process id or core file, and the file to write with -o");
	struct look look;
	if (look_make(argv[optind], &wish, &look, &problem) != 0)
		return print_problem("snapshot", &problem);
	const struct snapshot *snapshot = look_snapshot(&look);
	int code = snapshot->header->torn > 0 ? EXIT_PARTIAL : EXIT_CLEAN;
	if (snapshot_write(snapshot, output, &problem) != 0)
		code = print_problem("snapshot", &problem);
	look_free(&look);
	return code;
}
