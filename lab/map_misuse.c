/* map_misuse.c: what happens to a program that misuses a map.
 *
 * Each accident is really made, in a child process: two threads race, a loop inserts into a map that forbids
 * it, a pointer is kept too long. A race is caught when the two meet, which is a matter of luck in any one
 * operation: a child races until it is stopped or its time is up, and several children are run. The line that
 * each one died with is the evidence.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/child.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/guard.h"
#include "neap/hmap.h"
#include "neap/map.h"

enum {
	RACE_SECONDS =
		10,	  /* a race not caught by then counts as missed; on two cores it takes milliseconds */
	ATTEMPTS = 5,	  /* children per accident */
	CAUGHT_LEAST = 3, /* of them; a race may also end in a crash before it is caught */
	KEYS = 4096,	  /* small enough that segments split and merge all the time */
};

static const struct neap_map_type misuse_type = {.size = sizeof(struct neap_map_type),
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = 8,
						 .value_align = 8};
static const struct neap_hmap_type misuse_hmap_type = {.size = sizeof(struct neap_hmap_type),
						       .kind = NEAP_HMAP_BYTES,
						       .key_size = 8,
						       .key_align = 8,
						       .value_size = 8,
						       .value_align = 8};

enum second_thread { SECOND_WRITES, SECOND_READS, SECOND_ITERATES };

/* What a racing child needs to know. */
struct race {
	bool classic;
	enum second_thread second;
	struct neap_map *map;
	struct neap_hmap *hmap;
};

static volatile uint64_t race_sink; /* keeps look-ups from being optimised away */

static _Noreturn void write_for_ever(const struct race *race)
{
	for (uint64_t i = 0;; i++) {
		uint64_t key = i % KEYS;
		bool insert = (i / KEYS) % 2 == 0;
		if (race->classic && insert)
			(void)neap_hmap_put(race->hmap, &key, &i);
		else if (race->classic)
			(void)neap_hmap_delete(race->hmap, &key);
		else if (insert)
			(void)neap_map_put(race->map, &key, &i);
		else
			(void)neap_map_delete(race->map, &key);
	}
}

static void read_once(const struct race *race, uint64_t key)
{
	const void *value = race->classic ? neap_hmap_get(race->hmap, &key) : neap_map_get(race->map, &key);
	race_sink += value != NULL;
}

static void iterate_once(const struct race *race)
{
	if (race->classic) {
		struct neap_hmap_iter it;
		neap_hmap_iter_init(&it, race->hmap);
		while (neap_hmap_iter_next(&it))
			race_sink++;
		neap_hmap_iter_deinit(&it);
		return;
	}
	neap_map_each (it, race->map) {
		race_sink++;
	}
}

static void *second_thread(void *ctx)
{
	const struct race *race = ctx;
	if (race->second == SECOND_WRITES)
		write_for_ever(race);
	for (uint64_t key = 0;; key++) {
		if (race->second == SECOND_READS)
			read_once(race, key % KEYS);
		else
			iterate_once(race);
	}
	return NULL;
}

static int race_child(void *ctx)
{
	struct race *race = ctx;
	if (race->classic)
		race->hmap =
			neap_hmap_create(&misuse_hmap_type, &(struct neap_hmap_options){.name = "sessions"});
	else
		race->map = neap_map_create(&misuse_type, &(struct neap_map_options){.name = "sessions"});
	pthread_t other;
	if (pthread_create(&other, NULL, second_thread, race) != 0)
		return 1;
	write_for_ever(race);
}

static int strict_child(void *ctx)
{
	(void)ctx;
	const struct neap_map_options options = {.name = "sessions", .strict_iteration = true};
	/* neap-lint: allow leak: the process ends here */
	struct neap_map *map = neap_map_create(&misuse_type, &options);
	for (uint64_t key = 0; key < 100; key++)
		(void)neap_map_put(map, &key, &key);
	neap_map_each (it, map) { /* neap-lint: allow iterator-after-change: this is what is shown */
		uint64_t key = *(const uint64_t *)it.key + 1000;
		(void)neap_map_put(map, &key, &key);
	}
	return 0;
}

