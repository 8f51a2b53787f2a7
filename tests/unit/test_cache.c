/* test_cache.c: expiry under a clock that the test moves, bounds, eviction, single flight, refused memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>

#include "cache/internal.h"
#include "support/gauge.h"
#include "support/map_probe.h"

static _Atomic uint64_t hand = 1; /* nanoseconds; the tests' clock */

static uint64_t read_hand(void *ctx)
{
	(void)ctx;
	return atomic_load(&hand);
}

#define MS	UINT64_C(1000000)
#define SECOND	(1000 * MS)
#define CLOCKED .clock = read_hand, .tick = MS

static void pass(uint64_t ns)
{
	atomic_fetch_add(&hand, ns);
}

/* Values are numbers with a count of references, so that a value released twice, or used after that, is seen. */
enum { THINGS = 200000 };
static _Atomic int references[THINGS];
static _Atomic size_t released_keys;

static void release_thing(void *key, void *value, void *ctx)
{
	uint64_t thing;
	(void)ctx;
	atomic_fetch_add(&released_keys, key != NULL);
	memcpy(&thing, value, sizeof thing);
	assert_true(thing < THINGS);
	assert_true(atomic_fetch_sub(&references[thing], 1) > 0);
}

static void retain_thing(void *value, void *ctx)
{
	uint64_t thing;
	(void)ctx;
	memcpy(&thing, value, sizeof thing);
	assert_true(atomic_fetch_add(&references[thing], 1) > 0);
}

#define TYPE .size = sizeof(struct neap_map_type)
static const struct neap_map_type thing_type = {TYPE, NEAP_KEY_BYTES, 0,   8, 8, 8, 8, NULL,
						NULL, release_thing,  NULL};
static const struct neap_map_type text_type = {TYPE, NEAP_KEY_STR, 0, 16, 8, 8, 8, NULL, NULL, NULL, NULL};

/* Stores a thing with its first reference; what is refused keeps none. */
static int put_thing(struct neap_cache *cache, uint64_t key, uint64_t thing, uint64_t ttl)
{
	atomic_fetch_add(&references[thing], 1);
	int result = neap_cache_put_for(cache, &key, &thing, ttl);
	if (result != 0)
		atomic_fetch_sub(&references[thing], 1);
	return result;
}

static size_t held(void)
{
	size_t count = 0;
	for (size_t i = 0; i < THINGS; i++)
		count += (size_t)atomic_load(&references[i]);
	return count;
}

static struct neap_cache_stats stats_of(struct neap_cache *cache)
{
	struct neap_cache_stats stats = {.size = sizeof stats};
	neap_cache_stats(cache, &stats);
	return stats;
}

static void ends_and_uses(void **state)
{
	(void)state;
	struct neap_cache *cache = neap_cache_create(
		&thing_type, &(struct neap_cache_options){CLOCKED, .ttl = 100 * MS, .idle = 40 * MS});
	uint64_t got, key = 1, other = 2;
	assert_int_equal(put_thing(cache, 1, 10, 100 * MS), 0);
	assert_int_equal(put_thing(cache, 2, 11, 100 * MS), 0);
	pass(30 * MS);
	assert_true(neap_cache_get(cache, &key, &got));
	assert_int_equal(got, 10);
	pass(30 * MS); /* the other was not used for 60 ms */
	assert_true(neap_cache_get(cache, &key, &got));
	assert_false(neap_cache_get(cache, &other, &got));
	for (int i = 0; i < 3; i++) {
		pass(13 * MS);
		assert_true(neap_cache_get(cache, &key, &got));
	}
	pass(3 * MS); /* 102 ms: uses do not help against the time to live */
	assert_false(neap_cache_get(cache, &key, &got));
	assert_int_equal(held(), 0);
	assert_int_equal(stats_of(cache).expired, 2);
	assert_int_equal(put_thing(cache, 1, 10, 0), 0); /* for ever, but for idleness */
	pass(39 * MS);
	assert_true(neap_cache_get(cache, &key, &got));
	pass(400 * MS);
	assert_false(neap_cache_get(cache, &key, &got));
	neap__cache_check(cache);
	neap_cache_destroy(cache);
	assert_int_equal(held(), 0);
}

