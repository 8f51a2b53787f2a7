/* why.c: `neap why`: who holds an object or a map of a Go program, or of one linked with libneap, or held a map of a
 * snapshot. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "inspect.h"
#include "snapshot.h"
#include "why.h"

static const char help[] =
	"usage: neap why PID|CORE|SNAPSHOT ADDRESS|MAP [--consistent | --snapshot] [--json] [--program "
	"FILE]\n"
	"\n"
	"Prints the shortest chain of references to the object, map or map slot at ADDRESS from a global "
	"variable, "
	"a stack,\n"
	"a register or thread-local data, and the bytes that would become free if it were dropped. In a "
	"program linked with\n"
	"libneap it may be a block of malloc too, and MAP the name that the program gave a map. Exit code 1 "
	"when nothing\n"
	"reaches it: it is garbage, or lost. A snapshot knows the way to each map, and nothing of other "
	"objects.\n"
	"\n"
	"  --consistent   copy all memory in one stop first, so that everything is of one moment\n"
	"  --snapshot     read a clone of the process\n"
	"\n"
	"examples:\n"
	"  neap why 4711 0xc00012a000\n"
	"  neap why 4711 sessions\n"
	"  neap why core.4711 0xc00012a000 --json\n";

struct why_arguments {
	const char *target, *what;
	struct inspection_wish wish;
	bool json;
};

static int parse(int argc, char **argv, struct why_arguments *arguments)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},	{"program", required_argument, NULL, 'p'},
		{"consistent", no_argument, NULL, 'c'}, {"snapshot", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},	{NULL, 0, NULL, 0}};
	optind = 1;
	for (int option = getopt_long(argc, argv, "h", options, NULL); option != -1;
	     option = getopt_long(argc, argv, "h", options, NULL)) {
		switch (option) {
		case 'h': fputs(help, stdout); return EXIT_CLEAN;
		case 'j': arguments->json = true; break;
		case 'p': arguments->wish.program = optarg; break;
		case 'c': arguments->wish.mode = TARGET_STOPPED; break;
		case 's': arguments->wish.mode = TARGET_CLONED; break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind != 2)
		return usage_error("why", "name a process id, core file or snapshot, and an address");
	arguments->target = argv[optind];
	arguments->what = argv[optind + 1];
	return -1;
}

static void print_text(const struct why *why)
{
	char amount[32], bytes[32];
	for (size_t i = why->count; i-- > 0;) {
		const struct why_step *step = &why->steps[i];
		if (step->root)
			printf("  root     %s\n", step->name);
		else if (step->address == 0)
			printf("  held by  %s\n", step->name);
		else
			printf("  %s  %s%s  0x%" PRIx64 ", %s\n", i + 1 == why->count ? "this   " : "held by",
			       step->name, step->word, step->address, format_bytes(amount, step->size));
	}
	putchar('\n');
	if (why->counted && why->objects > 0)
		printf("  dropping it would free %s objects, %s\n", format_count(amount, why->objects),
		       format_bytes(bytes, why->bytes));
	else if (why->counted)
		printf("  dropping it would free %s\n", format_bytes(bytes, why->bytes));
	if (why->bounded)
		printf("  every way to it leads through %s  0x%" PRIx64 "; dropping that would free %s\n",
		       why->bound.name, why->bound.address, format_bytes(bytes, why->bound_bytes));
	if (why->note != NULL)
		printf("  %s\n", why->note);
	if (why->stopped > 0)
		printf("  the process was stopped for %.1f ms\n", why->stopped * 1e3);
}

static void print_json(const struct why *why)
{
	printf("{\n  \"schema\": 1,\n  \"reachable\": %s,\n  \"stopped_ms\": %.3f,\n",
	       why->count > 0 ? "true" : "false", why->stopped * 1e3);
	if (why->counted)
		printf("  \"retained_objects\": %" PRIu64 ",\n  \"retained_bytes\": %" PRIu64 ",\n",
		       why->objects, why->bytes);
	if (why->bounded) {
		fputs("  \"dominator\": {\"object\": ", stdout);
		write_json_string(stdout, why->bound.name);
		printf(", \"address\": \"0x%" PRIx64 "\", \"retained_bytes\": %" PRIu64 "},\n",
		       why->bound.address, why->bound_bytes);
	}
	if (why->note != NULL) {
		fputs("  \"note\": ", stdout);
		write_json_string(stdout, why->note);
		puts(",");
	}
	puts("  \"path\": [");
	for (size_t i = 0; i < why->count; i++) {
		const struct why_step *step = &why->steps[i];
		printf("    {\"%s\": ", step->root ? "root" : "object");
		write_json_string(stdout, step->name);
		printf(", \"word\": ");
		write_json_string(stdout, step->word);
		printf(", \"address\": \"0x%" PRIx64 "\", \"size\": %" PRIu64 "}%s\n", step->address,
		       step->size, i + 1 < why->count ? "," : "");
	}
	printf("  ]\n}\n");
}

/* A Go program, or else one linked with libneap. -1 and a problem. */
static int ask(const struct why_arguments *arguments, struct why *why, struct problem *problem)
{
	uint64_t address = 0;
	bool named = !target_parse_address(arguments->what, &address);
	int result = why_go(arguments->target, &arguments->wish, address, why, problem);
	if (result == 0 || problem->kind != PROBLEM_INPUT)
		return result;
	struct problem second = {0};
	struct why other;
	result = why_linked(arguments->target, &arguments->wish, arguments->what, &other, &second);
	if (result == 0 || second.kind != PROBLEM_INPUT || named) {
		why_free(why);
		*why = other;
		*problem = second;
		return result;
	}
	why_free(&other);
	return -1;
}

int run_why(int argc, char **argv)
{
	struct why_arguments arguments = {.wish = {.every_type = true, .retained = true}};
	struct problem problem = {0};
	struct why why;
	int code = parse(argc, argv, &arguments);
	if (code >= 0)
		return code;
	int result = snapshot_is(arguments.target)
			     ? why_snapshot(arguments.target, arguments.what, &why, &problem)
			     : ask(&arguments, &why, &problem);
	if (result != 0) {
		why_free(&why);
		return print_problem("why", &problem);
	}
	if (arguments.json)
		print_json(&why);
	else if (why.count > 0)
		print_text(&why);
	else
		printf("nothing holds %s: %s\n", arguments.what,
		       why.note != NULL ? why.note : "it is garbage that was not collected yet, or lost");
	code = why.count == 0 ? EXIT_FINDINGS : why.torn > 0 ? EXIT_PARTIAL : EXIT_CLEAN;
	why_free(&why);
	return code;
}
