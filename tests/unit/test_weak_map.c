/* test_weak_map.c: maps with weak keys: an entry lives as long as its key, and its value does not count. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/gc_map.h"
#include "neap/weak_map.h"
#include "support/child.h"

struct node {
	struct node *next, *other;
	uint64_t number;
};
NEAP_TYPE(node_type, struct node, next, other);

enum { NODES = 20000, STRAYS = 20 }; /* stale words on the stack may keep a few */

static struct node *kept[NODES];
static struct neap_weak_map *notes, *more_notes;

__attribute__((noinline)) static void scrub(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
}

static void collect(void)
{
	scrub();
	neap_gc_collect();
	neap_gc_finalizers_wait();
}

static void assert_whole(void)
{
	int percent = neap_gc_set_percent(-1);
	neap_gc_collect();
	const char *broken = neap__gc_check();
	(void)neap_gc_set_percent(percent);
	if (broken != NULL)
		fail_msg("law broken: %s", broken);
}

static struct node *make_node(uint64_t number)
{
	struct node *node = neap_gc_alloc(&node_type);
	assert_non_null(node);
	node->number = number;
	return node;
}

static int set_up(void **state)
{
	(void)state;
	notes = neap_weak_map_create(NULL);
	more_notes = neap_weak_map_create(NULL);
	return notes != NULL && more_notes != NULL ? 0 : 1;
}

static int tear_down(void **state)
{
	(void)state;
	memset((void *)kept, 0, sizeof kept);
	neap_weak_map_destroy(notes);
	neap_weak_map_destroy(more_notes);
	notes = more_notes = NULL;
	assert_whole();
	return 0;
}

/* A key for each, `every`-th of which is kept; values that lead back to their keys. */
__attribute__((noinline)) static void fill(unsigned every)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct node *key = make_node(i), *value = make_node(i + NODES);
		value->next = key;
		assert_int_equal(neap_weak_map_put(notes, key, value), NEAP_OK);
		kept[i] = i % every == 0 ? key : NULL;
	}
}

static uint64_t live_bytes(void)
{
	return atomic_load(&neap__gc.live_bytes);
}

static void entries_follow_their_keys(void **state)
{
	(void)state;
	collect();
	uint64_t before = live_bytes();
	fill(100);
	size_t full = neap_weak_map_bytes(notes);
	assert_in_range(neap_weak_map_len(notes), NODES / 100, NODES);
	collect();
	assert_in_range(neap_weak_map_len(notes), NODES / 100, NODES / 100 + STRAYS);
	for (unsigned i = 0; i < NODES; i += 100) {
		struct node *value = neap_weak_map_get(notes, kept[i]);
		assert_true(value != NULL && value->number == i + NODES && value->next == kept[i]);
	}
	/* The values went with their keys, and the map's memory with its entries. */
	assert_in_range(live_bytes(), before, before + (NODES / 100 + STRAYS) * UINT64_C(64));
	if (full < NODES * sizeof(uintptr_t[2]))
		full = NODES * sizeof(uintptr_t[2]); /* gcstress let it not grow */
	assert_in_range(neap_weak_map_bytes(notes), 0, full / 10);
	memset((void *)kept, 0, sizeof kept);
	collect();
	assert_in_range(neap_weak_map_len(notes), 0, STRAYS);
}

static void a_map_that_dies_lets_its_values_go(void **state)
{
	(void)state;
	collect();
	uint64_t before = live_bytes();
	fill(1);
	collect();
	assert_int_equal(neap_weak_map_len(notes), NODES);
	assert_in_range(live_bytes(), before + NODES * UINT64_C(64), before + NODES * UINT64_C(65));
	notes = NULL;
	collect();
	/* The keys are left; the handle of the map went too. */
	assert_in_range(live_bytes(), before + NODES * UINT64_C(32) - 16, before + NODES * UINT64_C(33));
	for (unsigned i = 0; i < NODES; i++)
		assert_int_equal(kept[i]->number, i);
	notes = neap_weak_map_create(NULL);
}

