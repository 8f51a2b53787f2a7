/* evict.c: who goes when there is no room: S3-FIFO (Yang, Zhang, Qiu, Yue and Vigfusson, SOSP 2023).
 *
 *            new                     used more than once while new
 *   put  ---------->  small (10 %)  ------------------------------->  main (90 %)
 *            \             | used less                                  ^     | oldest: used? once more round
 *             \            v                                            |     v with one use less, else out
 *              seen -->  ghost  -- comes back ------------------------->+
 *
 * The ghost remembers 32 bits of the hash of what left `small`, as many as there are entries in main, in
 * buckets of four: the oldest of a bucket makes way. So a scan passes through `small` and leaves main alone.
 *
 * Bounds are hard: an entry is stored only when there is room for it, and an operation that has used up its step without
 * making room refuses. Moving an entry on counts as a visit too; after half a step the oldest goes, used or not.
 */
#include <string.h>

#include "base/os.h"
#include "cache/internal.h"

enum {
	GHOST_WAYS = 4,
	GHOST_LEAST = 64,	     /* buckets */
	GHOST_PAGES_FROM = 64 << 10, /* bytes: whole pages from here on */
};

struct neap__ghost_place {
	uint32_t print, when; /* when 0: empty */
};

void neap__queues_init(struct neap__cache_shard *shard)
{
	for (uint32_t queue = 0; queue < 2; queue++)
		shard->queues[queue] = (struct neap__ring){NEAP__HEAD | queue, NEAP__HEAD | queue};
}

static struct neap__ring *queue_of(struct neap__cache_shard *shard, uint32_t id)
{
	return (id & NEAP__HEAD) != 0 ? &shard->queues[id & ~NEAP__HEAD] : &neap__id_entry(shard, id)->queue;
}

struct neap__entry *neap__queue_oldest(const struct neap__cache_shard *shard, enum neap__queue queue)
{
	uint32_t id = shard->queues[queue].previous;
	return (id & NEAP__HEAD) != 0 ? NULL : neap__id_entry(shard, id);
}

void neap__queue_add(struct neap__cache_shard *shard, struct neap__entry *entry, enum neap__queue queue)
{
	entry->queue = (struct neap__ring){shard->queues[queue].next, NEAP__HEAD | queue};
	queue_of(shard, entry->queue.next)->previous = entry->id;
	shard->queues[queue].next = entry->id;
	entry->in = (uint8_t)queue;
	shard->queue_bytes[queue] += entry->weight;
	shard->queue_len[queue]++;
}

void neap__queue_remove(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	queue_of(shard, entry->queue.next)->previous = entry->queue.previous;
	queue_of(shard, entry->queue.previous)->next = entry->queue.next;
	shard->queue_bytes[entry->in] -= entry->weight;
	shard->queue_len[entry->in]--;
	entry->in = NEAP__NO_QUEUE;
}

/* ---- The ghost ---- */

size_t neap__ghost_bytes(const struct neap__ghost *ghost)
{
	return ghost->buckets * GHOST_WAYS * sizeof(struct neap__ghost_place);
}

void neap__ghost_free(struct neap__cache_shard *shard)
{
	if (shard->ghost.pages)
		neap__os_release(shard->ghost.places, neap__ghost_bytes(&shard->ghost));
	else
		neap__free(&shard->cache->allocator, shard->ghost.places, neap__ghost_bytes(&shard->ghost));
	shard->ghost = (struct neap__ghost){0};
}

/* Room for as many as main has. A new table has forgotten everything; without memory the old one stays. */
static void ghost_fit(struct neap__cache_shard *shard)
{
	size_t wanted = GHOST_LEAST;
	while (wanted * GHOST_WAYS < shard->queue_len[NEAP__MAIN])
		wanted *= 2;
	if (wanted <= shard->ghost.buckets)
		return;
	struct neap__ghost fresh = {.buckets = wanted};
	fresh.pages =
		shard->cache->options.allocator == NULL && neap__ghost_bytes(&fresh) >= GHOST_PAGES_FROM;
	if (fresh.pages)
		fresh.places = neap__os_reserve(neap__ghost_bytes(&fresh));
	else
		fresh.places = neap__alloc(&shard->cache->allocator, neap__ghost_bytes(&fresh), 64);
	if (fresh.places == NULL)
		return;
	if (!fresh.pages)
		memset(fresh.places, 0, neap__ghost_bytes(&fresh));
	neap__ghost_free(shard);
	shard->ghost = fresh;
}

