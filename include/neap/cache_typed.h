/* neap/cache_typed.h: functions of a cache for one type of key and one type of value.
 *
 *     #define NEAP_CACHE_NAME  tokens
 *     #define NEAP_CACHE_KEY   uint64_t
 *     #define NEAP_CACHE_VALUE struct token
 *     #include <neap/cache_typed.h>
 *
 * declares tokens_create(), tokens_get(), tokens_put(), tokens_load(), ... over a struct neap_cache, with the contracts of
 * the functions of the same name in neap/cache.h. May be included many times; the macros are undefined at the end.
 *
 * NEAP_CACHE_KIND   what the key is (enum neap_key_kind), NEAP_KEY_BYTES if left out
 * NEAP_CACHE_FLAGS  enum neap_map_type_flags; NEAP_MAP_OWN_KEYS means nothing here: string keys are always copied
 * NEAP_CACHE_HASH, NEAP_CACHE_EQUAL     functions for NEAP_KEY_USER
 * NEAP_CACHE_RELEASE, NEAP_CACHE_CTX    the release callback and its context
 */
#include "neap/cache.h"

#if !defined(NEAP_CACHE_NAME) || !defined(NEAP_CACHE_KEY) || !defined(NEAP_CACHE_VALUE)
#	error "define NEAP_CACHE_NAME, NEAP_CACHE_KEY and NEAP_CACHE_VALUE before including neap/cache_typed.h"
#endif
#ifndef NEAP_CACHE_KIND
#	define NEAP_CACHE_KIND NEAP_KEY_BYTES
#endif
#ifndef NEAP_CACHE_FLAGS
#	define NEAP_CACHE_FLAGS 0
#endif
#ifndef NEAP_CACHE_HASH
#	define NEAP_CACHE_HASH NULL
#endif
#ifndef NEAP_CACHE_EQUAL
#	define NEAP_CACHE_EQUAL NULL
#endif
#ifndef NEAP_CACHE_RELEASE
#	define NEAP_CACHE_RELEASE NULL
#endif
#ifndef NEAP_CACHE_CTX
#	define NEAP_CACHE_CTX NULL
#endif

#define NEAP__E2(a, b)	   a##b
#define NEAP__E1(a, b)	   NEAP__E2(a, b)
#define NEAP__E(suffix)	   NEAP__E1(NEAP_CACHE_NAME, suffix)
#define NEAP__E_FN(result) static inline __attribute__((unused)) result
#ifdef __cplusplus
#	define NEAP__E_ALIGN(type) alignof(type)
#else
#	define NEAP__E_ALIGN(type) _Alignof(type)
/* A float or a string that is compared byte by byte is a mistake. */
_Static_assert(NEAP_CACHE_KIND != NEAP_KEY_BYTES || _Generic(*(NEAP_CACHE_KEY *)0, float : 0, double : 0,
							     struct neap_str : 0, default : 1),
	       "give NEAP_CACHE_KIND for keys that are floats or strings");
#endif

static const struct neap_map_type NEAP__E(_type) = {
	sizeof(struct neap_map_type),
	NEAP_CACHE_KIND,
	NEAP_CACHE_FLAGS,
	(uint32_t)sizeof(NEAP_CACHE_KEY),
	(uint32_t)NEAP__E_ALIGN(NEAP_CACHE_KEY),
	(uint32_t)sizeof(NEAP_CACHE_VALUE),
	(uint32_t)NEAP__E_ALIGN(NEAP_CACHE_VALUE),
	NEAP_CACHE_HASH,
	NEAP_CACHE_EQUAL,
	NEAP_CACHE_RELEASE,
	NEAP_CACHE_CTX,
};

NEAP__E_FN(struct neap_cache *) NEAP__E(_create)(const struct neap_cache_options *options)
{
	return neap_cache_create(&NEAP__E(_type), options);
}

NEAP__E_FN(void) NEAP__E(_destroy)(struct neap_cache *cache)
{
	neap_cache_destroy(cache);
}

NEAP__E_FN(bool) NEAP__E(_get)(struct neap_cache *cache, NEAP_CACHE_KEY key, NEAP_CACHE_VALUE *ret_value)
{
	return neap_cache_get(cache, &key, ret_value);
}

NEAP__E_FN(int) NEAP__E(_put)(struct neap_cache *cache, NEAP_CACHE_KEY key, NEAP_CACHE_VALUE value)
{
	return neap_cache_put(cache, &key, &value);
}

NEAP__E_FN(int)
NEAP__E(_put_for)(struct neap_cache *cache, NEAP_CACHE_KEY key, NEAP_CACHE_VALUE value, uint64_t ttl)
{
	return neap_cache_put_for(cache, &key, &value, ttl);
}

NEAP__E_FN(bool) NEAP__E(_delete)(struct neap_cache *cache, NEAP_CACHE_KEY key)
{
	return neap_cache_delete(cache, &key);
}

NEAP__E_FN(int)
NEAP__E(_load)
(struct neap_cache *cache, NEAP_CACHE_KEY key, neap_cache_loader *loader, void *ctx,
 NEAP_CACHE_VALUE *ret_value, bool *ret_kept)
{
	return neap_cache_load(cache, &key, loader, ctx, ret_value, ret_kept);
}

#undef NEAP_CACHE_NAME
#undef NEAP_CACHE_KEY
#undef NEAP_CACHE_VALUE
#undef NEAP_CACHE_KIND
#undef NEAP_CACHE_FLAGS
#undef NEAP_CACHE_HASH
#undef NEAP_CACHE_EQUAL
#undef NEAP_CACHE_RELEASE
#undef NEAP_CACHE_CTX
#undef NEAP__E
#undef NEAP__E1
#undef NEAP__E2
#undef NEAP__E_FN
#undef NEAP__E_ALIGN
