/* cache.c: creating, and the operations on one key.
 *
 * Each operation enters a shard: locks it, reads the clock, and turns the wheel a little. Then it does its work. Then it
 * leaves: unlocks, and releases and frees what was removed, all of which was visited within the step.
 */
#include <string.h>

#include "base/os.h"
#include "cache/internal.h"

static uint64_t coarse_clock(void *ctx)
{
	(void)ctx;
	return neap__os_clock();
}

static uint64_t cache_now(const struct neap_cache *cache)
{
	uint64_t clock = cache->options.clock(cache->options.ctx);
	return clock < cache->began ? 0 : (clock - cache->began) / cache->options.tick;
}

enum { LEAPS_MOST = 64 }; /* of 186 days each when a tick is 10 ms */

/* Brings a shard's time up to a look at the clock, and the wheel with it as far as `most` visits allow; true when it has
 * arrived. The time never goes back, with the clock or for another thread's later look. It is never so far ahead
 * of the wheel that 32 bits do not tell, so it goes in leaps; when the wheel can't follow one within the step, the
 * rest is left out for good: what is stored now must not end early.
 */
static bool shard_advance(struct neap__cache_shard *shard, uint64_t now, size_t most)
{
	const uint64_t time = now < shard->skipped ? 0 : now - shard->skipped;
	for (int leaps = 1;; leaps++) {
		uint64_t furthest = shard->wheel.time + NEAP__LONGEST * 3 / 2;
		if (time < furthest || neap__wheel_is_empty(&shard->wheel))
			furthest = time;
		shard->latest = furthest > shard->latest ? furthest : shard->latest;
		bool arrived = neap__wheel_turn(shard, shard->latest, most);
		if (time <= shard->latest)
			return arrived;
		if (!arrived || leaps == LEAPS_MOST) {
			shard->skipped += time - shard->latest;
			return false;
		}
	}
}

/* What the low bits of a time in an entry stand for. */
static uint64_t time_of(const struct neap__cache_shard *shard, uint32_t bits)
{
	uint64_t least = shard->wheel.time - NEAP__LONGEST;
	return least + (uint32_t)(bits - (uint32_t)least);
}

void neap__entry_draw_near(const struct neap__cache_shard *shard, struct neap__entry *entry)
{
	while (entry->laps != 0 && time_of(shard, entry->ends) <= shard->wheel.time) {
		entry->ends += (uint32_t)NEAP__LAP;
		entry->laps--;
	}
}

static uint64_t ticks_of(const struct neap_cache *cache, uint64_t ns)
{
	return ns / cache->options.tick + (ns % cache->options.tick != 0);
}

/* ---- Creation ---- */

