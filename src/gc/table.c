/* table.c: what is known about single objects: open addressing by the object's address, in shards.
 *
 *     object -> shard -> rows | address | what | ctx |
 *            -> a bit of its span, for who goes through spans
 *
 * A removed row stays as a gap until its shard is built anew. That takes the lock of rows for one shard of many, so a
 * million rows hold nobody up: with 64 shards 0.1 ms, with one 20 to 50.
 * The rows lie in memory that is no root: an address in a table keeps nothing.
 *
 * Law: the object of a row is allocated; its bit is set, and no others are.
 */

#include "gc/tables.h"

enum { ROOM_LEAST = 16 };

static uint64_t hash_of(uintptr_t object)
{
	return object * UINT64_C(0x9e3779b97f4a7c15);
}

static struct neap__gc_shard *shard_of(struct neap__gc_table *table, uintptr_t object)
{
	return &table->shards[hash_of(object) >> 58];
}
_Static_assert(NEAP__GC_SHARDS == 1 << (64 - 58), "a number of six bits");

static size_t row_home(const struct neap__gc_shard *shard, uintptr_t object)
{
	return (size_t)(hash_of(object) >> 20) & (shard->room - 1);
}

struct neap__gc_row *neap__gc_table_find(struct neap__gc_table *table, uintptr_t object)
{
	const struct neap__gc_shard *shard = shard_of(table, object);
	if (shard->room == 0)
		return NULL;
	for (size_t i = row_home(shard, object);; i = (i + 1) & (shard->room - 1)) {
		if (shard->rows[i].object == object)
			return &shard->rows[i];
		if (shard->rows[i].object == 0)
			return NULL;
	}
}

static struct neap__gc_row *take_row(struct neap__gc_shard *shard, uintptr_t object)
{
	size_t i = row_home(shard, object);
	while (shard->rows[i].object > 1)
		i = (i + 1) & (shard->room - 1);
	shard->removed -= shard->rows[i].object == 1;
	shard->rows[i].object = object;
	shard->count++;
	return &shard->rows[i];
}

static bool rebuild(struct neap__gc_shard *shard)
{
	struct neap__gc_shard grown = {.room = ROOM_LEAST};
	while (grown.room < shard->count * 2 + 2)
		grown.room *= 2;
	grown.rows = neap__meta_alloc(grown.room * sizeof *grown.rows);
	if (grown.rows == NULL)
		return false;
	for (size_t i = 0; i < shard->room; i++)
		if (shard->rows[i].object > 1) {
			struct neap__gc_row *row = take_row(&grown, shard->rows[i].object);
			row->what = shard->rows[i].what;
			row->ctx = shard->rows[i].ctx;
		}
	if (shard->rows != NULL)
		neap__meta_free(shard->rows, shard->room * sizeof *shard->rows);
	*shard = grown;
	return true;
}

/* The bits of the object's span that say which objects have a row in the table; NULL: no memory for them. */
static _Atomic uint64_t *bits_of(const struct neap__gc_table *table, uintptr_t object, uint64_t *ret_bit)
{
	uint32_t head, number;
	if (!neap__gc_find(object, &head, &number))
		return NULL;
	struct neap__gc_span *span = neap__gc_span(head);
	_Atomic uint64_t *noted = atomic_load_explicit(&span->noted, memory_order_relaxed);
	if (noted == NULL) {
		noted = neap__meta_alloc((span->objects + 63u) / 64 * NEAP__GC_TABLES * sizeof *noted);
		/* Release: whoever finds the bits finds them clear. */
		atomic_store_explicit(&span->noted, noted, memory_order_release);
	}
	*ret_bit = UINT64_C(1) << number % 64;
	return noted != NULL ? &noted[number / 64 * NEAP__GC_TABLES + table->number] : NULL;
}

struct neap__gc_row *neap__gc_table_add(struct neap__gc_table *table, uintptr_t object)
{
	struct neap__gc_shard *shard = shard_of(table, object);
	/* At least a quarter stays free, or a search would not end. */
	if ((shard->count + shard->removed + 1) * 4 > shard->room * 3 && !rebuild(shard))
		return NULL;
	uint64_t bit;
	_Atomic uint64_t *bits = bits_of(table, object, &bit);
	if (bits == NULL)
		return NULL;
	atomic_fetch_or_explicit(bits, bit, memory_order_relaxed);
	return take_row(shard, object);
}

void neap__gc_table_remove(struct neap__gc_table *table, struct neap__gc_row *row)
{
	struct neap__gc_shard *shard = shard_of(table, row->object);
	uint64_t bit;
	_Atomic uint64_t *bits = bits_of(table, row->object, &bit);
	if (bits != NULL)
		atomic_fetch_and_explicit(bits, ~bit, memory_order_relaxed);
	row->object = 1;
	shard->removed++;
	shard->count--;
}

const char *neap__gc_table_each(const struct neap__gc_table *table, neap__gc_row_fn *each, void *ctx)
{
	const char *said = NULL;
	for (size_t s = 0; s < NEAP__GC_SHARDS; s++)
		for (size_t i = 0; i < table->shards[s].room && said == NULL; i++)
			if (table->shards[s].rows[i].object > 1)
				said = each(table->shards[s].rows[i].object, ctx);
	return said;
}
