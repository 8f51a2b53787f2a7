/* mark_gc.c: pointers change places in a large heap while it is marked; a second, stopped marking must find nothing new.
 *
 * usage: mark_gc [MB [SECONDS [SEED]]]      exits 1 at the first object that is not what it was
 *
 * Half of the objects hang on large arrays that are written to plainly (words, and structures of which every second word
 * is a pointer), half on a barriered one; from each object another one hangs. Threads exchange what two places hold, of
 * the same kind or not, so that the only pointer to an old object moves from where the marker has not been to where it
 * was, back again, and to where it was copied from; they replace objects by new ones, and look at all that they touch.
 * Main collects all the time. The second marking is gccheckmark=1, which this program sets; that it took place is
 * demanded of all cycles. mark_gc 1024 60 does it with a gigabyte.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/gc.h"

enum { THREADS = 3, TABLES = 3 };

struct cell {
	struct cell *side;
	uint64_t number, sum;
};
NEAP_TYPE(cell_type, struct cell, side);

struct pair {
	uint64_t number;
	struct cell *cell;
};
NEAP_TYPE(pair_type, struct pair, cell);
struct slot {
	struct cell *cell;
};
NEAP_TYPE_BARRIERED(slot_type, struct slot, cell);

/* Each thread has its own part of all three. */
static struct cell **words;
static struct pair *pairs;
static struct slot *slots;
static size_t entries; /* of each table */
static _Atomic bool over;
static _Atomic uint64_t moved;

static uint64_t mixed(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	return x * UINT64_C(0x94d049bb133111eb);
}

static struct cell *verified(struct cell *cell)
{
	if (cell != NULL && cell->sum != mixed(cell->number)) {
		fprintf(stderr, "mark_gc: lost: %p says %llx\n", (void *)cell,
			(unsigned long long)cell->number);
		_exit(1);
	}
	return cell;
}

static struct cell *make_cell(uint64_t number)
{
	struct cell *cell = neap_gc_alloc(&cell_type);
	if (cell == NULL)
		abort();
	cell->number = number;
	cell->sum = mixed(number);
	return cell;
}

static struct cell *make_two(uint64_t number)
{
	struct cell *cell = make_cell(number);
	cell->side = make_cell(~number);
	return cell;
}

struct mover {
	uint64_t random;
	size_t from, count;
};

static size_t next_random(struct mover *mover, size_t below)
{
	mover->random += UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)((mixed(mover->random) >> 32) * below >> 32);
}

static struct cell *get(unsigned table, size_t at)
{
	return verified(table == 0 ? words[at] : table == 1 ? pairs[at].cell : slots[at].cell);
}

static void put(unsigned table, size_t at, struct cell *cell)
{
	if (table == 0)
		words[at] = cell;
	else if (table == 1)
		pairs[at].cell = cell;
	else
		neap_store(&slots[at].cell, cell);
}

static void move(struct mover *mover)
{
	unsigned t = (unsigned)next_random(mover, TABLES), u = (unsigned)next_random(mover, TABLES);
	size_t a = mover->from + next_random(mover, mover->count);
	size_t b = mover->from + next_random(mover, mover->count);
	struct cell *first = get(t, a), *second = get(u, b);
	switch (next_random(mover, 8)) {
	case 0: put(t, a, make_two(mover->random)); break;
	case 1: { /* from an object into the array, and the other way */
		struct cell *side = verified(first->side);
		first->side = second->side;
		second->side = side;
		break;
	}
	case 2: {
		struct cell *side = verified(first->side);
		if (side == NULL || side->side != NULL || first == second)
			break;
		first->side = NULL;
		side->side = first;
		put(t, a, side);
		break;
	}
	case 3: /* away and back: what a copy says is there again */
		put(t, a, second);
		put(u, b, first);
		put(t, a, first);
		put(u, b, second);
		break;
	default: put(t, a, second); put(u, b, first);
	}
}

static void *move_all_the_time(void *of_mover)
{
	struct mover *mover = of_mover;
	uint64_t done = 0;
	for (; !over; done++)
		move(mover);
	atomic_fetch_add(&moved, done);
	return NULL;
}

static void fill(size_t mb)
{
	entries = (mb << 20) / TABLES / (2 * sizeof(struct cell) + 3 * sizeof(void *)) / THREADS * THREADS;
	words = neap_gc_alloc_array(&neap_gc_pointer, entries);
	pairs = neap_gc_alloc_array(&pair_type, entries);
	slots = neap_gc_alloc_array(&slot_type, entries);
	if (words == NULL || pairs == NULL || slots == NULL)
		abort();
	for (size_t i = 0; i < entries; i++)
		for (unsigned t = 0; t < TABLES; t++)
			put(t, i, make_two(i * TABLES + t));
}

static double seconds_since(const struct timespec *begin)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

int main(int argc, char **argv)
{
	size_t mb = argc > 1 ? strtoul(argv[1], NULL, 10) : 16;
	double seconds = argc > 2 ? atof(argv[2]) : 2;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 20261121;
	setenv("NEAP_DEBUG", "gccheckmark=1", 0);
	fill(mb);
	struct mover movers[THREADS];
	pthread_t ids[THREADS];
	for (size_t t = 0; t < THREADS; t++) {
		movers[t] = (struct mover){mixed(seed + t), entries / THREADS * t, entries / THREADS};
		if (pthread_create(&ids[t], NULL, move_all_the_time, &movers[t]) != 0)
			return 1;
	}
	struct neap_memstats stats = {.size = sizeof stats};
	struct timespec begin;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		neap_gc_collect();
	while (seconds_since(&begin) < seconds);
	over = true;
	for (size_t t = 0; t < THREADS; t++)
		pthread_join(ids[t], NULL);
	for (size_t i = 0; i < entries; i++)
		for (unsigned t = 0; t < TABLES; t++)
			(void)verified(get(t, i)->side);
	neap_gc_set_percent(-1);
	neap_gc_collect(); /* and no other one runs after it */
	neap_memstats(&stats);
	if (neap__gc.checked != stats.NumGC) {
		fprintf(stderr, "mark_gc: of %u cycles %u were checked\n", stats.NumGC, neap__gc.checked);
		return 1;
	}
	printf("%zu MB, %s: %u cycles checked, %llu stops, %llu moves: nothing was missed\n", mb,
	       neap_gc_concurrent() ? "concurrent" : "stopping", stats.NumGC, (unsigned long long)stats.Stops,
	       (unsigned long long)moved);
	return 0;
}
