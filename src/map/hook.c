/* hook.c: a function that hears of every change of one map before it is made, and may refuse it.
 *
 * A map with a hook keeps NEAP__HOOKED in its guard while nobody writes. Every short path tests the guard anyway,
 * to find another writer; finding anything there but 0 sends it here. So a map without a hook pays nothing, and the
 * inlined functions of programs that were compiled before the hook was set obey it all the same.
 *
 *     guard    0  --write-->  thread  --done-->  0               without a hook
 *              1  --write-->  thread: ask  -->  0: the plain operation  -->  1
 *
 * A change of a hooked map looks its key up twice: once to show the old value, once in the plain operation.
 */
#include "base/fault.h"
#include "map/internal.h"

void neap__write_open(struct neap_map *map, const char *operation)
{
	const uintptr_t writer = neap__write_begin(map);
	if (writer == 0)
		return;
	neap__map_busy(map, writer, operation);
	__atomic_store_n(&map->guard, neap__thread(), __ATOMIC_RELAXED);
}

void neap__write_close(struct neap_map *map, const char *operation)
{
	neap__write_end(map, operation);
	if (map->hook != NULL)
		__atomic_store_n(&map->guard, NEAP__HOOKED, __ATOMIC_RELAXED);
}

/* Asks whether `event`, without its map and old value, may be made. When it may, the guard is left open for the
 * plain operation, and neap__rehook must follow.
 */
static bool allowed(struct neap_map *map, struct neap_map_event event)
{
	neap__write_open(map, event.operation);
	__atomic_store_n(&map->guard, (uintptr_t)0, __ATOMIC_RELAXED); /* for the look-up */
	event.old_value = neap_map_get(map, event.key);
	__atomic_store_n(&map->guard, neap__thread(), __ATOMIC_RELAXED);
	event.map = map;
	/* Deleting what is not there is no change. */
	const bool yes = (event.change == NEAP_MAP_DELETE && event.old_value == NULL) ||
			 map->hook(&event, map->hook_ctx);
	neap__write_end(map, event.operation);
	if (!yes)
		__atomic_store_n(&map->guard, NEAP__HOOKED, __ATOMIC_RELAXED);
	return yes;
}

/* Ends what `allowed` let begin. */
static void rehook(struct neap_map *map, const char *operation)
{
	neap__write_open(map, operation);
	neap__write_close(map, operation);
}

int neap__hooked_put(struct neap_map *map, const void *key, const void *value, const void *caller)
{
	static const char operation[] = "neap_map_put";
	if (!allowed(map, (struct neap_map_event){.change = NEAP_MAP_ASSIGN,
						  .key = key,
						  .new_value = value,
						  .operation = operation,
						  .caller = caller}))
		return NEAP_EVETO;
	int error = neap_map_put(map, key, value);
	rehook(map, operation);
	return error;
}

void *neap__hooked_slot(struct neap_map *map, const void *key, bool *ret_inserted, const void *caller)
{
	static const char operation[] = "neap_map_slot";
	if (!allowed(map, (struct neap_map_event){.change = NEAP_MAP_ASSIGN,
						  .key = key,
						  .operation = operation,
						  .caller = caller}))
		return NULL;
	void *value = neap_map_slot(map, key, ret_inserted);
	rehook(map, operation);
	return value;
}

bool neap__hooked_delete(struct neap_map *map, const void *key, const void *caller)
{
	static const char operation[] = "neap_map_delete";
	if (!allowed(map, (struct neap_map_event){.change = NEAP_MAP_DELETE,
						  .key = key,
						  .operation = operation,
						  .caller = caller}))
		return false;
	bool deleted = neap_map_delete(map, key);
	rehook(map, operation);
	return deleted;
}

bool neap__hooked_take(struct neap_map *map, const void *key, void *ret_key, void *ret_value,
		       const void *caller)
{
	static const char operation[] = "neap_map_take";
	if (!allowed(map, (struct neap_map_event){.change = NEAP_MAP_DELETE,
						  .key = key,
						  .operation = operation,
						  .caller = caller}))
		return false;
	bool taken = neap_map_take(map, key, ret_key, ret_value);
	rehook(map, operation);
	return taken;
}

bool neap__hook_allows_delete(const struct neap_map *map, const void *key, const void *value,
			      const char *operation, const void *caller)
{
	if (map->hook == NULL)
		return true;
	struct neap_map_event event = {.map = map,
				       .change = NEAP_MAP_DELETE,
				       .key = key,
				       .old_value = value,
				       .operation = operation,
				       .caller = caller};
	return map->hook(&event, map->hook_ctx);
}

struct farewell {
	const struct neap_map *map;
	const void *caller;
};

static bool tell_one(uint8_t *slot, uint64_t hash, void *ctx)
{
	(void)hash;
	const struct farewell *job = ctx;
	struct neap_map_event event = {.map = job->map,
				       .change = NEAP_MAP_DELETE,
				       .final = true,
				       .key = neap__slot_key(job->map, slot),
				       .old_value = neap__slot_value(job->map, slot),
				       .operation = "neap_map_destroy",
				       .caller = job->caller};
	(void)job->map->hook(&event, job->map->hook_ctx);
	return true;
}

void neap__hook_end(struct neap_map *map, const void *caller)
{
	if (map->hook == NULL)
		return;
	neap__write_open(map, "neap_map_destroy");
	struct farewell job = {map, caller};
	neap__each_slot(map, tell_one, &job);
	map->hook = NULL;
	neap__write_close(map, "neap_map_destroy");
}

int neap_map_set_hook(struct neap_map *map, neap_map_hook_fn *hook, void *ctx)
{
	if (map == NULL)
		return NEAP_ENIL;
	neap__write_open(map, "neap_map_set_hook");
	map->hook = hook;
	map->hook_ctx = ctx;
	neap__write_close(map, "neap_map_set_hook");
	return NEAP_OK;
}
