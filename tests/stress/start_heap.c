/* start_heap.c: the first calls of the heap, on several threads at once: free(NULL), which starts nothing, among them.
 * ThreadSanitizer looks at what they read of a heap that another thread is just starting.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "neap/heap.h"

enum { THREADS = 8, BLOCKS = 1000 };

static void *first_calls(void *ret_good)
{
	void *blocks[BLOCKS];
	bool good = true;
	neap_heap_free(NULL);
	for (unsigned i = 0; i < BLOCKS; i++) {
		blocks[i] = neap_heap_alloc(i + 1);
		good &= blocks[i] != NULL && memset(blocks[i], 1, i + 1) == blocks[i];
		neap_heap_free(NULL);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		neap_heap_free(blocks[i]);
	*(bool *)ret_good = good;
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	bool good[THREADS] = {false}, all = true;
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, first_calls, &good[i]) != 0)
			return 1;
	neap_heap_free(NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		all &= good[i];
	}
	if (!all)
		fprintf(stderr, "start_heap: a block was not there\n");
	return all ? 0 : 1;
}
