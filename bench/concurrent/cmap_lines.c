/* cmap_lines.c: the operations whose memory accesses bench/concurrent/lines counts; runs under valgrind's lackey.
 *
 * Thread A executes each verb LINES_OPS times on different keys, then thread B the same on the same keys, while A is
 * still there, so that they share no stack. Between operations a mark is written: to mark[0] after one, to mark[1 + verb]
 * before one, to mark[7] when B begins. The first line of output says where the marks are.
 */
#include "peer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { LINES_KEYS = 2000, LINES_OPS = 512, LINES_VERBS = 4 };

static const struct concurrent_peer *const peers[] = {
	&peer_cmap, &peer_mutex, &peer_rwlock,
#ifdef HAVE_URCU
	&peer_urcu,
#endif
#ifdef HAVE_CK
	&peer_ck,
#endif
#ifdef HAVE_TBB
	&peer_tbb,
#endif
};

static _Alignas(64) volatile uint64_t mark[8];
static pthread_barrier_t turn;
static void *map;
static const struct concurrent_peer *peer;

static void lines_do(unsigned verb, uint64_t key)
{
	uint64_t value;
	mark[1 + verb] = 1;
	switch (verb) {
	case 0: (void)peer->load(map, key, &value); break;
	case 1: peer->store(map, key, key); break;
	case 2: peer->erase(map, key); break;
	default: peer->store(map, key, key); break; /* inserts what was erased */
	}
	mark[0] = 1;
	if (peer->rest != NULL)
		peer->rest();
}

static void *lines_thread(void *ctx)
{
	const int second = ctx != NULL;
	if (peer->thread_in != NULL)
		peer->thread_in();
	uint64_t warm;
	(void)peer->load(map, 1, &warm); /* what a thread's first operation sets up does not count */
	peer->store(map, 1, 1);
	if (second) {
		pthread_barrier_wait(&turn);
		mark[7] = 1;
	}
	for (unsigned verb = 0; verb < LINES_VERBS; verb++)
		for (uint64_t i = 0; i < LINES_OPS; i++)
			lines_do(verb, i * 3);
	if (!second)
		pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn); /* neither ends before the other */
	if (peer->thread_out != NULL)
		peer->thread_out();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t a, b;
	for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
		if (argc == 2 && strcmp(argv[1], peers[i]->name) == 0)
			peer = peers[i];
	if (peer == NULL) {
		for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
			printf("%s\n", peers[i]->name);
		return argc == 1 ? 0 : 2;
	}
	printf("marks %p\n", (void *)(uintptr_t)mark);
	fflush(stdout);
	map = peer->make();
	if (peer->thread_in != NULL)
		peer->thread_in();
	for (uint64_t key = 0; key < LINES_KEYS; key++)
		peer->store(map, key, key);
	if (peer->thread_out != NULL)
		peer->thread_out();
	pthread_barrier_init(&turn, NULL, 2);
	if (pthread_create(&a, NULL, lines_thread, NULL) != 0 ||
	    pthread_create(&b, NULL, lines_thread, &turn) != 0)
		return 1;
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	return 0;
}