/* Entries whose values lead to each other's keys, in one map, in two, and through a map of another kind. */
__attribute__((noinline)) static void tie_knots(void)
{
	static const struct neap_map_type by_number = {
		.size = sizeof by_number, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};
	for (unsigned i = 0; i < 1000; i++) {
		struct node *a = make_node(1), *b = make_node(2), *to_a = make_node(3), *to_b = make_node(4);
		to_a->other = a;
		to_b->other = b;
		assert_int_equal(neap_weak_map_put(notes, a, to_b), NEAP_OK);
		assert_int_equal(neap_weak_map_put(i % 2 ? notes : more_notes, b, to_a), NEAP_OK);
		struct node *c = make_node(5);
		struct neap_gc_map *strong = neap_gc_map_create(&by_number, NULL, &neap_gc_pointer, NULL);
		assert_int_equal(neap_gc_map_put(strong, &c->number, &c), NEAP_OK);
		assert_int_equal(neap_weak_map_put(more_notes, c, strong), NEAP_OK);
	}
}

static void values_do_not_keep_keys(void **state)
{
	(void)state;
	tie_knots();
	collect();
	collect(); /* a strong map goes a cycle after what it held, if a stray word kept it */
	assert_in_range(neap_weak_map_len(notes), 0, STRAYS);
	assert_in_range(neap_weak_map_len(more_notes), 0, STRAYS);
}

/* key 0 -> value 0 -> object -> key 1 -> value 1 -> ..., from map to map; nothing else leads to keys 1 and on. */
__attribute__((noinline)) static struct node *make_links(unsigned count)
{
	struct node *first = make_node(0), *key = first;
	for (unsigned i = 1; i <= count; i++) {
		struct node *value = make_node(1000000), *between = make_node(2000000), *next = make_node(i);
		value->next = between;
		between->other = next;
		assert_int_equal(neap_weak_map_put(i % 2 ? notes : more_notes, key, value), NEAP_OK);
		key = next;
	}
	return first;
}

static unsigned count_links(const struct node *key)
{
	unsigned count = 0;
	for (;; count++) {
		const struct node *value = neap_weak_map_get(notes, key);
		if (value == NULL)
			value = neap_weak_map_get(more_notes, key);
		if (value == NULL)
			return count;
		assert_int_equal(key->number, count);
		key = value->next->other;
	}
}

/* Reading all entries for each link would take hours. */
static void long_chains_are_kept_and_go(void **state)
{
	(void)state;
	enum { LINKS = 200000 };
	kept[0] = make_links(LINKS);
	collect();
	collect();
	assert_int_equal(count_links(kept[0]), LINKS);
	assert_int_equal(neap_weak_map_len(notes) + neap_weak_map_len(more_notes), LINKS);
	kept[0] = NULL;
	for (unsigned i = 0; i < 3; i++)
		collect();
	assert_in_range(neap_weak_map_len(notes) + neap_weak_map_len(more_notes), 0, LINKS / 100);
}

/* Of a large map whose keys live a few do so only through the value of another: they are white when the entries are
 * read, and black when the list of these is.
 */
__attribute__((noinline)) static void hang_on_a_value(unsigned count)
{
	struct node *value = neap_weak_map_get(notes, kept[0]);
	for (unsigned i = 0; i < count; i++) {
		struct node *key = make_node(i), *of_key = make_node(i);
		assert_int_equal(neap_weak_map_put(notes, key, of_key), NEAP_OK);
		key->other = value->other;
		value->other = key;
	}
}

static void a_few_keys_hang_on_a_value(void **state)
{
	(void)state;
	enum { FEW = 300 };
	fill(1);
	hang_on_a_value(FEW);
	collect();
	collect();
	const struct node *key = ((struct node *)neap_weak_map_get(notes, kept[0]))->other;
	for (unsigned i = FEW; i-- > 0; key = key->other) {
		const struct node *of_key = neap_weak_map_get(notes, key);
		assert_true(of_key != NULL && of_key->number == i && key->number == i);
	}
	assert_int_equal(neap_weak_map_len(notes), NODES + FEW);
}

/* The key of the outer map keeps an inner one, whose keys are kept by values of the outer one. */
__attribute__((noinline)) static void nest_maps(void)
{
	for (unsigned i = 0; i < 500; i++) {
		struct neap_weak_map *inner = neap_weak_map_create(NULL);
		struct node *key = make_node(i), *inner_key = make_node(i), *value = make_node(i);
		kept[i] = key;
		key->other = inner_key;
		assert_int_equal(neap_weak_map_put(inner, inner_key, value), NEAP_OK);
		assert_int_equal(neap_weak_map_put(notes, key, inner), NEAP_OK);
	}
}

