/* check.c: the laws of internal.h, one by one. Takes the locks. */
#include "cache/internal.h"

static void check_queue(struct neap__cache_shard *shard, enum neap__queue queue, size_t *entries,
			size_t *bytes, size_t *timed)
{
	size_t n = 0, weight = 0;
	for (struct neap__ring *at = shard->queues[queue].next; at != &shard->queues[queue];
	     at = at->next, n++) {
		struct neap__entry *entry = NEAP__ENTRY_OF_QUEUE(at);
		neap__assert(entry->in == queue && at->next->previous == at);
		neap__assert(neap__entry_find(shard, entry->key, entry->hash) == entry);
		bool ends = neap__entry_end(shard->cache, entry) != NEAP__NEVER;
		neap__assert((entry->timer.next != NULL) == ends);
		*timed += ends;
		weight += entry->weight;
	}
	neap__assert(n == shard->queue_len[queue] && weight == shard->queue_bytes[queue]);
	*entries += n;
	*bytes += weight;
}

static size_t check_slot(const struct neap__wheel *wheel, unsigned ring, unsigned slot)
{
	size_t n = 0;
	const struct neap__ring *head = &wheel->slots[ring][slot];
	uint64_t here = wheel->time >> NEAP__RING_BITS * ring;
	for (const struct neap__ring *at = head->next; at != head; at = at->next, n++)
		neap__assert(at->next->previous == at);
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
				in_wheel += check_slot(&shard->wheel, ring, slot);
		neap__assert(in_wheel == timed);
		neap__assert(entries == neap_map_len(shard->index) && bytes == shard->bytes);
		neap__assert(shard->max_entries == 0 || entries <= shard->max_entries);
		neap__assert(shard->max_bytes == 0 || bytes <= shard->max_bytes);
		neap__assert(shard->dead == NULL);
		pthread_mutex_unlock(&shard->lock);
	}
}
