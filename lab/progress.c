/* progress.c: see progress.h. */
#include "lab/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND		UINT64_C(1000000000)
#define TERMINAL_PERIOD (SECOND / 5)
#define LOG_PERIOD	(5 * SECOND)

static bool silent, line_on_screen;
static const char *step_name;
static uint64_t step_start, last_shown;

static uint64_t clock_read(clockid_t id)
{
	struct timespec time;
	clock_gettime(id, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

uint64_t clock_now(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t clock_thread(void)
{
	return clock_read(CLOCK_THREAD_CPUTIME_ID);
}

void progress_step(const char *what, size_t done, size_t total)
{
	if (silent)
		return;
	uint64_t now = clock_now();
	if (step_name == NULL || strcmp(step_name, what) != 0) {
		progress_end();
		step_name = what;
		step_start = now;
		last_shown = now;
	}
	bool terminal = isatty(STDERR_FILENO);
	uint64_t period = terminal ? TERMINAL_PERIOD : LOG_PERIOD;
	if (now - step_start < SECOND || now - last_shown < period)
		return;
	last_shown = now;
	fputs(terminal ? "\r\033[K" : "", stderr);
	if (total != 0)
		fprintf(stderr, "%s: %zu of %zu (%zu %%)", what, done, total, done * 100 / total);
	else
		fprintf(stderr, "%s: %zu", what, done);
	if (!terminal)
		fputc('\n', stderr);
	fflush(stderr);
	line_on_screen = terminal;
}

void progress_end(void)
{
	if (line_on_screen)
		fputs("\r\033[K", stderr);
	line_on_screen = false;
	step_name = NULL;
}

void progress_silence(void)
{
	silent = true;
}
