/* test_gc_objects.c: finalizers, weak references, collected maps, the numbers; as Go's own tests ask it of Go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/gc.h"
#include "neap/gc_map.h"
#include "support/child.h"
#include "support/gc_laws.h"

struct thing {
	struct thing *next, *self;
	uint64_t number;
};
NEAP_TYPE(thing_type, struct thing, next, self);

enum { MANY = 2000 };

static void collect_and_finalize(void)
{
	scrub_stack();
	neap_gc_collect();
	neap_gc_finalizers_wait();
}

static _Atomic unsigned finalized, disordered;
static _Atomic uint64_t last_number;
static struct thing *resurrected;

static void count_one(void *object, void *ctx)
{
	const struct thing *thing = object;
	if (ctx != &finalized || thing->number == 0)
		atomic_fetch_add(&disordered, 1);
	atomic_fetch_add(&finalized, 1);
}

__attribute__((noinline)) static void make_garbage_with_finalizers(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct thing *thing = neap_gc_alloc(&thing_type);
		thing->number = i + 1;
		assert_int_equal(neap_gc_finalizer(thing, count_one, &finalized), NEAP_OK);
	}
}

static void finalizers_run_once(void **state)
{
	(void)state;
	finalized = 0;
	make_garbage_with_finalizers(MANY);
	collect_and_finalize();
	unsigned after_one = finalized;
	assert_in_range(after_one, MANY - 20, MANY); /* stale words on the stack keep some */
	for (int i = 0; i < 3; i++)
		collect_and_finalize();
	assert_in_range(finalized, after_one, MANY);
	assert_int_equal(disordered, 0);
	assert_lawful();
}

/* Of a chain in which all have finalizers the head goes first, one for each collection. */
static void note_order(void *object, void *ctx)
{
	(void)ctx;
	struct thing *thing = object;
	/* What it leads to is whole. */
	if (thing->number != atomic_load(&last_number) + 1 ||
	    (thing->next != NULL && thing->next->number != thing->number + 1))
		atomic_fetch_add(&disordered, 1);
	atomic_store(&last_number, thing->number);
}

enum { CHAIN = 5 };
__attribute__((noinline)) static void make_chain(void)
{
	struct thing *head = NULL;
	for (unsigned i = CHAIN; i > 0; i--) {
		struct thing *thing = neap_gc_alloc(&thing_type);
		thing->number = i;
		thing->next = head;
		assert_int_equal(neap_gc_finalizer(thing, note_order, NULL), NEAP_OK);
		head = thing;
	}
}

static void finalizers_run_in_order(void **state)
{
	(void)state;
	last_number = 0;
	disordered = 0;
	make_chain();
	for (unsigned i = 0; i < CHAIN * 4 && last_number < CHAIN; i++) {
		uint64_t before = last_number;
		collect_and_finalize();
		assert_in_range(last_number, before, before + 1);
	}
	assert_int_equal(last_number, CHAIN);
	assert_int_equal(disordered, 0);
}

static void resurrect(void *object, void *ctx)
{
	(void)ctx;
	resurrected = object;
	atomic_fetch_add(&finalized, 1);
}

__attribute__((noinline)) static struct neap_weak *make_lazarus(void)
{
	struct thing *thing = neap_gc_alloc(&thing_type);
	thing->number = 99;
	thing->next = neap_gc_alloc(&thing_type);
	thing->next->number = 100;
	assert_int_equal(neap_gc_finalizer(thing, resurrect, NULL), NEAP_OK);
	struct neap_weak *weak = neap_weak_create(thing);
	assert_ptr_equal(neap_weak_get(weak), thing);
	return weak;
}

static void a_resurrected_object_lives_without_finalizer(void **state)
{
	(void)state;
	finalized = 0;
	struct neap_weak *weak = make_lazarus();
	for (int i = 0; i < 10 && finalized == 0; i++)
		collect_and_finalize();
	assert_int_equal(finalized, 1);
	assert_null(neap_weak_get(weak)); /* before the finalizer, and for good */
	for (int i = 0; i < 3; i++)
		collect_and_finalize();
	assert_int_equal(resurrected->number, 99);
	assert_int_equal(resurrected->next->number, 100);
	resurrected = NULL;
	collect_and_finalize();
	assert_int_equal(finalized, 1);
	neap_weak_destroy(weak);
}

static void finalizers_may_allocate_and_be_replaced(void **state)
{
	(void)state;
	struct thing *thing = neap_gc_alloc(&thing_type);
	assert_int_equal(neap_gc_finalizer(thing, count_one, NULL), NEAP_OK);
	assert_int_equal(neap_gc_finalizer(thing, NULL, NULL), NEAP_OK);
	assert_int_equal(neap_gc_finalizer(&thing->number, count_one, NULL), NEAP_EINVAL);
	assert_int_equal(neap_gc_finalizer(&thing, count_one, NULL), NEAP_EINVAL);
	disordered = 0;
	thing = NULL;
	collect_and_finalize();
	assert_int_equal(disordered, 0);
}

