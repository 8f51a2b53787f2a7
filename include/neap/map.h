/* neap/map.h: a hash map with Go's semantics whose memory follows its live count down.
 *
 * A map is a handle: copying the pointer shares the map, reassigning it in a callee does not reach the
 * caller. A NULL map is Go's nil map: it reads as empty and refuses writes with NEAP_ENIL.
 *
 * Two ways to use it over the same bytes in memory: this header, in which keys and values are `void *` and a
 * struct neap_map_type says what they are, and neap/map_typed.h, which generates inlined functions for one
 * key type and one value type. Every tool, and every function below, serves both.
 *
 * Cost. Every operation on one entry touches one segment of the map; growing and shrinking split and merge
 * one segment at a time. One insert or delete moves at most neap_map_move_bound() entries, whatever the size
 * of the map. Memory goes back to the operating system as entries are deleted; no call is needed.
 *
 * Threads. A map may be read by many threads at once, or used by one thread that writes. Two writers, or a
 * reader beside a writer, are misuse: most such accidents are caught and stop the program (struct
 * neap_fault). No function here starts a thread, blocks on a lock, or collects.
 *
 * Pointers to keys and values stay valid until the next insert, delete, clear, reserve or compact of that map.
 */
#ifndef NEAP_MAP_H
#define NEAP_MAP_H

#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_map;

/* What a key is. */
enum neap_key_kind {
	NEAP_KEY_BYTES =
		0, /* equal when all key_size bytes are equal: integers, pointers, structs without padding */
	NEAP_KEY_F32 = 1, /* float, as in Go: 0 == -0, and a NaN equals nothing, not even itself */
	NEAP_KEY_F64 = 2, /* double, likewise */
	NEAP_KEY_STR = 3, /* struct neap_str; the bytes belong to the caller unless NEAP_MAP_OWN_KEYS */
	NEAP_KEY_USER = 4 /* the `hash` and `equal` of the type */
};

/* Flags of struct neap_map_type. */
enum neap_map_type_flags {
	/* The map copies the bytes of NEAP_KEY_STR keys when it inserts and frees them when it deletes. */
	NEAP_MAP_OWN_KEYS = 1u << 0,
	/* Hash with SipHash-1-3 instead of the fast keyed hash, for keys that an enemy chooses. */
	NEAP_MAP_SIPHASH = 1u << 1,
};

/* Keys and values larger than this many bytes are held by pointer in blocks of their own. */
#define NEAP_MAP_INLINE_MAX 128

/* What the entries of a map are. Must outlive every map of the type; usually static const. */
struct neap_map_type {
	uint32_t size; /* sizeof(struct neap_map_type), so that the struct may grow */
	uint32_t kind; /* enum neap_key_kind */
	uint32_t flags;
	uint32_t key_size, key_align;	  /* bytes */
	uint32_t value_size, value_align; /* bytes; 0 and 1 make a set */

	/* NEAP_KEY_USER only. Equal keys must hash alike; the result is mixed again, so that a weak hash costs
	 * speed only when whole 64-bit values collide. Called on look-up and insert; kept 32 bits per entry.
	 */
	uint64_t (*hash)(const void *key, uint64_t seed);
	bool (*equal)(const void *a, const void *b);

	/* Called with each key and value that leaves the map: deleted, overwritten (the old value only, key
	 * NULL), cleared, destroyed. Not for an entry that neap_map_take hands out. May be NULL. Must not touch
	 * the map.
	 */
	void (*release)(void *key, void *value, void *ctx);
	void *release_ctx;
};

/* When a map gives memory back. */
enum neap_map_shrink {
	NEAP_SHRINK_AUTO = 0,	/* as entries are deleted */
	NEAP_SHRINK_MANUAL = 1, /* only in neap_map_compact and neap_map_clear */
	NEAP_SHRINK_OFF = 2	/* only in neap_map_clear and neap_map_destroy */
};

/* All zero means the defaults. */
struct neap_map_options {
	const char *name; /* shown by tools and faults; copied, at most 63 bytes kept */
	const struct neap_allocator
		*allocator;    /* NULL: malloc. Large maps take whole pages from the system */
	size_t reserve;	       /* entries to make room for now */
	size_t floor;	       /* a delete never shrinks the map below room for this many entries */
	uint32_t shrink;       /* enum neap_map_shrink */
	bool strict_iteration; /* inserting or deleting while iterating stops the program */
	const uint64_t *seed;  /* two words that fix the hash: for tests; NULL: from the system */
};

