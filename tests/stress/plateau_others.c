/* plateau_others.c: filling and emptying each container a hundred times costs no more memory the hundredth time than the
 * first. The plain map: plateau_map.c. The classic map has no such plateau, as Go's had none: of every bucket that was
 * ever too small it keeps the overflow bucket, up to as many as there are buckets.
 *
 * Bytes are what the container has from its allocator; they are read when it is full and when it is empty, and may not
 * leave 5 % of the largest of the first ten cycles: hashes differ from cycle to cycle, and what a concurrent map
 * lets wait comes in batches of 16 KB.
 */
#include <stdio.h>
#include <stdlib.h>

#include "neap/cache.h"
#include "neap/cmap.h"
#include "neap/pool.h"
#include "neap/scope.h"
#include "support/gauge.h"
#include "support/map_probe.h"
#include "support/require.h"

enum { CYCLES = 100, ENTRIES = 20000, PERCENT = 5, WAITING = 16 << 10 };

static size_t entries;
static struct gauge gauge;
static struct neap_allocator counting;
static uint64_t now_ns = 1;

static uint64_t test_clock(void *ctx)
{
	(void)ctx;
	return now_ns;
}

/* One container: what it is made of, one entry in, and everything out. */
struct container {
	const char *name;
	void *(*open)(void);
	void (*put)(void *of, uint64_t key);
	void (*empty)(void *of, uint64_t from);
	void (*close)(void *of);
};

/* ---- the concurrent map ---- */

static void *cmap_open(void)
{
	return neap_cmap_create(&probe_u64, &(struct neap_cmap_options){.allocator = &counting});
}

static void cmap_put(void *of, uint64_t key)
{
	REQUIRE(neap_cmap_store(of, &key, &key) == NEAP_OK);
}

static void cmap_empty(void *of, uint64_t from)
{
	for (uint64_t i = 0; i < entries; i++)
		REQUIRE(neap_cmap_delete(of, &(uint64_t){from + i * 7919 % entries}));
}

static void cmap_close(void *of)
{
	neap_cmap_destroy(of);
}

/* ---- the cache, by deletes and by time ---- */

static void *cache_open(void)
{
	return neap_cache_create(&probe_u64, &(struct neap_cache_options){
						     .allocator = &counting,
						     .ttl = 1000000000,
						     .clock = test_clock,
					     });
}

static void cache_put(void *of, uint64_t key)
{
	REQUIRE(neap_cache_put(of, &key, &key) == NEAP_OK);
}

static void cache_empty(void *of, uint64_t from)
{
	for (uint64_t i = 0; i < entries; i++)
		REQUIRE(neap_cache_delete(of, &(uint64_t){from + i * 7919 % entries}));
}

static void cache_expire_all(void *of, uint64_t from)
{
	(void)from;
	now_ns += UINT64_C(2000000000);
	while (neap_cache_expire(of))
		continue;
	REQUIRE(neap_cache_len(of) == 0);
}

static void cache_close(void *of)
{
	neap_cache_destroy(of);
}

/* ---- scopes: one table, one transaction and one version a cycle ---- */

struct scoped {
	struct neap_scopes *scopes;
	struct neap_live *live;
	struct neap_transient *transient;
	struct neap_tx *tx;
	struct neap_map *next;
};

static void *scopes_open(void)
{
	struct scoped *scoped = calloc(1, sizeof *scoped);
	REQUIRE(scoped != NULL);
	scoped->scopes =
		neap_scopes_create(&probe_u64, &(struct neap_scopes_options){.allocator = &counting,
									     .object_most = 64 << 20,
									     .byte_cap = (size_t)256 << 20});
	REQUIRE(scoped->scopes != NULL);
	scoped->live = neap_live_create(scoped->scopes);
	REQUIRE(scoped->live != NULL);
	return scoped;
}

static void scopes_put(void *of, uint64_t key)
{
	struct scoped *scoped = of;
	if (scoped->tx == NULL) {
		scoped->transient = neap_transient_begin(scoped->scopes);
		scoped->tx = neap_tx_begin(scoped->scopes, NULL);
		scoped->next = neap_live_prepare(scoped->live);
		REQUIRE(scoped->transient != NULL && scoped->tx != NULL && scoped->next != NULL);
	}
	REQUIRE(neap_transient_put(scoped->transient, &key, &key) == NEAP_OK);
	REQUIRE(neap_tx_put(scoped->tx, &key, &key) == NEAP_OK);
	REQUIRE(neap_map_put(scoped->next, &key, &key) == NEAP_OK);
}

