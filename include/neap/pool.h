/* neap/pool.h: objects kept for reuse, with a bound on what is kept and an end to keeping it.
 *
 *     static void *buffer_create(void *ctx);
 *     ...
 *     struct neap_pool *pool = neap_pool_create(&(struct neap_pool_type){
 *             .size = sizeof(struct neap_pool_type), .create = buffer_create, .destroy = buffer_destroy,
 *             .reset = buffer_reset, .bytes = buffer_bytes}, NULL);
 *     struct buffer *buffer = neap_pool_get(pool);
 *     ...
 *     neap_pool_put(pool, buffer);
 *
 * Each thread keeps two magazines of objects, so that a get and a put usually touch nothing that is shared; full
 * magazines go to a depot that all threads share (Bonwick and Adams 2001). What lies idle is let go in two steps, as
 * in Go's sync.Pool: a collection moves everything idle to the victim generation, the next one destroys what is still
 * there. Where neap/gc.h runs, each of its cycles is such a collection, soon after its end; it is also a call,
 * neap_pool_collect, that anybody may make: a timer, a program under memory pressure. Without either, time does the
 * same whenever the depot is visited. Idle objects are no roots: a collected object may not lie in a pool.
 *
 * Not for: objects of a few words (malloc is as fast), objects whose reset costs more than making them, and as a
 * free list that must never lose an object: a pool may let any of them go at any time.
 *
 * Threads: get, put, collect and stats from any thread at once. A get and a put wait for nobody, but for a short lock
 * once in a magazine's worth of them, and for what `create`, `reset` and `destroy` do. Callbacks run on the calling thread, after a cycle of
 * the collector on the thread that runs finalizers, without any lock held, `bytes` excepted, which must not call into
 * a pool. After fork the child's pools work; objects in magazines of
 * threads that do not exist there go to the depot.
 */
#ifndef NEAP_POOL_H
#define NEAP_POOL_H

#include "neap/base.h"
#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct neap_pool;

/* What the objects are. Copied; `ctx` must outlive the pool. */
struct neap_pool_type {
	uint32_t size; /* sizeof(struct neap_pool_type), so that the struct may grow */

	/* A new, clean object, or NULL. NULL here: blocks of object_size bytes from the pool's allocator,
	 * zeroed when they are new, so that what `reset` leaves should be as good as zeroes.
	 */
	void *(*create)(void *ctx);
	/* Ends an object; needed with `create`. */
	void (*destroy)(void *object, void *ctx);
	/* Makes an object as good as new; called by neap_pool_put. May be NULL when nothing has to be reset. */
	void (*reset)(void *object, void *ctx);
	/* True when an object looks like a new one. A checking pool asks after each reset and before each reuse, and
	 * stops the program when it does not. May be NULL.
	 */
	bool (*clean)(const void *object, void *ctx);
	/* Bytes that an object holds at present, all that it owns included. NULL: object_size. */
	size_t (*bytes)(const void *object, void *ctx);
	size_t object_size;  /* bytes at the object's address; 0 when it is not known */
	size_t object_align; /* power of two up to 64; 0: 16. Used only without `create` */
	void *ctx;
};

enum neap_pool_check {
	NEAP_POOL_CHECK_BUILD = 0, /* in libraries built with check=2 and above */
	NEAP_POOL_CHECK_ON = 1,
	NEAP_POOL_CHECK_OFF = 2
};

/* All zero means the defaults. */
struct neap_pool_options {
	const char *name;			/* for faults; copied, at most 63 bytes kept */
	const struct neap_allocator *allocator; /* NULL: malloc; must serve all threads at once */
	/* Bytes that may lie in the depot; 0: 16 MB. A thread's two magazines may hold a quarter of it besides, or four
	 * objects. What does not fit is destroyed.
	 */
	size_t byte_cap;
	/* A put refuses (destroys) an object that holds more; 0: 64 KB, or object_size if that is more. */
	size_t object_most;
	/* Milliseconds after which idle objects age by themselves when the depot is visited; 0: 10,000. */
	uint32_t idle_ms;
	uint32_t check; /* enum neap_pool_check */
};

/* Destroys every idle object, and the pool. No other thread may use it any more. Objects that are still out stay
 * valid and are the caller's to destroy: returns how many there are. NULL is allowed.
 */
NEAP_API NEAP_FREES(1) size_t neap_pool_destroy(NEAP_TAKEN struct neap_pool *pool);
/* An empty pool, or NULL: no memory, or a type without object_size and `create`, `create` without `destroy`, or
 * alignment out of range. The caller owns it. `options` may be NULL.
 */
NEAP_API NEAP_GIVES(neap_pool_destroy) struct neap_pool *neap_pool_create(
	NEAP_LENT const struct neap_pool_type *type, NEAP_LENT const struct neap_pool_options *options);

/* An idle object, or a new one; NULL: `create` or the allocator refused. The caller owns it until it is put. */
NEAP_API NEAP_NONNULL(1) NEAP_CHECKED void *neap_pool_get(struct neap_pool *pool);
/* Gives an object back: it is reset and kept, or destroyed when it is too large or the pool is full. Any thread may
 * give back what another got. Never fails. NULL is allowed.
 */
NEAP_API NEAP_NONNULL(1) void neap_pool_put(struct neap_pool *pool, NEAP_TAKEN void *object);

/* Lets idle objects age by one generation: those that already were in the victim generation are destroyed, all
 * others, also those in the magazines of other threads, move there. NULL: all pools of the process. Returns the bytes
 * of what was destroyed. Blocks on short locks; must not be called while other threads are suspended.
 */
NEAP_API size_t neap_pool_collect(struct neap_pool *pool);

/* Counts since creation, and what is there now.
 *     hits + misses == objects handed out;   created - destroyed == idle + out
 */
struct neap_pool_stats {
	size_t size;	    /* sizeof(struct neap_pool_stats): set it before the call */
	uint64_t hits;	    /* gets served by an idle object */
	uint64_t misses;    /* gets that needed a new one, also when that failed */
	uint64_t puts;	    /* of objects */
	uint64_t dropped;   /* of them: destroyed because the pool was full or had no memory */
	uint64_t refused;   /* of them: destroyed because the object was too large */
	uint64_t collected; /* idle objects that two collections destroyed */
	uint64_t created, destroyed;
	size_t idle, idle_bytes; /* objects in depot and magazines; bytes of those that could be counted */
	size_t out;		 /* objects that somebody holds */
	size_t threads;		 /* that have magazines */
};
/* Fills `ret`. Exact when no other thread is in a get or put: a thread that stays in one has its magazines and their
 * counts left out.
 */
NEAP_API NEAP_NONNULL(1, 2) void neap_pool_stats(struct neap_pool *pool, struct neap_pool_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
