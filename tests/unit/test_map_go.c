/* test_map_go.c: what Go's own tests ask of a map, in our words: iteration under every kind of change, NaN keys,
 * pop loops, bulk clear. Go: src/runtime/map_test.go (BSD licence, The Go Authors), from which come the cases,
 * not the code.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/map_probe.h"

static const struct neap_map_type real_to_u64 = {
	.size = sizeof(struct neap_map_type), NEAP_KEY_F64, 0, 8, 8, 8, 8};

static struct neap_map *map_of(uint64_t n, const struct neap_map_options *options)
{
	struct neap_map *map = neap_map_create(&probe_u64, options);
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(neap_map_put(map, &i, &i), NEAP_OK);
	return map;
}

static void put(struct neap_map *map, uint64_t key)
{
	assert_int_equal(neap_map_put(map, &key, &key), NEAP_OK);
}

static uint64_t key_of(const struct neap_map_iter *it)
{
	return *(const uint64_t *)it->key;
}

/* ---- Where a loop starts ---- */

/* In a table of one group every entry is first sometimes; in a larger one those that sit in their home group, which
 * are most; and none is first nearly always.
 */
static void every_entry_of_a_tiny_map_comes_first_sometimes(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {2, 3, 4, 7, 8, 9, 15, 16, 30};
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		enum { LOOPS = 20000 };
		unsigned first[30] = {0};
		struct neap_map *map = map_of(sizes[s], NULL);
		for (unsigned loop = 0; loop < LOOPS; loop++) {
			struct neap_map_iter it;
			neap_map_iter_init(&it, map);
			assert_true(neap_map_iter_next(&it));
			first[key_of(&it)]++;
		}
		unsigned never = 0;
		for (uint64_t i = 0; i < sizes[s]; i++) {
			never += first[i] == 0;
			assert_true(first[i] < LOOPS * 95 / 100);
		}
		assert_true(never <= (sizes[s] <= NEAP__GROUP_SLOTS ? 0 : sizes[s] / 2));
		neap_map_destroy(map);
	}
}

/* Two entries left in a table that once held many: both orders occur. A loop begins at one of some 1,500 groups at
 * random, so when the two are neighbours one order is that rare.
 */
static void order_is_random_in_a_sparse_map(void **state)
{
	(void)state;
	uint64_t n = probe_scale(20000);
	struct neap_map *map = map_of(n, &(struct neap_map_options){.shrink = NEAP_SHRINK_OFF});
	for (uint64_t i = 2; i < n; i++)
		assert_true(neap_map_delete(map, &i));
	unsigned first[2] = {0, 0};
	for (unsigned loop = 0; loop < 20000 && (first[0] == 0 || first[1] == 0); loop++) {
		struct neap_map_iter it;
		neap_map_iter_init(&it, map);
		assert_true(neap_map_iter_next(&it));
		first[key_of(&it)]++;
	}
	assert_true(first[0] > 0 && first[1] > 0);
	neap_map_destroy(map);
}

/* ---- Changing the map inside the loop ---- */

static void what_is_deleted_before_its_turn_is_not_produced(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {2, 10, 100, 3000, 20000};
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		uint64_t n = probe_scale(sizes[s]), produced = 0;
		struct neap_map *map = map_of(n, NULL);
		neap_map_each (it, map) {
			produced++;
			uint64_t keep = key_of(&it);
			for (uint64_t i = 0; i < n; i++)
				if (i != keep)
					neap_map_delete(map, &i);
		}
		assert_int_equal(produced, 1);
		assert_int_equal(neap_map_len(map), 1);
		neap_map_destroy(map);
	}
}

/* Each original entry exactly once while the loop adds `added` entries for each that it sees. */
static void assert_growth_while_iterating(uint64_t n, uint64_t most, unsigned added)
{
	uint8_t *seen = test_calloc(most, 1);
	struct neap_map *map = map_of(n, NULL);
	uint64_t next = n;
	neap_map_each (it, map) {
		assert_true(key_of(&it) < next);
		assert_int_equal(seen[key_of(&it)]++, 0);
		assert_int_equal(*(uint64_t *)it.value, key_of(&it));
		for (unsigned i = 0; i < added && next < most; i++)
			put(map, next++);
	}
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(seen[i], 1);
	assert_null(neap__map_check(map));
	neap_map_destroy(map);
	test_free(seen);
}

static void growing_inside_the_loop(void **state)
{
	(void)state;
	uint64_t most = probe_scale(30000);
	for (uint64_t n = 1; n < 40; n++)
		assert_growth_while_iterating(n, 2000, 50);
	assert_growth_while_iterating(500, most, 100);
	assert_growth_while_iterating(most / 2, most, 3);
}

