/* nested_values.c: values that own memory: a map, a slice, a queue; what a delete leaves of them.
 *
 * A delete gives back the slot. What the value points to is the program's: without a release callback every deleted
 * owner is lost with all it holds; with one, nothing is. In collected memory nothing is lost without one
 * (nested_collected.c).
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/nested_collected.h"
#include "lab/progress.h"
#include "lab/table.h"
#include "neap/hmap.h"
#include "neap/map.h"

enum {
	DEFAULT_N = 20000, /* owners */
	STAY_PERCENT = 95, /* of the nested bytes, that must still be there without a callback */
	MALLOC_KEEPS =
		48 << 10, /* bytes that may be there with one: malloc's per-thread cache counts as in use */
};

/* Go's slice: three words, the array apart. */
struct slice {
	uint64_t *array;
	size_t len, cap;
};

/* What a channel is underneath: a ring, a lock, someone waiting. */
struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	char (*ring)[MESSAGE];
	size_t len, cap;
};

static const char *const nested_names[NESTED_CASES] = {"map of maps", "map of slices", "map of queues"};
static const char *const nested_figures[NESTED_CASES] = {"maps", "slices", "queues"};

/* The value in the slot. */
union owner {
	struct neap_map *map;
	struct slice slice;
	struct queue *queue;
};

static void *nested_must(void *block)
{
	if (block == NULL) {
		fprintf(stderr, "neap: out of memory in nested-values\n");
		exit(1);
	}
	return block;
}

static struct neap_map *new_inner_map(void)
{
	static const struct neap_map_type type = {.size = sizeof type,
						  .kind = NEAP_KEY_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = 8,
						  .value_align = 8};
	struct neap_map *map = nested_must(neap_map_create(&type, NULL));
	for (uint64_t key = 0; key < INSIDE; key++)
		nested_must(neap_map_put(map, &key, &key) == 0 ? map : NULL);
	return map;
}

static struct queue *new_queue(void)
{
	struct queue *queue = nested_must(calloc(1, sizeof *queue));
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->filled, NULL);
	queue->ring = nested_must(calloc(INSIDE, sizeof *queue->ring));
	queue->cap = queue->len = INSIDE;
	return queue;
}

static union owner new_owner(enum nested which)
{
	union owner owner;
	memset(&owner, 0, sizeof owner);
	switch (which) {
	case NESTED_MAP: owner.map = new_inner_map(); break;
	case NESTED_SLICE:
		owner.slice = (struct slice){nested_must(calloc(INSIDE, 8)), INSIDE, INSIDE};
		break;
	case NESTED_QUEUE:
	case NESTED_CASES: owner.queue = new_queue(); break;
	}
	return owner;
}

static void release_owner(enum nested which, union owner *owner)
{
	switch (which) {
	case NESTED_MAP: neap_map_destroy(owner->map); break;
	case NESTED_SLICE: free(owner->slice.array); break;
	case NESTED_QUEUE:
		pthread_cond_destroy(&owner->queue->filled);
		pthread_mutex_destroy(&owner->queue->lock);
		free(owner->queue->ring);
		free(owner->queue);
		break;
	case NESTED_CASES: break;
	}
}

struct nested_run {
	enum nested which;
	bool callback;
	size_t n;
	/* malloc's bytes in use, without the outer map's: how closely it packs the same blocks depends on the latter. */
	size_t nested_loaded[TABLE_KINDS], nested_left[TABLE_KINDS];
	struct nested_collected collected;
};

static void release_in_neap(void *key, void *value, void *ctx)
{
	(void)key;
	release_owner(((const struct nested_run *)ctx)->which, value);
}

static void release_in_classic(void *value, void *ctx)
{
	release_owner(((const struct nested_run *)ctx)->which, value);
}

/* malloc's bytes in use, without those of the outer map, which a meter counts. */
static size_t nested_bytes(const struct neap_meter *meter)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd - meter->bytes;
}

static void nested_one(struct nested_run *run, enum table_kind kind)
{
	struct neap_meter meter = {0};
	const struct neap_allocator allocator = neap_meter_allocator(&meter);
	const struct neap_map_type type = {.size = sizeof type,
					   .kind = NEAP_KEY_BYTES,
					   .key_size = 8,
					   .key_align = 8,
					   .value_size = sizeof(union owner),
					   .value_align = 8,
					   .release = run->callback ? release_in_neap : NULL,
					   .release_ctx = run};
	const struct neap_hmap_type hmap_type = {.size = sizeof hmap_type,
						 .kind = NEAP_HMAP_BYTES,
						 .flags = NEAP_HMAP_VALUE_POINTERS,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = sizeof(union owner),
						 .value_align = 8,
						 .release = run->callback ? release_in_classic : NULL,
						 .release_ctx = run};
	struct neap_map *map = NULL;
	struct neap_hmap *hmap = NULL;
	if (kind == TABLE_NEAP)
		map = nested_must(
			neap_map_create(&type, &(struct neap_map_options){.allocator = &allocator}));
	else
		hmap = nested_must(
			neap_hmap_create(&hmap_type, &(struct neap_hmap_options){.allocator = &allocator}));
	size_t before = nested_bytes(&meter);
	for (uint64_t key = 0; key < run->n; key++) {
		const union owner owner = new_owner(run->which);
		int error = map != NULL ? neap_map_put(map, &key, &owner) : neap_hmap_put(hmap, &key, &owner);
		nested_must(error == 0 ? &meter : NULL);
	}
	run->nested_loaded[kind] = nested_bytes(&meter) - before;
	for (uint64_t key = 0; key < run->n; key++)
		if (!(map != NULL ? neap_map_delete(map, &key) : neap_hmap_delete(hmap, &key)))
			exit(1);
	size_t after = nested_bytes(&meter);
	run->nested_left[kind] = after > before ? after - before : 0;
	neap_map_destroy(map);
	neap_hmap_destroy(hmap);
}

