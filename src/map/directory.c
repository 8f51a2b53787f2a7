/* directory.c: from the leading bits of a hash to a segment.
 *
 * The directory has 1 << depth entries; a segment of depth d is named by 1 << (depth - d) of them, side by
 * side. Splitting a segment that is as deep as the directory needs a directory twice as long; when no segment
 * is that deep any more, half of it says as much.
 *
 * Neither happens at once in a large map. The next directory is built beside the present one, STEP entries for
 * each split or merge, and every change to the present one is repeated in the part of the next that is built.
 * A longer one is put to use when a split needs it, a shorter one when it is finished. With random hashes the
 * building is long done by then: doubling starts when the segments are 3/4 of the directory's entries and
 * takes 1/STEP as many splits.
 */
#include <string.h>

#include "map/internal.h"

enum {
	STEP = 1024,	    /* entries of the next directory built by one operation: under a microsecond */
	AT_ONCE_DEPTH = 10, /* a directory of 1 << 10 entries is built in one step anyway */
};

static size_t bytes_of_depth(uint32_t depth)
{
	return sizeof(uint8_t *) << depth;
}

static void drop_next(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	neap__map_free(map, pool->next, bytes_of_depth(pool->next_depth));
	pool->next = NULL;
}

static bool start_next(struct neap_map *map, uint32_t depth)
{
	struct neap__pool *pool = map->pool;
	if (pool->next != NULL && pool->next_depth == depth)
		return true;
	if (pool->next != NULL)
		drop_next(map);
	pool->next = neap__map_alloc(map, bytes_of_depth(depth), 64);
	pool->next_depth = depth;
	pool->next_built = 0;
	return pool->next != NULL;
}

/* Builds up to `most` entries more; true when the next directory is complete. */
static bool build_next(struct neap__pool *pool, size_t most)
{
	size_t end = (size_t)1 << pool->next_depth;
	size_t to = end - pool->next_built < most ? end : pool->next_built + most;
	for (size_t i = pool->next_built; i < to; i++)
		pool->next[i] = pool->next_depth > pool->depth ? pool->dir[i >> 1] : pool->dir[i << 1];
	pool->next_built = to;
	return to == end;
}

static void use_next(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	neap__map_free(map, pool->dir, bytes_of_depth(pool->depth));
	pool->dir = pool->next;
	pool->depth = pool->next_depth;
	pool->next = NULL;
	map->dir = pool->dir;
	map->dir_shift = (uint8_t)(64 - pool->depth);
}

static void assign(uint8_t **dir, uint32_t depth, size_t built, uint32_t path, uint8_t *begin)
{
	uint32_t own = neap__path_depth(path);
	if (own > depth)
		return; /* a shorter directory under construction that this segment's depth has made useless */
	size_t first = (uint64_t)neap__path_bits(path) >> (32 - depth);
	size_t end = first + ((size_t)1 << (depth - own));
	for (size_t i = first; i < end && i < built; i++)
		dir[i] = begin;
}

void neap__dir_assign(struct neap_map *map, uint32_t path, uint32_t number)
{
	struct neap__pool *pool = map->pool;
	uint8_t *begin = neap__begin_of(map, number);
	assign(pool->dir, pool->depth, (size_t)1 << pool->depth, path, begin);
	if (pool->next != NULL)
		assign(pool->next, pool->next_depth, pool->next_built, path, begin);
}

void neap__dir_rebase(struct neap_map *map, const uint8_t *old)
{
	struct neap__pool *pool = map->pool;
	for (size_t i = 0; i < (size_t)1 << pool->depth; i++)
		pool->dir[i] = map->ctrl + ((uintptr_t)pool->dir[i] - (uintptr_t)old);
	for (size_t i = 0; pool->next != NULL && i < pool->next_built; i++)
		pool->next[i] = map->ctrl + ((uintptr_t)pool->next[i] - (uintptr_t)old);
}

int neap__dir_double(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	if (!start_next(map, pool->depth + 1))
		return NEAP_ENOMEM;
	build_next(pool, SIZE_MAX);
	use_next(map);
	return NEAP_OK;
}

static bool halving_is_due(const struct neap__pool *pool)
{
	return pool->at_depth[pool->depth] == 0 && pool->depth > 1;
}

void neap__dir_step(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	if (halving_is_due(pool)) {
		bool at_once = pool->depth <= AT_ONCE_DEPTH;
		if (start_next(map, pool->depth - 1) && build_next(pool, at_once ? SIZE_MAX : STEP))
			use_next(map);
		return;
	}
	if (pool->next != NULL && pool->next_depth < pool->depth)
		drop_next(map); /* a segment has become that deep again */
	bool soon = pool->depth >= AT_ONCE_DEPTH && pool->depth < NEAP__MAX_DEPTH &&
		    pool->count >= ((size_t)3 << pool->depth) / 4;
	if (soon && start_next(map, pool->depth + 1))
		build_next(pool, STEP);
	else if (!soon && pool->next != NULL)
		drop_next(map);
}

void neap__dir_shrink(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	while (halving_is_due(pool)) {
		if (!start_next(map, pool->depth - 1))
			return;
		build_next(pool, SIZE_MAX);
		use_next(map);
	}
}

void neap__dir_free(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	if (pool->next != NULL)
		drop_next(map);
	neap__map_free(map, pool->dir, bytes_of_depth(pool->depth));
	pool->dir = NULL;
}
