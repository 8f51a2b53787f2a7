/* segment.c: the only code that moves entries between segments.
 *
 * Split. Segment a of depth d keeps the entries whose hash bit d is 0, a new segment b gets the others. Most
 * entries sit in their home group, and the home group is the same in a and b: those of a stay where they are,
 * those of b are appended to the same group of b. The few that were displaced by a full group are put back
 * last, as if inserted anew; with every overflow byte cleared first, no tombstone is left in either.
 *
 *     a:  | . . x . X . | X . . |      . stays, X goes, x displaced: goes back to its home group if it can
 *     b:  | X           | X     |
 *
 * Merge. Two buddies, segments of one depth whose paths differ in the last bit only, become one: the entries
 * of the last segment of the pool, or of the emptier of two others, move to its buddy, into the free slots of their home
 * group where there are any.
 *
 * Repair. A split without a second segment: what displaced entries there are go home, overflow bytes clear.
 *
 * A group whose predecessor never overflowed holds only entries that are at home in it. Merge and repair need not
 * hash those, and that is nearly all.
 *
 * Moves: split <= limit, merge <= NEAP__MERGE_LIMIT, repair <= limit.
 */
#include <string.h>

#include "map/internal.h"

/* Entries outside their home group, as group * NEAP__GROUP_SLOTS + index within one segment. */
struct displaced {
	uint32_t count;
	uint16_t at[NEAP__GROUP_SLOTS << NEAP__MAX_GROUP_BITS];
};

/* neap__slot_hash, with the common kind inlined. */
NEAP__INLINE uint32_t hash_high_of(const struct neap_map *map, const uint8_t *slot, uint32_t key_path)
{
	if (key_path == NEAP__KEY_8)
		return (uint32_t)(neap__hash_fixed(slot, 8, map->seed) >> 32);
	if (key_path == NEAP__KEY_STR) {
		uint32_t kept;
		memcpy(&kept, slot + offsetof(struct neap_str, hash), sizeof kept);
		return kept;
	}
	return neap__slot_hash(map, slot);
}

static uint32_t home_of(const struct neap_map *map, uint32_t hash_high)
{
	return neap__home(map, (uint64_t)hash_high << 32);
}

void neap__segment_adopt(struct neap_map *map, uint32_t number, const uint8_t *slot, uint32_t tag,
			 uint32_t hash_high)
{
	struct neap__segment *seg = &map->segs[number];
	uint8_t *to = neap__occupy(map, neap__shape_of(map), neap__begin_of(map, number),
				   neap__home_offset(map, (uint64_t)hash_high << 32), tag);
	neap__copy_few(to, slot, map->slot_size);
	neap__assert_internal(seg->room > 0);
	seg->room--;
	seg->live++;
	map->moved_now++;
}

/* Takes each displaced entry of segment a out and inserts it again, into b when its hash bit `bit` is set. */
static void resettle(struct neap_map *map, const struct displaced *displaced, uint32_t a, uint32_t b,
		     uint32_t bit)
{
	_Alignas(64) uint8_t entry[2 * NEAP_MAP_INLINE_MAX + 64];
	for (uint32_t i = 0; i < displaced->count; i++) {
		uint32_t group = displaced->at[i] / NEAP__GROUP_SLOTS;
		uint32_t index = displaced->at[i] % NEAP__GROUP_SLOTS;
		uint8_t *tag_at = neap__ctrl_at(map, a, group) + index;
		uint32_t tag = *tag_at;
		neap__copy_few(entry, neap__slots_at(map, a, group) + (size_t)index * map->slot_size,
			       map->slot_size);
		*tag_at = 0;
		map->segs[a].live--;
		map->segs[a].room++;
		uint32_t hash_high = hash_high_of(map, entry, map->key_path);
		neap__segment_adopt(map, (hash_high & bit) != 0 ? b : a, entry, tag, hash_high);
	}
}

/* Clears the overflow bytes of a segment and lists its displaced entries. With b != a, moves the other entries
 * whose hash bit `bit` is set from a to b, whose control words it writes. Returns how many it moved.
 */
