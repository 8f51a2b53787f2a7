/* span_life.c: the life of one span, from a free run to the system and back into use, seen at each step.
 *
 * In a process of its own, so that no other block is in the way. A span of 256-byte blocks has 16 pages of 16 blocks.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "lab/lab.h"
#include "neap/heap.h"

enum {
	SIZE = 256,
	SPAN = 64 << 10,
	IN_SPAN = SPAN / SIZE,
	ON_PAGE = 4096 / SIZE,
	DECAY_BLOCKS = 40000, /* 10 MB */
	DECAY_KEPT_ONE_IN = 400,
	DECAY_MOST_S = 30, /* the thread needs 1.5 s of an idle machine */
	TURNS = 20000	   /* spans that pass through the run afterwards */
};

struct life {
	struct neap_heap_place born, filled, thinned, punched, emptied, returned;
	struct neap_heap_place remote_before, remote_after;
	uint64_t live_before, live_remote, live_after;
	size_t given_thinned, given_punched, given_empty;
	size_t decay_full, decay_left, decay_s10; /* bytes, tenths of a second */
	size_t space_before, space_after;	  /* address space in use, bytes */
	bool reused;
};

static struct neap_heap_place place_of(const void *address)
{
	struct neap_heap_place place = {.size = sizeof place};
	(void)neap_heap_find(address, &place);
	return place;
}

static struct neap_heap_stats life_stats(void)
{
	struct neap_heap_stats stats = {.size = sizeof stats};
	(void)neap_heap_stats(&stats);
	return stats;
}

static size_t resident_now(void)
{
	struct neap_heap_stats stats = life_stats();
	return (size_t)(stats.live_bytes + stats.free_held_bytes);
}

static void *free_on_thread(void *block)
{
	neap_heap_free(block);
	return NULL; /* the end of a thread gives its cache back */
}

/* The blocks of the first span and one that no longer fits into it: blocks[0 .. IN_SPAN]. */
static void fill_span(struct life *life, char **blocks)
{
	blocks[0] = neap_heap_alloc(SIZE);
	life->born = place_of(blocks[0]);
	for (unsigned i = 1; i <= IN_SPAN; i++)
		blocks[i] = neap_heap_alloc(SIZE);
	for (unsigned i = 0; i <= IN_SPAN; i++)
		blocks[i][0] = 1;
	life->filled = place_of(blocks[0]);
}

static void thin_and_empty(struct life *life, char **blocks)
{
	for (unsigned i = 0; i < IN_SPAN; i++)
		if (i % ON_PAGE != 0)
			neap_heap_free(blocks[i]);
	life->given_thinned = neap_heap_return();
	life->thinned = place_of(blocks[0]);
	for (unsigned i = ON_PAGE; i < IN_SPAN; i += ON_PAGE)
		neap_heap_free(blocks[i]);
	life->given_punched = neap_heap_return();
	life->punched = place_of(blocks[0]);
	neap_heap_free(blocks[0]);
	life->emptied = place_of(blocks[0]);
	neap_heap_free(blocks[IN_SPAN]);
	life->given_empty = neap_heap_return();
	life->returned = place_of(blocks[0]);
}

/* A block that another thread frees comes back through the owner of its span. */
static void free_remotely(struct life *life)
{
	char *block = neap_heap_alloc(SIZE);
	pthread_t thread;
	life->remote_before = place_of(block);
	life->live_before = life_stats().live_blocks;
	if (pthread_create(&thread, NULL, free_on_thread, block) == 0)
		pthread_join(thread, NULL);
	life->live_remote = life_stats().live_blocks;
	life->remote_after = place_of(block);
	(void)neap_heap_return();
	life->live_after = life_stats().live_blocks;
}

static size_t space_now(void)
{
	struct neap_heap_stats stats = life_stats();
	return (size_t)(stats.live_bytes + stats.free_held_bytes + stats.returned_bytes);
}

/* Blocks of every size pass through. Once each class has had its span, the address space must not grow any more. */
static void reuse(struct life *life, const void *old)
{
	for (unsigned i = 0; i < TURNS; i++) {
		if (i == TURNS / 2)
			life->space_before = space_now();
		size_t size = 16 + (size_t)i * 37 % 8000;
		char *block = neap_heap_alloc(size);
		block[0] = 1;
		life->reused |= place_of(block).span == old;
		neap_heap_free(block);
		if (i % 200 == 0)
			(void)neap_heap_return();
	}
	life->space_after = space_now();
}

static void decay(struct life *life)
{
	static char *blocks[DECAY_BLOCKS];
	for (unsigned i = 0; i < DECAY_BLOCKS; i++) {
		blocks[i] = neap_heap_alloc(SIZE);
		blocks[i][0] = 1;
	}
	life->decay_full = resident_now();
	for (unsigned i = 0; i < DECAY_BLOCKS; i++)
		if (i % DECAY_KEPT_ONE_IN != 0)
			neap_heap_free(blocks[i]);
	do {
		nanosleep(&(struct timespec){0, 100000000}, NULL);
		life->decay_s10++;
		life->decay_left = resident_now();
	} while (life->decay_left > life->decay_full / 10 && life->decay_s10 < DECAY_MOST_S * 10);
}

