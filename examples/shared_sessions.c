/* shared_sessions.c: what a web server keeps about its users, with four threads.
 *
 * The routes are read by every request and changed rarely: a concurrent map. Sessions end when nobody used them for a
 * while, and there must not be more than so many: a cache, which loads a session once however many requests want it.
 */
#include <neap/cache.h>
#include <neap/cmap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, REQUESTS = 20000, USERS = 500, ROUTES = 100 };

struct session {
	uint64_t user, logins;
};

#define NEAP_CMAP_NAME	routes
#define NEAP_CMAP_KEY	struct neap_str
#define NEAP_CMAP_VALUE uint64_t
#define NEAP_CMAP_KIND	NEAP_KEY_STR
#include <neap/cmap_typed.h>

static struct neap_cmap *routes;
static struct neap_cache *sessions;

static struct neap_str route_name(char text[16], uint64_t number)
{
	int len = snprintf(text, 16, "/page/%llu", (unsigned long long)number);
	return (struct neap_str){text, (uint32_t)len, 0};
}

/* From the database, so to speak. */
static int load_session(const void *key, void *ret_value, void *ctx)
{
	struct session session = {.logins = 1};
	(void)ctx;
	memcpy(&session.user, key, sizeof session.user);
	memcpy(ret_value, &session, sizeof session);
	return 0;
}

static void *serve(void *ctx)
{
	uint64_t random = (uint64_t)(uintptr_t)ctx + 1, served = 0;
	for (int i = 0; i < REQUESTS; i++) {
		char text[16];
		uint64_t handler, user;
		struct session session;
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		user = (random >> 33) % USERS;
		if (!routes_load(routes, route_name(text, (random >> 20) % ROUTES), &handler))
			continue;
		if (neap_cache_load(sessions, &user, load_session, NULL, &session, NULL) != 0 ||
		    session.user != user)
			abort();
		served++;
	}
	return (void *)(uintptr_t)served;
}

int main(void)
{
	static const struct neap_map_type session_type = {.size = sizeof session_type,
							  .kind = NEAP_KEY_BYTES,
							  .key_size = sizeof(uint64_t),
							  .key_align = _Alignof(uint64_t),
							  .value_size = sizeof(struct session),
							  .value_align = _Alignof(struct session)};
	routes = routes_create(&(struct neap_cmap_options){.name = "routes"});
	sessions = neap_cache_create(&session_type,
				     &(struct neap_cache_options){.name = "sessions",
								  .max_entries = 200,
								  .idle = UINT64_C(1800000000000)});
	if (routes == NULL || sessions == NULL)
		return 1;
	for (uint64_t i = 0; i < ROUTES; i++) {
		char text[16];
		if (routes_store(routes, route_name(text, i), i) != 0)
			return 1;
	}
	pthread_t threads[THREADS];
	uintptr_t served = 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, serve, (void *)i) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++) {
		void *count;
		pthread_join(threads[i], &count);
		served += (uintptr_t)count;
	}
	struct neap_cache_stats stats = {.size = sizeof stats};
	neap_cache_stats(sessions, &stats);
	printf("%zu requests served; %zu sessions kept, %llu loaded, %llu evicted\n", (size_t)served,
	       stats.len, (unsigned long long)stats.loads, (unsigned long long)stats.evicted);
	bool right = served == (uintptr_t)THREADS * REQUESTS && stats.len <= 200 &&
		     stats.hits + stats.loads + stats.waits >= served;
	neap_cache_destroy(sessions);
	neap_cmap_destroy(routes);
	return right ? 0 : 1;
}
