/* test_cache_links.c: what an entry of a cache costs in links and times of 32 bits, and what follows from that: ids that
 * are given back, ends beyond what 32 bits hold, a clock that leaps further than they tell. By the typed functions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/internal.h"
#include "gauge.h"

#define NEAP_CACHE_NAME	 squares
#define NEAP_CACHE_KEY	 uint64_t
#define NEAP_CACHE_VALUE uint64_t
#include "neap/cache_typed.h"

enum { TICK = 1000000, DAY = 86400 * 1000 }; /* ns; ticks */

static uint64_t hand; /* of the clock, ns */

static uint64_t read_hand(void *ctx)
{
	(void)ctx;
	return hand;
}

static void pass_ticks(uint64_t ticks)
{
	hand += ticks * TICK;
}

static struct neap_cache *clocked(void)
{
	return squares_create(&(struct neap_cache_options){.clock = read_hand, .tick = TICK});
}

static struct neap_cache_stats stats_of(struct neap_cache *cache)
{
	struct neap_cache_stats stats = {.size = sizeof stats};
	neap__cache_check(cache);
	neap_cache_stats(cache, &stats);
	return stats;
}

static void an_end_costs_sixteen_bytes(void **state)
{
	(void)state;
	const struct neap__entry entry = {.size = 0};
	assert_int_equal(sizeof entry.timer + sizeof entry.ends + sizeof entry.touched, 16);
	assert_int_equal(sizeof(struct neap__entry), 56);
}

static void typed_functions_do_what_the_others_do(void **state)
{
	(void)state;
	struct neap_cache *cache = clocked();
	uint64_t key = 3, got = 0;
	assert_int_equal(squares_put(cache, 3, 9), 0);
	assert_true(neap_cache_get(cache, &key, &got));
	assert_int_equal(got, 9);
	assert_int_equal(squares_put_for(cache, 4, 16, 10 * TICK), 0);
	assert_true(squares_get(cache, 4, &got));
	pass_ticks(13);
	assert_false(squares_get(cache, 4, &got));
	assert_true(squares_delete(cache, 3));
	assert_false(squares_delete(cache, 3));
	squares_destroy(cache);
}

static int square(const void *key, void *ret_value, void *ctx)
{
	uint64_t n;
	memcpy(&n, key, sizeof n);
	n *= n;
	memcpy(ret_value, &n, sizeof n);
	++*(int *)ctx;
	return 0;
}

static void a_typed_load_loads_once(void **state)
{
	(void)state;
	struct neap_cache *cache = clocked();
	int loads = 0;
	for (int i = 0; i < 3; i++) {
		uint64_t got = 0;
		bool kept = false;
		assert_int_equal(squares_load(cache, 12, square, &loads, &got, &kept), 0);
		assert_int_equal(got, 144);
		assert_true(kept);
	}
	assert_int_equal(loads, 1);
	squares_destroy(cache);
}

/* The ids of a hundred thousand entries, and their memory, come and go; the lowest are used first. */
static void ids_are_given_back(void **state)
{
	(void)state;
	enum { MANY = 100000 };
	struct neap_cache *cache = clocked();
	const struct neap__ids *ids = &cache->shards[0].ids;
	for (int cycle = 0; cycle < 3; cycle++) {
		for (uint64_t i = 0; i < MANY; i++)
			assert_int_equal(squares_put_for(cache, i, i, TICK), 0);
		assert_int_equal(stats_of(cache).len, MANY);
		assert_in_range(neap__ids_bytes(ids) / MANY, 8, 9);
		for (uint64_t i = 0; i < MANY; i += 2)
			assert_true(squares_delete(cache, i));
		for (uint64_t i = 0; i < MANY; i += 2) /* the gaps are filled */
			assert_int_equal(squares_put(cache, i, i), 0);
		assert_in_range(neap__ids_bytes(ids) / MANY, 8, 9);
		for (uint64_t i = 0; i < MANY; i++)
			(void)squares_delete(cache, i);
		assert_int_equal(stats_of(cache).len, 0);
		assert_int_equal(ids->bytes, 0);
	}
	squares_destroy(cache);
}

/* 49.7 days are 2^32 ticks here. */
static void ends_beyond_32_bits_are_exact(void **state)
{
	(void)state;
	static const uint64_t days[] = {5, 6, 12, 13, 24, 25, 49, 50, 100, 365, 3650};
	for (size_t i = 0; i < sizeof days / sizeof *days; i++)
		for (uint64_t by = 1; by < 400; by += 57) { /* days at a time */
			struct neap_cache *cache = clocked();
			const uint64_t ttl = days[i] * DAY;
			assert_int_equal(squares_put_for(cache, 1, 1, ttl * TICK), 0);
			assert_int_equal(squares_put_for(cache, 2, 2, (ttl + 5) * TICK), 0);
			uint64_t gone = 0;
			while (gone < ttl) {
				uint64_t step = by * DAY < ttl - gone ? by * DAY : ttl - gone;
				pass_ticks(step);
				gone += step;
				assert_true(squares_get(cache, 2, NULL));
				(void)stats_of(cache);
			}
			assert_true(squares_get(cache, 1, NULL)); /* not early */
			pass_ticks(2);
			assert_false(squares_get(cache, 1, NULL));
			assert_true(squares_get(cache, 2, NULL));
			pass_ticks(5);
			assert_false(squares_get(cache, 2, NULL));
			squares_destroy(cache);
		}
}

