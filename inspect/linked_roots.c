/* linked_roots.c: what a program in C has at hand. See linked_graph.h.
 *
 *   static        writable segments of the program and of every library, without what only the loader writes
 *   stack         of each thread, from its stack pointer (and the 128 bytes below that it may use) to its thread pointer,
 *                 or to the end of the memory
 *   thread-local  what the vector at the thread pointer + 8 says: blocks below the thread pointer, and chunks of libraries
 *                 that came later; the thread's own record above it, where pthread_setspecific keeps the first 32 values
 *   handles, ranges   of the collector
 *
 *     | ... stack ... | thread-local blocks | thread pointer: own address, vector, own address ... record |
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "linked_graph.h"

enum {
	RED_ZONE = 128,
	RECORD_BYTES = 2304, /* struct pthread of glibc 2.31 to 2.41, rounded up */
	MODULES_LIMIT = 4096,
	HEADERS_LIMIT = 64,
	HANDLES_LIMIT = 1 << 23,
	RANGES_LIMIT = 65536,
	VECTOR_AT = 8,
	VECTOR_ENTRY = 16,
};

#define STATIC_LOCAL_LIMIT (1ull << 24) /* bytes of thread-local data below a thread pointer */

void linked_add_root(struct linked_graph *graph, const struct linked_root *root)
{
	if (root->kind != LINKED_REGISTER && root->end <= root->start)
		return;
	graph->roots =
		make_room(graph->roots, graph->root_count, &graph->root_capacity, sizeof *graph->roots);
	graph->roots[graph->root_count++] = *root;
}

/* ---- Static data ---- */

/* Without the part that is read-only once the loader has run. */
static void add_segment(struct linked_graph *graph, uint64_t start, uint64_t end, uint64_t hole,
			uint64_t hole_end)
{
	struct linked_root root = {start, end, LINKED_STATIC, 0, true};
	if (hole < hole_end && hole >= start && hole_end <= end) {
		root.end = hole;
		linked_add_root(graph, &root);
		root.start = hole_end;
		root.end = end;
	}
	linked_add_root(graph, &root);
}

static void take_object(struct linked_graph *graph, const struct target_range *range)
{
	struct image *image = graph->process->image;
	const Elf64_Ehdr *header = image_at(image, range->start, sizeof *header);
	if (header == NULL || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > HEADERS_LIMIT ||
	    header->e_phoff % 8 != 0)
		return;
	const Elf64_Phdr *parts =
		image_at(image, range->start + header->e_phoff, header->e_phnum * sizeof *parts);
	struct linked_object object = {.path = range->path, .bias = range->start};
	uint64_t hole = 0, hole_end = 0, lowest = UINT64_MAX, highest = 0;
	for (unsigned i = 0; parts != NULL && i < header->e_phnum; i++)
		if (parts[i].p_type == PT_LOAD && parts[i].p_vaddr < lowest)
			lowest = parts[i].p_vaddr;
	if (lowest == UINT64_MAX)
		return;
	object.bias -= lowest & ~(uint64_t)(TARGET_PAGE - 1);
	for (unsigned i = 0; i < header->e_phnum; i++)
		if (parts[i].p_type == PT_GNU_RELRO) {
			hole = object.bias + parts[i].p_vaddr;
			hole_end = (hole + parts[i].p_memsz) & ~(uint64_t)(TARGET_PAGE - 1);
		}
	for (unsigned i = 0; i < header->e_phnum; i++) {
		uint64_t start = object.bias + parts[i].p_vaddr, end = start + parts[i].p_memsz;
		if (parts[i].p_type != PT_LOAD || end < start)
			continue;
		highest = end > highest ? end : highest;
		if ((parts[i].p_flags & PF_W) != 0)
			add_segment(graph, start, end, hole, hole_end);
	}
	object.start = range->start;
	object.end = highest;
	graph->objects = make_room(graph->objects, graph->object_count, &graph->object_capacity,
				   sizeof *graph->objects);
	graph->objects[graph->object_count++] = object;
}

