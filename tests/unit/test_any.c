/* test_any.c: the contract of neap/any.h: two words, boxes and their owners, Go's comparison, methods, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "neap/heap.h"
#include "support/any_types.h"
#include "support/child.h"
#include "support/gauge.h"

static const struct neap_any nil;

static struct neap_any made(const struct neap_allocator *from, const struct neap_any_type *type,
			    const void *value)
{
	struct neap_any ret;
	assert_int_equal(neap_any_make(from, type, value, &ret), NEAP_OK);
	return ret;
}

static struct neap_str str_of(const char *text)
{
	return (struct neap_str){text, (uint32_t)strlen(text), 0};
}

static void scalars_take_no_memory(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator from = gauge_allocator(&gauge);
	const double half = 0.5;
	struct neap_any values[] = {neap_any_of_bool(true),	 neap_any_of_i64(INT64_MIN),
				    neap_any_of_u64(UINT64_MAX), neap_any_of_f64(half),
				    neap_any_of_ptr(&gauge),	 made(&from, &any_type_square, &half)};
	assert_int_equal(gauge.requests, 0);
	assert_int_equal(*(const int64_t *)neap_any_as(&values[1], &neap_any_type_i64), INT64_MIN);
	assert_true(*(const uint64_t *)neap_any_as(&values[2], &neap_any_type_u64) == UINT64_MAX);
	assert_true(*(const bool *)neap_any_as(&values[0], &neap_any_type_bool));
	assert_true(*(const double *)neap_any_as(&values[5], &any_type_square) == half);
	assert_ptr_equal(*(void *const *)neap_any_as(&values[4], &neap_any_type_ptr), &gauge);
	for (size_t i = 0; i < 6; i++) {
		assert_null(neap_any_as(&values[i], &any_type_wide));
		assert_int_equal(neap_any_owners(values[i]), 0);
		assert_true(neap_any_value(&values[i]) == (const void *)&values[i].data);
		neap_any_drop(neap_any_copy(values[i]));
		neap_any_drop(values[i]);
	}
}

static void nil_is_not_a_nil_pointer(void **state)
{
	(void)state;
	struct neap_any holds_nil = neap_any_of_ptr(NULL), zero = neap_any_of_i64(0);
	assert_int_equal(sizeof nil, 16);
	assert_null(neap_any_value(&nil));
	assert_non_null(neap_any_value(&holds_nil));
	assert_true(neap_any_equal(nil, nil));
	assert_false(neap_any_equal(nil, holds_nil));
	assert_false(neap_any_equal(holds_nil, zero));
	assert_true(neap_any_comparable(nil));
	assert_int_equal(neap_any_hash(nil, 7), neap_any_hash(nil, 7));
	neap_any_drop(neap_any_copy(nil));
	assert_null(neap_any_as(&nil, &neap_any_type_ptr));
	struct neap_iface iface;
	assert_int_equal(neap_iface_of(&any_shape, nil, &iface), NEAP_EMISMATCH);
	assert_null(iface.itab);
	assert_null(neap_iface_self(&iface));
	assert_true(neap_any_equal(neap_iface_any(iface), nil));
}

static void boxes_have_owners(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator from = gauge_allocator(&gauge);
	struct any_wide wide = {{1, 2, 3, 4, 5, 6, 7, 8}};
	struct neap_any one = made(&from, &any_type_wide, &wide), two = neap_any_copy(one);
	assert_int_equal(gauge.blocks, 1);
	assert_int_equal(gauge.bytes, sizeof wide + 16);
	assert_int_equal(neap_any_owners(one), 2);
	assert_ptr_equal(neap_any_value(&one), neap_any_value(&two));
	neap_any_drop(one);
	assert_int_equal(gauge.blocks, 1);
	assert_memory_equal(neap_any_as(&two, &any_type_wide), &wide, sizeof wide);
	neap_any_drop(two);
	assert_int_equal(gauge.blocks + gauge.bytes, 0);

	struct any_owner owner = {malloc(100)};
	any_owners_dropped = 0;
	one = made(&from, &any_type_owner, &owner);
	two = neap_any_copy(one);
	neap_any_drop(two);
	assert_int_equal(any_owners_dropped, 0);
	neap_any_drop(one);
	assert_int_equal(any_owners_dropped, 1);
	assert_int_equal(gauge.blocks, 0);
}

static void boxes_are_aligned(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	const struct neap_allocator gauged = gauge_allocator(&gauge);
	const struct neap_allocator *sources[] = {&gauged, NULL, neap_heap_allocator()};
	_Alignas(64) unsigned char bytes[192];
	memset(bytes, 0x5a, sizeof bytes);
	for (uint32_t align = 1; align <= 64; align *= 2)
		for (unsigned i = 0; i < 3; i++) {
			const struct neap_any_type type = {.size = sizeof type,
							   .value_size = 192,
							   .value_align = align,
							   .name = "aligned"};
			struct neap_any value = made(sources[i], &type, bytes);
			assert_int_equal((uintptr_t)neap_any_value(&value) % align, 0);
			assert_memory_equal(neap_any_value(&value), bytes, sizeof bytes);
			neap_any_drop(value);
		}
	assert_int_equal(gauge.blocks, 0);
}

static void strings_own_their_bytes(void **state)
{
	(void)state;
	struct gauge gauge = {0};
	struct neap_allocator from = gauge_allocator(&gauge);
	char text[] = "a key of some length";
	struct neap_any a, b, empty;
	assert_int_equal(neap_any_make_str(&from, str_of(text), &a), NEAP_OK);
	assert_int_equal(neap_any_make_str(NULL, str_of(text), &b), NEAP_OK);
	assert_int_equal(neap_any_make_str(&from, (struct neap_str){NULL, 0, 0}, &empty), NEAP_OK);
	memset(text, 'x', sizeof text - 1);
	assert_true(neap_any_equal(a, b));
	assert_int_equal(neap_any_hash(a, 3), neap_any_hash(b, 3));
	assert_false(neap_any_equal(a, empty));
	const struct neap_str *str = neap_any_as(&a, &neap_any_type_str);
	assert_memory_equal(str->ptr, "a key of some length", str->len);
	neap_any_drop(a);
	neap_any_drop(b);
	neap_any_drop(empty);
	assert_int_equal(gauge.blocks + gauge.bytes, 0);
}

static void comparison_is_gos(void **state)
{
	(void)state;
	struct neap_any one = neap_any_of_i64(1), unsigned_one = neap_any_of_u64(1),
			float_one = neap_any_of_f64(1);
	assert_true(neap_any_equal(one, neap_any_of_i64(1)));
	assert_false(neap_any_equal(one, unsigned_one));
	assert_false(neap_any_equal(one, float_one));
	assert_int_not_equal(neap_any_hash(one, 5), neap_any_hash(unsigned_one, 5));
	assert_int_not_equal(neap_any_hash(one, 5), neap_any_hash(one, 6));

	struct neap_any zero = neap_any_of_f64(0.0), minus = neap_any_of_f64(-0.0),
			nan = neap_any_of_f64(NAN);
	assert_true(neap_any_equal(zero, minus));
	assert_int_equal(neap_any_hash(zero, 5), neap_any_hash(minus, 5));
	assert_false(neap_any_equal(nan, nan));
	assert_int_not_equal(neap_any_hash(nan, 5), neap_any_hash(nan, 5));
	const float small = -0.0f, small_zero = 0.0f;
	struct neap_any f32 = made(NULL, &any_type_f32, &small),
			f32_zero = made(NULL, &any_type_f32, &small_zero);
	assert_true(neap_any_equal(f32, f32_zero));
	assert_int_equal(neap_any_hash(f32, 1), neap_any_hash(f32_zero, 1));

	const int64_t plus_two = 2, minus_two = -2;
	struct neap_any a = made(NULL, &any_type_abs, &plus_two), b = made(NULL, &any_type_abs, &minus_two);
	assert_true(neap_any_equal(a, b));
	assert_int_equal(neap_any_hash(a, 9), neap_any_hash(b, 9));

	struct any_wide wide = {{1}}, other = {{1, 0, 0, 0, 0, 0, 0, 9}};
	struct neap_any w = made(NULL, &any_type_wide, &wide), v = made(NULL, &any_type_wide, &wide),
			o = made(NULL, &any_type_wide, &other);
	assert_true(neap_any_equal(w, v));
	assert_int_equal(neap_any_hash(w, 9), neap_any_hash(v, 9));
	assert_false(neap_any_equal(w, o));
	neap_any_drop(w);
	neap_any_drop(v);
	neap_any_drop(o);
}

static struct neap_any slice_value(void)
{
	const uint64_t words[3] = {0};
	struct neap_any ret;
	if (neap_any_make(NULL, &any_type_slice, words, &ret) != NEAP_OK)
		abort();
	return ret;
}

static void compare_slices(void)
{
	struct neap_any a = slice_value();
	(void)neap_any_equal(a, neap_any_copy(a));
}

static void hash_slice(void)
{
	(void)neap_any_hash(slice_value(), 0);
}

static void call_nil(void)
{
	struct neap_iface nothing = {NULL, 0};
	(void)neap_iface_call(&nothing, any_area_fn, 0)(neap_iface_self(&nothing));
}

static void expect_line(void (*body)(void), const char *line)
{
	struct ending ending = child_run(body, 30);
	assert_int_equal(ending.signal, SIGABRT);
	if (strncmp(ending.text, line, strlen(line)) != 0)
		fail_msg("expected \"%s\", got \"%s\"", line, ending.text);
}

static void what_cannot_be_compared_is_reported(void **state)
{
	(void)state;
	struct neap_any slice = slice_value();
	assert_false(neap_any_comparable(slice));
	assert_false(neap_any_equal(slice, nil)); /* types differ: nothing is compared */
	assert_false(neap_any_equal(slice, neap_any_of_i64(0)));
	neap_any_drop(slice);
	expect_line(compare_slices, "neap: fatal: comparing uncomparable type: type \"[]int\"");
	expect_line(hash_slice, "neap: fatal: hash of unhashable type: type \"[]int\"");
	expect_line(call_nil, "neap: fatal: method call on a nil interface: interface \"nil\"");
}

