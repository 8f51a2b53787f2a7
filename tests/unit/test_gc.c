/* test_gc.c: what the collector keeps, what it frees, where roots are, misuse, refusals. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/gc.h"
#include "support/child.h"
#include "support/gc_laws.h"

struct node {
	struct node *left, *right;
	uintptr_t key;
};
NEAP_TYPE(node_type, struct node, left, right);

struct row {
	struct node *owner;
	size_t count;
	struct node *items[];
};
NEAP_TYPE_TAIL(row_type, struct row, items, neap_gc_pointer, owner);

struct wide {
	char text[100];
	struct node *pair[2];
	char more[300];
	struct {
		struct node *inner;
	} deep;
};
NEAP_TYPE(wide_type, struct wide, pair, deep.inner);

enum { MANY = 20000 };

static uint64_t live_now(void)
{
	neap_gc_collect();
	return atomic_load(&neap__gc.live_bytes);
}

__attribute__((noinline)) static struct node *make_list(unsigned length, uintptr_t key)
{
	struct node *head = NULL;
	for (unsigned i = 0; i < length; i++) {
		struct node *n = neap_gc_alloc(&node_type);
		assert_non_null(n);
		assert_null(n->left);
		assert_int_equal((uintptr_t)n % 16, 0);
		n->right = head;
		n->key = key + i;
		head = n;
	}
	return head;
}

__attribute__((noinline)) static unsigned check_list(const struct node *head, unsigned length, uintptr_t key)
{
	unsigned seen = 0;
	for (const struct node *n = head; n != NULL; n = n->right, seen++)
		if (n->key != key + length - 1 - seen)
			fail_msg("node %u says %lu", seen, (unsigned long)n->key);
	return seen;
}

static struct node *static_root;
static _Thread_local struct node *thread_root;

static void lists_live_and_die(void **state)
{
	(void)state;
	static_root = make_list(MANY, 7);
	(void)make_list(MANY, 1000000);
	scrub_stack();
	uint64_t live = live_now();
	assert_int_equal(check_list(static_root, MANY, 7), MANY);
	assert_in_range(live, MANY * 32, MANY * 40 + 100000);
	static_root = NULL;
	scrub_stack();
	assert_in_range(live_now(), 0, MANY * 4);
	assert_lawful();
}

/* A list that is longer than any stack, and a stack that is always full in the hostile build. */
static void a_million_deep(void **state)
{
	(void)state;
	enum { DEEP = 1000000 };
	struct node *keep = make_list(DEEP, 0);
	assert_in_range(live_now(), DEEP * 32ul, DEEP * 34ul);
	assert_int_equal(check_list(keep, DEEP, 0), DEEP);
	neap_keep_alive(keep);
}

static void shapes_are_read_precisely(void **state)
{
	(void)state;
	struct wide *wide = neap_gc_alloc(&wide_type);
	struct row *row = neap_gc_alloc_tail(&row_type, MANY);
	struct node *array = neap_gc_alloc_array(&node_type, 5000);
	void **words = neap_gc_alloc_words(400);
	assert_true(wide != NULL && row != NULL && array != NULL && words != NULL);
	wide->pair[1] = make_list(3, 10);
	wide->deep.inner = make_list(3, 20);
	row->owner = make_list(3, 30);
	for (unsigned i = 0; i < MANY; i++)
		row->items[i] = make_list(2, 40);
	array[4999].right = make_list(3, 50);
	words[49] = make_list(3, 60);
	(void)make_list(MANY, 5);
	scrub_stack();
	(void)live_now();
	(void)make_list(MANY, 6);
	assert_int_equal(check_list(wide->pair[1], 3, 10), 3);
	assert_int_equal(check_list(wide->deep.inner, 3, 20), 3);
	assert_int_equal(check_list(row->owner, 3, 30), 3);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(check_list(row->items[i], 2, 40), 2);
	assert_int_equal(check_list(array[4999].right, 3, 50), 3);
	assert_int_equal(check_list(words[49], 3, 60), 3);
	neap_keep_alive(wide);
	neap_keep_alive(row);
	neap_keep_alive(array);
	neap_keep_alive(words);
}

/* In a call of its own: a frame of the test's that is still there may hold what it stored. */
__attribute__((noinline)) static void hide_list(struct node *in)
{
	in->key = (uintptr_t)make_list(MANY, 0);
}

