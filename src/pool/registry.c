/* registry.c: all pools of the process, so that a collection, a thread's end and a fork find them.
 *
 * A pool is pinned while somebody works on it without its lock; destroying it waits for that. Locks: the registry's,
 * then the pools', in the order of their ids.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/collector.h"
#include "base/os.h"
#include "pool/internal.h"

static struct {
	pthread_once_t once;
	bool ready;
	struct neap__lock lock;
	pthread_cond_t unpinned;
	struct neap_pool **pools; /* by id; NULL where an id is free */
	uint32_t count;
	uint64_t serials;
} registry = {.once = PTHREAD_ONCE_INIT, .unpinned = PTHREAD_COND_INITIALIZER};

/* ---- Fork ---- */

static void registry_before_fork(void)
{
	neap__lock_take(&registry.lock);
	for (uint32_t id = 0; id < registry.count; id++)
		if (registry.pools[id] != NULL)
			neap__lock_take(&registry.pools[id]->lock);
}

static void registry_unlock_all(void)
{
	for (uint32_t id = registry.count; id-- > 0;)
		if (registry.pools[id] != NULL)
			neap__lock_give(&registry.pools[id]->lock);
	neap__lock_give(&registry.lock);
}

/* The caches of threads that are not here: what was whole at the moment of the fork goes to the depot. A cache whose
 * owner was in its magazines is left alone, with its objects.
 */
static void inherit(struct neap_pool *pool)
{
	const struct neap__pool_cache *own = neap__pool_cache_of(pool);
	for (struct neap__pool_cache *cache = pool->caches, *next; cache != NULL; cache = next) {
		next = cache->next;
		if (cache == own)
			atomic_store_explicit(&cache->closed, neap__pool_fenced, memory_order_relaxed);
		if (cache == own || atomic_load_explicit(&cache->busy, memory_order_relaxed))
			continue;
		struct neap__pool_waste none = {0};
		neap__pool_cache_settle(cache);
		const size_t byte_cap = pool->byte_cap;
		pool->byte_cap =
			SIZE_MAX; /* nothing can be destroyed here: the allocator may be locked still */
		pool->inherited = true;
		neap__pool_cache_empty(cache, &none);
		pool->byte_cap = byte_cap;
		neap__pool_cache_end(cache);
	}
}

static void registry_in_child(void)
{
	if (!neap__os_barrier_prepare())
		atomic_store_explicit(&neap__pool_fenced, NEAP__POOL_FENCED, memory_order_relaxed);
	for (uint32_t id = 0; id < registry.count; id++) {
		if (registry.pools[id] == NULL)
			continue;
		registry.pools[id]->pins = 0;
		inherit(registry.pools[id]);
	}
	pthread_cond_init(&registry.unpinned, NULL);
	registry_unlock_all();
}

/* ---- Register ---- */

static void age_all_pools(void)
{
	(void)neap_pool_collect(NULL);
}

static void registry_start(void)
{
	atomic_store(&neap__gc_ended, age_all_pools);
	neap__lock_init(&registry.lock, NEAP__RANK_POOLS, 0);
	registry.ready = neap__pool_caches_start() &&
			 pthread_atfork(registry_before_fork, registry_unlock_all, registry_in_child) == 0;
}

static uint32_t registry_free_id(void)
{
	uint32_t id = 0;
	while (id < registry.count && registry.pools[id] != NULL)
		id++;
	return id;
}

int neap__pool_register(struct neap_pool *pool)
{
	pthread_once(&registry.once, registry_start);
	if (!registry.ready)
		return NEAP_ENOMEM;
	int error = NEAP_OK;
	neap__lock_take(&registry.lock);
	uint32_t id = registry_free_id();
	if (id == registry.count) {
		struct neap_pool **pools =
			id < UINT16_MAX ? realloc(registry.pools, (id + 8) * sizeof(*pools)) : NULL;
		if (pools == NULL) {
			error = NEAP_ENOMEM;
		} else {
			registry.pools = pools;
			for (registry.count = id + 8; id < registry.count; id++)
				pools[id] = NULL;
			id = registry.count - 8;
		}
	}
	if (error == NEAP_OK) {
		pool->id = id;
		pool->front.serial = ++registry.serials;
		pool->front.seat = id % NEAP__POOL_SEATS * (uint32_t)sizeof(struct neap__pool_seat);
		neap__lock_init(&pool->lock, NEAP__RANK_POOL, id);
		registry.pools[id] = pool;
	}
	neap__lock_give(&registry.lock);
	return error;
}

void neap__pool_unregister(struct neap_pool *pool)
{
	neap__lock_take(&registry.lock);
	registry.pools[pool->id] = NULL;
	while (pool->pins != 0)
		pthread_cond_wait(&registry.unpinned, &registry.lock.mutex);
	neap__lock_give(&registry.lock);
}

/* ---- Pins ---- */

struct neap_pool *neap__pool_pin_from(uint32_t id)
{
	struct neap_pool *pool = NULL;
	pthread_once(&registry.once, registry_start);
	neap__lock_take(&registry.lock);
	while (id < registry.count && pool == NULL)
		pool = registry.pools[id++];
	if (pool != NULL)
		pool->pins++;
	neap__lock_give(&registry.lock);
	return pool;
}

struct neap_pool *neap__pool_pin(uint32_t id, uint64_t serial)
{
	neap__lock_take(&registry.lock);
	struct neap_pool *pool = id < registry.count ? registry.pools[id] : NULL;
	if (pool != NULL && pool->front.serial != serial)
		pool = NULL;
	if (pool != NULL)
		pool->pins++;
	neap__lock_give(&registry.lock);
	return pool;
}

void neap__pool_unpin(struct neap_pool *pool)
{
	neap__lock_take(&registry.lock);
	if (--pool->pins == 0)
		pthread_cond_broadcast(&registry.unpinned);
	neap__lock_give(&registry.lock);
}
