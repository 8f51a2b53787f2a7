/* concurrent_map.c: one map for several threads: behind a lock, owned by a thread that others send operations to, and
 * Neap's concurrent map, also of collected objects; Go's sync.Map beside them.
 *
 * Times are CPU time of the whole process for each operation, so that what else the machine is doing does not count; the
 * queue's waiting costs little CPU, so its threads spin, as those of a busy server do. What stays is bytes of the map
 * after one thread has deleted every key and called nothing else.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/gc_cmap.h"

enum {
	SHARED_N = 200000,
	SHARED_FEW = 100000, /* below, 64 empty shards are more than 2 % */
	SHARED_THREADS = 2,
	SHARED_OPS = 400000, /* of each thread; the queue a tenth */
	SHARED_ROUNDS = 2,   /* of which the best counts */
	KEPT_AT_MOST = 2,    /* percent of the full map, by the concurrent map */
	QUEUE_TIMES = 3,     /* a queue costs at least as many times what the concurrent map costs */
	LOCK_PERCENT =
		200, /* a read costs at most this share of one behind a lock, which may be free all the time */
};

enum shared_way { SHARED_LOCK, SHARED_QUEUE, SHARED_CMAP, SHARED_COLLECTED, SHARED_WAYS };

static const char *const shared_names[SHARED_WAYS] = {"one lock", "queue to an owner", "concurrent map",
						      "the same, collected"};
static const char *const shared_figures[SHARED_WAYS] = {"lock", "queue", "cmap", "collected"};

struct shared_run {
	enum shared_way way;
	size_t n;
	double read_ns, mixed_ns;
	size_t full, kept, left;
};

/* One operation, and its answer once `state` is 2. */
struct shared_request {
	_Alignas(64) _Atomic int state; /* 0 free, 1 asked, 2 answered, 3 the asker has gone */
	uint64_t key;
	int verb;
};

struct shared_map {
	enum shared_way way;
	size_t n;
	struct neap_map *map;
	struct neap_cmap *cmap;
	struct neap_gc_cmap *collected; /* its values are objects that have the number of the key */
	struct neap_gc_handle *keeps;	/* it: this struct is no root */
	pthread_mutex_t lock;
	struct shared_request requests[SHARED_THREADS];
};

struct shared_worker {
	struct shared_map *shared;
	size_t index, ops, writes_of_100;
};

static const struct neap_map_type shared_type = {.size = sizeof shared_type,
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = 8,
						 .value_align = 8};

enum { SHARED_LOAD, SHARED_STORE, SHARED_DELETE };

static void shared_plain(struct neap_map *map, uint64_t key, int verb)
{
	if (verb == SHARED_LOAD) {
		const uint64_t *value = neap_map_get(map, &key);
		if (value != NULL && *value != key)
			abort();
	} else if (verb == SHARED_STORE) {
		(void)neap_map_put(map, &key, &key);
	} else {
		(void)neap_map_delete(map, &key);
	}
}

static void shared_concurrent(struct neap_cmap *map, uint64_t key, int verb)
{
	uint64_t value;
	if (verb == SHARED_LOAD) {
		if (neap_cmap_load(map, &key, &value) && value != key)
			abort();
	} else if (verb == SHARED_STORE) {
		(void)neap_cmap_store(map, &key, &key);
	} else {
		(void)neap_cmap_delete(map, &key);
	}
}

static void shared_collected(struct neap_gc_cmap *map, uint64_t key, int verb)
{
	uint64_t *object = NULL;
	if (verb == SHARED_LOAD) {
		if (neap_gc_cmap_load(map, &key, &object) && (object == NULL || *object != key))
			abort();
	} else if (verb == SHARED_STORE) {
		object = neap_gc_alloc_data(sizeof *object);
		if (object == NULL)
			abort();
		*object = key;
		(void)neap_gc_cmap_store(map, &key, &object);
	} else {
		(void)neap_gc_cmap_delete(map, &key);
	}
}

static void shared_ask(struct shared_request *request, uint64_t key, int verb)
{
	request->key = key;
	request->verb = verb;
	atomic_store_explicit(&request->state, 1, memory_order_release);
	while (atomic_load_explicit(&request->state, memory_order_acquire) != 2)
		sched_yield();
}

static void shared_do(struct shared_map *shared, size_t worker, uint64_t key, int verb)
{
	switch (shared->way) {
	case SHARED_LOCK:
		pthread_mutex_lock(&shared->lock);
		shared_plain(shared->map, key, verb);
		pthread_mutex_unlock(&shared->lock);
		break;
	case SHARED_QUEUE: shared_ask(&shared->requests[worker], key, verb); break;
	case SHARED_COLLECTED: shared_collected(shared->collected, key, verb); break;
	default: shared_concurrent(shared->cmap, key, verb); break;
	}
}

