/* test_map.c: the contract of include/neap/map.h, function by function. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/gauge.h"
#include "support/map_probe.h"

#define TYPE .size = sizeof(struct neap_map_type)

static const struct neap_map_type owned = {TYPE, NEAP_KEY_STR, NEAP_MAP_OWN_KEYS, 16, 8, 8, 8};
static const struct neap_map_type set_u32 = {TYPE, NEAP_KEY_BYTES, 0, 4, 4, 0, 1};

static void assert_sound(const struct neap_map *map)
{
	const char *broken = neap__map_check(map);
	if (broken != NULL)
		fail_msg("invariant broken: %s", broken);
}

/* ---- Nil, creation, names ---- */

static bool always(const void *key, void *value, void *ctx)
{
	(void)key, (void)value, (void)ctx;
	return true;
}

static void nil_map_reads_as_empty_and_refuses_writes(void **state)
{
	(void)state;
	uint64_t key = 1, value = 2;
	void *values[1] = {&value};
	bool inserted = true;
	struct neap_map_iter it;
	struct neap_map_stats stats = {.size = sizeof stats};
	assert_int_equal(neap_map_len(NULL), 0);
	assert_null(neap_map_get(NULL, &key));
	neap_map_get_many(NULL, &key, 1, values);
	assert_null(values[0]);
	assert_int_equal(neap_map_put(NULL, &key, &value), NEAP_ENIL);
	assert_null(neap_map_slot(NULL, &key, &inserted));
	assert_false(inserted);
	assert_false(neap_map_delete(NULL, &key));
	assert_false(neap_map_take(NULL, &key, &key, &value));
	assert_int_equal(neap_map_delete_if(NULL, always, NULL), 0);
	neap_map_clear(NULL);
	neap_map_clear_keep(NULL);
	neap_map_destroy(NULL);
	assert_int_equal(neap_map_reserve(NULL, 10), NEAP_ENIL);
	assert_int_equal(neap_map_compact(NULL), NEAP_OK);
	assert_null(neap_map_clone(NULL, NULL, NULL));
	neap_map_iter_init(&it, NULL);
	assert_false(neap_map_iter_next(&it));
	assert_false(neap_map_iter_next(&it));
	neap_map_stats(NULL, &stats);
	assert_int_equal(stats.total, 0);
	assert_int_equal(neap_map_bytes(NULL), 0);
	assert_int_equal(neap_map_move_bound(NULL), 0);
	assert_null(neap_map_type_of(NULL));
	assert_string_equal(neap_map_name(NULL), "nil");
	assert_true(neap_map_equal(NULL, NULL, NULL));
}

static uint64_t hash_u32(const void *key, uint64_t seed)
{
	return *(const uint32_t *)key ^ seed;
}

static bool equal_u32(const void *a, const void *b)
{
	return *(const uint32_t *)a == *(const uint32_t *)b;
}

