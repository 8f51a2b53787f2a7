/* fork_heap.c: fork while other threads are inside the heap. The child has one thread and a whole heap: it allocates,
 * frees what the parent made, starts threads of its own and returns pages; the parent goes on as if nothing was.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/internal.h"

enum { THREADS = 3, SLOTS = 400, FORKS = 60, MINE = 2000 };

static atomic_bool stop;
static unsigned char *mine[MINE]; /* the main thread's, filled with their index */

static size_t size_of(unsigned i)
{
	return 1 + (size_t)i * 97 % 5000;
}

static bool make(unsigned char **slot, unsigned i)
{
	*slot = neap_heap_alloc(size_of(i));
	if (*slot != NULL)
		memset(*slot, (int)(i & 0xff), size_of(i));
	return *slot != NULL;
}

static bool whole(const unsigned char *block, unsigned i)
{
	for (size_t at = 0; at < size_of(i); at++)
		if (block[at] != (i & 0xff))
			return false;
	return true;
}

/* Replaces blocks until it is told to stop, or `turns` times. False: a block changed, or no memory. */
static bool churn(unsigned seed, unsigned turns)
{
	unsigned char *slots[SLOTS] = {NULL};
	bool good = true;
	for (unsigned turn = 0; good && (turns != 0 ? turn < turns : !atomic_load(&stop)); turn++) {
		seed = seed * 1664525 + 1013904223;
		unsigned i = seed >> 16 & 511;
		if (i >= SLOTS)
			continue;
		if (slots[i] != NULL)
			good = whole(slots[i], i);
		neap_heap_free(slots[i]);
		good = make(&slots[i], i) && good;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		good = (slots[i] == NULL || whole(slots[i], i)) && good;
		neap_heap_free(slots[i]);
	}
	return good;
}

static void *churn_thread(void *seed)
{
	return churn(*(unsigned *)seed, 0) ? NULL : seed;
}

static void *churn_in_child(void *seed)
{
	return churn(*(unsigned *)seed, 3000) ? NULL : seed;
}

/* What a child does; its exit status: the step that went wrong, or 0. */
static int child_work(unsigned number)
{
	pthread_t thread;
	void *broken;
	for (unsigned i = 0; i < MINE; i++) {
		if (!whole(mine[i], i))
			return 1;
		neap_heap_free(mine[i]);
	}
	if (!churn(number, 3000))
		return 2;
	if (pthread_create(&thread, NULL, churn_in_child, &number) != 0 ||
	    pthread_join(thread, &broken) != 0 || broken != NULL)
		return 3;
	(void)neap_heap_return();
	void *large = neap_heap_alloc(1 << 20);
	neap_heap_free(large);
	return large != NULL ? 0 : 4;
}

int main(void)
{
	pthread_t threads[THREADS];
	unsigned seeds[THREADS];
	for (unsigned i = 0; i < MINE; i++)
		if (!make(&mine[i], i))
			return 1;
	for (unsigned i = 0; i < THREADS; i++) {
		seeds[i] = i + 1;
		if (pthread_create(&threads[i], NULL, churn_thread, &seeds[i]) != 0)
			return 1;
	}
	for (unsigned number = 0; number < FORKS; number++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(60);
			_exit(child_work(number));
		}
		int status = 0;
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 0) {
			fprintf(stderr, "fork_heap: child %u went wrong: %x\n", number, (unsigned)status);
			return 1;
		}
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < THREADS; i++) {
		void *broken;
		pthread_join(threads[i], &broken);
		if (broken != NULL)
			return 1;
	}
	for (unsigned i = 0; i < MINE; i++) {
		if (!whole(mine[i], i))
			return 1;
		neap_heap_free(mine[i]);
	}
	const char *law = neap__heap_check();
	if (law != NULL)
		fprintf(stderr, "fork_heap: law broken: %s\n", law);
	return law != NULL;
}
