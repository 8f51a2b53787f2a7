/* test_map_deep.c: directories of depth 16 and more, and pools of a hundred thousand segments, whose reservations
 * have to grow. Built on the library with tiny segments (tests/meson.build), where they take a few hundred thousand
 * entries; with common segments they would take 10^8.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/gauge.h"
#include "support/map_probe.h"

_Static_assert(NEAP__GROUP_SLOTS == 3, "this test needs the library with tiny segments");

enum { ENTRIES = 400000, DEPTH = 16 };

static void assert_holds(const struct neap_map *map, uint64_t from, uint64_t to, uint64_t none_until)
{
	for (uint64_t key = from; key < to; key++) {
		const uint64_t *value = neap_map_get(map, &key);
		if (value == NULL || *value != ~key)
			fail_msg("key %llu lost", (unsigned long long)key);
	}
	for (uint64_t key = 0; key < none_until; key++)
		if (neap_map_get(map, &key) != NULL)
			fail_msg("key %llu is still there", (unsigned long long)key);
}

static void deep_directories_double_and_halve_step_by_step(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	struct neap_map *map =
		neap_map_create(&probe_u64, &(struct neap_map_options){.allocator = &allocator});
	unsigned building_shorter = 0, reservations = 0;
	uint32_t reserved = 0, deepest = 0;
	for (uint64_t key = 0; key < ENTRIES; key++) {
		uint64_t value = ~key;
		assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
		const struct neap__pool *pool = map->pool;
		if (pool == NULL)
			continue;
		reservations += pool->reserved != reserved;
		reserved = pool->reserved;
		deepest = pool->depth > deepest ? pool->depth : deepest;
		if (key % (ENTRIES / 8) == 0)
			assert_null(neap__map_check(map));
	}
	assert_true(deepest >= DEPTH);
	assert_true(reservations >= 3); /* 1024 segments, and two moves to larger address space */
	assert_true(map->pool->count > 100000);
	assert_holds(map, 0, ENTRIES, 0);
	assert_null(neap__map_check(map));
	assert_int_equal(neap_map_bytes(map), gauge.bytes + probe_pages(map));

	uint64_t produced = 0;
	neap_map_each (it, map)
		produced++;
	assert_int_equal(produced, ENTRIES);

	for (uint64_t key = 0; key < ENTRIES; key++) {
		assert_true(neap_map_delete(map, &key));
		const struct neap__pool *pool = map->pool;
		if (pool != NULL)
			building_shorter += pool->next != NULL && pool->next_depth < pool->depth &&
					    pool->next_built < (size_t)1 << pool->next_depth;
		if (key % (ENTRIES / 8) == 0) {
			assert_null(neap__map_check(map));
			assert_holds(map, key + 1, ENTRIES, key + 1);
		}
	}
	assert_true(building_shorter > 0);
	assert_int_equal(neap_map_len(map), 0);
	assert_int_equal(gauge.bytes, sizeof *map);
	neap_map_destroy(map);
	assert_int_equal(gauge.blocks, 0);
}

/* At the size where the next directory is under way, sizes that swing must neither lose nor leak it. */
static void swinging_around_a_doubling(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	struct neap_map *map =
		neap_map_create(&probe_u64, &(struct neap_map_options){.allocator = &allocator});
	uint64_t low = 0, high = 0, most = 0;
	for (unsigned swing = 0; swing < 24; swing++) {
		uint64_t to = 4000 + probe_mix(swing) % 60000;
		for (; high - low < to; high++) {
			uint64_t value = ~high;
			assert_int_equal(neap_map_put(map, &high, &value), NEAP_OK);
		}
		most = high - low > most ? high - low : most;
		assert_null(neap__map_check(map));
		uint64_t down = probe_mix(swing + 1000) % (high - low);
		for (uint64_t i = 0; i < down; i++, low++)
			assert_true(neap_map_delete(map, &low));
		assert_null(neap__map_check(map));
		assert_int_equal(neap_map_bytes(map), gauge.bytes + probe_pages(map));
		assert_int_equal(neap_map_len(map), high - low);
	}
	assert_holds(map, low, high, low);
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	assert_true(stats.max_moved_in_operation <= neap_map_move_bound(map));
	neap_map_destroy(map);
	assert_int_equal(gauge.blocks, 0);
}

/* Reserve lays out as many segments at once, and compact takes them back. */
static void reserve_a_deep_map(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&probe_u64, &(struct neap_map_options){.reserve = 200000});
	assert_true(map->pool->depth >= DEPTH);
	assert_null(neap__map_check(map));
	for (uint64_t key = 0; key < 1000; key++) {
		uint64_t value = ~key;
		assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
	}
	assert_int_equal(neap_map_reserve(map, 400000), NEAP_OK);
	assert_null(neap__map_check(map));
	assert_holds(map, 0, 1000, 0);
	assert_int_equal(neap_map_compact(map), NEAP_OK);
	assert_null(neap__map_check(map));
	assert_holds(map, 0, 1000, 0);
	assert_true(neap_map_bytes(map) < 200000);
	neap_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deep_directories_double_and_halve_step_by_step),
		cmocka_unit_test(swinging_around_a_doubling),
		cmocka_unit_test(reserve_a_deep_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
