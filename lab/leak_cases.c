/* leak_cases.c: see leak_cases.h. */
#include "lab/leak_cases.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/observe.h"

enum {
	LEAKS_INSIDE = 8,   /* entries of an owner's own map */
	LEAKS_PAYLOAD = 56, /* bytes */
};

/* Where all memory of a case comes from. */
struct leaks_source {
	struct neap_meter meter;
	struct neap_allocator allocator;
};

static void *leaks_must(void *block)
{
	if (block == NULL) {
		fprintf(stderr, "neap: out of memory in leaks\n");
		exit(1);
	}
	return block;
}

static void *leaks_new(const struct leaks_source *source, size_t size)
{
	return leaks_must(source->allocator.alloc(source->allocator.ctx, size, 8));
}

static void leaks_free(const struct leaks_source *source, void *block, size_t size)
{
	source->allocator.free(source->allocator.ctx, block, size);
}

/* `source` NULL: a map that stays within reach. */
static struct neap_map *leaks_map(const struct leaks_source *source, const struct neap_map_type *type)
{
	return leaks_must(neap_map_create(
		type, &(struct neap_map_options){.allocator = source == NULL ? NULL : &source->allocator}));
}

static void leaks_put(struct neap_map *map, const void *key, const void *value)
{
	leaks_must(neap_map_put(map, key, value) == 0 ? map : NULL);
}

/* Plain keys of `key_size` bytes; values of one word. */
static struct neap_map_type leaks_type(unsigned key_size, void (*release)(void *key, void *value, void *ctx),
				       void *ctx)
{
	return (struct neap_map_type){.size = sizeof(struct neap_map_type),
				      .kind = NEAP_KEY_BYTES,
				      .key_size = key_size,
				      .key_align = 8,
				      .value_size = 8,
				      .value_align = 8,
				      .release = release,
				      .release_ctx = ctx};
}

/* Pointer keys. Two requests for one thing bring two addresses: as keys they differ. */
struct leaks_key {
	uint64_t tenant, id;
};

static void leaks_pointer_keys(struct leaks_source *source, size_t n, bool cured, struct leaks_outcome *ret)
{
	const struct neap_map_type type =
		leaks_type(cured ? sizeof(struct leaks_key) : sizeof(void *), NULL, NULL);
	struct neap_map *map = leaks_map(NULL, &type);
	for (uint64_t i = 0; i < LEAKS_ROUNDS * n; i++) {
		struct leaks_key *request = leaks_new(source, sizeof *request);
		*request = (struct leaks_key){1, i % n};
		leaks_put(map, cured ? (const void *)request : &request, &i);
		if (cured)
			leaks_free(source, request, sizeof *request);
	}
	ret->entries = neap_map_len(map);
	ret->count = cured ? n : LEAKS_ROUNDS * n;
	ret->table = neap_map_bytes(map);
	ret->expected = ret->table + (cured ? 0 : LEAKS_ROUNDS * n * sizeof(struct leaks_key));
}

/* Nested owners. The value is a map; a delete gives back the slot that pointed to it. */
static void leaks_release_inner(void *key, void *value, void *ctx)
{
	(void)key, (void)ctx;
	neap_map_destroy(*(struct neap_map **)value);
}

static void leaks_nested_owners(struct leaks_source *source, size_t n, bool cured, struct leaks_outcome *ret)
{
	const struct neap_map_type outer_type = leaks_type(8, cured ? leaks_release_inner : NULL, NULL);
	const struct neap_map_type inner_type = leaks_type(8, NULL, NULL);
	struct neap_map *outer = leaks_map(NULL, &outer_type);
	for (uint64_t i = 0; i < n; i++) {
		struct neap_map *inner = leaks_map(source, &inner_type);
		for (uint64_t key = 0; key < LEAKS_INSIDE; key++)
			leaks_put(inner, &key, &key);
		if (!cured || i % LEAKS_KEPT_OF == 0) {
			ret->expected += neap_map_bytes(inner);
			ret->count++;
		}
		leaks_put(outer, &i, &inner);
	}
	for (uint64_t i = 0; i < n; i++)
		if (i % LEAKS_KEPT_OF != 0)
			neap_map_delete(outer, &i);
	ret->entries = neap_map_len(outer);
	ret->table = neap_map_bytes(outer);
	ret->expected += ret->table;
}

