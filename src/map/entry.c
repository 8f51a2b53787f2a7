/* entry.c: the operations on one entry, for keys of any type.
 *
 * Each is written once, on the short paths of neap/map_core.h, for a kind of key that is a constant; a function of
 * neap/map.h asks the map once which kind it has and runs the operation compiled for that. The common kinds thus cost
 * little more than in a typed map: nothing is called through a pointer, and what the home group does not decide, what
 * owns memory or runs over, continues in one function for all kinds. What has to be allocated for an entry is allocated
 * before the map changes, so that a refusal leaves the map as it was.
 */
#include <string.h>

#include "map/internal.h"

/* ---- Kinds of key ---- */

struct kind {
	neap__hash_fn *hash;
	neap__equal_fn *equal;
	uint32_t key_size; /* 0: any, and the slot is filled by neap__slot_fill */
};

static uint64_t hash_4(const struct neap_map *map, const void *key)
{
	return neap__hash_fixed(key, 4, map->seed);
}

static uint64_t hash_8(const struct neap_map *map, const void *key)
{
	return neap__hash_fixed(key, 8, map->seed);
}

static uint64_t hash_sized(const struct neap_map *map, const void *key)
{
	return neap__hash_fixed(key, map->type->key_size, map->seed);
}

static uint64_t hash_string(const struct neap_map *map, const void *key)
{
	return neap__hash_str(*(const struct neap_str *)key, map->seed);
}

static bool equal_4(const struct neap_map *map, const uint8_t *slot, const void *key, uint64_t hash)
{
	(void)map, (void)hash;
	return memcmp(slot, key, 4) == 0;
}

static bool equal_8(const struct neap_map *map, const uint8_t *slot, const void *key, uint64_t hash)
{
	(void)map, (void)hash;
	return memcmp(slot, key, 8) == 0;
}

static bool equal_sized(const struct neap_map *map, const uint8_t *slot, const void *key, uint64_t hash)
{
	(void)hash;
	return memcmp(slot, key, map->type->key_size) == 0;
}

static bool equal_string(const struct neap_map *map, const uint8_t *slot, const void *key, uint64_t hash)
{
	(void)map;
	return neap__str_equal((const struct neap_str *)(const void *)slot, key, hash);
}

static const struct kind key_4 = {hash_4, equal_4, 4}, key_8 = {hash_8, equal_8, 8},
			 key_sized = {hash_sized, equal_sized, 0},
			 key_string = {hash_string, equal_string, sizeof(struct neap_str)},
			 key_other = {neap__key_hash, neap__key_equal, 0};

/* ---- Finding ---- */

struct neap__place neap__find_rest(const struct neap_map *map, const void *key, uint64_t hash)
{
	return neap__find_beyond(map, neap__shape_of(map), key, hash, neap__key_equal);
}

static uint8_t *rest_slot(const struct neap_map *map, const void *key, uint64_t hash)
{
	return neap__find_rest(map, key, hash).slot;
}

NEAP__INLINE struct neap__place find_home_as(const struct neap_map *map, const void *key, uint64_t *ret_hash,
					     bool *ret_more, const struct kind *kind)
{
	*ret_hash = kind->hash(map, key);
	return neap__find_home(map, neap__shape_of(map), key, *ret_hash, kind->equal, ret_more);
}

static uint8_t *value_of(const struct neap_map *map, uint8_t *slot)
{
	return NEAP__UNLIKELY(map->flags & NEAP__OUTSIDE) ? neap__slot_value(map, slot)
							  : slot + map->value_offset;
}

static __attribute__((noinline)) void *get_rest(const struct neap_map *map, const void *key, uint64_t hash)
{
	uint8_t *slot = rest_slot(map, key, hash);
	return slot == NULL ? NULL : value_of(map, slot);
}

NEAP__INLINE void *get_as(const struct neap_map *map, const void *key, const struct kind *kind)
{
	bool more;
	uint64_t hash;
	uint8_t *slot = find_home_as(map, key, &hash, &more, kind).slot;
	if (NEAP__UNLIKELY(more))
		return get_rest(map, key, hash);
	return slot == NULL ? NULL : value_of(map, slot);
}

