/* pool.c: the memory of segments.
 *
 * The control words of all segments lie one after the other in one area, the slots in a second, the segment
 * table in a third; each area is a reservation of address space, of which only the used front is resident:
 *
 *     ctrl    | segment 0 | segment 1 | ... | segment count-1 | spare | returned ...
 *     slots   | segment 0 | segment 1 | ... | segment count-1 | spare | returned ...
 *
 * So a miss, which reads control words only, touches a small dense area. The areas stay dense: the hole that a
 * merge leaves is filled with the last segment, and the tail goes back to the system, page by page, except for
 * a few spare segments so that a map at the edge does not fault its pages in and out.
 *
 * Invariants:
 *     count <= touched <= reserved
 *     bytes handed out for the pool == whole pages of `touched` segments in each area + the directory
 */
#include <string.h>

#include "base/os.h"
#include "base/probes.h"
#include "base/releases.h"
#include "map/internal.h"

#ifdef NEAP_HOSTILE
enum { FIRST_RESERVATION = 64 };
#else
/* Segments: 4 GB of address space for 16-byte slots, of which nothing is resident; moving one of 60 MB to a larger
 * one took 170 us.
 */
enum { FIRST_RESERVATION = 131072 };
#endif

enum {
	RESERVATION_GROWTH = 16,
	SPARE_SHARE = 32, /* one segment kept at the tail for every so many in use: 3 % */
	RETURN_MOST = 8,  /* segments given back by one operation: 240 KB; returning 1 MB took 84 us here */
};

static size_t pool_round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

static size_t whole_pages(size_t bytes)
{
	return pool_round_up(bytes, neap__os_page_size());
}

size_t neap__pool_bytes(const struct neap_map *map, uint32_t touched)
{
	const struct neap__pool *pool = map->pool;
	return whole_pages(pool->ctrl.stride * touched) + whole_pages(pool->slots.stride * touched) +
	       whole_pages(pool->segs.stride * touched);
}

/* Points the map's short paths at the areas. */
static void publish(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	neap__map_aim(map, pool->ctrl.base, pool->slots.base,
		      (struct neap__segment *)(void *)pool->segs.base);
}

static void take_pages(const struct neap__area *area, uint32_t from, uint32_t to)
{
	size_t begin = whole_pages(area->stride * from);
	neap__os_populate(area->base + begin, whole_pages(area->stride * to) - begin);
}

/* Leaves what lies beyond `segments` out of core files, and takes in what lies before. gcore writes out what is readable,
 * and would write gigabytes of address space that nothing ever touched.
 */
static void set_dumped(struct neap__pool *pool, uint32_t segments)
{
	struct neap__area *areas[] = {&pool->ctrl, &pool->slots, &pool->segs};
	const bool marked = pool->dumped != 0;
	pool->dumped = segments < pool->reserved ? segments : pool->reserved;
	for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++) {
		size_t front = areas[i]->stride * pool->dumped;
		if (marked)
			neap__os_dump(areas[i]->base, front, true);
		neap__os_dump(areas[i]->base + front, areas[i]->reserved - front, false);
	}
}

/* Twice what is used, so that it is rarely set. */
static void follow_dumped(struct neap__pool *pool)
{
	if (pool->touched > pool->dumped || pool->touched < pool->dumped / 8)
		set_dumped(pool, 2 * pool->touched);
}

/* Takes more pages, or accounts for those that were returned. A segment writes to all of its pages soon: taking them
 * at once cost 0.54 us a page here, and 0.93 one fault after the other.
 */
static void touch(struct neap_map *map, uint32_t touched)
{
	struct neap__pool *pool = map->pool;
	size_t before = neap__pool_bytes(map, pool->touched);
	if (touched > pool->touched) {
		take_pages(&pool->slots, pool->touched, touched);
		take_pages(&pool->ctrl, pool->touched, touched);
	}
	pool->touched = touched;
	if (touched != 0)
		follow_dumped(pool);
	neap__map_account(map, neap__pool_bytes(map, touched), before);
}

static void release_areas(struct neap__pool *pool)
{
	neap__os_release(pool->ctrl.base, pool->ctrl.reserved);
	neap__os_release(pool->slots.base, pool->slots.reserved);
	neap__os_release(pool->segs.base, pool->segs.reserved);
}

static bool reserve_area(struct neap__area *area, uint32_t segments)
{
	area->reserved = whole_pages(area->stride * segments);
	area->base = neap__os_reserve(area->reserved);
	return area->base != NULL;
}

