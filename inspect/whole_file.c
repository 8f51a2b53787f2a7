/* whole_file.c: see whole_file.h. */
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUFFIX = 16 }; /* a dot and a process id */

struct whole_file whole_file_begin(const char *path)
{
	size_t size = strlen(path) + SUFFIX;
	struct whole_file file = {.path = path, .beside = take(size, 1)};
	snprintf(file.beside, size, "%s.%d", path, (int)getpid());
	file.descriptor = open(file.beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return file;
}

int whole_file_end(struct whole_file *file, bool wrote, int error, struct problem *problem)
{
	if (wrote && rename(file->beside, file->path) != 0) {
		error = errno;
		wrote = false;
	}
	if (!wrote && file->descriptor >= 0)
		unlink(file->beside);
	free(file->beside);
	return wrote ? 0
		     : problem_set(problem, PROBLEM_PARTIAL, "can't write %s: %s", file->path,
				   strerror(error));
}
