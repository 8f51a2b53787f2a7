/* inspect.c: every bucket, every byte. Read only.
 *
 * The bytes of a map fall into six heaps (struct neap_hmap_stats), by the state of each slot:
 *
 *     tophash >= 5 live, 1 tombstone, 0 empty, 2 to 4 evacuated; 16 bytes of every bucket are metadata
 *
 * check.c proves that they add up to what the allocator handed out.
 */
#include "hmap/internal.h"

const struct neap_hmap_header *neap_hmap_header(const struct neap_hmap *map)
{
	return &map->head;
}

/* ---- Walking ---- */

static bool hmap_belongs(const struct neap_hmap *map, struct neap__hmap_table *table,
			 const struct neap__hmap_bucket *b)
{
	size_t offset = (size_t)((const uint8_t *)b - (const uint8_t *)neap__hmap_array(table));
	return offset < table->buckets * map->bucket_size;
}

/* Shows the chain that starts at `index`; false when `visit` has seen enough. */
static bool hmap_show_chain(const struct neap_hmap *map, struct neap__hmap_table *table, size_t index,
			    bool (*visit)(const struct neap_hmap_bucket *bucket, void *ctx), void *ctx)
{
	struct neap_hmap_bucket shown = {.index = index, .old = table == map->old, .bytes = map->bucket_size};
	struct neap__hmap_bucket *b = neap__hmap_at(map, neap__hmap_array(table), index);
	for (; b != NULL; b = neap__hmap_overflow(map, b), shown.depth++) {
		shown.in_array = hmap_belongs(map, table, b);
		shown.tophash = b->tophash;
		shown.keys = neap__hmap_key_slot(map, b, 0);
		shown.values = neap__hmap_value_slot(map, b, 0);
		if (!visit(&shown, ctx))
			return false;
	}
	return true;
}

void neap_hmap_each_bucket(const struct neap_hmap *map,
			   bool (*visit)(const struct neap_hmap_bucket *bucket, void *ctx), void *ctx)
{
	if (map == NULL || map->table == NULL)
		return;
	size_t old = map->old == NULL ? 0 : neap__hmap_old_buckets(map);
	for (size_t i = 0; i <= neap__hmap_mask(map->head.B); i++) {
		if (i < old && !hmap_show_chain(map, map->old, i, visit, ctx))
			return;
		if (!hmap_show_chain(map, map->table, i, visit, ctx))
			return;
	}
}

static void hmap_each_of_chain(struct neap_hmap *map, struct neap__hmap_bucket *b,
			       void (*visit)(struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i))
{
	for (; b != NULL; b = neap__hmap_overflow(map, b)) {
		for (size_t i = 0; i < HMAP_SLOTS; i++) {
			if (b->tophash[i] >= NEAP_HMAP_MIN_TOPHASH)
				visit(map, b, i);
		}
	}
}

void neap__hmap_each_entry(struct neap_hmap *map,
			   void (*visit)(struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i))
{
	if (map->table == NULL)
		return;
	/* A moved chain holds no tophash >= 5, so old copies are not visited. */
	size_t old = map->old == NULL ? 0 : neap__hmap_old_buckets(map);
	for (size_t i = 0; i < old; i++)
		hmap_each_of_chain(map, neap__hmap_at(map, map->head.oldbuckets, i), visit);
	for (size_t i = 0; i <= neap__hmap_mask(map->head.B); i++)
		hmap_each_of_chain(map, neap__hmap_at(map, map->head.buckets, i), visit);
}

/* ---- Counting bytes ---- */

enum { BUCKET_METADATA = HMAP_DATA + sizeof(void *) };

struct hmap_tally {
	const struct neap_hmap *map;
	struct neap_hmap_stats *stats;
	size_t slot; /* bytes of a key slot and a value slot */
	size_t chunks, old_chunks, old_in_array;
};

static size_t hmap_block_bytes(const struct neap_hmap *map)
{
	return (map->key_indirect ? map->type->key_size : 0) +
	       (map->value_indirect ? map->type->value_size : 0);
}

static size_t hmap_block_headers(const struct neap_hmap *map)
{
	return ((size_t)map->key_indirect + map->value_indirect) * sizeof(struct neap__hmap_block);
}

static void hmap_tally_slot(struct hmap_tally *tally, uint8_t top)
{
	struct neap_hmap_stats *stats = tally->stats;
	if (top >= NEAP_HMAP_MIN_TOPHASH) {
		stats->live += tally->slot + hmap_block_bytes(tally->map);
		stats->metadata += hmap_block_headers(tally->map);
		stats->unlike_go += hmap_block_headers(tally->map);
	} else if (top == NEAP_HMAP_EMPTY_ONE) {
		stats->tombstone += tally->slot;
		stats->tombstone_slots++;
	} else if (top == NEAP_HMAP_EMPTY_REST) {
		stats->empty += tally->slot;
		stats->empty_slots++;
	} else {
		stats->evacuated += tally->slot;
		return;
	}
	stats->slots++;
}

