/* bulk.c: operations on all entries at once. They take time proportional to the map. */
#include <string.h>

#include "map/internal.h"

bool neap__each_slot(const struct neap_map *map, neap__visit_fn *visit, void *ctx)
{
	for (uint32_t number = 0; number < neap__segment_count(map); number++) {
		for (uint32_t group = 0; group <= neap__last_group(map); group++) {
			const uint8_t *ctrl = neap__ctrl_at(map, number, group);
			uint8_t *slots = neap__slots_at(map, number, group);
			for (uint32_t mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK; mask != 0;
			     mask &= mask - 1) {
				size_t index = neap__first(mask);
				uint8_t *slot = slots + index * map->slot_size;
				uint64_t hash = neap__hash_from(neap__slot_hash(map, slot), ctrl[index]);
				if (!visit(slot, hash, ctx))
					return false;
			}
		}
	}
	for (uint32_t i = 0; i < map->spilled; i++) {
		uint8_t *slot = neap__spill_at(map, i);
		uint64_t hash = neap__hash_from(neap__slot_hash(map, slot), neap__spill_tags(map)[i]);
		if (!visit(slot, hash, ctx))
			return false;
	}
	return true;
}

/* ---- Deleting a choice of entries ---- */

struct deleting {
	struct neap_map *map;
	bool (*predicate)(const void *key, void *value, void *ctx);
	void *ctx;
	const char *operation;
	const void *caller;
};

static bool wants_out(const struct deleting *job, uint8_t *slot)
{
	void *key = neap__slot_key(job->map, slot), *value = neap__slot_value(job->map, slot);
	if (!job->predicate(key, value, job->ctx) ||
	    !neap__hook_allows_delete(job->map, key, value, job->operation, job->caller))
		return false;
	if (neap__slots_own(job->map))
		neap__slot_release(job->map, slot);
	return true;
}

static void delete_in_segment(const struct deleting *job, uint32_t number)
{
	struct neap_map *map = job->map;
	struct neap__segment *seg = &map->segs[number];
	for (uint32_t group = 0; group <= neap__last_group(map); group++) {
		uint8_t *ctrl = neap__ctrl_at(map, number, group);
		uint8_t *slots = neap__slots_at(map, number, group);
		for (uint32_t mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK; mask != 0; mask &= mask - 1) {
			size_t index = neap__first(mask);
			uint32_t tag = ctrl[index];
			if (!wants_out(job, slots + index * map->slot_size))
				continue;
			ctrl[index] = 0;
			NEAP__POISON(slots + index * map->slot_size, map->slot_size);
			seg->live--;
			seg->room = (uint16_t)(seg->room + !neap__overflowed(ctrl, tag));
			map->len--;
		}
	}
}

/* Returns how many; the map is not yet smaller. */
static size_t delete_all(const struct deleting *job)
{
	struct neap_map *map = job->map;
	size_t before = map->len;
	for (uint32_t i = map->spilled; i-- > 0;) {
		if (wants_out(job, neap__spill_at(map, i))) {
			neap__spill_remove(map, neap__spill_at(map, i));
			map->len--;
		}
	}
	for (uint32_t number = 0; number < neap__segment_count(map); number++)
		delete_in_segment(job, number);
	if (map->len != before)
		map->version++;
	return before - map->len;
}

static bool any_entry(const void *key, void *value, void *ctx)
{
	(void)key, (void)value, (void)ctx;
	return true;
}

/* Deletes what the hook does not hold back. */
static void delete_hooked(struct neap_map *map, const char *operation, const void *caller)
{
	struct deleting job = {map, any_entry, NULL, operation, caller};
	delete_all(&job);
}

/* ---- Clear ---- */

static bool release_one(uint8_t *slot, uint64_t hash, void *ctx)
{
	(void)hash;
	neap__slot_release(ctx, slot);
	return true;
}

static void release_all(struct neap_map *map)
{
	if (neap__slots_own(map))
		neap__each_slot(map, release_one, map);
}

void neap__map_discard(struct neap_map *map)
{
	neap__spill_free(map);
	map->spilled = 0;
	if (map->pool != NULL) {
		neap__pool_destroy(map);
		neap__small_reset(map);
	} else {
		neap__small_free(map);
	}
	map->len = 0;
	map->flags = (uint8_t)(map->flags & ~NEAP__DEGENERATE);
	map->epoch++;
	map->version++;
}

