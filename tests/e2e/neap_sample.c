/* neap_sample.c: a program linked with libneap that knows the truth about its maps. It prints one JSON object a line for
 * each, then "ready", and answers every line on its standard input with "pong" until that ends; to "change" it first
 * deletes a hundred entries of the map "sessions" and inserts ten. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "neap/heap.h"
#include "neap/hmap.h"
#include "neap/map.h"

enum { SESSIONS = 200000, ROUTES = 5000, CLASSIC = 30000, BLOCKS = 20000, NAME = 24 };

static const struct neap_map_type number_type = {.size = sizeof number_type,
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = 16,
						 .value_align = 8};
static const struct neap_map_type text_type = {.size = sizeof text_type,
					       .kind = NEAP_KEY_STR,
					       .key_size = sizeof(struct neap_str),
					       .key_align = 8,
					       .value_size = 4,
					       .value_align = 4};
static const struct neap_hmap_type classic_type = {.size = sizeof classic_type,
						   .kind = NEAP_HMAP_BYTES,
						   .key_size = 8,
						   .key_align = 8,
						   .value_size = 8,
						   .value_align = 8};

static void need(bool condition)
{
	if (!condition)
		abort();
}

static void tell_map(const struct neap_map *map)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	printf("{\"label\": \"%s\", \"address\": \"0x%" PRIxPTR
	       "\", \"len\": %zu, \"slots\": %zu, \"tombstones\": %zu, "
	       "\"bytes\": %zu}\n",
	       neap_map_name(map) == NULL ? "" : neap_map_name(map), (uintptr_t)map, stats.len, stats.slots,
	       stats.tombstone_slots, neap_map_bytes(map));
}

static struct neap_map *make_sessions(void)
{
	const struct neap_map_options options = {.name = "sessions", .shrink = NEAP_SHRINK_OFF};
	struct neap_map *map = neap_map_create(&number_type, &options);
	need(map != NULL);
	for (uint64_t key = 0; key < SESSIONS; key++)
		need(neap_map_put(map, &key, (const uint64_t[2]){key, ~key}) == NEAP_OK);
	for (uint64_t key = 0; key < SESSIONS; key++)
		if (key % 32 != 0)
			need(neap_map_delete(map, &key));
	return map;
}

static struct neap_map *make_routes(void)
{
	const struct neap_map_options options = {.name = "routes"};
	struct neap_map *map = neap_map_create(&text_type, &options);
	static char names[ROUTES][NAME];
	need(map != NULL);
	for (uint32_t i = 0; i < ROUTES; i++) {
		snprintf(names[i], NAME, "/route/%u", i);
		const struct neap_str key = {.ptr = names[i], .len = (uint32_t)strlen(names[i])};
		need(neap_map_put(map, &key, &i) == NEAP_OK);
	}
	return map;
}

static struct neap_hmap *make_classic(void)
{
	const struct neap_hmap_options options = {.name = "classic"};
	struct neap_hmap *map = neap_hmap_create(&classic_type, &options);
	need(map != NULL);
	for (uint64_t key = 0; key < CLASSIC; key++)
		need(neap_hmap_put(map, &key, &key) == NEAP_OK);
	for (uint64_t key = 0; key < CLASSIC; key += 3)
		need(neap_hmap_delete(map, &key));
	printf("{\"label\": \"classic\", \"address\": \"0x%" PRIxPTR "\", \"len\": %zu}\n", (uintptr_t)map,
	       neap_hmap_len(map));
	return map;
}

/* Blocks of which three of four are freed, one by one: their pages stay resident until the heap returns them. */
static void use_heap(void)
{
	static void *blocks[BLOCKS];
	size_t live = 0;
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = neap_heap_alloc(512);
		need(blocks[i] != NULL);
		memset(blocks[i], 1, 512);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		if (i % 4 != 0)
			neap_heap_free(blocks[i]);
		else
			live += 512;
	printf("{\"label\": \"heap\", \"live\": %zu}\n", live);
}

static void change(struct neap_map *sessions)
{
	for (uint64_t key = 0; key < UINT64_C(100) * 32; key += 32)
		need(neap_map_delete(sessions, &key));
	for (uint64_t key = SESSIONS; key < SESSIONS + 10; key++)
		need(neap_map_put(sessions, &key, (const uint64_t[2]){key, ~key}) == NEAP_OK);
}

int main(void)
{
	char line[64];
	struct neap_map *sessions = make_sessions(), *routes = make_routes();
	struct neap_map *empty =
		neap_map_create(&number_type, &(const struct neap_map_options){.name = "empty"});
	struct neap_hmap *classic = make_classic();
	need(empty != NULL);
	use_heap();
	tell_map(sessions);
	tell_map(routes);
	tell_map(empty);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		if (strcmp(line, "change\n") == 0)
			change(sessions);
		puts("pong");
		fflush(stdout);
	}
	neap_map_destroy(sessions);
	neap_map_destroy(routes);
	neap_map_destroy(empty);
	neap_hmap_destroy(classic);
	return 0;
}
