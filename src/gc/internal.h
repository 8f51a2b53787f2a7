/* internal.h: the nouns of the collector and the laws between them.
 *
 *   object    what the program allocates; a span's block with its number, or a run of its own (large)
 *   flavour   tracked: may hold pointers, its pages are watched by the kernel; barriered: may hold pointers, its
 *             stores are announced by neap_store; data: holds none
 *   kind      a size class, or large, in one of the flavours
 *   span      a run of the heap cut into objects of one kind
 *   claim     up to 64 free objects of a span that a thread took at once, and hands out without any lock
 *   central   the spans of a kind, in lists by state
 *   white     allocated and not marked; grey: marked, in the marker's hands; black: marked and read
 *   busy      a thread inside the collector: it is stopped when it leaves
 *   parked    a thread that promised not to touch objects: it need not be stopped
 *
 *   the way of an object:   free -> claimed -> allocated -> (unmarked at the end of a cycle) -> swept -> free
 *
 *     bits of a span    word w:  | alloc 64 | mark 64 |   side by side: one cache line answers both questions
 *     types of a span   a 16-bit number for each object; none for data
 *
 * THE INVARIANT. When marking ends, the world is stopped and: every object that a root leads to is marked. It holds
 * because each black object was either not written to since it was read, or is read again:
 *
 *     tracked     its page was armed before the first object was read. A store after that makes the page
 *                 "written"; a round reads all marked objects of written pages again and arms them in the same
 *                 step; the last round has the world stopped.
 *     barriered   neap_store marks the new value itself. The thread is busy in between, so no store is half
 *                 announced when marking begins or ends.
 *     new         objects allocated during marking are black; as their memory was zeroed, what they point to was
 *                 stored later, which is one of the two cases above.
 *     handles     are read once; who sets one marks the new value, busy as in neap_store. Objects whose finalizers are
 *                 due too: none becomes due while marking runs.
 *     finalizers  an object with one is read, and read again, like a black one, and stays white (final.c).
 *     roots       all others are read again with the world stopped.
 *
 * Nothing here relies on what was reachable before: a pointer that the program read before it was overwritten is
 * on a stack or in a register at the end, or was stored somewhere that one of these lines covers.
 *
 * Laws (neap__gc_check):
 *     span:    mark & ~alloc == 0 outside marking; bits past `objects` are set in alloc, clear in mark
 *     outside a cycle and when all is swept: no mark bit is set
 *     claim:   its bits are set in alloc; while marking, also in mark
 *     row:     its object is allocated; the bits of a span name its objects that have one
 *     central: a span is in the list of its epoch and state, once; an owned span is one thread's
 *     live_bytes == sum of the sizes of set alloc bits of swept spans and of alloc & mark of the others
 *
 * The epoch is the number of the last cycle. A span of the epoch before is unswept: what is not marked in it is
 * garbage. So ending a cycle turns every span into an unswept one by adding 1: each central keeps the lists of
 * two epochs, and the old ones are empty before the next cycle begins.
 *
 * During marking no span is given back to the heap: the marker may hold any address.
 *
 * Here are the objects, spans, threads and roots; mark.h has the marker, cycle.h collections and their times, tables.h
 * what is kept about objects apart from them (map.h and weak_map.h: maps).
 *
 * Credits: Boehm, Demers and Shenker, "Mostly parallel garbage collection" (1991), for reading written pages again;
 * Go's runtime for sweeping by allocation, MemStats and pacing; Cher, Hosking and Vitek (2004) for the prefetch queue.
 */
#ifndef NEAP_SRC_GC_INTERNAL_H
#define NEAP_SRC_GC_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "heap/internal.h"
#include "neap/gc.h"

enum neap__gc_flavour { NEAP__GC_TRACKED, NEAP__GC_BARRIERED_FLAVOUR, NEAP__GC_DATA, NEAP__GC_FLAVOURS };