void neap_map_clear(struct neap_map *map)
{
	if (map == NULL)
		return;
	neap__write_open(map, "neap_map_clear");
	if (map->hook != NULL)
		delete_hooked(map, "neap_map_clear", __builtin_return_address(0));
	else
		release_all(map);
	if (map->hook == NULL || map->len == 0)
		neap__map_discard(map);
	neap__write_close(map, "neap_map_clear");
}

/* Empties every segment and keeps it. The entries were released. */
static void empty_all(struct neap_map *map)
{
	for (uint32_t number = 0; number < neap__segment_count(map); number++) {
		memset(neap__ctrl_at(map, number, 0), 0, (neap__last_group(map) + 1u) * NEAP__CONTROL_BYTES);
		map->segs[number].live = 0;
		map->segs[number].room = map->limit;
	}
	neap__spill_free(map);
	map->spilled = 0;
	map->len = 0;
	map->flags = (uint8_t)(map->flags & ~NEAP__DEGENERATE);
	map->epoch++;
	map->version++;
}

void neap_map_clear_keep(struct neap_map *map)
{
	if (map == NULL || map->len == 0)
		return;
	neap__write_open(map, "neap_map_clear_keep");
	if (map->hook != NULL)
		delete_hooked(map, "neap_map_clear_keep", __builtin_return_address(0));
	else
		release_all(map);
	if (map->hook == NULL || map->len == 0)
		empty_all(map);
	neap__write_close(map, "neap_map_clear_keep");
}

/* ---- Reserve and compact ---- */

static int split_all(struct neap_map *map, uint32_t depth)
{
	for (uint32_t number = 0; number < map->pool->count; number++) {
		while (neap__path_depth(map->segs[number].path) < depth) {
			int error = neap__segment_split(map, number);
			if (error != NEAP_OK)
				return error;
		}
	}
	return NEAP_OK;
}

static int reserve_pool(struct neap_map *map, size_t n)
{
	size_t fill = neap__expected_fill(map);
	uint32_t depth = 0;
	while (UINT32_C(1) << depth < neap__segments_most(map) && fill << depth < n)
		depth++;
	if (fill << depth < n)
		return NEAP_ETOOBIG;
	return map->pool == NULL ? neap__pool_from_small(map, UINT32_C(1) << depth) : split_all(map, depth);
}

int neap_map_reserve(struct neap_map *map, size_t n)
{
	if (map == NULL)
		return NEAP_ENIL;
	int error = NEAP_OK;
	neap__write_open(map, "neap_map_reserve");
	if (n > neap__small_most(map) && n > map->len)
		error = reserve_pool(map, n);
	else if (map->pool == NULL && n > map->limit)
		error = neap__small_resize(map, n);
	neap__write_close(map, "neap_map_reserve");
	return error;
}

/* Merges until no two buddies hold `most` entries or fewer, or `fewest` segments are left; the last ones first, as policy.c
 * says.
 */
static void merge_all(struct neap_map *map, uint32_t most, uint32_t fewest)
{
	bool merged = true;
	while (merged) {
		merged = false;
		for (uint32_t number = map->pool->count; number-- > 0;)
			while (number < map->pool->count && map->pool->count > fewest &&
			       neap__segment_merge(map, number, most)) {
				merged = true;
				neap__dir_step(map);
			}
	}
	neap__dir_shrink(map);
}

static size_t table_bytes(const struct neap_map *map)
{
	return map->pool != NULL ? neap__pool_bytes(map, map->pool->count) : neap__small_bytes(map);
}

int neap_map_compact(struct neap_map *map)
{
	if (map == NULL)
		return NEAP_OK;
	neap__write_open(map, "neap_map_compact");
	int error = NEAP_OK;
	if (map->shrink != NEAP_SHRINK_OFF) {
		if (map->pool != NULL)
			merge_all(map, neap__limit(map), 1);
		if (map->len == 0)
			neap__map_discard(map);
		else if (map->len <= neap__small_most(map) &&
			 neap__small_bytes_for(map, map->len) < table_bytes(map))
			error = neap__small_resize(map, map->len);
		if (map->pool != NULL)
			neap__pool_trim(map, true);
	}
	neap__write_close(map, "neap_map_compact");
	return error;
}

/* ---- Clone and equal ---- */

struct cloning {
	struct neap_map *to;
	const struct neap_map *from;
	int (*copy_value)(void *ret_value, const void *value, void *ctx);
	void *ctx;
	const void *unfilled; /* the value that copy_value refused to fill */
};

