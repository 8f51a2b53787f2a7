/* pool.c: create and destroy, get and put.
 *
 * The short path of a get pops from the loaded magazine, that of a put pushes to it. When it is empty or full the two
 * magazines of the thread change places; only when that does not help the depot is visited, so a thread that gets and
 * puts in any pattern visits it at most once in magazine_room operations.
 */
#include <string.h>

#include "base/os.h"
#include "pool/internal.h"

enum {
	POOL_MAGAZINE_MOST = 64, /* a visit of the depot takes about 100 ns here: 2 ns for each object */
	POOL_BYTE_CAP = 16 << 20,
	POOL_OBJECT_MOST = 64 << 10, /* where Go's own users of sync.Pool stop keeping buffers (go#23199) */
	POOL_IDLE_MS = 10000,
};

/* ---- Create and destroy ---- */

static bool pool_type_is_good(const struct neap_pool_type *type)
{
	if (type == NULL || type->size != sizeof *type)
		return false;
	if (type->create != NULL)
		return type->destroy != NULL;
	size_t align = type->object_align;
	return type->object_size != 0 && align <= 64 && (align & (align - 1)) == 0;
}

static void set_bounds(struct neap_pool *pool, const struct neap_pool_options *options)
{
	pool->byte_cap = options->byte_cap != 0 ? options->byte_cap : POOL_BYTE_CAP;
	pool->front.object_most = options->object_most != 0		      ? options->object_most
				  : pool->type.object_size > POOL_OBJECT_MOST ? pool->type.object_size
									      : POOL_OBJECT_MOST;
	pool->idle_ns = (options->idle_ms != 0 ? options->idle_ms : POOL_IDLE_MS) * UINT64_C(1000000);
	/* Two magazines of the largest objects hold a quarter of the cap, one more object each included. */
	size_t most = pool->type.bytes == NULL && pool->type.object_size != 0 ? pool->type.object_size
									      : pool->front.object_most;
	size_t room = pool->byte_cap / 8 / most;
	pool->magazine_room = room < 2			  ? 1
			      : room > POOL_MAGAZINE_MOST ? POOL_MAGAZINE_MOST
							  : (uint32_t)room - 1;
}

struct neap_pool *neap_pool_create(const struct neap_pool_type *type, const struct neap_pool_options *options)
{
	static const struct neap_pool_options defaults;
	if (options == NULL)
		options = &defaults;
	if (!pool_type_is_good(type) || options->check > NEAP_POOL_CHECK_OFF)
		return NULL;
	const struct neap_allocator *allocator =
		options->allocator != NULL ? options->allocator : &neap__malloc_allocator;
	struct neap_pool *pool = neap__alloc(allocator, sizeof *pool, _Alignof(struct neap_pool));
	if (pool == NULL)
		return NULL;
	*pool = (struct neap_pool){.type = *type,
				   .allocator = *allocator,
				   .front.checking = neap__checked_wanted(options->check),
				   .aged_at = neap__os_now()};
	if (pool->type.object_align == 0)
		pool->type.object_align = 16;
	strncpy(pool->name, options->name != NULL ? options->name : "unnamed", sizeof pool->name - 1);
	set_bounds(pool, options);
	if (neap__pool_register(pool) != NEAP_OK) {
		neap__free(allocator, pool, sizeof *pool);
		return NULL;
	}
	return pool;
}

