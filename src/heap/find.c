/* find.c: what lies at an address: the span table read the other way round, for tools. */
#include "heap/internal.h"

static unsigned state_for_tools(uint32_t head)
{
	switch (neap__span_state(head)) {
	case NEAP__SPAN_LARGE: return NEAP_HEAP_LARGE;
	case NEAP__SPAN_OPEN: return NEAP_HEAP_OPEN;
	case NEAP__SPAN_PARTIAL: return NEAP_HEAP_PARTIAL;
	case NEAP__SPAN_FULL: return NEAP_HEAP_FULL;
	default: return NEAP_HEAP_OUTSIDE;
	}
}

static void describe_run(uint32_t head, uint32_t units, struct neap_heap_place *ret)
{
	ret->span = neap__unit_address(head);
	ret->span_bytes = (size_t)units << NEAP__UNIT_SHIFT;
	ret->resident_bytes = (size_t)neap__resident_count(head, units) << neap__heap.page_shift;
}

static void describe_block(const char *address, uint32_t head, struct neap_heap_place *ret)
{
	const struct neap__span *span = &neap__heap.spans[head];
	unsigned kind = neap__kind_of_span(head);
	uint32_t object = neap__object_at(head, kind, address);
	ret->pointers = kind < NEAP__CLASSES;
	ret->block_bytes = neap__class_of_kind(kind)->size;
	ret->blocks = span->objects;
	ret->used = atomic_load_explicit(&span->used, memory_order_relaxed);
	ret->free_index = span->free_index;
	if (object >= span->objects)
		return;
	ret->block = neap__unit_address(head) + (size_t)object * ret->block_bytes;
	ret->taken = span->alloc[object / 64] >> object % 64 & 1;
}

static void describe_large(uint32_t head, struct neap_heap_place *ret)
{
	size_t page = (size_t)1 << neap__heap.page_shift;
	ret->pointers = neap__region_of_unit(head) == 0;
	ret->block = ret->span;
	ret->block_bytes = (neap__heap.spans[head].size + page - 1) & ~(page - 1);
	ret->blocks = ret->used = 1;
	ret->taken = true;
}

static void describe(const char *address, struct neap_heap_place *ret)
{
	uint32_t unit = (uint32_t)neap__unit_of_address(address);
	const struct neap__region *region = &neap__heap.regions[neap__region_of_unit(unit)];
	if (unit < region->first || unit >= region->frontier)
		return;
	if (neap__tag_of(unit) == NEAP__TAG_FREE) {
		ret->state = NEAP_HEAP_FREE;
		describe_run(unit, 1, ret); /* only the ends of a free run know where it begins */
		return;
	}
	uint32_t head = neap__heap.spans[unit].head;
	ret->state = state_for_tools(head);
	if (ret->state == NEAP_HEAP_OUTSIDE)
		return;
	describe_run(head, neap__heap.spans[head].units, ret);
	if (ret->state == NEAP_HEAP_LARGE)
		describe_large(head, ret);
	else
		describe_block(address, head, ret);
}

int neap_heap_find(const void *address, struct neap_heap_place *ret)
{
	if (ret->size != sizeof *ret)
		return NEAP_EINVAL;
	*ret = (struct neap_heap_place){.size = sizeof *ret};
	if (!neap__heap_start())
		return NEAP_ENOMEM;
	if (neap__unit_of_address(address) >= neap__heap.units)
		return NEAP_OK;
	neap__heap_lock_all();
	describe(address, ret);
	neap__heap_unlock_all();
	return NEAP_OK;
}
