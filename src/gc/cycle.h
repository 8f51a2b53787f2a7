/* cycle.h: one collection, when the next is due, and what is told of them.
 */
#ifndef NEAP_SRC_GC_CYCLE_H
#define NEAP_SRC_GC_CYCLE_H

#include "gc/internal.h"

/* cycle.c */
enum neap__gc_stop_part {
	NEAP__GC_PART_WAIT,   /* until the last thread had stopped */
	NEAP__GC_PART_PAGES,  /* that were written to */
	NEAP__GC_PART_ROOTS,  /* stacks, static data, handles */
	NEAP__GC_PART_MARK,   /* what these led to */
	NEAP__GC_PART_TABLES, /* weak references, finalizers, maps, claims */
	NEAP__GC_PARTS
};
struct neap__gc_cycle_record {
	bool concurrent;
	bool refused; /* the kernel stopped saying what was written */
	unsigned rounds, attempts;
	long round_pages, last_pages; /* read again in the last round, in the last stop */
	bool forced, idle;
	uint64_t begin, cpu_begin, marked_by;
	/* ns: the first stop, 0 if there was none, and the attempts; waiting for the last thread is part of them. */
	uint64_t stops[NEAP__GC_ATTEMPTS_MOST + 1], waits[NEAP__GC_ATTEMPTS_MOST + 1];
	uint64_t parts[NEAP__GC_PARTS]; /* ns, of the last one */
	uint64_t cpu;			/* of the thread that ran it */
	_Atomic uint64_t assisted;	/* ns that other threads marked */
	uint64_t heap_before, heap_after, marked, goal;
	uint64_t claimed_before, claimed_at_flip; /* values of claimed_bytes */
	uint64_t dropped_before;
};
extern struct neap__gc_cycle_record neap__gc_last; /* the cycle lock's */
void neap__gc_cycle_now(void);			   /* a whole one that begins now */
void neap__gc_cycle_due(void); /* waits for the one that runs; runs another if one is due then */
void neap__gc_cycle_nudge(void);
void neap__gc_cycle_stir(void);
void neap__gc_cycle_start(void);
bool neap__gc_launch(void *(*body)(void *));
void neap__gc_cycle_forked(void);
/* Runs `work` between two cycles with the world stopped and all swept, inside the loader's lock, the caller parked.
 * False, and not run: the caller is inside the collector, parked, or cannot be attached.
 */
bool neap__gc_between_cycles(void (*work)(void *ctx), void *ctx);

/* pacer.c */
bool neap__gc_due(void);
void neap__gc_pace(size_t size); /* by a thread that is about to claim, not busy; may mark, wait or collect */
void neap__gc_pace_begin(void);
void neap__gc_pace_flip(void);
void neap__gc_pace_anew(void);
void neap__gc_pace_start(void);
void neap__gc_pace_drop(size_t entries); /* a map let go of so many: there may be garbage without a claim */
bool neap__gc_nothing_new(void);
/* A cycle should run though none is due. Asked by the collector's thread only. */
bool neap__gc_idle(void);
bool neap__gc_overdue(void);

/* memstats.c */
void neap__gc_stats_start(void);
void neap__gc_record_cycle(void);
/* Of neap_memstats what cycles left: no walk over the heap. NEAP_ENOMEM: this thread could not be attached. */
int neap__gc_cycles(struct neap_memstats *ret);
void neap__gc_felt(uint64_t begin); /* the collector held the calling thread up from `begin` until now */

#endif
