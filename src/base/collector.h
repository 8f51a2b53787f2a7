/* collector.h: what a collector can be asked, by those who need not be linked with one. */
#ifndef NEAP_SRC_BASE_COLLECTOR_H
#define NEAP_SRC_BASE_COLLECTOR_H

#include <stdatomic.h>
#include <stdint.h>

struct neap_memstats;
struct neap_why;

struct neap__collector_told {
	int (*why)(uintptr_t inverted, struct neap_why *ret);
	int (*cycles)(struct neap_memstats *ret); /* what neap__gc_cycles tells */
};

/* Set from the moment the collector runs; NULL: none does, and asking starts none. */
extern const struct neap__collector_told *_Atomic neap__collector_told;

#endif
