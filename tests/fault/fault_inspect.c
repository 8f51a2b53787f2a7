/* fault_inspect.c: stopping and copying a process when the system refuses call 1, 2, 3 ... of each kind, once and from then
 * on. Whatever happened: the process runs, is nobody's tracee, has no child, and answers; the inspector has no file more
 * open than before. Then processes that die at any moment of it.
 *
 * The linker leads the calls of the inspector's files here (--wrap). What only fails for a thread that is gone (setting
 * registers of a stopped one) is not refused.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "freeze.h"
#include "image.h"
#include "residence.h"
#include "target.h"

enum { THREADS = 3, CALLS_MOST = 400, DEATHS = 60 };

/* Under AddressSanitizer the process has terabytes of shadow, and copying it takes a second each time. */
#ifdef __SANITIZE_ADDRESS__
enum { COPIES = 0 };
#else
enum { COPIES = 1 };
#endif

/* ---- Refusing ---- */

enum kind { SEIZE, INTERRUPT, REGISTERS, WAIT, READ, SCHEDULE, FOLDER, FORK, SOCKETS, KINDS };
static const char *const names[KINDS] = {"seize",    "interrupt", "registers", "wait",	 "read",
					 "schedule", "folder",	  "fork",      "sockets"};
static enum kind kind;
static long at; /* the number of the call that is refused; 0: none */
static bool and_all_later;
static long counts[KINDS];

/* A busy machine: what a borrowed thread does takes longer than other threads take to stop. */
#define LATE_SECONDS 0.3
static bool busy;
static double late_until; /* no thread has stopped before that */

static bool refuse(enum kind of)
{
	long number = ++counts[of];
	return of == kind && at != 0 && (number == at || (and_all_later && number > at));
}

long __real_ptrace(enum __ptrace_request request, ...);
int __real_waitpid(int pid, int *status, int options);
ssize_t __real_process_vm_readv(pid_t pid, const struct iovec *local, unsigned long locals,
				const struct iovec *remote, unsigned long remotes, unsigned long flags);
int __real_sched_setscheduler(pid_t pid, int policy, const struct sched_param *param);
DIR *__real_opendir(const char *path);
pid_t __real_fork(void);
int __real_socketpair(int domain, int type, int protocol, int ends[2]);

long __wrap_ptrace(enum __ptrace_request request, ...)
{
	va_list list;
	va_start(list, request);
	int pid = va_arg(list, int);
	void *address = va_arg(list, void *), *data = va_arg(list, void *);
	va_end(list);
	if ((request == PTRACE_SEIZE && refuse(SEIZE)) ||
	    (request == PTRACE_INTERRUPT && refuse(INTERRUPT)) ||
	    (request == PTRACE_GETREGS && refuse(REGISTERS))) {
		errno = request == PTRACE_SEIZE ? EPERM : ESRCH;
		return -1;
	}
	if (busy && request == PTRACE_SYSCALL && late_until == 0)
		late_until = monotonic_seconds() + LATE_SECONDS;
	return __real_ptrace(request, pid, address, data);
}

int __wrap_waitpid(int pid, int *status, int options)
{
	if ((options & WNOHANG) != 0 && late_until != 0 && monotonic_seconds() < late_until)
		return 0;
	if ((options & WNOHANG) == 0 || !refuse(WAIT))
		return __real_waitpid(pid, status, options);
	errno = EINTR;
	return -1;
}

ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *local, unsigned long locals,
				const struct iovec *remote, unsigned long remotes, unsigned long flags)
{
	if (!refuse(READ))
		return __real_process_vm_readv(pid, local, locals, remote, remotes, flags);
	errno = EFAULT;
	return -1;
}

int __wrap_sched_setscheduler(pid_t pid, int policy, const struct sched_param *param)
{
	if (policy == SCHED_OTHER || !refuse(SCHEDULE)) /* less is never refused */
		return __real_sched_setscheduler(pid, policy, param);
	errno = EPERM;
	return -1;
}

