/* test_cmap.c: the concurrent map on one thread against a naive array, its memory, refused memory, fork, sections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmap/internal.h"
#include "support/gauge.h"
#include "support/map_probe.h"

struct trio {
	uint64_t a, b, c;
};

#define NEAP_CMAP_NAME	trios
#define NEAP_CMAP_KEY	uint32_t
#define NEAP_CMAP_VALUE struct trio
#include "neap/cmap_typed.h"

#define NEAP_CMAP_NAME	names
#define NEAP_CMAP_KEY	struct neap_str
#define NEAP_CMAP_VALUE uint64_t
#define NEAP_CMAP_KIND	NEAP_KEY_STR
#include "neap/cmap_typed.h"

#define NEAP_CMAP_NAME	temperatures
#define NEAP_CMAP_KEY	double
#define NEAP_CMAP_VALUE int
#define NEAP_CMAP_KIND	NEAP_KEY_F64
#include "neap/cmap_typed.h"

static size_t released_keys, released_values;

static void count_release(void *key, void *value, void *ctx)
{
	(void)ctx;
	released_keys += key != NULL;
	released_values += value != NULL;
}

static uint64_t few_hashes(const void *key, uint64_t seed)
{
	uint64_t number;
	memcpy(&number, key, sizeof number);
	return (number & 3) ^ seed;
}

static bool equal_numbers(const void *a, const void *b)
{
	return memcmp(a, b, 8) == 0;
}

#define TYPE .size = sizeof(struct neap_map_type)

/* Every representation: words of all widths, nodes with and without a release callback, degenerate hashes. */
static const struct kind {
	const char *name;
	struct neap_map_type type;
	uint32_t ids;
} kinds[] = {
	{"u64 to u64", {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8}, 6000},
	{"u64 to u64, SipHash", {TYPE, NEAP_KEY_BYTES, NEAP_MAP_SIPHASH, 8, 8, 8, 8}, 3000},
	{"set of u32", {TYPE, NEAP_KEY_BYTES, 0, 4, 4, 0, 1}, 6000},
	{"24 to 40 bytes", {TYPE, NEAP_KEY_BYTES, 0, 24, 8, 40, 8}, 3000},
	{"u64 to u64, released",
	 {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8, NULL, NULL, count_release, NULL},
	 3000},
	{"string to u64", {TYPE, NEAP_KEY_STR, 0, 16, 8, 8, 8}, 3000},
	{"string to 200 bytes", {TYPE, NEAP_KEY_STR, NEAP_MAP_SIPHASH, 16, 8, 200, 64}, 1000},
	{"300 bytes to u64", {TYPE, NEAP_KEY_BYTES, 0, 300, 4, 8, 8}, 1000},
	{"four hashes", {TYPE, NEAP_KEY_USER, 0, 8, 8, 8, 8, few_hashes, equal_numbers, NULL, NULL}, 300},
};

enum { KINDS = sizeof kinds / sizeof *kinds, IDS = 6000 };

/* Keys and values made of numbers. A value repeats its number; 0 bytes hold none. */
static char texts[IDS][24];
static uint8_t key_bytes[304], value_bytes[256], other_bytes[256];

static const void *key_of(const struct kind *kind, uint32_t id)
{
	memset(key_bytes, 0, sizeof key_bytes);
	if (kind->type.kind == NEAP_KEY_STR) {
		struct neap_str str = {
			texts[id], (uint32_t)snprintf(texts[id], sizeof texts[id], "%u of the keys", id), 0};
		memcpy(key_bytes, &str, sizeof str);
	} else {
		memcpy(key_bytes + kind->type.key_size / 8 * 4, &id, sizeof id);
	}
	return key_bytes;
}

static const void *value_of(const struct kind *kind, uint32_t number, uint8_t *into)
{
	for (uint32_t i = 0; i + 4 <= kind->type.value_size; i += 4)
		memcpy(into + i, &number, sizeof number);
	return into;
}

/* The number in a value; aborts when it is not the same everywhere. */
static uint32_t number_in(const struct kind *kind, const uint8_t *value)
{
	uint32_t number = 1, again;
	if (kind->type.value_size == 0)
		return 1;
	memcpy(&number, value, sizeof number);
	for (uint32_t i = 0; i + 4 <= kind->type.value_size; i += 4) {
		memcpy(&again, value + i, sizeof again);
		assert_int_equal(again, number);
	}
	return number;
}

