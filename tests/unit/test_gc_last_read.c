/* test_gc_last_read.c: what is stored between the last concurrent round and the second stop.
 *
 * The collector enters the loader's lock before it stops the world for the second time, by dl_iterate_phdr. This program
 * has a dl_iterate_phdr of its own, in front of libc's: it lets another thread store at exactly that moment. Each stored
 * object was reachable through a weak reference only, and its new holder was marked and read long before: what finds
 * it is the reading of pages, shades and maps in the second stop, and nothing else.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gc/internal.h"
#include "neap/gc.h"
#include "neap/gc_map.h"

enum {
	MANY = 500,
	BEFORE_SECOND_STOP =
		3 /* calls of a cycle: copying the list and reading roots beside the program; copying */
};

struct holder {
	struct holder *held;
	uintptr_t number;
};
NEAP_TYPE(plain_type, struct holder, held);
NEAP_TYPE_BARRIERED(barriered_type, struct holder, held);

static struct holder *holders[MANY];   /* a root */
static struct neap_gc_map *holder_map; /* another */
static struct neap_weak *hidden[MANY]; /* no root: the cells are the collector's */
static void (*store)(void);	       /* NULL: no cycle is watched */
static unsigned calls;
static struct neap_gc_handle *handles[MANY];
/* Of one test: a thread that another one left behind, having failed, waits for its own. */
static struct turn {
	sem_t go, done;
} turns[4], *turn;

typedef int each_object(struct dl_phdr_info *info, size_t size, void *ctx);

/* AddressSanitizer calls it before its own tables are there. */
__attribute__((no_sanitize_address)) int dl_iterate_phdr(each_object *each, void *ctx)
{
	int (*libc)(each_object *, void *);
	*(void **)&libc = dlsym(RTLD_NEXT, "dl_iterate_phdr");
	if (store != NULL && ++calls == BEFORE_SECOND_STOP) {
		sem_post(&turn->go);
		sem_wait(&turn->done);
	}
	return libc(each, ctx);
}

__attribute__((noinline)) static void scrub(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
}

static void *storing_thread(void *of_test)
{
	struct turn *mine = of_test;
	assert_int_equal(neap_thread_attach(), NEAP_OK);
	sem_wait(&mine->go);
	store();
	scrub();
	sem_post(&mine->done);
	sem_wait(&mine->go); /* its stack is there until the cycle is over */
	return NULL;
}

static void store_plainly(void)
{
	for (unsigned i = 0; i < MANY; i++)
		holders[i]->held = neap_weak_get(hidden[i]);
}

static void store_announced(void)
{
	for (unsigned i = 0; i < MANY; i++)
		neap_store(&holders[i]->held, neap_weak_get(hidden[i]));
}

/* Every second handle is there already, and gets its object. */
static void store_into_handles(void)
{
	for (unsigned i = 0; i < MANY; i++)
		if (i % 2 == 0)
			handles[i] = neap_gc_handle_create(neap_weak_get(hidden[i]));
		else
			neap_gc_handle_set(handles[i], neap_weak_get(hidden[i]));
}

static void store_into_map(void)
{
	for (uint64_t i = 0; i < MANY; i++) {
		void *object = neap_weak_get(hidden[i]);
		assert_int_equal(neap_gc_map_put(holder_map, &i, &object), NEAP_OK);
	}
}

__attribute__((noinline)) static void make_objects(struct neap_gc_type *type)
{
	for (unsigned i = 0; i < MANY; i++) {
		holders[i] = neap_gc_alloc(type);
		struct holder *object = neap_gc_alloc(&plain_type);
		assert_true(holders[i] != NULL && object != NULL);
		object->number = i;
		hidden[i] = neap_weak_create(object);
		assert_non_null(hidden[i]);
	}
}

/* Every object that is stored at the last moment is there after the cycle, and what its weak reference says. */
static void watch(struct neap_gc_type *type, void (*how)(void))
{
	pthread_t thread;
	if (!neap_gc_concurrent())
		skip(); /* no second stop: all is read in the only one */
	(void)neap_gc_set_percent(-1);
	turn = turn == NULL ? turns : turn + 1;
	assert_int_equal(sem_init(&turn->go, 0, 0) | sem_init(&turn->done, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, storing_thread, turn), 0);
	make_objects(type);
	scrub();
	calls = 0;
	store = how;
	neap_gc_collect();
	store = NULL;
	unsigned lost = 0;
	for (uint64_t i = 0; i < MANY; i++) {
		const struct holder *object = neap_weak_get(hidden[i]);
		const void *stored = how == store_into_map
					     ? *(struct holder **)neap_gc_map_get(holder_map, &i)
				     : how == store_into_handles ? neap_gc_handle_get(handles[i])
								 : holders[i]->held;
		lost += object == NULL || object->number != i || object != stored;
		neap_weak_destroy(hidden[i]);
	}
	sem_post(&turn->go);
	pthread_join(thread, NULL);
	assert_true(calls > BEFORE_SECOND_STOP);
	assert_int_equal(lost, 0);
	assert_null(neap__gc_check());
}

static void plain_stores_before_the_second_stop(void **state)
{
	(void)state;
	watch(&plain_type, store_plainly);
}

static void announced_stores_before_the_second_stop(void **state)
{
	(void)state;
	watch(&barriered_type, store_announced);
}

static void puts_into_a_map_before_the_second_stop(void **state)
{
	(void)state;
	static const struct neap_map_type type = {.size = sizeof type,
						  .kind = NEAP_KEY_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = sizeof(void *),
						  .value_align = _Alignof(void *)};
	holder_map = neap_gc_map_create(&type, NULL, &neap_gc_pointer, NULL);
	assert_non_null(holder_map);
	watch(&plain_type, store_into_map);
}

static void handles_set_before_the_second_stop(void **state)
{
	(void)state;
	for (unsigned i = 1; i < MANY; i += 2)
		handles[i] = neap_gc_handle_create(NULL);
	watch(&plain_type, store_into_handles);
	for (unsigned i = 0; i < MANY; i++)
		neap_gc_handle_destroy(handles[i]);
}

/* Without the store they die: nothing else keeps them. */
static void hidden_objects_die_otherwise(void **state)
{
	(void)state;
	if (!neap_gc_concurrent())
		skip();
	make_objects(&plain_type);
	scrub();
	neap_gc_collect();
	unsigned alive = 0;
	for (unsigned i = 0; i < MANY; i++) {
		alive += neap_weak_get(hidden[i]) != NULL;
		neap_weak_destroy(hidden[i]);
	}
	assert_in_range(alive, 0, MANY / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_stores_before_the_second_stop),
		cmocka_unit_test(announced_stores_before_the_second_stop),
		cmocka_unit_test(puts_into_a_map_before_the_second_stop),
		cmocka_unit_test(handles_set_before_the_second_stop),
		cmocka_unit_test(hidden_objects_die_otherwise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
