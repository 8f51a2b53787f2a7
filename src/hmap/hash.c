/* hash.c: the hash of a key, equality, and random draws.
 *
 * Go hashes with the processor's AES rounds; this is Neap's keyed hash unless the type brings its own. The seed
 * is hash0, as in Go, and words that are drawn once per map and never shown.
 *
 * Floats. Both zeroes are one key, so they hash alike. A NaN equals nothing, so its hash is drawn at random:
 * a million NaNs spread over the table instead of piling up in one chain.
 */
#include "hmap/internal.h"

/* The bits that stand for a float. */
static uint64_t hmap_float_word(const struct neap_hmap *map, const void *key)
{
	double value;
	if (map->type->kind == NEAP_HMAP_F32) {
		float narrow;
		memcpy(&narrow, key, sizeof narrow);
		value = (double)narrow;
	} else {
		memcpy(&value, key, sizeof value);
	}
	if (value != value)
		return neap__hmap_random(map);
	if (value == 0)
		return 0;
	uint64_t word;
	memcpy(&word, &value, sizeof word);
	return word;
}

uint64_t neap__hmap_hash_any(const struct neap_hmap *map, const void *key)
{
	if (map->type->hash != NULL)
		return map->type->hash(key, map->head.hash0);
	const uint64_t seed[2] = {map->hash_key[0] ^ map->head.hash0, map->hash_key[1]};
	switch (map->type->kind) {
	case NEAP_HMAP_STR: {
		struct neap_str str;
		memcpy(&str, key, sizeof str);
		return neap__hash_str(str, seed);
	}
	case NEAP_HMAP_F32:
	case NEAP_HMAP_F64: return neap__hash_word(hmap_float_word(map, key), seed);
	default: return neap__hash_fixed(key, map->type->key_size, seed);
	}
}

static bool hmap_equal_str(const void *a, const void *b)
{
	struct neap_str x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x.len == y.len && (x.len == 0 || x.ptr == y.ptr || memcmp(x.ptr, y.ptr, x.len) == 0);
}

bool neap__hmap_equal(const struct neap_hmap *map, const void *a, const void *b)
{
	switch (map->type->kind) {
	case NEAP_HMAP_F32: {
		float x, y;
		memcpy(&x, a, sizeof x);
		memcpy(&y, b, sizeof y);
		return x == y;
	}
	case NEAP_HMAP_F64: {
		double x, y;
		memcpy(&x, a, sizeof x);
		memcpy(&y, b, sizeof y);
		return x == y;
	}
	case NEAP_HMAP_STR: return hmap_equal_str(a, b);
	case NEAP_HMAP_USER: return map->type->equal(a, b);
	default: return memcmp(a, b, map->type->key_size) == 0;
	}
}

uint64_t neap__hmap_random(const struct neap_hmap *map)
{
	return map->random(map->random_ctx);
}
