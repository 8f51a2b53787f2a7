/* neap/guard.h: detectors for what C lets pass: a value pointer that is kept too long, a block used after it was
 * freed, a write past a block's end.
 *
 * References. Pointers to values stay valid until their map changes (neap/map.h). A reference is such a pointer with
 * the count of changes at the time, so that a use after a change is found: not now and then, always.
 *
 *     struct neap_ref ref = neap_ref_of(map, neap_map_get(map, &key));
 *     ...
 *     struct session *session = neap_ref_get(&ref);    stops the program when the map has changed since
 */
#ifndef NEAP_GUARD_H
#define NEAP_GUARD_H

#include "neap/map_core.h"

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

#ifdef __cplusplus
}
#endif

#endif
