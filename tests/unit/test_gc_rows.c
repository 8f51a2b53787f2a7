/* test_gc_rows.c: finalizers and weak references at the two moments where a cycle could go wrong about them: between the
 * last concurrent round and the second stop, and between that stop and the sweeping of their spans.
 *
 * As in test_gc_last_read.c a dl_iterate_phdr of our own, in front of libc's, lets another thread work at exactly that
 * moment. It finds its objects through weak references only.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gc/internal.h"
#include "neap/gc.h"

enum {
	MANY = 500,
	BEFORE_SECOND_STOP = 3, /* calls of a cycle, as in test_gc_last_read.c */
	DUE_ROOM = 1 << 20	/* finalizers that may be due at once, as in final.c */
};

struct holder {
	struct holder *held;
	uintptr_t number;
	uintptr_t test; /* that made it: a word on a stack may keep it until another one runs */
};
NEAP_TYPE(plain_type, struct holder, held);
NEAP_TYPE_BARRIERED(barriered_type, struct holder, held);

static struct neap_weak *dying[MANY], *child[MANY]; /* references are no roots */
static struct holder *kept[MANY];
static void (*before_stop)(void), (*before_sweep)(void); /* NULL: not watched */
static unsigned calls;
/* Of one test: a thread that another one left behind, having failed, waits for its own. */
static struct turn {
	sem_t go, done;
} turns[8], *turn;
static uintptr_t this_test;
static _Atomic unsigned finalized, broken;
static sem_t finalizer_may_go;
static _Atomic bool finalizer_waits;

typedef int each_object(struct dl_phdr_info *info, size_t size, void *ctx);

static void let_work(void)
{
	sem_post(&turn->go);
	sem_wait(&turn->done);
}

/* AddressSanitizer calls it before its own tables are there. */
__attribute__((no_sanitize_address)) int dl_iterate_phdr(each_object *each, void *ctx)
{
	int (*libc)(each_object *, void *);
	*(void **)&libc = dlsym(RTLD_NEXT, "dl_iterate_phdr");
	if (before_stop != NULL && ++calls == BEFORE_SECOND_STOP)
		let_work();
	int result = libc(each, ctx);
	if (before_sweep != NULL && neap__gc.sweeping)
		let_work();
	return result;
}

__attribute__((noinline)) static void scrub(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
}

static void *working_thread(void *of_test)
{
	struct turn *mine = of_test;
	assert_int_equal(neap_thread_attach(), NEAP_OK);
	sem_wait(&mine->go);
	void (*work)(void) = before_stop != NULL ? before_stop : before_sweep;
	if (work != NULL)
		work();
	scrub();
	before_stop = before_sweep = NULL;
	sem_post(&mine->done);
	sem_wait(&mine->go); /* its stack is there until the cycle is over */
	return NULL;
}

/* A cycle in which the other thread does `work` at one of the two moments. */
static void collect_with(void (**moment)(void), void (*work)(void))
{
	pthread_t thread;
	turn = turn == NULL ? turns : turn + 1;
	assert_int_equal(sem_init(&turn->go, 0, 0) | sem_init(&turn->done, 0, 0), 0);
	calls = 0;
	*moment = work;
	assert_int_equal(pthread_create(&thread, NULL, working_thread, turn), 0);
	scrub();
	neap_gc_collect();
	bool been_there = *moment == NULL;
	*moment = NULL;
	sem_post(&turn->go);
	sem_post(&turn->go);
	pthread_join(thread, NULL);
	assert_true(been_there);
}

static void start(void)
{
	(void)neap_gc_set_percent(-1);
	neap__gc.clobber = true; /* what is freed shows */
	this_test++;
	finalized = broken = 0;
}

/* An object that has been freed since, or whose child has, does not look like this. */
static void check_whole(void *object, void *with_child)
{
	const struct holder *holder = object;
	if (holder->test < this_test)
		return;
	if (holder->test > this_test || holder->number >= MANY ||
	    (with_child != NULL && (holder->held == NULL || holder->held->number != holder->number + MANY)))
		broken++;
	finalized++;
}

/* Objects that nothing leads to, and others to become their children. */
__attribute__((noinline)) static void make_dying(struct neap_gc_type *type, bool finalizers, void *with_child)
{
	for (unsigned i = 0; i < MANY; i++) {
		struct holder *object = neap_gc_alloc(type), *other = neap_gc_alloc(&plain_type);
		assert_true(object != NULL && other != NULL);
		object->test = this_test;
		object->number = i;
		other->number = i + MANY;
		dying[i] = neap_weak_create(object);
		child[i] = neap_weak_create(other);
		assert_true(dying[i] != NULL && child[i] != NULL);
		if (finalizers)
			assert_int_equal(neap_gc_finalizer(object, check_whole, with_child), NEAP_OK);
	}
}

