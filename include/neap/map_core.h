/* neap/map_core.h: the bytes of a map, and the short paths over them: find, insert, erase.
 *
 * Not for callers: neap/map_typed.h inlines these paths for one key type, the library instantiates them for
 * all others (src/map/entry.c), and both therefore make the same bytes. docs/map.md explains the whole.
 *
 * Nouns
 *   slot       one key and its value (and 32 bits of its hash, where hashing again would be dear)
 *   group      15 slots and their control word
 *   control    16 bytes: 15 tags, one per slot, and one overflow byte. A tag of 0 is an empty slot; any other
 *              is 8 bits of the hash. All 15 are compared with one SSE2 instruction.
 *   segment    2^group_bits groups, at most 45 KB of slots: what one insert or delete can split or merge
 *   directory  segment numbers indexed by the leading bits of the hash (extendible hashing, Fagin 1979)
 *
 *     63 ............... 40 39 ........ 32 31 ...... 16 15 .... 8 7 ..... 0
 *    |  directory, <= 24   |  home group  |   unused   |   tag   | unused  |
 *
 * The upper 32 bits place an entry; they are what a slot keeps when it keeps a hash. The home group is taken
 * from the top of its 8 bits when a segment has fewer than 256 groups, so that the order of home groups is
 * the same in tables of every size: iteration depends on it.
 *
 * A directory entry is the address of the segment's first control word, and the home group is a distance from there
 * in bytes. Everything else follows from the address of a control word: its slots lie at a multiple of it and a bias,
 * the record of a segment at a fraction of it and another. So a look-up adds once and never scales an index.
 *
 * Probing starts in the home group and goes on to the next one. Bit (tag & 7) of a group's overflow byte is
 * set when an entry of that tag class had to go further; a look-up stops at the first group where it is
 * clear. So a miss usually ends in the first group, and a delete only clears a tag: there are no tombstones.
 * What a delete does leave is an overflow bit that may no longer be needed; the slot is then not given back
 * to `room` until the segment is next rebuilt, split or merged, and is counted as a tombstone.
 *
 * Law of a segment:   live + room + tombstones == limit,   limit = 7/8 of its slots or, in the largest small
 *                                                          tables of wide slots, somewhat less
 *
 * The overflow byte is the idea of Joaquin M. Lopez Munoz (boost::unordered_flat_map, 2022), the tags that of
 * Abseil's Swiss tables (2017).
 */
#ifndef NEAP_MAP_CORE_H
#define NEAP_MAP_CORE_H

#include <string.h>

#include "neap/map.h"

#if defined(__SSE2__) && !defined(NEAP_PORTABLE)
#	define NEAP__SSE2 1
#	include <emmintrin.h>
#else
#	define NEAP__SSE2 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define NEAP__LIKELY(x)	  __builtin_expect(!!(x), 1)
#define NEAP__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NEAP__INLINE	  static inline __attribute__((always_inline, unused))

/* Empty slots that had an entry are poisoned in builds with AddressSanitizer, and with NEAP_POISON for valgrind, so that
 * a stale pointer to a deleted value is found where it is used (docs/guards.md). What that does is the library's to
 * say: one that was built without does nothing.
 */
#ifndef NEAP_POISON
#	if defined(__SANITIZE_ADDRESS__)
#		define NEAP_POISON 1
#	elif defined(__has_feature)
#		if __has_feature(address_sanitizer)
#			define NEAP_POISON 1
#		endif
#	endif
#endif
NEAP_API void neap__poison(const void *at, size_t size);
NEAP_API void neap__unpoison(const void *at, size_t size);
#ifdef NEAP_POISON
#	define NEAP__POISON(at, size)	 neap__poison(at, size)
#	define NEAP__UNPOISON(at, size) neap__unpoison(at, size)
#else
#	define NEAP__POISON(at, size)	 ((void)0)
#	define NEAP__UNPOISON(at, size) ((void)0)
#endif

/* A hostile build shrinks every number so that small tests reach every structural path. */
#ifdef NEAP_HOSTILE
#	define NEAP__GROUP_SLOTS   3u
#	define NEAP__SEGMENT_BYTES 0u
#else
#	define NEAP__GROUP_SLOTS 15u
#	define NEAP__SEGMENT_BYTES \
		46080u /* 128 groups of slots of 16 or 24 bytes, 30 or 45 KB; a split of the former costs about 15 us */
#endif
#define NEAP__GROUP_MASK     ((1u << NEAP__GROUP_SLOTS) - 1u)
#define NEAP__MAX_GROUP_BITS 8
#define NEAP__MAX_DEPTH	     24
#define NEAP__CONTROL_BYTES  16u
#define NEAP__OVERFLOW	     15 /* index of the overflow byte in a control word */

/* log2 of the groups in a segment: the most that keep its slots within NEAP__SEGMENT_BYTES; at least 2 groups. */
#define NEAP__FITS(slot, bits) ((((slot)*NEAP__GROUP_SLOTS) << (bits)) <= NEAP__SEGMENT_BYTES)
#define NEAP__GROUP_BITS(slot)      \
	(NEAP__FITS(slot, 8)   ? 8u \
	 : NEAP__FITS(slot, 7) ? 7u \
	 : NEAP__FITS(slot, 6) ? 6u \
	 : NEAP__FITS(slot, 5) ? 5u \
	 : NEAP__FITS(slot, 4) ? 4u \
	 : NEAP__FITS(slot, 3) ? 3u \
	 : NEAP__FITS(slot, 2) ? 2u \
			       : 1u)

