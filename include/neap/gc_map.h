/* neap/gc_map.h: maps whose keys and values are pointers to collected objects.
 *
 * The handle is a collected object: a map that nothing leads to is destroyed. The map's own memory comes from its
 * allocator, as for any struct neap_map; the collector reads its entries through the map's iterator, live ones
 * only: what a deleted entry held is unreachable at once, whatever is left in the slot.
 *
 *     struct neap_gc_map *users = neap_gc_map_create(&type, NULL, &neap_gc_pointer, NULL);
 *     neap_gc_map_put(users, &id, &user);
 *
 * Threads: as for struct neap_map; the collector reads beside the one thread that writes. A write may wait while
 * the collector reads some hundred entries.
 */
#ifndef NEAP_GC_MAP_H
#define NEAP_GC_MAP_H

#include "neap/gc.h"
#include "neap/map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_gc_map;

/* `key` and `value` say which words of a key and of a value are pointers to collected objects; NULL: none. Their
 * sizes are those of `type`. NULL: no memory, sizes that differ, or strict iteration, under which the collector
 * could not read. `type->release` is called by the thread that collects and must not use collected objects.
 */
NEAP_API struct neap_gc_map *neap_gc_map_create(const struct neap_map_type *type, struct neap_gc_type *key,
						struct neap_gc_type *value,
						const struct neap_map_options *options);
/* Destroys it now; the handle must not be used any more. NULL is allowed. */
NEAP_API void neap_gc_map_destroy(struct neap_gc_map *map);

/* As the functions of neap/map.h; all pointers that enter go through the barrier. */
NEAP_API int neap_gc_map_put(struct neap_gc_map *map, const void *key, const void *value);
NEAP_API void *neap_gc_map_get(const struct neap_gc_map *map, const void *key);
NEAP_API bool neap_gc_map_delete(struct neap_gc_map *map, const void *key);
NEAP_API void neap_gc_map_clear(struct neap_gc_map *map);
NEAP_API size_t neap_gc_map_len(const struct neap_gc_map *map);
/* The map inside: for iteration, stats and whatever reads only. Lives as long as the handle. Pointers in its
 * values are changed by neap_gc_map_put, or by neap_store.
 */
NEAP_API struct neap_map *neap_gc_map_of(const struct neap_gc_map *map);

#ifdef __cplusplus
}
#endif

#endif