static void take_objects(struct linked_graph *graph)
{
	const struct target *target = graph->process->target;
	const char *last = "";
	for (size_t i = 0; i < target->range_count; i++) {
		const struct target_range *range = &target->ranges[i];
		if (range->path[0] != '/' || strcmp(range->path, last) == 0)
			continue;
		last = range->path;
		if (range->readable)
			take_object(graph, range);
	}
}

/* ---- Threads ---- */

/* Blocks of libraries that came later are chunks. */
static void take_later_block(struct linked_graph *graph, uint64_t block, int thread)
{
	uint32_t node = linked_node_at(graph, block);
	if (node == LINKED_NO_NODE)
		return;
	uint64_t end = graph->nodes[node].start + graph->nodes[node].size;
	linked_add_root(graph, &(struct linked_root){block, end, LINKED_THREAD_LOCAL, thread, true});
}

/* Returns where the blocks below the thread pointer begin. */
static uint64_t take_thread_local(struct linked_graph *graph, uint64_t pointer, int thread)
{
	struct linked_process *process = graph->process;
	uint64_t vector = linked_word(process, pointer + VECTOR_AT), lowest = pointer;
	uint64_t modules = vector == 0 ? 0 : linked_word(process, vector - VECTOR_ENTRY);
	for (uint64_t i = 1; i <= modules && modules <= MODULES_LIMIT; i++) {
		uint64_t block = linked_word(process, vector + i * VECTOR_ENTRY);
		if (block < pointer && pointer - block < STATIC_LOCAL_LIMIT)
			lowest = block < lowest ? block : lowest;
		else
			take_later_block(graph, block, thread);
	}
	linked_add_root(graph,
			&(struct linked_root){lowest & ~7ull, pointer, LINKED_THREAD_LOCAL, thread, true});
	return lowest & ~7ull;
}

static bool is_thread_pointer(struct linked_process *process, uint64_t pointer)
{
	return pointer != 0 && pointer % 8 == 0 && linked_word(process, pointer) == pointer &&
	       linked_word(process, pointer + 16) == pointer;
}

static void take_thread(struct linked_graph *graph, int number)
{
	struct linked_process *process = graph->process;
	const struct target_thread *thread = &process->target->threads[number];
	const struct target_range *range = target_range_at(process->target, thread->sp);
	uint64_t pointer = thread->registers.fs_base, end = range == NULL ? 0 : range->end;
	if (is_thread_pointer(process, pointer)) {
		uint64_t lowest = take_thread_local(graph, pointer, number);
		const struct target_range *record = target_range_at(process->target, pointer);
		uint64_t record_end = record == NULL			     ? pointer
				      : record->end - pointer < RECORD_BYTES ? record->end
									     : pointer + RECORD_BYTES;
		/* a thread that pthread_create made has all this at the end of its stack, which the collector reads
		   as a whole */
		bool on_stack = lowest > thread->sp && pointer < end;
		linked_add_root(graph, &(struct linked_root){pointer + 2 * VECTOR_ENTRY, record_end,
							     LINKED_THREAD_LOCAL, number, on_stack});
		end = on_stack ? lowest : end;
	}
	if (range != NULL) {
		linked_add_own(graph, range->start,
			       thread->sp - range->start); /* what is left of calls that returned */
		uint64_t start = thread->sp - RED_ZONE > range->start ? thread->sp - RED_ZONE : range->start;
		linked_add_root(graph,
				&(struct linked_root){(start + 7) & ~7ull, end, LINKED_STACK, number, true});
	}
	for (uint64_t i = 0; thread->known && i < sizeof thread->registers / 8; i++)
		linked_add_root(graph, &(struct linked_root){i, i, LINKED_REGISTER, number, true});
}

/* ---- The collector ---- */