static struct thing *kept[MANY];

__attribute__((noinline)) static void make_weak(struct neap_weak **weaks)
{
	for (unsigned i = 0; i < MANY; i++) {
		struct thing *thing = neap_gc_alloc(&thing_type);
		thing->number = i;
		weaks[i] = neap_weak_create(thing);
		assert_non_null(weaks[i]);
		kept[i] = i % 2 ? thing : NULL;
	}
	assert_ptr_equal(neap_weak_create(kept[1]), weaks[1]);
	neap_weak_destroy(weaks[1]);
}

static void weak_references_follow_their_objects(void **state)
{
	(void)state;
	static struct neap_weak *weaks[MANY];
	make_weak(weaks);
	collect_and_finalize();
	unsigned alive = 0;
	for (unsigned i = 0; i < MANY; i++) {
		struct thing *thing = neap_weak_get(weaks[i]);
		alive += thing != NULL;
		if (i % 2)
			assert_true(thing == kept[i] && thing->number == i);
	}
	assert_in_range(alive, MANY / 2, MANY / 2 + 20);
	neap_gc_free(kept[3]);
	assert_null(neap_weak_get(weaks[3]));
	memset((void *)kept, 0, sizeof kept);
	for (unsigned i = 0; i < MANY; i++)
		neap_weak_destroy(weaks[i]);
	assert_null(neap_weak_create(weaks));
	assert_lawful();
}

static const struct neap_map_type map_type = {
	.size = sizeof map_type, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};

__attribute__((noinline)) static void fill_map(struct neap_gc_map *map, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key < to; key++) {
		struct thing *thing = neap_gc_alloc(&thing_type);
		thing->number = key;
		assert_int_equal(neap_gc_map_put(map, &key, &thing), NEAP_OK);
	}
}

static unsigned check_map(const struct neap_gc_map *map)
{
	unsigned seen = 0;
	neap_map_each (it, neap_gc_map_of(map)) {
		const struct thing *thing = *(struct thing **)it.value;
		if (thing->number != *(const uint64_t *)it.key)
			fail_msg("entry %lu says %lu", (unsigned long)*(const uint64_t *)it.key,
				 (unsigned long)thing->number);
		seen++;
	}
	return seen;
}

static uint64_t live_after(void)
{
	collect_and_finalize();
	return atomic_load(&neap__gc.live_bytes);
}

static struct neap_gc_map *root_map;

__attribute__((noinline)) static void make_maps(struct neap_gc_map **maps, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		maps[i] = neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, NULL);
		fill_map(maps[i], 0, 1000);
	}
}

static void maps_keep_live_entries_only(void **state)
{
	(void)state;
	enum { ENTRIES = 30000 };
	uint64_t before = live_after();
	root_map = neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, NULL);
	assert_non_null(root_map);
	fill_map(root_map, 0, ENTRIES);
	assert_in_range(live_after(), before + ENTRIES * 32, before + ENTRIES * 33);
	assert_int_equal(check_map(root_map), ENTRIES);
	for (uint64_t key = 0; key < ENTRIES; key++)
		if (key % 10 != 0)
			assert_true(neap_gc_map_delete(root_map, &key));
	assert_in_range(live_after(), before, before + ENTRIES / 10 * 34);
	assert_int_equal(check_map(root_map), ENTRIES / 10);
	fill_map(root_map, ENTRIES, ENTRIES + 100);
	neap_gc_map_clear(root_map);
	assert_in_range(live_after(), before, before + 20000);
	root_map = NULL;
	/* Maps that nothing leads to; stale words on the stack may keep one or two. */
	enum { MAPS = 20 };
	static struct neap_gc_map *maps[MAPS];
	make_maps(maps, MAPS);
	assert_in_range(live_after(), before + MAPS * 32000, before + MAPS * 34000);
	memset((void *)maps, 0, sizeof maps);
	assert_in_range(live_after(), before, before + 3 * 34000);
	assert_lawful();
}

