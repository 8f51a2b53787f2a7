/* check.c: walks a whole map and says which law is broken.
 *
 *     every entry is found by its own key, in the slot it is in
 *     nothing in a chain follows an emptyRest
 *     a chain is evacuated as a whole or not at all; every old bucket below nevacuate is
 *     a new bucket whose old bucket has not been evacuated is empty
 *     B < 16  =>  noverflow == overflow buckets in use
 *     live + tombstone + empty + evacuated + retired + metadata == bytes from the allocator
 */
#include "hmap/internal.h"

struct hmap_verdict {
	const struct neap_hmap *map;
	const char *broken;
	size_t entries, overflow;
	bool rest_seen; /* an emptyRest earlier in this chain */
	bool evacuated; /* the chain's first bucket is */
};

static const char *hmap_check_entry(const struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i,
				    const struct neap_hmap_bucket *shown)
{
	const void *key = neap__hmap_key(map, b, i);
	if (!map->reflexive && !neap__hmap_equal(map, key, key))
		return NULL; /* a NaN may be anywhere */
	uint64_t hash = neap__hmap_hash(map, key);
	size_t buckets = shown->old ? neap__hmap_old_buckets(map) : (size_t)1 << map->head.B;
	if ((hash & (buckets - 1)) != shown->index)
		return "an entry is in the bucket of its hash";
	if (b->tophash[i] != neap__hmap_tophash(hash))
		return "an entry has the tophash of its hash";
	struct neap__hmap_place found = neap__hmap_find(map, neap__hmap_chain(map, hash), key, hash);
	return found.b == b && found.i == i ? NULL : "an entry is found by its own key";
}

static const char *hmap_check_slot(struct hmap_verdict *verdict, struct neap__hmap_bucket *b, size_t i,
				   const struct neap_hmap_bucket *shown)
{
	uint8_t top = b->tophash[i];
	bool moved = top > NEAP_HMAP_EMPTY_ONE && top < NEAP_HMAP_MIN_TOPHASH;
	if (moved != verdict->evacuated)
		return "a chain is evacuated as a whole or not at all";
	if (moved)
		return NULL;
	if (verdict->rest_seen && top != NEAP_HMAP_EMPTY_REST)
		return "nothing follows an emptyRest";
	verdict->rest_seen = top == NEAP_HMAP_EMPTY_REST;
	if (neap__hmap_empty(top))
		return NULL;
	verdict->entries++;
	return hmap_check_entry(verdict->map, b, i, shown);
}

static const char *hmap_check_first(struct hmap_verdict *verdict, struct neap__hmap_bucket *b,
				    const struct neap_hmap_bucket *shown)
{
	const struct neap_hmap *map = verdict->map;
	verdict->rest_seen = false;
	verdict->evacuated = neap__hmap_evacuated(b);
	if (verdict->evacuated && !shown->old)
		return "no bucket of the present array is evacuated";
	if (shown->old && shown->index < map->head.nevacuate && !verdict->evacuated)
		return "every bucket below nevacuate is evacuated";
	if (map->old != NULL && !shown->old) {
		size_t origin = shown->index & (neap__hmap_old_buckets(map) - 1);
		if (!neap__hmap_evacuated(neap__hmap_at(map, map->head.oldbuckets, origin)) &&
		    b->tophash[0] != NEAP_HMAP_EMPTY_REST)
			return "a bucket is empty until its old bucket has been evacuated";
	}
	return NULL;
}

static bool hmap_check_bucket(const struct neap_hmap_bucket *shown, void *ctx)
{
	struct hmap_verdict *verdict = ctx;
	struct neap__hmap_bucket *b = (struct neap__hmap_bucket *)(uintptr_t)shown->tophash;
	if (shown->depth == 0)
		verdict->broken = hmap_check_first(verdict, b, shown);
	else if (!shown->old)
		verdict->overflow++;
	for (size_t i = 0; i < HMAP_SLOTS && verdict->broken == NULL; i++)
		verdict->broken = hmap_check_slot(verdict, b, i, shown);
	return verdict->broken == NULL;
}

static const char *hmap_check_header(const struct neap_hmap *map)
{
	if ((map->head.buckets == NULL) != (map->table == NULL) ||
	    (map->table != NULL && map->head.buckets != neap__hmap_array(map->table)))
		return "buckets is the array of its table";
	if ((map->head.oldbuckets == NULL) != (map->old == NULL) ||
	    (map->old != NULL && map->head.oldbuckets != neap__hmap_array(map->old)))
		return "oldbuckets is the array of its table";
	if (neap__hmap_same_size(map) && map->old == NULL)
		return "sameSizeGrow is set only while growing";
	if ((neap__hmap_flags(map) & NEAP_HMAP_WRITING) != 0)
		return "no write is going on";
	if (map->table != NULL && map->table->buckets != neap__hmap_array_buckets(map, map->head.B))
		return "an array has the length that Go gives it";
	return NULL;
}

static const char *hmap_check_bytes(const struct neap_hmap *map)
{
	struct neap_hmap_stats stats = {.size = sizeof stats};
	neap_hmap_stats(map, &stats);
	size_t sum =
		stats.live + stats.tombstone + stats.empty + stats.evacuated + stats.retired + stats.metadata;
	return sum == map->bytes ? NULL : "the parts add up to the bytes handed out";
}

const char *neap__hmap_check(const struct neap_hmap *map)
{
	if (map == NULL)
		return NULL;
	struct hmap_verdict verdict = {.map = map, .broken = hmap_check_header(map)};
	if (verdict.broken == NULL)
		neap_hmap_each_bucket(map, hmap_check_bucket, &verdict);
	if (verdict.broken != NULL)
		return verdict.broken;
	if (verdict.entries != map->head.count)
		return "count is the number of entries";
	if (map->table != NULL && verdict.overflow != map->table->overflow_len)
		return "every overflow bucket taken is in a chain";
	if (map->head.B < 16 && verdict.overflow != map->head.noverflow)
		return "noverflow counts the overflow buckets";
	return hmap_check_bytes(map);
}