static uint32_t cache_round_up(uint32_t n, uint32_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static bool shard_init(struct neap_cache *cache, struct neap__cache_shard *shard)
{
	const struct neap_cache_options *o = &cache->options;
	shard->cache = cache;
	shard->max_entries = (o->max_entries + o->shards - 1) / o->shards;
	shard->max_bytes = (o->max_bytes + o->shards - 1) / o->shards;
	neap__wheel_init(&shard->wheel);
	neap__queues_init(shard);
	pthread_mutex_init(&shard->lock, NULL);
	pthread_cond_init(&shard->landed, NULL);
	shard->index =
		neap_map_create(&neap__index_type, &(struct neap_map_options){.name = cache->name,
									      .allocator = o->allocator,
									      .seed = cache->seed});
	return shard->index != NULL;
}

static size_t cache_bytes(const struct neap_cache *cache)
{
	return sizeof *cache + cache->options.shards * sizeof *cache->shards;
}

static void cache_discard(struct neap_cache *cache)
{
	for (uint32_t i = 0; i < cache->options.shards; i++) {
		struct neap__cache_shard *shard = &cache->shards[i];
		if (shard->cache == NULL)
			continue;
		neap_map_destroy(shard->index);
		neap__ghost_free(shard);
		neap__ids_free(shard);
		pthread_mutex_destroy(&shard->lock);
		pthread_cond_destroy(&shard->landed);
	}
	struct neap_allocator allocator = cache->allocator;
	neap__free(&allocator, cache, cache_bytes(cache));
}

struct neap_cache *neap_cache_create(const struct neap_map_type *type,
				     const struct neap_cache_options *options)
{
	struct neap_cache_options o = options != NULL ? *options : (struct neap_cache_options){0};
	o.shards = o.shards == 0 ? 1 : o.shards;
	o.tick = o.tick == 0 ? UINT64_C(10000000) : o.tick;
	o.clock = o.clock == NULL ? coarse_clock : o.clock;
	if (o.idle / o.tick >= NEAP__LONGEST || o.stale / o.tick >= NEAP__LONGEST / 2)
		return NULL;
	if (!neap__type_ok(type) || o.shards > NEAP__CACHE_SHARDS_MOST || (o.shards & (o.shards - 1)) != 0)
		return NULL;
	const struct neap_allocator *from = o.allocator != NULL ? o.allocator : &neap__malloc_allocator;
	size_t size = sizeof(struct neap_cache) + o.shards * sizeof(struct neap__cache_shard);
	struct neap_cache *cache = neap__alloc(from, size, 64);
	if (cache == NULL)
		return NULL;
	memset(cache, 0, size);
	cache->type = type;
	cache->options = o;
	cache->allocator = *from;
	cache->key_at = cache_round_up(sizeof(struct neap__entry), type->key_align);
	cache->value_at =
		cache_round_up(cache->key_at + type->key_size, type->value_size == 0 ? 1 : type->value_align);
	cache->text_at = cache->value_at + type->value_size;
	cache->align = _Alignof(struct neap__entry);
	cache->align = type->key_align > cache->align ? type->key_align : cache->align;
	cache->align =
		type->value_size != 0 && type->value_align > cache->align ? type->value_align : cache->align;
	strncpy(cache->name, o.name != NULL ? o.name : "unnamed", NEAP__CACHE_NAME_MOST);
	if (o.seed != NULL)
		memcpy(cache->seed, o.seed, sizeof cache->seed);
	else
		neap__os_random(cache->seed, sizeof cache->seed);
	cache->seed[1] |= UINT64_C(1) << 63 | 1;
	cache->began = o.clock(o.ctx);
	for (uint32_t i = 0; i < o.shards; i++)
		if (!shard_init(cache, &cache->shards[i])) {
			cache_discard(cache);
			return NULL;
		}
	return cache;
}

void neap_cache_clear(struct neap_cache *cache)
{
	for (uint32_t i = 0; cache != NULL && i < cache->options.shards; i++) {
		struct neap__cache_shard *shard = &cache->shards[i];
		pthread_mutex_lock(&shard->lock);
		shard->visited = 0;
		for (int queue = 0; queue < 2; queue++)
			while (shard->queue_len[queue] != 0)
				neap__entry_remove(shard, neap__queue_oldest(shard, (enum neap__queue)queue));
		neap__ghost_free(shard);
		neap__shard_leave(shard);
	}
}

void neap_cache_destroy(struct neap_cache *cache)
{
	if (cache == NULL)
		return;
	neap_cache_clear(cache);
	cache_discard(cache);
}

/* ---- One key ---- */

struct neap__cache_shard *neap__cache_enter(struct neap_cache *cache, const void *key, uint64_t *ret_hash,
					    uint64_t *ret_now)
{
	*ret_hash = neap__type_hash(cache->type, key, cache->seed);
	struct neap__cache_shard *shard = &cache->shards[*ret_hash >> 8 & (cache->options.shards - 1)];
	uint64_t now = cache_now(cache);
	pthread_mutex_lock(&shard->lock);
	shard->visited = 0;
	(void)shard_advance(shard, now, NEAP__EXPIRE_STEP);
	*ret_now = shard->latest;
	return shard;
}

uint64_t neap__entry_end(const struct neap__cache_shard *shard, const struct neap__entry *entry)
{
	const struct neap_cache *cache = shard->cache;
	const struct neap_cache_options *o = &cache->options;
	uint64_t ends = entry->endless ? NEAP__NEVER : time_of(shard, entry->ends) + entry->laps * NEAP__LAP;
	if (o->idle != 0) {
		uint64_t idle = time_of(shard, entry->touched) + ticks_of(cache, o->idle) + 1;
		ends = idle < ends ? idle : ends;
	}
	return ends == NEAP__NEVER ? NEAP__NEVER : ends + ticks_of(cache, o->stale);
}

/* True when it may be handed out without being stale. */
static bool entry_lives(const struct neap__cache_shard *shard, const struct neap__entry *entry, uint64_t now)
{
	uint64_t end = neap__entry_end(shard, entry);
	return end == NEAP__NEVER || now + ticks_of(shard->cache, shard->cache->options.stale) < end;
}

void neap__entry_use(struct neap__cache_shard *shard, struct neap__entry *entry, uint64_t now,
		     void *ret_value)
{
	struct neap_cache *cache = shard->cache;
	entry->uses = (uint8_t)(entry->uses < NEAP__USES_MOST ? entry->uses + 1 : NEAP__USES_MOST);
	entry->touched = (uint32_t)now;
	if (ret_value == NULL)
		return;
	memcpy(ret_value, neap__entry_value(cache, entry), cache->type->value_size);
	if (cache->options.retain != NULL)
		cache->options.retain(ret_value, cache->options.ctx);
}

struct neap__entry *neap__entry_live(struct neap__cache_shard *shard, const void *key, uint64_t hash,
				     uint64_t now, struct neap__entry **ret_stale)
{
	struct neap__entry *entry = neap__entry_find(shard, key, hash);
	*ret_stale = NULL;
	if (entry == NULL || entry_lives(shard, entry, now))
		return entry;
	uint64_t end = neap__entry_end(shard, entry);
	if (now < end) {
		*ret_stale = entry;
	} else {
		neap__entry_remove(shard, entry);
		shard->visited++;
		shard->counts.expired++;
	}
	return NULL;
}

bool neap_cache_get(struct neap_cache *cache, const void *key, void *ret_value)
{
	uint64_t hash, now;
	struct neap__entry *stale;
	struct neap__cache_shard *shard = neap__cache_enter(cache, key, &hash, &now);
	struct neap__entry *entry = neap__entry_live(shard, key, hash, now, &stale);
	if (entry != NULL)
		neap__entry_use(shard, entry, now, ret_value);
	shard->counts.hits += entry != NULL;
	shard->counts.misses += entry == NULL;
	neap__shard_leave(shard);
	return entry != NULL;
}

bool neap_cache_delete(struct neap_cache *cache, const void *key)
{
	uint64_t hash, now;
	struct neap__entry *stale;
	struct neap__cache_shard *shard = neap__cache_enter(cache, key, &hash, &now);
	struct neap__entry *entry = neap__entry_live(shard, key, hash, now, &stale);
	bool live = entry != NULL;
	entry = live ? entry : stale;
	if (entry != NULL) {
		neap__entry_remove(shard, entry);
		shard->counts.deleted++;
	}
	neap__shard_leave(shard);
	return live;
}

static void entry_schedule(struct neap__cache_shard *shard, struct neap__entry *entry, uint64_t ttl,
			   uint64_t now)
{
	uint64_t ticks = ticks_of(shard->cache, ttl);
	entry->endless = ttl == 0 || ticks / NEAP__LAP > UINT16_MAX;
	entry->laps = (uint16_t)(ticks / NEAP__LAP);
	entry->ends = (uint32_t)(now + ticks % NEAP__LAP + 1);
	entry->touched = (uint32_t)now;
	if (entry->timer.next != 0)
		neap__wheel_remove(shard, entry);
	uint64_t end = neap__entry_end(shard, entry);
	if (end != NEAP__NEVER)
		neap__wheel_add(shard, entry, end);
}

/* The new value goes into the old block, the old one into the new block, and that to the dead. */
static void entry_overwrite(struct neap__cache_shard *shard, struct neap__entry *entry,
			    struct neap__entry *fresh)
{
	char *a = neap__entry_value(shard->cache, entry), *b = neap__entry_value(shard->cache, fresh);
	for (uint32_t i = 0; i < shard->cache->type->value_size; i++) {
		char keep = a[i];
		a[i] = b[i];
		b[i] = keep;
	}
	enum neap__queue queue = entry->in;
	neap__queue_remove(shard, entry);
	shard->bytes += fresh->weight - entry->weight;
	entry->weight = fresh->weight;
	neap__queue_add(shard, entry, queue);
	fresh->value_only = true;
	fresh->next_dead = shard->dead;
	shard->dead = fresh;
	shard->counts.overwritten++;
}

static int entry_insert(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	if (!neap__index_add(shard, entry))
		return NEAP_ENOMEM;
	bool room = neap__make_room(shard, entry->weight, 1);
	if (!room || !neap__id_take(shard, entry)) {
		neap__index_remove(shard, entry);
		return room ? NEAP_ENOMEM : NEAP_ETOOBIG;
	}
	shard->bytes += entry->weight;
	neap__queue_add(shard, entry, neap__queue_for(shard, entry->hash));
	shard->counts.stored++;
	return NEAP_OK;
}

int neap__cache_store(struct neap__cache_shard *shard, const void *key, uint64_t hash, const void *value,
		      uint64_t ttl, uint64_t now, size_t extra)
{
	struct neap_cache *cache = shard->cache;
	struct neap__entry *fresh = neap__entry_make(cache, key, hash, value);
	if (fresh == NULL)
		return NEAP_ENOMEM;
	fresh->weight = fresh->size + NEAP__INDEX_SHARE + extra;
	struct neap__entry *entry = neap__entry_find(shard, key, hash);
	int result = shard->max_bytes != 0 && fresh->weight > shard->max_bytes ? NEAP_ETOOBIG : NEAP_OK;
	if (result == NEAP_OK && entry != NULL && fresh->weight > entry->weight) {
		/* It must not make room by evicting itself. */
		enum neap__queue queue = entry->in;
		neap__queue_remove(shard, entry);
		bool room = neap__make_room(shard, fresh->weight, 1);
		neap__queue_add(shard, entry, queue);
		result = room ? NEAP_OK : NEAP_ETOOBIG;
	}
	if (result == NEAP_OK && entry == NULL)
		result = entry_insert(shard, fresh);
	else if (result == NEAP_OK)
		entry_overwrite(shard, entry, fresh);
	if (result != NEAP_OK) {
		shard->counts.refused++;
		neap__entry_free(cache, fresh);
		return result;
	}
	entry_schedule(shard, entry != NULL ? entry : fresh, ttl, now);
	return NEAP_OK;
}

int neap_cache_put_for(struct neap_cache *cache, const void *key, const void *value, uint64_t ttl)
{
	uint64_t hash, now;
	const struct neap_cache_options *o = &cache->options;
	size_t extra = o->weigh != NULL ? o->weigh(key, value, o->ctx) : 0;
	struct neap__cache_shard *shard = neap__cache_enter(cache, key, &hash, &now);
	int result = neap__cache_store(shard, key, hash, value, ttl, now, extra);
	neap__shard_leave(shard);
	return result;
}

int neap_cache_put(struct neap_cache *cache, const void *key, const void *value)
{
	return neap_cache_put_for(cache, key, value, cache->options.ttl);
}

/* ---- All keys ---- */

bool neap_cache_expire(struct neap_cache *cache)
{
	bool more = false;
	for (uint32_t i = 0; i < cache->options.shards; i++) {
		struct neap__cache_shard *shard = &cache->shards[i];
		uint64_t now = cache_now(cache);
		pthread_mutex_lock(&shard->lock);
		shard->visited = 0;
		more |= !shard_advance(shard, now, NEAP_CACHE_STEP);
		neap__shard_leave(shard);
	}
	return more;
}

size_t neap_cache_len(struct neap_cache *cache)
{
	struct neap_cache_stats stats = {.size = sizeof stats};
	neap_cache_stats(cache, &stats);
	return stats.len;
}

void neap_cache_stats(struct neap_cache *cache, struct neap_cache_stats *ret)
{
	struct neap_cache_stats all = {.size = sizeof all, .overhead = cache_bytes(cache)};
	for (uint32_t i = 0; i < cache->options.shards; i++) {
		struct neap__cache_shard *shard = &cache->shards[i];
		pthread_mutex_lock(&shard->lock);
		const struct neap_cache_stats *one = &shard->counts;
		all.len += neap_map_len(shard->index);
		all.bytes += shard->bytes;
		all.overhead += neap_map_bytes(shard->index) + neap__ghost_bytes(&shard->ghost) +
				neap__ids_bytes(&shard->ids);
		all.hits += one->hits;
		all.misses += one->misses;
		all.stored += one->stored;
		all.overwritten += one->overwritten;
		all.deleted += one->deleted;
		all.expired += one->expired;
		all.evicted += one->evicted;
		all.refused += one->refused;
		all.loads += one->loads;
		all.load_errors += one->load_errors;
		all.waits += one->waits;
		all.stale += one->stale;
		all.longest_step =
			one->longest_step > all.longest_step ? one->longest_step : all.longest_step;
		pthread_mutex_unlock(&shard->lock);
	}
	size_t size = ret->size < sizeof all ? ret->size : sizeof all;
	memcpy(ret, &all, size);
	ret->size = size;
}
