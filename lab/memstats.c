/* memstats.c: do the collector's numbers say what happened?
 *
 * A program that does known things: so many objects of a known size made, kept, dropped, so many collections. Between
 * the steps the fields are read and compared with what was done. A second process runs with NEAP_DEBUG=gctrace=1; its lines
 * on standard error are counted and read in Go's format.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/child.h"
#include "lab/lab.h"
#include "neap/gc.h"

enum { STAT_OBJECTS = 100000, STAT_BYTES = 64, STAT_CYCLES = 5, STAT_CHILD_S = 60, STAT_STRAYS = 100 };

struct block {
	struct block *next;
	uint64_t rest[STAT_BYTES / 8 - 1];
};
NEAP_TYPE(block_type, struct block, next);

struct stat_run {
	struct neap_memstats before, made, kept, dropped, given;
};

static struct block *stat_root;

static __attribute__((noinline)) void make_blocks(void)
{
	for (int i = 0; i < STAT_OBJECTS; i++) {
		struct block *block = neap_gc_alloc(&block_type);
		if (block == NULL) {
			fprintf(stderr, "neap: out of memory in memstats\n");
			exit(1);
		}
		block->next = stat_root;
		stat_root = block;
	}
}

static __attribute__((noinline)) void wipe_stack(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
}

static void read_stats(struct neap_memstats *ret)
{
	*ret = (struct neap_memstats){.size = sizeof *ret};
	(void)neap_memstats(ret);
}

static int stat_child(void *ctx)
{
	struct stat_run *run = ctx;
	(void)neap_gc_set_percent(-1); /* only the collections that are asked for */
	neap_gc_collect();
	read_stats(&run->before);
	make_blocks();
	read_stats(&run->made);
	(void)neap_gc_set_percent(100);
	neap_gc_collect();
	read_stats(&run->kept);
	stat_root = NULL;
	wipe_stack();
	for (int i = 0; i < STAT_CYCLES; i++)
		neap_gc_collect();
	read_stats(&run->dropped);
	(void)neap_gc_return();
	read_stats(&run->given);
	return 0;
}

static int trace_child(void *ctx)
{
	(void)ctx;
	setenv("NEAP_DEBUG", "gctrace=1", 1);
	(void)neap_gc_set_percent(-1);
	make_blocks();
	for (int i = 0; i < STAT_CYCLES; i++)
		neap_gc_collect();
	struct neap_memstats stats;
	read_stats(&stats);
	return (int)stats.NumGC;
}

static void stat_line(struct result *result, const char *what, const struct neap_memstats *at)
{
	result_say(result, "  %-22s%9s%9s%9s%9s%9s%8u", what, megabytes((double)at->HeapAlloc),
		   megabytes((double)at->HeapInuse), megabytes((double)at->HeapIdle),
		   megabytes((double)at->HeapReleased),
		   at->NextGC == UINT64_MAX ? "none" : megabytes((double)at->NextGC), at->NumGC);
}

/* What must hold of any reading. */
static bool adds_up(const struct neap_memstats *at)
{
	uint64_t sum = 0, below = 0, delays = 0, by_size = 0;
	for (uint32_t i = 0; i < at->NumGC && i < 256; i++)
		sum += at->PauseNs[i];
	for (int i = 0; i < 24; i++) {
		below += at->StopsBelow[i];
		delays += at->DelaysBelow[i];
	}
	for (int i = 0; at->BySize[i].Size != 0; i++)
		by_size += at->BySize[i].Mallocs;
	return at->Mallocs - at->Frees == at->HeapObjects && at->HeapInuse + at->HeapIdle == at->HeapSys &&
	       at->HeapReleased <= at->HeapIdle && at->HeapAlloc <= at->HeapInuse &&
	       at->Alloc == at->HeapAlloc && sum == at->PauseTotalNs && below == at->Stops &&
	       delays == at->Delays && at->LongestDelayNs <= at->DelayTotalNs && by_size <= at->Mallocs &&
	       at->LongestStopNs <= at->PauseTotalNs && at->GCCPUFraction >= 0 && at->GCCPUFraction <= 1;
}

