/* neap/map_typed.h: inlined functions for one type of key and one type of value.
 *
 *     #define NEAP_MAP_NAME  sessions
 *     #define NEAP_MAP_KEY   uint64_t
 *     #define NEAP_MAP_VALUE struct session
 *     #include <neap/map_typed.h>
 *
 * declares sessions_create(), sessions_get(), sessions_put(), ... below. The map is a struct neap_map like any
 * other: every function of neap/map.h works on it, with `void *` in place of the types. May be included many
 * times with different names; the macros are undefined at the end.
 *
 * NEAP_MAP_VALUE  left out: a set
 * NEAP_MAP_KIND   what the key is (enum neap_key_kind), NEAP_KEY_BYTES if left out; for floats and struct neap_str
 *                 it must be given
 * NEAP_MAP_FLAGS  enum neap_map_type_flags
 * NEAP_MAP_HASH, NEAP_MAP_EQUAL      functions for NEAP_KEY_USER
 * NEAP_MAP_RELEASE, NEAP_MAP_CTX     the release callback and its context
 *
 * Contracts (failure, lifetime, threads) are those of the function of the same name in neap/map.h.
 */
#include "neap/map_core.h"

#ifndef NEAP_MAP_NAME
#	error "define NEAP_MAP_NAME, NEAP_MAP_KEY and NEAP_MAP_VALUE before including neap/map_typed.h"
#endif
#ifndef NEAP_MAP_KIND
#	define NEAP_MAP_KIND NEAP_KEY_BYTES
#endif
#ifndef NEAP_MAP_FLAGS
#	define NEAP_MAP_FLAGS 0
#endif
#ifndef NEAP_MAP_HASH
#	define NEAP_MAP_HASH NULL
#endif
#ifndef NEAP_MAP_EQUAL
#	define NEAP_MAP_EQUAL NULL
#endif
#ifndef NEAP_MAP_RELEASE
#	define NEAP_MAP_RELEASE NULL
#endif
#ifndef NEAP_MAP_CTX
#	define NEAP_MAP_CTX NULL
#endif

#define NEAP__JOIN2(a, b) a##b
#define NEAP__JOIN(a, b)  NEAP__JOIN2(a, b)
#define NEAP__M(suffix)	  NEAP__JOIN(NEAP_MAP_NAME, suffix)

#ifdef __cplusplus
#	define NEAP__ALIGNOF(type) alignof(type)
#	define NEAP__STATIC_ASSERT static_assert
#else
#	define NEAP__ALIGNOF(type) _Alignof(type)
#	define NEAP__STATIC_ASSERT _Static_assert
/* A float or a string that is compared byte by byte is a mistake. */
_Static_assert(NEAP_MAP_KIND != NEAP_KEY_BYTES ||
		       _Generic(*(NEAP_MAP_KEY *)0, float : 0, double : 0, struct neap_str : 0, default : 1),
	       "give NEAP_MAP_KIND for keys that are floats or strings");
#endif

#ifdef NEAP_MAP_VALUE
#	define NEAP__VALUE	  NEAP_MAP_VALUE
#	define NEAP__VALUE_SIZE  ((uint32_t)sizeof(NEAP_MAP_VALUE))
#	define NEAP__VALUE_ALIGN ((uint32_t)NEAP__ALIGNOF(NEAP_MAP_VALUE))
#else
#	define NEAP__VALUE	  void
#	define NEAP__VALUE_SIZE  0u
#	define NEAP__VALUE_ALIGN 1u
#endif

/* True when hashing, comparing and filling a slot can all be inlined; else calls go to neap/map.h. */
#define NEAP__DIRECT                                                                                \
	((NEAP_MAP_KIND == NEAP_KEY_BYTES || NEAP_MAP_KIND == NEAP_KEY_STR) &&                      \
	 ((NEAP_MAP_FLAGS)&NEAP_MAP_SIPHASH) == 0 && sizeof(NEAP_MAP_KEY) <= NEAP_MAP_INLINE_MAX && \
	 NEAP__VALUE_SIZE <= NEAP_MAP_INLINE_MAX)

