/* map.c: creating a map, and the operations on one entry for keys of any type.
 *
 * Each operation finds the place of its key with the short path of neap/map_core.h, instantiated for the few
 * kinds of key that are common, and then fills, overwrites or frees that place. What has to be allocated for
 * an entry is allocated before the map changes, so that a refusal leaves the map as it was.
 */
#include <string.h>

#include "base/fault.h"
#include "base/random.h"
#include "base/sampling.h"
#include "map/internal.h"

enum { NAME_MOST = 63 };

/* ---- Accounting ---- */

void neap__map_account(struct neap_map *map, size_t more, size_t less)
{
	map->bytes += more - less;
	if (more > less)
		neap__sample_growth(&map->listed, more - less);
	if (map->bytes > map->peak_bytes)
		map->peak_bytes = map->bytes;
}

void *neap__map_alloc(struct neap_map *map, size_t size, size_t align)
{
	void *block = neap__alloc(&map->allocator, size, align);
	if (block != NULL)
		neap__map_account(map, size, 0);
	return block;
}

void neap__map_free(struct neap_map *map, void *block, size_t size)
{
	if (block == NULL)
		return;
	neap__free(&map->allocator, block, size);
	neap__map_account(map, 0, size);
}

void neap__moves_begin(struct neap_map *map)
{
	map->moved_now = 0;
}

/* The whole-structure check reads every entry: a small map is checked after every step, a large one once for as many
 * entries moved as it holds, so that the checks cost each entry moved the same whatever the size.
 */
enum { CHECKED_ALWAYS = 4096 };

static inline bool neap__check_due(const struct neap_map *map)
{
	size_t live = neap_map_len(map);
	size_t before = map->entries_moved - map->moved_now;
	return live < CHECKED_ALWAYS || before / live != map->entries_moved / live;
}

void neap__moves_end(struct neap_map *map)
{
	map->entries_moved += map->moved_now;
	if (map->moved_now > map->moved_most)
		map->moved_most = map->moved_now;
	neap__assert((map->flags & NEAP__DEGENERATE) != 0 || map->moved_now <= neap_map_move_bound(map));
	neap__assert_expensive(!neap__check_due(map) || neap__map_check(map) == NULL);
}

size_t neap_map_move_bound(const struct neap_map *map)
{
	/* A split moves at most every entry of a segment. A merge moves at most what it merges, and then one
	 * whole segment into the hole.
	 */
	size_t bound = map == NULL ? 0 : (size_t)neap__limit(map) + NEAP__MERGE_LIMIT(neap__limit(map));
#ifdef NEAP_HOSTILE
	bound *= NEAP__MAX_DEPTH; /* a segment of five entries does split one-sided, several times over */
#endif
	return bound;
}

/* ---- Creation ---- */

static uint8_t key_path_of(const struct neap_map_type *type)
{
	if (type->flags & NEAP_MAP_SIPHASH)
		return NEAP__KEY_OTHER;
	if (type->kind == NEAP_KEY_STR)
		return NEAP__KEY_STR;
	if (type->kind != NEAP_KEY_BYTES || type->key_size > NEAP_MAP_INLINE_MAX)
		return NEAP__KEY_OTHER;
	return type->key_size == 4 ? NEAP__KEY_4 : type->key_size == 8 ? NEAP__KEY_8 : NEAP__KEY_BYTES;
}

static uint8_t flags_of(const struct neap_map_type *type, const struct neap_map_options *options)
{
	unsigned flags = 0;
	if (options->strict_iteration)
		flags |= NEAP__STRICT;
	if (type->release != NULL)
		flags |= NEAP__RELEASE;
	if (type->key_size > NEAP_MAP_INLINE_MAX || type->value_size > NEAP_MAP_INLINE_MAX ||
	    (type->kind == NEAP_KEY_STR && (type->flags & NEAP_MAP_OWN_KEYS) != 0))
		flags |= NEAP__OUTSIDE;
	return (uint8_t)flags;
}

static void set_seed(struct neap_map *map, const uint64_t *seed)
{
	map->seed[0] = seed != NULL ? seed[0] : neap__random_next() ^ neap__random_seed();
	map->seed[1] = seed != NULL ? seed[1] : neap__random_next() ^ neap__random_seed();
	map->seed[1] |= UINT64_C(1) << 63 | 1; /* a multiplier that loses no bit and is never small */
}

static int set_name(struct neap_map *map, const char *name)
{
	if (name == NULL)
		return NEAP_OK;
	uint32_t len = (uint32_t)strnlen(name, NAME_MOST);
	map->name = neap__map_alloc(map, len + 1, 1);
	if (map->name == NULL)
		return NEAP_ENOMEM;
	memcpy(map->name, name, len);
	map->name[len] = '\0';
	map->name_len = len;
	return NEAP_OK;
}

