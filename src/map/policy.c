/* policy.c: when to grow, split, repair, merge and shrink.
 *
 * Growing. An insert into a segment without room does the first of these that helps:
 *     repair   when more than 1/8 of the limit are tombstones
 *     grow     a small table to its next size, or to a pool
 *     split    the segment
 *     spill    the entry, when splitting has not separated the hashes and would not
 *
 * Shrinking. Every (shrink_step + 1)-th delete of a segment, and the one that empties it, asks whether something is
 * due, if the segment has shrink_at entries or fewer. It merges two buddies if the segment and its buddy fit into 21/32
 * of a limit, turns a pool no larger than the largest small table into a small table when it is 3/8 full, and a small table
 * into a smaller one. (At 1/8, 1,000 entries left of 100,000 kept 3.3 % of the bytes.) A want of memory puts shrinking
 * off to the next such delete.
 *
 * Which two buddies. Those of the last segment, if they fit into 3/4: what they leave behind is the end of the pool,
 * and nothing has to move into a hole. Segments that shrink evenly can nearly always be merged in that order, which is
 * the reverse of that in which they were split. Otherwise the segment that asked and its buddy.
 *
 * Degenerate hashes. Random hashes never need a segment much deeper than the logarithm of their number: a
 * segment of 1680 entries that splits one-sided 6 times over has probability 2^-10000. So a segment deeper than
 * that by DEPTH_SLACK spills instead, and the map says that its hash is degenerate. Memory stays bounded by
 * the entries plus DEPTH_SLACK segments for each degenerate one. It says so, too, of a hash that left all entries of
 * a full segment on one side of a split: only such hashes can move more than neap_map_move_bound at once.
 */
#include "base/probes.h"
#include "map/internal.h"

/* One step makes room unless a split leaves all entries of a segment on one side: in a hostile build by chance. */
#ifdef NEAP_HOSTILE
enum { DEPTH_SLACK = 3, STEPS_MOST = NEAP__MAX_DEPTH };
#else
enum { DEPTH_SLACK = 6, STEPS_MOST = 1 };
#endif

enum {
	CHECKS = 32, /* a segment asks what is due each time it has lost another 1/32 of its limit, or less */
	SMALL_STEP = 4 /* and a small table after so many at least */
};

static uint32_t floor_log2(uint32_t n)
{
	return 31u - (uint32_t)__builtin_clz(n | 1);
}

/* True for a map that has been more than one segment: 1 % of it may still be hundreds of entries, and its small
 * tables are halved at 3/8, when a third of the new one is free. Others are quartered at 1/8, which costs a third of
 * the moves: erasing all of 1,000 entries took 6.7 ns each, and 15.5 ns with halving.
 */
static bool follows_closely(const struct neap_map *map)
{
	return map->splits + map->merges != 0;
}

static uint32_t small_shrink_at(const struct neap_map *map, uint32_t limit)
{
	return follows_closely(map) && limit > NEAP__GROUP_SLOTS ? limit * 3 / 8 : limit / 8;
}

void neap__policy_set(struct neap_map *map)
{
	uint32_t limit = map->limit;
	map->shrink_at =
		(uint16_t)(map->pool != NULL ? NEAP__MERGE_LIMIT(limit) : small_shrink_at(map, limit));
	uint32_t share = limit / CHECKS, step = map->pool == NULL && share < SMALL_STEP ? SMALL_STEP : share;
	uint32_t mask = map->shrink == NEAP_SHRINK_AUTO ? (1u << floor_log2(step)) - 1u : UINT16_MAX;
	map->shrink_step = (uint16_t)mask;
}

size_t neap__expected_fill(const struct neap_map *map)
{
	size_t limit = neap__limit(map), root = 1;
	while (root * root < limit)
		root++;
	return limit > 10 * root ? limit - 5 * root : limit / 2;
}

static bool may_split(const struct neap_map *map, uint32_t number)
{
	uint32_t depth = neap__path_depth(map->segs[number].path);
	return depth < NEAP__MAX_DEPTH && depth < floor_log2(map->pool->count) + DEPTH_SLACK;
}

static int grow_small(struct neap_map *map)
{
	const size_t want = (size_t)map->limit + 1;
	const uint32_t segments = neap__small_segments(map);
	return want <= neap__small_most(map) ? neap__small_resize(map, want)
					     : neap__pool_from_small(map, segments < 2 ? 2 : segments);
}

enum { MUST_SPILL = 1 };

/* One step towards room in segment `number`: 0, an error, or MUST_SPILL when no step would help. */
static int make_room(struct neap_map *map, uint32_t number)
{
	const struct neap__segment *seg = &map->segs[number];
	uint32_t limit = map->limit;
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
	int error = NEAP_OK, steps = 0;
	for (; error == NEAP_OK && map->segs[neap__segment_of(map, hash)].room == 0; steps++)
		error = make_room(map, neap__segment_of(map, hash));
	if (error == MUST_SPILL || steps > STEPS_MOST)
		map->flags |= NEAP__DEGENERATE;
	neap__moves_end(map);
	NEAP__PROBE3(map__grow, map, map->name, map->len);
	if (error == MUST_SPILL) {
		map->version++;
		return neap__spill_claim(map, hash);
	}
	return error == NEAP_OK ? neap__claim(map, neap__shape_of(map), hash) : NULL;
}

static void shrink_small(struct neap_map *map)
{
	size_t want = follows_closely(map) ? map->len + map->len / 3 : map->len * 2;
	want = want > map->floor ? want : map->floor;
	if (want < map->limit && neap__small_limit_for(map, want) < map->limit)
		(void)neap__small_resize(map, want);
}

uint32_t neap__fewest_segments(const struct neap_map *map)
{
	size_t limit = neap__limit(map), needed = map->floor / limit + (map->floor % limit != 0);
	return needed > 1 ? (uint32_t)(needed < UINT32_MAX ? needed : UINT32_MAX) : 1;
}

static bool pool_fits_small(const struct neap_map *map)
{
	if (map->pool->count > neap__small_segments(map))
		return false;
	const size_t most = neap__small_most(map);
	return map->len <= most * 3 / 8 && map->floor <= most;
}

static void shrink_pool(struct neap_map *map, uint32_t number)
{
	if (pool_fits_small(map)) {
		const size_t want = map->len + map->len / 3;
		(void)neap__small_resize(map, want > map->floor ? want : map->floor);
	} else if (map->pool->count > neap__fewest_segments(map) &&
		   neap__segment_merges(map, number, NEAP__MERGE_LIMIT(neap__limit(map)))) {
		const uint32_t last = map->pool->count - 1;
		if (!neap__segment_merge(map, last, NEAP__TAIL_MERGE_LIMIT(neap__limit(map))))
			(void)neap__segment_merge(map, number, NEAP__MERGE_LIMIT(neap__limit(map)));
		neap__dir_step(map);
	}
}

void neap__map_sparse(struct neap_map *map, struct neap__segment *seg)
{
	if (map->shrink != NEAP_SHRINK_AUTO || seg->live > map->shrink_at)
		return;
	neap__moves_begin(map);
	if (map->len == 0 && map->floor == 0)
		neap__map_discard(map);
	else if (map->pool == NULL)
		shrink_small(map);
	else
		shrink_pool(map, (uint32_t)(seg - map->segs));
	neap__moves_end(map);
	NEAP__PROBE3(map__shrink, map, map->name, map->len);
}

bool neap__map_sparse_end(struct neap_map *map, struct neap__segment *seg, const char *operation)
{
	neap__map_sparse(map, seg);
	neap__write_end(map, operation);
	return true;
}
