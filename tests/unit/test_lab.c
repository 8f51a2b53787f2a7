/* test_lab.c: the parts of the lab: JSON, keys, the sampler's arithmetic, bars, files, children. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lab/atomic_file.h"
#include "lab/bars.h"
#include "lab/child.h"
#include "lab/keys.h"
#include "lab/result.h"
#include "lab/rss.h"
#include "lab/text.h"
#include "tool/command.h"

/* ---- JSON ---- */

static void json_puts_commas_and_quotes(void **state)
{
	(void)state;
	struct json json = {0};
	lab_json_open(&json, NULL, '{');
	lab_json_string(&json, "a", "x\"\\\n\t\x01z");
	lab_json_number(&json, "b", 1234567890123.0);
	lab_json_number(&json, "nan", NAN);
	lab_json_open(&json, "list", '[');
	lab_json_open(&json, NULL, '{');
	lab_json_close(&json, '}');
	lab_json_bool(&json, NULL, true);
	lab_json_close(&json, ']');
	lab_json_string(&json, "end", "");
	lab_json_close(&json, '}');
	assert_string_equal(json.text.at, "{\"a\": \"x\\\"\\\\\\n\\u0009\\u0001z\", \"b\": 1234567890123, "
					  "\"nan\": null, \"list\": [{}, true], \"end\": \"\"}");
	text_free(&json.text);
}

static void json_replaces_what_is_no_utf8(void **state)
{
	(void)state;
	/* A good two-byte sequence, a lone continuation, an overlong slash, a surrogate, a cut-off sequence. */
	struct json json = {0};
	lab_json_string(&json, NULL, "\xc3\xa9|\x80|\xc0\xaf|\xed\xa0\x80|\xe2\x82");
	assert_string_equal(json.text.at, "\"\xc3\xa9|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"
					  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\"");
	text_free(&json.text);
}

static void numbers_read_well(void **state)
{
	(void)state;
	assert_string_equal(thousands(0), "0");
	assert_string_equal(thousands(999), "999");
	assert_string_equal(thousands(1000), "1,000");
	assert_string_equal(thousands(UINT64_MAX), "18,446,744,073,709,551,615");
	assert_string_equal(megabytes(68549999), "68.5");
	assert_string_equal(megabytes(-1000), "0.0");
	assert_string_equal(megabytes(-1e6), "-1.0");
	assert_string_equal(duration(850), "850 ns");
	assert_string_equal(duration(12300), "12.3 us");
	assert_string_equal(duration(4.5e6), "4.5 ms");
	assert_string_equal(duration(1.2e9), "1.2 s");
}

/* ---- results ---- */

static void verdict_follows_from_checks(void **state)
{
	(void)state;
	struct result result = {0};
	assert_int_equal(result_verdict(&result), VERDICT_FAILS); /* nothing checked is nothing shown */
	result_check(&result, true, "one");
	assert_int_equal(result_verdict(&result), VERDICT_HOLDS);
	result_check(&result, false, "two of %d", 3);
	result_check(&result, true, "three");
	assert_int_equal(result_verdict(&result), VERDICT_FAILS);
	assert_string_equal(result.checks[1].sentence, "two of 3");
	result_skip(&result, "no Go");
	assert_int_equal(result_verdict(&result), VERDICT_SKIPPED);
	result_free(&result);
}

/* ---- keys ---- */

static char folder[] = "/tmp/neap-test-lab.XXXXXX";

/* Writes `bytes` to a file and reads it as keys. */
static int keys_of(struct keys *keys, const char *bytes, size_t n, const struct keys_options *options,
		   struct text *error)
{
	char path[256];
	snprintf(path, sizeof path, "%s/keys", folder);
	assert_int_equal(atomic_file_write(path, bytes, n), 0);
	return keys_from_file(keys, path, options, error);
}

static const struct keys_options plenty = {.most = 1000000};