static int nested_classic(void *ctx)
{
	nested_one(ctx, TABLE_CLASSIC);
	return 0;
}

static int nested_neap(void *ctx)
{
	nested_one(ctx, TABLE_NEAP);
	return 0;
}

static int nested_in_collected_memory(void *ctx)
{
	struct nested_run *run = ctx;
	run->collected = nested_collected(run->which, run->n);
	return 0;
}

/* Without a callback: there is nothing to call. */
static bool run_collected(struct lab *lab, struct nested_run *run)
{
	if (!lab_child(lab, "collected", nested_in_collected_memory, run))
		return false;
	const struct nested_collected *got = &run->collected;
	result_say(&lab->result, "  %-15s%-10s%15s%28s", "", "collected", thousands(got->loaded),
		   thousands(got->left));
	result_figure(&lab->result, (double)got->left, "bytes", "collected_%s_left",
		      nested_figures[run->which]);
	result_check(&lab->result, got->left * 100 <= got->loaded * (100 - STAY_PERCENT) && got->broken == 0,
		     "%s in collected memory: %s of %s nested bytes are left after the deletes and a "
		     "collection; of %zu owners that were held elsewhere %zu were damaged",
		     nested_names[run->which], thousands(got->left), thousands(got->loaded), got->held,
		     got->broken);
	return true;
}

static void show_nested(struct result *result, const struct nested_run *run)
{
	result_say(result, "  %-15s%-10s%15s%14s%14s", run->callback ? "" : nested_names[run->which],
		   run->callback ? "release" : "none", thousands(run->nested_loaded[TABLE_NEAP]),
		   thousands(run->nested_left[TABLE_CLASSIC]), thousands(run->nested_left[TABLE_NEAP]));
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
		result_figure(result, (double)run->nested_left[kind], "bytes", "%s_%s_%s_left",
			      table_names[kind], nested_figures[run->which],
			      run->callback ? "release" : "none");
}

static void check_nested(struct result *result, const struct nested_run *run)
{
	bool all_there = true;
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
		all_there &= run->nested_left[kind] * 100 >= run->nested_loaded[kind] * STAY_PERCENT;
	size_t most = run->nested_left[0] > run->nested_left[1] ? run->nested_left[0] : run->nested_left[1];
	if (run->callback)
		result_check(result, most <= MALLOC_KEEPS,
			     "%s, with a release callback: nothing of %s nested bytes is left after the "
			     "deletes (%s)",
			     nested_names[run->which], thousands(run->nested_loaded[TABLE_NEAP]),
			     thousands(most));
	else
		result_check(result, all_there,
			     "%s, without: all nested bytes are still there after the deletes, and nobody "
			     "holds them",
			     nested_names[run->which]);
}

static void run_nested_values(struct lab *lab)
{
	struct nested_run *runs = lab_share(lab, 2 * NESTED_CASES * sizeof *runs);
	if (runs == NULL)
		return;
	size_t n = lab->options->n != 0 ? lab->options->n : DEFAULT_N;
	result_title(&lab->result, "%s owners of %d elements", thousands(n), INSIDE);
	result_say(&lab->result, "                           NESTED BYTES    LEFT AFTER DELETING EACH");
	result_say(&lab->result, "  VALUES         CALLBACK         loaded       classic          neap");
	for (enum nested which = 0; which < NESTED_CASES; which++)
		for (int callback = 0; callback < 2; callback++) {
			struct nested_run *run = &runs[2 * which + (enum nested)callback];
			*run = (struct nested_run){.which = which, .callback = callback != 0, .n = n};
			progress_step("nested-values", 2 * (size_t)which + (size_t)callback,
				      2 * NESTED_CASES);
			if (!lab_child(lab, "classic", nested_classic, run) ||
			    !lab_child(lab, "neap", nested_neap, run))
				return;
			show_nested(&lab->result, run);
			check_nested(&lab->result, run);
			if (callback && !run_collected(lab, run))
				return;
		}
}

const struct experiment experiment_nested_values = {
	.name = "nested-values",
	.claim = "A delete leaves all of what a value owns behind, be it a map, a slice or a queue, unless "
		 "the map has a "
		 "release callback; with one, nothing is left: in both maps. In collected memory nothing is "
		 "left without one, but for what is still held elsewhere.",
	.method = "Load owners, delete each, and count malloc's bytes in use besides the outer map's own; a "
		  "process each. In collected memory: its objects and malloc's bytes, after a collection.",
	.run = run_nested_values,
};