static void bad_descriptors_are_refused(void **state)
{
	(void)state;
	const unsigned char bytes[64] = {0};
	struct neap_any_type bad[8];
	for (unsigned i = 0; i < 8; i++)
		bad[i] = any_type_wide;
	bad[0].value_align = 3;
	bad[1].value_align = 128;
	bad[2].value_align = 0;
	bad[3].kind = NEAP_ANY_F64; /* of 64 bytes */
	bad[4].kind = NEAP_ANY_USER;
	bad[5].kind = 17;
	bad[6].size = 8;
	bad[7].value_size = UINT32_MAX;
	for (unsigned i = 0; i < 8; i++) {
		struct neap_any ret = neap_any_of_i64(1);
		assert_int_equal(neap_any_make(NULL, &bad[i], bytes, &ret), NEAP_EINVAL);
		assert_null(ret.type);
	}
	struct neap_any ret;
	assert_int_equal(neap_any_make(NULL, NULL, bytes, &ret), NEAP_EINVAL);
}

static void methods_are_found_and_called(void **state)
{
	(void)state;
	const double side = 3;
	const struct any_rectangle sides = {2, 5};
	struct neap_any square = made(NULL, &any_type_square, &side);
	struct neap_any rectangle = made(NULL, &any_type_rectangle, &sides);
	struct neap_iface a, b, again, scalable;
	assert_int_equal(neap_iface_of(&any_shape, square, &a), NEAP_OK);
	assert_int_equal(neap_iface_of(&any_shape, rectangle, &b), NEAP_OK);
	assert_true(neap_iface_call(&a, any_area_fn, 0)(neap_iface_self(&a)) == 9);
	assert_true(neap_iface_call(&b, any_area_fn, 0)(neap_iface_self(&b)) == 10);
	assert_int_equal(neap_iface_of(&any_shape, square, &again), NEAP_OK);
	assert_ptr_equal(a.itab, again.itab);
	assert_ptr_not_equal(a.itab, b.itab);

	/* From interface to interface: by way of the value. */
	assert_int_equal(neap_iface_of(&any_scalable, neap_iface_any(a), &scalable), NEAP_OK);
	assert_true(neap_iface_call(&scalable, any_scaled_fn, 1)(neap_iface_self(&scalable), 2) == 36);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(neap_iface_of(&any_scalable, neap_iface_any(b), &scalable), NEAP_EMISMATCH);
		assert_null(scalable.itab);
		assert_int_equal(neap_iface_of(&any_wrong, square, &scalable), NEAP_EMISMATCH);
	}
	assert_string_equal(neap_iface_missing(&any_scalable, &any_type_rectangle), "scaled");
	assert_string_equal(neap_iface_missing(&any_wrong, &any_type_square), "area");
	assert_null(neap_iface_missing(&any_scalable, &any_type_square));
	assert_true(neap_any_equal(neap_iface_any(a), square));
	assert_non_null(neap_any_as(&square, &any_type_square));
	neap_any_drop(rectangle);
}

