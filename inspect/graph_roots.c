/* graph_roots.c: every word that the collector starts from: global variables, stacks, and what finalizers and
 * cleanups hold.
 *
 * A span has a list of records about its objects. Whatever a record's function word points to is kept; an object
 * with a finalizer also keeps what it points to, because the finalizer will be given it, but not itself.
 *
 *   record     next, offset of the object in the span, kind | ...
 *   finalizer  ... function, count, type, type
 *   cleanup    ... function, number; from 1.26 on: what calls the function, function, its argument, number
 *   weak       ... the word that stands for the object
 *
 * The numbers of the kinds differ from version to version; what a record holds tells which it is.
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

/* A word of a stack that was left behind may point to an object that was freed since. */
static bool is_freed(const struct go_heap *heap, uint64_t value)
{
	uint32_t index;
	const struct go_span *span = go_heap_object(heap, value, &index);
	return span != NULL && !go_span_allocated(span, index);
}

enum { FIRST_GOROUTINES = 16, FEW_BYTES = 1024 };

/* The background sweeper and the scavenger begin before the program does, and hold no object: a word of theirs that is the
   address of a span looks like that of its first object. */
static bool is_collectors(struct go_process *process, const struct go_stack *stack)
{
	if (stack->id > FIRST_GOROUTINES || stack->high - stack->sp > FEW_BYTES)
		return false;
	for (uint64_t at = stack->sp; at + 8 <= stack->high; at += 8) {
		const char *function = go_stack_frame(process, stack, at);
		if (function != NULL &&
		    (strcmp(function, "runtime.bgsweep") == 0 || strcmp(function, "runtime.bgscavenge") == 0))
			return true;
	}
	return false;
}

static void visit_stacks(const struct root_walk *walk)
{
	const struct go_stacks *stacks = &walk->process->stacks;
	for (size_t i = 0; i < stacks->count; i++) {
		const struct go_stack *stack = &stacks->list[i];
		if (is_collectors(walk->process, stack))
			continue;
		for (uint64_t at = stack->sp; at + 8 <= stack->high; at += 8) {
			uint64_t value;
			memcpy(&value, stack->memory + (at - stack->sp), sizeof value);
			if (!is_freed(&walk->process->heap, value))
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

/* A value of a function type: it points to the function's address. */
static bool is_function(struct go_process *process, uint64_t value)
{
	uint64_t entry;
	return value != 0 && image_word(process->image, value, &entry) && entry >= process->module.minpc &&
	       entry < process->module.maxpc;
}

/* The words that a record keeps what they point to. */
static void visit_words(struct root_walk *walk, uint64_t record)
{
	struct go_process *process = walk->process;
	uint32_t at = process->layout.special_fn, end = at + 8;
	uint64_t value;
	if (process->layout.cleanup_id > end && image_word(process->image, record + at, &value) &&
	    is_function(process, value))
		end = process->layout.cleanup_id;
	for (; at < end; at += 8)
		if (image_word(process->image, record + at, &value))
			walk->visit(walk->context, record + at, value, NULL);
}

static void visit_record(struct root_walk *walk, struct go_span *span, uint64_t record)
{
	struct go_process *process = walk->process;
	uint64_t offset;
	uint32_t index;
	visit_words(walk, record);
	if (!image_word(process->image, record + SPECIAL_OFFSET_AT, &offset))
		return;
	if (process->layout.special_fn == 16) /* to 1.23: 16 bits, the kind behind them */
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
