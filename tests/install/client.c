/* client.c: a program of somebody else: public headers, typed and erased, and nothing but what was installed. */
#include <neap/map.h>
#include <stdio.h>

#define NEAP_MAP_NAME  squares
#define NEAP_MAP_KEY   int
#define NEAP_MAP_VALUE long
#include <neap/map_typed.h>

#define NEAP_POOL_NAME	 longs
#define NEAP_POOL_OBJECT long
#include <neap/pool_typed.h>

/* How many of a thousand gets found what the put before gave back. */
static unsigned long long reused(void)
{
	struct neap_pool *pool = longs_create(NULL);
	for (int i = 0; i < 1000; i++)
		longs_put(pool, longs_get(pool));
	struct neap_pool_stats stats = {.size = sizeof stats};
	neap_pool_stats(pool, &stats);
	neap_pool_destroy(pool);
	return stats.hits;
}

int main(void)
{
	struct neap_map *map = squares_create(NULL);
	for (int i = 0; i < 10000; i++)
		if (squares_put(map, i, (long)i * i) != NEAP_OK)
			return 1;
	long *value = squares_get(map, 99);
	long sum = 0;
	neap_map_each (it, map)
		sum += *(const long *)it.value;
	printf("%s %ld %ld %zu %llu\n", neap_version(), value != NULL ? *value : -1, sum, neap_map_len(map),
	       reused());
	for (int i = 0; i < 10000; i++)
		squares_delete(map, i);
	squares_destroy(map);
	return 0;
}
