/* id.c: a number of 32 bits for each entry of a shard, so that links between entries take 4 bytes instead of 8.
 *
 *     id - 1 = chunk * 512 + place        chunks[chunk]->entries[place] is the entry
 *
 * A new entry gets a place of the lowest chunk that has one, so that the chunks above run empty as entries leave; an
 * empty chunk is freed. A free place holds the number of the next free place of its chunk instead of an address.
 */
#include <string.h>

#include "cache/internal.h"

enum { CHUNKS_FIRST = 64, CHUNKS_MOST = 1 << 21 }; /* 2^30 entries: the bit above tells the heads of rings */

static bool ids_grow(struct neap__cache_shard *shard)
{
	struct neap__ids *ids = &shard->ids;
	const struct neap_allocator *from = &shard->cache->allocator;
	size_t room = ids->room == 0 ? CHUNKS_FIRST : ids->room * 2;
	if (room > CHUNKS_MOST)
		return false;
	struct neap__id_chunk **chunks = neap__alloc(from, room * sizeof *chunks, _Alignof(max_align_t));
	uint64_t *free_places = neap__alloc(from, room / 8, _Alignof(max_align_t));
	if (chunks == NULL || free_places == NULL) {
		neap__free(from, chunks, room * sizeof *chunks);
		neap__free(from, free_places, room / 8);
		return false;
	}
	memset(chunks, 0, room * sizeof *chunks);
	memset(free_places, 0xff, room / 8); /* also of chunks that are yet to be made */
	if (ids->room != 0) {
		memcpy(chunks, ids->chunks, ids->room * sizeof *chunks);
		memcpy(free_places, ids->free_places, ids->room / 8);
	}
	neap__free(from, ids->chunks, ids->room * sizeof *chunks);
	neap__free(from, ids->free_places, ids->room / 8);
	ids->chunks = chunks;
	ids->free_places = free_places;
	ids->room = room;
	return true;
}

/* The lowest chunk with a free place, made when it is not there; NULL: no memory. */
static struct neap__id_chunk *ids_lowest(struct neap__cache_shard *shard, size_t *ret_at)
{
	struct neap__ids *ids = &shard->ids;
	size_t word = 0;
	while (word < ids->room / 64 && ids->free_places[word] == 0)
		word++;
	if (word == ids->room / 64 && !ids_grow(shard))
		return NULL;
	*ret_at = word * 64 + (size_t)__builtin_ctzll(ids->free_places[word]);
	struct neap__id_chunk *chunk = ids->chunks[*ret_at];
	if (chunk != NULL)
		return chunk;
	chunk = neap__alloc(&shard->cache->allocator, sizeof *chunk, _Alignof(struct neap__id_chunk));
	if (chunk == NULL)
		return NULL;
	chunk->used = chunk->first_free = 0;
	for (uint32_t i = 0; i < NEAP__ID_CHUNK; i++)
		chunk->places[i].next_free = i + 1;
	ids->bytes += sizeof *chunk;
	ids->chunks[*ret_at] = chunk;
	return chunk;
}

bool neap__id_take(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	size_t at;
	struct neap__id_chunk *chunk = ids_lowest(shard, &at);
	if (chunk == NULL)
		return false;
	uint32_t place = chunk->first_free;
	chunk->first_free = (uint32_t)chunk->places[place].next_free;
	chunk->places[place].entry = entry;
	if (++chunk->used == NEAP__ID_CHUNK)
		shard->ids.free_places[at / 64] &= ~(UINT64_C(1) << at % 64);
	entry->id = (uint32_t)at * NEAP__ID_CHUNK + place + 1;
	return true;
}

void neap__id_give(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	struct neap__ids *ids = &shard->ids;
	size_t at = (entry->id - 1) / NEAP__ID_CHUNK;
	struct neap__id_chunk *chunk = ids->chunks[at];
	uint32_t place = (entry->id - 1) % NEAP__ID_CHUNK;
	entry->id = 0;
	chunk->places[place].next_free = chunk->first_free;
	chunk->first_free = place;
	ids->free_places[at / 64] |= UINT64_C(1) << at % 64;
	if (--chunk->used == 0) {
		ids->chunks[at] = NULL;
		ids->bytes -= sizeof *chunk;
		neap__free(&shard->cache->allocator, chunk, sizeof *chunk);
	}
}

size_t neap__ids_bytes(const struct neap__ids *ids)
{
	return ids->bytes + ids->room * sizeof *ids->chunks + ids->room / 8;
}

void neap__ids_free(struct neap__cache_shard *shard)
{
	const struct neap_allocator *from = &shard->cache->allocator;
	struct neap__ids *ids = &shard->ids;
	neap__free(from, ids->chunks, ids->room * sizeof *ids->chunks);
	neap__free(from, ids->free_places, ids->room / 8);
	*ids = (struct neap__ids){0};
}