/* Bytes of the slots of a group; even, so that half of them stand against a unit of control words. */
#define NEAP__GROUP_BYTES(slot) ((NEAP__GROUP_SLOTS * (slot) + 1u) & ~1u)

/* Entries that `groups` groups may hold before something must be done: 7/8, all of them in a single group. */
#define NEAP__LIMIT(groups) \
	((groups) == 1 ? NEAP__GROUP_SLOTS : (uint32_t)(groups)*NEAP__GROUP_SLOTS * 7u / 8u)

/* What a segment knows of itself. Invariant: live + room <= limit; the difference is its tombstones. */
struct neap__segment {
	uint16_t live; /* entries in its groups */
	uint16_t room; /* inserts it will still take: counted in one word with `live`, see neap__counts */
	uint32_t
		path; /* the leading bits of its hashes, then a 1, then zeroes: the number of leading bits is its
			  depth */
};

struct neap__pool;

struct neap_map {
	/* One cache line: everything that a look-up reads. */
	uint8_t **dir; /* first control word of a segment, by hash >> dir_shift; in a small map one_dir */
	uintptr_t slots_bias; /* slots of a group: its control word's address / 16 * group_bytes, plus this */
	uint64_t seed[2];     /* seed[1] is odd and has its top bit set */
	uintptr_t
		guard; /* 0, NEAP__HOOKED, or the thread that is writing; relaxed atomic, only to catch misuse */
	size_t len;    /* sum of live over all segments, and of the spilled entries */
	uintptr_t
		segs_bias; /* record of a segment: its first control word's address >> (group_bits + 1), plus this */
	uint8_t dir_shift;  /* 64 - depth of the directory, 40 to 63 */
	uint8_t home_shift; /* 36 - log2(groups of a segment) */
	uint8_t flags;	    /* enum neap__map_flags */
	uint8_t group_bits; /* log2 groups of a full segment */
	uint32_t home_mask; /* 16 * (groups of a segment - 1) */

	/* What writes and the type-erased functions use too. */
	uint8_t *ctrl;		    /* control words; segment s begins at 16 * (s << group_bits) */
	uint8_t *slots;		    /* slots of group q at group_bytes * q */
	struct neap__segment *segs; /* by segment number */
	/* Shape of a slot, see struct neap__shape. */
	uint32_t slot_size, value_offset, hash_offset, group_bytes;
	uint16_t
		shrink_step; /* a delete whose segment has (shrink_step + 1) * n entries left asks what is due ... */
	uint16_t shrink_at;  /* ... if these are no more than this */
	uint16_t limit;	     /* entries that a segment of the present table may hold */
	uint8_t key_path;    /* enum neap__key_path */
	uint8_t small_slots; /* slots of a one-group table that has fewer than a whole group, else 0 */
	uint8_t shrink;	     /* enum neap_map_shrink */
	uint64_t epoch;	     /* counts every move of an entry to another slot: iterators watch it */
	uint64_t
		version; /* counts inserts and deletes when NEAP__COUNTED: strict iterators and references watch it */

	struct neap__segment one; /* the only segment of a small map */
	uint8_t *one_dir[2];	  /* its directory: a shift by 63 leaves one bit */
	struct neap__pool *pool;  /* NULL in a small map */
	uint8_t *spill;	  /* spill_room slots, then as many tags; the first `spilled` of each are in use */
	uint32_t spilled; /* entries in the spill list: their hash found no room in its segment */
	uint32_t spill_room;
	uint32_t name_len;
	const struct neap_map_type *type;
	struct neap_allocator allocator;
	char *name; /* NULL: unnamed */
	size_t floor;

	size_t bytes, peak_bytes; /* handed out for this map, this struct included */
	uint64_t splits, merges, rebuilds, relocations, entries_moved;
	size_t moved_now,
		moved_most; /* entries moved by the operation that runs; the most that one ever moved */

	struct neap__link listed; /* in the list of all maps */
	neap_map_hook_fn *hook;	  /* NULL: none */
	void *hook_ctx;
};

/* The guard of a map with a hook while nobody writes. No thread has this address. */
#define NEAP__HOOKED ((uintptr_t)1)

enum neap__map_flags {
	NEAP__STRICT = 1u << 0,	    /* iterators refuse a map that was changed */
	NEAP__DEGENERATE = 1u << 1, /* the hash has failed to separate keys since the map was last empty */
	NEAP__OUTSIDE = 1u << 2,    /* entries have blocks outside their slots */
	NEAP__RELEASE = 1u << 3,    /* leaving entries are handed to the type's release callback */
	NEAP__REFERRED = 1u << 4,   /* a neap_ref has been made */
	NEAP__COUNTED = NEAP__STRICT | NEAP__REFERRED
};

/* How keys are hashed and compared: the switch of the type-erased functions. */
enum neap__key_path {
	NEAP__KEY_4,
	NEAP__KEY_8,
	NEAP__KEY_BYTES,
	NEAP__KEY_STR,
	NEAP__KEY_OTHER, /* floats, user functions, SipHash, keys held by pointer */
};

