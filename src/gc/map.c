/* map.c: maps as collected objects. The nouns are in map.h; cmap.c has the operations of concurrent ones.
 *
 * The marker reads a map in pieces, with the map's own iterator, under the map's lock. The iterator's promise, that
 * an entry which stays is produced exactly once however the map is changed meanwhile, is what makes this complete:
 * an entry that was there when the reading began and stays is produced; one that was put since went through the
 * barrier, which marked what it holds. What the map moves, splits or merges between two pieces does not matter, nor
 * does what lies in slots without an entry. So no map is read again in the last stop. Concurrent maps make the same
 * promise by neap__cmap_piece, without a lock.
 */
#include "gc/map.h"
#include "gc/cycle.h"
#include "gc/mark.h"
#include "gc/tables.h"
#include "neap/gc_map.h"

enum { PIECE_ENTRIES = 256 }; /* about 10 us under the lock */

static struct neap__map_core *all_cores, *dead_cores; /* under the lock of tables */

/* 0 for NULL; -1: it does not fit. */
static int number_of(struct neap_gc_type *type, uint32_t size)
{
	if (type == NULL)
		return 0;
	int number = type->size == size && type->tail == NULL ? neap__gc_type_number(type) : -1;
	return number > 0 && neap__gc.types[number].map ? -1 : number;
}

/* From now on the handle is an object of words: nobody takes what is in it, or was, for a core. */
static void disarm(struct neap__map_handle *handle)
{
	uint32_t head = 0, object = 0;
	(void)neap__gc_find((uintptr_t)handle, &head, &object);
	atomic_store_explicit(&neap__gc_span(head)->types[object], NEAP__GC_CONSERVATIVE,
			      memory_order_relaxed);
	atomic_store_explicit(&handle->core, NULL, memory_order_release);
}

struct neap__map_core *neap__map_core_create(void)
{
	struct neap__map_core *core = neap__meta_alloc(sizeof *core);
	if (core != NULL)
		neap__lock_init(&core->lock, NEAP__RANK_GC_MAP, 0);
	return core;
}

static void core_destroy(struct neap__map_core *core)
{
	neap_map_destroy(core->map);
	neap_cmap_destroy(core->cmap);
	neap__lock_deinit(&core->lock);
	neap__meta_free(core, sizeof *core);
}

void *neap__map_publish(struct neap__map_core *core, const struct neap_map_type *of, struct neap_gc_type *key,
			struct neap_gc_type *value)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	int key_number = number_of(key, of->key_size), value_number = number_of(value, of->value_size);
	struct neap__map_handle *handle = thread != NULL && key_number >= 0 && value_number >= 0
						  ? neap_gc_alloc(&neap__gc_map_type)
						  : NULL;
	if (handle == NULL) {
		core_destroy(core);
		return NULL;
	}
	core->key = (unsigned)key_number;
	core->value = (unsigned)value_number;
	core->key_size = of->key_size;
	core->value_size = of->value_size;
	core->text = of->kind == NEAP_KEY_STR;
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

struct neap_gc_map *neap_gc_map_create(const struct neap_map_type *type, struct neap_gc_type *key,
				       struct neap_gc_type *value, const struct neap_map_options *options)
{
	if (neap__gc_attached() == NULL || (options != NULL && options->strict_iteration))
		return NULL;
	struct neap__map_core *core = neap__map_core_create();
	if (core == NULL)
		return NULL;
	core->map = neap_map_create(type, options);
	if (core->map != NULL)
		return neap__map_publish(core, type, key, value);
	core_destroy(core);
	return NULL;
}

void neap__map_destroy(void *handle, const char *operation)
{
	struct neap__gc_thread *thread = handle != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return;
	struct neap__map_core *core = neap__map_core(handle);
	if (core == NULL)
		neap__gc_fault("destroyed before", handle, operation);
	neap__gc_enter(thread);
	/* Waits for a marker that is reading it; from then on there is nothing to read. */
	neap__lock_take(&neap__gc.mark_lock);
	neap__lock_take(&neap__gc.tables);
	struct neap__map_core **at = &all_cores;
	while (*at != core)
		at = &(*at)->next;
	*at = core->next;
	disarm(handle);
	neap__lock_give(&neap__gc.tables);
	neap__lock_give(&neap__gc.mark_lock);
	neap__gc_leave(thread);
	core_destroy(core);
	neap_gc_free(handle);
}

void neap_gc_map_destroy(struct neap_gc_map *map)
{
	neap__map_destroy(map, "neap_gc_map_destroy");
}

static void shade_word(uintptr_t word, void *ctx)
{
	neap__gc_shade(ctx, word);
}

void neap__map_shade(struct neap__gc_thread *thread, const struct neap__map_core *core, const void *key,
		     const void *value)
{
	if (core->key != 0)
		neap__gc_each_typed(key, core->key, shade_word, thread);
	if (core->value != 0 && value != NULL)
		neap__gc_each_typed(value, core->value, shade_word, thread);
}