/* One line that names what happened, to which map, in which call. */
static bool is_one_clear_line(const char *lines, const char *rule, const char *operation)
{
	const char *end = strchr(lines, '\n');
	return end != NULL && end[1] == '\0' && strstr(lines, rule) != NULL &&
	       strstr(lines, "\"sessions\"") != NULL && strstr(lines, operation) != NULL;
}

/* The first of `lines`, folded. */
static void say_line(struct result *result, const char *lines)
{
	enum { WIDTH = 74 };
	size_t length = strcspn(lines, "\n");
	for (size_t at = 0; at < length; at += WIDTH)
		result_say(result, at == 0 ? "    %.*s" : "      %.*s",
			   (int)(length - at < WIDTH ? length - at : WIDTH), lines + at);
}

/* Either thread may be the one that notices, so the line may name either operation. */
struct accident {
	const char *what, *figure;
	enum second_thread second;
};

static void try_race(struct result *result, const struct accident *accident, bool classic)
{
	struct race race = {.classic = classic, .second = accident->second};
	const char *prefix = classic ? "neap_hmap_" : "neap_map_";
	char line[CHILD_LINES] = "";
	int caught = 0, crashed = 0, missed = 0;
	for (int i = 0; i < ATTEMPTS; i++) {
		struct child_end end = child_run(race_child, &race, RACE_SECONDS, true);
		/* Go's map does not know who the other is, so the classic map does not either. */
		bool clear = end.signal == SIGABRT &&
			     is_one_clear_line(end.lines, "concurrent map", prefix) &&
			     (classic || strstr(end.lines, "other thread 0x") != NULL);
		if (clear)
			snprintf(line, sizeof line, "%s", end.lines);
		caught += clear;
		missed += end.timed_out;
		crashed += !clear && !end.timed_out;
		if (missed > ATTEMPTS - CAUGHT_LEAST)
			break;
	}
	result_say(result, "  %s, %s", accident->what, classic ? "classic map" : "Neap's map");
	result_say(result, "    caught %d, ended otherwise %d, not caught in %d s: %d", caught, crashed,
		   RACE_SECONDS, missed);
	say_line(result, line);
	result_figure(result, caught, "count", "%s_%s_caught", classic ? "classic" : "neap",
		      accident->figure);
	result_check(result, caught >= CAUGHT_LEAST,
		     "%s, %s: stopped with one line that names map, operation%s, %d of %d times",
		     accident->what, classic ? "classic map" : "Neap's map",
		     classic ? "" : " and the other thread", caught, caught + crashed + missed);
}

static void try_nil(struct result *result)
{
	const uint64_t key = 1;
	int error = neap_map_put(NULL, &key, &key), classic_error = neap_hmap_put(NULL, &key, &key);
	result_say(result, "  a write to a nil map: refused with %d, \"%s\"", error, neap_strerror(error));
	result_check(result, error == NEAP_ENIL && classic_error == NEAP_ENIL,
		     "a write to a nil map is refused: \"%s\"", neap_strerror(error));
}

static void try_strict(struct result *result)
{
	struct child_end end = child_run(strict_child, NULL, RACE_SECONDS, true);
	bool clear = end.signal == SIGABRT &&
		     is_one_clear_line(end.lines, "strict iteration", "neap_map_iter_next");
	result_say(result, "  an insert in a loop over a map made with strict_iteration");
	say_line(result, end.lines);
	result_check(result, clear,
		     "strict iteration: an insert inside the loop stops the program with one line (%s)",
		     child_end_text(&end));
}