static void scopes_empty(void *of, uint64_t from)
{
	struct scoped *scoped = of;
	neap_transient_end(scoped->transient);
	if (from / entries % 2 == 0)
		neap_tx_commit(scoped->tx);
	else
		REQUIRE(neap_tx_rollback(scoped->tx) == NEAP_OK);
	REQUIRE(neap_live_publish(scoped->live, scoped->next) == NEAP_OK);
	*scoped = (struct scoped){.scopes = scoped->scopes, .live = scoped->live};
}

static void scopes_close(void *of)
{
	struct scoped *scoped = of;
	neap_live_destroy(scoped->live);
	REQUIRE(neap_scopes_destroy(scoped->scopes) == 0);
	free(scoped);
}

/* ---- a pool ---- */

struct pooled {
	struct neap_pool *pool;
	void *held[ENTRIES];
	size_t n;
};

static void *pool_open(void)
{
	struct pooled *pooled = calloc(1, sizeof *pooled);
	REQUIRE(pooled != NULL);
	pooled->pool = neap_pool_create(
		&(struct neap_pool_type){.size = sizeof(struct neap_pool_type), .object_size = 256},
		&(struct neap_pool_options){.allocator = &counting});
	REQUIRE(pooled->pool != NULL);
	return pooled;
}

static void pool_take(void *of, uint64_t key)
{
	struct pooled *pooled = of;
	(void)key;
	REQUIRE((pooled->held[pooled->n++] = neap_pool_get(pooled->pool)) != NULL);
}

static void pool_empty(void *of, uint64_t from)
{
	struct pooled *pooled = of;
	while (pooled->n > 0)
		neap_pool_put(pooled->pool, pooled->held[--pooled->n]);
	if (from / entries % 10 == 9)
		(void)neap_pool_collect(pooled->pool);
}

static void pool_close(void *of)
{
	struct pooled *pooled = of;
	REQUIRE(neap_pool_destroy(pooled->pool) == 0);
	free(pooled);
}

static const struct container containers[] = {
	{"concurrent map", cmap_open, cmap_put, cmap_empty, cmap_close},
	{"cache, deleted", cache_open, cache_put, cache_empty, cache_close},
	{"cache, expired", cache_open, cache_put, cache_expire_all, cache_close},
	{"scopes", scopes_open, scopes_put, scopes_empty, scopes_close},
	{"pool", pool_open, pool_take, pool_empty, pool_close},
};

static int plateau(const struct container *container)
{
	enum { FIRST = 10 };
	size_t most[2] = {0, 0}, last[2] = {0, 0};
	bool failed = false;
	void *of = container->open();
	REQUIRE(of != NULL);
	for (int cycle = 0; cycle < CYCLES && !failed; cycle++) {
		uint64_t from = (uint64_t)cycle * entries;
		for (uint64_t i = 0; i < entries; i++)
			container->put(of, from + i);
		last[0] = gauge.bytes;
		container->empty(of, from);
		last[1] = gauge.bytes;
		for (int i = 0; i < 2; i++) {
			if (cycle < FIRST && last[i] > most[i])
				most[i] = last[i];
			if (last[i] <= most[i] * (100 + PERCENT) / 100 + WAITING)
				continue;
			fprintf(stderr,
				"plateau_others: %s, cycle %d: %zu bytes when %s, at most %zu before\n",
				container->name, cycle, last[i], i == 0 ? "full" : "empty", most[i]);
			failed = true;
		}
	}
	printf("%-16s %d cycles of %zu: full %zu bytes at first, %zu in the end; empty %zu, %zu\n",
	       container->name, CYCLES, entries, most[0], last[0], most[1], last[1]);
	container->close(of);
	REQUIRE(gauge.bytes == 0);
	return failed;
}

int main(void)
{
	int failures = 0;
	entries = probe_scale(ENTRIES);
	counting = gauge_allocator(&gauge);
	for (size_t i = 0; i < sizeof containers / sizeof *containers; i++)
		failures += plateau(&containers[i]);
	return failures != 0;
}
