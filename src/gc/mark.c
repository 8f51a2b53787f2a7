/* mark.c: finding what is reachable: from grey to black, without recursion.
 *
 *     word -> is it in a span? -> queue of 16, its bits asked for -> mark bit -> stack
 *                                             stack -> queue of 16, its type and bytes asked for -> read
 *
 * What waits in a queue waits for its cache lines. On the stack an object may wait for long, so its bytes are asked for
 * when it leaves: with 400 MB alive that saves a third. The stack is bounded; an object that finds it full is marked all
 * the same and its span noted: when the stack is empty, all marked objects of noted spans are read again. Objects over
 * PIECE bytes are read piece by piece, so that a large array does not fill the stack.
 *
 * Everything read from the program may be written to at the same moment: words are read once, atomically, and a
 * word is only ever trusted to be a word.
 */
#include <string.h>

#include "gc/mark.h"
#include "gc/tables.h"
#include "neap/any.h"

enum { PIECE = 64 << 10 };

#define NEAP__GC_UNCHECKED __attribute__((no_sanitize("address", "thread")))

static uint64_t pack(uint32_t head, uint32_t object)
{
	return (uint64_t)head << 32 | object;
}

static inline void push_grey(struct neap__gc_marker *marker, uint32_t head, uint32_t object)
{
	if (NEAP__GC_LIKELY(marker->depth < NEAP__GC_STACK_ROOM)) {
		marker->stack[marker->depth++] = pack(head, object);
		return;
	}
	atomic_store_explicit(&neap__gc_span(head)->overflow, true, memory_order_relaxed);
	atomic_store_explicit(&neap__gc.overflowed, true, memory_order_relaxed);
	marker->overflows++;
}

/* True when this call marked it. */
static inline bool set_mark(struct neap__gc_span *span, uint32_t object)
{
	struct neap__gc_word *word = &span->words[object / 64];
	uint64_t bit = UINT64_C(1) << object % 64;
	if ((atomic_load_explicit(&word->mark, memory_order_relaxed) & bit) != 0 ||
	    (atomic_load_explicit(&word->alloc, memory_order_relaxed) & bit) == 0)
		return false;
	return (atomic_fetch_or_explicit(&word->mark, bit, memory_order_relaxed) & bit) == 0;
}

static inline void mark_packed(struct neap__gc_marker *marker, uint64_t packed)
{
	uint32_t head = (uint32_t)(packed >> 32), object = (uint32_t)packed;
	struct neap__gc_span *span = neap__gc_span(head);
	if (!set_mark(span, object))
		return;
	NEAP__ADD(marker->bytes, span->size);
	if (span->types != NULL)
		push_grey(marker, head, object);
}

static void mark_oldest(struct neap__gc_marker *marker)
{
	mark_packed(marker, marker->fifo[marker->out++ % NEAP__GC_FIFO]);
}

static inline __attribute__((always_inline)) void visit_word(struct neap__gc_marker *marker, uintptr_t word)
{
	uint32_t head, object;
	if (!neap__gc_find(word, &head, &object))
		return;
	const struct neap__gc_span *span = neap__gc_span(head);
	__builtin_prefetch(&span->words[object / 64], 1);
	if (marker->in - marker->out == NEAP__GC_FIFO)
		mark_oldest(marker);
	marker->fifo[marker->in++ % NEAP__GC_FIFO] = pack(head, object);
}

void neap__gc_mark_word(uintptr_t word)
{
	visit_word(neap__gc.marker, word);
}

bool neap__gc_mark_alone(uintptr_t word, uint32_t *ret_head, uint32_t *ret_object)
{
	if (!neap__gc_find(word, ret_head, ret_object))
		return false;
	struct neap__gc_span *span = neap__gc_span(*ret_head);
	if (!set_mark(span, *ret_object))
		return false;
	NEAP__ADD(neap__gc.marker->bytes, span->size);
	return true;
}

static __attribute__((noinline)) void visit_each(uintptr_t word, void *ctx)
{
	visit_word(ctx, word);
}

/* Most words of a stack point elsewhere, and cost no call. For the others there is one, not visit_word in this place: its
 * variables would be AddressSanitizer's to mark in a frame that it does not clean up.
 */