/* The numbers that turn an entry into addresses: constants in a typed map, loaded from the map otherwise. */
struct neap__shape {
	uint32_t slot_size;
	uint32_t value_offset;
	uint32_t hash_offset; /* of the 32 kept hash bits; 0: none kept, hash again */
	uint32_t group_bytes;
	uint32_t group_bits;
};

NEAP__INLINE struct neap__shape neap__shape_of(const struct neap_map *map)
{
	struct neap__shape shape = {map->slot_size, map->value_offset, map->hash_offset, map->group_bytes,
				    map->group_bits};
	return shape;
}

/* ---- Hashing ------------------------------------------------------------------------------------------ */

__extension__ typedef unsigned __int128 neap__wide;

/* Both halves of a 64 x 64 bit product, folded (Wang Yi, wyhash, public domain). */
NEAP__INLINE uint64_t neap__fold(uint64_t a, uint64_t b)
{
	neap__wide product = (neap__wide)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Hash of a word. The first product is keyed by two random words, so that an attacker who knows only the code
 * can't aim; the second spreads what a random multiplier may leave clumped (sequential keys under a multiplier
 * close to a simple fraction of 2^64, or small keys under a seed that a caller made up) and makes its high bits depend
 * on all bits. A factor of 32 bits, which would save an instruction, does not: a seed like {7, 1} left clumps.
 */
NEAP__INLINE uint64_t neap__hash_word(uint64_t word, const uint64_t seed[2])
{
	return neap__fold(word ^ seed[0], seed[1]) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Hash of `size` bytes; for sizes up to 16 use neap__hash_fixed. */
NEAP_API uint64_t neap__hash_bytes(const void *bytes, size_t size, const uint64_t seed[2]);

NEAP__INLINE uint64_t neap__load_word(const void *at, size_t size)
{
	uint64_t word = 0;
	memcpy(&word, at, size <= 8 ? size : 8);
	return word;
}

/* Hash of a key of constant size. */
NEAP__INLINE uint64_t neap__hash_fixed(const void *key, size_t size, const uint64_t seed[2])
{
	if (size <= 8)
		return neap__hash_word(neap__load_word(key, size), seed);
	if (size <= 16) {
		/* Sizes that fit smaller keys too: gcc -O0 looks into this branch, and would warn of a read beyond. */
		uint64_t low = neap__load_word(key, size < 8 ? size : 8);
		uint64_t high =
			neap__load_word((const uint8_t *)key + (size > 8 ? 8 : 0), size > 8 ? size - 8 : 0);
		return neap__hash_word(low ^ neap__fold(high ^ seed[1], UINT64_C(0xa0761d6478bd642f)), seed);
	}
	return neap__hash_bytes(key, size, seed);
}

/* Hash of a string key. */
NEAP__INLINE uint64_t neap__hash_str(struct neap_str str, const uint64_t seed[2])
{
	return neap__hash_bytes(str.ptr, str.len, seed);
}

/* 16 bytes at each of two addresses differ. */
NEAP__INLINE bool neap__differ_16(const uint8_t *a, const uint8_t *b)
{
	return ((neap__load_word(a, 8) ^ neap__load_word(b, 8)) |
		(neap__load_word(a + 8, 8) ^ neap__load_word(b + 8, 8))) != 0;
}

/* memcmp(a, b, size) == 0, inlined for the length of most keys: what a call would save and restore costs more. The
 * last word may overlap the one before.
 */
NEAP__INLINE bool neap__bytes_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
	enum { INLINED = 64 };
	if (size > INLINED)
		return memcmp(a, b, size) == 0;
	if (size > 16) {
		const size_t last = size - 16;
		for (size_t at = 0; at < last; at += 16)
			if (NEAP__UNLIKELY(neap__differ_16(a + at, b + at)))
				return false;
		return !neap__differ_16(a + last, b + last);
	}
	if (size >= 8)
		return ((neap__load_word(a, 8) ^ neap__load_word(b, 8)) |
			(neap__load_word(a + size - 8, 8) ^ neap__load_word(b + size - 8, 8))) == 0;
	if (size >= 4)
		return ((neap__load_word(a, 4) ^ neap__load_word(b, 4)) |
			(neap__load_word(a + size - 4, 4) ^ neap__load_word(b + size - 4, 4))) == 0;
	return size == 0 || (a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1]);
}

/* Compares two strings; `hash` is that of `key`, whose own hash field is not used. */
NEAP__INLINE bool neap__str_equal(const struct neap_str *stored, const void *key, uint64_t hash)
{
	struct neap_str sought;
	memcpy(&sought, key, sizeof sought);
	return stored->len == sought.len && stored->hash == (uint32_t)(hash >> 32) &&
	       neap__bytes_equal((const uint8_t *)stored->ptr, (const uint8_t *)sought.ptr, sought.len);
}

/* ---- Control words ------------------------------------------------------------------------------------ */

/* The byte of a hash that its tag is made of. Not the lowest: that one depends on the lowest byte of what was
 * multiplied alone, and for the odd seed left sequential keys with eleven times the false matches that chance has.
 */
NEAP__INLINE uint32_t neap__tag_byte(uint64_t hash)
{
	return hash >> 8 & 0xff;
}

