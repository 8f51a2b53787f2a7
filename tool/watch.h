/* watch.h: what a trigger leaves behind. */
#ifndef NEAP_TOOL_WATCH_H
#define NEAP_TOOL_WATCH_H

#include "observe_tool.h"

enum { KEEP_MOST = 100 };

/* Files of one trigger: BASE.txt always, BASE.pb.gz of a program with an endpoint, BASE.snap of a Go program. */
struct saved {
	char base[300];
	uint64_t bytes; /* writable anonymous memory at that time */
};

/* The worst triggers so far; others are removed again. */
struct keepsakes {
	const char *folder;
	unsigned keep, n;
	struct saved saved[KEEP_MOST + 1];
};

/* Saves what can be had of the process, says on standard output what that was, and drops the least of the saved ones
 * when there are more than `keep`. False when something could not be written.
 */
bool keep_trigger(struct keepsakes *kept, pid_t pid, const struct process_memory *memory,
		  const struct endpoint *endpoint);

#endif
