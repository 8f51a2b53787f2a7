/* pool.c: what a pool saves, what it keeps, and for how long.
 *
 * Times are CPU time for a get and a put, best of several in turns, beside malloc and free and beside a list of free
 * blocks under one mutex. What lies idle is counted by the objects that exist.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab/child.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/gc.h"
#include "neap/pool.h"

enum { TURNS = 9, PAIRS = 300000, IDLE = 10000, OBJECT = 256, LARGE = 1 << 20 };

struct message {
	size_t used, room;
	char *bytes;
};

static _Atomic size_t messages_alive;

static void *message_create(void *ctx)
{
	(void)ctx;
	messages_alive++;
	return calloc(1, sizeof(struct message));
}

static void message_destroy(void *object, void *ctx)
{
	(void)ctx;
	struct message *message = object;
	messages_alive--;
	free(message->bytes);
	free(message);
}

static void message_reset(void *object, void *ctx)
{
	(void)ctx;
	((struct message *)object)->used = 0;
}

static void message_forget_to_reset(void *object, void *ctx)
{
	(void)object, (void)ctx;
}

static bool message_clean(const void *object, void *ctx)
{
	(void)ctx;
	return ((const struct message *)object)->used == 0;
}

static size_t message_bytes(const void *object, void *ctx)
{
	(void)ctx;
	return sizeof(struct message) + ((const struct message *)object)->room;
}

static const struct neap_pool_type messages = {.size = sizeof(struct neap_pool_type),
					       .create = message_create,
					       .destroy = message_destroy,
					       .reset = message_reset,
					       .clean = message_clean,
					       .bytes = message_bytes,
					       .object_size = sizeof(struct message)};

/* What is needed and cannot be had ends the experiment. */
static void *needed(void *block)
{
	if (block == NULL) {
		fputs("neap: out of memory in pool\n", stderr);
		exit(1);
	}
	return block;
}

static void churn_messages(struct neap_pool *pool, size_t n, size_t bytes)
{
	struct message **held = needed(calloc(n, sizeof *held));
	for (size_t i = 0; i < n; i++) {
		held[i] = needed(neap_pool_get(pool));
		if (held[i]->room < bytes) {
			held[i]->bytes = needed(realloc(held[i]->bytes, bytes));
			held[i]->room = bytes;
		}
		held[i]->used = bytes;
	}
	for (size_t i = 0; i < n; i++)
		neap_pool_put(pool, held[i]);
	free(held);
}

static struct neap_pool_stats pool_stats_of(struct neap_pool *pool)
{
	struct neap_pool_stats stats = {.size = sizeof stats};
	neap_pool_stats(pool, &stats);
	return stats;
}

static void show_lives(struct result *result)
{
	struct neap_pool *pool =
		needed(neap_pool_create(&messages, &(struct neap_pool_options){.name = "messages"}));
	churn_messages(pool, IDLE, OBJECT);
	churn_messages(pool, IDLE, OBJECT);
	struct neap_pool_stats full = pool_stats_of(pool);
	result_say(result, "  %s taken twice      %s made, %s used again, %s bytes idle", thousands(IDLE),
		   thousands(full.created), thousands(full.hits), thousands(full.idle_bytes));
	result_check(result, full.created == IDLE && full.hits == IDLE,
		     "what was put is handed out again: %s of the second %s", thousands(full.hits),
		     thousands(IDLE));
	(void)neap_pool_collect(NULL);
	size_t after_one = messages_alive;
	(void)neap_pool_collect(NULL);
	result_say(result, "  two collections         %s alive after one, %s after two", thousands(after_one),
		   thousands(messages_alive));
	result_check(result, after_one == IDLE && messages_alive == 0,
		     "idle objects outlive one collection, and none outlives two");
	churn_messages(pool, IDLE, OBJECT);
	for (int i = 0; i < 2; i++) {
		neap_gc_collect();
		neap_gc_finalizers_wait(); /* the same thread tells the pools */
	}
	result_say(result, "  two of the collector's  %s alive of %s", thousands(messages_alive),
		   thousands(IDLE));
	result_check(result, messages_alive == 0,
		     "a cycle of the garbage collector is a collection of the pools");
	churn_messages(pool, 1, LARGE);
	churn_messages(pool, 100, OBJECT);
	struct neap_pool_stats stats = pool_stats_of(pool);
	result_say(result, "  a message of 1 MB       refused: %llu, idle bytes %s",
		   (unsigned long long)stats.refused, thousands(stats.idle_bytes));
	result_check(result, stats.refused == 1 && stats.idle_bytes < LARGE,
		     "an object that has grown to 1 MB is not kept");
	(void)neap_pool_destroy(pool);
	pool = needed(neap_pool_create(&messages, &(struct neap_pool_options){.byte_cap = 1 << 20}));
	churn_messages(pool, IDLE, OBJECT);
	stats = pool_stats_of(pool);
	result_say(result, "  a cap of 1 MB           %s bytes idle of %s, %s dropped",
		   thousands(stats.idle_bytes), thousands(full.idle_bytes), thousands(stats.dropped));
	result_check(result, stats.idle_bytes <= (1 << 20) + (1 << 18) && stats.dropped != 0,
		     "the cap holds: at most 1 MB in the depot and a quarter of it with a thread");
	(void)neap_pool_destroy(pool);
}

