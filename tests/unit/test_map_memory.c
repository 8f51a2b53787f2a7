/* test_map_memory.c: where the bytes of a map are, and that they follow the live count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/gauge.h"
#include "support/map_probe.h"

#define TYPE .size = sizeof(struct neap_map_type)

struct fixture {
	struct gauge gauge;
	struct neap_allocator allocator;
	struct neap_map *map;
};

static void open_map(struct fixture *fixture, const struct neap_map_type *type,
		     struct neap_map_options options)
{
	fixture->gauge = (struct gauge){0};
	fixture->allocator = gauge_allocator(&fixture->gauge);
	options.allocator = &fixture->allocator;
	fixture->map = neap_map_create(type, &options);
	assert_non_null(fixture->map);
}

static void close_map(struct fixture *fixture)
{
	assert_null(neap__map_check(fixture->map));
	neap_map_destroy(fixture->map);
	assert_int_equal(fixture->gauge.blocks, 0);
	assert_int_equal(fixture->gauge.bytes, 0);
}

/* total == what was handed out. */
static void assert_account(const struct fixture *fixture)
{
	assert_int_equal(neap_map_bytes(fixture->map), fixture->gauge.bytes + probe_pages(fixture->map));
}

static struct neap_map_stats stats_of(const struct neap_map *map)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	return stats;
}

static void assert_parts_add_up(const struct neap_map *map)
{
	struct neap_map_stats stats = stats_of(map);
	assert_int_equal(stats.live + stats.tombstone + stats.empty + stats.free_held + stats.metadata,
			 stats.total);
	assert_int_equal(stats.total, neap_map_bytes(map));
	assert_int_equal(stats.len, neap_map_len(map));
	assert_true(stats.peak_total >= stats.total);
	assert_true(stats.degenerate || stats.max_moved_in_operation <= neap_map_move_bound(map));
}

static void put(struct neap_map *map, uint64_t key)
{
	uint8_t wide[NEAP_MAP_INLINE_MAX] = {0};
	memcpy(wide, &key, sizeof key);
	assert_int_equal(neap_map_put(map, wide, NULL), NEAP_OK);
}

static bool drop(struct neap_map *map, uint64_t key)
{
	uint8_t wide[NEAP_MAP_INLINE_MAX] = {0};
	memcpy(wide, &key, sizeof key);
	return neap_map_delete(map, wide);
}

/* Deletes keys 0..n-1 in random order until `keep` are left. */
static void delete_at_random(struct neap_map *map, uint32_t n, uint32_t keep)
{
	uint32_t *order = test_malloc(n * sizeof *order);
	probe_shuffle(order, n, 42);
	for (uint32_t i = 0; i < n - keep; i++)
		assert_true(drop(map, order[i]));
	test_free(order);
}

