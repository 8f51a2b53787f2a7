/* linked_malloc.c: the chunks of glibc's malloc. See linked_graph.h.
 *
 *   chunk    | size before, when that is free | size, three flags | the program's bytes ...         | next chunk
 *   arena    chunks side by side up to the end of the heap segment, the last being what was never handed out ("top")
 *   heaps    of further threads' arenas: at multiples of 64 MB, a record with its size, and the arena in the first one
 *   mapped   a chunk that is a mapping of its own, flag 2
 *   cache    of a thread: counts and lists of freed chunks by size, in a chunk of its own; since glibc 2.32 a list's link
 *            is xored with its own address / 4096
 *
 * None of these are said by anybody: a walk is believed when it ends exactly where the memory ends. A chunk is free when
 * the next one says so, or when a thread's cache lists it.
 */
#include <string.h>

#include "linked_graph.h"

enum {
	HEAD = 16, /* from a chunk to the program's bytes */
	LEAST = 32,
	ALIGN = 16,
	BEFORE_IN_USE = 1,
	MAPPED = 2,
	FLAGS = 7,
	STARTS = 4096, /* bytes behind an arena's record in which its first chunk begins */
	RECORD_SIZE_AT = 16,
	TRIES = 4, /* of a walk through memory that changes */
	CACHE_BINS = 64,
	CACHE_LIST_LIMIT = 65536,
};

#define HEAP_SEGMENT (64ull << 20)

struct walk {
	struct linked_graph *graph;
	uint64_t stopped_at; /* where a chunk did not fit */
	bool add;
};

/* From `at` chunk by chunk; true when it ends at `end`. */
static bool walk_chunks(struct walk *walk, uint64_t at, uint64_t end)
{
	struct linked_graph *graph = walk->graph;
	uint64_t before = 0;
	while (at + LEAST <= end) {
		uint64_t word = linked_word(graph->process, at + 8), size = word & ~(uint64_t)FLAGS;
		bool top = at + size == end;
		walk->stopped_at = at;
		if (size < (top ? HEAD : LEAST) || size % ALIGN != 0 || size > end - at ||
		    (word & MAPPED) != 0)
			return false;
		/* the flag tells of the chunk before */
		if (walk->add && before != 0 && (word & BEFORE_IN_USE) != 0)
			linked_add_chunk(graph, before + HEAD, at, sizeof(uint64_t));
		before = at;
		at += size;
	}
	return at == end;
}

/* Believed, and then added. */
static bool take_stretch(struct linked_graph *graph, uint64_t start, uint64_t end)
{
	struct walk walk = {graph, 0, false};
	if (!walk_chunks(&walk, start, end))
		return false;
	walk.add = true;
	linked_add_own(graph, start, end - start);
	return walk_chunks(&walk, start, end);
}

/* The main arena: from the start of the heap segment. The process goes on, so that a chunk may be cut while it is read. */
static bool take_main(struct linked_graph *graph, const struct target_range *range)
{
	struct walk walk = {graph, 0, false};
	if (!graph->process->target->live) /* a core does not tell which range it is */
		return take_stretch(graph, range->start, range->end);
	if (strcmp(range->path, "[heap]") != 0)
		return false;
	for (unsigned i = 0; i < TRIES; i++) {
		if (take_stretch(graph, range->start, range->end))
			return true;
		(void)walk_chunks(&walk, range->start, range->end);
		if (walk.stopped_at == range->start || !graph->process->target->changing)
			return false;
		image_forget(graph->process->image, range->start, range->end - range->start);
	}
	graph->process->torn++;
	return false;
}

/* One heap segment of a thread's arena at a multiple of 64 MB. Returns its end, 0 when there is none. */
static uint64_t take_thread_heap(struct linked_graph *graph, uint64_t at, uint64_t limit)
{
	struct linked_process *process = graph->process;
	uint64_t arena = linked_word(process, at), size = linked_word(process, at + RECORD_SIZE_AT),
		 first = at + HEAD;
	if (size < TARGET_PAGE || size % TARGET_PAGE != 0 || size > limit - at || size > HEAP_SEGMENT ||
	    arena % HEAP_SEGMENT == 0 || target_range_at(process->target, arena) == NULL)
		return 0;
	if (arena - at < TARGET_PAGE) /* the record of the arena lies in its first segment */
		first = arena;
	for (uint64_t start = (first + ALIGN - 1) & ~(uint64_t)(ALIGN - 1); start < first + STARTS;
	     start += ALIGN) {
		uint64_t word = linked_word(process, start + 8);
		/* nothing comes before the first chunk, which says that it is in use */
		if ((word & BEFORE_IN_USE) != 0 && take_stretch(graph, start, at + size))
			return at + size;
	}
	return 0;
}

