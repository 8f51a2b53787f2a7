/* start.c: making the collector, once; settings from the program and from NEAP_DEBUG; fork. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/collector.h"
#include "gc/cycle.h"
#include "gc/mark.h"
#include "gc/tables.h"
#include "gc/weak_map.h"
#include "neap/cmap_core.h"

enum { SIGNAL_ABOVE_RTMIN = 6, SHADED_ROOM = 1 << 20, STRESS_HOSTILE = 64, PERIOD_MS = 120 * 1000 };

struct neap__gc neap__gc;
static pthread_mutex_t starting_gc = PTHREAD_MUTEX_INITIALIZER;

static unsigned debug_value(const char *name, unsigned otherwise)
{
	const char *debug = getenv("NEAP_DEBUG"), *at = debug != NULL ? strstr(debug, name) : NULL;
	size_t length = strlen(name);
	return at != NULL && at[length] == '=' ? (unsigned)strtoul(at + length + 1, NULL, 10) : otherwise;
}

static void read_settings(const struct neap_gc_options *options)
{
	struct neap__gc *gc = &neap__gc;
	gc->percent = options->percent != 0 ? options->percent : 100;
	gc->limit = options->memory_limit;
	gc->stop_the_world = options->stop_the_world || debug_value("gcstoptheworld", 0) != 0;
	gc->checkmark = debug_value("gccheckmark", 0) != 0;
	gc->trace = debug_value("gctrace", 0);
	gc->period_ns = UINT64_C(1000000) * debug_value("gcperiod", PERIOD_MS);
#ifdef NEAP_HOSTILE
	gc->stress = debug_value("gcstress", STRESS_HOSTILE);
	gc->clobber = true;
#else
	gc->stress = debug_value("gcstress", 0);
	gc->clobber = gc->stress != 0 || gc->checkmark;
#endif
}

static void init_gc_locks(void)
{
	struct neap__gc *gc = &neap__gc;
	neap__lock_init(&gc->loader_lock, NEAP__RANK_GC_LOADER, 0);
	neap__lock_init(&gc->threads_lock, NEAP__RANK_GC_THREADS, 0);
	neap__lock_init(&gc->mark_lock, NEAP__RANK_GC_MARK, 0);
	neap__lock_init(&gc->shaded_lock, NEAP__RANK_GC_SHADED, 0);
	neap__lock_init(&gc->tables, NEAP__RANK_GC_TABLES, 0);
	neap__lock_init(&gc->rows, NEAP__RANK_GC_ROWS, 0);
	for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++)
		neap__lock_init(&gc->central[kind].lock, NEAP__RANK_GC_CENTRAL, kind);
	neap__gc_cycle_start();
	neap__gc_weak_maps_start();
}

static void open_tracking(void)
{
	struct neap__gc *gc = &neap__gc;
	gc->tracking = !gc->stop_the_world && neap__os_track_open(&gc->track, gc->base, gc->reach / 2);
}

/* Reservations are numbers until they are used. What was made stays for the next attempt. */
static bool reserve_tables(void)
{
	struct neap__gc *gc = &neap__gc;
	size_t units = gc->reach >> NEAP__UNIT_SHIFT;
	if (gc->spans == NULL)
		gc->spans = neap__os_reserve(units * sizeof *gc->spans);
	if (gc->types == NULL)
		gc->types = neap__os_reserve(NEAP__GC_TYPES * sizeof *gc->types);
	if (gc->marker == NULL)
		gc->marker = neap__os_reserve(sizeof *gc->marker);
	if (gc->shaded == NULL)
		gc->shaded = neap__os_reserve(SHADED_ROOM * sizeof *gc->shaded);
	if (gc->spans == NULL || gc->types == NULL || gc->marker == NULL || gc->shaded == NULL)
		return false;
	neap__os_dump(gc->spans, units * sizeof *gc->spans, false); /* see neap__gc_span_create */
	neap__os_dump(gc->marker, sizeof *gc->marker, false);
	neap__os_dump(gc->shaded, SHADED_ROOM * sizeof *gc->shaded, false);
	return neap__gc_again_start();
}

