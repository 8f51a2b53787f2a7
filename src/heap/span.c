/* span.c: spans and the central lists: blocks between bitmaps and magazines. The rules are in internal.h. */
#include <string.h>

#include "heap/internal.h"

static struct neap__span *at(uint32_t head)
{
	return &neap__heap.spans[head];
}

static unsigned words_of(unsigned kind)
{
	return (neap__class_of_kind(kind)->objects + 63) / 64;
}

static void become(uint32_t head, enum neap__span_state state)
{
	atomic_store_explicit(&at(head)->state, (uint8_t)state, memory_order_relaxed);
}

static uint32_t used_of(uint32_t head)
{
	return atomic_load_explicit(&at(head)->used, memory_order_relaxed);
}

static void touch_stamp(uint32_t head)
{
	uint32_t tick = atomic_load_explicit(&neap__heap.tick, memory_order_relaxed);
	atomic_store_explicit(&at(head)->stamp, tick, memory_order_relaxed);
	at(head)->settled = false;
}

static void list_push(uint32_t head, unsigned kind)
{
	struct neap__central *central = &neap__heap.central[kind];
	at(head)->prev = 0;
	at(head)->next = central->partial;
	if (central->partial != 0)
		at(central->partial)->prev = head;
	central->partial = head;
	become(head, NEAP__SPAN_PARTIAL);
}

static void list_remove(uint32_t head, unsigned kind)
{
	struct neap__span *span = at(head);
	if (span->prev != 0)
		at(span->prev)->next = span->next;
	else
		neap__heap.central[kind].partial = span->next;
	if (span->next != 0)
		at(span->next)->prev = span->prev;
}

/* A fresh span, closed and in no list; 0: no memory. */
static uint32_t span_create(unsigned kind)
{
	const struct neap__class *class = neap__class_of_kind(kind);
	unsigned words = words_of(kind);
	uint64_t *alloc = neap__meta_alloc(words * sizeof *alloc);
	if (alloc == NULL)
		return 0;
	uint32_t head = neap__run_alloc(kind / NEAP__CLASSES, class->units, 1);
	if (head == 0) {
		neap__meta_free(alloc, words * sizeof *alloc);
		return 0;
	}
	if (class->objects % 64 != 0)
		alloc[words - 1] = ~UINT64_C(0) << class->objects % 64;
	struct neap__span *span = at(head);
	span->alloc = alloc;
	span->objects = (uint16_t) class->objects;
	span->free_index = 0;
	span->missing = (uint16_t)((class->units << (NEAP__UNIT_SHIFT - neap__heap.page_shift)) -
				   neap__resident_count(head, class->units));
	span->settled = false;
	atomic_store_explicit(&span->used, 0, memory_order_relaxed);
	atomic_store_explicit(&span->remote, NEAP__CLOSED, memory_order_relaxed);
	for (uint32_t unit = head; unit < head + class->units; unit++)
		atomic_store_explicit(&neap__heap.tags[unit], (uint8_t)(kind + 1), memory_order_relaxed);
	return head;
}

static void span_destroy(uint32_t head, unsigned kind)
{
	neap__meta_free(at(head)->alloc, words_of(kind) * sizeof(uint64_t));
	at(head)->alloc = NULL;
	neap__run_free(head);
}

/* Where a closed span belongs, by what is in it. An empty one stays only while the list is empty otherwise, so
 * that a program at the edge does not make and destroy a span with every batch.
 */
static void place(uint32_t head, unsigned kind)
{
	if (used_of(head) == at(head)->objects)
		become(head, NEAP__SPAN_FULL);
	else if (used_of(head) == 0 && neap__heap.central[kind].partial != 0)
		span_destroy(head, kind);
	else
		list_push(head, kind);
}

static inline void clear_alone(uint64_t *alloc, uint32_t object)
{
	uint64_t bit = UINT64_C(1) << object % 64;
	neap__assert((alloc[object / 64] & bit) != 0);
	alloc[object / 64] &= ~bit;
}

