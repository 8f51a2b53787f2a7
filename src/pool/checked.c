/* checked.c: the checking pool. No magazines: every idle object lies in one list under the lock, so that all of the
 * following is seen, and stops the program:
 *
 *     an object that is put twice                          found in the list
 *     a reset that does not reset                          `clean` says so
 *     an object written after it was put back              its bytes have another sum when it is handed out
 *
 * Objects are handed out oldest first, so that a write after a put has time to happen. The list is searched from end to
 * end at each put: this is for tests.
 */
#include <string.h>

#include "base/fault.h"
#include "neap/map_core.h"
#include "pool/internal.h"

struct neap__pool_idle {
	void *object;
	uint64_t sum;
	size_t bytes;
};

static const uint64_t sum_seed[2] = {UINT64_C(0x243f6a8885a308d3), UINT64_C(0x93198a2e03707345)}; /* of pi */

bool neap__checked_wanted(uint32_t check)
{
	return check == NEAP_POOL_CHECK_ON || (check == NEAP_POOL_CHECK_BUILD && NEAP_CHECK >= 2);
}

static _Noreturn void checked_fault(const struct neap_pool *pool, const char *rule, const char *operation)
{
	neap__fault((struct neap_fault){
		.rule = rule, .object = pool->name, .address = pool, .operation = operation, .kind = "pool"});
}

static uint64_t sum_of(const struct neap_pool *pool, const void *object)
{
	return neap__hash_bytes(object, pool->type.object_size, sum_seed);
}

static bool is_clean(const struct neap_pool *pool, const void *object)
{
	return pool->type.clean == NULL || pool->type.clean(object, pool->type.ctx);
}

/* Takes out the oldest. With the lock held. */
static bool take_oldest(struct neap_pool *pool, struct neap__pool_idle *ret)
{
	struct neap__pool_checked *list = &pool->checked;
	if (list->count == 0) {
		pool->misses++;
		return false;
	}
	*ret = list->idle[0];
	memmove(list->idle, list->idle + 1, --list->count * sizeof *list->idle);
	list->victims -= list->victims != 0;
	pool->depot_bytes -= ret->bytes;
	pool->gone_hits++;
	return true;
}

void *neap__checked_get(struct neap_pool *pool)
{
	struct neap__pool_waste waste = {0};
	struct neap__pool_idle idle = {NULL, 0, 0};
	neap__lock_take(&pool->lock);
	neap__depot_age_if_due(pool, &waste);
	bool found = take_oldest(pool, &idle);
	neap__lock_give(&pool->lock);
	(void)neap__pool_dispose(pool, waste);
	if (!found)
		return neap__pool_create_object(pool);
	if (idle.sum != sum_of(pool, idle.object) || !is_clean(pool, idle.object))
		checked_fault(pool, "pool object written after it was put back", "neap_pool_get");
	return idle.object;
}

static bool lies_idle(const struct neap_pool *pool, const void *object)
{
	for (size_t i = 0; i < pool->checked.count; i++)
		if (pool->checked.idle[i].object == object)
			return true;
	return false;
}

/* Room for one more. With the lock held: checking pools are not for programs that fork with a locked allocator. */
static bool checked_make_room(struct neap_pool *pool)
{
	struct neap__pool_checked *list = &pool->checked;
	if (list->count < list->room)
		return true;
	size_t room = list->room * 2 + 16;
	struct neap__pool_idle *idle =
		neap__alloc(&pool->allocator, room * sizeof *idle, _Alignof(struct neap__pool_idle));
	if (idle == NULL)
		return false;
	if (list->count != 0)
		memcpy(idle, list->idle, list->count * sizeof *idle);
	neap__free(&pool->allocator, list->idle, list->room * sizeof *idle);
	list->idle = idle;
	list->room = room;
	return true;
}

void neap__checked_put(struct neap_pool *pool, void *object)
{
	neap__lock_take(&pool->lock);
	bool twice = lies_idle(pool, object);
	neap__lock_give(&pool->lock);
	if (twice)
		checked_fault(pool, "pool object put back twice", "neap_pool_put");
	if (pool->type.reset != NULL)
		pool->type.reset(object, pool->type.ctx);
	if (!is_clean(pool, object))
		checked_fault(pool, "pool object dirty after its reset", "neap_pool_put");

	struct neap__pool_idle idle = {object, sum_of(pool, object), neap__pool_bytes_of(pool, object)};
	neap__lock_take(&pool->lock);
	pool->gone_puts++;
	bool kept = pool->depot_bytes + idle.bytes <= pool->byte_cap && checked_make_room(pool);
	if (kept) {
		pool->checked.idle[pool->checked.count++] = idle;
		pool->depot_bytes += idle.bytes;
	} else {
		pool->dropped++;
		pool->destroyed++;
	}
	neap__lock_give(&pool->lock);
	if (!kept)
		neap__pool_destroy_object(pool, object);
}

void neap__checked_age(struct neap_pool *pool, struct neap__pool_waste *waste)
{
	struct neap__pool_checked *list = &pool->checked;
	size_t n = list->victims;
	struct neap__pool_magazine *magazine = n != 0 ? neap__pool_magazine_create(pool, (uint32_t)n) : NULL;
	if (magazine == NULL && n != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		magazine->objects[magazine->count++] = list->idle[i].object;
		magazine->bytes += list->idle[i].bytes;
	}
	if (n != 0) {
		magazine->next = waste->magazines;
		waste->magazines = magazine;
		list->count -= n;
		memmove(list->idle, list->idle + n, list->count * sizeof *list->idle);
		pool->depot_bytes -= magazine->bytes;
		pool->destroyed += n;
		pool->collected += n;
	}
	list->victims = list->count;
}

void neap__checked_drain(struct neap_pool *pool, struct neap__pool_waste *waste)
{
	waste->idle = pool->checked;
	pool->destroyed += pool->checked.count;
	pool->depot_bytes = 0;
	pool->checked = (struct neap__pool_checked){NULL, 0, 0, 0};
}

size_t neap__checked_dispose(struct neap_pool *pool, struct neap__pool_checked list)
{
	size_t bytes = 0;
	for (size_t i = 0; i < list.count; i++) {
		bytes += list.idle[i].bytes;
		neap__pool_destroy_object(pool, list.idle[i].object);
	}
	neap__free(&pool->allocator, list.idle, list.room * sizeof *list.idle);
	return bytes;
}
