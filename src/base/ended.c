/* ended.c: see ended.h. */
#include "base/ended.h"

void (*_Atomic neap__gc_ended)(void);