enum {
	NEAP__GC_CLASSES = NEAP__CLASSES + 1, /* the last is large */
	NEAP__GC_KINDS = NEAP__GC_FLAVOURS * NEAP__GC_CLASSES,
	NEAP__GC_TYPES = 65535,
	NEAP__GC_CONSERVATIVE = 0, /* the type number of objects whose words may all be pointers */
	NEAP__GC_NOTHING = 1, /* of objects that are claimed and not handed out: what is in them is old */
	NEAP__GC_TYPES_OURS,
	NEAP__GC_SHADES = 256, /* objects that a thread's barrier keeps before it hands them over */
#ifdef NEAP_HOSTILE
	NEAP__GC_STACK_ROOM = 64,
	NEAP__GC_CLAIM_MOST = 1,
#else
	NEAP__GC_STACK_ROOM = 1 << 20, /* 8 MB of address space; a binary tree of any size needs far less */
	NEAP__GC_CLAIM_MOST = 64,
#endif
	NEAP__GC_FIFO = 16, /* loads under way at once; see mark.c */
	NEAP__GC_PAGES_AT_ONCE = 256,
	NEAP__GC_ATTEMPTS_MOST = 48, /* stops that try to end a cycle */
	NEAP__GC_BUCKETS = 24,	     /* of a histogram: powers of two of a microsecond, up to 8 seconds */
	NEAP__GC_RANGES = 65536,
	NEAP__GC_STATICS = 4096
};
_Static_assert(NEAP__GC_KINDS < 256, "a kind is a byte");

enum neap__gc_span_state {
	NEAP__GC_PARTIAL, /* with free objects */
	NEAP__GC_FULL,	  /* without */
	NEAP__GC_LISTS,
	NEAP__GC_OWNED = NEAP__GC_LISTS /* a thread claims from it; in no list */
};

/* What is kept about objects apart from them, see tables.h. */
enum neap__gc_table_number { NEAP__GC_WEAKS, NEAP__GC_FINALS, NEAP__GC_TABLES };

struct neap__gc_word {
	_Atomic uint64_t alloc, mark;
};

/* 64 bytes, one for each unit of the collected regions. */
struct neap__gc_span {
	_Alignas(64) _Atomic uint32_t
		head; /* first unit of the span that the unit lies in; 0: none. Release, acquire. */
	uint32_t units;
	uint64_t magic; /* offset * magic >> NEAP__MAGIC_SHIFT is the object's number; 0 when large */
	uint64_t size;	/* of an object, bytes */
	struct neap__gc_word *words;
	_Atomic uint16_t *types; /* NULL: data. Written by the thread that allocates. */
	uint32_t next, prev;	 /* in its list; 0: none */
	uint16_t objects;
	uint8_t kind;
	uint8_t state;		/* enum neap__gc_span_state; under the central lock */
	_Atomic bool overflow;	/* has marked objects that were not read */
	uint8_t cursor;		/* words below it were offered to the owner */
	uint8_t epoch;		/* the last bits of the epoch in which it was made or swept */
	_Atomic bool weak_keys; /* some object of it was a key of a weak map, or one itself */
	/* For each word of objects a word of each table: which of them have a row there. NULL: none has. */
	_Atomic uint64_t *_Atomic noted;
};
_Static_assert(sizeof(struct neap__gc_span) == 64, "one cache line");

struct neap__gc_type {
	const struct neap_gc_type *source;
	uint64_t *head, *tail; /* a bit for each word that may be a pointer; NULL: none */
	uint32_t head_size;    /* bytes; elements of `stride` bytes follow up to the end of the object */
	uint32_t stride;       /* 0: nothing follows that holds pointers */
	/* Blocks of at most `single` bytes have just the words of `first`, the head's bits: nearly all objects. */
	uint64_t first;
	uint32_t single; /* 0: none; a map, or a head of more than 64 words */
	uint8_t flavour;
	uint8_t kind;	/* of an object without elements in its tail */
	bool map;	/* the object is a struct neap__gc_map */
	bool interface; /* struct neap_any: in maps its type decides */
};

/* A claim: hand out the lowest bit of `free`. */
struct neap__gc_slot {
	uint64_t free;
	char *base; /* of the object with bit 0 */
	_Atomic uint16_t *types;
	uint32_t size;
	uint32_t word; /* of the span */
	uint32_t head; /* of the owned span; 0: none */
};

