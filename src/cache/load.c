/* load.c: one thread loads a missing value, the others that want it wait.
 *
 * A flight is on the list of its shard while its loader runs. Threads that find a flight for their key wait for it to
 * land, or take the stale value. When it has landed it is off the list; the last one to look at it frees it. So the
 * loader runs without a lock, and a key that is deleted or stored meanwhile disturbs nobody.
 */
#include <string.h>

#include "cache/internal.h"

enum landing { FLYING, LANDED, ABANDONED };

struct neap__flight {
	struct neap__flight *next;
	struct neap__cache_shard *shard;
	const void *key; /* the loader's; valid while FLYING */
	uint64_t hash;
	size_t holders; /* threads that will still look at it */
	enum landing landing;
	int error;
	_Alignas(64) char value[]; /* what was loaded */
};

static size_t flight_bytes(const struct neap_cache *cache)
{
	return sizeof(struct neap__flight) + cache->type->value_size;
}

static struct neap__flight *flight_find(const struct neap__cache_shard *shard, const void *key, uint64_t hash)
{
	struct neap__flight *flight = shard->flights;
	while (flight != NULL &&
	       (flight->hash != hash || !neap__type_equal(shard->cache->type, flight->key, key)))
		flight = flight->next;
	return flight;
}

static struct neap__flight *flight_start(struct neap__cache_shard *shard, const void *key, uint64_t hash)
{
	struct neap__flight *flight = neap__alloc(&shard->cache->allocator, flight_bytes(shard->cache), 64);
	if (flight == NULL)
		return NULL;
	memset(flight, 0, flight_bytes(shard->cache));
	flight->next = shard->flights;
	flight->shard = shard;
	flight->key = key;
	flight->hash = hash;
	flight->holders = 1;
	shard->flights = flight;
	return flight;
}

/* Under the lock. */
static void flight_end(struct neap__flight *flight, enum landing landing)
{
	struct neap__flight **at = &flight->shard->flights;
	while (*at != flight)
		at = &(*at)->next;
	*at = flight->next;
	flight->landing = landing;
	pthread_cond_broadcast(&flight->shard->landed);
}

static void flight_let_go(struct neap__flight *flight)
{
	struct neap_cache *cache = flight->shard->cache;
	if (--flight->holders == 0)
		neap__free(&cache->allocator, flight, flight_bytes(cache));
}

/* The loader has ended its thread. */
static void flight_abandon(void *ctx)
{
	struct neap__flight *flight = ctx;
	struct neap__cache_shard *shard = flight->shard;
	pthread_mutex_lock(&shard->lock);
	flight_end(flight, ABANDONED);
	flight_let_go(flight);
	pthread_mutex_unlock(&shard->lock);
}

/* Waits under the lock. False: abandoned, try again. */
static bool flight_wait(struct neap__flight *flight, void *ret_value, int *ret)
{
	struct neap__cache_shard *shard = flight->shard;
	const struct neap_cache *cache = shard->cache;
	flight->holders++;
	shard->counts.waits++;
	while (flight->landing == FLYING)
		pthread_cond_wait(&shard->landed, &shard->lock);
	bool landed = flight->landing == LANDED;
	*ret = flight->error;
	if (landed && flight->error == 0)
		memcpy(ret_value, flight->value, cache->type->value_size);
	flight_let_go(flight);
	shard->visited = 0; /* that of other operations */
	return landed;
}

/* Runs the loader and stores what it brings. The lock is not held; it is when this returns. */
static int flight_fly(struct neap__flight *flight, neap_cache_loader *loader, void *ctx, void *ret_value,
		      bool *ret_kept)
{
	struct neap__cache_shard *shard = flight->shard;
	struct neap_cache *cache = shard->cache;
	const struct neap_cache_options *o = &cache->options;
	int error;
	pthread_cleanup_push(flight_abandon, flight);
	error = loader(flight->key, flight->value, ctx);
	pthread_cleanup_pop(0);

	size_t extra = error == 0 && o->weigh != NULL ? o->weigh(flight->key, flight->value, o->ctx) : 0;
	uint64_t hash, now;
	(void)neap__cache_enter(cache, flight->key, &hash, &now);
	flight->error = error;
	*ret_kept = error == 0 && neap__cache_store(shard, flight->key, flight->hash, flight->value, o->ttl,
						    now, extra) == NEAP_OK;
	shard->counts.loads++;
	shard->counts.load_errors += error != 0;
	/* One reference for each thread that waits, now: the entry may be evicted before they wake up. The caller gets
	 * one too when the entry has the first.
	 */
	size_t takers = flight->holders - 1 + *ret_kept;
	for (size_t i = 0; error == 0 && o->retain != NULL && i < takers; i++)
		o->retain(flight->value, o->ctx);
	if (error == 0)
		memcpy(ret_value, flight->value, cache->type->value_size);
	flight_end(flight, LANDED);
	flight_let_go(flight);
	return error;
}

int neap_cache_load(struct neap_cache *cache, const void *key, neap_cache_loader *loader, void *ctx,
		    void *ret_value, bool *ret_kept)
{
	bool kept = true;
	int result = 0;
	uint64_t hash, now;
	struct neap__cache_shard *shard = neap__cache_enter(cache, key, &hash, &now);
	for (;;) {
		struct neap__entry *stale, *entry = neap__entry_live(shard, key, hash, now, &stale);
		struct neap__flight *flight = entry == NULL ? flight_find(shard, key, hash) : NULL;
		if (entry == NULL && flight != NULL && stale != NULL) {
			entry = stale;
			shard->counts.stale++;
		}
		if (entry != NULL) {
			shard->counts.hits++;
			neap__entry_use(shard, entry, now, ret_value);
			break;
		}
		if (flight == NULL) {
			shard->counts.misses++;
			flight = flight_start(shard, key, hash);
			if (flight == NULL) {
				result = NEAP_ENOMEM;
				break;
			}
			neap__shard_leave(shard);
			result = flight_fly(flight, loader, ctx, ret_value, &kept);
			break;
		}
		if (flight_wait(flight, ret_value, &result))
			break;
	}
	neap__shard_leave(shard);
	if (ret_kept != NULL)
		*ret_kept = kept;
	return result;
}
