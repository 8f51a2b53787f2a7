/* test_any_gc.c: interface values in collected boxes: what they hold is kept, and nothing else, and nothing longer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "any_types.h"
#include "neap/any_gc.h"

enum { VALUES = 2000, STRAYS = 20 };

struct leaf {
	uint64_t number, more;
};
static struct neap_gc_type leaf_type = {"leaf", sizeof(struct leaf), NULL, 0, 0,
					NULL,	sizeof(struct leaf), 0};

/* Too large for the word, with one pointer in the middle. */
struct branch {
	uint64_t number;
	struct leaf *leaf;
	uintptr_t lie; /* the address of an object, as a number */
};
NEAP_TYPE(branch_fields, struct branch, leaf);
NEAP_ANY_BOX(branch_box, branch_fields);
static const struct neap_any_type branch_any = {.size = sizeof branch_any,
						.value_size = sizeof(struct branch),
						.value_align = _Alignof(struct branch),
						.name = "branch"};

struct holder {
	struct neap_any value;
	uint64_t number;
};
NEAP_TYPE(holder_type, struct holder, value.data);

static struct neap_weak *leaves[VALUES], *lies[VALUES];
static struct neap_gc_map *map;
static struct holder *holders[VALUES];

__attribute__((noinline)) static void collect(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
	neap_gc_collect();
	neap_gc_finalizers_wait();
}

static struct leaf *new_leaf(uint64_t number, struct neap_weak **ret_weak)
{
	struct leaf *leaf = neap_gc_alloc(&leaf_type);
	assert_non_null(leaf);
	leaf->number = number;
	*ret_weak = neap_weak_create(leaf);
	assert_non_null(*ret_weak);
	return leaf;
}

__attribute__((noinline)) static struct neap_any new_branch(unsigned i)
{
	struct branch branch = {i, new_leaf(i, &leaves[i]), (uintptr_t)new_leaf(i, &lies[i])};
	struct neap_any value;
	assert_int_equal(neap_any_make_collected(&branch_box, &branch_any, &branch, &value), NEAP_OK);
	assert_true(neap_any_boxed(value) && neap_any_collected(value));
	return value;
}

static unsigned alive(struct neap_weak **weaks)
{
	unsigned count = 0;
	for (unsigned i = 0; i < VALUES; i++)
		count += neap_weak_get(weaks[i]) != NULL;
	return count;
}

static void forget_weaks(void)
{
	for (unsigned i = 0; i < VALUES; i++) {
		neap_weak_destroy(leaves[i]);
		neap_weak_destroy(lies[i]);
	}
}

static void assert_branch(const struct neap_any *value, unsigned i)
{
	const struct branch *branch = neap_any_as(value, &branch_any);
	assert_true(branch != NULL && branch->number == i && branch->leaf->number == i);
}

__attribute__((noinline)) static void fill_map(void)
{
	for (unsigned i = 0; i < VALUES; i++)
		assert_int_equal(neap_any_gc_map_put(map, neap_any_of_i64(i), new_branch(i)), NEAP_OK);
}

/* Deleting or overwriting leaves nothing that the collector reads, whatever lies in the slots. */
static void values_in_maps_live_as_long_as_their_entries(void **state)
{
	(void)state;
	map = neap_any_gc_map_create(NULL);
	fill_map();
	collect();
	assert_int_equal(alive(leaves), VALUES);
	assert_in_range(alive(lies), 0, STRAYS);
	for (unsigned i = 0; i < VALUES; i++) {
		bool found;
		struct neap_any value = neap_any_gc_map_get(map, neap_any_of_i64(i), &found);
		assert_true(found);
		assert_branch(&value, i);
		if (i % 4 == 1)
			assert_true(neap_any_gc_map_delete(map, neap_any_of_i64(i)));
		if (i % 4 == 2) /* nil */
			assert_int_equal(
				neap_any_gc_map_put(map, neap_any_of_i64(i), (struct neap_any){NULL, 0}),
				NEAP_OK);
		if (i % 4 == 3) /* a number that is the box's address: it keeps nothing */
			assert_int_equal(
				neap_any_gc_map_put(map, neap_any_of_i64(i), neap_any_of_u64(value.data)),
				NEAP_OK);
	}
	collect();
	assert_in_range(alive(leaves), VALUES / 4, VALUES / 4 + STRAYS);
	for (unsigned i = 0; i < VALUES; i += 4)
		assert_non_null(neap_weak_get(leaves[i]));
	neap_gc_map_destroy(map); /* not just dropped: one stray word would keep it with all values */
	map = NULL;
	collect();
	assert_in_range(alive(leaves), 0, STRAYS);
	forget_weaks();
}