/* Releases every entry and all memory. NULL is allowed. */
NEAP_API NEAP_FREES(1) void neap_map_destroy(struct neap_map *map);
/* An empty map of `type`, or NULL when the allocator refuses or the type is out of range (sizes over 2^20,
 * alignment over 64, NEAP_KEY_USER without functions). `options` may be NULL. The caller owns the handle.
 */
NEAP_API
NEAP_GIVES(neap_map_destroy)
struct neap_map *neap_map_create(const struct neap_map_type *type, const struct neap_map_options *options);

/* Number of entries; 0 for NULL. */
NEAP_API size_t neap_map_len(const struct neap_map *map);
/* The name given at creation, or "unnamed". Lives as long as the map. */
NEAP_API const char *neap_map_name(const struct neap_map *map);
NEAP_API const struct neap_map_type *neap_map_type_of(const struct neap_map *map);

/* The value of `key`, or NULL. For a set, a non-NULL pointer that must not be dereferenced. */
NEAP_API NEAP_NONNULL(2) void *neap_map_get(const struct neap_map *map, const void *key);
/* ret_values[i] = neap_map_get(map, key i), for `n` keys laid out one after the other; the cache misses of
 * neighbouring look-ups overlap.
 */
NEAP_API NEAP_NONNULL(4) void neap_map_get_many(const struct neap_map *map, const void *keys, size_t n,
						void **ret_values);

/* Inserts the entry, or overwrites the value of an equal key (the stored key stays). `value` may be NULL for
 * zeroes; neither may point into this map. 0, or NEAP_ENOMEM, NEAP_ENIL with the map as it was.
 */
NEAP_API NEAP_NONNULL(2) int neap_map_put(struct neap_map *map, const void *key, const void *value);
/* The value slot of `key`, inserted with a zeroed value when it was absent; `ret_inserted` (may be NULL) says
 * which. NULL when memory was refused or the map is NULL, with the map as it was.
 */
NEAP_API NEAP_NONNULL(2) void *neap_map_slot(struct neap_map *map, const void *key, bool *ret_inserted);
/* Deletes; true when there was such an entry. Never fails for want of memory. */
NEAP_API NEAP_NONNULL(2) bool neap_map_delete(struct neap_map *map, const void *key);
/* Deletes without calling `release`, and moves the stored key and value to `ret_key` and `ret_value` (either
 * may be NULL). An owned string key then belongs to the caller, to be freed with neap_map_free_key.
 */
NEAP_API NEAP_NONNULL(2) bool neap_map_take(struct neap_map *map, const void *key, void *ret_key,
					    void *ret_value);
/* Frees a key that neap_map_take handed out; needed only with NEAP_MAP_OWN_KEYS. */
NEAP_API NEAP_NONNULL(2) void neap_map_free_key(struct neap_map *map, void *key);
/* Deletes every entry for which `predicate` is true; returns how many. The predicate may change the value,
 * must not touch the map, and sees each entry exactly once.
 */
NEAP_API NEAP_NONNULL(2) size_t
	neap_map_delete_if(struct neap_map *map, bool (*predicate)(const void *key, void *value, void *ctx),
			   void *ctx);

/* Deletes every entry and keeps the memory for the next ones. */
NEAP_API void neap_map_clear_keep(struct neap_map *map);
/* Deletes every entry and gives all memory back; what remains is the header. */
NEAP_API void neap_map_clear(struct neap_map *map);
/* Makes room for `n` entries in all, so that inserting up to them needs no further memory until deletes shrink
 * the map again (see `floor`). Takes the pages now, and time proportional to `n`. 0, NEAP_ENOMEM or NEAP_ETOOBIG with
 * the map as it was.
 */
NEAP_API int neap_map_reserve(struct neap_map *map, size_t n);
/* Merges what can be merged within the load limit and returns every free page now. Takes time
 * proportional to the map; returns 0, or NEAP_ENOMEM with the map valid and not larger than before.
 */
