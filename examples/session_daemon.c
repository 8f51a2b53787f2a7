/* session_daemon.c: a daemon as they are: threads with maps of sessions that come and go, and a debug endpoint.
 *
 * usage: session_daemon [ADDRESS [SECONDS [SESSIONS [ROUNDS [slot]]]]]      TOKEN=... in the environment allows POST
 *
 * Each thread owns a map and fills it, expires most of it, and starts over, so that all parts of memory can be seen to
 * grow and shrink at /debug/neap. After ROUNDS (0: without end) it rests. What a session has to keep is in a block of its
 * own, or with `slot` in the map's slot. Ends after SECONDS (0: when it is told to).
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "neap/heap.h"
#include "neap/http.h"
#include "neap/map.h"
#include "neap/profile.h"

enum { THREADS = 3, SESSIONS = 200000, SESSION_BYTES = 120 };

struct session {
	char *state; /* on Neap's heap */
};

static void drop_session(void *key, void *value, void *ctx)
{
	(void)key, (void)ctx;
	neap_heap_free(((struct session *)value)->state);
}

static const struct neap_map_type session_type = {.size = sizeof(struct neap_map_type),
						  .kind = NEAP_KEY_BYTES,
						  .key_size = sizeof(uint64_t),
						  .key_align = 8,
						  .value_size = sizeof(struct session),
						  .value_align = 8,
						  .release = drop_session};
static const struct neap_map_type slot_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_BYTES,
					       .key_size = sizeof(uint64_t),
					       .key_align = 8,
					       .value_size = SESSION_BYTES,
					       .value_align = 8};
static atomic_bool over;
static uint64_t sessions = SESSIONS, rounds;
static bool in_slot;

/* The two are not inlined, so that a profile names them. */
static __attribute__((noinline)) void load_sessions(struct neap_map *map, uint64_t from)
{
	for (uint64_t id = from; id < from + sessions && !atomic_load(&over); id++) {
		static const char state[SESSION_BYTES] = "what a session has to keep";
		if (in_slot) {
			if (neap_map_put(map, &id, state) != NEAP_OK)
				return;
			continue;
		}
		struct session session = {neap_heap_alloc(SESSION_BYTES)};
		if (session.state == NULL)
			return;
		memcpy(session.state, state, SESSION_BYTES);
		if (neap_map_put(map, &id, &session) != NEAP_OK)
			neap_heap_free(session.state);
	}
}

static __attribute__((noinline)) void expire_sessions(struct neap_map *map, uint64_t from)
{
	for (uint64_t id = from; id < from + sessions && !atomic_load(&over); id++)
		if (id % 16 != 0)
			neap_map_delete(map, &id);
}

static void pause_for(long milliseconds)
{
	nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000}, NULL);
}

static void *work(void *arg)
{
	char name[32];
	snprintf(name, sizeof name, "sessions %d", (int)(intptr_t)arg);
	struct neap_map *map = neap_map_create(in_slot ? &slot_type : &session_type,
					       &(struct neap_map_options){.name = name});
	for (uint64_t round = 0; map != NULL && !atomic_load(&over); round++) {
		if (rounds > 0 && round >= rounds) {
			pause_for(100);
			continue;
		}
		load_sessions(map, round * sessions);
		pause_for(300);
		expire_sessions(map, round * sessions);
		pause_for(700);
		if (round % 4 == 3)
			neap_map_clear(map);
	}
	neap_map_destroy(map);
	return NULL;
}

int main(int argc, char **argv)
{
	char error[256];
	pthread_t threads[THREADS];
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	if (argc > 3)
		sessions = strtoull(argv[3], NULL, 10);
	if (argc > 4)
		rounds = strtoull(argv[4], NULL, 10);
	in_slot = argc > 5 && strcmp(argv[5], "slot") == 0;
	neap_profile_start(0);
	struct neap_http *http = neap_http_start(
		&(struct neap_http_options){.address = argc > 1 ? argv[1] : NULL, .token = getenv("TOKEN")},
		error);
	if (http == NULL) {
		fprintf(stderr, "session_daemon: %s\n", error);
		return 1;
	}
	printf("listening on port %u\n", neap_http_port(http));
	fflush(stdout);
	for (intptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
			abort();
	time_t seconds = argc > 2 ? (time_t)strtoul(argv[2], NULL, 10) : 0;
	if (seconds > 0)
		(void)sigtimedwait(&ends, NULL, &(struct timespec){seconds, 0});
	else
		(void)sigwaitinfo(&ends, NULL);
	atomic_store(&over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	neap_http_stop(http);
	return 0;
}