NEAP__INLINE void get_many_as(const struct neap_map *map, const void *keys, size_t n, void **ret_values,
			      const struct kind *kind)
{
	const size_t stride = kind->key_size != 0 ? kind->key_size : map->type->key_size;
	neap__find_many(map, neap__shape_of(map), keys, stride, n, ret_values, kind->hash, kind->equal,
			rest_slot);
}

/* ---- Inserting ---- */

uint8_t *neap__map_insert(struct neap_map *map, const void *key, uint64_t hash)
{
	struct neap__parts parts = {NULL, NULL};
	if ((map->flags & NEAP__OUTSIDE) != 0 && neap__parts_make(map, key, &parts) != NEAP_OK)
		return NULL;
	uint8_t *slot = neap__claim(map, neap__shape_of(map), hash);
	if (slot == NULL) {
		neap__parts_drop(map, parts, key);
		return NULL;
	}
	neap__slot_fill(map, slot, key, hash, parts);
	return slot;
}

/* Finds the slot of `key`, inserted when absent, as far as the home group decides; false: it does not, and nothing
 * has changed.
 */
NEAP__INLINE bool place_home_as(struct neap_map *map, const void *key, uint64_t *ret_hash, uint8_t **ret_slot,
				bool *ret_inserted, const struct kind *kind)
{
	bool more;
	struct neap__place place = find_home_as(map, key, ret_hash, &more, kind);
	*ret_inserted = place.slot == NULL;
	if (place.slot == NULL) {
		if (NEAP__UNLIKELY(more || (map->flags & NEAP__OUTSIDE) != 0) ||
		    !neap__claim_home(map, neap__shape_of(map), &place))
			return false;
		if (kind->key_size == 0)
			neap__slot_fill(map, place.slot, key, *ret_hash, (struct neap__parts){NULL, NULL});
		else
			memcpy(place.slot, key, kind->key_size);
		if (kind == &key_string) {
			uint32_t kept = (uint32_t)(*ret_hash >> 32);
			memcpy(place.slot + offsetof(struct neap_str, hash), &kept, sizeof kept);
		}
	}
	*ret_slot = place.slot;
	return true;
}

/* The slot when the home group did not decide. NULL: out of memory. */
static uint8_t *place_rest(struct neap_map *map, const void *key, uint64_t hash, bool *ret_inserted)
{
	bool more;
	uint8_t *slot = neap__find_home(map, neap__shape_of(map), key, hash, neap__key_equal, &more).slot;
	if (slot == NULL && more)
		slot = rest_slot(map, key, hash);
	*ret_inserted = slot == NULL;
	return slot != NULL ? slot : neap__map_insert(map, key, hash);
}

/* Ends a put whose slot is found: NULL when memory ran out. */
NEAP__INLINE int put_end(struct neap_map *map, uint8_t *slot, const void *value, bool inserted)
{
	if (slot != NULL) {
		uint8_t *to = value_of(map, slot);
		if (!inserted && (map->flags & NEAP__RELEASE) != 0)
			map->type->release(NULL, to, map->type->release_ctx);
		if (value != NULL)
			neap__copy_few(to, value, map->type->value_size);
		else
			memset(to, 0, map->type->value_size);
	}
	neap__write_end(map, "neap_map_put");
	return slot != NULL ? NEAP_OK : NEAP_ENOMEM;
}

static __attribute__((noinline)) int put_rest(struct neap_map *map, const void *key, const void *value,
					      uint64_t hash)
{
	bool inserted;
	uint8_t *slot = place_rest(map, key, hash, &inserted);
	return put_end(map, slot, value, inserted);
}

NEAP__INLINE int put_as(struct neap_map *map, const void *key, const void *value, const struct kind *kind)
{
	uint64_t hash;
	uint8_t *slot;
	bool inserted;
	if (NEAP__UNLIKELY(!place_home_as(map, key, &hash, &slot, &inserted, kind)))
		return put_rest(map, key, value, hash);
	return put_end(map, slot, value, inserted);
}

