/* neap/heap.h: Neap's heap: malloc and free that give pages back.
 *
 * There is one heap per process, made by the first call. One, because a block must be freed on any thread by
 * its address alone, and because pages that one container dropped should serve the next; who wants the bytes of
 * one container apart asks that container. Blocks up to NEAP_HEAP_SMALL_MOST bytes come from spans of one size
 * class, larger ones from runs of whole 64 KB units. A block wastes at most 15 bytes up to 128, an eighth of the
 * request above that, and less than a page of memory above NEAP_HEAP_SMALL_MOST.
 *
 * Memory goes back to the system by itself: about a second after a page was last in use, a background thread
 * returns it, also from between blocks that are in use. The thread is started by the first program that has
 * something to return (a megabyte freed past the caches), sleeps without ticking when nothing is left to return, blocks
 * all signals, and is started again in the child of a fork that needs it.
 *
 * Every function may be called by any thread, none in a signal handler. None blocks for longer than a lock.
 * A failure returns NULL and leaves the heap as it was.
 *
 * The environment variable NEAP_DEBUG=heapcheck=1, read at the first call, turns checking on: see docs/heap.md.
 */
#ifndef NEAP_HEAP_H
#define NEAP_HEAP_H

#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NEAP_HEAP_SMALL_MOST 32768

enum neap_heap_flags {
	NEAP_HEAP_NO_POINTERS = 1, /* the block will hold no pointers: a collector need not read it */
	NEAP_HEAP_ZERO = 2	   /* all bytes zero */
};

/* NULL is allowed. A pointer that lies outside the heap stops the program; with checking on, so does every
 * pointer that is not a live block. */
NEAP_API NEAP_FREES(1) void neap_heap_free(void *block);
/* A block of at least `size` bytes aligned to 16, contents undefined; size 0 is a block too. NULL: no memory.
 * The caller owns it until neap_heap_free.
 */
NEAP_API NEAP_GIVES(neap_heap_free) void *neap_heap_alloc(size_t size);
/* `count` times `size` zero bytes; NULL also when the product overflows. */
NEAP_API NEAP_GIVES(neap_heap_free) void *neap_heap_calloc(size_t count, size_t size);
/* Aligned to `align`, a power of two up to 1 GB (smaller than 16 counts as 16); NULL also for other alignments. */
NEAP_API NEAP_GIVES(neap_heap_free) void *neap_heap_alloc_with(size_t size, size_t align, unsigned flags);
/* Changes a block's size, keeping its first bytes, its region and no alignment above 16; the old address is
 * valid only if it is returned. NULL: the block is as it was. A NULL block is a plain allocation; size 0 makes
 * an empty block, it does not free.
 */
NEAP_API NEAP_CHECKED void *neap_heap_realloc(void *block, size_t size);
/* Bytes that the owner of a block may use: at least what was asked for. 0 for NULL. */
NEAP_API size_t neap_heap_usable(const void *block);
/* True when the address lies in a live block or a free one: in memory that the heap manages. */
NEAP_API bool neap_heap_owns(const void *address);

/* The heap behind the interface that every container takes; static, valid for ever. */
NEAP_API const struct neap_allocator *neap_heap_allocator(void);

/* Gives every page that holds no live block back to the system now, and the calling thread's cached blocks to
 * the heap. Returns the bytes given back. Takes about 0.2 us a page. Blocks cached by other threads
 * (at most NEAP_HEAP_CACHE_MOST bytes each) keep their pages.
 */
NEAP_API size_t neap_heap_return(void);

/* The most bytes of free blocks that one thread keeps for itself. */
#define NEAP_HEAP_CACHE_MOST (3u << 20)

/* Bytes of the heap's address space. Law, when no other thread is inside the heap:
 *     live + free_held + metadata == resident,
 * which is what /proc/self/smaps says of it, if every live byte has been written to: a page counts as resident
 * from the moment when a block on it is handed out, and blocks are handed out in advance to thread caches.
 */
struct neap_heap_stats {
	size_t size;	     /* sizeof(struct neap_heap_stats), set by the caller */
	uint64_t live_bytes; /* in blocks that were not freed, rounded up to their class */
	uint64_t live_blocks;
	uint64_t free_held_bytes;	    /* resident, but in no live block */
	uint64_t metadata_bytes;	    /* span table, bitmaps, thread caches */
	uint64_t returned_bytes;	    /* address space in use once and not resident now */
	uint64_t cached_bytes;		    /* of free_held: blocks in thread caches */
	uint64_t mallocs, frees;	    /* since the start */
	uint64_t spans;			    /* in use for small blocks */
	uint64_t large_blocks, large_bytes; /* of live */
	uint64_t collected_bytes;      /* of live: blocks of the collector that are not known to be garbage */
	uint64_t total_returned_bytes; /* given back since the start, each time it was */
};

/* NEAP_EINVAL when `ret->size` is not set. Does not stop other threads: their work of the moment may be missing. */
NEAP_API NEAP_NONNULL(1) int neap_heap_stats(struct neap_heap_stats *ret);

struct neap_heap_class {
	size_t block_size, span_size;
	bool pointers;
	uint64_t live_blocks, cached_blocks, spans, mallocs, frees;
};

/* One row for each class and region: fills at most `room` rows and returns how many there are. */
NEAP_API size_t neap_heap_classes(struct neap_heap_class *ret, size_t room);

/* What an address of the heap is part of. */
enum neap_heap_state {
	NEAP_HEAP_OUTSIDE = 0, /* not in memory that the heap hands out */
	NEAP_HEAP_FREE = 1,    /* in a free run */
	NEAP_HEAP_LARGE = 2,   /* in a block of a run of its own */
	NEAP_HEAP_OPEN = 3,    /* in a span from which a thread takes blocks */
	NEAP_HEAP_PARTIAL = 4, /* in a span that nobody owns, with free blocks */
	NEAP_HEAP_FULL = 5     /* likewise, without */
};

struct neap_heap_place {
	size_t size;	  /* sizeof(struct neap_heap_place), set by the caller */
	unsigned state;	  /* enum neap_heap_state; the rest is 0 outside, and in a free run but for span */
	const void *span; /* where the span, the large run, or the 64 KB unit of a free run begins */
	size_t span_bytes, resident_bytes; /* of these, not given back to the system */
	bool pointers;
	const void *block; /* NULL: in the rest at the end that is no block */
	size_t block_bytes;
	bool taken;	       /* the block is the program's or in a thread's cache; exact with checking on */
	uint32_t blocks, used; /* of the span: in all, and taken */
	uint32_t free_index;   /* its owner has found no free block below this one */
};

/* Where any address lies. NEAP_EINVAL when `ret->size` is not set, NEAP_ENOMEM. Takes every lock of the heap for a
 * moment: for tools. What other threads do meanwhile without a lock may be missing.
 */
NEAP_API int neap_heap_find(const void *address, struct neap_heap_place *ret);

#ifdef __cplusplus
}
#endif

#endif
