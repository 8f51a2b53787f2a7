/* neap/cmap_typed.h: functions of a concurrent map for one type of key and one type of value.
 *
 *     #define NEAP_CMAP_NAME  routes
 *     #define NEAP_CMAP_KEY   uint64_t
 *     #define NEAP_CMAP_VALUE struct route
 *     #include <neap/cmap_typed.h>
 *
 * declares routes_create(), routes_load(), routes_store(), ... over a struct neap_cmap, with the contracts of the
 * functions of the same name in neap/cmap.h. A load of a key and a value that lie in the table is inlined, in C; the map
 * must then have been made with routes_type. May be included many times; the macros are undefined at the end.
 *
 * NEAP_CMAP_KIND   what the key is (enum neap_key_kind), NEAP_KEY_BYTES if left out
 * NEAP_CMAP_FLAGS  enum neap_map_type_flags; NEAP_MAP_OWN_KEYS means nothing here: string keys are always copied
 * NEAP_CMAP_HASH, NEAP_CMAP_EQUAL     functions for NEAP_KEY_USER
 * NEAP_CMAP_RELEASE, NEAP_CMAP_CTX    the release callback and its context
 */
#include "neap/cmap_core.h"

#if !defined(NEAP_CMAP_NAME) || !defined(NEAP_CMAP_KEY) || !defined(NEAP_CMAP_VALUE)
#	error "define NEAP_CMAP_NAME, NEAP_CMAP_KEY and NEAP_CMAP_VALUE before including neap/cmap_typed.h"
#endif
#ifndef NEAP_CMAP_KIND
#	define NEAP_CMAP_KIND NEAP_KEY_BYTES
#endif
#ifndef NEAP_CMAP_FLAGS
#	define NEAP_CMAP_FLAGS 0
#endif
#ifndef NEAP_CMAP_HASH
#	define NEAP_CMAP_HASH NULL
#endif
#ifndef NEAP_CMAP_EQUAL
#	define NEAP_CMAP_EQUAL NULL
#endif
#ifndef NEAP_CMAP_RELEASE
#	define NEAP_CMAP_RELEASE NULL
#endif
#ifndef NEAP_CMAP_CTX
#	define NEAP_CMAP_CTX NULL
#endif

#define NEAP__C2(a, b)	   a##b
#define NEAP__C1(a, b)	   NEAP__C2(a, b)
#define NEAP__C(suffix)	   NEAP__C1(NEAP_CMAP_NAME, suffix)
#define NEAP__C_FN(result) static inline __attribute__((unused)) result
#ifdef __cplusplus
#	define NEAP__C_ALIGN(type) alignof(type)
#else
#	define NEAP__C_ALIGN(type) _Alignof(type)
/* A float or a string that is compared byte by byte is a mistake. */
_Static_assert(NEAP_CMAP_KIND != NEAP_KEY_BYTES ||
		       _Generic(*(NEAP_CMAP_KEY *)0, float : 0, double : 0, struct neap_str : 0, default : 1),
	       "give NEAP_CMAP_KIND for keys that are floats or strings");
#endif

static const struct neap_map_type NEAP__C(_type) = {
	sizeof(struct neap_map_type),
	NEAP_CMAP_KIND,
	NEAP_CMAP_FLAGS,
	(uint32_t)sizeof(NEAP_CMAP_KEY),
	(uint32_t)NEAP__C_ALIGN(NEAP_CMAP_KEY),
	(uint32_t)sizeof(NEAP_CMAP_VALUE),
	(uint32_t)NEAP__C_ALIGN(NEAP_CMAP_VALUE),
	NEAP_CMAP_HASH,
	NEAP_CMAP_EQUAL,
	NEAP_CMAP_RELEASE,
	NEAP_CMAP_CTX,
};

/* True when a key and a value lie in the table, and are found by what can be inlined. */
#define NEAP__C_DIRECT                                                                    \
	(NEAP_CMAP_KIND == NEAP_KEY_BYTES && ((NEAP_CMAP_FLAGS)&NEAP_MAP_SIPHASH) == 0 && \
	 (NEAP_CMAP_RELEASE) == NULL && sizeof(NEAP_CMAP_KEY) <= NEAP_CMAP_INLINE_KEY &&  \
	 sizeof(NEAP_CMAP_VALUE) <= NEAP_CMAP_INLINE_VALUE)

NEAP__C_FN(struct neap_cmap *) NEAP__C(_create)(const struct neap_cmap_options *options)
{
	return neap_cmap_create(&NEAP__C(_type), options);
}

NEAP__C_FN(void) NEAP__C(_destroy)(struct neap_cmap *map)
{
	neap_cmap_destroy(map);
}

NEAP__C_FN(bool) NEAP__C(_load)(struct neap_cmap *map, NEAP_CMAP_KEY key, NEAP_CMAP_VALUE *ret_value)
{
#ifndef __cplusplus
	if (NEAP__C_DIRECT)
		return neap__cmap_load(map, &key, sizeof key, ret_value, sizeof *ret_value);
#endif
	return neap_cmap_load(map, &key, ret_value);
}

NEAP__C_FN(int) NEAP__C(_store)(struct neap_cmap *map, NEAP_CMAP_KEY key, NEAP_CMAP_VALUE value)
{
	return neap_cmap_store(map, &key, &value);
}

NEAP__C_FN(int)
NEAP__C(_load_or_store)
(struct neap_cmap *map, NEAP_CMAP_KEY key, NEAP_CMAP_VALUE value, NEAP_CMAP_VALUE *ret_value)
{
	return neap_cmap_load_or_store(map, &key, &value, ret_value);
}

NEAP__C_FN(bool) NEAP__C(_delete)(struct neap_cmap *map, NEAP_CMAP_KEY key)
{
	return neap_cmap_delete(map, &key);
}

NEAP__C_FN(bool)
NEAP__C(_load_and_delete)(struct neap_cmap *map, NEAP_CMAP_KEY key, NEAP_CMAP_VALUE *ret_value)
{
	return neap_cmap_load_and_delete(map, &key, ret_value);
}

NEAP__C_FN(int)
NEAP__C(_compare_and_swap)
(struct neap_cmap *map, NEAP_CMAP_KEY key, NEAP_CMAP_VALUE expected, NEAP_CMAP_VALUE value)
{
	return neap_cmap_compare_and_swap(map, &key, &expected, &value);
}

NEAP__C_FN(bool)
NEAP__C(_compare_and_delete)(struct neap_cmap *map, NEAP_CMAP_KEY key, NEAP_CMAP_VALUE expected)
{
	return neap_cmap_compare_and_delete(map, &key, &expected);
}

#undef NEAP_CMAP_NAME
#undef NEAP_CMAP_KEY
#undef NEAP_CMAP_VALUE
#undef NEAP_CMAP_KIND
#undef NEAP_CMAP_FLAGS
#undef NEAP_CMAP_HASH
#undef NEAP_CMAP_EQUAL
#undef NEAP_CMAP_RELEASE
#undef NEAP_CMAP_CTX
#undef NEAP__C
#undef NEAP__C1
#undef NEAP__C2
#undef NEAP__C_FN
#undef NEAP__C_ALIGN
#undef NEAP__C_DIRECT
