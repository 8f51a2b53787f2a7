/* key.c: keys of every kind: their hash, their equality, and the nodes that hold what does not fit into a slot. */
#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "cmap/internal.h"

/* The word that stands for a float: one for both zeroes, a random one for each NaN. */
static uint64_t cmap_float_word(double number)
{
	if (number == 0)
		return 0;
	if (number != number)
		return neap__random_next();
	return neap__load_word(&number, sizeof number);
}

uint64_t neap__cmap_hash(const struct neap_cmap *map, const void *key)
{
	const struct neap_map_type *type = map->type;
	const bool sip = (type->flags & NEAP_MAP_SIPHASH) != 0;
	uint64_t word;
	switch (type->kind) {
	case NEAP_KEY_STR: {
		const struct neap_str *str = key;
		return sip ? neap__siphash(str->ptr, str->len, map->seed) : neap__hash_str(*str, map->seed);
	}
	case NEAP_KEY_F32: {
		float number;
		memcpy(&number, key, sizeof number);
		word = cmap_float_word((double)number);
		break;
	}
	case NEAP_KEY_F64: {
		double number;
		memcpy(&number, key, sizeof number);
		word = cmap_float_word(number);
		break;
	}
	case NEAP_KEY_USER: word = type->hash(key, map->seed[0]); break;
	default:
		return sip ? neap__siphash(key, type->key_size, map->seed)
			   : neap__hash_fixed(key, type->key_size, map->seed);
	}
	return sip ? neap__siphash(&word, sizeof word, map->seed) : neap__hash_word(word, map->seed);
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
	const struct neap_map_type *type = map->type;
	const void *stored = (const uint8_t *)node + map->key_at;
	if (node->hash != hash)
		return false;
	switch (type->kind) {
	case NEAP_KEY_STR: {
		const struct neap_str *a = stored, *b = key;
		return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
	}
	case NEAP_KEY_F32: {
		float a, b;
		memcpy(&a, stored, sizeof a);
		memcpy(&b, key, sizeof b);
		return a == b;
	}
	case NEAP_KEY_F64: {
		double a, b;
		memcpy(&a, stored, sizeof a);
		memcpy(&b, key, sizeof b);
		return a == b;
	}
	case NEAP_KEY_USER: return type->equal(stored, key);
	default: return memcmp(stored, key, type->key_size) == 0;
	}
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
