/* internal.h: what the files of the map share. The bytes of a map are in neap/map_core.h.
 *
 *   map.c        create, destroy, accounts, and what stops a program that misuses a map
 *   entry.c      the operations on one entry, for keys of any type
 *   slot.c       one slot: hashing it, filling it, releasing it
 *   small.c      tables of few entries, in one block
 *   pool.c       the memory of segments: dense pools whose tail goes back to the system
 *   directory.c  from hash bits to segments, doubled and halved step by step
 *   segment.c    split, merge, repair: the only code that moves entries between segments
 *   policy.c     when to do which
 *   spill.c      entries that a degenerate hash leaves without a place
 *   iterate.c    iteration that survives all of the above
 *   bulk.c       clear, reserve, compact, clone, equal, delete-if
 *   hook.c       the hook that hears of every change
 *   ref.c        references to values that know when they are stale
 *   stats.c      where the bytes are
 *   glance.c     the same, as far as it can be seen from another thread
 *   check.c      the invariants, checked
 */
#ifndef NEAP_SRC_MAP_INTERNAL_H
#define NEAP_SRC_MAP_INTERNAL_H

#include "base/alloc.h"
#include "base/assert.h"
#include "base/registry.h"
#include "neap/map_core.h"

/* ---- Numbers ---- */

/* Two buddies are merged when together they hold no more than 21/32 of the limit of one segment: a merged segment must
 * grow by half before it splits again, and segments that shrink evenly stay at least 5/16 full, although a segment asks
 * only at every 1/32 of its limit, so that 1 % of the entries never need 3 % of the bytes. (With half a limit it was
 * 3.3 % for some sizes, with 5/8 3.2 %.)
 */
#define NEAP__MERGE_LIMIT(limit) ((limit)*21 / 32)
/* The last segment and its buddy are merged instead, which moves nothing into a hole, when they hold no more than this:
 * more by five standard deviations of the number of random hashes that fall into a pair. Of the segments that shrank
 * evenly, one in 4,000 merges then left a hole; with 11/16 it was one in ten.
 */
#define NEAP__TAIL_MERGE_LIMIT(limit) ((limit)*3 / 4)

/* Points the short paths at the tables of a map; its shape is known. */
static inline void neap__map_aim(struct neap_map *map, uint8_t *ctrl, uint8_t *slots,
				 struct neap__segment *segs)
{
	map->ctrl = ctrl;
	map->slots = slots;
	map->segs = segs;
	map->slots_bias = (uintptr_t)slots - (uintptr_t)ctrl / NEAP__CONTROL_BYTES * map->group_bytes;
	map->segs_bias = (uintptr_t)segs - ((uintptr_t)ctrl >> (map->group_bits + 1));
}

/* ---- slot.c ---- */

/* The hash of a key, and the upper half of the hash of the key in a slot. */
uint64_t neap__key_hash(const struct neap_map *map, const void *key);
uint32_t neap__slot_hash(const struct neap_map *map, const uint8_t *slot);
/* Compares for keys of any type. */
bool neap__key_equal(const struct neap_map *map, const uint8_t *slot, const void *key, uint64_t hash);
/* Offset of the hash bits, value and size of a slot for a type; false when the type is out of range. */
bool neap__slot_layout(const struct neap_map_type *type, struct neap__shape *ret);

/* The parts of an entry that live outside its slot, allocated before the slot is claimed. */
struct neap__parts {
	void *key;   /* block of a large key or bytes of an owned string, or NULL */
	void *value; /* block of a large value, or NULL */
};
int neap__parts_make(struct neap_map *map, const void *key, struct neap__parts *ret);
void neap__parts_drop(struct neap_map *map, struct neap__parts parts, const void *key);
/* Copies a key, a value or a slot: the common sizes are constants, so that the copy is a few moves and not a call. */
static inline void neap__copy_few(void *to, const void *from, uint32_t size)
{
	switch (size) {
	case 4: memcpy(to, from, 4); break;
	case 8: memcpy(to, from, 8); break;
	case 16: memcpy(to, from, 16); break;
	case 24: memcpy(to, from, 24); break;
	case 32: memcpy(to, from, 32); break;
	case 64: memcpy(to, from, 64); break;
	default: memcpy(to, from, size); break;
	}
}
/* Fills a claimed slot, except for the bytes of the value. */
void neap__slot_fill(struct neap_map *map, uint8_t *slot, const void *key, uint64_t hash,
		     struct neap__parts parts);