struct world {
	const struct kind *kind;
	struct neap_cmap *map;
	uint32_t value[IDS]; /* 0: absent */
	size_t len;
	uint64_t random;
};

static uint32_t draw(struct world *world, uint32_t below)
{
	world->random = probe_mix(world->random + 1);
	return (uint32_t)(world->random % below);
}

static void world_step(struct world *world, unsigned delete_share)
{
	const struct kind *kind = world->kind;
	uint32_t id = draw(world, kind->ids), number = kind->type.value_size == 0 ? 1 : 1 + draw(world, 1000);
	uint32_t was = world->value[id];
	const void *key = key_of(kind, id), *value = value_of(kind, number, value_bytes);
	uint8_t ret[256] = {0};
	unsigned verb = draw(world, 10) < delete_share ? 4 + draw(world, 3) : draw(world, 4);
	switch (verb) {
	case 0:
		assert_int_equal(neap_cmap_load(world->map, key, ret), was != 0);
		if (was != 0)
			assert_int_equal(number_in(kind, ret), was);
		return;
	case 1:
		assert_int_equal(neap_cmap_store(world->map, key, value), 0);
		world->value[id] = number;
		break;
	case 2:
		assert_int_equal(neap_cmap_load_or_store(world->map, key, value, ret), was != 0);
		if (was != 0)
			assert_int_equal(number_in(kind, ret), was);
		else
			world->value[id] = number;
		break;
	case 3: {
		uint32_t guess =
			kind->type.value_size == 0 || draw(world, 2) == 0 ? (was != 0 ? was : 1) : 2000;
		bool fits = guess == was;
		assert_int_equal(neap_cmap_compare_and_swap(world->map, key,
							    value_of(kind, guess, other_bytes), value),
				 fits);
		if (fits)
			world->value[id] = number;
		return;
	}
	case 4:
		assert_int_equal(neap_cmap_delete(world->map, key), was != 0);
		world->value[id] = 0;
		break;
	case 5:
		assert_int_equal(neap_cmap_load_and_delete(world->map, key, ret), was != 0);
		if (was != 0)
			assert_int_equal(number_in(kind, ret), was);
		world->value[id] = 0;
		break;
	default: {
		uint32_t guess = draw(world, 2) == 0 && was != 0 ? was : 2000;
		bool fits = was != 0 && (guess == was || kind->type.value_size == 0);
		assert_int_equal(
			neap_cmap_compare_and_delete(world->map, key, value_of(kind, guess, other_bytes)),
			fits);
		if (fits)
			world->value[id] = 0;
		break;
	}
	}
	world->len += (size_t)(world->value[id] != 0) - (size_t)(was != 0);
}

struct range_ctx {
	struct world *world;
	uint8_t seen[IDS];
	size_t count;
};

static bool range_each(const void *key, const void *value, void *ctx)
{
	struct range_ctx *range = ctx;
	const struct kind *kind = range->world->kind;
	uint32_t id;
	if (kind->type.kind == NEAP_KEY_STR)
		id = (uint32_t)strtoul(((const struct neap_str *)key)->ptr, NULL, 10);
	else
		memcpy(&id, (const uint8_t *)key + kind->type.key_size / 8 * 4, sizeof id);
	assert_true(id < kind->ids);
	assert_int_equal(range->seen[id], 0);
	assert_int_equal(number_in(kind, value), range->world->value[id]);
	range->seen[id] = 1;
	range->count++;
	return true;
}

static void world_check(struct world *world, struct gauge *gauge)
{
	static struct range_ctx range;
	neap__cmap_check(world->map);
	assert_int_equal(neap_cmap_len(world->map), world->len);
	range = (struct range_ctx){.world = world};
	assert_int_equal(neap_cmap_range(world->map, range_each, &range), 0);
	assert_int_equal(range.count, world->len);
	struct neap_cmap_stats stats = {.size = sizeof stats};
	neap_cmap_stats(world->map, &stats);
	assert_int_equal(stats.len, world->len);
	assert_int_equal(stats.total, gauge->bytes);
	assert_int_equal(stats.live + stats.empty + stats.waiting + stats.metadata, stats.total);
}

