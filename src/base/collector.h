/* collector.h: what a collector can be asked, and whom it tells, of those who need not be linked with one. */
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

/* Called after each cycle, on the thread that runs finalizers, without a lock; NULL: nobody wants to hear of it. Set by
 * the pools, which keep idle things until memory is looked through.
 */
extern void (*_Atomic neap__gc_ended)(void);

#endif
