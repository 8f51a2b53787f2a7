/* slot.c: one slot.
 *
 *     | key, or pointer to it | value, or pointer to it | 32 hash bits, for some types |
 *
 * Keys and values of more than NEAP_MAP_INLINE_MAX bytes live in blocks of their own. A slot keeps the upper
 * half of its hash when hashing again would be dear or impossible: strings (in the spare field of struct
 * neap_str), user functions, SipHash, and floats, because every NaN is hashed at random, as in Go.
 */
#include <stdalign.h>
#include <string.h>

#include "base/key.h"
#include "map/internal.h"

static uint32_t round_up(uint32_t n, uint32_t align)
{
	return (n + align - 1) & ~(align - 1);
}

bool neap__slot_layout(const struct neap_map_type *type, struct neap__shape *ret)
{
	if (!neap__type_ok(type))
		return false;

	bool key_outside = type->key_size > NEAP_MAP_INLINE_MAX;
	bool value_outside = type->value_size > NEAP_MAP_INLINE_MAX;
	uint32_t key_size = key_outside ? sizeof(void *) : type->key_size;
	uint32_t key_align = key_outside ? alignof(void *) : type->key_align;
	uint32_t value_size = value_outside ? sizeof(void *) : type->value_size;
	uint32_t value_align = value_outside ? alignof(void *) : value_size == 0 ? 1 : type->value_align;

	uint32_t value_offset = round_up(key_size, value_align);
	uint32_t end = value_offset + value_size;
	uint32_t align = key_align > value_align ? key_align : value_align;
	uint32_t hash_offset = 0;
	if (type->kind == NEAP_KEY_STR) {
		hash_offset = offsetof(struct neap_str, hash);
	} else if (type->kind != NEAP_KEY_BYTES || (type->flags & NEAP_MAP_SIPHASH) != 0) {
		hash_offset = round_up(end, alignof(uint32_t));
		end = hash_offset + (uint32_t)sizeof(uint32_t);
		align = align > alignof(uint32_t) ? align : (uint32_t)alignof(uint32_t);
	}
	ret->value_offset = value_offset;
	ret->hash_offset = hash_offset;
	ret->slot_size = round_up(end, align);
	ret->group_bytes = NEAP__GROUP_BYTES(ret->slot_size);
	ret->group_bits = NEAP__GROUP_BITS(ret->slot_size);
	return true;
}

static bool key_outside(const struct neap_map *map)
{
	return map->type->key_size > NEAP_MAP_INLINE_MAX;
}

static bool value_outside(const struct neap_map *map)
{
	return map->type->value_size > NEAP_MAP_INLINE_MAX;
}

static bool owns_strings(const struct neap_map *map)
{
	return map->type->kind == NEAP_KEY_STR && (map->type->flags & NEAP_MAP_OWN_KEYS) != 0;
}

/* Bytes asked for to hold a string: never none, so that an empty string has an address. */
static size_t string_bytes(const struct neap_str *str)
{
	return str->len == 0 ? 1 : str->len;
}

/* ---- Hash and equality for any type ---- */

uint64_t neap__key_hash(const struct neap_map *map, const void *key)
{
	return neap__type_hash(map->type, key, map->seed);
}

uint32_t neap__slot_hash(const struct neap_map *map, const uint8_t *slot)
{
	if (map->hash_offset != 0) {
		uint32_t kept;
		memcpy(&kept, slot + map->hash_offset, sizeof kept);
		return kept;
	}
	const void *key = slot;
	if (key_outside(map))
		memcpy(&key, slot, sizeof key);
	return (uint32_t)(neap__hash_fixed(key, map->type->key_size, map->seed) >> 32);
}

bool neap__key_equal(const struct neap_map *map, const uint8_t *slot, const void *key, uint64_t hash)
{
	if (map->hash_offset != 0 && neap__slot_hash(map, slot) != (uint32_t)(hash >> 32))
		return false;
	const void *stored = slot;
	if (key_outside(map))
		memcpy(&stored, slot, sizeof stored);
	return neap__type_equal(map->type, stored, key);
}

/* ---- Blocks outside the slot ---- */

void neap__parts_drop(struct neap_map *map, struct neap__parts parts, const void *key)
{
	if (parts.key != NULL)
		neap__map_free(map, parts.key, owns_strings(map) ? string_bytes(key) : map->type->key_size);
	if (parts.value != NULL)
		neap__map_free(map, parts.value, map->type->value_size);
}

