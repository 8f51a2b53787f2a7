/* gc_trace.h: single stops of the collector, read from its own trace (NEAP_DEBUG=gctrace=2), which takes apart the wait
 * until the last thread had stopped (on a busy machine: until the kernel let it run) and the work.
 */
#ifndef BENCH_GC_TRACE_H
#define BENCH_GC_TRACE_H

#include <stdbool.h>
#include <stddef.h>

/* Before the collector starts. From here on what it and the program write to stderr goes into a file. */
bool gc_trace_open(void);
bool gc_trace_forget(void); /* what was written until now */
/* Prints the middle, the 99th of a hundred and the longest of all stops, ms, of three kinds; false: there were none.
 * Last.
 */
bool gc_trace_print(void);
size_t gc_trace_stops(void); /* reads the trace, once */

#endif