NEAP__GC_UNCHECKED void neap__gc_mark_range(uintptr_t start, uintptr_t end, void *unused)
{
	(void)unused;
	uintptr_t base = (uintptr_t)neap__gc.base, reach = neap__gc.reach;
	for (const volatile uintptr_t *at = (const volatile uintptr_t *)((start + 7) & ~(uintptr_t)7);
	     (uintptr_t)(at + 1) <= end; at++) {
		uintptr_t word = *at;
		if (NEAP__GC_UNLIKELY(word - base < reach))
			visit_each(word, neap__gc.marker);
	}
}

/* Words of `bytes` bytes at `base` whose bit is set, from the bit of offset 0 on. */
static inline void bits_words(const char *base, uint64_t bytes, const uint64_t *bits, neap__gc_word_fn *each,
			      void *ctx)
{
	for (uint64_t w = 0, words = bytes / 8; w < words; w += 64) {
		uint64_t set = bits[w / 64];
		if (words - w < 64)
			set &= (UINT64_C(1) << (words - w)) - 1;
		neap__gc_words_at(base + w * 8, set, each, ctx);
	}
}

static inline __attribute__((always_inline)) NEAP__GC_UNCHECKED void
words_of_object(uint32_t head, uint32_t object, uint64_t from, uint64_t to, neap__gc_word_fn *each, void *ctx)
{
	const struct neap__gc_span *span = neap__gc_span(head);
	const char *base = neap__gc_address(head, object);
	unsigned number = atomic_load_explicit(&span->types[object], memory_order_relaxed);
	to = to < span->size ? to : span->size;
	if (number == NEAP__GC_CONSERVATIVE) {
		for (from &= ~UINT64_C(7); from + 8 <= to; from += 8)
			each(__atomic_load_n((const uintptr_t *)(const void *)(base + from),
					     __ATOMIC_RELAXED),
			     ctx);
		return;
	}
	const struct neap__gc_type *type = &neap__gc.types[number];
	if (from < type->head_size && type->head != NULL)
		bits_words(base, type->head_size, type->head, each, ctx);
	if (type->stride == 0)
		return;
	uint64_t skipped = from > type->head_size ? (from - type->head_size) / type->stride : 0;
	for (uint64_t at = type->head_size + skipped * type->stride;
	     at < to && at + type->stride <= span->size; at += type->stride)
		bits_words(base + at, type->stride, type->tail, each, ctx);
}

static bool is_map(const struct neap__gc_span *span, uint32_t object)
{
	return neap__gc.types[atomic_load_explicit(&span->types[object], memory_order_relaxed)].map;
}

void neap__gc_each_typed(const void *base, unsigned type, neap__gc_word_fn *each, void *ctx)
{
	const struct neap_any *any = base;
	if (neap__gc.types[type].interface) {
		if (neap_any_boxed(*any))
			each(any->data, ctx);
	} else if (neap__gc.types[type].head != NULL) {
		bits_words(base, neap__gc.types[type].head_size, neap__gc.types[type].head, each, ctx);
	}
}

void neap__gc_each_word(uint32_t head, uint32_t object, uint64_t from, uint64_t to, neap__gc_word_fn *each,
			void *ctx)
{
	if (is_map(neap__gc_span(head), object))
		neap__gc_map_words(neap__gc_address(head, object), each, ctx);
	words_of_object(head, object, from, to, each, ctx);
}

static inline __attribute__((always_inline)) void visit_now(uintptr_t word, void *ctx)
{
	visit_word(ctx, word);
}

static void charge(struct neap__gc_marker *marker, uint64_t bytes)
{
	marker->credit = marker->credit > bytes ? marker->credit - bytes : 0;
}

static void read_other(struct neap__gc_marker *marker, uint32_t head, uint32_t object)
{
	uint64_t size = neap__gc_span(head)->size;
	bool map = is_map(neap__gc_span(head), object);
	enum { ROOM = sizeof marker->large / sizeof *marker->large };
	if ((size > PIECE || map) && marker->larges < ROOM) {
		marker->large[marker->larges++] = (struct neap__gc_large){head, object, 0};
		return;
	}
	for (bool first = true; map && neap__gc_map_piece(neap__gc_address(head, object), first);
	     first = false)
		;
	words_of_object(head, object, 0, size, visit_each, marker);
	marker->objects++;
	charge(marker, size);
}

