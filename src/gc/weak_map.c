/* weak_map.c: the entries of maps with weak keys: putting, finding, and removing what died. The nouns are in weak_map.h,
 * what an entry keeps is in ephemeron.c.
 */
#include "neap/weak_map.h"

#include "gc/cycle.h"
#include "gc/mark.h"
#include "gc/tables.h"
#include "gc/weak_map.h"

enum { PURGE_PIECE = 256 }; /* entries under one hold of the lock */

struct neap_weak_map {
	struct weak_core *_Atomic core; /* NULL: destroyed, or not made yet */
	void *unused;
};

struct weak_maps neap__weak_maps;

static const struct neap_map_type by_address = {.size = sizeof by_address,
						.key_size = sizeof(uintptr_t),
						.key_align = _Alignof(uintptr_t),
						.value_size = sizeof(uintptr_t),
						.value_align = _Alignof(uintptr_t)};

void neap__gc_weak_maps_start(void)
{
	neap__lock_init(&neap__weak_maps.lock, NEAP__RANK_GC_WEAK_MAPS, 0);
}

/* From here on neap_gc_free looks for the objects of the span in weak maps. */
static void note_span(const void *object)
{
	uint32_t head = 0, number;
	(void)neap__gc_find((uintptr_t)object, &head, &number);
	atomic_store_explicit(&neap__gc_span(head)->weak_keys, true, memory_order_relaxed);
}

static struct weak_core *weak_core_create(const struct neap_map_options *options)
{
	struct weak_core *core = neap__meta_alloc(sizeof *core);
	if (core == NULL)
		return NULL;
	core->map = neap_map_create(&by_address, options);
	if (core->map == NULL) {
		neap__meta_free(core, sizeof *core);
		return NULL;
	}
	neap__lock_init(&core->lock, NEAP__RANK_GC_MAP, 0);
	return core;
}

static void weak_core_destroy(struct weak_core *core)
{
	neap__weak_white_close(core);
	neap_map_destroy(core->map);
	neap__lock_deinit(&core->lock);
	neap__meta_free(core, sizeof *core);
}

struct neap_weak_map *neap_weak_map_create(const struct neap_map_options *options)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL || (options != NULL && options->strict_iteration))
		return NULL;
	struct neap_weak_map *map = neap_gc_alloc_data(sizeof *map);
	struct weak_core *core = map != NULL ? weak_core_create(options) : NULL;
	if (core == NULL)
		return NULL;
	neap__gc_enter(thread);
	neap__lock_take(&neap__weak_maps.lock);
	note_span(map);
	core->handle = (uintptr_t)map;
	core->next = neap__weak_maps.first;
	neap__weak_maps.first = core;
	atomic_store_explicit(&map->core, core, memory_order_release);
	neap__lock_give(&neap__weak_maps.lock);
	neap__gc_leave(thread);
	return map;
}

/* Out of the list; its lock is held, or the world is stopped. */
static void take_out(struct weak_core **at)
{
	struct weak_core *core = *at;
	if (neap__weak_maps.at == core)
		neap__weak_maps.at = core->next;
	*at = core->next;
}

void neap_weak_map_destroy(struct neap_weak_map *map)
{
	struct neap__gc_thread *thread = map != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return;
	struct weak_core *core = atomic_load_explicit(&map->core, memory_order_acquire);
	if (core == NULL)
		neap__gc_fault("destroyed before", map, "neap_weak_map_destroy");
	neap__gc_enter(thread);
	neap__lock_take(&neap__weak_maps.lock);
	struct weak_core **at = &neap__weak_maps.first;
	while (*at != core)
		at = &(*at)->next;
	take_out(at);
	atomic_store_explicit(&map->core, NULL, memory_order_release);
	neap__lock_give(&neap__weak_maps.lock);
	weak_core_destroy(core);
	neap__gc_leave(thread);
	neap_gc_free(map);
}

/* An operation on the entries: between the two the thread is busy and holds the lock. NULL: nothing was taken. */
static struct weak_core *core_take(const struct neap_weak_map *map, struct neap__gc_thread **ret_thread)
{
	if (map == NULL || (*ret_thread = neap__gc_attached()) == NULL)
		return NULL;
	neap__gc_enter(*ret_thread);
	struct weak_core *core = atomic_load_explicit(&map->core, memory_order_acquire);
	neap__lock_take(&core->lock);
	return core;
}

