/* entry.c: one entry: its block, its place in the index, its end. */
#include <string.h>

#include "cache/internal.h"

struct neap__entry *neap__entry_make(struct neap_cache *cache, const void *key, uint64_t hash,
				     const void *value)
{
	const struct neap_map_type *type = cache->type;
	const struct neap_str *str = key;
	size_t size = cache->text_at + (type->kind == NEAP_KEY_STR ? str->len : 0);
	if (size > UINT32_MAX)
		return NULL;
	struct neap__entry *entry = neap__alloc(&cache->allocator, size, cache->align);
	if (entry == NULL)
		return NULL;
	memset(entry, 0, sizeof *entry);
	entry->size = (uint32_t)size;
	entry->hash = hash;
	entry->endless = true;
	entry->in = NEAP__NO_QUEUE;
	char *own = (char *)entry + cache->key_at;
	memcpy(own, key, type->key_size);
	if (type->kind == NEAP_KEY_STR) {
		char *text = (char *)entry + cache->text_at;
		if (str->len != 0)
			memcpy(text, str->ptr, str->len);
		memcpy(own, &(struct neap_str){text, str->len, 0}, sizeof(struct neap_str));
	}
	if (value != NULL)
		memcpy(neap__entry_value(cache, entry), value, type->value_size);
	else
		memset(neap__entry_value(cache, entry), 0, type->value_size);
	return entry;
}

void neap__entry_free(struct neap_cache *cache, struct neap__entry *entry)
{
	neap__free(&cache->allocator, entry, entry->size);
}

/* ---- The index ---- */

/* The map compares keys through a function without a context: what it is about, and what it found. */
static _Thread_local struct {
	const struct neap_cache *cache;
	const void *key; /* of `sought`, which has none in its block */
	struct neap__entry *sought, *found;
} asking;

static const void *asked_key(const struct neap__entry *entry)
{
	return entry == asking.sought ? asking.key : neap__entry_key(asking.cache, entry);
}

static uint64_t index_hash(const void *key, uint64_t seed)
{
	const struct neap__entry *entry;
	(void)seed;
	memcpy(&entry, key, sizeof entry);
	return entry->hash;
}

static bool index_equal(const void *a, const void *b)
{
	struct neap__entry *x, *y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	if (x->hash != y->hash || !neap__type_equal(asking.cache->type, asked_key(x), asked_key(y)))
		return false;
	asking.found = x == asking.sought ? y : x;
	return true;
}

const struct neap_map_type neap__index_type = {.size = sizeof neap__index_type,
					       .kind = NEAP_KEY_USER,
					       .key_size = sizeof(struct neap__entry *),
					       .key_align = _Alignof(struct neap__entry *),
					       .value_align = 1,
					       .hash = index_hash,
					       .equal = index_equal};

struct neap__entry *neap__entry_find(struct neap__cache_shard *shard, const void *key, uint64_t hash)
{
	/* neap-lint: allow dangling-stack: `asking` forgets it below */
	struct neap__entry sought = {.hash = hash}, *at = &sought;
	asking.cache = shard->cache;
	asking.key = key;
	asking.sought = at;
	struct neap__entry *found = neap_map_get(shard->index, &at) != NULL ? asking.found : NULL;
	asking.sought = asking.found = NULL;
	return found;
}

bool neap__index_add(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	asking.cache = shard->cache;
	return neap_map_put(shard->index, &entry, NULL) == NEAP_OK;
}

void neap__index_remove(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	asking.cache = shard->cache;
	bool was_there = neap_map_delete(shard->index, &entry);
	neap__assert(was_there);
}

/* ---- The end of entries ---- */

void neap__entry_remove(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	neap__queue_remove(shard, entry);
	if (entry->timer.next != 0)
		neap__wheel_remove(shard, entry);
	neap__index_remove(shard, entry);
	neap__id_give(shard, entry);
	shard->bytes -= entry->weight;
	entry->next_dead = shard->dead;
	shard->dead = entry;
}

void neap__shard_leave(struct neap__cache_shard *shard)
{
	struct neap_cache *cache = shard->cache;
	const struct neap_map_type *type = cache->type;
	struct neap__entry *dead = shard->dead, *next;
	shard->dead = NULL;
	if (shard->visited > shard->counts.longest_step)
		shard->counts.longest_step = shard->visited;
	neap__assert(shard->visited <= NEAP_CACHE_STEP);
	pthread_mutex_unlock(&shard->lock);
	for (; dead != NULL; dead = next) {
		next = dead->next_dead;
		if (type->release != NULL)
			type->release(dead->value_only ? NULL : (char *)dead + cache->key_at,
				      neap__entry_value(cache, dead), type->release_ctx);
		neap__entry_free(cache, dead);
	}
}