static void maps_may_be_values(void **state)
{
	(void)state;
	nest_maps();
	collect();
	collect();
	for (unsigned i = 0; i < 500; i++) {
		struct neap_weak_map *inner = neap_weak_map_get(notes, kept[i]);
		const struct node *value = inner != NULL ? neap_weak_map_get(inner, kept[i]->other) : NULL;
		assert_true(value != NULL && value->number == i);
		kept[i]->other = NULL;
	}
	collect();
	size_t left = 0;
	for (unsigned i = 0; i < 500; i++)
		left += neap_weak_map_len(neap_weak_map_get(notes, kept[i]));
	assert_in_range(left, 0, STRAYS);
}

/* Each map keeps the next one, by the same key. The newest comes first in the collector's list, so that a pass over
 * all maps gets one step further.
 */
enum { MAPS = 1000 };
__attribute__((noinline)) static void make_chain_of_maps(void)
{
	kept[0] = make_node(1);
	struct neap_weak_map *last = notes;
	for (unsigned i = 0; i < MAPS; i++) {
		struct neap_weak_map *next = neap_weak_map_create(NULL);
		assert_int_equal(neap_weak_map_put(last, kept[0], next), NEAP_OK);
		assert_int_equal(neap_weak_map_put(last, make_node(2), kept[0]), NEAP_OK);
		last = next;
	}
}

static void maps_may_form_chains(void **state)
{
	(void)state;
	make_chain_of_maps();
	for (unsigned turn = 0; turn < 2; turn++) {
		collect();
		size_t count = 0, entries = neap_weak_map_len(notes);
		for (struct neap_weak_map *map = neap_weak_map_get(notes, kept[0]); map != NULL; count++) {
			entries += neap_weak_map_len(map);
			map = neap_weak_map_get(map, kept[0]);
		}
		assert_int_equal(count, MAPS);
		assert_in_range(entries, MAPS, MAPS + STRAYS);
	}
}

/* Finalizers. */

static _Atomic unsigned ended, found_by_finalizer;
static struct node *risen;

static void look_for_entry(void *object, void *ctx)
{
	(void)ctx;
	found_by_finalizer += neap_weak_map_get(notes, object) != NULL;
	risen = object;
	ended++;
}

static void look_behind(void *object, void *ctx)
{
	const struct node *node = object, *value = neap_weak_map_get(notes, node->next);
	(void)ctx;
	found_by_finalizer += value != NULL && value->number == 77;
	ended++;
}

__attribute__((noinline)) static void make_ending(void (*finalize)(void *, void *), bool behind)
{
	struct node *key = make_node(1), *last = behind ? make_node(2) : key;
	last->next = behind ? key : NULL;
	assert_int_equal(neap_weak_map_put(notes, key, make_node(77)), NEAP_OK);
	assert_int_equal(neap_gc_finalizer(last, finalize, NULL), NEAP_OK);
}

static void entries_go_before_finalizers_run(void **state)
{
	(void)state;
	ended = found_by_finalizer = 0;
	make_ending(look_for_entry, false);
	for (unsigned i = 0; i < 10 && ended == 0; i++)
		collect();
	assert_int_equal(ended, 1);
	assert_int_equal(found_by_finalizer, 0);
	assert_int_equal(risen->number, 1);
	assert_null(neap_weak_map_get(notes, risen)); /* and not back with the key */
	assert_int_equal(neap_weak_map_put(notes, risen, make_node(78)), NEAP_OK);
	collect();
	assert_int_equal(((struct node *)neap_weak_map_get(notes, risen))->number, 78);
	risen = NULL;
	collect();
	assert_in_range(neap_weak_map_len(notes), 0, 1);
}

static void a_finalizer_finds_the_entries_of_what_its_object_leads_to(void **state)
{
	(void)state;
	enum { ENDINGS = 8 };
	ended = found_by_finalizer = 0;
	for (unsigned i = 0; i < ENDINGS; i++)
		make_ending(look_behind, true);
	for (unsigned i = 0; i < 10 && ended < ENDINGS; i++)
		collect();
	assert_int_equal(ended, ENDINGS);
	assert_int_equal(found_by_finalizer, ENDINGS);
	for (unsigned i = 0; i < 3; i++)
		collect();
	/* One may be in a hole of a frame of the thread that runs finalizers. */
	assert_in_range(neap_weak_map_len(notes), 0, 1);
}

