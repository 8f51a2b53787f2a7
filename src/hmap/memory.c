/* memory.c: arrays, overflow buckets and blocks: where they come from and when they go.
 *
 * In Go the collector answers the second question. Here it is answered by counting. An iterator holds the table
 * of the array it walks (table->pins) and is counted in map->iterators. What the map gives up while somebody
 * holds it is put aside, and freed by settle() once nobody does:
 *
 *     put aside             when                                          until
 *     map->retired          an evacuation finished, or clear dropped it   its pins are 0
 *     table->orphans        clear cut the overflow chains of the array    the table's pins are 0
 *     map->limbo            a large key or value was deleted              no iterator runs
 *
 * A table that was put aside can't gain a new holder, and a block in limbo is out of reach of iterators that
 * start later; so a count of 0 is final, and settle() may run on a thread that only reads. Two readers may end
 * an iteration at the same time: one of them settles, the other leaves it to it.
 *
 * An iterator that is abandoned keeps its counts for ever: the memory stays until the map is destroyed, which
 * frees everything without asking.
 *
 * Arrays are as large as Go's, which rounds a request up to what its allocator would hand out anyway and uses
 * the surplus as overflow buckets.
 */
#include "hmap/internal.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/sampling.h"

/* ---- Bytes ---- */

static void hmap_account(struct neap_hmap *map, size_t size)
{
	map->bytes += size;
	neap__sample_growth(&map->listed, size);
	if (map->bytes > map->peak)
		map->peak = map->bytes;
}

void *neap__hmap_alloc(struct neap_hmap *map, size_t size)
{
	void *block = neap__alloc(&map->allocator, size, HMAP_ALIGN);
	if (block != NULL)
		hmap_account(map, size);
	return block;
}

void *neap__hmap_alloc_zeroed(struct neap_hmap *map, size_t size)
{
	if (map->allocator.alloc == neap__malloc_allocator.alloc) {
		/* Fresh pages from the system are zero already; touching them would make them resident. */
		void *block = calloc(1, size);
		if (block != NULL)
			hmap_account(map, size);
		return block;
	}
	void *block = neap__hmap_alloc(map, size);
	return block == NULL ? NULL : memset(block, 0, size);
}

void neap__hmap_free(struct neap_hmap *map, void *block, size_t size)
{
	if (block == NULL)
		return;
	map->bytes -= size;
	neap__free(&map->allocator, block, size);
}

/* ---- The size of an array ---- */

/* Go's size classes up to 32 KB, from its runtime/sizeclasses.go: bytes. */
static const uint16_t go_size_class[] = {
	8,     16,    24,    32,    48,	   64,	  80,	 96,	112,   128,   144,   160,   176,   192,
	208,   224,   240,   256,   288,   320,	  352,	 384,	416,   448,   480,   512,   576,   640,
	704,   768,   896,   1024,  1152,  1280,  1408,	 1536,	1792,  2048,  2304,  2688,  3072,  3200,
	3456,  4096,  4864,  5376,  6144,  6528,  6784,	 6912,	8192,  9472,  9728,  10240, 10880, 12288,
	13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
};

enum {
	GO_PAGE = 8192,	      /* Go rounds larger requests up to its pages */
	GO_SMALL_MAX = 32768, /* the largest size class */
	GO_HEADER = 8,
	GO_HEADER_FROM = 512 /* Go 1.22: objects with pointers above 512 bytes carry a word */
};

static size_t go_class_of(size_t size)
{
	size_t i = 0;
	while (go_size_class[i] < size)
		i++;
	return go_size_class[i];
}

/* The bytes that Go's allocator would hand out for `size`. */
static size_t go_round_up(const struct neap_hmap *map, size_t size)
{
	size_t header = 0;
	if (map->version == NEAP_HMAP_GO_1_22 && map->pointers && size > GO_HEADER_FROM)
		header = GO_HEADER;
	if (size + header <= GO_SMALL_MAX)
		return go_class_of(size + header) - header;
	return (size + GO_PAGE - 1) & ~(size_t)(GO_PAGE - 1);
}

size_t neap__hmap_array_buckets(const struct neap_hmap *map, unsigned B)
{
	size_t buckets = (size_t)1 << B;
	if (B < 4) /* so few that overflow is unlikely */
		return buckets;
	buckets += (size_t)1 << (B - 4);
	return go_round_up(map, buckets * map->bucket_size) / map->bucket_size;
}

/* ---- Tables ---- */

static size_t hmap_table_bytes(const struct neap_hmap *map, const struct neap__hmap_table *table)
{
	return sizeof *table + table->buckets * map->bucket_size;
}

struct neap__hmap_table *neap__hmap_table_create(struct neap_hmap *map, unsigned B)
{
	size_t buckets = neap__hmap_array_buckets(map, B);
	struct neap__hmap_table *table =
		neap__hmap_alloc_zeroed(map, sizeof *table + buckets * map->bucket_size);
	if (table != NULL)
		table->buckets = buckets;
	return table;
}