static void against_an_array(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		static struct world world;
		struct gauge gauge = {0};
		struct neap_allocator allocator = gauge_allocator(&gauge);
		world = (struct world){.kind = &kinds[k], .random = k + 1};
		world.map = neap_cmap_create(
			&kinds[k].type, &(struct neap_cmap_options){.allocator = &allocator, .shards = 4});
		assert_non_null(world.map);
		released_keys = released_values = 0;
		for (int phase = 0; phase < 6; phase++) {
			for (size_t i = 0; i < probe_scale(6 * (size_t)kinds[k].ids); i++)
				world_step(&world, phase % 2 == 0 ? 1 : 8);
			world_check(&world, &gauge);
		}
		neap_cmap_clear(world.map);
		memset(world.value, 0, sizeof world.value);
		world.len = 0;
		world_check(&world, &gauge);
		world_step(&world, 0);
		neap_cmap_destroy(world.map);
		assert_int_equal(gauge.bytes, 0);
		if (kinds[k].type.release != NULL)
			assert_true(released_values > 0 && released_keys > 0);
	}
}

static void types_and_options(void **state)
{
	(void)state;
	struct neap_map_type type = probe_u64;
	assert_null(neap_cmap_create(&type, &(struct neap_cmap_options){.shards = 3}));
	assert_null(neap_cmap_create(&type, &(struct neap_cmap_options){.shards = 8192}));
	type.key_size = 0;
	assert_null(neap_cmap_create(&type, NULL));
	type = probe_u64;
	type.kind = NEAP_KEY_USER;
	assert_null(neap_cmap_create(&type, NULL));
	uint64_t one = 1;
	assert_false(neap_cmap_load(NULL, &one, NULL));
	assert_int_equal(neap_cmap_store(NULL, &one, &one), NEAP_ENIL);
	assert_false(neap_cmap_delete(NULL, &one));
	assert_int_equal(neap_cmap_len(NULL), 0);
	neap_cmap_clear(NULL);
	neap_cmap_destroy(NULL);
}

static void typed_maps(void **state)
{
	(void)state;
	struct neap_cmap *map = trios_create(&(struct neap_cmap_options){.name = "trios"});
	struct trio got;
	assert_string_equal(neap_cmap_name(map), "trios");
	assert_int_equal(trios_store(map, 7, (struct trio){1, 2, 3}), 0);
	assert_int_equal(trios_load_or_store(map, 7, (struct trio){4, 5, 6}, &got), 1);
	assert_int_equal(got.b, 2);
	assert_int_equal(trios_compare_and_swap(map, 7, (struct trio){1, 2, 3}, (struct trio){7, 8, 9}), 1);
	assert_true(trios_load(map, 7, &got) && got.c == 9);
	assert_false(trios_compare_and_delete(map, 7, (struct trio){1, 2, 3}));
	assert_true(trios_load_and_delete(map, 7, &got) && got.a == 7);
	assert_false(trios_delete(map, 7));
	trios_destroy(map);

	map = names_create(NULL);
	char text[] = "alpha";
	assert_int_equal(names_store(map, probe_str(text), 1), 0);
	text[0] = 'X'; /* the map has a copy */
	assert_true(names_load(map, probe_str("alpha"), NULL));
	assert_false(names_load(map, probe_str("Xlpha"), NULL));
	assert_int_equal(names_store(map, probe_str(""), 2), 0);
	assert_true(names_load(map, probe_str(""), NULL));
	names_destroy(map);

	map = temperatures_create(NULL);
	int degree;
	assert_int_equal(temperatures_store(map, 0.0, 1), 0);
	assert_true(temperatures_load(map, -0.0, &degree));
	assert_int_equal(temperatures_store(map, NAN, 1), 0);
	assert_int_equal(temperatures_store(map, NAN, 1), 0);
	assert_false(temperatures_load(map, NAN, NULL));
	assert_int_equal(neap_cmap_len(map), 3);
	neap__cmap_check(map);
	temperatures_destroy(map);
}

/* A million entries come and go; what is left is at most 2 % of the peak, without a call that asks for it. */
static void deletes_give_memory_back(void **state)
{
	(void)state;
	const size_t n = probe_scale(1000000);
	struct neap_cmap *map = neap_cmap_create(&probe_u64, NULL);
	struct neap_cmap_stats full = {.size = sizeof full}, empty = {.size = sizeof empty};
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(neap_cmap_store(map, &(uint64_t){probe_mix(i)}, &i), 0);
	neap_cmap_stats(map, &full);
	assert_int_equal(full.len, n);
	for (uint64_t i = 0; i < n; i++)
		assert_true(neap_cmap_delete(map, &(uint64_t){probe_mix(i)}));
	neap_cmap_stats(map, &empty);
	/* Halves merge again. Tiny tables look at their other half once, when they are empty: it may be split still. */
	assert_int_equal(full.shards, 64 + full.splits - full.merges);
	if (full.shards >= 128)
		assert_true(empty.shards <= 64 + (full.shards - 64) / (HOSTILE ? 4 : 16));
	if (!HOSTILE && !CHECKED) {
		assert_true(full.total <= 33 * n);
		assert_true(empty.total * 50 <= full.total);
	}
	neap__cmap_check(map);
	neap_cmap_destroy(map);
}

