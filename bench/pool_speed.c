/* pool_speed.c: what does it cost to take an object and give it back?
 *
 * usage: pool_speed [GO_PROGRAM]     GO_PROGRAM: peers/go/pool.go, built; without it Go's figures are missing
 *
 * Ways: Neap's pool, malloc and free, a list of free blocks under a mutex, Go's sync.Pool. Patterns: one at a time
 * (lifo), and 32 taken before 32 are given back (batch). CPU time of all threads, ns per pair, best of seven rounds in
 * turns, with 1, 2, 4 and 8 threads.
 */
#include <neap/pool.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS = 400000, HELD = 32, SIZE = 256, ROUNDS = 7, THREADS_MOST = 8, WAYS = 3, PATTERNS = 2 };

static struct neap_pool *pool;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static void *list_first;

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

static const struct {
	const char *name;
	void *(*take)(void);
	void (*give)(void *block);
} ways[WAYS] = {{"neap pool", pool_take, pool_give},
		{"mutex list", list_take, list_give},
		{"malloc", malloc_take, free}};
static const char *const patterns[PATTERNS] = {"lifo", "batch"};

struct job {
	int way, held;
};

static void *work(void *ctx)
{
	const struct job *job = ctx;
	void *held[HELD];
	for (int i = 0; i < PAIRS; i += job->held) {
		for (int j = 0; j < job->held; j++) {
			held[j] = ways[job->way].take();
			if (held[j] == NULL)
				abort();
			*(volatile char *)held[j] = 1;
		}
		for (int j = 0; j < job->held; j++)
			ways[job->way].give(held[j]);
	}
	return NULL;
}

static double cpu_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double measure(const struct job *job, int threads)
{
	pthread_t ids[THREADS_MOST];
	double start = cpu_now();
	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)job) != 0)
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
	pool = neap_pool_create(
		&(struct neap_pool_type){.size = sizeof(struct neap_pool_type), .object_size = SIZE},
		&(struct neap_pool_options){.check = NEAP_POOL_CHECK_OFF});
	if (pool == NULL || argc > 2)
		return 2;
	for (int round = 0; round < ROUNDS; round++)
		for (int pattern = 0; pattern < PATTERNS; pattern++)
			for (int threads = 1; threads <= THREADS_MOST; threads *= 2)
				for (int way = 0; way < WAYS + (argc == 2 && round < 3); way++) {
					struct job job = {way, pattern == 0 ? 1 : HELD};
					double took = way < WAYS ? measure(&job, threads)
								 : measure_go(argv[1], threads, job.held);
					double *at = &best[pattern][threads][way];
					*at = *at == 0 || took < *at ? took : *at;
				}
	printf("ns of CPU time for a get and a put; in brackets: in proportion to neap's\n");
	printf("%-6s %7s %12s %20s %20s %20s\n", "", "threads", "neap pool", "mutex list", "malloc",
	       "Go sync.Pool");
	for (int pattern = 0; pattern < PATTERNS; pattern++)
		for (int threads = 1; threads <= THREADS_MOST; threads *= 2) {
			const double *at = best[pattern][threads];
			printf("%-6s %7d %12.2f", patterns[pattern], threads, at[0]);
			for (int way = 1; way <= WAYS; way++)
				if (at[way] != 0)
					printf(" %12.2f (%4.1f)", at[way], at[way] / at[0]);
				else
					printf(" %20s", "-");
			printf("\n");
		}
	return neap_pool_destroy(pool) == 0 ? 0 : 1;
}