/* Reserves address space for `want` segments, or for as few as `need` when the system is strict. */
static bool reserve_areas(struct neap__pool *pool, uint32_t want, uint32_t need)
{
	for (;; want = want / 2 > need ? want / 2 : need) {
		if (reserve_area(&pool->ctrl, want) && reserve_area(&pool->slots, want) &&
		    reserve_area(&pool->segs, want)) {
			pool->reserved = want;
			return true;
		}
		release_areas(pool);
		pool->ctrl.base = pool->slots.base = pool->segs.base = NULL;
		if (want == need)
			return false;
	}
}

static bool grow_area(struct neap__area *area, uint32_t segments)
{
	size_t reserved = whole_pages(area->stride * segments);
	if (reserved <= area->reserved)
		return true;
	uint8_t *base = neap__os_grow(area->base, area->reserved, reserved);
	if (base == NULL)
		return false;
	area->base = base;
	area->reserved = reserved;
	return true;
}

/* More address space. An area that grew while another could not is simply larger than it needs to be; but it has
 * moved, as an iterator must know although nothing was inserted.
 */
static int grow_areas(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	bool grown = false;
	NEAP__UNPOISON(pool->slots.base, pool->slots.stride * pool->count); /* they may move */
	set_dumped(pool, pool->reserved); /* what is marked in parts does not move as one */
	for (uint32_t factor = RESERVATION_GROWTH; factor >= 2 && !grown; factor /= 2) {
		uint64_t want = (uint64_t)pool->reserved * factor;
		if (want > neap__segments_most(map))
			continue;
		grown = grow_area(&pool->ctrl, (uint32_t)want) && grow_area(&pool->slots, (uint32_t)want) &&
			grow_area(&pool->segs, (uint32_t)want);
		if (grown)
			pool->reserved = (uint32_t)want;
	}
	const uint8_t *old = map->ctrl;
	publish(map);
	set_dumped(pool, 2 * pool->touched);
	if (map->ctrl != old)
		neap__dir_rebase(map, old);
	map->epoch++;
	return grown ? NEAP_OK : NEAP_ENOMEM;
}

/* The number whose `bits` binary digits are those of n in reverse. */
static uint32_t reversed(uint32_t n, uint32_t bits)
{
	uint32_t ret = 0;
	for (uint32_t i = 0; i < bits; i++)
		ret |= (n >> i & 1) << (bits - 1 - i);
	return ret;
}

/* `segments` empty segments of one depth, numbered as splits of segment after segment would have numbered them: the
 * second half of the pool are the buddies of the first, so that the last segment can be merged first.
 */
static void lay_out(struct neap_map *map, uint32_t segments)
{
	struct neap__pool *pool = map->pool;
	uint32_t depth = (uint32_t)__builtin_ctz(segments);
	pool->count = segments;
	pool->at_depth[depth] = segments;
	for (uint32_t number = 0; number < segments; number++) {
		uint32_t bits = depth == 0 ? 0 : reversed(number, depth) << (32 - depth);
		map->segs[number] = (struct neap__segment){
			.live = 0, .room = (uint16_t)neap__limit(map), .path = neap__path_of(bits, depth)};
	}
	for (size_t i = 0; i < (size_t)1 << pool->depth; i++)
		pool->dir[i] = neap__begin_of(map, reversed((uint32_t)(i >> (pool->depth - depth)), depth));
}

int neap__pool_make(struct neap_map *map, uint32_t segments)
{
	struct neap__pool *pool = neap__map_alloc(map, sizeof *pool, 64);
	if (pool == NULL)
		return NEAP_ENOMEM;
	size_t groups = (size_t)1 << map->group_bits;
	uint32_t depth = segments == 1 ? 1 : (uint32_t)__builtin_ctz(segments);
	*pool = (struct neap__pool){.ctrl.stride = groups * NEAP__CONTROL_BYTES,
				    .slots.stride = groups * map->group_bytes,
				    .segs.stride = sizeof(struct neap__segment),
				    .depth = depth};
	uint32_t want = FIRST_RESERVATION;
	while (want < segments)
		want *= RESERVATION_GROWTH;
	size_t dir_bytes = sizeof(uint8_t *) << depth;
	pool->dir = neap__map_alloc(map, dir_bytes, 64);
	if (pool->dir == NULL || !reserve_areas(pool, want, segments < 4 ? 4 : segments)) {
		neap__map_free(map, pool->dir, dir_bytes);
		neap__map_free(map, pool, sizeof *pool);
		return NEAP_ENOMEM;
	}
	map->pool = pool;
	map->dir = pool->dir;
	map->dir_shift = (uint8_t)(64 - depth);
	map->home_mask = NEAP__CONTROL_BYTES * (uint32_t)(groups - 1);
	map->home_shift = (uint8_t)(36 - map->group_bits);
	map->small_slots = 0;
	map->limit = (uint16_t)neap__limit(map);
	publish(map);
	touch(map, segments);
	lay_out(map, segments);
	neap__policy_set(map);
	return NEAP_OK;
}

