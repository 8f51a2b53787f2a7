/* iterate.c: iteration that survives inserts, deletes, splits, merges and moves of segments.
 *
 * The promise is Go's: an entry that stays in the map for the whole loop is produced exactly once; one deleted
 * before it was reached is not; one inserted meanwhile may be or not. The loop starts at random.
 *
 * Order. Entries are produced in the order of their hashes, coarsely: first by the leading 24 bits, in the
 * ranges that the segments had when the loop reached them; within a range by home, the 8 bits below. Neither
 * ever changes for an entry, whatever happens to segments and groups, so (range, home) says what is done:
 *
 *     start range              next range                    start range again
 *     [lo, hi) home s..255     [lo', hi') home 0..255  ...   [lo, hi) home 0..s-1
 *
 * Units. The loop works through a range in units: a few homes, [home, home_end).
 *
 *   FAST  While a range is still exactly one segment, a unit is walked in place, group by group. Of each key
 *         produced a fingerprint is noted. A few groups a..b make a unit when neither the group before a nor b
 *         has an overflow bit: the entries in these groups are then exactly those whose home is one of them,
 *         and nothing need be hashed. Where groups ran over for longer, the unit is the homes of one group,
 *         walked as far as it ran over, and every entry is hashed to see whether it belongs.
 *   SLOW  When entries have moved since the unit began (map->epoch), or the range is no longer one segment,
 *         or more was produced than can be noted: the entries of the unit are searched for, by hash, wherever
 *         they now are, and produced in the order of their fingerprints, except those already noted. Each step
 *         searches the unit again: quadratic in the few entries of a unit, and without memory.
 *
 * So a loop that changes nothing hardly hashes, and a loop that does change the map pays for the unit that it
 * is in. Nothing points from the map to the iterator: one that is abandoned costs nothing.
 *
 * A slot that was freed and taken again during a FAST unit belongs to a newcomer, which may be produced, but
 * only if its home is in the unit; the overflow byte of the group before a says when that has to be looked at.
 */
#include <string.h>

#include "base/fault.h"
#include "base/random.h"
#include "map/internal.h"

enum { SEEN = 120, RUN_MOST = 6 };
_Static_assert(sizeof((struct neap_map_iter *)0)->neap__seen == SEEN * sizeof(uint64_t), "seen");
#define HOMES	 256u
#define PREFIXES (UINT32_C(1) << NEAP__MAX_DEPTH)

enum mode {
	NEXT_UNIT,
	FAST,
	SLOW_FIRST, /* nothing produced since the unit became slow */
	SLOW,
	DONE,
};

enum lap { FIRST_LAP, MIDDLE_LAP, LAST_LAP };

/* The leading 24 bits of the hashes of a segment: [lo, hi). */
struct range {
	uint32_t lo, hi;
};

static struct range range_of(const struct neap_map *map, uint32_t number)
{
	uint32_t path = map->segs[number].path;
	uint32_t lo = neap__path_bits(path) >> 8;
	return (struct range){lo, lo + (PREFIXES >> neap__path_depth(path))};
}

static uint32_t segment_at(const struct neap_map *map, uint32_t prefix)
{
	return neap__segment_of(map, (uint64_t)prefix << 40);
}

/* Homes per group, as a shift: 256 homes over the groups of a segment. */
static uint32_t home_bits(const struct neap_map *map)
{
	return map->home_shift - 28u;
}

/* What stands for a key while its unit is worked on: the key itself if it fits. */
static uint64_t fingerprint(const struct neap_map *map, const uint8_t *slot)
{
	size_t size = map->type->key_size > NEAP_MAP_INLINE_MAX ? sizeof(void *) : map->type->key_size;
	uint64_t print = size <= 16 ? neap__fingerprint(slot, size) : neap__hash_bytes(slot, size, map->seed);
	bool floats = map->type->kind == NEAP_KEY_F32 || map->type->kind == NEAP_KEY_F64;
	if (floats) /* tells the NaNs of one bit pattern apart */
		print ^= neap__fold(neap__slot_hash(map, slot) | 1, UINT64_C(0xa0761d6478bd642f));
	return print;
}

static bool in_unit(const struct neap_map_iter *it, uint32_t hash_high)
{
	uint32_t home = hash_high & (HOMES - 1), prefix = hash_high >> 8;
	return home >= it->neap__home && home < it->neap__home_end && prefix >= it->neap__lo &&
	       prefix < it->neap__hi;
}

static void show(struct neap_map_iter *it, uint8_t *slot)
{
	it->key = neap__slot_key(it->neap__map, slot);
	it->value = neap__slot_value(it->neap__map, slot);
}

/* ---- Units ---- */

