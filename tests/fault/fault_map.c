/* fault_map.c: every operation of the map while memory is refused, as SQLite tests it.
 *
 * Each case builds a map, refuses request 1, then 2, then 3 ... of the allocator and of the system until the
 * operation needs no further one, twice: that request alone, and all from it on. After each refusal the map must
 * hold exactly what it held, or what the operation promised; every invariant must hold; the account must be the
 * allocator's; and the same operation must succeed when memory is back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/gauge.h"
#include "support/map_probe.h"

#define DEMAND(condition)                                                                           \
	((condition) ? (void)0                                                                      \
		     : (fprintf(stderr, "fault_map: %s:%d: %s (case %s, kind %s, request %zu%s)\n", \
				__FILE__, __LINE__, #condition, now.what, now.kind, now.request,    \
				now.sticky ? " and all after it" : ""),                             \
			abort()))

/* What is being tried, for the message. */
static struct {
	const char *what, *kind;
	size_t request;
	bool sticky;
} now = {"", "", 0, false};

enum { IDS = 4000 };

/* ---- Kinds of map ---- */

static uint64_t constant_hash(const void *key, uint64_t seed)
{
	(void)key;
	return seed;
}

static bool equal_u64(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(uint64_t)) == 0;
}

#define TYPE .size = sizeof(struct neap_map_type)

