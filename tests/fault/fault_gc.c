/* fault_gc.c: the collector while the system refuses: the n-th request of each kind, for n = 1, 2, 3, ... until a whole
 * run gets by without one, once, and from then on. Each run is a process of its own, from the first call on.
 *
 * A run may be told that there is no memory. It must not crash, hang, break a law, or lose an object.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "gc/internal.h"
#include "neap/any_gc.h"
#include "neap/gc.h"
#include "neap/gc_cmap.h"
#include "neap/gc_map.h"
#include "neap/weak_map.h"

/* The hostile library collects at every 64th object and looks at the whole heap each time, so a run takes time with the
 * square of its objects; and what is asked for later is even more like what was asked for before.
 */
#ifdef NEAP_HOSTILE
enum { OBJECTS = 400, STRIDE = 2 };
#else
enum { OBJECTS = 16000, STRIDE = 8 };
#endif
enum { QUARTER = OBJECTS / 4, MOST = 400, SECONDS = 60, UNTOUCHED = 3 };
enum {
	ENOUGH = 100
}; /* requests told that there is no memory, after a collection each: the others are alike */

struct item {
	struct item *next, *other;
	uint64_t number;
};
NEAP_TYPE(item_type, struct item, next, other);

static const char *refused;
static int refuse_at;
static bool refuse_on;
static _Atomic int asked_for;

static bool refuse(const char *call)
{
	if (strcmp(call, refused) != 0)
		return false;
	int count = atomic_fetch_add(&asked_for, 1) + 1;
	return count == refuse_at || (refuse_on && count > refuse_at);
}

static const struct neap_map_type by_number = {
	.size = sizeof by_number, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};
static struct item *head;
static struct neap_gc_map *map;
static struct neap_gc_cmap *shared; /* from i to an item of number 7 */
static struct neap_weak_map *notes; /* from an item to one with its number */
static struct neap_gc_map *values;  /* from i to an interface value that leads to an item */
static struct item *chain;
static uintptr_t chain_end;
static unsigned links;
static _Atomic unsigned ended;

static void count_end(void *object, void *ctx)
{
	(void)object;
	(void)ctx;
	atomic_fetch_add(&ended, 1);
}

struct wrapped {
	uint64_t number;
	struct item *item;
};
NEAP_TYPE(wrapped_fields, struct wrapped, item);
NEAP_ANY_BOX(wrapped_box, wrapped_fields);
static const struct neap_any_type wrapped_type = {.size = sizeof wrapped_type,
						  .value_size = sizeof(struct wrapped),
						  .value_align = 8,
						  .name = "wrapped"};

static void put_value(uint64_t i)
{
	struct wrapped wrapped = {i, neap_gc_alloc(&item_type)};
	struct neap_any value;
	if (wrapped.item == NULL || values == NULL)
		return;
	wrapped.item->number = i;
	if (neap_any_make_collected(&wrapped_box, &wrapped_type, &wrapped, &value) == NEAP_OK)
		(void)neap_any_gc_map_put(values, neap_any_of_u64(i), value);
}

static void check_values(const char *where)
{
	if (values == NULL)
		return;
	neap_map_each (it, neap_gc_map_of(values)) {
		const struct wrapped *wrapped = neap_any_value(it.value);
		if (wrapped->item->number != wrapped->number) {
			fprintf(stderr, "fault_gc: lost an interface value in %s\n", where);
			_exit(1);
		}
	}
}

static bool is_of_number_7(const void *key, const void *value, void *where)
{
	const struct item *item = *(struct item *const *)value;
	if (item->number != 7) {
		fprintf(stderr, "fault_gc: lost entry %llu of the concurrent map in %s\n",
			(unsigned long long)*(const uint64_t *)key, (const char *)where);
		_exit(1);
	}
	return true;
}

static void check(const char *where)
{
	(void)neap_gc_cmap_range(shared, is_of_number_7, (void *)(uintptr_t)where); /* or NEAP_ENOMEM */
	uint64_t expected = head != NULL ? head->number : 0;
	for (const struct item *item = head; item != NULL; item = item->next, expected--) {
		const struct item *note = neap_weak_map_get(notes, item);
		if (note != NULL && (note->number != item->number || note->other != item)) {
			fprintf(stderr, "fault_gc: lost a note in %s\n", where);
			_exit(1);
		}
		if (item->number != expected || (item->other != NULL && item->other->number != 7)) {
			fprintf(stderr, "fault_gc: lost an object in %s\n", where);
			_exit(1);
		}
	}
	check_values(where);
	const struct item *key = chain;
	for (unsigned i = 0; i < links; i++) {
		const struct item *note = neap_weak_map_get(notes, key);
		if (note == NULL || note->number != 7) {
			fprintf(stderr, "fault_gc: link %u of %u is lost in %s\n", i, links, where);
			_exit(1);
		}
		key = note->next;
	}
	const char *broken = neap__gc.state == 1 ? neap__gc_check() : NULL;
	if (broken != NULL) {
		fprintf(stderr, "fault_gc: law broken in %s: %s\n", where, broken);
		_exit(1);
	}
}

