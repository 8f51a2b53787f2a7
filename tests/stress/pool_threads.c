/* pool_threads.c: threads that come and go get and put while others collect and count.
 *
 * Every object says who holds it: two holders at once, or one that was destroyed in somebody's hands, are seen. Objects
 * are handed from thread to thread, so that some are put by another thread than got them. At the end every object is
 * accounted for, and a hundred cycles leave what the first one left.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool/internal.h"
#include "support/require.h"

enum { THREADS = 4, LIVES = 6, STEPS = 20000, HELD = 150, CYCLES = 100, MAGIC = 0x5eed };

struct thing {
	_Atomic unsigned holder; /* 0: nobody */
	unsigned magic;
	char more[40];
};

static _Atomic size_t alive;
static _Atomic bool over;

static _Atomic(struct thing *) passed; /* from thread to thread */

static void *thing_create(void *ctx)
{
	(void)ctx;
	struct thing *thing = calloc(1, sizeof *thing);
	REQUIRE(thing != NULL);
	thing->magic = MAGIC;
	alive++;
	return thing;
}

static void thing_destroy(void *object, void *ctx)
{
	(void)ctx;
	struct thing *thing = object;
	REQUIRE(thing->magic == MAGIC && thing->holder == 0);
	thing->magic = 0;
	alive--;
	free(thing);
}

#define NEAP_POOL_NAME	  things
#define NEAP_POOL_OBJECT  struct thing
#define NEAP_POOL_CREATE  thing_create
#define NEAP_POOL_DESTROY thing_destroy
#include "neap/pool_typed.h"

static struct neap_pool *pool;

static struct thing *take(unsigned self)
{
	struct thing *thing = things_get(pool);
	REQUIRE(thing != NULL && thing->magic == MAGIC);
	REQUIRE(atomic_exchange(&thing->holder, self) == 0);
	return thing;
}

static void put(struct thing *thing)
{
	REQUIRE(atomic_exchange(&thing->holder, 0) != 0);
	things_put(pool, thing);
}

static void *live(void *ctx)
{
	unsigned self = (unsigned)(uintptr_t)ctx + 1, random = self * 2654435761u;
	struct thing *held[HELD];
	unsigned n = 0;
	for (unsigned step = 0; step < STEPS; step++) {
		random = random * 1664525u + 1013904223u;
		if (n < HELD && (random >> 16) % 2 == 0)
			held[n++] = take(self);
		else if (n > 0)
			put(held[--n]);
		if (n > 0 && random % 64 == 0) {
			struct thing *other = atomic_exchange(&passed, held[--n]);
			if (other != NULL)
				put(other);
		}
	}
	while (n > 0)
		put(held[--n]);
	return NULL;
}

/* A thread lives several times: its end and its successor's beginning are part of the test. */
static void *relive(void *ctx)
{
	for (int life = 0; life < LIVES; life++) {
		pthread_t thread;
		REQUIRE(pthread_create(&thread, NULL, live, ctx) == 0);
		pthread_join(thread, NULL);
	}
	return NULL;
}

static void *disturb(void *ctx)
{
	(void)ctx;
	while (!over) {
		struct neap_pool_stats stats = {.size = sizeof stats};
		neap_pool_collect(NULL);
		neap_pool_stats(pool, &stats);
		REQUIRE(neap__pool_check(pool) == NULL);
	}
	return NULL;
}

static void all_at_once(void)
{
	pthread_t threads[THREADS], disturber;
	pool = things_create(
		&(struct neap_pool_options){.byte_cap = 32 * 1024, .check = NEAP_POOL_CHECK_OFF});
	REQUIRE(pool != NULL);
	REQUIRE(pthread_create(&disturber, NULL, disturb, NULL) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, relive, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	over = true;
	pthread_join(disturber, NULL);
	if (passed != NULL)
		put(passed);
	struct neap_pool_stats stats = {.size = sizeof stats};
	neap_pool_stats(pool, &stats);
	REQUIRE(stats.out == 0 && stats.threads <= 1);
	REQUIRE(stats.hits + stats.misses == stats.puts);
	REQUIRE(stats.idle == alive);
	printf("%llu hits, %llu misses, %llu dropped, %llu collected\n", (unsigned long long)stats.hits,
	       (unsigned long long)stats.misses, (unsigned long long)stats.dropped,
	       (unsigned long long)stats.collected);
	REQUIRE(stats.hits > stats.misses);
	REQUIRE(neap_pool_destroy(pool) == 0);
	REQUIRE(alive == 0);
}

static void plateau(void)
{
	pool = things_create(&(struct neap_pool_options){.check = NEAP_POOL_CHECK_OFF});
	struct thing *held[1000];
	for (int cycle = 0; cycle < CYCLES; cycle++) {
		for (int i = 0; i < 1000; i++)
			held[i] = take(1);
		for (int i = 0; i < 1000; i++)
			put(held[i]);
		REQUIRE(alive == 1000);
		if (cycle % 10 == 9) {
			neap_pool_collect(pool);
			neap_pool_collect(pool);
			REQUIRE(alive == 0);
		}
	}
	REQUIRE(neap_pool_destroy(pool) == 0 && alive == 0);
}

int main(void)
{
	all_at_once();
	plateau();
	return 0;
}
