/* span.c: spans of objects, their lists, and claims. The nouns and laws are in internal.h. */
#include "gc/internal.h"

static unsigned words_for(unsigned objects)
{
	return (objects + 63) / 64;
}

static bool give_bits(struct neap__gc_span *span, bool typed)
{
	unsigned words = words_for(span->objects);
	span->words = neap__meta_alloc(words * sizeof *span->words);
	span->types = typed ? neap__meta_alloc(span->objects * sizeof *span->types) : NULL;
	if (span->words != NULL && (span->types != NULL || !typed)) {
		if (span->objects % 64 != 0)
			atomic_store_explicit(&span->words[words - 1].alloc,
					      ~UINT64_C(0) << span->objects % 64, memory_order_relaxed);
		return true;
	}
	if (span->words != NULL)
		neap__meta_free(span->words, words * sizeof *span->words);
	if (span->types != NULL)
		neap__meta_free((void *)span->types, span->objects * sizeof *span->types);
	return false;
}

static void drop_bits(struct neap__gc_span *span)
{
	neap__meta_free(span->words, words_for(span->objects) * sizeof *span->words);
	if (span->types != NULL)
		neap__meta_free((void *)span->types, span->objects * sizeof *span->types);
	if (span->noted != NULL)
		neap__meta_free((void *)span->noted,
				words_for(span->objects) * NEAP__GC_TABLES * sizeof *span->noted);
}

uint32_t neap__gc_next_span(uint32_t unit)
{
	for (unsigned r = NEAP__REGION_TRACKED; r < NEAP__REGIONS; r++) {
		uint32_t frontier = __atomic_load_n(&neap__heap.regions[r].frontier, __ATOMIC_RELAXED);
		if (unit < neap__heap.regions[r].first)
			unit = neap__heap.regions[r].first;
		for (; unit < frontier; unit++)
			if (neap__gc_head(unit) == unit)
				return unit;
	}
	return 0;
}

/* Core files take in the table of spans as far as there are some, 64 KB of it at once. */
static void dump_table_to(unsigned region, uint32_t end)
{
	enum { STEP = 1024 };
	static _Atomic uint32_t dumped[NEAP__REGIONS]; /* relaxed: each stretch is somebody's */
	uint32_t first = neap__heap.regions[region].first, from;
	uint32_t to = (end - first + STEP - 1) / STEP * STEP;
	for (from = atomic_load_explicit(&dumped[region], memory_order_relaxed); from < to;)
		if (atomic_compare_exchange_weak_explicit(&dumped[region], &from, to, memory_order_relaxed,
							  memory_order_relaxed)) {
			neap__os_dump(neap__gc_span(first + from), (to - from) * sizeof(struct neap__gc_span),
				      true);
			return;
		}
}

uint32_t neap__gc_span_create(unsigned kind, size_t size)
{
	unsigned class = kind % NEAP__GC_CLASSES, flavour = neap__gc_flavour_of(kind);
	bool large = class == NEAP__CLASSES;
	struct neap__gc_span made = {
		.size = large ? size : neap__classes[class].size,
		.magic = large ? 0 : neap__classes[class].magic,
		.objects = (uint16_t)(large ? 1 : neap__classes[class].objects),
		.units = large ? (uint32_t)((size + NEAP__UNIT - 1) >> NEAP__UNIT_SHIFT)
			       : neap__classes[class].units,
		.kind = (uint8_t)kind,
		.state = NEAP__GC_OWNED,
		.epoch = (uint8_t)atomic_load_explicit(&neap__gc.epoch, memory_order_relaxed)};
	if (!give_bits(&made, flavour != NEAP__GC_DATA))
		return 0;
	unsigned region = flavour == NEAP__GC_TRACKED ? NEAP__REGION_TRACKED : NEAP__REGION_UNTRACKED;
	uint32_t head = neap__run_alloc(region, made.units, 1);
	if (head == 0) {
		drop_bits(&made);
		return 0;
	}
	dump_table_to(region, head + made.units);
	struct neap__gc_span *span = neap__gc_span(head);
	*span = made;
	atomic_store_explicit(&neap__heap.spans[head].state, NEAP__SPAN_COLLECTED, memory_order_relaxed);
	for (uint32_t unit = head; unit < head + made.units; unit++) {
		atomic_store_explicit(&neap__heap.tags[unit], NEAP__TAG_COLLECTED, memory_order_relaxed);
		/* Release: whoever finds the head finds the fields. */
		atomic_store_explicit(&neap__gc_span(unit)->head, head, memory_order_release);
	}
	return head;
}

static size_t span_release(uint32_t head)
{
	struct neap__gc_span *span = neap__gc_span(head);
	size_t bytes = (size_t)span->units << NEAP__UNIT_SHIFT;
	neap__assert(!neap__gc_is_marking());
	for (uint32_t unit = head; unit < head + span->units; unit++)
		atomic_store_explicit(&neap__gc_span(unit)->head, 0, memory_order_release);
	drop_bits(span);
	neap__run_free(head);
	return bytes;
}

static uint32_t *list_of(const struct neap__gc_span *span)
{
	return &neap__gc.central[span->kind].lists[span->epoch & 1][span->state];
}

