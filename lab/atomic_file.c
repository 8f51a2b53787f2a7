/* atomic_file.c: see atomic_file.h. */
#include "lab/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t wrote = write(fd, bytes, n);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return errno;
		bytes += wrote;
		n -= (size_t)wrote;
	}
	return 0;
}

static int write_directly(const char *path, const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int error = write_all(fd, bytes, n);
	if (close(fd) != 0 && error == 0)
		error = errno;
	return error;
}

/* The rights that open would have given: 0666 without the umask; mkostemp gives 0600. */
static mode_t default_mode(void)
{
	mode_t mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

int atomic_file_write(const char *path, const char *bytes, size_t n)
{
	struct stat stat_now;
	if (stat(path, &stat_now) == 0 && S_ISDIR(stat_now.st_mode))
		return EISDIR;
	if (stat(path, &stat_now) == 0 && !S_ISREG(stat_now.st_mode))
		return write_directly(path, bytes, n);
	char *temporary;
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return ENOMEM;
	int fd = mkostemp(temporary, O_CLOEXEC);
	int error = fd < 0 ? errno : 0;
	if (fd >= 0) {
		error = write_all(fd, bytes, n);
		if (error == 0 && (fchmod(fd, default_mode()) != 0 || fsync(fd) != 0))
			error = errno;
		if (close(fd) != 0 && error == 0)
			error = errno;
		if (error == 0 && rename(temporary, path) != 0)
			error = errno;
		if (error != 0)
			unlink(temporary);
	}
	free(temporary);
	return error;
}
