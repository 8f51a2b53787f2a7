/* nested_collected.h: the owners of nested_values.c in collected memory. */
#ifndef NEAP_LAB_NESTED_COLLECTED_H
#define NEAP_LAB_NESTED_COLLECTED_H

#include <stddef.h>

enum nested { NESTED_MAP, NESTED_SLICE, NESTED_QUEUE, NESTED_CASES };

enum {
	INSIDE = 24,  /* entries of each inner map, elements of each slice, messages in each queue */
	MESSAGE = 40, /* bytes */
};

struct nested_collected {
	size_t loaded, left; /* bytes of objects and of malloc, above what was there before the owners */
	size_t held,
		broken; /* owners that something else leads to: all of them, and those that were damaged */
};

/* Fills a collected map with `n` owners, deletes all, collects. One in a hundred is held elsewhere, and let go at the end.
 * Ends the program when memory is refused. Once in a process.
 */
struct nested_collected nested_collected(enum nested which, size_t n);

#endif
