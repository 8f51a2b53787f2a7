/* neap/any_map.h: interface values as keys and values of Neap's map.
 *
 * A map of neap_any_map_type owns a copy of each key and value: neap_any_copy when they enter, neap_any_drop when they
 * leave. Keys follow Go's rules: 1 as int64 and 1 as double are two keys, nil is a key, each NaN is a key of its own
 * that nobody finds again, and what can't be compared is refused. Everything in neap/map.h works on such a map;
 * neap_map_put stores the words as they are, so use the functions below to write.
 *
 * With neap/map_typed.h: NEAP_MAP_KEY struct neap_any, NEAP_MAP_KIND NEAP_KEY_USER, NEAP_MAP_HASH neap_any_key_hash,
 * NEAP_MAP_EQUAL neap_any_key_equal, and one of the release functions.
 */
#ifndef NEAP_ANY_MAP_H
#define NEAP_ANY_MAP_H

#include "neap/any.h"
#include "neap/map.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From any to any; owns both. */
NEAP_API extern const struct neap_map_type neap_any_map_type;

/* Stores copies of key and value, replacing the value of an equal key (the stored key stays). 0, NEAP_EINVAL for a
 * key that can't be compared, NEAP_ENIL, NEAP_ENOMEM: the map and the owners of both are as before.
 */
NEAP_API int neap_any_map_put(struct neap_map *map, struct neap_any key, struct neap_any value);
/* The value of an equal key, borrowed until the map changes; NULL when there is none. A key that can't be compared is
 * in no map.
 */
NEAP_API const struct neap_any *neap_any_map_get(const struct neap_map *map, struct neap_any key);
/* Deletes and drops both; true when there was such an entry. */
NEAP_API bool neap_any_map_delete(struct neap_map *map, struct neap_any key);

/* For maps of other types, with keys or values that are struct neap_any. */
NEAP_API bool neap_any_key_equal(const void *a, const void *b);
NEAP_API uint64_t neap_any_key_hash(const void *key, uint64_t seed);
NEAP_API void neap_any_release_key(void *key, void *value, void *ctx);
NEAP_API void neap_any_release_value(void *key, void *value, void *ctx);
NEAP_API void neap_any_release_both(void *key, void *value, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