static void create_refuses_types_out_of_range(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	const struct neap_map_options options = {.allocator = &allocator};
	const struct neap_map_type wrong[] = {
		{TYPE, NEAP_KEY_BYTES, 0, 0, 1, 8, 8}, /* no key */
		{TYPE, NEAP_KEY_BYTES, 0, (1 << 20) + 1, 8, 8, 8},
		{TYPE, NEAP_KEY_BYTES, 0, 8, 8, (1 << 20) + 1, 8},
		{TYPE, NEAP_KEY_BYTES, 0, 8, 3, 8, 8}, /* no power of two */
		{TYPE, NEAP_KEY_BYTES, 0, 8, 128, 8, 8},
		{TYPE, NEAP_KEY_BYTES, 0, 8, 0, 8, 8},
		{TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 0},
		{TYPE, NEAP_KEY_STR, 0, 8, 8, 8, 8}, /* not a struct neap_str */
		{TYPE, NEAP_KEY_F32, 0, 8, 8, 8, 8},
		{TYPE, NEAP_KEY_F64, 0, 4, 4, 8, 8},
		{TYPE, NEAP_KEY_USER + 1, 0, 8, 8, 8, 8},
		{TYPE, NEAP_KEY_USER, 0, 4, 4, 8, 8, NULL, equal_u32, NULL, NULL},
		{TYPE, NEAP_KEY_USER, 0, 4, 4, 8, 8, hash_u32, NULL, NULL, NULL},
		{.size = 4, NEAP_KEY_BYTES, 0, 8, 8, 8, 8}, /* another version of the struct */
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_null(neap_map_create(&wrong[i], &options));
	assert_null(neap_map_create(NULL, &options));
	const struct neap_map_options bad_shrink = {.allocator = &allocator, .shrink = NEAP_SHRINK_OFF + 1};
	assert_null(neap_map_create(&probe_u64, &bad_shrink));
	const struct neap_map_options too_many = {.allocator = &allocator, .reserve = SIZE_MAX};
	assert_null(neap_map_create(&probe_u64, &too_many));
	assert_int_equal(gauge.blocks, 0);

	struct neap_map *largest = neap_map_create(
		&(struct neap_map_type){TYPE, NEAP_KEY_BYTES, 0, 1 << 20, 64, 1 << 20, 64}, &options);
	assert_non_null(largest);
	neap_map_destroy(largest);
	assert_int_equal(gauge.blocks, 0);
}

static void names_are_copied_and_cut(void **state)
{
	(void)state;
	char name[100];
	memset(name, 'x', sizeof name);
	name[99] = '\0';
	struct neap_map *map = neap_map_create(&probe_u64, &(struct neap_map_options){.name = name});
	name[0] = 'y';
	assert_int_equal(strlen(neap_map_name(map)), 63);
	assert_int_equal(neap_map_name(map)[0], 'x');
	assert_ptr_equal(neap_map_type_of(map), &probe_u64);
	neap_map_destroy(map);

	map = neap_map_create(&probe_u64, NULL);
	assert_string_equal(neap_map_name(map), "unnamed");
	neap_map_destroy(map);
}

/* ---- One entry ---- */

static void put_get_slot_delete_take(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&probe_u64, NULL);
	uint64_t key = 7, value = 70, got_key = 0, got = 0;
	bool inserted;
	assert_null(neap_map_get(map, &key));
	assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
	assert_int_equal(*(uint64_t *)neap_map_get(map, &key), 70);
	value = 71;
	assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
	assert_int_equal(*(uint64_t *)neap_map_get(map, &key), 71);
	assert_int_equal(neap_map_len(map), 1);

	uint64_t *slot = neap_map_slot(map, &key, &inserted);
	assert_false(inserted);
	assert_int_equal(*slot, 71);
	key = 8;
	slot = neap_map_slot(map, &key, &inserted);
	assert_true(inserted);
	assert_int_equal(*slot, 0);
	assert_ptr_equal(slot, neap_map_slot(map, &key, NULL));
	*slot = 80;

	assert_int_equal(neap_map_put(map, &key, NULL), NEAP_OK); /* zeroes */
	assert_int_equal(*(uint64_t *)neap_map_get(map, &key), 0);
	assert_true(neap_map_take(map, &key, &got_key, &got));
	assert_int_equal(got_key, 8);
	assert_int_equal(got, 0);
	assert_false(neap_map_take(map, &key, &got_key, &got));
	key = 7;
	assert_true(neap_map_take(map, &key, NULL, NULL));
	assert_false(neap_map_delete(map, &key));
	assert_int_equal(neap_map_put(map, &key, NULL), NEAP_OK);
	assert_int_equal(*(uint64_t *)neap_map_get(map, &key), 0);
	assert_true(neap_map_delete(map, &key));
	assert_int_equal(neap_map_len(map), 0);
	assert_sound(map);
	neap_map_destroy(map);
}