static uint32_t last_home(const struct neap_map_iter *it)
{
	return it->neap__lap == LAST_LAP ? it->neap__start_home : HOMES;
}

/* Goes on to the next range; false when the loop is complete. */
static bool next_range(struct neap_map_iter *it)
{
	if (it->neap__lap == LAST_LAP)
		return false;
	uint32_t lo = it->neap__hi == PREFIXES ? 0 : it->neap__hi;
	if (lo == it->neap__start_lo) {
		it->neap__lap = LAST_LAP;
		it->neap__lo = lo;
		it->neap__hi = it->neap__start_hi;
	} else {
		struct range range = range_of(it->neap__map, segment_at(it->neap__map, lo));
		bool wraps_into_start = lo < it->neap__start_lo && range.hi > it->neap__start_lo;
		it->neap__lap = MIDDLE_LAP;
		it->neap__lo = lo;
		it->neap__hi = wraps_into_start ? it->neap__start_lo : range.hi;
	}
	it->neap__home = 0;
	return true;
}

static uint8_t overflow_of(const struct neap_map *map, uint32_t number, uint32_t group)
{
	return neap__ctrl_at(map, number, group & neap__last_group(map))[NEAP__OVERFLOW];
}

static void enter_group(struct neap_map_iter *it, uint32_t number, uint32_t group)
{
	it->neap__group = group;
	it->neap__ctrl = neap__ctrl_at(it->neap__map, number, group);
	it->neap__slots = neap__slots_at(it->neap__map, number, group);
	it->neap__live = neap__turned(~neap__empty(it->neap__ctrl) & NEAP__GROUP_MASK, it->neap__offset);
}

/* The largest group b from `group` on, at most RUN_MOST groups away, that did not overflow: nothing runs out of
 * group..b. UINT32_MAX when there is none.
 */
static uint32_t run_end(const struct neap_map *map, uint32_t number, uint32_t group)
{
	uint32_t end = UINT32_MAX;
	for (uint32_t b = group; b < group + RUN_MOST && b <= neap__last_group(map); b++)
		if (overflow_of(map, number, b) == 0)
			end = b;
	return end;
}

/* Groups that the entries of `group` ran over into. */
static uint32_t overrun(const struct neap_map *map, uint32_t number, uint32_t group)
{
	uint32_t length = 0;
	while (length < neap__last_group(map) && overflow_of(map, number, group + length) != 0)
		length++;
	return length;
}

/* True when neap__iter_step does what step_fast would do. */
static bool has_common_step(const struct neap_map *map)
{
	const struct neap_map_type *type = map->type;
	return type->key_size <= 16 && type->value_size <= NEAP_MAP_INLINE_MAX &&
	       type->kind != NEAP_KEY_F32 && type->kind != NEAP_KEY_F64 && (map->flags & NEAP__STRICT) == 0;
}

/* Begins a FAST unit at the present home if the range is one segment, and the home the first of a group. */
static bool begin_fast(struct neap_map_iter *it)
{
	const struct neap_map *map = it->neap__map;
	uint32_t number = segment_at(map, it->neap__lo), shift = home_bits(map);
	struct range range = range_of(map, number);
	uint32_t home = it->neap__home, group = home >> shift;
	if (range.lo != it->neap__lo || range.hi != it->neap__hi || group << shift != home ||
	    map->spilled != 0)
		return false;
	uint32_t end = run_end(map, number, group);
	bool alone = end != UINT32_MAX && (end + 1) << shift <= last_home(it) &&
		     overflow_of(map, number, group - 1) == 0;
	it->neap__filter = !alone;
	it->neap__groups_left = alone ? end - group : overrun(map, number, group);
	it->neap__home_end = (uint16_t)(((alone ? end : group) + 1) << shift);
	it->neap__common = alone && has_common_step(map);
	it->neap__before = neap__ctrl_at(map, number, (group - 1) & neap__last_group(map)) + NEAP__OVERFLOW;
	if (it->neap__home_end > last_home(it))
		return false;
	enter_group(it, number, group);
	it->neap__mode = FAST;
	return true;
}

static void begin_slow(struct neap_map_iter *it)
{
	it->neap__common = false;
	uint32_t shift = home_bits(it->neap__map), home = it->neap__home;
	uint32_t end = ((home >> shift) + 1) << shift;
	it->neap__home_end = (uint16_t)(end < last_home(it) ? end : last_home(it));
	it->neap__mode = SLOW_FIRST;
}

static bool next_unit(struct neap_map_iter *it)
{
	while (it->neap__home >= last_home(it))
		if (!next_range(it))
			return false;
	it->neap__seen_len = 0;
	it->neap__epoch = it->neap__map->epoch;
	if (!begin_fast(it))
		begin_slow(it);
	return true;
}

