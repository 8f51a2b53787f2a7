/* model_heap.c: random commands against a table of blocks with stamps, on several threads that swap blocks.
 *
 * usage: model_heap [COMMANDS [SEED]]
 *
 * Each thread owns a share of the table; one command in sixteen hands a block to another thread through a shared slot,
 * so that blocks are freed where they were not made. Every block carries a stamp in all its bytes (in its ends,
 * when it is large), which is checked before it is resized or freed: two blocks that overlap break one. Threads
 * end and are made anew in rounds; after each round the laws of the whole heap are checked.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/internal.h"

enum { THREADS = 4, ROUNDS = 8, SLOTS = 2000, SHARED = 64, LARGEST = 8 << 20, STAMPED = 4096 };

struct entry {
	unsigned char *block;
	size_t size;
	unsigned char stamp;
};

struct worker {
	pthread_t thread;
	uint64_t random;
	unsigned long commands;
	struct entry table[SLOTS];
};

static struct worker workers[THREADS];
static struct entry shared[SHARED];
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

static void wrong(const char *what)
{
	fprintf(stderr, "model_heap: %s\n", what);
	abort();
}

static uint64_t next(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

/* Mostly small, each doubling as likely as the next, and now and then up to 8 MB. */
static size_t some_size(struct worker *w)
{
	unsigned bits = next(w) % 64 == 0 ? (unsigned)(next(w) % 24) : (unsigned)(next(w) % 14);
	size_t size = (size_t)(next(w) % ((uint64_t)1 << bits));
	return size < LARGEST ? size : LARGEST;
}

static size_t stamped_end(size_t size)
{
	return size < STAMPED ? size : STAMPED;
}

static void stamp(struct entry *entry)
{
	size_t end = stamped_end(entry->size);
	memset(entry->block, entry->stamp, end);
	memset(entry->block + entry->size - end, entry->stamp, end);
}

static void verify(const struct entry *entry)
{
	size_t end = stamped_end(entry->size);
	for (size_t i = 0; i < end; i++)
		if (entry->block[i] != entry->stamp)
			wrong("a block's first bytes changed");
	for (size_t i = entry->size - end; i < entry->size; i++)
		if (entry->block[i] != entry->stamp)
			wrong("a block's last bytes changed");
}

static void make(struct worker *w, struct entry *entry)
{
	size_t align = (size_t)1 << next(w) % 14;
	unsigned flags = (unsigned)(next(w) % 4);
	entry->size = some_size(w);
	entry->block = neap_heap_alloc_with(entry->size, align, flags);
	entry->stamp = (unsigned char)(next(w) | 1);
	if (entry->block == NULL)
		wrong("no memory");
	if ((uintptr_t)entry->block % align != 0 || neap_heap_usable(entry->block) < entry->size)
		wrong("alignment or size");
	for (size_t i = 0; (flags & NEAP_HEAP_ZERO) != 0 && i < entry->size; i++)
		if (entry->block[i] != 0)
			wrong("not zero");
	stamp(entry);
}

static void resize(struct worker *w, struct entry *entry)
{
	size_t size = some_size(w), less = size < entry->size ? size : entry->size;
	verify(entry);
	entry->block = neap_heap_realloc(entry->block, size);
	if (entry->block == NULL)
		wrong("no memory");
	/* Only the first bytes are known to be stamped when the end was cut off. */
	size_t known = stamped_end(less);
	for (size_t i = 0; i < known; i++)
		if (entry->block[i] != entry->stamp)
			wrong("realloc lost bytes");
	entry->size = size;
	stamp(entry);
}

static void drop(struct entry *entry)
{
	verify(entry);
	neap_heap_free(entry->block);
	entry->block = NULL;
}

static void swap_shared(struct worker *w, struct entry *entry)
{
	struct entry *other = &shared[next(w) % SHARED], keep = *entry;
	pthread_mutex_lock(&shared_lock);
	*entry = *other;
	*other = keep;
	pthread_mutex_unlock(&shared_lock);
}

static void *work(void *of)
{
	struct worker *w = of;
	for (unsigned long i = 0; i < w->commands; i++) {
		struct entry *entry = &w->table[next(w) % SLOTS];
		if (next(w) % 16 == 0)
			swap_shared(w, entry);
		else if (entry->block == NULL)
			make(w, entry);
		else if (next(w) % 4 == 0)
			resize(w, entry);
		else
			drop(entry);
		if (next(w) % 65536 == 0)
			(void)neap_heap_return();
	}
	return NULL;
}

static void check_whole(void)
{
	const char *broken = neap__heap_check();
	if (broken != NULL)
		wrong(broken);
}

static uint64_t live_blocks(void)
{
	struct neap_heap_stats stats = {.size = sizeof stats};
	if (neap_heap_stats(&stats) != NEAP_OK)
		wrong("no stats");
	return stats.live_blocks;
}

int main(int argc, char **argv)
{
	unsigned long commands = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : UINT64_C(0x5eed);
	printf("model_heap: %lu commands, seed %llu\n", commands, (unsigned long long)seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < THREADS; i++) {
			workers[i].random = (seed + round * THREADS + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
			workers[i].commands = commands / ROUNDS / THREADS;
			if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
				wrong("no thread");
		}
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(workers[i].thread, NULL);
		check_whole();
		uint64_t held = 0;
		for (unsigned i = 0; i < THREADS; i++)
			for (unsigned slot = 0; slot < SLOTS; slot++)
				held += workers[i].table[slot].block != NULL;
		for (unsigned slot = 0; slot < SHARED; slot++)
			held += shared[slot].block != NULL;
		if (held != live_blocks())
			wrong("the heap counts other live blocks than the model");
	}
	for (unsigned i = 0; i < THREADS; i++)
		for (unsigned slot = 0; slot < SLOTS; slot++)
			if (workers[i].table[slot].block != NULL)
				drop(&workers[i].table[slot]);
	for (unsigned slot = 0; slot < SHARED; slot++)
		if (shared[slot].block != NULL)
			drop(&shared[slot]);
	(void)neap_heap_return();
	check_whole();
	if (live_blocks() != 0)
		wrong("blocks left over");
	return 0;
}
