/* test_gc_cmap.c: concurrent maps of collected objects: what is in one lives, what has left one goes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "neap/gc_cmap.h"
#include "support/child.h"
#include "support/failing_alloc.h"
#include "support/gc_laws.h"
#include "support/require.h"

struct parcel {
	struct parcel *next, *unused;
	uint64_t number, sum;
};
NEAP_TYPE(parcel_type, struct parcel, next);

/* A value of several words, the pointer between numbers. */
struct entry {
	uint64_t number;
	struct parcel *parcel;
	uint64_t check;
};
NEAP_TYPE(entry_type, struct entry, parcel);

static const struct neap_map_type by_number = {
	.size = sizeof by_number, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};
static const struct neap_map_type by_name = {.size = sizeof by_name,
					     .kind = NEAP_KEY_STR,
					     .key_size = sizeof(struct neap_str),
					     .key_align = 8,
					     .value_size = 8,
					     .value_align = 8};
static const struct neap_map_type of_entries = {
	.size = sizeof of_entries, .key_size = 8, .key_align = 8, .value_size = 24, .value_align = 8};

/* Static data is a root: nothing else is to keep the maps. */
static struct neap_gc_cmap *numbers, *names, *entries, *by_object;

static struct parcel *new_parcel(uint64_t number)
{
	struct parcel *parcel = neap_gc_alloc(&parcel_type);
	REQUIRE(parcel != NULL);
	parcel->number = number;
	parcel->sum = ~number;
	return parcel;
}

static bool parcel_is(const struct parcel *parcel, uint64_t number)
{
	return parcel != NULL && parcel->number == number && parcel->sum == ~number;
}

static uint64_t live_now(void)
{
	scrub_stack();
	neap_gc_collect();
	return atomic_load(&neap__gc.live_bytes);
}

static __attribute__((noinline)) void fill(struct neap_gc_cmap *map, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key < to; key++) {
		struct parcel *parcel = new_parcel(key);
		assert_int_equal(neap_gc_cmap_store(map, &key, &parcel), NEAP_OK);
	}
}

static __attribute__((noinline)) void expect_numbers(const struct neap_gc_cmap *map, uint64_t from,
						     uint64_t to, uint64_t step)
{
	for (uint64_t key = from; key < to; key += step) {
		struct parcel *parcel = NULL;
		assert_true(neap_gc_cmap_load(map, &key, &parcel));
		if (!parcel_is(parcel, key))
			fail_msg("entry %lu has another's parcel", (unsigned long)key);
	}
}

static void live_entries_keep_and_others_do_not(void **state)
{
	(void)state;
	enum { ENTRIES = 30000, EACH = sizeof(struct parcel) };
	uint64_t before = live_now();
	numbers = neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, NULL);
	assert_non_null(numbers);
	fill(numbers, 0, ENTRIES);
	assert_in_range(live_now(), before + ENTRIES * EACH, before + ENTRIES * (EACH + 1));
	expect_numbers(numbers, 0, ENTRIES, 1);
	for (uint64_t key = 0; key < ENTRIES; key++)
		if (key % 10 != 0)
			assert_true(neap_gc_cmap_delete(numbers, &key));
	assert_int_equal(neap_gc_cmap_len(numbers), ENTRIES / 10);
	assert_in_range(live_now(), before, before + ENTRIES / 10 * EACH + 4 * EACH + 2000);
	expect_numbers(numbers, 0, ENTRIES, 10);
	fill(numbers, ENTRIES, ENTRIES + 100);
	neap_gc_cmap_clear(numbers);
	assert_int_equal(neap_gc_cmap_len(numbers), 0);
	assert_in_range(live_now(), before, before + 2000);
	numbers = NULL;
	assert_lawful();
}

