/* neap/weak_map.h: a map from one collected object to another that keeps neither its keys nor, by itself, its values.
 *
 *     struct neap_weak_map *notes = neap_weak_map_create(NULL);
 *     neap_weak_map_put(notes, session, note);
 *
 * An entry keeps its value as long as the map is reachable and the key is reachable otherwise (an ephemeron, Hayes
 * 1997): a value that leads to its own key does not keep it, nor do values of several entries, of one map or of
 * many, that lead to each other's keys. When a collection finds a key unreachable, its entry is gone when the
 * program runs on, before any finalizer runs; it stays gone if the key's finalizer stores the key somewhere. A key
 * that an object with a due finalizer leads to counts as reachable until that finalizer has run, as for neap_weak.
 *
 * Keys are compared by address. The handle is a collected object: a map that nothing leads to is freed. A map's
 * memory follows its entries, as any struct neap_map's.
 *
 * Threads: all functions may be called by several threads at once, for one map; each may wait while the collector
 * reads or removes some hundred entries.
 */
#ifndef NEAP_WEAK_MAP_H
#define NEAP_WEAK_MAP_H

#include "neap/gc.h"
#include "neap/map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_weak_map;

/* An empty map; name, allocator, floor and the like are those of its struct neap_map. NULL: no memory, or strict
 * iteration. The allocator must not use the collector: a collection calls it.
 */
NEAP_API struct neap_weak_map *neap_weak_map_create(const struct neap_map_options *options);
/* Frees it now; the handle must not be used any more. NULL is allowed. */
NEAP_API void neap_weak_map_destroy(struct neap_weak_map *map);

/* Inserts the entry or overwrites its value. 0; NEAP_EINVAL: `key` is not the start of a collected object, or `value`
 * is NULL; NEAP_ENIL: `map` is NULL; NEAP_ENOMEM: the map is as it was. A value that is no collected object is kept
 * as the word that it is.
 */
NEAP_API int neap_weak_map_put(struct neap_weak_map *map, void *key, void *value);
/* The value, or NULL. */
NEAP_API void *neap_weak_map_get(const struct neap_weak_map *map, const void *key);
/* True when there was such an entry. neap_gc_free of a key deletes its entries likewise, in all weak maps. */
NEAP_API bool neap_weak_map_delete(struct neap_weak_map *map, const void *key);
NEAP_API void neap_weak_map_clear(struct neap_weak_map *map);
/* Entries whose keys were reachable when the last collection ended, or were put since. */
NEAP_API size_t neap_weak_map_len(const struct neap_weak_map *map);
/* Bytes that the map takes from its allocator, without the objects. */
NEAP_API size_t neap_weak_map_bytes(const struct neap_weak_map *map);

/* Entry by entry, with the promise of struct neap_map_iter; other threads may change the map between two steps.
 * `key` and `value` are on the caller's stack, so they stay as long as the iterator says them.
 */
struct neap_weak_map_iter {
	void *key, *value;
	const struct neap_weak_map *neap__map;
	struct neap_map_iter neap__inner;
};
NEAP_API void neap_weak_map_iter_init(struct neap_weak_map_iter *it, const struct neap_weak_map *map);
NEAP_API bool neap_weak_map_iter_next(struct neap_weak_map_iter *it);

#ifdef __cplusplus
}
#endif

#endif