/* Addresses in bytes, and in fields that the type does not name, keep nothing. */
static void data_keeps_nothing(void **state)
{
	(void)state;
	void **data = neap_gc_alloc_data(MANY * sizeof(void *));
	for (unsigned i = 0; i < MANY; i++)
		data[i] = make_list(1, 1);
	struct node *named = neap_gc_alloc(&node_type);
	hide_list(named);
	scrub_stack();
	assert_in_range(live_now(), MANY * sizeof(void *), MANY * sizeof(void *) + MANY * 4);
	neap_keep_alive(data);
	neap_keep_alive(named);
}

static void statics_ranges_and_handles_are_roots(void **state)
{
	(void)state;
	static_root = make_list(100, 1);
	thread_root = make_list(100, 2);
	struct node **hidden = malloc(sizeof *hidden * 4);
	assert_int_equal(neap_gc_root_add(hidden, sizeof *hidden * 4), NEAP_OK);
	hidden[3] = make_list(100, 3);
	struct neap_gc_handle **handles = malloc(sizeof *handles * 100);
	for (unsigned i = 0; i < 100; i++)
		handles[i] = neap_gc_handle_create(make_list(100, 4));
	neap_gc_handle_destroy(handles[17]);
	handles[17] = neap_gc_handle_create(NULL);
	neap_gc_handle_set(handles[17], make_list(100, 5));
	scrub_stack();
	for (int i = 0; i < 3; i++) {
		(void)live_now();
		(void)make_list(MANY, 9);
	}
	assert_int_equal(check_list(static_root, 100, 1), 100);
	assert_int_equal(check_list(thread_root, 100, 2), 100);
	assert_int_equal(check_list(hidden[3], 100, 3), 100);
	assert_int_equal(check_list(neap_gc_handle_get(handles[17]), 100, 5), 100);
	assert_int_equal(check_list(neap_gc_handle_get(handles[99]), 100, 4), 100);
	assert_in_range(live_now(), 103 * 100 * 32, 103 * 100 * 32 + MANY * 4);
	for (unsigned i = 0; i < 100; i++)
		neap_gc_handle_destroy(handles[i]);
	assert_int_equal(neap_gc_root_remove(hidden, sizeof *hidden * 3), NEAP_EINVAL);
	assert_int_equal(neap_gc_root_remove(hidden, sizeof *hidden * 4), NEAP_OK);
	static_root = thread_root = NULL;
	assert_in_range(live_now(), 0, MANY * 4);
	free((void *)hidden);
	free((void *)handles);
}

/* An object with 300 lists hanging from its middle is kept by a pointer to its middle. */
static void interior_pointers_keep(void **state)
{
	(void)state;
	struct node **middle = (struct node **)neap_gc_alloc_words(100000) + 6000;
	assert_ptr_equal(neap_gc_base(middle), middle - 6000);
	*middle = make_list(300, 8);
	(void)live_now();
	(void)make_list(MANY, 1);
	assert_int_equal(check_list(*middle, 300, 8), 300);
	assert_null(neap_gc_base(&middle));
	neap_keep_alive(middle);
}

static void free_is_allowed(void **state)
{
	(void)state;
	uint64_t before = live_now();
	static struct node *nodes[MANY];
	for (int round = 0; round < 5; round++) {
		for (unsigned i = 0; i < MANY; i++)
			nodes[i] = neap_gc_alloc(&node_type);
		for (unsigned i = 0; i < MANY; i++)
			i % 2 == 0 ? neap_gc_free(nodes[i]) : neap_heap_free(nodes[i]);
		void *large = neap_gc_alloc_data(1 << 20);
		assert_int_equal(neap_gc_usable(large), 1 << 20);
		neap_gc_free(large);
	}
	memset((void *)nodes, 0, sizeof nodes);
	neap_gc_free(NULL);
	assert_in_range(atomic_load(&neap__gc.live_bytes), 0, before + 100000);
	assert_lawful();
}

