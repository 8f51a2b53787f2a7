/* profile_cost.c: what sampling costs a program that does nothing but allocate and free.
 *
 * usage: profile_cost [ROUNDS]
 *
 * Random replacement in a table of blocks of 16 to 1024 bytes, in rounds that take turns: sampling off, at the default
 * rate, and eight times as often. Each figure is the best of its rounds, so that what else the machine does falls out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "neap/heap.h"
#include "neap/map.h"
#include "neap/profile.h"

enum { BLOCKS = 1 << 16, REPLACEMENTS = 1 << 20, ROUNDS = 15, MODES = 3 };

static const struct {
	const char *name;
	size_t rate; /* 0: off */
} modes[MODES] = {{"off", 0}, {"512 KB", NEAP_PROFILE_RATE}, {"64 KB", 64 << 10}};

static void *blocks[BLOCKS];

static uint64_t cpu_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ns for one free and one malloc. */
static double churn(uint64_t *state)
{
	uint64_t start = cpu_now();
	for (int i = 0; i < REPLACEMENTS; i++) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		void **block = &blocks[*state >> 40 & (BLOCKS - 1)];
		neap_heap_free(*block);
		*block = neap_heap_alloc(16 + (*state >> 20 & 1008));
		if (*block == NULL)
			abort();
	}
	return (double)(cpu_now() - start) / REPLACEMENTS;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double best[MODES] = {0};
	uint64_t state = 1;
	(void)churn(&state); /* fills the table */
	for (int round = 0; round < rounds; round++) {
		for (int mode = 0; mode < MODES; mode++) {
			if (modes[mode].rate == 0)
				neap_profile_stop();
			else if (neap_profile_start(modes[mode].rate) != 0)
				return 1;
			(void)neap_heap_return(); /* this thread takes notice */
			(void)churn(&state);
			double ns = churn(&state);
			best[mode] = best[mode] == 0 || ns < best[mode] ? ns : best[mode];
		}
	}
	printf("%-10s%10s%10s\n", "sampling", "ns", "ratio");
	for (int mode = 0; mode < MODES; mode++)
		printf("%-10s%10.2f%10.3f\n", modes[mode].name, best[mode], best[mode] / best[0]);
	return 0;
}