static struct neap__ghost_place *ghost_bucket(const struct neap__ghost *ghost, uint64_t hash)
{
	return ghost->places + (hash >> 32 & (ghost->buckets - 1)) * GHOST_WAYS;
}

static void ghost_remember(struct neap__cache_shard *shard, uint64_t hash)
{
	struct neap__ghost *ghost = &shard->ghost;
	ghost_fit(shard);
	if (ghost->buckets == 0)
		return;
	if (++ghost->now == 0)
		ghost->now = 1;
	struct neap__ghost_place *bucket = ghost_bucket(ghost, hash), *oldest = bucket;
	for (int i = 1; i < GHOST_WAYS; i++)
		if (bucket[i].when == 0 || ghost->now - bucket[i].when > ghost->now - oldest->when)
			oldest = &bucket[i];
	*oldest = (struct neap__ghost_place){(uint32_t)hash, ghost->now};
}

enum neap__queue neap__queue_for(struct neap__cache_shard *shard, uint64_t hash)
{
	const struct neap__ghost *ghost = &shard->ghost;
	if (ghost->buckets == 0)
		return NEAP__SMALL;
	struct neap__ghost_place *bucket = ghost_bucket(ghost, hash);
	size_t memory =
		shard->queue_len[NEAP__MAIN] > GHOST_LEAST ? shard->queue_len[NEAP__MAIN] : GHOST_LEAST;
	for (int i = 0; i < GHOST_WAYS; i++)
		if (bucket[i].when != 0 && bucket[i].print == (uint32_t)hash) {
			bool lately = ghost->now - bucket[i].when < memory;
			bucket[i].when = 0;
			return lately ? NEAP__MAIN : NEAP__SMALL;
		}
	return NEAP__SMALL;
}

/* ---- Eviction ---- */

static void evict_small(struct neap__cache_shard *shard)
{
	struct neap__entry *oldest = neap__queue_oldest(shard, NEAP__SMALL);
	shard->visited++;
	if (oldest->uses > 1 && neap__may_visit(shard, NEAP_CACHE_STEP / 2)) {
		oldest->uses = 0;
		neap__queue_remove(shard, oldest);
		neap__queue_add(shard, oldest, NEAP__MAIN);
		return;
	}
	ghost_remember(shard, oldest->hash);
	neap__entry_remove(shard, oldest);
	shard->counts.evicted++;
}

static void evict_main(struct neap__cache_shard *shard)
{
	struct neap__entry *oldest = neap__queue_oldest(shard, NEAP__MAIN);
	shard->visited++;
	if (oldest->uses > 0 && neap__may_visit(shard, NEAP_CACHE_STEP / 2)) {
		oldest->uses--;
		neap__queue_remove(shard, oldest);
		neap__queue_add(shard, oldest, NEAP__MAIN);
		return;
	}
	neap__entry_remove(shard, oldest);
	shard->counts.evicted++;
}

/* `small` gives when it has more than its share of either bound, or main has nothing. */
static bool small_gives(const struct neap__cache_shard *shard)
{
	if (shard->queue_len[NEAP__SMALL] == 0)
		return false;
	return shard->queue_len[NEAP__MAIN] == 0 ||
	       (shard->max_entries != 0 &&
		shard->queue_len[NEAP__SMALL] * 100 > shard->max_entries * NEAP__SMALL_SHARE) ||
	       (shard->max_bytes != 0 &&
		shard->queue_bytes[NEAP__SMALL] / NEAP__SMALL_SHARE > shard->max_bytes / 100);
}

bool neap__make_room(struct neap__cache_shard *shard, size_t weight, size_t entries)
{
	for (;;) {
		size_t len = shard->queue_len[NEAP__SMALL] + shard->queue_len[NEAP__MAIN];
		size_t bytes = shard->queue_bytes[NEAP__SMALL] + shard->queue_bytes[NEAP__MAIN];
		bool fits = (shard->max_entries == 0 || len + entries <= shard->max_entries) &&
			    (shard->max_bytes == 0 || bytes + weight <= shard->max_bytes);
		if (fits || len == 0 || !neap__may_visit(shard, NEAP_CACHE_STEP))
			return fits;
		if (small_gives(shard))
			evict_small(shard);
		else
			evict_main(shard);
	}
}