/* The tag of a hash four times over: 8 in place of 0, which means an empty slot. */
#define NEAP__TAG1(n)  (((n) == 0 ? 8u : (uint32_t)(n)) * 0x01010101u)
#define NEAP__TAG4(n)  NEAP__TAG1(n), NEAP__TAG1((n) + 1), NEAP__TAG1((n) + 2), NEAP__TAG1((n) + 3)
#define NEAP__TAG16(n) NEAP__TAG4(n), NEAP__TAG4((n) + 4), NEAP__TAG4((n) + 8), NEAP__TAG4((n) + 12)
#define NEAP__TAG64(n) NEAP__TAG16(n), NEAP__TAG16((n) + 16), NEAP__TAG16((n) + 32), NEAP__TAG16((n) + 48)
static const uint32_t neap__tag_words[256]
	__attribute__((unused)) = {NEAP__TAG64(0), NEAP__TAG64(64), NEAP__TAG64(128), NEAP__TAG64(192)};

NEAP__INLINE uint32_t neap__tag_word(uint64_t hash)
{
	return neap__tag_words[neap__tag_byte(hash)];
}

/* The tag of a hash, 1 to 255. */
NEAP__INLINE uint32_t neap__tag(uint64_t hash)
{
	return neap__tag_word(hash) & 0xff;
}

#if NEAP__SSE2
/* Slots of a control word whose tag is the one that `tag_word` repeats, one bit each. */
NEAP__INLINE uint32_t neap__match(const uint8_t *ctrl, uint32_t tag_word)
{
	__m128i word = _mm_load_si128((const __m128i *)(const void *)ctrl);
	__m128i equal = _mm_cmpeq_epi8(word, _mm_shuffle_epi32(_mm_cvtsi32_si128((int)tag_word), 0));
	return (uint32_t)_mm_movemask_epi8(equal) & NEAP__GROUP_MASK;
}
#else
/* Bit i of the result: byte i of `word` is zero. Exact: no carry crosses a byte (Hacker's Delight 6-1). */
NEAP__INLINE uint32_t neap__zero_bytes(uint64_t word)
{
	const uint64_t low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
	uint64_t high = ~(((word & low7) + low7) | word | low7); /* 0x80 where the byte is zero */
	return (uint32_t)(((high >> 7) * UINT64_C(0x0102040810204080)) >> 56);
}

NEAP__INLINE uint32_t neap__match(const uint8_t *ctrl, uint32_t tag_word)
{
	uint64_t low, high, same = tag_word | (uint64_t)tag_word << 32;
	memcpy(&low, ctrl, 8);
	memcpy(&high, ctrl + 8, 8);
#	if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	low = __builtin_bswap64(low);
	high = __builtin_bswap64(high);
#	endif
	return (neap__zero_bytes(low ^ same) | neap__zero_bytes(high ^ same) << 8) & NEAP__GROUP_MASK;
}
#endif

/* Slots of a control word that are empty. */
NEAP__INLINE uint32_t neap__empty(const uint8_t *ctrl)
{
	return neap__match(ctrl, 0);
}

/* The lowest slot of a mask that is not 0. The instruction by name, because gcc extends the sign of what
 * __builtin_ctz returns, and clears the register before: two instructions of the forty of a look-up. It is tzcnt
 * where there is one and bsf elsewhere, which are the same for any mask but 0.
 */
NEAP__INLINE size_t neap__first(uint32_t mask)
{
#if defined(__x86_64__)
	size_t index; /* its upper half is cleared */
	__asm__("rep bsf %1, %k0" : "=r"(index) : "r"(mask) : "cc");
	return index;
#else
	return (size_t)__builtin_ctz(mask);
#endif
}

/* True when an entry of this tag's class went past the group. */
NEAP__INLINE bool neap__overflowed(const uint8_t *ctrl, size_t tag)
{
	return (ctrl[NEAP__OVERFLOW] >> (tag & 7)) & 1;
}

NEAP__INLINE void neap__mark_overflow(uint8_t *ctrl, uint32_t tag)
{
	ctrl[NEAP__OVERFLOW] = (uint8_t)(ctrl[NEAP__OVERFLOW] | 1u << (tag & 7));
}

/* ---- Places ------------------------------------------------------------------------------------------- */

/* Where an entry is: slot NULL when it is nowhere. Spilled entries have no control word: ctrl is NULL. */
struct neap__place {
	uint8_t *slot;
	uint8_t *ctrl;
	size_t index;	/* of the slot in its group */
	size_t byte;	/* of the hash, which the tag is made of */
	uint8_t *begin; /* first control word of its segment */
};

/* First control word of the segment of a hash, and the way from there to its home group in bytes. */
NEAP__INLINE uint8_t *neap__segment_begin(const struct neap_map *map, uint64_t hash)
{
	return map->dir[hash >> map->dir_shift];
}

NEAP__INLINE uint32_t neap__home_offset(const struct neap_map *map, uint64_t hash)
{
	return (uint32_t)(hash >> map->home_shift) & map->home_mask;
}

