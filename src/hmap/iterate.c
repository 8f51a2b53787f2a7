/* iterate.c: once around the buckets, from a random start.
 *
 * An iterator takes down the array and B of the moment it starts. It visits bucket numbers startBucket, +1, …,
 * wraps, and ends where it began; within each bucket of a chain it starts at slot `offset` and wraps too.
 *
 * The map may grow under it. The iterator goes on through its own array, which therefore must stay (it pins the
 * table). An entry found there under an evacuated mark is only a copy: the iterator looks its key up in the map
 * and produces what is there now, or nothing when it was deleted.
 *
 * It may also have started during a growth, in the new array, part of which is still empty:
 *
 *     bucket n of the new array not filled yet  ->  walk its old bucket instead and produce only the entries
 *                                                   that will go to n (`check` is n)
 *     filled                                    ->  walk it (`check` is NO_CHECK)
 *
 * Where a NaN will go can't be computed; the low bit of its tophash decides, here as in grow.c. A NaN under an
 * evacuated mark can't be looked up, but it can't have been deleted or changed either, so the copy is produced.
 *
 * A clear makes the array anew under the iterator, and with it the mark of the last overflow bucket in stock: a pointer
 * to bucket 0. An iterator that stood in that bucket ends its chain there. Go follows the pointer, and walks bucket 0
 * once more than it should.
 *
 * Two tables may be held: the one it started in (`home`), and the old one it walks at the moment (`away`).
 */
#include "hmap/internal.h"

#include "base/fault.h"

#define HMAP_NO_CHECK SIZE_MAX

_Static_assert(sizeof(((struct neap_hmap_iter *)0)->neap__key) == NEAP_HMAP_INLINE_MAX,
	       "any inline key fits");

/* ---- Holding tables ---- */

static void *hmap_pin(struct neap__hmap_table *table)
{
	__atomic_add_fetch(&table->pins, 1, __ATOMIC_RELAXED);
	return table;
}

/* Release: pairs with the acquire of neap__hmap_table_held. */
static void hmap_unpin(void *table)
{
	if (table != NULL)
		__atomic_sub_fetch(&((struct neap__hmap_table *)table)->pins, 1, __ATOMIC_RELEASE);
}

static void hmap_hold_away(struct neap_hmap_iter *it, struct neap__hmap_table *table)
{
	if (it->neap__away == table)
		return;
	hmap_unpin(it->neap__away);
	it->neap__away = hmap_pin(table);
}

/* ---- Life ---- */

void neap_hmap_iter_init(struct neap_hmap_iter *it, struct neap_hmap *map)
{
	memset(it, 0, offsetof(struct neap_hmap_iter, neap__key));
	if (map == NULL || map->head.count == 0)
		return;
	it->neap__map = map;
	it->neap__B = map->head.B;
	it->neap__buckets = map->head.buckets;
	if (!map->pointers)
		neap__hmap_need_overflow_list(map);

	/* Go 1.19 draws 32 bits unless the table needs more. */
	uint64_t draw = neap__hmap_random(map);
	if (map->version == NEAP_HMAP_GO_1_19 && map->head.B <= 31 - 3)
		draw = (uint32_t)draw;
	it->neap__start = draw & neap__hmap_mask(map->head.B);
	it->neap__offset = (draw >> map->head.B) & (HMAP_SLOTS - 1);
	it->neap__bucket = it->neap__start;

	it->neap__home = hmap_pin(map->table);
	__atomic_add_fetch(&map->iterators, 1, __ATOMIC_RELAXED);
	/* Atomic, because iterations may start on many threads. */
	const uint8_t both = NEAP_HMAP_ITERATOR | NEAP_HMAP_OLD_ITERATOR;
	if ((neap__hmap_flags(map) & both) != both)
		__atomic_or_fetch(&map->head.flags, both, __ATOMIC_RELAXED);
}

void neap_hmap_iter_deinit(struct neap_hmap_iter *it)
{
	struct neap_hmap *map = it->neap__map;
	it->key = NULL;
	it->value = NULL;
	if (map == NULL)
		return;
	it->neap__map = NULL;
	hmap_unpin(it->neap__home);
	hmap_unpin(it->neap__away);
	/* Release: pairs with the acquire in settle, and in the deletes that ask whether iterators run. */
	__atomic_sub_fetch(&map->iterators, 1, __ATOMIC_RELEASE);
	neap__hmap_settle(map);
}

/* ---- Steps ---- */

