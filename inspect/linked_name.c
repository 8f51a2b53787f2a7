/* linked_name.c: what roots and nodes of a program in C are called.
 *
 *   static        "sessions_by_user+8" by the symbols of the file, else the file and the offset: "libfoo.so+0x4010"
 *   stack         "stack of thread 4711, serve": the function whose frame the word lies in
 *   a node        "48-byte chunk of malloc", "struct session", "map sessions (map, strings, values of 4 B)"
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "linked_frames.h"

static const char *const register_names[] = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10",
					     "r9",  "r8",  "rax", "rcx", "rdx", "rsi", "rdi"};

struct linked_names {
	struct linked_graph *graph;
	struct program **files; /* by object; NULL until it was asked for, or when there is none to open */
	bool *tried;
	struct linked_frames *frames; /* by thread */
};

struct linked_names *linked_names_open(struct linked_graph *graph)
{
	struct linked_names *names = take(1, sizeof *names);
	names->graph = graph;
	names->files = take(graph->object_count, sizeof *names->files);
	names->tried = take(graph->object_count, sizeof *names->tried);
	names->frames = take(graph->process->target->thread_count, sizeof *names->frames);
	return names;
}

void linked_names_close(struct linked_names *names)
{
	for (size_t i = 0; i < names->graph->object_count; i++)
		program_close(names->files[i]);
	for (size_t i = 0; i < names->graph->process->target->thread_count; i++)
		free(names->frames[i].list);
	free(names->files);
	free(names->tried);
	free(names->frames);
	free(names);
}

struct program *linked_file_at(struct linked_names *names, uint64_t address, const struct linked_object **ret)
{
	struct linked_graph *graph = names->graph;
	const struct target *target = graph->process->target;
	for (size_t i = 0; i < graph->object_count; i++) {
		const struct linked_object *object = &graph->objects[i];
		if (address < object->start || address >= object->end)
			continue;
		/* the program itself may have another path here than there */
		bool own = target->entry >= object->start && target->entry < object->end;
		struct problem ignored = {0};
		if (!names->tried[i])
			names->files[i] = program_open_library(own ? target->program : object->path,
							       object->bias, &ignored);
		names->tried[i] = true;
		*ret = object;
		return names->files[i];
	}
	*ret = NULL;
	return NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash == NULL ? path : slash + 1;
}

static void symbol_name(const char *symbol, uint64_t offset, char *name, size_t size)
{
	if (offset == 0)
		snprintf(name, size, "%s", symbol);
	else
		snprintf(name, size, "%s+%" PRIu64, symbol, offset);
}

static void static_name(struct linked_names *names, uint64_t slot, char *name, size_t size)
{
	const struct linked_object *object;
	const struct program *file = linked_file_at(names, slot, &object);
	uint64_t offset;
	const char *symbol = file == NULL ? NULL : program_symbol_at(file, slot, &offset);
	if (symbol != NULL)
		symbol_name(symbol, offset, name, size);
	else if (object != NULL)
		snprintf(name, size, "static data of %s+0x%" PRIx64, base_name(object->path),
			 slot - object->bias);
	else
		snprintf(name, size, "static data at 0x%" PRIx64, slot);
}

/* A variable of the program is known by its place in the first block. */
static void local_name(struct linked_names *names, const struct linked_root *root, uint64_t slot, char *name,
		       size_t size)
{
	struct linked_process *process = names->graph->process;
	const struct target_thread *thread = &process->target->threads[root->thread];
	uint64_t pointer = thread->registers.fs_base, offset,
		 block = linked_word(process, linked_word(process, pointer + 8) + 16);
	const struct linked_object *object;
	const struct program *file = linked_file_at(names, process->target->entry, &object);
	const char *symbol = NULL;
	if (file != NULL && slot >= block && slot < pointer)
		symbol = program_symbol_at(file, PROGRAM_LOCAL + (slot - block), &offset);
	int used = snprintf(name, size, "thread-local data of thread %d", thread->id);
	if (symbol != NULL && used > 0 && (size_t)used + 2 < size) {
		memcpy(name + used, ", ", 3);
		symbol_name(symbol, offset, name + used + 2, size - (size_t)used - 2);
	}
}