static int dirty_child(void *ctx)
{
	(void)ctx;
	struct neap_pool_type type = messages;
	type.reset = message_forget_to_reset;
	const struct neap_pool_options options = {.name = "messages", .check = NEAP_POOL_CHECK_ON};
	struct neap_pool *pool = needed(neap_pool_create(&type, &options));
	churn_messages(pool, 1, OBJECT);
	(void)neap_pool_destroy(pool);
	return 0;
}

static void show_dirty(struct result *result)
{
	struct child_end end = child_run(dirty_child, NULL, 20, true);
	end.lines[strcspn(end.lines, "\n")] = '\0';
	result_say(result, "  a reset that forgets, in a checking pool");
	result_say(result, "    %.76s", end.lines);
	result_check(result,
		     end.signal == SIGABRT && strstr(end.lines, "dirty after its reset") != NULL &&
			     strstr(end.lines, "\"messages\"") != NULL,
		     "a checking pool stops the program when an object comes back dirty");
}

/* ---- The price ---- */

static double pool_cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static struct free_list {
	pthread_mutex_t lock;
	void *first;
} free_list = {PTHREAD_MUTEX_INITIALIZER, NULL};

static void list_pair(void)
{
	pthread_mutex_lock(&free_list.lock);
	void *block = free_list.first;
	if (block != NULL)
		memcpy(&free_list.first, block, sizeof free_list.first);
	pthread_mutex_unlock(&free_list.lock);
	if (block == NULL)
		block = needed(malloc(OBJECT));
	*(volatile char *)block = 1;
	pthread_mutex_lock(&free_list.lock);
	memcpy(block, &free_list.first, sizeof free_list.first);
	free_list.first = block;
	pthread_mutex_unlock(&free_list.lock);
}

static void show_price_of_a_pair(struct result *result)
{
	static const char *const names[] = {"pool", "mutex_list", "malloc"};
	double best[3] = {1e18, 1e18, 1e18};
	struct neap_pool *pool = needed(neap_pool_create(
		&(struct neap_pool_type){.size = sizeof(struct neap_pool_type), .object_size = OBJECT},
		&(struct neap_pool_options){.check = NEAP_POOL_CHECK_OFF}));
	for (int turn = 0; turn < TURNS * 3; turn++) {
		progress_step("pool", (size_t)turn, (size_t)TURNS * 3);
		double start = pool_cpu_ns();
		for (int i = 0; i < PAIRS; i++) {
			void *volatile block = NULL;
			if (turn % 3 == 0) {
				block = needed(neap_pool_get(pool));
				*(volatile char *)block = 1;
				neap_pool_put(pool, block);
			} else if (turn % 3 == 1) {
				list_pair();
			} else {
				block = needed(malloc(OBJECT));
				*(volatile char *)block = 1;
				free(block);
			}
		}
		double took = (pool_cpu_ns() - start) / PAIRS;
		best[turn % 3] = took < best[turn % 3] ? took : best[turn % 3];
	}
	(void)neap_pool_destroy(pool);
	free(free_list.first);
	free_list.first = NULL;
	result_say(result, "  get and put             pool %s, mutex and list %s, malloc %s",
		   duration(best[0]), duration(best[1]), duration(best[2]));
	for (int i = 0; i < 3; i++)
		result_figure(result, best[i], "ns", "%s_pair", names[i]);
	result_check(result, best[0] < best[1],
		     "a get and a put cost less than with a list under a mutex: %s, %s", duration(best[0]),
		     duration(best[1]));
}

static void run_pool(struct lab *lab)
{
	show_lives(&lab->result);
	show_dirty(&lab->result);
	show_price_of_a_pair(&lab->result);
}

const struct experiment experiment_pool = {
	.name = "pool",
	.claim = "A pool hands out what was put, keeps no more than its cap, lets go of what two collections "
		 "found "
		 "idle, refuses what has grown, and costs less than a list under a mutex.",
	.method = "Objects that exist are counted; CPU time of get and put, best of nine in turns.",
	.run = run_pool,
};
