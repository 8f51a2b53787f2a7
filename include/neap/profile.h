/* neap/profile.h: who allocated the memory of this process, as `go tool pprof` reads it.
 *
 *     neap_profile_start(0);                                       (once, at the start of the program)
 *     ...
 *     struct neap_profile *profile = neap_profile_take();
 *     neap_profile_write(profile, write_to_file, file);
 *     neap_profile_destroy(profile);
 *
 * A profile has Go's four sample types and five more, in bytes, that divide the resident memory:
 *
 *     alloc_objects alloc_space    since the start          of sampled blocks of Neap's heap and of maps
 *     inuse_objects inuse_space    and not yet freed
 *     live_space tombstone_space empty_space free_held_space other_space
 *
 * Blocks are sampled by bytes (a Poisson process, as Go's and tcmalloc's profilers do), so their figures are
 * estimates: with n samples behind it, a figure is off by about 1/sqrt(n). Maps are not sampled but counted: each map
 * that has grown while sampling was on stands under a stack that grew it, with its name as a label. What has no
 * stack (malloc's blocks, free pages, code) stands under a name in brackets, so that
 *
 *     sum of the five == RSS at the time of taking, unexplained included
 *
 * Addresses are written, not names: pprof finds those from the files, which it knows by build id.
 */
#ifndef NEAP_PROFILE_H
#define NEAP_PROFILE_H

#include "neap/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes `size` bytes of a text or file that is being written; 0 to go on, anything else ends it and is returned. */
typedef int neap_write_fn(void *ctx, const void *bytes, size_t size);

/* Mean bytes between two samples when 0 is asked for: Go's. */
#define NEAP_PROFILE_RATE ((size_t)512 << 10)

/* Looks at one allocation in about `rate` bytes from now on; 0 means NEAP_PROFILE_RATE. Can be called again to change
 * the rate; what was sampled before keeps its weight. A thread takes notice at its next refill, at the latest after
 * 65,536 allocations of a size. 0, or NEAP_ENOMEM. Any thread.
 */
NEAP_API int neap_profile_start(size_t rate);
/* Samples no more. What was sampled stays in profiles until it is freed. */
NEAP_API void neap_profile_stop(void);
/* The rate in force; 0: off. */
NEAP_API size_t neap_profile_rate(void);

enum neap_profile_type {
	NEAP_PROFILE_ALLOC_OBJECTS,
	NEAP_PROFILE_ALLOC_SPACE,
	NEAP_PROFILE_INUSE_OBJECTS,
	NEAP_PROFILE_INUSE_SPACE,
	NEAP_PROFILE_LIVE,
	NEAP_PROFILE_TOMBSTONE,
	NEAP_PROFILE_EMPTY,
	NEAP_PROFILE_FREE_HELD,
	NEAP_PROFILE_OTHER,
	NEAP_PROFILE_TYPES
};

struct neap_profile;

/* What is known now. Stops nobody: other threads go on, and what they do meanwhile may be in it or not. NULL: no
 * memory. The caller owns it. Any thread, not a signal handler.
 */
NEAP_API struct neap_profile *neap_profile_take(void);
/* NULL is allowed. */
NEAP_API void neap_profile_destroy(struct neap_profile *profile);
/* profile -= base, row by row: what happened between the two. */
NEAP_API void neap_profile_subtract(struct neap_profile *profile, const struct neap_profile *base);
/* The sum over all rows. */
NEAP_API int64_t neap_profile_total(const struct neap_profile *profile, enum neap_profile_type type);

/* Writes profile.proto in a gzip file of stored blocks. 0, or what `write` returned, or NEAP_ENOMEM. */
NEAP_API int neap_profile_write(const struct neap_profile *profile, neap_write_fn *write, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