/* What a caller sees of a slot. */
void *neap__slot_key(const struct neap_map *map, uint8_t *slot);
void *neap__slot_value(const struct neap_map *map, uint8_t *slot);
/* Calls the release callback and frees the blocks of an entry that leaves. */
void neap__slot_release(struct neap_map *map, uint8_t *slot);
/* Frees the blocks alone. */
void neap__slot_drop_parts(struct neap_map *map, uint8_t *slot, bool keep_owned_key);
/* Bytes of the blocks of an entry. */
size_t neap__slot_outside(const struct neap_map *map, const uint8_t *slot);
/* True when leaving entries need a visit: something to free or to call. */
static inline bool neap__slots_own(const struct neap_map *map)
{
	return (map->flags & (NEAP__OUTSIDE | NEAP__RELEASE)) != 0;
}

/* ---- accounting (map.c) ---- */

void *neap__map_alloc(struct neap_map *map, size_t size, size_t align);
void neap__map_free(struct neap_map *map, void *block, size_t size);
void neap__map_account(struct neap_map *map, size_t more, size_t less);
/* Brackets around an operation that may move entries: counts them and checks the bound. */
void neap__moves_begin(struct neap_map *map);
void neap__moves_end(struct neap_map *map);

/* ---- small.c ---- */

/* A map without any block: the state after creation. Frees nothing. */
void neap__small_reset(struct neap_map *map);
/* Re-tables a map into the smallest block with room for `n` entries, n >= len, and n within the largest small table.
 * 0 or NEAP_ENOMEM, nothing changed.
 */
int neap__small_resize(struct neap_map *map, size_t n);
/* Segments that have as many groups as the largest small table, a power of two. */
uint32_t neap__small_segments(const struct neap_map *map);
/* Most entries of the largest small table. */
size_t neap__small_most(const struct neap_map *map);
/* Entries that the table neap__small_resize makes for `n` has room for. */
uint32_t neap__small_limit_for(const struct neap_map *map, size_t n);
/* Bytes of the present block, and of the one that neap__small_resize makes for `n`. */
size_t neap__small_bytes(const struct neap_map *map);
size_t neap__small_bytes_for(const struct neap_map *map, size_t n);
void neap__small_free(struct neap_map *map);

/* ---- pool.c ---- */

struct neap__area {
	uint8_t *base;
	size_t stride;	 /* bytes per segment */
	size_t reserved; /* bytes of address space */
};

struct neap__pool {
	struct neap__area ctrl, slots, segs;
	uint32_t count;	   /* segments in use: numbers 0 to count - 1 */
	uint32_t touched;  /* segments whose memory has not been given back; count <= touched <= reserved */
	uint32_t reserved; /* segments that the address space holds */
	uint32_t dumped;   /* segments that core files take in; touched <= dumped or all */

	uint8_t **dir;				/* 1 << depth first control words; map->dir points here */
	uint32_t depth;				/* 1 to NEAP__MAX_DEPTH */
	uint32_t at_depth[NEAP__MAX_DEPTH + 1]; /* segments of each depth */

	/* The next directory, twice or half as long, built a little at a time; NULL when none is under way. */
	uint8_t **next;
	uint32_t next_depth;
	size_t next_built; /* entries of `next` that are right */
};

static inline uint32_t neap__limit(const struct neap_map *map)
{
	return NEAP__LIMIT(1u << map->group_bits);
}

/* Most segments: their paths must fit into NEAP__MAX_DEPTH. 2^24 of 1680 entries each. */
static inline uint32_t neap__segments_most(const struct neap_map *map)
{
	(void)map;
	return UINT32_C(1) << NEAP__MAX_DEPTH;
}

/* Turns an empty or small map, whose entries the caller has saved, into a pool of `segments` empty segments of
 * equal depth, a power of two. 0 or NEAP_ENOMEM, nothing changed.
 */
int neap__pool_make(struct neap_map *map, uint32_t segments);
/* The same for a small map with its entries, which move to the pool; of twice the segments when they are crowded into
 * one, and to the spill list when that does not help.
 */
