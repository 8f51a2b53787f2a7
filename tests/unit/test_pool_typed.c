/* test_pool_typed.c: the inlined functions of a pool do what those of neap/pool.h do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "pool/internal.h"
#include "support/child.h"

struct page {
	size_t used, room; /* bytes that it says it holds: `room` */
	int resets;
};

static void page_reset(void *object, void *ctx)
{
	struct page *page = object;
	page->used = 0;
	page->resets++;
	++*(int *)ctx;
}

static size_t page_bytes(const void *object, void *ctx)
{
	(void)ctx;
	return ((const struct page *)object)->room;
}

static int resets;

#define NEAP_POOL_NAME	 pages
#define NEAP_POOL_OBJECT struct page
#define NEAP_POOL_RESET	 page_reset
#define NEAP_POOL_BYTES	 page_bytes
#define NEAP_POOL_CTX	 &resets
#include "neap/pool_typed.h"

struct wide {
	_Alignas(32) char bytes[100];
};

#define NEAP_POOL_NAME	 wides
#define NEAP_POOL_OBJECT struct wide
#include "neap/pool_typed.h"

static const struct neap_pool_options magazines = {.check = NEAP_POOL_CHECK_OFF};

static struct neap_pool_stats typed_stats(struct neap_pool *pool)
{
	struct neap_pool_stats stats = {.size = sizeof stats};
	assert_null(neap__pool_check(pool));
	neap_pool_stats(pool, &stats);
	assert_int_equal(stats.created - stats.destroyed, stats.idle + stats.out);
	return stats;
}

static void typed_and_untyped_calls_share_a_pool(void **state)
{
	(void)state;
	resets = 0;
	struct neap_pool *pool = pages_create(&magazines);
	struct page *first = pages_get(pool);
	first->used = 7;
	pages_put(pool, first);
	assert_int_equal(first->resets, 1);
	struct page *again = neap_pool_get(pool);
	assert_ptr_equal(again, first);
	assert_int_equal(again->used, 0);
	neap_pool_put(pool, again);
	assert_ptr_equal(pages_get(pool), first);
	pages_put(pool, first);
	pages_put(pool, NULL);
	assert_int_equal(resets, 3);
	struct neap_pool_stats stats = typed_stats(pool);
	assert_int_equal(stats.hits, 2);
	assert_int_equal(stats.misses, 1);
	assert_int_equal(stats.puts, 3);
	assert_int_equal(neap_pool_destroy(pool), 0);
}

static void every_object_is_reset_once_whatever_way_it_goes(void **state)
{
	(void)state;
	enum { MANY = 1000 }; /* more than two magazines: some puts go to the depot */
	resets = 0;
	struct neap_pool *pool = pages_create(&magazines);
	struct page *held[MANY];
	for (int i = 0; i < MANY; i++)
		held[i] = pages_get(pool);
	for (int i = 0; i < MANY; i++)
		pages_put(pool, held[i]);
	assert_int_equal(resets, MANY);
	assert_int_equal(typed_stats(pool).idle, MANY);
	held[0] = pages_get(pool);
	held[0]->room = 1 << 20; /* above object_most, 64 KB */
	pages_put(pool, held[0]);
	struct neap_pool_stats stats = typed_stats(pool);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.idle, MANY - 1);
	assert_int_equal(neap_pool_destroy(pool), 0);
}

static void a_checking_pool_checks_typed_calls_too(void **state)
{
	(void)state;
	resets = 0;
	struct neap_pool *pool = pages_create(&(struct neap_pool_options){.check = NEAP_POOL_CHECK_ON});
	pages_put(pool, pages_get(pool));
	assert_int_equal(resets, 1);
	assert_int_equal(typed_stats(pool).threads, 0);
	assert_int_equal(neap_pool_destroy(pool), 0);
}

static void put_it_twice(void)
{
	struct neap_pool *pool = wides_create(&(struct neap_pool_options){.check = NEAP_POOL_CHECK_ON});
	struct wide *wide = wides_get(pool);
	wides_put(pool, wide);
	wides_put(pool, wide);
}

static void a_checking_pool_stops_a_typed_double_put(void **state)
{
	(void)state;
	struct ending ending = child_run(put_it_twice, 20);
	assert_non_null(strstr(ending.text, "pool object put back twice"));
}