static void expect_keys(const struct keys *keys, const char *const *expected, size_t n)
{
	struct key_cursor cursor;
	struct neap_str key;
	assert_int_equal(keys->n, n);
	key_cursor_open(&cursor, keys);
	for (int twice = 0; twice < 2; twice++) {
		for (size_t i = 0; i < n; i++) {
			assert_true(key_cursor_next(&cursor, &key, NULL));
			assert_int_equal(key.len, strlen(expected[i]));
			assert_memory_equal(key.ptr, expected[i], key.len);
		}
		assert_false(key_cursor_next(&cursor, &key, NULL));
		key_cursor_rewind(&cursor);
	}
	key_cursor_close(&cursor);
}

static void lines_become_keys(void **state)
{
	(void)state;
	struct keys keys;
	struct text error = {0};
	static const char text[] =
		"alpha\n\nbeta\r\n\xff\xfe\ngamma"; /* any encoding; no newline at the end */
	static const char *const expected[] = {"alpha", "beta\r", "\xff\xfe", "gamma"};
	assert_int_equal(keys_of(&keys, text, sizeof text - 1, &plenty, &error), 0);
	expect_keys(&keys, expected, 4);
	assert_int_equal(keys.empty_lines, 1);
	assert_int_equal(keys.longest, 5);
	assert_string_equal(keys.source, "lines of keys");
	keys_close(&keys);
}

static void nul_separated_keys_may_hold_newlines(void **state)
{
	(void)state;
	struct keys keys;
	struct text error = {0};
	const struct keys_options options = {.most = 10, .zero_separated = true};
	static const char *const expected[] = {"a\nb", "c"};
	assert_int_equal(keys_of(&keys, "a\nb\0c", 5, &options, &error), 0);
	expect_keys(&keys, expected, 2);
	keys_close(&keys);
}

static void bad_files_are_refused_by_name(void **state)
{
	(void)state;
	struct keys keys;
	struct text error = {0};
	assert_int_equal(keys_of(&keys, "", 0, &plenty, &error), EXIT_USAGE);
	assert_non_null(strstr(error.at, "no keys"));
	text_free(&error);
	assert_int_equal(keys_of(&keys, "\n\n\n", 3, &plenty, &error), EXIT_USAGE);
	text_free(&error);
	assert_int_equal(keys_of(&keys, "line\nELF\0junk", 13, &plenty, &error), EXIT_USAGE);
	assert_non_null(strstr(error.at, "NUL byte at offset 8 (line 2)"));
	text_free(&error);
	assert_int_equal(keys_from_file(&keys, "/nonexistent/keys", &plenty, &error), EXIT_NO_TARGET);
	assert_non_null(strstr(error.at, "/nonexistent/keys: No such file"));
	text_free(&error);
	assert_int_equal(keys_from_file(&keys, folder, &plenty, &error), EXIT_USAGE);
	assert_non_null(strstr(error.at, "directory"));
	text_free(&error);
}

static void longest_key_fits_and_one_more_does_not(void **state)
{
	(void)state;
	struct keys keys;
	struct text error = {0};
	char *line = malloc(KEY_LONGEST + 1);
	memset(line, 'k', KEY_LONGEST + 1);
	assert_int_equal(keys_of(&keys, line, KEY_LONGEST, &plenty, &error), 0);
	assert_int_equal(keys.longest, KEY_LONGEST);
	keys_close(&keys);
	assert_int_equal(keys_of(&keys, line, KEY_LONGEST + 1, &plenty, &error), EXIT_USAGE);
	assert_non_null(strstr(error.at, "line 1 is longer than 65536 bytes"));
	text_free(&error);
	free(line);
}

static void bound_stops_and_says_so(void **state)
{
	(void)state;
	struct keys keys;
	struct text error = {0};
	static const char *const expected[] = {"a", "b"};
	const struct keys_options two = {.most = 2};
	assert_int_equal(keys_of(&keys, "a\nb\nc\n", 6, &two, &error), 0);
	expect_keys(&keys, expected, 2);
	assert_true(keys.stopped_at_bound);
	keys_close(&keys);
	assert_int_equal(keys_of(&keys, "a\nb\n", 4, &two, &error), 0);
	assert_false(keys.stopped_at_bound);
	keys_close(&keys);
}

