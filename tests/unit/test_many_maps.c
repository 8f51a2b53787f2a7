/* test_many_maps.c: a program with 100,000 maps: what looks at all of them stays quick, small and readable. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/registry.h"
#include "neap/debug.h"
#include "neap/map.h"
#include "neap/observe.h"

#ifdef __SANITIZE_THREAD__
enum { MAPS = 5000 };
#else
enum { MAPS = 100000 };
#endif
enum { LARGE = 10 };

static const struct neap_map_type number_type = {.size = sizeof(struct neap_map_type),
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = 8,
						 .value_align = 8};
static struct neap_map *maps[MAPS];

static struct {
	size_t len;
	char bytes[32 << 20];
} page;

static int append(void *ctx, const void *bytes, size_t size)
{
	(void)ctx;
	assert_true(page.len + size < sizeof page.bytes);
	memcpy(page.bytes + page.len, bytes, size);
	page.len += size;
	page.bytes[page.len] = '\0';
	return 0;
}

static double seconds_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The page, and how long it took. */
static const char *get(const char *path)
{
	page.len = 0;
	double start = seconds_now();
	assert_int_equal(neap_debug_handle(path, append, NULL), 200);
	print_message("%-20s %6.1f ms %10zu bytes\n", path, (seconds_now() - start) * 1e3, page.len);
	return page.bytes;
}

/* The last LARGE maps hold most, and were made last: nothing that takes the first names would show them. The small ones
 * share their names by twos.
 */
enum { ODD = 6, SMALL_SHOWN = 2 * (256 - LARGE - ODD) };

static int make_maps(void **state)
{
	(void)state;
	static const char *const odd[] = {"a \"quoted\" name", "two\nlines",	      "back\\slash",
					  "tab\tand \x01",     "not UTF-8: \xff\xfe", "{map=\"x\"} 1"};
	double start = seconds_now();
	for (size_t i = 0; i < MAPS; i++) {
		char name[64];
		if (i < sizeof odd / sizeof *odd)
			snprintf(name, sizeof name, "%s", odd[i]);
		else
			snprintf(name, sizeof name, i < MAPS - LARGE ? "small %zu" : "large %zu",
				 i < MAPS - LARGE ? i / 2 : i);
		maps[i] = neap_map_create(&number_type, &(struct neap_map_options){.name = name});
		if (maps[i] == NULL)
			return -1;
		uint64_t entries = i < sizeof odd / sizeof *odd ? 200 : i < MAPS - LARGE ? 1 : 5000;
		for (uint64_t key = 0; key < entries; key++)
			if (neap_map_put(maps[i], &key, &key) != 0)
				return -1;
	}
	print_message("%d maps made in %.0f ms\n", MAPS, (seconds_now() - start) * 1e3);
	return 0;
}

static int free_maps(void **state)
{
	(void)state;
	for (size_t i = 0; i < MAPS; i++)
		neap_map_destroy(maps[i]);
	return neap__registry_count() == 0 ? 0 : -1;
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;
	for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
		count++;
	return count;
}

static void metrics_show_the_largest_and_a_rest(void **state)
{
	(void)state;
	const char *text = get("/metrics");
	char line[100];
	assert_true(page.len < 1 << 20);
	snprintf(line, sizeof line, "\nneap_maps %d\n", MAPS);
	assert_non_null(strstr(text, line));
	for (size_t i = MAPS - LARGE; i < MAPS; i++) {
		snprintf(line, sizeof line, "\nneap_map_instances{map=\"large %zu\",kind=\"map\"} 1\n", i);
		assert_non_null(strstr(text, line));
		snprintf(line, sizeof line,
			 "\nneap_map_slots{map=\"large %zu\",kind=\"map\",state=\"live\"} 5000\n", i);
		assert_non_null(strstr(text, line));
	}
	assert_int_equal(count_of(text, "\nneap_map_instances{"), 257);
	snprintf(line, sizeof line, "\nneap_map_instances{map=\"(other)\",kind=\"any\"} %d\n",
		 MAPS - LARGE - ODD - SMALL_SHOWN);
	assert_non_null(strstr(text, line));
}

