/* twin.c: see twin.h.
 *
 * A borrowed thread executes one system call at a time: its registers are set to the call, its program counter to a
 * `syscall` instruction that the program itself has, and it is run from stop to stop until the call returns. Before it
 * goes on, its own registers are put back; when it was inside an interrupted call, so that it makes that call again.
 */
#include "twin.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	END_TRIES = 10,
	STOPS_LIMIT = 16, /* of one call; it takes two or three */
	CALL_STOP = SIGTRAP | 0x80,
	INSTRUCTION = 2,     /* bytes of `syscall` */
	RESTART_FIRST = 512, /* the kernel's -ERESTARTSYS to -ERESTART_RESTARTBLOCK in rax: */
	RESTART_BLOCK = 516, /* the call was interrupted and is to be made again */
};

/* A thread that is borrowed is waited for much longer than one that is to stop: it can't be given back while it runs. On a
   busy machine it has to wait for a processor, and to copy the page tables of a large process takes a while. */
#define BORROWED_SECONDS 5.0

#define GUARD_OPTIONS ((long)(PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD))

/* What the guard tells, followed by the threads. */
struct answer {
	int pid;
	double stopped_seconds;
	size_t thread_count;
	struct problem problem;
};

static bool is_call(int pid, uint64_t address)
{
	uint8_t bytes[INSTRUCTION];
	struct iovec local = {bytes, sizeof bytes}, remote = {(void *)(uintptr_t)address, sizeof bytes};
	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == INSTRUCTION && bytes[0] == 0x0f &&
	       bytes[1] == 0x05;
}

/* A thread that waits in a system call, and the address of the instruction that made it. */
static struct frozen_thread *find_caller(int pid, const struct freeze *freeze, uint64_t *instruction)
{
	for (size_t i = 0; i < freeze->count; i++) {
		struct frozen_thread *thread = &freeze->threads[i];
		*instruction = thread->registers.rip - INSTRUCTION;
		if (thread->signal == 0 && (int64_t)thread->registers.orig_rax >= 0 &&
		    is_call(pid, *instruction))
			return thread;
	}
	return NULL;
}

/* One system call of a stopped thread; returns the process that it made, 0 when it made none. A signal that arrives
   meanwhile is kept for later: its handler must not see borrowed registers. */
static int call(struct frozen_thread *thread, uint64_t instruction, long number, const uint64_t arguments[4])
{
	struct user_regs_struct registers;
	unsigned long child = 0;
	if (ptrace(PTRACE_GETREGS, thread->id, NULL, &registers) != 0)
		return 0;
	registers.rip = instruction;
	registers.rax = (uint64_t)number;
	registers.orig_rax = UINT64_MAX; /* in no call: the kernel restarts nothing */
	registers.rdi = arguments[0];
	registers.rsi = arguments[1];
	registers.rdx = arguments[2];
	registers.r10 = arguments[3];
	registers.r8 = registers.r9 = 0;
	if (ptrace(PTRACE_SETREGS, thread->id, NULL, &registers) != 0)
		return 0;
	unsigned calls = 0; /* stops at its beginning and end */
	for (int stops = 0; stops < STOPS_LIMIT && calls < 2; stops++) {
		int status;
		if (ptrace(PTRACE_SYSCALL, thread->id, NULL, NULL) != 0 ||
		    !freeze_wait(thread->id, BORROWED_SECONDS, &status))
			break;
		if (WSTOPSIG(status) == CALL_STOP)
			calls++;
		else if (status >> 16 == PTRACE_EVENT_CLONE)
			ptrace(PTRACE_GETEVENTMSG, thread->id, NULL, &child);
		else if (status >> 16 == 0)
			thread->signal = WSTOPSIG(status);
	}
	return (int)child;
}

/* The thread's own registers again; an interrupted call is made again. */
static void restore(const struct frozen_thread *thread)
{
	struct user_regs_struct registers = thread->registers;
	int64_t result = (int64_t)registers.rax;
	if ((int64_t)registers.orig_rax >= 0 && result <= -RESTART_FIRST && result >= -RESTART_BLOCK) {
		registers.rip -= INSTRUCTION;
		registers.rax = result == -RESTART_BLOCK ? SYS_restart_syscall : registers.orig_rax;
		registers.orig_rax = UINT64_MAX;
	}
	ptrace(PTRACE_SETREGS, thread->id, NULL, &registers);
}

/* Has the thread make the twin, which is stopped before its first instruction. 0 when that failed. */
static int make_twin(struct frozen_thread *thread, uint64_t instruction)
{
	static const uint64_t nothing[4] = {0};
	int status, twin = call(thread, instruction, SYS_clone, nothing);
	restore(thread);
	if (twin != 0 && (!freeze_wait(twin, BORROWED_SECONDS, &status) ||
			  ptrace(PTRACE_SETOPTIONS, twin, NULL, (long)PTRACE_O_EXITKILL) != 0)) {
		kill(twin, SIGKILL);
		return 0;
	}
	return twin;
}

