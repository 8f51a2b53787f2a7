/* why.c: see why.h. */
#include "base/why.h"

#include <stddef.h>

int (*_Atomic neap__why)(uintptr_t inverted, struct neap_why *ret) = NULL;