int neap__pool_from_small(struct neap_map *map, uint32_t segments);
/* Frees the pool; the map has no table then. */
void neap__pool_destroy(struct neap_map *map);
/* A new segment at the tail; its control words are not cleared. *ret is its number. */
int neap__pool_add(struct neap_map *map, uint32_t *ret);
/* Drops segment `number`, which the directory no longer names; the last segment takes its place. */
void neap__pool_drop(struct neap_map *map, uint32_t number);
/* Gives back the tail beyond the spare segments, at most a bounded part of it unless `all`. */
void neap__pool_trim(struct neap_map *map, bool all);
/* Bytes that the pool holds for `touched` segments, whole pages. */
size_t neap__pool_bytes(const struct neap_map *map, uint32_t touched);

/* ---- directory.c ---- */

static inline uint32_t neap__path_depth(uint32_t path)
{
	return 31u - (uint32_t)__builtin_ctz(path);
}

/* The hash bits of a path without the mark that ends it, and the path of `depth` leading bits of `hash`. */
static inline uint32_t neap__path_bits(uint32_t path)
{
	return path & (path - 1);
}

static inline uint32_t neap__path_of(uint32_t bits, uint32_t depth)
{
	uint32_t mark = UINT32_C(1) << (31 - depth);
	return (bits & ~(mark | (mark - 1))) | mark;
}

/* The control words have moved from `old` to map->ctrl. */
void neap__dir_rebase(struct neap_map *map, const uint8_t *old);
/* Makes every directory entry of `path` name segment `number`. */
void neap__dir_assign(struct neap_map *map, uint32_t path, uint32_t number);
/* Doubles the directory. */
int neap__dir_double(struct neap_map *map);
/* Builds a bounded piece of the next directory when one will be needed, and halves when none is as deep. */
void neap__dir_step(struct neap_map *map);
/* Halves the directory as often as its segments allow, or as memory does, in time proportional to it. */
void neap__dir_shrink(struct neap_map *map);
void neap__dir_free(struct neap_map *map);

/* ---- segment.c ---- */

/* The largest index of a group in a segment. */
static inline uint32_t neap__last_group(const struct neap_map *map)
{
	return map->home_mask / NEAP__CONTROL_BYTES;
}
/* First control word of a segment, and the number of the segment that begins at one. */
static inline uint8_t *neap__begin_of(const struct neap_map *map, uint32_t number)
{
	return map->ctrl + ((size_t)number << map->group_bits) * NEAP__CONTROL_BYTES;
}
static inline uint32_t neap__number_at(const struct neap_map *map, const uint8_t *begin)
{
	return (uint32_t)(((size_t)(begin - map->ctrl) / NEAP__CONTROL_BYTES) >> map->group_bits);
}
/* Segment number and home group of a hash. */
static inline uint32_t neap__segment_of(const struct neap_map *map, uint64_t hash)
{
	return neap__number_at(map, neap__segment_begin(map, hash));
}
static inline uint32_t neap__home(const struct neap_map *map, uint64_t hash)
{
	return neap__home_offset(map, hash) / NEAP__CONTROL_BYTES;
}
/* Control word and first slot of a group of a segment. */
static inline uint8_t *neap__ctrl_at(const struct neap_map *map, uint32_t number, uint32_t group)
{
	return map->ctrl + (((size_t)number << map->group_bits) + group) * NEAP__CONTROL_BYTES;
}
static inline uint8_t *neap__slots_at(const struct neap_map *map, uint32_t number, uint32_t group)
{
	return map->slots + (((size_t)number << map->group_bits) + group) * map->group_bytes;
}
static inline uint32_t neap__segment_count(const struct neap_map *map)
{
	return map->pool != NULL ? map->pool->count : 1;
}
/* A hash with the given upper half and tag: it finds the same place as the one that it was made from. */
static inline uint64_t neap__hash_from(uint32_t hash_high, uint32_t tag)
{
	return (uint64_t)hash_high << 32 | (uint64_t)tag << 8;
}

/* Moves the entries of segment `number` whose next hash bit is 1 to a new segment. 0 or NEAP_ENOMEM. */
int neap__segment_split(struct neap_map *map, uint32_t number);
/* True when segment `number` and its buddy have the same depth and at most `most` entries together. */
bool neap__segment_merges(const struct neap_map *map, uint32_t number, uint32_t most);
/* Merges them then; true if it did. Segment numbers may change. */
bool neap__segment_merge(struct neap_map *map, uint32_t number, uint32_t most);
/* Puts displaced entries back where they belong and clears the overflow bytes: no tombstones remain. */
void neap__segment_repair(struct neap_map *map, uint32_t number);
/* Claims a slot in a segment known to have room and copies `slot` there; for re-tabling. */
void neap__segment_adopt(struct neap_map *map, uint32_t number, const uint8_t *slot, uint32_t tag,
			 uint32_t hash_high);

