/* escape_run.c: `neap escape`, the part that needs LLVM: from the command line to decisions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "lint/cache.h"
#include "lint/escape_report.h"
#include "lint_run.h"

struct escape_options {
	enum escape_detail detail;
	bool json, no_cache;
	const char *api;
};

static int parse_escape(int argc, char **argv, struct escape_options *options, struct job_list *jobs)
{
	int result = EXIT_CLEAN;
	for (int i = 1; i < argc && result == EXIT_CLEAN; i++) {
		const char *word = argv[i];
		if (strcmp(word, "-m") == 0)
			options->detail = DETAIL_DECISIONS;
		else if (strcmp(word, "-m=2") == 0)
			options->detail = DETAIL_CHAINS;
		else if (strcmp(word, "--json") == 0)
			options->json = true;
		else if (strcmp(word, "--no-cache") == 0)
			options->no_cache = true;
		else if (strcmp(word, "--api") == 0 && i + 1 < argc)
			options->api = argv[++i];
		else
			result = lint_take_word("escape", argc, argv, &i, jobs);
	}
	if (result == EXIT_CLEAN && jobs->n == 0)
		return usage_error("escape", "no file to analyse");
	return result;
}

static void print_escape_json(const struct escape_report *report, unsigned left_out)
{
	json_t *root =
		json_pack("{s:i, s:s, s:O, s:{s:i, s:i, s:i}, s:i, s:i}", "schema", 1, "command", "escape",
			  "functions", report->functions, "counts", "dangling", (int)report->dangling,
			  "may_dangle", (int)report->may_dangle, "info", (int)report->info,
			  "files_not_analysed", (int)left_out, "functions_over_budget", (int)report->gave_up);
	json_dumpf(root, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(root);
}

static int analyse_escape(struct program *program, const struct escape_options *options,
			  struct job_list *jobs)
{
	char *error = NULL;
	int loaded = lint_front_load(program, jobs,
				     options->no_cache ? NULL : lint_cache_folder(&program->region), &error);
	if (loaded < 0 || lint_effects_attach(program, options->api, &error) != 0) {
		fprintf(stderr, "neap escape: %s\n", error);
		free(error);
		return loaded < 0 ? EXIT_NO_FEATURE : EXIT_USAGE;
	}
	unsigned left_out = lint_tell_left_out("escape", program, jobs);
	struct escape_report report = {.program = program, .detail = options->detail, .out = stdout};
	if (options->json) {
		report.functions = json_array();
		if (report.detail == DETAIL_GRADES)
			report.detail = DETAIL_DECISIONS;
	}
	lint_escape_program(program, lint_escape_report, &report);
	if (options->json)
		print_escape_json(&report, left_out);
	json_decref(report.functions);
	if (left_out > 0)
		return EXIT_PARTIAL;
	return report.dangling + report.may_dangle > 0 ? EXIT_FINDINGS : EXIT_CLEAN;
}

int run_escape_analysis(int argc, char **argv)
{
	struct escape_options options = {0};
	struct job_list jobs = {0};
	/* neap-lint: allow dangling-stack: the program's globals point into its own region, which goes with it */
	struct program program = {0};
	int result = parse_escape(argc, argv, &options, &jobs);
	if (result == EXIT_CLEAN)
		result = analyse_escape(&program, &options, &jobs);
	lint_program_clear(&program);
	lint_jobs_clear(&jobs);
	return result;
}
