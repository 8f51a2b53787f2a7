/* profile_pause.c: how long a request for a profile keeps a program with a heap of 1 GB waiting.
 *
 * usage: profile_pause [MEGABYTES] [REQUESTS]
 *
 * Nothing stops the program, but four things make others wait: all locks of Neap's heap are held while it counts,
 * malloc's while mallinfo2 counts, the kernel's lock on the address space while smaps is read, and that of a shard of
 * the list of maps for 64 visits. Three threads do what needs those, and note the longest time that one step took:
 *
 *     heap    neap_heap_alloc and free of 40 KB, which takes the lock of the pages each time
 *     malloc  malloc and free of 100 KB
 *     mmap    mmap, a touch and munmap of 64 KB
 *
 * Windows with a request in them take turns with windows without one. On a machine that is shared a window's longest
 * step is mostly the scheduler's, so the least and the middle of all windows are printed.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "neap/debug.h"
#include "neap/heap.h"

enum { STEPS = 3, WINDOWS_MOST = 200, BLOCK = 512 };

static _Atomic uint64_t longest[STEPS];
static atomic_bool over;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void step_heap(void)
{
	neap_heap_free(neap_heap_alloc(40000));
}

static void step_malloc(void)
{
	char *volatile block = malloc(100000);
	free(block);
}

static void step_mmap(void)
{
	char *volatile pages = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pages[0] = 1;
	munmap(pages, 65536);
}

static const struct {
	const char *name;
	void (*run)(void);
} steps[STEPS] = {{"heap", step_heap}, {"malloc", step_malloc}, {"mmap", step_mmap}};

static void *work(void *number)
{
	size_t own = (size_t)number;
	while (!over) {
		uint64_t start = now_ns();
		steps[own].run();
		uint64_t took = now_ns() - start;
		if (took > atomic_load(&longest[own]))
			atomic_store(&longest[own], took);
		nanosleep(&(struct timespec){0, 20000}, NULL);
	}
	return NULL;
}

static int drop(void *ctx, const void *bytes, size_t size)
{
	(void)bytes;
	*(size_t *)ctx += size;
	return 0;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Of a window as long as a request takes. */
static void take_window(bool ask, double ms, uint64_t *ret, uint64_t *ret_took)
{
	size_t bytes = 0;
	for (int i = 0; i < STEPS; i++)
		atomic_store(&longest[i], 0);
	uint64_t start = now_ns();
	if (ask)
		(void)neap_debug_handle("/debug/pprof/heap", drop, &bytes);
	else
		nanosleep(&(struct timespec){0, (long)(ms * 1e6)}, NULL);
	*ret_took = now_ns() - start;
	for (int i = 0; i < STEPS; i++)
		ret[i] = atomic_load(&longest[i]);
}

static double least_ms(void (*call)(void))
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < 20; i++) {
		uint64_t start = now_ns();
		call();
		uint64_t took = now_ns() - start;
		least = took < least ? took : least;
	}
	return (double)least / 1e6;
}

static void call_stats(void)
{
	struct neap_heap_stats stats = {.size = sizeof stats};
	(void)neap_heap_stats(&stats);
}

static void call_mallinfo(void)
{
	(void)mallinfo2();
}

static void read_file(const char *path)
{
	static char bytes[1 << 16];
	FILE *file = fopen(path, "r");
	while (file != NULL && fread(bytes, 1, sizeof bytes, file) > 0)
		;
	if (file != NULL)
		fclose(file);
}

static void call_smaps(void)
{
	read_file("/proc/self/smaps");
}

static void call_rollup(void)
{
	read_file("/proc/self/smaps_rollup");
}

int main(int argc, char **argv)
{
	size_t blocks = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1024) * (1 << 20) / BLOCK;
	int windows = argc > 2 ? atoi(argv[2]) : 40;
	windows = windows > WINDOWS_MOST ? WINDOWS_MOST : windows;
	if (neap_profile_start(0) != 0)
		return 1;
	for (size_t i = 0; i < blocks; i++)
		memset(neap_heap_alloc(BLOCK), 1, BLOCK); /* the program's, until it ends */
	printf("held while counting, the least of 20: heap %.2f ms, mallinfo2 %.2f ms, smaps %.2f ms, rollup "
	       "%.2f ms\n",
	       least_ms(call_stats), least_ms(call_mallinfo), least_ms(call_smaps), least_ms(call_rollup));

	static uint64_t seen[2][STEPS][WINDOWS_MOST], took[2][WINDOWS_MOST];
	pthread_t threads[STEPS];
	for (size_t i = 0; i < STEPS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
			return 1;
	double ms = 10;
	for (int window = 0; window < 2 * windows; window++) {
		uint64_t steps_took[STEPS];
		take_window(window % 2 == 0, ms, steps_took, &took[window % 2][window / 2]);
		if (window % 2 == 0)
			ms = (double)took[0][window / 2] / 1e6;
		for (int i = 0; i < STEPS; i++)
			seen[window % 2][i][window / 2] = steps_took[i];
	}
	over = true;
	for (int i = 0; i < STEPS; i++)
		pthread_join(threads[i], NULL);
	qsort(took[0], (size_t)windows, sizeof took[0][0], by_size);
	printf("a request: %.1f ms, the middle of %d\n", (double)took[0][windows / 2] / 1e6, windows);
	printf("%-8s%26s%26s\n", "ms", "longest during a request", "as long without one");
	for (int i = 0; i < STEPS; i++) {
		printf("%-8s", steps[i].name);
		for (int side = 0; side < 2; side++) {
			qsort(seen[side][i], (size_t)windows, sizeof seen[side][i][0], by_size);
			printf("%13.2f least%7.2f", (double)seen[side][i][0] / 1e6,
			       (double)seen[side][i][windows / 2] / 1e6);
		}
		putchar('\n');
	}
	return 0;
}
