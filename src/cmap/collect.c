/* collect.c: reading a map for a collector, which marks what its entries lead to (src/gc/cmap.c).
 *
 * Whoever marks takes no lock, for the thread that holds it may have been stopped, and asks for no memory, for the same
 * reason. It reads as every reader does, in sections of a record of its own, one table a section. It may do so
 * because it wants less than a reader: neither which value a key has now, nor whether it is there.
 *
 * Law: an entry that is in the map when the reading begins, and stays until it ends, is shown at least once.
 *
 * Proof. A place is a leading part of the hash. Each piece takes the directory as it is then, of depth D, shows the
 * table of the place's first D bits, and moves the place to where these end: so the pieces cover all hashes. The table
 * that a piece finds was the truth at some moment of its section, so the entry was in it, at that moment (claim 3 of
 * table.h). As long as the table is in use the entry stays in its slot, because it stays in the map (claim 2); when the
 * table has been replaced nobody writes it any more. So its tag and its words are there when the piece comes by.
 *
 * (The same table in the next place of the directory need not be shown again: in one section an address is one table.)
 *
 * What else it shows does no harm: a value of several words that is half written, an entry that left meanwhile, one
 * entry twice. What was stored since may be missed.
 */
#include "cmap/table.h"

static void show_bucket(const struct neap_cmap *map, struct neap__bucket *bucket, neap__cmap_entry_fn *each,
			void *ctx)
{
	uint64_t words[(NEAP_CMAP_INLINE_KEY + NEAP_CMAP_INLINE_VALUE) / 8];
	uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_acquire);
	for (unsigned slot = 0; slot < NEAP__BUCKET_SLOTS; slot++) {
		if ((uint8_t)(tags >> 8 * slot) == 0)
			continue;
		if (neap__cmap_has_nodes(map)) {
			struct neap__node *node = neap__slot_node(bucket, slot);
			if (node != NULL) /* it left since the tags were read */
				(void)each(neap__node_key(map, node), neap__node_value(map, node), ctx);
		} else {
			neap__spot_words(map, (struct neap__spot){bucket, slot}, words);
			(void)each(words, words + map->key_words, ctx);
		}
	}
}

bool neap__cmap_join(void)
{
	if (neap__reader_self == NULL)
		neap__leave(neap__enter());
	return neap__reader_self != NULL;
}

bool neap__cmap_piece(struct neap_cmap *map, uint64_t *at, neap__cmap_entry_fn *each, void *ctx)
{
	struct neap__section section = neap__enter_plain(&neap__epochs.marker);
	atomic_thread_fence(memory_order_seq_cst); /* for want of membarrier; a piece is long */
	uintptr_t word = atomic_load_explicit(&map->front.directory, memory_order_acquire);
	const struct neap__directory_entry *entries =
		(const struct neap__directory_entry *)(word & ~(uintptr_t)63);
	const unsigned shift = word & 63;
	uintptr_t table = atomic_load_explicit(&entries[*at >> shift].table, memory_order_acquire);
	const uint64_t buckets = neap__code_buckets(neap__table_code(table));
	for (uint64_t i = 0; i < buckets; i++)
		show_bucket(map, neap__bucket_at(map, table, i), each, ctx);
	do
		*at = ((*at >> shift) + 1) << shift;
	while (*at != 0 && atomic_load_explicit(&entries[*at >> shift].table, memory_order_relaxed) == table);
	neap__leave_plain(section);
	return *at != 0;
}