static void made_up_keys_differ_and_spread(void **state)
{
	(void)state;
	struct keys keys;
	struct text error = {0};
	enum { N = 20000 };
	assert_int_equal(keys_synthetic(&keys, N, 7, &error), 0);
	struct key_cursor cursor;
	struct neap_str key;
	char before[17] = "";
	size_t kept = 0;
	key_cursor_open(&cursor, &keys);
	for (size_t i = 0; i < N; i++) {
		assert_true(key_cursor_next(&cursor, &key, NULL));
		assert_int_equal(key.len, 16);
		assert_memory_not_equal(key.ptr, before, 16);
		memcpy(before, key.ptr, 16);
		kept += key_is_kept(key, 1, 100);
	}
	key_cursor_close(&cursor);
	assert_in_range(kept, N / 100 / 2, N / 100 * 2);
	keys_close(&keys);
}

static void tree_gives_every_path(void **state)
{
	(void)state;
	struct keys keys;
	struct text error = {0};
	char path[256];
	snprintf(path, sizeof path, "%s/tree", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/tree/link", folder);
	assert_int_equal(symlink("/nonexistent", path), 0);
	snprintf(path, sizeof path, "%s/tree/odd\nname", folder);
	assert_int_equal(atomic_file_write(path, "12345", 5), 0);
	snprintf(path, sizeof path, "%s/tree", folder);
	const struct keys_options options = {.most = 100, .seconds = 10};
	assert_int_equal(keys_from_tree(&keys, path, &options, &error), 0);
	assert_int_equal(keys.n, 3);
	struct key_cursor cursor;
	struct neap_str key;
	struct file_facts facts;
	uint64_t five = 0;
	key_cursor_open(&cursor, &keys);
	while (key_cursor_next(&cursor, &key, &facts))
		five += facts.size == 5 && S_ISREG(facts.mode);
	assert_int_equal(five, 1);
	key_cursor_close(&cursor);
	keys_close(&keys);
	assert_int_equal(keys_from_tree(&keys, "/proc", &options, &error), EXIT_NO_TARGET);
	text_free(&error);
}

/* ---- the sampler ---- */

static struct rss_curve *curve_of(const uint64_t *at, const uint64_t *bytes, size_t n)
{
	struct rss_curve *curve = calloc(1, sizeof *curve);
	curve->n = n;
	for (size_t i = 0; i < n; i++)
		curve->samples[i] = (struct rss_sample){at[i], bytes != NULL ? bytes[i] : 0, 0};
	return curve;
}

static void resolution_is_of_the_distances(void **state)
{
	(void)state;
	const uint64_t ms = 1000000, half = ms / 2;
	const uint64_t at[] = {0, half, ms, 3 * ms, 3 * ms + half};
	struct rss_curve *curve = curve_of(at, NULL, 5);
	struct rss_resolution got = rss_resolution_of(curve, 0, UINT64_MAX);
	assert_int_equal(got.samples, 5);
	assert_int_equal(got.p50, half);
	assert_int_equal(got.worst, 2 * ms);
	assert_int_equal(got.late, 1);
	got = rss_resolution_of(curve, half, ms + 1); /* one distance */
	assert_int_equal(got.samples, 2);
	assert_int_equal(got.worst, half);
	assert_int_equal(got.late, 0);
	got = rss_resolution_of(curve, 10 * ms, UINT64_MAX);
	assert_int_equal(got.samples, 0);
	assert_int_equal(got.worst, 0);
	curve->marks_n = 2;
	curve->marks[0] = (struct rss_mark){.statm = 1000, .rollup = 4000};
	curve->marks[1] = (struct rss_mark){.statm = 9000, .rollup = 8000};
	assert_int_equal(rss_resolution_of(curve, 0, UINT64_MAX).statm_off, 3000);
	free(curve);
}

static void settled_means_stays_settled(void **state)
{
	(void)state;
	const uint64_t at[] = {0, 1, 2, 3, 4, 5}, bytes[] = {90, 10, 50, 20, 10, 10};
	struct rss_curve *curve = curve_of(at, bytes, 6);
	assert_int_equal(rss_settled_at(curve, 0, 20), 3); /* the dip at 1 did not last */
	assert_int_equal(rss_settled_at(curve, 5, 20), 5);
	assert_int_equal(rss_settled_at(curve, 0, 5), UINT64_MAX);
	assert_int_equal(rss_settled_at(curve, 0, 90), 0);
	free(curve);
}

static void sampler_sees_memory_come_and_go(void **state)
{
	(void)state;
	struct rss_curve *curve = shared_create(sizeof *curve);
	struct rss_sampler *sampler = rss_start(curve);
	assert_non_null(sampler);
	rss_calibrate(curve, "before");
	enum { BIG = 32 << 20 };
	char *block = shared_create(BIG);
	memset(block, 1, BIG);
	usleep(20000);
	uint64_t with = curve->samples[curve->n - 1].bytes;
	shared_destroy(block, BIG);
	usleep(20000);
	rss_stop(sampler);
	uint64_t without = curve->samples[curve->n - 1].bytes;
	assert_true(curve->n > 10);
	assert_true(with > without + BIG / 2);
	assert_true(curve->marks[0].statm > 0 && curve->marks[0].rollup > 0);
	for (size_t i = 1; i < curve->n; i++)
		assert_true(curve->samples[i].at > curve->samples[i - 1].at);
	shared_destroy(curve, sizeof *curve);
}

/* ---- bars ---- */

static void bar_parts_are_to_scale(void **state)
{
	(void)state;
	unsigned cells[PARTS];
	struct neap_account account = {.live = 50, .tombstone = 25, .empty = 0, .free_held = 15, .other = 10};
	bar_cells(&account, 100, 40, cells);
	assert_int_equal(cells[PART_LIVE], 20);
	assert_int_equal(cells[PART_TOMBSTONE], 10);
	assert_int_equal(cells[PART_EMPTY], 0);
	assert_int_equal(cells[PART_FREE_HELD], 6);
	assert_int_equal(cells[PART_OTHER], 4);
	bar_cells(&account, 0, 40, cells);
	assert_int_equal(cells[PART_LIVE], 0);
}

/* Rounding never adds up: whatever the parts, the sum is within half a cell, and within the width. */
static void bar_never_overflows(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 20000; seed++) {
		unsigned cells[PARTS], sum = 0, width = 1 + seed % BAR_WIDEST;
		struct neap_account account = {.live = (seed * 7919u) % 1000,
					       .tombstone = (seed * 104729u) % 1000,
					       .empty = (seed * 1299709u) % 1000,
					       .free_held = (seed * 15485863u) % 1000,
					       .other = seed % 3};
		size_t total =
			account.live + account.tombstone + account.empty + account.free_held + account.other;
		size_t scale = total + seed % 500 + 1;
		bar_cells(&account, scale, width, cells);
		for (enum part part = 0; part < PARTS; part++)
			sum += cells[part];
		double exact = (double)total * width / (double)scale;
		assert_true(sum <= width);
		assert_true(fabs((double)sum - exact) <= 0.5001);
	}
}