/* Unfinished evacuation, in the classic map. Growth moves buckets when there are writes: a map that is only read
 * from now on keeps both arrays.
 */
static void leaks_unfinished(struct leaks_source *source, size_t n, bool cured, struct leaks_outcome *ret)
{
	const struct neap_hmap_type type = {.size = sizeof type,
					    .kind = NEAP_HMAP_BYTES,
					    .key_size = 8,
					    .key_align = 8,
					    .value_size = 8,
					    .value_align = 8};
	const uint32_t hash0 = 1; /* the same overflow buckets in every run */
	struct neap_hmap *map = leaks_must(neap_hmap_create(
		&type, &(struct neap_hmap_options){.allocator = &source->allocator, .hash0 = &hash0}));
	struct neap_hmap_stats stats = {.size = sizeof stats};
	uint64_t key = 0;
	/* the insert that starts a growth is the last one */
	for (; key < n || neap_hmap_header(map)->oldbuckets == NULL; key++)
		leaks_must(neap_hmap_put(map, &key, &key) == 0 ? map : NULL);
	for (uint64_t reads = 0; reads < LEAKS_ROUNDS * key; reads++)
		(void)neap_hmap_get(map, &(uint64_t){reads % key});
	neap_hmap_stats(map, &stats);
	for (size_t writes = 0; cured && writes < stats.old_buckets; writes++)
		leaks_must(neap_hmap_put(map, &(uint64_t){writes}, &(uint64_t){writes}) == 0 ? map : NULL);
	size_t old_bytes = stats.old_bytes, old_buckets = stats.old_buckets, moved = stats.nevacuate;
	neap_hmap_stats(map, &stats);
	ret->entries = neap_hmap_len(map);
	ret->count = cured ? 0 : old_buckets - moved;
	ret->expected = stats.total - stats.old_bytes + (cured ? 0 : old_bytes);
}

/* A timer for each store. They all last as long, so a list in order of their starts is a queue in order of their ends. */
struct leaks_timer {
	struct leaks_timer *before, *after;
	uint64_t key, ends;
};

struct leaks_timers {
	struct leaks_source *source;
	struct leaks_timer head; /* a ring */
	size_t count;
};

static struct leaks_timer *leaks_start(struct leaks_timers *timers, uint64_t key)
{
	struct leaks_timer *timer = leaks_new(timers->source, sizeof *timer);
	*timer = (struct leaks_timer){timers->head.before, &timers->head, key, 3600};
	timer->before->after = timer;
	timers->head.before = timer;
	timers->count++;
	return timer;
}

/* The map hands over the value that is overwritten: the timer to stop. */
static void leaks_stop(void *key, void *value, void *ctx)
{
	(void)key;
	struct leaks_timers *timers = ctx;
	struct leaks_timer *timer = *(struct leaks_timer **)value;
	timer->before->after = timer->after;
	timer->after->before = timer->before;
	leaks_free(timers->source, timer, sizeof *timer);
	timers->count--;
}

static void leaks_timer_per_key(struct leaks_source *source, size_t n, bool cured, struct leaks_outcome *ret)
{
	struct leaks_timers timers = {.source = source};
	timers.head.before = timers.head.after = &timers.head;
	const struct neap_map_type type = leaks_type(8, cured ? leaks_stop : NULL, &timers);
	struct neap_map *map = leaks_map(NULL, &type);
	for (uint64_t i = 0; i < LEAKS_ROUNDS * n; i++) {
		struct leaks_timer *timer = leaks_start(&timers, i % n);
		leaks_put(map, &timer->key, &timer);
	}
	ret->entries = neap_map_len(map);
	ret->count = timers.count;
	ret->table = neap_map_bytes(map);
	ret->expected = ret->table + (cured ? n : LEAKS_ROUNDS * n) * sizeof(struct leaks_timer);
}

/* Ownership cycles. A parent owns a map of children; a child that counts as an owner of its parent keeps it, and so
 * itself.
 */
