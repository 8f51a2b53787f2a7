/* why.h: who can say what keeps a collected object. */
#ifndef NEAP_SRC_BASE_WHY_H
#define NEAP_SRC_BASE_WHY_H

#include <stdatomic.h>
#include <stdint.h>

struct neap_why;

/* neap_why_hidden from the moment the collector runs; NULL: none does. So whoever can be asked needs not be linked
 * with a collector, and does not start one.
 */
extern int (*_Atomic neap__why)(uintptr_t inverted, struct neap_why *ret);

#endif