struct neap_map *neap_map_create(const struct neap_map_type *type, const struct neap_map_options *options)
{
	static const struct neap_map_options defaults;
	if (options == NULL)
		options = &defaults;
	struct neap__shape shape;
	if (type == NULL || options->shrink > NEAP_SHRINK_OFF || !neap__slot_layout(type, &shape))
		return NULL;

	const struct neap_allocator *allocator =
		options->allocator != NULL ? options->allocator : &neap__malloc_allocator;
	struct neap_map *map = neap__alloc(allocator, sizeof *map, 64);
	if (map == NULL)
		return NULL;
	*map = (struct neap_map){
		.type = type,
		.allocator = *allocator,
		.flags = flags_of(type, options),
		.key_path = key_path_of(type),
		.slot_size = shape.slot_size,
		.value_offset = shape.value_offset,
		.hash_offset = shape.hash_offset,
		.group_bytes = shape.group_bytes,
		.group_bits = (uint8_t)shape.group_bits,
		.shrink = (uint8_t)options->shrink,
		.floor = options->floor,
	};
	neap__map_account(map, sizeof *map, 0);
	set_seed(map, options->seed);
	neap__small_reset(map);
	if (set_name(map, options->name) != NEAP_OK || neap_map_reserve(map, options->reserve) != NEAP_OK) {
		neap_map_destroy(map);
		return NULL;
	}
	neap__registry_add(&map->listed, &neap__map_species, NEAP__KIND_MAP, map);
	return map;
}

void neap_map_destroy(struct neap_map *map)
{
	if (map == NULL)
		return;
	neap__registry_remove(&map->listed);
	neap__hook_end(map, __builtin_return_address(0));
	neap_map_clear(map);
	if (map->name != NULL)
		neap__map_free(map, map->name, map->name_len + 1);
	neap__assert(map->bytes == sizeof *map);
	struct neap_allocator allocator = map->allocator;
	neap__free(&allocator, map, sizeof *map);
}

size_t neap_map_len(const struct neap_map *map)
{
	return map == NULL ? 0 : map->len;
}

const char *neap_map_name(const struct neap_map *map)
{
	return map == NULL ? "nil" : map->name == NULL ? "unnamed" : map->name;
}

const struct neap_map_type *neap_map_type_of(const struct neap_map *map)
{
	return map == NULL ? NULL : map->type;
}

size_t neap_map_bytes(const struct neap_map *map)
{
	return map == NULL ? 0 : map->bytes;
}

/* ---- Faults ---- */

void neap__map_read_fault(const struct neap_map *map, const char *operation)
{
	neap__fault((struct neap_fault){.rule = "concurrent map read and map write",
					.object = neap_map_name(map),
					.address = map,
					.operation = operation,
					.other = __atomic_load_n(&map->guard, __ATOMIC_RELAXED)});
}

void neap__map_busy(const struct neap_map *map, uintptr_t writer, const char *operation)
{
	if (writer == NEAP__HOOKED)
		return;
	neap__fault((struct neap_fault){.rule = writer == neap__thread() ? "map changed from its own callback"
									 : "concurrent map writes",
					.object = neap_map_name(map),
					.address = map,
					.operation = operation,
					.other = writer});
}

/* ---- Finding, for any key ---- */

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

struct neap__place neap__find_rest(const struct neap_map *map, const void *key, uint64_t hash)
{
	return neap__find_beyond(map, neap__shape_of(map), key, hash, neap__key_equal);
}

static uint8_t *rest_slot(const struct neap_map *map, const void *key, uint64_t hash)
{
	return neap__find_rest(map, key, hash).slot;
}

NEAP__INLINE struct neap__place find_as(const struct neap_map *map, const void *key, uint64_t hash,
					neap__equal_fn *equal, enum neap__intent intent)
{
	bool more;
	struct neap__place place = neap__find_home(map, neap__shape_of(map), key, hash, equal, intent, &more);
	return NEAP__UNLIKELY(more) ? neap__find_rest(map, key, hash) : place;
}

/* The place of a key and, in *ret_hash, its hash. */
NEAP__INLINE struct neap__place find_any(const struct neap_map *map, const void *key,
					 enum neap__intent intent, uint64_t *ret_hash)
{
	switch (map->key_path) {
	case NEAP__KEY_4: return find_as(map, key, *ret_hash = hash_4(map, key), equal_4, intent);
	case NEAP__KEY_8: return find_as(map, key, *ret_hash = hash_8(map, key), equal_8, intent);
	case NEAP__KEY_BYTES: return find_as(map, key, *ret_hash = hash_sized(map, key), equal_sized, intent);
	case NEAP__KEY_STR: return find_as(map, key, *ret_hash = hash_string(map, key), equal_string, intent);
	default: return find_as(map, key, *ret_hash = neap__key_hash(map, key), neap__key_equal, intent);
	}
}