static void end_unit(struct neap_map_iter *it)
{
	it->neap__common = false;
	it->neap__home = it->neap__home_end;
	it->neap__mode = NEXT_UNIT;
}

/* ---- FAST ---- */

/* True when the entry in this slot of the present group is one to produce. */
static bool belongs(const struct neap_map_iter *it, size_t index)
{
	const struct neap_map *map = it->neap__map;
	if (it->neap__ctrl[index] == 0)
		return false; /* deleted since */
	if (!it->neap__filter && *it->neap__before == 0)
		return true;
	return in_unit(it, neap__slot_hash(map, it->neap__slots + index * map->slot_size));
}

/* Produces the next entry of the unit; false when there is none left, or no room to note it. */
static bool step_fast(struct neap_map_iter *it)
{
	const struct neap_map *map = it->neap__map;
	for (;;) {
		while (it->neap__live != 0) {
			size_t index = neap__unturned(neap__first(it->neap__live), it->neap__offset);
			if (belongs(it, index)) {
				if (it->neap__seen_len == SEEN) {
					it->neap__mode = SLOW_FIRST;
					return false;
				}
				it->neap__live &= it->neap__live - 1;
				uint8_t *slot = it->neap__slots + index * map->slot_size;
				it->neap__seen[it->neap__seen_len++] = fingerprint(map, slot);
				show(it, slot);
				return true;
			}
			it->neap__live &= it->neap__live - 1;
		}
		if (it->neap__groups_left == 0)
			return false;
		it->neap__groups_left--;
		enter_group(it, segment_at(map, it->neap__lo), (it->neap__group + 1) & neap__last_group(map));
	}
}

/* ---- SLOW ---- */

/* The entry of the unit that comes next in the order (turn, fingerprint, place). A turn is home, then prefix:
 * the hash bits that never change, so that one group of one segment holds all entries of the next few turns,
 * however much the map has grown or shrunk since the unit began.
 */
struct candidate {
	uint8_t *slot; /* NULL: none */
	uint64_t turn, print, place;
};

static uint64_t turn_at(uint32_t home, uint32_t prefix)
{
	return (uint64_t)home << NEAP__MAX_DEPTH | prefix;
}

static bool seen_before(const struct neap_map_iter *it, uint64_t print)
{
	for (uint32_t i = 0; i < it->neap__seen_len; i++)
		if (it->neap__seen[i] == print)
			return true;
	return false;
}

/* True for an entry of the unit that was produced since it became slow. */
static bool produced_slowly(const struct neap_map_iter *it, const struct candidate *entry)
{
	if (it->neap__mode != SLOW || entry->turn > it->neap__last_turn)
		return false;
	if (entry->turn < it->neap__last_turn || entry->print < it->neap__last_print)
		return true;
	/* Places compare only while nothing has moved. */
	bool same_places = it->neap__epoch == it->neap__map->epoch;
	return entry->print == it->neap__last_print && (!same_places || entry->place <= it->neap__last_place);
}

static bool comes_before(const struct candidate *a, const struct candidate *b)
{
	if (a->turn != b->turn)
		return a->turn < b->turn;
	return a->print < b->print || (a->print == b->print && a->place < b->place);
}

static void consider(const struct neap_map_iter *it, uint8_t *slot, uint64_t place, struct candidate *best)
{
	const struct neap_map *map = it->neap__map;
	uint32_t hash_high = neap__slot_hash(map, slot);
	if (!in_unit(it, hash_high))
		return;
	struct candidate entry = {slot, turn_at(hash_high & (HOMES - 1), hash_high >> 8),
				  fingerprint(map, slot), place};
	if ((best->slot == NULL || comes_before(&entry, best)) && !produced_slowly(it, &entry) &&
	    !seen_before(it, entry.print))
		*best = entry;
}

/* Considers the entries that start probing in one group: they are there or in the groups that it ran over. */
static void consider_chain(const struct neap_map_iter *it, uint32_t number, uint32_t group,
			   struct candidate *best)
{
	const struct neap_map *map = it->neap__map;
	for (uint32_t left = neap__last_group(map);; left--) {
		const uint8_t *ctrl = neap__ctrl_at(map, number, group);
		uint8_t *slots = neap__slots_at(map, number, group);
		uint64_t base = (((uint64_t)number << map->group_bits) + group) * 16;
		for (uint32_t mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK; mask != 0; mask &= mask - 1) {
			size_t index = neap__first(mask);
			consider(it, slots + (size_t)index * map->slot_size, base + index, best);
		}
		if (ctrl[NEAP__OVERFLOW] == 0 || left == 0)
			return;
		group = (group + 1) & neap__last_group(map);
	}
}

