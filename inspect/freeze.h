/* freeze.h: all threads of a process stopped for a moment.
 *
 * Nothing in the process is changed, so that whatever happens to the inspector, the kernel lets the threads go on: a
 * tracer that dies is detached. A blocking call that was interrupted by the stop goes on by itself, except those that
 * the kernel never restarts (epoll_wait, for one), which return EINTR, as after any SIGSTOP.
 *
 * One freeze at a time and per thread of the inspector: it is the tracer.
 */
#ifndef NEAP_INSPECT_FREEZE_H
#define NEAP_INSPECT_FREEZE_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#include "problem.h"

struct frozen_thread {
	int id;
	int signal; /* that was about to be delivered; delivered when it goes on */
	struct user_regs_struct registers;
};

struct freeze {
	struct frozen_thread *threads;
	size_t count, capacity;
	double began,
		complete; /* seconds, monotonic: the first thread was asked to stop, the last one had stopped */
};

/* `options` of ptrace that all threads get, 0 for none. -1 and a problem when the process may not be traced, is traced
   already, or has a thread that does not stop within a fifth of a second; then it runs as before. */
int freeze_begin(int pid, long options, struct freeze *ret, struct problem *problem);

/* Lets all threads go on; returns the seconds since freeze_begin. */
double freeze_end(struct freeze *freeze);

/* Waits for a traced thread to stop, so many seconds; false when it did not, or ended. */
bool freeze_wait(int thread, double seconds, int *status);

/* This thread comes before all ordinary ones of the machine, as far as it may: for a stop of a few milliseconds, which on a
   busy machine would last until it is its turn again. */
struct urgency {
	bool raised;
	int policy;
	struct sched_param before;
};
void urgency_raise(struct urgency *urgency);
void urgency_lower(struct urgency *urgency);

double monotonic_seconds(void);

#endif