/* A loop over ten entries whose body adds hundreds of thousands, at once or a few at a time: the cost of a step must
 * not grow with the map. When it did, 40,000 entries took 22 seconds.
 */
static void growing_inside_the_loop_stays_linear(void **state)
{
	(void)state;
	uint64_t most = probe_scale(300000);
	static const unsigned added[] = {300000, 2, 100};
	for (size_t i = 0; i < sizeof added / sizeof added[0]; i++) {
		clock_t start = clock();
		assert_growth_while_iterating(10, most, added[i]);
		double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
		if (!CHECKED && !HOSTILE && seconds > 3)
			fail_msg("a loop that adds %u entries a step took %.1f s", added[i], seconds);
	}
}

static void deleting_everything_inside_the_loop(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {1, 5, 16, 300, 5000, 50000};
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		uint64_t n = probe_scale(sizes[s]), produced = 0;
		struct neap_map *map = map_of(n, NULL);
		neap_map_each (it, map) {
			uint64_t key = key_of(&it);
			assert_true(neap_map_delete(map, &key));
			produced++;
		}
		assert_int_equal(produced, n);
		assert_int_equal(neap_map_len(map), 0);
		assert_int_equal(neap_map_bytes(map), sizeof *map);
		neap_map_destroy(map);
	}
}

/* Grows to many times its size, then shrinks again, while one iterator is under way. */
static void growing_and_shrinking_inside_the_loop(void **state)
{
	(void)state;
	uint64_t n = 100, most = probe_scale(20000);
	for (int round = 0; round < 5; round++) {
		uint8_t seen[100] = {0};
		struct neap_map *map = map_of(n, NULL);
		unsigned step = 0;
		neap_map_each (it, map) {
			if (key_of(&it) >= n)
				continue;
			assert_int_equal(seen[key_of(&it)]++, 0);
			if (step % 20 == 5)
				for (uint64_t i = n; i < most; i++)
					put(map, i);
			if (step % 20 == 15)
				for (uint64_t i = n; i < most; i++)
					neap_map_delete(map, &i);
			step++;
		}
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(seen[i], 1);
		neap_map_destroy(map);
	}
}

static void a_key_deleted_and_put_back_stays_one_entry(void **state)
{
	(void)state;
	uint64_t n = 1000;
	uint8_t seen[1000] = {0};
	struct neap_map *map = map_of(n, NULL);
	neap_map_each (it, map) {
		uint64_t key = key_of(&it);
		seen[key] = 1;
		assert_true(neap_map_delete(map, &key));
		put(map, key);
		assert_int_equal(neap_map_len(map), n);
		if (*(uint64_t *)neap_map_get(map, &key) != key)
			fail();
	}
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(seen[i], 1);
	neap_map_destroy(map);
}

static void clearing_inside_the_loop_ends_it(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {3, 40, 10000};
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		uint64_t n = probe_scale(sizes[s]);
		for (int keep = 0; keep < 2; keep++) {
			struct neap_map *map = map_of(n, NULL);
			uint64_t old = 0, fresh = 0;
			neap_map_each (it, map) {
				if (key_of(&it) >= n) {
					fresh++;
					continue;
				}
				old++;
				if (keep)
					neap_map_clear_keep(map);
				else
					neap_map_clear(map);
				put(map, n + 1); /* may be produced, at most once */
			}
			assert_int_equal(old, 1);
			assert_true(fresh <= 1);
			neap_map_destroy(map);
		}
	}
}

static void many_iterators_at_once(void **state)
{
	(void)state;
	enum { N = 60 };
	struct neap_map *map = map_of(N, NULL);
	uint64_t pairs = 0;
	neap_map_each (outer, map) {
		uint64_t inner_count = 0;
		neap_map_each (inner, map) {
			inner_count++;
			pairs++;
		}
		assert_int_equal(inner_count, neap_map_len(map));
		if (pairs == N) /* the inner loops change the map under the outer one */
			for (uint64_t i = N; i < 2000; i++)
				put(map, i);
	}
	assert_int_equal(neap_map_len(map), 2000);
	neap_map_destroy(map);
}