enum neap__gc_thread_state { NEAP__GC_RUNNING, NEAP__GC_PARKED, NEAP__GC_HELD };

struct neap__gc_thread {
	/* busy and late are the thread's own and its signal handler's. */
	volatile int busy;
	volatile bool late;	      /* a stop came while it was busy */
	_Atomic uint32_t state;	      /* enum neap__gc_thread_state; HELD: parked, and the world is stopped */
	_Atomic uint32_t stopped;     /* the number of the last stop that it obeyed; release, acquire */
	_Atomic(char *) sp;	      /* what lies above is read; set when stopped or parked */
	char *stack_low, *stack_high; /* the whole stack */
	char *other_high; /* end of the signal stack that it was stopped on; NULL: its own stack */
	void *pointer;	  /* its thread pointer, which leads to its thread-local variables */
	pthread_t id;
	unsigned parks; /* nested neap_park */
	struct neap__gc_thread *next;
	unsigned shades;
	uintptr_t shade[NEAP__GC_SHADES];
	uintptr_t saved[64]; /* the registers of a parked thread */
	unsigned saved_count;
	struct neap__gc_slot slots[NEAP__GC_KINDS];
};

struct neap__gc_central {
	struct neap__lock lock;
	uint32_t lists[2][NEAP__GC_LISTS];		  /* first span, by epoch and state */
	uint64_t claimed, unclaimed, freed, swept;	  /* objects, since the start */
	uint64_t claimed_bytes, swept_bytes, freed_bytes; /* of large objects; the others are count * size */
};

struct neap__gc_marker; /* mark.h */

struct neap__gc_range {
	uintptr_t start, end;
};

struct neap__gc_range_table {
	struct neap__gc_range at[NEAP__GC_RANGES];
	size_t count;
};

/* What the loaded objects contribute: writable segments, and thread-local blocks by module number. */
struct neap__gc_statics {
	struct neap__gc_range at[NEAP__GC_STATICS];
	size_t count;
	struct {
		size_t module, size;
	} tls[NEAP__GC_STATICS];
	size_t tls_count;
	unsigned long long changes; /* of the loader's list when it was read */
	bool broken;		    /* the loader does not keep thread-local blocks where we look */
};

struct neap__gc {
	_Atomic int state; /* 0 not started, 1 ready */
	char *base;	   /* of the tracked region; the untracked one follows */
	uintptr_t reach;   /* bytes of both */
	uint32_t first;	   /* unit at base */
	struct neap__gc_span *spans;
	struct neap__gc_type *types;
	uint32_t type_count;
	struct neap__gc_central central[NEAP__GC_KINDS];

	struct neap__lock loader_lock;
	struct neap__lock threads_lock;
	struct neap__gc_thread *threads, *spare_threads;
	_Atomic uint32_t stop, resumed; /* numbers of the last stop ordered and the last one over */
	_Atomic uint32_t acks;
	int signal;

	struct neap__lock mark_lock;
	struct neap__gc_marker *marker;
	_Atomic bool marking; /* changes while the world is stopped */
	_Atomic bool overflowed;

	struct neap__lock shaded_lock;
	uint64_t *shaded; /* what full buffers held */
	_Atomic size_t shaded_count;

	struct neap__lock rows; /* finalizers, weak references, what is due */
	struct neap__lock tables;
	struct neap__gc_range_table *ranges;
	struct neap__gc_statics *statics;
	_Atomic uintptr_t *handles;
	size_t handles_made, handles_free; /* free: 1 + number of the first, linked */

	_Atomic bool tracking;
	struct neap__os_track track;

