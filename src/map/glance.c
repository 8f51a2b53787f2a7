/* glance.c: what a thread that does not own a map can see of it.
 *
 * The owner takes no lock and publishes nothing, so everything but the header may move or go away while it is
 * looked at. That is therefore copied through the kernel (neap__os_peek), which answers "not there" where a load
 * would crash, and believed only if the header says before and after that nothing has moved:
 *
 *     header, pool, segment table, header again: same epoch, same pool, same number of segments
 *
 * The header itself stays as long as the map is in the list, whose lock the caller holds: it is loaded. A small map
 * has nothing else, and costs no system call.
 *
 * Words that the owner writes meanwhile (a live count, a room) are old or new, never torn: they are aligned. So a
 * glance of a map in use is off by the operations that ran during it, and exact for a map at rest. The parts add up
 * in either case, because the last one is what the others leave of the total.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/os.h"
#include "map/internal.h"

enum {
	TRIES = 3, /* a map that moves entries during each of these is reported without its tombstones */
	SEGMENTS_AT_ONCE = 512 /* of the table: 4 KB on the stack */
};

struct glance_sums {
	uint64_t live, room;
};

/* As a sanitizer would rightly say of any other code, a race. */
__attribute__((no_sanitize_thread)) void neap__map_header(const struct neap_map *map, struct neap_map *ret)
{
	typedef uint64_t __attribute__((may_alias)) header_word;
	const volatile header_word *from = (const volatile header_word *)map;
	header_word *to = (header_word *)ret;
	_Static_assert(sizeof *map % sizeof *to == 0, "a header is whole words");
	atomic_thread_fence(memory_order_acquire);
	for (size_t i = 0; i < sizeof *map / sizeof *to; i++)
		to[i] = from[i];
	atomic_thread_fence(memory_order_acquire);
}

/* Adds up the table of `count` segments at `table`. */
static bool sum_segments(const struct neap__segment *table, uint32_t count, struct glance_sums *ret)
{
	struct neap__segment some[SEGMENTS_AT_ONCE];
	*ret = (struct glance_sums){0};
	for (uint32_t from = 0; from < count; from += SEGMENTS_AT_ONCE) {
		uint32_t n = count - from < SEGMENTS_AT_ONCE ? count - from : SEGMENTS_AT_ONCE;
		if (!neap__os_peek(some, table + from, n * sizeof *some))
			return false;
		for (uint32_t i = 0; i < n; i++) {
			ret->live += some[i].live;
			ret->room += some[i].room;
		}
	}
	return true;
}

/* What one try saw: copies, in which `map.pool` points to `pool`. */
struct sighting {
	struct neap_map map;
	struct neap__pool pool;
	struct glance_sums sums;
};

static bool unmoved(const struct neap_map *map, const struct neap_map *before)
{
	struct neap_map after;
	neap__map_header(map, &after);
	return after.epoch == before->epoch && after.pool == before->pool && after.segs == before->segs &&
	       after.bytes == before->bytes;
}

static bool sight(const struct neap_map *map, struct sighting *ret)
{
	neap__map_header(map, &ret->map);
	if (ret->map.pool == NULL) {
		ret->sums = (struct glance_sums){ret->map.one.live, ret->map.one.room};
		return true;
	}
	return neap__os_peek(&ret->pool, ret->map.pool, sizeof ret->pool) &&
	       ret->pool.count <= neap__segments_most(&ret->map) && ret->pool.depth <= NEAP__MAX_DEPTH &&
	       ret->pool.next_depth <= NEAP__MAX_DEPTH &&
	       sum_segments(ret->map.segs, ret->pool.count, &ret->sums) && unmoved(map, &ret->map);
}

/* Takes up to `bytes` out of what is left. Numbers that do not fit together, from a map that is being changed, thus
 * never add up to more than the total.
 */
static size_t glance_take(size_t *left, size_t bytes)
{
	bytes = bytes < *left ? bytes : *left;
	*left -= bytes;
	return bytes;
}

