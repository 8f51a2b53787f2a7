/* diff.c: `neap diff`: what happened to the maps of a program between two snapshots. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "inspect.h"
#include "snapshot.h"

static const char help[] = "usage: neap diff BEFORE AFTER [--map ADDRESS] [--all] [--json]\n"
			   "\n"
			   "Compares two snapshots: for each map that changed the entries inserted, deleted "
			   "and moved, whether its array\n"
			   "was replaced, and on how many pages the deleted entries lay.\n"
			   "\n"
			   "  --map ADDRESS   every slot that changed of one map, by address\n"
			   "  --all           every map that changed, not the first 20\n"
			   "  --json          the same as JSON (schema 1)\n"
			   "\n"
			   "Exit codes: 0 nothing changed, 1 something did, 2 a file is damaged or no "
			   "snapshot, 3 a file is missing.\n"
			   "\n"
			   "examples:\n"
			   "  neap diff before.snap after.snap\n"
			   "  neap diff before.snap after.snap --map 0xc000012345\n";

enum { ROWS = 20 };

struct diff_arguments {
	uint64_t map;
	bool all, json;
};

static const struct snapshot_map *either(const struct map_change *change)
{
	return change->after != NULL ? change->after : change->before;
}

static const char *fate(const struct map_change *change)
{
	if (change->before == NULL)
		return "new";
	if (change->after == NULL)
		return "gone";
	if (!change->rehashed)
		return "";
	return change->after->group_count > change->before->group_count ? "grown" : "shrunk";
}

static const char *string_of(const struct snapshot *before, const struct snapshot *after,
			     const struct map_change *change, bool type)
{
	const struct snapshot *snapshot = change->after != NULL ? after : before;
	return snapshot->strings + (type ? either(change)->type : either(change)->holder);
}

static void print_row(const struct snapshot *before, const struct snapshot *after,
		      const struct map_change *change)
{
	char old[32], new[32], inserted[32], deleted[32], moved[32];
	printf("  0x%-12" PRIx64 " %-6s %9s %9s %9s %7" PRIu64 " %9s %9s  %s  %s\n", either(change)->address,
	       fate(change), format_count(inserted, change->inserted), format_count(deleted, change->deleted),
	       format_count(moved, change->moved), change->pages,
	       format_bytes(old, change->before == NULL ? 0 : change->before->bytes),
	       format_bytes(new, change->after == NULL ? 0 : change->after->bytes),
	       string_of(before, after, change, true), string_of(before, after, change, false));
}

static void print_text(const struct snapshot *before, const struct snapshot *after,
		       const struct map_change *changes, size_t count, bool all)
{
	char old[32], new[32];
	printf("%s  %s · %.1f s between the snapshots · RSS %s -> %s\n\n",
	       after->strings + after->header->program, after->strings + after->header->runtime,
	       (double)(after->header->time - before->header->time) / 1e9,
	       format_bytes(old, before->header->rss), format_bytes(new, after->header->rss));
	if (count == 0) {
		printf("  no map changed\n");
		return;
	}
	printf("  %-14s %-6s %9s %9s %9s %7s %9s %9s  %s\n", "MAP", "", "INSERTED", "DELETED", "MOVED",
	       "PAGES", "BEFORE", "AFTER", "TYPE, HELD BY");
	for (size_t i = 0; i < count && (all || i < ROWS); i++)
		print_row(before, after, &changes[i]);
	if (count > ROWS && !all)
		printf("  and %zu more (--all shows them)\n", count - ROWS);
}

static void print_json(const struct snapshot *before, const struct snapshot *after,
		       const struct map_change *changes, size_t count)
{
	printf("{\n  \"schema\": 1,\n  \"program\": ");
	write_json_string(stdout, after->strings + after->header->program);
	printf(",\n  \"seconds\": %.3f,\n  \"maps\": [\n",
	       (double)(after->header->time - before->header->time) / 1e9);
	for (size_t i = 0; i < count; i++) {
		const struct map_change *change = &changes[i];
		printf("    {\"address\": \"0x%" PRIx64 "\", \"fate\": \"%s\", \"inserted\": %" PRIu64
		       ", \"deleted\": %" PRIu64 ", \"moved\": %" PRIu64 ", \"pages\": %" PRIu64
		       ", \"bytes_before\": %" PRIu64 ", \"bytes_after\": %" PRIu64 ", \"type\": ",
		       either(change)->address, fate(change), change->inserted, change->deleted,
		       change->moved, change->pages, change->before == NULL ? 0 : change->before->bytes,
		       change->after == NULL ? 0 : change->after->bytes);
		write_json_string(stdout, string_of(before, after, change, true));
		printf(", \"held_by\": ");
		write_json_string(stdout, string_of(before, after, change, false));
		printf("}%s\n", i + 1 < count ? "," : "");
	}
	printf("  ]\n}\n");
}

static void print_slot(void *context, enum slot_change change, struct slot_place before,
		       struct slot_place after)
{
	(void)context;
	switch (change) {
	case SLOT_INSERTED: printf("  inserted  0x%" PRIx64 " slot %u\n", after.group, after.slot); return;
	case SLOT_DELETED: printf("  deleted   0x%" PRIx64 " slot %u\n", before.group, before.slot); return;
	case SLOT_MOVED:
		printf("  moved     0x%" PRIx64 " slot %u -> 0x%" PRIx64 " slot %u\n", before.group,
		       before.slot, after.group, after.slot);
		return;
	}
}

static int compare(const struct snapshot *before, const struct snapshot *after,
		   const struct diff_arguments *arguments)
{
	struct map_change *changes;
	size_t count = snapshot_diff(before, after, &changes);
	int code = count > 0 ? EXIT_FINDINGS : EXIT_CLEAN;
	if (arguments->map != 0) {
		code = EXIT_CLEAN;
		for (size_t i = 0; i < count; i++) {
			if (either(&changes[i])->address != arguments->map)
				continue;
			snapshot_diff_slots(before, changes[i].before, after, changes[i].after, print_slot,
					    NULL);
			code = EXIT_FINDINGS;
		}
	} else if (arguments->json) {
		print_json(before, after, changes, count);
	} else {
		print_text(before, after, changes, count, arguments->all);
	}
	free(changes);
	return code;
}

static int parse(int argc, char **argv, struct diff_arguments *arguments)
{
	static const struct option options[] = {{"map", required_argument, NULL, 'm'},
						{"all", no_argument, NULL, 'a'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	optind = 1;
	for (int option = getopt_long(argc, argv, "h", options, NULL); option != -1;
	     option = getopt_long(argc, argv, "h", options, NULL)) {
		switch (option) {
		case 'h': fputs(help, stdout); return EXIT_CLEAN;
		case 'a': arguments->all = true; break;
		case 'j': arguments->json = true; break;
		case 'm':
			if (!target_parse_address(optarg, &arguments->map))
				return usage_error("diff", "--map takes an address, not '%s'", optarg);
			break;
		default: return EXIT_USAGE;
		}
	}
	return argc - optind == 2 ? -1 : usage_error("diff", "name two snapshots, the earlier one first");
}

int run_diff(int argc, char **argv)
{
	struct diff_arguments arguments = {0};
	struct problem problem = {0};
	int code = parse(argc, argv, &arguments);
	if (code >= 0)
		return code;
	struct snapshot *before = snapshot_open(argv[optind], &problem);
	struct snapshot *after = before == NULL ? NULL : snapshot_open(argv[optind + 1], &problem);
	code = after == NULL || !snapshot_comparable(before, after, &problem)
		       ? print_problem("diff", &problem)
		       : compare(before, after, &arguments);
	snapshot_close(before);
	snapshot_close(after);
	return code;
}
