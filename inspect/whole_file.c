/* whole_file.c: see whole_file.h. */
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUFFIX = 16 }; /* a dot and a process id */

/* A pipe or a device: renaming a file to its name would put the file in its place. */
static bool is_special(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

struct whole_file whole_file_begin(const char *path)
{
	struct whole_file file = {.path = path};
	if (is_special(path)) {
		file.descriptor = open(path, O_WRONLY | O_CLOEXEC);
		return file;
	}
	size_t size = strlen(path) + SUFFIX;
	file.beside = take(size, 1);
	snprintf(file.beside, size, "%s.%d", path, (int)getpid());
	file.descriptor = open(file.beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return file;
}

int whole_file_end(struct whole_file *file, bool wrote, int error, struct problem *problem)
{
	if (wrote && file->beside != NULL && rename(file->beside, file->path) != 0) {
		error = errno;
		wrote = false;
	}
	if (!wrote && file->descriptor >= 0 && file->beside != NULL)
		unlink(file->beside);
	free(file->beside);
	return wrote ? 0
		     : problem_set(problem, PROBLEM_PARTIAL, "can't write %s: %s", file->path,
				   strerror(error));
}