/* Slots of the group with this control word. In a typed map the factor is a constant, mostly a whole number. */
NEAP__INLINE uint8_t *neap__group_slots(const struct neap_map *map, struct neap__shape shape,
					const uint8_t *ctrl)
{
	const uintptr_t at = (uintptr_t)ctrl;
	const bool whole =
		__builtin_constant_p(shape.group_bytes) && shape.group_bytes % NEAP__CONTROL_BYTES == 0;
	return (uint8_t *)(map->slots_bias + (whole ? at * (shape.group_bytes / NEAP__CONTROL_BYTES)
						    : at / NEAP__CONTROL_BYTES * shape.group_bytes));
}

/* The record of the segment that begins at this control word. */
NEAP__INLINE struct neap__segment *neap__segment_record(const struct neap_map *map, struct neap__shape shape,
							const uint8_t *begin)
{
	return (struct neap__segment *)(map->segs_bias + ((uintptr_t)begin >> (shape.group_bits + 1)));
}

/* Fetches the line that the likeliest slots of a group begin in or end in: the first ones are taken first. The address
 * does not depend on the control word, so behind a branch that was predicted well the line and its page are on their
 * way while the control word still is: that takes a third off the latency of a hit beyond the caches. Before the branch
 * it would double the cost of a miss.
 */
NEAP__INLINE void neap__fetch_slots(const struct neap_map *map, struct neap__shape shape, const uint8_t *ctrl)
{
	__builtin_prefetch(neap__group_slots(map, shape, ctrl) + 32);
}

/* Compares the key in a slot with the one that is sought; `hash` is of the latter. */
typedef bool neap__equal_fn(const struct neap_map *map, const uint8_t *slot, const void *key, uint64_t hash);

/* Looks beyond the home group: at further groups, then in the spill list. For keys of any type. */
NEAP_API struct neap__place neap__find_rest(const struct neap_map *map, const void *key, uint64_t hash);
/* The entry of the spill list with this key, or NULL. */
__attribute__((pure)) NEAP_API uint8_t *neap__spill_find(const struct neap_map *map, const void *key,
							 uint64_t hash);

/* The same for one type; each instantiates it once, out of line. */
NEAP__INLINE struct neap__place neap__find_beyond(const struct neap_map *map, struct neap__shape shape,
						  const void *key, uint64_t hash, neap__equal_fn *equal)
{
	const uint32_t tag_word = neap__tag_word(hash), first = neap__home_offset(map, hash);
	struct neap__place place = {NULL, NULL, 0, neap__tag_byte(hash), neap__segment_begin(map, hash)};
	for (uint32_t home = (first + NEAP__CONTROL_BYTES) & map->home_mask; home != first;
	     home = (home + NEAP__CONTROL_BYTES) & map->home_mask) {
		uint8_t *ctrl = place.begin + home;
		for (uint32_t hits = neap__match(ctrl, tag_word); hits != 0; hits &= hits - 1) {
			size_t index = neap__first(hits);
			uint8_t *slot = neap__group_slots(map, shape, ctrl) + index * shape.slot_size;
			if (equal(map, slot, key, hash)) {
				place.slot = slot;
				place.ctrl = ctrl;
				place.index = index;
				return place;
			}
		}
		if (NEAP__LIKELY(!neap__overflowed(ctrl, place.byte)))
			return place;
	}
	place.slot = map->spilled != 0 ? neap__spill_find(map, key, hash) : NULL;
	return place;
}

/* Looks in the home group. When *ret_more is set the key may be further on. Looking there is the caller's,
 * in a function that is not inlined, so that the common path neither spills registers nor puts the key into
 * memory for it.
 */
NEAP__INLINE struct neap__place neap__find_home(const struct neap_map *map, struct neap__shape shape,
						const void *key, uint64_t hash, neap__equal_fn *equal,
						bool *ret_more)
{
	uint8_t *begin = neap__segment_begin(map, hash), *ctrl = begin + neap__home_offset(map, hash);
	size_t byte = neap__tag_byte(hash);
	__asm__(""
		: "+r"(byte)); /* not to be computed twice: gcc would take the overflow bit from another shift */
	struct neap__place place = {NULL, ctrl, 0, byte, begin};
	uint32_t hits = neap__match(ctrl, neap__tag_words[byte]);
	*ret_more = false;
	if (hits != 0)
		neap__fetch_slots(map, shape, ctrl);
	for (; hits != 0; hits &= hits - 1) {
		const size_t index = neap__first(hits);
		uint8_t *slot = neap__group_slots(map, shape, ctrl) + index * shape.slot_size;
		if (NEAP__LIKELY(equal(map, slot, key, hash))) {
			place.slot = slot;
			place.index = index;
			return place;
		}
	}
	*ret_more = neap__overflowed(ctrl, byte);
	return place;
}

/* ---- Guarding ----------------------------------------------------------------------------------------- */

/* This thread, as pthread_self() names it; never 0. */
NEAP__INLINE uintptr_t neap__thread(void)
{
#if defined(__x86_64__) && defined(__linux__)
	uintptr_t self;
	__asm__("mov %%fs:0, %0" : "=r"(self));
	return self;
#else
	return (uintptr_t)__builtin_thread_pointer();
#endif
}

__attribute__((noreturn)) NEAP_API void neap__map_read_fault(const struct neap_map *map,
							     const char *operation);
/* `writer` was found where 0 should be. Returns only when it is NEAP__HOOKED. */
NEAP_API void neap__map_busy(const struct neap_map *map, uintptr_t writer, const char *operation);
/* The end of a write did not find what its begin left. */
__attribute__((noreturn)) NEAP_API void neap__map_write_fault(const struct neap_map *map,
							      const char *operation);