/* `for k := range m { delete(m, k); break }` until nothing is left: linear in all, because the map shrinks. */
static void pop_loop(void **state)
{
	(void)state;
	uint64_t n = probe_scale(100000), left = n;
	uint8_t *seen = test_calloc(n, 1);
	struct neap_map *map = map_of(n, NULL);
	clock_t start = clock();
	while (neap_map_len(map) > 0) {
		neap_map_each (it, map) {
			uint64_t key = key_of(&it);
			assert_int_equal(seen[key]++, 0);
			assert_true(neap_map_delete(map, &key));
			break;
		}
		assert_int_equal(neap_map_len(map), --left);
	}
	if (!CHECKED && (double)(clock() - start) / CLOCKS_PER_SEC > 5)
		fail_msg("popping %llu entries took %.1f s", (unsigned long long)n,
			 (double)(clock() - start) / CLOCKS_PER_SEC);
	neap_map_destroy(map);
	test_free(seen);
}

/* An iterator keeps nothing alive and costs nothing when it is dropped in the middle. */
static void an_abandoned_loop_leaves_no_trace(void **state)
{
	(void)state;
	struct neap_map *map = map_of(probe_scale(5000), NULL);
	size_t bytes = neap_map_bytes(map);
	for (int i = 0; i < 1000; i++) {
		struct neap_map_iter it;
		neap_map_iter_init(&it, map);
		for (int steps = 0; steps < i % 50; steps++)
			assert_true(neap_map_iter_next(&it));
	}
	assert_int_equal(neap_map_bytes(map), bytes);
	assert_null(neap__map_check(map));
	neap_map_destroy(map);
}

/* ---- NaN ---- */

static bool drop_nan(const void *key, void *value, void *ctx)
{
	(void)value, (void)ctx;
	return isnan(*(const double *)key);
}

static void nan_is_always_new_and_never_found(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&real_to_u64, NULL);
	double nan = NAN;
	uint64_t n = probe_scale(100000);
	bool inserted;
	clock_t start = clock();
	for (uint64_t i = 0; i < n; i++) {
		if (i % 2 == 0) {
			assert_int_equal(neap_map_put(map, &nan, &i), NEAP_OK);
		} else {
			*(uint64_t *)neap_map_slot(map, &nan, &inserted) = i;
			assert_true(inserted);
		}
	}
	assert_int_equal(neap_map_len(map), n);
	assert_null(neap_map_get(map, &nan));
	assert_false(neap_map_delete(map, &nan));
	assert_false(neap_map_take(map, &nan, NULL, NULL));
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	assert_false(stats.degenerate && !HOSTILE); /* five entries fill a hostile segment by chance */
	uint8_t *seen = test_calloc(n, 1);
	uint64_t produced = 0;
	neap_map_each (it, map) {
		assert_true(isnan(*(const double *)it.key));
		assert_int_equal(seen[*(uint64_t *)it.value]++, 0);
		produced++;
	}
	assert_int_equal(produced, n);
	if (!CHECKED && (double)(clock() - start) / CLOCKS_PER_SEC > 2)
		fail_msg("%llu NaN took %.1f s", (unsigned long long)n,
			 (double)(clock() - start) / CLOCKS_PER_SEC);
	assert_false(neap_map_equal(map, map, NULL));
	struct neap_map *clone = neap_map_clone(map, NULL, NULL);
	assert_int_equal(neap_map_len(clone), n);
	neap_map_destroy(clone);

	double one = 1;
	assert_int_equal(neap_map_put(map, &one, &n), NEAP_OK);
	assert_int_equal(neap_map_delete_if(map, drop_nan, NULL), n);
	assert_int_equal(neap_map_len(map), 1);
	assert_int_equal(neap_map_put(map, &nan, &n), NEAP_OK);
	neap_map_clear(map);
	assert_int_equal(neap_map_len(map), 0);
	assert_int_equal(neap_map_bytes(map), sizeof *map);
	neap_map_destroy(map);
	test_free(seen);
}

/* Go's TestGrowWithNaN: a loop over NaN keys, with growth in the middle, still produces each of them once. */
static void nan_survives_growth_inside_the_loop(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		enum { NANS = 40 };
		struct neap_map *map = neap_map_create(&real_to_u64, NULL);
		double nan = NAN;
		for (uint64_t i = 0; i < NANS; i++)
			assert_int_equal(neap_map_put(map, &nan, &i), NEAP_OK);
		uint8_t seen[NANS] = {0};
		unsigned step = 0;
		neap_map_each (it, map) {
			uint64_t id = *(uint64_t *)it.value;
			if (id >= NANS)
				continue;
			assert_int_equal(seen[id]++, 0);
			if (step++ == (unsigned)round)
				for (uint64_t i = 0; i < probe_scale(20000); i++) {
					double key = (double)i;
					uint64_t value = NANS + i;
					assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
				}
		}
		for (int i = 0; i < NANS; i++)
			assert_int_equal(seen[i], 1);
		neap_map_destroy(map);
	}
}

