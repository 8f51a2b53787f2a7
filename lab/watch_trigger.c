/* watch_trigger.c: which programs `neap watch` calls run away, and how soon.
 *
 * Three programs: one that grows and keeps growing, one that is as large but at rest, one that reserves addresses by
 * the gigabyte and uses none. The command itself watches each, as a process of its own.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/lab.h"
#include "lab/progress.h"

enum { STEP = 2 << 20, STEPS = 200, STILL = 64 << 20 };

static void nap(void)
{
	nanosleep(&(struct timespec){0, 40000000}, NULL);
}

static void grow_for_ever(void)
{
	for (int i = 0; i < STEPS; i++) {
		char *block = malloc(STEP); /* neap-lint: allow leak: this is what is watched */
		if (block != NULL)
			memset(block, 1, STEP);
		nap();
	}
}

static void stay_large(void)
{
	char *block = malloc(STILL); /* neap-lint: allow leak: likewise */
	if (block != NULL)
		memset(block, 1, STILL);
	for (int i = 0; i < STEPS; i++)
		nap();
}

static void reserve_only(void)
{
	for (int i = 0; i < STEPS; i++) {
		(void)mmap(NULL, (size_t)1 << 30, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		nap();
	}
}

static const struct {
	const char *name;
	void (*work)(void);
	bool runs_away;
} programs[] = {{"grows by 50 MB/s", grow_for_ever, true},
		{"large, at rest", stay_large, false},
		{"reserves 1 GB each 40 ms", reserve_only, false}};
enum { PROGRAMS = sizeof programs / sizeof programs[0] };

static pid_t start_program(void (*work)(void))
{
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work();
		_exit(0);
	}
	return child;
}

static void remove_folder(const char *folder)
{
	const char *const argv[] = {"rm", "-r", "--", folder, NULL};
	char *output = NULL;
	(void)program_run(argv, 20, &output);
	free(output);
}

static void run_watch_trigger(struct lab *lab)
{
	struct result *result = &lab->result;
	char folder[] = "/tmp/neap-watch-XXXXXX", self[1024];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	if (len <= 0 || mkdtemp(folder) == NULL) {
		result_skip(result, "no temporary folder, or /proc is not there");
		return;
	}
	self[len] = '\0';
	result_title(result, "over 40 MB and growing over 10 MB/s");
	for (int i = 0; i < PROGRAMS; i++) {
		char pid[16];
		pid_t child = start_program(programs[i].work);
		snprintf(pid, sizeof pid, "%d", (int)child);
		const char *const argv[] = {self,
					    "watch",
					    pid,
					    "--over",
					    "40M",
					    "--grow",
					    "10M",
					    "--count",
					    "1",
					    "--for",
					    programs[i].runs_away ? "60" : "4",
					    "-o",
					    folder,
					    NULL};
		char *output = NULL;
		uint64_t start = clock_now();
		struct child_end end = program_run(argv, 90, &output);
		double seconds = (double)(clock_now() - start) / 1e9;
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		bool triggered = end.status == 1 && output != NULL && strstr(output, "TRIGGER") != NULL;
		bool saved = output != NULL && strstr(output, "saved    ->") != NULL;
		result_say(result, "  %-26s%-14s after %4.1f s", programs[i].name,
			   triggered ? "saved" : "left alone", seconds);
		result_check(result, triggered == programs[i].runs_away && saved == triggered, "%s: %s",
			     programs[i].name, programs[i].runs_away ? "saved" : "left alone");
		free(output);
	}
	remove_folder(folder);
}

const struct experiment experiment_watch_trigger = {
	.name = "watch-trigger",
	.claim = "A program whose memory runs away is saved by itself; one that is as large but at rest, and "
		 "one that only "
		 "reserves addresses, are left alone.",
	.method = "neap watch on three programs, with limits that a small machine reaches.",
	.run = run_watch_trigger,
};