/* Entries of this map own nothing, so an insert is one slot. */
#define NEAP__PLAIN (((NEAP_MAP_FLAGS)&NEAP_MAP_OWN_KEYS) == 0)

static const struct neap_map_type NEAP__M(_type) = {
	sizeof(struct neap_map_type),
	NEAP_MAP_KIND,
	NEAP_MAP_FLAGS,
	(uint32_t)sizeof(NEAP_MAP_KEY),
	(uint32_t)NEAP__ALIGNOF(NEAP_MAP_KEY),
	NEAP__VALUE_SIZE,
	NEAP__VALUE_ALIGN,
	NEAP_MAP_HASH,
	NEAP_MAP_EQUAL,
	NEAP_MAP_RELEASE,
	NEAP_MAP_CTX,
};

/* The slot, as neap__slot_layout computes it; only meaningful when NEAP__DIRECT. */
struct NEAP__M(_slot_layout) {
	NEAP_MAP_KEY key;
#ifdef NEAP_MAP_VALUE
	NEAP_MAP_VALUE value;
#endif
};

NEAP__INLINE struct neap__shape NEAP__M(_shape)(void)
{
	const uint32_t slot = (uint32_t)sizeof(struct NEAP__M(_slot_layout));
	struct neap__shape shape = {slot,
#ifdef NEAP_MAP_VALUE
				    (uint32_t)offsetof(struct NEAP__M(_slot_layout), value),
#else
				    (uint32_t)sizeof(NEAP_MAP_KEY),
#endif
				    NEAP_MAP_KIND == NEAP_KEY_STR ? (uint32_t)offsetof(struct neap_str, hash)
								  : 0u,
				    NEAP__GROUP_BYTES(slot), NEAP__GROUP_BITS(slot)};
	return shape;
}

NEAP__INLINE uint64_t NEAP__M(_hash)(const struct neap_map *map, const void *key)
{
	if (NEAP_MAP_KIND == NEAP_KEY_STR) {
		struct neap_str str;
		memcpy(&str, key, sizeof str < sizeof(NEAP_MAP_KEY) ? sizeof str : sizeof(NEAP_MAP_KEY));
		return neap__hash_str(str, map->seed);
	}
	return neap__hash_fixed(key, sizeof(NEAP_MAP_KEY), map->seed);
}

NEAP__INLINE bool NEAP__M(_equal)(const struct neap_map *map, const uint8_t *slot, const void *key,
				  uint64_t hash)
{
	(void)map;
	if (NEAP_MAP_KIND == NEAP_KEY_STR)
		return neap__str_equal((const struct neap_str *)(const void *)slot, key, hash);
	return memcmp(slot, key, sizeof(NEAP_MAP_KEY)) == 0;
}

/* ---- The functions ---- */

static inline __attribute__((unused)) struct neap_map *
NEAP__M(_create)(const struct neap_map_options *options)
{
	return neap_map_create(&NEAP__M(_type), options);
}

static inline __attribute__((unused)) void NEAP__M(_destroy)(struct neap_map *map)
{
	neap_map_destroy(map);
}

static inline __attribute__((unused)) size_t NEAP__M(_len)(const struct neap_map *map)
{
	return neap_map_len(map);
}

/* The rare continuation of a look-up, out of line, with the key by value. It and those of the writes hash again, so
 * that the common path need not keep the hash: a register less is a stack frame less.
 */
static __attribute__((noinline, unused, pure)) uint8_t *NEAP__M(_slot_beyond)(const struct neap_map *map,
									      NEAP_MAP_KEY key)
{
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	return neap__find_beyond(map, NEAP__M(_shape)(), &key, hash, NEAP__M(_equal)).slot;
}

static inline __attribute__((unused)) uint8_t *NEAP__M(_slot_at_rest)(const struct neap_map *map,
								      const void *key, uint64_t hash)
{
	NEAP_MAP_KEY copy;
	(void)hash;
	memcpy(&copy, key, sizeof copy);
	return NEAP__M(_slot_beyond)(map, copy);
}

