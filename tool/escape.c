/* escape.c: `neap escape`: where the address of every local, allocation and parameter of a C file can go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static const char escape_help[] =
	"usage: neap escape [-m | -m=2] [--json] [-p compile_commands.json] FILE... [-- CLANG-FLAG...]\n"
	"\n"
	"Says of every local, allocation and parameter of a C file where its address can go.\n"
	"\n"
	"  (nothing)    locals whose address outlives the function: DANGLING, or MAY-DANGLE when every way "
	"to a\n"
	"               return takes the address away again\n"
	"  -m           every decision, in the form of Go's -m: escapes to heap, leaking param, does not "
	"escape;\n"
	"               INFO: code that is not visible here may keep it\n"
	"  -m=2         and how it came about, step by step\n"
	"  --json       the same as JSON, schema 1\n"
	"  --api FILE   what functions without source do, one a line: see neap-lint(1)\n"
	"  -p FILE      every file of a compile database\n"
	"  -I, -D, -U, -std=, -include  as for the compiler; all words after -- go to clang\n"
	"\n"
	"  neap escape -m parse.c\n"
	"  neap escape -m=2 parse.c -- -Iinclude\n"
	"  neap escape -p build/compile_commands.json --json > fates.json\n"
	"\n"
	"Exit code: 0 nothing dangles, 1 something does or may, 2 usage, 4 some file was not analysed,\n"
	"5 built without LLVM.\n";

#ifndef NEAP_WITH_LLVM

int run_escape(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(escape_help, stdout);
		return EXIT_CLEAN;
	}
	fputs("neap escape: this build has no LLVM, on which the analysis stands\n"
	      "  install llvm-14-dev and clang-14 (scripts/setup test), then: meson setup --reconfigure "
	      "-Dlint=enabled\n",
	      stderr);
	return EXIT_NO_FEATURE;
}

#else

#	include "lint/escape_report.h"
#	include "lint/front.h"

struct escape_options {
	enum escape_detail detail;
	bool json, help;
	const char *api;
};

/* Flags of the compiler that may stand among the files. */
static bool is_compiler_flag(const char *word)
{
	return strncmp(word, "-I", 2) == 0 || strncmp(word, "-D", 2) == 0 || strncmp(word, "-U", 2) == 0 ||
	       strncmp(word, "-std=", 5) == 0;
}

static int parse_escape(int argc, char **argv, struct escape_options *options, struct job_list *jobs)
{
	char *error = NULL;
	int result = EXIT_CLEAN;
	for (int i = 1; i < argc && result == EXIT_CLEAN; i++) {
		const char *word = argv[i];
		if (strcmp(word, "--") == 0) {
			while (++i < argc)
				lint_jobs_add_flag(jobs, argv[i]);
		} else if (strcmp(word, "--help") == 0) {
			options->help = true;
		} else if (strcmp(word, "-m") == 0) {
			options->detail = DETAIL_DECISIONS;
		} else if (strcmp(word, "-m=2") == 0) {
			options->detail = DETAIL_CHAINS;
		} else if (strcmp(word, "--json") == 0) {
			options->json = true;
		} else if (strcmp(word, "--api") == 0 && i + 1 < argc) {
			options->api = argv[++i];
		} else if (strcmp(word, "-p") == 0 && i + 1 < argc) {
			if (lint_jobs_add_database(jobs, argv[++i], &error) != 0)
				result = usage_error("escape", "%s", error);
		} else if (strcmp(word, "-include") == 0 && i + 1 < argc) {
			lint_jobs_add_flag(jobs, word);
			lint_jobs_add_flag(jobs, argv[++i]);
		} else if (is_compiler_flag(word)) {
			lint_jobs_add_flag(jobs, word);
		} else if (word[0] == '-') {
			result = usage_error("escape", "unknown option '%s'", word);
		} else if (lint_jobs_add_path(jobs, word, &error) != 0) {
			result = usage_error("escape", "%s", error);
		}
	}
	free(error);
	if (result == EXIT_CLEAN && !options->help && jobs->n == 0)
		return usage_error("escape", "no file to analyse");
	return result;
}

/* Files that are not in the program: told on standard error, and in the exit code. */
static unsigned tell_left_out(const struct job_list *jobs)
{
	unsigned n = 0;
	for (size_t i = 0; i < jobs->n; i++) {
		const struct job *job = &jobs->jobs[i];
		if (job->state == JOB_CPLUSPLUS)
			fprintf(stderr, "neap escape: %s: C++ is not analysed\n", job->file);
		else if (job->state != JOB_LOADED)
			fprintf(stderr, "neap escape: %s: does not compile, so nothing is known of it\n%s",
				job->file, job->said != NULL ? job->said : "");
		n += job->state != JOB_LOADED;
	}
	return n;
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
	int loaded = lint_front_load(program, jobs, NULL, &error);
	if (loaded < 0 || lint_effects_attach(program, options->api, &error) != 0) {
		fprintf(stderr, "neap escape: %s\n", error);
		free(error);
		return loaded < 0 ? EXIT_NO_FEATURE : EXIT_USAGE;
	}
	unsigned left_out = tell_left_out(jobs);
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

int run_escape(int argc, char **argv)
{
	struct escape_options options = {0};
	struct job_list jobs = {0};
	struct program program = {0};
	int result = parse_escape(argc, argv, &options, &jobs);
	if (result == EXIT_CLEAN && options.help)
		fputs(escape_help, stdout);
	else if (result == EXIT_CLEAN)
		result = analyse_escape(&program, &options, &jobs);
	lint_program_clear(&program);
	lint_jobs_clear(&jobs);
	return result;
}

#endif
