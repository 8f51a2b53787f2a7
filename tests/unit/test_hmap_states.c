/* test_hmap_states.c: the states of slots byte for byte, and growth. */
#include "test_hmap.h"

/* ---- States of slots, byte for byte ---- */

static bool copy_tops(const struct neap_hmap_bucket *bucket, void *ctx)
{
	uint8_t **at = ctx;
	memcpy(*at, bucket->tophash, 8);
	*at += 8;
	return true;
}

/* The tophashes of every bucket as text: one character per slot, 'x' for an entry, a bar between buckets. */
static void assert_states(const struct neap_hmap *map, const char *expected)
{
	uint8_t tops[64 * 8], *at = tops;
	char text[sizeof tops * 2], *to = text;
	neap_hmap_each_bucket(map, copy_tops, &at);
	for (const uint8_t *top = tops; top < at; top++) {
		if (top > tops && (top - tops) % 8 == 0)
			*to++ = '|';
		*to++ = *top >= NEAP_HMAP_MIN_TOPHASH ? 'x' : (char)('0' + *top);
	}
	*to = 0;
	assert_string_equal(text, expected);
}

/* All keys in one chain. It starts as 8 entries; with B = 4 the chain can have overflow buckets. */
static struct neap_hmap *one_chain(struct neap_hmap_type *type, uint64_t n)
{
	*type = u64_type;
	type->hash = same_hash;
	struct neap_hmap *map = filled(type, NULL, n);
	return map;
}

static void delete_cleans_up_backwards(void **state)
{
	(void)state;
	struct neap_hmap_type type;
	struct neap_hmap *map = one_chain(&type, 5);
	assert_int_equal(neap_hmap_header(map)->B, 0);
	assert_states(map, "xxxxx000");
	del(map, 1);
	assert_states(map, "x1xxx000"); /* something follows: a tombstone */
	del(map, 2);
	assert_states(map, "x11xx000");
	del(map, 4);
	assert_states(map, "x11x0000"); /* nothing follows */
	del(map, 3);
	assert_states(map, "x0000000"); /* and back over the tombstones */
	put(map, 9, 9);
	assert_states(map, "xx000000");
	del(map, 0);
	assert_states(map, "1x000000");
	put(map, 10, 10);
	assert_states(map, "xx000000"); /* the tombstone is the first free slot */
	del(map, 10);
	uint32_t seed = neap_hmap_header(map)->hash0;
	del(map, 9);
	assert_states(map, "00000000");
	assert_int_not_equal(neap_hmap_header(map)->hash0, seed); /* an empty map gets another seed */
	neap_hmap_destroy(map);
}

/* The chain of a growing map with one hash: bucket 0 of the new array, all others empty. */
static void delete_cleans_up_across_overflow_buckets(void **state)
{
	(void)state;
	struct neap_hmap_type type;
	struct neap_hmap *map = one_chain(&type, 20);
	assert_int_equal(neap_hmap_header(map)->B, 2);
	assert_null(neap_hmap_header(map)->oldbuckets);
	assert_states(map, "xxxxxxxx|xxxxxxxx|xxxx0000|00000000|00000000|00000000");
	for (uint64_t i = 7; i < 17; i++)
		del(map, i);
	assert_states(map, "xxxxxxx1|11111111|1xxx0000|00000000|00000000|00000000");
	del(map, 19);
	del(map, 17);
	assert_states(map, "xxxxxxx1|11111111|11x00000|00000000|00000000|00000000");
	del(map, 18);
	assert_states(map, "xxxxxxx0|00000000|00000000|00000000|00000000|00000000");
	assert_int_equal(stats_of(map).overflow_buckets, 2); /* they stay */
	assert_int_equal(neap_hmap_header(map)->noverflow, 2);
	ASSERT_SOUND(map);
	neap_hmap_destroy(map);
}

/* Growth from one bucket to two: X stays, Y goes to the upper half, tombstones become evacuatedEmpty. */
static void evacuation_marks_where_entries_went(void **state)
{
	(void)state;
	struct neap_hmap_type type = u64_type;
	type.hash = id_hash;
	struct neap_hmap *map = filled(&type, NULL, 13);
	while (neap_hmap_header(map)->oldbuckets != NULL)
		put(map, 0, 0);
	assert_int_equal(neap_hmap_header(map)->B, 1);
	assert_states(map, "xxxxxxx0|xxxxxx00");
	del(map, 0);
	del(map, 3);
	assert_states(map, "1xxxxxx0|x1xxxx00");
	put(map, 20, 0);
	put(map, 22, 0);
	put(map, 24, 0); /* count 14: over 6.5 per bucket; moves bucket 0, and with it the growth's next */
	assert_int_equal(neap_hmap_header(map)->B, 2);
	assert_null(neap_hmap_header(map)->oldbuckets); /* two buckets: one write was enough */
	ASSERT_SOUND(map);
	/* B = 2 now. On to B = 3, whose four old buckets take two writes. */
	for (uint64_t i = 30; neap_hmap_header(map)->B < 3; i++)
		put(map, i, 0);
	assert_int_equal(neap_hmap_header(map)->nevacuate, 1);
	uint8_t tops[64 * 8], *at = tops;
	neap_hmap_each_bucket(map, copy_tops, &at);
	assert_true(tops[0] == NEAP_HMAP_EVACUATED_X || tops[0] == NEAP_HMAP_EVACUATED_Y ||
		    tops[0] == NEAP_HMAP_EVACUATED_EMPTY);
	ASSERT_SOUND(map);
	neap_hmap_destroy(map);
}

