/* test_pool.c: what a pool keeps, for how long, and what a checking pool refuses. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "pool/internal.h"
#include "support/child.h"
#include "support/failing_alloc.h"

/* ---- A buffer that grows ---- */

struct buffer {
	size_t used, room;
	char *bytes;
};

static size_t alive; /* buffers that exist */
static bool refuse_create;

static void *buffer_create(void *ctx)
{
	(void)ctx;
	if (refuse_create)
		return NULL;
	alive++;
	return calloc(1, sizeof(struct buffer));
}

static void buffer_destroy(void *object, void *ctx)
{
	(void)ctx;
	struct buffer *buffer = object;
	alive--;
	free(buffer->bytes);
	free(buffer);
}

static void buffer_reset(void *object, void *ctx)
{
	(void)ctx;
	((struct buffer *)object)->used = 0;
}

static bool buffer_clean(const void *object, void *ctx)
{
	(void)ctx;
	return ((const struct buffer *)object)->used == 0;
}

static size_t buffer_bytes(const void *object, void *ctx)
{
	(void)ctx;
	return sizeof(struct buffer) + ((const struct buffer *)object)->room;
}

static void buffer_grow(struct buffer *buffer, size_t room)
{
	buffer->bytes = realloc(buffer->bytes, room);
	assert_non_null(buffer->bytes);
	buffer->room = room;
	buffer->used = room;
}

static const struct neap_pool_type buffers = {.size = sizeof(struct neap_pool_type),
					      .create = buffer_create,
					      .destroy = buffer_destroy,
					      .reset = buffer_reset,
					      .clean = buffer_clean,
					      .bytes = buffer_bytes,
					      .object_size = sizeof(struct buffer)};
static const struct neap_pool_type blocks = {.size = sizeof(struct neap_pool_type), .object_size = 64};
static const struct neap_pool_options unchecked = {.check = NEAP_POOL_CHECK_OFF, .name = "test"};

static struct neap_pool_stats stats_of(struct neap_pool *pool)
{
	struct neap_pool_stats stats = {.size = sizeof stats};
	neap_pool_stats(pool, &stats);
	assert_null(neap__pool_check(pool));
	assert_int_equal(stats.created - stats.destroyed, stats.idle + stats.out);
	return stats;
}

static struct neap_pool *made(const struct neap_pool_type *type, const struct neap_pool_options *options)
{
	struct neap_pool *pool = neap_pool_create(type, options);
	assert_non_null(pool);
	return pool;
}

/* Gets n objects, then puts them all. */
static void churn(struct neap_pool *pool, size_t n)
{
	void **held = calloc(n, sizeof *held);
	for (size_t i = 0; i < n; i++)
		assert_non_null(held[i] = neap_pool_get(pool));
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n && j < i + 40; j++)
			assert_ptr_not_equal(held[i], held[j]);
	for (size_t i = 0; i < n; i++)
		neap_pool_put(pool, held[i]);
	free(held);
}

/* ---- What is kept ---- */

static void objects_come_back_reset(void **state)
{
	(void)state;
	struct neap_pool *pool = made(&buffers, &unchecked);
	struct buffer *buffer = neap_pool_get(pool);
	buffer_grow(buffer, 100);
	neap_pool_put(pool, buffer);
	neap_pool_put(pool, NULL);
	struct buffer *again = neap_pool_get(pool);
	assert_ptr_equal(again, buffer);
	assert_int_equal(again->used, 0);
	assert_int_equal(again->room, 100);
	struct neap_pool_stats stats = stats_of(pool);
	assert_int_equal(stats.hits, 1);
	assert_int_equal(stats.misses, 1);
	assert_int_equal(stats.puts, 1);
	assert_int_equal(stats.out, 1);
	assert_int_equal(neap_pool_destroy(pool), 1);
	assert_int_equal(alive, 1);
	buffer_destroy(again, NULL);
}

static void nobody_gets_what_somebody_holds(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 63, 64, 65, 127, 128, 129, 1000};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct neap_pool *pool = made(&blocks, &unchecked);
		static const char zeroes[64];
		char *first = neap_pool_get(pool);
		assert_memory_equal(first, zeroes, 64); /* new blocks are zeroed */
		neap_pool_put(pool, first);
		for (int round = 0; round < 3; round++)
			churn(pool, sizes[i]);
		struct neap_pool_stats stats = stats_of(pool);
		assert_int_equal(stats.misses, sizes[i]); /* the first round; then all are there */
		assert_int_equal(stats.hits, 2 * sizes[i] + 1);
		assert_int_equal(stats.idle, sizes[i]);
		assert_int_equal(stats.idle_bytes, 64 * sizes[i]);
		assert_int_equal(neap_pool_destroy(pool), 0);
	}
}

