/* internal.h: the nouns of the heap and the laws between them.
 *
 *   arena    one reservation of address space, in four regions: blocks that may hold pointers, blocks that don't,
 *            and two that a collector fills
 *   unit     64 KB of the arena; everything about a unit is found by its number, (address - base) / 64 KB
 *   run      units side by side that are used, or free, together; its first unit is the head
 *   span     a run cut into blocks of one size (1 unit, 4 for blocks over 4 KB)
 *   large    a run that is one block
 *   kind     a size class in one of the regions; everything that exists per class exists per kind
 *   cache    a thread's own: a magazine of free blocks per kind and the span that it takes new ones from
 *   hot      the block that a thread freed last: at hand, in no magazine yet
 *   central  the spans of a kind that no thread owns
 *   collected run  belongs to a collector, which knows what is in it; the heap knows only that it is in use
 *
 *     arena   | - | span | large: head, ...... | free run | span, 4 units | ... frontier |  not yet used  |
 *     tags    | - | kind |  0    0    0    0   | FREE FREE| kind x 4      | one byte a unit
 *     spans   | - | head |  head, links home   | both ends| head + 3      | 64 bytes a unit
 *     resident| - | one bit a page: may be resident; clear: reads as zero and costs nothing
 *
 * The way of a block:  free run -> span -> magazine -> program -> hot -> magazine -> span -> free run -> system.
 * Malloc and free are a push and a pop on a magazine, unless malloc asks for the kind of the hot block. An empty magazine is refilled with a batch from the span
 * that the thread owns; a full one flushes its older half.
 *
 * Who may change a span's bitmap: its owner while it is open, the holder of the central lock while it is
 * closed. `remote` says which: CLOSED, or (open) the list of blocks that other threads freed, linked through
 * their first words, which only the owner takes, all at once. A span opens and closes under the central lock;
 * so whoever finds it CLOSED under that lock may clear bits, whoever finds it open may push. The thread that
 * returns pages is simply an owner for a while.
 *
 * Laws (neap__heap_check):
 *     span:    used == set bits below `objects`; bits past `objects` are set
 *     kind:    sum of used over its spans == live + in magazines + in remote lists
 *     region:  the runs from its first unit tile it up to the frontier, no two free runs touch
 *     bins:    each free run is in the bin of its length, once; each closed span with 0 < used < objects is
 *              in its central list, once
 *     pages:   every page of a block with a set bit is marked resident
 *
 * Credits: Go's mheap, mcentral and freeindex/allocBits; tcmalloc's per-thread magazines and page map;
 * mimalloc's remote lists.
 */
#ifndef NEAP_SRC_HEAP_INTERNAL_H
#define NEAP_SRC_HEAP_INTERNAL_H

#include <stdatomic.h>

#include "base/assert.h"
#include "base/locks.h"
#include "neap/heap.h"

enum {
	NEAP__UNIT_SHIFT = 16,
	NEAP__UNIT = 1 << NEAP__UNIT_SHIFT,
	NEAP__CLASSES = 72,
	NEAP__KINDS = 2 * NEAP__CLASSES,
	NEAP__WIDE_FROM = 4096, /* blocks above this size live in spans of WIDE_UNITS */
	NEAP__WIDE_UNITS = 4,
	NEAP__TAG_NONE = 0, /* not reached, or large; kind k is k + 1 */
	NEAP__TAG_COLLECTED = 254,
	NEAP__TAG_FREE = 255,
	/* Ticks of the returning thread (250 ms) that memory must lie still before it is returned: a second, so that
	 * an idle program is clean within two and a page that is used again within one is not faulted in anew.
	 */
	NEAP__STILL_TICKS = 4,
	NEAP__BINS = 192,
	/* In the order of the arena. */
	NEAP__REGION_POINTERS = 0,
	NEAP__REGION_NO_POINTERS = 1,
	NEAP__REGION_TRACKED = 2,   /* collected; a collector may ask the system which pages were written */
	NEAP__REGION_UNTRACKED = 3, /* collected */
	NEAP__REGIONS = 4
};
_Static_assert(NEAP__KINDS + 1 < NEAP__TAG_COLLECTED, "a tag is a byte");

