/* delete_million.c: a million deletes, plain, preallocated, from a kept table, from a table out of a pool, and from two
 * threads under one lock, or on the concurrent map under none: time, what stays, collections; the same in real Go and
 * in uthash.
 *
 * The keys lie ready in memory before the clock starts, in all programs. Ours free a malloc block per key inside
 * the delete; Go's collector does that part of the work elsewhere, so its collections are counted. What stays
 * is bytes of the table for ours, RSS after FreeOSMemory for Go.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/peers/uthash_peer.h"
#include "lab/progress.h"
#include "lab/table.h"
#include "neap/cmap.h"
#include "neap/pool.h"

enum {
	DEFAULT_N = 1000000,
	FEW = 20000,
	ROUNDS = 2,	      /* of which the best time counts: noise only ever adds */
	KEPT_PERCENT = 1,     /* of the loaded table, that Neap's map may keep when all is deleted */
	CMAP_PERCENT = 2,     /* of all that it had, that the concurrent map may keep */
	SLOWER_TIMES = 3,     /* the classic map's delete, with the same malloc and free */
	TIMED_LEAST = 200000, /* keys: below this a time says more about the machine's other work */
	THREADS = 2,
};

enum million_way {
	MILLION_PLAIN,
	MILLION_RESERVED,
	MILLION_KEPT,
	MILLION_POOLED,
	MILLION_SHARED,
	MILLION_WAYS
};

static const char *const million_names[MILLION_WAYS] = {"plain", "preallocated", "table kept, reused",
							"table from a pool", "2 threads, 1 lock"};
static const char *const million_figures[MILLION_WAYS] = {"plain", "reserved", "kept", "pooled", "shared"};

enum million_peer { MILLION_CLASSIC, MILLION_NEAP, MILLION_CMAP, MILLION_UTHASH, MILLION_PEERS };

static const char *const million_peers[MILLION_PEERS] = {"classic", "neap", "cmap", "uthash"};

static const struct neap_map_type million_type = {.size = sizeof million_type,
						  .kind = NEAP_KEY_STR,
						  .key_size = sizeof(struct neap_str),
						  .key_align = _Alignof(struct neap_str),
						  .value_size = sizeof(struct file_facts),
						  .value_align = _Alignof(struct file_facts)};

struct million_run {
	const struct keys *keys;
	enum million_peer peer;
	enum million_way way;
	uint64_t load_ns, delete_ns; /* best of ROUNDS, for all keys */
	size_t loaded, kept;	     /* bytes of the table */
	size_t left;		     /* entries */
	size_t reused, idle;	     /* pooled: tables that were used again; alive after two collections */
};

/* All keys, ready in memory. */
struct ready_keys {
	struct neap_str *at;
	struct file_facts *facts;
	size_t n;
};

/* What deletes: a whole table, or a thread's half of it. */
struct million_work {
	struct table *table;
	struct uthash_table *uthash;
	struct neap_cmap *cmap;
	const struct ready_keys *keys;
	size_t from, to;
	pthread_mutex_t *lock; /* NULL: alone */
};

