/* export.c: `neap export`: maps and objects for other tools. `neap report`: a page to share. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "export.h"
#include "inspect.h"
#include "look.h"
#include "whole_file.h"

static const char export_help[] =
	"usage: neap export PID|CORE|SNAPSHOT --pprof | --heapsnapshot | --json  -o FILE [--consistent | "
	"--snapshot]\n"
	"\n"
	"  --pprof           for `go tool pprof FILE`: each map under the path that holds it; held, "
	"reclaimable and\n"
	"                    retained bytes (-sample_index=retained)\n"
	"  --heapsnapshot    all reachable objects of a Go program, for the memory panel of Chromium\n"
	"  --json            the maps, as `neap inspect --json`\n"
	"\n"
	"Keys and values are in none of them.\n"
	"\n"
	"examples:\n"
	"  neap export 4711 --pprof -o maps.pb.gz; go tool pprof -top maps.pb.gz\n"
	"  neap export core.4711 --heapsnapshot -o heap.heapsnapshot\n";

static const char report_help[] =
	"usage: neap report PID|CORE|SNAPSHOT [AFTER] -o FILE [--consistent | --snapshot]\n"
	"\n"
	"Writes one HTML file that needs nothing else: where the memory is, each map's slots and pages, who "
	"holds it, and,\n"
	"with a second snapshot, what changed.\n"
	"\n"
	"examples:\n"
	"  neap report 4711 -o maps.html\n"
	"  neap report before.snap after.snap -o change.html\n";

enum export_form { FORM_NONE, FORM_PPROF, FORM_HEAPSNAPSHOT, FORM_JSON };

struct export_arguments {
	const char *command, *help, *target, *second, *output;
	struct inspection_wish wish;
	enum export_form form;
};

static int parse(int argc, char **argv, struct export_arguments *arguments)
{
	static const struct option options[] = {{"pprof", no_argument, NULL, 'P'},
						{"heapsnapshot", no_argument, NULL, 'H'},
						{"json", no_argument, NULL, 'J'},
						{"consistent", no_argument, NULL, 'c'},
						{"snapshot", no_argument, NULL, 's'},
						{"program", required_argument, NULL, 'p'},
						{"output", required_argument, NULL, 'o'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	optind = 1;
	for (int option = getopt_long(argc, argv, "ho:", options, NULL); option != -1;
	     option = getopt_long(argc, argv, "ho:", options, NULL)) {
		switch (option) {
		case 'h': fputs(arguments->help, stdout); return EXIT_CLEAN;
		case 'P': arguments->form = FORM_PPROF; break;
		case 'H': arguments->form = FORM_HEAPSNAPSHOT; break;
		case 'J': arguments->form = FORM_JSON; break;
		case 'c': arguments->wish.mode = TARGET_STOPPED; break;
		case 's': arguments->wish.mode = TARGET_CLONED; break;
		case 'p': arguments->wish.program = optarg; break;
		case 'o': arguments->output = optarg; break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind < 1 || argc - optind > 2 || arguments->output == NULL)
		return usage_error(arguments->command,
				   "name a process id, core file or snapshot, and the file to write with -o");
	arguments->target = argv[optind];
	arguments->second = argc - optind == 2 ? argv[optind + 1] : NULL;
	return -1;
}

typedef void (*write_fn)(FILE *out, const struct snapshot *before, struct look *look);

/* Returns an exit code. */
static int write_file(const struct export_arguments *arguments, write_fn write, const struct snapshot *before,
		      struct look *look)
{
	struct problem problem = {0};
	struct whole_file file = whole_file_begin(arguments->output);
	FILE *stream = file.descriptor < 0 ? NULL : fdopen(file.descriptor, "w");
	bool wrote = stream != NULL;
	if (wrote) {
		write(stream, before, look);
		wrote = fflush(stream) == 0 && ferror(stream) == 0;
	}
	int error = errno;
	if (stream != NULL && fclose(stream) != 0 && wrote) {
		error = errno;
		wrote = false;
	} else if (stream == NULL && file.descriptor >= 0) {
		close(file.descriptor);
	}
	if (whole_file_end(&file, wrote, error, &problem) != 0) {
		fprintf(stderr, "neap %s: %s\n", arguments->command, problem.text);
		return EXIT_PARTIAL;
	}
	return EXIT_CLEAN;
}

static void write_heapsnapshot(FILE *out, const struct snapshot *before, struct look *look)
{
	(void)before;
	export_heapsnapshot(out, look->inspection);
}

static void write_json(FILE *out, const struct snapshot *before, struct look *look)
{
	(void)before;
	if (look->inspection != NULL)
		json_inspection(out, look->inspection);
	else
		snapshot_json(out, look->snapshot);
}

static void write_report(FILE *out, const struct snapshot *before, struct look *look)
{
	export_report(out, before, look_snapshot(look));
}

static int torn_code(struct look *look)
{
	bool torn = look->inspection != NULL ? look->inspection->process->torn > 0
					     : look->snapshot->header->torn > 0;
	return torn ? EXIT_PARTIAL : EXIT_CLEAN;
}

int run_export(int argc, char **argv)
{
	struct export_arguments arguments = {
		.command = "export", .help = export_help, .wish = {.every_type = true, .retained = true}};
	struct problem problem = {0};
	struct look look;
	int code = parse(argc, argv, &arguments);
	if (code >= 0)
		return code;
	if (arguments.form == FORM_NONE || arguments.second != NULL)
		return usage_error("export", "name one target and one of --pprof, --heapsnapshot and --json");
	arguments.wish.retained = arguments.form != FORM_HEAPSNAPSHOT; /* the viewer computes it */
	arguments.wish.ways = arguments.form == FORM_PPROF;
	if (look_make(arguments.target, &arguments.wish, &look, &problem) != 0)
		return print_problem("export", &problem);
	if (arguments.form == FORM_PPROF)
		code = export_pprof(look_snapshot(&look), arguments.output, &problem) == 0
			       ? EXIT_CLEAN
			       : print_problem("export", &problem);
	else if (arguments.form == FORM_JSON)
		code = write_file(&arguments, write_json, NULL, &look);
	else if (look.inspection != NULL)
		code = write_file(&arguments, write_heapsnapshot, NULL, &look);
	else
		code = usage_error("export", "--heapsnapshot needs a Go program that runs, or its core");
	code = code == EXIT_CLEAN ? torn_code(&look) : code;
	look_free(&look);
	return code;
}

int run_report(int argc, char **argv)
{
	struct export_arguments arguments = {
		.command = "report", .help = report_help, .wish = {.retained = true, .ways = true}};
	struct problem problem = {0};
	struct look before = {0}, look = {0};
	int code = parse(argc, argv, &arguments);
	if (code >= 0)
		return code;
	if (arguments.form != FORM_NONE)
		return usage_error("report", "a report is HTML; `neap export` writes the other forms");
	if (look_make(arguments.target, &arguments.wish, &look, &problem) != 0)
		return print_problem("report", &problem);
	if (arguments.second != NULL) {
		before = look;
		look = (struct look){0};
		if (look_make(arguments.second, &arguments.wish, &look, &problem) != 0) {
			look_free(&before);
			return print_problem("report", &problem);
		}
		if (!snapshot_comparable(look_snapshot(&before), look_snapshot(&look), &problem)) {
			look_free(&before);
			look_free(&look);
			return print_problem("report", &problem);
		}
	}
	code = write_file(&arguments, write_report, arguments.second != NULL ? look_snapshot(&before) : NULL,
			  &look);
	code = code == EXIT_CLEAN ? torn_code(&look) : code;
	look_free(&before);
	look_free(&look);
	return code;
}
