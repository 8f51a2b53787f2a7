/* fork.c: all locks are taken, lowest first, before a fork, so that the child finds the heap whole.
 *
 * The caches of the parent's other threads stay behind in the child: their blocks (NEAP_HEAP_CACHE_MOST each) and
 * the spans that they own are neither used nor returned there.
 */
#include <pthread.h>

#include "heap/internal.h"

static void all_locks(void (*each)(struct neap__lock *), bool up)
{
	struct neap__heap *h = &neap__heap;
	enum { COUNT = NEAP__KINDS + 5 };
	struct neap__lock *locks[COUNT] = {&h->passing, &h->orphan_lock, &h->caches};
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++)
		locks[3 + kind] = &h->central[kind].lock;
	locks[COUNT - 2] = &h->pages;
	locks[COUNT - 1] = &h->meta;
	for (unsigned i = 0; i < COUNT; i++)
		each(locks[up ? i : COUNT - 1 - i]);
}

void neap__heap_lock_all(void)
{
	all_locks(neap__lock_take, true);
}

void neap__heap_unlock_all(void)
{
	all_locks(neap__lock_give, false);
}

static void in_child(void)
{
	neap__heap_unlock_all();
	neap__returner_forked();
}

void neap__heap_watch_fork(void)
{
	pthread_atfork(neap__heap_lock_all, neap__heap_unlock_all, in_child);
}
