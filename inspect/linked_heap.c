/* linked_heap.c: the runs of libneap's heap, one after the other. See linked_process.h. */
#include <string.h>

#include "linked_process.h"

enum { UNITS_LIMIT = 1 << 26, REGIONS_LIMIT = 16, TRIES = 4 };

struct linked_region {
	uint32_t first, frontier; /* units */
};

static uint64_t heap_word(struct linked_process *process, const char *field)
{
	uint64_t value = 0;
	(void)image_word(process->image,
			 process->facts[LINKED_HEAP].object + linked_fact(process, LINKED_HEAP, field),
			 &value);
	return value;
}

/* The size of the blocks of a span and their number, from the tag of its first unit. */
static void read_class(struct linked_process *process, struct linked_run *run)
{
	const enum linked_module heap = LINKED_HEAP;
	uint64_t classes = linked_fact(process, heap, "classes");
	const uint8_t *tag = image_at(process->image, heap_word(process, "neap__heap.tags") + run->unit, 1);
	if (tag == NULL || *tag == 0 || classes == 0)
		return;
	uint64_t record = heap_word(process, "neap__heap.class_table") +
			  (*tag - 1u) % classes * linked_fact(process, heap, "neap__class");
	uint64_t size = 0;
	(void)image_word(process->image, record + linked_fact(process, heap, "neap__class.size"), &size);
	run->block_size = size & UINT32_MAX;
	run->pointers = *tag - 1u < classes;
}

/* Of a collected run the collector knows what is in it. */
static void read_collected(struct linked_process *process, struct linked_run *run)
{
	const enum linked_module gc = LINKED_GC;
	uint64_t view = process->facts[gc].object;
	if (process->facts[gc].count == 0)
		return;
	uint64_t collector = linked_word(process, view + linked_fact(process, gc, "neap__gc_view.gc")),
		 spans = linked_word(process, collector + linked_fact(process, gc, "neap__gc.spans")),
		 first = linked_word(process, collector + linked_fact(process, gc, "neap__gc.first")) &
			 UINT32_MAX;
	uint64_t record = spans + (run->unit - first) * linked_fact(process, gc, "neap__gc_span");
	uint64_t size = linked_word(process, record + linked_fact(process, gc, "neap__gc_span.size")),
		 count = linked_word(process, record + linked_fact(process, gc, "neap__gc_span.objects")) &
			 UINT16_MAX;
	if (spans == 0 || size == 0 || run->unit < first || count > run->units * run->unit_bytes / size)
		return;
	run->collected = true;
	run->blocks = count;
	run->block_size = size;
	run->types = linked_word(process, record + linked_fact(process, gc, "neap__gc_span.types"));
	run->alloc = linked_word(process, record + linked_fact(process, gc, "neap__gc_span.words")) +
		     linked_fact(process, gc, "neap__gc_word.alloc");
	run->alloc_stride = linked_fact(process, gc, "neap__gc_word");
	for (uint64_t i = 0; i < count; i++)
		run->used += linked_run_has(process, run, i) ? size : 0;
}

bool linked_run_has(struct linked_process *process, const struct linked_run *run, uint64_t block)
{
	const uint8_t *word = image_at(process->image, run->alloc + block / 64 * run->alloc_stride, 8);
	return word != NULL && (word[block % 64 / 8] >> (block % 8) & 1) != 0;
}

uint64_t linked_word(struct linked_process *process, uint64_t address)
{
	uint64_t value = 0;
	(void)image_word(process->image, address, &value);
	return value;
}

