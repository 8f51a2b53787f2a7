/* test_gc_pool.c: each collection lets the objects of all pools age, and their callbacks run where finalizers run. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "neap/gc.h"
#include "neap/pool.h"

enum { IDLE = 500 };

static _Atomic size_t alive;
static pthread_mutex_t held_while_collecting = PTHREAD_MUTEX_INITIALIZER;

static void *make_counted(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&alive, 1);
	return calloc(1, 64);
}

/* A lock that the collecting thread holds, and memory of the collector: neither may be the end of the program. */
static void end_counted(void *object, void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&held_while_collecting);
	pthread_mutex_unlock(&held_while_collecting);
	if (neap_gc_alloc_data(100) == NULL)
		abort();
	free(object);
	atomic_fetch_sub(&alive, 1);
}

static const struct neap_pool_type counted = {
	.size = sizeof counted, .create = make_counted, .destroy = end_counted, .object_size = 64};

static void leave_idle(struct neap_pool *pool)
{
	void *objects[IDLE];
	for (int i = 0; i < IDLE; i++)
		assert_non_null(objects[i] = neap_pool_get(pool));
	for (int i = 0; i < IDLE; i++)
		neap_pool_put(pool, objects[i]);
}

static void collect_with_the_lock(void)
{
	pthread_mutex_lock(&held_while_collecting);
	neap_gc_collect();
	pthread_mutex_unlock(&held_while_collecting);
	neap_gc_finalizers_wait();
}

static void nothing_idle_outlives_two_collections(void **state)
{
	(void)state;
	int percent = neap_gc_set_percent(-1); /* none but those that are asked for */
	struct neap_pool *pools[2] = {neap_pool_create(&counted, NULL), neap_pool_create(&counted, NULL)};
	assert_true(pools[0] != NULL && pools[1] != NULL);
	for (int round = 0; round < 3; round++) {
		leave_idle(pools[0]);
		leave_idle(pools[1]);
		collect_with_the_lock();
		assert_int_equal(alive, 2 * IDLE);
		void *used = neap_pool_get(pools[0]); /* out of the victim generation, back into the next */
		assert_non_null(used);
		neap_pool_put(pools[0], used);
		collect_with_the_lock();
		assert_in_range(alive, 1, 65); /* it, and what came with its magazine */
		collect_with_the_lock();
		assert_int_equal(alive, 0);
	}
	assert_int_equal(neap_pool_destroy(pools[0]) + neap_pool_destroy(pools[1]), 0);
	(void)neap_gc_set_percent(percent);
}

static _Atomic bool gets_over;

static void *gets_and_puts(void *ctx)
{
	while (!atomic_load(&gets_over)) {
		void *object = neap_pool_get(ctx);
		if (object == NULL)
			abort();
		neap_pool_put(ctx, object);
	}
	return NULL;
}

static void pools_are_used_while_collections_end(void **state)
{
	(void)state;
	pthread_t threads[2];
	struct neap_pool *pool = neap_pool_create(&counted, NULL);
	assert_non_null(pool);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, gets_and_puts, pool), 0);
	for (int i = 0; i < 50; i++)
		neap_gc_collect();
	atomic_store(&gets_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	neap_gc_finalizers_wait();
	assert_int_equal(neap_pool_destroy(pool), 0);
	assert_int_equal(alive, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_idle_outlives_two_collections),
		cmocka_unit_test(pools_are_used_while_collections_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
