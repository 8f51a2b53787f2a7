/* any_cost.h: the questions that every peer of any_cost answers, and how: ns for one, best of ANY_ROUNDS. */
#ifndef BENCH_ANY_COST_H
#define BENCH_ANY_COST_H

#include <stdint.h>

#include "stopwatch.h"

enum any_row { ANY_SCALAR, ANY_BOX, ANY_SHARE, ANY_ASSERT, ANY_CALL, ANY_MAP, ANY_ROWS };
enum { ANY_VALUES = 1024, ANY_TURNS = 2000, ANY_ROUNDS = 5, ANY_KEYS = 10000 };

/* Does the work of one round and returns how many operations it was; adds to the sink what must not be optimised
 * away. NULL: the peer has no such thing.
 */
typedef uint64_t any_work(uint64_t *sink);

static inline double any_measure(any_work *work, uint64_t *sink)
{
	double best = -1;
	for (int round = 0; work != 0 && round < ANY_ROUNDS; round++) {
		struct stopwatch watch = stopwatch_start();
		uint64_t operations = work(sink);
		double took = stopwatch_stop(watch) / (double)operations;
		best = best < 0 || took < best ? took : best;
	}
	return best;
}

#ifdef __cplusplus
extern "C" {
#endif
/* C++'s std::any, virtual functions, dynamic_cast, for each row. */
extern any_work *const any_std_rows[ANY_ROWS];
#ifdef __cplusplus
}
#endif

#endif