static const struct neap_map_type shapes[] = {
	{TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8},
	{TYPE, NEAP_KEY_BYTES, 0, 8, 8, 0, 1},
	{TYPE, NEAP_KEY_BYTES, 0, 8, 8, 56, 8},
	{TYPE, NEAP_KEY_BYTES, 0, 128, 8, 128, 8},
	{TYPE, NEAP_KEY_BYTES, NEAP_MAP_SIPHASH, 8, 8, 1, 1},
	{TYPE, NEAP_KEY_BYTES, 0, 8, 8, 200, 8},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* ---- The account ---- */

static void bytes_are_what_was_handed_out_at_every_step(void **state)
{
	(void)state;
	for (size_t s = 0; s < SHAPES; s++) {
		struct fixture fixture;
		uint32_t n = (uint32_t)probe_scale(20000);
		open_map(&fixture, &shapes[s], (struct neap_map_options){.name = "account"});
		assert_int_equal(fixture.gauge.bytes, sizeof *fixture.map + sizeof "account");
		for (uint32_t i = 0; i < n; i++) {
			put(fixture.map, i);
			assert_account(&fixture);
			if (i % (n / 50) == 0)
				assert_parts_add_up(fixture.map);
		}
		for (uint32_t i = 0; i < n; i++) {
			assert_true(drop(fixture.map, i));
			assert_account(&fixture);
			if (i % (n / 50) == 0)
				assert_parts_add_up(fixture.map);
		}
		assert_int_equal(fixture.gauge.bytes, sizeof *fixture.map + sizeof "account");
		close_map(&fixture);
	}
}

/* live, tombstone and empty are counted in slots; a table of one group is easy to count by hand. */
static void parts_of_a_tiny_map(void **state)
{
	(void)state;
	struct fixture fixture;
	open_map(&fixture, &probe_u64, (struct neap_map_options){0});
	struct neap_map_stats stats = stats_of(fixture.map);
	assert_int_equal(stats.metadata, sizeof *fixture.map);
	assert_int_equal(stats.slots, 0);
	put(fixture.map, 1);
	stats = stats_of(fixture.map);
	if (!HOSTILE) {
		assert_int_equal(stats.slots, 4); /* as small.c says: 4, 8, 15 slots, one control word */
		assert_int_equal(stats.live, 16);
		assert_int_equal(stats.empty, 3 * 16);
		assert_int_equal(stats.metadata, sizeof *fixture.map + 64);
	}
	assert_int_equal(stats.tombstone, 0);
	assert_int_equal(stats.free_held, 0);
	assert_int_equal(stats.longest_probe, 1);
	close_map(&fixture);
}

/* Churn at one size: what deletes leave unusable is counted, and repaired before it is an eighth. */
static void tombstones_are_counted_and_bounded(void **state)
{
	(void)state;
	struct fixture fixture;
	uint32_t n = (uint32_t)probe_scale(30000);
	open_map(&fixture, &probe_u64, (struct neap_map_options){0});
	for (uint32_t i = 0; i < n; i++)
		put(fixture.map, i);
	size_t most = 0;
	for (uint32_t i = 0; i < 4 * n; i++) {
		assert_true(drop(fixture.map, i));
		put(fixture.map, i + n);
		if (i % (n / 20) == 0) {
			struct neap_map_stats stats = stats_of(fixture.map);
			assert_parts_add_up(fixture.map);
			most = stats.tombstone_slots > most ? stats.tombstone_slots : most;
			if (!HOSTILE)
				assert_true(stats.tombstone_slots < stats.slots / 4);
		}
	}
	assert_true(HOSTILE || most > 0); /* else this test sees nothing */
	assert_int_equal(neap_map_len(fixture.map), n);
	close_map(&fixture);
}

/* ---- Shrinking ---- */

/* What is left after deleting 99 % at random without any call. */
static void one_percent_of_the_entries_needs_three_percent_of_the_bytes(void **state)
{
	(void)state;
	if (HOSTILE)
		skip(); /* segments of five entries have another share of metadata */
	/* Round numbers, and those where a full table leaves sparse segments. */
	static const uint32_t sizes[] = {10000, 41523, 100000, 180000, 1000000};
	for (size_t s = 0; s < 3; s++) {
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			uint32_t n = sizes[i];
			if (probe_scale(n) != n)
				continue;
			struct fixture fixture;
			open_map(&fixture, &shapes[s], (struct neap_map_options){0});
			for (uint32_t key = 0; key < n; key++)
				put(fixture.map, key);
			size_t peak = neap_map_bytes(fixture.map);
			delete_at_random(fixture.map, n, n / 100);
			if (neap_map_bytes(fixture.map) * 100 > peak * 3)
				fail_msg("%u entries, shape %zu: %zu of %zu bytes left", n, s,
					 neap_map_bytes(fixture.map), peak);
			assert_account(&fixture);
			assert_parts_add_up(fixture.map);
			uint32_t left = 0;
			for (uint32_t key = 0; key < n; key++)
				left += drop(fixture.map, key);
			assert_int_equal(left, n / 100);
			assert_int_equal(fixture.gauge.bytes, sizeof *fixture.map);
			assert_int_equal(neap_map_bytes(fixture.map), sizeof *fixture.map);
			close_map(&fixture);
		}
	}
}