static void maps_of_maps_and_bad_maps(void **state)
{
	(void)state;
	static struct neap_gc_map *outer;
	outer = neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, NULL);
	for (uint64_t key = 0; key < 500; key++) {
		struct neap_gc_map *inner = neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, NULL);
		fill_map(inner, 0, 20);
		assert_int_equal(neap_gc_map_put(outer, &key, &inner), NEAP_OK);
	}
	collect_and_finalize();
	for (uint64_t key = 0; key < 500; key++) {
		struct neap_gc_map **inner = neap_gc_map_get(outer, &key);
		assert_int_equal(check_map(*inner), 20);
		if (key % 2)
			neap_gc_map_destroy(*inner);
		if (key % 2)
			assert_true(neap_gc_map_delete(outer, &key));
	}
	collect_and_finalize();
	assert_int_equal(neap_gc_map_len(outer), 250);
	const struct neap_map_options strict = {.strict_iteration = true};
	assert_null(neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, &strict));
	assert_null(neap_gc_map_create(&map_type, &thing_type, NULL, NULL));
	assert_int_equal(neap_gc_map_put(NULL, &outer, &outer), NEAP_ENIL);
	assert_null(neap_gc_map_get(NULL, &outer));
	assert_int_equal(neap_gc_finalizer(outer, count_one, NULL), NEAP_EINVAL);
	outer = NULL;
	collect_and_finalize();
}

/* A thread changes a map all the time while others collect. */
static _Atomic bool map_done;
static void *collect_until_done(void *unused)
{
	(void)unused;
	while (!map_done)
		neap_gc_collect();
	return NULL;
}

static void maps_change_while_they_are_read(void **state)
{
	(void)state;
	pthread_t thread;
	map_done = false;
	root_map = neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, NULL);
	assert_int_equal(pthread_create(&thread, NULL, collect_until_done, NULL), 0);
	enum { ENTRIES = 20000, MOVES = 300000 };
	fill_map(root_map, 0, ENTRIES);
	neap_gc_collect();
	/* Old values move behind the marker's back: out of one entry, into another. */
	for (uint64_t key = 0, to = ENTRIES; key < MOVES; key++, to++) {
		struct thing *moved = *(struct thing **)neap_gc_map_get(root_map, &key);
		if (moved->number != key)
			fail_msg("entry %lu says %lu", (unsigned long)key, (unsigned long)moved->number);
		moved->number = to;
		assert_true(neap_gc_map_delete(root_map, &key));
		assert_int_equal(neap_gc_map_put(root_map, &to, &moved), NEAP_OK);
	}
	map_done = true;
	pthread_join(thread, NULL);
	(void)check_map(root_map);
	root_map = NULL;
}

static void numbers_add_up(void **state)
{
	(void)state;
	struct neap_memstats a = {.size = sizeof a}, b = a;
	struct neap_memstats bad = {.size = 3};
	assert_int_equal(neap_memstats(&bad), NEAP_EINVAL);
	neap_gc_collect();
	assert_int_equal(neap_memstats(&a), NEAP_OK);
	for (unsigned i = 0; i < 1000; i++)
		(void)neap_gc_alloc(&thing_type);
	neap_gc_free(neap_gc_alloc_data(100000));
	assert_int_equal(neap_memstats(&b), NEAP_OK);
	assert_int_equal(b.Mallocs - a.Mallocs, 1001);
	assert_true(b.Frees - a.Frees >= 1);
	assert_int_equal(b.TotalAlloc - a.TotalAlloc, 1000 * 32 + 100000);
	assert_int_equal(b.HeapObjects, b.Mallocs - b.Frees);
	assert_int_equal(b.HeapIdle + b.HeapInuse, b.HeapSys);
	assert_true(b.HeapReleased <= b.HeapIdle && b.HeapAlloc <= b.HeapInuse && b.Alloc == b.HeapAlloc);
	neap_gc_collect();
	assert_int_equal(neap_memstats(&b), NEAP_OK);
	assert_true(b.NumGC > a.NumGC && b.NumForcedGC > a.NumForcedGC && b.PauseTotalNs > a.PauseTotalNs);
	assert_true(b.PauseNs[(b.NumGC + 255) % 256] > 0 && b.PauseEnd[(b.NumGC + 255) % 256] == b.LastGC);
	uint64_t stops = 0;
	for (unsigned i = 0; i < sizeof b.StopsBelow / sizeof *b.StopsBelow; i++)
		stops += b.StopsBelow[i];
	assert_true(stops == b.Stops && stops >= b.NumGC && b.LongestStopNs > 0);
	assert_true(b.GCCPUFraction > 0 && b.GCCPUFraction < 1);
}

