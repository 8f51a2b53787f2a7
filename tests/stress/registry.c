/* registry.c: threads make, fill, shrink and free maps while two others enumerate and glance at them, a third writes
 * snapshots of them, and a child is forked now and then. Under ThreadSanitizer this must be silent; every glance must add up; maps that live all the
 * time must be seen exactly once by every enumeration.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/registry.h"
#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/snapshot.h"

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

/* Goes through the records as they come; every map that lived all the time must be among them. */
struct stream {
	size_t len;
	unsigned steady;
	uint8_t bytes[64 << 20];
};

static int keep(void *ctx, const void *bytes, size_t size)
{
	struct stream *stream = ctx;
	demand(stream->len + size <= sizeof stream->bytes, "the size of a snapshot");
	memcpy(stream->bytes + stream->len, bytes, size);
	stream->len += size;
	return 0;
}

static void read_records(struct stream *stream)
{
	enum { SLOTS = 1, MAP, GONE, END, HEAD = 16, NAME = 144 };
	uint32_t record[2] = {0, 0}, name;
	for (size_t at = HEAD; record[0] != END; at += 8 + record[1]) {
		demand(at + 8 <= stream->len, "the end of a snapshot");
		memcpy(record, stream->bytes + at, sizeof record);
		demand(record[0] >= SLOTS && record[0] <= END, "a record");
		if (record[0] != MAP)
			continue;
		memcpy(&name, stream->bytes + at + 8 + NAME, sizeof name);
		stream->steady += stream->bytes[at + 8 + 160 + name] == 's';
	}
}

static void *write_snapshots(void *arg)
{
	unsigned *rounds = arg;
	static struct stream stream;
	while (!atomic_load(&over)) {
		stream.len = stream.steady = 0;
		demand(neap_snapshot_write(keep, &stream) == 0, "snapshot");
		read_records(&stream);
		demand(stream.steady == STEADY, "a map that lived all the time is not in the snapshot once");
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
	pthread_t owners[OWNERS], watchers[2], writer;
	unsigned rounds[2] = {0}, snapshots = 0;
	for (int i = 0; i < STEADY; i++)
		steady[i] = neap_map_create(&type, &(struct neap_map_options){.name = "steady"});
	for (int i = 0; i < 2; i++)
		demand(pthread_create(&watchers[i], NULL, enumerate, &rounds[i]) == 0, "thread");
	demand(pthread_create(&writer, NULL, write_snapshots, &snapshots) == 0, "thread");
	for (int i = 0; i < OWNERS; i++)
		demand(pthread_create(&owners[i], NULL, own, NULL) == 0, "thread");
	for (int i = 0; i < FORKS; i++)
		fork_and_look();
	for (int i = 0; i < OWNERS; i++)
		pthread_join(owners[i], NULL);
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(watchers[i], NULL);
	pthread_join(writer, NULL);
	demand(snapshots > 0, "no snapshot was made");
	for (int i = 0; i < STEADY; i++)
		neap_map_destroy(steady[i]);
	demand(neap__registry_count() == 0, "the list is empty at the end");
	printf("%u enumerations and %u snapshots beside %d owners and %d forks\n", rounds[0] + rounds[1],
	       snapshots, OWNERS, FORKS);
	return 0;
}
