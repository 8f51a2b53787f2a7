/* lab.c: `neap lab list` and `neap lab run`. */
#include "lab/lab.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/atomic_file.h"
#include "lab/child.h"
#include "lab/progress.h"
#include "tool/command.h"

enum {
	CHILD_SECONDS = 300, /* a child that takes longer hangs: the longest takes 20 s on a slow machine */
};

static const struct experiment *const experiments[] = {
	&experiment_gate, /* first: it wants a process in which no pool was made before */
	&experiment_hmap_layout,
	&experiment_map_shrinks,
	&experiment_map_sharing,
	&experiment_map_misuse,
	&experiment_release_ways,
	&experiment_key_types,
	&experiment_nested_values,
	&experiment_delete_million,
	&experiment_delete_impact,
	&experiment_release_latency,
	&experiment_pool,
	&experiment_generations,
	&experiment_hooks,
	&experiment_rss_account,
	&experiment_profile_diff,
	&experiment_watch_trigger,
	&experiment_serve,
	&experiment_inspect_go,
	&experiment_concurrent_map,
	&experiment_cache_leak,
	&experiment_span_life,
	&experiment_interface_fates,
	&experiment_pointer_fates,
	&experiment_leaks,
	&experiment_memstats,
	&experiment_finalizer,
	&experiment_keepalive,
	&experiment_zero_keepalive,
	&experiment_gc_latency,
	&experiment_reachability,
	NULL,
	NULL,
};

void *lab_share(struct lab *lab, size_t size)
{
	lab->shared = shared_create(size);
	lab->shared_size = size;
	if (lab->shared == NULL)
		result_skip(&lab->result, "no memory to share with the measuring process");
	return lab->shared;
}

bool lab_child(struct lab *lab, const char *what, int (*work)(void *ctx), void *ctx)
{
	struct child_end end = child_run(work, ctx, CHILD_SECONDS, false);
	progress_end();
	if (end.started && end.status == 0)
		return true;
	result_check(&lab->result, false, "%s: the measuring process ended with %s", what,
		     child_end_text(&end));
	return false;
}

int lab_write_report(const char *command, const struct result *result, const char *path)
{
	struct text html = {0};
	result_html(result, &html);
	int error = atomic_file_write(path, html.at, html.len);
	text_free(&html);
	if (error == 0)
		return EXIT_CLEAN;
	fprintf(stderr,
		"neap %s: the report was not written: %s: %s (nothing was left behind)\n"
		"  try: -o with a path on a disk that has a megabyte free\n",
		command, path, strerror(error));
	return EXIT_PARTIAL;
}

int lab_flush(const char *command, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "neap %s: standard output could not be written: %s\n", command, strerror(errno));
	return EXIT_PARTIAL;
}

bool parse_count(const char *text, unsigned long long least, unsigned long long most, unsigned long long *ret)
{
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number < least || number > most)
		return false;
	*ret = number;
	return true;
}

static const struct experiment *find_experiment(const char *name)
{
	for (size_t i = 0; name != NULL && experiments[i] != NULL; i++)
		if (strcmp(experiments[i]->name, name) == 0)
			return experiments[i];
	return NULL;
}

static int prepare_keys(struct lab *lab, const struct experiment *experiment, struct text *error)
{
	const struct lab_options *options = lab->options;
	size_t n = options->n != 0 ? options->n : experiment->default_n;
	if (experiment->default_n == 0)
		return 0;
	if (options->keys_file == NULL)
		return keys_synthetic(&lab->keys, n, options->seed, error);
	struct keys_options how = {.most = n, .zero_separated = options->zero_separated};
	if (options->n == 0)
		how.most = KEYS_DEFAULT;
	return keys_from_file(&lab->keys, options->keys_file, &how, error);
}

static void run_experiment(const struct experiment *experiment, struct lab *lab)
{
	lab->result.name = experiment->name;
	lab->result.claim = experiment->claim;
	lab->result.method = experiment->method;
	if (lab->keys.n != 0)
		result_title(&lab->result, "%s %s, seed %llu", thousands(lab->keys.n), lab->keys.source,
			     (unsigned long long)lab->seed);
	uint64_t start = clock_now();
	experiment->run(lab);
	progress_end();
	lab->result.seconds = (double)(clock_now() - start) / 1e9;
}

/* What to run and how to show it. */
struct request {
	struct lab_options options;
	bool all, json;
	const char *report;
	const char *name;
};

/* Runs one and shows it. Its exit code. */
static int run_one(const struct experiment *experiment, const struct request *request, struct json *json)
{
	struct lab lab = {.options = &request->options, .seed = request->options.seed};
	struct text error = {0};
	int status = prepare_keys(&lab, experiment, &error);
	if (status != 0) {
		fprintf(stderr, "neap lab: %s\n", error.at);
		text_free(&error);
		return status;
	}
	run_experiment(experiment, &lab);
	if (request->json)
		result_json(&lab.result, json);
	else
		result_print(&lab.result, wants_colour(1));
	status = result_verdict(&lab.result) == VERDICT_FAILS ? EXIT_FINDINGS : EXIT_CLEAN;
	if (request->report != NULL) {
		int wrote = lab_write_report("lab", &lab.result, request->report);
		status = wrote != EXIT_CLEAN ? wrote : status;
	}
	result_free(&lab.result);
	keys_close(&lab.keys);
	shared_destroy(lab.shared, lab.shared_size);
	return status;
}