size_t neap_pool_destroy(struct neap_pool *pool)
{
	if (pool == NULL)
		return 0;
	neap__pool_unregister(pool);
	struct neap__pool_waste waste = {0};
	neap__lock_take(&pool->lock);
	while (pool->caches != NULL) {
		pool->byte_cap = SIZE_MAX; /* whatever the threads had: it all goes below */
		neap__pool_cache_empty(pool->caches, &waste);
		neap__pool_cache_end(pool->caches);
	}
	neap__depot_drain(pool, &waste);
	struct neap__pool_cache *spares = pool->spares;
	size_t out = (size_t)(pool->created - pool->destroyed);
	neap__lock_give(&pool->lock);
	(void)neap__pool_dispose(pool, waste);
	struct neap_allocator allocator = pool->allocator;
	for (struct neap__pool_cache *next; spares != NULL; spares = next) {
		next = spares->next;
		neap__free(&allocator, spares, sizeof *spares);
	}
	neap__lock_deinit(&pool->lock);
	neap__free(&allocator, pool, sizeof *pool);
	return out;
}

/* ---- Get ---- */

/* After a short path failed: another pool may have had the seat, or the owner has to pass a fence itself. */
static struct neap__pool_cache *enter_again(const struct neap_pool *pool)
{
	struct neap__pool_cache *cache = neap__pool_cache_of(pool);
	if (cache == NULL)
		return NULL;
	atomic_store(&cache->busy, 1); /* pairs with neap__pool_caches_visit */
	if ((atomic_load(&cache->closed) & NEAP__POOL_CLAIMED) == 0)
		return cache;
	neap__pool_leave(cache);
	return NULL;
}

/* An object from the depot by way of the thread's magazines, or NULL. With the lock held. */
static void *get_from_depot(struct neap_pool *pool, struct neap__pool_cache *cache)
{
	if (cache != NULL) {
		neap__pool_cache_settle(cache);
		if (cache->loaded->count == 0) {
			struct neap__pool_magazine *empty = cache->loaded;
			neap__pool_cache_load(cache, cache->previous);
			cache->previous = empty;
		}
		void *object = neap__pool_pop(cache);
		if (object != NULL)
			return object;
	}
	struct neap__pool_magazine *magazine = neap__depot_hand_out(pool);
	if (magazine == NULL)
		return NULL;
	if (cache != NULL) {
		neap__depot_recycle(pool, cache->previous);
		cache->previous = cache->loaded;
		neap__pool_cache_load(cache, magazine);
		return neap__pool_pop(cache);
	}
	pool->gone_hits++;
	void *object = magazine->objects[--magazine->count];
	struct neap__pool_waste none = {0};
	neap__depot_take_in(pool, magazine, &none); /* it fits: it was in there */
	return object;
}

static void *new_block(struct neap_pool *pool)
{
	void *block = neap__alloc(&pool->allocator, pool->type.object_size, pool->type.object_align);
	if (block != NULL)
		memset(block, 0, pool->type.object_size);
	return block;
}

void *neap__pool_create_object(struct neap_pool *pool)
{
	void *object = pool->type.create != NULL ? pool->type.create(pool->type.ctx) : new_block(pool);
	if (object != NULL) {
		neap__lock_take(&pool->lock);
		pool->created++;
		neap__lock_give(&pool->lock);
	}
	return object;
}

static __attribute__((noinline)) void *get_slowly(struct neap_pool *pool)
{
	if (pool->front.checking)
		return neap__checked_get(pool);
	void *object = NULL;
	struct neap__pool_cache *cache = enter_again(pool);
	if (cache != NULL) {
		object = neap__pool_pop(cache);
		neap__pool_leave(cache);
	}
	if (object != NULL)
		return object;
	struct neap__pool_waste waste = {0};
	cache = neap__pool_cache_join(pool);
	neap__lock_take(&pool->lock);
	object = get_from_depot(pool, cache);
	if (object == NULL)
		pool->misses++;
	neap__depot_age_if_due(pool, &waste);
	neap__lock_give(&pool->lock);
	(void)neap__pool_dispose(pool, waste);
	return object != NULL ? object : neap__pool_create_object(pool);
}

void *neap_pool_get(struct neap_pool *pool)
{
	void *object = neap__pool_take(pool);
	return __builtin_expect(object != NULL, 1) ? object : get_slowly(pool);
}

/* ---- Put ---- */

