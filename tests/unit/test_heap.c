/* test_heap.c: the contract of neap/heap.h, the account against smaps, refusals, the checking mode. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "heap/internal.h"
#include "neap/map.h"
#include "support/gauge.h"
#include "support/map_probe.h"

/* The compiler knows which function ends a block, and would warn of the mistakes: these pointers it cannot follow. */
static void (*volatile end_block)(void *block) = neap_heap_free;
static void *(*volatile make_block)(size_t size) = neap_heap_alloc;

static void assert_whole(void)
{
	const char *broken = neap__heap_check();
	if (broken != NULL)
		fail_msg("law broken: %s", broken);
}

static struct neap_heap_stats stats_now(void)
{
	struct neap_heap_stats stats = {.size = sizeof stats};
	assert_int_equal(neap_heap_stats(&stats), NEAP_OK);
	return stats;
}

/* Rss of the mappings in [from, from + size), in bytes, as the kernel counts it. */
static size_t smaps_resident(const void *from, size_t size)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	assert_non_null(smaps);
	char line[512];
	size_t total = 0, kb;
	unsigned long start, end;
	bool inside = false;
	while (fgets(line, sizeof line, smaps) != NULL) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start >= (uintptr_t)from && end <= (uintptr_t)from + size;
		else if (inside && sscanf(line, "Rss: %zu kB", &kb) == 1)
			total += kb << 10;
	}
	fclose(smaps);
	return total;
}

static size_t arena_resident(void)
{
	return smaps_resident(neap__heap.base, (size_t)neap__heap.units << NEAP__UNIT_SHIFT);
}

static void classes_bound_their_waste(void **state)
{
	(void)state;
	assert_true(neap__heap_start());
	for (size_t size = 1; size <= NEAP_HEAP_SMALL_MOST; size++) {
		const struct neap__class *class = &neap__classes[neap__class_of(size)];
		assert_true(class->size >= size && class->size % 16 == 0);
		assert_true(class->size - size <= (size <= 128 ? 15 : size / 8));
	}
	for (unsigned i = 0; i < NEAP__CLASSES; i++) {
		const struct neap__class *class = &neap__classes[i];
		for (uint64_t offset = 0; offset < (uint64_t) class->units * NEAP__UNIT; offset++)
			if (offset * class->magic >> NEAP__MAGIC_SHIFT != offset / class->size)
				fail_msg("class %u offset %lu", class->size, (unsigned long)offset);
	}
}

static void alignment_and_usable(void **state)
{
	(void)state;
	for (size_t align = 1; align <= (8u << 20); align *= 2)
		for (size_t size = 0; size < 200000; size = size * 3 + 1) {
			unsigned char *block = neap_heap_alloc_with(size, align, NEAP_HEAP_ZERO);
			assert_non_null(block);
			assert_int_equal((uintptr_t)block % (align < 16 ? 16 : align), 0);
			assert_true(neap_heap_usable(block) >= size && neap_heap_owns(block));
			for (size_t i = 0; i < size; i++)
				if (block[i] != 0)
					fail_msg("byte %zu of %zu is not zero", i, size);
			memset(block, 0xee, neap_heap_usable(block));
			neap_heap_free(block);
		}
	assert_null(neap_heap_alloc_with(16, 24, 0));
	assert_null(neap_heap_alloc_with(16, (size_t)2 << 30, 0));
	assert_null(neap_heap_calloc(SIZE_MAX / 2, 3));
	assert_null(neap_heap_alloc(SIZE_MAX));
	assert_null(neap_heap_alloc((size_t)1 << 46));
	assert_false(neap_heap_owns(&state));
	neap_heap_free(NULL);
	assert_int_equal(neap_heap_usable(NULL), 0);
	assert_whole();
}

/* Blocks of one size, filled; every `keep`th survives. */
enum { BLOCKS = 400000 };
static void *blocks[BLOCKS];

static void fill(unsigned count, size_t size)
{
	for (unsigned i = 0; i < count; i++) {
		blocks[i] = neap_heap_alloc(size);
		assert_non_null(blocks[i]);
		memset(blocks[i], 1, size);
	}
}

static void drop_but(unsigned count, unsigned keep)
{
	for (unsigned i = 0; i < count; i++)
		if (keep == 0 || i % keep != 0) {
			neap_heap_free(blocks[i]);
			blocks[i] = NULL;
		}
}