static void set_holds_keys_alone(void **state)
{
	(void)state;
	struct neap_map *set = neap_map_create(&set_u32, NULL);
	size_t n = probe_scale(5000);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(neap_map_put(set, &i, i % 2 == 0 ? NULL : "ignored"), NEAP_OK);
	for (uint32_t i = 0; i < 2 * n; i++)
		assert_int_equal(neap_map_get(set, &i) != NULL, i < n);
	bool inserted;
	assert_non_null(neap_map_slot(set, &(uint32_t){3}, &inserted));
	assert_false(inserted);
	struct neap_map *copy = neap_map_clone(set, NULL, NULL);
	assert_true(neap_map_equal(set, copy, NULL));
	assert_true(neap_map_delete(copy, &(uint32_t){0}));
	assert_int_equal(neap_map_put(copy, &(uint32_t){1000000}, NULL), NEAP_OK);
	assert_false(neap_map_equal(set, copy, NULL));
	neap_map_destroy(copy);
	neap_map_destroy(set);
}

/* ---- Strings ---- */

static void owned_strings_outlive_the_callers_bytes(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	struct neap_map *map = neap_map_create(&owned, &(struct neap_map_options){.allocator = &allocator});
	char text[32];
	size_t n = probe_scale(3000);
	for (uint64_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)i);
		struct neap_str key = probe_str(text);
		assert_int_equal(neap_map_put(map, &key, &i), NEAP_OK);
		memset(text, '?', sizeof text);
	}
	for (uint64_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)i);
		struct neap_str key = probe_str(text);
		assert_int_equal(*(uint64_t *)neap_map_get(map, &key), i);
	}
	assert_int_equal(neap_map_bytes(map), gauge.bytes + probe_pages(map));
	neap_map_destroy(map);
	assert_int_equal(gauge.blocks, 0);
}

static void empty_string_and_taken_keys(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	struct neap_map *map = neap_map_create(&owned, &(struct neap_map_options){.allocator = &allocator});
	struct neap_str none = {NULL, 0, 0}, empty = {"", 0, 0}, zero = {"\0", 1, 0}, got;
	uint64_t one = 1, two = 2, value;
	assert_int_equal(neap_map_put(map, &none, &one), NEAP_OK);
	assert_int_equal(neap_map_put(map, &zero, &two), NEAP_OK);
	assert_int_equal(neap_map_len(map), 2);
	assert_int_equal(*(uint64_t *)neap_map_get(map, &empty), 1);

	assert_true(neap_map_take(map, &empty, &got, &value));
	assert_int_equal(value, 1);
	assert_int_equal(got.len, 0);
	assert_int_equal(neap_map_bytes(map),
			 gauge.bytes - 1); /* the byte that holds the place of "" is ours */
	neap_map_free_key(map, &got);
	assert_null(got.ptr);
	assert_int_equal(neap_map_bytes(map), gauge.bytes);

	assert_true(neap_map_take(map, &zero, NULL, &value)); /* the key is freed when nobody asks for it */
	assert_int_equal(value, 2);
	assert_int_equal(neap_map_bytes(map), gauge.bytes);

	struct neap_str long_key = probe_str("a key that is longer than a slot could ever hold inline");
	assert_int_equal(neap_map_put(map, &long_key, &one), NEAP_OK);
	assert_true(neap_map_take(map, &long_key, &got, NULL));
	assert_ptr_not_equal(got.ptr, long_key.ptr);
	assert_int_equal(got.len, long_key.len);
	assert_memory_equal(got.ptr, long_key.ptr, got.len);
	neap_map_destroy(map); /* a taken key outlives neither its allocator nor, for free_key, its map */
	gauge_free(&gauge, (void *)(uintptr_t)got.ptr, got.len);
	assert_int_equal(gauge.blocks, 0);
}

