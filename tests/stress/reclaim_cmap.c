/* reclaim_cmap.c: readers never see freed memory, and everything is freed in the end.
 *
 * The allocator fills what is freed with 0xdd; a reader that sees a value whose words differ, or a key with another
 * key's value, stops the program. Threads come and go while they read. Argument "fences": without membarrier;
 * "late": membarrier is refused after it was allowed, and then allowed again.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmap/internal.h"
#include "support/map_probe.h"
#include "support/require.h"

enum { WRITERS = 2, READERS = 3, KEYS = 4000, ROUNDS = 40, LIVES = 12, READS = 20000 };

/* An owner of memory: what a released value points at. */
struct thing {
	_Atomic uint64_t number; /* 0 once released */
};

static _Atomic size_t things, bytes;
static _Atomic bool refusing, finished;
static struct neap_cmap *map;

static void *counting_alloc(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	atomic_fetch_add(&bytes, size);
	return neap__malloc_allocator.alloc(NULL, size, align);
}

static void poisoning_free(void *ctx, void *block, size_t size)
{
	(void)ctx;
	memset(block, 0xdd, size);
	atomic_fetch_sub(&bytes, size);
	neap__malloc_allocator.free(NULL, block, size);
}

static void release_thing(void *key, void *value, void *ctx)
{
	struct thing *thing;
	(void)key;
	(void)ctx;
	if (value == NULL)
		return;
	memcpy(&thing, value, sizeof thing);
	REQUIRE(atomic_exchange(&thing->number, 0) != 0);
	atomic_fetch_sub(&things, 1);
	free(thing);
}

static const struct neap_map_type thing_type = {.size = sizeof thing_type,
						.kind = NEAP_KEY_STR,
						.key_size = sizeof(struct neap_str),
						.key_align = 8,
						.value_size = sizeof(struct thing *),
						.value_align = 8,
						.release = release_thing};

static struct neap_str text_of(char text[32], uint64_t number)
{
	snprintf(text, 32, "thing %llu", (unsigned long long)number);
	return probe_str(text);
}

static void *writes(void *ctx)
{
	char text[32];
	uint64_t first = (uint64_t)(uintptr_t)ctx;
	for (int round = 0; round < ROUNDS; round++) {
		for (uint64_t i = first; i < KEYS; i += WRITERS) {
			struct neap_str key = text_of(text, i);
			struct thing *thing = malloc(sizeof *thing);
			REQUIRE(thing != NULL);
			atomic_init(&thing->number, i + 1);
			atomic_fetch_add(&things, 1);
			REQUIRE(neap_cmap_store(map, &key, &thing) == 0);
		}
		for (uint64_t i = first; i < KEYS; i += WRITERS) {
			struct neap_str key = text_of(text, i);
			REQUIRE(neap_cmap_delete(map, &key));
		}
	}
	return NULL;
}

static void *reads(void *ctx)
{
	char text[32];
	uint64_t random = (uint64_t)(uintptr_t)ctx, found = 0;
	for (int i = 0; i < READS && !atomic_load(&finished); i++) {
		random = probe_mix(random + 1);
		uint64_t number = random % KEYS;
		struct neap_str key = text_of(text, number);
		struct thing *thing;
		uint64_t outer = neap_cmap_enter();
		if (neap_cmap_load(map, &key, &thing)) {
			REQUIRE(atomic_load(&thing->number) == number + 1);
			found++;
		}
		neap_cmap_leave(outer);
	}
	return (void *)(uintptr_t)found;
}

/* Readers whose threads end and begin anew. */
static void *lives(void *ctx)
{
	uintptr_t found = 0;
	for (uintptr_t life = 0; life < LIVES; life++) {
		pthread_t thread;
		void *ret;
		REQUIRE(pthread_create(&thread, NULL, reads, (void *)((uintptr_t)ctx * LIVES + life)) == 0);
		pthread_join(thread, &ret);
		found += (uintptr_t)ret;
		if (life == LIVES / 2)
			atomic_store(&refusing, false);
	}
	return (void *)found;
}

static bool refuse_when_told(const char *call)
{
	return strcmp(call, "membarrier") == 0 && atomic_load(&refusing);
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	neap__os_fail = refuse_when_told;
	atomic_store(&refusing, strcmp(way, "fences") == 0);
	const struct neap_allocator allocator = {counting_alloc, poisoning_free, NULL};
	map = neap_cmap_create(&thing_type,
			       &(struct neap_cmap_options){.allocator = &allocator, .shards = 4});
	REQUIRE(map != NULL);
	atomic_store(&refusing, strcmp(way, "late") == 0);
	pthread_t writers[WRITERS], readers[READERS];
	uintptr_t found = 0;
	for (uintptr_t i = 0; i < READERS; i++)
		REQUIRE(pthread_create(&readers[i], NULL, lives, (void *)i) == 0);
	for (uintptr_t i = 0; i < WRITERS; i++)
		REQUIRE(pthread_create(&writers[i], NULL, writes, (void *)i) == 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&finished, true);
	for (int i = 0; i < READERS; i++) {
		void *ret;
		pthread_join(readers[i], &ret);
		found += (uintptr_t)ret;
	}
	neap__cmap_check(map);
	atomic_store(&refusing, false);
	REQUIRE(neap_cmap_len(map) == 0);
	REQUIRE(neap_cmap_reclaim(map) == 0);
	REQUIRE(atomic_load(&things) == 0);
	struct neap_cmap_stats stats = {.size = sizeof stats};
	neap_cmap_stats(map, &stats);
	REQUIRE(stats.fences == (strcmp(way, "fences") == 0));
	REQUIRE(stats.total == atomic_load(&bytes));
	neap_cmap_destroy(map);
	REQUIRE(atomic_load(&bytes) == 0);
	printf("%zu loads found something; %llu reclaims, %s\n", (size_t)found,
	       (unsigned long long)stats.reclaims, stats.fences ? "fences" : "membarrier");
	return 0;
}
