/* test_hmap_iterate.c: iteration of the classic map, what iterators keep, and how misuse is stopped. */
#include "test_hmap.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Iteration ---- */

static void iteration_starts_anywhere(void **state)
{
	(void)state;
	struct neap_hmap *map = filled(&u64_type, NULL, 6);
	size_t first[6] = {0};
	for (size_t i = 0; i < 2000; i++) {
		struct neap_hmap_iter it;
		neap_hmap_iter_init(&it, map);
		assert_true(neap_hmap_iter_next(&it));
		first[*(const uint64_t *)it.key]++;
		neap_hmap_iter_deinit(&it);
	}
	for (size_t i = 0; i < 6; i++)
		assert_true(first[i] > 100); /* 2000/8 expected; the first also stands for two empty slots */
	neap_hmap_destroy(map);
}

static void iterate_all_and_delete_all(void **state)
{
	(void)state;
	struct neap_hmap *map = filled(&u64_type, NULL, 5000);
	struct neap_hmap_iter it;
	size_t produced = 0;
	neap_hmap_iter_init(&it, map);
	while (neap_hmap_iter_next(&it)) {
		produced++;
		assert_true(neap_hmap_delete(map, it.key));
	}
	assert_int_equal(produced, 5000);
	assert_int_equal(neap_hmap_len(map), 0);
	assert_false(neap_hmap_iter_next(&it));
	ASSERT_SOUND(map);
	neap_hmap_destroy(map);
}

/* Entries deleted before they are reached are not produced, even when the map grows in between. */
static void deleted_entries_are_not_produced(void **state)
{
	(void)state;
	for (size_t round = 0; round < 20; round++) {
		struct neap_hmap *map = filled(&u64_type, NULL, 100);
		struct neap_hmap_iter it;
		neap_hmap_iter_init(&it, map);
		assert_true(neap_hmap_iter_next(&it));
		uint64_t first = *(const uint64_t *)it.key;
		for (uint64_t i = 0; i < 100; i++) {
			if (i % 2 == 1)
				del(map, i);
		}
		for (uint64_t i = 1000; i < 3000; i++)
			put(map, i, i);
		size_t even = first % 2 == 0;
		while (neap_hmap_iter_next(&it)) {
			uint64_t key = *(const uint64_t *)it.key;
			assert_true(key >= 1000 || key % 2 == 0);
			even += key < 100;
		}
		assert_int_equal(even, 50);
		neap_hmap_destroy(map);
	}
}

/* Take one, delete it, again until none is left. */
static void pop_until_empty(void **state)
{
	(void)state;
	struct neap_hmap *map = filled(&u64_type, NULL, 1000);
	size_t popped = 0;
	for (;;) {
		struct neap_hmap_iter it;
		neap_hmap_iter_init(&it, map);
		bool any = neap_hmap_iter_next(&it);
		if (any)
			assert_true(neap_hmap_delete(map, it.key));
		neap_hmap_iter_deinit(&it);
		if (!any)
			break;
		popped++;
	}
	assert_int_equal(popped, 1000);
	neap_hmap_destroy(map);
}

static void clear_ends_iterations(void **state)
{
	(void)state;
	for (uint64_t n = 5; n < 2000; n = n * 3 / 2) {
		struct neap_hmap *map = filled(&u64_type, NULL, n);
		struct neap_hmap_iter it;
		neap_hmap_iter_init(&it, map);
		assert_true(neap_hmap_iter_next(&it));
		neap_hmap_clear(map);
		assert_false(neap_hmap_iter_next(&it));
		ASSERT_SOUND(map);
		neap_hmap_destroy(map);
	}
}

/* An iterator inside an overflow chain: in Go 1.19 it goes on to the end of it after a clear, in 1.22 the chain has
 * been emptied. Either way the chain stays until it is done.
 */
static void clear_and_an_iterator_in_an_overflow_chain(void **state)
{
	(void)state;
	for (uint32_t version = NEAP_HMAP_GO_1_22; version <= NEAP_HMAP_GO_1_19; version++) {
		struct neap_hmap_type type = u64_type;
		type.hash = same_hash;
		struct failing_alloc memory;
		struct neap_allocator from = failing_alloc_init(&memory);
		struct neap_hmap *map = filled(
			&type, &(struct neap_hmap_options){.version = version, .allocator = &from}, 26);
		struct neap_hmap_iter it;
		neap_hmap_iter_init(&it, map);
		for (size_t i = 0; i < 9; i++) /* the first of the second bucket of the chain */
			assert_true(neap_hmap_iter_next(&it));
		neap_hmap_clear(map);
		assert_true(stats_of(map).retired > 0);
		ASSERT_SOUND(map);
		size_t stale = 0;
		while (neap_hmap_iter_next(&it))
			stale++;
		assert_int_equal(stale, version == NEAP_HMAP_GO_1_19 ? 26 - 9 : 0);
		assert_int_equal(stats_of(map).retired, 0);
		neap_hmap_destroy(map);
		assert_int_equal(memory.bytes, 0);
	}
}

