/* process_memory.c: the memory of another process, from /proc/PID/status: 20 us, whatever its size. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe_tool.h"

static bool status_field(const char *line, const char *name, uint64_t *ret_bytes)
{
	size_t len = strlen(name);
	if (strncmp(line, name, len) != 0)
		return false;
	*ret_bytes = strtoull(line + len, NULL, 10) * 1024;
	return true;
}

int process_memory_read(pid_t pid, struct process_memory *ret)
{
	char path[64], line[256];
	*ret = (struct process_memory){0};
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return errno;
	bool known = false;
	uint64_t shared = 0;
	while (fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "Name: %15[^\n]", ret->name) == 1)
			continue;
		known |= status_field(line, "VmRSS:", &ret->rss);
		(void)(status_field(line, "RssAnon:", &ret->anonymous) ||
		       status_field(line, "RssFile:", &ret->file) ||
		       status_field(line, "RssShmem:", &shared) || status_field(line, "VmSwap:", &ret->swap));
	}
	fclose(file);
	ret->file += shared;
	return known ? 0 : ESRCH; /* a process that has ended keeps its name until it is waited for */
}