static void bar_is_padded_and_plain_without_colour(void **state)
{
	(void)state;
	struct text text = {0};
	struct neap_account account = {
		.live = 10, .tombstone = 10, .empty = 10, .free_held = 10, .other = 10};
	bar_draw(&text, &account, 100, 20, (struct bar_style){false, false});
	assert_string_equal(text.at, "##xx..~~::          ");
	text_free(&text);
	bar_draw(&text, &account, 100, 20, (struct bar_style){true, false});
	assert_non_null(strstr(text.at, "\033["));
	text_free(&text);
}

/* ---- files and children ---- */

static size_t files_in_folder(void)
{
	char command[128];
	snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
	FILE *pipe = popen(command, "r"); /* a folder of our own making: nothing to quote */
	unsigned long n = 0;
	assert_int_equal(fscanf(pipe, "%lu", &n), 1);
	pclose(pipe);
	return n;
}

static void file_is_whole_or_not_there(void **state)
{
	(void)state;
	char path[256], text[8] = "";
	snprintf(path, sizeof path, "%s/report", folder);
	assert_int_equal(atomic_file_write(path, "old", 3), 0);
	size_t files = files_in_folder();
	assert_int_equal(atomic_file_write(path, "newer", 5), 0);
	int fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof text), 5);
	close(fd);
	assert_string_equal(text, "newer");
	struct stat stat_now;
	assert_int_equal(stat(path, &stat_now), 0);
	assert_int_equal(stat_now.st_mode & 0400, 0400);
	assert_int_equal(files_in_folder(), files);
	assert_int_equal(atomic_file_write("/nonexistent/report", "x", 1), ENOENT);
	assert_int_equal(atomic_file_write(folder, "x", 1), EISDIR);
	assert_int_equal(atomic_file_write("/dev/full", "x", 1), ENOSPC);
	assert_int_equal(files_in_folder(), files);
}

