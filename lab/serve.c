/* serve.c: a daemon at work with its debug endpoint on, asked by a client as fast as it answers. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/heap.h"
#include "neap/map.h"
#include "neap/profile.h"

#ifdef NEAP_HAVE_HTTP
#	include "neap/http.h"

enum { WORKERS = 2, SESSIONS = 30000, ROUNDS = 12, PAGES = 4, BODY_LEAST = 200 };

static const char *const served[PAGES] = {"/metrics", "/debug/maps", "/debug/account", "/debug/pprof/heap"};

struct serve_run {
	uint64_t answers[PAGES], refused; /* refused: anything but 200 with a body */
	uint64_t slowest;		  /* ns, of one answer */
	uint64_t operations;		  /* of the workers, meanwhile */
	double worst_off;		  /* of the parts from RSS, a share */
	bool named;			  /* the maps' names were in the metrics */
};

static atomic_bool serve_over;
static _Atomic uint64_t serve_operations;

static const struct neap_map_type serve_type = {.size = sizeof(struct neap_map_type),
						.kind = NEAP_KEY_BYTES,
						.key_size = 8,
						.key_align = 8,
						.value_size = 8,
						.value_align = 8};

static void *serve_work(void *arg)
{
	char name[32];
	snprintf(name, sizeof name, "worker %d", (int)(intptr_t)arg);
	struct neap_map *map = neap_map_create(&serve_type, &(struct neap_map_options){.name = name});
	for (uint64_t id = 0; map != NULL && !atomic_load(&serve_over); id++) {
		void *state = neap_heap_alloc(100);
		uint64_t old = id - SESSIONS;
		if (state == NULL || neap_map_put(map, &id, &state) != 0)
			abort();
		memset(state, 1, 100);
		void **expired = id >= SESSIONS ? neap_map_get(map, &old) : NULL;
		if (expired != NULL) {
			neap_heap_free(*expired);
			neap_map_delete(map, &old);
		}
		atomic_fetch_add_explicit(&serve_operations, 1, memory_order_relaxed);
	}
	neap_map_destroy(map);
	return NULL;
}

/* The body of an answer with status 200, or NULL. To be freed. */
static char *get_page(unsigned port, const char *path, size_t *ret_len)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval patience = {30, 0};
	char request[128], chunk[8192];
	struct text answer = {0};
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	int len = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
	ssize_t got = connect(fd, (struct sockaddr *)&name, sizeof name) == 0
			      ? send(fd, request, (size_t)len, MSG_NOSIGNAL)
			      : -1;
	while (got > 0 && (got = recv(fd, chunk, sizeof chunk, 0)) > 0)
		text_add(&answer, chunk, (size_t)got);
	close(fd);
	char *head_end = answer.at == NULL ? NULL : strstr(answer.at, "\r\n\r\n");
	if (head_end == NULL || strstr(answer.at, " 200 ") == NULL) {
		text_free(&answer);
		return NULL;
	}
	*ret_len = answer.len - (size_t)(head_end + 4 - answer.at);
	memmove(answer.at, head_end + 4, *ret_len + 1);
	return answer.at;
}

static double json_figure(const char *json, const char *name)
{
	char key[32];
	snprintf(key, sizeof key, "\"%s\":", name);
	const char *at = strstr(json, key);
	return at == NULL ? 0 : strtod(at + strlen(key), NULL);
}

static void look(struct serve_run *run, unsigned port)
{
	for (int i = 0; i < PAGES; i++) {
		size_t len = 0;
		uint64_t start = clock_now();
		char *body = get_page(port, served[i], &len);
		uint64_t took = clock_now() - start;
		run->slowest = took > run->slowest ? took : run->slowest;
		if (body == NULL || len < BODY_LEAST)
			run->refused++;
		else
			run->answers[i]++;
		if (body != NULL && i == 0)
			run->named = strstr(body, "neap_map_instances{map=\"worker 1\"") != NULL;
		if (body != NULL && i == 2) {
			double off = json_figure(body, "unexplained") / json_figure(body, "rss");
			off = off < 0 ? -off : off;
			run->worst_off = off > run->worst_off ? off : run->worst_off;
		}
		free(body);
	}
}

static int serve_child(void *ctx)
{
	struct serve_run *run = ctx;
	pthread_t threads[WORKERS];
	char error[256];
	neap_profile_start(0);
	const struct neap_http_options options = {.address = "127.0.0.1:0"};
	/* neap-lint: allow leak: when a thread cannot be started, the process ends with it */
	struct neap_http *http = neap_http_start(&options, error);
	if (http == NULL) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (intptr_t i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, serve_work, (void *)i) != 0)
			return 1;
	while (atomic_load(&serve_operations) < 3 * SESSIONS)
		usleep(1000);
	uint64_t before = atomic_load(&serve_operations);
	for (int round = 0; round < ROUNDS; round++)
		look(run, neap_http_port(http));
	run->operations = atomic_load(&serve_operations) - before;
	atomic_store(&serve_over, true);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	neap_http_stop(http);
	return 0;
}

static void run_serve(struct lab *lab)
{
	struct result *result = &lab->result;
	struct serve_run *run = lab_share(lab, sizeof *run);
	if (run == NULL || !lab_child(lab, "the daemon", serve_child, run))
		return;
	result_title(result, "%d threads, %s sessions each", WORKERS, thousands(SESSIONS));
	uint64_t answers = 0;
	for (int i = 0; i < PAGES; i++) {
		answers += run->answers[i];
		result_say(result, "  %-20s %3llu answers", served[i], (unsigned long long)run->answers[i]);
	}
	result_say(result, "  slowest %s; meanwhile %s sessions came and went",
		   duration((double)run->slowest), thousands(run->operations));
	result_check(result, answers == ROUNDS * PAGES && run->refused == 0,
		     "all %llu requests were answered", (unsigned long long)answers);
	result_check(result, run->named, "the maps are in the metrics by name");
	result_check(result, run->worst_off <= 0.02,
		     "the parts sum to RSS within 2 %% in each answer (at worst %.2f %%)",
		     run->worst_off * 100);
	result_check(result, run->operations > 0, "the daemon worked on meanwhile");
	result_figure(result, (double)run->slowest, "ns", "slowest_answer");
	result_figure(result, run->worst_off, "ratio", "worst_off");
}
#else
static void run_serve(struct lab *lab)
{
	result_skip(&lab->result, "this build has no libneap-http (libmicrohttpd-dev)");
}
#endif

const struct experiment experiment_serve = {
	.name = "serve",
	.claim = "A daemon at work answers for its memory: every page, its maps by name, and parts that sum "
		 "to RSS within "
		 "2 % in every answer.",
	.method = "Two threads insert and expire sessions; a client asks for four pages over and over.",
	.run = run_serve,
};