NEAP_API int neap_map_compact(struct neap_map *map);

/* A new map with the same type, options, keys and values. Owned string keys are copied; values are copied as
 * bytes, so a type with a `release` callback usually needs `copy_value` (may be NULL: bytes), which fills
 * the zeroed `ret_value` and returns 0 or an error. NULL when memory or a value was refused: the source is
 * unchanged, and what copy_value had filled was handed to `release`, with key NULL.
 */
NEAP_API NEAP_GIVES(neap_map_destroy) struct neap_map *neap_map_clone(
	const struct neap_map *map, int (*copy_value)(void *ret_value, const void *value, void *ctx),
	void *ctx);
/* True when both maps have the same keys with equal values; `equal_value` NULL compares bytes. Maps with NaN
 * keys are equal to nothing. False when the types differ in kind or sizes. NULL equals any empty map.
 */
NEAP_API bool neap_map_equal(const struct neap_map *a, const struct neap_map *b,
			     bool (*equal_value)(const void *a, const void *b));

/* Iteration.
 *
 *     struct neap_map_iter it;
 *     for (neap_map_iter_init(&it, map); neap_map_iter_next(&it);)
 *             use(it.key, it.value);
 *
 * Starts at a random entry. As in Go the loop may insert and delete: an entry that stays in the map for the
 * whole loop is produced exactly once, one deleted before it was reached is not produced, one inserted during
 * the loop may or may not be. Nothing needs to be released: break and return are fine. Allocates nothing; the iterator is about 1 KB.
 */
struct neap_map_iter {
	const void *key; /* valid until the map changes */
	void *value;
	/* The rest belongs to src/map/iterate.c, which explains it. */
	struct neap_map *neap__map;
	const uint8_t *neap__ctrl, *neap__before;
	uint8_t *neap__slots;
	uint64_t neap__epoch, neap__version;
	uint32_t neap__live, neap__group, neap__groups_left;
	uint32_t neap__lo, neap__hi, neap__start_lo, neap__start_hi;
	uint16_t neap__home, neap__home_end, neap__start_home;
	uint8_t neap__mode, neap__lap, neap__offset, neap__filter, neap__common, neap__seen_len;
	uint64_t neap__last_turn, neap__last_print, neap__last_place;
	uint64_t neap__seen[120];
};

/* Starts an iteration; `map` may be NULL. Any number of iterators may run on one map. */
NEAP_API NEAP_NONNULL(1) void neap_map_iter_init(struct neap_map_iter *it, struct neap_map *map);
/* Steps to the next entry and sets key and value; false at the end. */
NEAP_API NEAP_NONNULL(1) bool neap_map_iter_next(struct neap_map_iter *it);

