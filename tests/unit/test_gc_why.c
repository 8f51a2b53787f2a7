/* test_gc_why.c: the path that neap_why names, for every kind of root, and for objects that nothing keeps. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gc/internal.h"
#include "neap/gc.h"
#include "neap/gc_map.h"

struct link {
	uint64_t number;
	struct link *next;
};
NEAP_TYPE(link_type, struct link, next);

enum { LONG = 100 };

static struct link *static_link;
static _Thread_local struct link *thread_link;
static sem_t held, let_go;

__attribute__((noinline)) static void scrub(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
}

/* `length` links, the first in *ret; the last one, inverted. */
__attribute__((noinline)) static uintptr_t make_chain(unsigned length, struct link **ret)
{
	struct link *last = NULL;
	for (unsigned i = 0; i < length; i++) {
		struct link *link = neap_gc_alloc(&link_type);
		assert_non_null(link);
		if (last == NULL)
			*ret = link;
		else
			last->next = link;
		last = link;
	}
	return ~(uintptr_t)last;
}

/* The answer is in malloc's memory: on a stack it would keep what it names. */
__attribute__((noinline)) static const struct neap_why *ask(uintptr_t inverted)
{
	static struct neap_why *answer;
	if (answer == NULL)
		answer = malloc(sizeof *answer);
	assert_non_null(answer);
	answer->size = sizeof *answer;
	scrub();
	assert_int_equal(neap_why_hidden(inverted, answer), NEAP_OK);
	return answer;
}

/* Nothing keeps it but, in some builds, a stray word on this thread's stack; how rare those are is tested below. */
static void assert_let_go(uintptr_t inverted)
{
	const struct neap_why *why = ask(inverted);
	if (why->root == NEAP_WHY_STACK)
		assert_int_equal(why->thread, (uint64_t)pthread_self());
	else
		assert_int_equal(why->root, NEAP_WHY_UNREACHABLE);
}

static void statics_are_named_with_the_whole_path(void **state)
{
	(void)state;
	uintptr_t last = make_chain(3, &static_link);
	const struct neap_why *why = ask(last);
	assert_int_equal(why->root, NEAP_WHY_STATIC);
	assert_ptr_equal(why->word, &static_link);
	assert_non_null(strstr(why->symbol, "+0x"));
	assert_int_equal(why->length, 3);
	assert_ptr_equal(why->path[0].object, static_link);
	assert_ptr_equal(why->path[1].object, static_link->next);
	assert_true((uintptr_t)why->path[2].object == ~last);
	assert_string_equal(why->path[0].type, "struct link");
	assert_int_equal(why->path[0].offset, offsetof(struct link, next));
	static_link = NULL;
	assert_let_go(last);
}

static void the_shortest_of_two_paths_is_named(void **state)
{
	(void)state;
	uintptr_t last = make_chain(LONG, &static_link);
	const struct neap_why *why = ask(last);
	assert_int_equal(why->length, LONG);
	assert_ptr_equal(why->path[0].object, static_link);
	assert_ptr_equal(why->path[1].object, static_link->next);
	assert_true((uintptr_t)why->path[NEAP_WHY_STEPS - 1].object == ~last);
	static_link->next = (struct link *)~last; /* NOLINT: a short cut */
	why = ask(last);
	assert_int_equal(why->length, 2);
	assert_true((uintptr_t)why->path[1].object == ~last);
	static_link = NULL;
}

static void ranges_and_handles_are_named(void **state)
{
	(void)state;
	struct link **place = malloc(sizeof *place);
	assert_non_null(place);
	uintptr_t last = make_chain(2, place);
	assert_let_go(last);
	assert_int_equal(neap_gc_root_add(place, sizeof *place), NEAP_OK);
	const struct neap_why *why = ask(last);
	assert_int_equal(why->root, NEAP_WHY_RANGE);
	assert_ptr_equal(why->word, place);
	struct neap_gc_handle *handle = neap_gc_handle_create(*place);
	assert_int_equal(neap_gc_root_remove(place, sizeof *place), NEAP_OK);
	why = ask(last);
	assert_int_equal(why->root, NEAP_WHY_HANDLE);
	assert_ptr_equal(why->word, handle);
	neap_gc_handle_destroy(handle);
	assert_let_go(last);
	free(place);
}

static void *hold(void *ret_inverted)
{
	struct link *first;
	*(uintptr_t *)ret_inverted = make_chain(2, &first);
	scrub(); /* of the last one's address */
	sem_post(&held);
	sem_wait(&let_go);
	neap_keep_alive(first);
	first = NULL;
	thread_link = neap_gc_base((void *)~*(uintptr_t *)ret_inverted); /* NOLINT: back from its disguise */
	scrub();
	sem_post(&held);
	sem_wait(&let_go);
	return NULL;
}