/* Never early, at most two ticks late; for ends in every ring, reached by steps and by jumps. */
static void ends_are_exact(void **state)
{
	(void)state;
	static const uint64_t ends[] = {
		1,    2,      63,     64,     65,	4095,	    4096,
		4097, 262143, 262144, 300000, 16777216, 1100000000, UINT64_C(5000000000)};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		for (uint64_t offset = 0; offset < 200; offset += 67)
			for (int steps = 1; steps < 4; steps++) {
				struct neap_cache *cache =
					neap_cache_create(&thing_type, &(struct neap_cache_options){CLOCKED});
				uint64_t key = 1;
				pass(offset * MS + MS / 2); /* within a tick: ends are counted from here */
				(void)neap_cache_get(cache, &key, NULL);
				assert_int_equal(put_thing(cache, 1, 1, ends[i] * MS), 0);
				for (int step = 0; step < steps; step++) {
					pass(ends[i] * MS / (uint64_t)steps - (step == 0));
					(void)neap_cache_expire(cache);
					neap__cache_check(cache);
				}
				assert_int_equal(neap_cache_len(cache), 1);
				pass(2 * MS + 4);
				while (neap_cache_expire(cache))
					continue;
				assert_int_equal(neap_cache_len(cache), 0);
				neap_cache_destroy(cache);
			}
	assert_int_equal(held(), 0);
}

/* A million entries end at once; no operation visits more than a step, and reads see none of them meanwhile. */
static void a_million_end(void **state)
{
	(void)state;
	const size_t n = probe_scale(1000000);
	struct neap_cache *cache = neap_cache_create(&probe_u64, &(struct neap_cache_options){CLOCKED});
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(neap_cache_put_for(cache, &i, &i, SECOND + probe_mix(i) % (3600 * SECOND)),
				 0);
	assert_int_equal(neap_cache_len(cache), n);
	pass(2 * 3600 * SECOND);
	size_t steps = 0;
	for (uint64_t i = 0; i < 1000; i++)
		assert_false(neap_cache_get(cache, &i, NULL));
	while (neap_cache_expire(cache))
		steps++;
	struct neap_cache_stats stats = stats_of(cache);
	assert_int_equal(stats.len, 0);
	assert_int_equal(stats.bytes, 0);
	assert_int_equal(stats.expired, n);
	assert_true(stats.longest_step <= NEAP_CACHE_STEP);
	assert_true(CHECKED || steps >= n / NEAP_CACHE_STEP / 4);
	assert_true(HOSTILE || stats.overhead < 256 << 10); /* the index has shrunk too */
	neap__cache_check(cache);
	neap_cache_destroy(cache);
}

static void clocks_jump(void **state)
{
	(void)state;
	struct neap_cache *cache = neap_cache_create(&thing_type, &(struct neap_cache_options){CLOCKED});
	uint64_t key = 1, got;
	pass(10000 * SECOND);
	assert_int_equal(put_thing(cache, 1, 1, 5 * SECOND), 0);
	uint64_t before = atomic_load(&hand);
	atomic_store(&hand, before - 8000 * SECOND); /* back: time stands still */
	assert_true(neap_cache_get(cache, &key, &got));
	assert_int_equal(put_thing(cache, 2, 2, SECOND), 0);
	assert_false(neap_cache_expire(cache));
	assert_int_equal(neap_cache_len(cache), 2);
	atomic_store(&hand, before + SECOND / 2);
	assert_true(neap_cache_get(cache, &(uint64_t){2}, &got)); /* it was stored now, not then */
	atomic_store(&hand, before + 2 * SECOND);
	assert_true(neap_cache_get(cache, &key, &got));
	assert_int_equal(neap_cache_len(cache), 1);
	atomic_store(&hand, UINT64_MAX / 2); /* forward by three centuries */
	assert_false(neap_cache_get(cache, &key, &got));
	assert_int_equal(neap_cache_len(cache), 0);
	assert_int_equal(put_thing(cache, 1, 1, UINT64_MAX), 0);
	assert_true(neap_cache_get(cache, &key, &got));
	neap__cache_check(cache);
	neap_cache_destroy(cache);
	atomic_store(&hand, before);
	assert_int_equal(held(), 0);
}

