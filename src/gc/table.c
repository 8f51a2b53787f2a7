/* table.c: what is known about single objects: open addressing by the object's address.
 *
 * A removed row stays as a gap until the table is built anew, so rows may be removed while the table is walked.
 * The rows lie in memory that is no root: an address in a table keeps nothing.
 */

#include "gc/tables.h"

enum { ROOM_LEAST = 64 };

static size_t table_home(const struct neap__gc_table *table, uintptr_t object)
{
	return (size_t)(object * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (table->room - 1);
}

struct neap__gc_row *neap__gc_table_find(const struct neap__gc_table *table, uintptr_t object)
{
	if (table->room == 0)
		return NULL;
	for (size_t i = table_home(table, object);; i = (i + 1) & (table->room - 1)) {
		if (table->rows[i].object == object)
			return &table->rows[i];
		if (table->rows[i].object == 0)
			return NULL;
	}
}

static struct neap__gc_row *take_row(struct neap__gc_table *table, uintptr_t object)
{
	size_t i = table_home(table, object);
	while (table->rows[i].object > 1)
		i = (i + 1) & (table->room - 1);
	table->removed -= table->rows[i].object == 1;
	table->rows[i].object = object;
	table->count++;
	return &table->rows[i];
}

static bool rebuild(struct neap__gc_table *table)
{
	struct neap__gc_table grown = {.room = ROOM_LEAST};
	while (grown.room < table->count * 2 + 2)
		grown.room *= 2;
	grown.rows = neap__meta_alloc(grown.room * sizeof *grown.rows);
	if (grown.rows == NULL)
		return false;
	for (size_t i = 0; i < table->room; i++)
		if (table->rows[i].object > 1) {
			struct neap__gc_row *row = take_row(&grown, table->rows[i].object);
			row->what = table->rows[i].what;
			row->ctx = table->rows[i].ctx;
		}
	if (table->rows != NULL)
		neap__meta_free(table->rows, table->room * sizeof *table->rows);
	*table = grown;
	return true;
}

struct neap__gc_row *neap__gc_table_add(struct neap__gc_table *table, uintptr_t object)
{
	/* At least a quarter stays free, or a search would not end. */
	if ((table->count + table->removed + 1) * 4 > table->room * 3 && !rebuild(table))
		return NULL;
	return take_row(table, object);
}

void neap__gc_table_remove(struct neap__gc_table *table, struct neap__gc_row *row)
{
	row->object = 1;
	table->removed++;
	table->count--;
}