DIR *__wrap_opendir(const char *path)
{
	if (!refuse(FOLDER))
		return __real_opendir(path);
	errno = EMFILE;
	return NULL;
}

pid_t __wrap_fork(void)
{
	if (!refuse(FORK))
		return __real_fork();
	errno = EAGAIN;
	return -1;
}

int __wrap_socketpair(int domain, int type, int protocol, int ends[2])
{
	if (!refuse(SOCKETS))
		return __real_socketpair(domain, type, protocol, ends);
	errno = EMFILE;
	return -1;
}

/* ---- A process to be looked at ---- */

struct subject {
	int pid, to, from;
};

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	printf("FAIL: %s (%s %ld%s)\n", what, names[kind], at, and_all_later ? " and all later" : "");
	exit(1);
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static _Noreturn void answer(int from, int to)
{
	char byte;
	pthread_t thread;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
			_exit(1);
	while (read(from, &byte, 1) == 1 && write(to, &byte, 1) == 1)
		;
	_exit(0);
}

static struct subject begin_subject(void)
{
	int there[2], back[2];
	must(pipe2(there, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0, "no pipes");
	int pid = __real_fork();
	if (pid == 0) {
		close(there[1]);
		close(back[0]);
		answer(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	return (struct subject){pid, there[1], back[0]};
}

static void end_subject(const struct subject *subject)
{
	kill(subject->pid, SIGKILL);
	__real_waitpid(subject->pid, NULL, 0);
	close(subject->to);
	close(subject->from);
}

static bool status_says(int pid, const char *field, const char *value)
{
	char path[64], line[256];
	bool says = false;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, field, strlen(field)) == 0)
			says = strstr(line, value) != NULL;
	if (file != NULL)
		fclose(file);
	return says;
}

static bool has_child(int pid)
{
	char path[96], byte;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
	FILE *file = fopen(path, "re");
	bool has = file != NULL && fread(&byte, 1, 1, file) == 1;
	if (file != NULL)
		fclose(file);
	return has;
}

static void check_unharmed(const struct subject *subject)
{
	char byte = 'x';
	must(status_says(subject->pid, "TracerPid:", "\t0\n"), "the process is still traced");
	must(!status_says(subject->pid, "State:", "stopped"), "the process is stopped");
	must(write(subject->to, &byte, 1) == 1 && read(subject->from, &byte, 1) == 1, "it does not answer");
	must(!has_child(subject->pid), "it has a child");
	must(sched_getscheduler(0) == SCHED_OTHER, "the inspector keeps its urgency");
}

static int open_files(void)
{
	int count = 0;
	DIR *folder = __real_opendir("/proc/self/fd");
	while (folder != NULL && readdir(folder) != NULL)
		count++;
	if (folder != NULL)
		closedir(folder);
	return count;
}

/* ---- What is tried ---- */

typedef bool (*attempt_fn)(int pid);

static bool stop_shortly(int pid)
{
	struct problem problem = {0};
	struct freeze freeze;
	struct target *target = target_live_open(pid, NULL, TARGET_RUNNING, &problem);
	if (target == NULL)
		return false;
	bool stopped = target_stop(target, &freeze, &problem) == 0;
	if (stopped) {
		must(target_stop_left(target, &freeze) > 0.001, "the time to stop is gone at once");
		target_go_on(target, &freeze);
		must(target->stops == 1 && target->stopped > 0 && target->worked <= target->stopped,
		     "the sums");
	}
	target_close(target);
	return stopped;
}

static bool copy_stopped(int pid)
{
	struct problem problem = {0};
	struct target *target = target_live_open(pid, NULL, TARGET_STOPPED, &problem);
	if (target == NULL)
		return false;
	struct residence *residence = residence_take(target);
	struct image *image = image_create(target);
	bool copied = image_copy_still(target, &image, &residence, &problem) == 0;
	image_destroy(image);
	residence_free(residence);
	target_close(target);
	return copied;
}

static bool copy_cloned(int pid)
{
	struct problem problem = {0};
	struct target *target = target_live_open(pid, NULL, TARGET_CLONED, &problem);
	uint64_t word;
	bool read = target != NULL && target_read(target, target->ranges[0].start, &word, sizeof word);
	target_close(target);
	return read;
}

/* Refuses one call further on each time, until none of that kind is left to refuse. */
static long refuse_each(const struct subject *subject, attempt_fn attempt)
{
	long tried = 0;
	for (at = 1; at < CALLS_MOST; at++, tried++) {
		memset(counts, 0, sizeof counts);
		int before = open_files();
		(void)attempt(subject->pid);
		must(open_files() == before, "a file stays open");
		check_unharmed(subject);
		if (counts[kind] < at)
			break;
	}
	at = 0;
	must(attempt(subject->pid), "nothing is refused, and it fails");
	return tried;
}

static void refuse_all(attempt_fn attempt, const char *name)
{
	struct subject subject = begin_subject();
	long tried = 0;
	must(attempt(subject.pid), "nothing is refused, and it fails");
	for (int later = 0; later < 2; later++)
		for (kind = 0; kind < KINDS; kind++) {
			and_all_later =
				later != 0 && kind != INTERRUPT; /* which a thread that is there heeds */
			tried += refuse_each(&subject, attempt);
		}
	printf("%s: %ld refusals\n", name, tried);
	must(tried > 10, "hardly anything was refused");
	end_subject(&subject);
}

/* The process dies a little later each time. */
static void let_die(attempt_fn attempt)
{
	at = 0;
	for (int i = 0; i < DEATHS; i++) {
		struct subject subject = begin_subject();
		int before = open_files(), killer = __real_fork();
		if (killer == 0) {
			nanosleep(&(struct timespec){.tv_nsec = i * 50000L}, NULL);
			kill(subject.pid, SIGKILL);
			_exit(0);
		}
		(void)attempt(subject.pid);
		__real_waitpid(killer, NULL, 0);
		must(open_files() == before, "a file stays open after the process died");
		must(sched_getscheduler(0) == SCHED_OTHER, "the inspector keeps its urgency");
		end_subject(&subject);
	}
}

int main(void)
{
	struct subject subject = begin_subject();
	struct problem problem = {0};
	struct target *target = target_live_open(subject.pid, NULL, TARGET_RUNNING, &problem);
	struct freeze freeze;
	if (target == NULL || target_stop(target, &freeze, &problem) != 0) {
		printf("skipped: %s\n", problem.text);
		return 77;
	}
	/* what is left gets less, over several stops together */
	double left = target_stop_left(target, &freeze);
	nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
	must(target_stop_left(target, &freeze) <= left - 0.003, "time in a stop does not count");
	target_go_on(target, &freeze);
	must(target_stop_left(target, NULL) <= 0.005, "the first stop is forgotten");
	must(target_stop(target, &freeze, &problem) == 0, "no second stop");
	nanosleep(&(struct timespec){.tv_nsec = 6000000}, NULL);
	must(target_stop_left(target, &freeze) < 0, "two stops may last longer than one");
	target_go_on(target, &freeze);
	target_close(target);
	end_subject(&subject);
	subject = begin_subject();
	busy = true;
	must(copy_cloned(subject.pid), "a borrowed thread that is slow is given up");
	busy = false;
	check_unharmed(&subject);
	end_subject(&subject);
	refuse_all(stop_shortly, "a short stop");
	if (COPIES)
		refuse_all(copy_stopped, "a copy in one stop");
	refuse_all(copy_cloned, "a clone");
	let_die(stop_shortly);
	if (COPIES)
		let_die(copy_stopped);
	let_die(copy_cloned);
	return 0;
}
