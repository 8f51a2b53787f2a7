/* probes.h: points at which a tracer can attach to a running program: static user-space probes (USDT).
 *
 *     bpftrace -p PID -e 'usdt:*:neap:map__shrink { printf("%s %d\n", str(arg1), arg2) }'
 *
 * Each is one no-op instruction until somebody attaches, then about half a microsecond; so they stand on rare events
 * only. Without <sys/sdt.h> at build time there are none.
 */
#ifndef NEAP_SRC_BASE_PROBES_H
#define NEAP_SRC_BASE_PROBES_H

#ifdef NEAP_USDT
#	include <sys/sdt.h>
#	ifdef __clang__ /* its system header leaves a variadic argument out, and says so where it is used */
#		pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#	endif
#	define NEAP__PROBE2(name, a, b)    DTRACE_PROBE2(neap, name, a, b)
#	define NEAP__PROBE3(name, a, b, c) DTRACE_PROBE3(neap, name, a, b, c)
#else
#	define NEAP__PROBE2(name, a, b)    ((void)0)
#	define NEAP__PROBE3(name, a, b, c) ((void)0)
#endif

#endif