NEAP__INLINE NEAP__VALUE *NEAP__M(_get)(const struct neap_map *map, NEAP_MAP_KEY key)
{
	if (map == NULL)
		return NULL;
	if (!NEAP__DIRECT)
		return (NEAP__VALUE *)neap_map_get(map, &key);
	neap__reading(map, "neap_map_get");
	bool more;
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	uint8_t *slot = neap__find_home(map, NEAP__M(_shape)(), &key, hash, NEAP__M(_equal), &more).slot;
	if (NEAP__UNLIKELY(more))
		slot = NEAP__M(_slot_beyond)(map, key);
	return slot == NULL ? NULL : (NEAP__VALUE *)(void *)(slot + NEAP__M(_shape)().value_offset);
}

static inline __attribute__((unused)) void
NEAP__M(_get_many)(const struct neap_map *map, NEAP_MAP_KEY const *keys, size_t n, NEAP__VALUE **ret_values)
{
	if (!NEAP__DIRECT || map == NULL) {
		neap_map_get_many(map, keys, n, (void **)ret_values);
		return;
	}
	neap__reading(map, "neap_map_get_many");
	neap__find_many(map, NEAP__M(_shape)(), (const uint8_t *)keys, sizeof *keys, n, (void **)ret_values,
			NEAP__M(_hash), NEAP__M(_equal), NEAP__M(_slot_at_rest));
}

/* Writes the key of a slot that was claimed for it. */
NEAP__INLINE void NEAP__M(_fill)(uint8_t *slot, NEAP_MAP_KEY const *key, uint64_t hash)
{
	memcpy(slot, key, sizeof *key);
	if (NEAP__M(_shape)().hash_offset != 0) {
		uint32_t kept = (uint32_t)(hash >> 32);
		memcpy(slot + NEAP__M(_shape)().hash_offset, &kept, sizeof kept);
	}
}

/* Finds the slot of `key`, inserted when absent, as far as the home group decides; false: it does not, and nothing
 * has changed. The value of a new slot is not zeroed: the caller writes it at once.
 */
NEAP__INLINE bool NEAP__M(_place_home)(struct neap_map *map, NEAP_MAP_KEY const *key, uint64_t hash,
				       uint8_t **ret_slot, bool *ret_inserted)
{
	bool more;
	struct neap__place place = neap__find_home(map, NEAP__M(_shape)(), key, hash, NEAP__M(_equal), &more);
	*ret_inserted = place.slot == NULL;
	if (place.slot == NULL) {
		if (!NEAP__PLAIN || NEAP__UNLIKELY(more) || !neap__claim_home(map, NEAP__M(_shape)(), &place))
			return false;
		NEAP__M(_fill)(place.slot, key, hash);
	}
	*ret_slot = place.slot;
	return true;
}

/* The slot when the home group did not decide. NULL: out of memory. */
static __attribute__((noinline, unused)) uint8_t *NEAP__M(_place_beyond)(struct neap_map *map,
									 NEAP_MAP_KEY key, bool *ret_inserted)
{
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	uint8_t *slot = neap__find_beyond(map, NEAP__M(_shape)(), &key, hash, NEAP__M(_equal)).slot;
	*ret_inserted = false;
	if (slot != NULL)
		return slot;
	slot = NEAP__PLAIN ? neap__claim(map, NEAP__M(_shape)(), hash) : neap__map_insert(map, &key, hash);
	if (slot == NULL)
		return NULL;
	*ret_inserted = true;
	if (NEAP__PLAIN)
		NEAP__M(_fill)(slot, &key, hash);
	return slot;
}

/* What finds the guard taken: a map with a hook, or a race. Out of line, with the key by value. */
static __attribute__((noinline, unused)) NEAP__VALUE *
NEAP__M(_slot_hooked)(struct neap_map *map, NEAP_MAP_KEY key, bool *ret_inserted, uintptr_t writer)
{
	neap__map_busy(map, writer, "neap_map_slot");
	return (NEAP__VALUE *)neap__hooked_slot(map, &key, ret_inserted, __builtin_return_address(0));
}

