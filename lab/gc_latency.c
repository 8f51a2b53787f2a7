/* gc_latency.c: high-frequency delete under collection: how long the program is stopped, and how long an operation takes.
 *
 * A map holds sessions, each an object with a block of bytes. One operation deletes the oldest session and puts a new one,
 * as fast as it goes, so that every collection runs beside deletes. Three ways, each in a process of its own: marking
 * beside the program, marking while it is stopped, and real Go doing the same. Stops are what each collector says of
 * itself, summed for a cycle, the last 256 cycles; operations are timed one by one on the wall clock, so that the worst
 * one holds whatever else the machine did.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/gc_map.h"

enum {
	LATENCY_N = 200000,
	LATENCY_TURNS = 12,	/* operations for each entry: about as many cycles */
	LATENCY_TIMED = 200000, /* entries: below this there is less to mark than to read again */
	LATENCY_LEAST = 3,	/* cycles, or there is nothing to say */
	FINE = 16		/* buckets for each power of two */
};

struct latency_object {
	struct latency_object *previous;
	void *bytes;
	uint64_t number[6];
};
NEAP_TYPE(latency_type, struct latency_object, previous, bytes);

static const struct neap_map_type latency_map = {.size = sizeof latency_map,
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = sizeof(void *),
						 .value_align = _Alignof(void *)};

struct latency_run {
	size_t entries, operations;
	bool stop_the_world, concurrent;
	uint64_t cycles, wall_ns, lost, objects;     /* objects: alive after the last collection */
	uint64_t delays, delay_total, delay_longest; /* what the program's thread felt of the collector */
	uint64_t stop_p50, stop_p99, stop_max;	     /* of a cycle */
	uint64_t op_p50, op_p999, op_max;
	uint64_t histogram[64 * FINE];
};

