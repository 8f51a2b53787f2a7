/* tracer.h: what a process asks the kernel for, counted in the kernel by an eBPF program, where that is allowed. */
#ifndef NEAP_TOOL_TRACER_H
#define NEAP_TOOL_TRACER_H

#include <stdint.h>
#include <sys/types.h>

enum { TRACER_REASON = 160 };

/* Since the start; bytes as asked for. */
struct traced {
	uint64_t maps, mapped;	   /* mmap */
	uint64_t unmaps, unmapped; /* munmap */
	uint64_t advices, advised; /* madvise that gives pages back */
};

struct tracer;

/* Counts the calls of process `pid`. NULL, and a line in `reason`, when the build, the kernel or the rights do not
 * allow it.
 */
struct tracer *tracer_start(pid_t pid, char *reason);
void tracer_read(const struct tracer *tracer, struct traced *ret);
void tracer_stop(struct tracer *tracer);

#endif