#ifdef NEAP_MAP_VALUE
static __attribute__((noinline, unused)) int NEAP__M(_put_hooked)(struct neap_map *map, NEAP_MAP_KEY key,
								  NEAP_MAP_VALUE value, uintptr_t writer)
{
	neap__map_busy(map, writer, "neap_map_put");
	return neap__hooked_put(map, &key, &value, __builtin_return_address(0));
}
#else
static __attribute__((noinline, unused)) int NEAP__M(_put_hooked)(struct neap_map *map, NEAP_MAP_KEY key,
								  uintptr_t writer)
{
	neap__map_busy(map, writer, "neap_map_put");
	return neap__hooked_put(map, &key, NULL, __builtin_return_address(0));
}
#endif

static __attribute__((noinline, unused)) bool NEAP__M(_delete_hooked)(struct neap_map *map, NEAP_MAP_KEY key,
								      uintptr_t writer)
{
	neap__map_busy(map, writer, "neap_map_delete");
	return neap__hooked_delete(map, &key, __builtin_return_address(0));
}

static inline __attribute__((unused)) NEAP__VALUE *NEAP__M(_slot)(struct neap_map *map, NEAP_MAP_KEY key,
								  bool *ret_inserted)
{
	if (!NEAP__DIRECT || map == NULL)
		return (NEAP__VALUE *)neap_map_slot(map, &key, ret_inserted);
	bool inserted;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0))
		return NEAP__M(_slot_hooked)(map, key, ret_inserted, writer);
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	uint8_t *slot;
	if (NEAP__UNLIKELY(!NEAP__M(_place_home)(map, &key, hash, &slot, &inserted)))
		slot = NEAP__M(_place_beyond)(map, key, &inserted);
	uint8_t *value = slot == NULL ? NULL : slot + NEAP__M(_shape)().value_offset;
	if (inserted && NEAP__VALUE_SIZE != 0)
		memset(value, 0, NEAP__VALUE_SIZE);
	neap__write_end(map, "neap_map_slot");
	if (ret_inserted != NULL)
		*ret_inserted = inserted;
	return (NEAP__VALUE *)(void *)value;
}

#ifdef NEAP_MAP_VALUE
NEAP__INLINE void NEAP__M(_write)(uint8_t *slot, NEAP_MAP_VALUE const *value, bool inserted)
{
	uint8_t *at = slot + NEAP__M(_shape)().value_offset;
	if (!inserted && NEAP__M(_type).release != NULL)
		NEAP__M(_type).release(NULL, at, NEAP__M(_type).release_ctx);
	memcpy(at, value, sizeof *value);
}

/* The end of a put that the home group did not decide; in the last place, so that the other end needs no frame. */
static __attribute__((noinline, unused)) int NEAP__M(_put_beyond)(struct neap_map *map, NEAP_MAP_KEY key,
								  NEAP_MAP_VALUE value)
{
	bool inserted;
	uint8_t *slot = NEAP__M(_place_beyond)(map, key, &inserted);
	if (slot != NULL)
		NEAP__M(_write)(slot, &value, inserted);
	neap__write_end(map, "neap_map_put");
	return slot != NULL ? NEAP_OK : NEAP_ENOMEM;
}

static inline __attribute__((unused)) int NEAP__M(_put)(struct neap_map *map, NEAP_MAP_KEY key,
							NEAP_MAP_VALUE value)
{
	if (map == NULL)
		return NEAP_ENIL;
	if (!NEAP__DIRECT)
		return neap_map_put(map, &key, &value);
	bool inserted;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0))
		return NEAP__M(_put_hooked)(map, key, value, writer);
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	uint8_t *slot;
	if (NEAP__UNLIKELY(!NEAP__M(_place_home)(map, &key, hash, &slot, &inserted)))
		return NEAP__M(_put_beyond)(map, key, value);
	NEAP__M(_write)(slot, &value, inserted);
	neap__write_end(map, "neap_map_put");
	return NEAP_OK;
}
#else
static inline __attribute__((unused)) int NEAP__M(_put)(struct neap_map *map, NEAP_MAP_KEY key)
{
	if (map == NULL)
		return NEAP_ENIL;
	if (!NEAP__DIRECT)
		return neap_map_put(map, &key, NULL);
	bool inserted;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0))
		return NEAP__M(_put_hooked)(map, key, writer);
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	uint8_t *slot;
	if (NEAP__UNLIKELY(!NEAP__M(_place_home)(map, &key, hash, &slot, &inserted)))
		slot = NEAP__M(_place_beyond)(map, key, &inserted);
	neap__write_end(map, "neap_map_put");
	return slot != NULL ? NEAP_OK : NEAP_ENOMEM;
}
#endif

