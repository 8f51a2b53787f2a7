/* check.c: the laws of internal.h, one by one. Takes the locks. */
#include "cache/internal.h"

static void check_queue(struct neap__cache_shard *shard, enum neap__queue queue, size_t *entries,
			size_t *bytes, size_t *timed)
{
	size_t n = 0, weight = 0;
	uint32_t before = NEAP__HEAD | queue;
	for (uint32_t id = shard->queues[queue].next; (id & NEAP__HEAD) == 0; n++) {
		struct neap__entry *entry = neap__id_entry(shard, id);
		neap__assert(entry->in == queue && entry->id == id && entry->queue.previous == before);
		before = id;
		id = entry->queue.next;
		neap__assert(neap__entry_find(shard, neap__entry_key(shard->cache, entry), entry->hash) ==
			     entry);
		bool ends = neap__entry_end(shard, entry) != NEAP__NEVER;
		neap__assert((entry->timer.next != 0) == ends);
		*timed += ends;
		weight += entry->weight;
	}
	neap__assert(shard->queues[queue].previous == before);
	neap__assert(n == shard->queue_len[queue] && weight == shard->queue_bytes[queue]);
	*entries += n;
	*bytes += weight;
}

static size_t check_wheel_slot(const struct neap__cache_shard *shard, unsigned ring, unsigned slot)
{
	size_t n = 0;
	const struct neap__wheel *wheel = &shard->wheel;
	const uint32_t head = ring * NEAP__RING_SLOTS + slot;
	uint32_t before = NEAP__HEAD | head;
	uint64_t here = wheel->time >> NEAP__RING_BITS * ring;
	for (uint32_t id = wheel->slots[head].next; (id & NEAP__HEAD) == 0; n++) {
		const struct neap__entry *entry = neap__id_entry(shard, id);
		neap__assert(entry->timer.previous == before);
		before = id;
		id = entry->timer.next;
	}
	neap__assert(wheel->slots[head].previous == before);
	neap__assert((n != 0) == (wheel->occupied[ring] >> slot & 1));
	if (n != 0 && slot == here % NEAP__RING_SLOTS)
		neap__assert((wheel->time & ((UINT64_C(1) << NEAP__RING_BITS * ring) - 1)) == 0);
	return n;
}

void neap__cache_check(struct neap_cache *cache)
{
	for (uint32_t i = 0; i < cache->options.shards; i++) {
		struct neap__cache_shard *shard = &cache->shards[i];
		size_t entries = 0, bytes = 0, timed = 0, in_wheel = 0;
		pthread_mutex_lock(&shard->lock);
		check_queue(shard, NEAP__SMALL, &entries, &bytes, &timed);
		check_queue(shard, NEAP__MAIN, &entries, &bytes, &timed);
		for (unsigned ring = 0; ring < NEAP__RINGS; ring++)
			for (unsigned slot = 0; slot < NEAP__RING_SLOTS; slot++)
				in_wheel += check_wheel_slot(shard, ring, slot);
		neap__assert(in_wheel == timed);
		neap__assert(entries == neap_map_len(shard->index) && bytes == shard->bytes);
		neap__assert(shard->max_entries == 0 || entries <= shard->max_entries);
		neap__assert(shard->max_bytes == 0 || bytes <= shard->max_bytes);
		neap__assert(shard->dead == NULL);
		pthread_mutex_unlock(&shard->lock);
	}
}