static __attribute__((noinline)) int put_hooked(struct neap_map *map, const void *key, const void *value,
						uintptr_t writer, const void *caller)
{
	neap__map_busy(map, writer, "neap_map_put");
	return neap__hooked_put(map, key, value, caller);
}

NEAP__INLINE void *slot_end(struct neap_map *map, uint8_t *slot, bool inserted, bool *ret_inserted)
{
	uint8_t *value = slot == NULL ? NULL : value_of(map, slot);
	if (value != NULL && inserted)
		memset(value, 0, map->type->value_size);
	neap__write_end(map, "neap_map_slot");
	if (ret_inserted != NULL)
		*ret_inserted = value != NULL && inserted;
	return value;
}

static __attribute__((noinline)) void *slot_rest(struct neap_map *map, const void *key, bool *ret_inserted,
						 uint64_t hash)
{
	bool inserted;
	uint8_t *slot = place_rest(map, key, hash, &inserted);
	return slot_end(map, slot, inserted, ret_inserted);
}

NEAP__INLINE void *slot_as(struct neap_map *map, const void *key, bool *ret_inserted, const struct kind *kind)
{
	uint64_t hash;
	uint8_t *slot;
	bool inserted;
	if (NEAP__UNLIKELY(!place_home_as(map, key, &hash, &slot, &inserted, kind)))
		return slot_rest(map, key, ret_inserted, hash);
	return slot_end(map, slot, inserted, ret_inserted);
}

/* ---- Removing ---- */

static __attribute__((noinline)) bool delete_rest(struct neap_map *map, const void *key, uint64_t hash)
{
	struct neap__place place = neap__find_rest(map, key, hash);
	if (place.slot != NULL) {
		if (neap__slots_own(map))
			neap__slot_release(map, place.slot);
		neap__erase(map, neap__shape_of(map), place);
	}
	neap__write_end(map, "neap_map_delete");
	return place.slot != NULL;
}

NEAP__INLINE bool delete_as(struct neap_map *map, const void *key, const struct kind *kind)
{
	bool more;
	uint64_t hash;
	struct neap__place place = find_home_as(map, key, &hash, &more, kind);
	if (NEAP__UNLIKELY(more))
		return delete_rest(map, key, hash);
	if (place.slot != NULL) {
		if (NEAP__UNLIKELY(neap__slots_own(map)))
			neap__slot_release(map, place.slot);
		if (neap__vacate(map, neap__shape_of(map), place))
			return neap__map_sparse_end(
				map, neap__segment_record(map, neap__shape_of(map), place.begin),
				"neap_map_delete");
	}
	neap__write_end(map, "neap_map_delete");
	return place.slot != NULL;
}

/* ---- One instance for each kind of key ---- */

/* Not inlined into the switch below, which thus only jumps: what one kind needs of the stack costs the others nothing. */
#define INSTANCES(kind)                                                                                \
	static __attribute__((noinline)) void *get_##kind(const struct neap_map *map, const void *key) \
	{                                                                                              \
		return get_as(map, key, &kind);                                                        \
	}                                                                                              \
	static __attribute__((noinline)) int put_##kind(struct neap_map *map, const void *key,         \
							const void *value)                             \
	{                                                                                              \
		return put_as(map, key, value, &kind);                                                 \
	}                                                                                              \
	static __attribute__((noinline)) void *slot_##kind(struct neap_map *map, const void *key,      \
							   bool *ret_inserted)                         \
	{                                                                                              \
		return slot_as(map, key, ret_inserted, &kind);                                         \
	}                                                                                              \
	static __attribute__((noinline)) bool delete_##kind(struct neap_map *map, const void *key)     \
	{                                                                                              \
		return delete_as(map, key, &kind);                                                     \
	}

INSTANCES(key_4)
INSTANCES(key_8)
INSTANCES(key_sized)
INSTANCES(key_string)
INSTANCES(key_other)