/* A table whose entries move elsewhere. */
struct neap__table {
	const uint8_t *ctrl, *slots;
	uint32_t groups;
};
/* Copies every entry of `from` to where its hash belongs in the map, which has room for them; with NEAP__DEGENERATE, to
 * the spill list where a segment has none.
 */
void neap__segments_fill(struct neap_map *map, const struct neap__table *from);
/* True when one of `segments` segments, or of eight if they are more, would have to take more entries of a table than it
 * may hold.
 */
bool neap__segments_crowd(const struct neap_map *map, const struct neap__table *from, uint32_t segments);

/* ---- spill.c ---- */

/* A slot in the spill list for an entry of `hash`, or NULL. */
uint8_t *neap__spill_claim(struct neap_map *map, uint64_t hash);
/* Room for so many entries more, for moves that may not fail: 0 or NEAP_ENOMEM. Then neap__spill_move copies an entry
 * of a table to the list, and neap__spill_fit gives back what was not needed.
 */
int neap__spill_provide(struct neap_map *map, uint32_t more);
void neap__spill_move(struct neap_map *map, const uint8_t *slot, uint64_t hash);
void neap__spill_fit(struct neap_map *map);
/* After the overflow bytes of a segment were rewritten: moves its spilled entries in, or marks them again. */
void neap__spill_settle(struct neap_map *map, uint32_t number);
void neap__spill_free(struct neap_map *map);
size_t neap__spill_bytes(const struct neap_map *map);
/* The tags of the spilled entries. */
static inline uint8_t *neap__spill_tags(const struct neap_map *map)
{
	return map->spill + (size_t)map->spill_room * map->slot_size;
}
static inline uint8_t *neap__spill_at(const struct neap_map *map, uint32_t index)
{
	return map->spill + (size_t)index * map->slot_size;
}

/* ---- policy.c ---- */

/* Sets shrink_at and shrink_step from the policy and the present kind of table. */
void neap__policy_set(struct neap_map *map);
/* Entries that a segment takes on average before the fullest of many is full: the limit less five standard
 * deviations of the number of random hashes that fall into one segment.
 */
size_t neap__expected_fill(const struct neap_map *map);
/* Segments that deletes leave, so that there is room for `floor` entries. */
uint32_t neap__fewest_segments(const struct neap_map *map);

/* ---- bulk.c ---- */

/* Frees all tables; the entries must be gone or saved. The map is empty and small. */
void neap__map_discard(struct neap_map *map);

/* Calls `visit` for each slot with an entry, spilled ones too, with a hash that has the right place and tag;
 * stops and returns false when it does. The visitor must not move entries.
 */
typedef bool neap__visit_fn(uint8_t *slot, uint64_t hash, void *ctx);
bool neap__each_slot(const struct neap_map *map, neap__visit_fn *visit, void *ctx);

/* ---- glance.c ---- */

extern const struct neap__species neap__map_species;
extern const struct neap_beacon neap__map_beacon; /* layout.c */
/* A copy of the header, word by word, whatever the owner does to them meanwhile. */
void neap__map_header(const struct neap_map *map, struct neap_map *ret);

/* ---- survey.c ---- */

void neap__map_survey(const void *object, struct neap__survey *survey);

/* ---- hook.c ---- */

/* The guard around an operation of the library that is not on a short path: hooked or not. */
void neap__write_open(struct neap_map *map, const char *operation);
void neap__write_close(struct neap_map *map, const char *operation);

/* neap_map_take on a map with a hook; the others are in neap/map_core.h. */
bool neap__hooked_take(struct neap_map *map, const void *key, void *ret_key, void *ret_value,
		       const void *caller);
/* Asks for one entry that leaves; true without a hook. The map is marked as being written. */
bool neap__hook_allows_delete(const struct neap_map *map, const void *key, const void *value,
			      const char *operation, const void *caller);
/* Tells the hook that every entry goes, and removes it. */
void neap__hook_end(struct neap_map *map, const void *caller);

/* ---- check.c ---- */

/* Checks every invariant of the map; NULL when all hold, else the one that is broken. */
const char *neap__map_check(const struct neap_map *map);

#endif
