/* pool_speed.c: what does it cost to take an object and give it back?
 *
 * usage: pool_speed [GO_PROGRAM]     GO_PROGRAM: peers/go/pool.go, built; without it Go's figures are missing
 *
 * Ways: Neap's pool inlined (neap/pool_typed.h) and called, malloc and free, a list of free blocks under a mutex, Go's
 * sync.Pool. Patterns: one at a time (lifo), and 32 taken before 32 are given back (batch). Every way is a loop of
 * its own, with its calls direct. CPU time of all threads, ns per pair, best of seven rounds in
 * turns, with 1, 2, 4 and 8 threads.
 */
#include <neap/pool.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS = 400000, HELD = 32, SIZE = 256, ROUNDS = 7, THREADS_MOST = 8, WAYS = 4, PATTERNS = 2 };

struct block {
	char bytes[SIZE];
};

#define NEAP_POOL_NAME	 blocks
#define NEAP_POOL_OBJECT struct block
#include <neap/pool_typed.h>

static struct neap_pool *pool;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static void *list_first;

static void *typed_take(void)
{
	return blocks_get(pool);
}

static void typed_give(void *block)
{
	blocks_put(pool, block);
}

static void *pool_take(void)
{
	return neap_pool_get(pool);
}

static void pool_give(void *block)
{
	neap_pool_put(pool, block);
}

static void *list_take(void)
{
	pthread_mutex_lock(&list_lock);
	void *block = list_first;
	if (block != NULL)
		memcpy(&list_first, block, sizeof list_first);
	pthread_mutex_unlock(&list_lock);
	return block != NULL ? block : malloc(SIZE);
}

static void list_give(void *block)
{
	pthread_mutex_lock(&list_lock);
	memcpy(block, &list_first, sizeof list_first);
	list_first = block;
	pthread_mutex_unlock(&list_lock);
}

static void *malloc_take(void)
{
	return malloc(SIZE);
}

static const char *const patterns[PATTERNS] = {"lifo", "batch"};

static inline __attribute__((always_inline)) void *work(void *(*take)(void), void (*give)(void *block),
							int batch)
{
	void *held[HELD];
	for (int i = 0; i < PAIRS; i += batch) {
		for (int j = 0; j < batch; j++) {
			held[j] = take();
			if (held[j] == NULL)
				abort();
			*(volatile char *)held[j] = 1;
		}
		for (int j = 0; j < batch; j++)
			give(held[j]);
	}
	return NULL;
}

#define WORK(name, take, give)                            \
	static void *name##_lifo(void *ctx)               \
	{                                                 \
		return (void)ctx, work(take, give, 1);    \
	}                                                 \
	static void *name##_batch(void *ctx)              \
	{                                                 \
		return (void)ctx, work(take, give, HELD); \
	}
WORK(typed, typed_take, typed_give)
WORK(pool, pool_take, pool_give)
WORK(list, list_take, list_give)
WORK(malloc, malloc_take, free)

static const struct {
	const char *name;
	void *(*work[PATTERNS])(void *ctx);
} ways[WAYS] = {{"neap, inlined", {typed_lifo, typed_batch}},
		{"neap, called", {pool_lifo, pool_batch}},
		{"mutex list", {list_lifo, list_batch}},
		{"malloc", {malloc_lifo, malloc_batch}}};

static double cpu_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double measure(int way, int pattern, int threads)
{
	pthread_t ids[THREADS_MOST];
	double start = cpu_now();
	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, ways[way].work[pattern], NULL) != 0)
			abort();
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return (cpu_now() - start) / PAIRS / threads;
}

/* The Go program prints one number: ns per pair. */
static double measure_go(const char *program, int threads, int held)
{
	char command[4096], line[64];
	snprintf(command, sizeof command, "'%s' %d %d", program, threads, held);
	FILE *pipe = popen(command, "r");
	double took = pipe != NULL && fgets(line, sizeof line, pipe) != NULL ? strtod(line, NULL) : 0;
	if (pipe != NULL && pclose(pipe) != 0)
		took = 0;
	return took;
}

int main(int argc, char **argv)
{
	static double best[PATTERNS][THREADS_MOST + 1][WAYS + 1];
	pool = blocks_create(&(struct neap_pool_options){.check = NEAP_POOL_CHECK_OFF});
	if (pool == NULL || argc > 2)
		return 2;
	for (int round = 0; round < ROUNDS; round++)
		for (int pattern = 0; pattern < PATTERNS; pattern++)
			for (int threads = 1; threads <= THREADS_MOST; threads *= 2)
				for (int way = 0; way < WAYS + (argc == 2 && round < 3); way++) {
					double took = way < WAYS ? measure(way, pattern, threads)
								 : measure_go(argv[1], threads,
									      pattern == 0 ? 1 : HELD);
					double *at = &best[pattern][threads][way];
					*at = *at == 0 || took < *at ? took : *at;
				}
	printf("ns of CPU time for a get and a put; in brackets: in proportion to neap's, inlined\n%-14s",
	       "");
	for (int way = 0; way <= WAYS; way++)
		printf(" %19s", way < WAYS ? ways[way].name : "Go sync.Pool");
	for (int pattern = 0; pattern < PATTERNS; pattern++)
		for (int threads = 1; threads <= THREADS_MOST; threads *= 2) {
			const double *at = best[pattern][threads];
			printf("\n%-6s %7d", patterns[pattern], threads);
			for (int way = 0; way <= WAYS; way++)
				if (at[way] != 0)
					printf(" %12.2f (%4.1f)", at[way], at[way] / at[0]);
				else
					printf(" %19s", "-");
		}
	printf("\n");
	return neap_pool_destroy(pool) == 0 ? 0 : 1;
}