static void borrowed_strings_keep_the_first_pointer(void **state)
{
	(void)state;
	static const struct neap_map_type type = {TYPE, NEAP_KEY_STR, 0, 16, 8, 8, 8};
	struct neap_map *map = neap_map_create(&type, NULL);
	char first[] = "key", second[] = "key";
	struct neap_str a = probe_str(first), b = probe_str(second), got;
	uint64_t value = 5;
	assert_int_equal(neap_map_put(map, &a, &value), NEAP_OK);
	assert_int_equal(neap_map_put(map, &b, &value), NEAP_OK);
	assert_int_equal(neap_map_len(map), 1);
	assert_true(neap_map_take(map, &b, &got, NULL));
	assert_ptr_equal(got.ptr, first);
	neap_map_free_key(map, &got); /* nothing to free: the bytes are the caller's */
	assert_string_equal(first, "key");
	neap_map_destroy(map);
}

/* ---- The release callback ---- */

struct ledger {
	uint32_t keys[4096], values[4096];
	size_t key_calls, value_calls;
};

static void note_release(void *key, void *value, void *ctx)
{
	struct ledger *ledger = ctx;
	ledger->value_calls++;
	ledger->values[*(uint64_t *)value]++;
	if (key != NULL) {
		ledger->key_calls++;
		ledger->keys[*(uint64_t *)key]++;
	}
}

static bool is_odd(const void *key, void *value, void *ctx)
{
	(void)value, (void)ctx;
	return *(const uint64_t *)key % 2 == 1;
}

static void release_is_called_once_for_each_leaving_key_and_value(void **state)
{
	(void)state;
	static struct ledger ledger;
	enum { N = 1000 };
	const struct neap_map_type type = {TYPE, NEAP_KEY_BYTES, 0,	 8, 8, 8, 8, NULL,
					   NULL, note_release,	 &ledger};
	for (int ending = 0; ending < 4; ending++) {
		memset(&ledger, 0, sizeof ledger);
		struct neap_map *map = neap_map_create(&type, NULL);
		for (uint64_t key = 0; key < N; key++)
			assert_int_equal(neap_map_put(map, &key, &key), NEAP_OK);
		for (uint64_t key = 0; key < 100; key++) { /* the old value leaves, the key stays */
			uint64_t value = key + N;
			assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
		}
		assert_int_equal(ledger.key_calls, 0);
		assert_int_equal(ledger.value_calls, 100);
		for (uint64_t key = 0; key < 50; key++)
			assert_true(neap_map_delete(map, &key));
		assert_false(neap_map_delete(map, &(uint64_t){N + 1}));
		for (uint64_t key = 50; key < 60; key++) /* handed out: not released */
			assert_true(neap_map_take(map, &key, NULL, NULL));
		assert_int_equal(ledger.key_calls, 50);
		assert_int_equal(neap_map_compact(map), NEAP_OK); /* moves are no farewell */
		assert_int_equal(neap_map_reserve(map, 3 * N), NEAP_OK);
		assert_int_equal(ledger.key_calls, 50);
		switch (ending) {
		case 0: neap_map_clear(map); break;
		case 1: neap_map_clear_keep(map); break;
		case 2:
			assert_int_equal(neap_map_delete_if(map, is_odd, NULL), (N - 60) / 2);
			for (uint64_t key = 0; key < N; key++)
				assert_int_equal(ledger.keys[key], key < 50 || (key >= 60 && key % 2 == 1));
			break;
		default: break;
		}
		neap_map_destroy(map);
		for (uint64_t key = 0; key < N; key++) {
			bool taken = key >= 50 && key < 60;
			assert_int_equal(ledger.keys[key], !taken);
			assert_int_equal(ledger.values[key], !taken || key < 100);
			assert_int_equal(ledger.values[key + N], key < 100 && !taken);
		}
	}
}

/* ---- Floats ---- */