static bool clone_one(uint8_t *slot, uint64_t hash, void *ctx)
{
	struct cloning *job = ctx;
	uint8_t *copy = neap__map_insert(job->to, neap__slot_key(job->from, slot), hash);
	if (copy == NULL)
		return false;
	void *to = neap__slot_value(job->to, copy);
	const void *value = neap__slot_value(job->from, slot);
	if (job->copy_value == NULL) {
		if (job->from->type->value_size != 0)
			memcpy(to, value, job->from->type->value_size);
	} else {
		memset(to, 0, job->from->type->value_size);
		if (job->copy_value(to, value, job->ctx) == 0)
			return true;
		job->unfilled = to;
		return false;
	}
	return true;
}

static bool release_copy(uint8_t *slot, uint64_t hash, void *ctx)
{
	(void)hash;
	const struct cloning *job = ctx;
	void *value = neap__slot_value(job->to, slot);
	if (value != job->unfilled)
		job->to->type->release(NULL, value, job->to->type->release_ctx);
	return true;
}

/* Drops a clone that could not be finished. Keys and values copied as bytes are the source's: only what
 * copy_value made is released.
 */
static void abandon(struct cloning *job)
{
	if ((job->to->flags & NEAP__RELEASE) != 0 && job->copy_value != NULL)
		neap__each_slot(job->to, release_copy, job);
	job->to->flags = (uint8_t)(job->to->flags & ~NEAP__RELEASE);
	neap_map_destroy(job->to);
}

struct neap_map *neap_map_clone(const struct neap_map *map,
				int (*copy_value)(void *ret_value, const void *value, void *ctx), void *ctx)
{
	if (map == NULL)
		return NULL;
	neap__reading(map, "neap_map_clone");
	struct neap_map_options options = {.name = map->name,
					   .allocator = &map->allocator,
					   .reserve = map->len,
					   .floor = map->floor,
					   .shrink = map->shrink,
					   .strict_iteration = (map->flags & NEAP__STRICT) != 0,
					   .seed = map->seed};
	struct neap_map *clone = neap_map_create(map->type, &options);
	if (clone == NULL)
		return NULL;
	struct cloning job = {clone, map, copy_value, ctx, NULL};
	neap__write_open(clone, "neap_map_clone");
	bool complete = neap__each_slot(map, clone_one, &job);
	neap__write_close(clone, "neap_map_clone");
	if (!complete)
		abandon(&job);
	return complete ? clone : NULL;
}

struct comparing {
	const struct neap_map *a, *b;
	bool (*equal_value)(const void *a, const void *b);
};

static bool same_in_other(uint8_t *slot, uint64_t hash, void *ctx)
{
	(void)hash;
	const struct comparing *job = ctx;
	const void *other = neap_map_get(job->b, neap__slot_key(job->a, slot));
	const void *value = neap__slot_value(job->a, slot);
	if (other == NULL)
		return false;
	if (job->equal_value != NULL)
		return job->equal_value(value, other);
	return memcmp(value, other, job->a->type->value_size) == 0;
}

bool neap_map_equal(const struct neap_map *a, const struct neap_map *b,
		    bool (*equal_value)(const void *a, const void *b))
{
	if (neap_map_len(a) != neap_map_len(b))
		return false;
	if (neap_map_len(a) == 0)
		return true;
	neap__reading(a, "neap_map_equal");
	if (a->type->kind != b->type->kind || a->type->key_size != b->type->key_size ||
	    a->type->value_size != b->type->value_size)
		return false;
	struct comparing job = {a, b, equal_value};
	return neap__each_slot(a, same_in_other, &job);
}

/* ---- Delete-if ---- */

/* What many single deletes would have done to the size of the map. */
static void shrink_all(struct neap_map *map)
{
	if (map->shrink != NEAP_SHRINK_AUTO)
		return;
	if (map->pool != NULL)
		merge_all(map, NEAP__MERGE_LIMIT(neap__limit(map)), neap__fewest_segments(map));
	for (uint32_t before = 0;
	     map->segs[0].live <= map->shrink_at && before != neap__last_group(map) + 1u;) {
		before = neap__last_group(map) + 1u;
		neap__map_sparse(map, &map->segs[0]);
	}
}

size_t neap_map_delete_if(struct neap_map *map, bool (*predicate)(const void *key, void *value, void *ctx),
			  void *ctx)
{
	if (neap_map_len(map) == 0)
		return 0;
	neap__write_open(map, "neap_map_delete_if");
	struct deleting job = {map, predicate, ctx, "neap_map_delete_if", __builtin_return_address(0)};
	size_t deleted = delete_all(&job);
	if (deleted != 0)
		shrink_all(map);
	neap__write_close(map, "neap_map_delete_if");
	return deleted;
}
