/* harness.c: see harness.h. */
#include "harness.h"

#include "board.h"
#include "machine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PEERS_MAX = 128, EXIT_USAGE = 2, EXIT_PARTIAL = 4 };

size_t bench_entries;

static const struct peer *registered[PEERS_MAX];
static size_t registered_count;

void bench_register(const struct peer *peer)
{
	if (registered_count == PEERS_MAX)
		abort();
	/* Kept sorted by rank, then by name: constructors run in the linker's order. */
	size_t at = registered_count++;
	for (; at > 0; at--) {
		const struct peer *before = registered[at - 1];
		if (before->rank < peer->rank ||
		    (before->rank == peer->rank && strcmp(before->name, peer->name) <= 0))
			break;
		registered[at] = before;
	}
	registered[at] = peer;
}

/* Whether `name` stands in the comma-separated `list`. */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);
	for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
		if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == 0))
			return true;
	return false;
}

bool bench_wants(const struct bench_options *options, const char *cell)
{
	return !options->cells || listed(options->cells, cell);
}

void bench_wrong(const struct peer *peer, const char *what, uint64_t got, uint64_t expected)
{
	fprintf(stderr, "bench: %s answered wrongly (%s: %llu, not %llu); its figures are left out\n",
		peer->name, what, (unsigned long long)got, (unsigned long long)expected);
	_exit(1);
}

void bench_add(const struct peer *peer, const struct workload *work, const char *cell, double value)
{
	(void)work;
	board_add(peer, cell, value);
}

/* Options. */

static int usage(const struct question *question, const char *wrong, const char *value)
{
	if (wrong)
		fprintf(stderr, "%s: %s '%s'; --help lists what can be given\n", question->name, wrong,
			value);
	return EXIT_USAGE;
}

static void print_help(const struct question *question, const struct bench_options *options)
{
	printf("%s: %s\n\n"
	       "  --sizes N,N,...    entries, as 1000 or 1e6\n"
	       "  --shapes A,B,...   u64, big (u64 to 56 bytes), str\n"
	       "  --peers A,B,...    which maps\n"
	       "  --cells A,B,...    which columns\n"
	       "  --rounds N         interleaved rounds, of which the median is shown (default %d)\n"
	       "  --ops N            operations timed per cell at least (default %zu)\n"
	       "  --cpu N            the core to run on (default: the last)\n"
	       "  --seed N           other keys\n"
	       "  --warm MB          memory to touch before the first measurement (default %zu)\n"
	       "  --json             one JSON object instead of tables\n\n"
	       "columns:\n",
	       question->name, question->title, options->rounds, options->ops, options->warm >> 20);
	for (int i = 0; i < question->cell_count; i++)
		printf("  %-10s %s\n", question->cells[i].name, question->cells[i].meaning);
	printf("\npeers in this build:\n");
	for (size_t i = 0; i < registered_count; i++)
		if (registered[i]->shape == SHAPE_U64)
			printf("  %-14s %s\n", registered[i]->name, registered[i]->about);
	if (question->help)
		printf("\n%s", question->help);
}

static bool parse_sizes(struct bench_options *options, const char *text)
{
	options->size_count = 0;
	for (const char *at = text; *at;) {
		char *end;
		double size = strtod(at, &end);
		if (end == at || size < 1 || size > 1e9 || options->size_count == SIZES_MAX)
			return false;
		options->sizes[options->size_count++] = (size_t)size;
		if (*end != ',' && *end != 0)
			return false;
		at = *end ? end + 1 : end;
	}
	return options->size_count > 0;
}

static bool parse_shapes(struct bench_options *options, const char *text)
{
	static const char *const names[SHAPES] = {"u64", "big", "str"};
	bool any = false;
	for (int i = 0; i < SHAPES; i++)
		any |= options->shapes[i] = listed(text, names[i]);
	return any;
}

static bool parse_number(const char *text, double least, double most, double *ret)
{
	char *end;
	*ret = strtod(text, &end);
	return end != text && *end == 0 && *ret >= least && *ret <= most;
}