/* Odd names are escaped, so every line is a comment or a sample, and every label ends. */
static void odd_names_break_no_line(void **state)
{
	(void)state;
	const char *text = get("/metrics");
	assert_non_null(strstr(text, "{map=\"a \\\"quoted\\\" name\",kind=\"map\"}"));
	assert_non_null(strstr(text, "{map=\"two\\nlines\",kind=\"map\"}"));
	assert_non_null(strstr(text, "{map=\"back\\\\slash\",kind=\"map\"}"));
	assert_non_null(strstr(text, "{map=\"tab?and ?\",kind=\"map\"}"));
	assert_non_null(strstr(text, "{map=\"not UTF-8: ??\",kind=\"map\"}"));
	assert_non_null(strstr(text, "{map=\"{map=\\\"x\\\"} 1\",kind=\"map\"}"));
	for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
		assert_true(strncmp(line, "# ", 2) == 0 || strncmp(line, "neap_", 5) == 0 ||
			    strncmp(line, "process_", 8) == 0);
	text = get("/debug/maps");
	assert_non_null(strstr(text, "\"name\":\"two\\nlines\""));
	assert_non_null(strstr(text, "\"name\":\"tab?and ?\""));
}

static void the_list_shows_the_largest(void **state)
{
	(void)state;
	char wanted[64];
	const char *text = get("/debug/maps");
	snprintf(wanted, sizeof wanted, "{\"schema\":1,\"maps\":%d,", MAPS);
	assert_non_null(strstr(text, wanted));
	assert_int_equal(count_of(text, "{\"name\":"), 1000);
	const char *first = strstr(text, "{\"name\":\"");
	assert_int_equal(strncmp(first, "{\"name\":\"large ", 15), 0);
	assert_int_equal(count_of(text, "\"name\":\"large "), LARGE);
	assert_true(page.len < 1 << 20);
}

static void a_profile_has_every_map_and_adds_up(void **state)
{
	(void)state;
	double start = seconds_now();
	struct neap_profile *profile = neap_profile_take();
	print_message("a profile            %6.1f ms\n", (seconds_now() - start) * 1e3);
	assert_non_null(profile);
	assert_true(neap_profile_total(profile, NEAP_PROFILE_INUSE_OBJECTS) >=
		    MAPS - 6 - LARGE + LARGE * 5000);
	struct neap_profile *later = neap_profile_take();
	assert_non_null(later);
	start = seconds_now();
	neap_profile_subtract(later, profile);
	print_message("a difference         %6.1f ms\n", (seconds_now() - start) * 1e3);
	assert_int_equal(neap_profile_total(later, NEAP_PROFILE_INUSE_OBJECTS), 0);
	neap_profile_destroy(profile);
	neap_profile_destroy(later);
	(void)get("/debug/pprof/heap");
	assert_true(page.len < MAPS * 200);
}

static void an_account_counts_them_all(void **state)
{
	(void)state;
	struct neap_account account;
	assert_int_equal(neap_account_process(&account), 0);
	assert_int_equal(account.spans, MAPS);
}

/* Every map has its record, whatever it is called. */
static void a_snapshot_has_them_all(void **state)
{
	(void)state;
	enum { HEAD = 16, RECORD_MAP = 2, RECORD_END = 4, NAME = 144, MAP_BYTES = 160 };
	const char *bytes = get("/debug/snapshot");
	uint32_t record[2] = {0, 0}, name, odd = 0;
	size_t count = 0;
	for (size_t at = HEAD; record[0] != RECORD_END; at += 8 + record[1]) {
		assert_true(at + 8 <= page.len);
		memcpy(record, bytes + at, sizeof record);
		if (record[0] != RECORD_MAP)
			continue;
		memcpy(&name, bytes + at + 8 + NAME, sizeof name);
		const char *called = bytes + at + 8 + MAP_BYTES + name;
		odd += strcmp(called, "a \"quoted\" name") == 0 || strcmp(called, "two\nlines") == 0;
		count++;
	}
	assert_int_equal(count, MAPS);
	assert_int_equal(odd, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_show_the_largest_and_a_rest),
		cmocka_unit_test(odd_names_break_no_line),
		cmocka_unit_test(the_list_shows_the_largest),
		cmocka_unit_test(a_profile_has_every_map_and_adds_up),
		cmocka_unit_test(a_snapshot_has_them_all),
		cmocka_unit_test(an_account_counts_them_all),
	};
	return cmocka_run_group_tests(tests, make_maps, free_maps);
}