static void *shared_work(void *ctx)
{
	const struct shared_worker *worker = ctx;
	uint64_t random = worker->index + 1;
	for (size_t i = 0; i < worker->ops; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		int verb = (random >> 8) % 100 >= worker->writes_of_100 ? SHARED_LOAD
			   : (random >> 20 & 1) == 0			? SHARED_STORE
									: SHARED_DELETE;
		shared_do(worker->shared, worker->index, (random >> 33) % worker->shared->n, verb);
	}
	atomic_store(&worker->shared->requests[worker->index].state, 3);
	return NULL;
}

/* The thread that alone touches the map, until all askers have gone. */
static void shared_own(struct shared_map *shared)
{
	for (int gone = 0; gone < SHARED_THREADS;) {
		bool idle = true;
		gone = 0;
		for (int i = 0; i < SHARED_THREADS; i++) {
			struct shared_request *request = &shared->requests[i];
			int state = atomic_load_explicit(&request->state, memory_order_acquire);
			gone += state == 3;
			if (state != 1)
				continue;
			shared_plain(shared->map, request->key, request->verb);
			atomic_store_explicit(&request->state, 2, memory_order_release);
			idle = false;
		}
		if (idle)
			sched_yield();
	}
}

/* CPU nanoseconds of the process for one operation. 0: no thread to be had. */
static double shared_time(struct shared_map *shared, size_t writes_of_100)
{
	struct timespec from, to;
	pthread_t threads[SHARED_THREADS];
	/* neap-lint: allow dangling-stack: they are joined; when one cannot be started, the process ends */
	struct shared_worker workers[SHARED_THREADS];
	size_t ops = shared->way == SHARED_QUEUE ? SHARED_OPS / 10 : SHARED_OPS;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (size_t i = 0; i < SHARED_THREADS; i++) {
		workers[i] = (struct shared_worker){shared, i, ops, writes_of_100};
		atomic_store(&shared->requests[i].state, 0);
		if (pthread_create(&threads[i], NULL, shared_work, &workers[i]) != 0)
			return 0;
	}
	if (shared->way == SHARED_QUEUE)
		shared_own(shared);
	for (size_t i = 0; i < SHARED_THREADS; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
	return ns / (double)(ops * SHARED_THREADS);
}

static size_t shared_bytes(struct shared_map *shared)
{
	struct neap_cmap_stats stats = {.size = sizeof stats};
	if (shared->map != NULL)
		return neap_map_bytes(shared->map);
	if (shared->cmap != NULL)
		neap_cmap_stats(shared->cmap, &stats);
	else
		neap_gc_cmap_stats(shared->collected, &stats);
	return stats.total;
}

static void shared_all(struct shared_map *shared, int verb)
{
	for (uint64_t key = 0; key < shared->n; key++) {
		if (shared->map != NULL)
			shared_plain(shared->map, key, verb);
		else if (shared->cmap != NULL)
			shared_concurrent(shared->cmap, key, verb);
		else
			shared_collected(shared->collected, key, verb);
	}
}

static int shared_child(void *ctx)
{
	struct shared_run *run = ctx;
	/* neap-lint: allow leak: after a failure threads may still use it; the process ends then */
	struct shared_map *shared = aligned_alloc(64, (sizeof *shared + 63) & ~(size_t)63);
	if (shared == NULL)
		return 1;
	*shared = (struct shared_map){.way = run->way, .n = run->n};
	pthread_mutex_init(&shared->lock, NULL);
	if (run->way == SHARED_CMAP) {
		shared->cmap = neap_cmap_create(&shared_type, NULL);
	} else if (run->way == SHARED_COLLECTED) {
		shared->collected = neap_gc_cmap_create(&shared_type, NULL, &neap_gc_pointer, NULL);
		shared->keeps = neap_gc_handle_create(shared->collected);
	} else {
		shared->map = neap_map_create(&shared_type, NULL);
	}
	if (shared->cmap == NULL && shared->map == NULL && shared->keeps == NULL)
		return 1;
	shared_all(shared, SHARED_STORE);
	run->full = shared_bytes(shared);
	for (int round = 0; round < SHARED_ROUNDS; round++) {
		double read = shared_time(shared, 0), mixed = shared_time(shared, 10);
		if (read == 0 || mixed == 0)
			return 1;
		run->read_ns = round == 0 || read < run->read_ns ? read : run->read_ns;
		run->mixed_ns = round == 0 || mixed < run->mixed_ns ? mixed : run->mixed_ns;
	}
	shared_all(shared, SHARED_DELETE);
	run->kept = shared_bytes(shared);
	run->left = shared->map != NULL	   ? neap_map_len(shared->map)
		    : shared->cmap != NULL ? neap_cmap_len(shared->cmap)
					   : neap_gc_cmap_len(shared->collected);
	neap_cmap_destroy(shared->cmap);
	neap_map_destroy(shared->map);
	neap_gc_cmap_destroy(shared->collected);
	neap_gc_handle_destroy(shared->keeps);
	free(shared);
	return 0;
}

static void shared_line(struct result *result, const char *name, const char *figure, double read,
			double mixed, double full, double kept)
{
	result_say(result, "  %-20s%10s%10s%10s%12s", name, duration(read), duration(mixed), megabytes(full),
		   megabytes(kept));
	result_figure(result, read, "ns", "%s_read", figure);
	result_figure(result, mixed, "ns", "%s_mixed", figure);
	result_figure(result, full, "bytes", "%s_full", figure);
	result_figure(result, kept, "bytes", "%s_kept", figure);
}

static void shared_go(struct lab *lab, size_t n)
{
	struct go_peer go;
	struct text why = {0};
	char way[64];
	snprintf(way, sizeof way, "shared:%zu", n);
	progress_step("concurrent-map: building the Go program", 0, 0);
	if (!go_peer_open(&go, &asset_syncmap_go, &why)) {
		result_say(&lab->result, "  Go's own figures are missing: %s", why.at);
		text_free(&why);
		return;
	}
	char *output = go_peer_run(&go, &lab->keys, way, lab->seed, &why);
	if (output == NULL) {
		result_check(&lab->result, false, "%s", why.at);
	} else {
		char name[32];
		snprintf(name, sizeof name, "%.10s sync.Map", go_peer_text(output, "version"));
		shared_line(&lab->result, name, "go", go_peer_number(output, "read_ns"),
			    go_peer_number(output, "mixed_ns"), go_peer_number(output, "full"),
			    go_peer_number(output, "kept"));
	}
	free(output);
	text_free(&why);
	go_peer_close(&go);
}

static void run_concurrent_map(struct lab *lab)
{
	struct shared_run *runs = lab_share(lab, SHARED_WAYS * sizeof *runs);
	struct result *result = &lab->result;
	size_t n = lab->options->n != 0 ? lab->options->n : SHARED_N;
	if (runs == NULL)
		return;
	result_title(result, "%s keys, %d threads", thousands(n), SHARED_THREADS);
	if (n < SHARED_FEW) {
		result_skip(result, "%zu keys are too few; --n %d or more", n, SHARED_FEW);
		return;
	}
	result_say(result, "                       CPU time per operation    MB       MB after");
	result_say(result, "                            read 10 %% writes  full     delete-all");
	for (enum shared_way way = 0; way < SHARED_WAYS; way++) {
		struct shared_run *run = &runs[way];
		*run = (struct shared_run){.way = way, .n = n};
		progress_step("concurrent-map", (size_t)way, SHARED_WAYS);
		if (!lab_child(lab, shared_names[way], shared_child, run))
			return;
		shared_line(result, shared_names[way], shared_figures[way], run->read_ns, run->mixed_ns,
			    (double)run->full, (double)run->kept);
	}
	shared_go(lab, n);
	const struct shared_run *lock = &runs[SHARED_LOCK], *queue = &runs[SHARED_QUEUE],
				*cmap = &runs[SHARED_CMAP];
	result_check(result, cmap->left == 0 && cmap->kept * 100 <= cmap->full * KEPT_AT_MOST,
		     "deleting everything leaves %s of %s bytes of the concurrent map (at most %d %%)",
		     thousands(cmap->kept), thousands(cmap->full), KEPT_AT_MOST);
	const struct shared_run *collected = &runs[SHARED_COLLECTED];
	result_check(result, collected->left == 0 && collected->kept * 100 <= collected->full * KEPT_AT_MOST,
		     "so does the map of collected objects: %s of %s bytes, without them",
		     thousands(collected->kept), thousands(collected->full));
	result_check(result, cmap->read_ns * 100 <= lock->read_ns * LOCK_PERCENT,
		     "a read costs %s of CPU time, against %s behind a lock (at most %d %% of it)",
		     duration(cmap->read_ns), duration(lock->read_ns), LOCK_PERCENT);
	result_check(result, queue->mixed_ns >= cmap->mixed_ns * QUEUE_TIMES,
		     "an operation sent to an owner costs %s, at least %d times the %s of the map's own",
		     duration(queue->mixed_ns), QUEUE_TIMES, duration(cmap->mixed_ns));
}

const struct experiment experiment_concurrent_map = {
	.name = "concurrent-map",
	.claim = "A read of the concurrent map, which writes nothing shared, costs at most twice what it "
		 "costs behind a lock "
		 "that is free, an operation sent to an owner costs several times as much, and deleting "
		 "everything "
		 "leaves at most 2 % of the memory.",
	.method = "Two threads on random keys, CPU time of the whole process for each operation, best of "
		  "two; "
		  "bytes of the map full and after deleting every key; Go's sync.Map in the same run.",
	.run = run_concurrent_map,
};
