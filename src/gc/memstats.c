/* memstats.c: what the collector tells: Go's MemStats, a line for each cycle, a histogram of stops.
 *
 * A claim counts as allocated when it is taken; what threads have not handed out yet is taken off when somebody
 * asks. The counts of other threads that run meanwhile may be off by the claim of the moment.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gc/cycle.h"

enum {
	RING = 256,
	CLASSES_TOLD = sizeof((struct neap_memstats *)0)->BySize / sizeof *((struct neap_memstats *)0)->BySize
};
_Static_assert((int)CLASSES_TOLD > (int)NEAP__CLASSES, "a row for each class and an end");

/* Written by who runs a cycle, read by who asks: under the lock of tables. */
static struct {
	uint32_t cycles, forced;
	uint64_t pauses[RING], ends[RING], pause_total, last_end;
	uint64_t stops_below[NEAP__GC_BUCKETS], stops, longest;
	uint64_t cpu, cpu_at_start, started;
} told;

void neap__gc_stats_start(void)
{
	told.started = neap__os_now();
	told.cpu_at_start = neap__os_process_time();
}

static double cpu_fraction(void)
{
	double all = (double)(neap__os_process_time() - told.cpu_at_start);
	return all > 0 ? (double)told.cpu / all : 0;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double mb(uint64_t bytes)
{
	return bytes == UINT64_MAX ? 0 : (double)bytes / (1 << 20);
}

static uint64_t attempted(const struct neap__gc_cycle_record *last)
{
	uint64_t sum = 0;
	for (unsigned i = 1; i <= last->attempts; i++)
		sum += last->stops[i];
	return sum;
}

/* What Go's format has no place for: each stop, the parts of the last one, and how many pages were read again. */
static void trace_stops(char *line, size_t size)
{
	const struct neap__gc_cycle_record *last = &neap__gc_last;
	static const char *const names[NEAP__GC_PARTS] = {"wait", "pages", "roots", "mark", "tables"};
	int used = snprintf(line, size, "gc %u: %u rounds, the last of %ld pages; last stop %ld pages",
			    told.cycles, last->rounds, last->round_pages, last->last_pages);
	for (unsigned i = 0; i < NEAP__GC_PARTS && (size_t)used < size; i++)
		used += snprintf(line + used, size - (size_t)used, ", %s %.3f", names[i], ms(last->parts[i]));
	for (unsigned i = 0; i <= last->attempts && (size_t)used < size; i++)
		used += snprintf(line + used, size - (size_t)used, "%s%.3f+%.3f", i == 0 ? "; stops " : " ",
				 ms(last->waits[i]), ms(last->stops[i] - last->waits[i]));
	if ((size_t)used + 2 < size)
		snprintf(line + used, size - (size_t)used, " ms\n");
}

/* In the format of Go's GODEBUG=gctrace=1, which tools read. What has no meaning here is 0: there are no idle
 * workers; assists are in the middle.
 */
static void trace_cycle(void)
{
	const struct neap__gc_cycle_record *last = &neap__gc_last;
	uint64_t first = last->stops[0], others = attempted(last), stops = first + others;
	uint64_t whole = last->marked_by - last->begin, beside = whole > stops ? whole - stops : 0;
	uint64_t cpu = last->cpu > stops ? last->cpu - stops : 0;
	bool unbound = last->concurrent && last->attempts == NEAP__GC_ATTEMPTS_MOST;
	char line[1024];
	snprintf(line, sizeof line,
		 "gc %u @%.3fs %.0f%%: %.3f+%.1f+%.3f ms clock, %.3f+%.1f/%.1f/0+%.3f ms cpu, "
		 "%.0f->%.0f->%.0f MB, %.0f MB goal, 0 MB stacks, 0 MB globals, 1 P%s%s%s%s\n",
		 told.cycles, ms(told.last_end - told.started) / 1e3, 100 * cpu_fraction(), ms(first),
		 ms(beside), ms(others), ms(first), ms(last->assisted), ms(cpu), ms(others),
		 mb(last->heap_before), mb(last->heap_after), mb(last->marked), mb(last->goal),
		 last->forced ? " (forced)" : "", last->concurrent ? "" : " (stopped)",
		 last->refused ? " (tracking refused)" : "", unbound ? " (did not converge)" : "");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		neap__gc.trace = 0;
	if (neap__gc.trace > 1) {
		trace_stops(line, sizeof line);
		if (write(STDERR_FILENO, line, strlen(line)) < 0)
			neap__gc.trace = 0;
	}
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned bucket = 0;
	while (bucket + 1 < NEAP__GC_BUCKETS && ns >= (UINT64_C(1000) << bucket))
		bucket++;
	return bucket;
}

static void count_stop(uint64_t ns)
{
	told.stops_below[bucket_of(ns)]++;
	told.stops++;
	if (ns > told.longest)
		told.longest = ns;
}

/* Called by signal handlers too. */
void neap__gc_felt(uint64_t begin)
{
	uint64_t ns = neap__os_now() - begin;
	uint64_t longest = atomic_load_explicit(&neap__gc.delay_longest, memory_order_relaxed);
	atomic_fetch_add_explicit(&neap__gc.delays_below[bucket_of(ns)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&neap__gc.delay_total, ns, memory_order_relaxed);
	while (ns > longest &&
	       !atomic_compare_exchange_weak_explicit(&neap__gc.delay_longest, &longest, ns,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void neap__gc_record_cycle(void)
{
	struct neap__gc_cycle_record *last = &neap__gc_last;
	last->cpu = neap__os_thread_time() - last->cpu_begin;
	neap__lock_take(&neap__gc.tables);
	uint64_t pause = last->stops[0] + attempted(last);
	told.last_end = neap__os_now();
	told.pauses[told.cycles % RING] = pause;
	told.ends[told.cycles % RING] = told.last_end;
	told.cycles++;
	told.forced += last->forced;
	told.pause_total += pause;
	told.cpu += last->cpu;
	for (unsigned i = last->concurrent ? 0 : 1; i <= last->attempts; i++)
		count_stop(last->stops[i]);
	if (neap__gc.trace)
		trace_cycle();
	neap__lock_give(&neap__gc.tables);
}

/* Objects and bytes that threads claimed and did not hand out. The lock of threads is held. */
static uint64_t pending_of(unsigned kind)
{
	uint64_t pending = 0;
	for (const struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		pending += (unsigned)__builtin_popcountll(thread->slots[kind].free);
	return pending;
}

static void add_kind(unsigned kind, struct neap_memstats *ret)
{
	struct neap__gc_central *central = &neap__gc.central[kind];
	bool large = kind % NEAP__GC_CLASSES == NEAP__CLASSES;
	uint64_t size = large ? 0 : neap__classes[kind % NEAP__GC_CLASSES].size;
	neap__lock_take(&central->lock);
	uint64_t mallocs = central->claimed - central->unclaimed - pending_of(kind);
	ret->Mallocs += mallocs;
	ret->Frees += central->freed + central->swept;
	ret->TotalAlloc += large ? central->claimed_bytes : mallocs * size;
	ret->HeapAlloc += (large ? central->claimed_bytes : mallocs * size) - central->freed_bytes -
			  central->swept_bytes;
	if (!large) {
		ret->BySize[kind % NEAP__GC_CLASSES].Size = (uint32_t)size;
		ret->BySize[kind % NEAP__GC_CLASSES].Mallocs += mallocs;
		ret->BySize[kind % NEAP__GC_CLASSES].Frees += central->freed + central->swept;
	}
	neap__lock_give(&central->lock);
}

static uint64_t span_tables(const struct neap__gc_span *span)
{
	uint64_t words = (span->objects + 63u) / 64;
	return span->units * sizeof *span + words * sizeof *span->words +
	       (span->types != NULL ? span->objects * sizeof *span->types : 0) +
	       (span->noted != NULL ? words * NEAP__GC_TABLES * sizeof *span->noted : 0);
}

/* Bytes of the collected regions by use. The page lock is held. */
static void add_units(struct neap_memstats *ret)
{
	uint64_t used = 0, idle_resident = 0, reached = 0;
	for (unsigned r = NEAP__REGION_TRACKED; r < NEAP__REGIONS; r++) {
		const struct neap__region *region = &neap__heap.regions[r];
		reached += region->frontier - region->first;
		for (uint32_t unit = region->first; unit < region->frontier; unit++)
			if (neap__tag_of(unit) == NEAP__TAG_COLLECTED) {
				used++;
				if (neap__gc_head(unit) == unit)
					ret->MSpanInuse += span_tables(neap__gc_span(unit));
			} else {
				idle_resident += neap__resident_count(unit, 1);
			}
	}
	ret->HeapSys = reached << NEAP__UNIT_SHIFT;
	ret->HeapInuse = used << NEAP__UNIT_SHIFT;
	ret->HeapIdle = ret->HeapSys - ret->HeapInuse;
	ret->HeapReleased = ret->HeapIdle - (idle_resident << neap__heap.page_shift);
}

static void add_delays(struct neap_memstats *ret)
{
	for (unsigned i = 0; i < NEAP__GC_BUCKETS; i++) {
		ret->DelaysBelow[i] = atomic_load_explicit(&neap__gc.delays_below[i], memory_order_relaxed);
		ret->Delays += ret->DelaysBelow[i];
	}
	ret->DelayTotalNs = atomic_load_explicit(&neap__gc.delay_total, memory_order_relaxed);
	ret->LongestDelayNs = atomic_load_explicit(&neap__gc.delay_longest, memory_order_relaxed);
}

static void add_told(struct neap_memstats *ret)
{
	neap__lock_take(&neap__gc.tables);
	ret->NumGC = told.cycles;
	ret->NumForcedGC = told.forced;
	ret->LastGC = told.last_end;
	ret->PauseTotalNs = told.pause_total;
	memcpy(ret->PauseNs, told.pauses, sizeof told.pauses);
	memcpy(ret->PauseEnd, told.ends, sizeof told.ends);
	memcpy(ret->StopsBelow, told.stops_below, sizeof told.stops_below);
	ret->Stops = told.stops;
	ret->LongestStopNs = told.longest;
	ret->GCCPUFraction = cpu_fraction();
	neap__lock_give(&neap__gc.tables);
}

static void add_cycles(struct neap_memstats *ret)
{
	add_told(ret);
	add_delays(ret);
	ret->NextGC = atomic_load(&neap__gc.goal);
	ret->EnableGC = ret->NextGC != UINT64_MAX;
}

int neap__gc_cycles(struct neap_memstats *ret)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL)
		return NEAP_ENOMEM;
	neap__gc_enter(thread);
	add_cycles(ret);
	neap__gc_leave(thread);
	return NEAP_OK;
}

/* By a thread that is not busy: who stops the world has this lock while it waits for those that are. */
static void add_threads(struct neap_memstats *ret)
{
	neap__lock_take(&neap__gc.threads_lock);
	for (const struct neap__gc_thread *each = neap__gc.threads; each != NULL; each = each->next) {
		char *sp = atomic_load_explicit(&each->sp, memory_order_relaxed);
		if (sp >= each->stack_low && sp < each->stack_high)
			ret->StackInuse += (uint64_t)(each->stack_high - sp);
		ret->MCacheInuse += sizeof *each;
	}
	neap__lock_give(&neap__gc.threads_lock);
}

int neap_memstats(struct neap_memstats *ret)
{
	if (ret->size != sizeof *ret)
		return NEAP_EINVAL;
	*ret = (struct neap_memstats){.size = sizeof *ret};
	struct neap__gc_thread *thread = neap__gc_attached();
	struct neap_heap_stats heap = {.size = sizeof heap};
	if (thread == NULL || neap_heap_stats(&heap) != NEAP_OK)
		return NEAP_ENOMEM;
	add_threads(ret);
	neap__gc_enter(thread);
	for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++)
		add_kind(kind, ret);
	neap__lock_take(&neap__heap.pages);
	add_units(ret);
	neap__lock_give(&neap__heap.pages);
	add_cycles(ret);
	neap__gc_leave(thread);
	ret->Alloc = ret->HeapAlloc;
	ret->HeapObjects = ret->Mallocs - ret->Frees;
	ret->GCSys = heap.metadata_bytes;
	ret->OtherSys = heap.live_bytes - heap.collected_bytes;
	ret->Sys = heap.live_bytes + heap.free_held_bytes + heap.metadata_bytes;
	return NEAP_OK;
}
