/* ref.c: references to values that know when they are stale; see neap/guard.h.
 *
 *     stamp  ==  version + epoch       version: inserts and deletes, epoch: entries moved
 *
 * The version is counted only in maps that somebody watches, so that others pay nothing: making the first reference
 * begins the counting, under the branch that strict iteration uses.
 */
#include "neap/guard.h"

#include "base/fault.h"
#include "map/internal.h"

struct neap_ref neap_ref_of(struct neap_map *map, void *value)
{
	if (map == NULL)
		return (struct neap_ref){NULL, NULL, 0};
	neap__reading(map, "neap_ref_of");
	/* Other readers may do the same at once; a writer, which reads the flags, may not run now. */
	if ((__atomic_load_n(&map->flags, __ATOMIC_RELAXED) & NEAP__REFERRED) == 0)
		__atomic_fetch_or(&map->flags, NEAP__REFERRED, __ATOMIC_RELAXED);
	return (struct neap_ref){map, value, neap__ref_stamp(map)};
}

void neap__ref_fault(const struct neap_ref *ref)
{
	/* A quarantine fills the header of a destroyed map: its name must not be read. */
	const uint64_t filled = UINT64_C(0x0101010101010101) * NEAP_FREED_BYTE;
	neap__fault((struct neap_fault){.rule = "stale value pointer",
					.object = ref->map->version == filled ? "destroyed"
									      : neap_map_name(ref->map),
					.address = ref->map,
					.operation = "neap_ref_get"});
}