static inline void read_whole(struct neap__gc_marker *marker, uint32_t head, uint32_t object)
{
	const struct neap__gc_span *span = neap__gc_span(head);
	const struct neap__gc_type *type = neap__gc_type_of(span, object);
	if (NEAP__GC_UNLIKELY(span->size > type->single)) {
		read_other(marker, head, object);
		return;
	}
	neap__gc_words_at(neap__gc_address(head, object), type->first, visit_now, marker);
	marker->objects++;
	charge(marker, span->size);
}

void neap__gc_read_unmarked(uint32_t head, uint32_t object)
{
	read_whole(neap__gc.marker, head, object);
}

static void read_piece(struct neap__gc_marker *marker)
{
	struct neap__gc_large *large = &marker->large[marker->larges - 1];
	uint64_t from = large->offset, size = neap__gc_span(large->head)->size;
	uint32_t head = large->head, object = large->object;
	bool map = is_map(neap__gc_span(head), object);
	large->offset = from + PIECE;
	if (map ? !neap__gc_map_piece(neap__gc_address(head, object), from == 0) : large->offset >= size)
		marker->larges--;
	uint64_t to = from + PIECE < size ? from + PIECE : size;
	if (neap__gc_is_large(neap__gc_span(head)) && neap__gc_is_marking() && neap__gc_tracked(head))
		neap__gc_read_first(head, from, to);
	else
		words_of_object(head, object, from, to, visit_each, marker);
	charge(marker, PIECE);
}

/* Reads all marked objects of a span that found the stack full; what they push may note spans anew. */
static void read_span(struct neap__gc_marker *marker, uint32_t head)
{
	struct neap__gc_span *span = neap__gc_span(head);
	for (uint32_t w = 0; w * 64 < span->objects; w++)
		for (uint64_t set = atomic_load_explicit(&span->words[w].mark, memory_order_relaxed);
		     set != 0; set &= set - 1)
			read_whole(marker, head, w * 64 + (uint32_t)__builtin_ctzll(set));
}

/* False: no span was noted. Reads at least one otherwise. */
static bool read_noted(struct neap__gc_marker *marker)
{
	if (!atomic_exchange_explicit(&neap__gc.overflowed, false, memory_order_acquire))
		return false;
	for (uint32_t head = 0; (head = neap__gc_next_span(head + 1)) != 0;)
		if (atomic_exchange_explicit(&neap__gc_span(head)->overflow, false, memory_order_relaxed))
			read_span(marker, head);
	return true;
}

/* Asks for what reading the object needs, and returns the one that was asked for NEAP__GC_FIFO turns ago. */
static inline uint64_t ask_for(struct neap__gc_marker *marker, uint64_t packed)
{
	uint32_t head = (uint32_t)(packed >> 32), object = (uint32_t)packed;
	__builtin_prefetch((const void *)&neap__gc_span(head)->types[object]);
	__builtin_prefetch(neap__gc_address(head, object));
	uint64_t *place = &marker->asked[marker->turn++ % NEAP__GC_FIFO], oldest = *place;
	*place = packed;
	return oldest;
}

/* The one that waits longest; false: none does. */
static bool read_asked(struct neap__gc_marker *marker)
{
	for (unsigned i = 0; i < NEAP__GC_FIFO; i++) {
		uint64_t *place = &marker->asked[marker->turn++ % NEAP__GC_FIFO], packed = *place;
		*place = 0;
		if (packed == 0)
			continue;
		read_whole(marker, (uint32_t)(packed >> 32), (uint32_t)packed);
		return true;
	}
	return false;
}