NEAP__INLINE uint32_t partition(struct neap_map *map, uint32_t a, uint32_t b, uint32_t bit,
				uint32_t slot_size, uint32_t key_path, struct displaced *ret)
{
	uint32_t moved = 0;
	uint8_t before = neap__ctrl_at(map, a, neap__last_group(map))[NEAP__OVERFLOW];
	ret->count = 0;
	for (uint32_t group = 0; group <= neap__last_group(map); group++) {
		uint8_t *ctrl = neap__ctrl_at(map, a, group);
		uint8_t *from = neap__slots_at(map, a, group), *to = neap__slots_at(map, b, group);
		_Alignas(16) uint8_t tags[NEAP__CONTROL_BYTES] = {0};
		uint32_t gone = 0, mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK;
		const bool at_home = before == 0;
		before = ctrl[NEAP__OVERFLOW];
		for (mask = at_home && a == b ? 0 : mask; mask != 0; mask &= mask - 1) {
			size_t index = neap__first(mask);
			uint8_t *slot = from + index * slot_size;
			uint32_t hash_high = hash_high_of(map, slot, key_path);
			if (NEAP__UNLIKELY(!at_home && home_of(map, hash_high) != group)) {
				ret->at[ret->count++] = (uint16_t)(group * NEAP__GROUP_SLOTS + index);
			} else if (a != b) {
				/* Copied before it is known to go: a branch on a random bit costs more. There is
				 * room: at most `index` entries of this group have gone before.
				 */
				uint32_t goes = (hash_high & bit) != 0;
				neap__copy_few(to + (size_t)gone * slot_size, slot, slot_size);
				tags[gone] = ctrl[index];
				ctrl[index] = (uint8_t)(ctrl[index] & (goes - 1u));
				gone += goes;
			}
		}
		ctrl[NEAP__OVERFLOW] = 0;
		if (a != b) {
			memset(tags + gone, 0, NEAP__CONTROL_BYTES - gone);
			memcpy(neap__ctrl_at(map, b, group), tags, NEAP__CONTROL_BYTES);
		}
		moved += gone;
	}
	return moved;
}

/* partition, instantiated for common slots. */
static uint32_t partition_any(struct neap_map *map, uint32_t a, uint32_t b, uint32_t bit,
			      struct displaced *ret)
{
	if (map->slot_size == 16 && map->key_path == NEAP__KEY_8)
		return partition(map, a, b, bit, 16, NEAP__KEY_8, ret);
	if (map->slot_size == 24 && map->key_path == NEAP__KEY_STR)
		return partition(map, a, b, bit, 24, NEAP__KEY_STR, ret);
	return partition(map, a, b, bit, map->slot_size, map->key_path, ret);
}

int neap__segment_split(struct neap_map *map, uint32_t number)
{
	struct neap__pool *pool = map->pool;
	uint32_t depth = neap__path_depth(map->segs[number].path);
	if (depth == pool->depth && neap__dir_double(map) != NEAP_OK)
		return NEAP_ENOMEM;
	uint32_t fresh;
	if (neap__pool_add(map, &fresh) != NEAP_OK)
		return NEAP_ENOMEM;

	struct neap__segment *a = &map->segs[number], *b = &map->segs[fresh];
	uint32_t bit = UINT32_C(1) << (31 - depth), bits = neap__path_bits(a->path);
	struct displaced displaced;
	uint32_t moved = partition_any(map, number, fresh, bit, &displaced);
	*b = (struct neap__segment){.live = (uint16_t)moved,
				    .room = (uint16_t)(neap__limit(map) - moved),
				    .path = neap__path_of(bits | bit, depth + 1)};
	a->live = (uint16_t)(a->live - moved);
	a->room = (uint16_t)(neap__limit(map) - a->live);
	a->path = neap__path_of(bits, depth + 1);
	map->moved_now += moved;
	resettle(map, &displaced, number, fresh, bit);

	neap__dir_assign(map, b->path, fresh);
	pool->at_depth[depth]--;
	pool->at_depth[depth + 1] += 2;
	map->splits++;
	map->epoch++;
	neap__spill_settle(map, number);
	neap__spill_settle(map, fresh);
	return NEAP_OK;
}

/* The repair itself; spilled entries stay where they are, their marks are gone. */
static void repair(struct neap_map *map, uint32_t number)
{
	struct neap__segment *seg = &map->segs[number];
	struct displaced displaced;
	partition_any(map, number, number, 0, &displaced);
	seg->room = (uint16_t)(map->limit - seg->live);
	resettle(map, &displaced, number, number, 0);
	map->rebuilds++;
	map->epoch++;
}

void neap__segment_repair(struct neap_map *map, uint32_t number)
{
	repair(map, number);
	neap__spill_settle(map, number);
}

