/* generations.c: maps by how long they live, from pools, beside maps that are made anew, in C and in real Go.
 *
 * 128 threads, ten rounds each. A round is a transaction on a map of its own: 10,000 records are put, half of them are
 * deleted in batches of 1,000, each batch gathered in a transient table first; every round publishes a version of a
 * shared map and reads the one before. "Plain" does the same with maps that are created and destroyed.
 *
 * Go's stops are its collector's (MemStats.PauseNs). Here nothing stops the world; what a worker is held up by is
 * making, clearing and giving back its maps, and that is timed.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/map.h"
#include "neap/pool.h"
#include "neap/scope.h"

enum {
	THREADS = 128,
	ROUNDS = 10,
	RECORDS = 10000, /* of a thread's map; --n */
	BATCH = 1000,
	REUSE_PERCENT = 85, /* all threads at once may need one object each, in the first of ten rounds */
	HOLD_UPS = 3,	    /* timed in a round: begin and end of the transaction, and one transient table */
};

static const struct neap_map_type generations_type = {.size = sizeof(struct neap_map_type),
						      .kind = NEAP_KEY_BYTES,
						      .key_size = 8,
						      .key_align = 8,
						      .value_size = 8,
						      .value_align = 8};

struct generations_run {
	bool pooled;
	size_t records;
	uint64_t operations, allocations;
	double average_ns, p99_ns, seconds;
	struct neap_scopes_stats classes[NEAP_SCOPES];
	size_t wrong; /* operations that did not do what they should */
};

struct generations_work {
	struct generations_run *run;
	struct neap_scopes *scopes;
	struct neap_live *live;
	struct neap_allocator counting;
	_Atomic uint64_t allocations;
	_Atomic size_t wrong, threads;
	uint64_t *hold_ups; /* THREADS * ROUNDS * HOLD_UPS times */
};

/* ---- Counting ---- */

