/* test_debug_why.c: /debug/why through neap_debug_handle: every kind of answer, and that asking often is refused. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/os.h"
#include "neap/debug.h"
#include "neap/gc.h"
#include "neap/gc_map.h"

struct node {
	uint64_t number;
	struct node *next;
};
NEAP_TYPE(node_type, struct node, next);

static struct node *static_node;
static struct neap_gc_handle *handle;

static struct {
	size_t len;
	char bytes[16384];
} page;

static int append(void *ctx, const void *bytes, size_t size)
{
	(void)ctx;
	assert_true(page.len + size < sizeof page.bytes);
	memcpy(page.bytes + page.len, bytes, size);
	page.len += size;
	page.bytes[page.len] = '\0';
	return 0;
}

static int get(const char *path)
{
	page.len = 0;
	page.bytes[0] = '\0';
	return neap_debug_handle(path, append, NULL);
}

__attribute__((noinline, no_sanitize_address)) static void scrub(void)
{
	char junk[16384];
	memset(junk, 0, sizeof junk);
	__asm__ volatile("" ::"r"(junk) : "memory"); /* somebody might read it */
}

/* Alone, so that no register of its caller's holds the address afterwards. */
__attribute__((noinline)) static void write_path(char *path, size_t size, const char *form,
						 uintptr_t inverted)
{
	snprintf(path, size, form, ~inverted);
	__asm__ volatile("" ::: "memory");
}

/* The answer about ~inverted, asked as soon as that is allowed. */
static int ask(uintptr_t inverted, const char *form)
{
	char path[80];
	int status, tries = 0;
	write_path(path, sizeof path, form, inverted);
	scrub();
	while ((status = get(path)) == 503 && strstr(page.bytes, "too often") != NULL && tries++ < 10000)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	return status;
}

/* Two nodes, the first in *ret; the second, inverted. */
__attribute__((noinline)) static uintptr_t make_pair(struct node **ret)
{
	struct node *second = neap_gc_alloc(&node_type);
	*ret = neap_gc_alloc(&node_type);
	assert_non_null(second);
	assert_non_null(*ret);
	(*ret)->next = second;
	return ~(uintptr_t)second;
}

static void before_the_first_object_nothing_starts(void **state)
{
	(void)state;
	assert_int_equal(get("/debug/why?address=0x1000"), 404);
	assert_string_equal(page.bytes,
			    "no collector runs in this program: what its heap holds was not freed\n");
	assert_string_equal(neap_debug_type("/debug/why?address=0x1000"), "application/json");
}

static void a_static_is_named_with_its_path(void **state)
{
	(void)state;
	char wanted[100];
	uintptr_t inverted = make_pair(&static_node);
	assert_int_equal(ask(inverted, "/debug/why?address=0x%" PRIxPTR), 200);
	assert_non_null(strstr(page.bytes, "{\"schema\":1,\"root\":\"static\""));
	assert_non_null(strstr(page.bytes, "\"length\":2,"));
	snprintf(wanted, sizeof wanted,
		 "{\"object\":\"0x%" PRIxPTR "\",\"type\":\"struct node\",\"offset\":%zu},\n",
		 (uintptr_t)static_node, offsetof(struct node, next));
	assert_non_null(strstr(page.bytes, wanted));
	snprintf(wanted, sizeof wanted, "{\"object\":\"0x%" PRIxPTR "\",\"type\":\"struct node\"}\n]}\n",
		 ~inverted);
	assert_non_null(strstr(page.bytes, wanted));
	snprintf(wanted, sizeof wanted, "\"word\":\"0x%" PRIxPTR "\"", (uintptr_t)&static_node);
	assert_non_null(strstr(page.bytes, wanted));
	/* In the other forms, and in the middle of the object. */
	assert_int_equal(ask(inverted, "/debug/why?x=address=9&address=%" PRIXPTR), 200);
	assert_int_equal(ask(inverted - 8, "/debug/why?address=0x%" PRIxPTR "&x=1"), 200);
	assert_non_null(strstr(page.bytes, "\"root\":\"static\""));
}