static uint64_t take_mapped(struct linked_graph *graph, uint64_t at, uint64_t limit)
{
	const uint64_t *head = image_at(graph->process->image, at, HEAD);
	if (head == NULL || head[0] != 0 || (head[1] & FLAGS) != MAPPED)
		return 0;
	uint64_t size = head[1] & ~(uint64_t)FLAGS;
	if (size < TARGET_PAGE || size % TARGET_PAGE != 0 || size > limit - at)
		return 0;
	linked_add_chunk(graph, at + HEAD, at + size, 0);
	return at + size;
}

static bool is_stack(const struct target *target, const struct target_range *range)
{
	for (size_t i = 0; i < target->thread_count; i++)
		if (target->threads[i].sp >= range->start && target->threads[i].sp < range->end)
			return true;
	return strncmp(range->path, "[stack", 6) == 0;
}

/* Heap segments and mapped chunks of a range without a name. Pages that were never touched are none. */
static void take_range(struct linked_graph *graph, const struct target_range *range)
{
	struct linked_process *process = graph->process;
	for (uint64_t at = range->start; at < range->end;) {
		uint64_t taken = linked_own_end(graph, at);
		if (taken == 0 && linked_resident(process, at, TARGET_PAGE) != 0) {
			if (at % HEAP_SEGMENT == 0)
				taken = take_thread_heap(graph, at, range->end);
			if (taken == 0)
				taken = take_mapped(graph, at, range->end);
		}
		at = taken > at ? taken : linked_next_resident(process, at + TARGET_PAGE, range->end);
	}
}

/* ---- Caches of threads ---- */

struct cache {
	uint64_t start;
	uint16_t counts[CACHE_BINS];
	uint64_t lists[CACHE_BINS];
};

/* The list of chunks of one size: all of that size, as many as the count says. Marks them gone when told to. */
static bool follow_list(struct linked_graph *graph, uint64_t entry, unsigned bin, unsigned count, bool mark)
{
	const uint64_t size = LEAST + (uint64_t)bin * ALIGN;
	unsigned length = 0;
	for (; entry != 0 && length < count; length++) {
		uint32_t node = linked_node_at(graph, entry);
		if (!mark && (node == LINKED_NO_NODE || graph->nodes[node].kind != LINKED_CHUNK ||
			      graph->nodes[node].start != entry || graph->nodes[node].size + HEAD != size))
			return false;
		uint64_t link = linked_word(graph->process, entry), next = link ^ entry >> 12;
		if (next % ALIGN != 0) /* before 2.32 */
			next = link;
		if (mark && node != LINKED_NO_NODE)
			graph->nodes[node].gone = true;
		entry = next;
	}
	return length == count;
}

/* A chunk is a thread's cache when all its lists are lists of such chunks. */
static bool is_cache(struct linked_graph *graph, const struct linked_node *node, bool mark)
{
	struct cache cache = {.start = node->start};
	unsigned chunks = 0;
	const uint8_t *bytes =
		image_at(graph->process->image, node->start, sizeof cache.counts + sizeof cache.lists);
	if (bytes == NULL)
		return false;
	memcpy(cache.counts, bytes, sizeof cache.counts);
	memcpy(cache.lists, bytes + sizeof cache.counts, sizeof cache.lists);
	for (unsigned bin = 0; bin < CACHE_BINS; bin++) {
		chunks += cache.counts[bin];
		if ((cache.counts[bin] == 0) != (cache.lists[bin] == 0) ||
		    (cache.counts[bin] != 0 &&
		     !follow_list(graph, cache.lists[bin], bin, cache.counts[bin], mark)))
			return false;
	}
	return chunks > 0 && chunks < CACHE_LIST_LIMIT;
}

/* What freed chunks still hold is nobody's. */
static void drop_cached(struct linked_graph *graph, size_t first)
{
	enum { CACHE_BYTES = CACHE_BINS * (2 + 8) };
	for (size_t i = first; i < graph->node_count; i++) {
		struct linked_node *node = &graph->nodes[i];
		if (node->kind != LINKED_CHUNK || node->size != CACHE_BYTES || !is_cache(graph, node, false))
			continue;
		(void)is_cache(graph, node, true);
		node->silent = true;
	}
}

void linked_take_chunks(struct linked_graph *graph)
{
	struct target *target = graph->process->target;
	size_t first = graph->node_count;
	for (size_t i = 0; i < target->range_count; i++) {
		const struct target_range *range = &target->ranges[i];
		bool named = range->path[0] != '\0' && strcmp(range->path, "[heap]") != 0;
		if (!range->readable || !range->writable || named || is_stack(target, range))
			continue;
		if (!take_main(graph, range))
			take_range(graph, range);
	}
	linked_sort_extents(graph);
	drop_cached(graph, first);
}
