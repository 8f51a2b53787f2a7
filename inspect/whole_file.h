/* whole_file.h: a file that is there whole or not at all. It is written beside its place and renamed: a reader sees the
 * old file or the new one.
 */
#ifndef NEAP_INSPECT_WHOLE_FILE_H
#define NEAP_INSPECT_WHOLE_FILE_H

#include <stdbool.h>

#include "problem.h"

struct whole_file {
	const char *path;
	char *beside;	/* NULL: `path` is a pipe or a device, which is written to as it is */
	int descriptor; /* below 0: it could not be opened, errno says why; the writer closes it */
};

struct whole_file whole_file_begin(const char *path);
/* `wrote`: everything was written, and the descriptor closed; else `error` is the errno of what went wrong. Returns 0,
 * or -1 and a problem, and then nothing is left behind.
 */
int whole_file_end(struct whole_file *file, bool wrote, int error, struct problem *problem);

#endif
