/* cache.c: a thread's magazines: full ones flush their older half, empty ones take a batch.
 *
 * A cache belongs to a thread from its first allocation to its end (a pthread key's destructor), then waits for
 * the next thread; it is never freed, so its counts stay in the sums. A thread that still allocates after that
 * destructor shares one orphan cache under a lock.
 */
#include <pthread.h>
#include <string.h>

#include "base/sampling.h"
#include "heap/internal.h"

_Thread_local struct neap__cache *neap__cache_self __attribute__((tls_model("initial-exec")));
static _Thread_local bool thread_over __attribute__((tls_model("initial-exec")));
static pthread_key_t at_exit_key;
static bool at_exit_key_made;

static struct neap__cache *cache_create(void)
{
	size_t slots = 0;
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++)
		slots += neap__class_of_kind(kind)->room;
	struct neap__cache *cache = neap__meta_alloc(sizeof *cache + slots * sizeof(void *));
	if (cache == NULL)
		return NULL;
	uint32_t first = 0;
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++) {
		uint32_t room = neap__class_of_kind(kind)->room;
		cache->magazines[neap__tag_of_kind(kind)] = (struct neap__magazine){room, first};
		first += room;
	}
	neap__sample_arm_all(cache);
	neap__lock_take(&neap__heap.caches);
	cache->next = neap__heap.all;
	neap__heap.all = cache;
	neap__lock_give(&neap__heap.caches);
	return cache;
}

/* The oldest `count` blocks back to their spans. */
static void flush_oldest(struct neap__cache *cache, unsigned kind, uint32_t count)
{
	unsigned tag = neap__tag_of_kind(kind);
	void **slots = neap__slots_of(cache, tag);
	if (cache->armed_for != neap__sampling_rate())
		neap__sample_arm_all(cache);
	uint64_t book = neap__book_of(cache, tag);
	neap__span_flush(cache, kind, slots, count);
	memmove(slots, slots + count, (neap__book_count(book) - count) * sizeof *slots);
	/* This order, and the one in refill: who counts meanwhile may see a block too many in use, not one too few. */
	atomic_store_explicit(&cache->books[tag], book - count, memory_order_relaxed);
	NEAP__ADD(cache->moved[kind], -(uint64_t)count);
}

/* False: no memory. */
static bool refill(struct neap__cache *cache, unsigned kind)
{
	unsigned tag = neap__tag_of_kind(kind);
	if (cache->armed_for != neap__sampling_rate())
		neap__sample_arm_all(cache);
	uint32_t got =
		neap__span_take(cache, kind, neap__slots_of(cache, tag), neap__class_of_kind(kind)->batch);
	NEAP__ADD(cache->moved[kind], got);
	NEAP__ADD(cache->books[tag], got);
	return got > 0;
}

static void free_to(struct neap__cache *cache, void *block, unsigned kind)
{
	unsigned tag = neap__tag_of_kind(kind);
	uint32_t room = cache->magazines[tag].room;
	if (neap__book_count(neap__book_of(cache, tag)) == room)
		flush_oldest(cache, kind, room / 2);
	neap__push(cache, tag, neap__book_of(cache, tag), block);
}

static void flush_all(struct neap__cache *cache)
{
	if (neap__hot_tag(cache) != NEAP__TAG_NONE) {
		free_to(cache, cache->hot, neap__hot_tag(cache) - 1);
		neap__hot_set(cache, NEAP__TAG_NONE, NULL);
	}
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++) {
		flush_oldest(cache, kind,
			     (uint32_t)neap__book_count(neap__book_of(cache, neap__tag_of_kind(kind))));
		if (cache->owned[kind] == 0)
			continue;
		neap__lock_take(&neap__heap.central[kind].lock);
		neap__span_close(cache->owned[kind], kind);
		cache->owned[kind] = 0;
		neap__lock_give(&neap__heap.central[kind].lock);
	}
}

static void leave(void *of_thread)
{
	struct neap__cache *cache = of_thread;
	neap__cache_self = NULL;
	thread_over = true;
	flush_all(cache);
	neap__lock_take(&neap__heap.caches);
	cache->next_idle = neap__heap.idle;
	neap__heap.idle = cache;
	neap__lock_give(&neap__heap.caches);
}

bool neap__cache_create_orphan(void)
{
	at_exit_key_made = at_exit_key_made || pthread_key_create(&at_exit_key, leave) == 0;
	neap__heap.orphan = at_exit_key_made ? cache_create() : NULL;
	return neap__heap.orphan != NULL;
}

/* This thread's cache; NULL: it is past its end, or there is no memory for one. */
static struct neap__cache *cache_join(void)
{
	if (thread_over || !neap__heap_start())
		return NULL;
	neap__lock_take(&neap__heap.caches);
	struct neap__cache *cache = neap__heap.idle;
	if (cache != NULL)
		neap__heap.idle = cache->next_idle;
	neap__lock_give(&neap__heap.caches);
	if (cache == NULL)
		cache = cache_create();
	neap__cache_self = cache; /* before the next line, which may allocate */
	if (cache != NULL && pthread_setspecific(at_exit_key, cache) != 0) {
		leave(cache);
		return NULL;
	}
	return cache;
}

static void *alloc_from(struct neap__cache *cache, unsigned kind)
{
	unsigned tag = neap__tag_of_kind(kind);
	if (neap__book_count(neap__book_of(cache, tag)) == 0 && !refill(cache, kind))
		return NULL;
	return neap__pop(cache, tag, neap__book_of(cache, tag));
}

void *neap__cache_alloc(unsigned kind)
{
	struct neap__cache *cache = neap__cache_self;
	if (cache != NULL || (cache = cache_join()) != NULL)
		return alloc_from(cache, kind);
	if (!neap__heap_start())
		return NULL;
	neap__lock_take(&neap__heap.orphan_lock);
	void *block = alloc_from(neap__heap.orphan, kind);
	neap__lock_give(&neap__heap.orphan_lock);
	return block;
}

void neap__cache_free(void *block, unsigned kind)
{
	size_t room = neap__class_of_kind(kind)->room, size = neap__class_of_kind(kind)->size;
	struct neap__cache *cache = neap__cache_self;
	if (cache != NULL || (cache = cache_join()) != NULL) {
		free_to(cache, block, kind);
	} else {
		neap__lock_take(&neap__heap.orphan_lock);
		free_to(neap__heap.orphan, block, kind);
		neap__lock_give(&neap__heap.orphan_lock);
	}
	neap__returner_nudge(room / 2 * size);
}

void neap__cache_flush_self(void)
{
	if (neap__cache_self != NULL)
		flush_all(neap__cache_self);
	if (!neap__heap_start())
		return;
	neap__lock_take(&neap__heap.orphan_lock);
	flush_all(neap__heap.orphan);
	neap__lock_give(&neap__heap.orphan_lock);
}
