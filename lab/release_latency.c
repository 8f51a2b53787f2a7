/* release_latency.c: how long after the last delete the memory is back with the operating system.
 *
 * The maps hold numbers of 8 bytes and values of 56, so that everything is in the table. A thread samples RSS
 * and the map's own byte count every half millisecond while another deletes every entry in random order; then
 * both rest. Resident memory that came with loading and has left again is "back". A release can't be timed
 * more finely than the samples around it, so the resolution that was reached is printed and limits the claim.
 *
 * In collected memory the values are objects behind the map. After the deletes the program does nothing at all: that
 * it rests is what makes the collector collect and give back.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "lab/child.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "lab/table.h"
#include "neap/gc_map.h"
#include "neap/hmap.h"

enum {
	DEFAULT_N = 1000000,
	REST_MS = 200, /* both maps are watched for this long after the last delete */
	COLLECTED_REST_MS = 4000,
	COLLECTED_SOON_MS = 2000, /* a second at rest, then a collection */
	BACK_PERCENT = 95,	  /* of what loading took counts as "the memory is back" */
	KEPT_PERCENT = 90,	  /* of it counts as "the memory stayed" */
	SOON_MS = 10,		  /* what "at once" means, widened to three times the worst sample distance */
	RESOLUTION_US = 1000,	  /* p50 that is good enough: twice the period */
	BOOK_EVERY = 256,	  /* deletes between updates of the byte count that the sampler reads */
	FEW = 100000, /* below this a twentieth of the table is less than the two books of RSS differ by */
	SHOWN = 14,   /* lines of evidence from the curve */
	SHOWN_WIDTH = 36, /* columns of a bar in them */
};

struct latency_value {
	uint64_t words[7];
};

struct latency_run {
	enum table_kind kind;
	bool in_collected; /* instead of one of the kinds */
	unsigned rest_ms;
	size_t n;
	uint64_t seed;
	uint64_t base, loaded, at_end;		  /* RSS, bytes */
	uint64_t load_ns, delete_from, delete_to; /* ns on the curve */
	struct rss_curve curve;
};

static const struct neap_map_type latency_type = {.size = sizeof(struct neap_map_type),
						  .kind = NEAP_KEY_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = sizeof(struct latency_value),
						  .value_align = 8};
static const struct neap_hmap_type latency_hmap_type = {.size = sizeof(struct neap_hmap_type),
							.kind = NEAP_HMAP_BYTES,
							.key_size = 8,
							.key_align = 8,
							.value_size = sizeof(struct latency_value),
							.value_align = 8};

static const struct neap_map_type latency_gc_type = {.size = sizeof(struct neap_map_type),
						     .kind = NEAP_KEY_BYTES,
						     .key_size = 8,
						     .key_align = 8,
						     .value_size = sizeof(struct latency_value *),
						     .value_align = 8};
static struct neap_gc_map *latency_collected;

/* One of the maps. */
struct latency_map {
	bool collected; /* latency_collected */
	struct neap_map *map;
	struct neap_hmap *hmap;
	struct neap_meter meter;
};

/* An odd factor permutes the numbers below 2^64: keys in no order. */
static uint64_t latency_key(const struct latency_run *run, size_t i)
{
	return (i + run->seed) * UINT64_C(0x9e3779b97f4a7c15);
}

static __attribute__((noinline)) bool latency_put_collected(uint64_t key)
{
	struct latency_value *value = neap_gc_alloc_data(sizeof *value);
	if (value == NULL)
		return false;
	value->words[0] = key;
	return neap_gc_map_put(latency_collected, &key, &value) == NEAP_OK;
}

static bool latency_put(struct latency_map *maps, uint64_t key)
{
	if (maps->collected)
		return latency_put_collected(key);
	const struct latency_value value = {{key}};
	return (maps->map != NULL ? neap_map_put(maps->map, &key, &value)
				  : neap_hmap_put(maps->hmap, &key, &value)) == 0;
}

static void latency_delete(struct latency_map *maps, uint64_t key)
{
	if (maps->collected)
		(void)neap_gc_map_delete(latency_collected, &key);
	else if (maps->map != NULL)
		(void)neap_map_delete(maps->map, &key);
	else
		(void)neap_hmap_delete(maps->hmap, &key);
}

/* The map's bytes, for the sampler. The classic map's all come from the meter. */
static void keep_book(struct latency_run *run, const struct latency_map *maps)
{
	size_t bytes = maps->collected	   ? neap_map_bytes(neap_gc_map_of(latency_collected))
		       : maps->map != NULL ? neap_map_bytes(maps->map)
					   : maps->meter.bytes;
	atomic_store_explicit(&run->curve.heap, bytes, memory_order_relaxed);
}

static void rest(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	while (nanosleep(&left, &left) != 0) /* the collector's signal ends a sleep */
		;
}

static bool latency_load(struct latency_run *run, struct latency_map *maps)
{
	for (size_t i = 0; i < run->n; i++) {
		if (!latency_put(maps, latency_key(run, i)))
			return false;
		if (i % BOOK_EVERY == 0)
			keep_book(run, maps);
	}
	keep_book(run, maps);
	return true;
}

