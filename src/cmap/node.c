/* node.c: hashes of keys and slots, and the nodes that hold what does not fit into a slot. */
#include <string.h>

#include "base/key.h"
#include "cmap/internal.h"

uint64_t neap__cmap_hash(const struct neap_cmap *map, const void *key)
{
	return neap__type_hash(map->type, key, map->front.seed);
}

uint64_t neap__cmap_slot_hash(const struct neap_cmap *map, const struct neap__bucket *bucket, unsigned slot)
{
	if (neap__cmap_has_nodes(map)) {
		const struct neap__node *node = (const struct neap__node *)(uintptr_t)atomic_load_explicit(
			&bucket->words[slot], memory_order_relaxed);
		return node->hash;
	}
	uint64_t words[NEAP_CMAP_INLINE_KEY / 8];
	for (unsigned i = 0; i < map->key_words; i++)
		words[i] = atomic_load_explicit(&bucket->words[(size_t)slot * map->slot_words + i],
						memory_order_relaxed);
	return neap__cmap_hash(map, words);
}

bool neap__node_equal(const struct neap_cmap *map, const struct neap__node *node, const void *key,
		      uint64_t hash)
{
	return node->hash == hash && neap__type_equal(map->type, (const uint8_t *)node + map->key_at, key);
}

struct neap__node *neap__node_make(struct neap_cmap *map, const void *key, uint64_t hash, const void *value)
{
	const struct neap_map_type *type = map->type;
	const struct neap_str *str = key;
	size_t size = map->text_at + (type->kind == NEAP_KEY_STR ? str->len : 0);
	if (size > UINT32_MAX)
		return NULL;
	struct neap__node *node =
		neap__alloc(&map->allocator, size,
			    64 <= type->key_align || 64 <= type->value_align ? 64 : _Alignof(max_align_t));
	if (node == NULL)
		return NULL;
	node->retired = (struct neap__retired){.size = (uint32_t)size};
	node->hash = hash;
	memcpy(neap__node_key(map, node), key, type->key_size);
	if (type->kind == NEAP_KEY_STR) {
		char *text = (char *)node + map->text_at;
		if (str->len != 0)
			memcpy(text, str->ptr, str->len);
		*(struct neap_str *)neap__node_key(map, node) =
			(struct neap_str){text, str->len, (uint32_t)(hash >> 32)};
	}
	if (value != NULL)
		memcpy(neap__node_value(map, node), value, type->value_size);
	else
		memset(neap__node_value(map, node), 0, type->value_size);
	return node;
}

void neap__node_free(struct neap_cmap *map, struct neap__node *node)
{
	if (node != NULL)
		neap__free(&map->allocator, node, node->retired.size);
}
