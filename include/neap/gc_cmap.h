/* neap/gc_cmap.h: a map for many threads whose keys and values are pointers to collected objects.
 *
 *     struct neap_gc_cmap *users = neap_gc_cmap_create(&type, NULL, &neap_gc_pointer, NULL);
 *     neap_gc_cmap_store(users, &id, &user);
 *
 * The operations and their promises are those of neap/cmap.h. The handle is a collected object: a map that nothing
 * leads to is destroyed. The map's own memory comes from its allocator and goes back as in any struct neap_cmap; what
 * a deleted entry led to is unreachable as soon as no thread has loaded it. A pointer that was loaded keeps its
 * object as any pointer on a stack does: no section is needed around it.
 *
 * Threads: as neap/cmap.h says; no operation waits for the collector to read the map, which takes no lock of it. A stop
 * waits for operations that have begun. A thread that uses the map is attached by that.
 */
#ifndef NEAP_GC_CMAP_H
#define NEAP_GC_CMAP_H

#include "neap/cmap.h"
#include "neap/gc.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_gc_cmap;

/* `key` and `value` say which words of a key and of a value are pointers to collected objects; NULL: none. Their sizes
 * are those of `type`, which must outlive the map. NULL: no memory, sizes that differ, or what neap_cmap_create
 * refuses. `type->release`, `type->hash`, `type->equal` and the allocator must not use the collector; release must not
 * read collected objects, which may be gone.
 */
NEAP_API struct neap_gc_cmap *neap_gc_cmap_create(const struct neap_map_type *type, struct neap_gc_type *key,
						  struct neap_gc_type *value,
						  const struct neap_cmap_options *options);
/* Destroys it now; the handle must not be used any more, nor may another thread be using it. NULL is allowed. */
NEAP_API void neap_gc_cmap_destroy(struct neap_gc_cmap *map);

/* As the functions of neap/cmap.h. NEAP_ENOMEM also when there is no memory to attach the calling thread; functions that
 * return bool are false then. `ret_value` (may be NULL) is a place that the collector reads or knows of: the caller's stack, a
 * field of a collected object that is not barriered, a root.
 */
NEAP_API bool neap_gc_cmap_load(const struct neap_gc_cmap *map, const void *key, void *ret_value);
NEAP_API int neap_gc_cmap_store(struct neap_gc_cmap *map, const void *key, const void *value);
NEAP_API int neap_gc_cmap_load_or_store(struct neap_gc_cmap *map, const void *key, const void *value,
					void *ret_value);
NEAP_API bool neap_gc_cmap_delete(struct neap_gc_cmap *map, const void *key);
NEAP_API bool neap_gc_cmap_load_and_delete(struct neap_gc_cmap *map, const void *key, void *ret_value);
NEAP_API int neap_gc_cmap_compare_and_swap(struct neap_gc_cmap *map, const void *key, const void *expected,
					   const void *value);
NEAP_API bool neap_gc_cmap_compare_and_delete(struct neap_gc_cmap *map, const void *key,
					      const void *expected);
/* The copies that `each` sees are kept for the call. Needs collected memory for the copy of a shard. */
NEAP_API int neap_gc_cmap_range(const struct neap_gc_cmap *map,
				bool (*each)(const void *key, const void *value, void *ctx), void *ctx);
NEAP_API void neap_gc_cmap_clear(struct neap_gc_cmap *map);
NEAP_API size_t neap_gc_cmap_len(const struct neap_gc_cmap *map);
NEAP_API void neap_gc_cmap_stats(const struct neap_gc_cmap *map, struct neap_cmap_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
