/* session_store.c: sessions come and go; the memory of the map follows.
 *
 * 200,000 sessions log in, all but one in a thousand log out again, and the map says where its bytes are.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct session {
	uint64_t user;
	time_t since;
	char address[40];
};

#define NEAP_MAP_NAME  sessions
#define NEAP_MAP_KEY   uint64_t
#define NEAP_MAP_VALUE struct session
#include <neap/map_typed.h>

static void report(const char *when, const struct neap_map *map)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	printf("%-12s %7zu sessions  %8.1f KB = live %.1f + tombstone %.1f + empty %.1f + free-held %.1f + "
	       "metadata %.1f\n",
	       when, stats.len, (double)stats.total / 1024, (double)stats.live / 1024,
	       (double)stats.tombstone / 1024, (double)stats.empty / 1024, (double)stats.free_held / 1024,
	       (double)stats.metadata / 1024);
}

int main(void)
{
	struct neap_map_options options = {.name = "sessions"};
	struct neap_map *map = sessions_create(&options);
	if (map == NULL)
		return EXIT_FAILURE;
	report("created", map);

	for (uint64_t token = 1; token <= 200000; token++) {
		struct session session = {.user = token % 5000, .since = time(NULL), .address = "::1"};
		if (sessions_put(map, token, session) != NEAP_OK) {
			fprintf(stderr, "%s\n", neap_strerror(NEAP_ENOMEM));
			return EXIT_FAILURE;
		}
	}
	report("logged in", map);

	for (uint64_t token = 1; token <= 200000; token++)
		if (token % 1000 != 0)
			sessions_delete(map, token);
	report("logged out", map);

	const struct session *session = sessions_get(map, 5000);
	bool right = session != NULL && session->user == 0;
	printf("session 5000 belongs to user 0: %s\n", right ? "yes" : "no");
	sessions_destroy(map); /* session points nowhere from here on */
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
