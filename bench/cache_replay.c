/* cache_replay.c: how many requests of a trace does a cache answer? Neap's (S3-FIFO) beside LRU and FIFO.
 *
 *   cache_replay [FILE...]     a trace is a file with one key a line; without one, traces are made up
 *
 * Each trace is played on caches with room for 1 % and for 10 % of its distinct keys. A miss stores the key. Neap's is
 * the real cache; LRU and FIFO are played by a list and a map.
 *
 *   zipf A    keys are drawn with a probability of 1 / rank^A
 *   scan      zipf 1.0 in which a scan over keys that never come again takes every other thousand requests
 *   loop      the same keys round and round, one fifth more than there is room for at 10 %
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "neap/cache.h"
#include "neap/map.h"

enum { KEYS = 100000, REQUESTS = 1000000 };

struct trace {
	const char *name;
	uint64_t *keys;
	size_t n, distinct;
};

static const struct neap_map_type number_type = {.size = sizeof number_type,
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = 8,
						 .value_align = 8};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 11;
}

static void *must(void *block)
{
	if (block == NULL) {
		fprintf(stderr, "cache_replay: out of memory\n");
		exit(4);
	}
	return block;
}

/* ---- Traces ---- */

static size_t count_distinct(const struct trace *trace)
{
	struct neap_map *seen = must(neap_map_create(&number_type, NULL));
	for (size_t i = 0; i < trace->n; i++)
		(void)neap_map_put(seen, &trace->keys[i], &i);
	size_t distinct = neap_map_len(seen);
	neap_map_destroy(seen);
	return distinct;
}

static struct trace zipf(const char *name, double exponent, bool scans)
{
	struct trace trace = {name, must(malloc(REQUESTS * sizeof(uint64_t))), REQUESTS, 0};
	double *sums = must(malloc(KEYS * sizeof *sums)), sum = 0;
	uint64_t random = 42, fresh = UINT64_C(1) << 40;
	for (size_t i = 0; i < KEYS; i++)
		sums[i] = sum += pow((double)(i + 1), -exponent);
	for (size_t i = 0; i < REQUESTS; i++) {
		double drawn = (double)next_random(&random) / (double)(UINT64_C(1) << 53) * sum;
		size_t low = 0, high = KEYS - 1;
		while (low < high) {
			size_t middle = (low + high) / 2;
			if (sums[middle] < drawn)
				low = middle + 1;
			else
				high = middle;
		}
		trace.keys[i] = scans && i / 1000 % 2 == 1 ? fresh++ : low;
	}
	free(sums);
	return trace;
}

static struct trace loop(void)
{
	struct trace trace = {"loop", must(malloc(REQUESTS * sizeof(uint64_t))), REQUESTS, 0};
	uint64_t random = 42;
	/* Once over all keys, so that 10 % of them is a number; then the loop, with a tenth of requests elsewhere. */
	for (size_t i = 0; i < REQUESTS; i++)
		trace.keys[i] = i < KEYS || i % 10 == 0 ? (i < KEYS ? i : next_random(&random) % KEYS)
							: i % (KEYS / 10 * 12 / 10);
	return trace;
}

static struct trace from_file(const char *path)
{
	struct trace trace = {path, NULL, 0, 0};
	char *line = NULL;
	size_t room = 0, len = 0;
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		perror(path);
		exit(3);
	}
	for (ssize_t got; (got = getline(&line, &len, file)) > 0;) {
		uint64_t key = UINT64_C(14695981039346656037); /* FNV-1a: lines are only told apart */
		for (ssize_t i = 0; i < got && line[i] != '\n'; i++)
			key = (key ^ (unsigned char)line[i]) * UINT64_C(1099511628211);
		if (trace.n == room)
			trace.keys = must(
				realloc(trace.keys, (room = room == 0 ? 4096 : room * 2) * sizeof(uint64_t)));
		trace.keys[trace.n++] = key;
	}
	free(line);
	fclose(file);
	if (trace.n == 0) {
		fprintf(stderr, "%s: no requests\n", path);
		exit(2);
	}
	return trace;
}

/* ---- Caches ---- */

static double play_neap(const struct trace *trace, size_t room)
{
	struct neap_cache *cache =
		must(neap_cache_create(&number_type, &(struct neap_cache_options){.max_entries = room}));
	size_t hits = 0;
	for (size_t i = 0; i < trace->n; i++) {
		if (neap_cache_get(cache, &trace->keys[i], NULL))
			hits++;
		else if (neap_cache_put(cache, &trace->keys[i], &i) != 0)
			exit(4);
	}
	neap_cache_destroy(cache);
	return (double)hits / (double)trace->n;
}

/* A ring of places in order of age; LRU moves what is used to the front. */
struct place {
	uint64_t key;
	size_t newer, older;
};

static double play_list(const struct trace *trace, size_t room, bool lru)
{
	struct neap_map *index = must(neap_map_create(&number_type, NULL));
	struct place *places = must(malloc((room + 1) * sizeof *places)); /* the last one is the head */
	size_t hits = 0, used = 0;
	places[room].newer = places[room].older = room;
	for (size_t i = 0; i < trace->n; i++) {
		uint64_t *found = neap_map_get(index, &trace->keys[i]);
		size_t at = found != NULL ? (size_t)*found : used < room ? used++ : places[room].newer;
		bool fresh = found == NULL && neap_map_len(index) < room;
		hits += found != NULL;
		if (found != NULL && !lru)
			continue;
		if (!fresh) { /* out of its place */
			places[places[at].older].newer = places[at].newer;
			places[places[at].newer].older = places[at].older;
			if (found == NULL)
				(void)neap_map_delete(index, &places[at].key);
		}
		places[at].key = trace->keys[i];
		places[at].newer = room;
		places[at].older = places[room].older;
		places[places[room].older].newer = at;
		places[room].older = at;
		if (found == NULL && neap_map_put(index, &trace->keys[i], &(uint64_t){at}) != 0)
			exit(4);
	}
	free(places);
	neap_map_destroy(index);
	return (double)hits / (double)trace->n;
}

static void play(struct trace trace)
{
	trace.distinct = count_distinct(&trace);
	for (size_t share = 1; share <= 10; share *= 10) {
		size_t room = trace.distinct * share / 100;
		if (room < 10)
			continue;
		printf("%-12.40s %9zu %4zu %% %8.1f %8.1f %8.1f\n", trace.name, trace.distinct, share,
		       100 * play_neap(&trace, room), 100 * play_list(&trace, room, true),
		       100 * play_list(&trace, room, false));
		fflush(stdout);
	}
	free(trace.keys);
}

int main(int argc, char **argv)
{
	printf("hit ratio in %%\n%-12s %9s %6s %8s %8s %8s\n", "trace", "keys", "room", "neap", "LRU",
	       "FIFO");
	for (int i = 1; i < argc; i++)
		play(from_file(argv[i]));
	if (argc > 1)
		return 0;
	play(zipf("zipf 0.7", 0.7, false));
	play(zipf("zipf 1.0", 1.0, false));
	play(zipf("zipf 1.2", 1.2, false));
	play(zipf("scan", 1.0, true));
	play(loop());
	return 0;
}
