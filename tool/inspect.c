/* inspect.c: `neap inspect`: the maps of a Go program, what they hold and what a rebuild would give back. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "inspect.h"
#include "inspection.h"

static const char help[] =
	"usage: neap inspect PID|CORE [options]\n"
	"\n"
	"Finds every map of an unmodified Go program from outside, stripped or not, running or dumped: "
	"entries,\n"
	"slots, bytes held, bytes that a rebuild would give back, and who holds it. The process is only "
	"read:\n"
	"never stopped, never written to.\n"
	"\n"
	"  --json              everything, as JSON (schema 1)\n"
	"  --all               every map in the table, not the first 15\n"
	"  --map ADDRESS       one map close up: fill, pages, chains\n"
	"  --stale             maps whose unfinished growth keeps deleted values alive, and how many bytes\n"
	"  --ghosts            maps in which deleted keys can still be read\n"
	"  --show-keys         with --map: keys as they are; without it they stay masked\n"
	"  --fail-over BYTES   exit 1 when the maps would give back more than this (k, M and G allowed)\n"
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
	const char *target, *program;
	bool json, fail;
	uint64_t map, fail_over;
	struct render_options render;
};

bool parse_address(const char *text, uint64_t *ret)
{
	char *end;
	errno = 0;
	*ret = strtoull(text, &end, 16);
	return end != text && *end == '\0' && errno == 0 && *ret != 0;
}

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
	OPTION_PROGRAM
};

static const struct option options[] = {{"json", no_argument, NULL, OPTION_JSON},
					{"all", no_argument, NULL, OPTION_ALL},
					{"map", required_argument, NULL, OPTION_MAP},
					{"stale", no_argument, NULL, OPTION_STALE},
					{"ghosts", no_argument, NULL, OPTION_GHOSTS},
					{"show-keys", no_argument, NULL, OPTION_KEYS},
					{"fail-over", required_argument, NULL, OPTION_FAIL},
					{"program", required_argument, NULL, OPTION_PROGRAM},
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
	case OPTION_PROGRAM: arguments->program = optarg; return -1;
	case OPTION_MAP:
		if (parse_address(optarg, &arguments->map))
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
		return usage_error("inspect", "name one process id or core file");
	arguments->target = argv[optind];
	return -1;
}

static int show(const struct inspection *inspection, const struct inspect_arguments *arguments)
{
	if (arguments->map != 0) {
		const struct found_map *map = inspection_map_at(inspection, arguments->map);
		if (map == NULL) {
			fprintf(stderr, "neap inspect: no map at 0x%" PRIx64 "; --all lists the maps\n",
				arguments->map);
			return EXIT_USAGE;
		}
		render_map(stdout, inspection, map, &arguments->render);
	} else if (arguments->json) {
		json_inspection(stdout, inspection);
	} else {
		render_inspection(stdout, inspection, &arguments->render);
	}
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		fprintf(stderr, "neap inspect: can't write the output: %s\n", strerror(errno));
		return EXIT_PARTIAL;
	}
	if (arguments->fail && inspection->reclaimable > arguments->fail_over)
		return EXIT_FINDINGS;
	return inspection->process->torn > 0 ? EXIT_PARTIAL : EXIT_CLEAN;
}

int run_inspect(int argc, char **argv)
{
	struct inspect_arguments arguments = {.render = {.colour = wants_colour(STDOUT_FILENO)}};
	struct problem problem = {0};
	int code = parse(argc, argv, &arguments);
	if (code >= 0)
		return code;
	struct inspection *inspection = inspection_make(arguments.target, arguments.program, &problem);
	if (inspection == NULL)
		return print_problem("inspect", &problem);
	code = show(inspection, &arguments);
	inspection_free(inspection);
	return code;
}
