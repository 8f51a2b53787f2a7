/* test_observe.c: accounts add up, and an impact says what was done. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "neap/map.h"
#include "neap/observe.h"
#include "observe/kernel_book.h"
#include "observe/resident.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#	define OWN_MALLOC 0 /* the sanitizer's malloc keeps no mallinfo and holds what is freed */
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#		define OWN_MALLOC 0
#	endif
#endif
#ifndef OWN_MALLOC
#	define OWN_MALLOC 1
#endif

enum {
	SLACK = 256 << 10, /* bytes: stacks, data pages first touched, the kernel's lag */
	ENTRIES = 100000,
};

static const struct neap_map_type number_type = {.size = sizeof(struct neap_map_type),
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = 56,
						 .value_align = 8};

static ptrdiff_t sum_of(const struct neap_account *account)
{
	return (ptrdiff_t)(account->live + account->tombstone + account->empty + account->free_held +
			   account->other) +
	       account->unexplained;
}

static void parts_add_up_exactly(void **state)
{
	(void)state;
	struct neap_account base, later;
	assert_int_equal(neap_account_take(&base, NULL, NULL, 0), 0);
	assert_true(base.rss > 0);
	assert_int_equal(sum_of(&base), (ptrdiff_t)base.rss);
	assert_int_equal(neap_account_take(&later, &base, NULL, 0), 0);
	assert_int_equal(sum_of(&later), (ptrdiff_t)later.rss);
}

static void unexplained_is_what_nobody_owns(void **state)
{
	(void)state;
	if (!OWN_MALLOC)
		skip();
	struct neap_account base, before, after;
	assert_int_equal(neap_account_take(&base, NULL, NULL, 0), 0);
	assert_int_equal(neap_account_take(&before, &base, NULL, 0), 0);
	size_t size = 8 << 20;
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(pages, 1, size);
	assert_int_equal(neap_account_take(&after, &base, NULL, 0), 0);
	munmap(pages, size);
	ptrdiff_t grown = after.unexplained - before.unexplained;
	assert_in_range(grown, size - SLACK, size + SLACK);
}

static void freed_blocks_are_free_held(void **state)
{
	(void)state;
	if (!OWN_MALLOC)
		skip();
	enum { BLOCKS = 100000, SIZE = 64 };
	static char *blocks[BLOCKS];
	struct neap_impact impact;
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(SIZE);
		assert_non_null(blocks[i]);
		memset(blocks[i], 1, SIZE);
	}
	assert_int_equal(neap_impact_begin(&impact, NULL, 0), 0);
	for (int i = 0; i < BLOCKS; i += 2) /* the other half pins the pages */
		free(blocks[i]);
	assert_int_equal(neap_impact_end(&impact), 0);
	ptrdiff_t freed = BLOCKS / 2 * (SIZE + 16);
	assert_in_range(-impact.live, freed - SLACK, freed + SLACK);
	assert_in_range(impact.free_held, freed - SLACK, freed + SLACK);
	assert_in_range(impact.rss + SLACK, 0, 2 * SLACK);
	for (int i = 1; i < BLOCKS; i += 2)
		free(blocks[i]);
}

static void impact_of_a_delete_is_exact(void **state)
{
	(void)state;
	struct neap_meter meter = {0};
	const struct neap_allocator allocator = neap_meter_allocator(&meter);
	struct neap_map *map =
		neap_map_create(&number_type, &(struct neap_map_options){.allocator = &allocator});
	const struct neap_source sources[] = {{neap_parts_of_map, map}, {neap_parts_of_meter, &meter}};
	struct neap_impact impact;
	assert_int_equal(neap_impact_begin(&impact, sources, 2), 0);
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	assert_int_equal(neap_impact_end(&impact), 0);
	assert_int_equal(impact.objects, ENTRIES);
	assert_true(impact.spans > 0);
	assert_true(impact.live >= ENTRIES * 64);
	if (OWN_MALLOC)
		assert_in_range(impact.after.unexplained + SLACK, 0, 2 * SLACK);

	assert_int_equal(neap_impact_begin(&impact, sources, 2), 0);
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_true(neap_map_delete(map, &key));
	assert_int_equal(neap_impact_end(&impact), 0);
	assert_int_equal(impact.objects, -ENTRIES);
	/* malloc counts what lies in its per-thread cache as in use. */
	assert_true(impact.live <= -ENTRIES * 64 + (16 << 10));
	assert_true(impact.spans < 0);
	if (OWN_MALLOC)
		assert_true(impact.rss < -ENTRIES * 60);
	neap_map_destroy(map);
	assert_int_equal(meter.bytes, 0);
	assert_int_equal(meter.blocks, 0);
}

