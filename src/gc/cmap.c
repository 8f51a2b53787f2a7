/* cmap.c: the operations of concurrent maps as collected objects. map.h has the nouns, map.c the marker's side.
 *
 * Every operation is made by a busy thread, so that no stop comes between its steps:
 *
 *   a load     copies the value to where the collector finds it. In the middle the value may be in the map no longer
 *              (somebody deletes it), and not yet there.
 *   a store    marks what it stored, while marking runs. The marker may have passed the slot before.
 *
 * The marker shows every entry that was there and stays (src/cmap/collect.c), and what else the map has was stored
 * since: so when marking ends, everything in the map is marked.
 *
 * A thread without a reader's record of its own is turned away. It would share one under a lock, wait for that while it is
 * busy, and a stop would wait for it, while the lock's holder is stopped.
 *
 * Tables and nodes are the map's own memory, not the collector's: a table may hold words that no longer belong to an
 * entry, and a conservative reader would keep what these point to. So reads have sections here too.
 */
#include "neap/gc_cmap.h"

#include <string.h>

#include "gc/cycle.h"
#include "gc/map.h"

/* NULL: no map, or no memory to attach the thread. Otherwise the thread is busy until cmap_end. */
static struct neap__map_core *cmap_begin(const struct neap_gc_cmap *map)
{
	if (map == NULL || neap__gc_attached() == NULL ||
	    (NEAP__GC_UNLIKELY(neap__reader_plain == NULL) && !neap__cmap_join()))
		return NULL;
	neap__gc_enter(neap__gc_self);
	return neap__map_core(map);
}

static void cmap_end(void)
{
	neap__gc_leave(neap__gc_self);
}

/* After a write that stored: result as the caller's. */
static int cmap_stored(const struct neap__map_core *core, const void *key, const void *value, int result)
{
	if (result >= 0 && neap__gc_is_marking())
		neap__map_shade(neap__gc_self, core, key, value);
	cmap_end();
	return result;
}

static bool cmap_deleted(bool deleted)
{
	cmap_end();
	neap__gc_pace_drop(deleted);
	return deleted;
}

static int not_begun(const struct neap_gc_cmap *map)
{
	return map == NULL ? NEAP_ENIL : NEAP_ENOMEM;
}

struct neap_gc_cmap *neap_gc_cmap_create(const struct neap_map_type *type, struct neap_gc_type *key,
					 struct neap_gc_type *value, const struct neap_cmap_options *options)
{
	struct neap_cmap *cmap = neap__gc_attached() != NULL ? neap_cmap_create(type, options) : NULL;
	struct neap__map_core *core = cmap != NULL ? neap__map_core_create() : NULL;
	if (core == NULL) {
		neap_cmap_destroy(cmap);
		return NULL;
	}
	core->cmap = cmap;
	return neap__map_publish(core, type, key, value);
}

void neap_gc_cmap_destroy(struct neap_gc_cmap *map)
{
	neap__map_destroy(map, "neap_gc_cmap_destroy");
}

bool neap_gc_cmap_load(const struct neap_gc_cmap *map, const void *key, void *ret_value)
{
	const struct neap__map_core *core = cmap_begin(map);
	if (core == NULL)
		return false;
	bool found = neap_cmap_load(core->cmap, key, ret_value);
	cmap_end();
	return found;
}

int neap_gc_cmap_store(struct neap_gc_cmap *map, const void *key, const void *value)
{
	const struct neap__map_core *core = cmap_begin(map);
	return core != NULL ? cmap_stored(core, key, value, neap_cmap_store(core->cmap, key, value))
			    : not_begun(map);
}

int neap_gc_cmap_load_or_store(struct neap_gc_cmap *map, const void *key, const void *value, void *ret_value)
{
	const struct neap__map_core *core = cmap_begin(map);
	return core != NULL ? cmap_stored(core, key, value,
					  neap_cmap_load_or_store(core->cmap, key, value, ret_value))
			    : not_begun(map);
}

bool neap_gc_cmap_delete(struct neap_gc_cmap *map, const void *key)
{
	const struct neap__map_core *core = cmap_begin(map);
	return core != NULL && cmap_deleted(neap_cmap_delete(core->cmap, key));
}

bool neap_gc_cmap_load_and_delete(struct neap_gc_cmap *map, const void *key, void *ret_value)
{
	const struct neap__map_core *core = cmap_begin(map);
	return core != NULL && cmap_deleted(neap_cmap_load_and_delete(core->cmap, key, ret_value));
}

