/* memstats.c: what the collector tells: a line for each cycle. */
#include <stdio.h>
#include <unistd.h>

#include "gc/internal.h"

static _Atomic uint32_t cycles;
static uint64_t started_at;

/* In the format of Go's GODEBUG=gctrace=1, which tools read. */
static void trace_cycle(uint32_t number, uint64_t now)
{
	const struct neap__gc_cycle_record *last = &neap__gc_last;
	char line[512];
	double cpu_total = (double)neap__os_process_time(),
	       cpu = (double)(neap__os_thread_time() - last->cpu_begin);
	double beside = (double)(last->marked_by - last->begin) - (double)last->stop1 - (double)last->stop2;
	int used = snprintf(line, sizeof line,
			    "gc %u @%.3fs %.0f%%: %.3f+%.1f+%.3f ms clock, %.3f+%.1f+%.3f ms cpu, "
			    "%.0f->%.0f->%.0f MB, %.0f MB goal%s%s\n",
			    number, (double)(now - started_at) / 1e9,
			    cpu_total > 0 ? 100 * cpu / cpu_total : 0, (double)last->stop1 / 1e6,
			    beside / 1e6, (double)last->stop2 / 1e6, (double)last->stop1 / 1e6, beside / 1e6,
			    (double)last->stop2 / 1e6, (double)last->heap_before / 1048576,
			    (double)last->heap_after / 1048576, (double)last->marked / 1048576,
			    last->goal == UINT64_MAX ? 0 : (double)last->goal / 1048576,
			    last->concurrent ? "" : " (stopped)", last->refused ? " (tracking refused)" : "");
	if (used > 0 && write(STDERR_FILENO, line, (size_t)used) < 0)
		neap__gc.trace = false;
}

void neap__gc_record_cycle(void)
{
	uint64_t now = neap__os_now();
	uint32_t number = atomic_fetch_add(&cycles, 1) + 1;
	if (neap__gc.trace)
		trace_cycle(number, now);
}
