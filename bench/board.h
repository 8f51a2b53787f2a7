/* board.h: the figures of one workload, and how they are shown. */
#ifndef BENCH_BOARD_H
#define BENCH_BOARD_H

#include "harness.h"

void board_add(const struct peer *peer, const char *cell, double value);
/* The median of a figure over the rounds, or the most; below 0 when there is none. */
double board_value(const struct peer *peer, const struct cell *cell);
void board_clear(void);

/* One table: a row per peer, in the order given; with question->ratios also the best peer of each column and
 * ours in proportion to it, with the losses marked.
 */
void board_print(const struct question *question, const struct bench_options *options,
		 const struct workload *work, const struct peer *const *peers, size_t count);
/* The same figures as elements of a JSON array; `first` is false when elements stand before them. */
void board_print_json(const struct question *question, const struct workload *work,
		      const struct peer *const *peers, size_t count, bool first);

extern const char *const shape_names[SHAPES];

#endif