/* Addresses. */

static void freed_keys_are_gone_at_once(void **state)
{
	(void)state;
	fill(1);
	assert_int_equal(neap_weak_map_put(more_notes, kept[3], kept[4]), NEAP_OK);
	for (unsigned i = 0; i < NODES; i += 2) {
		neap_gc_free(kept[i]);
		assert_null(neap_weak_map_get(notes, kept[i]));
		kept[i] = NULL;
	}
	neap_gc_free(kept[3]);
	kept[3] = NULL;
	assert_int_equal(neap_weak_map_len(notes), NODES / 2 - 1);
	assert_int_equal(neap_weak_map_len(more_notes), 0);
}

/* An object at the address of a dead key is another one. */
static void addresses_are_used_again(void **state)
{
	(void)state;
	for (unsigned turn = 0; turn < 5; turn++) {
		fill(NODES);
		collect();
		unsigned found = 0;
		for (unsigned i = 1; i < NODES; i++) {
			kept[i] = make_node(i);
			found += neap_weak_map_get(notes, kept[i]) != NULL;
		}
		assert_int_equal(found, 0);
		for (unsigned i = 1; i < NODES; i++)
			assert_int_equal(neap_weak_map_put(notes, kept[i], kept[i]), NEAP_OK);
		collect();
		for (unsigned i = 1; i < NODES; i++)
			assert_ptr_equal(neap_weak_map_get(notes, kept[i]), kept[i]);
		memset((void *)kept, 0, sizeof kept);
	}
}

static void iteration_meets_what_lives(void **state)
{
	(void)state;
	static unsigned char seen[NODES];
	memset(seen, 0, sizeof seen);
	fill(4);
	collect();
	struct neap_weak_map_iter it;
	size_t strays = 0;
	for (neap_weak_map_iter_init(&it, notes); neap_weak_map_iter_next(&it);) {
		const struct node *key = it.key, *value = it.value;
		assert_int_equal(value->number, key->number + NODES);
		strays += key->number % 4 != 0;
		assert_int_equal(seen[key->number]++, 0);
		if (key->number % 8 == 0)
			assert_true(neap_weak_map_delete(notes, key));
	}
	assert_in_range(strays, 0, STRAYS);
	for (unsigned i = 0; i < NODES; i += 4)
		assert_int_equal(seen[i], 1);
	assert_in_range(neap_weak_map_len(notes), NODES / 8, NODES / 8 + STRAYS);
	neap_weak_map_clear(notes);
	neap_weak_map_iter_init(&it, notes);
	assert_false(neap_weak_map_iter_next(&it));
}

/* Threads: each puts and drops keys of its own in one map, and finds what it kept; two more collect. */

enum { THREADS = 3, TURNS = 20000, OWN = 64 };
static _Atomic bool over;
static _Atomic unsigned lost;

static void *put_and_drop(void *ctx)
{
	struct node *own[OWN] = {NULL};
	uint64_t random = (uintptr_t)ctx;
	for (unsigned turn = 0; turn < TURNS; turn++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		struct node **place = &own[random >> 40 & (OWN - 1)];
		if (*place != NULL) {
			const struct node *value = neap_weak_map_get(notes, *place);
			lost += value == NULL || value->number != (*place)->number || value->next != *place ||
				value->other->number != value->number;
		}
		if (random >> 60 == 0 && *place != NULL)
			lost += !neap_weak_map_delete(notes, *place);
		*place = make_node(random);
		struct node *value = make_node(random);
		value->next = *place;
		value->other = make_node(random);
		lost += neap_weak_map_put(notes, *place, value) != NEAP_OK;
	}
	return NULL;
}

static void *collect_till_over(void *unused)
{
	(void)unused;
	while (!over) {
		neap_gc_collect();
	}
	return NULL;
}

/* Maps that come and go under the marker's hand. */
static void *pass_maps(void *unused)
{
	(void)unused;
	enum { PASSING = 5 };
	while (!over) {
		struct neap_weak_map *passing[PASSING];
		for (unsigned i = 0; i < PASSING; i++) {
			passing[i] = neap_weak_map_create(NULL);
			struct node *key = make_node(0);
			for (unsigned k = 0; k < 1000; k++, key = key->next) {
				key->next = make_node(k);
				lost += neap_weak_map_put(passing[i], key, key) != NEAP_OK;
			}
		}
		for (unsigned i = 0; i < PASSING; i++)
			neap_weak_map_destroy(passing[i]);
	}
	return NULL;
}