/* The same for one that walks an old bucket that has not been moved. */
static void clear_and_an_iterator_in_an_old_bucket(void **state)
{
	(void)state;
	for (uint32_t version = NEAP_HMAP_GO_1_22; version <= NEAP_HMAP_GO_1_19; version++) {
		struct neap_hmap_type type = u64_type;
		type.hash = id_hash; /* whatever the seed */
		size_t stale = 0;
		for (size_t round = 0; round < 20; round++) {
			struct neap_hmap *map =
				filled(&type, &(struct neap_hmap_options){.version = version}, 6657);
			assert_non_null(neap_hmap_header(map)->oldbuckets);
			struct neap_hmap_iter it;
			neap_hmap_iter_init(&it, map);
			assert_true(neap_hmap_iter_next(&it));
			neap_hmap_clear(map);
			while (neap_hmap_iter_next(&it))
				stale++;
			neap_hmap_destroy(map);
		}
		assert_int_equal(stale > 0, version == NEAP_HMAP_GO_1_19);
	}
}

/* ---- What iterators keep ---- */

static void an_iterator_keeps_its_array_until_it_is_done(void **state)
{
	(void)state;
	struct failing_alloc memory;
	struct neap_allocator from = failing_alloc_init(&memory);
	struct neap_hmap *map = filled(&u64_type, &(struct neap_hmap_options){.allocator = &from}, 100);
	struct neap_hmap_iter left, ended, abandoned;
	neap_hmap_iter_init(&left, map);
	neap_hmap_iter_init(&ended, map);
	assert_true(neap_hmap_iter_next(&left) && neap_hmap_iter_next(&ended));
	for (uint64_t i = 100; i < 5000; i++)
		put(map, i, i);
	size_t retired = stats_of(map).retired;
	assert_true(retired >= 16 * 144);
	while (neap_hmap_iter_next(&ended))
		continue;
	assert_int_equal(stats_of(map).retired, retired);
	neap_hmap_iter_deinit(&left);
	assert_int_equal(stats_of(map).retired, 0);
	neap_hmap_iter_deinit(&left); /* again: harmless */
	neap_hmap_iter_deinit(&ended);

	neap_hmap_iter_init(&abandoned, map);
	assert_true(neap_hmap_iter_next(&abandoned));
	for (uint64_t i = 5000; i < 20000; i++)
		put(map, i, i);
	assert_true(stats_of(map).retired >= 1024 * 144);
	ASSERT_SOUND(map);
	neap_hmap_destroy(map);
	assert_int_equal(memory.bytes, 0);
}

static void iterators_keep_deleted_blocks(void **state)
{
	(void)state;
	struct failing_alloc memory;
	struct neap_allocator from = failing_alloc_init(&memory);
	struct neap_hmap *map = neap_hmap_create(&big_type, &(struct neap_hmap_options){.allocator = &from});
	struct big big = {{0}};
	for (uint64_t i = 0; i < 20; i++) {
		big.word[7] = i;
		assert_int_equal(neap_hmap_put(map, &big, &big), NEAP_OK);
	}
	struct neap_hmap_iter it;
	neap_hmap_iter_init(&it, map);
	assert_true(neap_hmap_iter_next(&it));
	uint64_t id = ((const struct big *)it.key)->word[7];
	assert_true(neap_hmap_delete(map, it.key));
	assert_int_equal(((const struct big *)it.key)->word[7], id); /* still readable */
	assert_int_equal(stats_of(map).retired, 2 * (sizeof big + 16));
	ASSERT_SOUND(map);
	neap_hmap_iter_deinit(&it);
	assert_int_equal(stats_of(map).retired, 0);
	neap_hmap_destroy(map);
	assert_int_equal(memory.bytes, 0);
}

struct old_slots {
	size_t moved, cleared;
};

static bool look_at_old(const struct neap_hmap_bucket *bucket, void *ctx)
{
	struct old_slots *seen = ctx;
	for (size_t i = 0; bucket->old && bucket->depth == 0 && i < 8; i++) {
		if (bucket->tophash[i] != NEAP_HMAP_EVACUATED_X &&
		    bucket->tophash[i] != NEAP_HMAP_EVACUATED_Y)
			continue;
		seen->moved++;
		seen->cleared += ((void *const *)bucket->values)[i] == NULL;
	}
	return true;
}

