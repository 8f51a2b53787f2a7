/* account.c: the memory of this process, divided into parts that add up to RSS.
 *
 * Three books are compared. The kernel's says what is resident and what it is for (kernel_book.c). malloc's says
 * which bytes are blocks in use (mallinfo2, the sum over all arenas: uordblks inside them, hblkhd as mappings of
 * their own). The containers' say what their slots hold. Then
 *
 *     malloc_held     = resident bytes of malloc's arenas - bytes in use in them
 *     other_anonymous = stacks + written data of files + bss
 *     unexplained     = anonymous bytes that nobody has counted
 *
 * An account of given sources measures other_anonymous once, in the base, as whatever is left there; an account of
 * the whole process takes it from the kernel's book and asks the list of all maps and Neap's heap for the rest.
 *
 * Not known: which pages of a large block of malloc (a mapping of its own) were touched; it counts whole.
 */
#include "neap/observe.h"

#include <malloc.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/registry.h"
#include "neap/heap.h"
#include "neap/map.h"
#include "observe/kernel_book.h"
#include "observe/profile.h"

static size_t less(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

/* What follows from the parts that are set. */
static void close_account(struct neap_account *account)
{
	account->other = account->file + account->other_anonymous + account->metadata;
	account->unexplained =
		(ptrdiff_t)account->rss - (ptrdiff_t)(account->live + account->tombstone + account->empty +
						      account->free_held + account->other);
}

int neap_account_take(struct neap_account *ret, const struct neap_account *base,
		      const struct neap_source *sources, size_t n)
{
	struct neap_parts parts = {0};
	for (size_t i = 0; i < n; i++)
		sources[i].parts(sources[i].object, &parts);
	struct neap__kernel_book kernel;
	int error = neap__kernel_book_read(&kernel, true);
	if (error != 0)
		return error;
	struct mallinfo2 info = mallinfo2();

	size_t source_bytes = parts.live + parts.tombstone + parts.empty + parts.free_held + parts.metadata;
	size_t from_system = less(source_bytes, parts.from_malloc);
	struct neap_account account = {
		.rss = kernel.rss,
		.tombstone = parts.tombstone,
		.empty = parts.empty,
		.metadata = parts.metadata,
		.malloc_live = less(info.uordblks + info.hblkhd, parts.from_malloc),
		.malloc_held = less(kernel.brk + kernel.arenas, info.uordblks),
		.file = less(kernel.rss, kernel.anonymous),
		.anonymous = kernel.anonymous,
		.lazy_free = kernel.lazy_free,
		.huge_pages = kernel.huge_pages,
		.objects = parts.objects,
		.spans = parts.spans,
	};
	account.other_anonymous =
		base != NULL ? base->other_anonymous
			     : less(kernel.anonymous, kernel.brk + kernel.arenas + info.hblkhd + from_system);
	account.live = parts.live + account.malloc_live;
	account.free_held = parts.free_held + account.malloc_held;
	close_account(&account);
	*ret = account;
	return NEAP_OK;
}

/* ---- The whole process ---- */

struct map_census {
	struct neap_parts parts; /* of all maps */
	size_t from_heap;	 /* of their bytes: blocks of Neap's heap, which counts them too */
	neap__census_fn *visit;	 /* NULL: nobody else wants to see them */
	void *ctx;
};

static bool count_map(const struct neap__link *link, void *ctx)
{
	struct map_census *census = ctx;
	struct neap_parts *parts = &census->parts;
	struct neap__glance glance;
	link->species->glance(link->object, &glance);
	parts->live += glance.live;
	parts->tombstone += glance.tombstone;
	parts->empty += glance.empty;
	parts->free_held += glance.free_held;
	parts->metadata += glance.metadata;
	parts->objects += glance.len;
	parts->spans++;
	bool on_heap = glance.allocator.alloc == neap_heap_allocator()->alloc;
	*(on_heap ? &census->from_heap : &parts->from_malloc) += glance.total - glance.from_system;
	if (census->visit != NULL)
		census->visit(link, &glance, on_heap, census->ctx);
	return true;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The books are read one after the other: a thread that is kept waiting in between, on a busy machine, compares old with
 * new. Such a look is made again, whatever it said; the last one counts.
 */
enum { LOOKS_MOST = 3, KEPT_WAITING_NS = 1000000 };

int neap_account_process(struct neap_account *ret)
{
	for (int looks = 1;; looks++) {
		uint64_t wall = clock_ns(CLOCK_MONOTONIC), worked = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		int error = neap__account_census(ret, NULL, NULL);
		wall = clock_ns(CLOCK_MONOTONIC) - wall;
		worked = clock_ns(CLOCK_THREAD_CPUTIME_ID) - worked;
		if (error != NEAP_OK || looks == LOOKS_MOST || wall < worked + KEPT_WAITING_NS)
			return error;
	}
}

int neap__account_census(struct neap_account *ret, neap__census_fn *visit, void *ctx)
{
	struct map_census census = {.visit = visit, .ctx = ctx};
	struct neap__kernel_book kernel;
	struct neap_heap_stats heap = {.size = sizeof heap};
	(void)neap__registry_each(count_map, &census);
	struct mallinfo2 info = mallinfo2();
	int error = neap__kernel_book_read(&kernel, false);
	if (error != NEAP_OK)
		return error;
	if (kernel.neap_heap > 0) /* else it was never used, and asking would start it */
		(void)neap_heap_stats(&heap);

	const struct neap_parts *parts = &census.parts;
	struct neap_account account = {
		.rss = kernel.rss,
		.tombstone = parts->tombstone,
		.empty = parts->empty,
		.metadata = parts->metadata + heap.metadata_bytes,
		.malloc_live = less(info.uordblks + info.hblkhd, parts->from_malloc),
		.malloc_held = less(kernel.brk + kernel.arenas, info.uordblks),
		.heap_live = less(heap.live_bytes, census.from_heap),
		.heap_held = heap.free_held_bytes,
		.file = less(kernel.rss, kernel.anonymous),
		.anonymous = kernel.anonymous,
		.other_anonymous = kernel.stacks + kernel.data,
		.lazy_free = kernel.lazy_free,
		.huge_pages = kernel.huge_pages,
		.objects = parts->objects,
		.spans = parts->spans,
	};
	account.live = parts->live + account.malloc_live + account.heap_live;
	account.free_held = parts->free_held + account.malloc_held + account.heap_held;
	close_account(&account);
	*ret = account;
	return NEAP_OK;
}

void neap_parts_of_map(const void *map, struct neap_parts *ret)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	ret->live += stats.live;
	ret->tombstone += stats.tombstone;
	ret->empty += stats.empty;
	ret->free_held += stats.free_held;
	ret->metadata += stats.metadata;
	ret->objects += stats.len;
	ret->spans += stats.segments;
}

void neap_parts_of_meter(const void *meter, struct neap_parts *ret)
{
	ret->from_malloc += ((const struct neap_meter *)meter)->bytes;
}

static void *meter_alloc(void *ctx, size_t size, size_t align)
{
	struct neap_meter *meter = ctx;
	void *block = neap__alloc(&neap__malloc_allocator, size, align);
	if (block != NULL) {
		meter->bytes += size;
		meter->blocks++;
	}
	return block;
}

static void meter_free(void *ctx, void *block, size_t size)
{
	struct neap_meter *meter = ctx;
	meter->bytes -= size;
	meter->blocks--;
	neap__free(&neap__malloc_allocator, block, size);
}

struct neap_allocator neap_meter_allocator(struct neap_meter *meter)
{
	return (struct neap_allocator){meter_alloc, meter_free, meter};
}

int neap_impact_begin(struct neap_impact *impact, const struct neap_source *sources, size_t n)
{
	*impact = (struct neap_impact){.neap__sources = sources, .neap__n = n};
	int error = neap_account_take(&impact->before, NULL, sources, n);
	impact->neap__start = clock_ns(CLOCK_MONOTONIC);
	return error;
}

int neap_impact_end(struct neap_impact *impact)
{
	impact->nanoseconds = clock_ns(CLOCK_MONOTONIC) - impact->neap__start;
	const struct neap_account *before = &impact->before;
	struct neap_account *after = &impact->after;
	int error = neap_account_take(after, before, impact->neap__sources, impact->neap__n);
	if (error != 0)
		return error;
	impact->live = (ptrdiff_t)(after->live - before->live);
	impact->tombstone = (ptrdiff_t)(after->tombstone - before->tombstone);
	impact->empty = (ptrdiff_t)(after->empty - before->empty);
	impact->free_held = (ptrdiff_t)(after->free_held - before->free_held);
	impact->other = (ptrdiff_t)(after->other - before->other);
	impact->rss = (ptrdiff_t)(after->rss - before->rss);
	impact->objects = (ptrdiff_t)(after->objects - before->objects);
	impact->spans = (ptrdiff_t)(after->spans - before->spans);
	return NEAP_OK;
}
