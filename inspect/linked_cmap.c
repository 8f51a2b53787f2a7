/* linked_cmap.c: the concurrent maps of libneap: where they are, and their entries. docs/layout.md has the layout.
 *
 *   directory  words (table, shard) by the leading bits of the hash; neighbours may be of one shard
 *   table      its buckets' address, and in bits 63 and 0 to 5 how many there are
 *   bucket     tags, one byte a slot (0: no entry), then the slots: words of key and value, or the address of a node
 */
#include <string.h>

#include "linked_process.h"

enum {
	DEPTH_MOST = 24,
	BUCKET_BYTES_LIMIT = 4096,
	SLOT_LIMIT = 1 << 20, /* bytes of a key, or of a value */
	TABLE_LOG_MOST = 32,
	TABLE_CODE = 33, /* what the lowest bits of a table's word are subtracted from */
};

#define TABLE_ADDRESS 0x7fffffffffffffc0ull
#define BUCKETS_LIMIT \
	(1ull << 28) /* of a map that is read; damaged memory may name one table any number of times */

struct cmap {
	struct linked_process *process;
	uint64_t directory, depth;
	uint64_t bucket_bytes, slot_bytes, slots, tags_at, words_at;
	uint64_t key_at, key_size, value_at, value_size;
	bool nodes;
	uint64_t left; /* buckets that may still be read */
	linked_stretch_fn visit;
	void *context;
};

static uint64_t field(struct linked_process *process, uint64_t object, const char *name, size_t width)
{
	uint64_t value = 0;
	const void *at = image_at(process->image, object + linked_fact(process, LINKED_CMAP, name), width);
	if (at != NULL)
		memcpy(&value, at, width);
	return value;
}

void linked_cmaps(struct linked_process *process, struct linked_list *list)
{
	uint64_t map = process->facts[LINKED_CMAP].count == 0
			       ? 0
			       : linked_word(process, process->facts[LINKED_CMAP].object);
	for (size_t i = 0; map != 0 && i < LINKED_MAPS_LIMIT; i++) {
		linked_list_add(list, map, LINKED_CMAP);
		map = field(process, map, "neap_cmap.next", 8);
	}
	process->torn += map != 0;
}

static bool open_cmap(struct linked_process *process, uint64_t object, struct cmap *ret)
{
	const enum linked_module module = LINKED_CMAP;
	uint64_t front = field(process, object, "neap_cmap.front.directory", 8),
		 type = field(process, object, "neap_cmap.type", 8);
	*ret = (struct cmap){
		.process = process,
		.directory = front & ~63ull,
		.depth = 64 - (front & 63),
		.bucket_bytes = 8 * field(process, object, "neap_cmap.bucket_words", 4),
		.slot_bytes = 8 * field(process, object, "neap_cmap.slot_words", 4),
		.slots = linked_fact(process, module, "bucket_slots"),
		.tags_at = linked_fact(process, module, "neap__bucket.tags"),
		.words_at = linked_fact(process, module, "neap__bucket.words"),
		.key_at = field(process, object, "neap_cmap.key_at", 4),
		.key_size = field(process, type, "neap_map_type.key_size", 4),
		.value_at = field(process, object, "neap_cmap.value_at", 4),
		.value_size = field(process, type, "neap_map_type.value_size", 4),
		.nodes = field(process, object, "neap_cmap.key_words", 4) == 0,
		.left = BUCKETS_LIMIT,
	};
	return ret->depth <= DEPTH_MOST && ret->slots < 8 && ret->bucket_bytes <= BUCKET_BYTES_LIMIT &&
	       ret->words_at + ret->slots * ret->slot_bytes <= ret->bucket_bytes && ret->tags_at == 0 &&
	       ret->slot_bytes >= 8 && ret->key_size <= SLOT_LIMIT && ret->value_size <= SLOT_LIMIT;
}

/* The bytes of the buckets of a table, by its word. */
static uint64_t table_bytes(const struct cmap *map, uint64_t word)
{
	uint64_t log = TABLE_CODE - (word & 63);
	return log > TABLE_LOG_MOST ? 0 : ((2 + (word >> 63)) << log >> 1) * map->bucket_bytes;
}

typedef void (*slot_fn)(struct cmap *map, uint64_t slot);

static void each_slot(struct cmap *map, uint64_t table, slot_fn visit)
{
	uint64_t start = table & TABLE_ADDRESS, end = start + table_bytes(map, table);
	for (uint64_t bucket = start; bucket < end && map->left > 0; bucket += map->bucket_bytes) {
		const uint8_t *tags = image_at(map->process->image, bucket, map->bucket_bytes);
		map->left--;
		if (tags == NULL)
			return;
		for (unsigned slot = 0; slot < map->slots; slot++)
			if (tags[slot] != 0)
				visit(map, bucket + map->words_at + slot * map->slot_bytes);
	}
}

static void visit_node(struct cmap *map, uint64_t slot)
{
	map->visit(map->context, linked_word(map->process, slot), 1);
}

static void visit_entry(struct cmap *map, uint64_t slot)
{
	uint64_t node = map->nodes ? linked_word(map->process, slot) : 0;
	if (!map->nodes) {
		map->visit(map->context, slot, map->slot_bytes);
	} else if (node != 0) {
		map->visit(map->context, node + map->key_at, map->key_size);
		map->visit(map->context, node + map->value_at, map->value_size);
	}
}

/* Calls `table` for the word of each table, and `shard` (may be NULL) for the address of each shard. */
static void each_table(struct cmap *map, void (*table)(struct cmap *map, uint64_t word),
		       void (*shard)(struct cmap *map, uint64_t address))
{
	const enum linked_module module = LINKED_CMAP;
	uint64_t before = 0, size = linked_fact(map->process, module, "neap__directory_entry"),
		 table_at = linked_fact(map->process, module, "neap__directory_entry.table"),
		 shard_at = linked_fact(map->process, module, "neap__directory_entry.shard");
	for (uint64_t i = 0; i < 1ull << map->depth && map->left > 0; i++) {
		uint64_t entry = map->directory + i * size, own = linked_word(map->process, entry + shard_at);
		if (own == before)
			continue;
		before = own;
		if (shard != NULL)
			shard(map, own);
		table(map, linked_word(map->process, entry + table_at));
	}
}

static void visit_shard(struct cmap *map, uint64_t shard)
{
	map->visit(map->context, shard, 1);
	map->visit(map->context, field(map->process, shard, "neap__cmap_shard.table", 8), 1);
}

static void visit_table(struct cmap *map, uint64_t word)
{
	map->visit(map->context, word & TABLE_ADDRESS, table_bytes(map, word));
	if (map->nodes)
		each_slot(map, word, visit_node);
}

void linked_cmap_pieces(struct linked_process *process, uint64_t object, linked_stretch_fn visit,
			void *context)
{
	struct cmap map;
	visit(context, object, linked_fact(process, LINKED_CMAP, "neap_cmap"));
	if (!open_cmap(process, object, &map))
		return;
	map.visit = visit;
	map.context = context;
	visit(context, map.directory, 1);
	each_table(&map, visit_table, visit_shard);
}

static void visit_entries(struct cmap *map, uint64_t word)
{
	each_slot(map, word, visit_entry);
}

void linked_cmap_entries(struct linked_process *process, uint64_t object, linked_stretch_fn visit,
			 void *context)
{
	struct cmap map;
	if (!open_cmap(process, object, &map))
		return;
	map.visit = visit;
	map.context = context;
	each_table(&map, visit_entries, NULL);
}