/* Another odd factor, modulo a power of two: every index once, far from the order of loading. */
static void latency_delete_all(struct latency_run *run, struct latency_map *maps)
{
	size_t span = 1;
	while (span < run->n)
		span *= 2;
	for (size_t step = 0; step < span; step++) {
		size_t i = (step * 0x9e3779b1u) & (span - 1);
		if (i >= run->n)
			continue;
		latency_delete(maps, latency_key(run, i));
		if (step % BOOK_EVERY == 0)
			keep_book(run, maps);
	}
	keep_book(run, maps);
}

static bool latency_create(const struct latency_run *run, struct latency_map *maps,
			   const struct neap_allocator *allocator)
{
	const struct neap_map_options options = {.allocator = allocator};
	maps->collected = run->in_collected;
	if (maps->collected)
		latency_collected = neap_gc_map_create(&latency_gc_type, NULL, &neap_gc_pointer, &options);
	else if (run->kind == TABLE_NEAP)
		maps->map = neap_map_create(&latency_type, &options);
	else
		maps->hmap = neap_hmap_create(&latency_hmap_type,
					      &(struct neap_hmap_options){.allocator = allocator});
	return latency_collected != NULL || maps->map != NULL || maps->hmap != NULL;
}

static int latency_child(void *ctx)
{
	struct latency_run *run = ctx;
	struct latency_map maps = {0};
	const struct neap_allocator allocator = neap_meter_allocator(&maps.meter);
	struct rss_sampler *sampler = rss_start(&run->curve);
	if (sampler == NULL || !latency_create(run, &maps, &allocator))
		return 1;
	if (run->in_collected)
		neap_gc_collect(); /* its own tables are no part of what is to come back */
	rss_calibrate(&run->curve, "start");
	run->base = rss_rollup();
	if (!latency_load(run, &maps))
		return 1;
	rest(REST_MS);
	rss_calibrate(&run->curve, "loaded");
	run->loaded = rss_rollup();
	run->delete_from = clock_now() - run->curve.start;
	latency_delete_all(run, &maps);
	run->delete_to = clock_now() - run->curve.start;
	rest(run->rest_ms);
	run->at_end = rss_rollup();
	rss_calibrate(&run->curve, "deleted, rested");
	rss_stop(sampler);
	neap_map_destroy(maps.map);
	neap_hmap_destroy(maps.hmap);
	return 0;
}

/* RSS below which BACK_PERCENT of what loading took is back. */
static uint64_t back_level(const struct latency_run *run)
{
	return run->base + (run->loaded - run->base) / 100 * (100 - BACK_PERCENT);
}

enum { LATENCY_RUNS = TABLE_KINDS + 1 };
static const char *const latency_names[LATENCY_RUNS] = {"classic map", "Neap's map", "collected"};
static const char *const latency_figures[LATENCY_RUNS] = {"classic", "neap", "gc"};

static unsigned latency_index(const struct latency_run *run)
{
	return run->in_collected ? TABLE_KINDS : (unsigned)run->kind;
}

/* ns from the last delete until the memory was back for good; -1: never. */
static double back_after(const struct latency_run *run)
{
	uint64_t back = rss_settled_at(&run->curve, run->delete_from, back_level(run));
	if (back == UINT64_MAX)
		return -1;
	return back > run->delete_to ? (double)(back - run->delete_to) : 0;
}

/* The delete and the rest in SHOWN lines: time, RSS, the map's bytes. */
static void latency_lines(struct result *result, const struct latency_run *run)
{
	uint64_t until = run->delete_to + run->rest_ms * UINT64_C(1000000);
	result_say(result, "  %s: ms since the first delete, RSS in MB, the map's bytes in MB",
		   latency_names[latency_index(run)]);
	size_t at = 0;
	for (int line = 0; line < SHOWN; line++) {
		uint64_t when = run->delete_from + (until - run->delete_from) * (uint64_t)line / (SHOWN - 1);
		while (at + 1 < run->curve.n && run->curve.samples[at].at < when)
			at++;
		const struct rss_sample *sample = &run->curve.samples[at];
		int bar = run->loaded == 0 ? 0 : (int)(SHOWN_WIDTH * sample->bytes / run->loaded);
		result_say(result, "  %8.1f %8s %8s  %.*s%s",
			   ((double)sample->at - (double)run->delete_from) / 1e6,
			   megabytes((double)sample->bytes), megabytes((double)sample->heap),
			   bar > SHOWN_WIDTH ? SHOWN_WIDTH : bar, "####################################",
			   sample->at > run->delete_to ? "  (resting)" : "");
	}
}

static void collected_check(struct result *result, const struct latency_run *run)
{
	struct rss_resolution got = rss_resolution_of(&run->curve, run->delete_from, UINT64_MAX);
	double after = back_after(run), allowed = COLLECTED_SOON_MS * 1e6 + 3 * (double)got.worst;
	result_figure(result, after, "ns", "gc_back_after_last_delete");
	result_check(result, after >= 0 && after <= allowed,
		     "collected: %d %% of the memory is back %s after the last delete, without a call, at "
		     "most %s",
		     BACK_PERCENT, after < 0 ? "never" : duration(after), duration(allowed));
}

