/* graph_name.c: what roots, objects and words are called.
 *
 *   a global       its symbol, "main.cache"; in a stripped program "global 0x5a1230"
 *   a stack word   "goroutine 12, main.worker"
 *   an object      its type as far as it is known, else its size: "main.Server", "48-byte object"
 *   a word         the field it lies in: ".items", "[3].next"; in a map's array: " slot"
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "graph.h"

enum { FIELD_DEPTH = 8 };

static void global_name(struct go_process *process, uint64_t slot, char *name, size_t size)
{
	uint64_t offset, within;
	const char *symbol = program_symbol_at(process->program, slot, &offset), *holder = NULL;
	if (symbol == NULL) /* what an initializer points to is named by the global that points to it */
		holder = program_symbol_at(process->program, go_static_holder(process, slot, &offset),
					   &within);
	if (symbol == NULL && holder != NULL)
		snprintf(name, size, "*%s+%" PRIu64, holder, offset);
	else if (symbol == NULL)
		snprintf(name, size, "global 0x%" PRIx64, slot);
	else if (offset == 0)
		snprintf(name, size, "%s", symbol);
	else
		snprintf(name, size, "%s+%" PRIu64, symbol, offset);
}

void graph_root_name(struct go_process *process, const struct maps *maps, const struct graph_root *root,
		     char *name, size_t size)
{
	(void)maps;
	const struct go_module *module = &process->module;
	if (root->stack == NULL && (root->slot < module->globals || root->slot >= module->globals_end)) {
		snprintf(name, size, "a finalizer or cleanup");
		return;
	}
	if (root->stack == NULL) {
		global_name(process, root->slot, name, size);
		return;
	}
	const char *function = go_stack_frame(process, root->stack, root->slot);
	if (function != NULL)
		snprintf(name, size, "goroutine %" PRIu64 ", %s", root->stack->id, function);
	else
		snprintf(name, size, "stack of goroutine %" PRIu64, root->stack->id);
}

void graph_object_name(struct go_process *process, const struct maps *maps, uint64_t object, char *name,
		       size_t size)
{
	const struct map_block *block = maps_block_of(maps, object);
	bool array;
	uint64_t type = maps_object_type(process, maps, object, &array);
	if (block != NULL) {
		go_type_name(process, maps->list[block->map].type->type, name, size);
		return;
	}
	if (type == 0) {
		snprintf(name, size, "%" PRIu64 "-byte object",
			 go_heap_span_of(&process->heap, object)->elem_size);
		return;
	}
	size_t prefix = array && size > 3 ? 2 : 0;
	memcpy(name, "[]", prefix);
	go_type_name(process, type, name + prefix, size - prefix);
}

/* Follows an offset into nested structs and arrays: appends ".field" and "[index]". */
static void describe_offset(struct go_process *process, uint64_t type, uint64_t offset, char *name,
			    size_t size)
{
	for (int depth = 0; depth < FIELD_DEPTH; depth++) {
		size_t used = strlen(name);
		struct go_field field, found = {0};
		if (go_type_kind(process, type) == GO_KIND_ARRAY) {
			uint64_t elem = go_type_elem(process, type);
			uint64_t each = elem == 0 ? 0 : go_type_size(process, elem);
			if (each == 0)
				return;
			snprintf(name + used, size - used, "[%" PRIu64 "]", offset / each);
			offset %= each;
			type = elem;
			continue;
		}
		if (go_type_kind(process, type) != GO_KIND_STRUCT)
			return;
		for (size_t i = 0; go_type_field(process, type, i, &field) && field.offset <= offset; i++)
			if (go_type_size(process, field.type) > offset - field.offset)
				found = field;
		if (found.name == NULL)
			return;
		snprintf(name + used, size - used, ".%.*s", (int)found.name_length, found.name);
		offset -= found.offset;
		type = found.type;
	}
}

void graph_word_name(struct go_process *process, const struct maps *maps, uint64_t object, uint64_t slot,
		     char *name, size_t size)
{
	const struct go_span *span = go_heap_span_of(&process->heap, object);
	uint64_t start = go_span_object(span, (uint32_t)(object - span->first));
	bool array;
	uint64_t type = maps_object_type(process, maps, object, &array);
	*name = '\0';
	if (maps_block_of(maps, object) != NULL || type == 0 || slot < start)
		return;
	struct go_span *same;
	uint64_t stored, each = go_type_size(process, type), offset = slot - start;
	if (go_heap_data(process, start, &same, &stored) == 0 && offset >= 8)
		offset -= 8; /* the type word */
	if (array && each != 0) {
		snprintf(name, size, "[%" PRIu64 "]", offset / each);
		offset %= each;
	}
	describe_offset(process, type, offset, name, size);
}