/* A bijection, so that keys are spread and every key is another one. */
static uint64_t spread(uint64_t number)
{
	number = (number ^ number >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	return number ^ number >> 29;
}

static void latency_put(struct neap_gc_map *map, uint64_t number)
{
	uint64_t key = spread(number);
	struct latency_object *object = neap_gc_alloc(&latency_type);
	void *bytes = neap_gc_alloc_data(96);
	if (object == NULL || bytes == NULL) {
		fprintf(stderr, "neap: out of memory in gc-latency\n");
		exit(1);
	}
	object->bytes = bytes;
	object->number[0] = number;
	if (neap_gc_map_put(map, &key, &object) != NEAP_OK)
		exit(1);
}

static unsigned fine_bucket(uint64_t ns)
{
	if (ns < FINE)
		return (unsigned)ns;
	unsigned top = 63 - (unsigned)__builtin_clzll(ns);
	return top * FINE + (unsigned)(ns >> (top - 4) & (FINE - 1));
}

static uint64_t fine_quantile(const struct latency_run *run, double q)
{
	uint64_t left = (uint64_t)(q * (double)run->operations);
	for (unsigned bucket = 0; bucket < 64 * FINE; bucket++) {
		if (left < run->histogram[bucket])
			return bucket < FINE ? bucket
					     : (uint64_t)(FINE + bucket % FINE) << (bucket / FINE - 4);
		left -= run->histogram[bucket];
	}
	return 0;
}

static int by_length(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static void note_stops(struct latency_run *run, const struct neap_memstats *before,
		       const struct neap_memstats *after)
{
	uint64_t pauses[256];
	run->cycles = after->NumGC - before->NumGC;
	run->delays = after->Delays - before->Delays;
	run->delay_total = after->DelayTotalNs - before->DelayTotalNs;
	run->delay_longest = after->LongestDelayNs;
	size_t n = run->cycles < 256 ? run->cycles : 256;
	for (size_t i = 0; i < n; i++)
		pauses[i] = after->PauseNs[(after->NumGC - 1 - i) % 256];
	if (n == 0)
		return;
	qsort(pauses, n, sizeof *pauses, by_length);
	run->stop_p50 = pauses[n / 2];
	run->stop_p99 = pauses[n * 99 / 100];
	run->stop_max = pauses[n - 1];
}

static void churn(struct latency_run *run, struct neap_gc_map *map)
{
	uint64_t begin = clock_now();
	for (uint64_t i = 0; i < run->operations; i++) {
		uint64_t key = spread(i), start = clock_now();
		neap_gc_map_delete(map, &key);
		latency_put(map, i + run->entries);
		uint64_t took = clock_now() - start;
		run->histogram[fine_bucket(took)]++;
		run->op_max = took > run->op_max ? took : run->op_max;
	}
	run->wall_ns = clock_now() - begin;
}

static int latency_child(void *ctx)
{
	struct latency_run *run = ctx;
	struct neap_memstats before = {.size = sizeof before}, after = before;
	if (neap_gc_start(&(struct neap_gc_options){.size = sizeof(struct neap_gc_options),
						    .stop_the_world = run->stop_the_world}) != NEAP_OK)
		return 1;
	run->concurrent = neap_gc_concurrent();
	struct neap_gc_map *map = neap_gc_map_create(&latency_map, NULL, &neap_gc_pointer, NULL);
	if (map == NULL)
		return 1;
	for (uint64_t i = 0; i < run->entries; i++)
		latency_put(map, i);
	neap_gc_collect();
	neap_memstats(&before);
	churn(run, map);
	neap_memstats(&after);
	note_stops(run, &before, &after);
	run->op_p50 = fine_quantile(run, 0.5);
	run->op_p999 = fine_quantile(run, 0.999);
	for (uint64_t i = run->operations; i < run->operations + run->entries; i++) {
		uint64_t key = spread(i);
		struct latency_object *const *object = neap_gc_map_get(map, &key);
		run->lost += object == NULL || (*object)->number[0] != i;
	}
	neap_gc_collect();
	neap_memstats(&after);
	run->objects = after.HeapObjects;
	neap_gc_map_destroy(map);
	return 0;
}

static void latency_line(struct result *result, const char *name, const char *figure,
			 const struct latency_run *run)
{
	result_say(result, "  %-17s%6llu%9s%9s%9s %9s%9s%9s", name, (unsigned long long)run->cycles,
		   duration((double)run->stop_p50), duration((double)run->stop_p99),
		   duration((double)run->stop_max), duration((double)run->op_p50),
		   duration((double)run->op_p999), duration((double)run->op_max));
	result_figure(result, (double)run->cycles, "count", "%s_cycles", figure);
	result_figure(result, (double)run->stop_p50, "ns", "%s_stop_p50", figure);
	result_figure(result, (double)run->stop_p99, "ns", "%s_stop_p99", figure);
	result_figure(result, (double)run->stop_max, "ns", "%s_stop_max", figure);
	result_figure(result, (double)run->op_p50, "ns", "%s_operation_p50", figure);
	result_figure(result, (double)run->op_p999, "ns", "%s_operation_p999", figure);
	result_figure(result, (double)run->op_max, "ns", "%s_operation_max", figure);
	result_figure(result, (double)run->wall_ns, "ns", "%s_wall", figure);
}

/* Stops, marking for the collector, cycles in its place: a cycle's stop may be several delays, and the other way round. */
static void latency_felt(struct result *result, const char *name, const char *figure,
			 const struct latency_run *run)
{
	result_say(result, "  %-9s held up %s times, %s in all, %s at most", name, thousands(run->delays),
		   duration((double)run->delay_total), duration((double)run->delay_longest));
	result_figure(result, (double)run->delays, "count", "%s_delays", figure);
	result_figure(result, (double)run->delay_total, "ns", "%s_delay_total", figure);
	result_figure(result, (double)run->delay_longest, "ns", "%s_delay_longest", figure);
}

/* Operations that took from 2^power to 2^(power + 1) ns. */
static uint64_t taking(const struct latency_run *run, unsigned power)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < FINE; i++)
		count += run->histogram[power * FINE + i];
	return count;
}

/* A bar as long as the number's logarithm: one operation in a million must be seen. */
static const char *log_bar(uint64_t count)
{
	static const char full[] = "████████████████████████";
	enum { BYTES = 3, MOST = (sizeof full - 1) / BYTES };
	size_t length = count == 0 ? 0 : (size_t)(64 - __builtin_clzll(count));
	return full + (MOST - (length < MOST ? length : MOST)) * BYTES;
}

/* How long deletes and puts took, drawn. */
static void draw_operations(struct result *result, const char *name, const struct latency_run *run)
{
	enum { FIRST = 4, LAST = 63 };
	unsigned low = FIRST, high = LAST;
	while (low < high && taking(run, low) == 0)
		low++;
	while (high > low && taking(run, high) == 0)
		high--;
	result_say(result, " ");
	result_say(result, "  %s: deletes and puts by time, a step of a bar is twice as many", name);
	for (unsigned power = low; power <= high; power++)
		result_say(result, "  %9s %s %s", duration((double)(UINT64_C(1) << power)),
			   log_bar(taking(run, power)), thousands(taking(run, power)));
}

