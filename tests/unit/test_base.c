/* test_base.c: errors, version, the allocator, and what the os layer promises when the system says no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/os.h"
#include "base/random.h"

static void strerror_knows_every_error(void **state)
{
	(void)state;
	for (int error = NEAP_EMISMATCH; error <= NEAP_OK; error++)
		assert_string_not_equal(neap_strerror(error), neap_strerror(-1000));
	assert_string_equal(neap_version(), "0.1.0");
}

static void malloc_allocator_aligns(void **state)
{
	(void)state;
	for (size_t align = 1; align <= 64; align *= 2) {
		void *block = neap__alloc(&neap__malloc_allocator, 100, align);
		assert_non_null(block);
		assert_int_equal((uintptr_t)block % align, 0);
		neap__free(&neap__malloc_allocator, block, 100);
	}
}

static bool always(const char *call)
{
	(void)call;
	return true;
}

static void reservation_is_zeroed_again_after_return(void **state)
{
	(void)state;
	size_t size = 8 << 20;
	unsigned char *base = neap__os_reserve(size);
	assert_non_null(base);
	memset(base, 0xab, size);
	assert_int_equal(neap__os_return(base + 1, size - 1), size - neap__os_page_size());
	assert_int_equal(base[0], 0xab);
	assert_int_equal(base[neap__os_page_size()], 0);

	unsigned char *grown = neap__os_grow(base, size, 4 * size);
	assert_non_null(grown);
	assert_int_equal(grown[0], 0xab);
	grown[4 * size - 1] = 1;
	neap__os_release(grown, 4 * size);
}

static void refusals_change_nothing(void **state)
{
	(void)state;
	unsigned char *base = neap__os_reserve(1 << 20);
	base[5] = 7;
	neap__os_fail = always;
	assert_null(neap__os_reserve(1 << 20));
	assert_null(neap__os_grow(base, 1 << 20, 2 << 20));
	assert_int_equal(neap__os_return(base, 1 << 20), 0);
	assert_int_not_equal(neap__random_seed(), neap__random_seed());
	neap__os_fail = NULL;
	assert_int_equal(base[5], 7);
	neap__os_release(base, 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strerror_knows_every_error),
		cmocka_unit_test(malloc_allocator_aligns),
		cmocka_unit_test(reservation_is_zeroed_again_after_return),
		cmocka_unit_test(refusals_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