/* Moves every entry of segment `from` to segment `to`, which has room for them. */
NEAP__INLINE void pour(struct neap_map *map, uint32_t from, uint32_t to, uint32_t slot_size)
{
	uint32_t moved = 0;
	uint8_t before = neap__ctrl_at(map, from, neap__last_group(map))[NEAP__OVERFLOW];
	for (uint32_t group = 0; group <= neap__last_group(map); group++) {
		const uint8_t *ctrl = neap__ctrl_at(map, from, group);
		uint8_t *to_ctrl = neap__ctrl_at(map, to, group);
		uint8_t *source = neap__slots_at(map, from, group), *sink = neap__slots_at(map, to, group);
		uint32_t mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK, free_slots = neap__empty(to_ctrl);
		const bool at_home = before == 0;
		before = ctrl[NEAP__OVERFLOW];
		for (; mask != 0; mask &= mask - 1) {
			size_t index = neap__first(mask);
			const uint8_t *slot = source + index * slot_size;
			uint32_t hash_high = 0;
			bool stays = free_slots != 0 && at_home;
			if (NEAP__UNLIKELY(!stays)) {
				hash_high = hash_high_of(map, slot, map->key_path);
				stays = free_slots != 0 && home_of(map, hash_high) == group;
			}
			if (NEAP__LIKELY(stays)) {
				size_t at = neap__first(free_slots);
				free_slots &= free_slots - 1;
				to_ctrl[at] = ctrl[index];
				NEAP__UNPOISON(sink + at * slot_size, slot_size);
				neap__copy_few(sink + at * slot_size, slot, slot_size);
				moved++;
			} else {
				neap__segment_adopt(map, to, slot, ctrl[index], hash_high);
				free_slots = neap__empty(to_ctrl);
			}
		}
	}
	struct neap__segment *target = &map->segs[to];
	target->live = (uint16_t)(target->live + moved);
	target->room = (uint16_t)(target->room - moved);
	map->moved_now += moved;
}

/* pour, instantiated for common sizes of slot. */
static void pour_any(struct neap_map *map, uint32_t from, uint32_t to)
{
	switch (map->slot_size) {
	case 16: pour(map, from, to, 16); break;
	case 24: pour(map, from, to, 24); break;
	default: pour(map, from, to, map->slot_size); break;
	}
}

/* The segment, or one of the segments, that has the other half of the parent of `number`, which has one. */
static uint32_t buddy_of(const struct neap_map *map, uint32_t number)
{
	uint32_t path = map->segs[number].path, depth = neap__path_depth(path);
	uint32_t bit = UINT32_C(1) << (32 - depth);
	return neap__segment_of(map, (uint64_t)(neap__path_bits(path) ^ bit) << 32);
}

bool neap__segment_merges(const struct neap_map *map, uint32_t number, uint32_t most)
{
	uint32_t depth = neap__path_depth(map->segs[number].path);
	if (depth == 0)
		return false;
	uint32_t buddy = buddy_of(map, number);
	return neap__path_depth(map->segs[buddy].path) == depth &&
	       (uint32_t)map->segs[number].live + map->segs[buddy].live <= most;
}

bool neap__segment_merge(struct neap_map *map, uint32_t number, uint32_t most)
{
	if (!neap__segment_merges(map, number, most))
		return false;
	struct neap__pool *pool = map->pool;
	uint32_t path = map->segs[number].path, depth = neap__path_depth(path);
	uint32_t bits = neap__path_bits(path), bit = UINT32_C(1) << (32 - depth);
	uint32_t buddy = buddy_of(map, number), tail = pool->count - 1;
	bool number_stays =
		buddy == tail || (number != tail && map->segs[number].live >= map->segs[buddy].live);
	uint32_t keep = number_stays ? number : buddy, drop = number_stays ? buddy : number;
	if (map->segs[keep].room < map->segs[drop].live)
		repair(map, keep);
	map->segs[keep].path = neap__path_of(bits & ~bit, depth - 1);
	neap__dir_assign(map, map->segs[keep].path, keep);
	pour_any(map, drop, keep);
	pool->at_depth[depth] -= 2;
	pool->at_depth[depth - 1]++;
	map->merges++;
	map->epoch++;
	neap__pool_drop(map, drop);
	neap__spill_settle(map, keep);
	return true;
}

enum {
	COUNTED = 2u << NEAP__MAX_GROUP_BITS, /* groups that fill_counted can count in */
	FEW_GROUPS = 4			      /* groups whose slots one mask has */
};

/* The slots with an entry of the next four groups, of `groups` that there are: bit i stands for byte i of their control
 * words. One loop over the entries of four groups is left once by a branch that nothing predicts, and not four times: in
 * the sparse tables that deletes leave that was a third of the time.
 */
static inline uint64_t live_in_few(const uint8_t *ctrl, uint32_t groups)
{
	uint64_t live = 0;
	for (uint32_t i = 0; i < FEW_GROUPS && i < groups; i++)
		live |= (uint64_t)(~neap__empty(ctrl + i * NEAP__CONTROL_BYTES) & NEAP__GROUP_MASK)
			<< i * NEAP__CONTROL_BYTES;
	return live;
}