/* A limit on the size of files stands in for a full disk. */
static void failed_write_leaves_the_old_file_alone(void **state)
{
	(void)state;
	char path[256], text[8] = "", big[5000] = "";
	snprintf(path, sizeof path, "%s/limited", folder);
	assert_int_equal(atomic_file_write(path, "old", 3), 0);
	size_t files = files_in_folder();
	struct rlimit before, small = {1000, RLIM_INFINITY};
	getrlimit(RLIMIT_FSIZE, &before);
	small.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int error = atomic_file_write(path, big, sizeof big);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(error, EFBIG);
	assert_int_equal(files_in_folder(), files);
	int fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof text), 3);
	close(fd);
}

static int says_and_returns(void *ctx)
{
	fprintf(stderr, "hello\n");
	return *(int *)ctx;
}

static int aborts(void *ctx)
{
	(void)ctx;
	abort();
}

static int sleeps(void *ctx)
{
	(void)ctx;
	sleep(60);
	return 0;
}

static void child_ends_are_told_apart(void **state)
{
	(void)state;
	int status = 7;
	struct child_end end = child_run(says_and_returns, &status, 10, true);
	assert_true(end.started);
	assert_int_equal(end.status, 7);
	assert_string_equal(end.lines, "hello\n");
	end = child_run(aborts, NULL, 10, true);
	assert_int_equal(end.signal, SIGABRT);
	assert_false(end.timed_out);
	end = child_run(sleeps, NULL, 1, true);
	assert_true(end.timed_out);
	char *output;
	const char *const echo[] = {"echo", "a b", NULL}, *const none[] = {"neap-no-such-program", NULL};
	end = program_run(echo, 10, &output);
	assert_int_equal(end.status, 0);
	assert_string_equal(output, "a b\n");
	free(output);
	end = program_run(none, 10, &output);
	assert_int_equal(end.status, 127);
	free(output);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	(void)state;
	char *output;
	const char *const command[] = {"rm", "-rf", folder, NULL};
	struct child_end end = program_run(command, 10, &output);
	free(output);
	return end.status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_puts_commas_and_quotes),
		cmocka_unit_test(json_replaces_what_is_no_utf8),
		cmocka_unit_test(numbers_read_well),
		cmocka_unit_test(verdict_follows_from_checks),
		cmocka_unit_test(lines_become_keys),
		cmocka_unit_test(nul_separated_keys_may_hold_newlines),
		cmocka_unit_test(bad_files_are_refused_by_name),
		cmocka_unit_test(longest_key_fits_and_one_more_does_not),
		cmocka_unit_test(bound_stops_and_says_so),
		cmocka_unit_test(made_up_keys_differ_and_spread),
		cmocka_unit_test(tree_gives_every_path),
		cmocka_unit_test(resolution_is_of_the_distances),
		cmocka_unit_test(settled_means_stays_settled),
		cmocka_unit_test(sampler_sees_memory_come_and_go),
		cmocka_unit_test(bar_parts_are_to_scale),
		cmocka_unit_test(bar_never_overflows),
		cmocka_unit_test(bar_is_padded_and_plain_without_colour),
		cmocka_unit_test(file_is_whole_or_not_there),
		cmocka_unit_test(failed_write_leaves_the_old_file_alone),
		cmocka_unit_test(child_ends_are_told_apart),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