static void two_collections_destroy_what_lies_idle(void **state)
{
	(void)state;
	struct neap_pool *pool = made(&buffers, &unchecked);
	churn(pool, 1000);
	assert_int_equal(neap_pool_collect(pool), 0);
	assert_int_equal(stats_of(pool).idle, 1000);
	churn(pool, 200); /* these are used, and stay a collection longer */
	assert_int_equal(stats_of(pool).misses, 1000);
	assert_int_not_equal(neap_pool_collect(NULL), 0);
	struct neap_pool_stats stats = stats_of(pool);
	assert_in_range(stats.idle, 200, 200 + 64);
	assert_int_equal(stats.collected, 1000 - stats.idle);
	assert_int_equal(alive, stats.idle);
	neap_pool_collect(pool);
	assert_int_equal(stats_of(pool).idle, 0);
	assert_int_equal(alive, 0);
	churn(pool, 10);
	assert_int_equal(neap_pool_destroy(pool), 0);
	assert_int_equal(alive, 0);
}

static void idle_objects_age_by_time_when_nobody_collects(void **state)
{
	(void)state;
	struct neap_pool_options options = unchecked;
	options.idle_ms = 1;
	struct neap_pool *pool = made(&buffers, &options);
	churn(pool, 1000);
	for (int i = 0; i < 3; i++) {
		struct timespec wait = {0, 2000000};
		nanosleep(&wait, NULL);
		churn(pool, 100); /* more than the magazines hold, so it visits the depot */
	}
	assert_true(stats_of(pool).collected >= 700);
	neap_pool_destroy(pool);
}

static void the_cap_bounds_what_is_kept(void **state)
{
	(void)state;
	struct neap_pool_options options = unchecked;
	options.byte_cap = 64000;
	struct neap_pool *pool = made(&blocks, &options);
	churn(pool, 5000);
	struct neap_pool_stats stats = stats_of(pool);
	assert_true(stats.idle_bytes <= 64000 + 64000 / 4);
	assert_true(stats.idle_bytes >= 64000 / 2);
	assert_int_equal(stats.dropped, 5000 - stats.idle);
	neap_pool_destroy(pool);
}

static void an_object_that_has_grown_is_refused(void **state)
{
	(void)state;
	struct neap_pool_options options = unchecked;
	options.object_most = 4096;
	struct neap_pool *pool = made(&buffers, &options);
	struct buffer *large = neap_pool_get(pool), *small = neap_pool_get(pool);
	buffer_grow(large, 5000);
	buffer_grow(small, 4000);
	neap_pool_put(pool, large);
	neap_pool_put(pool, small);
	struct neap_pool_stats stats = stats_of(pool);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.idle, 1);
	assert_int_equal(stats.idle_bytes, 4000 + sizeof(struct buffer));
	neap_pool_destroy(pool);
	assert_int_equal(alive, 0);
}

static void a_type_out_of_range_makes_no_pool(void **state)
{
	(void)state;
	struct neap_pool_type bad[] = {
		{0},
		{.size = sizeof bad[0]},
		{.size = sizeof bad[0], .create = buffer_create},
		{.size = sizeof bad[0], .object_size = 8, .object_align = 3},
		{.size = sizeof bad[0], .object_size = 8, .object_align = 128},
		{.size = 8, .object_size = 8},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_null(neap_pool_create(&bad[i], NULL));
	assert_null(neap_pool_create(NULL, NULL));
	assert_int_equal(neap_pool_destroy(NULL), 0);
	refuse_create = true;
	struct neap_pool *pool = made(&buffers, &unchecked);
	assert_null(neap_pool_get(pool));
	assert_int_equal(stats_of(pool).out, 0);
	refuse_create = false;
	neap_pool_destroy(pool);
}

/* ---- Threads and processes ---- */

static struct neap_pool *shared;
static pthread_barrier_t barrier;

static void *fill_and_end(void *ctx)
{
	(void)ctx;
	churn(shared, 100);
	return NULL;
}

static void *fill_and_wait(void *ctx)
{
	(void)ctx;
	churn(shared, 100);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	churn(shared, 100);
	return NULL;
}

static void a_thread_that_ends_gives_its_magazines_back(void **state)
{
	(void)state;
	shared = made(&buffers, &unchecked);
	for (int i = 0; i < 10; i++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, fill_and_end, NULL), 0);
		pthread_join(thread, NULL);
	}
	struct neap_pool_stats stats = stats_of(shared);
	assert_int_equal(stats.misses, 100); /* the others found what the first one left */
	assert_int_equal(stats.idle, 100);
	assert_int_equal(stats.threads, 0);
	assert_int_equal(stats.hits, 900);
	neap_pool_destroy(shared);
	assert_int_equal(alive, 0);
}

