/* snapshot.c: `neap snapshot`: the maps of a program, written to a file to be compared later. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "endpoint.h"
#include "inspect.h"
#include "look.h"
#include "observe_tool.h"

static const char help[] =
	"usage: neap snapshot PID|CORE -o FILE [--consistent | --snapshot] [--retained | --graph] [--program "
	"FILE]\n"
	"       neap snapshot ADDRESS -o FILE\n"
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
	"Given the address of a program's debug endpoint, it asks the program to write the snapshot itself: "
	"that "
	"needs no\n"
	"rights over the process. Such fingerprints are under a secret of the process and compare only with "
	"its "
	"own.\n"
	"\n"
	"examples:\n"
	"  neap snapshot 4711 -o before.snap\n"
	"  sleep 60; neap snapshot 4711 -o after.snap; neap diff before.snap after.snap\n"
	"  neap snapshot 127.0.0.1:6464 -o own.snap\n";

enum { PATIENCE = 60 }; /* seconds without a byte from an endpoint */

/* True when it is no process and no file but looks like where something listens. */
static bool is_address(const char *target)
{
	return strchr(target, ':') != NULL && access(target, F_OK) != 0;
}

int snapshot_ask(const struct endpoint *endpoint, struct snapshot **ret, struct problem *problem)
{
	char error[ENDPOINT_ERROR];
	struct text body = {0};
	int status = endpoint_ask(endpoint, "GET", "/debug/snapshot", NULL, PATIENCE, &body, error);
	if (status == 200) {
		*ret = snapshot_accept(body.at, body.len, endpoint->address, problem);
		return *ret == NULL ? -1 : 0;
	}
	if (status < 0)
		problem_set(problem, PROBLEM_NO_TARGET, "%s", error);
	else
		problem_set(problem, PROBLEM_NO_TARGET, "%s: %s", endpoint->address,
			    body.at != NULL ? body.at : "refused");
	text_free(&body);
	return -1;
}

static int take_own(const char *address, struct snapshot **ret, struct problem *problem)
{
	struct endpoint endpoint;
	char error[ENDPOINT_ERROR];
	if (endpoint_find(address, &endpoint, error) != EXIT_CLEAN)
		return problem_set(problem, PROBLEM_INPUT, "%s", error);
	return snapshot_ask(&endpoint, ret, problem);
}

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
	struct look look = {0};
	if (is_address(argv[optind]) &&
	    (wish.mode != TARGET_RUNNING || wish.retained || wish.program != NULL))
		return usage_error("snapshot", "a program that writes its own snapshot takes no options");
	if ((is_address(argv[optind]) ? take_own(argv[optind], &look.snapshot, &problem)
				      : look_make(argv[optind], &wish, &look, &problem)) != 0)
		return print_problem("snapshot", &problem);
	const struct snapshot *snapshot = look_snapshot(&look);
	int code = snapshot->header->torn > 0 ? EXIT_PARTIAL : EXIT_CLEAN;
	if (snapshot_write(snapshot, output, &problem) != 0)
		code = print_problem("snapshot", &problem);
	look_free(&look);
	return code;
}
