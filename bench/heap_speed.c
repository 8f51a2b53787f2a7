/* heap_speed.c: what does a malloc/free pair cost, and what is resident after 99 % was dropped?
 *
 * usage: heap_speed [NAME...]   with malloc; run it under LD_PRELOAD for each peer (bench/heap_compare does)
 *
 * Without a name everything is measured: lifo, batch, random, mixed, cross, drop.
 *
 * CPU time in ns per malloc/free pair, best of five. The allocator is whatever malloc is in this process.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 4000000, BATCH = 1000, SET = 100000, RING = 4096, DROPPED = 2000000, ROUNDS = 5 };
static void *set[SET];
static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

static double cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *made(size_t size)
{
	volatile char *block = malloc(size);
	if (block == NULL)
		abort();
	*block = 1; /* as a program would; also keeps the pair from being removed */
	return (void *)(uintptr_t)block;
}

static void lifo(void)
{
	for (int i = 0; i < PAIRS; i++)
		free(made(64));
}

static void batch(void)
{
	for (int i = 0; i < PAIRS / BATCH; i++) {
		for (int j = 0; j < BATCH; j++)
			set[j] = made(64);
		for (int j = 0; j < BATCH; j++) {
			free(set[j]);
			set[j] = NULL;
		}
	}
}

static void replace_at_random(size_t least, size_t most)
{
	for (int i = 0; i < PAIRS; i++) {
		uint64_t random = next_random();
		void **slot = &set[random % SET];
		free(*slot);
		*slot = made(least + (random >> 32) % (most - least + 1));
	}
	for (int i = 0; i < SET; i++) {
		free(set[i]);
		set[i] = NULL;
	}
}

static void random_set(void)
{
	replace_at_random(64, 64);
}

static void mixed(void)
{
	replace_at_random(16, 1024);
}

static void *_Atomic ring[RING];

static void *consume(void *unused)
{
	(void)unused;
	for (int i = 0; i < PAIRS; i++) {
		void *block;
		while ((block = atomic_exchange_explicit(&ring[i % RING], NULL, memory_order_acquire)) ==
		       NULL)
			sched_yield();
		free(block);
	}
	return NULL;
}

static void cross(void)
{
	pthread_t consumer;
	if (pthread_create(&consumer, NULL, consume, NULL) != 0)
		abort();
	for (int i = 0; i < PAIRS; i++) {
		void *block = made(64);
		while (atomic_load_explicit(&ring[i % RING], memory_order_relaxed) != NULL)
			sched_yield();
		atomic_store_explicit(&ring[i % RING], block, memory_order_release);
	}
	pthread_join(consumer, NULL);
}

static bool wanted(const char *name, char **names)
{
	bool any = *names == NULL;
	for (; *names != NULL; names++)
		any |= strcmp(*names, name) == 0;
	return any;
}

static void measure(const char *name, void (*work)(void), char **names)
{
	if (!wanted(name, names))
		return;
	double best = 1e18;
	for (int i = 0; i < ROUNDS; i++) {
		double start = cpu_ns();
		work();
		double took = (cpu_ns() - start) / PAIRS;
		best = took < best ? took : best;
	}
	printf(" %s %.1f", name, best);
}

static size_t resident_mb(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long size, pages;
	if (statm == NULL || fscanf(statm, "%lu %lu", &size, &pages) != 2)
		abort();
	fclose(statm);
	return pages * (size_t)sysconf(_SC_PAGESIZE) >> 20;
}

/* The peer's own call that gives memory back, whichever is there. */
static void release_all(void)
{
	void (*call)(void) = NULL;
	void (*collect)(bool) = NULL;
	int (*control)(const char *, void *, size_t *, void *, size_t) = NULL;
	*(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
	*(void **)&collect = dlsym(RTLD_DEFAULT, "mi_collect");
	*(void **)&call = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
	if (call == NULL)
		*(void **)&call = dlsym(RTLD_DEFAULT, "neap_heap_return");
	if (control != NULL)
		control("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: all arenas */
	else if (collect != NULL)
		collect(true);
	else if (call != NULL)
		call();
	else
		malloc_trim(0);
}

/* Blocks of 16 to 1024 bytes; one in a hundred, chosen at random, survives. */
static void drop_most(void)
{
	/* neap-lint: allow leak: what survives is what is measured, until the process ends */
	void **blocks = calloc(DROPPED, sizeof *blocks);
	if (blocks == NULL)
		abort();
	for (int i = 0; i < DROPPED; i++) {
		size_t size = 16 + next_random() % 1009;
		blocks[i] = made(size);
		memset(blocks[i], 1, size);
	}
	size_t full = resident_mb();
	for (int i = 0; i < DROPPED; i++)
		if (next_random() % 100 != 0)
			free(blocks[i]);
	size_t dropped = resident_mb();
	sleep(2);
	size_t idle = resident_mb();
	release_all();
	printf(" rss-MB full %zu dropped %zu idle-2s %zu released %zu\n", full, dropped, idle, resident_mb());
}

int main(int argc, char **argv)
{
	(void)argc;
	char **names = argv + 1;
	printf("ns");
	measure("lifo", lifo, names);
	measure("batch", batch, names);
	measure("random", random_set, names);
	measure("mixed", mixed, names);
	measure("cross", cross, names);
	if (wanted("drop", names))
		drop_most();
	else
		printf("\n");
	return 0;
}