/* Itabs come from malloc, whatever boxes come from; a sanitizer's malloc does not say no. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MALLOC_REFUSES = 0 };
#else
enum { MALLOC_REFUSES = 1 };
#endif

/* Every byte that malloc can give is taken; then an itab is asked for, refused, and made when there is room again. */
static void itab_without_memory(void)
{
	const struct rlimit none = {1 << 20, 1 << 20}; /* less than there is: no mapping can grow any more */
	const double side = 3;
	struct neap_any square;
	struct neap_iface iface;
	void *chain = NULL, *block;
	(void)neap_any_make(NULL, &any_type_square, &side, &square);
	setrlimit(RLIMIT_AS, &none);
	for (size_t size = 1 << 20; size >= 16; size /= 2)
		while ((block = malloc(size)) != NULL) {
			*(void **)block = chain;
			chain = block;
		}
	if (neap_iface_of(&any_shape, square, &iface) != NEAP_ENOMEM || iface.itab != NULL)
		_exit(2);
	for (; chain != NULL; chain = block) {
		block = *(void **)chain;
		free(chain);
	}
	if (neap_iface_of(&any_shape, square, &iface) != NEAP_OK ||
	    neap_iface_call(&iface, any_area_fn, 0)(neap_iface_self(&iface)) != 9)
		_exit(3);
}