static void run_latency_go(struct lab *lab, size_t entries, size_t operations)
{
	struct go_peer go;
	struct text why = {0};
	char first[32], second[32];
	progress_step("gc-latency: building the Go program", 0, 0);
	if (!go_peer_open(&go, &asset_latency_go, &why)) {
		result_say(&lab->result, "  Go's own figures are missing:\n  %s", why.at);
		text_free(&why);
		return;
	}
	snprintf(first, sizeof first, "%zu", entries);
	snprintf(second, sizeof second, "%zu", operations);
	char *output = go_peer_run_with(&go, first, second, NULL, &why);
	if (output == NULL) {
		result_check(&lab->result, false, "%s", why.at);
		text_free(&why);
	} else {
		struct latency_run run = {.cycles = (uint64_t)go_peer_number(output, "cycles"),
					  .wall_ns = (uint64_t)go_peer_number(output, "wall_ns"),
					  .stop_p50 = (uint64_t)go_peer_number(output, "stop_p50"),
					  .stop_p99 = (uint64_t)go_peer_number(output, "stop_p99"),
					  .stop_max = (uint64_t)go_peer_number(output, "stop_max"),
					  .op_p50 = (uint64_t)go_peer_number(output, "op_p50"),
					  .op_p999 = (uint64_t)go_peer_number(output, "op_p999"),
					  .op_max = (uint64_t)go_peer_number(output, "op_max")};
		latency_line(&lab->result, go_peer_text(output, "version"), "go", &run);
		result_check(&lab->result,
			     go_peer_number(output, "lost") == 0 &&
				     go_peer_number(output, "operations") == (double)operations &&
				     go_peer_number(output, "left") == (double)entries &&
				     go_peer_number(output, "mallocs") >= 2.0 * (double)operations &&
				     go_peer_number(output, "objects") >= 2.0 * (double)entries,
			     "Go did the same work: %s objects made, %s alive at the end, no session lost",
			     thousands((uint64_t)go_peer_number(output, "mallocs")),
			     thousands((uint64_t)go_peer_number(output, "objects")));
		free(output);
	}
	go_peer_close(&go);
}

static void run_gc_latency(struct lab *lab)
{
	struct latency_run *beside = lab_share(lab, 2 * sizeof *beside), *stopped = beside + 1;
	if (beside == NULL)
		return;
	struct result *result = &lab->result;
	size_t entries = lab->options->n != 0 ? lab->options->n : LATENCY_N;
	beside->entries = stopped->entries = entries;
	beside->operations = stopped->operations = entries * LATENCY_TURNS;
	stopped->stop_the_world = true;
	result_title(result, "%s sessions, %s deletes and puts", thousands(entries),
		     thousands(beside->operations));
	result_say(result, "                   CYCLES  STOP, OF A CYCLE            DELETE AND PUT");
	result_say(result, "                              p50      p99      max       p50    p99.9      max");
	if (!lab_child(lab, "marking beside the program", latency_child, beside))
		return;
	latency_line(result, beside->concurrent ? "neap, concurrent" : "neap, no tracking", "concurrent",
		     beside);
	if (!lab_child(lab, "marking while stopped", latency_child, stopped))
		return;
	latency_line(result, "neap, stopping", "stopping", stopped);
	run_latency_go(lab, entries, beside->operations);
	latency_felt(result, "beside", "concurrent", beside);
	latency_felt(result, "stopping", "stopping", stopped);
	draw_operations(result, "beside", beside);
	draw_operations(result, "stopping", stopped);
	if (beside->cycles < LATENCY_LEAST || stopped->cycles < LATENCY_LEAST) {
		result_skip(result, "%zu sessions are too few to be collected while they change", entries);
		return;
	}
	result_check(result, beside->lost == 0 && stopped->lost == 0,
		     "no session that is in the map was lost: %zu of %zu are whole",
		     entries - (size_t)(beside->lost + stopped->lost), entries);
	result_check(result,
		     beside->objects <= 2 * entries + entries / 10 + 100 &&
			     stopped->objects <= 2 * entries + entries / 10 + 100,
		     "what was deleted is gone: %s objects for %s sessions of two",
		     thousands(beside->objects), thousands(entries));
	if (beside->concurrent && entries >= LATENCY_TIMED)
		result_check(result, beside->stop_p50 < stopped->stop_p50,
			     "the median cycle stops the program for less when marking runs beside it: %s "
			     "against %s",
			     duration((double)beside->stop_p50), duration((double)stopped->stop_p50));
	else if (!beside->concurrent)
		result_say(result,
			   "  this kernel does not track written pages: all marking stops the program");
}

const struct experiment experiment_gc_latency = {
	.name = "gc-latency",
	.claim = "Deleting at the highest rate loses nothing that is alive and leaves nothing that is not; "
		 "with "
		 "200,000 entries, marking beside the program stops it for less than marking while it is "
		 "stopped.",
	.method = "The oldest entry is deleted and a new one put, over and over; stops and single operations "
		  "are "
		  "timed, beside real Go doing the same.",
	.run = run_gc_latency,
};