/* A pool destroyed while a thread has magazines in it: the thread must not mistake the next pool for it. */
static void collections_reach_the_magazines_of_other_threads(void **state)
{
	(void)state;
	pthread_t thread;
	shared = made(&buffers, &unchecked);
	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, fill_and_wait, NULL), 0);
	pthread_barrier_wait(&barrier);
	neap_pool_collect(shared);
	neap_pool_collect(shared);
	assert_int_equal(stats_of(shared).idle, 0);
	assert_int_equal(neap_pool_destroy(shared), 0);
	assert_int_equal(alive, 0);
	shared = made(&buffers, &unchecked);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	assert_int_equal(stats_of(shared).idle, 100);
	neap_pool_destroy(shared);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(alive, 0);
}

static void in_forked_child(void)
{
	/* The other thread is not here; its objects are. */
	struct neap_pool_stats stats = stats_of(shared);
	assert_int_equal(stats.idle, 100);
	churn(shared, 100);
	stats = stats_of(shared);
	if (stats.misses != 100)
		_exit(3);
	neap_pool_collect(shared);
	neap_pool_collect(NULL);
	if (stats_of(shared).idle != 0)
		_exit(4);
	if (neap_pool_destroy(shared) != 0)
		_exit(5);
}

static void a_child_has_the_objects_of_threads_that_it_has_not(void **state)
{
	(void)state;
	pthread_t thread;
	shared = made(&buffers, &unchecked);
	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, fill_and_wait, NULL), 0);
	pthread_barrier_wait(&barrier);
	struct ending ending = child_run(in_forked_child, 20);
	if (ending.signal != 0 || ending.status != 0)
		fail_msg("child: signal %d, status %d, %s", ending.signal, ending.status, ending.text);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	neap_pool_destroy(shared);
	pthread_barrier_destroy(&barrier);
}

static bool no_membarrier(const char *call)
{
	return strcmp(call, "membarrier") == 0;
}

/* The registry starts once in a process, so this has to be a child of one that has not. */
static void without_membarrier(void)
{
	neap__os_fail = no_membarrier;
	a_thread_that_ends_gives_its_magazines_back(NULL);
	collections_reach_the_magazines_of_other_threads(NULL);
	if (neap__pool_fenced != NEAP__POOL_FENCED)
		_exit(3);
}

static void pools_work_without_membarrier(void **state)
{
	(void)state;
	struct ending ending = child_run(without_membarrier, 20);
	if (ending.signal != 0 || ending.status != 0)
		fail_msg("child: signal %d, status %d, %s", ending.signal, ending.status, ending.text);
}

/* ---- Memory refused ---- */

static void a_refusal_at_any_request_loses_nothing(void **state)
{
	(void)state;
	for (int fail_on = 0; fail_on < 2; fail_on++) {
		for (size_t at = 1;; at++) {
			struct failing_alloc memory;
			struct neap_allocator from = failing_alloc_init(&memory);
			struct neap_pool_options options = {.allocator = &from, .check = NEAP_POOL_CHECK_OFF};
			memory.fail_at = at;
			memory.fail_on = fail_on;
			struct neap_pool *pool = neap_pool_create(&blocks, &options);
			void *held[200];
			size_t n = 0, got = 0;
			for (; pool != NULL && n < 200; n++)
				got += (held[n] = neap_pool_get(pool)) != NULL;
			for (size_t i = 0; i < n; i++)
				neap_pool_put(pool, held[i]);
			if (pool != NULL) {
				struct neap_pool_stats stats = stats_of(pool);
				assert_int_equal(stats.puts, got);
				assert_int_equal(stats.idle + stats.dropped, got);
				neap_pool_collect(pool);
				assert_int_equal(neap_pool_destroy(pool), 0);
			}
			assert_int_equal(memory.blocks, 0);
			if (memory.refused == 0)
				break;
		}
	}
}

