/* reachability.c: is a deleted entry's object still reachable, and what keeps it?
 *
 * An object is put into a collected map; something else may hold it too; the entry is deleted. Then neap_why is asked,
 * by an inverted address, so that asking keeps nothing; the answer lies in shared memory, which is no root. What it names
 * is let go, and it is asked again.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/gc_map.h"

enum reach_way {
	REACH_NOTHING,
	REACH_STATIC,
	REACH_CHAIN,
	REACH_HANDLE,
	REACH_THREAD,
	REACH_OTHER_MAP,
	REACH_WAYS
};

static const char *const reach_names[REACH_WAYS] = {"nothing else",	      "a static variable",
						    "a list, from a static",  "a handle",
						    "another thread's stack", "an entry of another map"};
static const char *const reach_figures[REACH_WAYS] = {"nothing", "static", "list", "handle", "thread", "map"};
static const enum neap_why_root reach_roots[REACH_WAYS] = {NEAP_WHY_UNREACHABLE, NEAP_WHY_STATIC,
							   NEAP_WHY_STATIC,	 NEAP_WHY_HANDLE,
							   NEAP_WHY_STACK,	 NEAP_WHY_STATIC};
static const size_t reach_lengths[REACH_WAYS] = {0, 1, 4, 1, 1, 2};

struct record {
	struct record *next;
	uint64_t number;
};
NEAP_TYPE(record_type, struct record, next);

static const struct neap_map_type record_map = {.size = sizeof record_map,
						.kind = NEAP_KEY_BYTES,
						.key_size = 8,
						.key_align = 8,
						.value_size = sizeof(void *),
						.value_align = _Alignof(void *)};

struct reach_run {
	struct {
		struct neap_why in_map, deleted, released;
		uint64_t ns;
		bool right_word; /* the root's word is the variable, handle or map that holds it */
	} at[REACH_WAYS];
	uint64_t asker; /* its thread */
};

static struct neap_gc_map *records, *other_records;
static struct record *static_record;
static const uint64_t one = 1;
static sem_t record_held, record_let_go;

static void reach_must(bool done)
{
	if (!done) {
		fprintf(stderr, "neap: out of memory in reachability\n");
		exit(1);
	}
}

static struct record *make_record(struct record *next)
{
	struct record *record = neap_gc_alloc(&record_type);
	reach_must(record != NULL);
	record->next = next;
	return record;
}

/* Stays in a function that has the record in its frame. */
static void *holding_thread(void *held)
{
	struct record *volatile record = held;
	reach_must(neap_thread_attach() == NEAP_OK);
	sem_post(&record_held);
	sem_wait(&record_let_go);
	neap_keep_alive(record);
	return NULL;
}

/* A record in the map and with its other holder; inverted. */
static __attribute__((noinline)) uintptr_t put_record(enum reach_way way, struct neap_gc_handle **ret_handle,
						      pthread_t *ret_thread)
{
	struct record *record = make_record(NULL);
	reach_must(neap_gc_map_put(records, &one, &record) == NEAP_OK);
	if (way == REACH_STATIC)
		static_record = record;
	if (way == REACH_CHAIN)
		static_record = make_record(make_record(make_record(record)));
	if (way == REACH_HANDLE)
		reach_must((*ret_handle = neap_gc_handle_create(record)) != NULL);
	if (way == REACH_THREAD) {
		reach_must(pthread_create(ret_thread, NULL, holding_thread, record) == 0);
		sem_wait(&record_held);
	}
	if (way == REACH_OTHER_MAP)
		reach_must(neap_gc_map_put(other_records, &one, &record) == NEAP_OK);
	return ~(uintptr_t)record;
}

static __attribute__((noinline)) void ask_why(uintptr_t inverted, struct neap_why *ret)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
	ret->size = sizeof *ret;
	reach_must(neap_why_hidden(inverted, ret) == NEAP_OK);
}

static bool is_right_word(enum reach_way way, const struct neap_why *why, const struct neap_gc_handle *handle,
			  pthread_t thread)
{
	switch (way) {
	case REACH_STATIC:
	case REACH_CHAIN: return why->word == &static_record;
	case REACH_HANDLE: return why->word == (const void *)handle;
	case REACH_THREAD: return why->thread == (uint64_t)thread;
	case REACH_OTHER_MAP: return why->word == &other_records;
	default: return why->word == NULL;
	}
}