static void put_names(unsigned n)
{
	char text[32];
	for (unsigned i = 0; i < n; i++) {
		struct parcel *parcel = new_parcel(i);
		struct neap_str name = {text, (uint32_t)snprintf(text, sizeof text, "the name of %u", i), 0};
		assert_int_equal(neap_gc_cmap_store(names, &name, &parcel), NEAP_OK);
		struct entry entry = {i, new_parcel(i), ~(uint64_t)i};
		uint64_t key = i;
		assert_int_equal(neap_gc_cmap_store(entries, &key, &entry), NEAP_OK);
		struct parcel *object = new_parcel(i), *other = new_parcel(i + 1);
		assert_int_equal(neap_gc_cmap_store(by_object, &object, &other), NEAP_OK);
	}
}

static bool is_pair(const void *key, const void *value, void *ctx)
{
	const struct parcel *object = *(struct parcel *const *)key, *other = *(struct parcel *const *)value;
	REQUIRE(parcel_is(object, object->number) && parcel_is(other, object->number + 1));
	++*(unsigned *)ctx;
	return true;
}

/* The bytes of a string key outlive their entry. */
static bool empties_the_names(const void *key, const void *value, void *ctx)
{
	const struct neap_str *name = key;
	unsigned *seen = ctx;
	char text[32];
	if (++*seen == 1) {
		neap_gc_cmap_clear(names);
		neap_gc_collect();
	}
	const struct parcel *parcel = *(struct parcel *const *)value;
	int len = snprintf(text, sizeof text, "the name of %u", (unsigned)parcel->number);
	REQUIRE(parcel_is(parcel, parcel->number));
	REQUIRE(name->len == (uint32_t)len && memcmp(name->ptr, text, name->len) == 0);
	return true;
}

/* Nodes, values of several words with a pointer inside, and keys that are objects. */
static void every_kind_of_entry_is_read(void **state)
{
	(void)state;
	enum { N = 5000 };
	uint64_t before = live_now();
	names = neap_gc_cmap_create(&by_name, NULL, &neap_gc_pointer, NULL);
	entries = neap_gc_cmap_create(&of_entries, NULL, &entry_type, NULL);
	by_object = neap_gc_cmap_create(&by_number, &neap_gc_pointer, &neap_gc_pointer, NULL);
	assert_true(names != NULL && entries != NULL && by_object != NULL);
	put_names(N);
	assert_in_range(live_now(), before + 4 * N * sizeof(struct parcel),
			before + 4 * N * sizeof(struct parcel) + 4000);
	char text[32];
	for (unsigned i = 0; i < N; i++) {
		struct parcel *parcel = NULL;
		struct neap_str name = {text, (uint32_t)snprintf(text, sizeof text, "the name of %u", i), 0};
		assert_true(neap_gc_cmap_load(names, &name, &parcel) && parcel_is(parcel, i));
		struct entry entry = {0};
		uint64_t key = i;
		assert_true(neap_gc_cmap_load(entries, &key, &entry) && entry.number == i &&
			    entry.check == ~(uint64_t)i && parcel_is(entry.parcel, i));
	}
	unsigned seen = 0;
	assert_int_equal(neap_gc_cmap_range(by_object, is_pair, &seen), NEAP_OK);
	assert_int_equal(seen, N);
	seen = 0;
	assert_int_equal(neap_gc_cmap_range(names, empties_the_names, &seen), NEAP_OK);
	assert_in_range(seen, 20, N / 10);
	put_names(N);
	names = entries = by_object =
		NULL; /* maps that nothing leads to are destroyed, with what they keep */
	assert_in_range(live_now(), before, before + 3 * N * sizeof(struct parcel));
	assert_lawful();
}

