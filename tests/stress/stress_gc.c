/* stress_gc.c: threads that come and go, move pointers between watched and barriered objects behind the marker's
 * back, free some by hand, fork in the middle of cycles; nothing reachable may change.
 *
 * usage: stress_gc [SECONDS [SEED]]      exits 1 at the first object that is not what it was
 *
 * Every cell knows a checksum of its own number; freed memory is overwritten (gccheckmark=1, which the test sets,
 * also traces a second time at the end of each cycle). The hostile move: the only pointer to an object is taken from
 * a place that was not read yet, put into one that was, and the first place is cleared.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "neap/gc.h"

enum { THREADS = 4, PLACES = 64, SHARED = 256, LIFE = 60000, TABLE = 500 };

struct cell {
	struct cell *next, *other;
	uint64_t number, sum;
};
NEAP_TYPE(cell_type, struct cell, next, other);

struct board {
	uint64_t mark;
	struct cell *places[TABLE];
};
NEAP_TYPE_BARRIERED(board_type, struct board, places);

struct plain_board {
	uint64_t mark;
	struct cell *places[TABLE];
};
NEAP_TYPE(plain_board_type, struct plain_board, places);

/* Each thread's own while it lives: old cells, large enough for marking to take milliseconds. */
#ifdef NEAP_HOSTILE
enum { BOARDS = 4 }; /* a cycle every 64 objects */
#else
enum { BOARDS = 60 };
#endif
static struct plain_board *decks[THREADS][BOARDS];

static struct cell *shared[SHARED];
static struct board *shared_board;
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool over;
static _Atomic uint64_t numbers, checks;

static uint64_t mixed(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	return x * UINT64_C(0x94d049bb133111eb);
}

static void verify(const struct cell *cell, const char *where)
{
	if (cell == NULL || cell->sum == mixed(cell->number))
		return;
	fprintf(stderr, "stress_gc: lost: %p in %s says %llx\n", (const void *)cell, where,
		(unsigned long long)cell->number);
	_exit(1);
}

static struct cell *make(struct cell *next)
{
	struct cell *cell = neap_gc_alloc(&cell_type);
	if (cell == NULL)
		abort();
	cell->number = atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed);
	cell->sum = mixed(cell->number);
	cell->next = next;
	return cell;
}

static void walk(const struct cell *cell, unsigned steps)
{
	for (; cell != NULL && steps > 0; steps--) {
		verify(cell, "a walk");
		verify(cell->other, "the side of a walk");
		cell = steps % 3 == 0 && cell->other != NULL ? cell->other : cell->next;
	}
	atomic_fetch_add_explicit(&checks, 1, memory_order_relaxed);
}

struct worker {
	uint64_t random;
	struct plain_board **deck;
	struct cell *places[PLACES]; /* on the thread's stack */
	struct board *board;
	struct plain_board *plain;
};

static unsigned next_random(struct worker *w, unsigned below)
{
	w->random += UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(mixed(w->random) >> 33) % below;
}

/* The only pointer changes places; which kinds of places is up to chance. */
static void move_hostile(struct worker *w)
{
	struct cell *cell = make(make(NULL));
	unsigned a = next_random(w, TABLE), b = next_random(w, TABLE);
	w->plain->places[a] = cell;
	cell = NULL;
	neap_store(&w->board->places[b], w->plain->places[a]);
	w->plain->places[a] = NULL;
	struct cell *holder = w->places[next_random(w, PLACES)];
	if (holder != NULL) {
		holder->other = w->board->places[b];
		neap_store(&w->board->places[b], NULL);
		verify(holder->other, "a hostile move");
		verify(holder->other->next, "behind a hostile move");
	}
}

/* Two old cells change places, one of which the marker may have passed and the other not. */
static void swap_old(struct worker *w)
{
	for (unsigned i = 0; w->deck != NULL && i < 20; i++) {
		struct cell **a = &w->deck[next_random(w, BOARDS)]->places[next_random(w, TABLE)];
		struct cell **b = &w->deck[next_random(w, BOARDS)]->places[next_random(w, TABLE)];
		struct cell *moved = *a;
		verify(moved, "a deck");
		*a = *b;
		*b = moved;
	}
}