/* for-each, as one statement head: neap_map_each(it, map) { use(it.key, it.value); } */
#define neap_map_each(it, map)                                                          \
	for (struct neap_map_iter it, *it##_at = (neap_map_iter_init(&it, (map)), &it); \
	     neap_map_iter_next(it##_at);)

/* A pass over a map that does not change meanwhile: the cheapest way to visit every entry. In memory order, neither
 * random nor the same after a change. Values may be written, through the pointer or by a put of a key that is
 * there. After an insert or delete the next step stops the program as a concurrent change would, unless the
 * change left no trace that a step can see (an insert and a delete that cancel out); it never reads freed memory.
 *
 *     for (struct neap_map_scan at = neap_map_scan(map); neap_map_scan_next(&at);)
 *             use(at.key, at.value);
 *
 * The typed header has NAME_scan_next, all of it inlined. Nothing needs to be released. `map` may be NULL.
 */
struct neap_map_scan {
	const void *key; /* valid until the map changes */
	void *value;
	/* The rest is the library's. */
	const struct neap_map *neap__map;
	const uint8_t *neap__ctrl, *neap__end; /* control words that are left */
	uint8_t *neap__slots, *neap__next;     /* of the present group, of the next one */
	uint32_t neap__live;		       /* its entries that are left, one bit each */
	uint32_t neap__spilled;		       /* entries of the spill list that are left */
	uint64_t neap__epoch;
	size_t neap__len;
};
NEAP_API struct neap_map_scan neap_map_scan(struct neap_map *map);
/* Steps to the next entry and sets key and value; false at the end. */
NEAP_API bool neap_map_scan_next(struct neap_map_scan *scan);

/* Hooks: one function that hears of every change of one map before it is made, to count, to audit, or to refuse.
 *
 * A map without a hook pays nothing: the writer's mark, which every write tests, is what says that there is one.
 */
enum neap_map_change {
	NEAP_MAP_ASSIGN = 1, /* an entry is inserted or its value overwritten */
	NEAP_MAP_DELETE = 2, /* an entry is deleted, taken or cleared away */
};

/* A change that is about to be made. Everything lives only during the call. */
struct neap_map_event {
	const struct neap_map *map;
	uint32_t change;       /* enum neap_map_change */
	bool final;	       /* the map is being destroyed: the answer is ignored */
	const void *key;       /* as the caller gave it, or as it is stored */
	const void *old_value; /* NULL: there is no entry yet */
	const void *
		new_value; /* NULL for a delete, for zeroes, and where neap_map_slot lets the caller write later */
	const char *operation; /* "neap_map_put" */
	const void *caller;    /* the address in the program that the operation returns to */
};

/* True: go on. False: the map stays as it is; neap_map_put returns NEAP_EVETO, neap_map_slot NULL, the deleting
 * functions skip the entry. Runs on the thread that changes the map, while the map is marked as being written:
 * reading or changing that map in here is misuse and is stopped.
 */
typedef bool neap_map_hook_fn(const struct neap_map_event *event, void *ctx);

/* Sets the hook of a map; NULL removes it. Asked once for each entry of neap_map_put, _slot, _delete, _take,
 * _delete_if, _clear, _clear_keep and, with `final` set, _destroy. A slot that neap_map_slot finds is an
 * assignment too, because its value is about to be written; so is an insert that memory then refuses. Moving
 * entries about inside the map is no change, and a clone has no hook. NEAP_ENIL for a NULL map.
 */
NEAP_API int neap_map_set_hook(struct neap_map *map, neap_map_hook_fn *hook, void *ctx);

/* Where the bytes of a map are. live + tombstone + empty + free_held + metadata == total, exactly, and
 * total == the bytes that the allocator and the system have handed out for this map and not got back.
 */
struct neap_map_stats {
	size_t size; /* sizeof(struct neap_map_stats): set it before the call */

	size_t len;		/* entries */
	size_t slots;		/* entries that the present slots could hold */
	size_t tombstone_slots; /* slots that deletes left unusable until their segment is rebuilt */

	/* Bytes. */
	size_t live;	  /* slots with an entry, and the blocks of large or owned keys and values */
	size_t tombstone; /* slots counted in tombstone_slots */
	size_t empty;	  /* the other slots without an entry */
	size_t free_held; /* slots and control words past the last segment, not yet given back */
	size_t metadata;  /* header, directory, control words, segment table */
	size_t total;

	/* Structure. */
	size_t segments, groups_per_segment, directory_entries;
	unsigned depth;	      /* the directory is indexed by this many hash bits */
	size_t spilled;	      /* entries that no segment could take: above 0 means a degenerate hash */
	bool degenerate;      /* the hash has sent too many keys to one place; look-ups may be linear */
	size_t longest_probe; /* groups that the longest look-up visits */

	/* Since creation. */
	uint64_t splits, merges, rebuilds, relocations, entries_moved;
	size_t peak_total;	       /* the largest total, bytes */
	size_t max_moved_in_operation; /* the most entries that one put or delete moved */
};

/* Fills `ret`; walks the control words: time proportional to the number of segments. NULL map: all zero. */
NEAP_API NEAP_NONNULL(2) void neap_map_stats(const struct neap_map *map, struct neap_map_stats *ret);
/* total of neap_map_stats, kept up to date, O(1). */
NEAP_API size_t neap_map_bytes(const struct neap_map *map);
/* The most entries that one put or delete on this map can move: a constant of its slot size. Does not count a
 * degenerate hash, under which a put may visit every colliding entry.
 */
NEAP_API size_t neap_map_move_bound(const struct neap_map *map);

#ifdef __cplusplus
}
#endif

#endif