/* With the lock held. False: an empty magazine is needed. */
static bool put_to_depot(struct neap_pool *pool, struct neap__pool_cache *cache, void *object,
			 struct neap__pool_waste *waste)
{
	struct neap__pool_magazine *magazine;
	if (cache == NULL) {
		magazine = neap__depot_empty(pool);
		if (magazine == NULL)
			return false;
		magazine->objects[magazine->count++] = object;
		neap__depot_take_in(pool, magazine, waste);
		pool->gone_puts++;
		return true;
	}
	neap__pool_cache_settle(cache);
	if (cache->loaded->count >= cache->loaded->room) {
		magazine = cache->previous->count < cache->previous->room ? cache->previous
									  : neap__depot_empty(pool);
		if (magazine == NULL)
			return false;
		if (magazine != cache->previous)
			neap__depot_take_in(pool, cache->previous, waste);
		cache->previous = cache->loaded;
		neap__pool_cache_load(cache, magazine);
	}
	return neap__pool_push(cache, object);
}

__attribute__((noinline)) void neap__pool_put_reset(struct neap_pool *pool, void *object)
{
	struct neap__pool_cache *cache = enter_again(pool);
	if (cache != NULL) {
		bool kept = neap__pool_push(cache, object);
		neap__pool_leave(cache);
		if (kept)
			return;
	}
	struct neap__pool_waste waste = {0};
	cache = neap__pool_cache_join(pool);
	neap__lock_take(&pool->lock);
	bool kept = put_to_depot(pool, cache, object, &waste);
	if (!kept) {
		neap__lock_give(&pool->lock);
		struct neap__pool_magazine *fresh = neap__pool_magazine_create(pool, pool->magazine_room);
		neap__lock_take(&pool->lock);
		if (fresh != NULL)
			neap__depot_recycle(pool, fresh);
		kept = put_to_depot(pool, cache, object, &waste);
	}
	if (!kept) {
		pool->dropped++;
		pool->destroyed++;
		pool->gone_puts++;
	}
	neap__depot_age_if_due(pool, &waste);
	neap__lock_give(&pool->lock);
	if (!kept)
		neap__pool_destroy_object(pool, object);
	(void)neap__pool_dispose(pool, waste);
}

__attribute__((noinline)) void neap__pool_refuse(struct neap_pool *pool, void *object)
{
	neap__lock_take(&pool->lock);
	pool->refused++;
	pool->destroyed++;
	pool->gone_puts++;
	neap__lock_give(&pool->lock);
	neap__pool_destroy_object(pool, object);
}

void neap_pool_put(struct neap_pool *pool, void *object)
{
	if (object == NULL)
		return;
	if (pool->type.bytes != NULL &&
	    __builtin_expect(pool->type.bytes(object, pool->type.ctx) > pool->front.object_most, 0)) {
		neap__pool_refuse(pool, object);
		return;
	}
	if (__builtin_expect(pool->front.checking, 0)) {
		neap__checked_put(pool, object);
		return;
	}
	if (pool->type.reset != NULL)
		pool->type.reset(object, pool->type.ctx);
	if (__builtin_expect(!neap__pool_keep(pool, object), 0))
		neap__pool_put_reset(pool, object);
}

/* ---- Collect ---- */

static size_t collect_one(struct neap_pool *pool)
{
	struct neap__pool_waste waste = {0};
	neap__lock_take(&pool->lock);
	neap__depot_age(pool, &waste);
	neap__lock_give(&pool->lock);
	return neap__pool_dispose(pool, waste);
}

size_t neap_pool_collect(struct neap_pool *pool)
{
	if (pool != NULL)
		return collect_one(pool);
	size_t bytes = 0;
	for (uint32_t id = 0; (pool = neap__pool_pin_from(id)) != NULL;) {
		bytes += collect_one(pool);
		id = pool->id + 1;
		neap__pool_unpin(pool);
	}
	return bytes;
}
