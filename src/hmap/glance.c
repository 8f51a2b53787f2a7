/* glance.c: what a thread that does not own a classic map can see of it.
 *
 * As for Neap's map, everything but the header is copied through the kernel and believed only if the header has not
 * changed its arrays meanwhile. Whether a slot is a tombstone stands in its tophash alone, so buckets are sampled:
 * SAMPLES of them at even distances, all of them when there are no more. Overflow buckets behind the array are
 * counted with the array's shares.
 */
#include "base/os.h"
#include "hmap/internal.h"

enum { SAMPLES = 64 }; /* buckets: a share of 10 % is then known to about 1.3 % (512 slots) */

/* How many of the sampled slots are what. */
struct hmap_sample {
	size_t tombstones, empty, slots;
};

static void count_tophashes(const uint8_t *tophash, struct hmap_sample *ret)
{
	for (size_t i = 0; i < HMAP_SLOTS; i++) {
		ret->tombstones += tophash[i] == NEAP_HMAP_EMPTY_ONE;
		ret->empty += tophash[i] == NEAP_HMAP_EMPTY_REST;
	}
	ret->slots += HMAP_SLOTS;
}

/* Samples the array of a copied header; false when the owner replaced it meanwhile. */
static bool sample_buckets(const struct neap_hmap *map, const struct neap_hmap *copy, struct hmap_sample *ret)
{
	*ret = (struct hmap_sample){0};
	size_t buckets = (size_t)1 << copy->head.B, step = buckets > SAMPLES ? buckets / SAMPLES : 1;
	for (size_t i = 0; i < buckets; i += step) {
		uint8_t tophash[HMAP_SLOTS];
		const uint8_t *at = (const uint8_t *)copy->head.buckets + i * copy->bucket_size;
		if (!neap__os_peek(tophash, at, sizeof tophash))
			return false;
		count_tophashes(tophash, ret);
	}
	struct neap_hmap after;
	return neap__os_peek(&after, map, sizeof after) && after.head.buckets == copy->head.buckets &&
	       after.head.B == copy->head.B;
}

static size_t hmap_share(size_t bytes, size_t part, size_t whole)
{
	return whole == 0 ? 0 : (size_t)((double)bytes * (double)part / (double)whole);
}

/* Bytes of slots are what the total leaves after the records of each bucket. */
static void divide_hmap(const struct neap_hmap *copy, const struct hmap_sample *sample,
			struct neap__glance *ret)
{
	const size_t slot = copy->key_slot + copy->value_slot > 0 ? copy->key_slot + copy->value_slot : 1;
	const size_t outside =
		(copy->key_indirect ? copy->type->key_size + sizeof(struct neap__hmap_block) : 0) +
		(copy->value_indirect ? copy->type->value_size + sizeof(struct neap__hmap_block) : 0);
	size_t blocks = ret->len * outside,
	       fixed = sizeof *copy + (copy->table == NULL ? 0 : sizeof *copy->table);
	size_t tables = ret->total > fixed + blocks ? ret->total - fixed - blocks : 0;
	size_t buckets = tables / copy->bucket_size;
	size_t live = ret->len * slot + blocks;

	ret->slots = buckets * HMAP_SLOTS;
	ret->live = live < ret->total ? live : ret->total;
	size_t free_slots = ret->slots > ret->len ? ret->slots - ret->len : 0, left = ret->total - ret->live;
	if (free_slots > left / slot) /* only in a map that is being changed */
		free_slots = left / slot;
	ret->tombstone_slots = hmap_share(free_slots, sample->tombstones, sample->tombstones + sample->empty);
	ret->tombstone = ret->tombstone_slots * slot;
	ret->empty = (free_slots - ret->tombstone_slots) * slot;
	ret->metadata = left - ret->tombstone - ret->empty;
}

static void glance_at_hmap(const void *object, struct neap__glance *ret)
{
	const struct neap_hmap *map = object;
	struct neap_hmap copy;
	struct hmap_sample sample = {0};
	*ret = (struct neap__glance){0};
	if (!neap__os_peek(&copy, map, sizeof copy))
		return;
	ret->len = copy.head.count;
	ret->total = copy.bytes;
	ret->allocator = copy.allocator;
	memcpy(ret->name, copy.name, sizeof copy.name);
	ret->exact = copy.head.buckets == NULL;
	if (copy.head.buckets != NULL && sample_buckets(map, &copy, &sample))
		ret->exact = copy.head.oldbuckets == NULL && copy.head.B < 8 && copy.head.noverflow == 0 &&
			     (copy.head.flags & NEAP_HMAP_WRITING) == 0;
	divide_hmap(&copy, &sample, ret);
}

const struct neap__species neap__hmap_species = {"hmap", &neap__hmap_beacon, glance_at_hmap,
						 neap__hmap_survey};