static void stack_name(struct linked_names *names, const struct linked_root *root, uint64_t slot, char *name,
		       size_t size)
{
	int thread = names->graph->process->target->threads[root->thread].id;
	const char *function =
		linked_frame_function(names, names->graph, root->thread, &names->frames[root->thread], slot);
	if (function != NULL)
		snprintf(name, size, "stack of thread %d, %s", thread, function);
	else
		snprintf(name, size, "stack of thread %d, 0x%" PRIx64, thread, slot);
}

void linked_root_name(struct linked_names *names, const struct linked_root *root, uint64_t slot, char *name,
		      size_t size)
{
	const struct target *target = names->graph->process->target;
	switch (root->kind) {
	case LINKED_STATIC: static_name(names, slot, name, size); return;
	case LINKED_THREAD_LOCAL: local_name(names, root, slot, name, size); return;
	case LINKED_STACK: stack_name(names, root, slot, name, size); return;
	case LINKED_REGISTER:
		snprintf(name, size, "register %s of thread %d",
			 root->start < sizeof register_names / sizeof *register_names
				 ? register_names[root->start]
				 : "(special)",
			 target->threads[root->thread].id);
		return;
	case LINKED_HANDLE: snprintf(name, size, "handle 0x%" PRIx64, slot); return;
	case LINKED_RANGE:
		snprintf(name, size, "a range named by neap_gc_root_add, 0x%" PRIx64, slot);
		return;
	case LINKED_ELSEWHERE:
		snprintf(name, size,
			 "memory that is nobody's here (another allocator's, or mapped), 0x%" PRIx64, slot);
		return;
	}
}

/* ---- Nodes ---- */

static void object_name(struct linked_graph *graph, const struct linked_node *node, char *name, size_t size)
{
	struct linked_process *process = graph->process;
	const enum linked_module gc = LINKED_GC;
	if (node->what == LINKED_NO_TYPE || node->what == linked_fact(process, gc, "type_words")) {
		snprintf(name, size, "%" PRIu64 " collected bytes%s", node->size,
			 node->silent ? "" : " of words");
		return;
	}
	uint64_t collector = linked_word(process, process->facts[gc].object +
							  linked_fact(process, gc, "neap__gc_view.gc")),
		 type = linked_word(process, collector + linked_fact(process, gc, "neap__gc.types")) +
			node->what * linked_fact(process, gc, "neap__gc_type"),
		 source = linked_word(process, type + linked_fact(process, gc, "neap__gc_type.source")),
		 text = linked_word(process, source + linked_fact(process, gc, "neap_gc_type.name"));
	if (!linked_text(process, text, name, size))
		snprintf(name, size, "collected object of type %u", node->what);
}

static void table_name(struct linked_graph *graph, const struct linked_node *node, char *name, size_t size)
{
	const struct linked_listed *map = &graph->maps.maps[node->what];
	char own[64], type[128];
	linked_map_name(graph->process, map, own, sizeof own);
	linked_map_type(graph->process, map, type, sizeof type);
	snprintf(name, size, "%s (%s)", own, type);
}

void linked_node_name(struct linked_names *names, uint32_t number, char *name, size_t size)
{
	const struct linked_node *node = &names->graph->nodes[number];
	switch ((enum linked_kind)node->kind) {
	case LINKED_BLOCK: snprintf(name, size, "%" PRIu64 "-byte block of the heap", node->size); return;
	case LINKED_CHUNK:
		snprintf(name, size, "%" PRIu64 "-byte chunk of malloc", linked_node_size(node));
		return;
	case LINKED_OBJECT: object_name(names->graph, node, name, size); return;
	case LINKED_TABLE: table_name(names->graph, node, name, size); return;
	}
}

void linked_word_name(struct linked_names *names, uint32_t number, uint64_t slot, char *name, size_t size)
{
	const struct linked_node *node = &names->graph->nodes[number];
	if (node->kind == LINKED_TABLE)
		snprintf(name, size, "[entry at 0x%" PRIx64 "]", slot);
	else if (slot >= node->start && slot < node->start + linked_node_size(node))
		snprintf(name, size, "+%" PRIu64, slot - node->start);
	else
		snprintf(name, size, ", key of the weak map's entry at 0x%" PRIx64, slot);
}
