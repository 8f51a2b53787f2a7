/* cache_leak.c: what is left of keys that are stored again and again: a timer for each store, or a wheel.
 *
 * A timer that is started for each store and not stopped when the key is stored again lives on until it fires: so the
 * cache that most people write first holds one timer for every store of the last hour, not for every key. Here in C with
 * a heap of timers, in real Go with time.AfterFunc (with and without Stop), and in Neap's cache, whose only timer
 * is a link inside the entry.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/cache.h"
#include "neap/map.h"
#include "neap/observe.h"

enum {
	LEAK_N = 20000,
	LEAK_FEW = 2000,
	LEAK_ROUNDS = 20,
	LEAK_PERCENT = 105, /* of its first round, that the wheel may hold after the last */
	LEAK_TIMES =
		3, /* a timer per store holds at least this many times its first round: 20 timers, one entry */
};

#define LEAK_HOUR UINT64_C(3600000000000)

static uint64_t leak_time = 1;

static uint64_t leak_clock(void *ctx)
{
	(void)ctx;
	return leak_time;
}

static const struct neap_map_type leak_type = {.size = sizeof leak_type,
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 8,
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8};

/* Timers in order of their ends: here they all last an hour, so a list in order of their starts is a heap already. */
struct leak_timers {
	struct leak_timer {
		uint64_t ends, key;
	} * at;
	size_t n, room;
};

static bool leak_start(struct leak_timers *timers, uint64_t key)
{
	if (timers->n == timers->room) {
		timers->room = timers->room == 0 ? 1024 : timers->room * 2;
		struct leak_timer *more = realloc(timers->at, timers->room * sizeof *more);
		if (more == NULL)
			return false;
		timers->at = more;
	}
	timers->at[timers->n++] = (struct leak_timer){leak_time + LEAK_HOUR, key};
	return true;
}

/* Bytes after the first round and after the last. False: no memory. */
static bool leak_with_timers(size_t n, size_t ret[2], size_t *ret_timers)
{
	struct leak_timers timers = {0};
	struct neap_map *map = neap_map_create(&leak_type, NULL);
	bool fine = map != NULL;
	for (int round = 0; fine && round < LEAK_ROUNDS; round++) {
		for (uint64_t key = 0; fine && key < n; key++)
			fine = neap_map_put(map, &key, &key) == 0 && leak_start(&timers, key);
		if (round == 0)
			ret[0] = neap_map_bytes(map) + timers.room * sizeof *timers.at;
	}
	ret[1] = fine ? neap_map_bytes(map) + timers.room * sizeof *timers.at : 0;
	*ret_timers = timers.n;
	free(timers.at);
	neap_map_destroy(map);
	return fine;
}

struct leak_wheel {
	size_t bytes[2], len, after_expiry, longest_step, operations;
};

static bool leak_with_wheel(size_t n, struct leak_wheel *ret)
{
	struct neap_meter meter = {0};
	struct neap_allocator allocator = neap_meter_allocator(&meter);
	struct neap_cache *cache = neap_cache_create(
		&leak_type,
		&(struct neap_cache_options){.allocator = &allocator, .ttl = LEAK_HOUR, .clock = leak_clock});
	if (cache == NULL)
		return false;
	for (int round = 0; round < LEAK_ROUNDS; round++) {
		for (uint64_t key = 0; key < n; key++)
			if (neap_cache_put(cache, &key, &key) != 0) {
				neap_cache_destroy(cache);
				return false;
			}
		if (round == 0)
			ret->bytes[0] = meter.bytes;
	}
	ret->bytes[1] = meter.bytes;
	ret->len = neap_cache_len(cache);
	leak_time += 2 * LEAK_HOUR;
	for (ret->operations = 1; neap_cache_expire(cache); ret->operations++)
		continue;
	ret->after_expiry = meter.bytes;
	struct neap_cache_stats stats = {.size = sizeof stats};
	neap_cache_stats(cache, &stats);
	ret->longest_step = stats.longest_step;
	neap_cache_destroy(cache);
	return true;
}