/* Ends the twin and has the original wait for it. When the original is gone, init does. */
static void end_twin(int pid, int twin)
{
	const uint64_t wait_for[4] = {(uint64_t)twin, 0, __WALL, 0};
	struct problem ignored = {0};
	struct freeze freeze;
	uint64_t instruction;
	kill(twin, SIGKILL);
	waitpid(twin, NULL, __WALL);
	/* the process keeps a zombie otherwise: on a busy machine a thread may be slow to stop */
	for (int tries = 0; freeze_begin(pid, GUARD_OPTIONS, &freeze, &ignored) != 0; tries++) {
		if (tries == END_TRIES)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	struct frozen_thread *caller = find_caller(pid, &freeze, &instruction);
	if (caller != NULL) {
		call(caller, instruction, SYS_wait4, wait_for);
		restore(caller);
	}
	freeze_end(&freeze);
}

static bool write_all(int file, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t wrote = write(file, (const char *)bytes + done, size - done);
		if (wrote <= 0)
			return false;
		done += (size_t)wrote;
	}
	return true;
}

/* The guard's whole life. */
static _Noreturn void guard(int pid, int pipe)
{
	struct answer answer = {0};
	struct freeze freeze;
	struct frozen_thread *threads = NULL;
	if (freeze_begin(pid, GUARD_OPTIONS, &freeze, &answer.problem) == 0) {
		uint64_t instruction;
		struct frozen_thread *caller = find_caller(pid, &freeze, &instruction);
		if (caller != NULL)
			answer.pid = make_twin(caller, instruction);
		threads = take(freeze.count, sizeof *threads);
		memcpy(threads, freeze.threads, freeze.count * sizeof *threads);
		answer.thread_count = freeze.count;
		answer.stopped_seconds = freeze_end(&freeze);
		if (answer.pid == 0)
			problem_set(&answer.problem, PROBLEM_FEATURE,
				    caller == NULL
					    ? "process %d has no thread that waits in a system call, so "
					      "none can be borrowed to copy it"
					    : "process %d could not be made to copy itself",
				    pid);
	}
	bool told = write_all(pipe, &answer, sizeof answer) &&
		    write_all(pipe, threads, answer.thread_count * sizeof *threads);
	char end;
	while (told && answer.pid != 0 && read(pipe, &end, 1) < 0 && errno == EINTR)
		;
	if (answer.pid != 0)
		end_twin(pid, answer.pid);
	_exit(0);
}

static bool read_all(int file, void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = read(file, (char *)bytes + done, size - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

/* True when the process has a filter of system calls, which may end it for one that it does not expect. */
static bool is_filtered(int pid)
{
	char path[64], line[256];
	bool filtered = false;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "Seccomp:", 8) == 0)
			filtered = atoi(line + 8) != 0;
	if (file != NULL)
		fclose(file);
	return filtered;
}

int twin_make(int pid, struct twin *ret, struct problem *problem)
{
	int ends[2];
	struct answer answer;
	*ret = (struct twin){.pipe = -1};
	if (is_filtered(pid))
		return problem_set(problem, PROBLEM_FEATURE,
				   "process %d is not copied: its seccomp filter might end it for the call",
				   pid);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return problem_set(problem, PROBLEM_PARTIAL, "no socket: %s", strerror(errno));
	ret->guard = fork();
	if (ret->guard == 0) {
		/* Nothing else stays open: the guard of another twin waits for the end of its own pipe. */
		close_range(STDERR_FILENO + 1, (unsigned)ends[1] - 1, 0);
		close_range((unsigned)ends[1] + 1, UINT_MAX, 0);
		setsid();
		sigset_t all;
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		guard(pid, ends[1]);
	}
	close(ends[1]);
	ret->pipe = ends[0];
	if (ret->guard < 0 || !read_all(ends[0], &answer, sizeof answer))
		answer = (struct answer){.problem = {.kind = PROBLEM_PARTIAL, .text = "the guard ended"}};
	ret->pid = answer.pid;
	ret->stopped_seconds = answer.stopped_seconds;
	if (answer.pid != 0) {
		ret->threads = take(answer.thread_count, sizeof *ret->threads);
		ret->thread_count = answer.thread_count;
		if (read_all(ends[0], ret->threads, answer.thread_count * sizeof *ret->threads))
			return 0;
	}
	twin_release(ret);
	return problem_set(problem, answer.problem.kind, "%s", answer.problem.text);
}

void twin_release(struct twin *twin)
{
	if (twin->pipe >= 0)
		close(twin->pipe); /* the guard sees the end of it */
	if (twin->guard > 0)
		waitpid(twin->guard, NULL, 0);
	free(twin->threads);
	*twin = (struct twin){.pipe = -1};
}
