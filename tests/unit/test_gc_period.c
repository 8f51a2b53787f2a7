/* test_gc_period.c: what a program drops by plain stores, allocating nothing, is collected all the same: two minutes after
 * the last collection, which gcperiod makes a fifth of a second here. A program that sleeps is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "gc/internal.h"
#include "neap/gc.h"

enum {
	PERIOD_MS = 200,
	OBJECTS = 200000,
	REST_MS = 2000 /* a second, and as much for a busy machine */
};

struct link {
	struct link *next;
	uint64_t number[3];
};
NEAP_TYPE(link_type, struct link, next);

static struct link *first; /* a root */
static struct neap_weak *to_last;

static struct neap_memstats numbers(void)
{
	struct neap_memstats now = {.size = sizeof now};
	assert_int_equal(neap_memstats(&now), NEAP_OK);
	return now;
}

/* Enough to start the collector's thread. */
__attribute__((noinline)) static void make_list(void)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		struct link *link = neap_gc_alloc(&link_type);
		assert_non_null(link);
		if (i == 0)
			to_last = neap_weak_create(link);
		link->next = first;
		first = link;
	}
}

/* The signal that stops a thread ends its sleep. */
static void rest(unsigned ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};
	while (nanosleep(&left, &left) != 0)
		continue;
}

/* Waits until nobody wants to collect any more. */
static unsigned settled_cycles(void)
{
	unsigned now = 0, before = 1;
	for (unsigned tries = 0; tries < 8 && now != before; tries++) {
		before = now;
		rest(REST_MS);
		now = numbers().NumGC;
	}
	assert_int_equal(now, before);
	return now;
}

static void a_program_that_sleeps_is_left_alone(void **state)
{
	(void)state;
	make_list();
	unsigned cycles = settled_cycles();
	rest(10 * PERIOD_MS);
	assert_int_equal(numbers().NumGC, cycles);
	assert_non_null(neap_weak_get(to_last));
}

static void a_program_that_only_stores_is_collected(void **state)
{
	(void)state;
	struct neap_memstats before = numbers();
	first = NULL;
	struct neap_memstats after = before;
	for (time_t end = time(NULL) + 20; after.NumGC == before.NumGC && time(NULL) < end;)
		after = numbers(); /* runs, and claims nothing */
	assert_null(neap_weak_get(to_last));
	assert_int_equal(after.NumForcedGC, before.NumForcedGC);
	assert_int_equal(after.TotalAlloc, before.TotalAlloc);
	assert_true(after.NumGC > before.NumGC);
	assert_true(after.HeapAlloc < before.HeapAlloc / 2);
}

static void nor_is_one_that_wants_no_collections(void **state)
{
	(void)state;
	(void)settled_cycles();
	int percent = neap_gc_set_percent(-1);
	unsigned cycles = numbers().NumGC;
	for (clock_t end = clock() + CLOCKS_PER_SEC; clock() < end;)
		continue;
	assert_int_equal(numbers().NumGC, cycles);
	(void)neap_gc_set_percent(percent);
	neap_weak_destroy(to_last);
}

int main(void)
{
	const char *debug = getenv("NEAP_DEBUG");
	char settings[256];
	snprintf(settings, sizeof settings, "%s,gcperiod=%d", debug != NULL ? debug : "", PERIOD_MS);
	if (setenv("NEAP_DEBUG", settings, 1) != 0)
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_that_sleeps_is_left_alone),
		cmocka_unit_test(a_program_that_only_stores_is_collected),
		cmocka_unit_test(nor_is_one_that_wants_no_collections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