static void core_give(struct weak_core *core, struct neap__gc_thread *thread)
{
	neap__lock_give(&core->lock);
	neap__gc_leave(thread);
}

/* Marks both: an entry that was put while marking runs is not looked at again. */
int neap_weak_map_put(struct neap_weak_map *map, void *key, void *value)
{
	struct neap__gc_thread *thread = NULL;
	if (map == NULL)
		return NEAP_ENIL;
	if (value == NULL || key == NULL || neap_gc_base(key) != key)
		return NEAP_EINVAL;
	struct weak_core *core = core_take(map, &thread);
	if (core == NULL)
		return NEAP_ENOMEM;
	bool inserted;
	uintptr_t address = (uintptr_t)key, *slot = neap_map_slot(core->map, &address, &inserted);
	if (slot != NULL) {
		core->dead -= !inserted && *slot == 0;
		*slot = (uintptr_t)value;
		note_span(key);
		if (neap__gc_is_marking()) {
			neap__gc_shade(thread, address);
			neap__gc_shade(thread, (uintptr_t)value);
		}
	}
	core_give(core, thread);
	return slot != NULL ? NEAP_OK : NEAP_ENOMEM;
}

void *neap_weak_map_get(const struct neap_weak_map *map, const void *key)
{
	struct neap__gc_thread *thread;
	struct weak_core *core = core_take(map, &thread);
	if (core == NULL)
		return NULL;
	const uintptr_t address = (uintptr_t)key, *slot = neap_map_get(core->map, &address);
	void *value = slot != NULL ? (void *)*slot : NULL;
	core_give(core, thread);
	return value;
}

/* True when the entry was not dead. The lock is held. */
static bool delete_entry(struct weak_core *core, uintptr_t address)
{
	const uintptr_t *slot = neap_map_get(core->map, &address);
	if (slot == NULL)
		return false;
	bool alive = *slot != 0;
	core->dead -= !alive;
	(void)neap_map_delete(core->map, &address);
	return alive;
}

bool neap_weak_map_delete(struct neap_weak_map *map, const void *key)
{
	struct neap__gc_thread *thread;
	struct weak_core *core = core_take(map, &thread);
	if (core == NULL)
		return false;
	bool deleted = delete_entry(core, (uintptr_t)key);
	core_give(core, thread);
	neap__gc_pace_drop(deleted);
	return deleted;
}

void neap_weak_map_clear(struct neap_weak_map *map)
{
	struct neap__gc_thread *thread;
	struct weak_core *core = core_take(map, &thread);
	if (core == NULL)
		return;
	size_t entries = neap_map_len(core->map);
	neap_map_clear(core->map);
	core->dead = 0;
	core_give(core, thread);
	neap__gc_pace_drop(entries);
}

size_t neap_weak_map_len(const struct neap_weak_map *map)
{
	struct neap__gc_thread *thread;
	struct weak_core *core = core_take(map, &thread);
	if (core == NULL)
		return 0;
	size_t len = neap_map_len(core->map) - core->dead;
	core_give(core, thread);
	return len;
}

size_t neap_weak_map_bytes(const struct neap_weak_map *map)
{
	struct neap__gc_thread *thread;
	struct weak_core *core = core_take(map, &thread);
	if (core == NULL)
		return 0;
	size_t bytes = neap_map_bytes(core->map);
	core_give(core, thread);
	return bytes;
}

void neap_weak_map_iter_init(struct neap_weak_map_iter *it, const struct neap_weak_map *map)
{
	struct neap__gc_thread *thread;
	it->key = it->value = NULL;
	it->neap__map = map;
	struct weak_core *core = core_take(map, &thread);
	neap_map_iter_init(&it->neap__inner, core != NULL ? core->map : NULL);
	if (core != NULL)
		core_give(core, thread);
}

