/* snapshot_cost.c: what a snapshot costs the thread that writes it: processor time, bytes, memory.
 *
 * usage: snapshot_cost
 *
 * Each case is looked at three times; the best counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/snapshot.h"

enum { ROUNDS = 3, WORDS = 5000000, TEXTS = 1000000, CLASSIC = 2000000, MAPS = 100000 };

static const struct neap_map_type word_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 8,
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8};
static const struct neap_map_type text_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_STR,
					       .flags = NEAP_MAP_OWN_KEYS,
					       .key_size = sizeof(struct neap_str),
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8};
static const struct neap_hmap_type classic_type = {.size = sizeof(struct neap_hmap_type),
						   .kind = NEAP_HMAP_BYTES,
						   .key_size = 8,
						   .key_align = 8,
						   .value_size = 8,
						   .value_align = 8};

static int count_bytes(void *ctx, const void *bytes, size_t size)
{
	(void)bytes;
	*(size_t *)ctx += size;
	return 0;
}

static double cpu_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void look(const char *what, double count)
{
	double best = 1e9;
	size_t bytes = 0;
	for (int round = 0; round < ROUNDS; round++) {
		const double start = cpu_now();
		bytes = 0;
		if (neap_snapshot_write(count_bytes, &bytes) != 0)
			abort();
		const double took = cpu_now() - start;
		best = took < best ? took : best;
	}
	printf("%-40s %8.3f s %8.0f ns each %8.1f MB\n", what, best, best * 1e9 / count, (double)bytes / 1e6);
}

static void of_words(void)
{
	struct neap_map *map = neap_map_create(&word_type, NULL);
	for (uint64_t key = 0; key < WORDS; key++)
		if (neap_map_put(map, &key, NULL) != 0)
			abort();
	look("5,000,000 entries", WORDS);
	neap_map_destroy(map);
}

static void of_texts(void)
{
	struct neap_map *map = neap_map_create(&text_type, NULL);
	char text[64];
	for (unsigned i = 0; i < TEXTS; i++) {
		const struct neap_str key = {text,
					     (uint32_t)snprintf(text, sizeof text, "user:%u:session", i), 0};
		if (neap_map_put(map, &key, NULL) != 0)
			abort();
	}
	look("1,000,000 string keys", TEXTS);
	neap_map_destroy(map);
}

static void of_classic(void)
{
	struct neap_hmap *map = neap_hmap_create(&classic_type, NULL);
	for (uint64_t key = 0; key < CLASSIC; key++)
		if (neap_hmap_put(map, &key, NULL) != 0)
			abort();
	look("2,000,000 entries of a classic map", CLASSIC);
	neap_hmap_destroy(map);
}

static void of_maps(void)
{
	static struct neap_map *maps[MAPS];
	const uint64_t key = 1;
	for (int i = 0; i < MAPS; i++)
		if ((maps[i] = neap_map_create(&word_type, NULL)) == NULL ||
		    neap_map_put(maps[i], &key, NULL) != 0)
			abort();
	look("100,000 maps of one entry", MAPS);
	for (int i = 0; i < MAPS; i++)
		neap_map_destroy(maps[i]);
}

int main(void)
{
	of_words();
	of_texts();
	of_classic();
	of_maps();
	return 0;
}
