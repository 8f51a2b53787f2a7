/* test_map_typed.c: typed and erased maps with one seed do the same operations and end in the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/map_probe.h"

#define NEAP_MAP_NAME  words
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE uint64_t
#include "neap/map_typed.h"

struct point {
	uint32_t x, y, z;
};
#define NEAP_MAP_NAME points
#define NEAP_MAP_KEY  struct point
#include "neap/map_typed.h"

#define NEAP_MAP_NAME  counts
#define NEAP_MAP_KEY   struct neap_str
#define NEAP_MAP_VALUE uint32_t
#define NEAP_MAP_KIND  NEAP_KEY_STR
#define NEAP_MAP_FLAGS NEAP_MAP_OWN_KEYS
#include "neap/map_typed.h"

#define NEAP_MAP_NAME  borrowed
#define NEAP_MAP_KEY   struct neap_str
#define NEAP_MAP_VALUE uint64_t
#define NEAP_MAP_KIND  NEAP_KEY_STR
#include "neap/map_typed.h"

#define NEAP_MAP_NAME  safe
#define NEAP_MAP_KEY   uint32_t
#define NEAP_MAP_VALUE uint32_t
#define NEAP_MAP_FLAGS NEAP_MAP_SIPHASH
#include "neap/map_typed.h"

#define NEAP_MAP_NAME  reals
#define NEAP_MAP_KEY   double
#define NEAP_MAP_VALUE uint64_t
#define NEAP_MAP_KIND  NEAP_KEY_F64
#include "neap/map_typed.h"

struct wide {
	uint8_t bytes[300];
};
#define NEAP_MAP_NAME  blobs
#define NEAP_MAP_KEY   uint32_t
#define NEAP_MAP_VALUE struct wide
#include "neap/map_typed.h"

static const uint64_t seed[2] = {UINT64_C(0x123456789abcdef), UINT64_C(0xfedcba9876543211)};
static const struct neap_map_options options = {.seed = seed};

static void assert_same_bytes(const struct neap_map *a, const struct neap_map *b)
{
	assert_null(neap__map_check(a));
	assert_null(neap__map_check(b));
	struct neap_map_stats of_a = {.size = sizeof of_a}, of_b = {.size = sizeof of_b};
	neap_map_stats(a, &of_a);
	neap_map_stats(b, &of_b);
	assert_memory_equal(&of_a, &of_b, sizeof of_a);
	uint32_t segments = neap__segment_count(a);
	size_t control = (size_t)segments * (neap__last_group(a) + 1u) * NEAP__CONTROL_BYTES;
	assert_memory_equal(a->ctrl, b->ctrl, control);
	if (a->pool != NULL) {
		assert_memory_equal(a->segs, b->segs, segments * sizeof *a->segs);
		for (size_t i = 0; i < (size_t)1 << a->pool->depth; i++)
			assert_int_equal(a->dir[i] - a->ctrl, b->dir[i] - b->ctrl);
	}
	assert_true(neap_map_equal(a, b, NULL));
}

/* The inlined scan visits what the library's does, in the same order. */
#define SCAN(name, typed)                                                     \
	do {                                                                  \
		struct neap_map_scan one = neap_map_scan(typed), other = one; \
		size_t count = 0;                                             \
		for (; name##_scan_next(&one); count++) {                     \
			assert_true(neap_map_scan_next(&other));              \
			assert_ptr_equal(one.key, other.key);                 \
			assert_ptr_equal(one.value, other.value);             \
		}                                                             \
		assert_false(neap_map_scan_next(&other));                     \
		assert_int_equal(count, neap_map_len(typed));                 \
	} while (0)

/* Operation i of a mix that grows, churns and shrinks: which key, and what to do with it. */
struct step {
	uint64_t key;
	enum { PUT, SLOT, GET, DELETE, TAKE } what;
};

static struct step step_at(uint64_t i, uint64_t n)
{
	static const uint8_t growing[8] = {PUT, PUT, PUT, SLOT, PUT, GET, DELETE, PUT};
	static const uint8_t shrinking[8] = {DELETE, DELETE, TAKE, DELETE, GET, DELETE, SLOT, DELETE};
	uint64_t r = probe_mix(i);
	return (struct step){(r >> 8) % (n / 4), i < n / 2 ? growing[r % 8] : shrinking[r % 8]};
}