int neap_gc_cmap_compare_and_swap(struct neap_gc_cmap *map, const void *key, const void *expected,
				  const void *value)
{
	const struct neap__map_core *core = cmap_begin(map);
	return core != NULL ? cmap_stored(core, key, value,
					  neap_cmap_compare_and_swap(core->cmap, key, expected, value))
			    : not_begun(map);
}

bool neap_gc_cmap_compare_and_delete(struct neap_gc_cmap *map, const void *key, const void *expected)
{
	const struct neap__map_core *core = cmap_begin(map);
	return core != NULL && cmap_deleted(neap_cmap_compare_and_delete(core->cmap, key, expected));
}

/* ---- Range: the entries of a shard are copied into an object whose words are read conservatively ---- */

/* | key, rounded up | value, rounded up | bytes of a string key, rounded up |  and so on */
struct copies {
	const struct neap__map_core *core;
	size_t room, used; /* bytes */
	char *at;
	bool full;
};

static size_t rounded(size_t bytes)
{
	return (bytes + 15) & ~(size_t)15;
}

static size_t key_text_bytes(const struct neap__map_core *core, const void *key)
{
	return core->text ? ((const struct neap_str *)key)->len : 0;
}

static size_t copy_bytes(const struct neap__map_core *core, const void *key)
{
	return rounded(core->key_size) + rounded(core->value_size) + rounded(key_text_bytes(core, key));
}

static bool copy_entry(const void *key, const void *value, void *ctx)
{
	struct copies *copies = ctx;
	const struct neap__map_core *core = copies->core;
	copies->full = copy_bytes(core, key) > copies->room - copies->used;
	if (copies->full)
		return false;
	char *to = copies->at + copies->used,
	     *text = to + rounded(core->key_size) + rounded(core->value_size);
	memcpy(to, key, core->key_size);
	memcpy(to + rounded(core->key_size), value, core->value_size);
	if (key_text_bytes(core, key) != 0) {
		memcpy(text, ((const struct neap_str *)key)->ptr, key_text_bytes(core, key));
		((struct neap_str *)(void *)to)->ptr = text;
	}
	copies->used += copy_bytes(core, key);
	return true;
}

/* False: `each` has seen enough. */
static bool copies_show(const struct copies *copies,
			bool (*each)(const void *key, const void *value, void *ctx), void *ctx)
{
	for (size_t i = 0; i < copies->used;) {
		const char *key = copies->at + i;
		i += copy_bytes(copies->core, key);
		if (!each(key, key + rounded(copies->core->key_size), ctx))
			return false;
	}
	return true;
}

/* Copies the shard at `*at`, which moves on when there was room for all. */
static int copy_shard(const struct neap_gc_cmap *map, uint64_t *at, struct copies *copies)
{
	const struct neap__map_core *core = cmap_begin(map);
	if (core == NULL)
		return not_begun(map);
	copies->used = 0;
	copies->full = false;
	int result = neap__cmap_range_shard(core->cmap, at, copy_entry, copies);
	cmap_end();
	return result;
}

int neap_gc_cmap_range(const struct neap_gc_cmap *map,
		       bool (*each)(const void *key, const void *value, void *ctx), void *ctx)
{
	enum { ROOM_FIRST = 4096 };
	if (map == NULL)
		return NEAP_OK;
	if (neap__gc_attached() == NULL)
		return NEAP_ENOMEM;
	struct copies copies = {.core = neap__map_core(map)};
	uint64_t at = 0;
	int result;
	do {
		if (copies.at == NULL || copies.full) {
			copies.room = copies.at == NULL ? ROOM_FIRST : 2 * copies.room;
			copies.at = neap_gc_alloc_words(copies.room);
		}
		result = copies.at != NULL ? copy_shard(map, &at, &copies) : NEAP_ENOMEM;
	} while (result == NEAP_OK && (copies.full || (copies_show(&copies, each, ctx) && at != 0)));
	return result;
}

void neap_gc_cmap_clear(struct neap_gc_cmap *map)
{
	const struct neap__map_core *core = cmap_begin(map);
	if (core == NULL)
		return;
	size_t entries = neap_cmap_len(core->cmap);
	neap_cmap_clear(core->cmap);
	cmap_end();
	neap__gc_pace_drop(entries);
}

size_t neap_gc_cmap_len(const struct neap_gc_cmap *map)
{
	const struct neap__map_core *core = cmap_begin(map);
	size_t len = core != NULL ? neap_cmap_len(core->cmap) : 0;
	if (core != NULL)
		cmap_end();
	return len;
}

void neap_gc_cmap_stats(const struct neap_gc_cmap *map, struct neap_cmap_stats *ret)
{
	const struct neap__map_core *core = cmap_begin(map);
	neap_cmap_stats(core != NULL ? core->cmap : NULL, ret);
	if (core != NULL)
		cmap_end();
}