NEAP__INLINE void NEAP__M(_release)(uint8_t *slot)
{
	if (NEAP__M(_type).release != NULL)
		NEAP__M(_type).release(slot, slot + NEAP__M(_shape)().value_offset,
				       NEAP__M(_type).release_ctx);
}

/* The end of a delete that the home group did not decide. */
static __attribute__((noinline, unused)) bool NEAP__M(_delete_beyond)(struct neap_map *map, NEAP_MAP_KEY key)
{
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	struct neap__place place = neap__find_beyond(map, NEAP__M(_shape)(), &key, hash, NEAP__M(_equal));
	if (place.slot != NULL) {
		NEAP__M(_release)(place.slot);
		neap__erase(map, NEAP__M(_shape)(), place);
	}
	neap__write_end(map, "neap_map_delete");
	return place.slot != NULL;
}

static inline __attribute__((unused)) bool NEAP__M(_delete)(struct neap_map *map, NEAP_MAP_KEY key)
{
	if (map == NULL)
		return false;
	if (!NEAP__DIRECT || !NEAP__PLAIN)
		return neap_map_delete(map, &key);
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0))
		return NEAP__M(_delete_hooked)(map, key, writer);
	bool more;
	const uint64_t hash = NEAP__M(_hash)(map, &key);
	struct neap__place place =
		neap__find_home(map, NEAP__M(_shape)(), &key, hash, NEAP__M(_equal), &more);
	if (place.slot == NULL) {
		if (NEAP__UNLIKELY(more))
			return NEAP__M(_delete_beyond)(map, key);
		neap__write_end(map, "neap_map_delete");
		return false;
	}
	NEAP__M(_release)(place.slot);
	if (neap__vacate(map, NEAP__M(_shape)(), place))
		return neap__map_sparse_end(map, neap__segment_record(map, NEAP__M(_shape)(), place.begin),
					    "neap_map_delete");
	neap__write_end(map, "neap_map_delete");
	return true;
}

static inline __attribute__((unused)) bool NEAP__M(_take)(struct neap_map *map, NEAP_MAP_KEY key,
							  NEAP_MAP_KEY *ret_key, NEAP__VALUE *ret_value)
{
	return neap_map_take(map, &key, ret_key, ret_value);
}

/* neap_map_iter_next, with the common step inlined. */
NEAP__INLINE bool NEAP__M(_next)(struct neap_map_iter *it)
{
	const struct neap__shape shape = NEAP__M(_shape)();
	if (NEAP__DIRECT && sizeof(NEAP_MAP_KEY) <= 16 &&
	    NEAP__LIKELY(neap__iter_step(it, shape.slot_size, shape.group_bytes, shape.value_offset,
					 sizeof(NEAP_MAP_KEY))))
		return true;
	return neap_map_iter_next(it);
}

/* neap_map_scan_next, inlined. */
NEAP__INLINE bool NEAP__M(_scan_next)(struct neap_map_scan *scan)
{
	if (!NEAP__DIRECT)
		return neap_map_scan_next(scan);
	uint8_t *slot = neap__scan_step(scan, NEAP__M(_shape)());
	scan->key = slot;
	scan->value = slot == NULL ? NULL : slot + NEAP__M(_shape)().value_offset;
	return slot != NULL;
}

#undef NEAP_MAP_NAME
#undef NEAP_MAP_KEY
#undef NEAP_MAP_VALUE
#undef NEAP_MAP_KIND
#undef NEAP_MAP_FLAGS
#undef NEAP_MAP_HASH
#undef NEAP_MAP_EQUAL
#undef NEAP_MAP_RELEASE
#undef NEAP_MAP_CTX
#undef NEAP__ALIGNOF
#undef NEAP__STATIC_ASSERT
#undef NEAP__VALUE
#undef NEAP__VALUE_SIZE
#undef NEAP__VALUE_ALIGN
#undef NEAP__DIRECT
#undef NEAP__PLAIN
