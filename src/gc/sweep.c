/* sweep.c: what was not marked becomes free: span by span, by whoever needs room, and by the collector's thread.
 *
 * Never while marking runs. The lock of the kind is held for one span at a time. What the tables know about an object
 * comes to its end here too: its weak references are cleared, and one with a finalizer stays for it.
 */
#include <string.h>

#include "gc/internal.h"
#include "gc/tables.h"

enum { CLOBBER_BYTE = 0xdb };

static void clobber_word(uint32_t head, unsigned w, uint64_t dead)
{
	for (; dead != 0; dead &= dead - 1) {
		uint32_t object = w * 64 + (uint32_t)__builtin_ctzll(dead);
		memset(neap__gc_address(head, object), CLOBBER_BYTE, neap__gc_span(head)->size);
	}
}

/* Of dead objects with rows: those that stay. */
static uint64_t end_rows(uint32_t head, unsigned w, uint64_t dead)
{
	uint64_t stay = 0;
	neap__lock_take(&neap__gc.rows);
	for (; dead != 0; dead &= dead - 1) {
		uintptr_t object =
			(uintptr_t)neap__gc_address(head, w * 64 + (uint32_t)__builtin_ctzll(dead));
		neap__gc_weak_forget(object);
		stay |= neap__gc_final_due(object) ? dead & -dead : 0;
	}
	neap__lock_give(&neap__gc.rows);
	return stay;
}

size_t neap__gc_span_sweep(uint32_t head)
{
	struct neap__gc_span *span = neap__gc_span(head);
	struct neap__gc_central *central = &neap__gc.central[span->kind];
	neap__assert(!neap__gc_is_marking());
	neap__gc_list_remove(head);
	uint64_t freed = 0;
	for (unsigned w = 0, words = (span->objects + 63u) / 64; w < words; w++) {
		uint64_t beyond = (w + 1) * 64 > span->objects ? ~UINT64_C(0) << span->objects % 64 : 0;
		uint64_t alloc = atomic_load_explicit(&span->words[w].alloc, memory_order_relaxed);
		uint64_t mark = atomic_load_explicit(&span->words[w].mark, memory_order_relaxed);
		uint64_t dead = alloc & ~mark & ~beyond;
		uint64_t rows = dead & (neap__gc_noted(span, w, NEAP__GC_WEAKS) |
					neap__gc_noted(span, w, NEAP__GC_FINALS));
		if (NEAP__GC_UNLIKELY(rows != 0))
			dead &= ~end_rows(head, w, rows);
		freed += (unsigned)__builtin_popcountll(dead);
		if (neap__gc.clobber)
			clobber_word(head, w, dead);
		atomic_store_explicit(&span->words[w].alloc, alloc & ~dead, memory_order_relaxed);
		atomic_store_explicit(&span->words[w].mark, 0, memory_order_relaxed);
	}
	central->swept += freed;
	central->swept_bytes += freed * span->size;
	atomic_fetch_sub_explicit(&neap__gc.live_bytes, freed * span->size, memory_order_relaxed);
	span->epoch = (uint8_t)atomic_load_explicit(&neap__gc.epoch, memory_order_relaxed);
	return neap__gc_span_settle(head);
}

uint32_t neap__gc_next_unswept(unsigned kind)
{
	const uint32_t *old = neap__gc.central[kind].lists[(neap__gc.epoch + 1) & 1];
	return old[NEAP__GC_PARTIAL] != 0 ? old[NEAP__GC_PARTIAL] : old[NEAP__GC_FULL];
}

void neap__gc_sweep_all(void)
{
	for (unsigned kind = 0; kind < NEAP__GC_KINDS; kind++)
		for (;;) {
			neap__lock_take(&neap__gc.central[kind].lock);
			uint32_t head = neap__gc_next_unswept(kind);
			size_t bytes = head != 0 ? neap__gc_span_sweep(head) : 0;
			neap__lock_give(&neap__gc.central[kind].lock);
			if (bytes > 0)
				neap__returner_nudge(bytes);
			if (head == 0)
				break;
		}
	/* Under each lock it was seen that no span is left, so nobody sweeps one any more. */
	atomic_store_explicit(&neap__gc.sweeping, false, memory_order_release);
}
