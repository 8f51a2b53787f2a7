/* neap/debug.h: everything that can be asked of a running program, behind one function.
 *
 * Any server can mount it; libneap-http (neap/http.h) is one:
 *
 *     /metrics                       Prometheus text
 *     /debug/pprof/heap              a profile for go tool pprof (neap/profile.h)
 *         ?gc=1                      after giving back what can be given back
 *         ?seconds=N                 the difference over N seconds, 1 to 300; blocks that long
 *     /debug/maps                    JSON: every map, the largest first, at most 1000
 *     /debug/snapshot                every map, slot by slot, for neap inspect, diff and report (neap/snapshot.h)
 *     /debug/account                 JSON: the parts of the resident memory
 *     /debug/why?address=0x7f00a0    JSON: what keeps the collected object there (neap_why): the kind of root, its
 *                                    symbol, and object by object its type and the offset of the field
 *
 * No key and no value of any map is ever shown, names of maps are. Any thread; takes 1 ms, and 1 us for each map, a snapshot
 * 50 ns for each entry besides.
 * /debug/why attaches the thread to the collector and stops the program while it traces, at most a tenth of the time:
 * who asks more often is turned away with 503. Where no collector runs, it says so.
 */
#ifndef NEAP_DEBUG_H
#define NEAP_DEBUG_H

#include "neap/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Answers a request for `path`, query included, with GET. Returns an HTTP status: 200 after the whole body was handed
 * to `write`, else 400, 404, 500 or 503 after one line of English. An error of `write` ends it with 500.
 */
NEAP_API int neap_debug_handle(const char *path, neap_write_fn *write, void *ctx);
/* The media type of the body of a 200; static. NULL: no such path. */
NEAP_API const char *neap_debug_type(const char *path);

/* Called by neap_debug_compact; returns bytes that it gave back, for instance with neap_map_compact under the locks of
 * the maps' owners. NULL removes it. Call before other threads start.
 */
NEAP_API void neap_debug_on_compact(size_t (*compact)(void *ctx), void *ctx);
/* Gives back what can be given back: the callback, free pages of Neap's heap, free pages of malloc. Returns by how many
 * bytes the resident memory became less. Takes up to a second with gigabytes of free memory. Any thread.
 */
NEAP_API size_t neap_debug_compact(void);

#ifdef __cplusplus
}
#endif

#endif
