/* map.c: maps as collected objects.
 *
 *     handle (collected, one word) -> core (lock, map, the marker's iterator) -> struct neap_map (any allocator)
 *
 * The marker reads a map in pieces, with the map's own iterator, under the map's lock. The iterator's promise, that
 * an entry which stays is produced exactly once however the map is changed meanwhile, is what makes this complete:
 * an entry that was there when the reading began and stays is produced; one that was put since went through the
 * barrier, which marked what it holds. What the map moves, splits or merges between two pieces does not matter, nor
 * does what lies in slots without an entry. So no map is read again in the last stop.
 */
#include "neap/gc_map.h"

#include "gc/map_core.h"

enum { PIECE_ENTRIES = 256 }; /* about 10 us under the lock */

static struct map_core *all_cores, *dead_cores; /* under the lock of tables */

static struct map_core *core_of(const struct neap_gc_map *map)
{
	return atomic_load_explicit(&map->core, memory_order_acquire);
}

/* 0 for NULL; -1: it does not fit. */
static int number_of(struct neap_gc_type *type, uint32_t size)
{
	if (type == NULL)
		return 0;
	int number = type->size == size && type->tail == NULL ? neap__gc_type_number(type) : -1;
	return number > 0 && neap__gc.types[number].map ? -1 : number;
}

/* From now on the handle is an object of words: nobody takes what is in it, or was, for a core. */
static void disarm(struct neap_gc_map *map)
{
	uint32_t head = 0, object = 0;
	(void)neap__gc_find((uintptr_t)map, &head, &object);
	atomic_store_explicit(&neap__gc_span(head)->types[object], NEAP__GC_CONSERVATIVE,
			      memory_order_relaxed);
	atomic_store_explicit(&map->core, NULL, memory_order_release);
}

static struct map_core *core_create(const struct neap_map_type *type, const struct neap_map_options *options)
{
	struct map_core *core = neap__meta_alloc(sizeof *core);
	if (core == NULL)
		return NULL;
	core->map = neap_map_create(type, options);
	if (core->map == NULL) {
		neap__meta_free(core, sizeof *core);
		return NULL;
	}
	neap__lock_init(&core->lock, NEAP__RANK_GC_MAP, 0);
	return core;
}

struct neap_gc_map *neap_gc_map_create(const struct neap_map_type *type, struct neap_gc_type *key,
				       struct neap_gc_type *value, const struct neap_map_options *options)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL || (options != NULL && options->strict_iteration))
		return NULL;
	int key_number = number_of(key, type->key_size), value_number = number_of(value, type->value_size);
	struct neap_gc_map *handle =
		key_number >= 0 && value_number >= 0 ? neap_gc_alloc(&neap__gc_map_type) : NULL;
	struct map_core *core = handle != NULL ? core_create(type, options) : NULL;
	if (core == NULL) {
		if (handle != NULL)
			disarm(handle);
		return NULL;
	}
	core->key = (unsigned)key_number;
	core->value = (unsigned)value_number;
	core->handle = (uintptr_t)handle;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.tables);
	core->next = all_cores;
	all_cores = core;
	atomic_store_explicit(&handle->core, core, memory_order_release);
	neap__lock_give(&neap__gc.tables);
	neap__gc_leave(thread);
	return handle;
}

static void core_destroy(struct map_core *core)
{
	neap_map_destroy(core->map);
	neap__meta_free(core, sizeof *core);
}

void neap_gc_map_destroy(struct neap_gc_map *map)
{
	struct neap__gc_thread *thread = map != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return;
	struct map_core *core = core_of(map);
	if (core == NULL)
		neap__gc_fault("destroyed before", map, "neap_gc_map_destroy");
	neap__gc_enter(thread);
	/* Waits for a marker that is reading it; from then on there is nothing to read. */
	neap__lock_take(&neap__gc.mark_lock);
	neap__lock_take(&neap__gc.tables);
	struct map_core **at = &all_cores;
	while (*at != core)
		at = &(*at)->next;
	*at = core->next;
	disarm(map);
	neap__lock_give(&neap__gc.tables);
	neap__lock_give(&neap__gc.mark_lock);
	neap__gc_leave(thread);
	core_destroy(core);
	neap_gc_free(map);
}

static void shade_word(uintptr_t word, void *ctx)
{
	neap__gc_shade(ctx, word);
}