static void *count_alloc(void *ctx, size_t size, size_t align)
{
	struct generations_work *work = ctx;
	atomic_fetch_add_explicit(&work->allocations, 1, memory_order_relaxed);
	return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static void count_free(void *ctx, void *block, size_t size)
{
	(void)ctx, (void)size;
	free(block);
}

/* ---- A round ---- */

static size_t delete_batches_plain(struct generations_work *work, struct neap_map *map, uint64_t *hold_up)
{
	size_t wrong = 0, half = work->run->records / 2;
	for (size_t from = 0; from < half; from += BATCH) {
		uint64_t start = clock_now();
		struct neap_map *batch = neap_map_create(
			&generations_type, &(struct neap_map_options){.allocator = &work->counting});
		*hold_up = clock_now() - start;
		for (uint64_t key = from; key < from + BATCH && key < half; key++)
			wrong += neap_map_put(batch, &key, &key) != NEAP_OK;
		neap_map_each (it, batch)
			wrong += !neap_map_delete(map, it.key);
		start = clock_now();
		neap_map_destroy(batch);
		*hold_up += clock_now() - start;
	}
	return wrong;
}

static size_t round_plain(struct generations_work *work, uint64_t *hold_ups)
{
	size_t wrong = 0;
	uint64_t start = clock_now();
	struct neap_map *map =
		neap_map_create(&generations_type, &(struct neap_map_options){.allocator = &work->counting});
	hold_ups[0] = clock_now() - start;
	for (uint64_t key = 0; key < work->run->records; key++)
		wrong += neap_map_put(map, &key, &key) != NEAP_OK;
	wrong += delete_batches_plain(work, map, &hold_ups[2]);
	wrong += neap_map_len(map) != work->run->records - work->run->records / 2;
	start = clock_now();
	neap_map_destroy(map);
	hold_ups[1] = clock_now() - start;
	return wrong;
}

static size_t delete_batches_pooled(struct generations_work *work, struct neap_tx *tx, uint64_t *hold_up)
{
	size_t wrong = 0, half = work->run->records / 2;
	for (size_t from = 0; from < half; from += BATCH) {
		uint64_t start = clock_now();
		struct neap_transient *batch = neap_transient_begin(work->scopes);
		*hold_up = clock_now() - start;
		for (uint64_t key = from; key < from + BATCH && key < half; key++)
			wrong += neap_transient_put(batch, &key, &key) != NEAP_OK;
		for (uint64_t key = from; key < from + BATCH && key < half; key++) {
			bool deleted = false;
			wrong += neap_transient_get(batch, &key) == NULL ||
				 neap_tx_delete(tx, &key, &deleted) != NEAP_OK || !deleted;
		}
		start = clock_now();
		neap_transient_end(batch);
		*hold_up += clock_now() - start;
	}
	return wrong;
}

static size_t publish_a_version(struct generations_work *work, uint64_t number)
{
	uint32_t ticket;
	size_t wrong = 0;
	struct neap_map *next = neap_live_prepare(work->live);
	if (next == NULL)
		return 1;
	for (uint64_t key = 0; key < 100; key++)
		wrong += neap_map_put(next, &key, &number) != NEAP_OK;
	if (neap_live_publish(work->live, next) != NEAP_OK)
		neap_live_discard(work->live, next); /* readers hold all versions: this one is skipped */
	const struct neap_map *seen = neap_live_enter(work->live, &ticket);
	wrong += neap_map_len(seen) != 100;
	neap_live_leave(work->live, ticket);
	return wrong;
}

static size_t round_pooled(struct generations_work *work, uint64_t *hold_ups, uint64_t number)
{
	size_t wrong = 0;
	uint64_t start = clock_now();
	struct neap_tx *tx = neap_tx_begin(work->scopes, NULL);
	hold_ups[0] = clock_now() - start;
	if (tx == NULL)
		return 1;
	for (uint64_t key = 0; key < work->run->records; key++)
		wrong += neap_tx_put(tx, &key, &key) != NEAP_OK;
	wrong += delete_batches_pooled(work, tx, &hold_ups[2]);
	wrong += neap_map_len(neap_tx_map(tx)) != work->run->records - work->run->records / 2;
	wrong += publish_a_version(work, number + 1);
	start = clock_now();
	neap_tx_commit(tx);
	hold_ups[1] = clock_now() - start;
	return wrong;
}

static void *worker(void *ctx)
{
	struct generations_work *work = ctx;
	size_t self = atomic_fetch_add(&work->threads, 1);
	for (size_t round = 0; round < ROUNDS; round++) {
		uint64_t *hold_ups = work->hold_ups + (self * ROUNDS + round) * HOLD_UPS;
		work->wrong += work->run->pooled ? round_pooled(work, hold_ups, self * ROUNDS + round)
						 : round_plain(work, hold_ups);
	}
	return NULL;
}

/* ---- A run ---- */

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void sum_up(struct generations_work *work)
{
	struct generations_run *run = work->run;
	size_t n = (size_t)THREADS * ROUNDS * HOLD_UPS;
	uint64_t sum = 0;
	qsort(work->hold_ups, n, sizeof *work->hold_ups, by_time);
	for (size_t i = 0; i < n; i++)
		sum += work->hold_ups[i];
	run->average_ns = (double)sum / (double)n;
	run->p99_ns = (double)work->hold_ups[n * 99 / 100];
	run->operations = (uint64_t)THREADS * ROUNDS * (run->records + run->records / 2 * 2);
	run->allocations = work->allocations;
	run->wrong = work->wrong;
	for (int i = 0; run->pooled && i < NEAP_SCOPES; i++) {
		run->classes[i].size = sizeof run->classes[i];
		neap_scopes_stats(work->scopes, (enum neap_scope_class)i, &run->classes[i]);
	}
}

static int generations_child(void *ctx)
{
	/* neap-lint: allow dangling-stack: the threads are joined; when one cannot be started, the process ends */
	struct generations_work work = {.run = ctx};
	work.counting = (struct neap_allocator){count_alloc, count_free, &work};
	/* neap-lint: allow leak: when something fails below, the process ends with it */
	work.hold_ups = calloc((size_t)THREADS * ROUNDS * HOLD_UPS, sizeof *work.hold_ups);
	if (work.run->pooled) {
		/* Every thread's map and log may lie idle at once. */
		const struct neap_scopes_options options = {
			.allocator = &work.counting, .object_most = 64 << 20, .byte_cap = (size_t)4 << 30};
		/* neap-lint: allow leak: when something fails below, the process ends with it */
		work.scopes = neap_scopes_create(&generations_type, &options);
		/* neap-lint: allow leak: when something fails below, the process ends with it */
		work.live = work.scopes != NULL ? neap_live_create(work.scopes) : NULL;
	}
	if (work.hold_ups == NULL || (work.run->pooled && work.live == NULL))
		return 1;
	if (work.run->pooled)
		(void)publish_a_version(&work, 1);
	pthread_t threads[THREADS];
	uint64_t start = clock_now();
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, worker, &work) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	work.run->seconds = (double)(clock_now() - start) / 1e9;
	neap_live_destroy(work.live);
	sum_up(&work);
	free(work.hold_ups);
	return neap_scopes_destroy(work.scopes) == 0 ? 0 : 1;
}

static void generations_line(struct result *result, const char *who, const char *figure, double allocations,
			     double average_ns, double p99_ns, double seconds)
{
	result_say(result, "  %-26s %14.5f %11s %11s %7.2f s", who, allocations, duration(average_ns),
		   duration(p99_ns), seconds);
	result_figure(result, allocations, "count", "%s_allocations_per_operation", figure);
	result_figure(result, average_ns, "ns", "%s_stop_average", figure);
	result_figure(result, p99_ns, "ns", "%s_stop_p99", figure);
}