static void drop_rest(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		neap_heap_free(blocks[i]);
		blocks[i] = NULL;
	}
}

enum { SMAPS_SLACK = 1 << 20 }; /* blocks in magazines that nobody touched yet */

static void assert_agrees(void)
{
	struct neap_heap_stats stats = stats_now();
	size_t claimed = stats.live_bytes + stats.free_held_bytes, kernel = arena_resident();
	size_t apart = claimed > kernel ? claimed - kernel : kernel - claimed;
	if (apart > SMAPS_SLACK)
		fail_msg("heap says %zu bytes, smaps %zu", claimed, kernel);
}

static void account_agrees_with_smaps(void **state)
{
	(void)state;
	(void)neap_heap_return();
	assert_agrees();
	fill(BLOCKS, 200);
	assert_true(stats_now().live_bytes >= (uint64_t)BLOCKS * 200);
	assert_agrees();
	drop_but(BLOCKS, 100);
	assert_agrees();
	(void)neap_heap_return();
	assert_agrees();
	assert_whole();
	drop_rest(BLOCKS);
	void *large = neap_heap_alloc(50 << 20);
	memset(large, 1, 50 << 20);
	assert_agrees();
	neap_heap_free(large);
	assert_agrees();
	(void)neap_heap_return();
	assert_agrees();
	assert_true(arena_resident() < (4 << 20));
	struct neap_heap_stats stats = stats_now();
	size_t meta = smaps_resident(neap__heap.pool.base, neap__heap.pool.size) +
		      smaps_resident(neap__heap.spans, neap__heap.units * sizeof *neap__heap.spans) +
		      smaps_resident((void *)neap__heap.tags, neap__heap.units) +
		      smaps_resident((void *)neap__heap.resident, neap__heap.units * 2);
	assert_true(stats.metadata_bytes >= meta && stats.metadata_bytes - meta < SMAPS_SLACK);
}

/* Three books: the classes' sum, the totals, and the kernel's. Every class holds a megabyte, each byte written. */
static void classes_agree_with_totals_and_smaps(void **state)
{
	(void)state;
	static struct neap_heap_class rows[NEAP__KINDS];
	(void)neap_heap_return();
	assert_int_equal(neap_heap_classes(rows, 3), NEAP__KINDS); /* no more rows than there is room for */
	uint64_t before[NEAP__KINDS], spans_before[NEAP__KINDS];
	assert_int_equal(neap_heap_classes(rows, NEAP__KINDS), NEAP__KINDS);
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++)
		before[kind] = rows[kind].live_blocks, spans_before[kind] = rows[kind].spans;
	unsigned used = 0;
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++)
		for (size_t bytes = 0; bytes < (256 << 10); bytes += rows[kind].block_size) {
			assert_true(used < BLOCKS);
			unsigned flags = rows[kind].pointers ? 0 : NEAP_HEAP_NO_POINTERS;
			blocks[used] = neap_heap_alloc_with(rows[kind].block_size, 16, flags);
			memset(blocks[used++], 1, rows[kind].block_size);
		}
	(void)neap_heap_return();
	assert_int_equal(neap_heap_classes(rows, NEAP__KINDS), NEAP__KINDS);
	struct neap_heap_stats stats = stats_now();
	uint64_t live = stats.large_bytes, cached = 0, spans = 0, mallocs = 0, frees = 0, span_bytes = 0;
	for (unsigned kind = 0; kind < NEAP__KINDS; kind++) {
		const struct neap_heap_class *row = &rows[kind];
		uint64_t made = row->live_blocks - before[kind];
		assert_int_equal(made, ((256 << 10) + row->block_size - 1) / row->block_size);
		assert_int_equal(row->live_blocks, row->mallocs - row->frees);
		/* Spans are filled before new ones are taken. */
		assert_true(row->spans <= spans_before[kind] + made / (row->span_size / row->block_size) + 1);
		live += row->live_blocks * row->block_size;
		cached += row->cached_blocks * row->block_size;
		spans += row->spans;
		span_bytes += row->spans * row->span_size;
		mallocs += row->mallocs;
		frees += row->frees;
	}
	assert_int_equal(live, stats.live_bytes);
	assert_int_equal(cached, stats.cached_bytes);
	assert_int_equal(spans, stats.spans);
	assert_true(mallocs <= stats.mallocs && mallocs - frees + stats.large_blocks == stats.live_blocks);
	size_t kernel = arena_resident();
	assert_true(kernel <= span_bytes + stats.large_bytes + SMAPS_SLACK);
	assert_true(kernel >= live && kernel - live < live / 20 + SMAPS_SLACK);
	drop_rest(used);
}