/* ---- The checking pool ---- */

static void (*mistake)(struct neap_pool *pool);

static void forgetful_reset(void *object, void *ctx)
{
	(void)object, (void)ctx;
}

static void make_mistake(void)
{
	struct neap_pool_type type = buffers;
	if (mistake == NULL)
		type.reset = forgetful_reset;
	struct neap_pool *pool =
		made(&type, &(struct neap_pool_options){.check = NEAP_POOL_CHECK_ON, .name = "test"});
	if (mistake != NULL) {
		mistake(pool);
		return;
	}
	struct buffer *buffer = neap_pool_get(pool);
	buffer->used = 1;
	neap_pool_put(pool, buffer);
}

static void put_twice(struct neap_pool *pool)
{
	void *object = neap_pool_get(pool), *other = neap_pool_get(pool);
	neap_pool_put(pool, object);
	neap_pool_put(pool, other);
	neap_pool_put(pool, object);
}

static void write_after_put(struct neap_pool *pool)
{
	struct buffer *buffer = neap_pool_get(pool);
	neap_pool_put(pool, buffer);
	buffer->room = 5;
	(void)!neap_pool_get(pool);
}

static void a_checking_pool_stops_misuse(void **state)
{
	(void)state;
	static const struct {
		void (*mistake)(struct neap_pool *pool);
		const char *line;
	} cases[] = {
		{NULL, "neap: fatal: pool object dirty after its reset: pool \"test\" ("},
		{put_twice, "neap: fatal: pool object put back twice: pool \"test\" ("},
		{write_after_put, "neap: fatal: pool object written after it was put back: pool \"test\" ("},
	};
	for (size_t i = 0; i < 3; i++) {
		mistake = cases[i].mistake;
		struct ending ending = child_run(make_mistake, 10);
		if (ending.signal != SIGABRT ||
		    strncmp(ending.text, cases[i].line, strlen(cases[i].line)) != 0)
			fail_msg("case %zu: signal %d, wrote: %s", i, ending.signal, ending.text);
	}
}

static void a_checking_pool_counts_and_ages_like_another(void **state)
{
	(void)state;
	struct neap_pool *pool = made(
		&buffers, &(struct neap_pool_options){.check = NEAP_POOL_CHECK_ON, .byte_cap = 24 * 600});
	churn(pool, 500);
	churn(pool, 500);
	assert_int_equal(stats_of(pool).hits, 500);
	neap_pool_collect(pool);
	churn(pool, 100);
	neap_pool_collect(pool);
	assert_int_equal(stats_of(pool).idle, 100);
	assert_int_equal(stats_of(pool).collected, 400);
	churn(pool, 1000);
	assert_int_equal(stats_of(pool).idle, 600);
	assert_int_equal(stats_of(pool).dropped, 400);
	assert_int_equal(neap_pool_destroy(pool), 0);
	assert_int_equal(alive, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools_work_without_membarrier), /* first: nothing has started here */
		cmocka_unit_test(objects_come_back_reset),
		cmocka_unit_test(nobody_gets_what_somebody_holds),
		cmocka_unit_test(two_collections_destroy_what_lies_idle),
		cmocka_unit_test(idle_objects_age_by_time_when_nobody_collects),
		cmocka_unit_test(the_cap_bounds_what_is_kept),
		cmocka_unit_test(an_object_that_has_grown_is_refused),
		cmocka_unit_test(a_type_out_of_range_makes_no_pool),
		cmocka_unit_test(a_thread_that_ends_gives_its_magazines_back),
		cmocka_unit_test(collections_reach_the_magazines_of_other_threads),
		cmocka_unit_test(a_child_has_the_objects_of_threads_that_it_has_not),
		cmocka_unit_test(a_refusal_at_any_request_loses_nothing),
		cmocka_unit_test(a_checking_pool_stops_misuse),
		cmocka_unit_test(a_checking_pool_counts_and_ages_like_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