static unsigned count_alive(struct neap_weak *const *weaks)
{
	unsigned alive = 0;
	for (unsigned i = 0; i < MANY; i++)
		alive += neap_weak_get(weaks[i]) != NULL;
	return alive;
}

static void drop_references(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		neap_weak_destroy(dying[i]);
		neap_weak_destroy(child[i]);
		kept[i] = NULL;
	}
}

/* Before the second stop. */

static void adopt_plainly(void)
{
	for (unsigned i = 0; i < MANY; i++)
		((struct holder *)neap_weak_get(dying[i]))->held = neap_weak_get(child[i]);
}

static void adopt_announced(void)
{
	for (unsigned i = 0; i < MANY; i++)
		neap_store(&((struct holder *)neap_weak_get(dying[i]))->held, neap_weak_get(child[i]));
}

/* The objects were white, were read for their finalizers, and are dropped again by who wrote to them. */
static void adopted_at_the_last_moment(struct neap_gc_type *type, void (*adopt)(void))
{
	if (!neap_gc_concurrent())
		skip();
	start();
	make_dying(type, true, &broken);
	collect_with(&before_stop, adopt);
	neap_gc_finalizers_wait();
	assert_int_equal(broken, 0);
	assert_in_range(finalized, MANY * 9 / 10, MANY);
	assert_int_equal(count_alive(child), MANY); /* due finalizers led to them when marking ended */
	assert_int_equal(count_alive(dying), MANY - finalized);
	drop_references();
	assert_null(neap__gc_check());
}

static void what_a_dying_object_is_given_last_is_kept(void **state)
{
	(void)state;
	adopted_at_the_last_moment(&plain_type, adopt_plainly);
}

static void what_a_dying_object_is_given_by_a_barrier_is_kept(void **state)
{
	(void)state;
	adopted_at_the_last_moment(&barriered_type, adopt_announced);
}

static void give_finalizers(void)
{
	for (unsigned i = 0; i < MANY; i++)
		if (neap_gc_finalizer(neap_weak_get(dying[i]), check_whole, &broken) != NEAP_OK)
			broken++;
}

/* Nobody read them for a finalizer that they did not have. */
static void a_finalizer_given_at_the_last_moment_finds_all_whole(void **state)
{
	(void)state;
	if (!neap_gc_concurrent())
		skip();
	start();
	make_dying(&plain_type, false, NULL);
	adopt_plainly();
	scrub();
	collect_with(&before_stop, give_finalizers);
	neap_gc_finalizers_wait();
	for (unsigned i = 0; i < 3 && finalized < MANY; i++) {
		scrub();
		neap_gc_collect();
		neap_gc_finalizers_wait();
	}
	assert_int_equal(broken, 0);
	assert_in_range(finalized, MANY * 9 / 10, MANY);
	drop_references();
}

static void keep_all(void)
{
	for (unsigned i = 0; i < MANY; i++)
		kept[i] = neap_weak_get(dying[i]);
}

static void what_comes_back_at_the_last_moment_does_not_die(void **state)
{
	(void)state;
	if (!neap_gc_concurrent())
		skip();
	start();
	make_dying(&plain_type, true, NULL);
	collect_with(&before_stop, keep_all);
	neap_gc_finalizers_wait();
	assert_int_equal(finalized, 0);
	for (unsigned i = 0; i < MANY; i++) {
		assert_non_null(kept[i]);
		assert_ptr_equal(neap_weak_get(dying[i]), kept[i]);
		assert_int_equal(kept[i]->number, i);
	}
	drop_references();
}

/* Between the second stop and sweeping. */

static unsigned seen_alive, seen_kept, seen_changed;

static void look_twice(void)
{
	seen_alive = count_alive(dying);
	for (unsigned i = 0; i < MANY; i++)
		seen_kept += neap_weak_get(child[i]) == kept[i];
	/* Who needs room sweeps: the answers are the same. */
	for (unsigned i = 0; i < 20 * MANY; i++)
		(void)neap_gc_alloc(&plain_type);
	seen_changed = count_alive(dying) - seen_alive;
	for (unsigned i = 0; i < MANY; i++)
		seen_changed += neap_weak_get(child[i]) != kept[i];
	for (unsigned i = 0; i < MANY; i++)
		seen_changed += neap_weak_create(kept[i]) != child[i];
}