/* Sets one option; 0, or the exit code. */
static int parse_option(const struct question *question, struct bench_options *options, const char *name,
			const char *value)
{
	double number = 0;
	if (strcmp(name, "--sizes") == 0)
		return parse_sizes(options, value) ? 0 : usage(question, "sizes are 1 to 1e9, not", value);
	if (strcmp(name, "--shapes") == 0)
		return parse_shapes(options, value) ? 0
						    : usage(question, "shapes are u64, big, str, not", value);
	if (strcmp(name, "--peers") == 0)
		options->peers = value;
	else if (strcmp(name, "--cells") == 0)
		options->cells = value;
	else if (!parse_number(value, 0, 1e12, &number))
		return usage(question, "not a number:", value);
	else if (strcmp(name, "--rounds") == 0 && number >= 1 && number <= ROUNDS_MAX)
		options->rounds = (int)number;
	else if (strcmp(name, "--ops") == 0 && number >= 1)
		options->ops = (size_t)number;
	else if (strcmp(name, "--cpu") == 0)
		options->cpu = (int)number;
	else if (strcmp(name, "--seed") == 0)
		options->seed = (uint64_t)number;
	else if (strcmp(name, "--warm") == 0)
		options->warm = (size_t)number << 20;
	else
		return usage(question, "unknown option or number out of range:", name);
	return 0;
}

/* Returns -1 to go on, or the exit code. */
static int parse(int argc, char **argv, const struct question *question, struct bench_options *options)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(question, options);
			return 0;
		}
		if (strcmp(argv[i], "--json") == 0) {
			options->json = true;
			continue;
		}
		if (i + 1 == argc)
			return usage(question, "no value given for", argv[i]);
		int code = parse_option(question, options, argv[i], argv[i + 1]);
		if (code)
			return code;
		i++;
	}
	return -1;
}

/* Children. */

/* Becomes the program of a peer that is written in another language; it lies beside ours. */
static void run_program(const struct peer *peer, const struct question *question, const struct workload *work,
			const struct bench_options *options)
{
	char path[4096], numbers[4][32];
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
	path[len > 0 ? len : 0] = 0;
	char *slash = strrchr(path, '/');
	size_t room = sizeof path - (size_t)(slash ? slash + 1 - path : 0);
	snprintf(slash ? slash + 1 : path, room, "%s", peer->program);
	snprintf(numbers[0], sizeof *numbers, "%d", work->shape);
	snprintf(numbers[1], sizeof *numbers, "%zu", work->n);
	snprintf(numbers[2], sizeof *numbers, "%zu", work->ops);
	snprintf(numbers[3], sizeof *numbers, "%llu", (unsigned long long)options->seed);
	execl(path, path, question->name, numbers[0], numbers[1], numbers[2], numbers[3],
	      options->cells ? options->cells : "", (char *)NULL);
	fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
	_exit(1);
}

static void child(const struct peer *peer, const struct question *question, const struct workload *work,
		  const struct bench_options *options, int pipe_end)
{
	if (peer->program) {
		dup2(pipe_end, STDOUT_FILENO);
		run_program(peer, question, work, options);
	}
	FILE *out = fdopen(pipe_end, "w");
	if (!out)
		_exit(1);
	bench_entries = work->n;
	question->measure(peer, work, options, out);
	_exit(fclose(out) == 0 ? 0 : 1);
}

static const char *cell_named(const struct question *question, const char *name)
{
	for (int i = 0; i < question->cell_count; i++)
		if (strcmp(question->cells[i].name, name) == 0)
			return question->cells[i].name;
	return NULL;
}

static void take_line(const struct peer *peer, const struct question *question, const struct workload *work,
		      int round, const char *line)
{
	char name[32];
	double numbers[3] = {0};
	if (sscanf(line, "%31s %lf %lf %lf", name, &numbers[0], &numbers[1], &numbers[2]) < 2)
		return;
	const char *cell = cell_named(question, name);
	if (cell)
		board_add(peer, cell, numbers[0]);
	else if (question->line)
		question->line(peer, work, round, name, numbers);
}