void neap__hmap_table_install(struct neap_hmap *map, struct neap__hmap_table *table, unsigned B)
{
	void *array = neap__hmap_array(table);
	size_t base = (size_t)1 << B;
	map->table = table;
	map->head.buckets = array;
	if (table->buckets == base)
		return;
	/* A spare bucket with a nil link has another one behind it; the last one points to the array instead. */
	neap__hmap_need_extra(map);
	map->extra.next_overflow = neap__hmap_at(map, array, base);
	*neap__hmap_link(map, neap__hmap_at(map, array, table->buckets - 1)) = array;
}

static void hmap_chunks_free(struct neap_hmap *map, struct neap__hmap_chunk **list)
{
	struct neap__hmap_chunk *next;
	for (struct neap__hmap_chunk *chunk = *list; chunk != NULL; chunk = next) {
		next = chunk->next;
		neap__hmap_free(map, chunk, sizeof *chunk + map->bucket_size);
	}
	*list = NULL;
}

static void hmap_table_free(struct neap_hmap *map, struct neap__hmap_table *table)
{
	hmap_chunks_free(map, &table->chunks);
	hmap_chunks_free(map, &table->orphans);
	neap__hmap_free(map, table, hmap_table_bytes(map, table));
}

/* Acquire: pairs with the release by which an iterator lets go, after its last look at the table. */
bool neap__hmap_table_held(const struct neap__hmap_table *table)
{
	return __atomic_load_n(&table->pins, __ATOMIC_ACQUIRE) != 0;
}

void neap__hmap_table_drop(struct neap_hmap *map, struct neap__hmap_table *table)
{
	if (!neap__hmap_table_held(table)) {
		hmap_table_free(map, table);
		return;
	}
	table->next = map->retired;
	map->retired = table;
}

static void hmap_limbo_free(struct neap_hmap *map)
{
	struct neap__hmap_block *next;
	for (struct neap__hmap_block *block = map->limbo; block != NULL; block = next) {
		next = block->next;
		neap__hmap_free(map, block, sizeof *block + block->size);
	}
	map->limbo = NULL;
}

void neap__hmap_settle(struct neap_hmap *map)
{
	/* Acquire and release: what one settling thread freed and unlinked, the next one sees. */
	if (__atomic_exchange_n(&map->settling, true, __ATOMIC_ACQUIRE))
		return;
	struct neap__hmap_table **at = &map->retired;
	while (*at != NULL) {
		struct neap__hmap_table *table = *at;
		if (neap__hmap_table_held(table)) {
			at = &table->next;
			continue;
		}
		*at = table->next;
		hmap_table_free(map, table);
	}
	if (map->table != NULL && map->table->orphans != NULL && !neap__hmap_table_held(map->table))
		hmap_chunks_free(map, &map->table->orphans);
	if (map->limbo != NULL && __atomic_load_n(&map->iterators, __ATOMIC_ACQUIRE) == 0)
		hmap_limbo_free(map);
	__atomic_store_n(&map->settling, false, __ATOMIC_RELEASE);
}

/* ---- Overflow buckets ---- */

/* Relaxed stores: iterations that start on several threads all write the same. */
void neap__hmap_need_extra(struct neap_hmap *map)
{
	__atomic_store_n(&map->head.extra, (void *)&map->extra, __ATOMIC_RELAXED);
}

void neap__hmap_need_overflow_list(struct neap_hmap *map)
{
	neap__hmap_need_extra(map);
	__atomic_store_n(&map->extra.overflow, map->table, __ATOMIC_RELAXED);
}

/* noverflow is 16 bits wide and has to count to 2^B, where a same-size growth is due. From B = 16 on it counts
 * one in 2^(B-15), so that 2^15 stands for about as many overflow buckets as buckets.
 */
static void hmap_count_overflow(struct neap_hmap *map)
{
	unsigned B = map->head.B;
	if (B < 16 || ((uint32_t)neap__hmap_random(map) & (((uint32_t)1 << (B - 15)) - 1)) == 0)
		map->head.noverflow++;
}

static void hmap_chunk_push(struct neap__hmap_chunk **list, struct neap__hmap_chunk *chunk)
{
	chunk->prev = NULL;
	chunk->next = *list;
	if (*list != NULL)
		(*list)->prev = chunk;
	*list = chunk;
}

static void hmap_chunk_remove(struct neap__hmap_chunk **list, struct neap__hmap_chunk *chunk)
{
	if (chunk->prev != NULL)
		chunk->prev->next = chunk->next;
	else
		*list = chunk->next;
	if (chunk->next != NULL)
		chunk->next->prev = chunk->prev;
}

/* The next spare bucket of the array, or NULL. */
static struct neap__hmap_bucket *hmap_take_spare(struct neap_hmap *map)
{
	struct neap__hmap_bucket *spare = map->extra.next_overflow;
	if (spare == NULL)
		return NULL;
	struct neap__hmap_bucket **link = neap__hmap_link(map, spare);
	map->extra.next_overflow = *link == NULL ? neap__hmap_at(map, spare, 1) : NULL;
	*link = NULL;
	return spare;
}