static void operation_under_refusal(struct neap_cmap *map, const struct kind *kind, uint32_t id,
				    unsigned verb, struct gauge *gauge)
{
	size_t len = neap_cmap_len(map);
	const void *key = key_of(kind, id), *value = value_of(kind, 5, value_bytes);
	uint8_t ret[256];
	bool there = neap_cmap_load(map, key, ret);
	uint32_t number = there ? number_in(kind, ret) : 0;
	int result;
	if (verb == 0)
		result = neap_cmap_store(map, key, value);
	else if (verb == 1)
		result = neap_cmap_load_or_store(map, key, value, NULL);
	else if (verb == 2)
		result = there ? neap_cmap_compare_and_swap(map, key, ret, value) : 0;
	else
		result = neap_cmap_delete(map, key) ? 0 : there ? -99 : 0;
	assert_true(result >= 0 || (result == NEAP_ENOMEM && gauge->refused > 0 && verb != 3));
	if (result < 0) {
		assert_int_equal(neap_cmap_len(map), len);
		assert_int_equal(neap_cmap_load(map, key, ret), there);
		if (there)
			assert_int_equal(number_in(kind, ret), number);
	}
}

/* Request 1, 2, 3 ... is refused, alone or with all after it, over filling and emptying. */
static void memory_refused(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (int sticky = 0; sticky < 2; sticky++)
			for (size_t at = 1; at < 400; at += at < 60 ? 1 : 17) {
				struct gauge gauge = {0};
				struct neap_allocator allocator = gauge_allocator(&gauge);
				gauge_arm(&gauge, at, sticky != 0);
				struct neap_cmap *map = neap_cmap_create(
					&kinds[k].type,
					&(struct neap_cmap_options){.allocator = &allocator, .shards = 2});
				if (map == NULL) {
					assert_int_equal(gauge.bytes, 0);
					continue;
				}
				for (uint32_t i = 0; i < 240; i++)
					operation_under_refusal(map, &kinds[k], i % 160, i < 180 ? i % 3 : 3,
								&gauge);
				neap__cmap_check(map);
				gauge_arm(&gauge, 0, false);
				for (uint32_t i = 0; i < 50; i++)
					assert_int_equal(neap_cmap_store(map, key_of(&kinds[k], i),
									 value_of(&kinds[k], 1, value_bytes)),
							 0);
				neap_cmap_destroy(map);
				assert_int_equal(gauge.bytes, 0);
			}
}

/* What was loaded in a section stays until the section ends. */
static void sections_keep_values(void **state)
{
	(void)state;
	struct neap_map_type type = {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8, NULL, NULL, count_release, NULL};
	struct neap_cmap *map = neap_cmap_create(&type, NULL);
	released_keys = released_values = 0;
	uint64_t key = 1, value = 2;
	assert_int_equal(neap_cmap_store(map, &key, &value), 0);
	uint64_t outer = neap_cmap_enter(), inner = neap_cmap_enter();
	assert_true(neap_cmap_load(map, &key, &value));
	assert_int_equal(neap_cmap_store(map, &key, &value), 0);
	assert_true(neap_cmap_delete(map, &key));
	neap_cmap_leave(inner);
	assert_true(neap_cmap_reclaim(map) > 0);
	assert_int_equal(released_values, 0);
	neap_cmap_leave(outer);
	assert_int_equal(neap_cmap_reclaim(map), 0);
	assert_int_equal(released_values, 2);
	assert_int_equal(released_keys, 1);
	assert_int_equal(neap_cmap_store(map, &key, &value), 0);
	assert_true(neap_cmap_load_and_delete(map, &key, &value));
	neap_cmap_synchronize();
	assert_int_equal(neap_cmap_reclaim(map), 0);
	assert_int_equal(released_values, 2);
	assert_int_equal(released_keys, 2);
	neap_cmap_destroy(map);
}