/* The bytes are never freed: the child ends. */
static bool make_ready(const struct keys *keys, struct ready_keys *ret)
{
	struct key_cursor cursor;
	struct neap_str key;
	struct file_facts facts;
	char *bytes = mmap(NULL, keys->bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ret->at = calloc(keys->n, sizeof *ret->at);
	ret->facts = calloc(keys->n, sizeof *ret->facts);
	if (bytes == MAP_FAILED || ret->at == NULL || ret->facts == NULL)
		return false;
	key_cursor_open(&cursor, keys);
	for (ret->n = 0; key_cursor_next(&cursor, &key, &facts); ret->n++) {
		memcpy(bytes, key.ptr, key.len);
		ret->at[ret->n] = (struct neap_str){bytes, key.len, 0};
		ret->facts[ret->n] = facts;
		bytes += key.len;
	}
	key_cursor_close(&cursor);
	return true;
}

static void load_all(const struct million_work *work)
{
	for (size_t i = 0; i < work->keys->n; i++) {
		if (work->uthash != NULL)
			uthash_put(work->uthash, work->keys->at[i], &work->keys->facts[i]);
		else if (work->cmap != NULL)
			(void)neap_cmap_store(work->cmap, &work->keys->at[i], &work->keys->facts[i]);
		else
			table_put(work->table, work->keys->at[i], &work->keys->facts[i]);
	}
}

static void *delete_part(void *ctx)
{
	const struct million_work *work = ctx;
	for (size_t i = work->from; i < work->to; i++) {
		if (work->lock != NULL)
			pthread_mutex_lock(work->lock);
		if (work->uthash != NULL)
			uthash_delete(work->uthash, work->keys->at[i]);
		else if (work->cmap != NULL)
			(void)neap_cmap_delete(work->cmap, &work->keys->at[i]);
		else
			table_delete(work->table, work->keys->at[i]);
		if (work->lock != NULL)
			pthread_mutex_unlock(work->lock);
	}
	return NULL;
}

static void delete_all(const struct million_work *whole, bool shared)
{
	struct million_work
		parts[THREADS]; /* neap-lint: allow dangling-stack: every thread is joined below */
	pthread_t threads[THREADS];
	/* neap-lint: allow dangling-stack: as above */
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	if (!shared) {
		parts[0] = *whole;
		delete_part(&parts[0]);
		return;
	}
	size_t started = 0;
	for (size_t i = 0; i < THREADS; i++) {
		parts[i] = *whole;
		parts[i].from = whole->keys->n * i / THREADS;
		parts[i].to = whole->keys->n * (i + 1) / THREADS;
		parts[i].lock = whole->cmap != NULL ? NULL : &lock;
	}
	while (started < THREADS &&
	       pthread_create(&threads[started], NULL, delete_part, &parts[started]) == 0)
		started++;
	for (size_t i = started; i < THREADS; i++) /* no thread to be had: do its part here */
		delete_part(&parts[i]);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

/* ---- Tables from a pool ---- */

static size_t pooled_alive;

static void *pooled_create(void *ctx)
{
	pooled_alive++;
	return table_create(*(const enum million_peer *)ctx == MILLION_NEAP ? TABLE_NEAP : TABLE_CLASSIC, 0);
}

static void pooled_destroy(void *table, void *ctx)
{
	(void)ctx;
	pooled_alive--;
	table_destroy(table);
}

static void pooled_reset(void *table, void *ctx)
{
	(void)ctx;
	table_clear_keep(table);
}

static size_t pooled_bytes(const void *table, void *ctx)
{
	(void)ctx;
	return table_bytes(table);
}

static struct neap_pool *pooled_open(enum million_peer *peer)
{
	const struct neap_pool_type type = {.size = sizeof type,
					    .create = pooled_create,
					    .destroy = pooled_destroy,
					    .reset = pooled_reset,
					    .bytes = pooled_bytes,
					    .ctx = peer};
	/* A table of a million keys is to be kept: the bounds are the machine's. */
	return neap_pool_create(
		&type, &(struct neap_pool_options){.object_most = SIZE_MAX / 16, .byte_cap = SIZE_MAX / 4});
}

static void pooled_close(struct million_run *run, struct neap_pool *pool)
{
	if (pool == NULL)
		return;
	struct neap_pool_stats stats = {.size = sizeof stats};
	neap_pool_stats(pool, &stats);
	run->reused = (size_t)stats.hits;
	(void)neap_pool_collect(pool);
	(void)neap_pool_collect(pool);
	run->idle = pooled_alive;
	(void)neap_pool_destroy(pool);
}

static size_t million_bytes(const struct million_work *work)
{
	struct neap_cmap_stats stats = {.size = sizeof stats};
	if (work->cmap != NULL) {
		neap_cmap_stats(work->cmap, &stats);
		return stats.total;
	}
	return work->uthash != NULL ? uthash_bytes(work->uthash) : table_bytes(work->table);
}

static uint64_t best(uint64_t so_far, uint64_t now)
{
	return so_far == 0 || now < so_far ? now : so_far;
}

static int million_child(void *ctx)
{
	struct million_run *run = ctx;
	struct ready_keys keys = {0}; /* neap-lint: allow dangling-stack: delete_all joins its threads */
	bool ready = make_ready(run->keys, &keys);
	struct million_work work = {.keys = &keys, .to = keys.n};
	struct neap_pool *pool = run->way == MILLION_POOLED ? pooled_open(&run->peer) : NULL;
	for (int round = 0; ready && round < ROUNDS; round++) {
		size_t room = run->way == MILLION_RESERVED ? keys.n : 0;
		if (run->peer == MILLION_UTHASH)
			work.uthash = uthash_create();
		else if (run->peer == MILLION_CMAP)
			work.cmap = neap_cmap_create(&million_type, NULL);
		else if (pool != NULL)
			work.table = neap_pool_get(pool);
		else
			work.table =
				table_create(run->peer == MILLION_NEAP ? TABLE_NEAP : TABLE_CLASSIC, room);
		ready = work.uthash != NULL || work.cmap != NULL || work.table != NULL;
		if (!ready)
			break;
		if (run->way == MILLION_KEPT) { /* a first life, so that the slots are there for the second */
			load_all(&work);
			table_clear_keep(work.table);
		}
		uint64_t start = clock_now();
		load_all(&work);
		run->load_ns = best(run->load_ns, clock_now() - start);
		run->loaded = million_bytes(&work);
		start = clock_now();
		delete_all(&work, run->way == MILLION_SHARED);
		run->delete_ns = best(run->delete_ns, clock_now() - start);
		run->kept = million_bytes(&work);
		run->left = work.uthash != NULL ? uthash_len(work.uthash)
			    : work.cmap != NULL ? neap_cmap_len(work.cmap)
						: table_len(work.table);
		if (work.uthash != NULL)
			uthash_destroy(work.uthash);
		else if (work.cmap != NULL)
			neap_cmap_destroy(work.cmap);
		else if (pool != NULL)
			neap_pool_put(pool, work.table);
		else
			table_destroy(work.table);
	}
	pooled_close(run, pool);
	free(keys.at);
	free(keys.facts);
	return ready ? 0 : 1;
}

static void million_line(struct result *result, const struct million_run *run, bool first)
{
	double n = (double)run->keys->n;
	const char *name = million_peers[run->peer], *figure = million_figures[run->way];
	bool unlocked = run->peer == MILLION_CMAP && run->way == MILLION_SHARED;
	result_say(result, "  %-8s %-18s%10s%10s%10s%10s", first ? name : "",
		   unlocked ? "2 threads, no lock" : million_names[run->way],
		   duration((double)run->load_ns / n), duration((double)run->delete_ns / n),
		   megabytes((double)run->loaded), megabytes((double)run->kept));
	result_figure(result, (double)run->load_ns / n, "ns", "%s_%s_insert", name, figure);
	result_figure(result, (double)run->delete_ns / n, "ns", "%s_%s_delete", name, figure);
	result_figure(result, (double)run->loaded, "bytes", "%s_%s_loaded", name, figure);
	result_figure(result, (double)run->kept, "bytes", "%s_%s_kept", name, figure);
}

/* Go's ways: all but the kept table, for which Go before 1.21 has no call. */
static void run_million_go(struct lab *lab)
{
	static const char *const ways[] = {"plain", "reserved", "pooled", "shared"};
	static const char *const names[] = {"plain", "preallocated", "sync.Pool", "2 threads, 1 lock"};
	struct go_peer go;
	struct text why = {0};
	double n = (double)lab->keys.n;
	progress_step("delete-million: building the Go program", 0, 0);
	if (!go_peer_open(&go, &asset_delete_go, &why)) {
		result_say(&lab->result, "\n  Go's own figures are missing:\n  %s", why.at);
		text_free(&why);
		return;
	}
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		char *output = go_peer_run(&go, &lab->keys, ways[i], lab->seed, &why);
		if (output == NULL) {
			result_check(&lab->result, false, "%s", why.at);
			text_free(&why);
			break;
		}
		double delete_ns = go_peer_number(output, "delete_ns") / n;
		result_say(&lab->result, "  %-8s %-18s%10s%10s%10s%10s  %3.0f GCs",
			   i == 0 ? go_peer_text(output, "version") : "", names[i],
			   duration(go_peer_number(output, "load_ns") / n), duration(delete_ns),
			   megabytes(go_peer_number(output, "peak")),
			   megabytes(go_peer_number(output, "kept")), go_peer_number(output, "collections"));
		result_figure(&lab->result, delete_ns, "ns", "go_%s_delete", ways[i]);
		result_figure(&lab->result, go_peer_number(output, "load_ns") / n, "ns", "go_%s_insert",
			      ways[i]);
		result_figure(&lab->result, go_peer_number(output, "kept"), "bytes", "go_%s_kept", ways[i]);
		result_figure(&lab->result, go_peer_number(output, "collections"), "count",
			      "go_%s_collections", ways[i]);
		free(output);
	}
	go_peer_close(&go);
}

static bool run_million_ours(struct lab *lab, struct million_run runs[MILLION_PEERS][MILLION_WAYS])
{
	result_say(&lab->result, "                               INSERT    DELETE    LOADED      KEPT");
	result_say(&lab->result, "  TABLE    WAY                   each      each        MB        MB");
	for (enum million_peer peer = 0; peer < MILLION_PEERS; peer++)
		for (enum million_way way = 0; way < MILLION_WAYS; way++) {
			struct million_run *run = &runs[peer][way];
			if (peer == MILLION_UTHASH && (way != MILLION_PLAIN || !uthash_available()))
				continue;
			if (peer == MILLION_CMAP && way != MILLION_PLAIN && way != MILLION_SHARED)
				continue;
			*run = (struct million_run){.keys = &lab->keys, .peer = peer, .way = way};
			progress_step("delete-million", (size_t)peer * MILLION_WAYS + way,
				      (size_t)MILLION_PEERS * MILLION_WAYS);
			if (!lab_child(lab, million_names[way], million_child, run))
				return false;
			million_line(&lab->result, run, way == 0);
		}
	return true;
}

static void run_delete_million(struct lab *lab)
{
	struct million_run(*runs)[MILLION_WAYS] = lab_share(lab, MILLION_PEERS * sizeof *runs);
	if (runs == NULL)
		return;
	if (lab->keys.n < FEW) {
		result_skip(&lab->result, "%zu keys are too few to time; --n %d or more", lab->keys.n, FEW);
		return;
	}
	if (!run_million_ours(lab, runs))
		return;
	run_million_go(lab);
	struct result *result = &lab->result;
	bool all_kept = true, none_kept = true, all_gone = true;
	for (enum million_way way = 0; way < MILLION_WAYS; way++) {
		const struct million_run *classic = &runs[MILLION_CLASSIC][way],
					 *neap = &runs[MILLION_NEAP][way];
		all_kept &= classic->kept * 10 >= classic->loaded * 9;
		none_kept &= neap->kept * 100 <= neap->loaded * KEPT_PERCENT;
		all_gone &= classic->left == 0 && neap->left == 0;
	}
	const struct million_run *one = &runs[MILLION_CMAP][MILLION_PLAIN],
				 *two = &runs[MILLION_CMAP][MILLION_SHARED];
	all_gone &= one->left == 0 && two->left == 0;
	const struct million_run *plain = &runs[MILLION_NEAP][MILLION_PLAIN];
	const struct million_run *pooled = &runs[MILLION_NEAP][MILLION_POOLED];
	result_check(result, pooled->reused == ROUNDS - 1 && pooled->idle == 0,
		     "a table from a pool is used again, and two collections leave %zu of it", pooled->idle);
	result_check(result, all_gone, "every key was found and deleted, in every way");
	result_check(result, none_kept,
		     "Neap's map keeps at most %d %% of its table in every way: plain %s of %s bytes",
		     KEPT_PERCENT, thousands(plain->kept), thousands(plain->loaded));
	result_check(result,
		     one->kept * 100 <= one->loaded * CMAP_PERCENT &&
			     two->kept * 100 <= two->loaded * CMAP_PERCENT,
		     "the concurrent map keeps at most %d %%, also with two threads: %s of %s bytes",
		     CMAP_PERCENT, thousands(two->kept), thousands(two->loaded));
	result_check(result, all_kept, "the classic map keeps at least 90 %% of its table in every way");
	const struct million_run *classic = &runs[MILLION_CLASSIC][MILLION_PLAIN];
	if (lab->keys.n >= TIMED_LEAST)
		result_check(result, plain->delete_ns <= SLOWER_TIMES * classic->delete_ns,
			     "giving memory back costs less than it may: %s a delete, against %s in the "
			     "classic map (at most "
			     "%d times)",
			     duration((double)plain->delete_ns / (double)lab->keys.n),
			     duration((double)classic->delete_ns / (double)lab->keys.n), SLOWER_TIMES);
}

const struct experiment experiment_delete_million = {
	.name = "delete-million",
	.claim = "A million deletes leave the classic map with its whole table and Neap's map with at most 1 "
		 "%, however it "
		 "was filled, at no more than three times the classic map's time with the same malloc.",
	.method = "Keys ready in memory; insert all, delete all, best of two, in a process of its own for "
		  "each way; the "
		  "same in real Go and in uthash.",
	.default_n = DEFAULT_N,
	.run = run_delete_million,
};
