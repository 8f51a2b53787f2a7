/* alloc.c: the way in and out of the collected heap.
 *
 * The short path hands out the lowest bit of the thread's claim; nothing in it is shared with another thread. It
 * is busy meanwhile, so the world is never stopped between the choice of an object and its clearing.
 */
#include <string.h>

#include "base/fault.h"

#include "gc/cycle.h"
#include "gc/tables.h"

_Noreturn void neap__gc_fault(const char *rule, const void *object, const char *operation)
{
	neap__fault((struct neap_fault){
		.rule = rule, .object = "gc", .address = object, .operation = operation, .kind = "object"});
}

/* A span with room for the slot, found in the order: swept, unswept, new. Central lock held. */
static bool next_span(struct neap__gc_slot *slot, unsigned kind, size_t *given)
{
	struct neap__gc_central *central = &neap__gc.central[kind];
	if (slot->head != 0) {
		*given += neap__gc_span_settle(slot->head);
		*slot = (struct neap__gc_slot){.free = 0};
	}
	uint32_t head;
	while ((head = central->lists[neap__gc.epoch & 1][NEAP__GC_PARTIAL]) == 0) {
		uint32_t unswept = neap__gc_next_unswept(kind);
		if (unswept == 0)
			break;
		*given += neap__gc_span_sweep(unswept);
	}
	if (head != 0)
		neap__gc_list_remove(head);
	else
		head = neap__gc_span_create(kind, 0);
	slot->head = head;
	return head != 0;
}

/* Gives the slot of the thread objects to hand out. */
static bool refill_slot(struct neap__gc_thread *thread, unsigned kind)
{
	struct neap__gc_slot *slot = &thread->slots[kind];
	size_t given = 0;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.central[kind].lock);
	while (!(slot->head != 0 && neap__gc_span_claim(slot->head, slot)) && next_span(slot, kind, &given))
		;
	neap__lock_give(&neap__gc.central[kind].lock);
	bool got = slot->free != 0;
	neap__gc_leave(thread);
	if (given > 0)
		neap__returner_nudge(given);
	return got;
}

/* From a claim that is not empty: its block, still to be cleared. */
static inline unsigned take_lowest(struct neap__gc_slot *slot, char **ret_block)
{
	unsigned object = (unsigned)__builtin_ctzll(slot->free);
	slot->free &= slot->free - 1;
	*ret_block = slot->base + object * (size_t)slot->size;
	return object;
}

/* After it is clear: who reads the type may read the object. */
static inline void give_type(struct neap__gc_slot *slot, unsigned object, int type)
{
	if (slot->types != NULL)
		atomic_store_explicit(&slot->types[object], (uint16_t)type, memory_order_release);
}

static inline void *hand_out(struct neap__gc_slot *slot, int type)
{
	char *block;
	unsigned object = take_lowest(slot, &block);
	memset(block, 0, slot->size);
	give_type(slot, object, type);
	return block;
}

static void *alloc_small(struct neap__gc_thread *thread, unsigned kind, int type)
{
	for (unsigned attempt = 0;; attempt++) {
		neap__gc_enter(thread);
		struct neap__gc_slot *slot = &thread->slots[kind];
		void *block = NEAP__GC_LIKELY(slot->free != 0) ? hand_out(slot, type) : NULL;
		neap__gc_leave(thread);
		if (NEAP__GC_LIKELY(block != NULL))
			return block;
		neap__gc_pace(0);
		if (!refill_slot(thread, kind)) {
			if (attempt > 0)
				return NULL;
			neap__gc_cycle_now(); /* no memory: perhaps there is garbage */
		}
	}
}

/* A run of its own; `ret_clear` says that its bytes are zero. */
static void *claim_large(struct neap__gc_thread *thread, unsigned kind, size_t size, int type,
			 bool *ret_clear)
{
	struct neap__gc_central *central = &neap__gc.central[kind];
	size_t given = 0;
	neap__gc_enter(thread);
	neap__lock_take(&central->lock);
	uint32_t unswept;
	while (given < size && (unswept = neap__gc_next_unswept(kind)) != 0)
		given += neap__gc_span_sweep(unswept);
	uint32_t head = neap__gc_span_create(kind, size);
	if (head != 0) {
		struct neap__gc_span *span = neap__gc_span(head);
		if (span->types != NULL)
			atomic_store_explicit(&span->types[0], (uint16_t)type, memory_order_relaxed);
		if (neap__gc_is_marking())
			atomic_fetch_or_explicit(&span->words[0].mark, 1, memory_order_relaxed);
		atomic_fetch_or_explicit(&span->words[0].alloc, 1, memory_order_relaxed);
		neap__gc_list_push(head, NEAP__GC_FULL);
		size_t pages = (size + ((size_t)1 << neap__heap.page_shift) - 1) >> neap__heap.page_shift;
		*ret_clear = neap__resident_mark(head, 0, size) == pages;
		central->claimed++;
		central->claimed_bytes += size;
		atomic_fetch_add_explicit(&neap__gc.live_bytes, size, memory_order_relaxed);
		atomic_fetch_add_explicit(&neap__gc.pace_bytes, size, memory_order_relaxed);
		atomic_fetch_add_explicit(&neap__gc.claimed_bytes, size, memory_order_relaxed);
	}
	neap__lock_give(&central->lock);
	neap__gc_leave(thread);
	if (given > 0)
		neap__returner_nudge(given);
	return head != 0 ? neap__unit_address(head) : NULL;
}