static void addresses_are_explained(void **state)
{
	(void)state;
	struct neap_heap_place place = {.size = 1};
	assert_int_equal(neap_heap_find(state, &place), NEAP_EINVAL);
	place.size = sizeof place;
	assert_int_equal(neap_heap_find(state, &place), NEAP_OK);
	assert_int_equal(place.state, NEAP_HEAP_OUTSIDE);
	(void)neap_heap_return(); /* the next block comes from a span that this thread takes */
	char *block = neap_heap_alloc(100), *large = neap_heap_alloc_with(300000, 16, NEAP_HEAP_NO_POINTERS);
	assert_int_equal(neap_heap_find(block + 50, &place), NEAP_OK);
	assert_int_equal(place.state, NEAP_HEAP_OPEN);
	assert_ptr_equal(place.block, block);
	assert_int_equal(place.block_bytes, 112);
	assert_true(place.taken && place.pointers && place.used > 0 && place.used <= place.blocks);
	assert_true((const char *)place.span <= block && block < (const char *)place.span + place.span_bytes);
	assert_int_equal(neap_heap_find(large + 299999, &place), NEAP_OK);
	assert_int_equal(place.state, NEAP_HEAP_LARGE);
	assert_ptr_equal(place.block, large);
	assert_true(place.taken && !place.pointers && place.resident_bytes >= 300000);
	end_block(large);
	(void)neap_heap_return();
	assert_int_equal(neap_heap_find(large, &place), NEAP_OK);
	assert_int_equal(place.state, NEAP_HEAP_FREE);
	assert_int_equal(place.resident_bytes, 0);
	assert_null(place.block);
	neap_heap_free(block);
	/* Unit 0 and what the frontier has not reached are nobody's. */
	assert_int_equal(neap_heap_find(neap__heap.base, &place), NEAP_OK);
	assert_int_equal(place.state, NEAP_HEAP_OUTSIDE);
	uint32_t beyond = neap__heap.regions[0].frontier;
	assert_int_equal(neap_heap_find(neap__unit_address(beyond), &place), NEAP_OK);
	assert_int_equal(place.state, NEAP_HEAP_OUTSIDE);
}

/* One block in a hundred survives, each on a page of its own: only those pages may stay. */
static void holes_inside_spans_go_back(void **state)
{
	(void)state;
	(void)neap_heap_return();
	size_t before = arena_resident();
	fill(BLOCKS, 256);
	size_t full = arena_resident() - before;
	drop_but(BLOCKS, 100);
	assert_true(neap_heap_return() > full / 2);
	size_t kept = arena_resident() - before;
	assert_true(kept < (size_t)BLOCKS / 100 * 4096 + SMAPS_SLACK);
	assert_whole();
	for (unsigned i = 0; i < BLOCKS; i += 100)
		assert_int_equal(((char *)blocks[i])[255], 1);
	drop_rest(BLOCKS);
}

/* Idle until less than `limit` bytes are resident: two seconds at most on a machine of one's own, longer on a busy
 * one. False after half a minute.
 */
static bool idle_until_below(size_t limit)
{
	const struct timespec tenth = {0, 100000000};
	for (int waited = 0; waited < 300 && arena_resident() >= limit; waited++)
		nanosleep(&tenth, NULL);
	return arena_resident() < limit;
}

static void idle_program_becomes_clean(void **state)
{
	(void)state;
	(void)neap_heap_return();
	size_t before = arena_resident();
	fill(BLOCKS, 256);
	drop_but(BLOCKS, 100);
	assert_true(idle_until_below(before + (size_t)BLOCKS / 100 * 4096 + SMAPS_SLACK));
	drop_rest(BLOCKS);
}