/* The operations of neap/map.h on a map with a hook; `caller` is where they return to. */
NEAP_API int neap__hooked_put(struct neap_map *map, const void *key, const void *value, const void *caller);
NEAP_API void *neap__hooked_slot(struct neap_map *map, const void *key, bool *ret_inserted,
				 const void *caller);
NEAP_API bool neap__hooked_delete(struct neap_map *map, const void *key, const void *caller);

/* The writer, as far as this thread can see. A volatile load and not an atomic one, around which compilers move
 * nothing: a loop of look-ups then keeps the map's fields in registers.
 */
NEAP__INLINE uintptr_t neap__guard(const struct neap_map *map)
{
#ifdef __SANITIZE_THREAD__
	return __atomic_load_n(&map->guard, __ATOMIC_RELAXED);
#else
	return *(const volatile uintptr_t *)&map->guard;
#endif
}

/* Before a look-up: nobody may be writing. This is a detector, not a lock. */
NEAP__INLINE void neap__reading(const struct neap_map *map, const char *operation)
{
	if (NEAP__UNLIKELY(neap__guard(map) > NEAP__HOOKED))
		neap__map_read_fault(map, operation);
}

/* Begins a write and returns 0; or what the guard has: NEAP__HOOKED, and the write is for the library to do, or the
 * other writer. One branch finds both; neap__map_busy tells them apart.
 */
NEAP__INLINE uintptr_t neap__write_begin(struct neap_map *map)
{
	const uintptr_t writer = __atomic_load_n(&map->guard, __ATOMIC_RELAXED);
	if (NEAP__LIKELY(writer == 0))
		__atomic_store_n(&map->guard, neap__thread(), __ATOMIC_RELAXED);
	return writer;
}

NEAP__INLINE void neap__write_end(struct neap_map *map, const char *operation)
{
	if (NEAP__UNLIKELY(__atomic_load_n(&map->guard, __ATOMIC_RELAXED) != neap__thread()))
		neap__map_write_fault(map, operation);
	__atomic_store_n(&map->guard, (uintptr_t)0, __ATOMIC_RELAXED);
}

/* ---- Insert and erase --------------------------------------------------------------------------------- */

/* Inserts an absent key and everything it owns; the caller writes the value. NULL: out of memory, nothing changed. */
NEAP_API uint8_t *neap__map_insert(struct neap_map *map, const void *key, uint64_t hash);
/* Makes room for an entry of this hash, then claims a slot as neap__claim does. NULL: out of memory, and the
 * map is as it was.
 */
NEAP_API uint8_t *neap__map_claim_slow(struct neap_map *map, uint64_t hash);
/* Merges or shrinks if a segment has become sparse and that is due. Never fails: it may be put off. */
NEAP_API void neap__map_sparse(struct neap_map *map, struct neap__segment *seg);
/* Removes an entry from the spill list. */
NEAP_API void neap__spill_remove(struct neap_map *map, uint8_t *slot);

/* Puts `tag` into the first empty slot from a home group on and returns that slot. There must be one. `begin` is
 * the first control word of the segment, `home` the home group's distance from there.
 */
NEAP__INLINE uint8_t *neap__occupy(struct neap_map *map, struct neap__shape shape, uint8_t *begin,
				   uint32_t home, uint32_t tag)
{
	for (;;) {
		uint8_t *ctrl = begin + home;
		uint32_t empty = neap__empty(ctrl);
		if (NEAP__LIKELY(empty != 0)) {
			size_t index = neap__first(empty);
			ctrl[index] = (uint8_t)tag;
			uint8_t *slot = neap__group_slots(map, shape, ctrl) + index * shape.slot_size;
			NEAP__UNPOISON(slot, shape.slot_size);
			return slot;
		}
		neap__mark_overflow(ctrl, tag);
		home = (home + NEAP__CONTROL_BYTES) & map->home_mask;
	}
}

/* Both counters of a segment as one word, `live` in its first half. The short paths load and store them together:
 * an insert that reads a word after a delete has stored its halves waits for the stores to reach the cache.
 */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#	define NEAP__ONE_LIVE UINT32_C(0x10000)
#	define NEAP__ONE_ROOM UINT32_C(1)
#else
#	define NEAP__ONE_LIVE UINT32_C(1)
#	define NEAP__ONE_ROOM UINT32_C(0x10000)
#endif

NEAP__INLINE uint32_t neap__counts(const struct neap__segment *seg)
{
	uint32_t counts;
	memcpy(&counts, seg, sizeof counts);
	return counts;
}

NEAP__INLINE void neap__set_counts(struct neap__segment *seg, uint32_t counts)
{
	memcpy(seg, &counts, sizeof counts);
}

/* Counts a new entry of segment `seg`, which has room. */
NEAP__INLINE void neap__count_insert(struct neap_map *map, struct neap__segment *seg)
{
	neap__set_counts(seg, neap__counts(seg) + NEAP__ONE_LIVE - NEAP__ONE_ROOM);
	map->len++;
	if (NEAP__UNLIKELY(map->flags & NEAP__COUNTED))
		map->version++;
}