static void zeroes_are_one_key(void **state)
{
	(void)state;
	static const struct neap_map_type types[] = {{TYPE, NEAP_KEY_F64, 0, 8, 8, 8, 8},
						     {TYPE, NEAP_KEY_F64, NEAP_MAP_SIPHASH, 8, 8, 8, 8}};
	for (size_t i = 0; i < 2; i++) {
		struct neap_map *map = neap_map_create(&types[i], NULL);
		double plus = 0.0, minus = -0.0, got;
		uint64_t value = 1;
		assert_int_equal(neap_map_put(map, &plus, &value), NEAP_OK);
		value = 2;
		assert_int_equal(neap_map_put(map, &minus, &value), NEAP_OK);
		assert_int_equal(neap_map_len(map), 1);
		assert_int_equal(*(uint64_t *)neap_map_get(map, &plus), 2);
		assert_true(neap_map_take(map, &minus, &got, NULL));
		assert_memory_equal(&got, &plus, sizeof got); /* the stored key stays */
		neap_map_destroy(map);
	}
	static const struct neap_map_type single = {TYPE, NEAP_KEY_F32, 0, 4, 4, 0, 1};
	struct neap_map *map = neap_map_create(&single, NULL);
	assert_int_equal(neap_map_put(map, &(float){-0.0f}, NULL), NEAP_OK);
	assert_non_null(neap_map_get(map, &(float){0.0f}));
	neap_map_destroy(map);
}

/* ---- Large keys and values, alignment ---- */

struct large {
	_Alignas(64) uint8_t bytes[704];
};

static void large_and_aligned_entries(void **state)
{
	(void)state;
	static const struct neap_map_type types[] = {
		{TYPE, NEAP_KEY_BYTES, 0, sizeof(struct large), 64, sizeof(struct large), 64},
		{TYPE, NEAP_KEY_BYTES, 0, 64, 64, 64, 64},
		{TYPE, NEAP_KEY_BYTES, 0, 128, 16, 128, 32}, /* the most that is held inline */
		{TYPE, NEAP_KEY_BYTES, 0, 129, 1, 129, 1},   /* the least that is not */
		{TYPE, NEAP_KEY_BYTES, NEAP_MAP_SIPHASH, 5, 1, 200, 8},
	};
	for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
		struct gauge gauge = {0};
		struct neap_allocator allocator = gauge_allocator(&gauge);
		struct neap_map *map =
			neap_map_create(&types[t], &(struct neap_map_options){.allocator = &allocator});
		uint32_t n = (uint32_t)probe_scale(1500);
		for (uint32_t i = 0; i < n; i++) {
			struct large key = {{0}}, value = {{0}};
			memcpy(key.bytes, &i, sizeof i);
			memset(value.bytes, (int)(i % 255), sizeof value);
			assert_int_equal(neap_map_put(map, &key, &value), NEAP_OK);
			assert_int_equal(neap_map_bytes(map), gauge.bytes + probe_pages(map));
		}
		for (uint32_t i = 0; i < n; i++) {
			struct large key = {{0}}, value;
			memcpy(key.bytes, &i, sizeof i);
			const uint8_t *got = neap_map_get(map, &key);
			assert_non_null(got);
			assert_int_equal((uintptr_t)got % types[t].value_align, 0);
			memset(value.bytes, (int)(i % 255), sizeof value);
			assert_memory_equal(got, value.bytes, types[t].value_size);
		}
		neap_map_each (it, map)
			assert_int_equal((uintptr_t)it.key % types[t].key_align, 0);
		assert_sound(map);
		neap_map_destroy(map);
		assert_int_equal(gauge.blocks, 0);
	}
}

/* ---- Many look-ups, clone, equal, delete_if ---- */

static void get_many_agrees_with_get(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&probe_u64, NULL);
	uint64_t n = probe_scale(20000);
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(neap_map_put(map, &(uint64_t){i * 3}, &i), NEAP_OK);
	enum { MOST = 500 };
	uint64_t keys[MOST];
	void *values[MOST + 1];
	static const size_t counts[] = {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, MOST};
	for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
		values[counts[c]] = map; /* one past the end: not written */
		for (size_t i = 0; i < counts[c]; i++)
			keys[i] = probe_mix(i + 1000 * c) % (3 * n);
		neap_map_get_many(map, keys, counts[c], values);
		for (size_t i = 0; i < counts[c]; i++)
			assert_ptr_equal(values[i], neap_map_get(map, &keys[i]));
		assert_ptr_equal(values[counts[c]], map);
	}
	neap_map_destroy(map);
}

