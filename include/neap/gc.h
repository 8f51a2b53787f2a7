/* neap/gc.h: a garbage collector over Neap's heap, for C programs that store pointers as C programs do.
 *
 *     struct node { struct node *left, *right; long key; };
 *     NEAP_TYPE(node_type, struct node, left, right);
 *
 *     struct node *n = neap_gc_alloc(&node_type);
 *     n->left = neap_gc_alloc(&node_type);            plain stores are fine
 *
 * An object lives as long as a root leads to it. Roots are: the stacks and registers of attached threads, their
 * thread-local variables, the static data of the program and of every loaded library, ranges and handles that
 * the program names. They are read conservatively: a word that looks like the address of an object, or of a
 * place inside one, keeps it. Objects are read precisely, by the pointer fields of their type. Memory from malloc
 * or neap_heap_alloc is no root. Objects do not move.
 *
 * A pointer to one past the end of an object does not keep it. A pointer that is stored in disguise (xor, in a
 * file, in a pipe) does not either.
 *
 * Threads. A thread is attached by its first call of this header and detached when it ends. A thread that holds
 * pointers to collected objects but never calls the collector must call neap_thread_attach. The collector stops
 * attached threads by a signal (struct neap_gc_options), for fractions of a millisecond in the common case;
 * system calls are restarted or return EINTR as for any signal with SA_RESTART. A thread that blocks that signal
 * for good stops every collection. Functions of this header may not be called in signal handlers.
 *
 * Every function that allocates may collect; or mark for a while, and wait for a millisecond (64 at most, the further the
 * heap is past its goal) when the heap has reached its goal and a collection runs. Sizes are bytes, times are nanoseconds.
 *
 * NEAP_DEBUG, read when the collector starts, takes gctrace=1 (a line for each collection; 2: a second one with
 * the parts of its stops), gcstoptheworld=1 (no concurrent marking), gccheckmark=1 (each collection is checked by a second one), gcstress=N (collect at
 * every N-th allocation), gcperiod=MS (instead of two minutes, see neap_gc_collect).
 */
#ifndef NEAP_GC_H
#define NEAP_GC_H

#include "neap/base.h"
#include "neap/safe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Types. */

/* `count` pointers side by side, `offset` bytes from the start of the object. */
struct neap_gc_field {
	uint32_t offset, count;
};

enum neap_gc_type_flags {
	/* Every store of a pointer into such an object is made by neap_store. Such objects are not watched through
	 * the page tables, which is cheaper for large arrays that are written to at random.
	 */
	NEAP_GC_BARRIERED = 1,
	/* A struct neap_any (neap/any_gc.h). In maps its type decides whether its data is a pointer. */
	NEAP_GC_INTERFACE = 2
};

/* What the objects of a type hold. Lives as long as the program; made by the macros below. A field that is
 * a pointer at times and something else at others (a union) is named like a pointer.
 */
struct neap_gc_type {
	const char *name;
	size_t size; /* bytes of an object, without its tail */
	const struct neap_gc_field *fields;
	uint32_t field_count;
	uint32_t flags;		   /* enum neap_gc_type_flags */
	struct neap_gc_type *tail; /* type of the elements from tail_offset on; NULL: no tail with pointers */
	size_t tail_offset;
	uint32_t neap__id; /* the collector's; 0 at first */
};

/* The type of a pointer, for tails: struct row { long n; struct item *items[]; }. */
extern NEAP_API struct neap_gc_type neap_gc_pointer;

/* NEAP_TYPE(name, struct, field...): up to 16 names of fields, each a pointer or an array of pointers; a field of
 * an inner struct is inner.field.
 */
#define NEAP_TYPE(name, T, ...) NEAP__TYPE(name, T, 0, NULL, sizeof(T), __VA_ARGS__)
/* The same for a type flagged NEAP_GC_BARRIERED. */
#define NEAP_TYPE_BARRIERED(name, T, ...) NEAP__TYPE(name, T, NEAP_GC_BARRIERED, NULL, sizeof(T), __VA_ARGS__)
/* For a struct that ends in an array without a length, `member`, whose elements have the type `element`. */
#define NEAP_TYPE_TAIL(name, T, member, element, ...) \
	NEAP__TYPE(name, T, 0, &(element), offsetof(T, member), __VA_ARGS__)