/* Old buckets are cleared when they have been moved, so that nothing is held twice; not when an iterator may be
 * in them, and not when there are no pointers in them.
 */
static void old_buckets_are_cleared_unless_an_iterator_may_walk_them(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 3; variant++) {
		struct neap_hmap *map = filled(variant == 2 ? &u64_type : &u64_ptr_type, NULL, 6656);
		for (uint64_t i = 0; i < 6656; i++)
			put(map, i, 1);
		struct neap_hmap_iter it;
		neap_hmap_iter_init(&it, variant == 1 ? map : NULL);
		for (uint64_t i = 6656; i < 6700; i++)
			put(map, i, 1);
		struct old_slots seen = {0, 0};
		neap_hmap_each_bucket(map, look_at_old, &seen);
		assert_true(seen.moved > 200);
		assert_int_equal(seen.cleared, variant == 0 ? seen.moved : 0);
		assert_int_equal(neap_hmap_header(map)->flags, variant == 1 ? NEAP_HMAP_OLD_ITERATOR : 0);
		ASSERT_SOUND(map);
		neap_hmap_iter_deinit(&it);
		neap_hmap_destroy(map);
	}
}

/* Nine keys into a bucket and out again; stops at once when growth number `growth` begins. */
static void crowd_bucket(struct neap_hmap *map, uint64_t bucket, uint64_t growth)
{
	for (uint64_t i = 1; i <= 9 && stats_of(map).same_size_grows < growth; i++)
		put(map, i << 8 | bucket, 0);
	for (uint64_t i = 1; i <= 9 && stats_of(map).same_size_grows < growth; i++)
		del(map, i << 8 | bucket);
}

/* Two growths of the same size under one iterator, the second while it walks: each step is followed by a write
 * that moves the very bucket it stands in. Go clears that bucket and loses entries; here none is lost.
 */
static void two_same_size_growths_under_one_iterator(void **state)
{
	(void)state;
	struct failing_alloc memory;
	struct neap_allocator from = failing_alloc_init(&memory);
	struct neap_hmap_type type = u64_ptr_type;
	type.hash = id_hash;
	struct neap_hmap *map =
		neap_hmap_create(&type, &(struct neap_hmap_options){.hint = 100, .allocator = &from});
	enum { ENTRIES = 48 };
	const uint64_t absent = UINT64_C(1) << 60;
	for (uint64_t i = 0; i < ENTRIES; i++)
		put(map, 100 << 8 | (i % 16) | i << 32, 1);
	struct neap_hmap_iter it;
	neap_hmap_iter_init(&it, map);
	for (uint64_t growth = 1; growth <= 2; growth++) {
		while (neap_hmap_header(map)->oldbuckets != NULL)
			del(map, absent);
		for (uint64_t i = 0; stats_of(map).same_size_grows < growth; i++)
			crowd_bucket(map, i % 16, growth);
	}
	assert_non_null(neap_hmap_header(map)->oldbuckets);
	assert_int_equal(neap_hmap_header(map)->flags & NEAP_HMAP_OLD_ITERATOR, 0);
	size_t old_ones = 0;
	while (neap_hmap_iter_next(&it)) {
		uint64_t key = *(const uint64_t *)it.key;
		old_ones += (key >> 8 & 0xff) == 100;
		del(map, absent | key);
		ASSERT_SOUND(map);
	}
	assert_int_equal(old_ones, ENTRIES);
	neap_hmap_destroy(map);
	assert_int_equal(memory.bytes, 0);
}

/* ---- Misuse ---- */

static jmp_buf caught;
static struct neap_fault last_fault;

static void catch_fault(const struct neap_fault *fault, void *ctx)
{
	(void)ctx;
	last_fault = *fault;
	longjmp(caught, 1);
}

static struct neap_hmap *victim;
static void (*intruder)(void);