static void one_operation_moves_a_bounded_number_of_entries(void **state)
{
	(void)state;
	for (size_t s = 0; s < SHAPES; s++) {
		struct fixture fixture;
		uint32_t n = (uint32_t)probe_scale(200000);
		open_map(&fixture, &shapes[s], (struct neap_map_options){0});
		for (uint32_t i = 0; i < n; i++)
			put(fixture.map, i);
		struct neap_map_stats grown = stats_of(fixture.map);
		for (uint32_t i = 0; i < n / 2; i++) { /* churn */
			assert_true(drop(fixture.map, i));
			put(fixture.map, i + n);
		}
		for (uint32_t i = n / 2; i < n + n / 2; i++)
			assert_true(drop(fixture.map, i));
		struct neap_map_stats stats = stats_of(fixture.map);
		if (!CHECKED) /* where there are enough segments for these */
			assert_true(stats.splits > 0 && stats.merges > 0);
		assert_true(grown.entries_moved > 0 && stats.entries_moved > grown.entries_moved);
		assert_true(stats.max_moved_in_operation > 0);
		assert_true(stats.max_moved_in_operation <= neap_map_move_bound(fixture.map));
		close_map(&fixture);
	}
}

/* Deletes half of the entries in the order of iteration, which is that of their hashes. */
static void delete_a_range(struct neap_map *map)
{
	struct neap_map_iter it;
	size_t half = neap_map_len(map) / 2;
	neap_map_iter_init(&it, map);
	while (neap_map_len(map) > half && neap_map_iter_next(&it)) {
		uint64_t key;
		memcpy(&key, it.key, sizeof key);
		assert_true(drop(map, key));
	}
	assert_int_equal(neap_map_len(map), half);
}

/* Segments that shrink evenly are merged from the end of the pool, so that hardly any has to move into a hole; where
 * only some of them shrink, others do move, and as few bytes are left.
 */
static void merges_begin_at_the_end_of_the_pool(void **state)
{
	(void)state;
	for (int reserved = 0; reserved < 2; reserved++) {
		uint32_t n = (uint32_t)probe_scale(200000);
		struct fixture fixture;
		struct neap_map_options options = {.reserve = reserved ? n : 0};
		open_map(&fixture, &probe_u64, options);
		for (uint32_t i = 0; i < n; i++)
			put(fixture.map, i);
		delete_at_random(fixture.map, n, n / 20);
		struct neap_map_stats even = stats_of(fixture.map);
		if (!HOSTILE && !CHECKED) {
			assert_true(even.merges > 80);
			assert_true(even.relocations * 8 < even.merges);
		}
		for (uint32_t i = n; i < 2 * n; i++)
			put(fixture.map, i);
		struct neap_map_stats before = stats_of(fixture.map);
		delete_a_range(fixture.map);
		struct neap_map_stats after = stats_of(fixture.map);
		if (!CHECKED) {
			assert_true(after.relocations > before.relocations + 10);
			assert_true(HOSTILE || after.total < before.total * 5 / 8);
		}
		assert_parts_add_up(fixture.map);
		close_map(&fixture);
	}
}

static void manual_and_off_keep_the_memory(void **state)
{
	(void)state;
	uint32_t n = (uint32_t)probe_scale(30000);
	for (uint32_t shrink = NEAP_SHRINK_MANUAL; shrink <= NEAP_SHRINK_OFF; shrink++) {
		struct fixture fixture;
		open_map(&fixture, &probe_u64, (struct neap_map_options){.shrink = shrink});
		for (uint32_t i = 0; i < n; i++)
			put(fixture.map, i);
		size_t full = neap_map_bytes(fixture.map);
		for (uint32_t i = 10; i < n; i++)
			assert_true(drop(fixture.map, i));
		if (!HOSTILE) /* where some entries spill, and their list comes and goes */
			assert_int_equal(neap_map_bytes(fixture.map), full);
		assert_int_equal(neap_map_compact(fixture.map), NEAP_OK);
		assert_account(&fixture);
		if (shrink == NEAP_SHRINK_MANUAL)
			assert_true(neap_map_bytes(fixture.map) <
				    sizeof *fixture.map + 1024 + HOSTILE * 4 * neap__os_page_size());
		else
			assert_true(neap_map_bytes(fixture.map) == full || HOSTILE);
		for (uint32_t i = 0; i < 10; i++)
			assert_non_null(neap_map_get(fixture.map, &(uint64_t){i}));
		neap_map_clear(fixture.map);
		assert_int_equal(neap_map_bytes(fixture.map), sizeof *fixture.map);
		close_map(&fixture);
	}
}