static void a_dead_object_reads_as_null_before_it_is_swept(void **state)
{
	(void)state;
	start();
	make_dying(&plain_type, true, NULL);
	for (unsigned i = 0; i < MANY; i++)
		kept[i] = neap_weak_get(child[i]);
	seen_alive = seen_kept = seen_changed = 0;
	collect_with(&before_sweep, look_twice);
	neap_gc_finalizers_wait();
	assert_in_range(seen_alive, 0, MANY / 10);
	assert_int_equal(seen_kept, MANY);
	assert_int_equal(seen_changed, 0);
	assert_int_equal(finalized + count_alive(dying), MANY);
	assert_false(neap__gc.sweeping);
	for (unsigned i = 0; i < MANY; i++)
		neap_weak_destroy(child[i]);
	drop_references();
	assert_null(neap__gc_check());
}

/* Freed by hand at that moment: neither a finalizer nor a reference is left. */
static void free_kept(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		neap_gc_free(kept[i]);
		kept[i] = NULL;
	}
}

static void objects_may_be_freed_before_their_span_is_swept(void **state)
{
	(void)state;
	start();
	make_dying(&plain_type, true, NULL);
	keep_all();
	collect_with(&before_sweep, free_kept);
	neap_gc_finalizers_wait();
	assert_int_equal(finalized, 0);
	assert_int_equal(count_alive(dying), 0);
	drop_references();
	assert_null(neap__gc_check());
}

/* What is due. */

static void wait_then_check(void *object, void *ctx)
{
	while (finalizer_waits) {
		neap_park();
		sem_wait(&finalizer_may_go);
		neap_unpark();
	}
	check_whole(object, ctx);
}

__attribute__((noinline)) static void make_due(unsigned count, void (*finalize)(void *, void *))
{
	for (unsigned i = 0; i < count; i++) {
		struct holder *object = neap_gc_alloc(&plain_type);
		assert_non_null(object);
		object->test = this_test;
		object->number = i % MANY;
		assert_int_equal(neap_gc_finalizer(object, finalize, NULL), NEAP_OK);
	}
}

/* Two cycles go by while the first finalizer waits: the others' objects are still there. */
static void what_is_due_lives_until_its_turn(void **state)
{
	(void)state;
	start();
	assert_int_equal(sem_init(&finalizer_may_go, 0, 0), 0);
	finalizer_waits = true;
	make_due(MANY, wait_then_check);
	for (unsigned i = 0; i < 3; i++) {
		scrub();
		neap_gc_collect();
	}
	finalizer_waits = false;
	sem_post(&finalizer_may_go);
	neap_gc_finalizers_wait();
	assert_in_range(finalized, MANY * 9 / 10, MANY);
	assert_int_equal(broken, 0);
}

/* More than are kept at once: the rest stay, with their finalizers, for the next cycle. */
static void more_may_die_than_can_be_due(void **state)
{
	(void)state;
	enum { ALL = DUE_ROOM + DUE_ROOM / 16 };
	start();
	finalizer_waits = true;
	make_due(ALL, wait_then_check);
	scrub();
	neap_gc_collect();
	neap_gc_collect();
	finalizer_waits = false;
	sem_post(&finalizer_may_go);
	neap_gc_finalizers_wait();
	assert_in_range(finalized, DUE_ROOM - 1, DUE_ROOM); /* the end of a cycle may be one of them */
	assert_null(neap__gc_check());
	scrub();
	neap_gc_collect();
	neap_gc_finalizers_wait();
	assert_in_range(finalized, ALL - 20, ALL);
	assert_int_equal(broken, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_dying_object_is_given_last_is_kept),
		cmocka_unit_test(what_a_dying_object_is_given_by_a_barrier_is_kept),
		cmocka_unit_test(a_finalizer_given_at_the_last_moment_finds_all_whole),
		cmocka_unit_test(what_comes_back_at_the_last_moment_does_not_die),
		cmocka_unit_test(a_dead_object_reads_as_null_before_it_is_swept),
		cmocka_unit_test(objects_may_be_freed_before_their_span_is_swept),
		cmocka_unit_test(what_is_due_lives_until_its_turn),
		cmocka_unit_test(more_may_die_than_can_be_due),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
