/* freeze.c: see freeze.h. PTRACE_SEIZE and PTRACE_INTERRUPT, thread by thread until no new one appears. */
#include "freeze.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

enum { PASSES = 64, WAIT_STEP_NS = 20000 };

#define WAIT_SECONDS 0.2

double monotonic_seconds(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void urgency_raise(struct urgency *urgency)
{
	const struct sched_param least = {.sched_priority = sched_get_priority_min(SCHED_RR)};
	urgency->policy = sched_getscheduler(0);
	urgency->raised = urgency->policy >= 0 && sched_getparam(0, &urgency->before) == 0 &&
			  sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &least) == 0;
}

void urgency_lower(struct urgency *urgency)
{
	if (urgency->raised)
		(void)sched_setscheduler(0, urgency->policy, &urgency->before);
	urgency->raised = false;
}

bool freeze_wait(int thread, double seconds, int *status)
{
	double limit = monotonic_seconds() + seconds;
	for (;;) {
		int got = waitpid(thread, status, __WALL | WNOHANG);
		if (got == thread)
			return WIFSTOPPED(*status);
		if (got < 0 && errno != EINTR)
			return false;
		if (monotonic_seconds() > limit)
			return false;
		nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
	}
}

static bool is_held(const struct freeze *freeze, int thread)
{
	for (size_t i = 0; i < freeze->count; i++)
		if (freeze->threads[i].id == thread)
			return true;
	return false;
}

/* Seizes what is new; returns how many, -1 when it may not. */
static int seize_new(int pid, long options, struct freeze *freeze)
{
	char path[64];
	int added = 0;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *folder = opendir(path);
	if (folder == NULL)
		return -1;
	for (struct dirent *entry = readdir(folder); entry != NULL && added >= 0; entry = readdir(folder)) {
		int id = atoi(entry->d_name);
		if (id <= 0 || is_held(freeze, id))
			continue;
		if (ptrace(PTRACE_SEIZE, id, NULL, options) != 0) {
			if (errno != ESRCH) /* a thread that has ended is none to stop */
				added = -1;
			continue;
		}
		freeze->threads =
			make_room(freeze->threads, freeze->count, &freeze->capacity, sizeof *freeze->threads);
		freeze->threads[freeze->count++] = (struct frozen_thread){.id = id};
		ptrace(PTRACE_INTERRUPT, id, NULL, NULL);
		added++;
	}
	closedir(folder);
	return added;
}

/* Waits for the threads from `from` on. A stop for a signal is as good as the one asked for. */
static bool await(struct freeze *freeze, size_t from)
{
	for (size_t i = from; i < freeze->count; i++) {
		struct frozen_thread *thread = &freeze->threads[i];
		int status;
		if (!freeze_wait(thread->id, WAIT_SECONDS, &status)) {
			if (ptrace(PTRACE_INTERRUPT, thread->id, NULL, NULL) == 0)
				return false; /* still there, and running */
			thread->id = 0;
			continue;
		}
		if (status >> 16 == 0)
			thread->signal = WSTOPSIG(status);
		ptrace(PTRACE_GETREGS, thread->id, NULL, &thread->registers);
	}
	size_t kept = 0;
	for (size_t i = 0; i < freeze->count; i++)
		if (freeze->threads[i].id != 0)
			freeze->threads[kept++] = freeze->threads[i];
	freeze->count = kept;
	return true;
}

int freeze_begin(int pid, long options, struct freeze *ret, struct problem *problem)
{
	*ret = (struct freeze){.began = monotonic_seconds()};
	for (int pass = 0; pass < PASSES; pass++) {
		size_t from = ret->count;
		int added = seize_new(pid, options, ret);
		if (added == 0 && ret->count > 0) {
			ret->complete = monotonic_seconds();
			return 0;
		}
		if (added <= 0) {
			freeze_end(ret);
			return problem_set(problem, PROBLEM_NO_TARGET,
					   "process %d can't be stopped: it is traced by another program, or "
					   "belongs to another user",
					   pid);
		}
		if (!await(ret, from))
			break;
	}
	freeze_end(ret);
	return problem_set(problem, PROBLEM_PARTIAL, "process %d has a thread that does not stop", pid);
}

/* A thread that was asked to stop and has not yet can't be let go, and would stop later, for as long as the inspector lives.
   So its stop is waited for. */
static void let_go(const struct frozen_thread *thread)
{
	double limit = monotonic_seconds() + WAIT_SECONDS;
	int status;
	while (ptrace(PTRACE_DETACH, thread->id, NULL, (long)thread->signal) != 0 && errno == ESRCH &&
	       monotonic_seconds() < limit) {
		int got = waitpid(thread->id, &status, __WALL | WNOHANG);
		if ((got == thread->id && !WIFSTOPPED(status)) || (got < 0 && errno == ECHILD))
			return; /* it has ended */
		nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
	}
}

double freeze_end(struct freeze *freeze)
{
	for (size_t i = 0; i < freeze->count; i++)
		let_go(&freeze->threads[i]);
	free(freeze->threads);
	freeze->threads = NULL;
	freeze->count = 0;
	return monotonic_seconds() - freeze->began;
}
