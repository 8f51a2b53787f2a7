/* op_clock.h: the time of every single operation, and what the machine took from it.
 *
 * op_clock_lap is called after each operation. It reads the processor's time stamp counter (about 10 ns) and
 * adds the difference to a histogram of ticks; sixteen buckets per power of two, so a percentile is exact to
 * 6 %. An operation above `slow` is looked at closer, and two figures are kept with its index: its wall time, and
 *
 *     its CPU time  <=  min(its wall time, CPU time since the last check-point)
 *
 * of which the right side is taken. A check-point is made after each slow operation and after every 64
 * operations, so the figure is never too low, and too high by at most 63 quick operations.
 *
 * What this cannot take out: interrupts that the kernel serves on the thread's account, and stalls of the
 * whole virtual machine that the hypervisor does not report as steal. They hit a random operation, so
 * bench/map_worst runs the same operations several times and also shows the worst that came back every time.
 */
#ifndef BENCH_OP_CLOCK_H
#define BENCH_OP_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#	include <x86intrin.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SLOW_OPS_MAX	 (1u << 16)
#define HISTOGRAM_SIZE	 (64 * 16)
#define CHECKPOINT_EVERY 64

struct slow_op {
	uint64_t index;
	double wall_ns, cpu_ns;
};

struct op_clock {
	uint64_t last, slow; /* ticks */
	double ns_per_tick;
	uint64_t wall_ns, cpu_ns; /* at the last check-point */
	double off_ns;		  /* off the CPU, all operations together */
	size_t slow_count;	  /* may exceed SLOW_OPS_MAX; only so many are kept */
	struct slow_op *slow_ops;
	uint32_t histogram[HISTOGRAM_SIZE];
};

static inline uint64_t op_ticks(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

static inline unsigned op_bucket(uint64_t ticks)
{
	if (ticks < 16)
		return (unsigned)ticks;
	unsigned exponent = 63u - (unsigned)__builtin_clzll(ticks);
	return (exponent - 3) * 16 + (unsigned)((ticks >> (exponent - 4)) & 15);
}

void op_clock_init(struct op_clock *clock, double slow_ns);
void op_clock_deinit(struct op_clock *clock);
void op_clock_start(struct op_clock *clock);
/* The time in ns that `share` of all operations stayed below. */
double op_clock_percentile(const struct op_clock *clock, double share);
/* Behind op_clock_lap: the operation that ended now and took `ticks` was slow; a check-point is due. */
void op_clock_slow(struct op_clock *clock, size_t index, uint64_t ticks);
void op_clock_checkpoint(struct op_clock *clock);

static inline void op_clock_lap(struct op_clock *clock, size_t index)
{
	uint64_t now = op_ticks(), ticks = now - clock->last;
	clock->histogram[op_bucket(ticks)]++;
	clock->last = now;
	if (__builtin_expect(ticks > clock->slow, 0))
		op_clock_slow(clock, index, ticks);
	else if (index % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1)
		op_clock_checkpoint(clock);
}

#ifdef __cplusplus
}
#endif
#endif