static int run_all(const struct request *request, struct json *json)
{
	int worst = EXIT_CLEAN;
	lab_json_open(json, NULL, '[');
	for (size_t i = 0; experiments[i] != NULL; i++) {
		if (!request->json && i > 0)
			printf("\n%s\n\n", "-----------------------------------------------------------------"
					   "---------------");
		int status = run_one(experiments[i], request, json);
		if (status > EXIT_FINDINGS)
			return status;
		worst = status > worst ? status : worst;
	}
	lab_json_close(json, ']');
	return worst;
}

static int list_experiments(void)
{
	for (size_t i = 0; experiments[i] != NULL; i++) {
		printf("%-16s", experiments[i]->name);
		int column = 16;
		for (const char *word = experiments[i]->claim; *word != '\0';) {
			int n = (int)strcspn(word, " ");
			if (column + 1 + n > 80)
				column = printf("\n%16s", "") - 1;
			column += printf(" %.*s", n, word);
			word += n + (word[n] == ' ');
		}
		printf("\n");
	}
	return EXIT_CLEAN;
}

static void print_lab_help(void)
{
	printf("neap lab - experiments: a claim, measured on this machine, and a verdict\n\n"
	       "  neap lab list\n"
	       "  neap lab run NAME [options]\n"
	       "  neap lab run --all [options]\n\n"
	       "  --json           one JSON object (with --all an array) on standard output\n"
	       "  --keys FILE      keys from FILE, one a line; - is standard input\n"
	       "  --null           keys in FILE end in NUL (find -print0) instead of newline\n"
	       "  --n N            number of keys, 1 to %d\n"
	       "  --seed S         other made-up keys, another choice of what is deleted; default 1\n"
	       "  -o REPORT.html   write a page with the bars and curves\n\n"
	       "Examples:\n"
	       "  neap lab run map-shrinks\n"
	       "  neap lab run release-latency --n 300000 -o latency.html\n"
	       "  neap lab run delete-million --keys /usr/share/dict/words --json | jq .figures\n\n"
	       "Exit codes: 0 every claim holds or was skipped with a reason, 1 a claim fails, 2 usage or a\n"
	       "bad key file, 3 no such file, 4 the report could not be written.\n",
	       KEYS_MOST);
}

static int parse_request(int argc, char **argv, struct request *ret)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},	{"keys", required_argument, NULL, 'k'},
		{"null", no_argument, NULL, '0'},	{"n", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'}, {"output", required_argument, NULL, 'o'},
		{"all", no_argument, NULL, 'a'},	{NULL, 0, NULL, 0},
	};
	unsigned long long number;
	*ret = (struct request){.options = {.seed = 1}};
	optind = 1;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "n:o:", longs, NULL)) != -1;) {
		switch (c) {
		case 'j': ret->json = true; break;
		case 'k': ret->options.keys_file = optarg; break;
		case '0': ret->options.zero_separated = true; break;
		case 'o': ret->report = optarg; break;
		case 'a': ret->all = true; break;
		case 'n':
			if (!parse_count(optarg, 1, KEYS_MOST, &number))
				return usage_error("lab", "--n %s: not a number from 1 to %d", optarg,
						   KEYS_MOST);
			ret->options.n = number;
			break;
		case 's':
			if (!parse_count(optarg, 0, UINT64_MAX, &number))
				return usage_error("lab", "--seed %s: not a number", optarg);
			ret->options.seed = number;
			break;
		default:
			return usage_error("lab", "%s: not an option, or its value is missing",
					   argv[optind - 1]);
		}
	}
	ret->name = optind < argc ? argv[optind] : NULL;
	if (optind + 1 < argc)
		return usage_error("lab", "%s: one experiment at a time, or --all", argv[optind + 1]);
	if (ret->all == (ret->name != NULL))
		return usage_error("lab",
				   ret->all ? "--all and a name" : "which experiment? see: neap lab list");
	if (ret->all && ret->report != NULL)
		return usage_error("lab", "-o needs one experiment: a report is about one claim");
	if (ret->all && ret->options.keys_file != NULL && strcmp(ret->options.keys_file, "-") == 0)
		return usage_error("lab", "--all reads the keys more than once: --keys needs a file");
	return 0;
}

static int run_request(const struct request *request)
{
	const struct experiment *experiment = request->all ? NULL : find_experiment(request->name);
	if (!request->all && experiment == NULL)
		return usage_error("lab", "no experiment '%s'; see: neap lab list", request->name);
	struct json json = {0};
	int status = request->all ? run_all(request, &json) : run_one(experiment, request, &json);
	if (request->json && status != EXIT_USAGE && status != EXIT_NO_TARGET)
		printf("%s\n", json.text.at);
	text_free(&json.text);
	return status;
}

int command_lab(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "--help";
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
		print_lab_help();
		return argc > 1 ? EXIT_CLEAN : EXIT_USAGE;
	}
	if (strcmp(verb, "list") == 0 && argc == 2)
		return list_experiments();
	if (strcmp(verb, "run") != 0)
		return usage_error("lab", "'%s': neither list nor run", verb);
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0) {
			print_lab_help();
			return EXIT_CLEAN;
		}
	struct request request;
	int status = parse_request(argc - 1, argv + 1, &request);
	return status != 0 ? status : lab_flush("lab", run_request(&request));
}
