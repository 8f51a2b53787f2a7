/* tour_run.h: one table on the tour: loaded, 99 % deleted, all deleted, with an account at each stop. */
#ifndef NEAP_LAB_TOUR_RUN_H
#define NEAP_LAB_TOUR_RUN_H

#include "lab/keys.h"
#include "lab/rss.h"
#include "lab/table.h"

enum tour_stop { STOP_LOADED, STOP_ONE_PERCENT, STOP_EMPTY, TOUR_STOPS };

enum {
	KEPT_ONE_IN = 100, /* what "99 %" means */
};

/* Filled by the child in which it ran. */
struct tour_run {
	enum table_kind kind;
	const struct keys *keys;
	uint64_t seed;

	struct neap_account base, stops[TOUR_STOPS];
	size_t table_bytes[TOUR_STOPS]; /* the table alone, without key blocks */
	size_t entries[TOUR_STOPS];
	uint64_t nanoseconds[TOUR_STOPS]; /* of the work that led to the stop */
	size_t operations[TOUR_STOPS];	  /* puts or deletes in that work */
	/* In the deletes alone, without finding the keys; wall clock. Only up to STOP_ONE_PERCENT: afterwards the
	 * forked copies make each first write to a page a fault. */
	uint64_t delete_ns;
	size_t duplicates;				 /* keys that were in the table already */
	uint64_t started[TOUR_STOPS], ended[TOUR_STOPS]; /* of that work, ns on the curve */
	/* What two cures would give back at the stop, tried in a forked copy of the process; bytes of RSS. */
	ptrdiff_t trim_gives[TOUR_STOPS], rebuild_gives[TOUR_STOPS];

	struct rss_curve curve;
};

/* The work of the child: fills *(struct tour_run *)ctx. An exit status. */
int tour_run_child(void *ctx);

/* How long after the last delete RSS reached the level that it kept, within 5 % of what came back: ns; 0 when
 * the memory was back before; UINT64_MAX when nothing came back that stands out.
 */
uint64_t tour_settle_time(const struct tour_run *run, enum tour_stop stop);

#endif
