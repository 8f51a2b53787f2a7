/* tour_run.c: see tour_run.h.
 *
 * The process is the measuring child's own, so that RSS is: code and libraries, the cursor's buffer, the samples
 * (these are "other", known from the base), and the table with its keys.
 */
#include "lab/tour_run.h"

#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/progress.h"

enum {
	PROGRESS_EVERY = 1 << 12, /* operations between looks at the clock */
	WATCH_MS = 250,		  /* RSS is watched for this long after the last delete */
	CURE_SECONDS = 60,
	SETTLED_SHARE = 20,	/* within 1/20 of what came back counts as settled: the rest is statm's lag */
	LEAST_BACK = 256 << 10, /* bytes: less than this coming back is noise of the process itself */
};

static const char *const load_names[TABLE_KINDS] = {"classic map: loading", "Neap's map: loading"};
static const char *const delete_names[TABLE_KINDS] = {"classic map: deleting", "Neap's map: deleting"};
static const char *const mark_names[TOUR_STOPS] = {"from here, 99 % is deleted", "from here, the rest",
						   "end"};

/* The account of the process; what malloc held before the table was made is "other". */
static void take_stop(struct tour_run *run, enum tour_stop stop, const struct table *table)
{
	struct neap_source sources[TABLE_SOURCES];
	table_sources(table, sources);
	struct neap_account account;
	if (neap_account_take(&account, &run->base, sources, TABLE_SOURCES) != 0)
		return;
	account.live -= run->base.malloc_live;
	account.other += run->base.malloc_live;
	run->stops[stop] = account;
	run->table_bytes[stop] = table_bytes(table);
	run->entries[stop] = table_len(table);
	rss_calibrate(&run->curve, mark_names[stop]);
}

/* What a forked copy of this process tries, so that the tour itself goes on untouched. */
struct cure {
	struct table *table;
	bool rebuild;
	ptrdiff_t *gives; /* in shared memory */
};

static int try_cure(void *ctx)
{
	struct cure *cure = ctx;
	uint64_t before = rss_rollup();
	if (cure->rebuild)
		table_rebuild(cure->table);
	else
		malloc_trim(0);
	*cure->gives = (ptrdiff_t)before - (ptrdiff_t)rss_rollup();
	return 0;
}

static void try_cures(struct tour_run *run, enum tour_stop stop, struct table *table)
{
	struct cure trim = {table, false, &run->trim_gives[stop]};
	struct cure rebuild = {table, true, &run->rebuild_gives[stop]};
	(void)child_run(try_cure, &trim, CURE_SECONDS, false);
	(void)child_run(try_cure, &rebuild, CURE_SECONDS, false);
}

static void begin_work(struct tour_run *run, enum tour_stop stop)
{
	run->started[stop] = clock_now() - run->curve.start;
}

static void end_work(struct tour_run *run, enum tour_stop stop, struct table *table)
{
	run->ended[stop] = clock_now() - run->curve.start;
	run->nanoseconds[stop] = run->ended[stop] - run->started[stop];
	progress_end();
	const struct timespec watch = {.tv_nsec = WATCH_MS * 1000000L};
	nanosleep(&watch, NULL);
	take_stop(run, stop, table);
}

static void load(struct tour_run *run, struct table *table, struct key_cursor *cursor)
{
	struct neap_str key;
	struct file_facts facts;
	begin_work(run, STOP_LOADED);
	for (size_t i = 0; key_cursor_next(cursor, &key, &facts); i++) {
		run->duplicates += !table_put(table, key, &facts);
		run->operations[STOP_LOADED]++;
		if (i % PROGRESS_EVERY == 0)
			progress_step(load_names[run->kind], i, run->keys->n);
	}
	end_work(run, STOP_LOADED, table);
}

/* Deletes the keys that are not kept, then the kept ones: the same order in every table. */
static void delete_to(struct tour_run *run, enum tour_stop stop, struct table *table,
		      struct key_cursor *cursor)
{
	struct neap_str key;
	key_cursor_rewind(cursor);
	begin_work(run, stop);
	for (size_t i = 0; key_cursor_next(cursor, &key, NULL); i++) {
		if (key_is_kept(key, run->seed, KEPT_ONE_IN) == (stop == STOP_EMPTY)) {
			uint64_t start = clock_now();
			run->operations[stop] += table_delete(table, key);
			run->delete_ns += stop == STOP_ONE_PERCENT ? clock_now() - start : 0;
		}
		if (i % PROGRESS_EVERY == 0)
			progress_step(delete_names[run->kind], i, run->keys->n);
	}
	end_work(run, stop, table);
}

int tour_run_child(void *ctx)
{
	struct tour_run *run = ctx;
	struct key_cursor cursor;
	key_cursor_open(&cursor, run->keys);
	struct rss_sampler *sampler = rss_start(&run->curve);
	if (sampler == NULL || neap_account_take(&run->base, NULL, NULL, 0) != 0)
		return 1;
	struct table *table = table_create(run->kind, 0);
	load(run, table, &cursor);
	delete_to(run, STOP_ONE_PERCENT, table, &cursor);
	try_cures(run, STOP_ONE_PERCENT, table);
	delete_to(run, STOP_EMPTY, table, &cursor);
	try_cures(run, STOP_EMPTY, table);
	rss_stop(sampler);
	table_destroy(table);
	key_cursor_close(&cursor);
	return 0;
}

uint64_t tour_settle_time(const struct tour_run *run, enum tour_stop stop)
{
	/* The curve until the account was taken; what follows is another story. */
	const struct rss_curve *curve = &run->curve;
	uint64_t until = run->ended[stop] + WATCH_MS * UINT64_C(1000000);
	uint64_t first = 0, low = UINT64_MAX;
	size_t from = 0, to = curve->n;
	for (size_t i = 0; i < curve->n; i++) {
		if (curve->samples[i].at <= run->started[stop]) {
			from = i;
			first = curve->samples[i].bytes;
		}
		if (curve->samples[i].at >= until && to == curve->n)
			to = i;
	}
	for (size_t i = from; i < to; i++)
		low = curve->samples[i].bytes < low ? curve->samples[i].bytes : low;
	uint64_t back = first > low ? first - low : 0;
	if (back < LEAST_BACK)
		return run->stops[STOP_LOADED].rss >= run->stops[stop].rss + LEAST_BACK ? 0 : UINT64_MAX;
	uint64_t settled = 0;
	for (size_t i = from; i < to; i++)
		if (curve->samples[i].bytes > low + back / SETTLED_SHARE)
			settled = curve->samples[i].at;
	return settled > run->ended[stop] ? settled - run->ended[stop] : 0;
}