static bool equal_and_intrude(const void *a, const void *b)
{
	if (intruder != NULL)
		intruder();
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

static void intrude_put(void)
{
	(void)neap_hmap_put(victim, &(uint64_t){1}, NULL);
}

static void intrude_delete(void)
{
	(void)neap_hmap_delete(victim, &(uint64_t){1});
}

static void intrude_clear(void)
{
	neap_hmap_clear(victim);
}

static void intrude_get(void)
{
	(void)neap_hmap_get(victim, &(uint64_t){1});
}

static void intrude_iterate(void)
{
	struct neap_hmap_iter it;
	neap_hmap_iter_init(&it, victim);
	(void)neap_hmap_iter_next(&it);
}

static const struct neap_hmap_type intruded_type = {TYPE(NEAP_HMAP_USER, uint64_t, uint64_t),
						    .hash = same_hash, .equal = equal_and_intrude};

/* `equal` runs while the map is marked as being written. */
static void the_three_faults(void **state)
{
	(void)state;
	static const struct {
		void (*act)(void);
		const char *rule, *operation;
	} cases[] = {
		{intrude_put, "concurrent map writes", "neap_hmap_put"},
		{intrude_delete, "concurrent map writes", "neap_hmap_delete"},
		{intrude_clear, "concurrent map writes", "neap_hmap_clear"},
		{intrude_get, "concurrent map read and map write", "neap_hmap_get"},
		{intrude_iterate, "concurrent map iteration and map write", "neap_hmap_iter_next"},
	};
	neap_on_fault(catch_fault, NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		intruder = NULL;
		victim = filled(&intruded_type, &(struct neap_hmap_options){.name = "victim"}, 3);
		intruder = cases[i].act;
		if (setjmp(caught) == 0) {
			(void)neap_hmap_put(victim, &(uint64_t){2}, NULL);
			fail_msg("%s was not stopped", cases[i].operation);
		}
		assert_string_equal(last_fault.rule, cases[i].rule);
		assert_string_equal(last_fault.operation, cases[i].operation);
		assert_string_equal(last_fault.object, "victim");
		assert_ptr_equal(last_fault.address, victim);
		intruder = NULL;
		neap_hmap_destroy(victim);
	}
	neap_on_fault(NULL, NULL);
}

static pthread_barrier_t in_the_middle;

static void wait_for_ever(void)
{
	pthread_barrier_wait(&in_the_middle);
	for (;;)
		pause();
}

static void *write_for_ever(void *ctx)
{
	(void)ctx;
	(void)neap_hmap_put(victim, &(uint64_t){2}, NULL);
	return NULL;
}

/* Two real threads, one in the middle of a write: the other one ends the program with one line. */
static void two_threads_that_write_end_the_program(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	intruder = NULL;
	victim = filled(&intruded_type, &(struct neap_hmap_options){.name = "sessions"}, 3);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		pthread_t thread;
		pthread_barrier_init(&in_the_middle, NULL, 2);
		intruder = wait_for_ever;
		pthread_create(&thread, NULL, write_for_ever, NULL);
		pthread_barrier_wait(&in_the_middle);
		(void)neap_hmap_put(victim, &(uint64_t){1}, NULL);
		_exit(0);
	}
	close(ends[1]);
	char line[512] = {0};
	assert_true(read(ends[0], line, sizeof line - 1) > 0);
	close(ends[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_non_null(strstr(line, "neap: fatal: concurrent map writes: map \"sessions\""));
	assert_non_null(strstr(line, "in neap_hmap_put"));
	neap_hmap_destroy(victim);
}

static void *read_all(void *ctx)
{
	const struct neap_hmap *map = ctx;
	size_t bad = 0;
	for (size_t round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < 7000; i++)
			bad += !has(map, i);
		struct neap_hmap_iter it;
		size_t produced = 0;
		neap_hmap_iter_init(&it, ctx);
		while (neap_hmap_iter_next(&it))
			produced++;
		bad += produced != 7000;
	}
	return (void *)bad;
}

/* Readers and iterators side by side, in the middle of a growth, with an array retired by an earlier iterator. */
static void many_threads_may_read(void **state)
{
	(void)state;
	struct neap_hmap *map = filled(&u64_type, NULL, 100);
	struct neap_hmap_iter early;
	neap_hmap_iter_init(&early, map);
	for (uint64_t i = 100; i < 7000; i++)
		put(map, i, i);
	assert_non_null(neap_hmap_header(map)->oldbuckets);
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, map), 0);
	neap_hmap_iter_deinit(&early);
	for (size_t i = 0; i < 4; i++) {
		void *bad;
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(stats_of(map).retired, 0);
	ASSERT_SOUND(map);
	neap_hmap_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iteration_starts_anywhere),
		cmocka_unit_test(iterate_all_and_delete_all),
		cmocka_unit_test(deleted_entries_are_not_produced),
		cmocka_unit_test(pop_until_empty),
		cmocka_unit_test(clear_ends_iterations),
		cmocka_unit_test(clear_and_an_iterator_in_an_overflow_chain),
		cmocka_unit_test(clear_and_an_iterator_in_an_old_bucket),
		cmocka_unit_test(an_iterator_keeps_its_array_until_it_is_done),
		cmocka_unit_test(iterators_keep_deleted_blocks),
		cmocka_unit_test(old_buckets_are_cleared_unless_an_iterator_may_walk_them),
		cmocka_unit_test(two_same_size_growths_under_one_iterator),
		cmocka_unit_test(the_three_faults),
		cmocka_unit_test(two_threads_that_write_end_the_program),
		cmocka_unit_test(many_threads_may_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