void *neap_map_get(const struct neap_map *map, const void *key)
{
	if (map == NULL)
		return NULL;
	neap__reading(map, "neap_map_get");
	uint64_t hash;
	struct neap__place place = find_any(map, key, NEAP__TO_READ, &hash);
	return place.slot == NULL ? NULL : neap__slot_value(map, place.slot);
}

void neap_map_get_many(const struct neap_map *map, const void *keys, size_t n, void **ret_values)
{
	if (map == NULL) {
		memset(ret_values, 0, n * sizeof *ret_values);
		return;
	}
	neap__reading(map, "neap_map_get_many");
	const struct neap__shape shape = neap__shape_of(map);
	const size_t stride = map->type->key_size;
	switch (map->key_path) {
	case NEAP__KEY_4:
		neap__find_many(map, shape, keys, stride, n, ret_values, hash_4, equal_4, rest_slot);
		break;
	case NEAP__KEY_8:
		neap__find_many(map, shape, keys, stride, n, ret_values, hash_8, equal_8, rest_slot);
		break;
	case NEAP__KEY_STR:
		neap__find_many(map, shape, keys, stride, n, ret_values, hash_string, equal_string,
				rest_slot);
		break;
	default:
		neap__find_many(map, shape, keys, stride, n, ret_values, neap__key_hash, neap__key_equal,
				rest_slot);
		break;
	}
	if (map->type->value_size > NEAP_MAP_INLINE_MAX)
		for (size_t i = 0; i < n; i++)
			if (ret_values[i] != NULL)
				memcpy(&ret_values[i], ret_values[i], sizeof ret_values[i]);
}

/* ---- Changing one entry ---- */

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

int neap_map_put(struct neap_map *map, const void *key, const void *value)
{
	if (map == NULL)
		return NEAP_ENIL;
	const uintptr_t writer = neap__write_begin(map);
	if (NEAP__UNLIKELY(writer != 0)) {
		neap__map_busy(map, writer, "neap_map_put");
		return neap__hooked_put(map, key, value, __builtin_return_address(0));
	}
	uint64_t hash;
	uint8_t *slot = find_any(map, key, NEAP__TO_WRITE, &hash).slot;
	int error = NEAP_OK;
	if (slot != NULL) {
		if (map->flags & NEAP__RELEASE)
			map->type->release(NULL, neap__slot_value(map, slot), map->type->release_ctx);
	} else {
		slot = neap__map_insert(map, key, hash);
	}
	if (slot == NULL)
		error = NEAP_ENOMEM;
	else if (value != NULL)
		neap__copy_few(neap__slot_value(map, slot), value, map->type->value_size);
	else
		memset(neap__slot_value(map, slot), 0, map->type->value_size);
	neap__write_end(map, "neap_map_put");
	return error;
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
	uint64_t hash;
	uint8_t *slot = find_any(map, key, NEAP__TO_WRITE, &hash).slot;
	if (slot == NULL) {
		slot = neap__map_insert(map, key, hash);
		if (slot != NULL)
			memset(neap__slot_value(map, slot), 0, map->type->value_size);
		if (ret_inserted != NULL)
			*ret_inserted = slot != NULL;
	}
	neap__write_end(map, "neap_map_slot");
	return slot == NULL ? NULL : neap__slot_value(map, slot);
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
	uint64_t hash;
	struct neap__place place = find_any(map, key, NEAP__TO_WRITE, &hash);
	if (place.slot != NULL) {
		if (neap__slots_own(map))
			neap__slot_release(map, place.slot);
		neap__erase(map, place, hash);
	}
	neap__write_end(map, "neap_map_delete");
	return place.slot != NULL;
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
	uint64_t hash;
	struct neap__place place = find_any(map, key, NEAP__TO_WRITE, &hash);
	if (place.slot != NULL) {
		if (ret_key != NULL)
			memcpy(ret_key, neap__slot_key(map, place.slot), map->type->key_size);
		if (ret_value != NULL && map->type->value_size != 0)
			memcpy(ret_value, neap__slot_value(map, place.slot), map->type->value_size);
		neap__slot_drop_parts(map, place.slot, ret_key != NULL);
		neap__erase(map, place, hash);
	}
	neap__write_end(map, "neap_map_take");
	return place.slot != NULL;
}
