/* test_guard.c: references that know when they are stale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "neap/guard.h"
#include "support/child.h"

#define NEAP_MAP_NAME  sessions
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE uint64_t
#include "neap/map_typed.h"

enum { N = 1000 };

/* ---- References ---- */

static struct neap_map *filled(void)
{
	struct neap_map *map = sessions_create(&(struct neap_map_options){.name = "sessions"});
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(sessions_put(map, i, i + 1), NEAP_OK);
	return map;
}

static void do_nothing(struct neap_map *map)
{
	(void)sessions_get(map, 3);
	neap_map_each (it, map)
		(void)it.key;
}

static void do_overwrite(struct neap_map *map)
{
	(void)sessions_put(map, 3, 9);
}

static void do_insert(struct neap_map *map)
{
	(void)sessions_put(map, N + 1, 9);
}

static void do_insert_erased(struct neap_map *map)
{
	(void)neap_map_put(map, &(uint64_t){N + 2}, &(uint64_t){9});
}

static void do_delete(struct neap_map *map)
{
	(void)sessions_delete(map, 3);
}

static void do_take(struct neap_map *map)
{
	(void)sessions_take(map, 3, NULL, NULL);
}

static void do_clear(struct neap_map *map)
{
	neap_map_clear(map);
}

static void do_clear_keep(struct neap_map *map)
{
	neap_map_clear_keep(map);
}

static void do_reserve(struct neap_map *map)
{
	(void)neap_map_reserve(map, 100 * N);
}

static bool is_three(const void *key, void *value, void *ctx)
{
	(void)value, (void)ctx;
	return *(const uint64_t *)key == 3;
}

static void do_delete_if(struct neap_map *map)
{
	(void)neap_map_delete_if(map, is_three, NULL);
}

static void a_reference_is_stale_after_every_change_and_no_sooner(void **state)
{
	(void)state;
	static const struct {
		void (*change)(struct neap_map *map);
		bool stale;
	} cases[] = {{do_nothing, false}, {do_overwrite, false},    {do_insert, true},
		     {do_delete, true},	  {do_insert_erased, true}, {do_take, true},
		     {do_clear, true},	  {do_clear_keep, true},    {do_reserve, true},
		     {do_delete_if, true}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct neap_map *map = filled();
		struct neap_ref ref = neap_ref_of(map, sessions_get(map, 3));
		assert_true(neap_ref_valid(&ref));
		assert_int_equal(*(uint64_t *)neap_ref_get(&ref), 4);
		cases[i].change(map);
		if (neap_ref_valid(&ref) == cases[i].stale)
			fail_msg("case %zu", i);
		neap_map_destroy(map);
	}
	struct neap_ref nothing = neap_ref_of(NULL, NULL);
	assert_true(neap_ref_valid(&nothing));
	assert_null(neap_ref_get(&nothing));
}

static void use_stale(void)
{
	struct neap_map *map = filled();
	struct neap_ref ref = neap_ref_of(map, sessions_get(map, 3));
	do_delete(map);
	*(volatile uint64_t *)neap_ref_get(&ref) = 5;
}

static void a_stale_reference_stops_the_program(void **state)
{
	(void)state;
	struct ending ending = child_run(use_stale, 10);
	if (!child_was_stopped(&ending, "stale value pointer", "sessions", "neap_ref_get,"))
		fail_msg("signal %d, wrote: %s", ending.signal, ending.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reference_is_stale_after_every_change_and_no_sooner),
		cmocka_unit_test(a_stale_reference_stops_the_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
