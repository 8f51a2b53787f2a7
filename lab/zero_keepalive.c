/* zero_keepalive.c: the two things that a program with a collector has to say about a pointer: that it needs it no more,
 * by setting it to NULL, and that it still needs it, by keeping it alive to a line.
 *
 * Zero. An element is taken out of a container that lives on, and the word that led to it is left as it was:
 *
 *     a stack's popped slot     the array is larger than the count
 *     a ring's slot             behind the head
 *     a field of a struct       a cached "last used"
 *     a static variable         what the last request was
 *     a local variable          of a function that goes on for hours
 *
 * Each is done twice, without zeroing and with; what is alive after a collection is counted.
 *
 * Keep alive. A file object closes its descriptor in its finalizer. The program reads the number out of it and works with
 * the number alone, while a collection runs. The pointer is put out of the way, as a compiler may do after its last
 * use; with neap_keep_alive on the line behind the work the descriptor is open there, without it it is closed, and may
 * by then be somebody else's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/lab.h"
#include "neap/gc.h"

enum { ZERO_TRIALS = 100, ZERO_STRAYS = 5, ZERO_BYTES = 1000 };

enum zero_place { ZERO_STACK, ZERO_RING, ZERO_FIELD, ZERO_STATIC, ZERO_LOCAL, ZERO_PLACES };

static const char *const zero_names[ZERO_PLACES] = {"popped slot of a stack", "slot behind a ring's head",
						    "field of a struct", "static variable", "local variable"};
static const char *const zero_figures[ZERO_PLACES] = {"stack", "ring", "field", "static", "local"};

struct zero_run {
	unsigned left[ZERO_PLACES], zeroed[ZERO_PLACES]; /* objects alive, of ZERO_TRIALS */
	unsigned used_open, used_closed;		 /* descriptors at the line, kept alive */
	unsigned loose_open, loose_closed;		 /* without */
	unsigned closed_after; /* kept alive: closed by a collection behind the line */
};

struct item {
	struct item *link;
	char bytes[ZERO_BYTES];
};
NEAP_TYPE(item_type, struct item, link);

struct container {
	struct item *slots[ZERO_TRIALS];
	struct item *last;
	size_t count;
};
NEAP_TYPE(container_type, struct container, slots, last);

static struct container *containers[ZERO_TRIALS];
static struct item *last_request[ZERO_TRIALS];
static struct neap_weak *watched[ZERO_TRIALS];

static void zero_must(bool done)
{
	if (!done) {
		fprintf(stderr, "neap: out of memory in zero-keepalive\n");
		exit(1);
	}
}

static __attribute__((noinline)) void zero_collect(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
	neap_gc_collect();
	neap_gc_finalizers_wait();
}

static __attribute__((noinline)) struct item *watched_item(unsigned trial)
{
	struct item *item = neap_gc_alloc(&item_type);
	zero_must(item != NULL && (watched[trial] = neap_weak_create(item)) != NULL);
	return item;
}

static __attribute__((noinline)) unsigned alive_and_forget(void)
{
	unsigned alive = 0;
	for (unsigned i = 0; i < ZERO_TRIALS; i++) {
		alive += neap_weak_get(watched[i]) != NULL;
		neap_weak_destroy(watched[i]);
	}
	return alive;
}

/* Puts an item in and takes it out again; `zero`: as one should. */
static __attribute__((noinline)) void use_place(enum zero_place place, unsigned trial, bool zero)
{
	struct container *container = containers[trial];
	switch (place) {
	case ZERO_STACK:
		container->slots[container->count++] = watched_item(trial);
		container->count--;
		if (zero)
			container->slots[container->count] = NULL;
		break;
	case ZERO_RING:
		container->slots[(container->count + trial) % ZERO_TRIALS] = watched_item(trial);
		if (zero)
			container->slots[(container->count + trial) % ZERO_TRIALS] = NULL;
		break;
	case ZERO_FIELD:
		container->last = watched_item(trial);
		if (zero)
			container->last = NULL;
		break;
	case ZERO_STATIC:
		last_request[trial] = watched_item(trial);
		if (zero)
			last_request[trial] = NULL;
		break;
	case ZERO_LOCAL:
	case ZERO_PLACES: break;
	}
}

/* The function that goes on for hours. volatile: the variable is in memory, as in a function with many of them. */
static __attribute__((noinline)) unsigned long_function(bool zero)
{
	struct item *volatile local[ZERO_TRIALS];
	for (unsigned i = 0; i < ZERO_TRIALS; i++) {
		local[i] = watched_item(i);
		local[i]->bytes[0] = 1;
		if (zero)
			local[i] = NULL;
	}
	zero_collect();
	unsigned alive = alive_and_forget();
	(void)local[0]; /* up to here */
	return alive;
}

static unsigned alive_in(enum zero_place place, bool zero)
{
	if (place == ZERO_LOCAL)
		return long_function(zero);
	for (unsigned i = 0; i < ZERO_TRIALS; i++) {
		containers[i] = neap_gc_alloc(&container_type);
		zero_must(containers[i] != NULL);
		use_place(place, i, zero);
	}
	zero_collect();
	unsigned alive = alive_and_forget();
	memset((void *)last_request, 0, sizeof last_request);
	return alive;
}