/* The clock leaps ten years over more ended entries than one operation may visit: what is stored then must not end
 * early, and the ended ones go step by step.
 */
static void nothing_ends_early_after_a_leap(void **state)
{
	(void)state;
	enum { CROWD = 5000 };
	struct neap_cache *cache = clocked();
	for (uint64_t i = 0; i < CROWD; i++)
		assert_int_equal(squares_put_for(cache, i, i, (1 + i % 700) * 60 * TICK), 0);
	pass_ticks(UINT64_C(3650) * DAY);
	assert_int_equal(squares_put_for(cache, CROWD, 1, 100 * TICK), 0);
	assert_int_equal(squares_put_for(cache, CROWD + 1, 1, (UINT64_C(400) * DAY) * TICK), 0);
	for (int step = 0; step < 10; step++) {
		pass_ticks(10);
		for (uint64_t i = 0; i < 50; i++)
			assert_false(squares_get(cache, i, NULL));
		assert_true(squares_get(cache, CROWD, NULL));
		(void)stats_of(cache);
	}
	while (neap_cache_expire(cache))
		continue;
	pass_ticks(3);
	assert_false(squares_get(cache, CROWD, NULL));
	assert_true(squares_get(cache, CROWD + 1, NULL));
	assert_int_equal(neap_cache_len(cache), 1);
	assert_in_range(stats_of(cache).longest_step, 1, NEAP_CACHE_STEP);
	squares_destroy(cache);
}

static void a_clock_that_goes_back_stands_still(void **state)
{
	(void)state;
	struct neap_cache *cache = clocked();
	pass_ticks(1000);
	assert_int_equal(squares_put_for(cache, 1, 1, 50 * TICK), 0);
	hand -= 900 * TICK;
	assert_int_equal(squares_put_for(cache, 2, 2, 50 * TICK), 0);
	pass_ticks(899);
	assert_true(squares_get(cache, 1, NULL));
	assert_true(squares_get(cache, 2, NULL));
	pass_ticks(53);
	assert_false(squares_get(cache, 1, NULL));
	assert_false(squares_get(cache, 2, NULL));
	(void)stats_of(cache);
	squares_destroy(cache);
}

static void what_no_id_can_be_had_for_is_refused(void **state)
{
	(void)state;
	for (int sticky = 0; sticky < 2; sticky++)
		for (size_t at = 1;; at++) {
			struct gauge gauge = {0};
			struct neap_allocator from = gauge_allocator(&gauge);
			struct neap_cache *cache = squares_create(
				&(struct neap_cache_options){.clock = read_hand, .allocator = &from});
			size_t stored = 0;
			gauge_arm(&gauge, at, sticky);
			for (uint64_t i = 0; i < 1500; i++) /* three chunks */
				stored += squares_put_for(cache, i, i, TICK) == 0;
			bool refused = gauge.refused != 0;
			assert_int_equal(stats_of(cache).len, stored);
			assert_true(refused || stored == 1500);
			gauge_arm(&gauge, 0, false);
			squares_destroy(cache);
			assert_int_equal(gauge.bytes, 0);
			if (!refused)
				break;
			at += at / 8;
		}
}

static void times_that_are_too_long_make_no_cache(void **state)
{
	(void)state;
	assert_null(squares_create(&(struct neap_cache_options){.idle = UINT64_MAX}));
	assert_null(squares_create(&(struct neap_cache_options){.stale = UINT64_MAX}));
	struct neap_cache *cache = squares_create(&(struct neap_cache_options){.ttl = UINT64_MAX});
	assert_int_equal(squares_put(cache, 1, 1), 0);
	assert_true(squares_get(cache, 1, NULL));
	squares_destroy(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_costs_sixteen_bytes),
		cmocka_unit_test(typed_functions_do_what_the_others_do),
		cmocka_unit_test(a_typed_load_loads_once),
		cmocka_unit_test(ids_are_given_back),
		cmocka_unit_test(ends_beyond_32_bits_are_exact),
		cmocka_unit_test(nothing_ends_early_after_a_leap),
		cmocka_unit_test(a_clock_that_goes_back_stands_still),
		cmocka_unit_test(what_no_id_can_be_had_for_is_refused),
		cmocka_unit_test(times_that_are_too_long_make_no_cache),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