__attribute__((noinline)) static void fill_holders(void)
{
	for (unsigned i = 0; i < VALUES; i++) {
		holders[i] = neap_gc_alloc(&holder_type);
		holders[i]->value = new_branch(i);
	}
}

static void values_in_objects_live_until_overwritten(void **state)
{
	(void)state;
	fill_holders();
	collect();
	assert_int_equal(alive(leaves), VALUES);
	for (unsigned i = 0; i < VALUES; i++) {
		assert_branch(&holders[i]->value, i);
		if (i % 2)
			holders[i]->value = neap_any_of_i64((int64_t)i);
	}
	collect();
	assert_in_range(alive(leaves), VALUES / 2, VALUES / 2 + STRAYS);
	memset((void *)holders, 0, sizeof holders);
	collect();
	assert_in_range(alive(leaves), 0, STRAYS);
	forget_weaks();
}

/* Strings and wide values as keys, found by what they hold after collections. */
static void keys_may_be_collected(void **state)
{
	(void)state;
	char text[32];
	struct neap_any key;
	map = neap_any_gc_map_create(NULL);
	for (int i = 0; i < VALUES; i++) {
		struct neap_str str = {text, (uint32_t)snprintf(text, sizeof text, "key number %d", i), 0};
		assert_int_equal(neap_any_make_str_collected(str, &key), NEAP_OK);
		assert_int_equal(neap_any_gc_map_put(map, key, neap_any_of_i64(i)), NEAP_OK);
		struct any_wide wide = {{(uint64_t)i}};
		assert_int_equal(neap_any_make_collected(NULL, &any_type_wide, &wide, &key), NEAP_OK);
		assert_int_equal(neap_any_gc_map_put(map, key, neap_any_of_i64(-i)), NEAP_OK);
	}
	collect();
	assert_int_equal(neap_gc_map_len(map), 2 * VALUES);
	for (int i = 0; i < VALUES; i++) {
		struct neap_str str = {text, (uint32_t)snprintf(text, sizeof text, "key number %d", i), 0};
		assert_int_equal(neap_any_make_str_collected(str, &key), NEAP_OK);
		struct neap_any value = neap_any_gc_map_get(map, key, NULL);
		assert_int_equal(*(const int64_t *)neap_any_as(&value, &neap_any_type_i64), i);
		neap_any_free_collected(key);
		if (i % 2)
			assert_int_equal(neap_gc_map_len(map), 2 * VALUES);
	}
	map = NULL;
}

static void copies_and_drops_do_nothing(void **state)
{
	(void)state;
	struct any_wide wide = {{7}};
	struct neap_any value;
	assert_int_equal(neap_any_make_collected(NULL, &any_type_wide, &wide, &value), NEAP_OK);
	struct neap_any same = neap_any_copy(value);
	assert_true(same.data == value.data && neap_any_owners(value) == 0);
	for (unsigned i = 0; i < 10; i++)
		neap_any_drop(value);
	collect();
	assert_int_equal(((const struct any_wide *)neap_any_as(&same, &any_type_wide))->words[0], 7);
	assert_true(neap_any_equal(same, value));
	neap_any_free_collected(value);
	neap_any_free_collected(neap_any_of_i64(3));
}

__attribute__((noinline)) static void make_owners(void)
{
	for (unsigned i = 0; i < VALUES; i++) {
		struct any_owner owner = {malloc(16)};
		struct neap_any value;
		assert_int_equal(neap_any_make_collected(NULL, &any_type_owner, &owner, &value), NEAP_OK);
		assert_true(neap_any_collected(value));
	}
}