static void fill_decks(void)
{
	for (unsigned t = 0; t < THREADS; t++)
		for (unsigned b = 0; b < BOARDS; b++) {
			decks[t][b] = neap_gc_alloc(&plain_board_type);
			for (unsigned i = 0; i < TABLE; i++)
				decks[t][b]->places[i] = make(NULL);
		}
}

static void share(struct worker *w)
{
	unsigned a = next_random(w, SHARED), p = next_random(w, PLACES);
	pthread_mutex_lock(&shared_lock);
	struct cell *taken = shared[a];
	shared[a] = w->places[p];
	struct cell *from_board = shared_board->places[a];
	neap_store(&shared_board->places[a], taken);
	pthread_mutex_unlock(&shared_lock);
	w->places[p] = from_board;
	verify(taken, "the shared table");
	walk(from_board, 20);
}

static void step(struct worker *w)
{
	unsigned p = next_random(w, PLACES), q = next_random(w, PLACES), t = next_random(w, TABLE);
	switch (next_random(w, 8)) {
	case 0: w->places[p] = make(next_random(w, 50) == 0 ? NULL : w->places[q]); break;
	case 1: move_hostile(w); break;
	case 2:
		share(w);
		swap_old(w);
		break;
	case 3: {
		struct cell *cell = make(NULL);
		neap_gc_free(cell);
		break;
	}
	case 4:
		neap_store(&w->board->places[t], w->places[p]);
		w->places[p] = w->plain->places[t];
		w->plain->places[t] = w->board->places[(t + 1) % TABLE];
		break;
	case 5:
		if (w->places[p] != NULL)
			w->places[p]->other = w->places[q];
		break;
	case 6:
		walk(w->places[p], 30);
		walk(w->plain->places[t], 30);
		walk(w->board->places[t], 30);
		break;
	default:
		if (next_random(w, 200) == 0) {
			memset((void *)w->places, 0, sizeof w->places);
			w->plain = neap_gc_alloc(&plain_board_type);
			w->board = neap_gc_alloc(&board_type);
		}
		(void)neap_gc_alloc_data(next_random(w, 400));
	}
}

static void *live_and_die(void *arg)
{
	struct worker w = {.random = (uintptr_t)arg, .deck = decks[(uintptr_t)arg % THREADS]};
	w.board = neap_gc_alloc(&board_type);
	w.plain = neap_gc_alloc(&plain_board_type);
	for (unsigned i = 0; i < LIFE && !atomic_load_explicit(&over, memory_order_relaxed); i++)
		step(&w);
	return NULL;
}

static void *collect_all_the_time(void *unused)
{
	(void)unused;
	while (!atomic_load(&over)) {
		neap_gc_collect();
		nanosleep(&(struct timespec){0, 2000000}, NULL);
	}
	return NULL;
}

static void fork_once(uint64_t seed)
{
	pid_t pid = fork();
	if (pid == 0) {
		alarm(30);
		pthread_mutex_init(&shared_lock, NULL); /* another thread may have held it */
		for (unsigned i = 0; i < SHARED; i++)
			walk(shared[i], 100);
		struct worker w = {.random = seed};
		w.board = neap_gc_alloc(&board_type);
		w.plain = neap_gc_alloc(&plain_board_type);
		for (unsigned i = 0; i < 3000; i++)
			if (i % 1000 == 0)
				neap_gc_collect();
			else
				step(&w);
		_exit(0);
	}
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0) {
		fprintf(stderr, "stress_gc: the child of a fork ended with %x\n", (unsigned)status);
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
	printf("stress_gc: seed %llu, %s\n", (unsigned long long)seed,
	       neap_gc_concurrent() ? "concurrent" : "stopping the world");
	shared_board = neap_gc_alloc(&board_type);
	fill_decks();
	pthread_t collector, threads[THREADS];
	pthread_create(&collector, NULL, collect_all_the_time, NULL);
	struct timespec begin, now;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	unsigned lives = 0, forks = 0;
	do {
		for (unsigned i = 0; i < THREADS; i++)
			if (pthread_create(&threads[i], NULL, live_and_die, (void *)(seed + ++lives)) != 0)
				abort();
		fork_once(seed + ++forks);
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
	atomic_store(&over, true);
	pthread_join(collector, NULL);
	printf("stress_gc: %u threads, %u forks, %llu cells, %llu walks\n", lives, forks,
	       (unsigned long long)numbers, (unsigned long long)checks);
	return 0;
}