/* A value pointer that is kept over deletes. Nothing can stop a load through it; what it reads is shown. */
static void try_stale_pointer(struct result *result)
{
	enum { N = 200000 };
	struct neap_map *map = neap_map_create(&misuse_type, NULL);
	for (uint64_t key = 0; key < N; key++)
		(void)neap_map_put(map, &key, &key);
	const uint64_t wanted = 7;
	const uint64_t *kept = neap_map_get(map, &wanted);
	uintptr_t before = (uintptr_t)kept;
	for (uint64_t key = 0; key < N; key++)
		if (key != wanted)
			(void)neap_map_delete(map, &key);
	const uint64_t *fresh = neap_map_get(map, &wanted);
	bool moved = (uintptr_t)fresh != before;
	result_say(result, "  a value pointer kept over %s deletes: the value %s", thousands(N - 1),
		   moved ? "has moved," : "is where it was");
	result_say(result, "    %s",
		   moved ? "a store through the old pointer would be lost or hit another entry" : "");
	result_check(
		result, fresh != NULL && *fresh == wanted && moved,
		"a value moves when segments merge, so a pointer to it ends with the next change of the map");
	neap_map_destroy(map);
}

static int stale_child(void *ctx)
{
	(void)ctx;
	/* neap-lint: allow leak: the process ends here */
	struct neap_map *map = neap_map_create(&misuse_type, &(struct neap_map_options){.name = "sessions"});
	for (uint64_t key = 0; map != NULL && key < 100; key++)
		(void)neap_map_put(map, &key, &key);
	const uint64_t kept = 7, gone = 8;
	if (map == NULL)
		return 1;
	struct neap_ref ref = neap_ref_of(map, neap_map_get(map, &kept));
	if (neap_ref_get(&ref) == NULL)
		return 1;
	(void)neap_map_delete(map, &gone);
	/* neap-lint: allow use-after-delete: this is what is shown */
	race_sink += *(uint64_t *)neap_ref_get(&ref);
	return 0;
}

/* The same pointer, kept as a reference. */
static void try_stale_reference(struct result *result)
{
	struct child_end end = child_run(stale_child, NULL, RACE_SECONDS, true);
	bool clear =
		end.signal == SIGABRT && is_one_clear_line(end.lines, "stale value pointer", "neap_ref_get");
	result_say(result, "  a value pointer kept over a delete as a neap_ref");
	say_line(result, end.lines);
	result_check(result, clear, "a stale neap_ref stops the program with one line at its first use (%s)",
		     child_end_text(&end));
}

/* ---- Blocks of a program's own, and of maps that are gone: quarantine and guard pages ---- */

static int destroyed_child(void *ctx)
{
	(void)ctx;
	/* neap-lint: allow leak: the process ends here */
	struct neap_quarantine *quarantine = neap_quarantine_create(NULL, 1 << 20);
	if (quarantine == NULL)
		return 1;
	const struct neap_map_options options = {.name = "sessions",
						 .allocator = neap_quarantine_allocator(quarantine)};
	struct neap_map *map = neap_map_create(&misuse_type, &options);
	const uint64_t key = 7;
	(void)neap_map_put(map, &key, &key);
	uint64_t *kept = neap_map_get(map, &key);
	neap_map_destroy(map);
	*kept = 8; /* neap-lint: allow use-after-free: this is what is shown */
	neap_quarantine_check(quarantine);
	return 0;
}

static int freed_twice_child(void *ctx)
{
	(void)ctx;
	/* neap-lint: allow leak: the process ends here */
	struct neap_quarantine *quarantine = neap_quarantine_create(NULL, 1 << 20);
	if (quarantine == NULL)
		return 1;
	const struct neap_allocator *allocator = neap_quarantine_allocator(quarantine);
	void *block = allocator->alloc(allocator->ctx, 40, 8);
	allocator->free(allocator->ctx, block, 40);
	allocator->free(allocator->ctx, block, 40); /* neap-lint: allow double-free: this is what is shown */
	return 0;
}

