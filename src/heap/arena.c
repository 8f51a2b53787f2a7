/* arena.c: the reservation, the tables beside it, and the pool of bitmaps and caches.
 *
 * The arena is address space that counts against no limit until a region's frontier moves over it. A system
 * that refuses a terabyte of it (RLIMIT_AS, ThreadSanitizer) is asked for half, down to 64 MB.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "heap/internal.h"

enum { ARENA_MOST_SHIFT = 40, ARENA_LEAST_SHIFT = 26 };
/* Bitmaps take at most 1/128 of the arena (16-byte blocks); the rest of 1/64 is for caches. */
enum { POOL_SHARE = 64, POOL_LEAST = 16 << 20, POOL_STEP = 1 << 20 /* that core files take in at once */ };

struct neap__heap neap__heap = {.beacon = &neap__heap_beacon, .class_table = neap__classes};
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;

static bool reserve_all(size_t size)
{
	struct neap__heap *h = &neap__heap;
	size_t units = size >> NEAP__UNIT_SHIFT, pool = size / POOL_SHARE + POOL_LEAST;
	h->base = neap__os_reserve_idle(size);
	h->tags = neap__os_reserve(units);
	h->resident = neap__os_reserve(units * sizeof *h->resident);
	h->spans = neap__os_reserve(units * sizeof *h->spans);
	h->pool = (struct neap__meta_pool){.base = neap__os_reserve(pool), .size = pool};
	if (h->base != NULL && h->tags != NULL && h->resident != NULL && h->spans != NULL &&
	    h->pool.base != NULL) {
		h->units = (uint32_t)units;
		neap__os_dump(h->base, size, false);
		neap__os_dump((void *)h->tags, units, false);
		neap__os_dump((void *)h->resident, units * sizeof *h->resident, false);
		neap__os_dump(h->spans, units * sizeof *h->spans, false);
		neap__os_dump(h->pool.base, pool, false);
		return true;
	}
	neap__os_release(h->base, size);
	neap__os_release((void *)h->tags, units);
	neap__os_release((void *)h->resident, units * sizeof *h->resident);
	neap__os_release(h->spans, units * sizeof *h->spans);
	neap__os_release(h->pool.base, pool);
	return false;
}

static void init_locks(void)
{
	struct neap__heap *h = &neap__heap;
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++)
		neap__lock_init(&h->central[kind].lock, NEAP__RANK_HEAP_CENTRAL, kind);
	neap__lock_init(&h->pages, NEAP__RANK_HEAP_PAGES, 0);
	neap__lock_init(&h->meta, NEAP__RANK_HEAP_META, 0);
	neap__lock_init(&h->passing, NEAP__RANK_HEAP_PASS, 0);
	neap__lock_init(&h->caches, NEAP__RANK_HEAP_CACHES, 0);
	neap__lock_init(&h->orphan_lock, NEAP__RANK_HEAP_ORPHAN, 0);
}

static bool start(void)
{
	struct neap__heap *h = &neap__heap;
	unsigned shift = ARENA_MOST_SHIFT;
	while (!reserve_all((size_t)1 << shift))
		if (--shift < ARENA_LEAST_SHIFT)
			return false;
	size_t page = neap__os_page_size();
	neap__assert(page <= NEAP__UNIT && page >= 4096);
	h->page_shift = (unsigned)__builtin_ctzl(page);
	/* Unit 0 of each region stays unused, so that 0 can mean "none". */
	uint32_t share = h->units / NEAP__REGIONS;
	h->region_shift = (unsigned)__builtin_ctz(share);
	for (uint32_t i = 0; i < NEAP__REGIONS; i++)
		h->regions[i] = (struct neap__region){.first = i * share + 1,
						      .frontier = i * share + 1,
						      .committed = i * share + 1,
						      .end = (i + 1) * share};
	init_locks();
	neap__classes_init();
	const char *debug = getenv("NEAP_DEBUG");
	h->checking = debug != NULL && strstr(debug, "heapcheck=1") != NULL;
	return neap__cache_create_orphan();
}

bool neap__heap_start(void)
{
	int state = atomic_load_explicit(&neap__heap.state, memory_order_acquire);
	if (state == 0) {
		pthread_mutex_lock(&starting);
		state = atomic_load_explicit(&neap__heap.state, memory_order_relaxed);
		if (state == 0 && start()) {
			state = 1; /* pairs with the acquire above */
			atomic_store_explicit(&neap__heap.state, state, memory_order_release);
			pthread_mutex_unlock(&starting);
			neap__heap_watch_fork();
			return true;
		}
		pthread_mutex_unlock(&starting);
	}
	return state == 1;
}

static unsigned spare_of(size_t size)
{
	unsigned i = 0;
	while (((size_t)8 << i) < size)
		i++;
	return i;
}

/* Zeroed, of a power of two of bytes; 64-byte aligned from 64 bytes on. */
void *neap__meta_alloc(size_t size)
{
	struct neap__meta_pool *pool = &neap__heap.pool;
	unsigned i = spare_of(size);
	size = (size_t)8 << i;
	neap__lock_take(&neap__heap.meta);
	void *block = pool->spare[i];
	if (block != NULL) {
		pool->spare[i] = *(void **)block;
	} else {
		size_t align = size < 64 ? size : 64, at = (pool->used + align - 1) & ~(align - 1);
		if (at + size <= pool->size) {
			block = pool->base + at;
			pool->used = at + size;
			if (pool->used > pool->dumped) {
				size_t step = (pool->used - pool->dumped + POOL_STEP - 1) &
					      ~(size_t)(POOL_STEP - 1);
				neap__os_dump(pool->base + pool->dumped, step, true);
				pool->dumped += step;
			}
		}
	}
	neap__lock_give(&neap__heap.meta);
	return block != NULL ? memset(block, 0, size) : NULL;
}

void neap__meta_free(void *block, size_t size)
{
	unsigned i = spare_of(size);
	neap__lock_take(&neap__heap.meta);
	*(void **)block = neap__heap.pool.spare[i];
	neap__heap.pool.spare[i] = block;
	neap__lock_give(&neap__heap.meta);
}

static size_t touched(size_t first, size_t count, size_t size)
{
	size_t page = (size_t)1 << neap__heap.page_shift;
	size_t from = first * size & ~(page - 1), to = ((first + count) * size + page - 1) & ~(page - 1);
	return count == 0 ? 0 : to - from;
}

/* Of the tables, what lies below the frontiers; of the pool, what was ever handed out. Page lock held. */
size_t neap__meta_bytes(void)
{
	size_t bytes = touched(0, neap__heap.pool.used, 1);
	for (unsigned i = 0; i < NEAP__REGIONS; i++) {
		const struct neap__region *r = &neap__heap.regions[i];
		uint32_t count = r->frontier - r->first;
		bytes += touched(r->first, count, sizeof *neap__heap.spans) + touched(r->first, count, 1) +
			 touched(r->first, count, sizeof *neap__heap.resident);
	}
	return bytes;
}
