/* cmap_speed.c: how many operations a second do threads get out of a concurrent map, and what do deletes give back?
 *
 *   cmap_speed [--sizes 1e4,1e6] [--threads 1,2,4,8] [--writes 0,10,50] [--peers neap,...] [--ops 2e6] [--rounds 3]
 *
 * Every measurement runs in a process of its own: the map is filled with n numbers, then all threads begin at once and
 * share `ops` operations on random keys; a write is a store or a delete, half and half. Figures are million
 * operations a second of wall time, the best of the rounds, which are interleaved. Memory is what the kernel counts as
 * anonymous: full, and after one thread has deleted every key and nothing else was called.
 */
#include "../machine.h"
#include "../stopwatch.h"
#include "peer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIST_MOST = 8, REST_EVERY = 256 };

static const struct concurrent_peer *const peers[] = {
	&peer_cmap, &peer_mutex, &peer_rwlock,
#ifdef HAVE_URCU
	&peer_urcu,
#endif
#ifdef HAVE_CK
	&peer_ck,
#endif
#ifdef HAVE_TBB
	&peer_tbb,
#endif
};

enum { PEERS = sizeof peers / sizeof *peers, GO = PEERS, ALL = PEERS + 1 };

struct list {
	size_t at[LIST_MOST], n;
};

static struct {
	struct list sizes, threads, writes;
	const char *peers, *go;
	size_t ops, rounds;
} options = {{{10000, 1000000}, 2}, {{1, 2, 4, 8}, 4}, {{0, 10, 50}, 3}, NULL, NULL, 2000000, 3};

/* ---- One measurement, in a child ---- */

struct crew {
	const struct concurrent_peer *peer;
	void *map;
	size_t n, percent, ops;
	uint64_t seed;
	pthread_barrier_t *start;
	uint64_t began, ended; /* ns: by its own clock, as who waits for it may get a processor only later */
};

static void *member(void *ctx)
{
	struct crew *crew = ctx;
	const struct concurrent_peer *peer = crew->peer;
	uint64_t random = concurrent_mix(crew->seed);
	const uint64_t writes = crew->percent * (UINT64_MAX / 100); /* of what `random` may be */
	if (peer->thread_in != NULL)
		peer->thread_in();
	pthread_barrier_wait(crew->start);
	crew->began = clock_now(CLOCK_MONOTONIC);
	for (size_t i = 0; i < crew->ops; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		/* Scaled, not divided: a division costs as much as some of the look-ups. */
		uint64_t key = (random >> 32) * crew->n >> 32, value = key;
		if (random << 32 >= writes) {
			if (peer->load(crew->map, key, &value) && value != key)
				abort();
		} else if ((random >> 20 & 1) == 0) {
			peer->store(crew->map, key, key);
		} else {
			peer->erase(crew->map, key);
		}
		if (peer->rest != NULL && i % REST_EVERY == 0)
			peer->rest();
	}
	crew->ended = clock_now(CLOCK_MONOTONIC);
	if (peer->thread_out != NULL)
		peer->thread_out();
	return NULL;
}

static void fill(const struct concurrent_peer *peer, void *map, size_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		peer->store(map, i, i);
		if (peer->rest != NULL && i % REST_EVERY == 0)
			peer->rest();
	}
}

static void measure_speed(const struct concurrent_peer *peer, size_t n, size_t threads, size_t percent,
			  double ret[2])
{
	pthread_t ids[64];
	/* neap-lint: allow dangling-stack: every thread is joined below */
	struct crew crews[64];
	pthread_barrier_t start; /* neap-lint: allow dangling-stack: likewise */
	void *map = peer->make();
	if (peer->thread_in != NULL)
		peer->thread_in();
	fill(peer, map, n);
	if (peer->thread_out != NULL)
		peer->thread_out();
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	for (size_t i = 0; i < threads; i++) {
		crews[i] = (struct crew){peer, map, n, percent, options.ops / threads, i + 1, &start, 0, 0};
		if (pthread_create(&ids[i], NULL, member, &crews[i]) != 0)
			abort();
	}
	pthread_barrier_wait(&start);
	uint64_t began = UINT64_MAX, ended = 0;
	for (size_t i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		began = crews[i].began < began ? crews[i].began : began;
		ended = crews[i].ended > ended ? crews[i].ended : ended;
	}
	ret[0] = (double)options.ops * 1e3 / (double)(ended - began);
}

