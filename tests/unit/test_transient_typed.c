/* test_transient_typed.c: the inlined functions of a transient table do what those of neap/scope.h do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "gauge.h"
#include "neap/scope.h"

#define NEAP_TRANSIENT_NAME  counts
#define NEAP_TRANSIENT_KEY   uint64_t
#define NEAP_TRANSIENT_VALUE uint32_t
#include "neap/transient_typed.h"

#define NEAP_TRANSIENT_NAME  words
#define NEAP_TRANSIENT_KEY   struct neap_str
#define NEAP_TRANSIENT_VALUE uint64_t
#define NEAP_TRANSIENT_KIND  NEAP_KEY_STR
#include "neap/transient_typed.h"

struct place {
	uint16_t row, column, layer;
};

#define NEAP_TRANSIENT_NAME  board
#define NEAP_TRANSIENT_KEY   struct place
#define NEAP_TRANSIENT_VALUE char
#include "neap/transient_typed.h"

/* Random puts, slots, deletes and clears, half of them typed, against an array. */
static void typed_and_untyped_calls_share_a_table(void **state)
{
	(void)state;
	enum { KEYS = 500, STEPS = 200000 };
	struct neap_scopes *scopes = neap_scopes_create(&counts_type, NULL);
	struct neap_transient *table = counts_begin(scopes);
	uint32_t naive[KEYS] = {0}, random = 12345;
	size_t live = 0;
	for (uint32_t step = 1; step < STEPS; step++) {
		random = random * 1664525u + 1013904223u;
		uint64_t key = (random >> 8) % KEYS;
		uint32_t *found = random % 2 ? counts_get(table, key) : neap_transient_get(table, &key);
		assert_int_equal(found != NULL, naive[key] != 0);
		if (found != NULL)
			assert_int_equal(*found, naive[key]);
		bool inserted = naive[key] == 0, said = !inserted;
		const uint32_t act = random >> 28;
		if (act < 5) {
			assert_int_equal(counts_put(table, key, step), NEAP_OK);
		} else if (act < 8) {
			assert_int_equal(neap_transient_put(table, &key, &step), NEAP_OK);
		} else if (act < 10) {
			*counts_slot(table, key, &said) = step;
			assert_int_equal(said, inserted);
		} else if (act < 15) {
			assert_int_equal(neap_transient_delete(table, &key), naive[key] != 0);
			live -= naive[key] != 0;
			naive[key] = 0;
			continue;
		} else {
			if (random % 64 == 0) {
				neap_transient_clear(table);
				memset(naive, 0, sizeof naive);
				live = 0;
			}
			continue;
		}
		naive[key] = step;
		live += inserted;
		assert_int_equal(neap_transient_len(table), live);
	}
	neap_transient_end(table);
	assert_int_equal(neap_scopes_destroy(scopes), 0);
}

static void keys_of_every_shape_are_found(void **state)
{
	(void)state;
	struct neap_scopes *of_words = neap_scopes_create(&words_type, NULL);
	struct neap_scopes *of_places = neap_scopes_create(&board_type, NULL);
	struct neap_transient *lengths = words_begin(of_words), *pieces = board_begin(of_places);
	char text[300][8];
	for (unsigned i = 0; i < 300; i++) {
		int length = snprintf(text[i], sizeof text[i], "%u", i);
		struct neap_str word = {text[i], (uint32_t)length, 0};
		assert_int_equal(words_put(lengths, word, i), NEAP_OK);
		struct place place = {(uint16_t)i, (uint16_t)(i / 2), 7};
		assert_int_equal(board_put(pieces, place, (char)i), NEAP_OK);
	}
	for (unsigned i = 0; i < 300; i++) {
		char other[8];
		struct neap_str word = {other, (uint32_t)snprintf(other, sizeof other, "%u", i), 0};
		assert_int_equal(*words_get(lengths, word), i);
		assert_int_equal(*board_get(pieces, (struct place){(uint16_t)i, (uint16_t)(i / 2), 7}),
				 (char)i);
		assert_null(board_get(pieces, (struct place){(uint16_t)i, (uint16_t)(i / 2), 8}));
	}
	assert_null(words_get(lengths, (struct neap_str){"no", 2, 0}));
	neap_transient_end(lengths);
	neap_transient_end(pieces);
	assert_int_equal(neap_scopes_destroy(of_words), 0);
	assert_int_equal(neap_scopes_destroy(of_places), 0);
}

static void a_table_of_another_shape_is_refused(void **state)
{
	(void)state;
	struct neap_scopes *scopes = neap_scopes_create(&counts_type, NULL);
	assert_null(words_begin(scopes));
	assert_null(board_begin(scopes));
	struct neap_transient *table = counts_begin(scopes);
	assert_non_null(table);
	neap_transient_end(table);
	assert_int_equal(neap_scopes_destroy(scopes), 0);
}

static void no_table_reads_as_empty(void **state)
{
	(void)state;
	bool inserted = true;
	assert_null(counts_get(NULL, 1));
	assert_int_equal(counts_put(NULL, 1, 1), NEAP_ENIL);
	assert_null(counts_slot(NULL, 1, &inserted));
	assert_false(inserted);
}

static void a_refused_request_leaves_the_table_as_it_was(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator from = gauge_allocator(&gauge);
	struct neap_scopes *scopes =
		neap_scopes_create(&counts_type, &(struct neap_scopes_options){.allocator = &from});
	struct neap_transient *table = counts_begin(scopes);
	uint64_t stored = 0;
	for (; gauge.refused == 0; stored++) {
		gauge_arm(&gauge, stored < 40 ? 0 : 1, true);
		if (counts_put(table, stored, (uint32_t)stored) != NEAP_OK)
			break;
	}
	assert_int_equal(neap_transient_len(table), stored);
	assert_null(counts_slot(table, stored, NULL));
	for (uint64_t key = 0; key < stored; key++)
		assert_int_equal(*counts_get(table, key), key);
	gauge_arm(&gauge, 0, false);
	assert_int_equal(counts_put(table, stored, 0), NEAP_OK);
	neap_transient_end(table);
	assert_int_equal(neap_scopes_destroy(scopes), 0);
	assert_int_equal(gauge.blocks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typed_and_untyped_calls_share_a_table),
		cmocka_unit_test(keys_of_every_shape_are_found),
		cmocka_unit_test(a_table_of_another_shape_is_refused),
		cmocka_unit_test(no_table_reads_as_empty),
		cmocka_unit_test(a_refused_request_leaves_the_table_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
