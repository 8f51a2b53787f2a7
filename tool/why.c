/* why.c: `neap why`: who holds an object or a map of a Go program, or held a map of a snapshot. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "inspect.h"
#include "inspection.h"
#include "linked_process.h"

static const char help[] =
	"usage: neap why PID|CORE|SNAPSHOT ADDRESS [--json] [--program FILE]\n"
	"\n"
	"Prints the shortest chain of references from a global variable or a goroutine's "
	"stack to the object, map or\n"
	"map slot at ADDRESS, and the bytes that would become free if it were dropped. "
	"Exit code 1 when nothing\n"
	"reaches it: it is garbage that was not collected yet. A snapshot knows the way to each map, "
	"and nothing of other\n"
	"objects.\n"
	"\n"
	"examples:\n"
	"  neap why 4711 0xc00012a000\n"
	"  neap why core.4711 0xc00012a000 --json\n";

enum { NAME_BYTES = 512 };

struct why_arguments {
	const char *target;
	struct inspection_wish wish;
	uint64_t address;
	bool json;
};

static int parse(int argc, char **argv, struct why_arguments *arguments)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"program", required_argument, NULL, 'p'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	optind = 1;
	for (int option = getopt_long(argc, argv, "h", options, NULL); option != -1;
	     option = getopt_long(argc, argv, "h", options, NULL)) {
		if (option == 'h') {
			fputs(help, stdout);
			return EXIT_CLEAN;
		}
		if (option != 'j' && option != 'p')
			return EXIT_USAGE;
		if (option == 'j')
			arguments->json = true;
		else
			arguments->wish.program = optarg;
	}
	if (argc - optind != 2)
		return usage_error("why", "name a process id, core file or snapshot, and an address");
	arguments->target = argv[optind];
	if (!parse_address(argv[optind + 1], &arguments->address))
		return usage_error("why", "'%s' is no address", argv[optind + 1]);
	return -1;
}

static void name_step(const struct inspection *inspection, const struct graph_step *step,
		      const struct graph_step *next, char *name, char *word)
{
	*word = '\0';
	if (step->object == GO_NO_OBJECT) {
		graph_root_name(inspection->process, &inspection->maps, &inspection->graph.roots[step->root],
				name, NAME_BYTES);
		return;
	}
	graph_object_name(inspection->process, &inspection->maps, step->object, name, NAME_BYTES);
	if (next != NULL)
		graph_word_name(inspection->process, &inspection->maps, step->object, next->slot, word,
				NAME_BYTES);
}

static uint64_t address_of(const struct inspection *inspection, uint64_t object, uint64_t *size)
{
	const struct go_span *span = go_heap_span_of(&inspection->process->heap, object);
	*size = span->elem_size;
	return go_span_object(span, (uint32_t)(object - span->first));
}

static void print_text(const struct inspection *inspection, const struct graph_step *steps, size_t count,
		       uint64_t objects, uint64_t bytes)
{
	char name[NAME_BYTES], word[NAME_BYTES], amount[32], retained[32];
	for (size_t i = count; i-- > 0;) {
		uint64_t size, address;
		name_step(inspection, &steps[i], i + 1 < count ? &steps[i + 1] : NULL, name, word);
		if (steps[i].object == GO_NO_OBJECT) {
			printf("  root     %s\n", name);
			continue;
		}
		address = address_of(inspection, steps[i].object, &size);
		printf("  %s  %s%s  0x%" PRIx64 ", %s\n", i + 1 == count ? "this   " : "held by", name, word,
		       address, format_bytes(amount, size));
	}
	printf("\n  dropping it would free %s objects, %s\n", format_count(amount, objects),
	       format_bytes(retained, bytes));
}

static void print_json(const struct inspection *inspection, const struct graph_step *steps, size_t count,
		       uint64_t objects, uint64_t bytes)
{
	char name[NAME_BYTES], word[NAME_BYTES];
	printf("{\n  \"schema\": 1,\n  \"reachable\": %s,\n  \"retained_objects\": %" PRIu64
	       ",\n  \"retained_bytes\": %" PRIu64 ",\n  \"path\": [\n",
	       count > 0 ? "true" : "false", objects, bytes);
	for (size_t i = 0; i < count; i++) {
		uint64_t size = 0, address = 0;
		name_step(inspection, &steps[i], i + 1 < count ? &steps[i + 1] : NULL, name, word);
		if (steps[i].object != GO_NO_OBJECT)
			address = address_of(inspection, steps[i].object, &size);
		printf("    {\"%s\": ", steps[i].object == GO_NO_OBJECT ? "root" : "object");
		write_json_string(stdout, name);
		printf(", \"word\": ");
		write_json_string(stdout, word);
		printf(", \"address\": \"0x%" PRIx64 "\", \"size\": %" PRIu64 "}%s\n", address, size,
		       i + 1 < count ? "," : "");
	}
	printf("  ]\n}\n");
}

static int explain(const struct inspection *inspection, const struct why_arguments *arguments)
{
	struct go_process *process = inspection->process;
	uint32_t index;
	const struct go_span *span = go_heap_object(&process->heap, arguments->address, &index);
	if (span == NULL) {
		fprintf(stderr, "neap why: 0x%" PRIx64 " is not in the Go heap of %s\n", arguments->address,
			arguments->target);
		return EXIT_USAGE;
	}
	uint64_t object = span->first + index, objects = 0, bytes = 0;
	struct graph_step *steps;
	size_t count = graph_path(process, &inspection->graph, object, &steps);
	if (count > 0) {
		objects = dominators_members(&inspection->dominators, (uint32_t)object);
		bytes = dominators_retained(&inspection->dominators, (uint32_t)object);
	}
	if (arguments->json)
		print_json(inspection, steps, count, objects, bytes);
	else if (count > 0)
		print_text(inspection, steps, count, objects, bytes);
	else
		printf("nothing holds 0x%" PRIx64 ": it is garbage that was not collected yet\n",
		       arguments->address);
	free(steps);
	return count == 0 ? EXIT_FINDINGS : process->torn > 0 ? EXIT_PARTIAL : EXIT_CLEAN;
}

/* A snapshot has no objects, but for each map the way that led to it. */
static void print_kept_path(const struct snapshot *snapshot, const struct snapshot_map *map)
{
	char amount[32];
	const char *type = snapshot->strings + map->type;
	printf("  this     %s  0x%" PRIx64 ", %s\n", type, map->address, format_bytes(amount, map->bytes));
	for (uint32_t i = map->step_count; i-- > 0;)
		printf("  %s  %s\n", i == 0 ? "root   " : "held by",
		       snapshot->strings + snapshot->steps[map->first_step + i]);
	if ((map->flags & SNAPSHOT_RETAINED) != 0)
		printf("\n  dropping it would free %s\n", format_bytes(amount, map->retained));
	else
		puts("\n  what dropping it would free was not asked when the snapshot was taken: neap "
		     "snapshot --retained");
}