/* Claims a slot for a new entry; the caller fills in key, value and kept hash. NULL: out of memory. */
NEAP__INLINE uint8_t *neap__claim(struct neap_map *map, struct neap__shape shape, uint64_t hash)
{
	uint8_t *begin = neap__segment_begin(map, hash);
	struct neap__segment *seg = neap__segment_record(map, shape, begin);
	if (NEAP__UNLIKELY(seg->room == 0))
		return neap__map_claim_slow(map, hash);
	neap__count_insert(map, seg);
	return neap__occupy(map, shape, begin, neap__home_offset(map, hash), neap__tag(hash));
}

/* The same in the home group, where neap__find_home has just missed the key: sets place->slot and place->index.
 * False when the group is full or its segment has no room; nothing has changed then.
 */
NEAP__INLINE bool neap__claim_home(struct neap_map *map, struct neap__shape shape, struct neap__place *place)
{
	struct neap__segment *seg = neap__segment_record(map, shape, place->begin);
	neap__fetch_slots(map, shape, place->ctrl);
	const uint32_t empty = neap__empty(place->ctrl);
	if (NEAP__UNLIKELY(seg->room == 0 || empty == 0))
		return false;
	place->index = neap__first(empty);
	place->slot = neap__group_slots(map, shape, place->ctrl) + place->index * shape.slot_size;
	NEAP__UNPOISON(place->slot, shape.slot_size);
	neap__count_insert(map, seg);
	place->ctrl[place->index] = (uint8_t)neap__tag_words[place->byte];
	return true;
}

/* Frees a place in a group whose key and value are already gone. True: it is time for neap__map_sparse. */
NEAP__INLINE bool neap__vacate(struct neap_map *map, struct neap__shape shape, struct neap__place place)
{
	struct neap__segment *seg = neap__segment_record(map, shape, place.begin);
	uint32_t counts = neap__counts(seg) - NEAP__ONE_LIVE + NEAP__ONE_ROOM;
	if (__builtin_expect_with_probability(neap__overflowed(place.ctrl, place.byte), 0, 0.99))
		counts -= NEAP__ONE_ROOM;
	const uint32_t live = counts / NEAP__ONE_LIVE; /* in its lower half */
	neap__set_counts(seg, counts);
	map->len--;
	if (NEAP__UNLIKELY(map->flags & NEAP__COUNTED))
		map->version++;
	NEAP__POISON(place.slot, shape.slot_size);
	place.ctrl[place.index] = 0; /* last: a store of a byte may change anything, as compilers see it */
	return NEAP__UNLIKELY((live & map->shrink_step) == 0);
}

/* Frees any place whose key and value are already gone, and lets the map shrink. */
NEAP__INLINE void neap__erase(struct neap_map *map, struct neap__shape shape, struct neap__place place)
{
	struct neap__segment *seg = neap__segment_record(map, shape, place.begin);
	if (NEAP__UNLIKELY(place.ctrl == NULL)) {
		neap__spill_remove(map, place.slot);
		map->len--;
		map->version++;
		neap__map_sparse(map, seg);
	} else if (neap__vacate(map, shape, place)) {
		neap__map_sparse(map, seg);
	}
}

/* The end of a delete that left a segment sparse: shrinks the map, ends the write, and returns true. A call in the
 * last place, so that the common path needs no stack frame.
 */
NEAP_API bool neap__map_sparse_end(struct neap_map *map, struct neap__segment *seg, const char *operation);

/* ---- Iteration: the step that most steps are, see src/map/iterate.c ------------------------------------- */

/* Stands for a key of up to 16 bytes while its unit is iterated over. */
NEAP__INLINE uint64_t neap__fingerprint(const uint8_t *slot, size_t key_size)
{
	uint64_t word = neap__load_word(slot, key_size);
	if (key_size <= 8)
		return word;
	return neap__fold(word ^ UINT64_C(0xa0761d6478bd642f),
			  neap__load_word(slot + 8, key_size - 8) ^ UINT64_C(0xe7037ed1a0b428db));
}

/* A group is walked from a random slot on, `offset`: its live slots as a mask that begins there, and the slot
 * that a bit of such a mask stands for. Taking the next entry is then one step, clearing the lowest bit.
 */
NEAP__INLINE uint32_t neap__turned(uint32_t mask, uint32_t offset)
{
	return (mask | mask << NEAP__GROUP_SLOTS) >> offset & NEAP__GROUP_MASK;
}

NEAP__INLINE size_t neap__unturned(size_t bit, uint32_t offset)
{
	size_t index = bit + offset;
	return index < NEAP__GROUP_SLOTS ? index : index - NEAP__GROUP_SLOTS;
}