static void what_nothing_keeps_is_unreachable(void **state)
{
	(void)state;
	uintptr_t inverted = make_pair(&static_node);
	static_node = NULL;
	scrub();
	assert_int_equal(ask(inverted, "/debug/why?address=0x%" PRIxPTR), 200);
	assert_non_null(strstr(page.bytes, "\"root\":\"unreachable\""));
	assert_non_null(strstr(page.bytes, "\"length\":0,\"path\":[\n]}\n"));
}

static void keys_of_maps_are_not_told(void **state)
{
	(void)state;
	static const struct neap_map_type type = {.size = sizeof type,
						  .kind = NEAP_KEY_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = sizeof(void *),
						  .value_align = _Alignof(void *)};
	struct neap_gc_map *map = neap_gc_map_create(&type, NULL, &neap_gc_pointer, NULL);
	assert_non_null(map);
	struct node *node;
	uintptr_t inverted = make_pair(&node);
	uint64_t key;
	memcpy(&key, "SECRETKY", sizeof key);
	node->number = key;
	assert_int_equal(neap_gc_map_put(map, &key, &node), 0);
	node = NULL;
	handle = neap_gc_handle_create(map);
	map = NULL;
	scrub();
	assert_int_equal(ask(inverted, "/debug/why?address=0x%" PRIxPTR), 200);
	assert_non_null(strstr(page.bytes, "\"root\":\"handle\""));
	assert_non_null(strstr(page.bytes, "\"by\":\"an entry of a map\""));
	assert_null(strstr(page.bytes, "SECRET"));
	char number[32];
	snprintf(number, sizeof number, "%" PRIx64, key);
	assert_null(strstr(page.bytes, number));
	neap_gc_handle_destroy(handle);
}

static void other_addresses_and_bad_ones(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
					  "?",
					  "?address",
					  "?address=",
					  "?address=0x",
					  "?address=xyz",
					  "?address=0x10g",
					  "?address=0x11112222333344445",
					  "?addres=0x10",
					  "?address=-1",
					  "?address= 10"};
	char path[64];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(path, sizeof path, "/debug/why%s", bad[i]);
		assert_int_equal(get(path), 400);
	}
	assert_int_equal(ask(~(uintptr_t)path, "/debug/why?address=0x%" PRIxPTR), 404);
	assert_int_equal(ask(~(uintptr_t)0, "/debug/why?address=%" PRIxPTR), 404);
	assert_int_equal(ask(0, "/debug/why?address=0x%" PRIxPTR), 404);
}

static void asking_often_is_refused(void **state)
{
	(void)state;
	uintptr_t inverted = make_pair(&static_node);
	int refused = 0;
	for (int i = 0; i < 3 && refused == 0; i++) {
		char path[80];
		assert_int_equal(ask(inverted, "/debug/why?address=0x%" PRIxPTR), 200);
		snprintf(path, sizeof path, "/debug/why?address=0x%" PRIxPTR, ~inverted);
		refused += get(path) == 503; /* unless this thread was away for nine times the answer */
	}
	assert_true(refused > 0);
	assert_non_null(strstr(page.bytes, "asked too often"));
}

static bool refuse_mmap(const char *call)
{
	return strcmp(call, "mmap") == 0;
}

static void without_memory_the_answer_is_503(void **state)
{
	(void)state;
	uintptr_t inverted = make_pair(&static_node);
	assert_int_equal(ask(inverted, "/debug/why?address=0x%" PRIxPTR), 200);
	nanosleep(&(struct timespec){0, 300000000}, NULL);
	neap__os_fail = refuse_mmap;
	int status = ask(inverted, "/debug/why?address=0x%" PRIxPTR);
	neap__os_fail = NULL;
	assert_int_equal(status, 503);
	assert_string_equal(page.bytes, "out of memory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first_object_nothing_starts),
		cmocka_unit_test(a_static_is_named_with_its_path),
		cmocka_unit_test(what_nothing_keeps_is_unreachable),
		cmocka_unit_test(keys_of_maps_are_not_told),
		cmocka_unit_test(other_addresses_and_bad_ones),
		cmocka_unit_test(asking_often_is_refused),
		cmocka_unit_test(without_memory_the_answer_is_503),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