static int start_gc(const struct neap_gc_options *options)
{
	struct neap__gc *gc = &neap__gc;
	int number = options->stop_signal != 0 ? options->stop_signal : SIGRTMIN + SIGNAL_ABOVE_RTMIN;
	if (number < 1 || number > SIGRTMAX || number == SIGKILL || number == SIGSTOP)
		return NEAP_EINVAL;
	if (!neap__heap_start())
		return NEAP_ENOMEM;
	gc->first = neap__heap.units / NEAP__REGIONS * NEAP__REGION_TRACKED;
	gc->base = neap__unit_address(gc->first);
	gc->reach = (uintptr_t)(neap__heap.units - gc->first) << NEAP__UNIT_SHIFT;
	if (!reserve_tables())
		return NEAP_ENOMEM;
	int roots = neap__gc_roots_start();
	if (roots != NEAP_OK)
		return roots;
	init_gc_locks();
	if (!neap__gc_final_start() || !neap__gc_threads_start(number))
		return NEAP_ENOMEM;
	gc->type_count = NEAP__GC_TYPES_OURS;
	gc->beacon = &neap__gc_beacon;
	read_settings(options);
	open_tracking();
	neap__gc_pace_start();
	neap__gc_stats_start();
	return NEAP_OK;
}

/* fork: no other thread is inside the collector, none marks, none is being stopped. */

static void gc_locks(void (*each)(struct neap__lock *), bool up)
{
	enum { FIXED = 6, COUNT = FIXED + NEAP__GC_KINDS + 1 };
	struct neap__lock *locks[COUNT] = {&neap__gc.loader_lock, &neap__gc.threads_lock,
					   &neap__gc.mark_lock,	  &neap__weak_maps.lock,
					   &neap__gc.tables,	  &neap__gc.shaded_lock};
	for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++)
		locks[FIXED + kind] = &neap__gc.central[kind].lock;
	locks[COUNT - 1] = &neap__gc.rows;
	for (unsigned i = 0; i < COUNT; i++)
		each(locks[up ? i : COUNT - 1 - i]);
}

static void before_fork_of_gc(void)
{
	gc_locks(neap__lock_take, true);
	neap__gc_maps_lock(true);
	neap__gc_weak_maps_lock(true);
}

static void after_fork_of_gc(void)
{
	neap__gc_weak_maps_lock(false);
	neap__gc_maps_lock(false);
	gc_locks(neap__lock_give, false);
}

static void forget_marks(void)
{
	atomic_store(&neap__gc.marking, false);
	for (uint32_t head = 0; (head = neap__gc_next_span(head + 1)) != 0;) {
		struct neap__gc_span *span = neap__gc_span(head);
		for (uint32_t w = 0; w * 64 < span->objects; w++)
			atomic_store_explicit(&span->words[w].mark, 0, memory_order_relaxed);
		atomic_store(&span->overflow, false);
	}
}

/* The heap's own handler has run: it was registered first. A cycle that the parent is in is not the child's. */
static void in_child_of_gc(void)
{
	if (neap__gc_is_marking())
		forget_marks();
	neap__gc_again_end();
	neap__gc_marker_reset();
	neap__gc_threads_forked();
	after_fork_of_gc();
	neap__gc_cycle_forked();
	neap__gc_final_forked();
	neap__gc_weak_maps_forked();
	if (neap__gc.tracking) {
		neap__os_track_close(&neap__gc.track);
		open_tracking();
	}
}

static const struct neap__collector_told gc_answers = {neap_why_hidden, neap__gc_cycles};

static int start_once(const struct neap_gc_options *options)
{
	pthread_mutex_lock(&starting_gc);
	int result = NEAP_EINVAL;
	if (atomic_load(&neap__gc.state) == 0) {
		result = start_gc(options);
		if (result == NEAP_OK) {
			atomic_store_explicit(&neap__gc.state, 1, memory_order_release);
			atomic_store_explicit(&neap__collector_told, &gc_answers, memory_order_release);
			atomic_store_explicit(&neap__heap.collector, &neap__gc_collector,
					      memory_order_release);
		}
	}
	pthread_mutex_unlock(&starting_gc);
	if (result == NEAP_OK) {
		/* Before a fork the collector's locks come first: a busy thread may wait for a lock of a map. */
		neap__cmap_watch_fork();
		pthread_atfork(before_fork_of_gc, after_fork_of_gc, in_child_of_gc);
	}
	return result;
}

int neap_gc_start(const struct neap_gc_options *options)
{
	return options != NULL && options->size == sizeof *options ? start_once(options) : NEAP_EINVAL;
}

bool neap__gc_begin(void)
{
	if (NEAP__GC_LIKELY(atomic_load_explicit(&neap__gc.state, memory_order_acquire) == 1))
		return true;
	const struct neap_gc_options defaults = {.size = sizeof defaults};
	(void)start_once(&defaults);
	return atomic_load_explicit(&neap__gc.state, memory_order_acquire) == 1;
}

bool neap_gc_concurrent(void)
{
	return neap__gc_begin() && neap__gc_tracks();
}