static double resident(void)
{
	char line[256];
	double kb = 0;
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	if (file == NULL)
		abort();
	while (fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "Anonymous:", 10) == 0)
			kb = strtod(line + 10, NULL);
	fclose(file);
	return kb * 1024 / 1e6;
}

static void measure_memory(const struct concurrent_peer *peer, size_t n, double ret[2])
{
	void *map = peer->make();
	if (peer->thread_in != NULL)
		peer->thread_in();
	double before = resident();
	fill(peer, map, n);
	ret[0] = resident() - before;
	for (uint64_t i = 0; i < n; i++) {
		peer->erase(map, i);
		if (peer->rest != NULL && i % REST_EVERY == 0)
			peer->rest();
	}
	if (peer->thread_out != NULL)
		peer->thread_out();
	if (peer->rest != NULL)
		sleep(1); /* liburcu frees on a thread of its own */
	ret[1] = resident() - before;
}

/* threads 0: memory. Both results are negative when the child fails. */
static void measure(size_t which, size_t n, size_t threads, size_t percent, double ret[2])
{
	char command[512];
	int ends[2];
	ret[0] = ret[1] = -1;
	if (which == GO) {
		if (threads == 0)
			snprintf(command, sizeof command, "%s memory %zu", options.go, n);
		else
			snprintf(command, sizeof command, "%s speed %zu %zu %zu %zu", options.go, n, threads,
				 percent, options.ops);
		FILE *out = popen(command, "r");
		if (out == NULL || fscanf(out, "%lf %lf", &ret[0], &ret[1]) != 2)
			fprintf(stderr, "cmap_speed: %s failed\n", command);
		if (out != NULL)
			pclose(out);
		return;
	}
	if (pipe(ends) != 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		double got[2] = {0, 0};
		if (threads == 0)
			measure_memory(peers[which], n, got);
		else
			measure_speed(peers[which], n, threads, percent, got);
		_exit(write(ends[1], got, sizeof got) == (ssize_t)sizeof got ? 0 : 1);
	}
	close(ends[1]);
	if (pid < 0 || read(ends[0], ret, 2 * sizeof *ret) != (ssize_t)(2 * sizeof *ret))
		ret[0] = ret[1] = -1;
	close(ends[0]);
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		fprintf(stderr, "cmap_speed: %s failed\n", peers[which]->name);
}

/* ---- Tables ---- */

static const char *name_of(size_t which)
{
	return which == GO ? "sync.Map" : peers[which]->name;
}

static bool wanted(size_t which)
{
	const char *name = name_of(which), *at = options.peers;
	if (which == GO && options.go == NULL)
		return false;
	while (at != NULL && (at = strstr(at, name)) != NULL) {
		char after = at[strlen(name)];
		if ((at == options.peers || at[-1] == ',') && (after == ',' || after == '\0'))
			return true;
		at++;
	}
	return options.peers == NULL;
}