static void take_note(struct item *item)
{
	struct item *note = neap_gc_alloc(&item_type);
	if (note == NULL)
		return;
	note->number = item->number;
	note->other = item;
	(void)neap_weak_map_put(notes, item, note);
}

/* Another link of a chain that only notes keep: key -> note -> key -> note -> ... Its end is held in disguise. */
static void lengthen_chain(void)
{
	struct item *note = neap_gc_alloc(&item_type), *key = neap_gc_alloc(&item_type);
	if (note == NULL || key == NULL)
		return;
	note->number = 7;
	note->next = key;
	if (chain == NULL)
		chain = key;
	else if (neap_weak_map_put(notes, (void *)~chain_end, note) == NEAP_OK)
		links++;
	else
		return;
	chain_end = ~(uintptr_t)key;
}

static void run(void)
{
	map = neap_gc_map_create(&by_number, NULL, &neap_gc_pointer, NULL);
	shared = neap_gc_cmap_create(&by_number, NULL, &neap_gc_pointer, NULL);
	notes = neap_weak_map_create(NULL);
	values = neap_any_gc_map_create(NULL);
	unsigned without = 0;
	for (uint64_t i = 1; i <= OBJECTS && without < ENOUGH; i++) {
		struct item *item = neap_gc_alloc(&item_type), *other = neap_gc_alloc(&item_type);
		without += item == NULL;
		if (item == NULL)
			continue;
		item->number = head != NULL ? head->number + 1 : 1;
		item->next = head;
		head = item;
		if (i % 50 == 0)
			take_note(item);
		if (i % 100 == 0)
			lengthen_chain();
		if (i % 200 == 0)
			put_value(i);
		if (other != NULL) {
			other->number = 7;
			item->other = other;
			(void)neap_gc_finalizer(other, i % (QUARTER / 4) == 0 ? count_end : NULL, NULL);
			if (map != NULL && i % 100 == 0)
				(void)neap_gc_map_put(map, &i, &other);
			if (shared != NULL && i % 20 == 0)
				(void)neap_gc_cmap_store(shared, &i, &other);
			const uint64_t before = i / 2;
			(void)neap_gc_cmap_delete(shared, &before);
		}
		if (i % QUARTER == 0) {
			if (i % (3 * QUARTER) == 0)
				head = NULL;
			else
				(void)neap_gc_alloc_data(500000);
			neap_gc_collect();
		}
	}
	(void)neap_gc_return();
	(void)neap_gc_set_percent(-1); /* no cycle of the collector's own while the laws are checked */
	neap_gc_collect();
}

/* True: the run asked for fewer than `at` and nothing was refused. */
static bool run_with(const char *call, int at, bool on)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		const struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		alarm(SECONDS);
		refused = call;
		refuse_at = at;
		refuse_on = on;
		neap__os_fail = refuse;
		run();
		check("the run");
		_exit(asked_for < at ? UNTOUCHED : 0);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != UNTOUCHED)) {
		fprintf(stderr, "fault_gc: refusing %s number %d%s ends with %x\n", call, at,
			on ? " and on" : "", (unsigned)status);
		exit(1);
	}
	return WEXITSTATUS(status) == UNTOUCHED;
}

int main(void)
{
	static const char *const calls[] = {
		"mmap",	      "mprotect",	    "madvise",	  "process_madvise", "userfaultfd",
		"uffdio_api", "uffdio_register",    "open",	  "pagemap_scan",    "pthread_create",
		"sigaction",  "pthread_getattr_np", "membarrier", "reader"};
	for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
		int runs = 0;
		for (int on = 0; on < 2; on++) {
			bool untouched = false;
			/* Later requests are like earlier ones: take larger steps. */
			for (int at = 1; !untouched && at < MOST; at += 1 + at / STRIDE, runs++)
				untouched = run_with(calls[c], at, on != 0);
		}
		printf("fault_gc: %s: %d runs\n", calls[c], runs);
	}
	return 0;
}