static const struct kind {
	const char *name;
	struct neap_map_type type;
	uint32_t ids; /* entries at most: those with blocks of their own make one request each */
} kinds[] = {
	{"u64 to u64", {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8}, IDS},
	{"128 to 128 bytes", {TYPE, NEAP_KEY_BYTES, 0, 128, 8, 128, 8}, 1200},
	{"owned string to u64", {TYPE, NEAP_KEY_STR, NEAP_MAP_OWN_KEYS, 16, 8, 8, 8}, 120},
	{"large key, large value", {TYPE, NEAP_KEY_BYTES, 0, 300, 8, 200, 8}, 60},
	{"constant hash", {TYPE, NEAP_KEY_USER, 0, 8, 8, 8, 8, constant_hash, equal_u64, NULL, NULL}, 150},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct world {
	const struct kind *kind;
	struct gauge gauge;
	struct neap_allocator allocator;
	struct neap_map *map;
	uint32_t stamp[IDS]; /* 0: absent */
	size_t len;
};

static const void *key_bytes(const struct world *world, uint32_t id)
{
	static char text[32];
	static uint8_t bytes[512];
	memset(bytes, 0, sizeof bytes);
	if (world->kind->type.kind == NEAP_KEY_STR) {
		snprintf(text, sizeof text, "key number %u", id);
		struct neap_str str = probe_str(text);
		memcpy(bytes, &str, sizeof str);
	} else {
		memcpy(bytes, &id, sizeof id);
	}
	return bytes;
}

static const void *value_bytes(uint32_t stamp)
{
	static uint32_t words[128];
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		words[i] = stamp + (uint32_t)i;
	return words;
}

static void note(struct world *world, uint32_t id, uint32_t stamp)
{
	world->len = world->len + (stamp != 0) - (world->stamp[id] != 0);
	world->stamp[id] = stamp;
}

static int try_put(struct world *world, uint32_t id, uint32_t stamp)
{
	int error = neap_map_put(world->map, key_bytes(world, id), value_bytes(stamp));
	DEMAND(error == NEAP_OK || error == NEAP_ENOMEM);
	if (error == NEAP_OK)
		note(world, id, stamp);
	return error;
}

static void drop(struct world *world, uint32_t id)
{
	DEMAND(neap_map_delete(world->map, key_bytes(world, id)) == (world->stamp[id] != 0));
	note(world, id, 0);
}

/* The map holds what the world says, its invariants hold, its account is the gauge's. */
static void verify(const struct world *world)
{
	const char *broken = neap__map_check(world->map);
	if (broken != NULL)
		fprintf(stderr, "fault_map: invariant: %s\n", broken);
	DEMAND(broken == NULL);
	DEMAND(neap_map_len(world->map) == world->len);
	DEMAND(neap_map_bytes(world->map) == world->gauge.bytes + probe_pages(world->map));
	for (uint32_t id = 0; id < world->kind->ids; id++) {
		const void *value = neap_map_get(world->map, key_bytes(world, id));
		DEMAND((value != NULL) == (world->stamp[id] != 0));
		DEMAND(value == NULL ||
		       memcmp(value, value_bytes(world->stamp[id]), world->kind->type.value_size) == 0);
	}
}

static const uint64_t seed[2] = {3, 5};

static void open_world(struct world *world, const struct kind *kind, uint32_t entries)
{
	memset(world, 0, sizeof *world);
	world->kind = kind;
	world->allocator = gauge_allocator(&world->gauge);
	gauge_watch_system(&world->gauge);
	world->map = neap_map_create(
		&kind->type,
		&(struct neap_map_options){.allocator = &world->allocator, .seed = seed, .name = "w"});
	DEMAND(world->map != NULL);
	for (uint32_t id = 0; id < entries; id++)
		DEMAND(try_put(world, id, id + 1) == NEAP_OK);
}

static void close_world(struct world *world)
{
	gauge_arm(&world->gauge, 0, false);
	neap_map_destroy(world->map);
	DEMAND(world->gauge.blocks == 0);
}

/* ---- Operations: each returns false when it reported that memory was refused ---- */

typedef bool operation(struct world *world);

static bool op_put_new(struct world *world)
{
	return try_put(world, world->kind->ids - 1, 77) == NEAP_OK;
}

static bool op_overwrite(struct world *world)
{
	DEMAND(world->len == 0 || try_put(world, 0, 99) == NEAP_OK); /* needs no memory */
	return true;
}

static bool op_slot(struct world *world)
{
	uint32_t id = world->kind->ids - 1;
	bool inserted = false;
	void *value = neap_map_slot(world->map, key_bytes(world, id), &inserted);
	DEMAND(inserted == (value != NULL && world->stamp[id] == 0));
	if (value == NULL)
		return false;
	memcpy(value, value_bytes(55), world->kind->type.value_size);
	note(world, id, 55);
	return true;
}

/* From what is there to all identities; stops at the first refusal. */
static bool op_grow(struct world *world)
{
	for (uint32_t id = 0; id < world->kind->ids; id++)
		if (world->stamp[id] == 0 && try_put(world, id, id + 1) != NEAP_OK)
			return false;
	return true;
}

/* Goes on after refusals: each must leave the map fit for the next try. */
static bool op_grow_stubbornly(struct world *world)
{
	bool all = true;
	for (uint32_t id = 0; id < world->kind->ids; id++)
		if (world->stamp[id] == 0)
			all = try_put(world, id, id + 1) == NEAP_OK && all;
	return all;
}

static bool op_delete_all(struct world *world)
{
	for (uint32_t id = 0; id < world->kind->ids; id++)
		drop(world, id);
	return true;
}

static bool op_churn(struct world *world)
{
	bool all = true;
	for (uint32_t i = 0; i < world->kind->ids; i++) {
		uint32_t id = (uint32_t)(probe_mix(i) % world->kind->ids);
		if (i % 3 == 0)
			all = try_put(world, id, i + 1) == NEAP_OK && all;
		else
			drop(world, id);
	}
	return all;
}

static bool op_take(struct world *world)
{
	uint8_t key[512], value[512];
	uint32_t id = 0;
	if (!neap_map_take(world->map, key_bytes(world, id), key, value)) {
		DEMAND(world->stamp[id] == 0);
		return true;
	}
	DEMAND(memcmp(value, value_bytes(world->stamp[id]), world->kind->type.value_size) == 0);
	neap_map_free_key(world->map, key);
	note(world, id, 0);
	return true;
}

static bool is_third(const void *key, void *value, void *ctx)
{
	(void)key;
	struct world *world = ctx;
	uint32_t stamp, id = 0;
	memcpy(&stamp, value, sizeof stamp);
	id = stamp - 1; /* entries that were never overwritten */
	if (id >= IDS || id % 3 != 0)
		return false;
	note(world, id, 0);
	return true;
}

static bool op_delete_if(struct world *world)
{
	size_t before = world->len;
	size_t deleted = neap_map_delete_if(world->map, is_third, world);
	DEMAND(deleted == before - world->len);
	return true;
}

static bool op_reserve(struct world *world)
{
	size_t before = neap_map_len(world->map);
	int error = neap_map_reserve(world->map, world->kind->ids * 3);
	DEMAND(error == NEAP_OK || error == NEAP_ENOMEM);
	DEMAND(neap_map_len(world->map) == before);
	return error == NEAP_OK;
}

static bool op_compact(struct world *world)
{
	size_t before = neap_map_bytes(world->map);
	int error = neap_map_compact(world->map);
	DEMAND(error == NEAP_OK || error == NEAP_ENOMEM);
	DEMAND(neap_map_bytes(world->map) <= before);
	return error == NEAP_OK;
}

/* Sparse first, so that there is something to merge. */
static bool op_thin_and_compact(struct world *world)
{
	for (uint32_t id = 0; id < world->kind->ids; id++)
		if (id % 7 != 0)
			drop(world, id);
	return op_compact(world);
}

static bool op_clone(struct world *world)
{
	size_t bytes = world->gauge.bytes;
	struct neap_map *clone = neap_map_clone(world->map, NULL, NULL);
	if (clone == NULL) {
		DEMAND(world->gauge.bytes == bytes);
		return false;
	}
	DEMAND(neap__map_check(clone) == NULL);
	DEMAND(neap_map_equal(clone, world->map, NULL));
	neap_map_destroy(clone);
	return true;
}

static bool op_clear(struct world *world)
{
	neap_map_clear(world->map);
	memset(world->stamp, 0, sizeof world->stamp);
	world->len = 0;
	return true;
}

static bool op_clear_keep(struct world *world)
{
	neap_map_clear_keep(world->map);
	memset(world->stamp, 0, sizeof world->stamp);
	world->len = 0;
	return true;
}

static bool op_create(struct world *world)
{
	size_t bytes = world->gauge.bytes;
	struct neap_map *other =
		neap_map_create(&world->kind->type, &(struct neap_map_options){.allocator = &world->allocator,
									       .name = "a name of its own",
									       .reserve = world->kind->ids});
	DEMAND(other != NULL || world->gauge.bytes == bytes);
	neap_map_destroy(other);
	DEMAND(world->gauge.bytes == bytes);
	return other != NULL;
}

/* A loop whose body inserts goes on over refusals; what was there at its start comes exactly once. */
static bool op_iterate_and_grow(struct world *world)
{
	static uint8_t owed[IDS];
	bool all = true;
	uint32_t next = 0;
	for (uint32_t id = 0; id < world->kind->ids; id++)
		owed[id] = world->stamp[id] != 0;
	struct neap_map_iter it;
	for (neap_map_iter_init(&it, world->map); neap_map_iter_next(&it);) {
		uint32_t stamp;
		memcpy(&stamp, it.value, sizeof stamp);
		DEMAND(stamp >= 1 && stamp <= world->kind->ids && world->stamp[stamp - 1] == stamp);
		owed[stamp - 1] = 0;
		for (int i = 0; i < 3 && next < world->kind->ids; next++) {
			if (world->stamp[next] != 0)
				continue;
			all = try_put(world, next, next + 1) == NEAP_OK && all;
			i++;
		}
	}
	for (uint32_t id = 0; id < world->kind->ids; id++)
		DEMAND(owed[id] == 0);
	return all && op_grow(world);
}

static const struct {
	const char *name;
	operation *run;
} operations[] = {
	{"put", op_put_new},
	{"overwrite", op_overwrite},
	{"slot", op_slot},
	{"grow", op_grow},
	{"grow stubbornly", op_grow_stubbornly},
	{"delete all", op_delete_all},
	{"churn", op_churn},
	{"take", op_take},
	{"delete_if", op_delete_if},
	{"reserve", op_reserve},
	{"compact", op_compact},
	{"thin and compact", op_thin_and_compact},
	{"clone", op_clone},
	{"clear", op_clear},
	{"clear_keep", op_clear_keep},
	{"create", op_create},
	{"iterate and grow", op_iterate_and_grow},
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

/* ---- The loop ---- */

static size_t refusals, tries;

/* True when the operation ran through without a refusal. */
static bool one_try(const struct kind *kind, uint32_t entries, size_t o, const char *only)
{
	static struct world world;
	open_world(&world, kind, entries);
	world.gauge.only = only;
	gauge_arm(&world.gauge, now.request, now.sticky);
	bool done = operations[o].run(&world);
	size_t refused = world.gauge.refused;
	gauge_arm(&world.gauge, 0, false);
	world.gauge.only = NULL;
	DEMAND(done || refused != 0);
	verify(&world);
	if (refused != 0) {
		DEMAND(operations[o].run(&world));
		verify(&world);
	}
	close_world(&world);
	refusals += refused;
	tries++;
	return refused == 0;
}

static void refuse_one_after_the_other(const struct kind *kind, uint32_t entries, size_t o, const char *only)
{
	now.what = operations[o].name;
	now.kind = kind->name;
	for (int sticky = 0; sticky < 2; sticky++) {
		now.sticky = sticky != 0;
		for (now.request = 1; !one_try(kind, entries, o, only); now.request++)
			continue;
	}
}

int main(int argc, char **argv)
{
	static const char *const calls[] = {"mmap", "mremap", "madvise", "getrandom"};
	/* usage: fault_map [OPERATION [KIND]], to try one alone */
	for (size_t k = 0; k < KINDS; k++) {
		uint32_t ids = kinds[k].ids;
		const uint32_t entries[] = {0, 4, 15, 52, ids / 4, ids - 1};
		for (size_t o = 0; o < OPERATIONS; o++) {
			if ((argc > 1 && strcmp(argv[1], operations[o].name) != 0) ||
			    (argc > 2 && strcmp(argv[2], kinds[k].name) != 0))
				continue;
			for (size_t e = 0; e < sizeof entries / sizeof entries[0]; e++) {
				if (entries[e] >= ids)
					continue;
				refuse_one_after_the_other(&kinds[k], entries[e], o, NULL);
				for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++)
					refuse_one_after_the_other(&kinds[k], entries[e], o, calls[c]);
			}
		}
	}
	gauge_ignore_system();
	printf("fault_map: %zu tries, %zu refusals, the map as it was after each\n", tries, refusals);
	return tries == 0;
}
