/* map_worst.c: how long can one operation take?
 *
 * Fills a map that grows from nothing and empties it at random, with a reading of the clock per operation
 * (op_clock.h). A map that rehashes or shrinks all at once shows it here. Three readings of the same thing:
 *
 *     raw    the longest operation by the wall clock, whatever the machine did meanwhile
 *     cpu    the longest in CPU time, as far as the clocks tell (never too low)
 *     rep    the longest that repeats: for operation number i the shortest CPU time of all rounds, then the
 *            longest of those. Peers repeat themselves exactly (same keys, same addresses, a
 *            fixed seed), the machine's interruptions do not. Shown as 10 when nothing above 10 us repeats.
 *
 * `noise` is a peer that does nothing: a loop of as many steps, about as long, that only reads the clock. What
 * it shows in `cpu` is what this machine does to any program and the clocks cannot take out (interrupts, stalls
 * of the virtual machine); no peer can be told apart from it below that.
 */
#include "harness.h"
#include "op_clock.h"
#include "stopwatch.h"

#include <stdlib.h>
#include <sys/resource.h>

/* From here on an operation is looked at closer: above the cost of a page fault, below what anyone feels. */
#define SLOW_NS 10000.0

static const struct cell cells[] = {
	{"ins_raw", "longest insert of all rounds, us of wall time", BENCH_MOST},
	{"ins_cpu", "the same with the time off the CPU taken out", BENCH_MOST},
	{"ins_rep", "longest insert of those that were slow in every round, us", BENCH_MEDIAN},
	{"ins_9999", "99.99 % of the inserts took less, us of wall time", BENCH_MEDIAN},
	{"del_raw", "longest erase of all rounds, us of wall time", BENCH_MOST},
	{"del_cpu", "the same with the time off the CPU taken out", BENCH_MOST},
	{"del_rep", "longest erase of those that were slow in every round, us", BENCH_MEDIAN},
	{"del_9999", "99.99 % of the erases took less, us of wall time", BENCH_MEDIAN},
	{"off_ms", "time off the CPU during one round, ms", BENCH_MOST},
	{"switches", "how often the scheduler took the CPU away in one round", BENCH_MOST},
};

/* The slow operations of one peer and kind that were slow in every round so far, by index. */
struct repeated {
	const struct peer *peer;
	struct slow_op *ops; /* sorted by index; wall_ns holds the shortest CPU time so far */
	size_t count, next;  /* next: where the present round's reader stands */
	size_t kept;
	int round;
};

static struct repeated repeated[2][64]; /* [0] inserts, [1] erases */

static struct repeated *find_repeated(const struct peer *peer, int kind)
{
	for (size_t i = 0; i < 64; i++) {
		if (!repeated[kind][i].peer)
			repeated[kind][i].peer = peer;
		if (repeated[kind][i].peer == peer)
			return &repeated[kind][i];
	}
	abort();
}

/* The operations that the round before kept are now the only candidates. */
static void begin_round(struct repeated *list, int round)
{
	if (list->round == round)
		return;
	list->round = round;
	list->count = list->kept;
	list->next = list->kept = 0;
}

static void take_first(struct repeated *list, uint64_t index, double ns)
{
	if (list->kept % 1024 == 0) {
		list->ops = realloc(list->ops, (list->kept + 1024) * sizeof *list->ops);
		if (!list->ops)
			abort();
	}
	list->ops[list->kept++] = (struct slow_op){index, ns, 0};
}

static void take_again(struct repeated *list, uint64_t index, double ns)
{
	while (list->next < list->count && list->ops[list->next].index < index)
		list->next++;
	if (list->next == list->count || list->ops[list->next].index != index)
		return;
	struct slow_op op = list->ops[list->next++];
	if (ns < op.wall_ns)
		op.wall_ns = ns;
	list->ops[list->kept++] = op;
}

/* A child's "slow-ins INDEX CPU" or "slow-del ...", in the order of the indices. */
static void take_line(const struct peer *peer, const struct workload *work, int round, const char *name,
		      const double *numbers)
{
	(void)work;
	struct repeated *list = find_repeated(peer, strcmp(name, "slow-del") == 0);
	if (round > 0)
		begin_round(list, round);
	(round == 0 ? take_first : take_again)(list, (uint64_t)numbers[0], numbers[1]);
}

