/* find.c: looking along a chain, once for each of Go's variants.
 *
 * The variants differ in what they look at first. 4- and 8-byte keys are compared directly, the tophash only
 * says whether the slot is in use; strings compare tophash and length before bytes; the general one compares
 * the tophash and asks `equal` for the rest. What they find is the same, because equal keys have equal hashes.
 *
 * Strings in a map of one bucket are compared without a hash.
 *
 *     the search may stop at the first emptyRest: nothing follows it, in this bucket or in the chain
 */
#include "hmap/internal.h"

/* What is looked for, prepared once. */
struct hmap_quarry {
	const void *key;
	uint64_t word;
	struct neap_str str;
	uint8_t top;
};

static inline bool hmap_word_match(const uint8_t *slot, uint64_t word, size_t size)
{
	uint64_t stored = 0;
	memcpy(&stored, slot, size);
	return stored == word;
}

static inline bool hmap_str_match(const uint8_t *slot, struct neap_str sought)
{
	struct neap_str stored;
	memcpy(&stored, slot, sizeof stored);
	return stored.len == sought.len && (sought.len == 0 || stored.ptr == sought.ptr ||
					    memcmp(stored.ptr, sought.ptr, sought.len) == 0);
}

static inline __attribute__((always_inline)) bool hmap_match(const struct neap_hmap *map,
							     enum neap__hmap_variant variant,
							     struct neap__hmap_bucket *b, size_t i,
							     const struct hmap_quarry *quarry)
{
	const uint8_t *slots = (const uint8_t *)b + HMAP_DATA;
	switch (variant) {
	case HMAP_ONE_STR:
		return !neap__hmap_empty(b->tophash[i]) &&
		       hmap_str_match(slots + i * sizeof quarry->str, quarry->str);
	case HMAP_FAST32:
		return hmap_word_match(slots + i * 4, quarry->word, 4) && !neap__hmap_empty(b->tophash[i]);
	case HMAP_FAST64:
		return hmap_word_match(slots + i * 8, quarry->word, 8) && !neap__hmap_empty(b->tophash[i]);
	case HMAP_FASTSTR:
		return b->tophash[i] == quarry->top &&
		       hmap_str_match(slots + i * sizeof quarry->str, quarry->str);
	case HMAP_GENERAL: break;
	}
	return b->tophash[i] == quarry->top && neap__hmap_equal(map, quarry->key, neap__hmap_key(map, b, i));
}

/* The loop of every look-up; compiled once per variant. */
static inline __attribute__((always_inline)) struct neap__hmap_place
hmap_walk(const struct neap_hmap *map, enum neap__hmap_variant variant, struct neap__hmap_bucket *b,
	  const struct hmap_quarry *quarry, struct neap__hmap_place *free, struct neap__hmap_bucket **tail)
{
	for (;;) {
		for (size_t i = 0; i < HMAP_SLOTS; i++) {
			if (hmap_match(map, variant, b, i, quarry))
				return (struct neap__hmap_place){b, i};
			if (!neap__hmap_empty(b->tophash[i]))
				continue;
			if (free->b == NULL)
				*free = (struct neap__hmap_place){b, i};
			if (b->tophash[i] == NEAP_HMAP_EMPTY_REST)
				return (struct neap__hmap_place){NULL, 0};
		}
		*tail = b;
		b = neap__hmap_overflow(map, b);
		if (b == NULL)
			return (struct neap__hmap_place){NULL, 0};
	}
}

struct neap__hmap_place neap__hmap_find_or_free(const struct neap_hmap *map, struct neap__hmap_bucket *b,
						const void *key, uint64_t hash,
						struct neap__hmap_place *ret_free,
						struct neap__hmap_bucket **ret_tail)
{
	struct hmap_quarry quarry = {.key = key, .top = neap__hmap_tophash(hash)};
	ret_free->b = NULL;
	*ret_tail = b;
	switch (map->variant) {
	case HMAP_FAST32:
		memcpy(&quarry.word, key, 4);
		return hmap_walk(map, HMAP_FAST32, b, &quarry, ret_free, ret_tail);
	case HMAP_FAST64:
		memcpy(&quarry.word, key, 8);
		return hmap_walk(map, HMAP_FAST64, b, &quarry, ret_free, ret_tail);
	case HMAP_FASTSTR:
		memcpy(&quarry.str, key, sizeof quarry.str);
		return hmap_walk(map, HMAP_FASTSTR, b, &quarry, ret_free, ret_tail);
	case HMAP_ONE_STR:
	case HMAP_GENERAL: break;
	}
	return hmap_walk(map, HMAP_GENERAL, b, &quarry, ret_free, ret_tail);
}

struct neap__hmap_place neap__hmap_find(const struct neap_hmap *map, struct neap__hmap_bucket *b,
					const void *key, uint64_t hash)
{
	struct neap__hmap_place free;
	struct neap__hmap_bucket *tail;
	return neap__hmap_find_or_free(map, b, key, hash, &free, &tail);
}

struct neap__hmap_place neap__hmap_find_unhashed(const struct neap_hmap *map, const void *key)
{
	if (map->variant != HMAP_FASTSTR) /* these look at the hash in no case */
		return neap__hmap_find(map, map->head.buckets, key, 0);
	struct neap__hmap_place free = {NULL, 0};
	struct neap__hmap_bucket *tail;
	struct hmap_quarry quarry = {.key = key};
	memcpy(&quarry.str, key, sizeof quarry.str);
	return hmap_walk(map, HMAP_ONE_STR, map->head.buckets, &quarry, &free, &tail);
}

struct neap__hmap_bucket *neap__hmap_chain(const struct neap_hmap *map, uint64_t hash)
{
	if (neap__hmap_growing(map)) {
		size_t index = hash & (neap__hmap_old_buckets(map) - 1);
		struct neap__hmap_bucket *b = neap__hmap_at(map, map->head.oldbuckets, index);
		if (!neap__hmap_evacuated(b))
			return b;
	}
	return neap__hmap_at(map, map->head.buckets, hash & neap__hmap_mask(map->head.B));
}
