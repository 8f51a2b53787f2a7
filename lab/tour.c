/* tour.c: `neap tour`: the names of this machine's files in a classic map and in Neap's map; 99 % of them
 * deleted, then all; and what stayed behind, on one screen and in a report.
 *
 * The claim of the tour is what the project is for, and it is checked like every other: the classic map keeps
 * its table, Neap's map does not, and the parts add up to what the kernel says.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/bars.h"
#include "lab/child.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "lab/tour_run.h"
#include "tool/command.h"

enum {
	WALK_SECONDS = 15, /* of a tour's minute, for reading the names of files */
	CHILD_SECONDS = 120,
	BAR_WIDTH = 22, /* two bars, two figures and a label make 80 columns */
	LEFT = 14,	/* columns of labels */
	KEPT_PERCENT =
		3, /* of its peak, that Neap's table may keep at 1 %: 0.8 to 2.7 from 5e3 to 1.5e6 keys */
	FEW_KEYS = 10000,      /* below this a table is smaller than what a process needs to run */
	SUM_SLACK = 512 << 10, /* bytes: unexplained up to this much is the kernel's own rounding and lag */
	SUM_PERCENT = 2,
};

struct tour_options {
	const char *keys_file, *root, *report;
	bool zero_separated, json, no_report;
	size_t n;
	uint64_t seed;
};

struct tour {
	struct tour_options options;
	struct keys keys;
	struct tour_run *runs[TABLE_KINDS]; /* shared memory */
	struct result result;
};

static const char *const titles[TABLE_KINDS] = {"CLASSIC MAP (Go up to 1.23)", "NEAP'S MAP"};
static const char *const stop_names[TOUR_STOPS] = {"loaded", "99 % deleted", "all deleted"};
static const char *const stop_keys[TOUR_STOPS] = {"loaded", "one_percent", "all_deleted"};

static size_t largest_rss(const struct tour *tour)
{
	size_t most = 0;
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
		for (enum tour_stop stop = 0; stop < TOUR_STOPS; stop++)
			if (tour->runs[kind]->stops[stop].rss > most)
				most = tour->runs[kind]->stops[stop].rss;
	return most;
}

static void screen_bars(struct text *out, const struct tour *tour, struct bar_style style)
{
	size_t scale = largest_rss(tour);
	text_printf(out, "%*s%-*s%s\n", LEFT, "", BAR_WIDTH + 12, titles[0], titles[1]);
	for (enum tour_stop stop = 0; stop < TOUR_STOPS; stop++) {
		text_printf(out, "%-*s", LEFT, stop_names[stop]);
		for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
			const struct neap_account *account = &tour->runs[kind]->stops[stop];
			bar_draw(out, account, scale, BAR_WIDTH, style);
			text_printf(out, " %6s MB", megabytes((double)account->rss));
			text_puts(out, kind + 1 < TABLE_KINDS ? "  " : "\n");
		}
	}
	text_printf(out, "%*s", LEFT, "");
	for (enum part part = 0; part < PARTS; part++) {
		bar_sign(out, part, style);
		text_printf(out, " %s  ", part_names[part]);
	}
	text_puts(out, "\n\n");
}

static void screen_table(struct text *out, const struct tour *tour)
{
	text_printf(out, "%-23s%6s%10s%6s%10s%6s%12s%7s\n", "MB", "live", "tombstone", "empty", "free-held",
		    "other", "unexplained", "RSS");
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		for (enum tour_stop stop = 0; stop < TOUR_STOPS; stop++) {
			const struct neap_account *account = &tour->runs[kind]->stops[stop];
			text_printf(out, "%-8s%-15s%6s%10s%6s%10s%6s%12s%7s\n",
				    stop == 0 ? table_names[kind] : "", stop_names[stop],
				    megabytes((double)account->live), megabytes((double)account->tombstone),
				    megabytes((double)account->empty), megabytes((double)account->free_held),
				    megabytes((double)account->other),
				    megabytes((double)account->unexplained), megabytes((double)account->rss));
		}
	}
	text_puts(out, "free-held is malloc's here: the blocks of deleted keys, on pages that it keeps.\n\n");
}

static double came_back(const struct tour_run *run, enum tour_stop stop)
{
	return (double)run->stops[STOP_LOADED].rss - (double)run->stops[stop].rss;
}

static double delete_time(const struct tour_run *run)
{
	return (double)run->delete_ns / (double)(run->operations[STOP_ONE_PERCENT] + 1);
}

