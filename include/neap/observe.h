/* neap/observe.h: where the memory of this process is, and what one operation did to it.
 *
 *     struct neap_source sources[] = {{neap_parts_of_map, sessions}, {neap_parts_of_meter, &meter}};
 *     struct neap_impact impact;
 *     neap_impact_begin(&impact, sources, 2);
 *     expire_all(sessions);
 *     neap_impact_end(&impact);
 *     log("%td bytes live, %td objects, %td bytes of RSS", impact.live, impact.objects, impact.rss);
 *
 * An account divides the resident memory of the process into five parts:
 *
 *     live       what is in use: entries, their blocks, other blocks of malloc
 *     tombstone  slots that a delete left unusable
 *     empty      slots without an entry
 *     free_held  freed, and still resident: malloc's free blocks, pages that a map has not given back
 *     other      code, libraries, stacks, and the maps' own metadata
 *
 *     live + tombstone + empty + free_held + other + unexplained == rss        (unexplained has a sign)
 *
 * rss is the kernel's word (smaps_rollup); every other part is counted by its owner. So `unexplained` is a
 * real check: negative where memory is counted that was never touched, positive where nobody owns up.
 *
 * Linux. Calls read /proc and take 0.1 to 1 ms; none allocates. One thread at a time per account; other threads
 * may run, and what they do is part of what is measured.
 */
#ifndef NEAP_OBSERVE_H
#define NEAP_OBSERVE_H

#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_map;

/* What a container says of itself. All but the last two are bytes. */
struct neap_parts {
	size_t live, tombstone, empty, free_held, metadata;
	size_t from_malloc; /* how many of these bytes are malloc's, which counts them too */
	size_t objects;	    /* entries */
	size_t spans;	    /* runs of slots that come and go as one: segments, bucket arrays */
};

/* Adds what `object` holds to `ret`. */
typedef void neap_parts_fn(const void *object, struct neap_parts *ret);

/* A container that takes part in an account. */
struct neap_source {
	neap_parts_fn *parts;
	const void *object; /* must outlive the account it takes part in */
};

/* neap_map_stats as parts. The map should use a meter's allocator, and the meter be a source beside it; else
 * what the map has from malloc (owned keys, large values, small tables) is counted twice.
 */
NEAP_API NEAP_NONNULL(2) void neap_parts_of_map(const void *map, struct neap_parts *ret);

/* malloc with a counter: an allocator for containers whose share of malloc an account has to know. */
struct neap_meter {
	size_t bytes; /* asked for and not freed; what malloc adds to a block is not in it */
	size_t blocks;
};
/* Adds meter->bytes to from_malloc. */
NEAP_API NEAP_NONNULL(1, 2) void neap_parts_of_meter(const void *meter, struct neap_parts *ret);
/* An allocator on malloc that counts into `meter`, which must outlive every container that uses it. The
 * counts are not atomic: one thread at a time.
 */
NEAP_API NEAP_NONNULL(1) struct neap_allocator neap_meter_allocator(struct neap_meter *meter);

struct neap_account {
	/* Bytes. */
	size_t rss;
	size_t live, tombstone, empty, free_held, other;
	ptrdiff_t unexplained;

	/* Of these, in more detail; bytes. */
	size_t metadata;	/* in other: control words, directories, headers of the sources */
	size_t malloc_live;	/* in live: malloc's blocks that belong to no source, and block headers */
	size_t malloc_held;	/* in free_held: malloc's free blocks that are resident, in all its arenas */
	size_t heap_live;	/* in live: blocks of Neap's heap that belong to no map; whole process only */
	size_t heap_held;	/* in free_held: Neap's heap; whole process only */
	size_t file, anonymous; /* rss == file (with shared memory) + anonymous */
	size_t other_anonymous; /* in other: stacks, data segments; of sources known only from a base */

	/* Across the parts; bytes. */
	/* Freed with MADV_FREE: counted as resident until the system is short of memory. SIZE_MAX: not known, because
	 * finding out would keep other threads waiting for milliseconds (neap_account_process with over 16 MB).
	 */
	size_t lazy_free;
	size_t huge_pages; /* anonymous, in pages of 2 MB: one byte in use keeps them whole */

	size_t objects, spans; /* of the sources */
};

/* Divides the memory of the process. `base` is an account taken earlier, when little was allocated, that says
 * how much anonymous memory is stacks and data segments; NULL makes this account a base, in which unexplained
 * is 0 by definition. 0, or NEAP_EINVAL when /proc cannot be read.
 */
NEAP_API NEAP_NONNULL(1) int neap_account_take(struct neap_account *ret, const struct neap_account *base,
					       const struct neap_source *sources, size_t n);

/* Divides the memory of the whole process, with all its maps and Neap's heap, from any thread and beside all others:
 * what they do meanwhile shows in `unexplained`. No base is needed. Maps on an allocator of the program's own count as
 * malloc's. `spans` is the number of maps. 0, or NEAP_EINVAL when /proc cannot be read.
 */
NEAP_API int neap_account_process(struct neap_account *ret);

/* What happened between begin and end: after minus before. */
struct neap_impact {
	struct neap_account before, after;
	ptrdiff_t live, tombstone, empty, free_held, other; /* bytes */
	ptrdiff_t rss;					    /* bytes */
	ptrdiff_t objects, spans;
	uint64_t nanoseconds; /* wall clock, without the measuring itself */

	const struct neap_source *neap__sources;
	size_t neap__n;
	uint64_t neap__start;
};

/* `sources` must stay in place until the end. Errors as for neap_account_take. */
NEAP_API NEAP_NONNULL(1) int neap_impact_begin(struct neap_impact *impact, const struct neap_source *sources,
					       size_t n);
NEAP_API NEAP_NONNULL(1) int neap_impact_end(struct neap_impact *impact);

#ifdef __cplusplus
}
#endif

#endif