/* The chain for bucket number `bucket`: the old one while that has not been moved. */
static struct neap__hmap_bucket *hmap_iter_chain(struct neap_hmap_iter *it, size_t bucket)
{
	struct neap_hmap *map = it->neap__map;
	it->neap__check = HMAP_NO_CHECK;
	if (neap__hmap_growing(map) && it->neap__B == map->head.B) {
		size_t index = bucket & (neap__hmap_old_buckets(map) - 1);
		struct neap__hmap_bucket *b = neap__hmap_at(map, map->head.oldbuckets, index);
		if (!neap__hmap_evacuated(b)) {
			hmap_hold_away(it, map->old);
			it->neap__check = bucket;
			return b;
		}
	}
	return neap__hmap_at(map, it->neap__buckets, bucket);
}

/* Will the entry go to the bucket that the iterator stands for? */
static bool hmap_iter_destined(const struct neap_hmap_iter *it, const void *key, uint8_t top)
{
	const struct neap_hmap *map = it->neap__map;
	if (it->neap__check == HMAP_NO_CHECK || neap__hmap_same_size(map))
		return true;
	if (map->reflexive || neap__hmap_equal(map, key, key))
		return (neap__hmap_hash(map, key) & neap__hmap_mask(it->neap__B)) == it->neap__check;
	bool upper = (it->neap__check & (((size_t)1 << it->neap__B) >> 1)) != 0;
	return upper == (top & 1);
}

static void hmap_iter_produce(struct neap_hmap_iter *it, struct neap__hmap_bucket *b, size_t i)
{
	const struct neap_hmap *map = it->neap__map;
	it->key = neap__hmap_key(map, b, i);
	it->value = neap__hmap_value(map, b, i);
	if (!map->key_indirect)
		it->key = memcpy(it->neap__key, it->key, map->key_slot);
}

/* Produces the entry in slot `i` of `b` if there is one for this iterator. */
static bool hmap_iter_take(struct neap_hmap_iter *it, struct neap__hmap_bucket *b, size_t i)
{
	const struct neap_hmap *map = it->neap__map;
	uint8_t top = b->tophash[i];
	if (neap__hmap_empty(top) || top == NEAP_HMAP_EVACUATED_EMPTY)
		return false;
	const void *key = neap__hmap_key(map, b, i);
	if (!hmap_iter_destined(it, key, top))
		return false;
	bool moved = top == NEAP_HMAP_EVACUATED_X || top == NEAP_HMAP_EVACUATED_Y;
	if (!moved || !(map->reflexive || neap__hmap_equal(map, key, key))) {
		hmap_iter_produce(it, b, i);
		return true;
	}
	if (map->head.count == 0)
		return false;
	uint64_t hash = neap__hmap_hash(map, key);
	struct neap__hmap_place now = neap__hmap_find(map, neap__hmap_chain(map, hash), key, hash);
	if (now.b == NULL)
		return false;
	hmap_iter_produce(it, now.b, now.i);
	return true;
}

bool neap_hmap_iter_next(struct neap_hmap_iter *it)
{
	struct neap_hmap *map = it->neap__map;
	if (map == NULL)
		return false;
	if ((neap__hmap_flags(map) & NEAP_HMAP_WRITING) != 0)
		neap__fault((struct neap_fault){.rule = "concurrent map iteration and map write",
						.object = map->name,
						.address = map,
						.operation = "neap_hmap_iter_next"});
	struct neap__hmap_bucket *b = (struct neap__hmap_bucket *)it->neap__at;
	for (;;) {
		if (b == NULL) {
			if (it->neap__bucket == it->neap__start && it->neap__wrapped) {
				neap_hmap_iter_deinit(it);
				return false;
			}
			b = hmap_iter_chain(it, it->neap__bucket);
			it->neap__bucket = (it->neap__bucket + 1) & neap__hmap_mask(it->neap__B);
			it->neap__wrapped |= it->neap__bucket == 0;
			it->neap__i = 0;
		}
		while (it->neap__i < HMAP_SLOTS) {
			size_t slot = (it->neap__i++ + it->neap__offset) & (HMAP_SLOTS - 1);
			if (hmap_iter_take(it, b, slot)) {
				it->neap__at = (uint8_t *)b;
				return true;
			}
		}
		b = neap__hmap_overflow(map, b);
		if ((uint8_t *)b == (uint8_t *)it->neap__buckets)
			b = NULL; /* a clear has taken the last overflow bucket back and marked it */
		it->neap__i = 0;
	}
}