int neap__parts_make(struct neap_map *map, const void *key, struct neap__parts *ret)
{
	const struct neap_map_type *type = map->type;
	*ret = (struct neap__parts){NULL, NULL};
	if (owns_strings(map)) {
		const struct neap_str *str = key;
		ret->key = neap__map_alloc(map, string_bytes(str), 1);
		if (ret->key == NULL)
			return NEAP_ENOMEM;
		if (str->len != 0)
			memcpy(ret->key, str->ptr, str->len);
	} else if (key_outside(map)) {
		ret->key = neap__map_alloc(map, type->key_size, type->key_align);
		if (ret->key == NULL)
			return NEAP_ENOMEM;
		memcpy(ret->key, key, type->key_size);
	}
	if (value_outside(map)) {
		ret->value = neap__map_alloc(map, type->value_size, type->value_align);
		if (ret->value == NULL) {
			neap__parts_drop(map, *ret, key);
			return NEAP_ENOMEM;
		}
	}
	return NEAP_OK;
}

void neap__slot_fill(struct neap_map *map, uint8_t *slot, const void *key, uint64_t hash,
		     struct neap__parts parts)
{
	const struct neap_map_type *type = map->type;
	if (map->flags & NEAP__OUTSIDE) {
		if (key_outside(map))
			memcpy(slot, &parts.key, sizeof parts.key);
		else
			neap__copy_few(slot, key, type->key_size);
		if (owns_strings(map))
			memcpy(slot + offsetof(struct neap_str, ptr), &parts.key, sizeof parts.key);
		if (value_outside(map))
			memcpy(slot + map->value_offset, &parts.value, sizeof parts.value);
	} else {
		neap__copy_few(slot, key, type->key_size);
	}
	if (map->hash_offset != 0) {
		uint32_t kept = (uint32_t)(hash >> 32);
		memcpy(slot + map->hash_offset, &kept, sizeof kept);
	}
}

void *neap__slot_key(const struct neap_map *map, uint8_t *slot)
{
	void *key = slot;
	if (key_outside(map))
		memcpy(&key, slot, sizeof key);
	return key;
}

void *neap__slot_value(const struct neap_map *map, uint8_t *slot)
{
	void *value = slot + map->value_offset;
	if (value_outside(map))
		memcpy(&value, slot + map->value_offset, sizeof value);
	return value;
}

void neap__slot_drop_parts(struct neap_map *map, uint8_t *slot, bool keep_owned_key)
{
	if ((map->flags & NEAP__OUTSIDE) == 0)
		return;
	struct neap__parts parts = {NULL, NULL};
	struct neap_str str = {NULL, 0, 0};
	if (owns_strings(map)) {
		memcpy(&str, slot, sizeof str);
		memcpy(&parts.key, slot + offsetof(struct neap_str, ptr), sizeof parts.key);
		if (keep_owned_key) {
			parts.key = NULL;
			neap__map_account(map, 0, string_bytes(&str));
		}
	} else if (key_outside(map)) {
		parts.key = neap__slot_key(map, slot);
	}
	if (value_outside(map))
		parts.value = neap__slot_value(map, slot);
	neap__parts_drop(map, parts, &str);
}

void neap__slot_release(struct neap_map *map, uint8_t *slot)
{
	if (map->flags & NEAP__RELEASE)
		map->type->release(neap__slot_key(map, slot), neap__slot_value(map, slot),
				   map->type->release_ctx);
	neap__slot_drop_parts(map, slot, false);
}

size_t neap__slot_outside(const struct neap_map *map, const uint8_t *slot)
{
	size_t bytes = 0;
	if (owns_strings(map)) {
		struct neap_str str;
		memcpy(&str, slot, sizeof str);
		bytes += string_bytes(&str);
	} else if (key_outside(map)) {
		bytes += map->type->key_size;
	}
	return bytes + (value_outside(map) ? map->type->value_size : 0);
}

void neap_map_free_key(struct neap_map *map, void *key)
{
	if (map == NULL || !owns_strings(map))
		return;
	struct neap_str *str = key;
	neap__free(&map->allocator, (void *)(uintptr_t)str->ptr, string_bytes(str));
	str->ptr = NULL;
	str->len = 0;
}
