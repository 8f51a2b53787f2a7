/* check.c: the laws of internal.h checked one by one, and a second opinion on marking.
 *
 *  1  every unit of a span says its head; the heap says that the run is collected
 *  2  span: bits past `objects` are set in alloc, clear in mark; no mark bit is set when it is swept and nothing marks
 *  3  central: the lists of an epoch hold exactly the spans of that epoch and state; an owned span is one slot's
 *  4  slot: what it may hand out is set in alloc, and in mark while marking
 *  5  live_bytes == sum of the sizes of set alloc bits
 *  6  row: its object is allocated; the bits of spans name the objects that have one
 *
 * Checkmark traces again from the roots with a bitmap, a stack and a loop of its own, and stops the program at the
 * first object that it reaches and marking did not.
 */

#include "gc/mark.h"
#include "gc/tables.h"

#define GC_REQUIRE(condition)              \
	do {                               \
		if (!(condition))          \
			return #condition; \
	} while (0)

struct gc_census {
	uint64_t bytes, listed, owned;
};

static const char *check_gc_span(uint32_t head, struct gc_census *census)
{
	const struct neap__gc_span *span = neap__gc_span(head);
	bool swept = !neap__gc_unswept(head);
	for (uint32_t unit = head; unit < head + span->units; unit++) {
		GC_REQUIRE(neap__gc_head(unit) == head);
		GC_REQUIRE(neap__tag_of(unit) == NEAP__TAG_COLLECTED);
	}
	for (uint32_t i = 0; i < (span->objects + 63u) / 64 * 64; i++) {
		bool alloc = neap__gc_allocated(head, i), mark = neap__gc_marked(head, i);
		GC_REQUIRE(i < span->objects || (alloc && !mark));
		GC_REQUIRE(!mark || !swept || neap__gc_is_marking());
		if (i < span->objects && alloc)
			census->bytes += span->size;
	}
	census->owned += span->state == NEAP__GC_OWNED;
	census->listed += span->state != NEAP__GC_OWNED;
	return NULL;
}

static const char *check_gc_lists(unsigned kind, struct gc_census *census)
{
	for (unsigned parity = 0; parity < 2; parity++)
		for (unsigned state = 0; state < NEAP__GC_LISTS; state++)
			for (uint32_t head = neap__gc.central[kind].lists[parity][state], before = 0;
			     head != 0; before = head, head = neap__gc_span(head)->next) {
				const struct neap__gc_span *span = neap__gc_span(head);
				GC_REQUIRE(span->prev == before && span->kind == kind);
				GC_REQUIRE(span->state == state && (span->epoch & 1u) == parity);
				GC_REQUIRE(neap__gc_unswept(head) == (parity != (neap__gc.epoch & 1)));
				census->listed--;
			}
	return NULL;
}

static const char *check_gc_slot(const struct neap__gc_slot *slot, unsigned kind, struct gc_census *census)
{
	if (slot->head == 0)
		return slot->free == 0 ? NULL : "an empty slot has nothing to hand out";
	const struct neap__gc_span *span = neap__gc_span(slot->head);
	GC_REQUIRE(span->state == NEAP__GC_OWNED && span->kind == kind && !neap__gc_unswept(slot->head));
	census->owned--;
	if (slot->free == 0)
		return NULL;
	const struct neap__gc_word *word = &span->words[slot->word];
	GC_REQUIRE((slot->free & ~word->alloc) == 0);
	GC_REQUIRE(!neap__gc_is_marking() || (slot->free & ~word->mark) == 0);
	return NULL;
}

static const char *check_gc_row(uintptr_t object, void *of_table)
{
	uint32_t head, number;
	uint64_t *rows = of_table; /* the table's number, and how many there are */
	GC_REQUIRE(neap__gc_find(object, &head, &number) &&
		   object == (uintptr_t)neap__gc_address(head, number));
	GC_REQUIRE(neap__gc_allocated(head, number));
	GC_REQUIRE(neap__gc_has(head, number, (enum neap__gc_table_number)rows[0]));
	rows[1]++;
	return NULL;
}

