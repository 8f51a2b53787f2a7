/* registry.c: threads make, fill, shrink and free maps while two others enumerate and glance at them, and a child is
 * forked now and then. Under ThreadSanitizer this must be silent; every glance must add up; maps that live all the
 * time must be seen exactly once by every enumeration.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/registry.h"
#include "neap/hmap.h"
#include "neap/map.h"

enum { OWNERS = 4, ROUNDS = 20, STEADY = 200, FORKS = 5 };

static const struct neap_map_type type = {.size = sizeof(struct neap_map_type),
					  .kind = NEAP_KEY_BYTES,
					  .key_size = 8,
					  .key_align = 8,
					  .value_size = 8,
					  .value_align = 8};
static const struct neap_hmap_type classic = {.size = sizeof(struct neap_hmap_type),
					      .kind = NEAP_HMAP_BYTES,
					      .key_size = 8,
					      .key_align = 8,
					      .value_size = 8,
					      .value_align = 8};
static atomic_bool over;

static void demand(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "registry: wrong: %s\n", what);
	abort();
}

static void *own(void *arg)
{
	(void)arg;
	for (int round = 0; round < ROUNDS; round++) {
		struct neap_map *map = neap_map_create(&type, &(struct neap_map_options){.name = "brief"});
		struct neap_hmap *hmap = neap_hmap_create(&classic, NULL);
		demand(map != NULL && hmap != NULL, "create");
		uint64_t entries = 4000u * (uint64_t)(round % 5);
		for (uint64_t key = 0; key < entries; key++)
			demand(neap_map_put(map, &key, NULL) == 0 && neap_hmap_put(hmap, &key, NULL) == 0,
			       "put");
		for (uint64_t key = 0; key < entries; key++) {
			neap_map_delete(map, &key);
			neap_hmap_delete(hmap, &key);
		}
		neap_map_destroy(map);
		neap_hmap_destroy(hmap);
	}
	return NULL;
}

struct count {
	unsigned steady;
};

static bool look(const struct neap__link *link, void *ctx)
{
	struct count *count = ctx;
	struct neap__glance glance;
	link->species->glance(link->object, &glance);
	demand(glance.live + glance.tombstone + glance.empty + glance.free_held + glance.metadata ==
		       glance.total,
	       "the parts of a glance");
	count->steady += glance.name[0] == 's';
	return true;
}

static void *enumerate(void *arg)
{
	unsigned *rounds = arg;
	while (!atomic_load(&over)) {
		struct count count = {0};
		demand(neap__registry_each(look, &count), "each");
		demand(count.steady == STEADY, "a map that lived all the time was not seen once");
		(*rounds)++;
	}
	return NULL;
}

static void fork_and_look(void)
{
	pid_t child = fork();
	if (child == 0) {
		struct count count = {0};
		neap__registry_each(look, &count);
		_exit(count.steady == STEADY ? 0 : 1);
	}
	int status = -1;
	demand(waitpid(child, &status, 0) == child && status == 0, "the child's list");
}

int main(void)
{
	static struct neap_map *steady[STEADY];
	pthread_t owners[OWNERS], watchers[2];
	unsigned rounds[2] = {0};
	for (int i = 0; i < STEADY; i++)
		steady[i] = neap_map_create(&type, &(struct neap_map_options){.name = "steady"});
	for (int i = 0; i < 2; i++)
		demand(pthread_create(&watchers[i], NULL, enumerate, &rounds[i]) == 0, "thread");
	for (int i = 0; i < OWNERS; i++)
		demand(pthread_create(&owners[i], NULL, own, NULL) == 0, "thread");
	for (int i = 0; i < FORKS; i++)
		fork_and_look();
	for (int i = 0; i < OWNERS; i++)
		pthread_join(owners[i], NULL);
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(watchers[i], NULL);
	for (int i = 0; i < STEADY; i++)
		neap_map_destroy(steady[i]);
	demand(neap__registry_count() == 0, "the list is empty at the end");
	printf("%u enumerations beside %d owners and %d forks\n", rounds[0] + rounds[1], OWNERS, FORKS);
	return 0;
}