static void threads_share_a_map(void **state)
{
	(void)state;
	pthread_t threads[THREADS], collectors[2];
	over = false;
	lost = 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_drop, (void *)(i + 1)), 0);
	assert_int_equal(pthread_create(&collectors[0], NULL, collect_till_over, NULL), 0);
	assert_int_equal(pthread_create(&collectors[1], NULL, pass_maps, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	over = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(collectors[i], NULL);
	assert_int_equal(lost, 0);
	collect();
	assert_in_range(neap_weak_map_len(notes), 0, THREADS * OWN + STRAYS);
}

/* The only way to an old value changes places: out of an entry that the marker has not read, into one that it has. */
static void values_move_while_they_are_read(void **state)
{
	(void)state;
	enum { CYCLES = 150 };
	pthread_t collector;
	uint32_t until = atomic_load(&neap__gc.epoch) + CYCLES;
	uint64_t random = 1;
	for (unsigned i = 0; i < NODES; i++) {
		kept[i] = make_node(i);
		if (i % 2)
			assert_int_equal(neap_weak_map_put(notes, kept[i], make_node(NODES + i)), NEAP_OK);
	}
	neap_gc_collect();
	over = false;
	assert_int_equal(pthread_create(&collector, NULL, collect_till_over, NULL), 0);
	unsigned long broken = 0;
	while ((int32_t)(atomic_load(&neap__gc.epoch) - until) < 0) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		struct node *from = kept[(random >> 40) % NODES], *to = kept[(random >> 20) % NODES];
		struct node *value = neap_weak_map_get(notes, from);
		if (value == NULL || neap_weak_map_get(notes, to) != NULL)
			continue;
		broken += value->number < NODES || value->number >= 2 * NODES;
		assert_true(neap_weak_map_delete(notes, from));
		assert_int_equal(neap_weak_map_put(notes, to, value), NEAP_OK);
	}
	over = true;
	pthread_join(collector, NULL);
	assert_int_equal(broken, 0);
	assert_int_equal(neap_weak_map_len(notes), NODES / 2);
	static unsigned char seen[NODES];
	memset(seen, 0, sizeof seen);
	struct neap_weak_map_iter it;
	for (neap_weak_map_iter_init(&it, notes); neap_weak_map_iter_next(&it);) {
		uint64_t number = ((struct node *)it.value)->number;
		assert_in_range(number, NODES, 2 * NODES - 1);
		assert_int_equal(seen[number - NODES]++, 0);
	}
}