enum neap__span_state {
	NEAP__SPAN_NONE,     /* not the head of a run */
	NEAP__SPAN_FREE,     /* a free run, in a bin */
	NEAP__SPAN_LARGE,    /* one block */
	NEAP__SPAN_OPEN,     /* a span that somebody owns */
	NEAP__SPAN_PARTIAL,  /* closed, in its central list */
	NEAP__SPAN_FULL,     /* closed, no free block, in no list */
	NEAP__SPAN_COLLECTED /* the head of a collected run */
};

/* In `remote`: nobody owns the span. Not a valid block address. */
#define NEAP__CLOSED ((uintptr_t)1)

struct neap__cache;

struct neap__span {
	uint32_t
		head; /* this run's first unit; right in every unit of a run in use, at both ends of a free one */
	uint32_t units;		/* of the run; in the head */
	_Atomic uint8_t state;	/* enum neap__span_state; written under the lock of its list */
	bool settled;		/* its empty pages were returned and no block was freed since */
	uint16_t objects;	/* blocks in the span */
	uint16_t free_index;	/* no block below it is free, as far as the owner knows */
	uint16_t missing;	/* pages of the span that are not resident */
	_Atomic uint32_t used;	/* set bits: blocks that live, are cached or in a remote list */
	_Atomic uint32_t stamp; /* the tick of the last free */
	uint32_t next, prev;	/* in a bin or a central list; 0: none */
	uint32_t sample;	/* of a large run: the record of its block, 0: none. The block's owner's. */
	uint64_t *alloc;	/* a bit for each block */
	_Atomic uintptr_t remote;
	struct neap__cache *_Atomic owner;
	uint64_t size; /* large: bytes asked for. Not atomic: the block's owner's. */
};

struct neap__class {
	uint32_t size, objects, units;
	uint32_t batch; /* blocks moved from a span to a magazine at once */
	uint32_t room;	/* blocks in a magazine */
	uint64_t magic; /* offset / size == offset * magic >> MAGIC_SHIFT */
};

/* With offset < 2^18 (a wide span) and size < 2^16 the error of the rounded-up reciprocal stays below one block:
 * offset * (magic * size - 2^40) < 2^18 * 2^16 < 2^40.
 */
enum { NEAP__MAGIC_SHIFT = 40 };
_Static_assert((uint64_t)NEAP__WIDE_UNITS *NEAP__UNIT *(NEAP_HEAP_SMALL_MOST * 2) <
		       (uint64_t)1 << NEAP__MAGIC_SHIFT,
	       "division by multiplication is exact");

/* A magazine: the free blocks of one kind that a thread keeps. It has a book, room, and slots in a row.
 *
 * book = pops << BOOK_SHIFT | count: the program's mallocs since the start and the blocks at hand, in one word, so
 * that a malloc is a load and a store of it, and so is a free. The frees are not counted; they follow from
 *     pushes - pops == count - moved,
 * where `moved` is what came from spans less what went back, and the count takes the hot block in. 54 bits of pops last for a year of nothing but malloc.
 * Written by the owner only, read by whoever counts: relaxed.
 *
 * A pair of malloc and free through a magazine waits for each load in turn: of the tag of the block, of the book, of
 * the slot. Hence the hot block, which is a load that waits for a store: whether it is of the right kind is found out
 * beside that.
 */
struct neap__magazine {
	uint32_t room;	/* blocks */
	uint32_t first; /* of its slots in the cache's */
};

enum { NEAP__BOOK_SHIFT = 10, NEAP__ROOM_MOST = (1 << NEAP__BOOK_SHIFT) - 1 };

/* The highest bit of the mallocs: the next one is to be looked at (sample.c). */
#define NEAP__BOOK_DUE (UINT64_C(1) << 63)

