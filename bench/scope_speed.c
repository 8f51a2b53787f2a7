/* scope_speed.c: what do scopes, references, hooks and guarding allocators cost?
 *
 * usage: scope_speed     CPU time, ns, best of nine rounds in turns; each line beside what it stands in for
 */
#include <neap/guard.h>
#include <neap/scope.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NEAP_MAP_NAME  numbers
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE uint64_t
#include <neap/map_typed.h>

#define NEAP_TRANSIENT_NAME  table
#define NEAP_TRANSIENT_KEY   uint64_t
#define NEAP_TRANSIENT_VALUE uint64_t
#include <neap/transient_typed.h>

enum { ROUNDS = 9, SMALL = 64, LARGE = 80000, LOOPS = 2000, WRITES = 20000, BLOCKS = 200000 };

static struct neap_scopes *scopes;
static volatile uint64_t sink;

static double cpu_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* ---- 64 keys put and got, then cleared: per key ---- */

static double map_fresh(void)
{
	double start = cpu_now();
	for (int loop = 0; loop < LOOPS; loop++) {
		struct neap_map *map = numbers_create(NULL);
		for (uint64_t key = 0; key < SMALL; key++) {
			REQUIRE(numbers_put(map, key, key) == NEAP_OK);
			/* neap-lint: allow null-dereference: it was put, and a test would be measured */
			sink += *numbers_get(map, key);
		}
		neap_map_destroy(map);
	}
	return (cpu_now() - start) / LOOPS / SMALL;
}

static double map_kept(void)
{
	struct neap_map *map = numbers_create(NULL);
	double start = cpu_now();
	for (int loop = 0; loop < LOOPS; loop++) {
		for (uint64_t key = 0; key < SMALL; key++) {
			REQUIRE(numbers_put(map, key, key) == NEAP_OK);
			/* neap-lint: allow null-dereference: it was put, and a test would be measured */
			sink += *numbers_get(map, key);
		}
		neap_map_clear_keep(map);
	}
	double took = (cpu_now() - start) / LOOPS / SMALL;
	neap_map_destroy(map);
	return took;
}

static double transient(void)
{
	double start = cpu_now();
	for (int loop = 0; loop < LOOPS; loop++) {
		struct neap_transient *table = neap_transient_begin(scopes);
		for (uint64_t key = 0; key < SMALL; key++) {
			REQUIRE(neap_transient_put(table, &key, &key) == NEAP_OK);
			/* neap-lint: allow unchecked-result: it was put, and a test would be measured */
			sink += *(uint64_t *)neap_transient_get(table, &key);
		}
		neap_transient_end(table);
	}
	return (cpu_now() - start) / LOOPS / SMALL;
}

static double transient_typed(void)
{
	double start = cpu_now();
	for (int loop = 0; loop < LOOPS; loop++) {
		struct neap_transient *table = table_begin(scopes);
		for (uint64_t key = 0; key < SMALL; key++) {
			REQUIRE(table_put(table, key, key) == NEAP_OK);
			sink += *table_get(table, key);
		}
		neap_transient_end(table);
	}
	return (cpu_now() - start) / LOOPS / SMALL;
}

/* ---- Clearing after one key in a table that once had many ---- */

static double clear_large_map(void)
{
	struct neap_map *map = numbers_create(&(struct neap_map_options){.shrink = NEAP_SHRINK_OFF});
	for (uint64_t key = 0; key < LARGE; key++)
		REQUIRE(numbers_put(map, key, key) == NEAP_OK);
	double start = cpu_now();
	for (int loop = 0; loop < 100; loop++) {
		neap_map_clear_keep(map);
		REQUIRE(numbers_put(map, 1, 1) == NEAP_OK);
	}
	double took = (cpu_now() - start) / 100;
	neap_map_destroy(map);
	return took;
}

static double clear_large_transient(void)
{
	struct neap_transient *table = neap_transient_begin(scopes);
	for (uint64_t key = 0; key < LARGE; key++)
		REQUIRE(neap_transient_put(table, &key, &key) == NEAP_OK);
	const uint64_t one = 1;
	double start = cpu_now();
	for (int loop = 0; loop < 100; loop++) {
		neap_transient_clear(table);
		REQUIRE(neap_transient_put(table, &one, &one) == NEAP_OK);
	}
	double took = (cpu_now() - start) / 100;
	neap_transient_end(table);
	return took;
}

/* ---- Overwrites, with and without a log ---- */

static double write_plain(void)
{
	struct neap_map *map = neap_map_create(&numbers_type, NULL);
	for (uint64_t key = 0; key < WRITES; key++)
		REQUIRE(neap_map_put(map, &key, &key) == NEAP_OK);
	double start = cpu_now();
	for (uint64_t key = 0; key < WRITES; key++)
		REQUIRE(neap_map_put(map, &key, &key) == NEAP_OK);
	double took = (cpu_now() - start) / WRITES;
	neap_map_destroy(map);
	return took;
}