/* Marks until nothing is grey (true) or about `bytes` bytes were read. */
bool neap__gc_drain(uint64_t bytes)
{
	struct neap__gc_marker *marker = neap__gc.marker;
	marker->credit = bytes;
	for (;;) {
		while (marker->depth > 0) {
			uint64_t packed = ask_for(marker, marker->stack[--marker->depth]);
			if (NEAP__GC_LIKELY(packed != 0))
				read_whole(marker, (uint32_t)(packed >> 32), (uint32_t)packed);
			if (NEAP__GC_UNLIKELY(marker->credit == 0))
				return false;
		}
		if (marker->in != marker->out) {
			while (marker->in != marker->out && marker->depth == 0)
				mark_oldest(marker);
		} else if (read_asked(marker)) {
			continue;
		} else if (marker->larges > 0) {
			read_piece(marker);
		} else if (!read_noted(marker)) {
			return true;
		}
	}
}

void neap__gc_marker_reset(void)
{
	struct neap__gc_marker *marker = neap__gc.marker;
	marker->depth = marker->larges = marker->in = marker->out = 0;
	memset(marker->asked, 0, sizeof marker->asked);
	marker->objects = marker->overflows = 0;
	atomic_store_explicit(&marker->bytes, 0, memory_order_relaxed);
	neap__gc.shaded_count = 0;
	atomic_store(&neap__gc.overflowed, false);
}

/* Shades: what barriers marked waits with its thread, then in a common list, then with the marker. */

enum { SHADED_MOST = 1 << 20 };

void neap__gc_shades_flush(struct neap__gc_thread *thread)
{
	neap__lock_take(&neap__gc.shaded_lock);
	size_t count = atomic_load_explicit(&neap__gc.shaded_count, memory_order_relaxed);
	unsigned moved =
		thread->shades < SHADED_MOST - count ? thread->shades : (unsigned)(SHADED_MOST - count);
	memcpy(neap__gc.shaded + count, thread->shade, moved * sizeof *thread->shade);
	atomic_store_explicit(&neap__gc.shaded_count, count + moved, memory_order_relaxed);
	neap__lock_give(&neap__gc.shaded_lock);
	for (; moved < thread->shades; moved++) {
		atomic_store_explicit(&neap__gc_span((uint32_t)(thread->shade[moved] >> 32))->overflow, true,
				      memory_order_relaxed);
		atomic_store_explicit(&neap__gc.overflowed, true, memory_order_release);
	}
	thread->shades = 0;
}

void neap__gc_shade(struct neap__gc_thread *thread, uintptr_t word)
{
	uint32_t head, object;
	if (!neap__gc_find(word, &head, &object))
		return;
	struct neap__gc_span *span = neap__gc_span(head);
	if (!set_mark(span, object) || span->types == NULL)
		return;
	thread->shade[thread->shades++] = pack(head, object);
	if (thread->shades == NEAP__GC_SHADES)
		neap__gc_shades_flush(thread);
}

void neap__gc_take_shades(void)
{
	struct neap__gc_marker *marker = neap__gc.marker;
	if (atomic_load_explicit(&neap__gc.shaded_count, memory_order_relaxed) == 0)
		return;
	neap__lock_take(&neap__gc.shaded_lock);
	size_t count = neap__gc.shaded_count;
	for (size_t i = 0; i < count; i++)
		push_grey(marker, (uint32_t)(neap__gc.shaded[i] >> 32), (uint32_t)neap__gc.shaded[i]);
	neap__gc.shaded_count = 0;
	neap__lock_give(&neap__gc.shaded_lock);
}

void neap_store(void *slot, void *value)
{
	struct neap__gc_thread *thread = neap__gc_self;
	uintptr_t *word = slot;
	if (thread == NULL && (thread = neap__gc_attached()) == NULL) {
		neap__gc_fault("a store that no thread can announce", slot, "neap_store");
	}
	neap__gc_enter(thread);
	if (NEAP__GC_UNLIKELY(neap__gc_is_marking())) {
		/* The new value for the invariant; the old one so that it is not left to the last, stopped round. */
		neap__gc_shade(thread, (uintptr_t)value);
		neap__gc_shade(thread, __atomic_load_n(word, __ATOMIC_RELAXED));
	}
	__atomic_store_n(word, (uintptr_t)value, __ATOMIC_RELAXED);
	neap__gc_leave(thread);
}