static void what_a_value_owns_is_dropped_once(void **state)
{
	(void)state;
	any_owners_dropped = 0;
	make_owners();
	for (unsigned i = 0; i < 4; i++)
		collect();
	assert_in_range(any_owners_dropped, VALUES - STRAYS, VALUES);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct any_wide wide = {{7}};
	struct neap_any value, counted;
	const struct neap_any_type wrong = {.size = 3}, *at = &wrong;
	struct neap_any_type aligned = any_type_wide;
	aligned.value_align = 32;
	map = neap_any_gc_map_create(NULL);
	assert_int_equal(neap_any_make_collected(NULL, at, &wide, &value), NEAP_EINVAL);
	assert_int_equal(neap_any_make_collected(NULL, NULL, &wide, &value), NEAP_EINVAL);
	assert_int_equal(neap_any_make_collected(NULL, &aligned, &wide, &value), NEAP_EINVAL);
	assert_int_equal(neap_any_make_collected(&branch_box, &any_type_wide, &wide, &value), NEAP_EINVAL);
	assert_int_equal(neap_any_make_collected(&branch_fields, &branch_any, &wide, &value), NEAP_EINVAL);
	assert_null(value.type);
	assert_int_equal(neap_any_make(NULL, &any_type_wide, &wide, &counted), NEAP_OK);
	assert_false(neap_any_collected(counted));
	assert_int_equal(neap_any_gc_map_put(map, neap_any_of_i64(1), counted), NEAP_EINVAL);
	assert_int_equal(neap_any_gc_map_put(map, counted, neap_any_of_i64(1)), NEAP_EINVAL);
	neap_any_drop(counted);
	uint64_t slice[3] = {0};
	assert_int_equal(neap_any_make_collected(NULL, &any_type_slice, slice, &value), NEAP_OK);
	assert_int_equal(neap_any_gc_map_put(map, value, neap_any_of_i64(1)), NEAP_EINVAL);
	assert_false(neap_any_gc_map_delete(map, value));
	assert_int_equal(neap_any_gc_map_put(NULL, neap_any_of_i64(1), neap_any_of_i64(1)), NEAP_ENIL);
	assert_null(neap_any_gc_map_get(NULL, neap_any_of_i64(1), NULL).type);
	map = NULL;
}

/* Values change in a map and in objects while others collect; each is whole when it is read. */
static _Atomic bool over;

static void *collect_till_over(void *unused)
{
	(void)unused;
	while (!over)
		neap_gc_collect();
	return NULL;
}

static void values_change_while_they_are_read(void **state)
{
	(void)state;
	pthread_t thread;
	enum { TURNS = 60000, PLACES = 500 };
	map = neap_any_gc_map_create(NULL);
	for (unsigned i = 0; i < PLACES; i++)
		holders[i] = neap_gc_alloc(&holder_type);
	over = false;
	assert_int_equal(pthread_create(&thread, NULL, collect_till_over, NULL), 0);
	uint64_t random = 1;
	for (unsigned turn = 0; turn < TURNS; turn++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		int64_t from = (int64_t)(random >> 40) % PLACES;
		unsigned to = (unsigned)(random >> 20) % PLACES;
		struct branch branch = {turn, neap_gc_alloc(&leaf_type), 0};
		branch.leaf->number = turn;
		struct neap_any value;
		assert_int_equal(neap_any_make_collected(&branch_box, &branch_any, &branch, &value), NEAP_OK);
		/* The only way to the old value goes from the map into an object, and to a new one the other way. */
		struct neap_any before = neap_any_gc_map_get(map, neap_any_of_i64(from), NULL);
		if (before.type != NULL)
			assert_branch(&before,
				      (unsigned)((const struct branch *)neap_any_value(&before))->number);
		if (holders[to]->value.type != NULL)
			assert_int_equal(neap_any_gc_map_put(map, neap_any_of_i64(from), holders[to]->value),
					 NEAP_OK);
		holders[to]->value = turn % 2 == 0 ? value : before;
	}
	over = true;
	pthread_join(thread, NULL);
	map = NULL;
	memset((void *)holders, 0, sizeof holders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_in_maps_live_as_long_as_their_entries),
		cmocka_unit_test(values_in_objects_live_until_overwritten),
		cmocka_unit_test(keys_may_be_collected),
		cmocka_unit_test(copies_and_drops_do_nothing),
		cmocka_unit_test(what_a_value_owns_is_dropped_once),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(values_change_while_they_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