static bool always(const void *key, void *value, void *ctx)
{
	(void)key, (void)value, (void)ctx;
	return true;
}

static size_t bytes_after_deleting_all(uint32_t n, size_t floor, bool at_once)
{
	struct fixture fixture;
	open_map(&fixture, &probe_u64, (struct neap_map_options){.floor = floor});
	for (uint32_t i = 0; i < n; i++)
		put(fixture.map, i);
	if (at_once)
		assert_int_equal(neap_map_delete_if(fixture.map, always, NULL), n);
	else
		delete_at_random(fixture.map, n, 0);
	assert_account(&fixture);
	size_t bytes = neap_map_bytes(fixture.map);
	struct neap_map_stats stats = stats_of(fixture.map);
	assert_true(stats.slots >= floor); /* there is still room */
	if (fixture.map->pool == NULL) { /* which needs nothing from anybody, up to an eighth of tombstones */
		gauge_arm(&fixture.gauge, 1, true);
		for (uint32_t i = 0; i < floor * 7 / 8; i++)
			put(fixture.map, i);
		assert_int_equal(fixture.gauge.requests, 0);
	}
	close_map(&fixture);
	return bytes;
}

static void floor_is_kept_and_nothing_above_it(void **state)
{
	(void)state;
	uint32_t n = (uint32_t)probe_scale(50000);
	static const size_t floors[] = {1, 10, 100, 1000, 10000};
	for (size_t i = 0; i < sizeof floors / sizeof floors[0] && floors[i] * 4 < n; i++) {
		size_t one_by_one = bytes_after_deleting_all(n, floors[i], false);
		size_t at_once = bytes_after_deleting_all(n, floors[i], true);
		/* 16 bytes a slot, 16 more per group; four times that is the most a table is ever spread. In a hostile
		 * build a chain of segments may be left: one delete merges once.
		 */
		size_t most = sizeof(struct neap_map) + 4 * floors[i] * 24 + 140000;
		if (floors[i] <= 100)
			most = sizeof(struct neap_map) + 8 * floors[i] * 24 + 128;
		if (!HOSTILE && (one_by_one > most || at_once > most))
			fail_msg("floor %zu: %zu bytes kept by deletes, %zu by delete_if, %zu allowed",
				 floors[i], one_by_one, at_once, most);
	}
}

static void delete_if_shrinks_as_deletes_do(void **state)
{
	(void)state;
	uint32_t n = (uint32_t)probe_scale(100000);
	assert_int_equal(bytes_after_deleting_all(n, 0, true), sizeof(struct neap_map));
	assert_int_equal(bytes_after_deleting_all(n, 0, false), sizeof(struct neap_map));
}

/* ---- Clear, reserve, compact ---- */

static void clear_keep_keeps_and_clear_gives_back(void **state)
{
	(void)state;
	uint32_t n = (uint32_t)probe_scale(30000);
	struct fixture fixture;
	open_map(&fixture, &probe_u64, (struct neap_map_options){0});
	for (uint32_t i = 0; i < n; i++)
		put(fixture.map, i);
	size_t full = neap_map_bytes(fixture.map);
	neap_map_clear_keep(fixture.map);
	assert_int_equal(neap_map_len(fixture.map), 0);
	if (!HOSTILE) { /* where some entries spill, and their list is freed */
		assert_int_equal(neap_map_bytes(fixture.map), full);
		gauge_arm(&fixture.gauge, 1, true);
	}
	for (uint32_t i = 0; i < n; i++)
		put(fixture.map, i);
	gauge_arm(&fixture.gauge, 0, false);
	assert_true(neap_map_bytes(fixture.map) == full || HOSTILE);
	neap_map_clear(fixture.map);
	assert_int_equal(neap_map_bytes(fixture.map), sizeof *fixture.map);
	close_map(&fixture);
}