static size_t glance_less(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

/* Whole pages of a copied pool. */
static size_t glanced_pool_bytes(const struct neap__pool *pool)
{
	struct neap__pool copy = *pool;
	const struct neap_map holder = {.pool = &copy};
	return neap__pool_bytes(&holder, pool->touched);
}

/* Bytes of the slots of all segments; what else the tables hold goes to *ret_metadata, past their end to *ret_tail. */
static size_t glance_tables(const struct sighting *seen, size_t *ret_metadata, size_t *ret_tail)
{
	const struct neap_map *map = &seen->map;
	const struct neap__pool *pool = &seen->pool;
	size_t bytes = neap__small_bytes(map);
	*ret_tail = *ret_metadata = 0;
	if (map->pool == NULL) {
		*ret_metadata = bytes == 0 ? 0 : (size_t)(map->slots - map->ctrl);
		return glance_less(bytes, *ret_metadata);
	}
	size_t control = (pool->ctrl.stride + pool->segs.stride) * pool->count;
	size_t slots = pool->slots.stride * pool->count;
	*ret_tail = glance_less(glanced_pool_bytes(pool), control + slots);
	*ret_metadata = control + sizeof *pool + (sizeof(uint8_t *) << pool->depth) +
			(pool->next == NULL ? 0 : sizeof(uint8_t *) << pool->next_depth);
	return slots;
}

/* Divides the total, the surest first. The blocks of large and owned keys and values, which nobody counts apart,
 * are what is left of it.
 */
static void divide_glance(const struct sighting *seen, struct neap__glance *ret)
{
	const struct neap_map *map = &seen->map;
	const size_t slot = map->slot_size;
	size_t metadata, tail, left = map->bytes;
	size_t slot_bytes = glance_tables(seen, &metadata, &tail);
	size_t in_tables = glance_less(map->len, map->spilled) * slot;
	size_t limit = (size_t)map->limit * (map->pool != NULL ? seen->pool.count : 1);
	size_t spill_slots = map->spill_room * slot;

	ret->slots = slot_bytes / slot + map->spill_room;
	ret->tombstone_slots = glance_less(limit, seen->sums.live + seen->sums.room);
	ret->live = glance_take(&left, map->len * slot);
	ret->free_held = glance_take(&left, tail);
	ret->tombstone = glance_take(&left, ret->tombstone_slots * slot);
	ret->empty = glance_take(&left, glance_less(slot_bytes, in_tables + ret->tombstone) +
						glance_less(spill_slots, map->spilled * slot));
	ret->metadata =
		glance_take(&left, sizeof *map + (map->name == NULL ? 0 : map->name_len + 1) + metadata +
					   glance_less(neap__spill_bytes(map), spill_slots));
	*((map->flags & NEAP__OUTSIDE) != 0 ? &ret->live : &ret->metadata) += left;
}

static void glance_at_map(const void *object, struct neap__glance *ret)
{
	const struct neap_map *map = object;
	struct sighting seen;
	bool whole = false;
	*ret = (struct neap__glance){0};
	for (int tries = 0; tries < TRIES && !whole; tries++)
		whole = sight(map, &seen);
	if (!whole)
		neap__map_header(map, &seen.map);
	ret->len = seen.map.len;
	ret->total = seen.map.bytes;
	ret->allocator = seen.map.allocator;
	if (seen.map.name !=
	    NULL) /* neither the name nor its length changes before the map leaves the list */
		memcpy(ret->name, seen.map.name, seen.map.name_len);
	if (whole) {
		divide_glance(&seen, ret);
		ret->from_system = seen.map.pool == NULL ? 0 : glanced_pool_bytes(&seen.pool);
		ret->exact = seen.map.guard == 0;
		return;
	}
	ret->metadata = ret->total;
	ret->live = glance_take(&ret->metadata, ret->len * seen.map.slot_size);
}

const struct neap__species neap__map_species = {"map", &neap__map_beacon, glance_at_map, neap__map_survey};