static bool read_run(struct linked_process *process, uint64_t spans, struct linked_run *run)
{
	const enum linked_module heap = LINKED_HEAP;
	uint64_t size = linked_fact(process, heap, "neap__span");
	const uint8_t *span = image_at(process->image, spans + run->unit * size, size);
	if (span == NULL || size == 0)
		return false;
	uint32_t units = 0, used = 0;
	uint16_t objects = 0;
	run->state = span[linked_fact(process, heap, "neap__span.state")];
	memcpy(&units, span + linked_fact(process, heap, "neap__span.units"), sizeof units);
	memcpy(&used, span + linked_fact(process, heap, "neap__span.used"), sizeof used);
	memcpy(&objects, span + linked_fact(process, heap, "neap__span.objects"), sizeof objects);
	memcpy(&run->alloc, span + linked_fact(process, heap, "neap__span.alloc"), sizeof run->alloc);
	run->units = units;
	run->pointers = true;
	if (run->state == linked_fact(process, heap, "state_large")) {
		memcpy(&run->block_size, span + linked_fact(process, heap, "neap__span.size"),
		       sizeof run->block_size);
		run->used = run->block_size;
	} else if (run->state == linked_fact(process, heap, "state_collected")) {
		read_collected(process, run);
	} else if (run->state > linked_fact(process, heap, "state_large")) {
		run->blocks = objects;
		run->alloc_stride = 8;
		read_class(process, run);
		run->used = run->block_size * used;
	}
	return true;
}

/* The runs of one region; false when they don't tile it, which a process that changes shows for a moment. */
static bool walk_region(struct linked_process *process, const struct linked_heap *heap, uint64_t spans,
			const struct linked_region *region, linked_run_fn visit, void *context)
{
	for (uint64_t at = region->first; at < region->frontier;) {
		struct linked_run run = {
			.unit = at, .address = heap->start + at * heap->unit, .unit_bytes = heap->unit};
		if (!read_run(process, spans, &run) || run.units == 0 || run.units > region->frontier - at ||
		    run.used > run.units * heap->unit)
			return false;
		if (visit != NULL)
			visit(context, &run);
		at += run.units;
	}
	return true;
}

static bool read_region(struct linked_process *process, uint64_t address, struct linked_region *ret)
{
	const enum linked_module module = LINKED_HEAP;
	const uint8_t *bytes =
		image_at(process->image, address, linked_fact(process, module, "neap__region"));
	if (bytes == NULL)
		return false;
	memcpy(&ret->first, bytes + linked_fact(process, module, "neap__region.first"), sizeof ret->first);
	memcpy(&ret->frontier, bytes + linked_fact(process, module, "neap__region.frontier"),
	       sizeof ret->frontier);
	return ret->frontier <= UNITS_LIMIT && ret->first <= ret->frontier;
}

/* Read until it fits together, then visited: what was read stays as it is. */
static void take_region(struct linked_process *process, const struct linked_heap *heap, uint64_t address,
			linked_run_fn visit, void *context)
{
	uint64_t size = linked_fact(process, LINKED_HEAP, "neap__span"),
		 spans = heap_word(process, "neap__heap.spans");
	struct linked_region region;
	bool fits = false;
	for (unsigned i = 0; i < TRIES && !fits; i++) {
		if (i > 0 && process->target->changing) {
			image_forget(process->image, address,
				     linked_fact(process, LINKED_HEAP, "neap__region"));
			image_forget(process->image, spans + region.first * size,
				     (region.frontier - region.first) * size);
			image_forget(process->image, heap_word(process, "neap__heap.tags") + region.first,
				     region.frontier - region.first);
		}
		if (!read_region(process, address, &region))
			return;
		fits = walk_region(process, heap, spans, &region, NULL, NULL);
	}
	process->torn += !fits;
	(void)walk_region(process, heap, spans, &region, visit, context);
}

bool linked_heap(struct linked_process *process, struct linked_heap *ret)
{
	*ret = (struct linked_heap){0};
	if (process->facts[LINKED_HEAP].count == 0)
		return false;
	ret->start = heap_word(process, "neap__heap.base");
	ret->unit = linked_fact(process, LINKED_HEAP, "unit");
	ret->end = ret->start + (heap_word(process, "neap__heap.units") & UINT32_MAX) * ret->unit;
	return ret->start != 0 && ret->unit != 0;
}

void linked_heap_runs(struct linked_process *process, const struct linked_heap *heap, linked_run_fn visit,
		      void *context)
{
	const enum linked_module module = LINKED_HEAP;
	uint64_t regions = linked_fact(process, module, "regions"),
		 size = linked_fact(process, module, "neap__region"),
		 first = process->facts[module].object + linked_fact(process, module, "neap__heap.regions");
	for (uint64_t i = 0; i < regions && i < REGIONS_LIMIT; i++)
		take_region(process, heap, first + i * size, visit, context);
}
