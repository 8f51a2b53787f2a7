/* sites.c: a table of stacks, and a record for each sampled block that lives.
 *
 *     slots    hash of a stack -> number of a site      open addressing, never deleted from
 *     sites    1, 2, 3, ...    the stack and its sums    fixed size, so that a number is an address
 *     records  1, 2, 3, ...    site and weight of a sampled block; freed ones are linked for reuse
 *
 *     Law: the sum over records in use == alloc - free, of each site
 *
 * All three are reservations that cost nothing until they are used. One lock, held for a few stores, which the
 * sampled allocations of all threads share: at the default rate one in 8,000 allocations of 64 bytes takes it.
 * It is a leaf: who holds it takes no other lock and allocates nothing. A thread that is in here already (it was
 * interrupted by a signal handler that allocates, or the walk allocates after all) is let past without a sample.
 */
#include "observe/sites.h"

#include <pthread.h>
#include <string.h>

#include "base/os.h"
#include "base/sampling.h"
#include "base/word_lock.h"

enum {
	SLOTS = 2 * NEAP__SITES_MOST,
	RECORDS_MOST = 1 << 20, /* 512 GB of live heap at the default rate */
	SKIPPED_FRAMES = 1	/* the one of take() or grown() itself */
};

struct sample_record {
	uint32_t site; /* of one that is free: the next free one */
	uint32_t size;
	double weight;
};

static struct {
	struct neap__word_lock lock;
	bool ready;
	uint32_t *slots;
	struct neap__site *site; /* by number */
	uint32_t sites;
	struct sample_record *record; /* by number */
	uint32_t records, free_record;
	struct neap__sampling_stats stats;
} table;

static _Thread_local bool inside __attribute__((tls_model("initial-exec")));

static void table_lock(void)
{
	neap__word_lock_take(&table.lock);
}

static void table_unlock(void)
{
	neap__word_lock_give(&table.lock);
}

static uint64_t hash_stack(const uintptr_t *frame, uint32_t depth)
{
	uint64_t hash = depth;
	for (uint32_t i = 0; i < depth; i++) {
		hash = (hash ^ frame[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return hash;
}

/* The number of the site with this stack, found or made; 0: the table is full. The lock is held. */
static uint32_t site_of(const uintptr_t *frame, uint32_t depth)
{
	uint64_t hash = hash_stack(frame, depth);
	uint32_t at = (uint32_t)hash % SLOTS;
	for (; table.slots[at] != 0; at = (at + 1) % SLOTS) {
		const struct neap__site *site = &table.site[table.slots[at]];
		if (site->hash == hash && site->depth == depth &&
		    memcmp(site->frame, frame, depth * sizeof *frame) == 0)
			return table.slots[at];
	}
	if (table.sites == NEAP__SITES_MOST - 1)
		return 0;
	struct neap__site *site = &table.site[++table.sites];
	site->hash = hash;
	site->depth = depth;
	memcpy(site->frame, frame, depth * sizeof *frame);
	return table.slots[at] = table.sites;
}

static uint32_t record_make(void)
{
	uint32_t number = table.free_record;
	if (number != 0)
		table.free_record = table.record[number].site;
	else if (table.records < RECORDS_MOST - 1)
		number = ++table.records;
	return number;
}

/* The caller's site, or 0. Leaves the table locked. */
static uint32_t site_here(const uintptr_t *frame, uint32_t depth)
{
	table_lock();
	uint32_t site = depth == 0 ? 0 : site_of(frame, depth);
	*(site != 0 ? &table.stats.samples : &table.stats.lost) += 1;
	return site;
}

static __attribute__((noinline)) uint32_t take_sample(size_t size, double weight)
{
	uintptr_t frame[NEAP__FRAMES_MOST];
	if (inside)
		return 0;
	inside = true;
	unsigned depth = neap__stack_walk(frame, NEAP__FRAMES_MOST, SKIPPED_FRAMES);
	uint32_t number = site_here(frame, depth), made = number == 0 ? 0 : record_make();
	if (made != 0) {
		table.record[made] = (struct sample_record){
			number, (uint32_t)(size < UINT32_MAX ? size : UINT32_MAX), weight};
		table.site[number].alloc_objects += weight;
		table.site[number].alloc_bytes += weight * table.record[made].size;
	}
	table_unlock();
	inside = false;
	return made;
}

static void forget_sample(uint32_t number)
{
	table_lock();
	struct sample_record *record = &table.record[number];
	table.site[record->site].free_objects += record->weight;
	table.site[record->site].free_bytes += record->weight * record->size;
	record->site = table.free_record;
	table.free_record = number;
	table_unlock();
}

static __attribute__((noinline)) void map_grown(struct neap__link *link, size_t size, double weight)
{
	uintptr_t frame[NEAP__FRAMES_MOST];
	if (inside)
		return;
	inside = true;
	unsigned depth = neap__stack_walk(frame, NEAP__FRAMES_MOST, SKIPPED_FRAMES);
	uint32_t number = site_here(frame, depth);
	if (number != 0) {
		table.site[number].growth += weight;
		table.site[number].growth_bytes += weight * (double)size;
		if (__atomic_load_n(&link->site, __ATOMIC_RELAXED) == 0)
			__atomic_store_n(&link->site, number, __ATOMIC_RELAXED);
	}
	table_unlock();
	inside = false;
}

static bool make_tables(void)
{
	size_t slots = SLOTS * sizeof *table.slots, sites = NEAP__SITES_MOST * sizeof *table.site,
	       records = RECORDS_MOST * sizeof *table.record;
	table.slots = neap__os_reserve(slots);
	table.site = neap__os_reserve(sites);
	table.record = neap__os_reserve(records);
	if (table.slots != NULL && table.site != NULL && table.record != NULL)
		return true;
	neap__os_release(table.slots, slots);
	neap__os_release(table.site, sites);
	neap__os_release(table.record, records);
	return false;
}

bool neap__sites_start(void)
{
	table_lock();
	if (!table.ready && make_tables()) {
		pthread_atfork(table_lock, table_unlock, table_unlock);
		neap__sampling.take = take_sample;
		neap__sampling.forget = forget_sample;
		neap__sampling.grown = map_grown;
		table.ready = true;
	}
	bool ready = table.ready;
	table_unlock();
	return ready;
}

uint32_t neap__sites_count(void)
{
	table_lock();
	uint32_t count = table.sites;
	table_unlock();
	return count;
}

void neap__site_get(uint32_t number, struct neap__site *ret)
{
	table_lock();
	*ret = table.site[number];
	table_unlock();
}

void neap__sampling_stats_get(struct neap__sampling_stats *ret)
{
	table_lock();
	*ret = table.stats;
	table_unlock();
}
