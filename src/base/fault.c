/* fault.c: the one place where the library ends a program.
 *
 * The line is written with write(2) from a buffer on the stack, because the heap may be what is broken:
 *
 *     neap: fatal: concurrent map writes: map "sessions" (0x55...) in neap_map_put, thread 0x7f..., other 0x7f...
 */
#include "base/fault.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static neap_fault_fn *listener;
static void *listener_ctx;

void neap_on_fault(neap_fault_fn *callback, void *ctx)
{
	listener = callback;
	listener_ctx = ctx;
}

_Noreturn void neap__fault(struct neap_fault fault)
{
	fault.thread = (uintptr_t)pthread_self();
	if (listener != NULL)
		listener(&fault, listener_ctx);

	char line[512];
	int used = snprintf(line, sizeof line, "neap: fatal: %s: %s \"%s\" (%p) in %s, thread 0x%lx",
			    fault.rule, fault.kind != NULL ? fault.kind : "map", fault.object, fault.address,
			    fault.operation, (unsigned long)fault.thread);
	if (used > 0 && (size_t)used < sizeof line && fault.other != 0)
		used += snprintf(line + used, sizeof line - (size_t)used, ", other thread 0x%lx",
				 (unsigned long)fault.other);
	if (used < 0 || (size_t)used >= sizeof line)
		used = (int)sizeof line - 1;
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)used) < 0)
		abort();
	abort();
}

_Noreturn void neap__assert_failed(const char *invariant, const char *file, int line)
{
	char text[512];
	int used = snprintf(text, sizeof text, "neap: fatal: invariant broken: %s (%s:%d)\n", invariant, file,
			    line);
	if (used > 0 &&
	    write(STDERR_FILENO, text, (size_t)used < sizeof text ? (size_t)used : sizeof text - 1) < 0)
		abort();
	abort();
}