static void hundred_cycles_on_one_plateau(void **state)
{
	(void)state;
	size_t first = 0;
	for (int cycle = 0; cycle < 100; cycle++) {
		fill(BLOCKS / 8, 16 + (size_t)(cycle * 37 % 1000));
		drop_rest(BLOCKS / 8);
		uint32_t reach = neap__heap.regions[0].frontier;
		if (cycle == 27) /* one round of sizes */
			first = reach;
		assert_true(first == 0 || reach <= first + first / 10);
	}
	assert_whole();
}

static bool refuse_all(const char *call)
{
	(void)call;
	return true;
}

static void refusals_leave_the_heap_whole(void **state)
{
	(void)state;
	fill(100, 3000);
	neap__os_fail = refuse_all;
	unsigned got = 0;
	void *chain = NULL, *block;
	while ((block = neap_heap_alloc(30000)) != NULL) {
		memset(block, 1, 30000);
		*(void **)block = chain;
		chain = block;
		got++;
	}
	assert_true(got > 0);
	assert_null(neap_heap_alloc(100 << 20));
	assert_null(neap_heap_realloc(blocks[0], 100 << 20));
	assert_int_equal(((char *)blocks[0])[2999], 1);
	assert_whole();
	for (; chain != NULL; chain = block) {
		block = *(void **)chain;
		neap_heap_free(chain);
	}
	(void)neap_heap_return(); /* refused too: nothing may be taken for returned */
	assert_whole();
	neap__os_fail = NULL;
	assert_agrees();
	drop_rest(100);
	block = neap_heap_alloc(100 << 20);
	assert_non_null(block);
	neap_heap_free(block);
	assert_whole();
}

static bool refuse_process_madvise(const char *call)
{
	return strcmp(call, "process_madvise") == 0;
}

static void holes_go_back_without_process_madvise(void **state)
{
	neap__os_fail = refuse_process_madvise;
	holes_inside_spans_go_back(state);
	neap__os_fail = NULL;
}

static void a_map_lives_on_the_heap(void **state)
{
	(void)state;
	uint64_t live = stats_now().live_blocks;
	struct neap_map_options options = {.allocator = neap_heap_allocator()};
	struct neap_map *map = neap_map_create(&probe_u64, &options);
	assert_non_null(map);
	for (uint64_t key = 0; key < 1000; key++)
		assert_int_equal(neap_map_put(map, &key, &key), NEAP_OK);
	assert_true(stats_now().live_blocks > live);
	neap_map_destroy(map);
	assert_int_equal(stats_now().live_blocks, live);
}

static void fork_works_in_both(void **state)
{
	(void)state;
	fill(BLOCKS / 4, 128);
	pid_t child = fork();
	if (child == 0) {
		drop_rest(BLOCKS / 4);
		void *block = neap_heap_alloc(1 << 20);
		bool good = block != NULL && neap__heap_check() == NULL;
		_exit(good && idle_until_below(8 << 20) ? 0 : 1);
	}
	int status;
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	drop_rest(BLOCKS / 4);
	assert_whole();
}

/* A process that may map a third of a gigabyte more: the arena is smaller, full is NULL, and what was freed serves. */
static void limited_address_space(void)
{
	unsigned long pages;
	FILE *statm = fopen("/proc/self/statm", "r");
	if (statm == NULL || fscanf(statm, "%lu", &pages) != 1)
		exit(2);
	fclose(statm);
	rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (350u << 20);
	const struct rlimit limit = {most, most};
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		exit(3);
	size_t got[2] = {0, 0};
	for (int round = 0; round < 2; round++) {
		void *chain = NULL, *block;
		while ((block = neap_heap_alloc(20000)) != NULL) {
			memset(block, 1, 20000);
			*(void **)block = chain;
			chain = block;
			got[round] += 20000;
		}
		if (neap_heap_alloc((size_t)1 << 30) != NULL || neap__heap_check() != NULL)
			exit(4);
		for (; chain != NULL; chain = block) {
			block = *(void **)chain;
			neap_heap_free(chain);
		}
		(void)neap_heap_return();
	}
	exit(got[0] >= (20u << 20) && got[1] >= got[0] - (1u << 20) && neap__heap_check() == NULL ? 0 : 5);
}

/* The checking mode is chosen at the first call, so each case is a program of its own: this one, run again. */
static const char *self;