/* Followed by the slots of its magazines. */
struct neap__cache {
	/* By tag, so that a free needs no kind; those of the tags that are no kinds have no room. */
	_Atomic uint64_t books[NEAP__TAG_FREE + 1];
	struct neap__magazine magazines[NEAP__TAG_FREE + 1];
	void *hot;
	_Atomic uint32_t
		hot_tag; /* NEAP__TAG_NONE: there is no hot block. The owner's; relaxed, as the books. */
	uint32_t owned[NEAP__KINDS]; /* the open span of the kind, 0: none */
	_Atomic uint64_t moved[NEAP__KINDS];
	uint64_t lead[NEAP__KINDS];    /* what the pops in the book are ahead; under the lock of the caches */
	uint64_t armed_for;	       /* the sampling rate that the kinds were armed for; the owner's */
	struct neap__cache *next;      /* in the list of all caches */
	struct neap__cache *next_idle; /* in the list of those without a thread */
};

struct neap__central {
	struct neap__lock lock;
	uint32_t partial;	 /* first of the spans with free blocks */
	uint64_t mallocs, frees; /* of the checking mode, which uses no caches */
};

struct neap__region {
	uint32_t first, frontier, committed, end; /* units: first <= frontier <= committed <= end */
	uint32_t bins[NEAP__BINS];		  /* heads of free runs by length */
	uint64_t filled[NEAP__BINS / 64];	  /* which bins have one */
};

struct neap__meta_pool {
	char *base;
	size_t used, size;
	size_t dumped;	 /* bytes that core files take in */
	void *spare[24]; /* blocks of 8 << i bytes, linked through their first words */
};

/* What a collector adds to the heap; NULL until it starts. Called with no lock of the heap held. */
struct neap__collector {
	void (*free)(void *block);
	size_t (*usable)(const void *block);
	uint64_t (*live_bytes)(
		void); /* in blocks of collected runs, as far as it knows; may be called under locks */
};

struct neap__heap {
	_Atomic int state; /* 0 not started, 1 ready, -1 the system refused */
	bool checking;
	unsigned page_shift;
	char *base;
	uint32_t units;
	_Atomic uint8_t *tags;
	_Atomic uint16_t *resident;
	struct neap__span *spans;

	struct neap__central central[NEAP__KINDS];

	struct neap__lock pages; /* regions, large_*, free runs */
	struct neap__region regions[NEAP__REGIONS];
	unsigned region_shift;				 /* region == unit >> region_shift */
	const struct neap__collector *_Atomic collector; /* release, acquire: its functions' state */
	uint64_t large_blocks, large_bytes, large_mallocs, large_frees;

	struct neap__lock meta;
	struct neap__meta_pool pool;

	struct neap__lock passing; /* held by who returns pages */
	struct neap__lock caches;  /* the two lists */
	struct neap__cache *all, *idle;
	struct neap__lock orphan_lock; /* orphan, which serves threads after their destructors */
	struct neap__cache *orphan;

	_Atomic uint32_t tick;
	_Atomic uint64_t returned_total;
	const struct neap_beacon *beacon;      /* keeps it in every program that has a heap */
	const struct neap__class *class_table; /* neap__classes, for readers */
	_Atomic size_t freed; /* bytes given to the heap since the returner was last started or woken */
};

struct neap_beacon;
extern const struct neap_beacon neap__heap_beacon; /* layout.c */
extern struct neap__heap neap__heap;
extern struct neap__class neap__classes[NEAP__CLASSES];
enum { NEAP__FINE_MOST = 1024 };
extern uint8_t neap__class_fine[NEAP__FINE_MOST / 16 + 1], neap__class_coarse[NEAP_HEAP_SMALL_MOST / 128 + 1];
/* NULL: not made yet, the thread is past its end, or checking is on. */
extern _Thread_local struct neap__cache *neap__cache_self __attribute__((tls_model("initial-exec")));

/* The small sizes first: no jump on the short path. */
static inline unsigned neap__class_of(size_t size)
{
	return __builtin_expect(size <= NEAP__FINE_MOST, 1) ? neap__class_fine[(size + 15) / 16]
							    : neap__class_coarse[(size + 127) / 128];
}