static double write_logged(bool rollback)
{
	struct neap_map *map = neap_map_create(&numbers_type, NULL);
	for (uint64_t key = 0; key < WRITES; key++)
		REQUIRE(neap_map_put(map, &key, &key) == NEAP_OK);
	double took = 0;
	for (int pass = 0; pass < 2; pass++) { /* the second finds the log in the pool */
		struct neap_tx *tx = neap_tx_begin(scopes, map);
		REQUIRE(tx != NULL);
		double start = cpu_now();
		for (uint64_t key = 0; key < WRITES; key++)
			REQUIRE(neap_tx_put(tx, &key, &key) == NEAP_OK);
		if (!rollback)
			took = (cpu_now() - start) / WRITES;
		start = cpu_now();
		REQUIRE(neap_tx_rollback(tx) == NEAP_OK);
		if (rollback)
			took = (cpu_now() - start) / WRITES;
	}
	neap_map_destroy(map);
	return took;
}

static double tx_write(void)
{
	return write_logged(false);
}

static double tx_undo(void)
{
	return write_logged(true);
}

/* ---- Value pointers ---- */

static double read_values(bool checked)
{
	struct neap_map *map = numbers_create(NULL);
	struct neap_ref refs[SMALL];
	REQUIRE(map != NULL);
	for (uint64_t key = 0; key < SMALL; key++)
		REQUIRE(numbers_put(map, key, key) == NEAP_OK);
	for (uint64_t key = 0; key < SMALL; key++)
		refs[key] = neap_ref_of(map, numbers_get(map, key));
	double start = cpu_now();
	for (int loop = 0; loop < LOOPS * 10; loop++)
		for (uint64_t key = 0; key < SMALL; key++)
			sink += checked ? *(uint64_t *)neap_ref_get(&refs[key])
					: *(uint64_t *)refs[key].value;
	double took = (cpu_now() - start) / LOOPS / 10 / SMALL;
	neap_map_destroy(map);
	return took;
}

static double raw_pointer(void)
{
	return read_values(false);
}

static double reference(void)
{
	return read_values(true);
}

/* ---- Allocators: 64 bytes taken and freed ---- */

static double pairs_of(const struct neap_allocator *from)
{
	double start = cpu_now();
	for (int i = 0; i < BLOCKS; i++) {
		volatile char *block = from->alloc(from->ctx, 64, 16);
		REQUIRE(block != NULL);
		*block = 1;
		from->free(from->ctx, (void *)(uintptr_t)block, 64);
	}
	return (cpu_now() - start) / BLOCKS;
}

static void *plain_alloc(void *ctx, size_t size, size_t align)
{
	(void)ctx, (void)align;
	return malloc(size);
}

static void plain_free(void *ctx, void *block, size_t size)
{
	(void)ctx, (void)size;
	free(block);
}

static double plain_pairs(void)
{
	static const struct neap_allocator plain = {plain_alloc, plain_free, NULL};
	return pairs_of(&plain);
}

static double sampled_pairs(void)
{
	struct neap_sampler *sampler = neap_sampler_create(NULL);
	REQUIRE(sampler != NULL);
	double took = pairs_of(neap_sampler_allocator(sampler));
	neap_sampler_destroy(sampler);
	return took;
}

static double quarantined_pairs(void)
{
	struct neap_quarantine *quarantine = neap_quarantine_create(NULL, 1 << 20);
	REQUIRE(quarantine != NULL);
	double took = pairs_of(neap_quarantine_allocator(quarantine));
	neap_quarantine_destroy(quarantine);
	return took;
}

int main(void)
{
	static const struct {
		const char *name;
		double (*measure)(void);
	} lines[] = {
		{"put + get, 64 keys: a map made anew", map_fresh},
		{"put + get, 64 keys: a map cleared and kept", map_kept},
		{"put + get, 64 keys: a transient table, called", transient},
		{"put + get, 64 keys: the same, inlined", transient_typed},
		{"clear after 80,000 keys: neap_map_clear_keep", clear_large_map},
		{"clear after 80,000 keys: neap_transient_clear", clear_large_transient},
		{"overwrite: neap_map_put", write_plain},
		{"overwrite: neap_tx_put", tx_write},
		{"undo one overwrite", tx_undo},
		{"read through a pointer", raw_pointer},
		{"read through a neap_ref", reference},
		{"64 bytes: malloc and free", plain_pairs},
		{"64 bytes: the same, sampled", sampled_pairs},
		{"64 bytes: the same, quarantined", quarantined_pairs},
	};
	enum { LINES = sizeof lines / sizeof lines[0] };
	double best[LINES];
	scopes = neap_scopes_create(
		&numbers_type, &(struct neap_scopes_options){.object_most = 64 << 20, .byte_cap = 1 << 30});
	REQUIRE(scopes != NULL);
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < LINES; i++) {
			double took = lines[i].measure();
			best[i] = round == 0 || took < best[i] ? took : best[i];
		}
	for (int i = 0; i < LINES; i++)
		printf("%-48s %10.1f ns\n", lines[i].name, best[i]);
	return neap_scopes_destroy(scopes) == 0 ? 0 : 1;
}
