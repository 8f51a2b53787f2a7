/* grow.c: growth, a bucket or two at a time.
 *
 *     an insert finds the map overloaded         ->  an array of twice the size
 *     or about as many overflow buckets as buckets ->  an array of the same size: it only straightens the chains
 *
 * From then on each write first moves ("evacuates") the old bucket whose keys belong where it is going to write,
 * and one more. Old bucket i goes to new bucket i (its X half) and i + 2^oldB (its Y half), by one more bit of
 * the hash; its tophashes become marks that say where each entry went. Reads move nothing. So a map that is
 * not written any more keeps both arrays.
 *
 *                 old  [ 0 | 1 | 2 | 3 ]
 *                        │\      nevacuate = 1: every bucket below has been moved
 *                 new  [ 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 ]
 *                        X               Y
 *
 * NaN keys. Their hash is another one each time, and an iterator must be able to predict where an evacuation
 * sends them. So while iterators run the lowest bit of the tophash decides, and the new tophash is random.
 *
 * Out of memory. The new array is allocated before anything changes. An evacuation puts by the overflow
 * buckets that it may need before it moves the first entry: n entries of one chain fill, however they split
 * over two chains, at most ceil(n/8) - 1 overflow buckets.
 */
#include "base/probes.h"
#include "hmap/internal.h"

#include "base/assert.h"

/* Load factor 6.5 as a fraction. */
enum { LOAD_NUM = 13, LOAD_DEN = 2 };

/* At most this many buckets are skipped at once when nevacuate catches up with buckets moved out of order. Go's
 * number, which it calls an order of magnitude too large; it keeps a write O(1).
 */
enum { HMAP_CATCH_UP = 1024 };

bool neap__hmap_overloaded(size_t count, unsigned B)
{
	return count > HMAP_SLOTS && count > LOAD_NUM * (((size_t)1 << B) / LOAD_DEN);
}

bool neap__hmap_overflowing(const struct neap_hmap *map)
{
	unsigned B = map->head.B < 15 ? map->head.B : 15;
	return map->head.noverflow >= 1u << B;
}

int neap__hmap_grow(struct neap_hmap *map)
{
	bool bigger = neap__hmap_overloaded(map->head.count + 1, map->head.B);
	unsigned B = map->head.B + bigger;
	struct neap__hmap_table *table = neap__hmap_table_create(map, B);
	if (table == NULL)
		return NEAP_ENOMEM;
	NEAP__PROBE3(hmap__grow, map, map->name, B);

	/* Iterators of the present array become iterators of the old one. */
	unsigned flags = neap__hmap_flags(map);
	unsigned kept = flags & ~(unsigned)(NEAP_HMAP_ITERATOR | NEAP_HMAP_OLD_ITERATOR);
	if ((flags & NEAP_HMAP_ITERATOR) != 0)
		kept |= NEAP_HMAP_OLD_ITERATOR;
	if (!bigger)
		kept |= NEAP_HMAP_SAME_SIZE_GROW;
	neap__hmap_set_flags(map, kept);

	map->old = map->table;
	map->head.oldbuckets = map->head.buckets;
	map->head.B = (uint8_t)B;
	map->head.nevacuate = 0;
	map->head.noverflow = 0;
	map->extra.oldoverflow = map->extra.overflow;
	map->extra.overflow = NULL;
	if (bigger)
		map->grows++;
	else
		map->same_size_grows++;
	neap__hmap_table_install(map, table, B);
	return NEAP_OK;
}

/* ---- Moving one bucket ---- */

/* Where the next entry of one half goes. */
struct hmap_target {
	struct neap__hmap_bucket *b;
	size_t i;
};

static size_t hmap_chain_entries(const struct neap_hmap *map, struct neap__hmap_bucket *b)
{
	size_t entries = 0;
	for (; b != NULL; b = neap__hmap_overflow(map, b)) {
		for (size_t i = 0; i < HMAP_SLOTS; i++)
			entries += !neap__hmap_empty(b->tophash[i]);
	}
	return entries;
}

static bool hmap_reserve_for(struct neap_hmap *map, struct neap__hmap_bucket *b)
{
	if (neap__hmap_overflow(map, b) == NULL)
		return true;
	size_t entries = hmap_chain_entries(map, b);
	return entries <= HMAP_SLOTS ||
	       neap__hmap_reserve_overflow(map, (entries + HMAP_SLOTS - 1) / HMAP_SLOTS - 1);
}

/* Which half an entry goes to: 0 X, 1 Y. May draw a new tophash for a NaN. */
static unsigned hmap_half(struct neap_hmap *map, const void *key, size_t newbit, uint8_t *top)
{
	if (neap__hmap_same_size(map))
		return 0;
	uint64_t hash = neap__hmap_hash(map, key);
	if ((neap__hmap_flags(map) & NEAP_HMAP_ITERATOR) != 0 && !map->reflexive &&
	    !neap__hmap_equal(map, key, key)) {
		unsigned half = *top & 1;
		*top = neap__hmap_tophash(hash);
		return half;
	}
	return (hash & newbit) != 0;
}