static void leak_line(struct result *result, const char *name, const char *figure, double first, double last)
{
	result_say(result, "  %-34s%12s%12s%10.1f", name, megabytes(first), megabytes(last),
		   first > 0 ? last / first : 0);
	result_figure(result, first, "bytes", "%s_first", figure);
	result_figure(result, last, "bytes", "%s_last", figure);
}

static void leak_go(struct lab *lab, size_t n)
{
	static const char *const ways[] = {"timers", "stopped"};
	static const char *const names[] = {"time.AfterFunc", "AfterFunc and Stop"};
	struct go_peer go;
	struct text why = {0};
	progress_step("cache-leak: building the Go program", 0, 0);
	if (!go_peer_open(&go, &asset_syncmap_go, &why)) {
		result_say(&lab->result, "  Go's own figures are missing: %s", why.at);
		text_free(&why);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		char way[64], name[64];
		snprintf(way, sizeof way, "%s:%zu:%d", ways[i], n, LEAK_ROUNDS);
		char *output = go_peer_run(&go, &lab->keys, way, lab->seed, &why);
		if (output == NULL) {
			result_check(&lab->result, false, "%s", why.at);
			break;
		}
		double first = go_peer_number(output, "first"), last = go_peer_number(output, "last");
		snprintf(name, sizeof name, "%.10s, %s", go_peer_text(output, "version"), names[i]);
		leak_line(&lab->result, name, i == 0 ? "go_timers" : "go_stopped", first, last);
		if (i == 0)
			result_check(&lab->result, last >= first * LEAK_TIMES,
				     "Go without Stop: %s MB after the last round, %s after the first",
				     megabytes(last), megabytes(first));
		free(output);
	}
	text_free(&why);
	go_peer_close(&go);
}

static void run_cache_leak(struct lab *lab)
{
	struct result *result = &lab->result;
	size_t n = lab->options->n != 0 ? lab->options->n : LEAK_N, timers[2] = {0, 0}, started = 0;
	struct leak_wheel wheel = {0};
	result_title(result, "%s keys, each stored %d times within the hour that it lives", thousands(n),
		     LEAK_ROUNDS);
	if (n < LEAK_FEW) {
		result_skip(result, "%zu keys are too few; --n %d or more", n, LEAK_FEW);
		return;
	}
	if (!leak_with_timers(n, timers, &started) || !leak_with_wheel(n, &wheel)) {
		result_skip(result, "no memory for %zu keys", n);
		return;
	}
	result_say(result, "                                      MB, first    MB, last     times");
	leak_line(result, "C, a timer per store", "timers", (double)timers[0], (double)timers[1]);
	leak_line(result, "Neap's cache, links in the entries", "wheel", (double)wheel.bytes[0],
		  (double)wheel.bytes[1]);
	leak_go(lab, n);
	result_say(result, "  two hours later: removed by %s calls of at most %s entries; %s KB stay",
		   thousands(wheel.operations), thousands(wheel.longest_step),
		   thousands(wheel.after_expiry / 1000));
	result_check(result, started == n * LEAK_ROUNDS && timers[1] >= timers[0] * LEAK_TIMES,
		     "a timer per store: %s timers for %s entries", thousands(started), thousands(n));
	result_check(result, wheel.len == n && wheel.bytes[1] * 100 <= wheel.bytes[0] * LEAK_PERCENT,
		     "the wheel: %s bytes after the last round, %s after the first",
		     thousands(wheel.bytes[1]), thousands(wheel.bytes[0]));
	result_check(
		result, wheel.longest_step <= NEAP_CACHE_STEP && wheel.after_expiry * 20 <= wheel.bytes[1],
		"expiry is spread over operations that visit at most %d entries each, and leaves %s bytes",
		NEAP_CACHE_STEP, thousands(wheel.after_expiry));
}

const struct experiment experiment_cache_leak = {
	.name = "cache-leak",
	.claim = "A timer for each store keeps one timer for every store, in C and in Go; the wheel inside "
		 "the entries "
		 "keeps nothing of an overwritten key, and removes what has ended in bounded steps.",
	.method = "Every key is stored 20 times within its time to live; bytes after the first round and "
		  "after the "
		  "last, then the clock is moved on by two hours.",
	.run = run_cache_leak,
};
