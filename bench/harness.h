/* harness.h: options, rounds, one child process per measurement, medians, tables and JSON.
 *
 * Every measurement runs in a child of its own, forked from a parent that holds only the keys, so no peer
 * inherits another's heap. The child writes lines "name number [number number]" to a pipe. Rounds are
 * interleaved: in every round each peer runs once, beginning one peer further than in the round before.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include "peer.h"
#include "workload.h"

#include <stdio.h>

#define SIZES_MAX  16
#define ROUNDS_MAX 32

struct bench_options {
	size_t sizes[SIZES_MAX];
	size_t size_count;
	bool shapes[SHAPES];
	const char *peers; /* comma-separated names, NULL: all */
	const char *cells; /* likewise */
	int rounds, cpu;
	size_t ops;
	uint64_t seed;
	size_t warm; /* bytes of memory to touch and free before the first measurement */
	bool json;
};

/* What is shown of a figure's rounds. */
enum bench_summary { BENCH_MEDIAN, BENCH_MOST };

/* A column. */
struct cell {
	const char *name, *meaning;
	enum bench_summary summary;
};

/* What a tool asks. */
struct question {
	const char *name, *title, *unit, *help;
	const struct cell *cells;
	int cell_count;
	/* Runs in the child. */
	void (*measure)(const struct peer *peer, const struct workload *work,
			const struct bench_options *options, FILE *out);
	/* A line that is no cell, in the parent; may be NULL. */
	void (*line)(const struct peer *peer, const struct workload *work, int round, const char *name,
		     const double *numbers);
	/* All rounds of a workload are done: may add figures; may be NULL. */
	void (*finish)(const struct workload *work, const struct bench_options *options);
	bool ratios; /* print the best peer and ours in proportion to it */
};

/* Runs the program: parses, measures, prints. Returns the exit code: 0, or 2 for a wrong argument, 4 when a
 * peer failed and its figures are missing.
 */
int bench_main(int argc, char **argv, const struct question *question, struct bench_options *options);

/* A figure of the present workload. */
void bench_add(const struct peer *peer, const struct workload *work, const char *cell, double value);
/* Whether the user asked for this cell. */
bool bench_wants(const struct bench_options *options, const char *cell);
/* Ends the child: the peer gave a wrong answer. */
void bench_wrong(const struct peer *peer, const char *what, uint64_t got, uint64_t expected);

#endif
