/* readers_map.c: what is allowed: many threads read one map at once, by every reading function. Under ThreadSanitizer
 * this must be silent, and every answer must be right.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "neap/map.h"
#include "support/map_probe.h"

enum { THREADS = 4, KEYS = 20000, ROUNDS = 3 };

static struct neap_map *map, *same;

static void demand(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "readers_map: wrong: %s\n", what);
	abort();
}

static void *read_everything(void *arg)
{
	uint64_t first = (uint64_t)(uintptr_t)arg;
	uint64_t keys[64];
	void *values[64];
	for (int round = 0; round < ROUNDS; round++) {
		for (uint64_t i = 0; i < 2 * (uint64_t)KEYS; i++) {
			uint64_t key = (i + first * 1000) % (2 * (uint64_t)KEYS);
			const uint64_t *value = neap_map_get(map, &key);
			demand((value != NULL) == (key < KEYS), "get");
			demand(value == NULL || *value == key * 3, "value");
		}
		for (uint64_t i = 0; i < 64; i++)
			keys[i] = i * 700;
		neap_map_get_many(map, keys, 64, values);
		for (uint64_t i = 0; i < 64; i++)
			demand((values[i] != NULL) == (keys[i] < KEYS), "get_many");
		uint64_t sum = 0;
		neap_map_each (it, map)
			sum += *(const uint64_t *)it.key;
		demand(sum == (uint64_t)KEYS * (KEYS - 1) / 2, "sum of the keys");
		struct neap_map_stats stats = {.size = sizeof stats};
		neap_map_stats(map, &stats);
		demand(stats.len == KEYS && neap_map_len(map) == KEYS, "len");
		demand(neap_map_equal(map, same, NULL), "equal");
		struct neap_map *clone = neap_map_clone(map, NULL, NULL);
		demand(neap_map_len(clone) == KEYS, "clone");
		neap_map_destroy(clone);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	map = neap_map_create(&probe_u64, NULL);
	same = neap_map_create(&probe_u64, NULL);
	for (uint64_t key = 0; key < KEYS; key++) {
		uint64_t value = key * 3;
		demand(neap_map_put(map, &key, &value) == NEAP_OK &&
			       neap_map_put(same, &key, &value) == NEAP_OK,
		       "put");
	}
	for (uintptr_t i = 0; i < THREADS; i++)
		demand(pthread_create(&threads[i], NULL, read_everything, (void *)i) == 0, "thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* One thread after the other may write: the join orders them. */
	demand(neap_map_delete(map, &(uint64_t){1}), "delete after the readers");
	neap_map_destroy(map);
	neap_map_destroy(same);
	printf("%d threads read %d entries by every function\n", THREADS, KEYS);
	return 0;
}
