/* releases.h: how long memory lay freed before it went back to the system: a histogram over pages. */
#ifndef NEAP_SRC_BASE_RELEASES_H
#define NEAP_SRC_BASE_RELEASES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { NEAP__DELAYS = 9 };
/* Upper bounds of the delays, milliseconds; what took longer is only in the total. */
extern const uint32_t neap__delay_bound[NEAP__DELAYS];

/* Relaxed counters: each is right, together they may be a moment apart. */
struct neap__releases {
	_Atomic uint64_t pages[NEAP__DELAYS + 1]; /* by delay; the last: longer than every bound */
	_Atomic uint64_t page_ms;		  /* sum of the delays of all pages */
};
extern struct neap__releases neap__releases;

/* `pages` went back, `ms` milliseconds after the last free on them. */
void neap__released(size_t pages, uint64_t ms);

#endif
