/* table.c: see table.h. */
#include "lab/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "neap/hmap.h"
#include "neap/map.h"

const char *const table_names[TABLE_KINDS] = {"classic", "neap"};

/* The value in both maps. */
struct table_value {
	struct file_facts facts;
	char *block; /* the key's bytes; freed when the entry goes */
};

struct table {
	enum table_kind kind;
	struct neap_map *map;	/* TABLE_NEAP */
	struct neap_hmap *hmap; /* TABLE_CLASSIC */
	struct neap_map_type type;
	struct neap_hmap_type hmap_type;
	struct neap_meter meter;
	struct neap_allocator allocator;
	size_t key_bytes;  /* in blocks that the map's entries own */
	bool handing_over; /* the old map goes, its blocks are the new one's */
};

static void *must_have(void *block)
{
	if (block == NULL) {
		fprintf(stderr, "neap: out of memory in the measuring process\n");
		exit(1);
	}
	return block;
}

static void release_value(struct table *table, struct table_value *value)
{
	if (table->handing_over)
		return;
	free(value->block);
}

static void release_entry(void *key, void *value, void *ctx)
{
	struct table *table = ctx;
	if (key != NULL && !table->handing_over)
		table->key_bytes -= ((struct neap_str *)key)->len;
	release_value(table, value);
}

static void release_classic(void *value, void *ctx)
{
	release_value(ctx, value);
}

static void create_map(struct table *table, size_t reserve)
{
	if (table->kind == TABLE_NEAP) {
		const struct neap_map_options options = {
			.name = "tour", .allocator = &table->allocator, .reserve = reserve};
		table->map = must_have(neap_map_create(&table->type, &options));
	} else {
		const struct neap_hmap_options options = {
			.name = "tour", .allocator = &table->allocator, .hint = reserve};
		table->hmap = must_have(neap_hmap_create(&table->hmap_type, &options));
	}
}

struct table *table_create(enum table_kind kind, size_t reserve)
{
	struct table *table = must_have(calloc(1, sizeof *table));
	table->kind = kind;
	table->type = (struct neap_map_type){.size = sizeof table->type,
					     .kind = NEAP_KEY_STR,
					     .key_size = sizeof(struct neap_str),
					     .key_align = _Alignof(struct neap_str),
					     .value_size = sizeof(struct table_value),
					     .value_align = _Alignof(struct table_value),
					     .release = release_entry,
					     .release_ctx = table};
	table->hmap_type = (struct neap_hmap_type){.size = sizeof table->hmap_type,
						   .kind = NEAP_HMAP_STR,
						   .flags = NEAP_HMAP_VALUE_POINTERS,
						   .key_size = sizeof(struct neap_str),
						   .key_align = _Alignof(struct neap_str),
						   .value_size = sizeof(struct table_value),
						   .value_align = _Alignof(struct table_value),
						   .release = release_classic,
						   .release_ctx = table};
	table->allocator = neap_meter_allocator(&table->meter);
	create_map(table, reserve);
	return table;
}

static void destroy_map(struct table *table)
{
	neap_map_destroy(table->map);
	neap_hmap_destroy(table->hmap);
	table->map = NULL;
	table->hmap = NULL;
}

void table_destroy(struct table *table)
{
	destroy_map(table);
	free(table);
}

static struct table_value *find(const struct table *table, struct neap_str key)
{
	return table->kind == TABLE_NEAP ? neap_map_get(table->map, &key) : neap_hmap_get(table->hmap, &key);
}

bool table_put(struct table *table, struct neap_str key, const struct file_facts *facts)
{
	struct table_value *present = find(table, key);
	if (present != NULL) {
		present->facts = *facts;
		return false;
	}
	char *block = must_have(malloc(key.len));
	memcpy(block, key.ptr, key.len);
	const struct neap_str own = {block, key.len, 0};
	const struct table_value value = {*facts, block};
	int error = table->kind == TABLE_NEAP ? neap_map_put(table->map, &own, &value)
					      : neap_hmap_put(table->hmap, &own, &value);
	must_have(error == 0 ? block : NULL);
	table->key_bytes += key.len;
	return true;
}