static void bad_requests_are_refused(void **state)
{
	(void)state;
	static const struct neap_gc_field outside = {16, 2}, crooked = {4, 1};
	static struct neap_gc_type long_type = {"long", 24, &outside, 1, 0, NULL, 24, 0};
	static struct neap_gc_type crooked_type = {"crooked", 24, &crooked, 1, 0, NULL, 24, 0};
	static struct neap_gc_type tailed = {"tailed", 16, NULL, 0, 0, &row_type, 16, 0};
	assert_int_equal(neap_gc_type_prepare(&long_type), NEAP_EINVAL);
	assert_int_equal(neap_gc_type_prepare(&crooked_type), NEAP_EINVAL);
	assert_int_equal(neap_gc_type_prepare(&tailed), NEAP_EINVAL);
	assert_int_equal(neap_gc_type_prepare(&node_type), NEAP_OK);
	assert_null(neap_gc_alloc_array(&node_type, SIZE_MAX / 8));
	assert_null(neap_gc_alloc_tail(&node_type, 1));
	assert_null(neap_gc_alloc_array(&row_type, 1));
	assert_null(neap_gc_alloc_tail(&row_type, SIZE_MAX / 4));
	assert_null(neap_gc_alloc_data(SIZE_MAX - 5));
	const struct neap_gc_options again = {.size = sizeof again};
	assert_int_equal(neap_gc_start(&again), NEAP_EINVAL);
	assert_int_equal(neap_gc_start(NULL), NEAP_EINVAL);
}

/* Threads. */

static sem_t ready, go_on;

static void *holder(void *arg)
{
	struct node *mine = make_list(1000, (uintptr_t)arg);
	thread_root = make_list(500, 77);
	sem_post(&ready);
	sem_wait(&go_on);
	unsigned sum = check_list(mine, 1000, (uintptr_t)arg) + check_list(thread_root, 500, 77);
	return (void *)(uintptr_t)sum;
}

static void *parked_holder(void *arg)
{
	struct node *mine = make_list(1000, (uintptr_t)arg);
	neap_park();
	sem_post(&ready);
	while (sem_wait(&go_on) != 0)
		;
	neap_unpark();
	return (void *)(uintptr_t)(check_list(mine, 1000, (uintptr_t)arg) + 500);
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		assert_int_equal(errno, EINTR);
}

static void stacks_of_threads_are_roots(void **state)
{
	(void)state;
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	sem_init(&ready, 0, 0);
	sem_init(&go_on, 0, 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? holder : parked_holder,
						(void *)(i * 10000)),
				 0);
	for (unsigned i = 0; i < THREADS; i++)
		wait_for(&ready);
	for (int i = 0; i < 5; i++) {
		(void)make_list(MANY, 3);
		(void)live_now();
	}
	for (unsigned i = 0; i < THREADS; i++)
		sem_post(&go_on);
	for (unsigned i = 0; i < THREADS; i++) {
		void *sum;
		pthread_join(threads[i], &sum);
		assert_int_equal((uintptr_t)sum, 1500);
	}
	assert_lawful();
	assert_in_range(live_now(), 0, MANY * 6);
}

/* A computation that never calls anything is stopped too, with its only pointer in a register. */
static _Atomic bool enough;
static void *spinner(void *arg)
{
	(void)arg;
	struct node *mine = make_list(1000, 5);
	sem_post(&ready);
	volatile uintptr_t sum = 0; /* the loop must not be optimised away */
	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		for (const struct node *n = mine; n != NULL; n = n->right)
			sum = sum + n->key;
	return (void *)(uintptr_t)check_list(mine, 1000, 5);
}

static void loops_are_stopped(void **state)
{
	(void)state;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, spinner, NULL), 0);
	wait_for(&ready);
	for (int i = 0; i < 20; i++) {
		(void)make_list(1000, 3);
		(void)live_now();
	}
	atomic_store(&enough, true);
	void *seen;
	pthread_join(thread, &seen);
	assert_int_equal((uintptr_t)seen, 1000);
}

static void *collect_beside(void *unused)
{
	(void)unused;
	neap_gc_collect();
	return NULL;
}

/* Inside the collector a thread may hold a lock, and has half done what the stopped world must find whole. */
static void a_busy_thread_stops_when_it_leaves(void **state)
{
	(void)state;
	assert_non_null(neap_gc_alloc(&node_type));
	pthread_t other;
	struct neap__gc_thread *self = neap__gc_self;
	uint32_t before = atomic_load(&neap__gc.resumed);
	neap__gc_enter(self);
	bool made = pthread_create(&other, NULL, collect_beside, NULL) == 0;
	while (made && !self->late && atomic_load(&neap__gc.resumed) == before)
		usleep(1000);
	bool late = self->late;
	uint32_t meanwhile = atomic_load(&neap__gc.resumed);
	neap__gc_leave(self);
	assert_true(made);
	pthread_join(other, NULL);
	assert_true(late);
	assert_int_equal(meanwhile, before);
	assert_false(self->late);
}