static void take_collector(struct linked_graph *graph)
{
	struct linked_process *process = graph->process;
	const enum linked_module gc = LINKED_GC;
	if (process->facts[gc].count == 0)
		return;
	uint64_t collector = linked_word(process, process->facts[gc].object +
							  linked_fact(process, gc, "neap__gc_view.gc"));
	uint64_t handles = linked_word(process, collector + linked_fact(process, gc, "neap__gc.handles")),
		 made = linked_word(process, collector + linked_fact(process, gc, "neap__gc.handles_made")),
		 ranges = linked_word(process, collector + linked_fact(process, gc, "neap__gc.ranges")),
		 stride = linked_fact(process, gc, "neap__gc_range");
	if (handles != 0 && made <= HANDLES_LIMIT)
		linked_add_root(graph,
				&(struct linked_root){handles, handles + made * 8, LINKED_HANDLE, 0, true});
	uint64_t count =
		ranges == 0 ? 0
			    : linked_word(process,
					  ranges + linked_fact(process, gc, "neap__gc_range_table.count"));
	for (uint64_t i = 0; i < count && count <= RANGES_LIMIT; i++) {
		uint64_t range = ranges + i * stride;
		linked_add_root(
			graph,
			&(struct linked_root){
				linked_word(process,
					    range + linked_fact(process, gc, "neap__gc_range.start")),
				linked_word(process, range + linked_fact(process, gc, "neap__gc_range.end")),
				LINKED_RANGE, 0, true});
	}
}

void linked_take_roots(struct linked_graph *graph)
{
	take_objects(graph);
	take_collector(graph);
	for (size_t i = 0; i < graph->process->target->thread_count; i++)
		take_thread(graph, (int)i);
}

/* ---- What is nobody's ---- */

static int compare_starts(const void *left, const void *right)
{
	const struct linked_extent *a = left, *b = right;
	return a->start < b->start ? -1 : a->start > b->start;
}

/* Everything that is somebody's: roots, the library's own memory, what malloc's arenas cover. Sorted and joined. */
static size_t list_known(const struct linked_graph *graph, struct linked_extent **ret)
{
	struct linked_extent *list = take(graph->own_count + graph->root_count + 1, sizeof *list);
	size_t count = 0, kept = 0;
	for (size_t i = 0; i < graph->own_count; i++)
		list[count++] = graph->own[i];
	for (size_t i = 0; i < graph->root_count; i++)
		if (graph->roots[i].kind != LINKED_REGISTER)
			list[count++] = (struct linked_extent){graph->roots[i].start, graph->roots[i].end, 0};
	qsort(list, count, sizeof *list, compare_starts);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || list[i].start > list[kept - 1].end)
			list[kept++] = list[i];
		else if (list[i].end > list[kept - 1].end)
			list[kept - 1].end = list[i].end;
	*ret = list;
	return kept;
}

static bool is_in(const struct linked_extent *known, size_t count, uint64_t page)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (known[middle].end <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && known[low].start < page + TARGET_PAGE;
}

static void take_stray(struct linked_graph *graph, const struct target_range *range,
		       const struct linked_extent *known, size_t count)
{
	struct linked_process *process = graph->process;
	struct linked_root root = {0, 0, LINKED_ELSEWHERE, 0, false};
	for (uint64_t at = linked_next_resident(process, range->start, range->end); at < range->end;
	     at = linked_next_resident(process, at + TARGET_PAGE, range->end)) {
		/* a chunk that is a mapping begins 16 bytes into its first page */
		if (is_in(known, count, at) || linked_node_at(graph, at) != LINKED_NO_NODE ||
		    linked_node_at(graph, at + TARGET_PAGE - 1) != LINKED_NO_NODE)
			continue;
		if (root.end != at) {
			linked_add_root(graph, &root);
			root.start = at;
		}
		root.end = at + TARGET_PAGE;
	}
	linked_add_root(graph, &root);
}

void linked_take_elsewhere(struct linked_graph *graph)
{
	const struct target *target = graph->process->target;
	struct linked_extent *known;
	size_t count = list_known(graph, &known);
	for (size_t i = 0; i < target->range_count; i++) {
		const struct target_range *range = &target->ranges[i];
		bool named = range->path[0] != '\0' && strcmp(range->path, "[heap]") != 0;
		if (range->readable && range->writable && !named)
			take_stray(graph, range, known, count);
	}
	free(known);
}
