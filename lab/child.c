/* child.c: see child.h. */
#include "lab/child.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/text.h"

void *shared_create(size_t size)
{
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? NULL : shared;
}

void shared_destroy(void *shared, size_t size)
{
	if (shared != NULL)
		munmap(shared, size);
}

/* What every child does first: end with the parent, end in time, leave no core file. */
static void prepare_child(unsigned seconds)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	const struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGALRM, SIG_DFL);
	alarm(seconds);
}

static void collect(pid_t pid, struct child_end *end)
{
	int status;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	end->timed_out = end->signal == SIGALRM;
}

/* Everything that comes out of `fd` until its writers are gone. */
static void drain(int fd, struct text *text)
{
	char buffer[4096];
	for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) != 0;) {
		if (got > 0)
			text_add(text, buffer, (size_t)got);
		else if (errno != EINTR)
			break;
	}
	close(fd);
}

struct child_end child_run(int (*work)(void *ctx), void *ctx, unsigned seconds, bool capture)
{
	struct child_end end = {.status = -1};
	int ends[2] = {-1, -1};
	fflush(NULL);
	if (capture && pipe(ends) != 0)
		return end;
	pid_t pid = fork();
	if (pid == 0) {
		prepare_child(seconds);
		if (capture) {
			dup2(ends[1], STDERR_FILENO);
			close(ends[0]);
			close(ends[1]);
		}
		int status = work(ctx);
		fflush(NULL);
		_exit(status);
	}
	if (capture)
		close(ends[1]);
	end.started = pid > 0;
	struct text text = {0};
	if (capture)
		drain(ends[0], &text);
	if (pid > 0)
		collect(pid, &end);
	snprintf(end.lines, sizeof end.lines, "%s", text.at != NULL ? text.at : "");
	text_free(&text);
	return end;
}

struct child_end program_run(const char *const argv[], unsigned seconds, char **ret_output)
{
	struct child_end end = {.status = -1};
	int ends[2];
	*ret_output = NULL;
	fflush(NULL);
	if (pipe(ends) != 0)
		return end;
	pid_t pid = fork();
	if (pid == 0) {
		prepare_child(seconds);
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp(argv[0], (char *const *)(uintptr_t)
					argv); /* execvp changes nothing; its type is older than const */
		_exit(127);
	}
	close(ends[1]);
	struct text text = {0};
	text_puts(&text, "");
	drain(ends[0], &text);
	end.started = pid > 0;
	if (pid > 0)
		collect(pid, &end);
	*ret_output = text.at;
	return end;
}

const char *child_end_text(const struct child_end *end)
{
	static char text[80];
	if (!end->started)
		snprintf(text, sizeof text, "could not be started");
	else if (end->timed_out)
		snprintf(text, sizeof text, "no answer in time");
	else if (end->signal != 0)
		snprintf(text, sizeof text, "stopped by signal %d (%s)", end->signal, strsignal(end->signal));
	else
		snprintf(text, sizeof text, "exit status %d", end->status);
	return text;
}