static void *alloc_large(struct neap__gc_thread *thread, unsigned kind, size_t size, int type)
{
	if (size > neap__gc.reach)
		return NULL;
	size = (size + 15) & ~(size_t)15;
	neap__gc_pace(size);
	bool clear = false;
	void *block = claim_large(thread, kind, size, type, &clear);
	if (block == NULL) {
		neap__gc_cycle_now();
		block = claim_large(thread, kind, size, type, &clear);
	}
	/* Outside: the object is on this stack only, and a marker that reads it before it is clear keeps too much. */
	return block != NULL && !clear ? memset(block, 0, size) : block;
}

static void *alloc_of(unsigned flavour, size_t size, int type)
{
	struct neap__gc_thread *thread = neap__gc_self;
	if (NEAP__GC_UNLIKELY(thread == NULL) && (thread = neap__gc_attached()) == NULL)
		return NULL;
	if (size <= NEAP_HEAP_SMALL_MOST)
		return alloc_small(thread, flavour * NEAP__GC_CLASSES + neap__class_of(size), type);
	return alloc_large(thread, flavour * NEAP__GC_CLASSES + NEAP__CLASSES, size, type);
}

static void *alloc_typed(struct neap_gc_type *type, size_t size)
{
	int number = neap__gc_type_number(type);
	if (number == NEAP_EINVAL)
		neap__gc_fault("a type whose pointers lie outside its objects", type, "neap_gc_alloc");
	return number > 0 ? alloc_of(neap__gc.types[number].flavour, size, number) : NULL;
}

enum { SHORT_MOST = 64 };

/* A multiple of 16 bytes, at most SHORT_MOST, without a call. */
static inline void clear_short(char *block, size_t size)
{
	memset(block, 0, 16);
	memset(block + size - 16, 0, 16);
	if (size > 32) {
		memset(block + 16, 0, 16);
		memset(block + size - 32, 0, 16);
	}
}

static __attribute__((noinline)) void *stopped_with(struct neap__gc_thread *thread, void *block)
{
	neap__gc_stop_late(thread);
	return block;
}

/* From the thread's claim, without a frame on the stack. NULL: there is more to do. */
static inline void *alloc_short(unsigned kind, int type)
{
	struct neap__gc_thread *thread = neap__gc_self;
	if (NEAP__GC_UNLIKELY(thread == NULL))
		return NULL;
	struct neap__gc_slot *slot = &thread->slots[kind];
	char *block = NULL;
	neap__gc_enter(thread);
	if (NEAP__GC_LIKELY(slot->free != 0)) {
		unsigned object = take_lowest(slot, &block);
		clear_short(block, slot->size);
		give_type(slot, object, type);
	}
	return NEAP__GC_UNLIKELY(neap__gc_leaves_late(thread)) ? stopped_with(thread, block) : block;
}

void *neap_gc_alloc(struct neap_gc_type *type)
{
	void *block = NULL;
	/* Acquire: whoever has the number may read the row. */
	uint32_t number = __atomic_load_n(&type->neap__id, __ATOMIC_ACQUIRE);
	if (NEAP__GC_LIKELY(number != 0 && type->size <= SHORT_MOST))
		block = alloc_short(neap__gc.types[number].kind, (int)number);
	return NEAP__GC_LIKELY(block != NULL) ? block : alloc_typed(type, type->size);
}

void *neap_gc_alloc_array(struct neap_gc_type *type, size_t count)
{
	size_t size;
	if (type->tail != NULL || __builtin_mul_overflow(type->size, count, &size))
		return NULL;
	return alloc_typed(type, size);
}

void *neap_gc_alloc_tail(struct neap_gc_type *type, size_t count)
{
	size_t size;
	if (type->tail == NULL || __builtin_mul_overflow(type->tail->size, count, &size) ||
	    __builtin_add_overflow(size, type->tail_offset, &size))
		return NULL;
	return alloc_typed(type, size > type->size ? size : type->size);
}

