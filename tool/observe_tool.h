/* observe_tool.h: the commands that watch a running program, and what they share. */
#ifndef NEAP_TOOL_OBSERVE_TOOL_H
#define NEAP_TOOL_OBSERVE_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "endpoint.h"

int run_profile(int argc, char **argv);
int run_top(int argc, char **argv);
int run_watch(int argc, char **argv);
int run_reclaim(int argc, char **argv);
int run_doctor(int argc, char **argv);

/* A profile of the endpoint, compressed. 0, or an exit code and a line in `error`. */
int profile_take(const struct endpoint *endpoint, const char *path, unsigned seconds, struct text *ret,
		 char *error);

struct snapshot;
struct problem;
/* What the program says of its maps (tool/snapshot.c, with the inspector). -1 and a problem when it says nothing. */
int snapshot_ask(const struct endpoint *endpoint, struct snapshot **ret, struct problem *problem);

/* What the kernel says of a process, bytes. */
struct process_memory {
	uint64_t rss, anonymous, file, swap; /* rss == anonymous + file, with shared memory in file */
	char name[16];
};
/* 0, or an errno value: ENOENT, ESRCH when it is gone. */
int process_memory_read(pid_t pid, struct process_memory *ret);

#endif
