/* inspect.c: `neap inspect`: the maps of a Go program, what they hold and what a rebuild would give back. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "inspect.h"
#include "look.h"

static const char help[] =
	"usage: neap inspect PID|CORE|SNAPSHOT [options]\n"
	"\n"
	"Finds every map of an unmodified Go program from outside, stripped or not, running or dumped: "
	"entries,\n"
	"slots, bytes held, bytes that a rebuild would give back, and who holds it. The process is read "
	"while "
	"it\n"
	"runs; what changed meanwhile is read again in short stops, a few milliseconds in all. Programs "
	"linked with\n"
	"libneap are read too, through the layout that the library tells.\n"
	"\n"
	"  --json              everything, as JSON (schema 1)\n"
	"  --all               every map in the table, not the first 15\n"
	"  --map ADDRESS       one map close up: fill, pages, chains\n"
	"  --stale             maps whose unfinished growth keeps deleted values alive, and how many bytes\n"
	"  --ghosts            maps in which deleted keys can still be read\n"
	"  --show-keys         with --map: keys as they are; without it they stay masked\n"
	"  --fail-over BYTES   exit 1 when the maps would give back more than this (k, M and G allowed)\n"
	"  --consistent        copy all memory in one stop: everything is of one moment\n"
	"  --snapshot          have the process clone itself, and read the copy: a shorter stop on a large "
	"heap\n"
	"  --retained          what each map keeps alive: bytes that nothing else leads to\n"
	"  --program FILE      the executable, when it is not where the target says\n"
	"\n"
	"Exit codes: 0 clean, 1 --fail-over exceeded, 2 usage or a file that is no core, 3 no such process "
	"or no\n"
	"permission, 4 part of the target changed while it was read, 5 a Go version that is not supported.\n"
	"\n"
	"examples:\n"
	"  neap inspect 4711\n"
	"  neap inspect 4711 --map 0xc000012345 --show-keys\n"
	"  neap inspect core.4711 --json | jq '.maps[0]'\n"
	"  neap inspect $(pidof server) --fail-over 100M\n";

struct inspect_arguments {
	const char *target;
	struct inspection_wish wish;
	bool json, fail;
	uint64_t map, fail_over;
	struct render_options render;
};

int print_problem(const char *command, const struct problem *problem)
{
	fprintf(stderr, "neap %s: %s\n", command, problem->text);
	return (int)problem->kind;
}

enum {
	OPTION_JSON = 256,
	OPTION_ALL,
	OPTION_MAP,
	OPTION_STALE,
	OPTION_GHOSTS,
	OPTION_KEYS,
	OPTION_FAIL,
	OPTION_PROGRAM,
	OPTION_CONSISTENT,
	OPTION_SNAPSHOT,
	OPTION_RETAINED
};

static const struct option options[] = {{"json", no_argument, NULL, OPTION_JSON},
					{"all", no_argument, NULL, OPTION_ALL},
					{"map", required_argument, NULL, OPTION_MAP},
					{"stale", no_argument, NULL, OPTION_STALE},
					{"ghosts", no_argument, NULL, OPTION_GHOSTS},
					{"show-keys", no_argument, NULL, OPTION_KEYS},
					{"fail-over", required_argument, NULL, OPTION_FAIL},
					{"program", required_argument, NULL, OPTION_PROGRAM},
					{"consistent", no_argument, NULL, OPTION_CONSISTENT},
					{"snapshot", no_argument, NULL, OPTION_SNAPSHOT},
					{"retained", no_argument, NULL, OPTION_RETAINED},
					{"help", no_argument, NULL, 'h'},
					{NULL, 0, NULL, 0}};

/* -1 to go on, otherwise the exit code. */
static int take_option(int option, struct inspect_arguments *arguments)
{
	switch (option) {
	case OPTION_JSON: arguments->json = true; return -1;
	case OPTION_ALL: arguments->render.all = true; return -1;
	case OPTION_STALE: arguments->render.stale = true; return -1;
	case OPTION_GHOSTS: arguments->render.ghosts = true; return -1;
	case OPTION_KEYS: arguments->render.show_keys = true; return -1;
	case OPTION_PROGRAM: arguments->wish.program = optarg; return -1;
	case OPTION_CONSISTENT: arguments->wish.mode = TARGET_STOPPED; return -1;
	case OPTION_SNAPSHOT: arguments->wish.mode = TARGET_CLONED; return -1;
	case OPTION_RETAINED: arguments->wish.retained = true; return -1;
	case OPTION_MAP:
		if (target_parse_address(optarg, &arguments->map))
			return -1;
		return usage_error("inspect", "--map takes an address, not '%s'", optarg);
	case OPTION_FAIL:
		arguments->fail = true;
		if (parse_bytes(optarg, &arguments->fail_over))
			return -1;
		return usage_error("inspect", "--fail-over takes a number of bytes, not '%s'", optarg);
	case 'h': fputs(help, stdout); return EXIT_CLEAN;
	default: return EXIT_USAGE;
	}
}

