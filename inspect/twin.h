/* twin.h: a copy-on-write copy of a process, made in one short stop, to be read at leisure.
 *
 * The process is made to call clone(): its twin has the same memory and never runs. What the original writes from then
 * on is copied page by page, which counts against a memory limit: so this is done on request only.
 *
 * The work is done by a guard, a process of its own session that no signal to the inspector reaches: it restores the
 * registers that it borrowed, lets the original go on, keeps the twin, and ends it when the inspector ends in any way.
 * Then it borrows a thread once more, for a wait4(), so that the original has no zombie. The twin sends its parent no
 * signal, and wait() without __WALL does not see it.
 *
 *   inspector --- socket --- guard, traces:  original --clone()--> twin
 *                                            (goes on)
 *
 * Refused where a call may be forbidden (seccomp).
 */
#ifndef NEAP_INSPECT_TWIN_H
#define NEAP_INSPECT_TWIN_H

#include "freeze.h"

struct twin {
	int pid;		       /* of the copy */
	double stopped_seconds;	       /* the original was */
	struct frozen_thread *threads; /* of the original, with the registers of that moment */
	size_t thread_count;
	int guard, pipe; /* the guard's process, and what it waits on */
};

/* -1 and a problem when there can be none. */
int twin_make(int pid, struct twin *ret, struct problem *problem);
void twin_release(struct twin *twin);

#endif