static void the_others_do_as_in_cmap_h(void **state)
{
	(void)state;
	uint64_t key = 7, absent = 8;
	numbers = neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, NULL);
	struct parcel *first = new_parcel(1), *second = new_parcel(2), *got = NULL;
	assert_int_equal(neap_gc_cmap_load_or_store(numbers, &key, &first, &got), 0);
	assert_int_equal(neap_gc_cmap_load_or_store(numbers, &key, &second, &got), 1);
	assert_ptr_equal(got, first);
	assert_int_equal(neap_gc_cmap_compare_and_swap(numbers, &key, &second, &first), 0);
	assert_int_equal(neap_gc_cmap_compare_and_swap(numbers, &key, &first, &second), 1);
	assert_int_equal(neap_gc_cmap_compare_and_swap(numbers, &absent, &first, &second), 0);
	assert_false(neap_gc_cmap_compare_and_delete(numbers, &key, &first));
	assert_true(neap_gc_cmap_compare_and_delete(numbers, &key, &second));
	assert_false(neap_gc_cmap_load(numbers, &key, NULL));
	assert_int_equal(neap_gc_cmap_store(numbers, &key, &second), NEAP_OK);
	assert_true(neap_gc_cmap_load_and_delete(numbers, &key, &got));
	assert_ptr_equal(got, second);
	assert_false(neap_gc_cmap_load_and_delete(numbers, &key, &got));
	struct neap_cmap_stats stats = {.size = sizeof stats};
	neap_gc_cmap_stats(numbers, &stats);
	assert_int_equal(stats.len, 0);
	assert_int_equal(neap_gc_cmap_store(NULL, &key, &first), NEAP_ENIL);
	assert_int_equal(neap_gc_cmap_compare_and_swap(NULL, &key, &first, &first), NEAP_ENIL);
	assert_false(neap_gc_cmap_load(NULL, &key, &got));
	assert_false(neap_gc_cmap_delete(NULL, &key));
	assert_int_equal(neap_gc_cmap_range(NULL, is_pair, NULL), NEAP_OK);
	assert_int_equal(neap_gc_cmap_len(NULL), 0);
	neap_gc_cmap_clear(NULL);
	neap_gc_cmap_destroy(numbers);
	neap_gc_cmap_destroy(NULL);
	/* A type of another size, and one that neap_cmap_create refuses. */
	assert_null(neap_gc_cmap_create(&by_number, &parcel_type, NULL, NULL));
	const struct neap_map_type bad = {.size = sizeof bad, .key_size = 0};
	assert_null(neap_gc_cmap_create(&bad, NULL, NULL, NULL));
	numbers = NULL;
	assert_lawful();
}

/* Each shard's entries are deleted, and their objects collected, while the copies of them are shown. */
static bool deletes_what_it_sees(const void *key, const void *value, void *ctx)
{
	unsigned *seen = ctx;
	const struct parcel *parcel = *(struct parcel *const *)value;
	(void)neap_gc_cmap_delete(numbers, key);
	if (++*seen % 500 == 0)
		neap_gc_collect();
	REQUIRE(parcel_is(parcel, *(const uint64_t *)key));
	return true;
}

/* At the first entry the whole map is emptied, what was in it is collected, and other objects take its place. */
static bool empties_the_map(const void *key, const void *value, void *ctx)
{
	unsigned *seen = ctx;
	if (++*seen == 1) {
		neap_gc_cmap_clear(numbers);
		neap_gc_collect();
		for (int i = 0; i < 2000; i++)
			(void)new_parcel(~(uint64_t)i);
	}
	REQUIRE(parcel_is(*(struct parcel *const *)value, *(const uint64_t *)key));
	return true;
}

static bool stops_at_ten(const void *key, const void *value, void *ctx)
{
	(void)key, (void)value;
	return ++*(unsigned *)ctx < 10;
}

static void range_keeps_what_it_shows(void **state)
{
	(void)state;
	enum { N = 40000 }; /* shards of 600: the copy grows */
	unsigned seen = 0, ten = 0;
	numbers = neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, NULL);
	fill(numbers, 0, N);
	assert_int_equal(neap_gc_cmap_range(numbers, stops_at_ten, &ten), NEAP_OK);
	assert_int_equal(ten, 10);
	assert_int_equal(neap_gc_cmap_range(numbers, deletes_what_it_sees, &seen), NEAP_OK);
	assert_int_equal(seen, N);
	assert_int_equal(neap_gc_cmap_len(numbers), 0);
	fill(numbers, 0, N);
	seen = 0;
	assert_int_equal(neap_gc_cmap_range(numbers, empties_the_map, &seen), NEAP_OK);
	assert_in_range(seen, 100, 2000); /* the rest of the first shard */
	neap_gc_cmap_destroy(numbers);
	numbers = NULL;
	assert_lawful();
}

