/* ended.h: who wants to hear that a collection has ended. */
#ifndef NEAP_SRC_BASE_ENDED_H
#define NEAP_SRC_BASE_ENDED_H

#include <stdatomic.h>

/* Called after each cycle, on the thread that runs finalizers, without a lock; NULL: nobody wants to. Set by whoever
 * keeps things only until memory is looked through, the pools; read by the collector, which needs not know them.
 */
extern void (*_Atomic neap__gc_ended)(void);

#endif