/* The objects hold no pointers, the elements of their tail do. */
#define NEAP_TYPE_TAIL_ONLY(name, T, member, element) \
	static struct neap_gc_type name = {#T, sizeof(T), NULL, 0, 0, &(element), offsetof(T, member), 0}

/* Checks and prepares a type; done by the first allocation otherwise. NEAP_EINVAL: a pointer field that is not
 * aligned or lies outside the object, a tail with a tail; NEAP_ETOOBIG: more than 65,534 types.
 */
NEAP_API int neap_gc_type_prepare(struct neap_gc_type *type);

/* Start and settings. */

struct neap_gc_options {
	size_t size;	     /* sizeof(struct neap_gc_options), set by the caller */
	int percent;	     /* as GOGC: collect when the heap has grown by so much; 0: 100; below 0: never */
	size_t memory_limit; /* collect more often to stay below it, bytes of objects; 0: none */
	int stop_signal;     /* 0: SIGRTMIN + 6 */
	bool stop_the_world; /* mark while the program is stopped, as on kernels without tracking */
};

/* Starts the collector; otherwise the first call does, with defaults. NEAP_EINVAL: it runs already, or an
 * option is out of range. NEAP_ENOMEM: the system refused memory or threads; may be tried again.
 */
NEAP_API int neap_gc_start(const struct neap_gc_options *options);
/* Both return the setting before. */
NEAP_API int neap_gc_set_percent(int percent);
NEAP_API size_t neap_gc_set_memory_limit(size_t bytes);
/* True when marking runs beside the program; false when the kernel or an option says no. */
NEAP_API bool neap_gc_concurrent(void);

/* Allocation: zeroed, aligned to 16. NULL: no memory, also not after a collection. */

NEAP_API void *neap_gc_alloc(struct neap_gc_type *type);
/* `count` objects side by side; NULL also when the product overflows. The type may not have a tail. */
NEAP_API void *neap_gc_alloc_array(struct neap_gc_type *type, size_t count);
/* An object with `count` elements in its tail. */
NEAP_API void *neap_gc_alloc_tail(struct neap_gc_type *type, size_t count);
/* Bytes that hold no pointers. */
NEAP_API void *neap_gc_alloc_data(size_t size);
/* Words any of which may be a pointer. */
NEAP_API void *neap_gc_alloc_words(size_t size);
/* Frees an object at once, also during a collection; its finalizer does not run, weak references to it become
 * NULL. neap_heap_free does the same. Misuse (not an object, an interior pointer, freed before) stops the program.
 */
NEAP_API void neap_gc_free(void *object);
/* Bytes that the owner of an object may use; 0 for NULL. */
NEAP_API size_t neap_gc_usable(const void *object);
/* The start of the object that `address` points into, or NULL. */
NEAP_API void *neap_gc_base(const void *address);

/* Stores a pointer into an object of a barriered type: *slot = value, seen by a collection that is running. */
NEAP_API void neap_store(void *slot, void *value);

/* Keeps `object` reachable up to this line. */
static inline void neap_keep_alive(const void *object)
{
	__asm__ volatile("" : : "r"(object) : "memory");
}

/* Roots. */

/* Words in [start, start + size) are roots until removed. NEAP_ENOMEM: more than 65,536 ranges. */
NEAP_API NEAP_CHECKED int neap_gc_root_add(const void *start, size_t size);
/* Takes the same two values; NEAP_EINVAL when there is no such range. */
NEAP_API int neap_gc_root_remove(const void *start, size_t size);

/* A root that may be kept in malloc's memory, in a file descriptor's context, anywhere. */
struct neap_gc_handle;
NEAP_API NEAP_FREES(1) void neap_gc_handle_destroy(NEAP_TAKEN struct neap_gc_handle *handle);
/* NULL: no memory. */
NEAP_API NEAP_GIVES(neap_gc_handle_destroy) struct neap_gc_handle *neap_gc_handle_create(void *object);
/* NULL also when the calling thread could not be attached. */
NEAP_API void *neap_gc_handle_get(const struct neap_gc_handle *handle);
NEAP_API void neap_gc_handle_set(struct neap_gc_handle *handle, void *object);

/* Threads. */

/* 0, or NEAP_ENOMEM. Attaching twice is fine. */
NEAP_API int neap_thread_attach(void);
/* What the thread's stack points to is no longer kept. The thread may be attached again. */
NEAP_API void neap_thread_detach(void);
/* Around a call that blocks: the collector need not stop the thread in between. Between the two the thread
 * must not touch collected objects. neap_unpark waits while the world is stopped.
 */
NEAP_API void neap_park(void);
NEAP_API void neap_unpark(void);

/* Collecting. */

/* A whole collection that begins after the call; objects that were unreachable then are free when it returns.
 * Collections run by themselves when the heap has grown to its goal; once a program that has reached it before rests for
 * a second; and two minutes after the last one, if the program used the processor since.
 */
NEAP_API void neap_gc_collect(void);
/* The same, and every free page goes back to the system. Returns the bytes given back. */
NEAP_API size_t neap_gc_return(void);

/* Finalizers and weak references. */

/* Calls `finalize(object, ctx)` once, on a thread of the collector's, after nothing but finalizers' objects leads to
 * `object`. All that the object leads to is whole then; of two objects with finalizers, one of which leads to the
 * other, the one that is not led to goes first. The function may store the object somewhere: then it lives on,
 * without a finalizer until it gets a new one. An object in a cycle that leads back to itself is never finalized.
 * A finalizer that never returns stops all others; at exit finalizers do not run. NULL removes; a second one
 * replaces the first. `ctx` is no root. NEAP_ENOMEM; NEAP_EINVAL: not the start of an object, or a map.
 */
NEAP_API int neap_gc_finalizer(void *object, void (*finalize)(void *object, void *ctx), void *ctx);
/* Waits until every finalizer that was due at the call has returned. Not from a finalizer. */
NEAP_API void neap_gc_finalizers_wait(void);

/* A reference that does not keep its object. It reads as NULL from the moment when a collection finds the object
 * unreachable, before the finalizer runs, and stays so. Two references to one object are the same pointer.
 */
struct neap_weak;
NEAP_API NEAP_CHECKED struct neap_weak *
neap_weak_create(void *object); /* NULL: no memory, or not the start of an object */
/* NULL also when the calling thread could not be attached: what it returned would not be kept. */
NEAP_API void *neap_weak_get(const struct neap_weak *weak);
NEAP_API void neap_weak_destroy(struct neap_weak *weak); /* once for each create */

/* Why an object is kept. */

enum neap_why_root {
	NEAP_WHY_UNREACHABLE,
	NEAP_WHY_STATIC,       /* a global or static variable */
	NEAP_WHY_THREAD_LOCAL, /* of `thread` */
	NEAP_WHY_RANGE,	       /* named by neap_gc_root_add */
	NEAP_WHY_HANDLE,
	NEAP_WHY_STACK,	  /* of `thread`, its registers included */
	NEAP_WHY_OTHER,	  /* its finalizer is due, or a signal stack */
	NEAP_WHY_WEAK_MAP /* the value of a weak map's entry: `word` is the key, ask what keeps that */
};

enum { NEAP_WHY_STEPS = 32 };

struct neap_why_step {
	void *object; /* keeps nothing when it lies in memory that is no root */
	const char
		*type; /* its name; "bytes" and "words" for objects without; lives as long as the program */
	size_t offset; /* of the field that leads to the next one; SIZE_MAX: an entry of a map */
};

struct neap_why {
	size_t size; /* sizeof(struct neap_why), set by the caller */
	enum neap_why_root root;
	const void *word; /* of the root, that points into path[0] */
	uint64_t thread;  /* pthread_t, where it says so above */
	char symbol
		[160]; /* of a static: "name+0x8", or the file's name when no exported symbol is near; else "" */
	size_t length; /* objects on the path; the last is the one asked for */
	/* The first of them; a longer path leaves out what is between the last but one and the last. */
	struct neap_why_step path[NEAP_WHY_STEPS];
};

/* A shortest path that keeps the object `address` points into. The world is stopped while all that is reachable is
 * traced: as long as a collection without concurrent marking. The caller's own stack counts last, as it mostly
 * holds the address; an answer that lies on a stack keeps what it names. 0, also when it is unreachable; NEAP_EINVAL: no object there, `size` not set, or called
 * by a thread that is parked; NEAP_ENOMEM.
 */
NEAP_API int neap_why(const void *address, struct neap_why *ret);
/* The same for ~(uintptr_t)address: a caller who keeps it so does not keep the object by asking. */
NEAP_API int neap_why_hidden(uintptr_t inverted, struct neap_why *ret);

/* Numbers. */

/* Go's runtime.MemStats, field by field, as far as it has a meaning here; bytes, counts, nanoseconds. Collected
 * objects only, but for Sys and the Other* fields. Objects that threads hold claims on are not counted.
 */
struct neap_memstats {
	size_t size; /* sizeof(struct neap_memstats), set by the caller */
	uint64_t Alloc, TotalAlloc, Mallocs, Frees;
	uint64_t Sys; /* resident bytes of the whole heap and its tables */
	uint64_t HeapAlloc, HeapSys, HeapIdle, HeapInuse, HeapReleased, HeapObjects;
	uint64_t StackInuse;	  /* between the stacks' ends and where attached threads last stopped */
	uint64_t GCSys, OtherSys; /* tables of the collector; blocks of neap_heap_alloc */
	uint64_t NextGC, LastGC;  /* LastGC: on the clock CLOCK_MONOTONIC */
	uint64_t PauseTotalNs;
	uint64_t PauseNs[256], PauseEnd[256]; /* rings; the last one at (NumGC + 255) % 256 */
	uint32_t NumGC, NumForcedGC;
	double GCCPUFraction; /* of the processor time of the process since the collector started */
	/* Stops of all cycles, two or more for each concurrent one: how many were shorter than 2^i microseconds and
	 * not shorter than half of that.
	 */
	uint64_t StopsBelow[24];
	uint64_t Stops, LongestStopNs;
	/* What the program's threads felt, each for itself, in the same buckets: a thread was stopped, waited in
	 * neap_unpark for the end of a stop, helped to mark, waited at the goal for the end of a cycle, or ran one
	 * because no other thread could. Cycles that the program asked for count for the others
	 * only. Not in it: faults on watched pages, sweeping, locks of maps.
	 */
	uint64_t DelaysBelow[24];
	uint64_t Delays, DelayTotalNs, LongestDelayNs;
	uint64_t MSpanInuse;  /* of GCSys: span table entries, bits and types of spans in use */
	uint64_t MCacheInuse; /* of GCSys: records of attached threads */
	bool EnableGC;	      /* the percentage or a limit lets it run */
	/* Objects up to the largest size class, by class; Size 0 from the last one on. What threads claimed and did not
	 * hand out is not in it.
	 */
	struct {
		uint32_t Size;
		uint64_t Mallocs, Frees;
	} BySize[80];
};

NEAP_API int neap_memstats(struct neap_memstats *ret); /* NEAP_EINVAL: `size` is not set */

#ifdef __cplusplus
}
#endif

