/* test_safe.c: neap/safe.h: copies that refuse, releases that happen, pointers that are handed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "neap/safe.h"

static void copy_fits_or_touches_nothing(void **state)
{
	(void)state;
	for (size_t room = 0; room <= 8; room++)
		for (size_t n = 0; n <= 10; n++) {
			char to[9] = "........";
			int error = neap_copy(to, room, "abcdefghij", n);
			assert_int_equal(error, n <= room ? 0 : NEAP_ETOOBIG);
			size_t copied = n <= room ? n : 0;
			assert_memory_equal(to, "abcdefghij", copied);
			assert_memory_equal(to + copied, "........", 8 - copied);
		}
	assert_int_equal(neap_copy(NULL, 0, NULL, 0), 0);
}

static void copy_refuses_overlap(void **state)
{
	(void)state;
	char text[] = "abcdefgh";
	assert_int_equal(neap_copy(text + 1, 7, text, 4), NEAP_EINVAL);
	assert_int_equal(neap_copy(text, 8, text + 3, 4), NEAP_EINVAL);
	assert_string_equal(text, "abcdefgh");
	assert_int_equal(neap_copy(text + 4, 4, text, 4), 0);
	assert_string_equal(text, "abcdabcd");
}

static void copy_at_refuses_wrapping_sums(void **state)
{
	(void)state;
	char to[8] = "1234567";
	assert_int_equal(neap_copy_at(to, 8, 9, "x", 1), NEAP_ETOOBIG);
	assert_int_equal(neap_copy_at(to, 8, 7, "xy", 2), NEAP_ETOOBIG);
	assert_int_equal(neap_copy_at(to, 8, 4, "x", SIZE_MAX - 2), NEAP_ETOOBIG);
	assert_int_equal(neap_copy_at(to, 8, SIZE_MAX, "x", 2), NEAP_ETOOBIG);
	assert_string_equal(to, "1234567");
	assert_int_equal(neap_copy_at(to, 8, 8, "", 0), 0);
	assert_int_equal(neap_copy_at(to, 8, 2, "xy", 2), 0);
	assert_string_equal(to, "12xy567");
}

static void strings_are_whole_or_refused(void **state)
{
	(void)state;
	char to[4] = "old";
	assert_int_equal(neap_copy_string(to, sizeof to, "abcd"), NEAP_ETOOBIG);
	assert_string_equal(to, "old");
	assert_int_equal(neap_copy_string(to, 0, ""), NEAP_ETOOBIG);
	assert_int_equal(neap_copy_string(to, sizeof to, "abc"), 0);
	assert_string_equal(to, "abc");
	/* No NUL within room: must not read on. */
	const char endless[4] = {'a', 'b', 'c', 'd'};
	assert_int_equal(neap_copy_string(to, sizeof to, endless), NEAP_ETOOBIG);
}

struct thing {
	int *released;
};

static void thing_end(struct thing *thing)
{
	if (thing != NULL)
		++*thing->released;
}

NEAP_SCOPED_DEFINE(struct thing, thing_end)

static int leaves_early(struct thing *given, int when)
{
	NEAP_SCOPED(thing_end) struct thing *thing = given;
	if (when == 1)
		return 1;
	for (;;)
		if (when == 2)
			break;
		else
			return 3;
	return *thing->released;
}

static struct thing *hands_on(struct thing *given)
{
	NEAP_SCOPED(thing_end) struct thing *thing = given;
	return neap_move(thing);
}

static void scope_releases_on_every_way_out(void **state)
{
	(void)state;
	int released = 0;
	struct thing thing = {&released};
	assert_int_equal(leaves_early(&thing, 1), 1);
	assert_int_equal(released, 1);
	assert_int_equal(leaves_early(&thing, 2), 1);
	assert_int_equal(released, 2);
	assert_int_equal(leaves_early(&thing, 3), 3);
	assert_int_equal(released, 3);
	assert_ptr_equal(hands_on(&thing), &thing);
	assert_int_equal(released, 3);
	assert_null(hands_on(NULL));
	NEAP_SCOPED(free)
	char *block = malloc(100); /* a leak here is what the sanitizer build would report */
	assert_non_null(block);
}

NEAP_GIVES(free) static void *give(NEAP_LENT const char *name, NEAP_TAKEN char *taken)
{
	free(taken);
	return strdup(name);
}

static void ownership_is_stated(void **state)
{
	(void)state;
	NEAP_SCOPED(free) char *given = give("name", malloc(4));
	assert_string_equal(given, "name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_fits_or_touches_nothing),
		cmocka_unit_test(copy_refuses_overlap),
		cmocka_unit_test(copy_at_refuses_wrapping_sums),
		cmocka_unit_test(strings_are_whole_or_refused),
		cmocka_unit_test(scope_releases_on_every_way_out),
		cmocka_unit_test(ownership_is_stated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
