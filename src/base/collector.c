/* collector.c: see collector.h. */
#include "base/collector.h"

const struct neap__collector_told *_Atomic neap__collector_told;
void (*_Atomic neap__gc_ended)(void);
