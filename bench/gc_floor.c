/* gc_floor.c: how far is marking from what the memory allows?
 *
 * usage: gc_floor MB
 *
 * MB of objects of 64 + 32 + 96 bytes behind one table, as in gc_speed's "live": once in the order in which they were
 * made, once with every entry replaced at random, three times over. Each heap is marked by collections that stop the
 * world, and then read by a loop that knows all addresses and asks for each line 16 turns before it is read: no marker
 * can do with less than one line of each object, and this one must find the addresses, and read and write a mark as
 * well. Printed are the shortest of five, in ns an object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "neap/gc.h"

enum { TIMES = 5, AHEAD = 16, OBJECTS = 3 };

struct leaf {
	struct leaf *up;
	uint64_t number[3];
};
struct unit {
	struct leaf *leaf;
	void *bytes;
	uint64_t number[6];
};
NEAP_TYPE(leaf_type, struct leaf, up);
NEAP_TYPE(unit_type, struct unit, leaf, bytes);

static struct unit **table;

static struct unit *make_unit(void)
{
	struct unit *unit = neap_gc_alloc(&unit_type);
	if (unit == NULL || (unit->leaf = neap_gc_alloc(&leaf_type)) == NULL ||
	    (unit->bytes = neap_gc_alloc_data(96)) == NULL)
		abort();
	return unit;
}

static double marking_ns(size_t objects)
{
	struct neap_memstats stats = {.size = sizeof stats};
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < TIMES; i++) {
		neap_gc_collect();
		neap_memstats(&stats);
		uint64_t pause = stats.PauseNs[(stats.NumGC + 255) % 256];
		least = pause < least ? pause : least;
	}
	return (double)least / (double)objects;
}

/* In the marker's order, backwards: the table is put on a stack. */
static const uint64_t **all_objects(size_t count)
{
	const uint64_t **all = malloc((OBJECTS * count + AHEAD) * sizeof *all);
	if (all == NULL)
		abort();
	for (size_t i = 0, n = 0; i < count; i++) {
		const struct unit *unit = table[count - 1 - i];
		all[n++] = (const uint64_t *)unit;
		all[n++] = (const uint64_t *)unit->leaf;
		all[n++] = unit->bytes;
	}
	memset(all + OBJECTS * count, 0, AHEAD * sizeof *all);
	return all;
}

static double reading_ns(size_t count)
{
	const uint64_t **all = all_objects(count);
	double least = 1e300;
	for (unsigned t = 0; t < TIMES; t++) {
		struct timespec begin, end;
		volatile uint64_t sum = 0;
		clock_gettime(CLOCK_MONOTONIC, &begin);
		for (size_t i = 0; i < OBJECTS * count; i++) {
			__builtin_prefetch(all[i + AHEAD]);
			sum += *all[i];
		}
		clock_gettime(CLOCK_MONOTONIC, &end);
		double ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
		least = ns < least ? ns : least;
	}
	free((void *)all);
	return least / (double)(OBJECTS * count);
}

static void compare(const char *order, size_t count)
{
	double marking = marking_ns(OBJECTS * count), reading = reading_ns(count);
	printf("%-22s%10.1f%16.1f%8.2f\n", order, marking, reading, marking / reading);
}

int main(int argc, char **argv)
{
	size_t mb = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (mb == 0) {
		fprintf(stderr, "usage: gc_floor MB\n");
		return 2;
	}
	size_t count = (mb << 20) / (64 + 32 + 96);
	const struct neap_gc_options options = {.size = sizeof options, .stop_the_world = true};
	if (neap_gc_start(&options) != NEAP_OK ||
	    (table = neap_gc_alloc_array(&neap_gc_pointer, count)) == NULL)
		abort();
	printf("%zu MB, ns an object   marking    only reading   ratio\n", mb);
	for (size_t i = 0; i < count; i++)
		table[i] = make_unit();
	compare("in the order made", count);
	uint64_t random = 1;
	for (size_t i = 0; i < 3 * count; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		table[(random >> 32) * count >> 32] = make_unit();
	}
	compare("replaced at random", count);
	return 0;
}
