/* map_speed.c: what does one operation cost?
 *
 * Every cell is a loop over an array of keys, repeated over different keys until about 2 million operations
 * are timed (a growing or an emptying map of more entries: once), and shown as the median of its repetitions,
 * then of the rounds. Times are CPU times. Every answer of every peer is checked.
 */
#include "harness.h"
#include "stopwatch.h"

#include <stdlib.h>

static const struct cell cells[] = {
	{"ins", "insert into a map that grows from nothing", BENCH_MEDIAN},
	{"res", "insert into a map with room reserved, the reserve included", BENCH_MEDIAN},
	{"hit", "look up keys that are there, independent of each other", BENCH_MEDIAN},
	{"miss", "look up keys that are not there", BENCH_MEDIAN},
	{"chain", "look up keys that are there, each known only when the value before has arrived",
	 BENCH_MEDIAN},
	{"batch", "look up keys that are there, 64 per call where the peer offers it", BENCH_MEDIAN},
	{"churn", "erase one key and insert another, at constant size", BENCH_MEDIAN},
	{"erase", "erase every key, in another order than they came", BENCH_MEDIAN},
	{"iter", "visit every entry of a map that does not change meanwhile", BENCH_MEDIAN},
	{"range", "visit every entry in a loop that may insert and delete; only Neap and Go have one",
	 BENCH_MEDIAN},
};

/* Repetitions of one cell; their median is the child's figure. */
struct laps {
	double *ns;
	size_t count, room;
};

