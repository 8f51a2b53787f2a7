/* stats.c: what a pool counted, and the laws that its counts obey. */
#include <string.h>

#include "pool/internal.h"

struct sums {
	uint64_t hits, puts;
	size_t objects, bytes, threads;
};

static void add_magazine(const struct neap_pool *pool, const struct neap__pool_magazine *magazine,
			 struct sums *sums)
{
	sums->objects += magazine->count;
	for (uint32_t i = 0; i < magazine->count; i++)
		sums->bytes += neap__pool_bytes_of(pool, magazine->objects[i]);
}

static void add_cache(struct neap__pool_cache *cache, void *ctx)
{
	struct sums *sums = ctx;
	sums->hits += cache->hits;
	sums->puts += cache->puts;
	add_magazine(cache->pool, cache->loaded, ctx);
	add_magazine(cache->pool, cache->previous, ctx);
}

static struct sums sum_up(struct neap_pool *pool)
{
	struct sums sums = {.objects = pool->checked.count,
			    .bytes = pool->front.checking ? pool->depot_bytes : 0};
	sums.hits = pool->gone_hits;
	sums.puts = pool->gone_puts;
	for (const struct neap__pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
		sums.threads++;
	const struct neap__pool_magazine *const lists[] = {pool->primary, pool->victim};
	for (size_t i = 0; i < 2; i++)
		for (const struct neap__pool_magazine *at = lists[i]; at != NULL; at = at->next)
			add_magazine(pool, at, &sums);
	neap__pool_caches_visit(pool, add_cache, &sums);
	return sums;
}

void neap_pool_stats(struct neap_pool *pool, struct neap_pool_stats *ret)
{
	struct neap_pool_stats stats = {.size = ret->size};
	neap__lock_take(&pool->lock);
	struct sums sums = sum_up(pool);
	stats.hits = sums.hits;
	stats.misses = pool->misses;
	stats.puts = sums.puts;
	stats.dropped = pool->dropped;
	stats.refused = pool->refused;
	stats.collected = pool->collected;
	stats.created = pool->created;
	stats.destroyed = pool->destroyed;
	stats.idle = sums.objects;
	stats.idle_bytes = sums.bytes;
	stats.threads = sums.threads;
	neap__lock_give(&pool->lock);
	uint64_t held = stats.created - stats.destroyed;
	stats.out = held > stats.idle ? (size_t)held - stats.idle : 0;
	memcpy(ret, &stats, stats.size < sizeof stats ? stats.size : sizeof stats);
}

#define REQUIRE(condition)                 \
	do {                               \
		if (!(condition))          \
			return #condition; \
	} while (0)

/* With the lock held. */
static const char *check_depot_lists(const struct neap_pool *pool)
{
	size_t bytes = 0;
	const struct neap__pool_magazine *const lists[] = {pool->primary, pool->victim};
	for (size_t i = 0; i < 2; i++) {
		for (const struct neap__pool_magazine *at = lists[i]; at != NULL; at = at->next) {
			REQUIRE(at->count != 0 && at->count <= at->room + 1);
			bytes += at->bytes;
		}
	}
	for (const struct neap__pool_magazine *at = pool->empties; at != NULL; at = at->next)
		REQUIRE(at->count == 0 && at->room == pool->magazine_room);
	REQUIRE(pool->front.checking || bytes == pool->depot_bytes);
	REQUIRE(pool->depot_bytes <= pool->byte_cap || pool->inherited);
	REQUIRE(pool->destroyed <= pool->created);
	REQUIRE(pool->checked.victims <= pool->checked.count);
	return NULL;
}

const char *neap__pool_check(struct neap_pool *pool)
{
	neap__lock_take(&pool->lock);
	const char *broken = check_depot_lists(pool);
	neap__lock_give(&pool->lock);
	return broken;
}