static inline const struct neap__class *neap__class_of_kind(unsigned kind)
{
	return &neap__classes[kind % NEAP__CLASSES];
}

static inline char *neap__unit_address(uint32_t unit)
{
	return neap__heap.base + ((uintptr_t)unit << NEAP__UNIT_SHIFT);
}

/* The unit of any address; at least heap.units when it lies outside. */
static inline uintptr_t neap__unit_of_address(const void *address)
{
	return ((uintptr_t)address - (uintptr_t)neap__heap.base) >> NEAP__UNIT_SHIFT;
}

static inline unsigned neap__tag_of(uintptr_t unit)
{
	return atomic_load_explicit(&neap__heap.tags[unit], memory_order_relaxed);
}

/* The span of a block that is in use. */
static inline uint32_t neap__head_of(const void *block)
{
	return neap__heap.spans[neap__unit_of_address(block)].head;
}

static inline unsigned neap__kind_of_span(uint32_t head)
{
	return neap__tag_of(head) - 1;
}

static inline uint32_t neap__object_at(uint32_t head, unsigned kind, const void *block)
{
	uint64_t offset = (uint64_t)((const char *)block - neap__unit_address(head));
	return (uint32_t)(offset * neap__class_of_kind(kind)->magic >> NEAP__MAGIC_SHIFT);
}

static inline unsigned neap__region_of_unit(uintptr_t unit)
{
	return (unsigned)(unit >> neap__heap.region_shift);
}

static inline unsigned neap__span_state(uint32_t head)
{
	return atomic_load_explicit(&neap__heap.spans[head].state, memory_order_relaxed);
}

/* NEAP__TAG_NONE: there is none. */
static inline unsigned neap__hot_tag(const struct neap__cache *cache)
{
	return atomic_load_explicit(&cache->hot_tag, memory_order_relaxed);
}

/* In the place of the one before, which the caller has. */
static inline void neap__hot_set(struct neap__cache *cache, unsigned tag, void *block)
{
	cache->hot = block;
	atomic_store_explicit(&cache->hot_tag, tag, memory_order_relaxed);
}

static inline unsigned neap__tag_of_kind(unsigned kind)
{
	return kind + 1;
}

static inline uint64_t neap__book_of(const struct neap__cache *cache, unsigned tag)
{
	return atomic_load_explicit(&cache->books[tag], memory_order_relaxed);
}

static inline uint64_t neap__book_count(uint64_t book)
{
	return book & NEAP__ROOM_MOST;
}

/* True when a block can be popped without a word to anyone: there is one, and none is due. */
static inline bool neap__book_ready(uint64_t book)
{
	return (int64_t)(book & (NEAP__BOOK_DUE | NEAP__ROOM_MOST)) > 0;
}

static inline uint64_t neap__book_pops(uint64_t book)
{
	return book >> NEAP__BOOK_SHIFT;
}

static inline void **neap__slots_of(struct neap__cache *cache, unsigned tag)
{
	return (void **)(cache + 1) + cache->magazines[tag].first;
}

/* True when none is due. */
static inline bool neap__book_quiet(uint64_t book)
{
	return (int64_t)book >= 0;
}

/* The hot block, of the kind with this tag: it counts as popped, and was not one of the magazine's. */
static inline void *neap__hot_take(struct neap__cache *cache, unsigned tag, uint64_t book)
{
	atomic_store_explicit(&cache->hot_tag, NEAP__TAG_NONE, memory_order_relaxed);
	atomic_store_explicit(&cache->books[tag], book + (UINT64_C(1) << NEAP__BOOK_SHIFT),
			      memory_order_relaxed);
	return cache->hot;
}