/* +trim and +copy: tried in a forked copy at the stop, so these are measurements, and exclude each other. */
static void screen_back(struct text *out, const struct tour *tour)
{
	text_printf(out, "%-23s%12s%14s%9s%10s%6s%6s\n", "CAME BACK (MB)", "of RSS", "of the table", "after",
		    "a delete", "+trim", "+copy");
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		const struct tour_run *run = tour->runs[kind];
		for (enum tour_stop stop = STOP_ONE_PERCENT; stop < TOUR_STOPS; stop++) {
			uint64_t settled = tour_settle_time(run, stop);
			text_printf(out, "%-8s%-15s%6s/%5s%8s/%5s%9s%10s%6s%6s\n",
				    stop == STOP_ONE_PERCENT ? table_names[kind] : "", stop_names[stop],
				    megabytes(came_back(run, stop)),
				    megabytes((double)run->stops[STOP_LOADED].rss),
				    megabytes((double)run->table_bytes[STOP_LOADED] -
					      (double)run->table_bytes[stop]),
				    megabytes((double)run->table_bytes[STOP_LOADED]),
				    settled == UINT64_MAX ? "never"
				    : settled == 0	  ? "at once"
							  : duration((double)settled),
				    stop == STOP_ONE_PERCENT ? duration(delete_time(run)) : "",
				    megabytes((double)run->trim_gives[stop]),
				    megabytes((double)run->rebuild_gives[stop]));
		}
	}
	text_puts(out, "+trim, +copy: what malloc_trim(0), or a copy to a new map, would give back too.\n");
}

static void screen_notes(struct text *out, const struct tour *tour)
{
	const struct keys *keys = &tour->keys;
	const struct tour_run *run = tour->runs[TABLE_CLASSIC];
	struct text notes = {0};
	if (run->duplicates > 0)
		text_printf(&notes, "%s duplicate keys kept once; ", thousands(run->duplicates));
	if (keys->empty_lines > 0)
		text_printf(&notes, "%s empty lines left out; ", thousands(keys->empty_lines));
	if (keys->unreadable > 0)
		text_printf(&notes, "%s unreadable or vanished; ", thousands(keys->unreadable));
	if (keys->stopped_at_bound)
		text_printf(&notes, "stopped at %s keys (--n takes more); ", thousands(keys->n));
	if (keys->stopped_at_time)
		text_printf(&notes, "stopped looking after %d s; ", WALK_SECONDS);
	if (run->entries[STOP_LOADED] < FEW_KEYS)
		text_puts(&notes, "so few keys that the process itself outweighs them; ");
	if (notes.len >= 2)
		text_printf(out, "%.*s\n", (int)(notes.len - 2), notes.at);
	text_free(&notes);
}

static void print_screen(const struct tour *tour, bool colour)
{
	struct text out = {0};
	struct bar_style style = bar_style_now(colour);
	text_printf(&out, "%sneap tour%s  %s, %s MB of names, seed %llu\n", colour ? "\033[1m" : "",
		    colour ? "\033[0m" : "", tour->result.title, megabytes((double)tour->keys.bytes),
		    (unsigned long long)tour->options.seed);
	text_printf(&out, "%s\n\n", tour->result.headline);
	screen_bars(&out, tour, style);
	screen_table(&out, tour);
	screen_back(&out, tour);
	screen_notes(&out, tour);
	fwrite(out.at, 1, out.len, stdout);
	text_free(&out);
}

static void add_figures(struct tour *tour)
{
	struct result *result = &tour->result;
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		const struct tour_run *run = tour->runs[kind];
		for (enum tour_stop stop = 0; stop < TOUR_STOPS; stop++) {
			const char *name = table_names[kind], *at = stop_keys[stop];
			result_bar(result, &run->stops[stop], "%s, %s",
				   kind == TABLE_NEAP ? "Neap's map" : "classic map", stop_names[stop]);
			result_figure(result, (double)run->stops[stop].rss, "bytes", "%s_%s_rss", name, at);
			result_figure(result, (double)run->table_bytes[stop], "bytes", "%s_%s_table", name,
				      at);
			result_figure(result, (double)run->entries[stop], "count", "%s_%s_entries", name, at);
			result_figure(result, (double)run->nanoseconds[stop], "ns", "%s_%s_time", name, at);
			if (stop == STOP_LOADED)
				continue;
			uint64_t settled = tour_settle_time(run, stop);
			result_figure(result, settled == UINT64_MAX ? NAN : (double)settled, "ns",
				      "%s_%s_settled", name, at);
			result_figure(result, (double)run->trim_gives[stop], "bytes", "%s_%s_trim_gives",
				      name, at);
			result_figure(result, (double)run->rebuild_gives[stop], "bytes",
				      "%s_%s_rebuild_gives", name, at);
		}
		result_figure(result, delete_time(run), "ns", "%s_delete", table_names[kind]);
		struct rss_resolution got = rss_resolution_of(&run->curve, 0, UINT64_MAX);
		result_figure(result, (double)got.p50, "ns", "%s_sampling_p50", table_names[kind]);
		result_figure(result, (double)got.p99, "ns", "%s_sampling_p99", table_names[kind]);
		result_figure(result, (double)got.worst, "ns", "%s_sampling_worst", table_names[kind]);
		result_figure(result, (double)got.late, "count", "%s_sampling_late", table_names[kind]);
		result_curve(result, &run->curve, kind == TABLE_NEAP ? "Neap's map" : "Classic map");
	}
	result_figure(result, (double)tour->runs[0]->duplicates, "count", "duplicate_keys");
}