void neap__gc_list_push(uint32_t head, enum neap__gc_span_state state)
{
	struct neap__gc_span *span = neap__gc_span(head);
	span->state = (uint8_t)state;
	uint32_t *list = list_of(span);
	span->prev = 0;
	span->next = *list;
	if (*list != 0)
		neap__gc_span(*list)->prev = head;
	*list = head;
}

void neap__gc_list_remove(uint32_t head)
{
	struct neap__gc_span *span = neap__gc_span(head);
	if (span->prev != 0)
		neap__gc_span(span->prev)->next = span->next;
	else
		*list_of(span) = span->next;
	if (span->next != 0)
		neap__gc_span(span->next)->prev = span->prev;
	span->state = NEAP__GC_OWNED;
}

size_t neap__gc_span_settle(uint32_t head)
{
	struct neap__gc_span *span = neap__gc_span(head);
	unsigned words = words_for(span->objects), used = 0;
	for (unsigned w = 0; w < words; w++)
		used += (unsigned)__builtin_popcountll(
			atomic_load_explicit(&span->words[w].alloc, memory_order_relaxed));
	unsigned most = words * 64, least = most - span->objects;
	/* One empty span of a kind stays, so that a program at the edge does not make and drop one all the time. */
	bool spare = !neap__gc_is_large(span) &&
		     *list_of(&(struct neap__gc_span){
			     .kind = span->kind, .epoch = span->epoch, .state = NEAP__GC_PARTIAL}) == 0;
	if (used == least && !spare && !neap__gc_is_marking())
		return span_release(head);
	span->cursor = 0;
	neap__gc_list_push(head, used == most ? NEAP__GC_FULL : NEAP__GC_PARTIAL);
	return 0;
}

static uint64_t low_bits(uint64_t word, unsigned count)
{
	uint64_t taken = 0;
	while (word != 0 && count-- > 0) {
		taken |= word & -word;
		word &= word - 1;
	}
	return taken;
}

/* The next free objects of an owned span, black while marking runs. False: no word from the cursor on has any. */
bool neap__gc_span_claim(uint32_t head, struct neap__gc_slot *slot)
{
	struct neap__gc_span *span = neap__gc_span(head);
	for (unsigned w = span->cursor, words = words_for(span->objects); w < words; w++) {
		struct neap__gc_word *word = &span->words[w];
		uint64_t free = ~atomic_load_explicit(&word->alloc, memory_order_relaxed);
		if (NEAP__GC_CLAIM_MOST < 64)
			free = low_bits(free, NEAP__GC_CLAIM_MOST);
		if (free == 0)
			continue;
		if (neap__gc_is_marking())
			atomic_fetch_or_explicit(&word->mark, free, memory_order_relaxed);
		atomic_fetch_or_explicit(&word->alloc, free, memory_order_relaxed);
		for (uint64_t left = span->types != NULL ? free : 0; left != 0; left &= left - 1)
			atomic_store_explicit(&span->types[w * 64 + (unsigned)__builtin_ctzll(left)],
					      NEAP__GC_NOTHING, memory_order_relaxed);
		span->cursor = (uint8_t)w;
		unsigned first = (unsigned)__builtin_ctzll(free), last = 63 - (unsigned)__builtin_clzll(free);
		(void)neap__resident_mark(head, (w * 64 + first) * span->size,
					  (w * 64 + last + 1) * span->size);
		*slot = (struct neap__gc_slot){.free = free,
					       .base = neap__gc_address(head, w * 64),
					       .types = span->types != NULL ? span->types + w * 64 : NULL,
					       .size = (uint32_t)span->size,
					       .word = w,
					       .head = head};
		uint64_t count = (unsigned)__builtin_popcountll(free), bytes = count * span->size;
		neap__gc.central[span->kind].claimed += count;
		atomic_fetch_add_explicit(&neap__gc.live_bytes, bytes, memory_order_relaxed);
		atomic_fetch_add_explicit(&neap__gc.pace_bytes, bytes, memory_order_relaxed);
		atomic_fetch_add_explicit(&neap__gc.claimed_bytes, bytes, memory_order_relaxed);
		return true;
	}
	return false;
}

void neap__gc_slot_empty(struct neap__gc_slot *slot, unsigned kind)
{
	if (slot->free == 0)
		return;
	struct neap__gc_word *word = &neap__gc_span(slot->head)->words[slot->word];
	atomic_fetch_and_explicit(&word->alloc, ~slot->free, memory_order_relaxed);
	atomic_fetch_and_explicit(&word->mark, ~slot->free, memory_order_relaxed);
	uint64_t count = (unsigned)__builtin_popcountll(slot->free), bytes = count * slot->size;
	neap__gc.central[kind].unclaimed += count;
	atomic_fetch_sub_explicit(&neap__gc.live_bytes, bytes, memory_order_relaxed);
	atomic_fetch_sub_explicit(&neap__gc.pace_bytes, bytes, memory_order_relaxed);
	atomic_fetch_sub_explicit(&neap__gc.claimed_bytes, bytes, memory_order_relaxed);
	slot->free = 0;
}
