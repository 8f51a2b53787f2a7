/* atomic_file.h: a file that is written whole or not at all. */
#ifndef NEAP_LAB_ATOMIC_FILE_H
#define NEAP_LAB_ATOMIC_FILE_H

#include <stddef.h>

/* Writes `n` bytes to `path`: to a temporary file beside it, synced, then renamed over it, so that a full disk
 * or a crash leaves the old file or none. A path that is not a regular file (/dev/stdout, a pipe) is written
 * directly. 0, or an errno value with nothing left behind.
 */
int atomic_file_write(const char *path, const char *bytes, size_t n);

#endif