static void clear_bit(uint32_t head, uint32_t object)
{
	clear_alone(at(head)->alloc, object);
	NEAP__ADD(at(head)->used, (uint32_t)-1);
}

/* Central lock held, the span closed. */
void neap__span_clear(uint32_t head, unsigned kind, uint32_t object)
{
	bool full = used_of(head) == at(head)->objects;
	clear_bit(head, object);
	touch_stamp(head);
	if (full) {
		place(head, kind);
	} else if (used_of(head) == 0 && (at(head)->prev != 0 || at(head)->next != 0)) {
		list_remove(head, kind);
		span_destroy(head, kind);
	}
}

static void drain_chain(uint32_t head, unsigned kind, uintptr_t chain)
{
	while (chain != 0 && chain != NEAP__CLOSED) {
		void *block = (void *)chain;
		chain = *(uintptr_t *)block;
		clear_bit(head, neap__object_at(head, kind, block));
		touch_stamp(head);
	}
}

/* Central lock held. */
bool neap__span_open(uint32_t head, unsigned kind, struct neap__cache *owner)
{
	if (neap__span_state(head) != NEAP__SPAN_PARTIAL)
		return false;
	list_remove(head, kind);
	become(head, NEAP__SPAN_OPEN);
	at(head)->free_index = 0;
	atomic_store_explicit(&at(head)->owner, owner, memory_order_relaxed);
	/* Release: who pushes sees the span's fields. */
	atomic_store_explicit(&at(head)->remote, 0, memory_order_release);
	return true;
}

/* Central lock held, by the owner. Acquire pairs with the pushes. */
void neap__span_close(uint32_t head, unsigned kind)
{
	atomic_store_explicit(&at(head)->owner, NULL, memory_order_relaxed);
	drain_chain(head, kind,
		    atomic_exchange_explicit(&at(head)->remote, NEAP__CLOSED, memory_order_acq_rel));
	place(head, kind);
}

uint32_t neap__span_borrow(unsigned kind)
{
	struct neap__central *central = &neap__heap.central[kind];
	if (central->partial == 0) {
		uint32_t head = span_create(kind);
		if (head != 0)
			list_push(head, kind);
	}
	return central->partial;
}

/* Of a span that misses pages. */
static void mark_resident(uint32_t head, unsigned kind, uint32_t object)
{
	struct neap__span *span = at(head);
	size_t size = neap__class_of_kind(kind)->size;
	span->missing =
		(uint16_t)(span->missing - neap__resident_mark(head, object * size, (object + 1) * size));
}

/* Sets up to `want` bits from free_index on, a word at a time; the blocks go to ret, first one last: magazines pop
 * from the end.
 */
static unsigned take_blocks(uint32_t head, unsigned kind, void **ret, unsigned want)
{
	struct neap__span *span = at(head);
	size_t size = neap__class_of_kind(kind)->size;
	char *base = neap__unit_address(head);
	const bool missing = span->missing != 0;
	unsigned left = want, i = span->free_index;
	while (left > 0 && i < span->objects) {
		uint64_t free = ~span->alloc[i / 64] & ~UINT64_C(0) << i % 64, taken = 0;
		unsigned word = i & ~63u;
		for (i = word + 64; free != 0 && left > 0; free &= free - 1) {
			unsigned object = word + (unsigned)__builtin_ctzll(free);
			taken |= free & -free;
			ret[--left] = base + object * size;
			if (missing)
				mark_resident(head, kind, object);
			i = object + 1;
		}
		if (free == 0)
			i = word + 64;
		span->alloc[word / 64] |= taken;
	}
	span->free_index = (uint16_t)(i < span->objects ? i : span->objects);
	if (left > 0)
		memmove(ret, ret + left, (want - left) * sizeof *ret);
	NEAP__ADD(span->used, want - left);
	return want - left;
}