static void reach_one(struct reach_run *run, enum reach_way way)
{
	struct neap_gc_handle *handle = NULL;
	pthread_t thread = pthread_self();
	uintptr_t inverted = put_record(way, &handle, &thread);
	ask_why(inverted, &run->at[way].in_map);
	neap_gc_map_delete(records, &one);
	uint64_t start = clock_now();
	ask_why(inverted, &run->at[way].deleted);
	run->at[way].ns = clock_now() - start;
	run->at[way].right_word = is_right_word(way, &run->at[way].deleted, handle, thread);
	static_record = NULL;
	neap_gc_handle_destroy(handle);
	if (way == REACH_THREAD) {
		sem_post(&record_let_go);
		pthread_join(thread, NULL);
	}
	neap_gc_map_delete(other_records, &one);
	ask_why(inverted, &run->at[way].released);
}

static int reach_child(void *ctx)
{
	reach_must(sem_init(&record_held, 0, 0) == 0 && sem_init(&record_let_go, 0, 0) == 0);
	records = neap_gc_map_create(&record_map, NULL, &neap_gc_pointer, NULL);
	other_records = neap_gc_map_create(&record_map, NULL, &neap_gc_pointer, NULL);
	reach_must(records != NULL && other_records != NULL);
	((struct reach_run *)ctx)->asker = (uint64_t)pthread_self();
	(void)neap_gc_set_percent(-1); /* a dropped object is still there to be asked about */
	for (enum reach_way way = 0; way < REACH_WAYS; way++)
		reach_one(ctx, way);
	return 0;
}

/* By all but, in some builds, a stray word on the asker's stack, which is then named. */
static bool is_let_go(const struct reach_run *run, const struct neap_why *why, unsigned *strays)
{
	bool stray = why->root == NEAP_WHY_STACK && why->thread == run->asker;
	*strays += stray;
	return stray || why->root == NEAP_WHY_UNREACHABLE;
}

static void run_reachability(struct lab *lab)
{
	static const char *const roots[] = {"unreachable", "static", "thread-local", "range",
					    "handle",	   "stack",  "other"};
	struct reach_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !lab_child(lab, "reachability", reach_child, run))
		return;
	struct result *result = &lab->result;
	unsigned strays = 0;
	bool in_map = true, named = true, let_go = true;
	result_say(result, "  ALSO HELD BY             IN THE MAP  DELETED     OBJECTS LET GO         ASKED");
	for (enum reach_way way = 0; way < REACH_WAYS; way++) {
		const struct neap_why *why = &run->at[way].deleted;
		result_say(result, "  %-24s %-11s %-11s%8zu %-11s%9s", reach_names[way],
			   roots[run->at[way].in_map.root], roots[why->root], why->length,
			   roots[run->at[way].released.root], duration((double)run->at[way].ns));
		in_map &= run->at[way].in_map.root != NEAP_WHY_UNREACHABLE;
		if (way == REACH_NOTHING)
			named &= is_let_go(run, why, &strays);
		else
			named &= why->root == reach_roots[way] && why->length == reach_lengths[way] &&
				 run->at[way].right_word;
		let_go &= is_let_go(run, &run->at[way].released, &strays);
		result_figure(result, (double)run->at[way].ns, "ns", "%s_asked", reach_figures[way]);
	}
	result_check(result, in_map, "what is in a collected map is reachable");
	result_check(
		result, named,
		"a deleted entry's object is unreachable, or kept by exactly what else holds it: the kind of "
		"root, its very word, and the number of objects on the path are right");
	result_check(
		result, let_go && strays <= 1,
		"when that lets go it is unreachable (a stray word on the asker's stack may keep one: %u)",
		strays);
}

const struct experiment experiment_reachability = {
	.name = "reachability",
	.claim = "For the object of a deleted entry neap_why says whether it is reachable, and the path that "
		 "keeps it: "
		 "static variable, handle, another thread's stack, another map, or nothing.",
	.method = "An entry is deleted while something else holds its object, in six ways; the answer is "
		  "compared with "
		  "what was done, and asked for again when that has let go.",
	.run = run_reachability,
};
