/* test_map_hook.c: a hook hears of every change before it is made, and its veto changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/internal.h"
#include "support/child.h"

#define NEAP_MAP_NAME  typed
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE uint64_t
#include "neap/map_typed.h"

enum { N = 5000 };

/* What the hook heard; keys that `held` says stay as they are. */
struct record {
	size_t assigns, deletes, finals;
	struct neap_map_event last;
	uint64_t old_value, new_value;
	bool (*held)(uint64_t key);
};

static bool listen(const struct neap_map_event *event, void *ctx)
{
	struct record *record = ctx;
	record->assigns += event->change == NEAP_MAP_ASSIGN;
	record->deletes += event->change == NEAP_MAP_DELETE;
	record->finals += event->final;
	record->last = *event;
	if (event->old_value != NULL)
		memcpy(&record->old_value, event->old_value, 8);
	if (event->new_value != NULL)
		memcpy(&record->new_value, event->new_value, 8);
	uint64_t key;
	memcpy(&key, event->key, 8);
	return record->held == NULL || !record->held(key);
}

static bool odd(uint64_t key)
{
	return key % 2 == 1;
}

static bool all(uint64_t key)
{
	(void)key;
	return true;
}

static struct neap_map *hooked(struct record *record, uint64_t n)
{
	struct neap_map *map = typed_create(&(struct neap_map_options){.name = "watched"});
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(typed_put(map, i, i + 1), NEAP_OK);
	*record = (struct record){0};
	assert_int_equal(neap_map_set_hook(map, listen, record), NEAP_OK);
	return map;
}

static void sound(const struct neap_map *map)
{
	assert_null(neap__map_check(map));
	assert_int_equal(map->guard, map->hook != NULL ? NEAP__HOOKED : 0);
}

static void the_hook_hears_old_and_new_value_and_who_called(void **state)
{
	(void)state;
	struct record record;
	struct neap_map *map = hooked(&record, 10);
	assert_int_equal(typed_put(map, 3, 33), NEAP_OK);
	assert_int_equal(record.assigns, 1);
	assert_int_equal(record.old_value, 4);
	assert_int_equal(record.new_value, 33);
	assert_string_equal(record.last.operation, "neap_map_put");
	assert_ptr_equal(record.last.map, map);
	/* The address lies in this function: typed functions are inlined into their caller or lie in this file. */
	uintptr_t here = (uintptr_t)the_hook_hears_old_and_new_value_and_who_called;
	uintptr_t distance = (uintptr_t)record.last.caller > here ? (uintptr_t)record.last.caller - here
								  : here - (uintptr_t)record.last.caller;
	assert_in_range(distance, 1, 1 << 20);

	assert_int_equal(typed_put(map, 100, 5), NEAP_OK);
	assert_null(record.last.old_value);
	bool inserted;
	assert_non_null(typed_slot(map, 200, &inserted));
	assert_true(inserted);
	assert_null(record.last.new_value);
	assert_true(typed_delete(map, 3));
	assert_int_equal(record.old_value, 33);
	assert_false(typed_delete(map, 3)); /* nothing to delete: no change, no event */
	assert_int_equal(record.deletes, 1);
	uint64_t key, value;
	assert_true(typed_take(map, 4, &key, &value));
	assert_int_equal(record.deletes, 2);
	assert_string_equal(record.last.operation, "neap_map_take");
	sound(map);

	assert_int_equal(neap_map_set_hook(map, NULL, NULL), NEAP_OK);
	sound(map);
	assert_int_equal(typed_put(map, 1, 1), NEAP_OK);
	assert_int_equal(record.assigns, 3);
	neap_map_destroy(map);
	assert_int_equal(neap_map_set_hook(NULL, listen, &record), NEAP_ENIL);
}

static void a_veto_leaves_the_map_as_it_was(void **state)
{
	(void)state;
	struct record record;
	struct neap_map *map = hooked(&record, N);
	record.held = odd;
	bool inserted = true;
	assert_int_equal(typed_put(map, 7, 0), NEAP_EVETO);
	assert_int_equal(typed_put(map, N + 1, 0), NEAP_EVETO);
	assert_null(typed_slot(map, 9, &inserted));
	assert_false(typed_delete(map, 11));
	assert_false(typed_take(map, 13, NULL, NULL));
	assert_int_equal(neap_map_len(map), N);
	assert_int_equal(*typed_get(map, 7), 8);
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(typed_delete(map, i), !odd(i));
	assert_int_equal(neap_map_len(map), N / 2);
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(typed_get(map, i) != NULL, odd(i));
	sound(map);
	neap_map_destroy(map);
	assert_int_equal(record.finals, N / 2); /* destroy tells, and does not ask */
}

