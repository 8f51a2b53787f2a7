/* nested_collected.c: see nested_collected.h. Nothing here releases anything. */
#include "lab/nested_collected.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "neap/gc_map.h"

enum { HELD_ONE_IN = 100 };

struct collected_slice {
	uint64_t *array;
	size_t len, cap;
};
NEAP_TYPE(slice_type, struct collected_slice, array);

struct collected_queue {
	char (*ring)[MESSAGE];
	struct collected_queue *self; /* who waits for it: a cycle */
	size_t len, cap;
};
NEAP_TYPE(queue_type, struct collected_queue, ring, self);

static const struct neap_map_type by_number = {
	.size = sizeof by_number, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};

static struct neap_gc_map *owners; /* static data is a root; stacks hold no owner for longer than a call */
static void **held;

static void *of_collector(void *object)
{
	if (object == NULL) {
		fprintf(stderr, "neap: out of collected memory in nested-values\n");
		exit(1);
	}
	return object;
}

static void *collected_map(uint64_t first)
{
	struct neap_gc_map *map = of_collector(neap_gc_map_create(&by_number, NULL, NULL, NULL));
	for (uint64_t key = first; key < first + INSIDE; key++)
		of_collector(neap_gc_map_put(map, &key, &key) == NEAP_OK ? map : NULL);
	return map;
}

static void *collected_slice(uint64_t first)
{
	struct collected_slice *slice = of_collector(neap_gc_alloc(&slice_type));
	slice->array = of_collector(neap_gc_alloc_data(INSIDE * sizeof *slice->array));
	slice->len = slice->cap = INSIDE;
	for (uint64_t i = 0; i < INSIDE; i++)
		slice->array[i] = first + i;
	return slice;
}

static void *collected_queue(uint64_t first)
{
	struct collected_queue *queue = of_collector(neap_gc_alloc(&queue_type));
	queue->ring = of_collector(neap_gc_alloc_data(sizeof(char[INSIDE][MESSAGE])));
	queue->self = queue;
	queue->len = queue->cap = INSIDE;
	for (uint64_t i = 0; i < INSIDE; i++)
		(void)snprintf(queue->ring[i], MESSAGE, "message %llu", (unsigned long long)(first + i));
	return queue;
}

static void *collected_owner(enum nested which, uint64_t first)
{
	return which == NESTED_MAP     ? collected_map(first)
	       : which == NESTED_SLICE ? collected_slice(first)
				       : collected_queue(first);
}

static bool is_whole(enum nested which, void *owner, uint64_t first)
{
	bool whole = true;
	for (uint64_t i = 0; i < INSIDE; i++) {
		char message[MESSAGE];
		uint64_t key = first + i;
		const uint64_t *in_map = which == NESTED_MAP ? neap_gc_map_get(owner, &key) : NULL;
		(void)snprintf(message, sizeof message, "message %llu", (unsigned long long)key);
		whole &= which == NESTED_MAP ? in_map != NULL && *in_map == key
			 : which == NESTED_SLICE
				 ? ((struct collected_slice *)owner)->array[i] == key
				 : strcmp(((struct collected_queue *)owner)->ring[i], message) == 0;
	}
	return whole;
}

static size_t bytes_in_use(void)
{
	struct neap_memstats stats = {.size = sizeof stats};
	struct mallinfo2 info = mallinfo2();
	(void)neap_memstats(&stats);
	return stats.HeapAlloc + info.uordblks + info.hblkhd - neap_map_bytes(neap_gc_map_of(owners));
}

static __attribute__((noinline)) void fill_owners(enum nested which, size_t n)
{
	for (uint64_t key = 0; key < n; key++) {
		void *owner = collected_owner(which, key);
		of_collector(neap_gc_map_put(owners, &key, &owner) == NEAP_OK ? owners : NULL);
		if (key % HELD_ONE_IN == 0)
			held[key / HELD_ONE_IN] = owner;
	}
}

static __attribute__((noinline)) size_t count_broken(enum nested which, size_t count)
{
	size_t broken = 0;
	for (size_t i = 0; i < count; i++)
		broken += !is_whole(which, held[i], i * HELD_ONE_IN);
	return broken;
}

static size_t above(size_t now, size_t before)
{
	return now > before ? now - before : 0;
}

struct nested_collected nested_collected(enum nested which, size_t n)
{
	struct nested_collected ret = {.held = (n + HELD_ONE_IN - 1) / HELD_ONE_IN};
	owners = of_collector(neap_gc_map_create(&by_number, NULL, &neap_gc_pointer, NULL));
	held = of_collector(neap_gc_alloc_array(&neap_gc_pointer, ret.held));
	size_t before = bytes_in_use();
	fill_owners(which, n);
	neap_gc_collect();
	ret.loaded = above(bytes_in_use(), before);
	for (uint64_t key = 0; key < n; key++)
		(void)neap_gc_map_delete(owners, &key);
	neap_gc_collect();
	ret.broken = count_broken(which, ret.held);
	memset(held, 0, ret.held * sizeof *held);
	neap_gc_collect();
	ret.left = above(bytes_in_use(), before);
	return ret;
}
