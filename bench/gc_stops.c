/* gc_stops.c: how long does the collector stop the program?
 *
 * usage: gc_stops MB SECONDS STORES_PER_S [plain|barrier [THREADS]]       STORES_PER_S 0: as fast as it goes
 *
 * MB of objects of 64 + 32 + 96 bytes behind one table, whose entries THREADS threads (2) replace at random, with plain
 * stores or through the barrier, while another collects all the time. Printed are the stops (gc_trace.h) and the longest
 * replacement by the processor time of its thread, ms.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gc_trace.h"
#include "neap/gc.h"

enum { THREADS_MOST = 16 };

struct leaf {
	struct unit *up;
	uint64_t number[3];
};
struct unit {
	struct leaf *leaf;
	void *bytes;
	uint64_t number[6];
};
NEAP_TYPE(leaf_type, struct leaf, up);
NEAP_TYPE(unit_type, struct unit, leaf, bytes);
struct entry {
	struct unit *unit;
};
NEAP_TYPE_BARRIERED(entry_type, struct entry, unit);

static struct unit **table;
static _Atomic bool over;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct unit *make_unit(uint64_t number)
{
	struct unit *unit = neap_gc_alloc(&unit_type);
	struct leaf *leaf = neap_gc_alloc(&leaf_type);
	if (unit == NULL || leaf == NULL)
		abort();
	unit->leaf = leaf;
	leaf->up = unit;
	unit->bytes = neap_gc_alloc_data(96);
	unit->number[0] = unit->leaf->number[0] = number;
	return unit;
}

/* The part of the table that a thread replaces, and what it has seen. */
struct part {
	size_t from, count;
	double rate;
	bool barrier;
	uint64_t done, worst;
};

static void replace(struct part *part, size_t at)
{
	uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
	if (table[at]->number[0] != at || table[at]->leaf->number[0] != at)
		abort();
	struct unit *fresh = make_unit(at);
	if (part->barrier)
		neap_store(&table[at], fresh);
	else
		table[at] = fresh;
	uint64_t took = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	part->worst = took > part->worst ? took : part->worst;
}

static void *replace_at_rate(void *of_part)
{
	struct part *part = of_part;
	uint64_t begin = now_ns(CLOCK_MONOTONIC), random = part->from + 1;
	while (!over) {
		double passed = (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9;
		uint64_t due = part->rate > 0 ? (uint64_t)(passed * part->rate) : part->done + 1000;
		for (; part->done < due && !over; part->done++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			replace(part, part->from + (size_t)((random >> 32) * part->count >> 32));
		}
		if (part->rate > 0)
			nanosleep(&(struct timespec){0, 50000}, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	size_t mb = argc > 3 ? strtoul(argv[1], NULL, 10) : 0, count = (mb << 20) / (64 + 32 + 96);
	bool barrier = argc > 4 && strcmp(argv[4], "barrier") == 0;
	size_t threads = argc > 5 ? strtoul(argv[5], NULL, 10) : 2;
	if (count < THREADS_MOST || threads == 0 || threads > THREADS_MOST) {
		fprintf(stderr, "usage: gc_stops MB SECONDS STORES_PER_S [plain|barrier [THREADS]]\n");
		return 2;
	}
	double seconds = atof(argv[2]), rate = atof(argv[3]);
	if (!gc_trace_open())
		return 1;
	table = neap_gc_alloc_array(barrier ? &entry_type : &neap_gc_pointer, count);
	if (table == NULL)
		return 1;
	for (size_t i = 0; i < count; i++)
		neap_store(&table[i], make_unit(i));
	neap_gc_collect();
	if (!gc_trace_forget())
		return 1;
	struct neap_memstats before = {.size = sizeof before}, after = before;
	neap_memstats(&before);
	static struct part parts[THREADS_MOST];
	pthread_t ids[THREADS_MOST];
	for (size_t t = 0; t < threads; t++) {
		parts[t] = (struct part){.from = count / threads * t,
					 .count = count / threads,
					 .rate = rate / (double)threads,
					 .barrier = barrier};
		if (pthread_create(&ids[t], NULL, replace_at_rate, &parts[t]) != 0)
			return 1;
	}
	for (uint64_t begin = now_ns(CLOCK_MONOTONIC);
	     (double)(now_ns(CLOCK_MONOTONIC) - begin) < seconds * 1e9;)
		neap_gc_collect();
	neap_memstats(&after);
	over = true;
	uint64_t done = 0, worst = 0;
	for (size_t t = 0; t < threads; t++) {
		pthread_join(ids[t], NULL);
		done += parts[t].done;
		worst = parts[t].worst > worst ? parts[t].worst : worst;
	}
	printf("%zu MB, %.0f %s stores/s (%.0f done): %u cycles, %zu stops", mb, rate,
	       barrier ? "announced" : "plain", (double)done / seconds, after.NumGC - before.NumGC,
	       gc_trace_stops());
	if (!gc_trace_print())
		return 1;
	printf("; worst operation %.3f\n", (double)worst / 1e6);
	return 0;
}
