/* gauge.h: an allocator that counts, poisons, checks sizes, and refuses on request; and the same for the system.
 *
 *     struct gauge gauge = {0};
 *     struct neap_allocator allocator = gauge_allocator(&gauge);
 *
 * Law: bytes and blocks are what was handed out and not got back.
 *
 * Refusal, the loop of SQLite: set `refuse_at` to 1, 2, 3, ... until the operation succeeds, once with `sticky`
 * false (that request alone is refused) and once with it true (all from then on). System calls count as
 * requests too between gauge_watch_system() and gauge_ignore_system().
 */
#ifndef NEAP_TESTS_GAUGE_H
#define NEAP_TESTS_GAUGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/os.h"

struct gauge {
	size_t bytes, blocks;
	size_t requests;  /* since refuse_at was set */
	size_t refused;	  /* of these */
	size_t refuse_at; /* the request to refuse, counted from 1; 0: none */
	bool sticky;
	const char *only; /* the only system call that counts; NULL: all, and the allocator */
};

/* Before each block: its size, so that a free with another size is seen. 64 bytes keep every alignment. */
enum { GAUGE_HEADER = 64 };

static inline bool gauge_refuses(struct gauge *gauge)
{
	gauge->requests++;
	bool refuse = gauge->refuse_at != 0 && (gauge->sticky ? gauge->requests >= gauge->refuse_at
							      : gauge->requests == gauge->refuse_at);
	gauge->refused += refuse;
	return refuse;
}

static inline void gauge_arm(struct gauge *gauge, size_t refuse_at, bool sticky)
{
	gauge->requests = gauge->refused = 0;
	gauge->refuse_at = refuse_at;
	gauge->sticky = sticky;
}

static inline void *gauge_alloc(void *ctx, size_t size, size_t align)
{
	struct gauge *gauge = ctx;
	if (gauge->only == NULL && gauge_refuses(gauge))
		return NULL;
	if (align == 0 || align > GAUGE_HEADER || (align & (align - 1)) != 0) {
		fprintf(stderr, "gauge: alignment %zu asked for\n", align);
		abort();
	}
	char *raw = neap__malloc_allocator.alloc(NULL, size + GAUGE_HEADER, GAUGE_HEADER);
	if (raw == NULL)
		return NULL;
	memcpy(raw, &size, sizeof size);
	memset(raw + GAUGE_HEADER, 0xa5, size);
	gauge->bytes += size;
	gauge->blocks++;
	return raw + GAUGE_HEADER;
}

static inline void gauge_free(void *ctx, void *block, size_t size)
{
	struct gauge *gauge = ctx;
	char *raw = (char *)block - GAUGE_HEADER;
	size_t had;
	memcpy(&had, raw, sizeof had);
	if (had != size) {
		fprintf(stderr, "gauge: a block of %zu bytes freed as %zu\n", had, size);
		abort();
	}
	memset(raw, 0xdd, size + GAUGE_HEADER);
	gauge->bytes -= size;
	gauge->blocks--;
	neap__malloc_allocator.free(NULL, raw, size + GAUGE_HEADER);
}

static inline struct neap_allocator gauge_allocator(struct gauge *gauge)
{
	return (struct neap_allocator){gauge_alloc, gauge_free, gauge};
}

static struct gauge *gauge_of_system;

static inline bool gauge_system_refuses(const char *call)
{
	struct gauge *gauge = gauge_of_system;
	return (gauge->only == NULL || strcmp(gauge->only, call) == 0) && gauge_refuses(gauge);
}

static inline void gauge_watch_system(struct gauge *gauge)
{
	gauge_of_system = gauge;
	neap__os_fail = gauge_system_refuses;
}

static inline void gauge_ignore_system(void)
{
	neap__os_fail = NULL;
}

#endif
