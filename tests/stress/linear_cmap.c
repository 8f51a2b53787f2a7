/* linear_cmap.c: several threads on few keys write down what they saw; the history is checked afterwards.
 *
 * Small tables and many deletes, so that tables are resized, split and merged all the time; one thread makes the whole
 * map larger and smaller with keys of its own. With values of one word, values of three, and nodes; with loads of the
 * library and inlined ones; with membarrier
 * and with fences (argument "fences"). The checker itself is shown histories that are wrong first.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/os.h"
#include "cmap/internal.h"
#include "support/history.h"
#include "support/map_probe.h"
#include "support/require.h"

enum {
	THREADS = 4,
	KEYS = 24,
	OPS = 30000,  /* of each thread in a round */
	CROWD = 3000, /* keys of the thread that makes the map grow and shrink */
};

struct wide {
	uint64_t number, again, once_more;
};

static void release_nothing(void *key, void *value, void *ctx)
{
	(void)key;
	(void)value;
	(void)ctx;
}

#define NEAP_CMAP_NAME	narrow
#define NEAP_CMAP_KEY	uint64_t
#define NEAP_CMAP_VALUE uint64_t
#include "neap/cmap_typed.h"

#define NEAP_CMAP_NAME	broad
#define NEAP_CMAP_KEY	uint64_t
#define NEAP_CMAP_VALUE struct wide
#include "neap/cmap_typed.h"

#define NEAP_CMAP_NAME	  noded
#define NEAP_CMAP_KEY	  uint64_t
#define NEAP_CMAP_VALUE	  struct wide
#define NEAP_CMAP_RELEASE release_nothing
#include "neap/cmap_typed.h"

static struct neap_cmap *map;
static const struct neap_map_type *type;
static _Atomic uint64_t clock_hand = 1;
static _Atomic bool crowd_stops;
static struct history_op history[THREADS * OPS];

static uint64_t number_of(const struct wide *value)
{
	REQUIRE(type == &narrow_type || (value->again == value->number && value->once_more == value->number));
	return value->number;
}

/* Half of the loads are inlined. */
static bool load(uint64_t key, struct wide *ret, bool inlined)
{
	if (!inlined)
		return neap_cmap_load(map, &key, ret);
	return type == &narrow_type  ? narrow_load(map, key, &ret->number)
	       : type == &broad_type ? broad_load(map, key, ret)
				     : noded_load(map, key, ret);
}

static void perform(struct history_op *op)
{
	uint64_t key = op->key;
	struct wide value = {op->value, op->value, op->value},
		    expected = {op->expected, op->expected, op->expected}, got = {0, 0, 0};
	bool found;
	op->began = atomic_fetch_add(&clock_hand, 1);
	switch (op->verb) {
	case HISTORY_LOAD:
		found = load(key, &got, op->began % 2 == 0);
		op->seen = found ? number_of(&got) : 0;
		break;
	case HISTORY_STORE: REQUIRE(neap_cmap_store(map, &key, &value) == 0); break;
	case HISTORY_LOAD_OR_STORE:
		found = neap_cmap_load_or_store(map, &key, &value, &got) == 1;
		op->seen = found ? number_of(&got) : 0;
		break;
	case HISTORY_TAKE:
		found = neap_cmap_load_and_delete(map, &key, &got);
		op->seen = found ? number_of(&got) : 0;
		break;
	case HISTORY_SWAP_IF: op->seen = neap_cmap_compare_and_swap(map, &key, &expected, &value) == 1; break;
	default: op->seen = neap_cmap_compare_and_delete(map, &key, &expected); break;
	}
	op->ended = atomic_fetch_add(&clock_hand, 1);
}