static void laps_add(struct laps *laps, double ns)
{
	if (laps->count == laps->room) {
		laps->room = laps->room ? 2 * laps->room : 1024;
		laps->ns = realloc(laps->ns, laps->room * sizeof *laps->ns);
		if (!laps->ns)
			abort();
	}
	laps->ns[laps->count++] = ns;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void laps_report(struct laps *laps, const char *cell, FILE *out)
{
	if (laps->count == 0)
		return;
	qsort(laps->ns, laps->count, sizeof *laps->ns, compare_doubles);
	fprintf(out, "%s %.4f\n", cell, laps->ns[laps->count / 2]);
	free(laps->ns);
	*laps = (struct laps){0};
}

static void check(const struct peer *peer, const char *what, uint64_t got, uint64_t expected)
{
	if (peer->rank < 100 && got != expected)
		bench_wrong(peer, what, got, expected);
}

/* Fills maps with different keys, each from nothing or with room reserved. */
static void measure_insert(const struct peer *peer, const struct workload *work, bool reserve, FILE *out)
{
	struct laps laps = {0};
	for (size_t at = 0; at + work->n <= work->total && at < work->ops; at += work->n) {
		struct stopwatch watch = stopwatch_start();
		void *map = peer->make(reserve ? work->n : 0);
		peer->put(map, key_at(work, work->load, at), work->n);
		laps_add(&laps, stopwatch_stop(watch) / (double)work->n);
		if (at == 0)
			check(peer, "entries", peer->iterate(map), work->all_sum);
		peer->destroy(map);
	}
	laps_report(&laps, reserve ? "res" : "ins", out);
}

typedef uint64_t look_up(void *map, const void *keys, size_t n);

/* One repetition is at most this many look-ups: short enough that most repetitions are not interrupted. */
#define LOOKUPS ((size_t)1 << 16)

static uint64_t measure_look_up(look_up *get, void *map, const struct workload *work, const void *keys,
				const char *cell, FILE *out)
{
	struct laps laps = {0};
	uint64_t sum = 0;
	for (size_t at = 0; at < work->ops; at += LOOKUPS) {
		size_t n = work->ops - at < LOOKUPS ? work->ops - at : LOOKUPS;
		struct stopwatch watch = stopwatch_start();
		sum += get(map, key_at(work, keys, at), n);
		laps_add(&laps, stopwatch_stop(watch) / (double)n);
	}
	laps_report(&laps, cell, out);
	return sum;
}

static uint64_t (*chain_of_peer)(void *, const void *, size_t, uint64_t);

static uint64_t chained(void *map, const void *keys, size_t n)
{
	static volatile uint64_t zero = 0; /* volatile: the compiler must believe that it may change */
	return chain_of_peer(map, keys, n, zero);
}

static void measure_look_ups(const struct peer *peer, void *map, const struct workload *work, FILE *out)
{
	uint64_t sum = measure_look_up(peer->get, map, work, work->hit, "hit", out);
	check(peer, "hit", sum, work->hit_sum);
	sum = measure_look_up(peer->get_miss, map, work, work->miss, "miss", out);
	check(peer, "miss", sum, 0);
	chain_of_peer = peer->get_chain;
	sum = measure_look_up(chained, map, work, work->hit, "chain", out);
	check(peer, "chain", sum, work->hit_sum);
	sum = measure_look_up(peer->get_batch, map, work, work->hit, "batch", out);
	check(peer, "batch", sum, work->hit_sum);
}

static void measure_iterate(const struct peer *peer, void *map, const struct workload *work, const char *cell,
			    uint64_t (*iterate)(void *map), FILE *out)
{
	struct laps laps = {0};
	for (size_t done = 0; done < work->ops; done += work->n) {
		struct stopwatch watch = stopwatch_start();
		uint64_t sum = iterate(map);
		laps_add(&laps, stopwatch_stop(watch) / (double)work->n);
		check(peer, cell, sum, work->all_sum);
	}
	laps_report(&laps, cell, out);
}

/* Returns how far the window of live keys has moved. */
static size_t measure_churn(const struct peer *peer, void *map, const struct workload *work, FILE *out)
{
	struct laps laps = {0};
	size_t steps = work->total - work->n;
	for (size_t at = 0; at < steps; at += LOOKUPS) {
		size_t n = steps - at < LOOKUPS ? steps - at : LOOKUPS;
		struct stopwatch watch = stopwatch_start();
		peer->churn(map, key_at(work, work->gone, at), key_at(work, work->gone, at + work->n), n);
		laps_add(&laps, stopwatch_stop(watch) / (double)n);
	}
	laps_report(&laps, "churn", out);
	return steps;
}

/* Empties the map, whose live keys begin at `window`; small maps are filled and emptied again. */
static void measure_erase(const struct peer *peer, void *map, const struct workload *work, size_t window,
			  FILE *out)
{
	struct laps laps = {0};
	for (size_t at = 0; at == 0 || (at + work->n <= work->total && at < work->ops); at += work->n) {
		const void *keys = key_at(work, work->gone, at ? at : window);
		if (at)
			peer->put(map, key_at(work, work->load, at), work->n);
		struct stopwatch watch = stopwatch_start();
		size_t erased = peer->erase(map, keys, work->n);
		laps_add(&laps, stopwatch_stop(watch) / (double)work->n);
		check(peer, "erase", erased, work->n);
	}
	laps_report(&laps, "erase", out);
}

static void measure(const struct peer *peer, const struct workload *work, const struct bench_options *options,
		    FILE *out)
{
	if (bench_wants(options, "ins"))
		measure_insert(peer, work, false, out);
	if (bench_wants(options, "res"))
		measure_insert(peer, work, true, out);
	void *map = peer->make(0);
	peer->put(map, work->load, work->n);
	if (bench_wants(options, "hit") || bench_wants(options, "miss") || bench_wants(options, "chain") ||
	    bench_wants(options, "batch"))
		measure_look_ups(peer, map, work, out);
	if (bench_wants(options, "iter"))
		measure_iterate(peer, map, work, "iter", peer->iterate, out);
	if (bench_wants(options, "range") && peer->range)
		measure_iterate(peer, map, work, "range", peer->range, out);
	size_t window = bench_wants(options, "churn") ? measure_churn(peer, map, work, out) : 0;
	if (bench_wants(options, "erase"))
		measure_erase(peer, map, work, window, out);
	peer->destroy(map);
}

int main(int argc, char **argv)
{
	static const struct question question = {
		.name = "map_speed",
		.title = "What does one operation cost?",
		.unit = "ns of CPU time per operation",
		.cells = cells,
		.cell_count = sizeof cells / sizeof *cells,
		.measure = measure,
		.ratios = true,
	};
	struct bench_options options = {
		.sizes = {1000, 100000, 1000000, 10000000},
		.size_count = 4,
		.shapes = {true, true, true},
		.rounds = 3,
		.ops = (size_t)1 << 21,
		.warm = (size_t)2 << 30,
	};
	return bench_main(argc, argv, &question, &options);
}