static void clone_is_independent(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator allocator = gauge_allocator(&gauge);
	const struct neap_map_options options = {
		.allocator = &allocator, .name = "source", .floor = 10, .shrink = NEAP_SHRINK_MANUAL};
	struct neap_map *map = neap_map_create(&owned, &options);
	char text[32];
	uint64_t n = probe_scale(2000);
	for (uint64_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "key %llu", (unsigned long long)i);
		struct neap_str key = probe_str(text);
		assert_int_equal(neap_map_put(map, &key, &i), NEAP_OK);
	}
	struct neap_map *clone = neap_map_clone(map, NULL, NULL);
	assert_non_null(clone);
	assert_sound(clone);
	assert_string_equal(neap_map_name(clone), "source");
	assert_int_equal(clone->shrink, NEAP_SHRINK_MANUAL);
	assert_int_equal(clone->floor, 10);
	assert_true(neap_map_equal(map, clone, NULL));
	neap_map_destroy(map); /* its strings go with it */
	assert_int_equal(neap_map_bytes(clone), gauge.bytes + probe_pages(clone));
	for (uint64_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "key %llu", (unsigned long long)i);
		struct neap_str key = probe_str(text);
		assert_int_equal(*(uint64_t *)neap_map_get(clone, &key), i);
	}
	neap_map_destroy(clone);
	assert_int_equal(gauge.blocks, 0);
}

static int copy_plus_one(void *ret_value, const void *value, void *ctx)
{
	if (*(uint64_t *)ret_value != 0) /* promised to be zeroed */
		return NEAP_EINVAL;
	if (ctx != NULL && *(const uint64_t *)value == *(uint64_t *)ctx)
		return NEAP_ENOMEM;
	*(uint64_t *)ret_value = *(const uint64_t *)value + 1;
	return NEAP_OK;
}

static void clone_copies_values_by_callback(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&probe_u64, NULL);
	for (uint64_t i = 0; i < 300; i++)
		assert_int_equal(neap_map_put(map, &i, &i), NEAP_OK);
	struct neap_map *clone = neap_map_clone(map, copy_plus_one, NULL);
	for (uint64_t i = 0; i < 300; i++)
		assert_int_equal(*(uint64_t *)neap_map_get(clone, &i), i + 1);
	neap_map_destroy(clone);
	assert_null(neap_map_clone(map, copy_plus_one, &(uint64_t){150}));
	assert_sound(map);
	neap_map_destroy(map);
}

/* A clone that fails must not release what the source, or nobody, owns. */
static void failed_clone_releases_only_its_own_copies(void **state)
{
	(void)state;
	static struct ledger ledger;
	enum { N = 300 };
	const struct neap_map_type type = {TYPE, NEAP_KEY_BYTES, 0,	 8, 8, 8, 8, NULL,
					   NULL, note_release,	 &ledger};
	struct neap_map *map = neap_map_create(&type, NULL);
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(neap_map_put(map, &i, &i), NEAP_OK);
	memset(&ledger, 0, sizeof ledger);
	assert_null(neap_map_clone(map, copy_plus_one, &(uint64_t){150}));
	assert_int_equal(ledger.values[0], 0); /* the zeroed value that could not be filled */
	for (uint64_t i = 1; i <= N; i++)
		assert_true(ledger.values[i] <= 1);
	assert_true(ledger.value_calls < N);
	neap_map_destroy(map);
}

static bool equal_mod_10(const void *a, const void *b)
{
	return *(const uint64_t *)a % 10 == *(const uint64_t *)b % 10;
}