/* Every block guarded; in production one in thousands. */
static const struct neap_allocator *guarded_blocks(void)
{
	const struct neap_sampler_options options = {.one_in = 1, .catch_faults = true};
	/* neap-lint: allow leak: the process ends with it */
	struct neap_sampler *sampler = neap_sampler_create(&options);
	if (sampler == NULL)
		_exit(1);
	return neap_sampler_allocator(sampler);
}

static int past_the_end_child(void *ctx)
{
	(void)ctx;
	const struct neap_allocator *allocator = guarded_blocks();
	for (int i = 0; i < 100; i++) { /* at the end of its page or at its start, at random */
		volatile char *block = allocator->alloc(allocator->ctx, 48, 16);
		block[48] = 1;
	}
	return 0;
}

static int freed_block_child(void *ctx)
{
	(void)ctx;
	const struct neap_allocator *allocator = guarded_blocks();
	volatile uint64_t *block = allocator->alloc(allocator->ctx, 48, 16);
	*block = 1;
	allocator->free(allocator->ctx, (void *)(uintptr_t)block, 48);
	race_sink += *block; /* neap-lint: allow use-after-free: this is what is shown */
	return 0;
}

/* What is done, by whom it is found, and what its line has to say. */
struct block_accident {
	const char *what, *guard, *rule;
	int (*child)(void *ctx);
};

static void try_block(struct result *result, const struct block_accident *accident)
{
	struct child_end end = child_run(accident->child, NULL, RACE_SECONDS, true);
	result_say(result, "  %s: %s", accident->what, accident->guard);
	say_line(result, end.lines);
	result_check(result, end.signal != 0 && !end.timed_out && strstr(end.lines, accident->rule) != NULL,
		     "%s: the %s stops the program and says so (%s)", accident->what, accident->guard,
		     child_end_text(&end));
}

#if defined(__SANITIZE_THREAD__)
#	define THREADS_ARE_CHECKED 1
#elif defined(__has_feature)
#	if __has_feature(thread_sanitizer)
#		define THREADS_ARE_CHECKED 1
#	endif
#endif
#ifndef THREADS_ARE_CHECKED
#	define THREADS_ARE_CHECKED 0
#endif

static void run_map_misuse(struct lab *lab)
{
	static const struct accident accidents[] = {
		{"two writers", "two_writers", SECOND_WRITES},
		{"a writer beside a reader", "writer_reader", SECOND_READS},
		{"a writer beside an iterator", "writer_iterator", SECOND_ITERATES},
	};
	if (THREADS_ARE_CHECKED) {
		result_skip(&lab->result,
			    "built with ThreadSanitizer, which stops the races before the maps can");
		return;
	}
	enum { ACCIDENTS = sizeof accidents / sizeof *accidents };
	for (size_t i = 0; i < ACCIDENTS; i++)
		for (int classic = 0; classic < 2; classic++) {
			progress_step("map-misuse: racing", 2 * i + (size_t)classic, 2 * (size_t)ACCIDENTS);
			try_race(&lab->result, &accidents[i], classic != 0);
		}
	try_nil(&lab->result);
	try_strict(&lab->result);
	try_stale_pointer(&lab->result);
	try_stale_reference(&lab->result);
	static const struct block_accident blocks[] = {
		{"a write to a value of a destroyed map", "quarantine", "write after free", destroyed_child},
		{"a block freed twice", "quarantine", "double free", freed_twice_child},
		{"a write past the end of a block", "guard page", "access out of bounds", past_the_end_child},
		{"a read of a freed block", "guard page", "use after free", freed_block_child},
	};
	for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
		try_block(&lab->result, &blocks[i]);
}

const struct experiment experiment_map_misuse = {
	.name = "map-misuse",
	.claim = "Two threads that write one map, or write it beside a reader or an iterator, are stopped "
		 "with one line "
		 "that names the map and the operation; so is an insert under strict iteration, the use of a "
		 "stale reference to a value, and what touches freed blocks in a quarantine or beside guard "
		 "pages; a nil map refuses.",
	.method = "Each accident is made for real in child processes, five times where it is a race.",
	.run = run_map_misuse,
};