	/* White objects of unswept spans are dead and still there. Set while the world is stopped. Release when it ends,
	 * acquire in neap_weak_get.
	 */
	_Atomic bool sweeping;
	bool stop_the_world, checkmark, clobber;
	unsigned stress, trace; /* trace 2: the stops too */
	uint64_t
		period_ns; /* a program that runs is collected at least so often, if anything started the thread */
	_Atomic uint32_t checked;    /* cycles that checkmark has traced again */
	_Atomic uint32_t epoch;	     /* changes while the world is stopped */
	_Atomic uint64_t live_bytes; /* claimed and not freed, swept or returned */
	_Atomic uint64_t pace_bytes; /* found alive by the last cycle, claimed since, minus freed since */
	_Atomic uint64_t claimed_bytes;
	_Atomic uint64_t dropped; /* entries that maps let go of since the start */
	/* Relaxed counters, also of signal handlers; see struct neap_memstats. */
	_Atomic uint64_t delays_below[NEAP__GC_BUCKETS], delay_total, delay_longest;
	_Atomic uint64_t trigger, goal; /* of pace_bytes: begin a cycle; be done */
	_Atomic int percent;
	_Atomic size_t limit;
	const struct neap_beacon *beacon; /* keeps it in every program that has a collector */
};

extern const struct neap_beacon neap__gc_beacon; /* layout.c */
extern struct neap__gc neap__gc;
extern _Thread_local struct neap__gc_thread *neap__gc_self __attribute__((tls_model("initial-exec")));

#define NEAP__GC_LIKELY(x)   __builtin_expect(!!(x), 1)
#define NEAP__GC_UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline struct neap__gc_span *neap__gc_span(uint32_t unit)
{
	return &neap__gc.spans[unit - neap__gc.first];
}

static inline uint32_t neap__gc_head(uint32_t unit)
{
	return atomic_load_explicit(&neap__gc_span(unit)->head, memory_order_acquire);
}

static inline bool neap__gc_is_large(const struct neap__gc_span *span)
{
	return span->magic == 0;
}

static inline bool neap__gc_tracked(uint32_t head)
{
	return neap__gc_span(head)->kind < NEAP__GC_CLASSES;
}

static inline char *neap__gc_address(uint32_t head, uint32_t object)
{
	return neap__unit_address(head) + object * neap__gc_span(head)->size;
}

static inline bool neap__gc_bit(const _Atomic uint64_t *word, uint32_t object)
{
	return atomic_load_explicit(word, memory_order_relaxed) >> object % 64 & 1;
}

static inline bool neap__gc_marked(uint32_t head, uint32_t object)
{
	return neap__gc_bit(&neap__gc_span(head)->words[object / 64].mark, object);
}

static inline bool neap__gc_allocated(uint32_t head, uint32_t object)
{
	return neap__gc_bit(&neap__gc_span(head)->words[object / 64].alloc, object);
}

/* Of the objects of a word of the span: which have a row in the table? Acquire: as in table.c. */
static inline uint64_t neap__gc_noted(const struct neap__gc_span *span, uint32_t w,
				      enum neap__gc_table_number table)
{
	_Atomic uint64_t *noted = atomic_load_explicit(&span->noted, memory_order_acquire);
	return noted != NULL ? atomic_load_explicit(&noted[w * NEAP__GC_TABLES + table], memory_order_relaxed)
			     : 0;
}

static inline bool neap__gc_has(uint32_t head, uint32_t object, enum neap__gc_table_number table)
{
	return neap__gc_noted(neap__gc_span(head), object / 64, table) >> object % 64 & 1;
}

static inline const struct neap__gc_type *neap__gc_type_of(const struct neap__gc_span *span, uint32_t object)
{
	return &neap__gc.types[atomic_load_explicit(&span->types[object], memory_order_relaxed)];
}

/* The place that any word points into: true when it lies in a span, in the area of an object. */
static inline bool neap__gc_find(uintptr_t word, uint32_t *ret_head, uint32_t *ret_object)
{
	uintptr_t offset = word - (uintptr_t)neap__gc.base;
	if (offset >= neap__gc.reach)
		return false;
	uint32_t head = neap__gc_head(neap__gc.first + (uint32_t)(offset >> NEAP__UNIT_SHIFT));
	if (head == 0)
		return false;
	const struct neap__gc_span *span = neap__gc_span(head);
	uint64_t inside = word - (uintptr_t)neap__unit_address(head);
	uint32_t object = (uint32_t)(inside * span->magic >> NEAP__MAGIC_SHIFT);
	*ret_head = head;
	*ret_object = object;
	return object < span->objects;
}

