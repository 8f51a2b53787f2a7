/* misuse_map.c: threads that break the rules are stopped, each time, with the one line that says so.
 *
 * Each scenario runs in a child of its own, ROUNDS times; a crash, a wrong line, a second line, or a child that
 * goes on for ten seconds fails the test.
 */
#include <pthread.h>

#include "neap/map.h"
#include "support/child.h"
#include "support/map_probe.h"

enum { ROUNDS = 20, KEYS = 20000, SECONDS = 10 };

static struct neap_map *map;

static struct neap_map *make(void)
{
	struct neap_map *made = neap_map_create(&probe_u64, &(struct neap_map_options){.name = "shared"});
	for (uint64_t key = 0; key < KEYS; key++)
		if (neap_map_put(made, &key, &key) != NEAP_OK)
			abort();
	return made;
}

static void *write_for_ever(void *arg)
{
	uint64_t mine = (uint64_t)(uintptr_t)arg;
	for (uint64_t i = 0;; i++) {
		uint64_t key = probe_mix(i * 2 + mine) % (2 * (uint64_t)KEYS);
		if (i % 2 == 0)
			(void)neap_map_put(map, &key, &i);
		else
			(void)neap_map_delete(map, &key);
	}
	return NULL;
}

static void *overwrite_for_ever(void *arg)
{
	(void)arg;
	for (uint64_t i = 0;; i++) {
		uint64_t key = i % KEYS;
		(void)neap_map_put(map, &key, &i);
	}
	return NULL;
}

static void start(void *(*body)(void *), uintptr_t arg)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, body, (void *)arg) != 0)
		abort();
}

static void two_writers(void)
{
	map = make();
	start(write_for_ever, 0);
	write_for_ever((void *)1);
}

static void reader_beside_writer(void)
{
	map = make();
	start(overwrite_for_ever, 0);
	for (uint64_t i = 0;; i++) {
		uint64_t key = i % KEYS;
		(void)neap_map_get(map, &key);
	}
}

static void batch_reader_beside_writer(void)
{
	map = make();
	start(overwrite_for_ever, 0);
	uint64_t keys[16] = {1, 2, 3};
	void *values[16];
	for (;;)
		neap_map_get_many(map, keys, 16, values);
}

static void iterator_beside_writer(void)
{
	map = make();
	start(overwrite_for_ever, 0);
	for (;;) {
		neap_map_each (it, map)
			(void)it.key;
	}
}

static void note_fault(const struct neap_fault *fault, void *ctx)
{
	fprintf(stderr, "%s heard of %s in %s, ", (const char *)ctx, fault->rule, fault->operation);
	fprintf(stderr, "%s %s\n",
		fault->thread != 0 && fault->thread == (uintptr_t)pthread_self() ? "mine" : "?",
		fault->object);
}

static void two_writers_with_callback(void)
{
	static char who[] = "callback";
	neap_on_fault(note_fault, who);
	two_writers();
}

static const struct {
	const char *name;
	void (*body)(void);
	const char *rule, *operation;
} scenarios[] = {
	{"two writers", two_writers, "concurrent map writes", "neap_map_"},
	{"a reader beside a writer", reader_beside_writer, "concurrent map read and map write",
	 "neap_map_get,"},
	{"a batch of gets beside a writer", batch_reader_beside_writer, "concurrent map read and map write",
	 "neap_map_get_many,"},
	{"an iterator beside a writer", iterator_beside_writer, "concurrent map iteration and map write",
	 "neap_map_iter_next,"},
};

static int failures;

static void complain(const char *name, int round, const struct ending *ending)
{
	fprintf(stderr, "misuse_map: %s, round %d: signal %d, status %d, wrote: %s\n", name, round,
		ending->signal, ending->status, ending->text);
	failures++;
}

int main(void)
{
	for (size_t s = 0; s < sizeof scenarios / sizeof scenarios[0]; s++) {
		int stopped = 0;
		for (int round = 0; round < ROUNDS; round++) {
			struct ending ending = child_run(scenarios[s].body, SECONDS);
			if (child_was_stopped(&ending, scenarios[s].rule, "shared", scenarios[s].operation))
				stopped++;
			else
				complain(scenarios[s].name, round, &ending);
		}
		printf("%-32s stopped %d of %d\n", scenarios[s].name, stopped, ROUNDS);
		fflush(stdout);
	}
	struct ending ending = child_run(two_writers_with_callback, SECONDS);
	const char *heard = "callback heard of concurrent map writes in neap_map_";
	const char *line = strchr(ending.text, '\n');
	if (ending.signal != SIGABRT || strncmp(ending.text, heard, strlen(heard)) != 0 ||
	    strstr(ending.text, "mine shared\n") == NULL || line == NULL ||
	    strncmp(line + 1, "neap: fatal: ", 13) != 0)
		complain("the callback", 0, &ending);
	return failures != 0;
}