static void a_refused_itab_is_made_later(void **state)
{
	(void)state;
	const char *preload = getenv("LD_PRELOAD"); /* valgrind's malloc does not say no either */
	if (!MALLOC_REFUSES || (preload != NULL && strstr(preload, "vgpreload") != NULL))
		skip();
	struct ending ending = child_run(itab_without_memory, 60);
	assert_int_equal(ending.signal, 0);
	assert_int_equal(ending.status, 0);
}

static void refused_memory_leaves_nil(void **state)
{
	(void)state;
	struct gauge gauge = {.refuse_at = 1};
	struct neap_allocator from = gauge_allocator(&gauge);
	struct any_wide wide = {{0}};
	struct neap_any value = neap_any_of_i64(4);
	assert_int_equal(neap_any_make(&from, &any_type_wide, &wide, &value), NEAP_ENOMEM);
	assert_null(value.type);
	gauge_arm(&gauge, 1, false);
	value = neap_any_of_i64(4);
	assert_int_equal(neap_any_make_str(&from, str_of("text"), &value), NEAP_ENOMEM);
	assert_null(value.type);
	assert_int_equal(gauge.blocks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_take_no_memory),
		cmocka_unit_test(nil_is_not_a_nil_pointer),
		cmocka_unit_test(boxes_have_owners),
		cmocka_unit_test(boxes_are_aligned),
		cmocka_unit_test(strings_own_their_bytes),
		cmocka_unit_test(comparison_is_gos),
		cmocka_unit_test(what_cannot_be_compared_is_reported),
		cmocka_unit_test(bad_descriptors_are_refused),
		cmocka_unit_test(a_refused_itab_is_made_later), /* before the pair is made in this process */
		cmocka_unit_test(methods_are_found_and_called),
		cmocka_unit_test(refused_memory_leaves_nil),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