int neap__pool_from_small(struct neap_map *map, uint32_t segments)
{
	struct neap__table small = {map->ctrl, map->slots, neap__last_group(map) + 1u};
	size_t bytes = neap__small_bytes(map);
	bool crowded = map->one.live > neap__limit(map) && neap__segments_crowd(map, &small, segments);
	if (crowded) {
		segments *= 2;
		crowded = neap__segments_crowd(map, &small, segments);
	}
	if (crowded)
		map->flags |= NEAP__DEGENERATE;
	int error = crowded ? neap__spill_provide(map, map->one.live) : NEAP_OK;
	if (error == NEAP_OK)
		error = neap__pool_make(map, segments);
	if (error == NEAP_OK)
		neap__segments_fill(map, &small);
	if (crowded)
		neap__spill_fit(map);
	if (error != NEAP_OK)
		return error;
	if (bytes != 0)
		neap__map_free(map, (uint8_t *)(uintptr_t)small.ctrl, bytes);
	map->epoch++;
	for (uint32_t number = 0; number < segments && map->spilled != 0; number++)
		neap__spill_settle(map, number);
	return NEAP_OK;
}

void neap__pool_destroy(struct neap_map *map)
{
	struct neap__pool *pool = map->pool;
	NEAP__UNPOISON(pool->slots.base, pool->slots.stride * pool->count);
	touch(map, 0);
	neap__dir_free(map);
	release_areas(pool);
	neap__map_free(map, pool, sizeof *pool);
	map->pool = NULL;
}

int neap__pool_add(struct neap_map *map, uint32_t *ret)
{
	struct neap__pool *pool = map->pool;
	if (pool->count == pool->reserved && grow_areas(map) != NEAP_OK)
		return NEAP_ENOMEM;
	*ret = pool->count++;
	if (pool->count > pool->touched)
		touch(map, pool->count);
	return NEAP_OK;
}

void neap__pool_drop(struct neap_map *map, uint32_t number)
{
	struct neap__pool *pool = map->pool;
	uint32_t last = --pool->count;
	NEAP__UNPOISON(pool->slots.base + pool->slots.stride * last, pool->slots.stride);
	if (number != last) {
		NEAP__UNPOISON(pool->slots.base + pool->slots.stride * number, pool->slots.stride);
		memcpy(pool->ctrl.base + pool->ctrl.stride * number,
		       pool->ctrl.base + pool->ctrl.stride * last, pool->ctrl.stride);
		memcpy(pool->slots.base + pool->slots.stride * number,
		       pool->slots.base + pool->slots.stride * last, pool->slots.stride);
		map->segs[number] = map->segs[last];
		neap__dir_assign(map, map->segs[number].path, number);
		map->relocations++;
		map->moved_now += map->segs[number].live;
	}
	neap__pool_trim(map, false);
}

/* What one page of page tables maps on x86-64, and on aarch64 with pages of 4 KB. */
enum { PAGE_TABLE_SPAN = 2 << 20 };

/* Returns the whole pages of segments keep to touched - 1; false when the system refused. Where that empties a whole
 * 2 MB, these are returned once more as one range: Linux 6.14 and later then frees their page tables too. Otherwise the
 * last step from a pool to a small table has to free all that the map ever needed: 120 us after 1e7 entries.
 */
static bool give_back(const struct neap__area *area, uint32_t keep, uint32_t touched)
{
	size_t from = whole_pages(area->stride * keep), to = whole_pages(area->stride * touched);
	if (from != to && neap__os_return(area->base + from, to - from) != to - from)
		return false;
	size_t low = pool_round_up(from, PAGE_TABLE_SPAN), high = pool_round_up(to, PAGE_TABLE_SPAN);
	high = high < area->reserved ? high : area->reserved;
	if (low < high)
		(void)neap__os_return(area->base + low, high - low);
	return true;
}

void neap__pool_trim(struct neap_map *map, bool all)
{
	struct neap__pool *pool = map->pool;
	uint32_t spare = all ? 0 : pool->count / SPARE_SHARE;
	uint32_t keep = pool->count + spare;
	uint32_t batch = all || spare == 0 ? 1 : spare < RETURN_MOST / 2 ? spare : RETURN_MOST / 2;
	if (pool->touched < keep + batch)
		return;
	if (!all && pool->touched > keep + RETURN_MOST)
		keep = pool->touched - RETURN_MOST;
	if (give_back(&pool->slots, keep, pool->touched) && give_back(&pool->ctrl, keep, pool->touched) &&
	    give_back(&pool->segs, keep, pool->touched)) {
		size_t bytes = neap__pool_bytes(map, pool->touched) - neap__pool_bytes(map, keep);
		neap__released(bytes / neap__os_page_size(), 0);
		NEAP__PROBE3(map__release, map, map->name, bytes);
		touch(map, keep);
	}
}