/* The block on top of a magazine that is not empty. */
static inline void *neap__pop(struct neap__cache *cache, unsigned tag, uint64_t book)
{
	uint64_t popped = book + (UINT64_C(1) << NEAP__BOOK_SHIFT) - 1;
	atomic_store_explicit(&cache->books[tag], popped, memory_order_relaxed);
	return neap__slots_of(cache, tag)[neap__book_count(book) - 1];
}

/* Onto a magazine that is not full. */
static inline void neap__push(struct neap__cache *cache, unsigned tag, uint64_t book, void *block)
{
	neap__slots_of(cache, tag)[neap__book_count(book)] = block;
	atomic_store_explicit(&cache->books[tag], book + 1, memory_order_relaxed);
}

/* A count that one thread writes and others read. */
#define NEAP__ADD(counter, n)                                                                           \
	atomic_store_explicit(&(counter), atomic_load_explicit(&(counter), memory_order_relaxed) + (n), \
			      memory_order_relaxed)

/* arena.c */
bool neap__heap_start(void); /* ready, or false: no memory */
void *neap__meta_alloc(size_t size);
void neap__meta_free(void *block, size_t size);
size_t neap__meta_bytes(void);
void neap__classes_init(void);

/* pages.c; all but the first two with the page lock held */
uint32_t neap__run_alloc(unsigned region, uint32_t units, uint32_t align_units); /* 0: no memory */
void neap__run_free(uint32_t head);
uint32_t neap__run_take(struct neap__region *region, uint32_t units);
void neap__run_put(uint32_t head, uint32_t units);
unsigned neap__bin_of(uint32_t units);
/* Marks the pages of [start, end), offsets from the head, resident; returns how many were not. */
unsigned neap__resident_mark(uint32_t head, size_t start, size_t end);
unsigned neap__resident_count(uint32_t head, uint32_t units);

/* span.c */
unsigned neap__span_take(struct neap__cache *cache, unsigned kind, void **ret, unsigned want);
void neap__span_flush(struct neap__cache *cache, unsigned kind, void **items, unsigned count);
bool neap__span_open(uint32_t head, unsigned kind,
		     struct neap__cache *owner); /* false: it was taken meanwhile */
void neap__span_close(uint32_t head, unsigned kind);
uint32_t neap__span_borrow(unsigned kind); /* a closed span with a free block, under the central lock; or 0 */
void neap__span_clear(uint32_t head, unsigned kind, uint32_t object);
uint32_t neap__span_first_free(uint32_t head, unsigned kind);
void neap__span_set(uint32_t head, unsigned kind, uint32_t object);

/* cache.c */
void *neap__cache_alloc(unsigned kind);
void neap__cache_free(void *block, unsigned kind);
void neap__cache_flush_self(void);
bool neap__cache_create_orphan(void);

/* large.c */
void *neap__large_alloc(size_t size, size_t align, unsigned flags);
void neap__large_free(void *block);
bool neap__large_resize(void *block, size_t size);

/* sample.c */
void neap__sample_arm_all(struct neap__cache *cache);
/* The block, when the allocation is one of those that are looked at, or large; NULL: it is not, or no memory. */
void *neap__sample_alloc(unsigned kind, size_t size, size_t align, unsigned flags);

/* guard.c */
void *neap__guard_alloc(size_t size, size_t align, unsigned flags);
void neap__guard_free(void *block, const char *operation);
size_t neap__guard_size(const void *block, const char *operation);
_Noreturn void neap__heap_fault(const char *rule, const void *block, const char *operation);

/* scavenge.c */
void neap__returner_nudge(size_t bytes); /* bytes were freed; call it with no lock held */
size_t neap__return_pass(uint32_t still_ticks, bool *left);
void neap__returner_forked(void);

/* heap.c: the only two ways in and out that know of both sizes */
unsigned neap__kind_for(size_t size, size_t align, unsigned flags); /* NEAP__KINDS: large */

/* fork.c */
void neap__heap_lock_all(void);
void neap__heap_unlock_all(void);
void neap__heap_watch_fork(void);

/* check.c: NULL, or the law that does not hold. No other thread may be inside the heap. */
const char *neap__heap_check(void);

#endif
