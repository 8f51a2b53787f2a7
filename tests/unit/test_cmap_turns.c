/* test_cmap_turns.c: what a reader of the concurrent map relies on, one write at a time: src/cmap/table.h's table of who
 * moves the turn of a bucket and when, and what a look-up makes of it. The stress tests show the same by chance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmap/table.h"

struct triple {
	uint64_t a, b, c;
};

#define NEAP_CMAP_NAME	ones
#define NEAP_CMAP_KEY	uint64_t
#define NEAP_CMAP_VALUE uint64_t
#include "neap/cmap_typed.h"

#define NEAP_CMAP_NAME	triples
#define NEAP_CMAP_KEY	uint64_t
#define NEAP_CMAP_VALUE struct triple
#include "neap/cmap_typed.h"

/* The bucket in which a key lies. */
static struct neap__bucket *bucket_of(struct neap_cmap *map, uint64_t key)
{
	uint64_t hash = neap__cmap_hash(map, &key);
	uintptr_t table = atomic_load(&neap__directory_entry(map, hash)->table);
	struct neap__spot spot = neap__table_find(map, table, hash, &key);
	assert_non_null(spot.bucket);
	return spot.bucket;
}

static uint64_t turn_of(const struct neap__bucket *bucket)
{
	return atomic_load(&bucket->turn);
}

/* So many that no delete below makes a table smaller. */
enum { CROWD = 2000, KEY = 17 };

static void an_entry_that_leaves_moves_the_turn(void **state)
{
	(void)state;
	struct neap_cmap *map = ones_create(NULL);
	for (uint64_t key = 0; key < CROWD; key++)
		assert_int_equal(ones_store(map, key, key), 0);
	struct neap__bucket *bucket = bucket_of(map, KEY);
	uint64_t before = turn_of(bucket);
	assert_int_equal(ones_store(map, KEY, 5), 0); /* one word: nothing can be torn */
	assert_int_equal(turn_of(bucket), before);
	assert_true(ones_delete(map, KEY));
	assert_int_equal(turn_of(bucket), before + 2);
	assert_int_equal(ones_store(map, KEY, 6), 0); /* the words of a slot that nobody looks for */
	assert_int_equal(turn_of(bucket), before + 2);
	ones_destroy(map);
}

static void a_value_of_several_words_moves_the_turn_twice(void **state)
{
	(void)state;
	struct neap_cmap *map = triples_create(NULL);
	for (uint64_t key = 0; key < CROWD; key++)
		assert_int_equal(triples_store(map, key, (struct triple){key, key, key}), 0);
	struct neap__bucket *bucket = bucket_of(map, KEY);
	uint64_t before = turn_of(bucket);
	assert_int_equal(before % 2, 0);
	assert_int_equal(triples_store(map, KEY, (struct triple){1, 2, 3}), 0);
	assert_int_equal(turn_of(bucket), before + 2);
	assert_true(triples_delete(map, KEY));
	assert_int_equal(turn_of(bucket), before + 4);
	triples_destroy(map);
}

static void a_look_up_refuses_a_turn_that_is_odd_or_has_moved(void **state)
{
	(void)state;
	struct neap_cmap *map = triples_create(NULL);
	assert_int_equal(triples_store(map, KEY, (struct triple){1, 2, 3}), 0);
	struct neap__bucket *bucket = bucket_of(map, KEY);
	const uint64_t key = KEY, turn = turn_of(bucket);
	const uint32_t slot = (uint32_t)__builtin_ctz(
		neap__tags_match(atomic_load(&bucket->tags), neap__cmap_tag(neap__cmap_hash(map, &key))));
	uint64_t value[3];
	assert_int_equal(neap__look(bucket, slot, turn, &key, 1, 3, value), NEAP__FOUND);
	assert_int_equal(value[2], 3);
	assert_int_equal(neap__look(bucket, slot, turn - 2, &key, 1, 3, value), NEAP__CHANGED);
	atomic_store(&bucket->turn, turn + 1); /* as a writer leaves it that stopped half way */
	assert_int_equal(neap__look(bucket, slot, turn + 1, &key, 1, 3, value), NEAP__CHANGED);
	/* After NEAP__TRIES a load waits for the lock, which nobody has here. */
	struct triple got = {0, 0, 0};
	atomic_store(&bucket->turn, turn);
	assert_true(triples_load(map, KEY, &got));
	assert_int_equal(got.b, 2);
	triples_destroy(map);
}

static void a_match_is_exact(void **state)
{
	(void)state;
	for (unsigned slot = 0; slot < 7; slot++)
		for (uint64_t tag = 1; tag < 256; tag++) {
			uint64_t tags = tag << 8 * slot | UINT64_C(0xff) << 56;
			uint32_t expected = 1u << slot;
			assert_int_equal(neap__tags_match(tags, tag), expected);
			/* A neighbour of the tag, and what stands above it, is no match. */
			assert_int_equal(neap__tags_match(tags ^ UINT64_C(1) << 8 * slot, tag) & expected, 0);
			assert_int_equal(neap__tags_match(tags, 0), 0x7f & ~expected);
		}
}

static void a_tables_word_says_how_many_buckets_it_has(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 48; code++) {
		if (code == 1) /* one and a half buckets: not made */
			continue;
		uintptr_t word = neap__table_word(&neap__no_bucket, code);
		assert_int_equal(neap__table_code(word), code);
		assert_int_equal(neap__table_buckets(word), (uintptr_t)&neap__no_bucket);
		assert_int_equal(neap__table_home(word, 0), 0);
		assert_int_equal(neap__table_home(word, UINT64_MAX), neap__code_buckets(code) - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_that_leaves_moves_the_turn),
		cmocka_unit_test(a_value_of_several_words_moves_the_turn_twice),
		cmocka_unit_test(a_look_up_refuses_a_turn_that_is_odd_or_has_moved),
		cmocka_unit_test(a_match_is_exact),
		cmocka_unit_test(a_tables_word_says_how_many_buckets_it_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