/* Makes room for n in all; in a hostile build five entries fill a segment, so that chance fills one early. */
static void reserve_makes_room(void **state)
{
	(void)state;
	static const uint32_t sizes[] = {1, 4, 5, 15, 16, 100, 1000, 2000, 20000, 300000};
	for (size_t s = 0; s < SHAPES; s++) {
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			uint32_t n = (uint32_t)probe_scale(sizes[i]), before = i % 2 == 0 ? 0 : n / 3;
			struct fixture fixture;
			open_map(&fixture, &shapes[s],
				 (struct neap_map_options){.reserve = before == 0 ? n : 0});
			for (uint32_t key = 0; key < before; key++)
				put(fixture.map, key);
			assert_int_equal(neap_map_reserve(fixture.map, n), NEAP_OK);
			assert_int_equal(neap_map_len(fixture.map), before);
			assert_account(&fixture);
			size_t bytes = neap_map_bytes(fixture.map);
			assert_int_equal(neap_map_reserve(fixture.map, n), NEAP_OK);
			assert_int_equal(neap_map_reserve(fixture.map, n / 2), NEAP_OK);
			assert_int_equal(neap_map_bytes(fixture.map), bytes);
			bool outside = shapes[s].value_size > NEAP_MAP_INLINE_MAX;
			for (uint32_t key = before; key < n; key++)
				put(fixture.map, key);
			if (!outside && (!HOSTILE || fixture.map->pool == NULL))
				assert_int_equal(neap_map_bytes(fixture.map), bytes);
			assert_int_equal(stats_of(fixture.map).splits > 0 && !HOSTILE && before == 0, 0);
			close_map(&fixture);
		}
	}
}

static void reserve_refuses_what_cannot_be(void **state)
{
	(void)state;
	struct fixture fixture;
	open_map(&fixture, &probe_u64, (struct neap_map_options){0});
	put(fixture.map, 1);
	assert_int_equal(neap_map_reserve(fixture.map, SIZE_MAX), NEAP_ETOOBIG);
	assert_int_equal(neap_map_reserve(fixture.map, (size_t)1 << 60), NEAP_ETOOBIG);
	assert_non_null(neap_map_get(fixture.map, &(uint64_t){1}));
	close_map(&fixture);
}

static void compact_merges_and_loses_nothing(void **state)
{
	(void)state;
	uint32_t n = (uint32_t)probe_scale(60000);
	for (uint32_t keep = 1; keep <= n; keep = keep * 5 + 3) {
		struct fixture fixture;
		open_map(&fixture, &probe_u64, (struct neap_map_options){0});
		for (uint32_t i = 0; i < n; i++)
			put(fixture.map, i);
		for (uint32_t i = keep; i < n; i++)
			assert_true(drop(fixture.map, i));
		size_t before = neap_map_bytes(fixture.map);
		assert_int_equal(neap_map_compact(fixture.map), NEAP_OK);
		assert_account(&fixture);
		assert_true(neap_map_bytes(fixture.map) <= before);
		struct neap_map_stats stats = stats_of(fixture.map);
		assert_true(fixture.map->pool == NULL || stats.free_held < 3 * neap__os_page_size());
		size_t compact = neap_map_bytes(fixture.map);
		assert_int_equal(neap_map_compact(fixture.map), NEAP_OK);
		assert_int_equal(neap_map_bytes(fixture.map), compact);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(neap_map_get(fixture.map, &(uint64_t){i}) != NULL, i < keep);
		close_map(&fixture);
	}
}

/* ---- Directory of a large map ---- */

/* Past 1,024 segments the longer directory is built ahead, a piece at a time. */
static void large_maps_double_their_directory_ahead(void **state)
{
	(void)state;
	uint32_t n = 200000; /* 210 entries fill a segment of these */
	if (HOSTILE || CHECKED)
		skip(); /* tests/unit/test_map_deep.c goes deeper */
	struct fixture fixture;
	open_map(&fixture, &shapes[3], (struct neap_map_options){0});
	unsigned ahead = 0;
	for (uint32_t i = 0; i < n; i++) {
		put(fixture.map, i);
		const struct neap__pool *pool = fixture.map->pool;
		if (pool == NULL)
			continue;
		ahead += pool->next != NULL && pool->next_depth > pool->depth && pool->next_built != 0 &&
			 pool->next_built < (size_t)1 << pool->next_depth;
	}
	assert_true(fixture.map->pool->count > 1024 && fixture.map->pool->depth > 10);
	assert_true(ahead > 0);
	assert_account(&fixture);
	assert_null(neap__map_check(fixture.map));
	delete_at_random(fixture.map, n, 0);
	close_map(&fixture);
}

/* ---- A degenerate hash ---- */