static void latency_checks(struct result *result, const struct latency_run runs[LATENCY_RUNS])
{
	const struct latency_run *classic = &runs[TABLE_CLASSIC], *neap = &runs[TABLE_NEAP];
	struct rss_resolution got = rss_resolution_of(&neap->curve, neap->delete_from, UINT64_MAX);
	double after = back_after(neap);
	uint64_t allowed = SOON_MS * UINT64_C(1000000);
	allowed = 3 * got.worst > allowed ? 3 * got.worst : allowed;
	result_figure(result, after, "ns", "neap_back_after_last_delete");
	result_say(result, "  samples every %.2f ms (p50), %.2f (p99), %.2f at worst; %zu of %zu late",
		   (double)got.p50 / 1e6, (double)got.p99 / 1e6, (double)got.worst / 1e6, got.late,
		   got.samples);
	result_say(result, "  statm and smaps_rollup differ by at most %s KB at %zu marks",
		   thousands(got.statm_off / 1024), neap->curve.marks_n);
	result_check(result, after >= 0 && after <= (double)allowed,
		     "Neap's map: %d %% of the memory is back %s after the last delete, at most %s (three "
		     "times the worst "
		     "sample distance counts when that is more)",
		     BACK_PERCENT, after < 0 ? "never" : duration(after), duration((double)allowed));
	double grown = (double)classic->loaded - (double)classic->base;
	double stays = (double)classic->at_end - (double)classic->base;
	result_figure(result, stays, "bytes", "classic_stays");
	result_figure(result, grown, "bytes", "classic_grown");
	result_check(result, stays * 100 >= grown * KEPT_PERCENT,
		     "the classic map: %s of %s MB are still resident %d ms after the last delete",
		     megabytes(stays), megabytes(grown), REST_MS);
	result_check(result, got.p50 <= RESOLUTION_US * UINT64_C(1000),
		     "the sampler keeps up: half of its samples are within %.2f ms of each other",
		     (double)got.p50 / 1e6);
}

static void run_release_latency(struct lab *lab)
{
	struct latency_run *runs = lab_share(lab, LATENCY_RUNS * sizeof *runs);
	if (runs == NULL)
		return;
	struct result *result = &lab->result;
	size_t n = lab->options->n != 0 ? lab->options->n : DEFAULT_N;
	result_title(result, "%s numbers with values of 56 bytes, seed %llu", thousands(n),
		     (unsigned long long)lab->seed);
	if (n < FEW) {
		result_skip(result, "%zu entries are too few to see in RSS; --n %d or more", n, FEW);
		return;
	}
	for (unsigned i = 0; i < LATENCY_RUNS; i++) {
		struct latency_run *run = &runs[i];
		run->in_collected = i == TABLE_KINDS;
		run->kind = run->in_collected ? TABLE_NEAP : (enum table_kind)i;
		run->rest_ms = run->in_collected ? COLLECTED_REST_MS : REST_MS;
		run->n = n;
		run->seed = lab->seed;
		progress_step("release-latency: watching", i, LATENCY_RUNS);
		if (!lab_child(lab, latency_names[i], latency_child, run))
			return;
		latency_lines(result, run);
		result_say(result, "  deleting took %s, %s a delete\n",
			   duration((double)(run->delete_to - run->delete_from)),
			   duration((double)(run->delete_to - run->delete_from) / (double)n));
		struct rss_resolution got = rss_resolution_of(&run->curve, run->delete_from, UINT64_MAX);
		const char *name = latency_figures[i];
		result_figure(result, (double)(run->delete_to - run->delete_from) / (double)n, "ns",
			      "%s_delete", name);
		result_figure(result, (double)got.p50, "ns", "%s_resolution_p50", name);
		result_figure(result, (double)got.p99, "ns", "%s_resolution_p99", name);
		result_figure(result, (double)got.worst, "ns", "%s_resolution_worst", name);
		result_figure(result, (double)got.late, "count", "%s_samples_late", name);
		result_figure(result, (double)got.samples, "count", "%s_samples", name);
		result_figure(result, (double)got.statm_off, "bytes", "%s_statm_off", name);
		result_curve(result, &run->curve, latency_names[i]);
	}
	latency_checks(result, runs);
	collected_check(result, &runs[TABLE_KINDS]);
}

const struct experiment experiment_release_latency = {
	.name = "release-latency",
	.claim =
		"Deleting every entry of Neap's map has given 95 % of the memory back to the system within "
		"10 ms of the "
		"last delete; the classic map has given back nothing 200 ms later. In collected memory it is "
		"back 2 s after the last delete, without a call.",
	.method = "RSS every 0.5 ms from a thread of its own (statm, compared with smaps_rollup at each "
		  "step) while all "
		  "entries are deleted in no order.",
	.run = run_release_latency,
};