static void a_child_collects(void **state)
{
	(void)state;
	struct node *keep = make_list(5000, 4);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(20);
		for (int i = 0; i < 10; i++) {
			(void)make_list(5000, 1);
			neap_gc_collect();
		}
		bool whole = check_list(keep, 5000, 4) == 5000 && neap__gc_check() == NULL &&
			     neap__heap_check() == NULL;
		_exit(whole && neap_gc_concurrent() == (neap__gc.tracking && !neap__gc.stop_the_world) ? 0
												       : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	neap_gc_collect();
	assert_int_equal(check_list(keep, 5000, 4), 5000);
}

/* Misuse. */

static struct node *victim;
static void free_twice(void)
{
	victim = neap_gc_alloc(&node_type);
	neap_gc_free(victim);
	neap_gc_free(victim);
}
static void free_inside(void)
{
	victim = neap_gc_alloc(&node_type);
	neap_gc_free(&victim->key);
}
static void free_foreign(void)
{
	neap_gc_free(&victim);
}
static void resize(void)
{
	victim = neap_heap_realloc(neap_gc_alloc(&node_type), 100);
}
static void unpark_alone(void)
{
	(void)neap_gc_alloc(&node_type);
	neap_unpark();
}
static const struct neap_gc_field beyond = {24, 1};
static struct neap_gc_type beyond_type = {"beyond", 24, &beyond, 1, 0, NULL, 24, 0};
static void allocate_beyond(void)
{
	(void)neap_gc_alloc(&beyond_type);
}

static void expect_fault(void (*body)(void), const char *rule)
{
	struct ending ending = child_run(body, 20);
	assert_int_equal(ending.signal, SIGABRT);
	if (strstr(ending.text, rule) == NULL)
		fail_msg("expected \"%s\", got \"%s\"", rule, ending.text);
}

static void mistakes_of_users_are_named(void **state)
{
	(void)state;
	expect_fault(free_twice, "freed before: object");
	expect_fault(free_inside, "a pointer into the interior: object");
	expect_fault(free_foreign, "not an object: object");
	expect_fault(resize, "resizing a collected block: block");
	expect_fault(unpark_alone, "unpark without park");
	expect_fault(allocate_beyond, "a type whose pointers lie outside its objects");
}

/* Of every short size, where others were before. */
static void what_is_allocated_is_clear(void **state)
{
	(void)state;
	static const struct neap_gc_field field = {0, 1};
	static struct neap_gc_type types[16];
	static char *objects[2000];
	for (size_t t = 0; t < 16; t++) {
		types[t] = (struct neap_gc_type){
			.name = "short", .size = 8 + t * 8, .fields = &field, .field_count = 1};
		for (unsigned again = 0; again < 2; again++) {
			for (size_t i = 0; i < 2000; i++) {
				objects[i] = neap_gc_alloc(&types[t]);
				assert_non_null(objects[i]);
				for (size_t b = 0; b < neap_gc_usable(objects[i]); b++)
					if (objects[i][b] != 0)
						fail_msg("byte %zu of an object of %zu is not clear", b,
							 types[t].size);
				memset(objects[i], 0x5a, neap_gc_usable(objects[i]));
			}
			for (size_t i = 0; i < 2000; i++)
				neap_gc_free(objects[i]);
		}
	}
	memset(objects, 0, sizeof objects);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_allocated_is_clear),
		cmocka_unit_test(lists_live_and_die),
		cmocka_unit_test(a_million_deep),
		cmocka_unit_test(shapes_are_read_precisely),
		cmocka_unit_test(data_keeps_nothing),
		cmocka_unit_test(statics_ranges_and_handles_are_roots),
		cmocka_unit_test(interior_pointers_keep),
		cmocka_unit_test(free_is_allowed),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(stacks_of_threads_are_roots),
		cmocka_unit_test(loops_are_stopped),
		cmocka_unit_test(a_busy_thread_stops_when_it_leaves),
		cmocka_unit_test(a_child_collects),
		cmocka_unit_test(mistakes_of_users_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
