/* lint_run.c: `neap lint`, the part that needs LLVM: from the command line to findings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "lint/cache.h"
#include "lint/engine.h"
#include "lint/escape.h"
#include "lint/report.h"
#include "lint_run.h"

struct lint_options {
	bool json, sarif, rules, summaries, notes, no_banned, no_cache, time;
	const char *api, *baseline, *write_baseline, *cache;
};

/* Flags without a value. */
static bool lint_switch(const char *word, struct lint_options *options)
{
	const struct {
		const char *name;
		bool *flag;
	} switches[] = {{"--json", &options->json},	    {"--sarif", &options->sarif},
			{"--rules", &options->rules},	    {"--notes", &options->notes},
			{"--time", &options->time},	    {"--summaries", &options->summaries},
			{"--no-cache", &options->no_cache}, {"--no-banned", &options->no_banned}};
	for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
		if (strcmp(word, switches[i].name) == 0)
			return *switches[i].flag = true;
	return false;
}

/* The place for the value of a flag that has one. */
static const char **lint_value(const char *word, struct lint_options *options)
{
	if (strcmp(word, "--api") == 0)
		return &options->api;
	if (strcmp(word, "--baseline") == 0)
		return &options->baseline;
	if (strcmp(word, "--write-baseline") == 0)
		return &options->write_baseline;
	return strcmp(word, "--cache") == 0 ? &options->cache : NULL;
}

static int parse_lint(int argc, char **argv, struct lint_options *options, struct job_list *jobs)
{
	int result = EXIT_CLEAN;
	for (int i = 1; i < argc && result == EXIT_CLEAN; i++) {
		const char **value = lint_value(argv[i], options);
		if (lint_switch(argv[i], options))
			continue;
		if (value != NULL && i + 1 < argc)
			*value = argv[++i];
		else
			result = lint_take_word("lint", argc, argv, &i, jobs);
	}
	if (result == EXIT_CLEAN && !options->rules && jobs->n == 0)
		return usage_error("lint", "no file to analyse");
	return result;
}

static void print_rules(void)
{
	for (int i = 0; i < CHECK_COUNT; i++) {
		printf("%s\n  %s. %s", lint_checks[i].id, lint_checks[i].title, lint_checks[i].why);
		if (lint_checks[i].cwe != 0)
			printf(" CWE-%d.", lint_checks[i].cwe);
		putchar('\n');
	}
}

static double lint_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* without clang's: its time is not ours */
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_summaries(struct program *program)
{
	for (uint32_t i = 0; i < program->n_bottom_up; i++) {
		const struct function *function = &program->functions[program->bottom_up[i]];
		if (!program->files[function->file].system)
			printf("%s %s\n", function->name,
			       lint_effects_text(&program->region, function->summary));
	}
}

static void tell_notes(struct program *program, const struct findings *findings, bool all)
{
	for (size_t i = 0; all && i < findings->n_notes; i++)
		fprintf(stderr, "%s:%u: note: %s\n", program->files[findings->notes[i].file].path,
			findings->notes[i].line, findings->notes[i].text);
	if (!all && findings->n_notes > 0)
		fprintf(stderr,
			"neap lint: %zu notes on what was followed only in part; --notes prints them\n",
			findings->n_notes);
}

static int answer(struct program *program, struct findings *findings, const struct lint_options *options)
{
	char *error = NULL;
	lint_findings_sort(program, findings);
	lint_findings_suppress(program, findings);
	int failed = 0;
	if (options->baseline != NULL)
		failed = lint_baseline_read(program, findings, options->baseline, &error);
	if (failed == 0 && options->write_baseline != NULL)
		failed = lint_baseline_write(program, findings, options->write_baseline, &error);
	if (failed == 0)
		return EXIT_CLEAN;
	fprintf(stderr, "neap lint: %s\n", error);
	free(error);
	return EXIT_USAGE;
}

static unsigned count_open(const struct findings *findings)
{
	unsigned n = 0;
	for (size_t i = 0; i < findings->n; i++)
		n += lint_is_open(&findings->items[i]);
	return n;
}

static int print_findings(struct program *program, struct findings *findings,
			  const struct lint_options *options, const struct job_list *jobs, unsigned left_out)
{
	int result = answer(program, findings, options);
	if (result != EXIT_CLEAN)
		return result;
	unsigned open = count_open(findings);
	if (options->summaries)
		print_summaries(program);
	else if (options->sarif)
		lint_print_sarif(program, findings, jobs, stdout);
	else if (options->json)
		lint_print_json(program, findings, stdout, left_out);
	else
		lint_print_text(program, findings, stdout, wants_colour(1));
	tell_notes(program, findings, options->notes);
	if (left_out > 0)
		return EXIT_PARTIAL;
	return open > 0 && !options->summaries ? EXIT_FINDINGS : EXIT_CLEAN;
}

static int analyse_lint(struct program *program, struct findings *findings,
			const struct lint_options *options, struct job_list *jobs)
{
	char *error = NULL;
	double start = lint_seconds();
	const char *cache = options->no_cache ? NULL : options->cache;
	if (cache == NULL && !options->no_cache)
		cache = lint_cache_folder(&program->region);
	int loaded = lint_front_load(program, jobs, cache, &error);
	double compiled = lint_seconds();
	if (loaded < 0 || lint_effects_attach(program, options->api, &error) != 0) {
		fprintf(stderr, "neap lint: %s\n", error);
		free(error);
		return loaded < 0 ? EXIT_NO_FEATURE : EXIT_USAGE;
	}
	unsigned left_out = lint_tell_left_out("lint", program, jobs);
	lint_escape_program(program, NULL, NULL);
	double escaped = lint_seconds();
	lint_engine_run(program, cache, findings);
	if (!options->no_banned)
		lint_check_banned(program, findings);
	if (options->time)
		fprintf(stderr, "processor time: reading %.2f s, escape %.2f s, paths %.2f s; %u functions\n",
			compiled - start, escaped - compiled, lint_seconds() - escaped, program->n_bottom_up);
	return print_findings(program, findings, options, jobs, left_out);
}

int run_lint_analysis(int argc, char **argv)
{
	struct lint_options options = {0};
	struct job_list jobs = {0};
	/* neap-lint: allow dangling-stack: the program's globals point into its own region, which goes with it */
	struct program program = {0};
	struct findings findings = {0}; /* neap-lint: allow dangling-stack: its texts outlive no program */
	int result = parse_lint(argc, argv, &options, &jobs);
	if (result == EXIT_CLEAN && options.rules)
		print_rules();
	else if (result == EXIT_CLEAN)
		result = analyse_lint(&program, &findings, &options, &jobs);
	lint_findings_clear(&findings);
	lint_program_clear(&program);
	lint_jobs_clear(&jobs);
	return result;
}