static void a_tophash_below_five_is_raised(void **state)
{
	(void)state;
	struct neap_hmap_type type = u64_type;
	type.hash = id_hash;
	struct neap_hmap *map = neap_hmap_create(&type, NULL);
	for (uint64_t top = 0; top < 7; top++)
		put(map, top << 56, 0);
	uint8_t tops[8], *at = tops;
	neap_hmap_each_bucket(map, copy_tops, &at);
	const uint8_t expected[8] = {5, 6, 7, 8, 9, 5, 6, 0};
	assert_memory_equal(tops, expected, 8);
	neap_hmap_destroy(map);
}

/* ---- Growth ---- */

static void load_factor_is_six_and_a_half(void **state)
{
	(void)state;
	struct neap_hmap *map = neap_hmap_create(&u64_type, NULL);
	for (uint64_t i = 0; i < 100000; i++) {
		unsigned before = neap_hmap_header(map)->B;
		put(map, i, i);
		unsigned after = neap_hmap_header(map)->B;
		size_t limit = before == 0 ? 8 : 13 * ((size_t)1 << before) / 2;
		assert_int_equal(after, i + 1 > limit ? before + 1 : before);
	}
	neap_hmap_destroy(map);
}

/* The last growth of a map that is not written any more never ends: both arrays stay. */
static void an_unfinished_evacuation_holds_the_old_array(void **state)
{
	(void)state;
	struct neap_hmap *map = filled(&u64_type, NULL, 6656); /* 6.5 x 1024: the next one grows */
	assert_null(neap_hmap_header(map)->oldbuckets);
	put(map, 6656, 0);
	struct neap_hmap_stats stats = stats_of(map);
	assert_int_equal(stats.B, 11);
	assert_int_equal(stats.old_buckets, 1024);
	assert_true(stats.old_bytes >= 1024 * 144);
	assert_true(stats.evacuated > 0 &&
		    stats.evacuated < 100 * 144 + 64 * 144); /* two chains, spare buckets */
	for (uint64_t i = 0; i < 100000; i++)
		(void)has(map, i); /* reading moves nothing */
	assert_int_equal(stats_of(map).old_bytes, stats.old_bytes);
	/* Deletes that find nothing move two buckets each, as every write does. */
	for (uint64_t i = 0; i < 1024; i++)
		del(map, 1000000 + i);
	assert_int_equal(stats_of(map).old_bytes, 0);
	ASSERT_SOUND(map);
	neap_hmap_destroy(map);
}

/* With id_hash: puts `keys` keys into each of 16 buckets, one bucket after the other, and takes them out again. */
static void crowd_16_buckets(struct neap_hmap *map, uint64_t keys)
{
	for (uint64_t bucket = 0; bucket < 16; bucket++) {
		for (uint64_t i = 1; i <= keys; i++)
			put(map, i << 8 | bucket, 0);
		for (uint64_t i = 1; i <= keys; i++)
			del(map, i << 8 | bucket);
	}
}

/* Entries come and go: chains keep overflow buckets that are almost empty, until there are as many as buckets;
 * then an array of the same size takes their place.
 */
static void sparse_overflow_chains_are_straightened(void **state)
{
	(void)state;
	struct neap_hmap_type type = u64_type;
	type.hash = id_hash;
	struct neap_hmap *map = neap_hmap_create(&type, &(struct neap_hmap_options){.hint = 100});
	assert_int_equal(neap_hmap_header(map)->B, 4);
	put(map, 5, 5);
	crowd_16_buckets(map, 9);
	assert_int_equal(neap_hmap_header(map)->noverflow, 16);
	assert_int_equal(stats_of(map).overflow_buckets, 16);
	put(map, 6, 6);
	assert_int_equal(stats_of(map).same_size_grows, 1);
	assert_int_equal(neap_hmap_header(map)->noverflow, 0);
	assert_true(neap_hmap_header(map)->flags & NEAP_HMAP_SAME_SIZE_GROW);
	ASSERT_SOUND(map);
	while (neap_hmap_header(map)->oldbuckets != NULL)
		del(map, 1);
	assert_int_equal(neap_hmap_header(map)->flags, 0);
	assert_int_equal(stats_of(map).overflow_buckets, 0);
	assert_int_equal(neap_hmap_header(map)->B, 4);
	assert_true(has(map, 5) && has(map, 6));
	ASSERT_SOUND(map);
	neap_hmap_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delete_cleans_up_backwards),
		cmocka_unit_test(delete_cleans_up_across_overflow_buckets),
		cmocka_unit_test(evacuation_marks_where_entries_went),
		cmocka_unit_test(a_tophash_below_five_is_raised),
		cmocka_unit_test(load_factor_is_six_and_a_half),
		cmocka_unit_test(an_unfinished_evacuation_holds_the_old_array),
		cmocka_unit_test(sparse_overflow_chains_are_straightened),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