int neap_gc_map_put(struct neap_gc_map *map, const void *key, const void *value)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (map == NULL || thread == NULL)
		return map == NULL ? NEAP_ENIL : NEAP_ENOMEM;
	struct neap__map_core *core = neap__map_core(map);
	neap__gc_enter(thread);
	neap__lock_take(&core->lock);
	int result = neap_map_put(core->map, key, value);
	if (neap__gc_is_marking())
		neap__map_shade(thread, core, key, value);
	neap__lock_give(&core->lock);
	neap__gc_leave(thread);
	return result;
}

void *neap_gc_map_get(const struct neap_gc_map *map, const void *key)
{
	if (map == NULL || (NEAP__GC_UNLIKELY(neap__gc_self == NULL) && neap__gc_attached() == NULL))
		return NULL;
	return neap_map_get(neap__map_core(map)->map, key);
}

bool neap_gc_map_delete(struct neap_gc_map *map, const void *key)
{
	struct neap__gc_thread *thread = map != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return false;
	struct neap__map_core *core = neap__map_core(map);
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
	struct neap__map_core *core = neap__map_core(map);
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
	return map != NULL ? neap_map_len(neap__map_core(map)->map) : 0;
}

struct neap_map *neap_gc_map_of(const struct neap_gc_map *map)
{
	return map != NULL ? neap__map_core(map)->map : NULL;
}

bool neap__gc_map_alive(const void *proxy)
{
	return neap__map_core(proxy) != NULL;
}

/* For fork, so that the child's maps are whole. Not in the order of ranks: a holder of such a lock takes no lock
 * of the tables, because the map's callbacks may not call the collector.
 */
void neap__gc_maps_lock(bool take)
{
	for (struct neap__map_core *core = all_cores; core != NULL; core = core->next)
		(void)(take ? pthread_mutex_lock(&core->lock.mutex)
			    : pthread_mutex_unlock(&core->lock.mutex));
}

/* The marker's side. */

static bool read_entries(struct neap__map_core *core, struct neap_map_iter *iter, size_t most,
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

/* An entry of a concurrent map, and who wants its words. */
struct reading {
	const struct neap__map_core *core;
	neap__gc_word_fn *each;
	void *ctx;
};

static bool read_entry(const void *key, const void *value, void *ctx)
{
	const struct reading *reading = ctx;
	if (reading->core->key != 0)
		neap__gc_each_typed(key, reading->core->key, reading->each, reading->ctx);
	if (reading->core->value != 0)
		neap__gc_each_typed(value, reading->core->value, reading->each, reading->ctx);
	return true;
}

bool neap__gc_map_piece(const void *proxy, bool first)
{
	struct neap__map_core *core = neap__map_core(proxy);
	if (core == NULL || (core->key == 0 && core->value == 0))
		return false;
	if (core->cmap != NULL) {
		struct reading reading = {core, mark_entry, NULL};
		core->at = first ? 0 : core->at;
		return neap__cmap_piece(core->cmap, &core->at, read_entry, &reading);
	}
	neap__lock_take(&core->lock);
	if (first)
		neap_map_iter_init(&core->iter, core->map);
	bool left = read_entries(core, &core->iter, PIECE_ENTRIES, mark_entry, NULL);
	neap__lock_give(&core->lock);
	return left;
}

void neap__gc_map_words(const void *proxy, neap__gc_word_fn *each, void *ctx)
{
	struct neap__map_core *core = neap__map_core(proxy);
	struct neap_map_iter iter;
	if (core == NULL)
		return;
	if (core->cmap != NULL) {
		struct reading reading = {core, each, ctx};
		for (uint64_t at = 0; neap__cmap_piece(core->cmap, &at, read_entry, &reading);)
			continue;
		return;
	}
	neap_map_iter_init(&iter, core->map);
	(void)read_entries(core, &iter, SIZE_MAX, each, ctx);
}

void neap__gc_map_select(void)
{
	uint32_t head, object;
	for (struct neap__map_core **at = &all_cores; *at != NULL;) {
		struct neap__map_core *core = *at;
		if (!neap__gc_find(core->handle, &head, &object) || neap__gc_marked(head, object)) {
			at = &core->next;
			continue;
		}
		*at = core->next;
		disarm((struct neap__map_handle *)core->handle);
		core->next = dead_cores;
		dead_cores = core;
	}
}

void neap__gc_map_release(void)
{
	for (;;) {
		neap__lock_take(&neap__gc.tables);
		struct neap__map_core *core = dead_cores;
		if (core != NULL)
			dead_cores = core->next;
		neap__lock_give(&neap__gc.tables);
		if (core == NULL)
			return;
		core_destroy(core);
	}
}
