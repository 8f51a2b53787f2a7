/* neap/transient_typed.h: inlined functions of a transient table for one type of key and one of value.
 *
 *     #define NEAP_TRANSIENT_NAME  seen
 *     #define NEAP_TRANSIENT_KEY   uint64_t
 *     #define NEAP_TRANSIENT_VALUE uint32_t
 *     #include <neap/transient_typed.h>
 *
 *     struct neap_scopes *scopes = neap_scopes_create(&seen_type, NULL);
 *     struct neap_transient *table = seen_begin(scopes);
 *     error = seen_put(table, 17, 1);
 *     neap_transient_end(table);
 *
 * declares seen_type, seen_begin(), seen_get(), seen_put() and seen_slot() with the contracts of the functions of the
 * same name in neap/scope.h; every other function of that header works on the table as well. May be included many
 * times; the macros are undefined at the end.
 *
 * NEAP_TRANSIENT_KIND   what the key is: NEAP_KEY_BYTES if left out, or NEAP_KEY_STR for struct neap_str
 */
#include "neap/transient_core.h"

#if !defined(NEAP_TRANSIENT_NAME) || !defined(NEAP_TRANSIENT_KEY) || !defined(NEAP_TRANSIENT_VALUE)
#	error "define NEAP_TRANSIENT_NAME, NEAP_TRANSIENT_KEY and NEAP_TRANSIENT_VALUE first"
#endif
#ifndef NEAP_TRANSIENT_KIND
#	define NEAP_TRANSIENT_KIND NEAP_KEY_BYTES
#endif

#define NEAP__T2(a, b)	   a##b
#define NEAP__T1(a, b)	   NEAP__T2(a, b)
#define NEAP__T(suffix)	   NEAP__T1(NEAP_TRANSIENT_NAME, suffix)
#define NEAP__T_FN(result) static inline __attribute__((unused)) result
#ifdef __cplusplus
#	define NEAP__T_ALIGN(type) alignof(type)
#else
#	define NEAP__T_ALIGN(type) _Alignof(type)
/* A float or a string that is compared byte by byte is a mistake. */
_Static_assert(NEAP_TRANSIENT_KIND != NEAP_KEY_BYTES ||
		       _Generic(*(NEAP_TRANSIENT_KEY *)0, float : 0, double : 0, struct neap_str : 0,
				default : 1),
	       "a transient table has no keys that are floats; give NEAP_TRANSIENT_KIND for strings");
#endif

static const struct neap_map_type NEAP__T(_type) = {
	sizeof(struct neap_map_type),
	NEAP_TRANSIENT_KIND,
	0,
	(uint32_t)sizeof(NEAP_TRANSIENT_KEY),
	(uint32_t)NEAP__T_ALIGN(NEAP_TRANSIENT_KEY),
	(uint32_t)sizeof(NEAP_TRANSIENT_VALUE),
	(uint32_t)NEAP__T_ALIGN(NEAP_TRANSIENT_VALUE),
	NULL,
	NULL,
	NULL,
	NULL,
};

#ifdef __cplusplus
#	define NEAP__T_CALL(verb, ...) neap_transient_##verb(__VA_ARGS__)
#else
#	define NEAP__T_CALL(verb, ...) neap__transient_##verb(__VA_ARGS__, NEAP__T(_shape)())

struct NEAP__T(_slot_layout) {
	struct neap__transient_head head;
	NEAP_TRANSIENT_KEY key;
	NEAP_TRANSIENT_VALUE value;
};

NEAP__INLINE struct neap__transient_shape NEAP__T(_shape)(void)
{
	const struct neap__transient_shape shape = {(uint32_t)sizeof(NEAP_TRANSIENT_KEY),
						    (uint32_t)sizeof(NEAP_TRANSIENT_VALUE),
						    (uint32_t)offsetof(struct NEAP__T(_slot_layout), key),
						    (uint32_t)offsetof(struct NEAP__T(_slot_layout), value),
						    (uint32_t)sizeof(struct NEAP__T(_slot_layout)),
						    NEAP_TRANSIENT_KIND == NEAP_KEY_STR};
	return shape;
}
#endif

/* NULL also when the scopes were made with a type of another shape. */
NEAP__T_FN(struct neap_transient *) NEAP__T(_begin)(struct neap_scopes *scopes)
{
	struct neap_transient *table = neap_transient_begin(scopes);
#ifndef __cplusplus
	const struct neap__transient_shape shape = NEAP__T(_shape)();
	if (table != NULL &&
	    (table->shape.key_size != shape.key_size || table->shape.strings != shape.strings ||
	     table->shape.value_size != shape.value_size ||
	     table->shape.value_offset != shape.value_offset)) {
		neap_transient_end(table);
		return NULL;
	}
#endif
	return table;
}

NEAP__T_FN(NEAP_TRANSIENT_VALUE *)
NEAP__T(_get)(const struct neap_transient *table, NEAP_TRANSIENT_KEY key)
{
	return (NEAP_TRANSIENT_VALUE *)NEAP__T_CALL(get, table, &key);
}

NEAP__T_FN(int)
NEAP__T(_put)(struct neap_transient *table, NEAP_TRANSIENT_KEY key, NEAP_TRANSIENT_VALUE value)
{
	return NEAP__T_CALL(put, table, &key, &value);
}

NEAP__T_FN(NEAP_TRANSIENT_VALUE *)
NEAP__T(_slot)(struct neap_transient *table, NEAP_TRANSIENT_KEY key, bool *ret_inserted)
{
	return (NEAP_TRANSIENT_VALUE *)NEAP__T_CALL(slot, table, &key, ret_inserted);
}

#undef NEAP_TRANSIENT_NAME
#undef NEAP_TRANSIENT_KEY
#undef NEAP_TRANSIENT_VALUE
#undef NEAP_TRANSIENT_KIND
#undef NEAP__T
#undef NEAP__T1
#undef NEAP__T2
#undef NEAP__T_FN
#undef NEAP__T_ALIGN
#undef NEAP__T_CALL
