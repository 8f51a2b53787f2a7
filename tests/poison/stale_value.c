/* stale_value.c: reads a map's value through a pointer that a delete has made stale, or does everything else.
 *
 * usage: stale_value small|large|erased|swept|fine     run under AddressSanitizer or valgrind by tests/poison/check
 *
 *   small, large   a typed map of a few entries, and of many segments; typed delete
 *   erased         the functions of neap/map.h
 *   swept          deleted by neap_map_delete_if
 *   fine           nothing stale: churn through every change of shape, and slots that were deleted used again
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAP_MAP_NAME  numbers
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE uint64_t
#include "neap/map_typed.h"

struct nine {
	char bytes[9];
};

#define NEAP_MAP_NAME  odd
#define NEAP_MAP_KEY   uint32_t
#define NEAP_MAP_VALUE struct nine
#include "neap/map_typed.h"

enum { KEY = 77 };

static void demand(bool condition)
{
	if (!condition)
		abort();
}

static struct neap_map *filled(uint64_t n)
{
	struct neap_map *map = numbers_create(NULL);
	for (uint64_t key = KEY; key < KEY + n; key++)
		demand(numbers_put(map, key, key) == NEAP_OK);
	return map;
}

static int stale_by_delete(uint64_t n, bool typed)
{
	struct neap_map *map = filled(n);
	const uint64_t key = KEY;
	volatile uint64_t *value = numbers_get(map, KEY);
	demand(*value == KEY);
	demand(typed ? numbers_delete(map, KEY) : neap_map_delete(map, &key));
	uint64_t sum = *value; /* here */
	neap_map_destroy(map);
	return (int)(sum & 1);
}

static bool is_key(const void *key, void *value, void *ctx)
{
	(void)value, (void)ctx;
	return memcmp(key, &(uint64_t){KEY}, sizeof(uint64_t)) == 0;
}

static int stale_by_sweep(void)
{
	struct neap_map *map = filled(1000);
	volatile uint64_t *value = numbers_get(map, KEY);
	demand(neap_map_delete_if(map, is_key, NULL) == 1);
	uint64_t sum = *value; /* here */
	neap_map_destroy(map);
	return (int)(sum & 1);
}

/* Grows and shrinks through every shape; deletes and puts back in between; walks, clones, compacts, clears. */
static int nothing_stale(void)
{
	struct neap_map *map = numbers_create(NULL), *small = odd_create(NULL);
	uint64_t random = 1, sum = 0;
	for (uint64_t most = 1; most <= 60000; most = most * 3 + 1) {
		for (uint64_t i = 0; i < 3 * most; i++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
			uint64_t key = (random >> 33) % (2 * most);
			if (random >> 20 & 1) {
				demand(numbers_put(map, key, key) == NEAP_OK);
				*odd_slot(small, (uint32_t)key, NULL) = (struct nine){"value"};
			} else {
				numbers_delete(map, key);
				odd_delete(small, (uint32_t)key);
			}
			const uint64_t *value = numbers_get(map, key ^ 1);
			sum += value != NULL ? *value : 0;
		}
		neap_map_each (it, map)
			sum += *(const uint64_t *)it.value;
		struct neap_map *copy = neap_map_clone(map, NULL, NULL);
		demand(copy != NULL && neap_map_len(copy) == neap_map_len(map));
		for (uint64_t key = 0; key < 2 * most; key++)
			if (key % 8 != 0)
				numbers_delete(copy, key);
		(void)neap_map_compact(copy);
		neap_map_destroy(copy);
		if (most > 1000)
			neap_map_clear_keep(small);
	}
	while (neap_map_len(map) != 0)
		neap_map_each (it, map)
			demand(neap_map_delete(map, it.key));
	demand(filled(1) != NULL || sum != 0);
	neap_map_destroy(map);
	neap_map_destroy(small);
	return 0;
}

int main(int argc, char **argv)
{
	const char *way = argc == 2 ? argv[1] : "";
	if (strcmp(way, "small") == 0)
		return stale_by_delete(3, true);
	if (strcmp(way, "large") == 0)
		return stale_by_delete(100000, true);
	if (strcmp(way, "erased") == 0)
		return stale_by_delete(1000, false);
	if (strcmp(way, "swept") == 0)
		return stale_by_sweep();
	if (strcmp(way, "fine") == 0)
		return nothing_stale();
	fprintf(stderr, "usage: stale_value small|large|erased|swept|fine\n");
	return 2;
}