static void add_checks(struct tour *tour)
{
	const struct tour_run *classic = tour->runs[TABLE_CLASSIC], *neap = tour->runs[TABLE_NEAP];
	struct result *result = &tour->result;
	/* Fewer keys fill a few buckets and segments, whose steps are larger than what is measured. */
	if (neap->entries[STOP_LOADED] >= FEW_KEYS) {
		result_check(result,
			     classic->table_bytes[STOP_ONE_PERCENT] * 10 >=
				     classic->table_bytes[STOP_LOADED] * 9,
			     "the classic map keeps its table: %s of %s MB after deleting 99 %%",
			     megabytes((double)classic->table_bytes[STOP_ONE_PERCENT]),
			     megabytes((double)classic->table_bytes[STOP_LOADED]));
		result_check(result,
			     neap->table_bytes[STOP_ONE_PERCENT] * 100 <=
				     neap->table_bytes[STOP_LOADED] * KEPT_PERCENT,
			     "Neap's map keeps at most %d %% of its table: %s of %s MB after deleting 99 %%",
			     KEPT_PERCENT, megabytes((double)neap->table_bytes[STOP_ONE_PERCENT]),
			     megabytes((double)neap->table_bytes[STOP_LOADED]));
	}
	result_check(result, neap->entries[STOP_EMPTY] == 0 && classic->entries[STOP_EMPTY] == 0,
		     "every key was found and deleted: %zu and %zu left", classic->entries[STOP_EMPTY],
		     neap->entries[STOP_EMPTY]);
	ptrdiff_t worst = 0;
	size_t of = 1;
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
		for (enum tour_stop stop = 0; stop < TOUR_STOPS; stop++) {
			const struct neap_account *account = &tour->runs[kind]->stops[stop];
			ptrdiff_t off =
				account->unexplained < 0 ? -account->unexplained : account->unexplained;
			if (off > worst) {
				worst = off;
				of = account->rss;
			}
		}
	result_check(result, worst <= SUM_SLACK || (size_t)worst * 100 <= of * SUM_PERCENT,
		     "the parts add up to RSS: at most %s MB of %s MB unexplained", megabytes((double)worst),
		     megabytes((double)of));
}

static int collect_keys(struct tour *tour, struct text *error)
{
	const struct tour_options *options = &tour->options;
	struct keys_options how = {
		.most = options->n, .seconds = WALK_SECONDS, .zero_separated = options->zero_separated};
	if (options->keys_file != NULL)
		return keys_from_file(&tour->keys, options->keys_file, &how, error);
	return keys_from_tree(&tour->keys, options->root, &how, error);
}

static bool run_tables(struct tour *tour)
{
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		struct tour_run *run = shared_create(sizeof *run);
		tour->runs[kind] = run;
		if (run == NULL) {
			fprintf(stderr, "neap tour: no memory to share with the measuring process\n");
			return false;
		}
		run->kind = kind;
		run->keys = &tour->keys;
		run->seed = tour->options.seed;
		struct child_end end = child_run(tour_run_child, run, CHILD_SECONDS, false);
		progress_end();
		if (!end.started || end.status != 0) {
			fprintf(stderr, "neap tour: the measuring process (%s map) ended with %s\n",
				table_names[kind], child_end_text(&end));
			return false;
		}
	}
	return true;
}

static int show(struct tour *tour)
{
	int status = result_verdict(&tour->result) == VERDICT_FAILS ? EXIT_FINDINGS : EXIT_CLEAN;
	if (tour->options.json) {
		struct json json = {0};
		result_json(&tour->result, &json);
		printf("%s\n", json.text.at);
		text_free(&json.text);
	} else {
		print_screen(tour, wants_colour(1));
		for (size_t i = 0; i < tour->result.checks_n; i++)
			if (!tour->result.checks[i].holds)
				printf("FAILS: %s\n", tour->result.checks[i].sentence);
	}
	if (tour->options.no_report)
		return status;
	int wrote = lab_write_report("tour", &tour->result, tour->options.report);
	if (wrote == EXIT_CLEAN && !tour->options.json)
		printf("report: %s\n", tour->options.report);
	return wrote != EXIT_CLEAN ? wrote : status;
}