/* With 40 of 41 objects gone at random nobody allocates any more: memory goes back without a call. */
static void an_idle_program_is_collected(void **state)
{
	(void)state;
	enum { OBJECTS = 300000, KEEP = 41 };
	static struct thing *all[OBJECTS];
	for (unsigned i = 0; i < OBJECTS; i++)
		all[i] = neap_gc_alloc(&thing_type);
	uint64_t full = atomic_load(&neap__gc.live_bytes); /* before a cycle frees what goes now */
	for (unsigned i = 0; i < OBJECTS; i++)
		if (i % KEEP != 0)
			all[i] = NULL;
	for (unsigned tries = 0; tries < 400 && atomic_load(&neap__gc.live_bytes) > full / 20; tries++)
		usleep(50000);
	assert_in_range(atomic_load(&neap__gc.live_bytes), 0, full / 20);
	/* And by a call, with pages from inside the spans: three of four have no survivor. */
	for (unsigned i = 0; i < OBJECTS; i++)
		all[i] = i % 1000 == 0 ? neap_gc_alloc(&thing_type) : NULL;
	(void)neap_gc_return();
	struct neap_heap_stats stats = {.size = sizeof stats};
	assert_int_equal(neap_heap_stats(&stats), NEAP_OK);
	assert_in_range(stats.live_bytes + stats.free_held_bytes, 0, full / 3);
	for (unsigned i = 0; i < OBJECTS; i += 1000)
		assert_true(all[i]->number == 0 && all[i]->next == NULL);
	memset((void *)all, 0, sizeof all);
	assert_lawful();
}

/* Entries go one by one for longer than a rest lasts, and nothing is allocated: the last ones go back all the same. */
static void deletes_alone_are_noticed(void **state)
{
	(void)state;
	enum { ENTRIES = 40000 };
	root_map = neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, NULL);
	fill_map(root_map, 0, ENTRIES);
	neap_gc_collect();
	uint64_t full = atomic_load(&neap__gc.live_bytes);
	for (uint64_t key = 0; key < ENTRIES; key++) {
		if (key % (ENTRIES / 20) == 0)
			usleep(100000);
		assert_true(neap_gc_map_delete(root_map, &key));
	}
	for (unsigned tries = 0; tries < 200 && atomic_load(&neap__gc.live_bytes) > full / 10; tries++)
		usleep(50000);
	assert_in_range(atomic_load(&neap__gc.live_bytes), 0, full / 10);
	root_map = NULL;
}

static void limits_and_percentages_set_the_goal(void **state)
{
	(void)state;
	struct neap_memstats stats = {.size = sizeof stats};
	static struct thing *head;
	for (unsigned i = 0; i < 1000000; i++) {
		struct thing *thing = neap_gc_alloc(&thing_type);
		thing->next = head;
		head = thing;
	}
	neap_gc_collect();
	uint64_t live = atomic_load(&neap__gc.live_bytes);
	assert_int_equal(neap_gc_set_percent(50), 100);
	assert_int_equal(neap_memstats(&stats), NEAP_OK);
	assert_in_range(stats.NextGC, live * 14 / 10, live * 16 / 10);
	assert_int_equal(neap_gc_set_memory_limit(live * 12 / 10), 0);
	assert_int_equal(neap_memstats(&stats), NEAP_OK);
	assert_in_range(stats.NextGC, live, live * 12 / 10);
	/* A limit below what lives: slow, but not for ever. */
	assert_int_equal(neap_gc_set_memory_limit(1000), live * 12 / 10);
	for (unsigned i = 0; i < 100000; i++)
		assert_non_null(neap_gc_alloc(&thing_type));
	assert_int_equal(neap_gc_set_memory_limit(0), 1000);
	assert_int_equal(neap_gc_set_percent(-1), 50);
	neap_gc_collect(); /* the thread has nothing left to do */
	assert_int_equal(neap_memstats(&stats), NEAP_OK);
	uint32_t cycles = stats.NumGC;
	for (unsigned i = 0; i < 2000000; i++)
		assert_non_null(neap_gc_alloc(&thing_type));
	assert_int_equal(neap_memstats(&stats), NEAP_OK);
	assert_int_equal(stats.NumGC, cycles);
	assert_int_equal(neap_gc_set_percent(100), -1);
	head = NULL;
	neap_gc_collect();
}

static void free_map_by_hand(void)
{
	neap_gc_free(neap_gc_map_create(&map_type, NULL, &neap_gc_pointer, NULL));
}

static void misuse_of_maps_is_named(void **state)
{
	(void)state;
	struct ending ending = child_run(free_map_by_hand, 20);
	assert_int_equal(ending.signal, SIGABRT);
	assert_non_null(strstr(ending.text, "freeing a map as an object"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finalizers_run_once),
		cmocka_unit_test(finalizers_run_in_order),
		cmocka_unit_test(a_resurrected_object_lives_without_finalizer),
		cmocka_unit_test(finalizers_may_allocate_and_be_replaced),
		cmocka_unit_test(weak_references_follow_their_objects),
		cmocka_unit_test(maps_keep_live_entries_only),
		cmocka_unit_test(maps_of_maps_and_bad_maps),
		cmocka_unit_test(maps_change_while_they_are_read),
		cmocka_unit_test(numbers_add_up),
		cmocka_unit_test(an_idle_program_is_collected),
		cmocka_unit_test(deletes_alone_are_noticed),
		cmocka_unit_test(limits_and_percentages_set_the_goal),
		cmocka_unit_test(misuse_of_maps_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