static int parse(int argc, char **argv, struct inspect_arguments *arguments)
{
	optind = 1;
	for (int option = getopt_long(argc, argv, "h", options, NULL); option != -1;
	     option = getopt_long(argc, argv, "h", options, NULL)) {
		int code = take_option(option, arguments);
		if (code >= 0)
			return code;
	}
	if (argc - optind != 1)
		return usage_error("inspect", "name one process id, core file or snapshot");
	arguments->target = argv[optind];
	return -1;
}

static int no_map(uint64_t address)
{
	fprintf(stderr, "neap inspect: no map at 0x%" PRIx64 "; --all lists the maps\n", address);
	return EXIT_USAGE;
}

/* -1 when it was shown, otherwise the exit code. */
static int show_program(const struct inspection *inspection, const struct inspect_arguments *arguments)
{
	if (arguments->map != 0) {
		const struct found_map *map = inspection_map_at(inspection, arguments->map);
		if (map == NULL)
			return no_map(arguments->map);
		if (arguments->json)
			json_close_up(stdout, inspection, map);
		else
			render_map(stdout, inspection, map, &arguments->render);
	} else if (arguments->json) {
		json_inspection(stdout, inspection);
	} else {
		render_inspection(stdout, inspection, &arguments->render);
	}
	return -1;
}

static int show_snapshot(const struct snapshot *snapshot, const struct inspect_arguments *arguments)
{
	if (arguments->render.show_keys)
		return usage_error("inspect", "--show-keys needs a Go program that runs, or its core");
	if (arguments->wish.retained)
		return usage_error("inspect",
				   "--retained needs a Go program that runs, or its core: what keeps "
				   "what is in no snapshot, and not known of programs in C");
	if (arguments->map != 0) {
		const struct snapshot_map *map = snapshot_map_at(snapshot, arguments->map);
		if (map == NULL)
			return no_map(arguments->map);
		snapshot_render_map(stdout, snapshot, map);
	} else if (arguments->json) {
		snapshot_json(stdout, snapshot);
	} else {
		snapshot_render(stdout, snapshot, &arguments->render);
	}
	return -1;
}

static int show(const struct look *look, const struct inspect_arguments *arguments)
{
	uint64_t reclaimable = 0, torn = 0;
	int code = look->inspection != NULL ? show_program(look->inspection, arguments)
					    : show_snapshot(look->snapshot, arguments);
	if (code >= 0)
		return code;
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		fprintf(stderr, "neap inspect: can't write the output: %s\n", strerror(errno));
		return EXIT_PARTIAL;
	}
	if (look->inspection != NULL) {
		reclaimable = look->inspection->reclaimable;
		torn = look->inspection->process->torn;
	} else {
		torn = look->snapshot->header->torn;
		for (uint64_t i = 0; i < look->snapshot->header->map_count; i++)
			reclaimable += snapshot_reclaimable(&look->snapshot->maps[i]);
	}
	if (arguments->fail && reclaimable > arguments->fail_over)
		return EXIT_FINDINGS;
	return torn > 0 ? EXIT_PARTIAL : EXIT_CLEAN;
}

int run_inspect(int argc, char **argv)
{
	struct inspect_arguments arguments = {.render = {.colour = wants_colour(STDOUT_FILENO)}};
	struct problem problem = {0};
	int code = parse(argc, argv, &arguments);
	if (code >= 0)
		return code;
	struct look look;
	if (look_make(arguments.target, &arguments.wish, &look, &problem) != 0)
		return print_problem("inspect", &problem);
	code = show(&look, &arguments);
	look_free(&look);
	return code;
}
