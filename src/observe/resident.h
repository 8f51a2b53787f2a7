/* resident.h: how much of a range of this process's addresses is resident. */
#ifndef NEAP_SRC_OBSERVE_RESIDENT_H
#define NEAP_SRC_OBSERVE_RESIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes. */
struct neap__resident {
	size_t anonymous, file;
	size_t huge; /* of the anonymous ones: in pages of 2 MB */
};

/* A handle for the next call, or -1: the kernel is older than 6.7, or forbids it. To be closed with close(). */
int neap__resident_open(void);
/* Counts [start, end), which may have holes. False: the kernel refused. Other threads wait for it in the kernel, when
 * they change mappings, for 512 pages at most: 0.1 ms.
 */
bool neap__resident_count_range(int handle, uintptr_t start, uintptr_t end, struct neap__resident *ret);

#endif
