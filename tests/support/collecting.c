/* collecting.c: a program with a collector and a debug endpoint, that collects what it drops until it is told to end.
 *
 * usage: collecting SECONDS        prints "listening on port N"; the map's name holds all that a label must escape
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "neap/gc.h"
#include "neap/http.h"
#include "neap/map.h"

enum { WORDS = 64, ROUND = 20000, KEYS = 50000 };

static const struct neap_map_type type = {.size = sizeof type,
					  .kind = NEAP_KEY_BYTES,
					  .key_size = 8,
					  .key_align = 8,
					  .value_size = 64,
					  .value_align = 8};

static void fill_and_drop(struct neap_map *map)
{
	static const char value[64];
	for (uint64_t key = 0; key < KEYS; key++)
		if (neap_map_put(map, &key, value) != NEAP_OK)
			abort();
	for (uint64_t key = 0; key < KEYS; key++)
		(void)neap_map_delete(map, &key);
	for (unsigned i = 0; i < ROUND; i++)
		if (neap_gc_alloc_words(WORDS * sizeof(void *)) == NULL)
			abort();
}

int main(int argc, char **argv)
{
	char error[256];
	time_t end = time(NULL) + (argc > 1 ? strtol(argv[1], NULL, 10) : 60);
	if (neap_gc_start(&(struct neap_gc_options){.size = sizeof(struct neap_gc_options)}) != NEAP_OK)
		return 2;
	struct neap_http *http =
		neap_http_start(&(struct neap_http_options){.address = "127.0.0.1:0"}, error);
	struct neap_map *map =
		neap_map_create(&type, &(struct neap_map_options){.name = "\"quoted\" \\ and\nbroken <b>"});
	if (http == NULL || map == NULL) {
		fprintf(stderr, "collecting: %s\n", http == NULL ? error : "no memory");
		return 2;
	}
	printf("listening on port %u\n", neap_http_port(http));
	fflush(stdout);
	while (time(NULL) < end) {
		fill_and_drop(map);
		nanosleep(&(struct timespec){0, 200000000}, NULL);
	}
	neap_map_destroy(map);
	neap_http_stop(http);
	return 0;
}
