/* keepalive.c: how long an object lives that the program holds by nothing but a local variable.
 *
 * A connection is an object whose finalizer closes it. Three functions open one, collect in the middle, and use it no
 * more by its pointer, only by its number:
 *
 *     kept      neap_keep_alive on the last line: it must be open there
 *     zeroed    the variable is set to NULL first: it must be closed by the collection
 *     neither   the compiler decides; C promises nothing
 *
 * and one more holds it in memory of malloc, which is no root, and one by a handle there, which is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "neap/gc.h"

enum { ALIVE_TRIALS = 50, ALIVE_STRAYS = 5 };

enum alive_way { ALIVE_KEPT, ALIVE_ZEROED, ALIVE_NEITHER, ALIVE_MALLOC, ALIVE_HANDLE, ALIVE_WAYS };

static const char *const alive_names[ALIVE_WAYS] = {"neap_keep_alive at the end", "set to NULL before",
						    "neither of the two", "held by malloc's memory only",
						    "held by a handle there"};
static const char *const alive_figures[ALIVE_WAYS] = {"kept", "zeroed", "neither", "malloc", "handle"};

struct alive_run {
	unsigned open[ALIVE_WAYS];  /* at the last line, of ALIVE_TRIALS */
	unsigned after[ALIVE_WAYS]; /* after one more collection behind it */
};

struct connection {
	struct connection *next;
	uint64_t number;
};
NEAP_TYPE(connection_type, struct connection, next);

static bool is_open[ALIVE_TRIALS];

static void close_connection(void *object, void *ctx)
{
	(void)ctx;
	is_open[((struct connection *)object)->number] = false;
}

static __attribute__((noinline)) struct connection *open_connection(unsigned number)
{
	struct connection *connection = neap_gc_alloc(&connection_type);
	if (connection == NULL || neap_gc_finalizer(connection, close_connection, NULL) != NEAP_OK) {
		fprintf(stderr, "neap: out of memory in keepalive\n");
		exit(1);
	}
	connection->number = number;
	is_open[number] = true;
	return connection;
}

static __attribute__((noinline)) void collect_now(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
	neap_gc_collect();
	neap_gc_finalizers_wait();
}

static __attribute__((noinline)) bool try_kept(unsigned number)
{
	struct connection *connection = open_connection(number);
	collect_now();
	bool open = is_open[number];
	neap_keep_alive(connection);
	return open;
}

static __attribute__((noinline)) bool try_zeroed(unsigned number)
{
	struct connection *volatile connection = open_connection(number);
	connection = NULL;
	collect_now();
	return is_open[number] && connection == NULL;
}

static __attribute__((noinline)) bool try_neither(unsigned number)
{
	struct connection *connection = open_connection(number);
	(void)connection;
	collect_now();
	return is_open[number];
}

static __attribute__((noinline)) void **hold_in_malloc(unsigned number, bool by_handle)
{
	void **place = malloc(sizeof *place);
	if (place != NULL)
		*place = by_handle ? neap_gc_handle_create(open_connection(number))
				   : (void *)open_connection(number);
	return place;
}

static __attribute__((noinline)) bool try_malloc(unsigned number, bool by_handle)
{
	void **place = hold_in_malloc(number, by_handle);
	collect_now();
	bool open = is_open[number];
	if (by_handle && place != NULL)
		neap_gc_handle_destroy(*place);
	free(place);
	return open;
}

static bool try_way(enum alive_way way, unsigned number)
{
	switch (way) {
	case ALIVE_KEPT: return try_kept(number);
	case ALIVE_ZEROED: return try_zeroed(number);
	case ALIVE_NEITHER: return try_neither(number);
	default: return try_malloc(number, way == ALIVE_HANDLE);
	}
}

static int alive_child(void *ctx)
{
	struct alive_run *run = ctx;
	for (enum alive_way way = 0; way < ALIVE_WAYS; way++) {
		for (unsigned i = 0; i < ALIVE_TRIALS; i++)
			run->open[way] += try_way(way, i);
		collect_now();
		for (unsigned i = 0; i < ALIVE_TRIALS; i++)
			run->after[way] += is_open[i];
	}
	return 0;
}

static void run_keepalive(struct lab *lab)
{
	struct alive_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !lab_child(lab, "keeping alive", alive_child, run))
		return;
	struct result *result = &lab->result;
	result_say(result, "  of %d connections              OPEN AT THE LAST LINE   AND AFTER IT",
		   ALIVE_TRIALS);
	for (enum alive_way way = 0; way < ALIVE_WAYS; way++) {
		result_say(result, "  %-30s%14u%19u", alive_names[way], run->open[way], run->after[way]);
		result_figure(result, run->open[way], "count", "%s_open", alive_figures[way]);
	}
	result_check(result, run->open[ALIVE_KEPT] == ALIVE_TRIALS,
		     "neap_keep_alive holds the object to its line, every time");
	result_check(result, run->after[ALIVE_KEPT] <= ALIVE_STRAYS,
		     "and no further: behind it %u of %d are open (a stray word on a stack may keep a few)",
		     run->after[ALIVE_KEPT], ALIVE_TRIALS);
	result_check(result, run->open[ALIVE_ZEROED] <= ALIVE_STRAYS,
		     "a variable that is set to NULL lets go at once: %u open", run->open[ALIVE_ZEROED]);
	result_check(result, run->open[ALIVE_MALLOC] <= ALIVE_STRAYS,
		     "a pointer in malloc's memory keeps nothing: %u open", run->open[ALIVE_MALLOC]);
	result_check(result,
		     run->open[ALIVE_HANDLE] == ALIVE_TRIALS && run->after[ALIVE_HANDLE] <= ALIVE_STRAYS,
		     "a handle in malloc's memory keeps its object until it is destroyed");
	result_say(result,
		   "  neither: the compiler of this program left the pointer in a place that is read");
	result_say(result, "  in %u of %d cases; another one may not.", run->open[ALIVE_NEITHER],
		   ALIVE_TRIALS);
}

const struct experiment experiment_keepalive = {
	.name = "keepalive",
	.claim = "neap_keep_alive holds an object to its line and no further; a variable set to NULL and "
		 "malloc's "
		 "memory hold nothing; a handle holds until it is destroyed.",
	.method = "Objects whose finalizer closes them are collected in the middle of functions that hold "
		  "them in "
		  "five ways.",
	.run = run_keepalive,
};
