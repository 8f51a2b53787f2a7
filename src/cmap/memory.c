/* memory.c: tables, shards and directories, and the count of their bytes. */
#include <string.h>

#include "cmap/table.h"

void *neap__cmap_alloc(struct neap_cmap *map, size_t size, size_t align)
{
	void *block = neap__alloc(&map->allocator, size, align);
	if (block != NULL)
		atomic_fetch_add_explicit(&map->bytes, size, memory_order_relaxed);
	return block;
}

void neap__cmap_free(struct neap_cmap *map, void *block, size_t size)
{
	if (block != NULL)
		atomic_fetch_sub_explicit(&map->bytes, size, memory_order_relaxed);
	neap__free(&map->allocator, block, size);
}

/* Large tables are pages of their own, so that they go back to the system whatever malloc has placed around them. */
static void *buckets_make(struct neap_cmap *map, struct neap__cmap_table *table, unsigned code)
{
	table->bytes = neap__code_buckets(code) * map->bucket_words * 8;
	if (map->system_pages && table->bytes >= NEAP__PAGES_FROM) {
		size_t page = neap__os_page_size(), whole = (table->bytes + page - 1) & ~(page - 1);
		void *pages = neap__os_reserve(whole);
		if (pages != NULL) {
			table->pages = true;
			table->bytes = whole;
			atomic_fetch_add_explicit(&map->bytes, whole, memory_order_relaxed);
			return pages;
		}
	}
	void *block = neap__cmap_alloc(map, table->bytes, 64);
	if (block != NULL)
		memset(block, 0, table->bytes);
	return block;
}

struct neap__cmap_table *neap__table_make(struct neap_cmap *map, unsigned code)
{
	struct neap__cmap_table *table =
		neap__cmap_alloc(map, sizeof *table, _Alignof(struct neap__cmap_table));
	if (table == NULL)
		return NULL;
	*table = (struct neap__cmap_table){0};
	void *buckets = buckets_make(map, table, code);
	if (buckets == NULL) {
		neap__cmap_free(map, table, sizeof *table);
		return NULL;
	}
	table->word = neap__table_word(buckets, code);
	return table;
}

void neap__table_free(struct neap_cmap *map, struct neap__cmap_table *table)
{
	if (table == NULL)
		return;
	void *buckets = (void *)neap__table_buckets(table->word);
	if (table->pages) {
		atomic_fetch_sub_explicit(&map->bytes, table->bytes, memory_order_relaxed);
		neap__os_release(buckets, table->bytes);
	} else {
		neap__cmap_free(map, buckets, table->bytes);
	}
	neap__cmap_free(map, table, sizeof *table);
}

struct neap__cmap_shard *neap__shard_make(struct neap_cmap *map, unsigned depth, uint32_t path)
{
	struct neap__cmap_shard *shard =
		neap__cmap_alloc(map, sizeof *shard, _Alignof(struct neap__cmap_shard));
	if (shard != NULL)
		*shard = (struct neap__cmap_shard){.depth = (uint8_t)depth, .path = path};
	return shard;
}

size_t neap__directory_bytes(unsigned depth)
{
	return sizeof(struct neap__directory) + (sizeof(struct neap__directory_entry) << depth);
}

struct neap__directory *neap__directory_make(struct neap_cmap *map, unsigned depth)
{
	struct neap__directory *directory = neap__cmap_alloc(map, neap__directory_bytes(depth), 64);
	if (directory != NULL) {
		directory->retired = (struct neap__retired){0};
		directory->depth = depth;
	}
	return directory;
}

void neap__directory_free(struct neap_cmap *map, struct neap__directory *directory)
{
	neap__cmap_free(map, directory, neap__directory_bytes(directory->depth));
}