/* How NEAP_TYPE turns names into fields. */

#define NEAP__TYPE(name, T, flags, tail, tail_offset, ...)                                               \
	static const struct neap_gc_field name##_fields[] = {NEAP__EACH(T, __VA_ARGS__){0, 0}};          \
	static struct neap_gc_type name = {#T,                                                           \
					   sizeof(T),                                                    \
					   name##_fields,                                                \
					   (uint32_t)(sizeof name##_fields / sizeof *name##_fields) - 1, \
					   (flags),                                                      \
					   (tail),                                                       \
					   (tail_offset),                                                \
					   0}
#define NEAP__FIELD(T, f) {(uint32_t)offsetof(T, f), (uint32_t)(sizeof(((T *)0)->f) / sizeof(void *))},

#define NEAP__EACH(T, ...) NEAP__JOIN(NEAP__EACH_, NEAP__COUNT(__VA_ARGS__))(T, __VA_ARGS__)
#define NEAP__JOIN(a, b)   NEAP__JOIN2(a, b)
#define NEAP__JOIN2(a, b)  a##b
#define NEAP__COUNT(...) \
	NEAP__SEVENTEENTH(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define NEAP__SEVENTEENTH(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, ...) q
#define NEAP__EACH_1(T, a)							  NEAP__FIELD(T, a)
#define NEAP__EACH_2(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_1(T, __VA_ARGS__)
#define NEAP__EACH_3(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_2(T, __VA_ARGS__)
#define NEAP__EACH_4(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_3(T, __VA_ARGS__)
#define NEAP__EACH_5(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_4(T, __VA_ARGS__)
#define NEAP__EACH_6(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_5(T, __VA_ARGS__)
#define NEAP__EACH_7(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_6(T, __VA_ARGS__)
#define NEAP__EACH_8(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_7(T, __VA_ARGS__)
#define NEAP__EACH_9(T, a, ...)							  NEAP__FIELD(T, a) NEAP__EACH_8(T, __VA_ARGS__)
#define NEAP__EACH_10(T, a, ...)						  NEAP__FIELD(T, a) NEAP__EACH_9(T, __VA_ARGS__)
#define NEAP__EACH_11(T, a, ...)						  NEAP__FIELD(T, a) NEAP__EACH_10(T, __VA_ARGS__)
#define NEAP__EACH_12(T, a, ...)						  NEAP__FIELD(T, a) NEAP__EACH_11(T, __VA_ARGS__)
#define NEAP__EACH_13(T, a, ...)						  NEAP__FIELD(T, a) NEAP__EACH_12(T, __VA_ARGS__)
#define NEAP__EACH_14(T, a, ...)						  NEAP__FIELD(T, a) NEAP__EACH_13(T, __VA_ARGS__)
#define NEAP__EACH_15(T, a, ...)						  NEAP__FIELD(T, a) NEAP__EACH_14(T, __VA_ARGS__)
#define NEAP__EACH_16(T, a, ...)						  NEAP__FIELD(T, a) NEAP__EACH_15(T, __VA_ARGS__)

#endif