/* Keep alive. */

struct file_object {
	struct file_object *unused;
	int descriptor;
};
NEAP_TYPE(file_type, struct file_object, unused);

static void close_file(void *object, void *ctx)
{
	(void)ctx;
	close(((struct file_object *)object)->descriptor);
}

static __attribute__((noinline)) struct file_object *open_file(void)
{
	struct file_object *file = neap_gc_alloc(&file_type);
	zero_must(file != NULL && neap_gc_finalizer(file, close_file, NULL) == NEAP_OK);
	file->descriptor = dup(STDERR_FILENO);
	zero_must(file->descriptor >= 0);
	return file;
}

static bool is_usable(int descriptor)
{
	return write(descriptor, "", 0) == 0;
}

static __attribute__((noinline)) bool work_kept_alive(int *ret_descriptor)
{
	struct file_object *file = open_file();
	int descriptor = *ret_descriptor = file->descriptor;
	zero_collect();
	bool usable = is_usable(descriptor);
	neap_keep_alive(file);
	return usable;
}

static __attribute__((noinline)) int descriptor_of_new_file(void)
{
	return open_file()->descriptor;
}

static __attribute__((noinline)) bool work_loose(void)
{
	int descriptor = descriptor_of_new_file();
	zero_collect();
	return is_usable(descriptor);
}

static int zero_child(void *ctx)
{
	struct zero_run *run = ctx;
	for (enum zero_place place = 0; place < ZERO_PLACES; place++) {
		run->left[place] = alive_in(place, false);
		run->zeroed[place] = alive_in(place, true);
	}
	for (unsigned i = 0; i < ZERO_TRIALS; i++) {
		int descriptor;
		bool usable = work_kept_alive(&descriptor);
		run->used_open += usable;
		run->used_closed += !usable;
		zero_collect();
		run->closed_after += !is_usable(descriptor);
		usable = work_loose();
		run->loose_open += usable;
		run->loose_closed += !usable;
	}
	return 0;
}

static void run_zero_keepalive(struct lab *lab)
{
	struct zero_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !lab_child(lab, "zero and keep alive", zero_child, run))
		return;
	struct result *result = &lab->result;
	unsigned least = ZERO_TRIALS, most = 0;
	result_say(result, "  of %d objects that are needed no more          LEFT AS IT WAS   SET TO NULL",
		   ZERO_TRIALS);
	for (enum zero_place place = 0; place < ZERO_PLACES; place++) {
		result_say(result, "  alive by a %-32s%14u%14u", zero_names[place], run->left[place],
			   run->zeroed[place]);
		result_figure(result, run->left[place], "count", "left_%s", zero_figures[place]);
		result_figure(result, run->zeroed[place], "count", "zeroed_%s", zero_figures[place]);
		least = run->left[place] < least ? run->left[place] : least;
		most = run->zeroed[place] > most ? run->zeroed[place] : most;
	}
	result_say(result,
		   "\n  of %d descriptors in use, with a collection before the last use:", ZERO_TRIALS);
	result_say(result, "  with neap_keep_alive behind it     %3u open, %3u closed under the program",
		   run->used_open, run->used_closed);
	result_say(result, "  without                            %3u open, %3u closed under the program",
		   run->loose_open, run->loose_closed);
	result_figure(result, run->used_open, "count", "kept_open");
	result_figure(result, run->loose_closed, "count", "loose_closed");
	result_check(result, least == ZERO_TRIALS,
		     "what is left in a word that is read keeps its object, needed or not: %u of %d at least",
		     least, ZERO_TRIALS);
	result_check(result, most <= ZERO_STRAYS,
		     "setting the word to NULL lets the next collection have it: %u alive at most (a stray "
		     "word on a stack may keep a few)",
		     most);
	result_check(result, run->used_open == ZERO_TRIALS,
		     "neap_keep_alive holds to its line: no descriptor was closed under the program");
	result_check(result, run->closed_after + ZERO_STRAYS >= ZERO_TRIALS,
		     "and no further: %u of %d were closed by the next collection", run->closed_after,
		     ZERO_TRIALS);
	result_check(result, run->loose_closed + ZERO_STRAYS >= ZERO_TRIALS,
		     "without it a finalizer may run before the last use of what it closes: %u of %d did",
		     run->loose_closed, ZERO_TRIALS);
}

const struct experiment experiment_zero_keepalive = {
	.name = "zero-keepalive",
	.claim = "A word that still leads to an object keeps it, needed or not, until it is set to NULL; and "
		 "a "
		 "pointer that is used no more keeps nothing, though its resource is, unless "
		 "neap_keep_alive names the line.",
	.method = "Objects are taken out of five kinds of places, with and without zeroing; descriptors are "
		  "used after the last use of their object, with and without keep-alive; a collection each.",
	.run = run_zero_keepalive,
};