static void forked_children_have_whole_maps(void **state)
{
	(void)state;
	pthread_t collector;
	fill(2);
	over = false;
	assert_int_equal(pthread_create(&collector, NULL, collect_till_over, NULL), 0);
	for (unsigned turn = 0; turn < 20; turn++) {
		pid_t pid = fork();
		if (pid == 0) {
			alarm(20);
			neap_gc_collect();
			bool whole = true;
			for (unsigned i = 0; i < NODES; i += 2) {
				const struct node *value = neap_weak_map_get(notes, kept[i]);
				whole &= value != NULL && value->number == i + NODES;
			}
			_exit(whole && neap_weak_map_put(notes, kept[0], kept[2]) == NEAP_OK ? 0 : 1);
		}
		int status = 1;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	over = true;
	pthread_join(collector, NULL);
}

/* Why, misuse, and memory refused. */

static void the_key_says_why(void **state)
{
	(void)state;
	struct neap_why why = {.size = sizeof why};
	kept[0] = make_node(1);
	struct node *value = make_node(2);
	value->next = make_node(3);
	uintptr_t inverted = ~(uintptr_t)value->next;
	assert_int_equal(neap_weak_map_put(notes, kept[0], value), NEAP_OK);
	value = NULL;
	scrub();
	assert_int_equal(neap_why_hidden(inverted, &why), NEAP_OK);
	if (why.root != NEAP_WHY_STACK) {
		assert_int_equal(why.root, NEAP_WHY_WEAK_MAP);
		assert_ptr_equal(why.word, kept[0]);
		assert_int_equal(why.length, 2);
	}
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct node *key = make_node(1);
	int outside = 0;
	const struct neap_map_options strict = {.strict_iteration = true};
	assert_null(neap_weak_map_create(&strict));
	assert_int_equal(neap_weak_map_put(NULL, key, key), NEAP_ENIL);
	assert_int_equal(neap_weak_map_put(notes, &key->number, key), NEAP_EINVAL);
	assert_int_equal(neap_weak_map_put(notes, &outside, key), NEAP_EINVAL);
	assert_int_equal(neap_weak_map_put(notes, NULL, key), NEAP_EINVAL);
	assert_int_equal(neap_weak_map_put(notes, key, NULL), NEAP_EINVAL);
	assert_int_equal(neap_weak_map_put(notes, key, &outside), NEAP_OK); /* a word like any other */
	assert_ptr_equal(neap_weak_map_get(notes, key), &outside);
	assert_false(neap_weak_map_delete(notes, notes));
	assert_null(neap_weak_map_get(NULL, key));
	assert_false(neap_weak_map_delete(NULL, key));
	assert_int_equal(neap_weak_map_len(NULL), 0);
	neap_weak_map_destroy(NULL);
	neap_keep_alive(key);
}

static void free_weak_map(void)
{
	neap_gc_free(neap_weak_map_create(NULL));
}

static void misuse_is_named(void **state)
{
	(void)state;
	struct ending ending = child_run(free_weak_map, 20);
	assert_int_equal(ending.signal, SIGABRT);
	assert_non_null(strstr(ending.text, "freeing a map as an object"));
}

static bool refuses;

static void *alloc_or_not(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	(void)align;
	return refuses ? NULL : aligned_alloc(64, (size + 63) & ~(size_t)63);
}

static void free_any(void *ctx, void *block, size_t size)
{
	(void)ctx;
	(void)size;
	free(block);
}

static void a_refused_put_changes_nothing(void **state)
{
	(void)state;
	const struct neap_allocator moody = {alloc_or_not, free_any, NULL};
	const struct neap_map_options options = {.allocator = &moody};
	refuses = true;
	assert_null(neap_weak_map_create(&options));
	refuses = false;
	struct neap_weak_map *map = neap_weak_map_create(&options);
	unsigned stored = 0, refused = 0;
	for (unsigned i = 0; i < NODES; i++) {
		kept[i] = make_node(i);
		refuses = i % 3 == 0;
		int result = neap_weak_map_put(map, kept[i], kept[i]);
		assert_true(result == NEAP_OK || result == NEAP_ENOMEM);
		refused += result != NEAP_OK;
		stored += result == NEAP_OK;
		assert_true((neap_weak_map_get(map, kept[i]) == kept[i]) == (result == NEAP_OK));
	}
	assert_true(refused > 0);
	assert_int_equal(neap_weak_map_len(map), stored);
	/* A collection with every request refused still removes what died. */
	refuses = true;
	memset((void *)kept, 0, sizeof kept);
	collect();
	assert_in_range(neap_weak_map_len(map), 0, STRAYS);
	refuses = false;
	neap_weak_map_destroy(map);
}

int main(void)
{
#define WEAK_MAP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WEAK_MAP_TEST(entries_follow_their_keys),
		WEAK_MAP_TEST(a_map_that_dies_lets_its_values_go),
		WEAK_MAP_TEST(values_do_not_keep_keys),
		WEAK_MAP_TEST(long_chains_are_kept_and_go),
		WEAK_MAP_TEST(a_few_keys_hang_on_a_value),
		WEAK_MAP_TEST(maps_may_be_values),
		WEAK_MAP_TEST(maps_may_form_chains),
		WEAK_MAP_TEST(entries_go_before_finalizers_run),
		WEAK_MAP_TEST(a_finalizer_finds_the_entries_of_what_its_object_leads_to),
		WEAK_MAP_TEST(freed_keys_are_gone_at_once),
		WEAK_MAP_TEST(addresses_are_used_again),
		WEAK_MAP_TEST(iteration_meets_what_lives),
		WEAK_MAP_TEST(threads_share_a_map),
		WEAK_MAP_TEST(values_move_while_they_are_read),
		WEAK_MAP_TEST(forked_children_have_whole_maps),
		WEAK_MAP_TEST(the_key_says_why),
		WEAK_MAP_TEST(what_does_not_fit_is_refused),
		WEAK_MAP_TEST(misuse_is_named),
		WEAK_MAP_TEST(a_refused_put_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