/* Produces the next entry of a group that is walked in place; false: neap_map_iter_next has to look. */
NEAP__INLINE bool neap__iter_step(struct neap_map_iter *it, uint32_t slot_size, uint32_t group_bytes,
				  uint32_t value_offset, uint32_t key_size)
{
	const struct neap_map *map = it->neap__map;
	uint32_t live = it->neap__live;
	if (!it->neap__common || it->neap__epoch != map->epoch || neap__guard(map) > NEAP__HOOKED ||
	    *it->neap__before != 0)
		return false;
	while (live == 0) {
		if (it->neap__groups_left == 0)
			return false;
		it->neap__groups_left--;
		it->neap__group++;
		it->neap__ctrl += NEAP__CONTROL_BYTES;
		it->neap__slots += group_bytes;
		live = neap__turned(~neap__empty(it->neap__ctrl) & NEAP__GROUP_MASK, it->neap__offset);
	}
	const size_t index = neap__unturned(neap__first(live), it->neap__offset);
	it->neap__live = live;
	if (it->neap__ctrl[index] == 0)
		return false;
	uint8_t *slot = it->neap__slots + index * slot_size;
	it->neap__live = live & (live - 1);
	it->neap__seen[it->neap__seen_len++] = neap__fingerprint(slot, key_size);
	it->key = slot;
	it->value = slot + value_offset;
	return true;
}

/* ---- Scanning: the groups of all segments lie one after the other --------------------------------------- */

__attribute__((noreturn)) NEAP_API void neap__map_scan_fault(const struct neap_map *map);

/* Goes to the next entry and returns its slot, or NULL at the end. Calls nothing with the scan's address, so that a
 * compiler can keep all of it in registers.
 */
NEAP__INLINE uint8_t *neap__scan_step(struct neap_map_scan *scan, struct neap__shape shape)
{
	const struct neap_map *map = scan->neap__map;
	while (scan->neap__live == 0) {
		if (scan->neap__ctrl != scan->neap__end) {
			if (NEAP__UNLIKELY(map->epoch != scan->neap__epoch || map->len != scan->neap__len ||
					   neap__guard(map) > NEAP__HOOKED))
				neap__map_scan_fault(map);
			scan->neap__slots = scan->neap__next;
			scan->neap__next += shape.group_bytes;
			scan->neap__live = ~neap__empty(scan->neap__ctrl) & NEAP__GROUP_MASK;
			scan->neap__ctrl += NEAP__CONTROL_BYTES;
		} else if (scan->neap__spilled != 0) {
			uint32_t few = scan->neap__spilled < 31 ? scan->neap__spilled : 31;
			scan->neap__spilled -= few;
			scan->neap__slots = map->spill + (size_t)scan->neap__spilled * shape.slot_size;
			scan->neap__live = (UINT32_C(1) << few) - 1;
		} else {
			return NULL;
		}
	}
	const size_t index = neap__first(scan->neap__live);
	scan->neap__live &= scan->neap__live - 1;
	return scan->neap__slots + index * shape.slot_size;
}

/* ---- Many look-ups at once ---------------------------------------------------------------------------- */

typedef uint64_t neap__hash_fn(const struct neap_map *map, const void *key);
typedef uint8_t *neap__rest_fn(const struct neap_map *map, const void *key, uint64_t hash);

/* ret_values[i] = the value of key i, or NULL. In a table that the caches hold one after the other. In larger ones
 * three stages run over a ring: hash and fetch the control word, match and fetch the slot, compare. The distances are
 * what hid a memory access best at 1e7 entries here.
 */
NEAP__INLINE void neap__find_many(const struct neap_map *map, struct neap__shape shape, const uint8_t *keys,
				  size_t stride, size_t n, void **ret_values, neap__hash_fn *hash_of,
				  neap__equal_fn *equal, neap__rest_fn *rest)
{
	enum { RING = 64, CONTROL_AHEAD = 32, SLOT_AHEAD = 16, CACHED_DEPTH = 4 };
	uint64_t hashes[RING];
	uint8_t *groups[RING];
	const bool cached = map->dir_shift >= 64 - CACHED_DEPTH;
	for (size_t i = 0; cached && i < n; i++) {
		const uint8_t *key = keys + i * stride;
		const uint64_t hash = hash_of(map, key);
		bool more;
		uint8_t *slot = neap__find_home(map, shape, key, hash, equal, &more).slot;
		if (NEAP__UNLIKELY(more))
			slot = rest(map, key, hash);
		ret_values[i] = slot == NULL ? NULL : slot + shape.value_offset;
	}
	for (size_t step = 0; !cached && step < n + CONTROL_AHEAD; step++) {
		if (step < n) {
			uint64_t hash = hash_of(map, keys + step * stride);
			uint8_t *ctrl = neap__segment_begin(map, hash) + neap__home_offset(map, hash);
			hashes[step % RING] = hash;
			groups[step % RING] = ctrl;
			__builtin_prefetch(ctrl);
		}
		if (step >= SLOT_AHEAD && step - SLOT_AHEAD < n) {
			size_t at = (step - SLOT_AHEAD) % RING;
			uint32_t hits = neap__match(groups[at], neap__tag_word(hashes[at]));
			if (hits != 0)
				__builtin_prefetch(neap__group_slots(map, shape, groups[at]) +
						   neap__first(hits) * shape.slot_size);
		}
		if (step >= CONTROL_AHEAD) {
			size_t i = step - CONTROL_AHEAD;
			const uint8_t *key = keys + i * stride;
			bool more;
			struct neap__place place =
				neap__find_home(map, shape, key, hashes[i % RING], equal, &more);
			if (NEAP__UNLIKELY(more))
				place.slot = rest(map, key, hashes[i % RING]);
			ret_values[i] = place.slot == NULL ? NULL : place.slot + shape.value_offset;
		}
	}
}

#ifdef __cplusplus
}
#endif

#endif
