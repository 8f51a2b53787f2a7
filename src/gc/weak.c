/* weak.c: references that do not keep their object.
 *
 * One cell for each object, counted. In the last stop of a cycle, when all is marked, white objects are dead: a thread
 * that read the reference before has the object on its stack, so it was marked; one that reads after gets NULL. No
 * cell is touched for that while the world is stopped, however many there are: the cell is cleared by what sweeps the
 * object's span, before anything in it is freed, and until then a reader looks at the mark itself.
 *
 *              stop: white is dead         swept: cell = 0, then freed
 *     reads:  object |  NULL: white, and its span unswept | NULL: the cell says so
 *
 * A reader is busy, so there is no stop between its look at `sweeping` and what it returns. When that says no, all is
 * swept, and the cell is right. When it says yes, the lock under which the span is swept stands between "unswept, and
 * here is its mark" and "swept, and here is its cell".
 */

#include "gc/tables.h"

struct neap_weak {
	_Atomic uintptr_t object;
	size_t references;
};

/* what: the cell. Under the lock of rows. */
static struct neap__gc_table weak_table = {.number = NEAP__GC_WEAKS};

struct neap_weak *neap_weak_create(void *object)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL || object == NULL || neap_gc_base(object) != object)
		return NULL;
	struct neap_weak *cell = NULL;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.rows);
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
	neap__lock_give(&neap__gc.rows);
	neap__gc_leave(thread);
	return cell;
}

/* While spans are swept. */
static uintptr_t unless_dead(const struct neap_weak *weak)
{
	uint32_t head, number;
	if (!neap__gc_find(atomic_load_explicit(&weak->object, memory_order_acquire), &head, &number))
		return 0;
	struct neap__lock *lock = &neap__gc.central[neap__gc_span(head)->kind].lock;
	neap__lock_take(lock);
	bool dead = neap__gc_unswept(head) && !neap__gc_marked(head, number);
	uintptr_t object = dead ? 0 : atomic_load_explicit(&weak->object, memory_order_relaxed);
	neap__lock_give(lock);
	return object;
}

void *neap_weak_get(const struct neap_weak *weak)
{
	/* An object that no stack of an attached thread holds may be freed the moment after. */
	struct neap__gc_thread *thread = neap__gc_self;
	if (NEAP__GC_UNLIKELY(thread == NULL) && (thread = neap__gc_attached()) == NULL)
		return NULL;
	neap__gc_enter(thread);
	bool sweeping = atomic_load_explicit(&neap__gc.sweeping, memory_order_acquire);
	uintptr_t object = NEAP__GC_UNLIKELY(sweeping)
				   ? unless_dead(weak)
				   : atomic_load_explicit(&weak->object, memory_order_relaxed);
	neap__gc_leave(thread);
	return (void *)object;
}

/* neap-lint: allow contract-broken: it is released to the table of references */
void neap_weak_destroy(struct neap_weak *weak)
{
	struct neap__gc_thread *thread = weak != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.rows);
	if (--weak->references == 0) {
		uintptr_t object = atomic_load_explicit(&weak->object, memory_order_relaxed);
		struct neap__gc_row *row = object != 0 ? neap__gc_table_find(&weak_table, object) : NULL;
		if (row != NULL)
			neap__gc_table_remove(&weak_table, row);
		neap__meta_free(weak, sizeof *weak);
	}
	neap__lock_give(&neap__gc.rows);
	neap__gc_leave(thread);
}

void neap__gc_weak_forget(uintptr_t object)
{
	struct neap__gc_row *row = neap__gc_table_find(&weak_table, object);
	if (row == NULL)
		return;
	struct neap_weak *cell = row->what;
	atomic_store_explicit(&cell->object, 0, memory_order_relaxed);
	neap__gc_table_remove(&weak_table, row);
}

const char *neap__gc_weak_each(neap__gc_row_fn *each, void *ctx)
{
	return neap__gc_table_each(&weak_table, each, ctx);
}