static uint64_t constant_hash(const void *key, uint64_t seed)
{
	(void)key, (void)seed;
	return 7;
}

/* Half of the keys collide, half do not. */
static uint64_t half_constant_hash(const void *key, uint64_t seed)
{
	uint64_t word = *(const uint64_t *)key;
	return word % 2 == 0 ? 7 : word ^ seed;
}

static bool equal_u64(const void *a, const void *b)
{
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

static void degenerate_hash_is_correct_reported_and_bounded(void **state)
{
	(void)state;
	uint64_t (*const hashes[])(const void *, uint64_t) = {constant_hash, half_constant_hash};
	/* With wide slots a segment holds less than the largest small table. */
	static const uint32_t value_sizes[] = {8, 56};
	for (size_t h = 0; h < 4; h++) {
		const struct neap_map_type type = {
			TYPE, NEAP_KEY_USER, 0,		8,    8,   value_sizes[h / 2],
			8,    hashes[h % 2], equal_u64, NULL, NULL};
		struct fixture fixture;
		/* Where each spilled insert is followed by a check of the whole map, fewer of them. */
		uint32_t n = !CHECKED ? 10000 : HOSTILE ? 600 : 3800;
		open_map(&fixture, &type, (struct neap_map_options){0});
		size_t most = 0;
		for (uint32_t i = 0; i < n; i++) {
			put(fixture.map, i);
			assert_account(&fixture);
			size_t slots = (size_t)fixture.map->slot_size * (i + 1);
			/* A spill list grows by half; the segments that no hash bit divides are policy.c's
			 * DEPTH_SLACK, 6, and as many halves beside them.
			 */
			size_t slack = 16 * ((size_t)fixture.map->group_bytes << fixture.map->group_bits) +
				       4 * neap__os_page_size();
			size_t bound = slots * 4 + slack, bytes = neap_map_bytes(fixture.map);
			size_t excess = bytes > bound ? bytes - bound : 0;
			most = excess > most ? excess : most;
		}
		if (most > 0)
			fail_msg("%zu bytes more than four times the entries and 16 segments", most);
		struct neap_map_stats stats = stats_of(fixture.map);
		assert_true(stats.degenerate);
		assert_true(stats.spilled > 0);
		assert_parts_add_up(fixture.map);
		uint32_t produced = 0;
		neap_map_each (it, fixture.map)
			produced++;
		assert_int_equal(produced, n);
		for (uint64_t i = 0; i < n; i++)
			assert_non_null(neap_map_get(fixture.map, &i));
		for (uint32_t i = 0; i < n; i += 3) {
			assert_true(drop(fixture.map, i));
			assert_account(&fixture);
		}
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(neap_map_get(fixture.map, &i) != NULL, i % 3 != 0);
		assert_null(neap__map_check(fixture.map));
		for (uint32_t i = 0; i < n; i++)
			drop(fixture.map, i);
		assert_int_equal(neap_map_len(fixture.map), 0);
		assert_int_equal(neap_map_bytes(fixture.map), sizeof *fixture.map);
		put(fixture.map, 1);
		neap_map_clear(fixture.map);
		assert_false(stats_of(fixture.map).degenerate);
		close_map(&fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_what_was_handed_out_at_every_step),
		cmocka_unit_test(parts_of_a_tiny_map),
		cmocka_unit_test(tombstones_are_counted_and_bounded),
		cmocka_unit_test(one_percent_of_the_entries_needs_three_percent_of_the_bytes),
		cmocka_unit_test(one_operation_moves_a_bounded_number_of_entries),
		cmocka_unit_test(merges_begin_at_the_end_of_the_pool),
		cmocka_unit_test(manual_and_off_keep_the_memory),
		cmocka_unit_test(floor_is_kept_and_nothing_above_it),
		cmocka_unit_test(delete_if_shrinks_as_deletes_do),
		cmocka_unit_test(clear_keep_keeps_and_clear_gives_back),
		cmocka_unit_test(reserve_makes_room),
		cmocka_unit_test(reserve_refuses_what_cannot_be),
		cmocka_unit_test(compact_merges_and_loses_nothing),
		cmocka_unit_test(large_maps_double_their_directory_ahead),
		cmocka_unit_test(degenerate_hash_is_correct_reported_and_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