/* Overwriting leaves nothing: no second timer, no second weight, no old value. */
static void overwritten_leaves_nothing(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	struct neap_cache *cache = neap_cache_create(
		&thing_type, &(struct neap_cache_options){CLOCKED, .allocator = &allocator});
	released_keys = 0;
	assert_int_equal(put_thing(cache, 1, 0, SECOND), 0);
	size_t bytes = gauge.bytes, blocks = gauge.blocks;
	for (uint64_t i = 1; i < probe_scale(20000); i++)
		assert_int_equal(put_thing(cache, 1, i, SECOND), 0);
	assert_int_equal(gauge.bytes, bytes);
	assert_int_equal(gauge.blocks, blocks);
	assert_int_equal(held(), 1);
	neap__cache_check(cache);
	pass(900 * MS);
	assert_int_equal(put_thing(cache, 1, 1, SECOND), 0);
	pass(900 * MS);
	assert_int_equal(neap_cache_len(cache), 1); /* the old ends do not count */
	pass(200 * MS);
	assert_false(neap_cache_expire(cache));
	assert_int_equal(neap_cache_len(cache), 0);
	assert_int_equal(released_keys, 1);
	neap_cache_destroy(cache);
	assert_int_equal(gauge.bytes, 0);
	assert_int_equal(held(), 0);
}

static size_t weigh_number(const void *key, const void *value, void *ctx)
{
	uint64_t number;
	(void)key;
	(void)ctx;
	memcpy(&number, value, sizeof number);
	return number % 5000;
}

/* Random operations; the bounds hold after each, and everything in the cache is what was stored last. */
static void bounds_hold(void **state)
{
	(void)state;
	for (int shards = 1; shards <= 4; shards *= 4) {
		struct neap_cache *cache = neap_cache_create(
			&thing_type,
			&(struct neap_cache_options){CLOCKED, .max_entries = 600, .max_bytes = 400000,
						     .shards = (uint32_t)shards, .weigh = weigh_number});
		static uint64_t last[3000];
		for (size_t i = 0; i < 3000; i++)
			last[i] = UINT64_MAX;
		uint64_t refused = 0;
		for (uint64_t i = 0; i < probe_scale(60000); i++) {
			uint64_t random = probe_mix(i), key = random % 3000, thing = random >> 20 & 0xffff,
				 got;
			if ((random >> 60) < 6) {
				int result = put_thing(cache, key, thing,
						       random >> 50 & 1 ? 0 : random >> 40 & 0xffff);
				refused += result == NEAP_ETOOBIG;
				if (result == 0)
					last[key] = thing;
			} else if ((random >> 60) < 7) {
				(void)neap_cache_delete(cache, &key);
				last[key] = UINT64_MAX;
			} else if (neap_cache_get(cache, &key, &got)) {
				assert_int_equal(got, last[key]);
			}
			if (i % 64 == 0) {
				pass(MS);
				neap__cache_check(cache);
			}
		}
		struct neap_cache_stats stats = stats_of(cache);
		assert_true(stats.len <= 600 && stats.bytes <= 400000);
		assert_true(stats.evicted > 0 && stats.expired > 0 && stats.refused == refused);
		assert_true(stats.longest_step <= NEAP_CACHE_STEP);
		assert_int_equal(stats.len, stats.stored - stats.deleted - stats.expired - stats.evicted);
		neap_cache_destroy(cache);
		assert_int_equal(held(), 0);
	}
}

/* A scan of new keys passes through and leaves what is used in place; FIFO and LRU would lose all of it. */
static void scans_pass_through(void **state)
{
	(void)state;
	struct neap_cache *cache =
		neap_cache_create(&probe_u64, &(struct neap_cache_options){CLOCKED, .max_entries = 1000});
	for (int round = 0; round < 4; round++)
		for (uint64_t i = 0; i < 500; i++)
			if (!neap_cache_get(cache, &i, NULL))
				assert_int_equal(neap_cache_put(cache, &i, &i), 0);
	for (uint64_t i = 10000; i < 14000; i++)
		assert_int_equal(neap_cache_put(cache, &i, &i), 0);
	size_t stayed = 0;
	for (uint64_t i = 0; i < 500; i++)
		stayed += neap_cache_get(cache, &i, NULL);
	assert_true(stayed >= 450);
	neap__cache_check(cache);
	neap_cache_destroy(cache);
}

static void too_big(void **state)
{
	(void)state;
	struct neap_cache *cache = neap_cache_create(
		&thing_type, &(struct neap_cache_options){CLOCKED, .max_bytes = 2000, .weigh = weigh_number});
	uint64_t key = 1, got;
	assert_int_equal(put_thing(cache, 1, 7, 0), 0);
	assert_int_equal(put_thing(cache, 1, 4000, 0), NEAP_ETOOBIG); /* the old value is still there */
	assert_true(neap_cache_get(cache, &key, &got));
	assert_int_equal(got, 7);
	assert_int_equal(put_thing(cache, 1, 1500, 0), 0);
	assert_int_equal(put_thing(cache, 2, 1500, 0), 0);
	assert_int_equal(neap_cache_len(cache), 1);
	neap__cache_check(cache);
	neap_cache_destroy(cache);
	assert_int_equal(held(), 0);
}

