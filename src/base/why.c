/* why.c: see why.h. */
#include "base/why.h"

int (*_Atomic neap__why)(uintptr_t inverted, struct neap_why *ret);