static bool end_thread(const void *key, const void *value, void *ctx)
{
	(void)key;
	(void)value;
	(void)ctx;
	pthread_exit(NULL);
}

static void *dies_in_range(void *ctx)
{
	(void)neap_cmap_range(ctx, end_thread, NULL);
	return ctx; /* not reached */
}

static void *dies_in_section(void *ctx)
{
	uint64_t key = 1;
	uint64_t outer = neap_cmap_enter(); /* never left */
	(void)outer;
	(void)neap_cmap_load(ctx, &key, NULL);
	return NULL;
}

/* A thread that ends within a range or a section keeps nothing and blocks nobody. */
static void threads_die(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	struct neap_map_type type = {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8, NULL, NULL, count_release, NULL};
	struct neap_cmap *map = neap_cmap_create(&type, &(struct neap_cmap_options){.allocator = &allocator});
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(neap_cmap_store(map, &i, &i), 0);
	void *(*const ways[])(void *) = {dies_in_range, dies_in_section};
	for (int i = 0; i < 2; i++) {
		pthread_t thread;
		void *end;
		assert_int_equal(pthread_create(&thread, NULL, ways[i], map), 0);
		pthread_join(thread, &end);
		assert_null(end);
	}
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(neap_cmap_delete(map, &i));
	assert_int_equal(neap_cmap_reclaim(map), 0);
	neap_cmap_destroy(map);
	assert_int_equal(gauge.bytes, 0);
}

struct forking {
	struct neap_cmap *map;
	_Atomic bool stop;
};

static void *writes_for_ever(void *ctx)
{
	struct forking *forking = ctx;
	for (uint64_t i = 0; !atomic_load(&forking->stop); i++) {
		uint64_t key = probe_mix(i) % 4000;
		if (i % 3 == 0)
			(void)neap_cmap_delete(forking->map, &key);
		else
			(void)neap_cmap_store(forking->map, &key, &key);
	}
	return NULL;
}

/* Whatever the other threads are doing at the fork, the child has a whole map and can go on. */
static void forks(void **state)
{
	(void)state;
	struct forking forking = {neap_cmap_create(&probe_u64, &(struct neap_cmap_options){.shards = 4}),
				  false};
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writes_for_ever, &forking), 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			alarm(60);
			neap__cmap_check(forking.map);
			for (uint64_t key = 0; key < 5000; key++)
				if (neap_cmap_store(forking.map, &key, &key) != 0)
					_exit(2);
			bool whole = neap_cmap_len(forking.map) == 5000;
			neap_cmap_clear(forking.map);
			_exit(whole && neap_cmap_reclaim(forking.map) == 0 ? 0 : 3);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	atomic_store(&forking.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	neap__cmap_check(forking.map);
	neap_cmap_destroy(forking.map);
}

/* A hundred cycles cost no more than the first. */
static void cycles_level_off(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	struct neap_cmap *map = names_create(&(struct neap_cmap_options){.allocator = &allocator});
	const size_t n = probe_scale(4000);
	size_t full = 0, empty = 0;
	for (int cycle = 0; cycle < 100; cycle++) {
		char text[24];
		for (size_t i = 0; i < n; i++) {
			snprintf(text, sizeof text, "%d-%zu", cycle % 10, i);
			assert_int_equal(names_store(map, probe_str(text), i), 0);
		}
		size_t at_peak = gauge.bytes;
		for (size_t i = 0; i < n; i++) {
			snprintf(text, sizeof text, "%d-%zu", cycle % 10, i);
			assert_true(names_delete(map, probe_str(text)));
		}
		if (cycle == 0) {
			full = at_peak;
			empty = gauge.bytes;
		}
		assert_true(at_peak <= full + full / 20 + NEAP__WAIT_BATCH);
		assert_true(gauge.bytes <= empty + empty / 20 + NEAP__WAIT_BATCH);
	}
	names_destroy(map);
	assert_int_equal(gauge.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_options), cmocka_unit_test(typed_maps),
		cmocka_unit_test(against_an_array),  cmocka_unit_test(deletes_give_memory_back),
		cmocka_unit_test(memory_refused),    cmocka_unit_test(sections_keep_values),
		cmocka_unit_test(threads_die),	     cmocka_unit_test(forks),
		cmocka_unit_test(cycles_level_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
