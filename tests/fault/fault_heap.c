/* fault_heap.c: every system call and thread creation of the heap refused, the first, the second, ...; once, and from
 * then on.
 *
 * The heap is one for a process and starts but once, so each refusal has a process of its own: it counts from before
 * the first call. A refused request returns NULL and nothing else changes: all stamps are whole, all laws hold,
 * what was not returned is not taken for returned; and when the system relents everything works again.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "heap/internal.h"
#include "neap/map.h"

enum { BLOCKS = 600, MORE_SPACE = 24 << 20, NOT_REACHED = 77 };

static _Atomic unsigned asked;
static unsigned refuse_at;
static bool sticky;
static const char *refused_call;

static bool refuses(const char *call)
{
	unsigned number = atomic_fetch_add(&asked, 1) + 1;
	bool refuse = sticky ? number >= refuse_at : number == refuse_at;
	if (refuse && refused_call == NULL)
		refused_call = call;
	return refuse;
}

static _Noreturn void wrong(const char *what)
{
	fprintf(stderr, "fault_heap: %s, call %u (%s) refused%s\n", what, refuse_at,
		refused_call != NULL ? refused_call : "none", sticky ? " and all after it" : "");
	_exit(1);
}

struct stamped {
	unsigned char *block;
	size_t size;
};

static struct stamped table[BLOCKS];

static void check_stamp(unsigned i)
{
	unsigned char stamp = (unsigned char)(i | 1);
	if (table[i].block != NULL &&
	    (table[i].block[0] != stamp || table[i].block[table[i].size - 1] != stamp))
		wrong("a stamp is broken");
}

static void keep(unsigned i, void *block, size_t size)
{
	table[i] = (struct stamped){block, size};
	if (block != NULL) {
		table[i].block[0] = (unsigned char)(i | 1);
		table[i].block[size - 1] = (unsigned char)(i | 1);
	}
}

/* A block of every kind of way in, and now and then a resized one. */
static void fill_table(void)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t size = i % 50 == 49 ? (size_t)i << 11 : 1 + (size_t)i * 53 % 9000;
		void *block = i % 7 == 0   ? neap_heap_alloc_with(size, (size_t)64 << i % 9, NEAP_HEAP_ZERO)
			      : i % 7 == 1 ? neap_heap_alloc_with(size, 16, NEAP_HEAP_NO_POINTERS)
			      : i % 7 == 2 ? neap_heap_calloc(1, size)
					   : neap_heap_alloc(size);
		if (i % 7 == 0 || i % 7 == 2)
			for (size_t at = 0; block != NULL && at < size; at += 61)
				if (((char *)block)[at] != 0)
					wrong("a block is not zero");
		keep(i, block, size);
		if (i % 5 == 4 && block != NULL) {
			void *moved = neap_heap_realloc(block, size * 3);
			if (moved != NULL)
				keep(i, moved, size * 3);
		}
	}
}

static void drop_some(unsigned step)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		check_stamp(i);
		if (i % step != 0)
			continue;
		neap_heap_free(table[i].block);
		table[i].block = NULL;
	}
}

static void *on_a_thread(void *unused)
{
	void *blocks[64];
	for (unsigned i = 0; i < 64; i++)
		blocks[i] = neap_heap_alloc(48 + i * 16);
	for (unsigned i = 0; i < 64; i++)
		neap_heap_free(blocks[i]);
	return unused;
}

static void work(void)
{
	static const struct neap_map_type type = {
		.size = sizeof type, .key_size = 8, .key_align = 8, .value_size = 8, .value_align = 8};
	struct neap_map_options options = {.allocator = neap_heap_allocator()};
	pthread_t thread;
	fill_table();
	struct neap_map *map = neap_map_create(&type, &options);
	for (uint64_t key = 0; map != NULL && key < 500; key++)
		if (neap_map_put(map, &key, &key) == NEAP_OK && neap_map_get(map, &key) == NULL)
			wrong("the map lost a key");
	if (pthread_create(&thread, NULL, on_a_thread, NULL) == 0)
		pthread_join(thread, NULL);
	drop_some(3);
	(void)neap_heap_return();
	char *large = neap_heap_alloc(MORE_SPACE); /* past what was committed at first */
	if (large != NULL)
		large[MORE_SPACE - 1] = 1;
	neap_heap_free(large); /* enough to start the returning thread */
	neap_map_destroy(map);
	(void)neap_heap_return();
	drop_some(1);
}

static void expect_whole(void)
{
	const char *broken = neap__heap_check();
	if (broken != NULL)
		wrong(broken);
	struct neap_heap_stats stats = {.size = sizeof stats};
	if (neap_heap_stats(&stats) == NEAP_OK && stats.live_blocks != 0)
		wrong("blocks are left over");
}

/* One process: the n-th call refused. Its exit status says whether there was an n-th call. */
static int trial(void)
{
	neap__os_fail = refuses;
	work();
	expect_whole();
	neap__os_fail = NULL;
	bool reached = atomic_load(&asked) >= refuse_at;
	fill_table();
	for (unsigned i = 0; i < BLOCKS; i++)
		if (table[i].block == NULL)
			wrong("no memory although the system relented");
	drop_some(1);
	(void)neap_heap_return();
	expect_whole();
	struct neap_heap_stats stats = {.size = sizeof stats};
	if (neap_heap_stats(&stats) != NEAP_OK || stats.free_held_bytes > (2u << 20))
		wrong("pages were not returned although the system relented");
	return reached ? 0 : NOT_REACHED;
}

int main(void)
{
	unsigned counts[2];
	for (unsigned pass = 0; pass < 2; pass++) {
		sticky = pass != 0;
		for (refuse_at = 1;; refuse_at++) {
			pid_t child = fork();
			if (child < 0)
				return 1;
			if (child == 0) {
				alarm(60);
				_exit(trial());
			}
			int status;
			if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
				fprintf(stderr, "fault_heap: refusing call %u ended a process\n", refuse_at);
				return 1;
			}
			if (WEXITSTATUS(status) == NOT_REACHED)
				break;
			if (WEXITSTATUS(status) != 0)
				return 1;
		}
		counts[pass] = refuse_at - 1;
	}
	printf("fault_heap: %u calls refused once, %u from then on\n", counts[0], counts[1]);
	return counts[0] < 10 || counts[1] < 5; /* fewer: the work does not reach the system any more */
}