/* Fills the few segments of a map, which are empty, with the entries of `from`. The slots of a group are taken in
 * order, so counting them says which is next. Reading it off the control word, as neap__occupy does, would wait for
 * the tag just stored there to reach the cache: neighbours in `from` are neighbours here, and that was half the
 * time of a rebuild.
 */
NEAP__INLINE void fill_counted(struct neap_map *map, const struct neap__table *from, uint32_t slot_size,
			       uint32_t key_path)
{
	uint8_t used[COUNTED] = {0};
	const uint32_t last = neap__last_group(map), group_bytes = map->group_bytes;
	for (uint32_t group = 0; group < from->groups; group += FEW_GROUPS) {
		const uint8_t *ctrl = from->ctrl + (size_t)group * NEAP__CONTROL_BYTES;
		const uint8_t *slots = from->slots + (size_t)group * group_bytes;
		for (uint64_t mask = live_in_few(ctrl, from->groups - group); mask != 0; mask &= mask - 1) {
			const size_t index = (size_t)__builtin_ctzll(mask);
			const uint8_t *slot = slots + index / NEAP__CONTROL_BYTES * group_bytes +
					      index % NEAP__CONTROL_BYTES * slot_size;
			uint64_t hash = (uint64_t)hash_high_of(map, slot, key_path) << 32;
			uint32_t number = neap__segment_of(map, hash), home = neap__home(map, hash);
			uint32_t begin = number << map->group_bits;
			while (NEAP__UNLIKELY(used[begin + home] == NEAP__GROUP_SLOTS)) {
				neap__mark_overflow(map->ctrl + (size_t)(begin + home) * NEAP__CONTROL_BYTES,
						    ctrl[index]);
				home = (home + 1) & last;
			}
			uint32_t to = begin + home, at = used[to]++;
			map->ctrl[(size_t)to * NEAP__CONTROL_BYTES + at] = ctrl[index];
			neap__copy_few(map->slots + (size_t)to * group_bytes + (size_t)at * slot_size, slot,
				       slot_size);
		}
	}
	for (uint32_t group = 0; group < neap__segment_count(map) * (last + 1); group++) {
		struct neap__segment *seg = &map->segs[group / (last + 1)];
		neap__assert_internal(seg->room >= used[group]);
		seg->live = (uint16_t)(seg->live + used[group]);
		seg->room = (uint16_t)(seg->room - used[group]);
		map->moved_now += used[group];
	}
}

static void fill_many(struct neap_map *map, const struct neap__table *from)
{
	for (uint32_t group = 0; group < from->groups; group++) {
		const uint8_t *ctrl = from->ctrl + (size_t)group * NEAP__CONTROL_BYTES;
		const uint8_t *slots = from->slots + (size_t)group * map->group_bytes;
		for (uint32_t mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK; mask != 0; mask &= mask - 1) {
			size_t index = neap__first(mask);
			const uint8_t *slot = slots + index * map->slot_size;
			uint32_t hash_high = hash_high_of(map, slot, map->key_path);
			uint32_t number = neap__segment_of(map, (uint64_t)hash_high << 32);
			if (map->segs[number].room > 0)
				neap__segment_adopt(map, number, slot, ctrl[index], hash_high);
			else
				neap__spill_move(map, slot, neap__hash_from(hash_high, ctrl[index]));
		}
	}
}

bool neap__segments_crowd(const struct neap_map *map, const struct neap__table *from, uint32_t segments)
{
	enum { BITS = 3 };
	uint32_t depth = (uint32_t)__builtin_ctz(segments), bits = depth < BITS ? depth : BITS;
	uint32_t count[1 << BITS] = {0}, most = 0;
	for (uint32_t group = 0; group < from->groups && bits != 0; group++) {
		const uint8_t *ctrl = from->ctrl + (size_t)group * NEAP__CONTROL_BYTES;
		const uint8_t *slots = from->slots + (size_t)group * map->group_bytes;
		for (uint32_t mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK; mask != 0; mask &= mask - 1) {
			const uint8_t *slot = slots + neap__first(mask) * map->slot_size;
			uint32_t *prefix = &count[hash_high_of(map, slot, map->key_path) >> (32 - bits)];
			most = ++*prefix > most ? *prefix : most;
		}
	}
	return most > neap__limit(map);
}

void neap__segments_fill(struct neap_map *map, const struct neap__table *from)
{
	uint32_t groups = neap__segment_count(map) * (neap__last_group(map) + 1);
	if (groups > COUNTED || (map->flags & NEAP__DEGENERATE) != 0)
		fill_many(map, from);
	else if (map->slot_size == 16 && map->key_path == NEAP__KEY_8)
		fill_counted(map, from, 16, NEAP__KEY_8);
	else
		fill_counted(map, from, map->slot_size, map->key_path);
}