#define RETURN_BY_KIND(map, operation, ...)                                      \
	do {                                                                     \
		switch ((map)->key_path) {                                       \
		case NEAP__KEY_8: return operation##_key_8(__VA_ARGS__);         \
		case NEAP__KEY_4: return operation##_key_4(__VA_ARGS__);         \
		case NEAP__KEY_STR: return operation##_key_string(__VA_ARGS__);  \
		case NEAP__KEY_BYTES: return operation##_key_sized(__VA_ARGS__); \
		default: return operation##_key_other(__VA_ARGS__);              \
		}                                                                \
	} while (0)

void *neap_map_get(const struct neap_map *map, const void *key)
{
	if (map == NULL)
		return NULL;
	neap__reading(map, "neap_map_get");
	RETURN_BY_KIND(map, get, map, key);
}

void neap_map_get_many(const struct neap_map *map, const void *keys, size_t n, void **ret_values)
{
	if (map == NULL) {
		memset(ret_values, 0, n * sizeof *ret_values);
		return;
	}
	neap__reading(map, "neap_map_get_many");
	switch (map->key_path) {
	case NEAP__KEY_4: get_many_as(map, keys, n, ret_values, &key_4); break;
	case NEAP__KEY_8: get_many_as(map, keys, n, ret_values, &key_8); break;
	case NEAP__KEY_STR: get_many_as(map, keys, n, ret_values, &key_string); break;
	case NEAP__KEY_BYTES: get_many_as(map, keys, n, ret_values, &key_sized); break;
	default: get_many_as(map, keys, n, ret_values, &key_other); break;
	}
	if (map->type->value_size > NEAP_MAP_INLINE_MAX)
		for (size_t i = 0; i < n; i++)
			if (ret_values[i] != NULL)
				memcpy(&ret_values[i], ret_values[i], sizeof ret_values[i]);
}

int neap_map_put(struct neap_map *map, const void *key, const void *value)
{
	if (map == NULL)
		return NEAP_ENIL;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0))
		return put_hooked(map, key, value, writer, __builtin_return_address(0));
	RETURN_BY_KIND(map, put, map, key, value);
}

void *neap_map_slot(struct neap_map *map, const void *key, bool *ret_inserted)
{
	if (ret_inserted != NULL)
		*ret_inserted = false;
	if (map == NULL)
		return NULL;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0)) {
		neap__map_busy(map, writer, "neap_map_slot");
		return neap__hooked_slot(map, key, ret_inserted, __builtin_return_address(0));
	}
	RETURN_BY_KIND(map, slot, map, key, ret_inserted);
}

bool neap_map_delete(struct neap_map *map, const void *key)
{
	if (map == NULL)
		return false;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0)) {
		neap__map_busy(map, writer, "neap_map_delete");
		return neap__hooked_delete(map, key, __builtin_return_address(0));
	}
	RETURN_BY_KIND(map, delete, map, key);
}

bool neap_map_take(struct neap_map *map, const void *key, void *ret_key, void *ret_value)
{
	if (map == NULL)
		return false;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0)) {
		neap__map_busy(map, writer, "neap_map_take");
		return neap__hooked_take(map, key, ret_key, ret_value, __builtin_return_address(0));
	}
	bool more;
	const uint64_t hash = neap__key_hash(map, key);
	struct neap__place place =
		neap__find_home(map, neap__shape_of(map), key, hash, neap__key_equal, &more);
	if (more)
		place = neap__find_rest(map, key, hash);
	if (place.slot != NULL) {
		if (ret_key != NULL)
			memcpy(ret_key, neap__slot_key(map, place.slot), map->type->key_size);
		if (ret_value != NULL && map->type->value_size != 0)
			memcpy(ret_value, neap__slot_value(map, place.slot), map->type->value_size);
		neap__slot_drop_parts(map, place.slot, ret_key != NULL);
		neap__erase(map, neap__shape_of(map), place);
	}
	neap__write_end(map, "neap_map_take");
	return place.slot != NULL;
}
