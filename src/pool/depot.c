/* depot.c: the magazines that all threads share, and the two generations of what lies idle.
 *
 *     put -> primary --collection--> victim --collection--> destroyed
 *     get <- primary, else <- victim
 *
 * Law: depot_bytes == sum of bytes over primary and victim, and depot_bytes <= byte_cap.
 */
#include "base/os.h"
#include "pool/internal.h"

struct neap__pool_magazine neap__pool_none;

size_t neap__pool_bytes_of(const struct neap_pool *pool, const void *object)
{
	return pool->type.bytes != NULL ? pool->type.bytes(object, pool->type.ctx) : pool->type.object_size;
}

void neap__pool_destroy_object(struct neap_pool *pool, void *object)
{
	if (pool->type.create != NULL)
		pool->type.destroy(object, pool->type.ctx);
	else
		neap__free(&pool->allocator, object, pool->type.object_size);
}

static size_t magazine_size(uint32_t room)
{
	return sizeof(struct neap__pool_magazine) + (room + 1) * sizeof(void *);
}

struct neap__pool_magazine *neap__pool_magazine_create(struct neap_pool *pool, uint32_t room)
{
	struct neap__pool_magazine *magazine =
		neap__alloc(&pool->allocator, magazine_size(room), _Alignof(struct neap__pool_magazine));
	if (magazine != NULL)
		*magazine = (struct neap__pool_magazine){.room = room};
	return magazine;
}

struct neap__pool_magazine *neap__depot_empty(struct neap_pool *pool)
{
	struct neap__pool_magazine *magazine = pool->empties;
	if (magazine != NULL)
		pool->empties = magazine->next;
	return magazine;
}

void neap__depot_recycle(struct neap_pool *pool, struct neap__pool_magazine *magazine)
{
	if (magazine->room == 0)
		return;
	neap__assert_internal(magazine->count == 0);
	magazine->next = pool->empties;
	pool->empties = magazine;
}

static void give_up(struct neap_pool *pool, struct neap__pool_magazine *magazine,
		    struct neap__pool_waste *waste)
{
	pool->destroyed += magazine->count;
	magazine->next = waste->magazines;
	waste->magazines = magazine;
}

void neap__depot_take_in(struct neap_pool *pool, struct neap__pool_magazine *magazine,
			 struct neap__pool_waste *waste)
{
	if (magazine->count == 0) {
		neap__depot_recycle(pool, magazine);
		return;
	}
	magazine->bytes = 0;
	for (uint32_t i = 0; i < magazine->count; i++)
		magazine->bytes += neap__pool_bytes_of(pool, magazine->objects[i]);
	if (pool->depot_bytes + magazine->bytes > pool->byte_cap) {
		pool->dropped += magazine->count;
		give_up(pool, magazine, waste);
		return;
	}
	pool->depot_bytes += magazine->bytes;
	magazine->next = pool->primary;
	pool->primary = magazine;
}

struct neap__pool_magazine *neap__depot_hand_out(struct neap_pool *pool)
{
	struct neap__pool_magazine **list = pool->primary != NULL ? &pool->primary : &pool->victim;
	struct neap__pool_magazine *magazine = *list;
	if (magazine == NULL)
		return NULL;
	*list = magazine->next;
	pool->depot_bytes -= magazine->bytes;
	return magazine;
}

static void empty_list(struct neap_pool *pool, struct neap__pool_magazine **list,
		       struct neap__pool_waste *waste)
{
	while (*list != NULL) {
		struct neap__pool_magazine *magazine = *list;
		*list = magazine->next;
		pool->depot_bytes -= magazine->count != 0 ? magazine->bytes : 0;
		give_up(pool, magazine, waste);
	}
}

static void empty_cache(struct neap__pool_cache *cache, void *ctx)
{
	neap__pool_cache_empty(cache, ctx);
}

void neap__depot_age(struct neap_pool *pool, struct neap__pool_waste *waste)
{
	pool->aged_at = neap__os_now();
	if (pool->front.checking) {
		neap__checked_age(pool, waste);
		return;
	}
	uint64_t before = pool->destroyed;
	empty_list(pool, &pool->victim, waste);
	pool->collected += pool->destroyed - before;
	neap__pool_caches_visit(pool, empty_cache, waste);
	pool->victim = pool->primary;
	pool->primary = NULL;
	empty_list(pool, &pool->empties, waste);
}

void neap__depot_age_if_due(struct neap_pool *pool, struct neap__pool_waste *waste)
{
	if (neap__os_now() - pool->aged_at >= pool->idle_ns)
		neap__depot_age(pool, waste);
}

void neap__depot_drain(struct neap_pool *pool, struct neap__pool_waste *waste)
{
	if (pool->front.checking)
		neap__checked_drain(pool, waste);
	empty_list(pool, &pool->primary, waste);
	empty_list(pool, &pool->victim, waste);
	empty_list(pool, &pool->empties, waste);
}

size_t neap__pool_dispose(struct neap_pool *pool, struct neap__pool_waste waste)
{
	size_t bytes = neap__checked_dispose(pool, waste.idle);
	while (waste.magazines != NULL) {
		struct neap__pool_magazine *magazine = waste.magazines;
		waste.magazines = magazine->next;
		bytes += magazine->count != 0 ? magazine->bytes : 0;
		for (uint32_t i = 0; i < magazine->count; i++)
			neap__pool_destroy_object(pool, magazine->objects[i]);
		neap__free(&pool->allocator, magazine, magazine_size(magazine->room));
	}
	return bytes;
}