static int span_life_child(void *ctx)
{
	struct life *life = ctx;
	static char *blocks[IN_SPAN + 1];
	free_remotely(life);
	(void)neap_heap_return();
	fill_span(life, blocks);
	thin_and_empty(life, blocks);
	reuse(life, life->born.span);
	decay(life);
	return 0;
}

static void life_line(struct result *result, const char *what, const struct neap_heap_place *at, size_t given)
{
	static const char *const names[] = {"outside", "free run", "large", "owned", "listed", "full"};
	result_say(result, "  %-34s%-10s%6u%6u%9zu%12zu", what, names[at->state], at->used, at->free_index,
		   at->resident_bytes / 4096, given);
}

static void check_steps(struct result *result, const struct life *life)
{
	result_check(result,
		     life->born.state == NEAP_HEAP_OPEN && life->born.blocks == IN_SPAN &&
			     life->born.used == life->born.free_index && life->born.used < IN_SPAN,
		     "a first malloc takes a span of %u blocks and %u of them in advance; the rest of its "
		     "pages is "
		     "not resident",
		     life->born.blocks, life->born.used);
	result_check(result,
		     life->filled.state == NEAP_HEAP_FULL && life->filled.used == IN_SPAN &&
			     life->filled.resident_bytes == SPAN,
		     "a full span leaves its thread and every list");
	result_check(result,
		     life->thinned.used == SPAN / 4096 && life->thinned.resident_bytes == SPAN &&
			     life->thinned.state == NEAP_HEAP_PARTIAL,
		     "a block on each page keeps all %u pages: %u of %u blocks hold 100 %% of the memory",
		     SPAN / 4096, life->thinned.used, IN_SPAN);
	result_check(
		result,
		life->punched.used == 1 && life->punched.resident_bytes == 4096 &&
			life->given_punched >= SPAN - 4096,
		"a page goes back when its last block does, though the span is in use: %zu of %u bytes stay",
		life->punched.resident_bytes, SPAN);
	result_check(result, life->returned.state == NEAP_HEAP_FREE && life->returned.resident_bytes == 0,
		     "an empty span is a free run again, and none of it is resident");
	result_check(
		result, life->reused && life->space_after <= life->space_before + (1u << 20),
		"%s blocks of all sizes later the same addresses have been spans of other classes; in the "
		"second half the address space grew by %zu KB",
		thousands(TURNS), (life->space_after - life->space_before) >> 10);
}

static void run_span_life(struct lab *lab)
{
	struct life *life = lab_share(lab, sizeof *life);
	if (life == NULL || !lab_child(lab, "the life of a span", span_life_child, life))
		return;
	struct result *result = &lab->result;
	result_say(result, "  one span of 64 KB, 256 blocks     STATE       USED  NEXT    PAGES    RETURNED");
	life_line(result, "first malloc", &life->born, 0);
	life_line(result, "256 mallocs more", &life->filled, 0);
	life_line(result, "all freed but one on each page", &life->thinned, life->given_thinned);
	life_line(result, "all freed but one", &life->punched, life->given_punched);
	life_line(result, "the last one freed (and cached)", &life->emptied, 0);
	life_line(result, "returned", &life->returned, life->given_empty);
	result_say(result, "  RETURNED: bytes that the heap gave back in the call before the line");
	check_steps(result, life);
	result_check(
		result,
		life->live_remote == life->live_before - 1 &&
			life->remote_after.used == life->remote_before.used &&
			life->live_after == life->live_remote,
		"a block freed by another thread is counted at once and waits for the owner of its span: %u "
		"blocks taken before and after",
		life->remote_after.used);
	result_say(result, "\n  10 MB, 1 block in 400 kept, no call: %s of %s MB resident after %.1f s",
		   megabytes((double)life->decay_left), megabytes((double)life->decay_full),
		   (double)life->decay_s10 / 10);
	result_check(result, life->decay_left * 10 <= life->decay_full,
		     "an idle program gets its pages back by itself, also those between blocks in use: after "
		     "%.1f s",
		     (double)life->decay_s10 / 10);
	result_figure(result, (double)life->decay_s10 / 10, "s", "decay");
	result_figure(result, (double)life->decay_left, "bytes", "decay_left");
	result_figure(result, (double)life->punched.resident_bytes, "bytes", "one_block_keeps");
}

const struct experiment experiment_span_life = {
	.name = "span-life",
	.claim = "A span goes from a free run to its thread, to full, to listed and back to a free run; its "
		 "pages "
		 "return to the system one by one as their last block is freed, by a call or by themselves.",
	.method = "One span is followed through neap_heap_find; then 10 MB are freed but for single blocks, "
		  "and "
		  "nothing is called.",
	.run = run_span_life,
};
