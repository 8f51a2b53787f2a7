/* neap/guard.h: detectors for what C lets pass: a value pointer that is kept too long, a block used after it was
 * freed, a write past a block's end.
 *
 * References. Pointers to values stay valid until their map changes (neap/map.h). A reference is such a pointer with
 * the count of changes at the time, so that a use after a change is found: not now and then, always.
 *
 *     struct neap_ref ref = neap_ref_of(map, neap_map_get(map, &key));
 *     ...
 *     struct session *session = neap_ref_get(&ref);    stops the program when the map has changed since
 *
 * Allocators. Two wrappers around any allocator (struct neap_allocator), for a map, a pool, or a program's own blocks:
 * a quarantine, which sees double frees, writes past the end and writes after a free, and costs a fill of each freed
 * block; and a sampler, which puts one block in some thousands between forbidden pages, where every wrong access stops
 * at once, and costs next to nothing: for production. They can be stacked, the sampler outside. Both take a short lock
 * of their own for each block that they keep, and call the allocator below without it.
 */
#ifndef NEAP_GUARD_H
#define NEAP_GUARD_H

#include "neap/map_core.h"
#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What blocks are filled with when they are freed into a quarantine. */
#define NEAP_FREED_BYTE 0xdd

/* A value pointer and the state of its map. To be copied as a value; nothing needs to be released. */
struct neap_ref {
	const struct neap_map *map;
	void *value; /* what neap_ref_of was given; read it through neap_ref_get */
	uint64_t neap__stamp;
};

/* A reference to `value`, which a look-up or an iterator of `map` has just returned; NULL stays NULL. The first
 * reference to a map makes its later inserts and deletes count themselves, one addition each. Counts as a read: any
 * thread, while none writes.
 */
NEAP_API struct neap_ref neap_ref_of(struct neap_map *map, void *value);

__attribute__((noreturn)) NEAP_API void neap__ref_fault(const struct neap_ref *ref);

/* Both counts only grow: their sum is the same only when nothing was inserted, deleted or moved. */
NEAP__INLINE uint64_t neap__ref_stamp(const struct neap_map *map)
{
	return map->version + map->epoch;
}

/* True when the map is as it was: nothing inserted, deleted or moved since. Overwriting a value is no such change.
 * The map must still exist; to catch its end as well, give it an allocator with a quarantine (below).
 */
static inline __attribute__((unused)) bool neap_ref_valid(const struct neap_ref *ref)
{
	return ref->map == NULL || ref->neap__stamp == neap__ref_stamp(ref->map);
}

/* The value, or NULL when neap_ref_of was given NULL. Stops the program ("stale value pointer") when the reference
 * is not valid.
 */
static inline __attribute__((unused)) void *neap_ref_get(const struct neap_ref *ref)
{
	if (NEAP__UNLIKELY(!neap_ref_valid(ref)))
		neap__ref_fault(ref);
	return ref->value;
}

/* ---- Quarantine ---- */

struct neap_quarantine;

/* Frees what lies in the quarantine. Blocks that are still out stay valid, but can't be freed any more: returns how many
 * there are. NULL is allowed.
 */
NEAP_API NEAP_FREES(1) size_t neap_quarantine_destroy(NEAP_TAKEN struct neap_quarantine *quarantine);
/* Takes blocks from `from` (NULL: malloc), each with 32 bytes before it and 8 behind. A freed block is filled with
 * NEAP_FREED_BYTE and kept until more than `bytes` bytes of freed blocks are; then the oldest go back, and must be as
 * they were filled. NULL: no memory. Any thread may use the allocator, if `from` allows it.
 */
NEAP_API NEAP_GIVES(neap_quarantine_destroy) struct neap_quarantine *neap_quarantine_create(
	const struct neap_allocator *from, size_t bytes);
/* To be passed wherever an allocator is taken; valid as long as the quarantine. */
NEAP_API NEAP_NONNULL(1) const
	struct neap_allocator *neap_quarantine_allocator(struct neap_quarantine *quarantine);
/* Looks at every block in the quarantine now; stops the program when one was written to. Takes time proportional to
 * their bytes.
 */
NEAP_API void neap_quarantine_check(struct neap_quarantine *quarantine);

/* ---- Sampled guard pages ---- */

struct neap_sampler;

/* All zero means the defaults. */
struct neap_sampler_options {
	const struct neap_allocator *from; /* for all other blocks; NULL: malloc */
	uint32_t one_in;		   /* on average one block in this many is guarded; 0: 4000 */
	uint32_t slots;			   /* most guarded blocks at once, a page each; 0: 256 */
	/* A handler for SIGSEGV that names the block (and passes other addresses on to the handler before it). One
	 * sampler of the process at a time.
	 */
	bool catch_faults;
};

/* Guarded blocks may not be out any more. NULL is allowed. */
NEAP_API NEAP_FREES(1) void neap_sampler_destroy(NEAP_TAKEN struct neap_sampler *sampler);
/* NULL: no memory. Blocks of up to a page can be guarded; a freed one stays forbidden until its slot is the oldest free
 * one. The method of Electric Fence, sampled as in GWP-ASan.
 */
NEAP_API NEAP_GIVES(neap_sampler_destroy) struct neap_sampler *neap_sampler_create(
	NEAP_LENT const struct neap_sampler_options *options);
NEAP_API NEAP_NONNULL(1) const struct neap_allocator *neap_sampler_allocator(struct neap_sampler *sampler);

/* What lies, or lay, at an address. */
struct neap_sample {
	const void *block;
	size_t bytes;
	bool freed;
	const void *allocated_by, *freed_by; /* addresses in the code that called the allocator */
};
/* False when the address is not one of the sampler's. Takes no lock: may be called from a signal handler or a debugger. */
NEAP_API NEAP_NONNULL(1, 3) bool neap_sampler_explain(const struct neap_sampler *sampler, const void *address,
						      struct neap_sample *ret);
/* Blocks that were guarded so far. */
NEAP_API uint64_t neap_sampler_count(const struct neap_sampler *sampler);

#ifdef __cplusplus
}
#endif

#endif