/* ---- Counting through slots, as Go's m[k]++ after delete and clear ---- */

static void a_slot_is_zero_after_delete_and_clear(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&probe_u64, NULL);
	for (int round = 0; round < 4; round++) {
		for (uint64_t i = 0; i < 500; i++)
			*(uint64_t *)neap_map_slot(map, &i, NULL) += i + 1;
		for (uint64_t i = 0; i < 500; i++)
			assert_int_equal(*(uint64_t *)neap_map_get(map, &i), i + 1);
		if (round == 0) {
			for (uint64_t i = 0; i < 500; i++)
				assert_true(neap_map_delete(map, &i));
		} else if (round == 1) {
			neap_map_clear_keep(map);
		} else {
			neap_map_clear(map);
		}
	}
	neap_map_destroy(map);
}

/* Strings that differ in length only, or in bytes after a NUL. */
static void strings_compare_by_all_their_bytes(void **state)
{
	(void)state;
	static const struct neap_map_type type = {.size = sizeof type, NEAP_KEY_STR, 0, 16, 8, 8, 8};
	static const char zeroes[300];
	struct neap_map *map = neap_map_create(&type, NULL);
	for (uint32_t len = 0; len < sizeof zeroes; len++) {
		struct neap_str key = {zeroes, len, 0};
		uint64_t value = len;
		assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
	}
	assert_int_equal(neap_map_len(map), sizeof zeroes);
	for (uint32_t len = 0; len < sizeof zeroes; len++) {
		struct neap_str key = {zeroes, len, 12345}; /* the hash field of a sought key is not read */
		assert_int_equal(*(uint64_t *)neap_map_get(map, &key), len);
	}
	neap_map_destroy(map);
}

/* ---- Loops over entries that have no place ---- */

static uint64_t one_hash(const void *key, uint64_t seed)
{
	(void)key, (void)seed;
	return 7;
}

static bool same_key(const void *a, const void *b)
{
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

/* Deleting the entry that was produced last moves the last one of the spill list into its place, or one into the segment. */
static void a_loop_that_deletes_produces_spilled_entries_that_move(void **state)
{
	(void)state;
	enum { N = 4000 };
	static unsigned produced[N];
	const struct neap_map_type type = {.size = sizeof type,
					   .kind = NEAP_KEY_USER,
					   .key_size = 8,
					   .key_align = 8,
					   .value_size = 8,
					   .value_align = 8,
					   .hash = one_hash,
					   .equal = same_key};
	struct neap_map *map = neap_map_create(&type, NULL);
	struct neap_map_stats stats = {.size = sizeof stats};
	uint64_t n = HOSTILE ? 400 : N, before = UINT64_MAX;
	for (uint64_t key = 0; key < n; key++)
		put(map, key);
	neap_map_stats(map, &stats);
	assert_true(stats.spilled > n / 4);
	neap_map_each (it, map) {
		uint64_t key = key_of(&it);
		produced[key]++;
		if (before != UINT64_MAX)
			assert_true(neap_map_delete(map, &before));
		before = key;
	}
	for (uint64_t key = 0; key < n; key++)
		if (produced[key] != 1)
			fail_msg("key %llu was produced %u times", (unsigned long long)key, produced[key]);
	neap_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_of_a_tiny_map_comes_first_sometimes),
		cmocka_unit_test(order_is_random_in_a_sparse_map),
		cmocka_unit_test(what_is_deleted_before_its_turn_is_not_produced),
		cmocka_unit_test(growing_inside_the_loop),
		cmocka_unit_test(growing_inside_the_loop_stays_linear),
		cmocka_unit_test(deleting_everything_inside_the_loop),
		cmocka_unit_test(growing_and_shrinking_inside_the_loop),
		cmocka_unit_test(a_key_deleted_and_put_back_stays_one_entry),
		cmocka_unit_test(clearing_inside_the_loop_ends_it),
		cmocka_unit_test(many_iterators_at_once),
		cmocka_unit_test(pop_loop),
		cmocka_unit_test(an_abandoned_loop_leaves_no_trace),
		cmocka_unit_test(nan_is_always_new_and_never_found),
		cmocka_unit_test(nan_survives_growth_inside_the_loop),
		cmocka_unit_test(a_slot_is_zero_after_delete_and_clear),
		cmocka_unit_test(strings_compare_by_all_their_bytes),
		cmocka_unit_test(a_loop_that_deletes_produces_spilled_entries_that_move),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