static struct neap__hmap_chunk *hmap_chunk_create(struct neap_hmap *map)
{
	return neap__hmap_alloc_zeroed(map, sizeof(struct neap__hmap_chunk) + map->bucket_size);
}

/* A bucket of its own: one that was put by, or a new one. */
static struct neap__hmap_bucket *hmap_take_chunk(struct neap_hmap *map)
{
	struct neap__hmap_chunk *chunk = map->reserve;
	if (chunk != NULL)
		map->reserve = chunk->next;
	else
		chunk = hmap_chunk_create(map);
	if (chunk == NULL)
		return NULL;
	hmap_chunk_push(&map->table->chunks, chunk);
	return (struct neap__hmap_bucket *)(chunk + 1);
}

struct neap__hmap_bucket *neap__hmap_new_overflow(struct neap_hmap *map, struct neap__hmap_bucket *b)
{
	struct neap__hmap_bucket *fresh = hmap_take_spare(map);
	if (fresh == NULL)
		fresh = hmap_take_chunk(map);
	if (fresh == NULL)
		return NULL;
	hmap_count_overflow(map);
	map->table->overflow_len++;
	if (!map->pointers)
		neap__hmap_need_overflow_list(map);
	*neap__hmap_link(map, b) = fresh;
	return fresh;
}

bool neap__hmap_reserve_overflow(struct neap_hmap *map, size_t n)
{
	size_t have = 0;
	if (map->extra.next_overflow != NULL) {
		uint8_t *end = (uint8_t *)map->head.buckets + map->table->buckets * map->bucket_size;
		have = (size_t)(end - (uint8_t *)map->extra.next_overflow) / map->bucket_size;
	}
	for (; have < n; have++) {
		struct neap__hmap_chunk *chunk = hmap_chunk_create(map);
		if (chunk == NULL) {
			neap__hmap_unreserve(map);
			return false;
		}
		chunk->next = map->reserve;
		map->reserve = chunk;
	}
	return true;
}

void neap__hmap_unreserve(struct neap_hmap *map)
{
	hmap_chunks_free(map, &map->reserve);
}

static bool hmap_in_array(const struct neap_hmap *map, struct neap__hmap_table *table,
			  const struct neap__hmap_bucket *b)
{
	size_t offset = (size_t)((const uint8_t *)b - (const uint8_t *)neap__hmap_array(table));
	return offset < table->buckets * map->bucket_size;
}

void neap__hmap_cut_chain(struct neap_hmap *map, struct neap__hmap_table *table, struct neap__hmap_bucket *b)
{
	struct neap__hmap_bucket *next;
	for (struct neap__hmap_bucket *at = neap__hmap_overflow(map, b); at != NULL; at = next) {
		next = neap__hmap_overflow(map, at);
		if (hmap_in_array(map, table, at))
			continue;
		struct neap__hmap_chunk *chunk = (struct neap__hmap_chunk *)(void *)at - 1;
		hmap_chunk_remove(&table->chunks, chunk);
		neap__hmap_free(map, chunk, sizeof *chunk + map->bucket_size);
	}
	*neap__hmap_link(map, b) = NULL;
}

void neap__hmap_drop_overflow(struct neap_hmap *map)
{
	struct neap__hmap_table *table = map->table;
	table->overflow_len = 0;
	if (!neap__hmap_table_held(table)) {
		hmap_chunks_free(map, &table->chunks);
		return;
	}
	struct neap__hmap_chunk *chunk;
	while ((chunk = table->chunks) != NULL) {
		hmap_chunk_remove(&table->chunks, chunk);
		hmap_chunk_push(&table->orphans, chunk);
	}
}

/* ---- Blocks of large keys and values ---- */

void *neap__hmap_block_create(struct neap_hmap *map, size_t size)
{
	struct neap__hmap_block *block = neap__hmap_alloc_zeroed(map, sizeof *block + size);
	if (block == NULL)
		return NULL;
	block->size = size;
	return block + 1;
}

void neap__hmap_block_drop(struct neap_hmap *map, void *data)
{
	if (data == NULL)
		return;
	struct neap__hmap_block *block = (struct neap__hmap_block *)data - 1;
	if (__atomic_load_n(&map->iterators, __ATOMIC_ACQUIRE) == 0) {
		neap__hmap_free(map, block, sizeof *block + block->size);
		return;
	}
	block->next = map->limbo;
	map->limbo = block;
}

void neap__hmap_free_all(struct neap_hmap *map)
{
	if (map->table != NULL)
		hmap_table_free(map, map->table);
	if (map->old != NULL)
		hmap_table_free(map, map->old);
	struct neap__hmap_table *next;
	for (struct neap__hmap_table *table = map->retired; table != NULL; table = next) {
		next = table->next;
		hmap_table_free(map, table);
	}
	hmap_limbo_free(map);
	neap__assert(map->reserve == NULL);
}
