/* profile.c: threads allocate, free, and fill maps while sampling is switched on and off and profiles, metrics and
 * accounts are taken. Under ThreadSanitizer this must be silent; what was sampled and freed must be forgotten.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "neap/debug.h"
#include "neap/heap.h"
#include "neap/map.h"
#include "observe/sites.h"

enum { THREADS = 3, LOOKS = 25, BLOCKS = 400 };

static const struct neap_map_type type = {.size = sizeof(struct neap_map_type),
					  .kind = NEAP_KEY_BYTES,
					  .key_size = 8,
					  .key_align = 8,
					  .value_size = 8,
					  .value_align = 8};
static atomic_bool over;

/* The heap holds all its locks while it counts, 149; ThreadSanitizer's search for circles gives up at 64. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

static void demand(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "profile: wrong: %s\n", what);
	abort();
}

static void *work(void *arg)
{
	void *blocks[BLOCKS] = {NULL};
	uint64_t state = (uintptr_t)arg + 1;
	while (!atomic_load(&over)) {
		struct neap_map *map = neap_map_create(&type, NULL);
		for (uint64_t key = 0; key < 2000; key++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			void **block = &blocks[(state >> 33) % BLOCKS];
			neap_heap_free(*block);
			*block = neap_heap_alloc((state >> 20) % 2000);
			demand(neap_map_put(map, &key, NULL) == 0, "put");
		}
		neap_map_destroy(map);
	}
	for (int i = 0; i < BLOCKS; i++)
		neap_heap_free(blocks[i]);
	return NULL;
}

static int drop(void *ctx, const void *bytes, size_t size)
{
	(void)bytes;
	*(size_t *)ctx += size;
	return 0;
}

int main(void)
{
	pthread_t threads[THREADS];
	size_t written = 0;
	neap_heap_free(neap_heap_alloc(1)); /* the heap is there before the threads */
	demand(neap_profile_start(4096) == 0, "start");
	for (uintptr_t i = 0; i < THREADS; i++)
		demand(pthread_create(&threads[i], NULL, work, (void *)i) == 0, "thread");
	for (int look = 0; look < LOOKS; look++) {
		struct neap_profile *profile = neap_profile_take();
		demand(profile != NULL && neap_profile_write(profile, drop, &written) == 0, "profile");
		neap_profile_destroy(profile);
		demand(neap_debug_handle("/metrics", drop, &written) == 200, "metrics");
		demand(neap_debug_handle("/debug/maps", drop, &written) == 200, "maps");
		if (look % 5 == 4)
			neap_profile_stop();
		else
			demand(neap_profile_start((size_t)1024 << look % 4) == 0, "another rate");
	}
	atomic_store(&over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	double left = 0;
	for (uint32_t i = 1; i <= neap__sites_count(); i++) {
		struct neap__site site;
		neap__site_get(i, &site);
		left += site.alloc_bytes - site.free_bytes;
	}
	demand(left < 16 && left > -16, "every sampled block was freed, and forgotten");
	printf("%d profiles beside %d threads, %zu bytes\n", LOOKS, THREADS, written);
	return 0;
}
