/* bdwgc.c: see bdwgc.h. */
#include "peers/bdwgc.h"

#include <gc/gc.h>
#include <string.h>
#include <time.h>

static uint64_t stop_began, longest_stop;

static uint64_t clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Between the two events it marks with the world stopped, also when it is incremental. */
static void on_event(GC_EventType event)
{
	if (event == GC_EVENT_MARK_START)
		stop_began = clock_ns();
	if (event == GC_EVENT_MARK_END && clock_ns() - stop_began > longest_stop)
		longest_stop = clock_ns() - stop_began;
}

void bdwgc_begin(bool incremental)
{
	GC_INIT();
	if (incremental)
		GC_enable_incremental();
	GC_set_on_collection_event(on_event);
}

void *bdwgc_alloc(size_t size)
{
	return GC_MALLOC(size);
}

void *bdwgc_data(size_t size)
{
	void *block = GC_MALLOC_ATOMIC(size);
	return block != NULL ? memset(block, 0, size) : NULL;
}

void bdwgc_tell(uint64_t *ret_collections, uint64_t *ret_longest_ns)
{
	*ret_collections = GC_get_gc_no();
	*ret_longest_ns = longest_stop;
}