static void memory_refused(void **state)
{
	(void)state;
	for (int sticky = 0; sticky < 2; sticky++)
		for (size_t at = 1; at < 320; at += at < 40 ? 1 : 13) {
			struct gauge gauge = {0};
			struct neap_allocator allocator = gauge_allocator(&gauge);
			gauge_arm(&gauge, at, sticky != 0);
			struct neap_cache *cache = neap_cache_create(
				&thing_type, &(struct neap_cache_options){CLOCKED, .allocator = &allocator,
									  .max_entries = 100});
			if (cache == NULL) {
				assert_int_equal(gauge.bytes, 0);
				continue;
			}
			for (uint64_t i = 0; i < 300; i++) {
				uint64_t key = i % 150, got, was = UINT64_MAX;
				if (!neap_cache_get(cache, &key, &was))
					was = UINT64_MAX;
				int result = put_thing(cache, key, i, SECOND);
				assert_true(result == 0 || (result == NEAP_ENOMEM && gauge.refused > 0));
				if (result != 0 && was != UINT64_MAX) {
					assert_true(neap_cache_get(cache, &key, &got));
					assert_int_equal(got, was);
				}
			}
			neap__cache_check(cache);
			gauge_arm(&gauge, 0, false);
			assert_int_equal(put_thing(cache, 5, 5, SECOND), 0);
			neap_cache_destroy(cache);
			assert_int_equal(gauge.bytes, 0);
			assert_int_equal(held(), 0);
		}
}

static void text_keys(void **state)
{
	(void)state;
	struct neap_cache *cache = neap_cache_create(&text_type, NULL);
	char text[] = "session 1";
	struct neap_str key = probe_str(text);
	uint64_t value = 7, got;
	assert_int_equal(neap_cache_put(cache, &key, &value), 0);
	text[8] = '2';
	assert_false(neap_cache_get(cache, &key, &got));
	text[8] = '1';
	assert_true(neap_cache_get(cache, &key, &got) && got == 7);
	neap_cache_clear(cache);
	assert_int_equal(neap_cache_len(cache), 0);
	neap_cache_destroy(cache);
	assert_null(neap_cache_create(&text_type, &(struct neap_cache_options){.shards = 3}));
	neap_cache_destroy(NULL);
}

/* ---- Single flight ---- */

struct flight_test {
	struct neap_cache *cache;
	pthread_barrier_t start;
	_Atomic int loads, arrived;
	int error;
	bool dies_first;
};

static int slow_loader(const void *key, void *ret_value, void *ctx)
{
	struct flight_test *test = ctx;
	uint64_t thing;
	memcpy(&thing, key, sizeof thing);
	int load = atomic_fetch_add(&test->loads, 1);
	/* Until the others are waiting, or have had the time to. */
	for (int i = 0; i < 200 && stats_of(test->cache).waits < 3; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	if (load == 0 && test->dies_first)
		pthread_exit(NULL);
	if (test->error != 0)
		return test->error;
	atomic_fetch_add(&references[thing], 1);
	memcpy(ret_value, &thing, sizeof thing);
	return 0;
}

static void *wants_it(void *ctx)
{
	struct flight_test *test = ctx;
	uint64_t key = 77, got = 0;
	bool kept;
	pthread_barrier_wait(&test->start);
	int result = neap_cache_load(test->cache, &key, slow_loader, test, &got, &kept);
	assert_int_equal(result, test->error);
	if (result == 0) {
		assert_int_equal(got, 77);
		assert_true(kept);
		release_thing(NULL, &got, NULL); /* the reference that was retained for us */
	}
	return test;
}

static void one_flies_others_wait(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct flight_test test = {.error = way == 1 ? -42 : 0, .dies_first = way == 2};
		test.cache = neap_cache_create(&thing_type,
					       &(struct neap_cache_options){CLOCKED, .retain = retain_thing});
		pthread_barrier_init(&test.start, NULL, 4);
		pthread_t threads[4];
		int died = 0;
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, wants_it, &test), 0);
		for (int i = 0; i < 4; i++) {
			void *end;
			pthread_join(threads[i], &end);
			died += end == NULL;
		}
		assert_int_equal(died, way == 2);
		struct neap_cache_stats stats = stats_of(test.cache);
		if (way == 0)
			assert_int_equal(atomic_load(&test.loads), 1);
		assert_int_equal(neap_cache_len(test.cache), way == 1 ? 0 : 1);
		assert_int_equal(stats.load_errors, way == 1 ? stats.loads : 0);
		neap__cache_check(test.cache);
		neap_cache_destroy(test.cache);
		pthread_barrier_destroy(&test.start);
		assert_int_equal(held(), 0);
	}
}

