/* map.c: creating a map and destroying it, its accounts, and what stops a program that misuses one. */
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
	NEAP__UNPOISON(block, size); /* there may have been slots in it */
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

static inline __attribute__((unused)) bool neap__check_due(const struct neap_map *map)
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
	 * whole segment into the hole. With wide slots the largest small table has more than both.
	 */
	if (map == NULL)
		return 0;
	const size_t merge = (size_t)neap__limit(map) + NEAP__MERGE_LIMIT(neap__limit(map));
	size_t bound = merge > neap__small_most(map) ? merge : neap__small_most(map);
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

void neap__map_write_fault(const struct neap_map *map, const char *operation)
{
	neap__fault((struct neap_fault){.rule = "concurrent map writes",
					.object = neap_map_name(map),
					.address = map,
					.operation = operation,
					.other = __atomic_load_n(&map->guard, __ATOMIC_RELAXED)});
}