static void refused_memory_leaves_the_map_as_it_was(void **state)
{
	(void)state;
	struct failing_alloc memory;
	struct neap_allocator from = failing_alloc_init(&memory);
	const struct neap_cmap_options options = {.allocator = &from, .shards = 2};
	for (size_t at = 1;; at++) {
		memory.fail_at = at;
		memory.fail_on = at % 2 == 0;
		numbers = neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, &options);
		int result = numbers == NULL ? NEAP_ENOMEM : NEAP_OK;
		uint64_t stored = 0;
		for (; result == NEAP_OK && stored < 200; stored++) {
			struct parcel *parcel = new_parcel(stored);
			result = neap_gc_cmap_store(numbers, &stored, &parcel);
		}
		stored -= result != NEAP_OK && stored > 0;
		bool refused = memory.refused != 0;
		memory.fail_at = memory.refused = 0;
		memory.fail_on = false;
		if (numbers != NULL) {
			neap_gc_collect();
			assert_int_equal(neap_gc_cmap_len(numbers), stored);
			expect_numbers(numbers, 0, stored, 1);
			neap_gc_cmap_destroy(numbers);
		}
		assert_int_equal(memory.blocks, 0);
		assert_true(refused ? result == NEAP_ENOMEM : result == NEAP_OK);
		if (!refused)
			break;
	}
	numbers = NULL;
}

/* Writers and a collector run on; the child of a fork has whole maps and collects. */
static _Atomic bool over;

static void *stores_for_ever(void *ctx)
{
	for (uint64_t i = (uintptr_t)ctx; !atomic_load(&over); i += 7919) {
		uint64_t key = i % 3000;
		struct parcel *parcel = new_parcel(key);
		if (i % 3 == 0)
			(void)neap_gc_cmap_delete(numbers, &key);
		else
			REQUIRE(neap_gc_cmap_store(numbers, &key, &parcel) == NEAP_OK);
	}
	return NULL;
}

static void *collects_for_ever(void *unused)
{
	(void)unused;
	while (!atomic_load(&over))
		neap_gc_collect();
	return NULL;
}

static bool is_whole(const void *key, const void *value, void *ctx)
{
	(void)ctx;
	REQUIRE(parcel_is(*(struct parcel *const *)value, *(const uint64_t *)key));
	return true;
}

static void child_of_fork(void)
{
	for (int i = 0; i < 3; i++) {
		neap_gc_collect();
		REQUIRE(neap_gc_cmap_range(numbers, is_whole, NULL) == NEAP_OK);
		for (uint64_t key = 0; key < 3000; key++) {
			struct parcel *parcel = new_parcel(key);
			REQUIRE(neap_gc_cmap_store(numbers, &key, &parcel) == NEAP_OK);
		}
	}
	neap_gc_cmap_destroy(numbers);
}

static void forks_between_writers_and_collections(void **state)
{
	(void)state;
	pthread_t threads[4];
	over = false;
	numbers = neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, NULL);
	fill(numbers, 0, 3000);
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						i == 0 ? collects_for_ever : stores_for_ever, (void *)i),
				 0);
	for (int i = 0; i < 20; i++) {
		struct ending ending = child_run(child_of_fork, 60);
		if (ending.signal != 0 || ending.status != 0)
			fail_msg("child %d: signal %d, wrote: %s", i, ending.signal, ending.text);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	neap_gc_cmap_destroy(numbers);
	numbers = NULL;
	assert_lawful();
}