static const char *check_gc_rows(void)
{
	uint64_t weaks[2] = {NEAP__GC_WEAKS, 0}, finals[2] = {NEAP__GC_FINALS, 0};
	const char *broken = neap__gc_weak_each(check_gc_row, weaks);
	if (broken == NULL)
		broken = neap__gc_final_each(check_gc_row, finals);
	for (uint32_t head = 0; (head = neap__gc_next_span(head + 1)) != 0;)
		for (uint32_t w = 0; w * 64 < neap__gc_span(head)->objects; w++) {
			const struct neap__gc_span *span = neap__gc_span(head);
			weaks[1] -= (unsigned)__builtin_popcountll(neap__gc_noted(span, w, NEAP__GC_WEAKS));
			finals[1] -= (unsigned)__builtin_popcountll(neap__gc_noted(span, w, NEAP__GC_FINALS));
		}
	GC_REQUIRE(broken != NULL || (weaks[1] == 0 && finals[1] == 0));
	return broken;
}

const char *neap__gc_check(void)
{
	struct gc_census census = {0, 0, 0};
	const char *broken = NULL;
	if (!neap__gc_begin())
		return NULL;
	for (uint32_t head = 0; broken == NULL && (head = neap__gc_next_span(head + 1)) != 0;)
		broken = check_gc_span(head, &census);
	for (unsigned kind = 0; kind < NEAP__GC_KINDS && broken == NULL; kind++)
		broken = check_gc_lists(kind, &census);
	for (const struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next)
		for (unsigned kind = 0; kind < NEAP__GC_KINDS && broken == NULL; kind++)
			broken = check_gc_slot(&thread->slots[kind], kind, &census);
	if (broken == NULL)
		broken = check_gc_rows();
	if (broken != NULL)
		return broken;
	GC_REQUIRE(census.listed == 0 && census.owned == 0);
	GC_REQUIRE(census.bytes == neap__gc.live_bytes);
	return NULL;
}

/* Checkmark. */

struct second {
	_Atomic uint64_t *seen; /* a bit for every 16 bytes of the collected regions */
	uint64_t *stack;
	size_t depth;
};

static void second_word(uintptr_t word, void *ctx)
{
	struct second *second = ctx;
	uint32_t head, object;
	if (!neap__gc_find(word, &head, &object) || !neap__gc_allocated(head, object))
		return;
	uintptr_t place = ((uintptr_t)neap__gc_address(head, object) - (uintptr_t)neap__gc.base) / 16;
	if (second->seen[place / 64] >> place % 64 & 1)
		return;
	second->seen[place / 64] |= UINT64_C(1) << place % 64;
	if (!neap__gc_marked(head, object))
		neap__gc_fault("checkmark: reachable and not marked", neap__gc_address(head, object),
			       "marking");
	if (neap__gc_span(head)->types != NULL)
		second->stack[second->depth++] = (uint64_t)head << 32 | object;
}

__attribute__((no_sanitize("address", "thread"))) static void second_range(uintptr_t start, uintptr_t end,
									   void *ctx)
{
	for (uintptr_t at = (start + 7) & ~(uintptr_t)7; at + 8 <= end; at += 8)
		second_word(*(const volatile uintptr_t *)at, ctx);
}

/* The value of a weak map's entry, whose map and key are marked. */
static void second_value(uintptr_t key, uintptr_t value, void *ctx)
{
	(void)key;
	second_word(value, ctx);
}

/* An object with a finalizer: what it leads to is marked. */
static const char *second_final(uintptr_t object, void *second)
{
	uint32_t head, number;
	if (neap__gc_find(object, &head, &number) && neap__gc_span(head)->types != NULL &&
	    !neap__gc_marked(head, number))
		neap__gc_each_word(head, number, 0, UINT64_MAX, second_word, second);
	return NULL;
}

/* World stopped, marking complete. Quietly does nothing when there is no memory for it. */
void neap__gc_checkmark(void)
{
	size_t seen_bytes = neap__gc.reach / 16 / 8, stack_bytes = (size_t)neap__gc.live_bytes / 2 + 4096;
	struct second second = {neap__os_reserve(seen_bytes), neap__os_reserve(stack_bytes), 0};
	if (second.seen != NULL && second.stack != NULL) {
		neap__gc_each_stack(second_range, &second);
		neap__gc_each_global(second_range, &second);
		neap__gc_each_handle(second_range, &second);
		neap__gc_ephemerons_each(neap__gc_is_black, second_value, &second);
		(void)neap__gc_final_each(second_final, &second);
		while (second.depth > 0) {
			uint64_t packed = second.stack[--second.depth];
			neap__gc_each_word((uint32_t)(packed >> 32), (uint32_t)packed, 0, UINT64_MAX,
					   second_word, &second);
		}
		atomic_fetch_add(&neap__gc.checked, 1);
	}
	neap__os_release((void *)second.seen, seen_bytes);
	neap__os_release(second.stack, stack_bytes);
}
