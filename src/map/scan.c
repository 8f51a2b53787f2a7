/* scan.c: a pass over a map that does not change.
 *
 * The pools are dense: the control words of segment 0, 1, 2, ... follow each other, and so do the slots. Visiting
 * every entry is therefore one walk over two arrays, without the directory, without hashes and without a record of
 * what was produced, which is what the iterator of iterate.c pays for when a loop may change the map. The price is
 * that it may not: each group is entered only if nothing has moved (epoch) and as many entries are there (len) as at
 * the start.
 */
#include "base/fault.h"
#include "map/internal.h"

struct neap_map_scan neap_map_scan(struct neap_map *map)
{
	struct neap_map_scan scan = {.neap__map = map};
	if (neap_map_len(map) == 0)
		return scan;
	neap__reading(map, "neap_map_scan");
	size_t groups = (size_t)neap__segment_count(map) * (neap__last_group(map) + 1u);
	scan.neap__ctrl = map->ctrl;
	scan.neap__end = map->ctrl + groups * NEAP__CONTROL_BYTES;
	scan.neap__next = map->slots;
	scan.neap__spilled = map->spilled;
	scan.neap__epoch = map->epoch;
	scan.neap__len = map->len;
	return scan;
}

bool neap_map_scan_next(struct neap_map_scan *scan)
{
	if (scan->neap__map == NULL)
		return false;
	const struct neap_map *map = scan->neap__map;
	uint8_t *slot = neap__scan_step(scan, neap__shape_of(map));
	scan->key = slot == NULL ? NULL : neap__slot_key(map, slot);
	scan->value = slot == NULL ? NULL : neap__slot_value(map, slot);
	return slot != NULL;
}

void neap__map_scan_fault(const struct neap_map *map)
{
	if (neap__guard(map) > NEAP__HOOKED)
		neap__map_read_fault(map, "neap_map_scan_next");
	neap__fault((struct neap_fault){.rule = "map changed during a scan",
					.object = neap_map_name(map),
					.address = map,
					.operation = "neap_map_scan_next"});
}
