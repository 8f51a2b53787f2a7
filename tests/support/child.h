/* child.h: runs a function in a child process and says how it ended and what it wrote to standard error. */
#ifndef NEAP_TESTS_CHILD_H
#define NEAP_TESTS_CHILD_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct ending {
	int signal;	 /* that ended it; 0: it left by itself */
	int status;	 /* its exit status then */
	char text[4096]; /* the front of what it wrote */
};

/* The child is stopped by SIGALRM after `seconds`. */
static inline struct ending child_run(void (*body)(void), unsigned seconds)
{
	struct ending ending = {0, 0, ""};
	int ends[2];
	fflush(NULL);
	if (pipe(ends) != 0)
		abort();
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL); /* cmocka and sanitizers catch it */
		signal(SIGSEGV, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		alarm(seconds);
		body();
		_exit(0);
	}
	close(ends[1]);
	size_t used = 0;
	ssize_t got;
	char rest[512];
	while ((got = read(ends[0], used + 1 < sizeof ending.text ? ending.text + used : rest,
			   used + 1 < sizeof ending.text ? sizeof ending.text - 1 - used : sizeof rest)) > 0)
		if (used + 1 < sizeof ending.text)
			used += (size_t)got;
	close(ends[0]);
	int status;
	if (waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFSIGNALED(status))
		ending.signal = WTERMSIG(status);
	else
		ending.status = WEXITSTATUS(status);
	return ending;
}

/* True when it was stopped with one line and no more: a fault by this rule, in one of these operations. */
static inline int child_was_stopped(const struct ending *ending, const char *rule, const char *map,
				    const char *operation)
{
	char start[256], middle[256];
	snprintf(start, sizeof start, "neap: fatal: %s: map \"%s\" (0x", rule, map);
	snprintf(middle, sizeof middle, ") in %s", operation);
	const char *end = strchr(ending->text, '\n');
	return ending->signal == SIGABRT && strncmp(ending->text, start, strlen(start)) == 0 &&
	       strstr(ending->text, middle) != NULL && end != NULL && end[1] == '\0';
}

#endif
