/* retire.c: what was deleted waits here until no reader can see it.
 *
 *   shard: waiting  --1 KB-->  map: fresh  --stamp-->  map: pending  --epoch passed-->  freed, released
 *
 * A shard collects nodes under its own lock, so that deletes share no memory beyond their shard. `pending` is one
 * batch with one stamp; while its readers have not left, everything else gathers in `fresh`.
 *
 * Things are linked through themselves, so waiting takes no memory. They are freed after the lock is given back,
 * because a release callback may do anything.
 */
#include "cmap/table.h"

void neap__list_add(struct neap__retired_list *list, struct neap__retired *retired, size_t bytes)
{
	retired->next = NULL;
	if (list->first == NULL)
		list->end = &list->first;
	*list->end = retired;
	list->end = &retired->next;
	list->bytes += bytes;
}

/* Moves everything from one list to the end of another. */
static void list_move(struct neap__retired_list *to, struct neap__retired_list *from)
{
	if (from->first == NULL)
		return;
	if (to->first == NULL)
		to->end = &to->first;
	*to->end = from->first;
	to->end = from->end;
	to->bytes += from->bytes;
	*from = (struct neap__retired_list){0};
}

void neap__retire_node(struct neap__cmap_shard *shard, struct neap__node *node, enum neap__retired_kind kind)
{
	node->retired.kind = kind;
	shard->node_bytes -= node->retired.size;
	neap__list_add(&shard->waiting, &node->retired, node->retired.size);
}

static size_t retired_bytes(const struct neap__retired *retired)
{
	const void *whole = retired;
	const struct neap__cmap_table *table = whole;
	const struct neap__directory *directory = whole;
	switch (retired->kind) {
	case NEAP__RETIRED_TABLE:
	case NEAP__RETIRED_CONTENTS: return sizeof *table + table->bytes + table->contents;
	case NEAP__RETIRED_SHARD: return sizeof(struct neap__cmap_shard);
	case NEAP__RETIRED_DIRECTORY: return neap__directory_bytes(directory->depth);
	default: return retired->size;
	}
}

static void hint(struct neap_cmap *map)
{
	atomic_store_explicit(&map->waiting_hint, map->fresh.bytes + map->pending.bytes,
			      memory_order_relaxed);
}

void neap__retire(struct neap_cmap *map, struct neap__retired *retired, enum neap__retired_kind kind)
{
	retired->kind = kind;
	neap__word_lock_take(&map->retirement);
	neap__list_add(&map->fresh, retired, retired_bytes(retired));
	hint(map);
	neap__word_lock_give(&map->retirement);
}

void neap__retire_flush(struct neap_cmap *map, struct neap__cmap_shard *shard)
{
	if (shard->waiting.first == NULL)
		return;
	neap__word_lock_take(&map->retirement);
	list_move(&map->fresh, &shard->waiting);
	hint(map);
	neap__word_lock_give(&map->retirement);
}

static void release_node(struct neap_cmap *map, struct neap__node *node, uint32_t kind)
{
	const struct neap_map_type *type = map->type;
	if (type->release != NULL)
		type->release(kind == NEAP__RETIRED_VALUE ? NULL : neap__node_key(map, node),
			      kind == NEAP__RETIRED_KEY ? NULL : neap__node_value(map, node),
			      type->release_ctx);
	neap__node_free(map, node);
}

static void free_contents(struct neap_cmap *map, struct neap__cmap_table *table)
{
	if (neap__cmap_has_nodes(map))
		for (struct neap__walk w = neap__walk_start(map, table->word); neap__walk_next(&w);)
			release_node(map, neap__slot_node(w.spot.bucket, w.spot.slot), NEAP__RETIRED_NODE);
	neap__table_free(map, table);
}

static void free_list(struct neap_cmap *map, struct neap__retired_list *list)
{
	for (struct neap__retired *retired = list->first, *next; retired != NULL; retired = next) {
		next = retired->next;
		void *whole = retired;
		switch (retired->kind) {
		case NEAP__RETIRED_TABLE: neap__table_free(map, whole); break;
		case NEAP__RETIRED_CONTENTS: free_contents(map, whole); break;
		case NEAP__RETIRED_SHARD: neap__cmap_free(map, whole, sizeof(struct neap__cmap_shard)); break;
		case NEAP__RETIRED_DIRECTORY: neap__directory_free(map, whole); break;
		default: release_node(map, whole, retired->kind); break;
		}
	}
}

/* Moves to `done` what no reader can see, at most two batches; the retirement lock is held. */
static void collect(struct neap_cmap *map, struct neap__retired_list *done)
{
	for (int batch = 0; batch < 2; batch++) {
		if (map->pending.first == NULL) {
			if (map->fresh.first == NULL)
				break;
			list_move(&map->pending, &map->fresh);
			map->stamp = neap__epoch_stamp();
		}
		if (!neap__epoch_passed(map->stamp))
			break;
		list_move(done, &map->pending);
	}
	map->ask_at = map->fresh.bytes + map->pending.bytes + NEAP__WAIT_BATCH;
	hint(map);
}

size_t neap_cmap_reclaim(struct neap_cmap *map)
{
	struct neap__retired_list done = {0};
	if (map == NULL)
		return 0;
	struct neap__section section = neap__enter(); /* only to keep the shards while they are visited */
	uint64_t hash = 0;
	do {
		struct neap__cmap_shard *shard = neap__shard_take(map, hash);
		hash = neap__shard_end(shard);
		neap__retire_flush(map, shard);
		neap__word_lock_give(&shard->lock);
	} while (hash != 0);
	neap__leave(section);
	neap__word_lock_take(&map->retirement);
	collect(map, &done);
	size_t left = map->fresh.bytes + map->pending.bytes;
	neap__word_lock_give(&map->retirement);
	atomic_fetch_add_explicit(&map->reclaims, 1, memory_order_relaxed);
	free_list(map, &done);
	return left;
}

void neap__reclaim_some(struct neap_cmap *map, bool reader)
{
	if (atomic_load_explicit(&map->waiting_hint, memory_order_relaxed) < NEAP__WAIT_BATCH)
		return;
	struct neap__retired_list done = {0};
	if (!neap__word_lock_try(&map->retirement))
		return; /* whoever has it is adding or asking */
	if (reader || map->fresh.bytes + map->pending.bytes >= map->ask_at) {
		collect(map, &done);
		atomic_fetch_add_explicit(&map->reclaims, 1, memory_order_relaxed);
	}
	neap__word_lock_give(&map->retirement);
	free_list(map, &done);
}

void neap__reclaim_all(struct neap_cmap *map)
{
	list_move(&map->pending, &map->fresh);
	free_list(map, &map->pending);
	map->pending = (struct neap__retired_list){0};
}
