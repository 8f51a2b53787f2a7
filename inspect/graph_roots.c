/* graph_roots.c: every word that the collector starts from: global variables, stacks, and what finalizers and
 * cleanups hold.
 *
 * A span has a list of records about its objects. Whatever a record's function word points to is kept; an object
 * with a finalizer also keeps what it points to, because the finalizer will be given it, but not itself.
 *
 *   record:  next, offset of the object in the span, kind | function ...      finalizer: also count, type, type
 */
#include <string.h>

#include "graph.h"

enum { RECORDS_LIMIT = 1 << 20, FINALIZER_TYPE_AT = 24, SPECIAL_OFFSET_AT = 8 };

struct root_walk {
	struct go_process *process;
	graph_root_fn visit;
	void *context;
};

static void visit_globals(const struct root_walk *walk, uint64_t start, uint64_t end,
			  const struct go_table *mask)
{
	struct go_process *process = walk->process;
	const uint8_t *bits = image_at(process->image, mask->address, (mask->count + 7) / 8);
	const uint8_t *bytes = image_at(process->image, start, end - start);
	if (bytes == NULL) {
		process->torn++;
		return;
	}
	for (uint64_t index = 0; index * 8 + 8 <= end - start; index++) {
		/* without the mask every word counts */
		if (bits != NULL && (index >= mask->count || (bits[index / 8] >> (index % 8) & 1) == 0))
			continue;
		uint64_t value;
		memcpy(&value, bytes + index * 8, sizeof value);
		walk->visit(walk->context, start + index * 8, value, NULL);
	}
}

static void visit_stacks(const struct root_walk *walk)
{
	const struct go_stacks *stacks = &walk->process->stacks;
	for (size_t i = 0; i < stacks->count; i++) {
		const struct go_stack *stack = &stacks->list[i];
		for (uint64_t at = stack->sp; at + 8 <= stack->high; at += 8) {
			uint64_t value;
			memcpy(&value, stack->memory + (at - stack->sp), sizeof value);
			walk->visit(walk->context, at, value, stack);
		}
	}
}

static void visit_content(void *context, uint64_t slot, uint64_t value)
{
	const struct root_walk *walk = context;
	walk->visit(walk->context, slot, value, NULL);
}

/* A finalizer's record ends with the type of its argument, a pointer type; no other kind of record does. */
static bool is_finalizer(struct go_process *process, uint64_t record)
{
	uint64_t type;
	return image_word(process->image, record + process->layout.special_fn + FINALIZER_TYPE_AT, &type) &&
	       go_type_valid(process, type) && go_type_kind(process, type) == GO_KIND_POINTER;
}

static void visit_record(struct root_walk *walk, struct go_span *span, uint64_t record)
{
	struct go_process *process = walk->process;
	uint64_t function, offset;
	uint32_t index, at = process->layout.special_fn;
	if (image_word(process->image, record + at, &function))
		walk->visit(walk->context, record + at, function, NULL);
	if (!image_word(process->image, record + SPECIAL_OFFSET_AT, &offset))
		return;
	if (at == 16) /* to 1.23: 16 bits, the kind behind them */
		offset &= 0xffff;
	if (go_heap_object(&process->heap, span->base + offset, &index) == span &&
	    is_finalizer(process, record))
		go_object_pointers(process, span, index, visit_content, walk);
}

static void visit_specials(struct root_walk *walk)
{
	struct go_heap *heap = &walk->process->heap;
	uint64_t left = RECORDS_LIMIT;
	for (size_t i = 0; i < heap->span_count; i++) {
		uint64_t record = heap->spans[i].specials;
		while (record >= TARGET_PAGE && left-- > 0) {
			visit_record(walk, &heap->spans[i], record);
			if (!image_word(walk->process->image, record, &record))
				break;
		}
	}
}

void graph_each_root(struct go_process *process, graph_root_fn visit, void *context)
{
	const struct go_module *module = &process->module;
	struct root_walk walk = {process, visit, context};
	visit_globals(&walk, module->data, module->edata, &module->data_mask);
	visit_globals(&walk, module->bss, module->ebss, &module->bss_mask);
	visit_stacks(&walk);
	visit_specials(&walk);
}