/* A thread between the two is not stopped. Signal fences: the handler runs on the same thread. */
static inline void neap__gc_enter(struct neap__gc_thread *thread)
{
	thread->busy++;
	atomic_signal_fence(memory_order_seq_cst);
}

void neap__gc_stop_late(struct neap__gc_thread *thread);

/* True when the thread is to call neap__gc_stop_late now. */
static inline bool neap__gc_leaves_late(struct neap__gc_thread *thread)
{
	atomic_signal_fence(memory_order_seq_cst);
	return --thread->busy == 0 && NEAP__GC_UNLIKELY(thread->late);
}

static inline void neap__gc_leave(struct neap__gc_thread *thread)
{
	if (neap__gc_leaves_late(thread))
		neap__gc_stop_late(thread);
}

static inline bool neap__gc_unswept(uint32_t head)
{
	uint32_t epoch = atomic_load_explicit(&neap__gc.epoch, memory_order_relaxed);
	return neap__gc_span(head)->epoch != (uint8_t)epoch;
}

static inline bool neap__gc_is_marking(void)
{
	return atomic_load_explicit(&neap__gc.marking, memory_order_relaxed);
}

static inline bool neap__gc_tracks(void)
{
	return atomic_load_explicit(&neap__gc.tracking, memory_order_relaxed) && !neap__gc.stop_the_world;
}

static inline unsigned neap__gc_flavour_of(unsigned kind)
{
	return kind / NEAP__GC_CLASSES;
}

/* start.c */
bool neap__gc_begin(void); /* started, with defaults if nobody did */

/* types.c */
extern struct neap_gc_type neap__gc_map_type;
int neap__gc_type_number(struct neap_gc_type *type); /* 0 and up, or an error */

/* span.c; all with the central lock of the kind held, or the world stopped */
uint32_t neap__gc_span_create(unsigned kind, size_t size); /* owned, in no list; 0: no memory */
void neap__gc_list_push(uint32_t head, enum neap__gc_span_state state);
void neap__gc_list_remove(uint32_t head);
/* Puts a span that is in no list where it belongs; empty ones go back to the heap. Returns the bytes of those. */
size_t neap__gc_span_settle(uint32_t head);
/* The first span from a unit on; 0: none. Needs no lock while marking runs: no span is given back. */
uint32_t neap__gc_next_span(uint32_t unit);
bool neap__gc_span_claim(uint32_t head, struct neap__gc_slot *slot);
void neap__gc_slot_empty(struct neap__gc_slot *slot, unsigned kind); /* returns a claim */

/* sweep.c */
size_t neap__gc_span_sweep(uint32_t head); /* out of its list, swept, settled; central lock held */
uint32_t neap__gc_next_unswept(unsigned kind);
void neap__gc_sweep_all(void);

/* holes.c; the cycle lock is held, all is swept */
size_t neap__gc_return_holes(void);

/* alloc.c */
extern const struct neap__collector neap__gc_collector;
_Noreturn void neap__gc_fault(const char *rule, const void *object, const char *operation);

/* thread.c */
struct neap__gc_thread *neap__gc_attached(void); /* this thread, attached; NULL: no memory */
bool neap__gc_threads_start(int signal);
void neap__gc_stop_world(void);
void neap__gc_start_world(void);
/* Runs `work` with the calling thread parked: its registers are on its stack. */
void neap__gc_aside(void (*work)(void *ctx), void *ctx);
void neap__gc_threads_forked(void);

/* roots.c */
typedef void neap__gc_range_fn(uintptr_t start, uintptr_t end, void *ctx);
void neap__gc_each_stack(neap__gc_range_fn *each, void *ctx);  /* world stopped */
void neap__gc_each_global(neap__gc_range_fn *each, void *ctx); /* statics, ranges */
/* Handles, and objects whose finalizers are due: beside the program they are read once. */
void neap__gc_each_handle(neap__gc_range_fn *each, void *ctx);
/* Runs `work` with the list of loaded objects up to date and kept from changing. */
void neap__gc_with_statics(void (*work)(void *ctx), void *ctx);
int neap__gc_roots_start(void);

/* check.c; the world is stopped, or the program has one thread and no cycle runs */
const char *neap__gc_check(void);
void neap__gc_checkmark(void);

#endif
