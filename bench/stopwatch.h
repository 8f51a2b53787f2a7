/* stopwatch.h: the time of a stretch of work, less the time that the machine took from it.
 *
 *     | CPU clock | wall clock |  ... the work ...  | wall clock | CPU clock |
 *         outer       inner                             inner       outer
 *
 *     elapsed  ==  min(wall time inside, CPU time outside)
 *
 * Both are at least the CPU time of the work, so elapsed is never too low. Undisturbed, the wall time is the smaller
 * and is exact: reading the CPU clock is outside of it. When the thread was off the CPU during the work, the CPU
 * time is the smaller, and too high by at most the cost of reading that clock, about 2 us.
 *
 * Subtracting "wall time outside less CPU time outside" instead would be wrong: a scheduler acts at the end of a
 * system call, so the thread is often taken off the CPU between the two readings at one end, and that time would
 * be taken from work during which it did not pass. tests/bench/test_clocks.c shows it.
 */
#ifndef BENCH_STOPWATCH_H
#define BENCH_STOPWATCH_H

#include <stdint.h>
#include <time.h>

struct stopwatch {
	uint64_t outer_cpu, inner_wall;
};

static inline uint64_t clock_now(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline struct stopwatch stopwatch_start(void)
{
	struct stopwatch watch;
	watch.outer_cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	watch.inner_wall = clock_now(CLOCK_MONOTONIC);
	return watch;
}

/* Nanoseconds on the CPU since stopwatch_start. */
static inline double stopwatch_stop(struct stopwatch watch)
{
	uint64_t wall = clock_now(CLOCK_MONOTONIC) - watch.inner_wall;
	uint64_t cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID) - watch.outer_cpu;
	return (double)(wall < cpu ? wall : cpu);
}

#endif