static void finish(const struct workload *work, const struct bench_options *options)
{
	static const char *const names[] = {"ins_rep", "del_rep"};
	for (int kind = 0; kind < 2; kind++) {
		for (size_t i = 0; i < 64 && repeated[kind][i].peer; i++) {
			struct repeated *list = &repeated[kind][i];
			double worst = SLOW_NS;
			/* A last round without any slow operation has sent no line. */
			begin_round(list, options->rounds - 1);
			for (size_t k = 0; k < list->kept; k++)
				if (list->ops[k].wall_ns > worst)
					worst = list->ops[k].wall_ns;
			if (!list->peer->program)
				bench_add(list->peer, work, names[kind], worst / 1000);
			free(list->ops);
			*list = (struct repeated){0};
		}
	}
}

static void report(const struct op_clock *clock, const char *kind, FILE *out)
{
	double raw = 0, cpu = 0;
	size_t kept = clock->slow_count < SLOW_OPS_MAX ? clock->slow_count : SLOW_OPS_MAX;
	for (size_t i = 0; i < kept; i++) {
		const struct slow_op *op = &clock->slow_ops[i];
		raw = op->wall_ns > raw ? op->wall_ns : raw;
		cpu = op->cpu_ns > cpu ? op->cpu_ns : cpu;
		fprintf(out, "slow-%s %llu %.0f\n", kind, (unsigned long long)op->index, op->cpu_ns);
	}
	/* The kind is known even when no operation of it was slow. */
	fprintf(out, "slow-%s -1 0\n", kind);
	double p9999 = op_clock_percentile(clock, 0.9999), longest = op_clock_percentile(clock, 1);
	fprintf(out, "%s_raw %.2f\n%s_cpu %.2f\n%s_9999 %.3f\n", kind, (kept ? raw : longest) / 1000, kind,
		(kept ? cpu : longest) / 1000, kind, p9999 / 1000);
}

/* Steps of 50 ns, as long as a map's operation, that do nothing. */
static void do_nothing(struct op_clock *clock, size_t n)
{
	uint64_t step = (uint64_t)(50 / clock->ns_per_tick);
	op_clock_start(clock);
	for (size_t i = 0; i < n; i++) {
		while (op_ticks() - clock->last < step)
			;
		op_clock_lap(clock, i);
	}
}

static double switches(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_nivcsw;
}

static void measure(const struct peer *peer, const struct workload *work, const struct bench_options *options,
		    FILE *out)
{
	(void)options;
	struct op_clock clocks[2];
	op_clock_init(&clocks[0], SLOW_NS);
	op_clock_init(&clocks[1], SLOW_NS);
	double switched = switches();
	if (peer->make) {
		void *map = peer->make(0);
		peer->put_timed(map, work->load, work->n, &clocks[0]);
		peer->erase_timed(map, work->gone, work->n, &clocks[1]);
		peer->destroy(map);
	} else {
		do_nothing(&clocks[0], work->n);
		do_nothing(&clocks[1], work->n);
	}
	switched = switches() - switched;
	report(&clocks[0], "ins", out);
	report(&clocks[1], "del", out);
	fprintf(out, "off_ms %.3f\nswitches %.0f\n", (clocks[0].off_ns + clocks[1].off_ns) / 1e6, switched);
	op_clock_deinit(&clocks[0]);
	op_clock_deinit(&clocks[1]);
}

static const struct peer noise[SHAPES] = {
	{.name = "noise", .about = "a loop that does nothing", .shape = SHAPE_U64, .rank = 101},
	{.name = "noise", .about = "a loop that does nothing", .shape = SHAPE_BIG, .rank = 101},
	{.name = "noise", .about = "a loop that does nothing", .shape = SHAPE_STR, .rank = 101},
};

int main(int argc, char **argv)
{
	static const struct question question = {
		.name = "map_worst",
		.title = "How long can one operation take?",
		.unit = "us",
		.cells = cells,
		.cell_count = sizeof cells / sizeof *cells,
		.measure = measure,
		.line = take_line,
		.finish = finish,
	};
	struct bench_options options = {
		.sizes = {10000000},
		.size_count = 1,
		.shapes = {true},
		.rounds = 3,
		.ops = 1,
		.warm = (size_t)4 << 30,
	};
	for (int shape = 0; shape < SHAPES; shape++)
		bench_register(&noise[shape]);
	return bench_main(argc, argv, &question, &options);
}
