/* neap/base.h: what every Neap header shares: version, errors, the allocator interface, strings, faults.
 *
 * Errors. A function that can fail returns 0 or a negative NEAP_E... value; a look-up returns a pointer or
 * NULL. A failed operation leaves its container as it was. The library never prints, never exits, and leaves
 * errno alone, with one exception: misuse that it detects (struct neap_fault) stops the program with one
 * line that names the rule, the object and the operation, after calling the callback that neap_on_fault() set.
 */
#ifndef NEAP_BASE_H
#define NEAP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEAP_VERSION_MAJOR 0
#define NEAP_VERSION_MINOR 1
#define NEAP_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

#if defined(NEAP_STATIC) || !defined(__GNUC__)
#	define NEAP_API
#else
#	define NEAP_API __attribute__((visibility("default")))
#endif

enum neap_error {
	NEAP_OK = 0,
	NEAP_ENOMEM = -1,    /* the allocator or the operating system refused memory */
	NEAP_ENIL = -2,	     /* a write to a nil (NULL) map */
	NEAP_EINVAL = -3,    /* an argument out of the documented range */
	NEAP_ETOOBIG = -4,   /* more entries, or a longer key, than the structure can address */
	NEAP_EMISMATCH = -5, /* two objects of different types where one type was needed */
	NEAP_EVETO = -6	     /* a hook refused the change */
};

/* A static English sentence for an error value; never NULL, never freed. Any thread. */
NEAP_API const char *neap_strerror(int error);

/* The version of the library that is linked, as "0.1.0"; static. Compare with NEAP_VERSION_*. Any thread. */
NEAP_API const char *neap_version(void);

/* Where a container gets its memory. NULL wherever a `const struct neap_allocator *` is taken means malloc.
 *
 * alloc returns `size` bytes aligned to `align` (a power of two, at most 64), contents undefined, or NULL.
 * free gets the same size that alloc was asked for. Both are called by the thread that calls the container.
 * The struct is copied, `ctx` must outlive every container made with it.
 */
struct neap_allocator {
	void *(*alloc)(void *ctx, size_t size, size_t align);
	void (*free)(void *ctx, void *block, size_t size);
	void *ctx;
};

/* A string key: `len` bytes at `ptr`, any bytes, not NUL-terminated. `hash` belongs to the map that stores
 * the key; leave it 0 in keys that you pass in. A key is at most UINT32_MAX bytes long.
 */
struct neap_str {
	const char *ptr;
	uint32_t len;
	uint32_t hash;
};

/* Not for callers: a map's place in the list of all maps of the process (src/base/registry.h). */
struct neap__species;
struct neap__link {
	struct neap__link *next, *prev;	     /* NULL at the ends */
	void *object;			     /* the map; NULL while it is in no list */
	const struct neap__species *species; /* what the library knows of its kind */
	uint32_t kind, shard;
	uint32_t site; /* where it was seen to grow, 0: nowhere; atomic, relaxed (src/observe/sites.c) */
};

/* Misuse that the library detected. All strings live only during the callback. */
struct neap_fault {
	const char *rule;      /* "concurrent map writes" */
	const char *object;    /* the map's name, or "unnamed" */
	const void *address;   /* the object */
	const char *operation; /* "neap_map_put" */
	uintptr_t thread;      /* pthread_self() of the thread that found it */
	uintptr_t other;       /* pthread_self() of the other thread, 0 when unknown */
	const char *kind;      /* what the object is: "block"; NULL means "map" */
};

typedef void neap_fault_fn(const struct neap_fault *fault, void *ctx);

/* Sets the process-wide callback that hears of a fault before the program is stopped; NULL removes it.
 * The callback may write a log, or leave by longjmp in a test; when it returns, one line goes to standard
 * error and the program aborts. It runs on the thread that made the mistake, while the object is
 * inconsistent: it must not touch the object. Any thread; call it before other threads start.
 */
NEAP_API void neap_on_fault(neap_fault_fn *callback, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