/* Considers the entries of one group in every segment from `prefix` on, until none can come before the best. */
static void sweep(const struct neap_map_iter *it, uint32_t home, uint32_t prefix, struct candidate *best)
{
	const struct neap_map *map = it->neap__map;
	while (prefix < it->neap__hi && (best->slot == NULL || best->turn >= turn_at(home, prefix))) {
		uint32_t number = segment_at(map, prefix);
		consider_chain(it, number, home >> home_bits(map), best);
		prefix = range_of(map, number).hi;
	}
}

static struct candidate find_candidate(const struct neap_map_iter *it)
{
	const struct neap_map *map = it->neap__map;
	struct candidate best = {NULL, 0, 0, 0};
	for (uint32_t i = 0; i < map->spilled; i++)
		consider(it, neap__spill_at(map, i), (UINT64_C(1) << 60) + i, &best);

	uint32_t home = it->neap__home;
	if (it->neap__mode == SLOW) { /* the rest of the home that the last turn was in */
		home = (uint32_t)(it->neap__last_turn >> NEAP__MAX_DEPTH);
		sweep(it, home, (uint32_t)it->neap__last_turn & (PREFIXES - 1), &best);
		home++;
	}
	while (home < it->neap__home_end && (best.slot == NULL || best.turn >= turn_at(home, 0))) {
		sweep(it, home, it->neap__lo, &best);
		home = ((home >> home_bits(map)) + 1) << home_bits(map);
	}
	return best;
}

static bool step_slow(struct neap_map_iter *it)
{
	struct candidate next = find_candidate(it);
	if (next.slot == NULL)
		return false;
	it->neap__last_turn = next.turn;
	it->neap__last_print = next.print;
	it->neap__last_place = next.place;
	it->neap__epoch = it->neap__map->epoch;
	it->neap__mode = SLOW;
	show(it, next.slot);
	return true;
}

/* ---- The iterator ---- */

void neap_map_iter_init(struct neap_map_iter *it, struct neap_map *map)
{
	it->key = NULL;
	it->value = NULL;
	it->neap__map = map;
	it->neap__mode = DONE;
	it->neap__common = false;
	if (neap_map_len(map) == 0)
		return;
	uint64_t start = neap__random_next();
	uint32_t shift = home_bits(map);
	struct range range = range_of(map, neap__segment_of(map, start));
	it->neap__lo = it->neap__start_lo = range.lo;
	it->neap__hi = it->neap__start_hi = range.hi;
	it->neap__start_home = (uint16_t)(((start & (HOMES - 1)) >> shift) << shift);
	it->neap__home = it->neap__start_home;
	it->neap__offset = (uint8_t)((start >> 8) % NEAP__GROUP_SLOTS);
	it->neap__lap = FIRST_LAP;
	it->neap__version = map->version;
	it->neap__mode = NEXT_UNIT;
}

static void check_not_written(const struct neap_map_iter *it)
{
	const struct neap_map *map = it->neap__map;
	uintptr_t writer = __atomic_load_n(&map->guard, __ATOMIC_RELAXED);
	const char *rule = NULL;
	if (writer > NEAP__HOOKED)
		rule = "concurrent map iteration and map write";
	else if ((map->flags & NEAP__STRICT) != 0 && map->version != it->neap__version)
		rule = "map changed during strict iteration";
	if (rule != NULL)
		neap__fault((struct neap_fault){.rule = rule,
						.object = neap_map_name(map),
						.address = map,
						.operation = "neap_map_iter_next",
						.other = writer > NEAP__HOOKED ? writer : 0});
}

bool neap_map_iter_next(struct neap_map_iter *it)
{
	if (it->neap__mode == DONE)
		return false;
	if (NEAP__LIKELY(it->neap__mode == FAST &&
			 neap__iter_step(it, it->neap__map->slot_size, it->neap__map->group_bytes,
					 it->neap__map->value_offset, it->neap__map->type->key_size)))
		return true;
	check_not_written(it);
	for (;;) {
		bool produced = false;
		switch ((enum mode)it->neap__mode) {
		case NEXT_UNIT:
			if (!next_unit(it)) {
				it->neap__mode = DONE;
				it->key = NULL;
				it->value = NULL;
				return false;
			}
			continue;
		case FAST:
			if (it->neap__epoch != it->neap__map->epoch) {
				it->neap__common = false;
				it->neap__mode = SLOW_FIRST;
				continue;
			}
			produced = step_fast(it);
			if (it->neap__mode == SLOW_FIRST)
				continue;
			break;
		case SLOW_FIRST:
		case SLOW: produced = step_slow(it); break;
		case DONE: return false;
		}
		if (produced)
			return true;
		end_unit(it);
	}
}
