/* fault.h: how the library stops a program that misuses it. */
#ifndef NEAP_SRC_BASE_FAULT_H
#define NEAP_SRC_BASE_FAULT_H

#include "neap/base.h"

/* Reports `fault` to the callback, then writes one line to standard error and aborts. Fills in `thread`. */
_Noreturn void neap__fault(struct neap_fault fault);

#endif