static void make_mistake(const char *which)
{
	if (strcmp(which, "limited") == 0)
		limited_address_space();
	char *block = make_block(100), *large = make_block(100000);
	if (strcmp(which, "double") == 0) {
		end_block(block);
		end_block(block);
	} else if (strcmp(which, "double-large") == 0) {
		end_block(large);
		end_block(large);
	} else if (strcmp(which, "interior") == 0) {
		end_block(block + 16);
	} else if (strcmp(which, "interior-large") == 0) {
		end_block(large + 65536 + 16);
	} else if (strcmp(which, "foreign") == 0) {
		end_block(&block);
	} else if (strcmp(which, "overflow") == 0) {
		block[100] = 'x';
		end_block(block);
	} else if (strcmp(which, "overflow-large") == 0) {
		large[100000] = 'x';
		end_block(large);
	} else if (strcmp(which, "guard-realloc") == 0) {
		block[100] = 'x';
		block = neap_heap_realloc(block, 200);
	} else if (strcmp(which, "interior-usable") == 0) {
		(void)neap_heap_usable(block + 1);
	} else if (strcmp(which, "late-large") == 0) {
		end_block(large);
		(void)neap_heap_usable(large);
	} else if (strcmp(which, "late") == 0) {
		end_block(block);
		block[50] = 'x';
		for (int i = 0; i < 2000; i++)
			(void)make_block(100);
	} else {
		if (neap__heap_check() != NULL)
			exit(1);
		end_block(block);
		end_block(large);
		exit(neap__heap_check() == NULL ? 0 : 1);
	}
}

static void expect_stop(const char *which, const char *rule)
{
	char command[600], line[512] = "";
	snprintf(command, sizeof command, "NEAP_DEBUG=heapcheck=1 '%s' %s 2>&1", self, which);
	FILE *output = popen(command, "r"); /* NOLINT(bugprone-command-processor,cert-env33-c) */
	assert_non_null(output);
	if (fgets(line, sizeof line, output) == NULL)
		line[0] = '\0';
	int status = pclose(output);
	if (rule == NULL) {
		assert_int_equal(status, 0);
		assert_string_equal(line, "");
		return;
	}
	assert_int_not_equal(status, 0);
	char wanted[200];
	snprintf(wanted, sizeof wanted, "neap: fatal: %s: block \"heap\"", rule);
	if (strncmp(line, wanted, strlen(wanted)) != 0)
		fail_msg("%s: expected \"%s\", got \"%s\"", which, wanted, line);
}

static void a_limit_on_address_space_is_borne(void **state)
{
	(void)state;
	char command[600];
	snprintf(command, sizeof command, "'%s' limited", self);
	int status =
		system(command); /* NOLINT(bugprone-command-processor,cert-env33-c,concurrency-mt-unsafe) */
	assert_int_equal(status, 0);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	expect_stop("double", "double free");
	expect_stop("double-large", "double free");
	expect_stop("interior", "pointer into the interior");
	expect_stop("interior-large", "pointer into the interior");
	expect_stop("foreign", "foreign pointer");
	expect_stop("overflow", "write past the end");
	expect_stop("overflow-large", "write past the end");
	expect_stop("guard-realloc", "write past the end");
	expect_stop("interior-usable", "pointer into the interior");
	expect_stop("late-large", "double free");
	expect_stop("late", "write after free");
	expect_stop("none", NULL);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		const struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		make_mistake(argv[1]);
		return 0;
	}
	self = argv[0];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_bound_their_waste),
		cmocka_unit_test(alignment_and_usable),
		cmocka_unit_test(account_agrees_with_smaps),
		cmocka_unit_test(classes_agree_with_totals_and_smaps),
		cmocka_unit_test(addresses_are_explained),
		cmocka_unit_test(holes_inside_spans_go_back),
		cmocka_unit_test(idle_program_becomes_clean),
		cmocka_unit_test(hundred_cycles_on_one_plateau),
		cmocka_unit_test(refusals_leave_the_heap_whole),
		cmocka_unit_test(holes_go_back_without_process_madvise),
		cmocka_unit_test(a_map_lives_on_the_heap),
		cmocka_unit_test(fork_works_in_both),
		cmocka_unit_test(a_limit_on_address_space_is_borne),
		cmocka_unit_test(mistakes_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
