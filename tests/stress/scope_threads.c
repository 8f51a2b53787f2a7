/* scope_threads.c: readers of versions beside a publisher, and threads that take out tables and transactions.
 *
 * Every entry of a version has the version's number: a reader that sees two numbers, or an empty map, was given a map
 * that somebody else was filling or clearing. At the end nothing is out, and the pools have made few objects.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "neap/pool.h"
#include "neap/scope.h"
#include "support/require.h"

enum { READERS = 3, WORKERS = 3, VERSIONS = 300, ENTRIES = 50, REQUESTS = 1000, CYCLES = 100 };

static const struct neap_map_type u64 = {.size = sizeof(struct neap_map_type),
					 .kind = NEAP_KEY_BYTES,
					 .key_size = 8,
					 .key_align = 8,
					 .value_size = 8,
					 .value_align = 8};
static struct neap_scopes *scopes;
static struct neap_live *live;
static _Atomic bool over;

static void publish(uint64_t number)
{
	struct neap_map *map = neap_live_prepare(live);
	REQUIRE(map != NULL && neap_map_len(map) == 0);
	for (uint64_t key = 0; key < ENTRIES; key++)
		REQUIRE(neap_map_put(map, &key, &number) == NEAP_OK);
	while (neap_live_publish(live, map) != NEAP_OK)
		;
}

static void *read_versions(void *ctx)
{
	(void)ctx;
	uint64_t last = 0;
	while (!over) {
		uint32_t ticket;
		const struct neap_map *map = neap_live_enter(live, &ticket);
		uint64_t number = 0;
		for (uint64_t key = 0; key < ENTRIES; key++) {
			const uint64_t *value = neap_map_get(map, &key);
			REQUIRE(value != NULL && (number == 0 || *value == number));
			number = *value;
		}
		REQUIRE(number >= last); /* time goes forward */
		last = number;
		neap_live_leave(live, ticket);
	}
	return NULL;
}

static void *serve(void *ctx)
{
	(void)ctx;
	for (uint64_t request = 1; request <= REQUESTS; request++) {
		struct neap_transient *table = neap_transient_begin(scopes);
		struct neap_tx *tx = neap_tx_begin(scopes, NULL);
		REQUIRE(table != NULL && tx != NULL && neap_map_len(neap_tx_map(tx)) == 0);
		for (uint64_t key = 0; key < 10; key++) {
			REQUIRE(neap_transient_get(table, &key) == NULL);
			REQUIRE(neap_transient_put(table, &key, &request) == NEAP_OK);
			REQUIRE(neap_tx_put(tx, &key, &request) == NEAP_OK);
		}
		if (request % 2 == 0)
			neap_tx_commit(tx);
		else
			REQUIRE(neap_tx_rollback(tx) == NEAP_OK);
		neap_transient_end(table);
	}
	return NULL;
}

static struct neap_scopes_stats stats_of(enum neap_scope_class scope_class)
{
	struct neap_scopes_stats stats = {.size = sizeof stats};
	neap_scopes_stats(scopes, scope_class, &stats);
	REQUIRE(stats.out == 0);
	return stats;
}

int main(void)
{
	pthread_t threads[READERS + WORKERS];
	scopes = neap_scopes_create(&u64, NULL);
	live = neap_live_create(scopes);
	REQUIRE(live != NULL);
	publish(1);
	for (int i = 0; i < READERS + WORKERS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, i < READERS ? read_versions : serve, NULL) == 0);
	for (uint64_t number = 2; number <= VERSIONS; number++) {
		publish(number);
		if (number % 10 == 0)
			neap_pool_collect(NULL);
	}
	for (int i = READERS; i < READERS + WORKERS; i++)
		pthread_join(threads[i], NULL);
	over = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	neap_live_destroy(live);
	/* A hundred cycles on one thread leave the bytes of the first. */
	size_t first = 0;
	for (int cycle = 0; cycle < CYCLES; cycle++) {
		serve(NULL);
		size_t bytes = stats_of(NEAP_SCOPE_TRANSIENT).idle_bytes +
			       stats_of(NEAP_SCOPE_TRANSACTION).idle_bytes;
		first = cycle == 0 ? bytes : first;
		REQUIRE(bytes <= first);
	}
	for (int i = 0; i < NEAP_SCOPES; i++) {
		struct neap_scopes_stats stats = stats_of((enum neap_scope_class)i);
		printf("class %d: %llu begun, %llu made\n", i, (unsigned long long)stats.begun,
		       (unsigned long long)stats.made);
		REQUIRE(stats.begun == stats.ended);
	}
	REQUIRE(neap_scopes_destroy(scopes) == 0);
	return 0;
}
