/* neap/pool_typed.h: inlined functions of a pool for one type of object.
 *
 *     #define NEAP_POOL_NAME   buffers
 *     #define NEAP_POOL_OBJECT struct buffer
 *     #define NEAP_POOL_RESET  buffer_reset
 *     #include <neap/pool_typed.h>
 *
 * declares buffers_create(), buffers_get() and buffers_put() with the contracts of the functions of the same name in
 * neap/pool.h; every other function of that header works on the pool as well. A get and a put from the
 * thread's magazine are a dozen instructions each, without a call. May be included many times; the macros are
 * undefined at the end.
 *
 * NEAP_POOL_CREATE, NEAP_POOL_DESTROY    left out: zeroed blocks of the object's size
 * NEAP_POOL_RESET, NEAP_POOL_CLEAN, NEAP_POOL_BYTES, NEAP_POOL_CTX    functions and context of struct neap_pool_type
 *
 * A pool that buffers_create() made must be used with the functions of that name or those of neap/pool.h.
 */
#include "neap/pool_core.h"

#if !defined(NEAP_POOL_NAME) || !defined(NEAP_POOL_OBJECT)
#	error "define NEAP_POOL_NAME and NEAP_POOL_OBJECT before including neap/pool_typed.h"
#endif
#if defined(NEAP_POOL_CREATE) != defined(NEAP_POOL_DESTROY)
#	error "NEAP_POOL_CREATE and NEAP_POOL_DESTROY belong together"
#endif
#ifndef NEAP_POOL_CTX
#	define NEAP_POOL_CTX NULL
#endif

#define NEAP__P2(a, b)	   a##b
#define NEAP__P1(a, b)	   NEAP__P2(a, b)
#define NEAP__P(suffix)	   NEAP__P1(NEAP_POOL_NAME, suffix)
#define NEAP__P_FN(result) static inline __attribute__((unused)) result

NEAP__P_FN(struct neap_pool *) NEAP__P(_create)(const struct neap_pool_options *options)
{
	struct neap_pool_type type;
	memset(&type, 0, sizeof type);
	type.size = sizeof type;
	type.ctx = NEAP_POOL_CTX;
	type.object_size = sizeof(NEAP_POOL_OBJECT);
#ifdef NEAP_POOL_CREATE
	type.create = NEAP_POOL_CREATE;
	type.destroy = NEAP_POOL_DESTROY;
#else
#	ifdef __cplusplus
	type.object_align = alignof(NEAP_POOL_OBJECT);
#	else
	type.object_align = _Alignof(NEAP_POOL_OBJECT);
#	endif
#endif
#ifdef NEAP_POOL_RESET
	type.reset = NEAP_POOL_RESET;
#endif
#ifdef NEAP_POOL_CLEAN
	type.clean = NEAP_POOL_CLEAN;
#endif
#ifdef NEAP_POOL_BYTES
	type.bytes = NEAP_POOL_BYTES;
#endif
	return neap_pool_create(&type, options);
}

NEAP__P_FN(NEAP_POOL_OBJECT *) NEAP__P(_get)(struct neap_pool *pool)
{
#ifndef __cplusplus
	void *object = neap__pool_take(pool);
	if (__builtin_expect(object != NULL, 1))
		return (NEAP_POOL_OBJECT *)object;
#endif
	return (NEAP_POOL_OBJECT *)neap_pool_get(pool);
}

NEAP__P_FN(void) NEAP__P(_put)(struct neap_pool *pool, NEAP_POOL_OBJECT *object)
{
#ifdef __cplusplus
	neap_pool_put(pool, object);
#else
	const struct neap__pool_front *front = (const struct neap__pool_front *)(const void *)pool;
	if (__builtin_expect(object == NULL || front->checking, 0)) {
		neap_pool_put(pool, object);
		return;
	}
#	ifdef NEAP_POOL_BYTES
	if (__builtin_expect(NEAP_POOL_BYTES(object, NEAP_POOL_CTX) > front->object_most, 0)) {
		neap__pool_refuse(pool, object);
		return;
	}
#	endif
#	ifdef NEAP_POOL_RESET
	NEAP_POOL_RESET(object, NEAP_POOL_CTX);
#	endif
	if (__builtin_expect(!neap__pool_keep(pool, object), 0))
		neap__pool_put_reset(pool, object);
#endif
}

#undef NEAP_POOL_NAME
#undef NEAP_POOL_OBJECT
#undef NEAP_POOL_CREATE
#undef NEAP_POOL_DESTROY
#undef NEAP_POOL_RESET
#undef NEAP_POOL_CLEAN
#undef NEAP_POOL_BYTES
#undef NEAP_POOL_CTX
#undef NEAP__P
#undef NEAP__P1
#undef NEAP__P2
#undef NEAP__P_FN