struct leaks_parent {
	struct leaks_source *source;
	size_t owners;
	struct neap_map_type type;
	struct neap_map *children;
};

struct leaks_child {
	struct leaks_parent *parent;
	char payload[LEAKS_PAYLOAD];
};

static void leaks_release_child(void *key, void *value, void *ctx)
{
	(void)key;
	leaks_free(ctx, *(struct leaks_child **)value, sizeof(struct leaks_child));
}

static void leaks_let_go(struct leaks_parent *parent)
{
	if (--parent->owners > 0)
		return;
	neap_map_destroy(parent->children);
	leaks_free(parent->source, parent, sizeof *parent);
}

static void leaks_ownership_cycles(struct leaks_source *source, size_t n, bool cured,
				   struct leaks_outcome *ret)
{
	for (uint64_t i = 0; i < n; i++) {
		struct leaks_parent *parent = leaks_new(source, sizeof *parent);
		*parent = (struct leaks_parent){source, 1, leaks_type(8, leaks_release_child, source), NULL};
		parent->children = leaks_map(source, &parent->type);
		struct leaks_child *child = leaks_new(source, sizeof *child);
		child->parent = parent;
		parent->owners += !cured; /* cured: the way up is not counted */
		leaks_put(parent->children, &i, &child);
		if (!cured) {
			ret->expected += neap_map_bytes(parent->children) + sizeof *parent + sizeof *child;
			ret->count++;
		}
		leaks_let_go(parent);
	}
}

/* Thread-local leftovers. A thread's own map outlives the thread, unless the thread's end destroys it. */
struct leaks_worker {
	struct leaks_source *source;
	const struct neap_map_type *type;
	pthread_key_t own;
	size_t n, bytes;
};

static void leaks_destroy_own(void *map)
{
	neap_map_destroy(map);
}

static void *leaks_work(void *ctx)
{
	struct leaks_worker *worker = ctx;
	struct neap_map *map = leaks_map(worker->source, worker->type);
	leaks_must(pthread_setspecific(worker->own, map) == 0 ? map : NULL);
	for (uint64_t key = 0; key < worker->n; key++)
		leaks_put(map, &key, &key);
	worker->bytes = neap_map_bytes(map);
	return NULL;
}

/* One thread after the other: the counter is not atomic. */
static void leaks_thread_local(struct leaks_source *source, size_t n, bool cured, struct leaks_outcome *ret)
{
	const struct neap_map_type type = leaks_type(8, NULL, NULL);
	struct leaks_worker worker = {.source = source, .type = &type, .n = LEAKS_OWN};
	leaks_must(pthread_key_create(&worker.own, cured ? leaks_destroy_own : NULL) == 0 ? source : NULL);
	for (size_t i = 0; i < n / LEAKS_OWN; i++) {
		pthread_t thread;
		leaks_must(pthread_create(&thread, NULL, leaks_work, &worker) == 0 ? source : NULL);
		pthread_join(thread, NULL);
		ret->expected += cured ? 0 : worker.bytes;
		ret->count += !cured;
	}
	pthread_key_delete(worker.own);
}

void leaks_carry_out(enum leaks_case which, size_t n, bool cured, struct leaks_outcome *ret)
{
	static void (*const work[LEAKS_CASES])(struct leaks_source * source, size_t n, bool cured,
					       struct leaks_outcome *ret) = {
		[LEAKS_POINTER_KEYS] = leaks_pointer_keys,
		[LEAKS_NESTED_OWNERS] = leaks_nested_owners,
		[LEAKS_UNFINISHED_EVACUATION] = leaks_unfinished,
		[LEAKS_TIMER_PER_KEY] = leaks_timer_per_key,
		[LEAKS_OWNERSHIP_CYCLES] = leaks_ownership_cycles,
		[LEAKS_THREAD_LOCAL] = leaks_thread_local,
	};
	struct leaks_source source = {{0, 0}, {NULL, NULL, NULL}};
	source.allocator = neap_meter_allocator(&source.meter);
	*ret = (struct leaks_outcome){0};
	work[which](&source, n, cured, ret);
	ret->bytes = source.meter.bytes + ret->table;
}