static unsigned take_owned(uint32_t head, unsigned kind, void **ret, unsigned want)
{
	unsigned got = take_blocks(head, kind, ret, want);
	if (got > 0)
		return got;
	drain_chain(head, kind, atomic_exchange_explicit(&at(head)->remote, 0, memory_order_acquire));
	at(head)->free_index = 0;
	return used_of(head) < at(head)->objects ? take_blocks(head, kind, ret, want) : 0;
}

unsigned neap__span_take(struct neap__cache *cache, unsigned kind, void **ret, unsigned want)
{
	struct neap__central *central = &neap__heap.central[kind];
	unsigned got = 0;
	while (got == 0) {
		uint32_t head = cache->owned[kind];
		if (head != 0 && (got = take_owned(head, kind, ret, want)) > 0)
			break;
		neap__lock_take(&central->lock);
		cache->owned[kind] = 0;
		if (head != 0)
			neap__span_close(head, kind);
		head = neap__span_borrow(kind);
		if (head != 0 && neap__span_open(head, kind, cache))
			cache->owned[kind] = head;
		neap__lock_give(&central->lock);
		if (head == 0)
			break;
	}
	return got;
}

/* Pushes a block on an open span's list; false: the span is closed. Release: its owner reads the block. */
static bool push_remote(uint32_t head, void *block)
{
	uintptr_t first = atomic_load_explicit(&at(head)->remote, memory_order_relaxed);
	do {
		if (first == NEAP__CLOSED)
			return false;
		*(uintptr_t *)block = first;
	} while (!atomic_compare_exchange_weak_explicit(&at(head)->remote, &first, (uintptr_t)block,
							memory_order_release, memory_order_relaxed));
	return true;
}

/* Returns blocks to their spans: at once to the span that this thread owns and to those that others own; the
 * rest under one hold of the central lock. Reorders `items`.
 */
void neap__span_flush(struct neap__cache *cache, unsigned kind, void **items, unsigned count)
{
	struct neap__central *central = &neap__heap.central[kind];
	const uint32_t own = cache->owned[kind];
	const char *own_start = neap__unit_address(own);
	const size_t own_size = own != 0 ? (size_t)neap__class_of_kind(kind)->units << NEAP__UNIT_SHIFT : 0;
	uint64_t *own_bits = own != 0 ? at(own)->alloc : NULL;
	unsigned closed = 0, cleared = 0;
	for (unsigned i = 0; i < count; i++) {
		if ((size_t)((const char *)items[i] - own_start) < own_size) {
			/* neap-lint: allow null-dereference: without a span of its own own_size is 0 */
			clear_alone(own_bits, neap__object_at(own, kind, items[i]));
			cleared++;
		} else if (!push_remote(neap__head_of(items[i]), items[i])) {
			items[closed++] = items[i];
		}
	}
	if (cleared > 0) {
		NEAP__ADD(at(own)->used, -cleared);
		touch_stamp(own);
	}
	if (closed == 0)
		return;
	neap__lock_take(&central->lock);
	for (unsigned i = 0; i < closed; i++) {
		uint32_t head = neap__head_of(items[i]);
		if (!push_remote(head, items[i]))
			neap__span_clear(head, kind, neap__object_at(head, kind, items[i]));
	}
	neap__lock_give(&central->lock);
}

uint32_t neap__span_first_free(uint32_t head, unsigned kind)
{
	for (unsigned word = 0; word < words_of(kind); word++)
		if (~at(head)->alloc[word] != 0)
			return word * 64 + (uint32_t)__builtin_ctzll(~at(head)->alloc[word]);
	return at(head)->objects;
}

/* Takes one block of a listed span. Central lock held. */
void neap__span_set(uint32_t head, unsigned kind, uint32_t object)
{
	at(head)->alloc[object / 64] |= UINT64_C(1) << object % 64;
	NEAP__ADD(at(head)->used, 1);
	if (at(head)->missing != 0)
		mark_resident(head, kind, object);
	if (used_of(head) == at(head)->objects) {
		list_remove(head, kind);
		become(head, NEAP__SPAN_FULL);
	}
}