/* Measures one peer once; false when the child failed. */
static bool run_child(const struct peer *peer, const struct question *question, const struct workload *work,
		      const struct bench_options *options, int round)
{
	int ends[2], status = 0;
	if (pipe(ends) != 0)
		return false;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		child(peer, question, work, options, ends[1]);
	}
	close(ends[1]);
	FILE *in = fdopen(ends[0], "r");
	char line[256];
	while (in && fgets(line, sizeof line, in))
		take_line(peer, question, work, round, line);
	if (in)
		fclose(in);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
		fprintf(stderr, "bench: the run of %s failed (status %d)\n", peer->name, status);
		return false;
	}
	return true;
}

static size_t choose_peers(const struct bench_options *options, int shape, const struct peer **ret)
{
	size_t count = 0;
	for (size_t i = 0; i < registered_count; i++)
		if (registered[i]->shape == shape &&
		    (!options->peers || listed(options->peers, registered[i]->name)))
			ret[count++] = registered[i];
	return count;
}

/* All rounds of one workload; the number of failed children. */
static int run_workload(const struct question *question, const struct bench_options *options, int shape,
			size_t n, bool first)
{
	const struct peer *peers[PEERS_MAX];
	size_t count = choose_peers(options, shape, peers);
	struct workload work;
	int failed = 0;
	workload_init(&work, shape, n, options->ops, options->seed);
	for (int round = 0; round < options->rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			const struct peer *peer = peers[(i + (size_t)round) % count];
			if (isatty(STDERR_FILENO))
				fprintf(stderr, "\r\033[K%s, %zu entries, round %d of %d: %s",
					shape_names[shape], n, round + 1, options->rounds, peer->name);
			failed += !run_child(peer, question, &work, options, round);
		}
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	if (question->finish)
		question->finish(&work, options);
	if (options->json)
		board_print_json(question, &work, peers, count, first);
	else
		board_print(question, options, &work, peers, count);
	board_clear();
	workload_deinit(&work);
	return failed;
}

static void print_head(const struct question *question, double first_ns, double again_ns, bool json)
{
	if (json) {
		printf("{\"schema\":1,\"question\":\"%s\",\"unit\":\"%s\",", question->name, question->unit);
		machine_print(stdout, true);
		printf(",\"page_touch_ns\":{\"first\":%.0f,\"again\":%.0f},\"figures\":[", first_ns,
		       again_ns);
		return;
	}
	printf("%s: %s\n", question->name, question->title);
	machine_print(stdout, false);
	printf("memory    touching a page cost %.0f ns the first time and %.0f ns after that\n", first_ns,
	       again_ns);
}

static void print_foot(const struct question *question, const struct machine_noise *noise, bool json)
{
	if (json) {
		printf("\n],\"cpu\":%d,\"load\":%.2f,\"seconds\":%.1f,\"others_seconds\":%.1f,\"steal_"
		       "seconds\":%.1f}"
		       "\n",
		       noise->cpu, noise->load, noise->elapsed_s, noise->others_s, noise->steal_s);
		return;
	}
	if (question->ratios)
		printf("\n!  slower than the best peer      !! by more than a quarter\n");
	printf("\nnoise     on CPU %d, %.0f s; other processes ran on it for %.1f s, the hypervisor took "
	       "%.1f s; "
	       "load was %.2f\n",
	       noise->cpu, noise->elapsed_s, noise->others_s, noise->steal_s, noise->load);
}

int bench_main(int argc, char **argv, const struct question *question, struct bench_options *options)
{
	options->cpu = -1;
	int code = parse(argc, argv, question, options);
	if (code >= 0)
		return code;
	int cpu = machine_pin(options->cpu);
	if (cpu < 0)
		return EXIT_USAGE;
	double first_ns, again_ns;
	struct machine_noise noise;
	machine_noise_begin(&noise, cpu);
	machine_warm(options->warm, &first_ns, &again_ns);
	print_head(question, first_ns, again_ns, options->json);
	int failed = 0;
	bool first = true;
	for (int shape = 0; shape < SHAPES; shape++) {
		for (size_t i = 0; options->shapes[shape] && i < options->size_count; i++) {
			failed += run_workload(question, options, shape, options->sizes[i], first);
			first = false;
		}
	}
	machine_noise_end(&noise);
	print_foot(question, &noise, options->json);
	return failed ? EXIT_PARTIAL : 0;
}
