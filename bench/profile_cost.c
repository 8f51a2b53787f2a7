/* profile_cost.c: what sampling costs a program that is mostly allocation.
 *
 * usage: profile_cost [ROUNDS]
 *
 * Random replacement in a table, one free and one malloc (or erase and insert) at a time:
 *
 *     bare    blocks of 16 to 1024 bytes that nobody writes to: nothing but malloc and free
 *     filled  the same, written from end to end, as programs do that want them for something
 *     map     a map with owned keys of 24 to 55 bytes on Neap's heap: each insert takes a block for its key
 *
 * in rounds that take turns: sampling off, at the default rate, and eight times as often. Each figure is the best of
 * its rounds, so that what else the machine does falls out. `a sample` is the difference to `off` for each sample.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "neap/heap.h"
#include "neap/map.h"
#include "neap/profile.h"

enum { BLOCKS = 1 << 16, REPLACEMENTS = 1 << 20, ROUNDS = 15, MODES = 3, WORKS = 3 };

static const struct {
	const char *name;
	size_t rate; /* 0: off */
} modes[MODES] = {{"off", 0}, {"512 KB", NEAP_PROFILE_RATE}, {"64 KB", 64 << 10}};

static void *blocks[BLOCKS];
static struct neap_map *map;

static uint64_t cpu_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t replace_block(uint64_t random, bool fill)
{
	void **block = &blocks[random >> 40 & (BLOCKS - 1)];
	size_t size = 16 + (random >> 20 & 1008);
	neap_heap_free(*block);
	*block = neap_heap_alloc(size);
	if (*block == NULL)
		abort();
	if (fill)
		memset(*block, (int)size, size);
	return size;
}

static size_t bare(uint64_t random)
{
	return replace_block(random, false);
}

static size_t filled(uint64_t random)
{
	return replace_block(random, true);
}

/* In `text`, of 64 bytes. */
static struct neap_str key_of(uint64_t number, char *text)
{
	memset(text, 'x', 64);
	memcpy(text, &number, sizeof number);
	return (struct neap_str){text, 24 + (uint32_t)(number * 0x9e3779b9u >> 8 & 31), 0};
}

/* The oldest entry goes, a new one comes. */
static size_t replace_entry(uint64_t random)
{
	static uint64_t newest;
	char text[64]; /* neap-lint: allow dangling-stack: the map owns its keys, which are copies */
	(void)random;
	if (newest >= BLOCKS) {
		struct neap_str gone = key_of(newest - BLOCKS, text);
		if (!neap_map_delete(map, &gone))
			abort();
	}
	struct neap_str key = key_of(newest, text);
	if (neap_map_put(map, &key, &newest) != 0)
		abort();
	newest++;
	return key.len;
}

static const struct {
	const char *name;
	size_t (*step)(uint64_t random); /* returns the bytes allocated */
} works[WORKS] = {{"bare", bare}, {"filled", filled}, {"map", replace_entry}};

/* ns for a step; the bytes that one took go to *ret_bytes. */
static double churn(int work, uint64_t *state, double *ret_bytes)
{
	uint64_t start = cpu_now(), bytes = 0;
	for (int i = 0; i < REPLACEMENTS; i++) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		bytes += works[work].step(*state);
	}
	*ret_bytes = (double)bytes / REPLACEMENTS;
	return (double)(cpu_now() - start) / REPLACEMENTS;
}

struct figures {
	double ns[MODES], bytes;
};

static void measure(int work, int rounds, struct figures *ret)
{
	uint64_t state = 1;
	(void)churn(work, &state, &ret->bytes); /* fills the table */
	for (int round = 0; round < rounds; round++) {
		for (int mode = 0; mode < MODES; mode++) {
			if (modes[mode].rate == 0)
				neap_profile_stop();
			else if (neap_profile_start(modes[mode].rate) != 0)
				abort();
			(void)neap_heap_return(); /* this thread takes notice */
			(void)churn(work, &state, &ret->bytes);
			double ns = churn(work, &state, &ret->bytes), *best = &ret->ns[mode];
			*best = *best == 0 || ns < *best ? ns : *best;
		}
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	static const struct neap_map_type type = {.size = sizeof type,
						  .kind = NEAP_KEY_STR,
						  .flags = NEAP_MAP_OWN_KEYS,
						  .key_size = sizeof(struct neap_str),
						  .key_align = _Alignof(struct neap_str),
						  .value_size = 8,
						  .value_align = 8};
	map = neap_map_create(
		&type, &(struct neap_map_options){.name = "churn", .allocator = neap_heap_allocator()});
	if (map == NULL)
		return 1;
	printf("%-10s%-10s%10s%10s%12s\n", "work", "sampling", "ns", "ratio", "a sample");
	for (int work = 0; work < WORKS; work++) {
		struct figures figures = {0};
		measure(work, rounds, &figures);
		for (int mode = 0; mode < MODES; mode++) {
			double more = figures.ns[mode] - figures.ns[0];
			printf("%-10s%-10s%10.2f%10.3f", works[work].name, modes[mode].name, figures.ns[mode],
			       figures.ns[mode] / figures.ns[0]);
			if (mode > 0)
				printf("%9.0f ns", more * (double)modes[mode].rate / figures.bytes);
			putchar('\n');
		}
	}
	neap_map_destroy(map);
	return 0;
}