static unsigned traced_cycles(const char *lines, const char **ret_first)
{
	unsigned count = 0, number;
	double seconds;
	*ret_first = NULL;
	for (const char *line = lines; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "gc %u @%lfs", &number, &seconds) == 2 && number == count + 1) {
			count++;
			*ret_first = *ret_first != NULL ? *ret_first : line;
		}
	}
	return count;
}

static void check_trace(struct result *result)
{
	const char *first;
	struct child_end end = child_run(trace_child, NULL, STAT_CHILD_S, true);
	unsigned lines = traced_cycles(end.lines, &first);
	int length = first != NULL ? (int)strcspn(first, "\n") : 0;
	for (int at = 0; at < length; at += 76)
		result_say(result, "  %.*s", length - at < 76 ? length - at : 76, first + at);
	result_check(result, end.started && end.status == STAT_CYCLES && lines == STAT_CYCLES,
		     "gctrace prints a line in Go's format for each of %d cycles: %u", STAT_CYCLES, lines);
}

static void run_memstats(struct lab *lab)
{
	struct stat_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !lab_child(lab, "the numbers", stat_child, run))
		return;
	struct result *result = &lab->result;
	const struct neap_memstats *before = &run->before, *made = &run->made, *kept = &run->kept,
				   *dropped = &run->dropped, *given = &run->given;
	result_say(result, "  MB                        ALLOC    INUSE     IDLE RELEASED   NEXTGC   NUMGC");
	stat_line(result, "at the start", before);
	stat_line(result, "100,000 objects made", made);
	stat_line(result, "collected, all kept", kept);
	stat_line(result, "dropped, collected", dropped);
	stat_line(result, "neap_gc_return", given);
	result_check(result,
		     made->Mallocs - before->Mallocs == STAT_OBJECTS &&
			     made->TotalAlloc - before->TotalAlloc == (uint64_t)STAT_OBJECTS * STAT_BYTES,
		     "%s objects of %d bytes raise Mallocs by %s and TotalAlloc by %s",
		     thousands(STAT_OBJECTS), STAT_BYTES, thousands(made->Mallocs - before->Mallocs),
		     thousands(made->TotalAlloc - before->TotalAlloc));
	result_check(result, kept->Mallocs == made->Mallocs && kept->HeapObjects >= STAT_OBJECTS,
		     "a collection that finds all alive frees none of them");
	result_check(result, dropped->Frees - kept->Frees + STAT_STRAYS >= STAT_OBJECTS,
		     "dropped and collected, Frees rise by %s", thousands(dropped->Frees - kept->Frees));
	result_check(result,
		     kept->NumGC == before->NumGC + 1 && dropped->NumGC == kept->NumGC + STAT_CYCLES &&
			     dropped->NumForcedGC == dropped->NumGC,
		     "NumGC and NumForcedGC count the %u collections that were asked for", dropped->NumGC);
	result_check(result, kept->NextGC >= kept->HeapAlloc + kept->HeapAlloc / 2,
		     "the goal is about twice what is alive, by GOGC's rule: %s of %s MB",
		     megabytes((double)kept->NextGC), megabytes((double)kept->HeapAlloc));
	result_check(result,
		     given->HeapIdle - given->HeapReleased <= dropped->HeapIdle - dropped->HeapReleased &&
			     given->HeapReleased * 10 >= given->HeapIdle * 9,
		     "after neap_gc_return nine tenths of the idle bytes or more are with the system");
	result_check(
		result,
		adds_up(before) && adds_up(made) && adds_up(kept) && adds_up(dropped) && adds_up(given),
		"Mallocs - Frees = HeapObjects, HeapInuse + HeapIdle = HeapSys, the ring of pauses sums to "
		"PauseTotalNs, the histogram to all stops, at every step");
	check_trace(result);
	result_figure(result, (double)dropped->LongestStopNs, "ns", "longest_stop");
}

const struct experiment experiment_memstats = {
	.name = "memstats",
	.claim = "The collector's numbers say what the program did: objects, bytes and collections exactly, "
		 "and their "
		 "parts add up; gctrace prints one line a cycle in Go's format.",
	.method = "Known numbers of objects are made, kept, dropped and collected; the fields are read "
		  "between the "
		  "steps.",
	.run = run_memstats,
};