static void threads_are_named(void **state)
{
	(void)state;
	pthread_t thread;
	uintptr_t last = 0; /* filled in by the thread, which is joined below */
	assert_int_equal(sem_init(&held, 0, 0) | sem_init(&let_go, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, hold, &last), 0);
	sem_wait(&held);
	const struct neap_why *why = ask(last);
	assert_int_equal(why->root, NEAP_WHY_STACK);
	assert_int_equal(why->thread, (uint64_t)thread);
	assert_int_equal(why->length, 2);
	sem_post(&let_go);
	sem_wait(&held);
	why = ask(last);
	assert_true(why->root == NEAP_WHY_THREAD_LOCAL || why->root == NEAP_WHY_STACK);
	assert_int_equal(why->thread, (uint64_t)thread);
	sem_post(&let_go);
	pthread_join(thread, NULL);
	assert_let_go(last);
	(void)make_chain(2, &thread_link);
	last = ~(uintptr_t)thread_link->next;
	why = ask(last);
	assert_int_equal(why->root, NEAP_WHY_THREAD_LOCAL);
	assert_ptr_equal(why->word, &thread_link);
	assert_int_equal(why->thread, (uint64_t)pthread_self());
	thread_link = NULL;
}

static struct neap_gc_map *static_map;

static void entries_of_maps_are_on_the_path(void **state)
{
	(void)state;
	static const struct neap_map_type type = {.size = sizeof type,
						  .kind = NEAP_KEY_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = sizeof(void *),
						  .value_align = _Alignof(void *)};
	static struct link *first;
	const uint64_t key = 7;
	static_map = neap_gc_map_create(&type, NULL, &neap_gc_pointer, NULL);
	assert_non_null(static_map);
	uintptr_t last = make_chain(2, &first);
	assert_int_equal(neap_gc_map_put(static_map, &key, &first), NEAP_OK);
	first = NULL;
	const struct neap_why *why = ask(last);
	assert_int_equal(why->root, NEAP_WHY_STATIC);
	assert_ptr_equal(why->word, &static_map);
	assert_int_equal(why->length, 3);
	assert_ptr_equal(why->path[0].object, static_map);
	assert_true(why->path[0].offset == SIZE_MAX);
	/* What is left in the slot of a deleted entry keeps nothing. */
	assert_true(neap_gc_map_delete(static_map, &key));
	assert_let_go(last);
	neap_gc_map_destroy(static_map);
	static_map = NULL;
}

__attribute__((noinline)) static uintptr_t make_dropped(void)
{
	struct link *first;
	return make_chain(2, &first);
}

static void what_nothing_keeps_is_unreachable(void **state)
{
	(void)state;
	uintptr_t last[LONG];
	unsigned unreachable = 0;
	for (unsigned i = 0; i < LONG; i++)
		last[i] = make_dropped();
	for (unsigned i = 0; i < LONG; i++) {
		const struct neap_why *why = ask(last[i]);
		unreachable += why->root == NEAP_WHY_UNREACHABLE && why->length == 0 && why->word == NULL;
	}
	assert_in_range(unreachable, LONG * 9 / 10, LONG);
}

static int refuse_at;

static bool refuse(const char *call)
{
	return strcmp(call, "mmap") == 0 && refuse_at-- == 0;
}

static void refused_memory_is_told(void **state)
{
	(void)state;
	struct neap_why why = {.size = sizeof why};
	int result = NEAP_ENOMEM, refusals = 0;
	(void)make_chain(2, &static_link);
	for (; result != NEAP_OK; refusals++) {
		refuse_at = refusals;
		neap__os_fail = refuse;
		result = neap_why(static_link->next, &why);
		neap__os_fail = NULL;
		assert_true(result == NEAP_OK || (result == NEAP_ENOMEM && why.length == 0));
	}
	assert_int_equal(refusals, 3); /* the seen and the notes, and a run without */
	assert_int_equal(why.root, NEAP_WHY_STATIC);
	static_link = NULL;
}

static void what_is_no_object_is_refused(void **state)
{
	(void)state;
	struct neap_why why = {.size = sizeof why};
	int local = 0;
	assert_int_equal(neap_why(&local, &why), NEAP_EINVAL);
	assert_int_equal(neap_why(NULL, &why), NEAP_EINVAL);
	struct link *freed = neap_gc_alloc(&link_type);
	uintptr_t inverted = ~(uintptr_t)freed;
	why.size = 1;
	assert_int_equal(neap_why(freed, &why), NEAP_EINVAL);
	why.size = sizeof why;
	assert_int_equal(neap_why(&freed->next, &why), NEAP_OK); /* into the middle; the asker holds it */
	assert_int_equal(why.root, NEAP_WHY_STACK);
	neap_gc_free(freed);
	assert_int_equal(neap_why_hidden(inverted, &why), NEAP_EINVAL);
	neap_park();
	assert_int_equal(neap_why_hidden(inverted, &why), NEAP_EINVAL);
	neap_unpark();
	assert_null(neap__gc_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statics_are_named_with_the_whole_path),
		cmocka_unit_test(the_shortest_of_two_paths_is_named),
		cmocka_unit_test(ranges_and_handles_are_named),
		cmocka_unit_test(threads_are_named),
		cmocka_unit_test(entries_of_maps_are_on_the_path),
		cmocka_unit_test(what_nothing_keeps_is_unreachable),
		cmocka_unit_test(refused_memory_is_told),
		cmocka_unit_test(what_is_no_object_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