bool table_delete(struct table *table, struct neap_str key)
{
	if (table->kind == TABLE_NEAP)
		return neap_map_delete(table->map, &key);
	bool deleted = neap_hmap_delete(table->hmap, &key);
	table->key_bytes -= deleted ? key.len : 0;
	return deleted;
}

size_t table_len(const struct table *table)
{
	return table->kind == TABLE_NEAP ? neap_map_len(table->map) : neap_hmap_len(table->hmap);
}

void table_clear_keep(struct table *table)
{
	if (table->kind == TABLE_NEAP) {
		neap_map_clear_keep(table->map);
	} else {
		neap_hmap_clear(table->hmap);
		table->key_bytes = 0;
	}
}

void table_clear(struct table *table)
{
	if (table->kind == TABLE_NEAP)
		neap_map_clear(table->map);
	else
		table_clear_keep(table);
}

static void rebuild_classic(struct table *table)
{
	struct neap_hmap *old = table->hmap;
	create_map(table, neap_hmap_len(old));
	struct neap_hmap_iter it;
	neap_hmap_iter_init(&it, old);
	while (neap_hmap_iter_next(&it))
		must_have(neap_hmap_put(table->hmap, it.key, it.value) == 0 ? it.value : NULL);
	neap_hmap_iter_deinit(&it);
	neap_hmap_destroy(old);
}

static void rebuild_neap(struct table *table)
{
	struct neap_map *old = table->map;
	create_map(table, neap_map_len(old));
	neap_map_each (it, old) {
		must_have(neap_map_put(table->map, it.key, it.value) == 0 ? it.value : NULL);
	}
	neap_map_destroy(old);
}

void table_rebuild(struct table *table)
{
	table->handing_over = true;
	if (table->kind == TABLE_NEAP)
		rebuild_neap(table);
	else
		rebuild_classic(table);
	table->handing_over = false;
}

size_t table_bytes(const struct table *table)
{
	if (table->kind == TABLE_NEAP)
		return neap_map_bytes(table->map);
	struct neap_hmap_stats stats = {.size = sizeof stats};
	neap_hmap_stats(table->hmap, &stats);
	return stats.total;
}

size_t table_slots(const struct table *table)
{
	if (table->kind == TABLE_CLASSIC) {
		struct neap_hmap_stats stats = {.size = sizeof stats};
		neap_hmap_stats(table->hmap, &stats);
		return stats.slots;
	}
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(table->map, &stats);
	return stats.slots;
}

void table_moves(const struct table *table, size_t *ret_most, size_t *ret_bound)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(table->map, &stats);
	*ret_most = stats.max_moved_in_operation;
	*ret_bound = table->map != NULL ? neap_map_move_bound(table->map) : 0;
}

void parts_of_hmap(const void *map, struct neap_parts *ret)
{
	struct neap_hmap_stats stats = {.size = sizeof stats};
	neap_hmap_stats(map, &stats);
	ret->live += stats.live;
	ret->tombstone += stats.tombstone;
	ret->empty += stats.empty;
	ret->free_held += stats.evacuated + stats.retired;
	ret->metadata += stats.metadata;
	ret->objects += stats.len;
	ret->spans += stats.buckets + stats.old_buckets + stats.overflow_buckets + stats.spare_buckets;
}

static void parts_of_keys(const void *object, struct neap_parts *ret)
{
	const struct table *table = object;
	ret->live += table->key_bytes;
	ret->from_malloc += table->key_bytes;
}

void table_sources(const struct table *table, struct neap_source ret[TABLE_SOURCES])
{
	ret[0] = table->kind == TABLE_NEAP ? (struct neap_source){neap_parts_of_map, table->map}
					   : (struct neap_source){parts_of_hmap, table->hmap};
	ret[1] = (struct neap_source){neap_parts_of_meter, &table->meter};
	ret[2] = (struct neap_source){parts_of_keys, table};
}
