/* neap/any_gc.h: interface values whose boxes are collected objects.
 *
 *     NEAP_TYPE(point_fields, struct point, next);
 *     NEAP_ANY_BOX(point_box, point_fields);
 *
 *     neap_any_make_collected(&point_box, &point_any, &point, &value);
 *
 * Such a box has no owners: it lives as long as something leads to it, and neap_any_copy and neap_any_drop do nothing.
 * What it holds is read precisely, by the fields that NEAP_ANY_BOX names. Everything in neap/any.h works on it:
 * assertions, methods, comparison. A value that fits into the data word is the same here as there.
 *
 * Where interface values lie: on stacks and in static data the data word is a root. In a collected object name the
 * field `value.data` in NEAP_TYPE, or take neap_gc_interface for a whole array; the word is read as one that may be
 * a pointer, so an integer that looks like the address of an object keeps it. In maps, as made below, the type in
 * front of the word decides: an integer keeps nothing.
 */
#ifndef NEAP_ANY_GC_H
#define NEAP_ANY_GC_H

#include "neap/any_map.h"
#include "neap/gc_map.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes in front of the value in a box. */
enum { NEAP_ANY_BOX_HEAD = 16 };

/* The box of a value whose pointers are those of `content`, a struct neap_gc_type of the value's size. */
#define NEAP_ANY_BOX(name, content)                                                   \
	static struct neap_gc_type name = {"box",      NEAP_ANY_BOX_HEAD, NULL, 0, 0, \
					   &(content), NEAP_ANY_BOX_HEAD, 0}

/* A value of `type`, copied into a collected box when it does not fit into the data word. `box` NULL: the value holds
 * no pointers to collected objects. A type with `drop` gets it called once, as a finalizer of the box. NEAP_EINVAL:
 * the type is out of range, aligned to more than 16, or `box` is for values of another size; NEAP_ENOMEM; `ret` is
 * nil then. May collect.
 */
NEAP_API int neap_any_make_collected(struct neap_gc_type *box, const struct neap_any_type *type,
				     const void *value, struct neap_any *ret);
/* A string with a copy of its bytes, in one collected box. Its type is neap_any_type_str. NEAP_ENOMEM. */
NEAP_API int neap_any_make_str_collected(struct neap_str str, struct neap_any *ret);
/* True for a value in a collected box. */
NEAP_API bool neap_any_collected(struct neap_any value);
/* Frees the box now, without `drop`; does nothing for a value that has no collected box. */
NEAP_API void neap_any_free_collected(struct neap_any value);

/* The type of struct neap_any. As the type of a map's keys or values it is precise (see above). */
NEAP_API extern struct neap_gc_type neap_gc_interface;

/* A collected map from any to any, by Go's rules as in neap/any_map.h. `options` as for neap_gc_map_create. NULL: no
 * memory. neap_gc_map_len, _clear, _destroy and _of take it.
 */
NEAP_API struct neap_gc_map *neap_any_gc_map_create(const struct neap_map_options *options);
/* NEAP_EINVAL: the key can't be compared, or a value lies in a box that has owners; else as neap_gc_map_put. */
NEAP_API int neap_any_gc_map_put(struct neap_gc_map *map, struct neap_any key, struct neap_any value);
/* The value; nil when there is none: look whether `ret_found` (may be NULL) says so. */
NEAP_API struct neap_any neap_any_gc_map_get(const struct neap_gc_map *map, struct neap_any key,
					     bool *ret_found);
NEAP_API bool neap_any_gc_map_delete(struct neap_gc_map *map, struct neap_any key);

#ifdef __cplusplus
}
#endif

#endif