struct stale_test {
	struct neap_cache *cache;
	int served;
};

/* While this loads, the ended value is still handed out to whoever loads too. */
static int nested_loader(const void *key, void *ret_value, void *ctx)
{
	struct stale_test *test = ctx;
	uint64_t got = 0;
	assert_false(neap_cache_get(test->cache, key, &got));
	assert_int_equal(neap_cache_load(test->cache, key, nested_loader, ctx, &got, NULL), 0);
	assert_int_equal(got, 1);
	test->served++;
	memcpy(ret_value, &(uint64_t){2}, 8);
	return 0;
}

static void stale_while_loading(void **state)
{
	(void)state;
	struct stale_test test = {0};
	test.cache = neap_cache_create(
		&probe_u64, &(struct neap_cache_options){CLOCKED, .ttl = 100 * MS, .stale = 50 * MS});
	uint64_t key = 1, value = 1, got;
	assert_int_equal(neap_cache_put(test.cache, &key, &value), 0);
	pass(120 * MS);
	assert_false(neap_cache_get(test.cache, &key, &got));
	assert_int_equal(neap_cache_load(test.cache, &key, nested_loader, &test, &got, NULL), 0);
	assert_int_equal(got, 2);
	assert_int_equal(test.served, 1);
	assert_int_equal(stats_of(test.cache).stale, 1);
	assert_true(neap_cache_get(test.cache, &key, &got) && got == 2);
	pass(160 * MS);
	assert_false(neap_cache_expire(test.cache));
	assert_int_equal(neap_cache_len(test.cache), 0);
	neap_cache_destroy(test.cache);
}

/* ---- Threads ---- */

static int thing_loader(const void *key, void *ret_value, void *ctx)
{
	uint64_t thing;
	(void)ctx;
	memcpy(&thing, key, sizeof thing);
	atomic_fetch_add(&references[thing], 1);
	memcpy(ret_value, &thing, sizeof thing);
	return 0;
}

static void *uses_cache(void *ctx)
{
	struct neap_cache *cache = ctx;
	uint64_t random = (uint64_t)(uintptr_t)&random;
	for (int i = 0; i < 20000; i++) {
		random = probe_mix(random + 1);
		uint64_t key = random % 2000, got;
		bool kept;
		switch (random >> 40 & 7) {
		case 0: (void)put_thing(cache, key, key, random >> 50 & 0xfff); break;
		case 1: (void)neap_cache_delete(cache, &key); break;
		case 2: pass(random >> 52); break;
		case 3: (void)neap_cache_expire(cache); break;
		default:
			assert_int_equal(neap_cache_load(cache, &key, thing_loader, NULL, &got, &kept), 0);
			assert_int_equal(got, key);
			release_thing(NULL, &got, NULL);
		}
	}
	return NULL;
}

static void threads_share_it(void **state)
{
	(void)state;
	struct neap_cache *cache =
		neap_cache_create(&thing_type, &(struct neap_cache_options){.clock = read_hand,
									    .tick = 1000,
									    .max_entries = 700,
									    .ttl = 100000,
									    .shards = 2,
									    .retain = retain_thing});
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, uses_cache, cache), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	neap__cache_check(cache);
	assert_true(stats_of(cache).longest_step <= NEAP_CACHE_STEP);
	neap_cache_destroy(cache);
	assert_int_equal(held(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_and_uses),
		cmocka_unit_test(ends_are_exact),
		cmocka_unit_test(a_million_end),
		cmocka_unit_test(clocks_jump),
		cmocka_unit_test(overwritten_leaves_nothing),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(scans_pass_through),
		cmocka_unit_test(too_big),
		cmocka_unit_test(memory_refused),
		cmocka_unit_test(text_keys),
		cmocka_unit_test(one_flies_others_wait),
		cmocka_unit_test(stale_while_loading),
		cmocka_unit_test(threads_share_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