/* A load is in the middle, at the comparison of keys, while its entry is deleted and a collection wants to begin: that
 * waits, for what the load is about to return is held by nothing that the collector reads.
 */
static _Thread_local bool lingers;
static _Atomic bool is_comparing, was_collected;

static uint64_t hash_of_number(const void *key, uint64_t seed)
{
	return *(const uint64_t *)key ^ seed;
}

static bool equal_after_a_while(const void *a, const void *b)
{
	if (lingers) {
		atomic_store(&is_comparing, true);
		for (int ms = 0; ms < 300 && !atomic_load(&was_collected); ms++)
			usleep(1000);
	}
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

static const struct neap_map_type by_slow_number = {.size = sizeof by_slow_number,
						    .kind = NEAP_KEY_USER,
						    .key_size = 8,
						    .key_align = 8,
						    .value_size = 8,
						    .value_align = 8,
						    .hash = hash_of_number,
						    .equal = equal_after_a_while};
static struct neap_weak *weak_parcel;

static __attribute__((noinline)) void store_one(uint64_t key)
{
	struct parcel *parcel = new_parcel(key);
	assert_int_equal(neap_gc_cmap_store(numbers, &key, &parcel), NEAP_OK);
	weak_parcel = neap_weak_create(parcel);
}

static void *loads_slowly(void *unused)
{
	(void)unused;
	uint64_t key = 1;
	struct parcel *parcel = NULL;
	lingers = true;
	REQUIRE(neap_gc_cmap_load(numbers, &key, &parcel));
	REQUIRE(parcel != NULL && neap_weak_get(weak_parcel) == parcel);
	return NULL;
}

static void no_stop_comes_into_a_load(void **state)
{
	(void)state;
	pthread_t thread;
	uint64_t key = 1;
	numbers = neap_gc_cmap_create(&by_slow_number, NULL, &neap_gc_pointer, NULL);
	store_one(key);
	scrub_stack();
	assert_int_equal(pthread_create(&thread, NULL, loads_slowly, NULL), 0);
	while (!atomic_load(&is_comparing))
		usleep(1000);
	assert_true(neap_gc_cmap_delete(numbers, &key));
	neap_gc_collect();
	atomic_store(&was_collected, true);
	pthread_join(thread, NULL);
	neap_weak_destroy(weak_parcel);
	neap_gc_cmap_destroy(numbers);
	numbers = NULL;
	assert_lawful();
}

static bool ends_its_thread(const void *key, const void *value, void *ctx)
{
	(void)key, (void)value, (void)ctx;
	pthread_exit(NULL);
}

static void *dies_in_a_range(void *unused)
{
	(void)neap_gc_cmap_range(numbers, ends_its_thread, NULL);
	return unused;
}

static void a_thread_may_end_in_a_range(void **state)
{
	(void)state;
	pthread_t thread;
	numbers = neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, NULL);
	fill(numbers, 0, 1000);
	assert_int_equal(pthread_create(&thread, NULL, dies_in_a_range, NULL), 0);
	pthread_join(thread, NULL);
	neap_gc_collect();
	neap_gc_cmap_clear(numbers);
	struct neap_cmap_stats stats = {.size = sizeof stats};
	neap_gc_cmap_stats(numbers, &stats);
	assert_in_range(stats.waiting, 0, 16 << 10);
	neap_gc_cmap_destroy(numbers);
	numbers = NULL;
	assert_lawful();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(live_entries_keep_and_others_do_not),
		cmocka_unit_test(every_kind_of_entry_is_read),
		cmocka_unit_test(the_others_do_as_in_cmap_h),
		cmocka_unit_test(range_keeps_what_it_shows),
		cmocka_unit_test(refused_memory_leaves_the_map_as_it_was),
		cmocka_unit_test(forks_between_writers_and_collections),
		cmocka_unit_test(no_stop_comes_into_a_load),
		cmocka_unit_test(a_thread_may_end_in_a_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
