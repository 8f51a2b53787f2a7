/* cache.c: the magazines of a thread.
 *
 * A thread has a table of seats, indexed by the id of a pool; a seat is the thread's only if its serial is that of the
 * pool, because ids are reused. At the end of the thread its magazines go to the depots, and the table is freed;
 * whoever uses a pool after that, in a later destructor, goes to the depot for each object.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "pool/internal.h"

struct seat {
	uint64_t serial;
	struct neap__pool_cache *cache;
};

_Atomic bool neap__pool_fences;

static _Thread_local struct seat *seats __attribute__((tls_model("initial-exec")));
static _Thread_local uint32_t seats_count __attribute__((tls_model("initial-exec")));
static _Thread_local bool seats_over;
static pthread_key_t seats_key;

struct neap__pool_cache *neap__pool_cache_of(const struct neap_pool *pool)
{
	if (__builtin_expect(pool->id < seats_count && seats[pool->id].serial == pool->serial, 1))
		return seats[pool->id].cache;
	return NULL;
}

void neap__pool_cache_empty(struct neap__pool_cache *cache, struct neap__pool_waste *waste)
{
	struct neap__pool_magazine *loaded = cache->loaded, *previous = cache->previous;
	cache->loaded = cache->previous = &neap__pool_none;
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
	atomic_fetch_add_explicit(&pool->gone.hits, cache->counts.hits, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->gone.puts, cache->counts.puts, memory_order_relaxed);
}

static void thread_ends(void *own_seats)
{
	struct seat *table = own_seats;
	for (uint32_t id = 0; id < seats_count; id++) {
		struct neap_pool *pool =
			table[id].cache != NULL ? neap__pool_pin(id, table[id].serial) : NULL;
		if (pool == NULL)
			continue;
		struct neap__pool_waste waste = {0};
		neap__lock_take(&pool->lock);
		neap__pool_cache_empty(table[id].cache, &waste);
		neap__pool_cache_end(table[id].cache);
		table[id] = (struct seat){0, NULL};
		neap__lock_give(&pool->lock);
		(void)neap__pool_dispose(pool, waste);
		neap__pool_unpin(pool);
	}
	seats = NULL;
	seats_count = 0;
	seats_over = true;
	free(table);
}

bool neap__pool_caches_start(void)
{
	atomic_store_explicit(&neap__pool_fences, !neap__os_barrier_prepare(), memory_order_relaxed);
	return pthread_key_create(&seats_key, thread_ends) == 0;
}

static bool seat_for(uint32_t id)
{
	if (id < seats_count)
		return true;
	if (seats_over)
		return false;
	uint32_t count = (id + 8) & ~7u;
	struct seat *table = realloc(seats, count * sizeof *table);
	if (table == NULL)
		return false;
	seats = table;
	memset(seats + seats_count, 0, (count - seats_count) * sizeof *seats);
	seats_count = count;
	/* Without the key the thread's end would not be heard of: no cache then. */
	return pthread_setspecific(seats_key, seats) == 0;
}

struct neap__pool_cache *neap__pool_cache_join(struct neap_pool *pool)
{
	struct neap__pool_cache *cache = neap__pool_cache_of(pool);
	if (cache != NULL || !seat_for(pool->id))
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
		.loaded = &neap__pool_none, .previous = &neap__pool_none, .pool = pool};
	neap__lock_take(&pool->lock);
	cache->next = pool->caches;
	pool->caches = cache;
	neap__lock_give(&pool->lock);
	seats[pool->id] = (struct seat){pool->serial, cache};
	return cache;
}

/* Waits, not for ever, until the owner is out of its magazines: it may be off the processor in there. */
static bool owner_is_out(struct neap__pool_cache *cache)
{
	enum { TRIES = 50 };
	for (int i = 0; i < TRIES; i++) {
		if (!atomic_load_explicit(&cache->busy, memory_order_acquire))
			return true;
		neap__os_yield();
	}
	return false;
}

void neap__pool_caches_visit(struct neap_pool *pool, void (*each)(struct neap__pool_cache *cache, void *ctx),
			     void *ctx)
{
	for (struct neap__pool_cache *cache = pool->caches; cache != NULL; cache = cache->next)
		atomic_store(&cache->claimed, true);
	/* Pairs with neap__pool_enter: every owner has its mark seen, or sees ours. */
	bool fenced = atomic_load_explicit(&neap__pool_fences, memory_order_relaxed) || neap__os_barrier();
	for (struct neap__pool_cache *cache = pool->caches; cache != NULL; cache = cache->next) {
		if (fenced && owner_is_out(cache))
			each(cache, ctx);
		atomic_store_explicit(&cache->claimed, false, memory_order_release);
	}
}
