/* op_clock.c: the rare half of op_clock.h. */
#include "op_clock.h"

#include <stdlib.h>
#include <string.h>

static uint64_t clock_ns(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Ticks are counted against the system's clock for 20 ms: exact to one part in 10^5. */
static double measure_ns_per_tick(void)
{
	uint64_t ns = clock_ns(CLOCK_MONOTONIC), ticks = op_ticks();
	while (clock_ns(CLOCK_MONOTONIC) - ns < 20000000u)
		;
	return (double)(clock_ns(CLOCK_MONOTONIC) - ns) / (double)(op_ticks() - ticks);
}

void op_clock_init(struct op_clock *clock, double slow_ns)
{
	memset(clock, 0, sizeof *clock);
	clock->ns_per_tick = measure_ns_per_tick();
	clock->slow = (uint64_t)(slow_ns / clock->ns_per_tick);
	clock->slow_ops = malloc(SLOW_OPS_MAX * sizeof *clock->slow_ops);
	if (!clock->slow_ops)
		abort();
	/* Touched now, so that writing down a slow operation does not make the next one slow. */
	memset(clock->slow_ops, 0, SLOW_OPS_MAX * sizeof *clock->slow_ops);
}

void op_clock_deinit(struct op_clock *clock)
{
	free(clock->slow_ops);
}

void op_clock_start(struct op_clock *clock)
{
	clock->wall_ns = clock_ns(CLOCK_MONOTONIC);
	clock->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	clock->last = op_ticks();
}

/* CPU time since the last check-point; the next interval begins. What the scheduler takes between the two readings
 * falls into the next interval's wall time, so wall and CPU time are compared only over all intervals together.
 */
static double take_cpu_time(struct op_clock *clock)
{
	uint64_t wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	double spent = (double)(cpu - clock->cpu_ns);
	clock->off_ns += (double)(wall - clock->wall_ns) - spent;
	clock->wall_ns = wall;
	clock->cpu_ns = cpu;
	return spent;
}

void op_clock_checkpoint(struct op_clock *clock)
{
	take_cpu_time(clock);
	clock->last = op_ticks();
}

void op_clock_slow(struct op_clock *clock, size_t index, uint64_t ticks)
{
	double wall = (double)ticks * clock->ns_per_tick, cpu = take_cpu_time(clock);
	if (clock->slow_count < SLOW_OPS_MAX)
		clock->slow_ops[clock->slow_count] = (struct slow_op){index, wall, cpu < wall ? cpu : wall};
	clock->slow_count++;
	clock->last = op_ticks();
}

/* The upper end of a bucket, in ticks: the inverse of op_bucket. */
static double bucket_end(unsigned bucket)
{
	if (bucket < 16)
		return bucket + 1;
	unsigned exponent = bucket / 16 + 3;
	return (double)(16 + bucket % 16 + 1) * (double)(1ull << (exponent - 4));
}

double op_clock_percentile(const struct op_clock *clock, double share)
{
	uint64_t total = 0, seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_SIZE; i++)
		total += clock->histogram[i];
	for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
		seen += clock->histogram[i];
		if ((double)seen >= share * (double)total)
			return bucket_end(i) * clock->ns_per_tick;
	}
	return 0;
}
