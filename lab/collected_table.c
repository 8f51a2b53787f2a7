/* collected_table.c: see collected_table.h. */
#include "lab/collected_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "neap/gc_map.h"
#include "neap/heap.h"

struct collected_value {
	struct file_facts facts;
	char *block; /* the key's bytes */
};
NEAP_TYPE(collected_key_type, struct neap_str, ptr);
NEAP_TYPE(collected_value_type, struct collected_value, block);

static const struct neap_map_type collected_type = {.size = sizeof(struct neap_map_type),
						    .kind = NEAP_KEY_STR,
						    .key_size = sizeof(struct neap_str),
						    .key_align = _Alignof(struct neap_str),
						    .value_size = sizeof(struct collected_value),
						    .value_align = _Alignof(struct collected_value)};

static struct neap_gc_map *collected;
static struct neap_meter collected_meter;
static struct neap_allocator collected_allocator;

static void *collected_must(void *block)
{
	if (block == NULL) {
		fprintf(stderr, "neap: out of collected memory in the measuring process\n");
		exit(1);
	}
	return block;
}

void collected_create(void)
{
	collected_allocator = neap_meter_allocator(&collected_meter);
	collected = collected_must(
		neap_gc_map_create(&collected_type, &collected_key_type, &collected_value_type,
				   &(struct neap_map_options){.allocator = &collected_allocator}));
}

void collected_drop(void)
{
	collected = NULL;
}

static __attribute__((noinline)) void put_new(struct neap_str key, const struct file_facts *facts)
{
	char *block = collected_must(neap_gc_alloc_data(key.len));
	memcpy(block, key.ptr, key.len);
	const struct neap_str own = {block, key.len, 0};
	const struct collected_value value = {*facts, block};
	collected_must(neap_gc_map_put(collected, &own, &value) == NEAP_OK ? block : NULL);
}

void collected_put(struct neap_str key, const struct file_facts *facts)
{
	struct collected_value *present = neap_gc_map_get(collected, &key);
	if (present != NULL)
		present->facts = *facts;
	else
		put_new(key, facts);
}

bool collected_delete(struct neap_str key)
{
	return neap_gc_map_delete(collected, &key);
}

void collected_clear(void)
{
	neap_gc_map_clear(collected);
}

void collected_rebuild(void)
{
	struct neap_gc_map *old = collected;
	collected_create();
	neap_map_each (it, neap_gc_map_of(old)) {
		collected_must(neap_gc_map_put(collected, it.key, it.value) == NEAP_OK ? it.value : NULL);
	}
}

size_t collected_len(void)
{
	return neap_gc_map_len(collected);
}

size_t collected_bytes(void)
{
	return collected != NULL ? neap_map_bytes(neap_gc_map_of(collected)) : 0;
}

size_t collected_slots(void)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	if (collected != NULL)
		neap_map_stats(neap_gc_map_of(collected), &stats);
	return stats.slots;
}

size_t collected_heap(void)
{
	struct neap_memstats stats = {.size = sizeof stats};
	(void)neap_memstats(&stats);
	return stats.HeapAlloc;
}

static void parts_of_collected_map(const void *unused, struct neap_parts *ret)
{
	(void)unused;
	neap_parts_of_map(neap_gc_map_of(collected), ret);
}

/* Neap's heap: what is not known to be garbage counts as live. */
static void parts_of_heap(const void *unused, struct neap_parts *ret)
{
	struct neap_heap_stats stats = {.size = sizeof stats};
	(void)unused;
	(void)neap_heap_stats(&stats);
	ret->live += stats.live_bytes;
	ret->free_held += stats.free_held_bytes;
	ret->metadata += stats.metadata_bytes;
}

void collected_sources(struct neap_source ret[COLLECTED_SOURCES])
{
	ret[0] = (struct neap_source){parts_of_collected_map, NULL};
	ret[1] = (struct neap_source){neap_parts_of_meter, &collected_meter};
	ret[2] = (struct neap_source){parts_of_heap, NULL};
}
