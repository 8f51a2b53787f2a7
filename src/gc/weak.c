/* weak.c: references that do not keep their object.
 *
 * One cell for each object, counted. Cells are cleared in the last stop of a cycle, when all is marked: a thread
 * that read the object before has it on its stack, so it was marked; one that reads after gets NULL.
 */

#include "gc/tables.h"

struct neap_weak {
	_Atomic uintptr_t object;
	size_t references;
};

static struct neap__gc_table weak_table; /* what: the cell */

struct neap_weak *neap_weak_create(void *object)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL || object == NULL || neap_gc_base(object) != object)
		return NULL;
	struct neap_weak *cell = NULL;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.tables);
	struct neap__gc_row *row = neap__gc_table_find(&weak_table, (uintptr_t)object);
	if (row != NULL) {
		cell = row->what;
	} else if ((cell = neap__meta_alloc(sizeof *cell)) != NULL) {
		row = neap__gc_table_add(&weak_table, (uintptr_t)object);
		if (row == NULL) {
			neap__meta_free(cell, sizeof *cell);
			cell = NULL;
		} else {
			row->what = cell;
			atomic_store_explicit(&cell->object, (uintptr_t)object, memory_order_relaxed);
		}
	}
	if (cell != NULL)
		cell->references++;
	neap__lock_give(&neap__gc.tables);
	neap__gc_leave(thread);
	return cell;
}

void *neap_weak_get(const struct neap_weak *weak)
{
	/* An object that no stack of an attached thread holds may be freed the moment after. */
	if (NEAP__GC_UNLIKELY(neap__gc_self == NULL) && neap__gc_attached() == NULL)
		return NULL;
	return (void *)atomic_load_explicit(&weak->object, memory_order_relaxed);
}

/* neap-lint: allow contract-broken: it is released to the table of references */
void neap_weak_destroy(struct neap_weak *weak)
{
	struct neap__gc_thread *thread = weak != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.tables);
	if (--weak->references == 0) {
		uintptr_t object = atomic_load_explicit(&weak->object, memory_order_relaxed);
		struct neap__gc_row *row = object != 0 ? neap__gc_table_find(&weak_table, object) : NULL;
		if (row != NULL)
			neap__gc_table_remove(&weak_table, row);
		neap__meta_free(weak, sizeof *weak);
	}
	neap__lock_give(&neap__gc.tables);
	neap__gc_leave(thread);
}

static void clear_cell(struct neap__gc_row *row)
{
	struct neap_weak *cell = row->what;
	atomic_store_explicit(&cell->object, 0, memory_order_relaxed);
	neap__gc_table_remove(&weak_table, row);
}

void neap__gc_weak_clear(void)
{
	uint32_t head, object;
	for (size_t i = 0; i < weak_table.room; i++)
		if (weak_table.rows[i].object > 1 &&
		    neap__gc_find(weak_table.rows[i].object, &head, &object) &&
		    !neap__gc_marked(head, object))
			clear_cell(&weak_table.rows[i]);
}

/* The object is being freed by hand. */
void neap__gc_weak_forget(uintptr_t object)
{
	if (weak_table.count == 0)
		return;
	neap__lock_take(&neap__gc.tables);
	struct neap__gc_row *row = neap__gc_table_find(&weak_table, object);
	if (row != NULL)
		clear_cell(row);
	neap__lock_give(&neap__gc.tables);
}