/* One function per type that runs all steps on a typed and on an erased map and compares their answers. */
#define COMPARE(name, KEY, key_of, VALUE, value_of)                                                         \
	static void name##_agree(void **state)                                                              \
	{                                                                                                   \
		(void)state;                                                                                \
		struct neap_map *typed = name##_create(&options);                                           \
		struct neap_map *erased = neap_map_create(neap_map_type_of(typed), &options);               \
		uint64_t n = probe_scale(60000);                                                            \
		for (uint64_t i = 0; i < n; i++) {                                                          \
			struct step step = step_at(i, n);                                                   \
			KEY key = key_of(step.key), stored_a, stored_b;                                     \
			VALUE value = value_of(i), value_a, value_b;                                        \
			bool new_a = true, new_b = true;                                                    \
			VALUE *got;                                                                         \
			switch (step.what) {                                                                \
			case PUT:                                                                           \
				assert_int_equal(name##_put(typed, key, value), NEAP_OK);                   \
				assert_int_equal(neap_map_put(erased, &key, &value), NEAP_OK);              \
				break;                                                                      \
			case SLOT:                                                                          \
				*name##_slot(typed, key, &new_a) = value;                                   \
				*(VALUE *)neap_map_slot(erased, &key, &new_b) = value;                      \
				assert_int_equal(new_a, new_b);                                             \
				break;                                                                      \
			case GET:                                                                           \
				got = neap_map_get(erased, &key);                                           \
				assert_int_equal(name##_get(typed, key) != NULL, got != NULL);              \
				if (got != NULL)                                                            \
					assert_memory_equal(name##_get(typed, key), got, sizeof *got);      \
				break;                                                                      \
			case DELETE:                                                                        \
				assert_int_equal(name##_delete(typed, key), neap_map_delete(erased, &key)); \
				break;                                                                      \
			case TAKE:                                                                          \
				new_a = name##_take(typed, key, &stored_a, &value_a);                       \
				new_b = neap_map_take(erased, &key, &stored_b, &value_b);                   \
				assert_int_equal(new_a, new_b);                                             \
				if (!new_a)                                                                 \
					break;                                                              \
				assert_memory_equal(&value_a, &value_b, sizeof value_a);                    \
				neap_map_free_key(typed, &stored_a);                                        \
				neap_map_free_key(erased, &stored_b);                                       \
				break;                                                                      \
			}                                                                                   \
			if (i % (n / 16) == 0) {                                                            \
				assert_same_bytes(typed, erased);                                           \
				SCAN(name, typed);                                                          \
			}                                                                                   \
		}                                                                                           \
		assert_int_equal(name##_len(typed), neap_map_len(erased));                                  \
		assert_same_bytes(typed, erased);                                                           \
		name##_destroy(typed);                                                                      \
		neap_map_destroy(erased);                                                                   \
	}

static uint64_t as_word(uint64_t i)
{
	return i;
}

static uint32_t as_half(uint64_t i)
{
	return (uint32_t)i;
}

static double as_real(uint64_t i)
{
	return (double)i / 3;
}

static struct neap_str as_text(uint64_t i)
{
	static char text[16384][40];
	char *at = text[i % 16384];
	snprintf(at, sizeof text[0], "%0*llu", 1 + (int)(i % 35), (unsigned long long)i);
	return probe_str(at);
}

static struct wide as_wide(uint64_t i)
{
	struct wide wide;
	memset(&wide, (int)(i & 255), sizeof wide);
	return wide;
}

COMPARE(words, uint64_t, as_word, uint64_t, as_word)
COMPARE(counts, struct neap_str, as_text, uint32_t, as_half)
COMPARE(borrowed, struct neap_str, as_text, uint64_t, as_word)
COMPARE(safe, uint32_t, as_half, uint32_t, as_half)
COMPARE(reals, double, as_real, uint64_t, as_word)
COMPARE(blobs, uint32_t, as_half, struct wide, as_wide)

static void sets_agree(void **state)
{
	(void)state;
	struct neap_map *typed = points_create(&options);
	struct neap_map *erased = neap_map_create(neap_map_type_of(typed), &options);
	uint64_t n = probe_scale(60000);
	for (uint64_t i = 0; i < n; i++) {
		struct step step = step_at(i, n);
		struct point key = {(uint32_t)step.key, 7, (uint32_t)step.key * 3};
		if (step.what == PUT || step.what == SLOT) {
			assert_int_equal(points_put(typed, key), NEAP_OK);
			assert_int_equal(neap_map_put(erased, &key, NULL), NEAP_OK);
		} else if (step.what == GET) {
			assert_int_equal(points_get(typed, key) != NULL, neap_map_get(erased, &key) != NULL);
		} else {
			assert_int_equal(points_delete(typed, key), neap_map_delete(erased, &key));
		}
	}
	assert_same_bytes(typed, erased);
	points_destroy(typed);
	neap_map_destroy(erased);
}

static void typed_get_many_agrees(void **state)
{
	(void)state;
	struct neap_map *words = words_create(NULL), *blobs = blobs_create(NULL);
	uint64_t keys[333], *values[333];
	uint32_t halves[333];
	struct wide *wides[333];
	for (uint64_t i = 0; i < 2000; i++) {
		assert_int_equal(words_put(words, i * 2, i), NEAP_OK);
		assert_int_equal(blobs_put(blobs, (uint32_t)i * 2, as_wide(i)), NEAP_OK);
	}
	for (size_t i = 0; i < 333; i++) {
		keys[i] = probe_mix(i) % 4000;
		halves[i] = (uint32_t)keys[i];
	}
	words_get_many(words, keys, 333, values);
	blobs_get_many(blobs, halves, 333, wides);
	for (size_t i = 0; i < 333; i++) {
		assert_ptr_equal(values[i], words_get(words, keys[i]));
		assert_ptr_equal(wides[i], neap_map_get(blobs, &halves[i]));
	}
	words_get_many(NULL, keys, 333, values);
	for (size_t i = 0; i < 333; i++)
		assert_null(values[i]);
	words_destroy(words);
	blobs_destroy(blobs);
}

static void typed_nil_map(void **state)
{
	(void)state;
	bool inserted = true;
	assert_null(words_get(NULL, 1));
	assert_int_equal(words_put(NULL, 1, 1), NEAP_ENIL);
	assert_null(words_slot(NULL, 1, &inserted));
	assert_false(inserted);
	assert_false(words_delete(NULL, 1));
	assert_int_equal(words_len(NULL), 0);
	assert_int_equal(points_put(NULL, (struct point){0}), NEAP_ENIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_agree),	  cmocka_unit_test(counts_agree),
		cmocka_unit_test(borrowed_agree), cmocka_unit_test(safe_agree),
		cmocka_unit_test(reals_agree),	  cmocka_unit_test(blobs_agree),
		cmocka_unit_test(sets_agree),	  cmocka_unit_test(typed_get_many_agrees),
		cmocka_unit_test(typed_nil_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