/* A table for one size: a row for each peer, a column for each number of threads and share of writes. */
static int speed_table(size_t n)
{
	static double best[ALL][LIST_MOST][LIST_MOST];
	int failures = 0;
	memset(best, 0, sizeof best);
	for (size_t round = 0; round < options.rounds; round++)
		for (size_t w = 0; w < options.writes.n; w++)
			for (size_t t = 0; t < options.threads.n; t++)
				for (size_t p = 0; p < ALL; p++) {
					double got[2];
					if (!wanted(p))
						continue;
					measure(p, n, options.threads.at[t], options.writes.at[w], got);
					failures += got[0] < 0;
					best[p][w][t] = got[0] > best[p][w][t] ? got[0] : best[p][w][t];
				}
	printf("\n%zu keys, million operations a second\n%-10s", n, "writes");
	for (size_t w = 0; w < options.writes.n; w++)
		for (size_t t = 0; t < options.threads.n; t++)
			printf(" %5zu%%", options.writes.at[w]);
	printf("\n%-10s", "threads");
	for (size_t w = 0; w < options.writes.n; w++)
		for (size_t t = 0; t < options.threads.n; t++)
			printf(" %6zu", options.threads.at[t]);
	for (size_t p = 0; p < ALL; p++) {
		if (!wanted(p))
			continue;
		printf("\n%-10s", name_of(p));
		for (size_t w = 0; w < options.writes.n; w++)
			for (size_t t = 0; t < options.threads.n; t++)
				printf(" %6.1f", best[p][w][t]);
	}
	printf("\n%-10s", "neap/best");
	for (size_t w = 0; w < options.writes.n; w++)
		for (size_t t = 0; t < options.threads.n; t++) {
			double top = 0;
			for (size_t p = 1; p < ALL; p++)
				top = best[p][w][t] > top ? best[p][w][t] : top;
			printf(" %6.2f", top > 0 ? best[0][w][t] / top : 0);
		}
	printf("\n");
	return failures;
}

static int memory_table(size_t n)
{
	int failures = 0;
	printf("\n%zu keys, MB resident\n%-10s %8s %12s\n", n, "", "full", "all deleted");
	for (size_t p = 0; p < ALL; p++) {
		double got[2];
		if (!wanted(p))
			continue;
		measure(p, n, 0, 0, got);
		failures += got[0] < 0;
		printf("%-10s %8.2f %12.2f\n", name_of(p), got[0], got[1]);
	}
	return failures;
}

static struct list parse_list(const char *text)
{
	struct list list = {.n = 0};
	for (char *end; list.n < LIST_MOST && *text != '\0'; text = *end == ',' ? end + 1 : end) {
		list.at[list.n++] = (size_t)strtod(text, &end);
		if (end == text) {
			fprintf(stderr, "cmap_speed: not a number: %s\n", text);
			exit(2);
		}
	}
	return list;
}

int main(int argc, char **argv)
{
#ifdef SYNCMAP
	options.go = SYNCMAP;
#endif
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (value != NULL && strcmp(argv[i], "--sizes") == 0)
			options.sizes = parse_list(value);
		else if (value != NULL && strcmp(argv[i], "--threads") == 0)
			options.threads = parse_list(value);
		else if (value != NULL && strcmp(argv[i], "--writes") == 0)
			options.writes = parse_list(value);
		else if (value != NULL && strcmp(argv[i], "--peers") == 0)
			options.peers = value;
		else if (value != NULL && strcmp(argv[i], "--ops") == 0)
			options.ops = parse_list(value).at[0];
		else if (value != NULL && strcmp(argv[i], "--rounds") == 0)
			options.rounds = parse_list(value).at[0];
		else {
			fprintf(stderr,
				"usage: cmap_speed [--sizes N,..] [--threads T,..] [--writes PERCENT,..] "
				"[--peers NAME,..] [--ops N] [--rounds N]\n");
			return 2;
		}
		i++;
	}
	for (size_t t = 0; t < options.threads.n; t++)
		if (options.threads.at[t] < 1 || options.threads.at[t] > 64) {
			fprintf(stderr, "cmap_speed: 1 to 64 threads\n");
			return 2;
		}
	machine_print(stdout, false);
	for (size_t p = 0; p < PEERS; p++)
		printf("%-10s %s\n", peers[p]->name, peers[p]->what);
	int failures = 0;
	for (size_t s = 0; s < options.sizes.n; s++) {
		failures += speed_table(options.sizes.at[s]);
		failures += memory_table(options.sizes.at[s]);
	}
	return failures == 0 ? 0 : 4;
}