static void json_kept_path(const struct snapshot *snapshot, const struct snapshot_map *map)
{
	printf("{\n  \"schema\": 1,\n  \"reachable\": %s", map->step_count > 0 ? "true" : "false");
	if ((map->flags & SNAPSHOT_RETAINED) != 0)
		printf(",\n  \"retained_bytes\": %" PRIu64, map->retained);
	puts(",\n  \"path\": [");
	for (uint32_t i = 0; i < map->step_count; i++) {
		printf("    {\"%s\": ", i == 0 ? "root" : "object");
		write_json_string(stdout, snapshot->strings + snapshot->steps[map->first_step + i]);
		puts("},");
	}
	fputs("    {\"object\": ", stdout);
	write_json_string(stdout, snapshot->strings + map->type);
	printf(", \"address\": \"0x%" PRIx64 "\", \"size\": %" PRIu64 "}\n  ]\n}\n", map->address,
	       map->bytes);
}

static int explain_snapshot(const struct why_arguments *arguments)
{
	struct problem problem = {0};
	struct snapshot *snapshot = snapshot_open(arguments->target, &problem);
	if (snapshot == NULL)
		return print_problem("why", &problem);
	const struct snapshot_map *map = snapshot_map_at(snapshot, arguments->address);
	int code = EXIT_CLEAN;
	if (snapshot->header->kind != SNAPSHOT_GO)
		code = usage_error("why",
				   "%s is of a program in C, which has no types to follow: neap inspect %s",
				   arguments->target, arguments->target);
	else if (map == NULL)
		code = usage_error("why",
				   "0x%" PRIx64
				   " is no map in %s, and of other objects a snapshot knows nothing: ask the "
				   "process or its core; neap inspect %s --all lists the maps",
				   arguments->address, arguments->target, arguments->target);
	else if (arguments->json)
		json_kept_path(snapshot, map);
	else if (map->step_count > 0)
		print_kept_path(snapshot, map);
	else
		printf("nothing held 0x%" PRIx64 ": it was garbage that was not collected yet\n",
		       map->address);
	if (code == EXIT_CLEAN)
		code = map->step_count == 0	    ? EXIT_FINDINGS
		       : snapshot->header->torn > 0 ? EXIT_PARTIAL
						    : EXIT_CLEAN;
	snapshot_close(snapshot);
	return code;
}

/* What there is to say instead about a program that has no references to follow; 0 when it is not one of these. */
static int refuse(const struct why_arguments *arguments, const struct problem *problem)
{
	struct problem second = {0};
	if (problem->kind != PROBLEM_INPUT)
		return 0;
	struct snapshot *linked = linked_snapshot(arguments->target, &arguments->wish, &second);
	if (linked == NULL)
		return 0;
	snapshot_close(linked);
	return usage_error(
		"why",
		"%s is a program in C linked with libneap, whose pointers have no types to follow: "
		"neap inspect %s --map ADDRESS shows the map, by the name that the program gave it",
		arguments->target, arguments->target);
}

int run_why(int argc, char **argv)
{
	struct why_arguments arguments = {.wish = {.every_type = true, .retained = true}};
	struct problem problem = {0};
	int code = parse(argc, argv, &arguments);
	if (code >= 0)
		return code;
	if (snapshot_is(arguments.target))
		return explain_snapshot(&arguments);
	struct inspection *inspection = inspection_make(arguments.target, &arguments.wish, &problem);
	if (inspection == NULL) {
		code = refuse(&arguments, &problem);
		return code != 0 ? code : print_problem("why", &problem);
	}
	code = explain(inspection, &arguments);
	inspection_free(inspection);
	return code;
}