static void *acts(void *ctx)
{
	const uint32_t thread = (uint32_t)(uintptr_t)ctx;
	struct history_op *ops = history + (size_t)thread * OPS;
	uint64_t random = thread + 1, last[KEYS] = {0};
	for (uint32_t i = 0; i < OPS; i++) {
		random = probe_mix(random + 1);
		struct history_op *op = &ops[i];
		*op = (struct history_op){.key = (uint32_t)(random % KEYS), .thread = thread};
		op->verb = random >> 32 & 1 ? HISTORY_LOAD : 1 + (uint32_t)(random >> 33) % 5;
		op->value = (uint64_t)thread << 32 | (i + 1);
		op->expected = last[op->key];
		perform(op);
		if (op->verb == HISTORY_LOAD)
			last[op->key] = op->seen;
	}
	return NULL;
}

static void *crowds(void *ctx)
{
	const struct wide value = {1, 1, 1};
	for (uint64_t way = 0; !atomic_load(&crowd_stops); way++)
		for (uint64_t i = 0; i < CROWD && !atomic_load(&crowd_stops); i++) {
			uint64_t key = KEYS + i;
			if (way % 2 == 0)
				REQUIRE(neap_cmap_store(map, &key, &value) == 0);
			else
				(void)neap_cmap_delete(map, &key);
		}
	return ctx;
}

static void one_round(void)
{
	pthread_t threads[THREADS], crowd;
	map = neap_cmap_create(type, &(struct neap_cmap_options){.shards = 2});
	REQUIRE(map != NULL);
	atomic_store(&crowd_stops, false);
	REQUIRE(pthread_create(&crowd, NULL, crowds, NULL) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, acts, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&crowd_stops, true);
	pthread_join(crowd, NULL);
	neap__cmap_check(map);
	struct neap_cmap_stats stats = {.size = sizeof stats};
	neap_cmap_stats(map, &stats);
	printf("values of %u bytes%s: %d operations on %d keys, %llu resizes, %llu splits, %llu merges, %s\n",
	       type->value_size, type->release != NULL ? " in nodes" : "", THREADS * OPS, KEYS,
	       (unsigned long long)stats.resizes, (unsigned long long)stats.splits,
	       (unsigned long long)stats.merges, stats.fences ? "fences" : "membarrier");
	neap_cmap_destroy(map);
	REQUIRE(history_is_linear(history, (size_t)THREADS * OPS));
}

/* What the checker must refuse, and one that it must allow. */
static void checker_checks(void)
{
	struct history_op stale[] = {{1, 2, 0, HISTORY_STORE, 0, 5, 0, 0},
				     {3, 4, 0, HISTORY_STORE, 0, 6, 0, 0},
				     {5, 6, 0, HISTORY_LOAD, 0, 0, 5, 1}};
	struct history_op lost[] = {{1, 2, 0, HISTORY_STORE, 0, 5, 0, 0},
				    {3, 4, 0, HISTORY_LOAD, 0, 0, 0, 1}};
	struct history_op twice[] = {{1, 2, 0, HISTORY_STORE, 0, 5, 0, 0},
				     {3, 6, 0, HISTORY_TAKE, 0, 0, 5, 0},
				     {4, 7, 0, HISTORY_TAKE, 0, 0, 5, 1}};
	struct history_op back[] = {{1, 8, 0, HISTORY_STORE, 0, 5, 0, 0},
				    {2, 3, 0, HISTORY_LOAD, 0, 0, 5, 1},
				    {4, 5, 0, HISTORY_LOAD, 0, 0, 0, 1}};
	struct history_op both[] = {{1, 8, 0, HISTORY_STORE, 0, 5, 0, 0},
				    {2, 3, 0, HISTORY_LOAD, 0, 0, 0, 1},
				    {4, 5, 0, HISTORY_LOAD, 0, 0, 5, 1}};
	REQUIRE(!history_key_is_linear(stale, 3) && !history_key_is_linear(lost, 2));
	REQUIRE(!history_key_is_linear(twice, 3) && !history_key_is_linear(back, 3));
	REQUIRE(history_key_is_linear(both, 3));
}

static bool refuse_barrier(const char *call)
{
	return strcmp(call, "membarrier") == 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "fences") == 0)
		neap__os_fail = refuse_barrier;
	checker_checks();
	static const struct neap_map_type *const types[] = {&narrow_type, &broad_type, &noded_type};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		type = types[i];
		one_round();
	}
	return 0;
}