static bool hmap_tally_bucket(const struct neap_hmap_bucket *bucket, void *ctx)
{
	struct hmap_tally *tally = ctx;
	struct neap_hmap_stats *stats = tally->stats;
	size_t chunk = bucket->in_array ? 0 : sizeof(struct neap__hmap_chunk);
	for (size_t i = 0; i < HMAP_SLOTS; i++)
		hmap_tally_slot(tally, bucket->tophash[i]);
	stats->metadata += BUCKET_METADATA + chunk;
	stats->unlike_go += chunk;
	if (bucket->old) {
		stats->old_overflow_buckets += bucket->depth > 0;
		stats->old_bytes += bucket->in_array ? 0 : bucket->bytes + chunk;
		tally->old_in_array += bucket->in_array;
	} else if (bucket->depth > 0) {
		stats->overflow_buckets++;
		stats->overflow_bytes += bucket->bytes + chunk;
	}
	return true;
}

static size_t hmap_chunks_bytes(const struct neap_hmap *map, const struct neap__hmap_chunk *chunk)
{
	size_t bytes = 0;
	for (; chunk != NULL; chunk = chunk->next)
		bytes += sizeof *chunk + map->bucket_size;
	return bytes;
}

static size_t hmap_retired_bytes(const struct neap_hmap *map)
{
	size_t bytes = 0;
	for (const struct neap__hmap_table *table = map->retired; table != NULL; table = table->next)
		bytes += sizeof *table + table->buckets * map->bucket_size +
			 hmap_chunks_bytes(map, table->chunks) + hmap_chunks_bytes(map, table->orphans);
	for (const struct neap__hmap_block *block = map->limbo; block != NULL; block = block->next)
		bytes += sizeof *block + block->size;
	bytes += map->table == NULL ? 0 : hmap_chunks_bytes(map, map->table->orphans);
	return bytes + (map->old == NULL ? 0 : hmap_chunks_bytes(map, map->old->orphans));
}

/* The buckets of the arrays that are in no chain. */
static void hmap_tally_rest(struct hmap_tally *tally)
{
	const struct neap_hmap *map = tally->map;
	struct neap_hmap_stats *stats = tally->stats;
	if (map->table != NULL && map->extra.next_overflow != NULL) {
		uint8_t *end = (uint8_t *)map->head.buckets + map->table->buckets * map->bucket_size;
		stats->spare_buckets = (size_t)(end - (uint8_t *)map->extra.next_overflow) / map->bucket_size;
		stats->empty += stats->spare_buckets * (map->bucket_size - BUCKET_METADATA);
		stats->metadata += stats->spare_buckets * BUCKET_METADATA;
	}
	if (map->old != NULL) {
		size_t unlinked = map->old->buckets - tally->old_in_array;
		stats->evacuated += unlinked * (map->bucket_size - BUCKET_METADATA);
		stats->metadata += unlinked * BUCKET_METADATA;
		stats->old_bytes += map->old->buckets * map->bucket_size + sizeof *map->old;
	}
}

static void hmap_tally_structure(const struct neap_hmap *map, struct neap_hmap_stats *stats)
{
	stats->len = map->head.count;
	stats->buckets = map->table == NULL ? 0 : (size_t)1 << map->head.B;
	stats->old_buckets = map->old == NULL ? 0 : neap__hmap_old_buckets(map);
	stats->nevacuate = map->head.nevacuate;
	stats->noverflow = map->head.noverflow;
	stats->B = map->head.B;
	stats->flags = neap__hmap_flags(map);
	stats->load = (double)map->head.count / (double)((size_t)1 << map->head.B);
	stats->grows = map->grows;
	stats->same_size_grows = map->same_size_grows;
	stats->buckets_evacuated = map->evacuated;
	stats->peak_total = map->peak;
	stats->total = map->bytes;
}

void neap_hmap_stats(const struct neap_hmap *map, struct neap_hmap_stats *ret)
{
	struct neap_hmap_stats stats = {.size = sizeof stats};
	if (map != NULL) {
		struct hmap_tally tally = {
			.map = map, .stats = &stats, .slot = map->key_slot + map->value_slot};
		size_t records = ((map->table != NULL) + (size_t)(map->old != NULL)) * sizeof *map->table;
		stats.metadata = sizeof *map + records;
		stats.unlike_go = sizeof *map - sizeof map->head + records -
				  (map->head.extra != NULL ? sizeof map->extra : 0);
		neap_hmap_each_bucket(map, hmap_tally_bucket, &tally);
		hmap_tally_rest(&tally);
		hmap_tally_structure(map, &stats);
		stats.retired = hmap_retired_bytes(map);
	}
	size_t size = ret->size < sizeof stats ? ret->size : sizeof stats;
	stats.size = ret->size;
	memcpy(ret, &stats, size);
}