void *neap_gc_alloc_data(size_t size)
{
	void *block = NULL;
	if (size <= SHORT_MOST)
		block = alloc_short(NEAP__GC_DATA * NEAP__GC_CLASSES + neap__class_of(size),
				    NEAP__GC_CONSERVATIVE);
	if (NEAP__GC_LIKELY(block != NULL))
		return block;
	return neap__gc_begin() ? alloc_of(NEAP__GC_DATA, size, NEAP__GC_CONSERVATIVE) : NULL;
}

void *neap_gc_alloc_words(size_t size)
{
	return neap__gc_begin() ? alloc_of(NEAP__GC_TRACKED, size, NEAP__GC_CONSERVATIVE) : NULL;
}

/* The span of an object that starts at `object`; the central lock of its kind is held and the span is swept. */
static uint32_t held_span(const void *object, const char *operation, uint32_t *ret_number, size_t *given)
{
	uint32_t head = 0;
	if (neap__gc.state == 0 || !neap__gc_find((uintptr_t)object, &head, ret_number))
		neap__gc_fault("not an object", object, operation);
	if (object != (const void *)neap__gc_address(head, *ret_number))
		neap__gc_fault("a pointer into the interior", object, operation);
	neap__lock_take(&neap__gc.central[neap__gc_span(head)->kind].lock);
	if (neap__gc_unswept(head) && neap__gc_span(head)->state != NEAP__GC_OWNED)
		*given += neap__gc_span_sweep(head);
	if (neap__gc_head(head) != head || !neap__gc_allocated(head, *ret_number))
		neap__gc_fault("freed before", object, operation);
	return head;
}

/* What the tables know about an object that is freed by hand. */
static void forget_rows(uintptr_t object)
{
	uint32_t head, number;
	if (!neap__gc_find(object, &head, &number) ||
	    !(neap__gc_has(head, number, NEAP__GC_WEAKS) || neap__gc_has(head, number, NEAP__GC_FINALS)))
		return;
	neap__lock_take(&neap__gc.rows);
	neap__gc_weak_forget(object);
	neap__gc_final_forget(object);
	neap__lock_give(&neap__gc.rows);
}

void neap_gc_free(void *object)
{
	if (object == NULL)
		return;
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL)
		return; /* no memory to attach: the object stays garbage, or is collected */
	uint32_t number = 0;
	size_t given = 0;
	neap__gc_enter(thread);
	forget_rows((uintptr_t)object);
	neap__gc_weak_map_forget((uintptr_t)object);
	uint32_t head = held_span(object, "neap_gc_free", &number, &given);
	struct neap__gc_span *span = neap__gc_span(head);
	struct neap__gc_central *central = &neap__gc.central[span->kind];
	if (span->types != NULL && neap__gc.types[span->types[number]].map && neap__gc_map_alive(object))
		neap__gc_fault("freeing a map as an object", object, "neap_gc_free");
	if (neap__gc.clobber)
		memset(object, 0xdb, span->size);
	atomic_fetch_and_explicit(&span->words[number / 64].alloc, ~(UINT64_C(1) << number % 64),
				  memory_order_relaxed);
	central->freed++;
	central->freed_bytes += span->size;
	atomic_fetch_sub_explicit(&neap__gc.live_bytes, span->size, memory_order_relaxed);
	atomic_fetch_sub_explicit(&neap__gc.pace_bytes, span->size, memory_order_relaxed);
	if (span->state != NEAP__GC_OWNED) {
		neap__gc_list_remove(head);
		given += neap__gc_span_settle(head);
	}
	neap__lock_give(&central->lock);
	neap__gc_leave(thread);
	if (given > 0)
		neap__returner_nudge(given);
}

size_t neap_gc_usable(const void *object)
{
	uint32_t head, number;
	if (object == NULL)
		return 0;
	if (neap__gc.state == 0 || !neap__gc_find((uintptr_t)object, &head, &number) ||
	    object != (const void *)neap__gc_address(head, number))
		neap__gc_fault("not an object", object, "neap_gc_usable");
	return neap__gc_span(head)->size;
}

void *neap_gc_base(const void *address)
{
	uint32_t head, number;
	if (neap__gc.state == 0 || !neap__gc_find((uintptr_t)address, &head, &number) ||
	    !neap__gc_allocated(head, number))
		return NULL;
	return neap__gc_address(head, number);
}

static uint64_t collected_live_bytes(void)
{
	return atomic_load_explicit(&neap__gc.live_bytes, memory_order_relaxed);
}

const struct neap__collector neap__gc_collector = {neap_gc_free, neap_gc_usable, collected_live_bytes};
