/* test_clocks.c: the benchmarks' clocks are never too low while another process fights for the same core.
 *
 * The work is a loop that cannot take less than a known CPU time. A stopwatch that subtracts time that did not pass
 * during the work shows less, even a negative time, in about half of the laps.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "op_clock.h"
#include "stopwatch.h"

enum { LAPS = 150, LAP_US = 1500 };

static pid_t rival;

/* Works until the thread has used LAP_US of CPU time, so no lap can honestly take less. */
static void work(void)
{
	uint64_t end = clock_now(CLOCK_THREAD_CPUTIME_ID) + LAP_US * 1000u;
	while (clock_now(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static int start_rival(void **state)
{
	(void)state;
	cpu_set_t all, one;
	sched_getaffinity(0, sizeof all, &all);
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof one, &one) != 0)
		return -1;
	rival = fork();
	if (rival == 0)
		for (volatile unsigned long spin = 0;; spin++)
			;
	return rival > 0 ? 0 : -1;
}

static int stop_rival(void **state)
{
	(void)state;
	kill(rival, SIGKILL);
	waitpid(rival, NULL, 0);
	return 0;
}

static void stopwatch_is_never_too_low(void **state)
{
	(void)state;
	double total = 0;
	uint64_t wall = clock_now(CLOCK_MONOTONIC);
	for (int lap = 0; lap < LAPS; lap++) {
		struct stopwatch watch = stopwatch_start();
		work();
		double ns = stopwatch_stop(watch);
		assert_true(ns >= LAP_US * 1000.0);
		total += ns;
	}
	/* And it does take out what the rival had: half of the wall time, of which a fifth would be missed here. */
	assert_true(total < 0.8 * (double)(clock_now(CLOCK_MONOTONIC) - wall));
}

static void slow_operations_are_never_too_low(void **state)
{
	(void)state;
	struct op_clock clock;
	op_clock_init(&clock, 10000);
	op_clock_start(&clock);
	for (size_t lap = 0; lap < LAPS; lap++) {
		work();
		op_clock_lap(&clock, lap);
	}
	assert_int_equal(clock.slow_count, LAPS);
	for (size_t lap = 0; lap < LAPS; lap++)
		assert_true(clock.slow_ops[lap].cpu_ns >=
			    0.99 * LAP_US * 1000.0); /* ticks are exact to 1e-5 */
	op_clock_deinit(&clock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stopwatch_is_never_too_low),
		cmocka_unit_test(slow_operations_are_never_too_low),
	};
	return cmocka_run_group_tests(tests, start_rival, stop_rival);
}
