/* cache.c: the magazines of a thread.
 *
 * A thread has a table of its caches, indexed by the id of a pool, and in front of it the few seats in which the short
 * paths look. An entry of either is the pool's only if its serial is that of the pool, because ids are reused. At the
 * end of the thread its magazines go to the depots, and the table is freed; whoever uses a pool after that, in a
 * later destructor, goes to the depot for each object.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "pool/internal.h"

_Thread_local struct neap__pool_seat neap__pool_seats[NEAP__POOL_SEATS];
_Atomic uint8_t neap__pool_fenced;

static _Thread_local struct neap__pool_seat *caches; /* by the id of the pool */
static _Thread_local uint32_t caches_count;
static _Thread_local bool caches_over;
static pthread_key_t caches_key;

struct neap__pool_cache *neap__pool_cache_of(const struct neap_pool *pool)
{
	if (pool->id >= caches_count || caches[pool->id].serial != pool->front.serial)
		return NULL;
	neap__pool_seats[pool->id % NEAP__POOL_SEATS] = caches[pool->id];
	return caches[pool->id].cache;
}

void neap__pool_cache_settle(struct neap__pool_cache *cache)
{
	if (cache->hand != NULL)
		*cache->top++ = cache->hand;
	cache->hand = NULL;
	if (cache->loaded->room != 0)
		cache->loaded->count = (uint32_t)(cache->top - cache->first);
}

void neap__pool_cache_load(struct neap__pool_cache *cache, struct neap__pool_magazine *magazine)
{
	cache->loaded = magazine;
	cache->first = magazine->objects;
	cache->top = cache->first + magazine->count;
	cache->end = cache->first + magazine->room;
}

void neap__pool_cache_empty(struct neap__pool_cache *cache, struct neap__pool_waste *waste)
{
	struct neap__pool_magazine *loaded = cache->loaded, *previous = cache->previous;
	neap__pool_cache_settle(cache);
	neap__pool_cache_load(cache, &neap__pool_none);
	cache->previous = &neap__pool_none;
	neap__depot_take_in(cache->pool, loaded, waste);
	neap__depot_take_in(cache->pool, previous, waste);
}

void neap__pool_cache_end(struct neap__pool_cache *cache)
{
	struct neap_pool *pool = cache->pool;
	struct neap__pool_cache **at = &pool->caches;
	while (*at != cache)
		at = &(*at)->next;
	*at = cache->next;
	cache->next = pool->spares;
	pool->spares = cache;
	pool->gone_hits += cache->hits;
	pool->gone_puts += cache->puts;
}

static void thread_ends(void *own_caches)
{
	struct neap__pool_seat *table = own_caches;
	memset(neap__pool_seats, 0, sizeof neap__pool_seats);
	for (uint32_t id = 0; id < caches_count; id++) {
		struct neap_pool *pool =
			table[id].cache != NULL ? neap__pool_pin(id, table[id].serial) : NULL;
		if (pool == NULL)
			continue;
		struct neap__pool_waste waste = {0};
		neap__lock_take(&pool->lock);
		neap__pool_cache_empty(table[id].cache, &waste);
		neap__pool_cache_end(table[id].cache);
		table[id] = (struct neap__pool_seat){0, NULL};
		neap__lock_give(&pool->lock);
		(void)neap__pool_dispose(pool, waste);
		neap__pool_unpin(pool);
	}
	caches = NULL;
	caches_count = 0;
	caches_over = true;
	free(table);
}

bool neap__pool_caches_start(void)
{
	if (!neap__os_barrier_prepare())
		atomic_store_explicit(&neap__pool_fenced, NEAP__POOL_FENCED, memory_order_relaxed);
	return pthread_key_create(&caches_key, thread_ends) == 0;
}

static bool cache_table_for(uint32_t id)
{
	if (id < caches_count)
		return true;
	if (caches_over)
		return false;
	uint32_t count = (id + 8) & ~7u;
	struct neap__pool_seat *table = realloc(caches, count * sizeof *table);
	if (table == NULL)
		return false;
	caches = table;
	memset(caches + caches_count, 0, (count - caches_count) * sizeof *caches);
	caches_count = count;
	/* Without the key the thread's end would not be heard of: no cache then. */
	return pthread_setspecific(caches_key, caches) == 0;
}

struct neap__pool_cache *neap__pool_cache_join(struct neap_pool *pool)
{
	struct neap__pool_cache *cache = neap__pool_cache_of(pool);
	if (cache != NULL || !cache_table_for(pool->id))
		return cache;
	neap__lock_take(&pool->lock);
	cache = pool->spares;
	if (cache != NULL)
		pool->spares = cache->next;
	neap__lock_give(&pool->lock);
	if (cache == NULL)
		cache = neap__alloc(&pool->allocator, sizeof *cache, _Alignof(struct neap__pool_cache));
	if (cache == NULL)
		return NULL;
	*cache = (struct neap__pool_cache){
		.previous = &neap__pool_none, .pool = pool, .closed = neap__pool_fenced};
	neap__pool_cache_load(cache, &neap__pool_none);
	neap__lock_take(&pool->lock);
	cache->next = pool->caches;
	pool->caches = cache;
	neap__lock_give(&pool->lock);
	caches[pool->id] = (struct neap__pool_seat){pool->front.serial, cache};
	return neap__pool_cache_of(pool);
}

/* Waits, not for ever, until the owner is out of its magazines: it may be off the processor in there. */
static bool owner_is_out(struct neap__pool_cache *cache)
{
	enum { TRIES = 50 };
	for (int i = 0; i < TRIES; i++) {
		if (!atomic_load(&cache->busy))
			return true;
		neap__os_yield();
	}
	return false;
}

void neap__pool_caches_visit(struct neap_pool *pool, void (*each)(struct neap__pool_cache *cache, void *ctx),
			     void *ctx)
{
	for (struct neap__pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
		atomic_fetch_or(&cache->closed, NEAP__POOL_CLAIMED);
	/* Pairs with neap__pool_enter: every owner has its mark seen, or sees ours. Where owners use the short paths never,
	 * the order of all atomic operations is enough.
	 */
	bool fenced = atomic_load_explicit(&neap__pool_fenced, memory_order_relaxed) || neap__os_barrier();
	for (struct neap__pool_cache *cache = pool->caches; cache != NULL; cache = cache->next) {
		if (fenced && owner_is_out(cache)) {
			neap__pool_cache_settle(cache);
			each(cache, ctx);
		}
		atomic_fetch_and_explicit(&cache->closed, (uint8_t)~NEAP__POOL_CLAIMED, memory_order_release);
	}
}
