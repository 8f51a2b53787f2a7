/* find.c: looking along a chain, once for each of Go's variants.
 *
 * The variants differ in what they look at first. 4- and 8-byte keys are compared directly, the tophash only
 * says whether the slot is in use; strings compare tophash and length before bytes; the general one compares
 * the tophash and asks `equal` for the rest. What they find is the same, because equal keys have equal hashes.
 * In a map of one bucket the first three need no hash.
 *
 *     the search may stop at the first emptyRest: nothing follows it, in this bucket or in the chain
 */
#include "hmap/internal.h"

#define HMAP_EACH_VARIANT static inline __attribute__((always_inline)) /* compiled once per variant */

static const struct neap__hmap_place hmap_nowhere;

HMAP_EACH_VARIANT bool hmap_str_match(const uint8_t *slot, const void *key)
{
	struct neap_str stored, sought;
	memcpy(&stored, slot, sizeof stored);
	memcpy(&sought, key, sizeof sought);
	return stored.len == sought.len && (sought.len == 0 || stored.ptr == sought.ptr ||
					    memcmp(stored.ptr, sought.ptr, sought.len) == 0);
}

HMAP_EACH_VARIANT bool hmap_match(const struct neap_hmap *map, enum neap__hmap_variant variant,
				  struct neap__hmap_bucket *b, size_t i, const void *key, uint8_t top)
{
	const uint8_t *slots = (const uint8_t *)b + HMAP_DATA;
	switch (variant) {
	case HMAP_FAST32:
		return neap__hmap_word(slots + i * 4, 4) == neap__hmap_word(key, 4) &&
		       !neap__hmap_empty(b->tophash[i]);
	case HMAP_FAST64:
		return neap__hmap_word(slots + i * 8, 8) == neap__hmap_word(key, 8) &&
		       !neap__hmap_empty(b->tophash[i]);
	case HMAP_ONE_STR:
		return !neap__hmap_empty(b->tophash[i]) &&
		       hmap_str_match(slots + i * sizeof(struct neap_str), key);
	case HMAP_FASTSTR:
		return b->tophash[i] == top && hmap_str_match(slots + i * sizeof(struct neap_str), key);
	case HMAP_GENERAL: break;
	}
	return b->tophash[i] == top && neap__hmap_equal(map, key, neap__hmap_key(map, b, i));
}

/* The loop of a look-up. Like Go's, that of 4- and 8-byte keys runs to the end of the chain: comparing the keys
 * behind an emptyRest costs less than looking for one.
 */
HMAP_EACH_VARIANT struct neap__hmap_place hmap_seek(const struct neap_hmap *map,
						    enum neap__hmap_variant variant,
						    struct neap__hmap_bucket *b, const void *key,
						    uint64_t hash)
{
	bool words = variant == HMAP_FAST32 || variant == HMAP_FAST64;
	uint8_t top = neap__hmap_tophash(hash);
	do {
		for (size_t i = 0; i < HMAP_SLOTS; i++) {
			if (hmap_match(map, variant, b, i, key, top))
				return (struct neap__hmap_place){b, i};
			if (!words && b->tophash[i] == NEAP_HMAP_EMPTY_REST)
				return hmap_nowhere;
		}
		b = neap__hmap_overflow(map, b);
	} while (b != NULL);
	return hmap_nowhere;
}

struct neap__hmap_place neap__hmap_find(const struct neap_hmap *map, struct neap__hmap_bucket *b,
					const void *key, uint64_t hash)
{
	switch (map->variant) {
	case HMAP_FAST32: return hmap_seek(map, HMAP_FAST32, b, key, hash);
	case HMAP_FAST64: return hmap_seek(map, HMAP_FAST64, b, key, hash);
	case HMAP_FASTSTR: return hmap_seek(map, HMAP_FASTSTR, b, key, hash);
	case HMAP_ONE_STR:
	case HMAP_GENERAL: break;
	}
	return hmap_seek(map, HMAP_GENERAL, b, key, hash);
}

/* `one` is the variant to take in a map of one bucket, where HMAP_GENERAL alone needs the hash. */
HMAP_EACH_VARIANT void *hmap_get_as(const struct neap_hmap *map, enum neap__hmap_variant variant,
				    enum neap__hmap_variant one, const void *key)
{
	struct neap__hmap_place at;
	if (variant != HMAP_GENERAL && map->head.B == 0) {
		at = hmap_seek(map, one, map->head.buckets, key, 0);
	} else {
		uint64_t hash = neap__hmap_hash_as(map, variant, key);
		at = hmap_seek(map, variant, neap__hmap_chain(map, hash), key, hash);
	}
	return at.b == NULL ? NULL : neap__hmap_value(map, at.b, at.i);
}

void *neap__hmap_get(const struct neap_hmap *map, const void *key)
{
	switch (map->variant) {
	case HMAP_FAST32: return hmap_get_as(map, HMAP_FAST32, HMAP_FAST32, key);
	case HMAP_FAST64: return hmap_get_as(map, HMAP_FAST64, HMAP_FAST64, key);
	case HMAP_FASTSTR: return hmap_get_as(map, HMAP_FASTSTR, HMAP_ONE_STR, key);
	case HMAP_ONE_STR:
	case HMAP_GENERAL: break;
	}
	return hmap_get_as(map, HMAP_GENERAL, HMAP_GENERAL, key);
}

/* The loop of an insert: it also remembers the first empty slot. */
HMAP_EACH_VARIANT struct neap__hmap_place
hmap_walk(const struct neap_hmap *map, enum neap__hmap_variant variant, struct neap__hmap_bucket *b,
	  const void *key, uint64_t hash, struct neap__hmap_place *free, struct neap__hmap_bucket **tail)
{
	uint8_t top = neap__hmap_tophash(hash);
	free->b = NULL;
	do {
		*tail = b;
		for (size_t i = 0; i < HMAP_SLOTS; i++) {
			if (hmap_match(map, variant, b, i, key, top))
				return (struct neap__hmap_place){b, i};
			if (!neap__hmap_empty(b->tophash[i]))
				continue;
			if (free->b == NULL)
				*free = (struct neap__hmap_place){b, i};
			if (b->tophash[i] == NEAP_HMAP_EMPTY_REST)
				return hmap_nowhere;
		}
		b = neap__hmap_overflow(map, b);
	} while (b != NULL);
	return hmap_nowhere;
}

struct neap__hmap_place neap__hmap_find_or_free(const struct neap_hmap *map, struct neap__hmap_bucket *b,
						const void *key, uint64_t hash,
						struct neap__hmap_place *ret_free,
						struct neap__hmap_bucket **ret_tail)
{
	switch (map->variant) {
	case HMAP_FAST32: return hmap_walk(map, HMAP_FAST32, b, key, hash, ret_free, ret_tail);
	case HMAP_FAST64: return hmap_walk(map, HMAP_FAST64, b, key, hash, ret_free, ret_tail);
	case HMAP_FASTSTR: return hmap_walk(map, HMAP_FASTSTR, b, key, hash, ret_free, ret_tail);
	case HMAP_ONE_STR:
	case HMAP_GENERAL: break;
	}
	return hmap_walk(map, HMAP_GENERAL, b, key, hash, ret_free, ret_tail);
}