int neap_gc_map_put(struct neap_gc_map *map, const void *key, const void *value)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (map == NULL || thread == NULL)
		return map == NULL ? NEAP_ENIL : NEAP_ENOMEM;
	struct map_core *core = core_of(map);
	neap__gc_enter(thread);
	neap__lock_take(&core->lock);
	int result = neap_map_put(core->map, key, value);
	if (neap__gc_is_marking()) {
		if (core->key != 0)
			neap__gc_each_typed(key, core->key, shade_word, thread);
		if (core->value != 0 && value != NULL)
			neap__gc_each_typed(value, core->value, shade_word, thread);
	}
	neap__lock_give(&core->lock);
	neap__gc_leave(thread);
	return result;
}

void *neap_gc_map_get(const struct neap_gc_map *map, const void *key)
{
	if (map == NULL || (NEAP__GC_UNLIKELY(neap__gc_self == NULL) && neap__gc_attached() == NULL))
		return NULL;
	return neap_map_get(core_of(map)->map, key);
}

bool neap_gc_map_delete(struct neap_gc_map *map, const void *key)
{
	struct neap__gc_thread *thread = map != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return false;
	struct map_core *core = core_of(map);
	neap__gc_enter(thread);
	neap__lock_take(&core->lock);
	bool deleted = neap_map_delete(core->map, key);
	neap__lock_give(&core->lock);
	neap__gc_leave(thread);
	neap__gc_pace_drop(deleted);
	return deleted;
}

void neap_gc_map_clear(struct neap_gc_map *map)
{
	struct neap__gc_thread *thread = map != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return;
	struct map_core *core = core_of(map);
	neap__gc_enter(thread);
	neap__lock_take(&core->lock);
	size_t entries = neap_map_len(core->map);
	neap_map_clear(core->map);
	neap__lock_give(&core->lock);
	neap__gc_leave(thread);
	neap__gc_pace_drop(entries);
}

size_t neap_gc_map_len(const struct neap_gc_map *map)
{
	return map != NULL ? neap_map_len(core_of(map)->map) : 0;
}

struct neap_map *neap_gc_map_of(const struct neap_gc_map *map)
{
	return map != NULL ? core_of(map)->map : NULL;
}

bool neap__gc_map_alive(const void *proxy)
{
	return core_of(proxy) != NULL;
}

/* For fork, so that the child's maps are whole. Not in the order of ranks: a holder of such a lock takes no lock
 * of the tables, because the map's callbacks may not call the collector.
 */
void neap__gc_maps_lock(bool take)
{
	for (struct map_core *core = all_cores; core != NULL; core = core->next)
		(void)(take ? pthread_mutex_lock(&core->lock.mutex)
			    : pthread_mutex_unlock(&core->lock.mutex));
}

/* The marker's side. */

static bool read_entries(struct map_core *core, struct neap_map_iter *iter, size_t most,
			 neap__gc_word_fn *each, void *ctx)
{
	while (most-- > 0) {
		if (!neap_map_iter_next(iter))
			return false;
		if (core->key != 0)
			neap__gc_each_typed(iter->key, core->key, each, ctx);
		if (core->value != 0)
			neap__gc_each_typed(iter->value, core->value, each, ctx);
	}
	return true;
}

static void mark_entry(uintptr_t word, void *unused)
{
	(void)unused;
	neap__gc_mark_word(word);
}

bool neap__gc_map_piece(const void *proxy, bool first)
{
	struct map_core *core = core_of(proxy);
	if (core == NULL || (core->key == 0 && core->value == 0))
		return false;
	neap__lock_take(&core->lock);
	if (first)
		neap_map_iter_init(&core->iter, core->map);
	bool left = read_entries(core, &core->iter, PIECE_ENTRIES, mark_entry, NULL);
	neap__lock_give(&core->lock);
	return left;
}

void neap__gc_map_words(const void *proxy, neap__gc_word_fn *each, void *ctx)
{
	struct map_core *core = core_of(proxy);
	struct neap_map_iter iter;
	if (core == NULL)
		return;
	neap_map_iter_init(&iter, core->map);
	(void)read_entries(core, &iter, SIZE_MAX, each, ctx);
}

void neap__gc_map_select(void)
{
	uint32_t head, object;
	for (struct map_core **at = &all_cores; *at != NULL;) {
		struct map_core *core = *at;
		if (!neap__gc_find(core->handle, &head, &object) || neap__gc_marked(head, object)) {
			at = &core->next;
			continue;
		}
		*at = core->next;
		disarm((struct neap_gc_map *)core->handle);
		core->next = dead_cores;
		dead_cores = core;
	}
}

void neap__gc_map_release(void)
{
	for (;;) {
		neap__lock_take(&neap__gc.tables);
		struct map_core *core = dead_cores;
		if (core != NULL)
			dead_cores = core->next;
		neap__lock_give(&neap__gc.tables);
		if (core == NULL)
			return;
		core_destroy(core);
	}
}