static int run_tour(struct tour *tour)
{
	struct text error = {0};
	uint64_t start = clock_now();
	int status = collect_keys(tour, &error);
	if (status != 0) {
		fprintf(stderr, "neap tour: %s\n", error.at);
		text_free(&error);
		return status;
	}
	struct result *result = &tour->result;
	result->name = "tour";
	result->claim = "After deleting 99 % of its entries the classic map keeps its whole table, and "
			"Neap's map at most "
			"3 % of its own, without any call.";
	result->method =
		"The keys, each in a malloc block of its own, go into a map in a fresh process; 99 % are "
		"deleted, then the rest. At each stop the process's memory is divided into parts from the "
		"kernel's, malloc's and the map's own books. Cures are tried in a forked copy.";
	result_title(result, "%s %s", thousands(tour->keys.n), tour->keys.source);
	if (!run_tables(tour))
		return EXIT_PARTIAL;
	result->seconds = (double)(clock_now() - start) / 1e9;
	const struct tour_run *classic = tour->runs[TABLE_CLASSIC], *neap = tour->runs[TABLE_NEAP];
	result_headline(result,
			"99 %% deleted: the classic map's table keeps %s of %s MB, Neap's %s of %s MB.",
			megabytes((double)classic->table_bytes[STOP_ONE_PERCENT]),
			megabytes((double)classic->table_bytes[STOP_LOADED]),
			megabytes((double)neap->table_bytes[STOP_ONE_PERCENT]),
			megabytes((double)neap->table_bytes[STOP_LOADED]));
	add_figures(tour);
	add_checks(tour);
	return show(tour);
}

static void print_tour_help(void)
{
	printf("neap tour - what a delete leaves behind, on the names of this machine's files\n\n"
	       "  neap tour [options]\n\n"
	       "Loads the keys into a classic Go map and into Neap's map, each in a process of its own, "
	       "deletes\n"
	       "99 %% of them, then all, and shows where the memory is at each stop. Writes a report.\n\n"
	       "  --keys FILE      keys from FILE, one a line; - is standard input\n"
	       "  --null           keys in FILE end in NUL (find -print0) instead of newline\n"
	       "  --root DIR       names of the files under DIR; default /\n"
	       "  --n N            at most N keys; default %d\n"
	       "  --seed S         another choice of the 1 %% that stays; default 1\n"
	       "  -o REPORT.html   where the report goes; default neap-tour.html\n"
	       "  --no-report      no report\n"
	       "  --json           one JSON object on standard output instead of the screen\n\n"
	       "Examples:\n"
	       "  neap tour\n"
	       "  neap tour --keys /usr/share/dict/words -o words.html\n"
	       "  find /srv -print0 | neap tour --keys - --null --json\n\n"
	       "Keys and values are never shown. Exit codes: 0 done, 1 the claim fails here, 2 usage or a "
	       "bad key\n"
	       "file, 3 no such file, 4 the report could not be written or a process ended early.\n",
	       KEYS_DEFAULT);
}

static int parse_tour(int argc, char **argv, struct tour_options *ret)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"keys", required_argument, NULL, 'k'},
		{"null", no_argument, NULL, '0'},
		{"n", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'},
		{"output", required_argument, NULL, 'o'},
		{"root", required_argument, NULL, 'r'},
		{"no-report", no_argument, NULL, 'x'},
		{NULL, 0, NULL, 0},
	};
	unsigned long long number;
	*ret = (struct tour_options){.root = "/", .report = "neap-tour.html", .n = KEYS_DEFAULT, .seed = 1};
	optind = 1;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "n:o:", longs, NULL)) != -1;) {
		switch (c) {
		case 'j': ret->json = true; break;
		case 'k': ret->keys_file = optarg; break;
		case '0': ret->zero_separated = true; break;
		case 'o': ret->report = optarg; break;
		case 'r': ret->root = optarg; break;
		case 'x': ret->no_report = true; break;
		case 'n':
			if (!parse_count(optarg, 1, KEYS_MOST, &number))
				return usage_error("tour", "--n %s: not a number from 1 to %d", optarg,
						   KEYS_MOST);
			ret->n = number;
			break;
		case 's':
			if (!parse_count(optarg, 0, UINT64_MAX, &number))
				return usage_error("tour", "--seed %s: not a number", optarg);
			ret->seed = number;
			break;
		default:
			return usage_error("tour", "%s: not an option, or its value is missing",
					   argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage_error("tour", "%s: options only; for keys from a file use --keys", argv[optind]);
	return 0;
}

int command_tour(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_tour_help();
			return EXIT_CLEAN;
		}
	/* neap-lint: allow dangling-stack: the runs that name it are destroyed below */
	struct tour tour = {0};
	int status = parse_tour(argc, argv, &tour.options);
	if (status == 0)
		status = lab_flush("tour", run_tour(&tour));
	result_free(&tour.result);
	keys_close(&tour.keys);
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
		shared_destroy(tour.runs[kind], sizeof *tour.runs[kind]);
	return status;
}