static void hmap_move_entry(struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i,
			    struct hmap_target *to, uint8_t top)
{
	if (to->i == HMAP_SLOTS) {
		to->b = neap__hmap_new_overflow(map, to->b);
		to->i = 0;
	}
	neap__assert(to->b != NULL); /* overflow buckets were put by; a same-size growth has no second half */
	to->b->tophash[to->i] = top;
	memcpy(neap__hmap_key_slot(map, to->b, to->i), neap__hmap_key_slot(map, b, i), map->key_slot);
	memcpy(neap__hmap_value_slot(map, to->b, to->i), neap__hmap_value_slot(map, b, i), map->value_slot);
	to->i++;
}

static void hmap_move_chain(struct neap_hmap *map, struct neap__hmap_bucket *b, size_t index, size_t newbit)
{
	/* In a growth of the same size there is no upper half, and nothing is sent there. */
	size_t upper = neap__hmap_same_size(map) ? index : index + newbit;
	struct hmap_target half[2] = {{neap__hmap_at(map, map->head.buckets, index), 0},
				      {neap__hmap_at(map, map->head.buckets, upper), 0}};
	for (; b != NULL; b = neap__hmap_overflow(map, b)) {
		for (size_t i = 0; i < HMAP_SLOTS; i++) {
			uint8_t top = b->tophash[i];
			if (neap__hmap_empty(top)) {
				b->tophash[i] = NEAP_HMAP_EVACUATED_EMPTY;
				continue;
			}
			neap__assert(top >= NEAP_HMAP_MIN_TOPHASH);
			unsigned y = hmap_half(map, neap__hmap_key(map, b, i), newbit, &top);
			b->tophash[i] = (uint8_t)(NEAP_HMAP_EVACUATED_X + y);
			hmap_move_entry(map, b, i, &half[y], top);
		}
	}
}

_Static_assert((NEAP_HMAP_EVACUATED_X ^ 1) == NEAP_HMAP_EVACUATED_Y, "the low bit of the mark is the half");

/* ---- Progress ---- */

static void hmap_finish(struct neap_hmap *map)
{
	struct neap__hmap_table *old = map->old;
	map->old = NULL;
	map->head.oldbuckets = NULL;
	map->extra.oldoverflow = NULL;
	neap__hmap_set_flags(map, neap__hmap_flags(map) & ~(unsigned)NEAP_HMAP_SAME_SIZE_GROW);
	neap__hmap_table_drop(map, old);
	neap__hmap_settle(map);
}

static void hmap_advance(struct neap_hmap *map, size_t old_buckets)
{
	size_t at = map->head.nevacuate + 1;
	size_t stop = at + HMAP_CATCH_UP < old_buckets ? at + HMAP_CATCH_UP : old_buckets;
	while (at != stop && neap__hmap_evacuated(neap__hmap_at(map, map->head.oldbuckets, at)))
		at++;
	map->head.nevacuate = at;
	if (at == old_buckets)
		hmap_finish(map);
}

/* Go clears a bucket that it has moved so that its collector does not see the old copies, unless oldIterator says
 * that an iterator may walk them. After two same-size growths under one iterator that flag no longer says so, and
 * the iterator loses entries in Go; here the count of its holders also keeps an array whole.
 */
static bool hmap_may_clear(const struct neap_hmap *map)
{
	return map->pointers && (neap__hmap_flags(map) & NEAP_HMAP_OLD_ITERATOR) == 0 &&
	       !neap__hmap_table_held(map->old);
}

static int hmap_evacuate(struct neap_hmap *map, size_t index)
{
	struct neap__hmap_bucket *b = neap__hmap_at(map, map->head.oldbuckets, index);
	size_t old_buckets = neap__hmap_old_buckets(map);
	if (!neap__hmap_evacuated(b)) {
		if (!hmap_reserve_for(map, b))
			return NEAP_ENOMEM;
		hmap_move_chain(map, b, index, old_buckets);
		neap__hmap_unreserve(map);
		map->evacuated++;
		if (hmap_may_clear(map)) {
			neap__hmap_cut_chain(map, map->old, b);
			memset((uint8_t *)b + HMAP_DATA, 0, map->bucket_size - HMAP_DATA);
		}
	}
	if (index == map->head.nevacuate)
		hmap_advance(map, old_buckets);
	return NEAP_OK;
}

int neap__hmap_grow_work(struct neap_hmap *map, size_t bucket)
{
	if (hmap_evacuate(map, bucket & (neap__hmap_old_buckets(map) - 1)) != NEAP_OK)
		return NEAP_ENOMEM;
	/* One more, for progress; when there is no memory for it now, the next write tries again. */
	if (neap__hmap_growing(map))
		(void)hmap_evacuate(map, map->head.nevacuate);
	return NEAP_OK;
}