/* More pools than a thread has seats: two pools that share one take turns. */
static void pools_that_share_a_seat_do_not_mix_their_objects(void **state)
{
	(void)state;
	enum { POOLS = 3 * NEAP__POOL_SEATS };
	struct neap_pool *pools[POOLS];
	struct wide *own[POOLS];
	for (int i = 0; i < POOLS; i++) {
		pools[i] = wides_create(&magazines);
		own[i] = wides_get(pools[i]);
		assert_int_equal((uintptr_t)own[i] % _Alignof(struct wide), 0);
	}
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < POOLS; i++)
			wides_put(pools[i], own[i]);
		for (int i = 0; i < POOLS; i++)
			assert_ptr_equal(wides_get(pools[i]), own[i]);
	}
	for (int i = 0; i < POOLS; i++) {
		wides_put(pools[i], own[i]);
		struct neap_pool_stats stats = typed_stats(pools[i]);
		assert_int_equal(stats.misses, 1);
		assert_int_equal(stats.hits, 100);
		assert_int_equal(stats.puts, 101);
		assert_int_equal(stats.idle, 1);
		assert_int_equal(neap_pool_destroy(pools[i]), 0);
	}
}

/* A destroyed pool's address and id may come again; its serial does not. */
static void a_seat_of_a_destroyed_pool_is_nobodys(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct neap_pool *pool = wides_create(&magazines);
		wides_put(pool, wides_get(pool));
		assert_int_equal(typed_stats(pool).misses, 1);
		assert_int_equal(neap_pool_destroy(pool), 0);
	}
}

/* ---- After the thread's magazines are gone ---- */

static pthread_key_t late_key;
static struct neap_pool *late_pool;
static bool late_seat; /* it still had its seat in the last round */

/* Runs in later rounds of destructors too, so that it comes after the pool's own. */
static void late_destructor(void *rounds)
{
	late_seat = neap__pool_seats[late_pool->id % NEAP__POOL_SEATS].serial == late_pool->front.serial;
	wides_put(late_pool, wides_get(late_pool));
	if ((uintptr_t)rounds < 3)
		pthread_setspecific(late_key, (void *)((uintptr_t)rounds + 1));
}

static void *ends_late(void *ctx)
{
	(void)ctx;
	wides_put(late_pool, wides_get(late_pool));
	pthread_setspecific(late_key, (void *)1);
	return NULL;
}

static void a_thread_past_its_end_uses_the_depot(void **state)
{
	(void)state;
	pthread_t thread;
	late_pool = wides_create(&magazines);
	assert_int_equal(pthread_key_create(&late_key, late_destructor), 0);
	assert_int_equal(pthread_create(&thread, NULL, ends_late, NULL), 0);
	pthread_join(thread, NULL);
	struct neap_pool_stats stats = typed_stats(late_pool);
	assert_int_equal(stats.threads, 0);
	assert_int_equal(stats.out, 0);
	assert_int_equal(stats.puts, 4);
	assert_false(late_seat);
	pthread_key_delete(late_key);
	assert_int_equal(neap_pool_destroy(late_pool), 0);
}

/* ---- Without membarrier ---- */

static bool refuse_membarrier(const char *call)
{
	return strcmp(call, "membarrier") == 0;
}

/* In a child of its own: the process decides once. */
static void typed_without_membarrier(void)
{
	neap__os_fail = refuse_membarrier;
	struct neap_pool *pool = wides_create(&magazines);
	for (int i = 0; i < 1000; i++)
		wides_put(pool, wides_get(pool));
	struct neap_pool_stats stats = typed_stats(pool);
	bool good = neap__pool_fenced == NEAP__POOL_FENCED && stats.hits == 999 && stats.puts == 1000 &&
		    stats.idle == 1 && neap__pool_take(pool) == NULL;
	neap_pool_collect(pool);
	neap_pool_collect(pool);
	good = good && typed_stats(pool).idle == 0;
	_exit(good ? 0 : 3);
}

static void without_membarrier_the_short_paths_stay_closed(void **state)
{
	(void)state;
	struct ending ending = child_run(typed_without_membarrier, 20);
	assert_int_equal(ending.signal, 0);
	assert_int_equal(ending.status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_membarrier_the_short_paths_stay_closed), /* before any pool */
		cmocka_unit_test(typed_and_untyped_calls_share_a_pool),
		cmocka_unit_test(every_object_is_reset_once_whatever_way_it_goes),
		cmocka_unit_test(a_checking_pool_checks_typed_calls_too),
		cmocka_unit_test(a_checking_pool_stops_a_typed_double_put),
		cmocka_unit_test(pools_that_share_a_seat_do_not_mix_their_objects),
		cmocka_unit_test(a_seat_of_a_destroyed_pool_is_nobodys),
		cmocka_unit_test(a_thread_past_its_end_uses_the_depot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
