/* test_gc_rounds.c: walks over written pages that are given up and go on: every page is read, those written to behind
 * the walk too. No cycle runs: only pages are counted, and copies looked at through what they spare.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/cycle.h"
#include "gc/mark.h"
#include "neap/gc.h"

enum { PAGES = 700 };

static char *area; /* PAGES pages of one object; a root */

static size_t page_size(void)
{
	return (size_t)1 << neap__heap.page_shift;
}

static void touch(unsigned page)
{
	area[page * page_size() + 8] = 1;
}

/* Calls until a walk is whole; returns the pages that all of them read. `each` is called after each unfinished one. */
static long walk_with_no_time(void (*each)(unsigned call), unsigned *ret_calls)
{
	long pages = 0;
	*ret_calls = 0;
	for (;;) {
		bool whole = neap__gc_read_stopped(0);
		pages += neap__gc_last.last_pages;
		if (whole)
			return pages;
		each(++*ret_calls);
	}
}

static void nothing(unsigned call)
{
	(void)call;
}

static void behind_and_ahead(unsigned call)
{
	if (call == 3) {
		touch(0);
		touch(PAGES - 1);
	}
}

static void start(void)
{
	if (!neap_gc_concurrent())
		skip();
	(void)neap_gc_set_percent(-1);
	area = neap_gc_alloc_words(PAGES * page_size());
	assert_non_null(area);
	assert_true(neap__gc_arm_all());
	neap__gc_marker_reset();
	neap__gc_rounds_reset();
}

static void nothing_is_written_after_arming(void **state)
{
	(void)state;
	unsigned calls;
	start();
	assert_int_equal(walk_with_no_time(nothing, &calls), 0);
}

static void a_walk_given_up_goes_on(void **state)
{
	(void)state;
	unsigned calls;
	start();
	for (unsigned page = 0; page < PAGES; page++)
		touch(page);
	assert_int_equal(walk_with_no_time(nothing, &calls), PAGES);
	assert_in_range(calls, 5, PAGES);
	assert_int_equal(walk_with_no_time(nothing, &calls), 0);
}

static void pages_behind_a_walk_are_read(void **state)
{
	(void)state;
	unsigned calls;
	start();
	for (unsigned page = 0; page < PAGES; page++)
		touch(page);
	/* The first page a second time; the last was ahead of the walk. */
	assert_int_equal(walk_with_no_time(behind_and_ahead, &calls), PAGES + 1);
}

static void between_two_stops_pages_are_read_too(void **state)
{
	(void)state;
	unsigned calls;
	start();
	for (unsigned page = 0; page < PAGES; page++)
		touch(page);
	assert_false(neap__gc_read_stopped(0));
	long pages = neap__gc_last.last_pages;
	neap__gc_read_beside(UINT64_MAX); /* to the end */
	touch(1);
	assert_in_range(pages, 1, PAGES - 1);
	assert_int_equal(walk_with_no_time(nothing, &calls), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_written_after_arming),
		cmocka_unit_test(a_walk_given_up_goes_on),
		cmocka_unit_test(pages_behind_a_walk_are_read),
		cmocka_unit_test(between_two_stops_pages_are_read_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