static void meter_counts_what_is_asked_for(void **state)
{
	(void)state;
	struct neap_meter meter = {0};
	struct neap_parts parts = {0};
	struct neap_allocator allocator = neap_meter_allocator(&meter);
	void *a = allocator.alloc(allocator.ctx, 100, 8), *b = allocator.alloc(allocator.ctx, 1000, 64);
	assert_int_equal(meter.bytes, 1100);
	assert_int_equal(meter.blocks, 2);
	neap_parts_of_meter(&meter, &parts);
	assert_int_equal(parts.from_malloc, 1100);
	assert_int_equal((uintptr_t)b % 64, 0);
	allocator.free(allocator.ctx, a, 100);
	allocator.free(allocator.ctx, b, 1000);
	assert_int_equal(meter.bytes, 0);
}

static bool refuse_scan(const char *call)
{
	return strcmp(call, "pagemap_scan") == 0;
}

static bool refuse_pagemap(const char *call)
{
	return strcmp(call, "open") == 0;
}

static bool close_to(size_t a, size_t b)
{
	size_t more = a > b ? a - b : b - a;
	return more <= 64 * 4096; /* what reading smaps itself touches, and stacks */
}

/* The pages and the text of smaps say the same, whichever of the two the kernel offers. */
static void without_the_scan_smaps_says_the_same(void **state)
{
	(void)state;
	enum { BYTES = 24 << 20 };
	static char data[1 << 20];
	char *block = malloc(BYTES);
	assert_non_null(block);
	memset(block, 1, BYTES);
	memset(data, 1, sizeof data);
	struct neap__kernel_book scanned, read;
	assert_int_equal(neap__kernel_book_read(&scanned, true), 0);
	bool (*const refusals[])(const char *) = {refuse_scan, refuse_pagemap};
	for (size_t i = 0; i < 2; i++) {
		neap__os_fail = refusals[i];
		int error = neap__kernel_book_read(&read, false);
		neap__os_fail = NULL;
		assert_int_equal(error, 0);
		assert_true(read.anonymous >= BYTES);
		assert_true(close_to(scanned.rss, read.rss));
		assert_true(close_to(scanned.anonymous, read.anonymous));
		assert_true(close_to(scanned.brk, read.brk));
		assert_true(close_to(scanned.arenas, read.arenas));
		assert_true(close_to(scanned.stacks, read.stacks));
		assert_true(close_to(scanned.data, read.data));
		assert_true(close_to(scanned.rest, read.rest));
		assert_int_equal(scanned.huge_pages, read.huge_pages);
		assert_int_equal(scanned.lazy_free, read.lazy_free);
	}
	free(block);
}

/* Asked for, or little memory: known. Else the question would keep others waiting. */
static void lazily_freed_pages_are_told_apart(void **state)
{
	(void)state;
	enum { BYTES = 32 << 20 };
	char *pages = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	memset(pages, 1, BYTES);
	assert_int_equal(madvise(pages, BYTES / 2, MADV_FREE), 0);
	struct neap__kernel_book book;
	assert_int_equal(neap__kernel_book_read(&book, true), 0);
	assert_true(book.lazy_free <= BYTES / 2 && book.lazy_free >= BYTES / 4);
	struct neap_account account;
	assert_int_equal(neap_account_process(&account), 0);
	int handle = neap__resident_open();
	if (handle >= 0) {
		close(handle);
		assert_true(account.lazy_free == SIZE_MAX);
	}
	munmap(pages, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_add_up_exactly),
		cmocka_unit_test(unexplained_is_what_nobody_owns),
		cmocka_unit_test(freed_blocks_are_free_held),
		cmocka_unit_test(impact_of_a_delete_is_exact),
		cmocka_unit_test(meter_counts_what_is_asked_for),
		cmocka_unit_test(without_the_scan_smaps_says_the_same),
		cmocka_unit_test(lazily_freed_pages_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
