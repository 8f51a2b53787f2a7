/* again.c: reading marked objects of a written page again.
 *
 * Most of what they lead to is marked by then: a look at the mark bit is enough. Each look is a cache miss in a large
 * heap, though, and an array has 512 words on a page of which few have changed. So for pages inside large objects the
 * words that were looked at are kept (copies), and only those that differ are looked at again.
 *
 * THE LAW OF COPIES. A copy that is not 0 was visited in this cycle. Marks stay until the cycle ends, and what is
 * allocated meanwhile is black: so a value that was visited once, in whatever place, need not be visited again. Hence
 * a word's copy lies at its address modulo COPIES_BYTES, and it does no harm that words share one.
 *
 * Copies cost memory while marking runs only; then it goes back to the system, which also clears them.
 */
#include <string.h>

#include "gc/mark.h"

#ifdef NEAP_HOSTILE
enum { COPIES_BYTES = 64 << 10 };
#else
enum { COPIES_BYTES = 64 << 20 };
#endif

static _Atomic uintptr_t *copies; /* COPIES_BYTES */
static bool any_copied;

bool neap__gc_again_start(void)
{
	if (copies == NULL && (copies = neap__os_reserve(COPIES_BYTES)) != NULL)
		neap__os_dump((void *)copies, COPIES_BYTES, false);
	return copies != NULL;
}

void neap__gc_again_end(void)
{
	if (any_copied && neap__os_return(copies, COPIES_BYTES) == 0)
		memset((void *)copies, 0, COPIES_BYTES);
	any_copied = false;
}

static inline void visit_first(uintptr_t word, void *unused)
{
	(void)unused;
	neap__gc_mark_word(word);
}

/* An object with a finalizer is read without being marked (final.c), so it is read again as well. */
static bool was_read(uint32_t head, uint32_t object)
{
	return neap__gc_marked(head, object) || neap__gc_has(head, object, NEAP__GC_FINALS);
}

static inline void visit_again(uintptr_t word, void *unused)
{
	uint32_t head, object;
	(void)unused;
	if (neap__gc_find(word, &head, &object) && !neap__gc_marked(head, object))
		neap__gc_mark_word(word);
}

/* May the word at `offset` of an object of this type be a pointer? */
static bool points(const struct neap__gc_type *type, uint64_t offset)
{
	const uint64_t *bits = type->head;
	if (offset >= type->head_size) {
		bits = type->tail;
		offset = type->stride != 0 ? (offset - type->head_size) % type->stride : 0;
	}
	return bits != NULL && (bits[offset / 512] >> offset / 8 % 64 & 1) != 0;
}

/* The words in [from, to) of a large object. Each is read once: what is visited is what is kept. */
static inline __attribute__((always_inline)) void read_large(uint32_t head, uintptr_t from, uintptr_t to,
							     neap__gc_word_fn *visit)
{
	const struct neap__gc_span *span = neap__gc_span(head);
	uintptr_t base = (uintptr_t)neap__unit_address(head), end = base + span->size;
	unsigned number = atomic_load_explicit(&span->types[0], memory_order_relaxed);
	any_copied = true;
	for (end = to < end ? to : end; from < end; from += sizeof from) {
		uintptr_t word = __atomic_load_n((const uintptr_t *)from, __ATOMIC_RELAXED);
		_Atomic uintptr_t *copy = &copies[from % COPIES_BYTES / sizeof from];
		if (NEAP__GC_LIKELY(word == atomic_load_explicit(copy, memory_order_relaxed)))
			continue;
		if (number == NEAP__GC_CONSERVATIVE || points(&neap__gc.types[number], from - base))
			visit(word, NULL);
		atomic_store_explicit(copy, word, memory_order_relaxed);
	}
}

void neap__gc_read_first(uint32_t head, uint64_t from, uint64_t to)
{
	uintptr_t base = (uintptr_t)neap__unit_address(head);
	read_large(head, base + from, base + to, visit_first);
}

/* Objects of a span of small ones that were read and that touch [from, to). */
static void read_small(uint32_t head, uintptr_t from, uintptr_t to)
{
	const struct neap__gc_span *span = neap__gc_span(head);
	uintptr_t base = (uintptr_t)neap__unit_address(head);
	uint32_t object = (uint32_t)((from - base) * span->magic >> NEAP__MAGIC_SHIFT);
	for (; object < span->objects && base + object * span->size < to; object++) {
		uintptr_t at = base + object * span->size;
		if (!was_read(head, object))
			continue;
		const struct neap__gc_type *type = neap__gc_type_of(span, object);
		if (NEAP__GC_LIKELY(span->size <= type->single))
			neap__gc_words_at((const char *)at, type->first, visit_again, NULL);
		else
			neap__gc_each_word(head, object, from > at ? from - at : 0, to - at, visit_again,
					   NULL);
	}
}

void neap__gc_read_again(uintptr_t start, uintptr_t end)
{
	uint32_t first = neap__gc.first - (uint32_t)((uintptr_t)neap__gc.base >> NEAP__UNIT_SHIFT);
	for (uintptr_t next; start < end; start = next) {
		uint32_t head = neap__gc_head((uint32_t)(start >> NEAP__UNIT_SHIFT) + first);
		next = (start & ~(uintptr_t)(NEAP__UNIT - 1)) + NEAP__UNIT;
		if (head == 0)
			continue;
		const struct neap__gc_span *span = neap__gc_span(head);
		next = (uintptr_t)neap__unit_address(head) + ((uintptr_t)span->units << NEAP__UNIT_SHIFT);
		uintptr_t to = next < end ? next : end;
		if (!neap__gc_is_large(span))
			read_small(head, start, to);
		else if (was_read(head, 0))
			read_large(head, start, to, visit_again);
	}
}
