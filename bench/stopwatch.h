/* stopwatch.h: the time of a stretch of work, less the time that the machine took from it.
 *
 *     elapsed  ==  wall time inside  -  (wall time outside - CPU time outside)
 *
 * The CPU clock is read outside the stretch, so its cost is not in the figure; what it shows as not spent on
 * the CPU was taken by another process or, where the hypervisor reports steal, by another machine.
 */
#ifndef BENCH_STOPWATCH_H
#define BENCH_STOPWATCH_H

#include <stdint.h>
#include <time.h>

struct stopwatch {
	uint64_t outer_wall, outer_cpu, inner;
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
	watch.outer_wall = clock_now(CLOCK_MONOTONIC);
	watch.outer_cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	watch.inner = clock_now(CLOCK_MONOTONIC);
	return watch;
}

/* Nanoseconds on the CPU since stopwatch_start. */
static inline double stopwatch_stop(struct stopwatch watch)
{
	double inside = (double)(clock_now(CLOCK_MONOTONIC) - watch.inner);
	double cpu = (double)(clock_now(CLOCK_PROCESS_CPUTIME_ID) - watch.outer_cpu);
	double off = (double)(clock_now(CLOCK_MONOTONIC) - watch.outer_wall) - cpu;
	/* Reading the CPU clock itself takes up to 2 us here, which looks like time off the CPU. */
	return off > 2000 ? inside - off : inside;
}

#endif