static void equal_compares_keys_values_and_types(void **state)
{
	(void)state;
	struct neap_map *a = neap_map_create(&probe_u64, NULL), *b = neap_map_create(&probe_u64, NULL);
	assert_true(neap_map_equal(a, b, NULL));
	assert_true(neap_map_equal(a, NULL, NULL));
	for (uint64_t i = 0; i < 1000; i++) { /* different seeds, different order */
		assert_int_equal(neap_map_put(a, &i, &i), NEAP_OK);
		uint64_t key = 999 - i;
		assert_int_equal(neap_map_put(b, &key, &key), NEAP_OK);
	}
	assert_true(neap_map_equal(a, b, NULL));
	assert_false(neap_map_equal(a, NULL, NULL));
	assert_int_equal(neap_map_put(b, &(uint64_t){5}, &(uint64_t){15}), NEAP_OK);
	assert_false(neap_map_equal(a, b, NULL));
	assert_true(neap_map_equal(a, b, equal_mod_10));
	assert_true(neap_map_delete(b, &(uint64_t){5}));
	assert_false(neap_map_equal(a, b, equal_mod_10));
	assert_int_equal(neap_map_put(b, &(uint64_t){5000}, &(uint64_t){5}), NEAP_OK);
	assert_false(neap_map_equal(a, b, equal_mod_10)); /* as many, but another key */

	struct neap_map *other = neap_map_create(&set_u32, NULL);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(neap_map_put(other, &i, NULL), NEAP_OK);
	assert_false(neap_map_equal(a, other, NULL));
	neap_map_destroy(other);
	neap_map_destroy(a);
	neap_map_destroy(b);
}

static bool note_and_drop_thirds(const void *key, void *value, void *ctx)
{
	uint64_t id = *(const uint64_t *)key;
	((uint8_t *)ctx)[id]++;
	*(uint64_t *)value += 1; /* allowed */
	return id % 3 == 0;
}

static void delete_if_sees_each_entry_once(void **state)
{
	(void)state;
	uint64_t n = probe_scale(20000);
	uint8_t *seen = test_calloc(n, 1);
	struct neap_map *map = neap_map_create(&probe_u64, NULL);
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(neap_map_put(map, &i, &i), NEAP_OK);
	assert_int_equal(neap_map_delete_if(map, note_and_drop_thirds, seen), (n + 2) / 3);
	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(seen[i], 1);
		const uint64_t *value = neap_map_get(map, &i);
		assert_int_equal(value != NULL, i % 3 != 0);
		assert_true(value == NULL || *value == i + 1);
	}
	assert_sound(map);
	assert_int_equal(neap_map_delete_if(map, always, NULL), n - (n + 2) / 3);
	assert_int_equal(neap_map_bytes(map), sizeof *map);
	test_free(seen);
	neap_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nil_map_reads_as_empty_and_refuses_writes),
		cmocka_unit_test(create_refuses_types_out_of_range),
		cmocka_unit_test(names_are_copied_and_cut),
		cmocka_unit_test(put_get_slot_delete_take),
		cmocka_unit_test(set_holds_keys_alone),
		cmocka_unit_test(owned_strings_outlive_the_callers_bytes),
		cmocka_unit_test(empty_string_and_taken_keys),
		cmocka_unit_test(borrowed_strings_keep_the_first_pointer),
		cmocka_unit_test(release_is_called_once_for_each_leaving_key_and_value),
		cmocka_unit_test(zeroes_are_one_key),
		cmocka_unit_test(large_and_aligned_entries),
		cmocka_unit_test(get_many_agrees_with_get),
		cmocka_unit_test(clone_is_independent),
		cmocka_unit_test(clone_copies_values_by_callback),
		cmocka_unit_test(failed_clone_releases_only_its_own_copies),
		cmocka_unit_test(equal_compares_keys_values_and_types),
		cmocka_unit_test(delete_if_sees_each_entry_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