static bool is_small(const void *key, void *value, void *ctx)
{
	(void)value, (void)ctx;
	return *(const uint64_t *)key < N / 2;
}

static void a_veto_holds_entries_back_from_bulk_deletes(void **state)
{
	(void)state;
	void (*const clears[])(struct neap_map *) = {neap_map_clear, neap_map_clear_keep};
	for (size_t i = 0; i < 2; i++) {
		struct record record;
		struct neap_map *map = hooked(&record, N);
		record.held = odd;
		assert_int_equal(neap_map_delete_if(map, is_small, NULL), N / 4);
		assert_int_equal(record.deletes, N / 2);
		clears[i](map);
		assert_int_equal(neap_map_len(map), N / 2);
		sound(map);
		record.held = NULL;
		clears[i](map);
		assert_int_equal(neap_map_len(map), 0);
		assert_int_equal(record.deletes, N / 2 + N * 3 / 4 + N / 2);
		if (i == 0)
			assert_int_equal(neap_map_bytes(map), sizeof(struct neap_map) + sizeof "watched");
		sound(map);
		assert_int_equal(typed_put(map, 1, 1), NEAP_OK);
		neap_map_destroy(map);
		assert_int_equal(record.finals, 1);
	}
}

/* Deleting in a loop, with vetoes and without: every entry that stays is produced exactly once. */
static void a_veto_inside_iteration_keeps_the_promise_of_the_loop(void **state)
{
	(void)state;
	bool (*const rules[])(uint64_t) = {odd, all};
	for (size_t rule = 0; rule < 2; rule++) {
		struct record record;
		struct neap_map *map = hooked(&record, N);
		record.held = rules[rule];
		unsigned char produced[N] = {0};
		neap_map_each (it, map) {
			uint64_t key = *(const uint64_t *)it.key;
			produced[key]++;
			assert_int_equal(typed_delete(map, key), !rules[rule](key));
			(void)typed_delete(map, (key + 2) % N);
		}
		for (uint64_t key = 0; key < N; key++) {
			if (rules[rule](key))
				assert_int_equal(produced[key], 1);
			else
				assert_in_range(produced[key], 0, 1);
		}
		sound(map);
		neap_map_destroy(map);
	}
}

static struct neap_map *touched;
static void (*touch)(void);

static bool misbehave(const struct neap_map_event *event, void *ctx)
{
	(void)event, (void)ctx;
	touch();
	return true;
}

static void touch_get(void)
{
	(void)typed_get(touched, 1);
}

static void touch_put(void)
{
	(void)typed_put(touched, 1, 1);
}

static void touch_hook(void)
{
	(void)neap_map_set_hook(touched, NULL, NULL);
}

static void change_with_bad_hook(void)
{
	struct record record;
	touched = hooked(&record, 10);
	(void)neap_map_set_hook(touched, misbehave, NULL);
	(void)typed_put(touched, 2, 2);
}

static void a_hook_may_not_touch_its_map(void **state)
{
	(void)state;
	static const struct {
		void (*touch)(void);
		const char *rule, *operation;
	} cases[] = {
		{touch_get, "concurrent map read and map write", "neap_map_get,"},
		{touch_put, "map changed from its own callback", "neap_map_put,"},
		{touch_hook, "map changed from its own callback", "neap_map_set_hook,"},
	};
	for (size_t i = 0; i < 3; i++) {
		touch = cases[i].touch;
		struct ending ending = child_run(change_with_bad_hook, 10);
		if (!child_was_stopped(&ending, cases[i].rule, "watched", cases[i].operation))
			fail_msg("case %zu: signal %d, wrote: %s", i, ending.signal, ending.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hook_hears_old_and_new_value_and_who_called),
		cmocka_unit_test(a_veto_leaves_the_map_as_it_was),
		cmocka_unit_test(a_veto_holds_entries_back_from_bulk_deletes),
		cmocka_unit_test(a_veto_inside_iteration_keeps_the_promise_of_the_loop),
		cmocka_unit_test(a_hook_may_not_touch_its_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