static void generations_go(struct lab *lab, size_t records)
{
	static const char *const ways[] = {"plain", "pool"};
	static const char *const names[] = {"Go, fresh maps and slices", "Go, sync.Pool"};
	struct text why = {0};
	struct go_peer go;
	if (!go_peer_open(&go, &asset_generations_go, &why)) {
		result_say(&lab->result, "  real Go: skipped\n    %.76s", why.at);
		text_free(&why);
		return;
	}
	char n[32];
	snprintf(n, sizeof n, "%zu", records);
	for (size_t i = 0; i < 2; i++) {
		char *output = go_peer_run_with(&go, ways[i], n, NULL, &why);
		if (output == NULL) {
			result_say(&lab->result, "  %s: %s", names[i], why.at);
			continue;
		}
		char figure[16];
		snprintf(figure, sizeof figure, "go_%s", ways[i]);
		generations_line(&lab->result, names[i], figure, go_peer_number(output, "allocations"),
				 go_peer_number(output, "stop_average"), go_peer_number(output, "stop_p99"),
				 go_peer_number(output, "seconds"));
		result_say(&lab->result, "    %s: %.0f collections; of its maps %.1f %% were used again",
			   go_peer_text(output, "version"), go_peer_number(output, "collections"),
			   go_peer_number(output, "reuse"));
		result_figure(&lab->result, go_peer_number(output, "collections"), "count", "%s_collections",
			      figure);
		free(output);
	}
	text_free(&why);
	go_peer_close(&go);
}

static void check_classes(struct result *result, const struct generations_run *pooled)
{
	static const char *const names[NEAP_SCOPES] = {"transient", "transaction", "long_lived"};
	bool returned = true;
	result_say(result, "  CLASS            TAKEN     MADE   REUSED   LATE");
	for (int i = 0; i < NEAP_SCOPES; i++) {
		const struct neap_scopes_stats *class = &pooled->classes[i];
		double percent = 100.0 * (double)class->reused / (double)class->begun;
		result_say(result, "  %-12s %9s %8s %7.2f%% %6s", names[i], thousands(class->begun),
			   thousands(class->made), percent, thousands(class->late));
		result_figure(result, percent, "percent", "%s_reused", names[i]);
		result_check(result, percent >= REUSE_PERCENT,
			     "%s: %.2f %% of what is taken out is used again (at least %d %%)", names[i],
			     percent, REUSE_PERCENT);
		returned &= class->out == 0 && class->begun == class->ended;
	}
	result_check(result, returned, "everything that was taken out came back");
}

static void run_generations(struct lab *lab)
{
	struct generations_run *runs = lab_share(lab, 2 * sizeof *runs);
	if (runs == NULL)
		return;
	size_t records = lab->options->n != 0 ? lab->options->n : RECORDS;
	struct result *result = &lab->result;
	if (records < 2 || records > 1000000) {
		result_skip(result, "--n is the records of each thread: 2 to 1,000,000");
		return;
	}
	result_title(result, "%d threads, %s records each, %d rounds", THREADS, thousands(records), ROUNDS);
	result_say(result, "  %-26s %14s %11s %11s %9s", "", "ALLOCATIONS/OP", "STOP AVG", "STOP P99",
		   "TIME");
	for (int i = 0; i < 2; i++) {
		runs[i].pooled = i == 1;
		runs[i].records = records;
		progress_step("generations", (size_t)i, 3);
		if (!lab_child(lab, i == 1 ? "pooled" : "plain", generations_child, &runs[i]))
			return;
		generations_line(result, i == 1 ? "Neap, scopes" : "Neap, fresh maps",
				 i == 1 ? "scopes" : "fresh",
				 (double)runs[i].allocations / (double)runs[i].operations, runs[i].average_ns,
				 runs[i].p99_ns, runs[i].seconds);
	}
	progress_step("generations: Go", 2, 3);
	generations_go(lab, records);
	check_classes(result, &runs[1]);
	result_check(result, runs[0].wrong == 0 && runs[1].wrong == 0,
		     "every operation of every thread did what it should");
	double ratio = (double)runs[0].allocations / (double)runs[1].allocations;
	result_check(result, ratio >= 5,
		     "scopes ask for memory %.1f times less often than fresh maps (at least 5)", ratio);
}

const struct experiment experiment_generations = {
	.name = "generations",
	.claim = "Of the maps that are taken by how long they live from pools and cleared on return, at "
		 "least 85 % "
		 "in each class are used again, and memory is asked for at most a fifth as often as with "
		 "fresh maps.",
	.method = "128 threads, ten rounds: 10,000 records put, half deleted in batches of 1,000; the same "
		  "with fresh "
		  "maps, and in real Go with and without sync.Pool.",
	.run = run_generations,
};
