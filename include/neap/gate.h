/* neap/gate.h: whether this program, this library and this machine belong together.
 *
 *     if (neap_init(NULL) != NEAP_OK)
 *             ...      the library is not the one that the headers were of, or the system is not on the list
 *
 * At build time: the list of compilers and machines below; NEAP_UNLISTED overrides it. At the start: the version and
 * the sizes of the structures that this file was compiled with, against those that the library was compiled with; then
 * libc, kernel, the membarrier call and the size of a page. What is refused is named. Nothing in the library depends on
 * neap_init having been called: it is for programs that would rather not start than start on ground that nobody tested.
 */
#ifndef NEAP_GATE_H
#define NEAP_GATE_H

/* The list. clang says it is GCC 4.2, so it comes first. */
#ifndef NEAP_UNLISTED
#	if defined(__clang__)
#		if __clang_major__ < 11
#			error "neap: clang before 11 is not on the list of compilers (define NEAP_UNLISTED to go on)"
#		endif
#	elif defined(__GNUC__)
#		if __GNUC__ < 10
#			error "neap: GCC before 10 is not on the list of compilers (define NEAP_UNLISTED to go on)"
#		endif
#	else
#		error "neap: this compiler is not on the list: GCC 10, clang 11 (define NEAP_UNLISTED to go on)"
#	endif
#	if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__)) || \
		__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || defined(__ILP32__)
#		error "neap: this machine is not on the list: Linux on x86-64 or aarch64 (define NEAP_UNLISTED to go on)"
#	endif
#endif

#include "neap/cache.h"
#include "neap/cmap_core.h"
#include "neap/guard.h"
#include "neap/map_core.h"
#include "neap/pool_core.h"
#include "neap/transient_core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the gate looks at; also a set of what it lets pass unseen. */
enum neap_gate {
	NEAP_GATE_HEADERS = 1 << 0,    /* version and sizes of the headers */
	NEAP_GATE_LIBC = 1 << 1,       /* glibc 2.31 or later */
	NEAP_GATE_KERNEL = 1 << 2,     /* Linux 4.14 or later: membarrier with private expedited */
	NEAP_GATE_MEMBARRIER = 1 << 3, /* the call works: a sandbox may forbid it */
	NEAP_GATE_PAGE = 1 << 4	       /* pages of 4 to 64 KB */
};

/* One thing that was refused; strings live only during the call. */
struct neap_gate_refusal {
	uint32_t what;	    /* enum neap_gate */
	const char *name;   /* "kernel", "sizeof(struct neap_map)" */
	const char *found;  /* "3.10.0" */
	const char *needed; /* "4.14 or later" */
};

/* All zero means: everything is looked at, the refusals are only counted. */
struct neap_gate_options {
	uint32_t override; /* of enum neap_gate: not looked at */
	void (*refused)(const struct neap_gate_refusal *refusal, void *ctx); /* called for each, in order */
	void *ctx;
};

/* Of structures that short paths inline in C; C++ calls the library, and says 0. */
#ifdef __cplusplus
#	define NEAP__GATE_IN_C(type) 0
#else
#	define NEAP__GATE_IN_C(type) sizeof(type)
#endif
/* What a file was compiled with, in the order of neap__gate_names in src/guard/gate.c. */
#define NEAP__GATE_FACTS                                                                                   \
	{                                                                                                  \
		NEAP_VERSION_MAJOR, NEAP_VERSION_MINOR, NEAP__GROUP_SLOTS, sizeof(struct neap_map),        \
			sizeof(struct neap_map_iter), sizeof(struct neap_map_type),                        \
			sizeof(struct neap_map_options), sizeof(struct neap_map_event),                    \
			sizeof(struct neap__segment), sizeof(struct neap_allocator),                       \
			sizeof(struct neap_fault), sizeof(struct neap_ref), sizeof(struct neap_pool_type), \
			sizeof(struct neap_pool_options), sizeof(struct neap_scopes_options),              \
			sizeof(struct neap_sampler_options), sizeof(struct neap_cmap_options),             \
			sizeof(struct neap_cmap_stats), sizeof(struct neap_cache_options),                 \
			NEAP__GATE_IN_C(struct neap__pool_cache), NEAP__GATE_IN_C(struct neap__pool_seat), \
			NEAP__GATE_IN_C(struct neap_transient), NEAP__GATE_IN_C(struct neap__cmap_front),  \
			NEAP__GATE_IN_C(struct neap__reader)                                               \
	}
enum { NEAP__GATE_FACTS_COUNT = 24, NEAP__GATE_FACTS_IN_C = 19 /* from here on */ };

NEAP_API int neap__gate_check(const uint64_t *facts, size_t count, const struct neap_gate_options *options);

/* 0, or NEAP_EMISMATCH when anything was refused. `options` may be NULL. Changes nothing but for preparing the
 * process for membarrier. Any thread, any number of times.
 */
static inline __attribute__((unused, warn_unused_result)) int
neap_init(const struct neap_gate_options *options)
{
	const uint64_t facts[NEAP__GATE_FACTS_COUNT] = NEAP__GATE_FACTS;
	return neap__gate_check(facts, NEAP__GATE_FACTS_COUNT, options);
}

#ifdef __cplusplus
}
#endif

#endif
