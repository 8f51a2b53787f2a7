/* policy.c: when to grow, split, repair, merge and shrink.
 *
 * Growing. An insert into a segment without room does the first of these that helps:
 *     repair   when more than 1/8 of the limit are tombstones
 *     grow     a small table to its next size, or to a pool of one segment
 *     split    the segment
 *     spill    the entry, when splitting has not separated the hashes and would not
 *
 * Shrinking. A delete that leaves a segment with shrink_at entries or fewer, at every (shrink_step + 1)-th
 * delete and when it is empty, merges it with its buddy if both fit into half a limit, turns a pool of one
 * nearly empty segment into a small table, and a small table of which an eighth is left into one of a quarter of
 * its size. A want of memory puts shrinking off to the next such delete.
 *
 * Degenerate hashes. Random hashes never need a segment much deeper than the logarithm of their number: a
 * segment of 3360 entries that splits one-sided 6 times over has probability 2^-20000. So a segment deeper than
 * that by DEPTH_SLACK spills instead, and the map says that its hash is degenerate. Memory stays bounded by
 * the entries plus DEPTH_SLACK segments for each degenerate one.
 */
#include "map/internal.h"

#ifdef NEAP_HOSTILE
enum { DEPTH_SLACK = 3, CHECK_EVERY = 1 };
#else
enum { DEPTH_SLACK = 6, CHECK_EVERY = 64 };
#endif

static uint32_t limit_now(const struct neap_map *map)
{
	return map->pool != NULL ? neap__limit(map) : neap__small_limit(map);
}

void neap__policy_set(struct neap_map *map)
{
	uint32_t limit = limit_now(map);
	map->shrink_at = (uint16_t)(map->pool != NULL ? NEAP__MERGE_LIMIT(limit) : limit / 8);
	map->shrink_step = limit > CHECK_EVERY * 4 ? CHECK_EVERY - 1 : 0;
}

static uint32_t floor_log2(uint32_t n)
{
	return 31u - (uint32_t)__builtin_clz(n | 1);
}

static bool may_split(const struct neap_map *map, uint32_t number)
{
	uint32_t depth = neap__path_depth(map->segs[number].path);
	return depth < NEAP__MAX_DEPTH && depth < floor_log2(map->pool->count) + DEPTH_SLACK;
}

static int grow_small(struct neap_map *map)
{
	size_t want = (size_t)neap__small_limit(map) + 1;
	return want <= neap__small_most(map) ? neap__small_resize(map, want) : neap__pool_from_small(map, 1);
}

enum { MUST_SPILL = 1 };

/* One step towards room in segment `number`: 0, an error, or MUST_SPILL when no step would help. */
static int make_room(struct neap_map *map, uint32_t number)
{
	const struct neap__segment *seg = &map->segs[number];
	uint32_t limit = limit_now(map);
	if (limit - seg->live > limit / 8 && limit != 0) {
		neap__segment_repair(map, number);
		return NEAP_OK;
	}
	if (map->pool == NULL)
		return grow_small(map);
	if (!may_split(map, number))
		return MUST_SPILL;
	int error = neap__segment_split(map, number);
	if (error == NEAP_OK)
		neap__dir_step(map);
	return error;
}

uint8_t *neap__map_claim_slow(struct neap_map *map, uint64_t hash)
{
	neap__moves_begin(map);
	int error = NEAP_OK;
	while (error == NEAP_OK && map->segs[neap__segment_of(map, hash)].room == 0)
		error = make_room(map, neap__segment_of(map, hash));
	if (error == MUST_SPILL)
		map->flags |= NEAP__DEGENERATE;
	neap__moves_end(map);
	if (error == MUST_SPILL)
		return neap__spill_claim(map, hash);
	return error == NEAP_OK ? neap__claim(map, neap__shape_of(map), hash) : NULL;
}

static void shrink_small(struct neap_map *map)
{
	if (map->len == 0 && map->floor == 0) {
		neap__small_free(map);
		map->epoch++;
		return;
	}
	size_t want = map->len * 2 > map->floor ? map->len * 2 : map->floor;
	if (want <= neap__small_limit(map) / 2 && neap__small_limit_for(want) < neap__small_limit(map))
		(void)neap__small_resize(map, want);
}

static void shrink_pool(struct neap_map *map, uint32_t number)
{
	uint32_t limit = neap__limit(map);
	if ((size_t)(map->pool->count - 1) * limit < map->floor)
		return;
	if (map->pool->count > 1) {
		if (neap__segment_merge(map, number, NEAP__MERGE_LIMIT(limit)))
			neap__dir_step(map);
	} else if (map->len <= limit / 8 && map->floor <= neap__small_most(map)) {
		size_t want = map->len * 2 > map->floor ? map->len * 2 : map->floor;
		(void)neap__small_resize(map, want);
	}
}

void neap__map_sparse(struct neap_map *map, uint64_t hash)
{
	if (map->shrink != NEAP_SHRINK_AUTO)
		return;
	neap__moves_begin(map);
	if (map->pool == NULL)
		shrink_small(map);
	else
		shrink_pool(map, neap__segment_of(map, hash));
	neap__moves_end(map);
}