bool neap_weak_map_iter_next(struct neap_weak_map_iter *it)
{
	struct neap__gc_thread *thread;
	struct weak_core *core = core_take(it->neap__map, &thread);
	if (core == NULL)
		return false;
	bool found = false;
	while (!found && neap_map_iter_next(&it->neap__inner)) {
		it->key = (void *)*(const uintptr_t *)it->neap__inner.key;
		it->value = (void *)*(const uintptr_t *)it->neap__inner.value;
		found = it->value != NULL;
	}
	core_give(core, thread);
	return found;
}

/* The object is being freed by hand. */
void neap__gc_weak_map_forget(uintptr_t object)
{
	uint32_t head, number;
	if (!neap__gc_find(object, &head, &number) ||
	    !atomic_load_explicit(&neap__gc_span(head)->weak_keys, memory_order_relaxed))
		return;
	neap__lock_take(&neap__weak_maps.lock);
	for (struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next) {
		if (core->handle == object)
			neap__gc_fault("freeing a map as an object", (void *)object, "neap_gc_free");
		neap__lock_take(&core->lock);
		(void)delete_entry(core, object);
		neap__lock_give(&core->lock);
	}
	neap__lock_give(&neap__weak_maps.lock);
}

/* The cycle's side. */

static struct weak_core *dead_weak_cores; /* of the cycle that runs */

static bool is_white(uintptr_t address)
{
	uint32_t head, object;
	return neap__gc_find(address, &head, &object) && !neap__gc_marked(head, object);
}

static void kill_entry(struct weak_core *core, uintptr_t key, uintptr_t *value)
{
	if (value == NULL || *value == 0 || !is_white(key))
		return;
	*value = 0;
	core->dead++;
}

void neap__gc_weak_map_select(void)
{
	for (struct weak_core **at = &neap__weak_maps.first; *at != NULL;) {
		struct weak_core *core = *at;
		if (is_white(core->handle)) {
			take_out(at);
			core->next = dead_weak_cores;
			dead_weak_cores = core;
			continue;
		}
		for (size_t i = 0; core->white != NULL && i < core->white_count; i++)
			kill_entry(core, core->white[i], neap_map_get(core->map, &core->white[i]));
		struct neap_map_scan scan =
			neap_map_scan(core->white == NULL && core->others > 0 ? core->map : NULL);
		while (neap_map_scan_next(&scan))
			kill_entry(core, *(const uintptr_t *)scan.key, scan.value);
		at = &core->next;
	}
}

/* A piece of the map where the purge is, which moves to the next map at the end. */
static void purge_piece(const struct weak_core **purged, struct neap_map_iter *iter)
{
	struct weak_core *core = neap__weak_maps.at;
	bool left = true;
	neap__lock_take(&core->lock);
	if (*purged != core) {
		neap__weak_white_close(core);
		neap_map_iter_init(iter, core->map);
	}
	*purged = core;
	for (unsigned i = 0; i < PURGE_PIECE && left; i++) {
		left = core->dead > 0 && neap_map_iter_next(iter);
		if (left && *(const uintptr_t *)iter->value == 0)
			(void)delete_entry(core, *(const uintptr_t *)iter->key);
	}
	neap__lock_give(&core->lock);
	if (!left)
		neap__weak_maps.at = core->next;
}

/* The cycle lock is held, so the world is not stopped meanwhile. */
void neap__gc_weak_map_purge(void)
{
	while (dead_weak_cores != NULL) {
		struct weak_core *core = dead_weak_cores;
		dead_weak_cores = core->next;
		weak_core_destroy(core);
	}
	const struct weak_core *purged = NULL;
	struct neap_map_iter iter;
	for (bool first = true, left = true; left; first = false) {
		neap__lock_take(&neap__weak_maps.lock);
		if (first)
			neap__weak_maps.at = neap__weak_maps.first;
		left = neap__weak_maps.at != NULL;
		if (left)
			purge_piece(&purged, &iter);
		neap__lock_give(&neap__weak_maps.lock);
	}
}

/* The child of a fork is in no cycle. */
void neap__gc_weak_maps_forked(void)
{
	for (struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next)
		neap__weak_white_close(core);
}

/* For fork, as neap__gc_maps_lock. */
void neap__gc_weak_maps_lock(bool take)
{
	for (struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next)
		(void)(take ? pthread_mutex_lock(&core->lock.mutex)
			    : pthread_mutex_unlock(&core->lock.mutex));
}
