/* client.c: a program of somebody else: public headers, typed and erased, and nothing but what was installed. */
#include <neap/map.h>
#include <stdio.h>

#define NEAP_MAP_NAME  squares
#define NEAP_MAP_KEY   int
#define NEAP_MAP_VALUE long
#include <neap/map_typed.h>

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
	printf("%s %ld %ld %zu\n", neap_version(), value != NULL ? *value : -1, sum, neap_map_len(map));
	for (int i = 0; i < 10000; i++)
		squares_delete(map, i);
	squares_destroy(map);
	return 0;
}
