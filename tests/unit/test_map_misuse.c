/* test_map_misuse.c: rules that one thread can break alone. tests/stress/misuse_map.c does it with threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/child.h"
#include "support/map_probe.h"

enum { N = 100 };

static struct neap_map *map;
static void (*in_callback)(void);

static void release_and_call(void *key, void *value, void *ctx)
{
	(void)key, (void)value, (void)ctx;
	if (in_callback != NULL)
		in_callback();
}

static const struct neap_map_type releasing = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 8,
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8,
					       .release = release_and_call};

static struct neap_map *made(const struct neap_map_type *type, bool strict)
{
	struct neap_map *ret = neap_map_create(
		type, &(struct neap_map_options){.name = "alone", .strict_iteration = strict});
	for (uint64_t i = 0; i < N; i++)
		if (neap_map_put(ret, &i, &i) != NEAP_OK)
			abort();
	return ret;
}

static const uint64_t one = 1, absent = 5000;

static void put_one(void)
{
	(void)neap_map_put(map, &one, &one);
}

static void delete_one(void)
{
	(void)neap_map_delete(map, &one);
}

static void clear(void)
{
	neap_map_clear(map);
}

static void get_one(void)
{
	(void)neap_map_get(map, &one);
}

static void iterate(void)
{
	neap_map_each (it, map)
		(void)it.key;
}

/* The callback of a delete does what it must not. */
static void from_callback(void)
{
	void (*action)(void) = in_callback;
	in_callback = NULL;
	map = made(&releasing, false);
	in_callback = action;
	(void)neap_map_delete(map, &(uint64_t){2});
}

static void a_release_callback_may_not_touch_its_map(void **state)
{
	(void)state;
	static const struct {
		void (*action)(void);
		const char *rule, *operation;
	} cases[] = {
		{put_one, "map changed from its own callback", "neap_map_put,"},
		{delete_one, "map changed from its own callback", "neap_map_delete,"},
		{clear, "map changed from its own callback", "neap_map_clear,"},
		{get_one, "concurrent map read and map write", "neap_map_get,"},
		{iterate, "concurrent map iteration and map write", "neap_map_iter_next,"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		in_callback = cases[i].action;
		struct ending ending = child_run(from_callback, 10);
		if (!child_was_stopped(&ending, cases[i].rule, "alone", cases[i].operation))
			fail_msg("case %zu: signal %d, wrote: %s", i, ending.signal, ending.text);
	}
	in_callback = NULL;
}

static void (*in_loop)(void);

static void strict_loop(void)
{
	map = made(&probe_u64, true);
	unsigned steps = 0;
	neap_map_each (it, map) {
		if (steps++ == 3)
			in_loop();
	}
	_exit(steps == N ? 0 : 1);
}

static void insert_absent(void)
{
	(void)neap_map_put(map, &absent, &one);
}

static void a_strict_loop_refuses_inserts_and_deletes(void **state)
{
	(void)state;
	void (*const changes[])(void) = {insert_absent, delete_one, clear};
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		in_loop = changes[i];
		struct ending ending = child_run(strict_loop, 10);
		if (!child_was_stopped(&ending, "map changed during strict iteration", "alone",
				       "neap_map_iter_next,"))
			fail_msg("change %zu: signal %d, wrote: %s", i, ending.signal, ending.text);
	}
	void (*const allowed[])(void) = {put_one, get_one,
					 iterate}; /* an overwrite changes no entry's place */
	for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
		in_loop = allowed[i];
		struct ending ending = child_run(strict_loop, 10);
		if (ending.signal != 0 || ending.status != 0)
			fail_msg("allowed %zu: signal %d, status %d, wrote: %s", i, ending.signal,
				 ending.status, ending.text);
	}
}

static void scanning(void)
{
	map = made(&probe_u64, false);
	unsigned steps = 0;
	for (struct neap_map_scan at = neap_map_scan(map); neap_map_scan_next(&at);)
		if (steps++ == 3)
			in_loop();
	_exit(steps == N ? 0 : 1);
}

static void a_scan_refuses_inserts_and_deletes(void **state)
{
	(void)state;
	void (*const changes[])(void) = {insert_absent, delete_one, clear};
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		in_loop = changes[i];
		struct ending ending = child_run(scanning, 10);
		if (!child_was_stopped(&ending, "map changed during a scan", "alone", "neap_map_scan_next,"))
			fail_msg("change %zu: signal %d, wrote: %s", i, ending.signal, ending.text);
	}
	void (*const allowed[])(void) = {put_one, get_one, iterate};
	for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
		in_loop = allowed[i];
		struct ending ending = child_run(scanning, 10);
		if (ending.signal != 0 || ending.status != 0)
			fail_msg("allowed %zu: signal %d, status %d, wrote: %s", i, ending.signal,
				 ending.status, ending.text);
	}
	assert_false(neap_map_scan_next(&(struct neap_map_scan){.key = NULL}));
}

/* A callback may leave by longjmp; it is told everything that the line would say. */
static jmp_buf out;
static struct neap_fault heard;

static void leave(const struct neap_fault *fault, void *ctx)
{
	*(const char **)ctx = "came";
	heard = *fault;
	longjmp(out, 1);
}

static void the_listener_hears_the_fault(void **state)
{
	(void)state;
	static const char *came = "";
	map = made(&probe_u64, true);
	neap_on_fault(leave, &came);
	struct neap_map_iter it;
	neap_map_iter_init(&it, map);
	assert_true(neap_map_iter_next(&it));
	insert_absent();
	if (setjmp(out) == 0) {
		neap_map_iter_next(&it);
		fail();
	}
	neap_on_fault(NULL, NULL);
	assert_string_equal(came, "came");
	assert_string_equal(heard.rule, "map changed during strict iteration");
	assert_string_equal(heard.object, "alone");
	assert_string_equal(heard.operation, "neap_map_iter_next");
	assert_ptr_equal(heard.address, map);
	assert_int_equal(heard.thread, (uintptr_t)pthread_self());
	assert_int_equal(heard.other, 0);
	neap_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release_callback_may_not_touch_its_map),
		cmocka_unit_test(a_strict_loop_refuses_inserts_and_deletes),
		cmocka_unit_test(a_scan_refuses_inserts_and_deletes),
		cmocka_unit_test(the_listener_hears_the_fault),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
