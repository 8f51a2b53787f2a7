/* final.c: functions that are called when nothing leads to an object any more.
 *
 * While marking, everything that an object with a finalizer leads to is marked, but not the object. So when all is
 * marked, a white object with a finalizer is one that no root and no other such object leads to: the order
 * follows. It is dead, but what sweeps its span leaves it allocated and hands it to the thread: in the next cycle it is
 * a root while its finalizer is due, and then an object like any other.
 *
 *     marking                                                       stop     sweeping
 *     mark | read white objects with finalizers | rounds: read          |    white, and has a row: not freed, due
 *          |   (one span after another)         |   written pages again |
 *
 * The last stop looks at no object for its finalizer, however many there are. It need not, if all that they lead to is
 * marked by then, and that is the invariant of internal.h with "was read" for "is black":
 *
 *     had its finalizer when marking began    it was black when its span was looked at, or was read then. A store into
 *                                             it after that makes its page written, and pages are read again for
 *                                             objects with a finalizer as for black ones; neap_store marks.
 *     got one since                           neap_gc_finalizer marks the object: it is black for this cycle.
 *     is new                                  black
 *
 * Whoever wants to hear of the end of a cycle (base/collector.h) hears it on the same thread, in its turn: a cycle may have
 * been run by a thread of the program's in the middle of an allocation, with locks of its own.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>

#include "base/collector.h"
#include "gc/cycle.h"
#include "gc/mark.h"
#include "gc/tables.h"

enum { DUE_MOST = 1 << 20 };

struct due {
	uintptr_t object;
	void (*finalize)(void *object, void *ctx);
	void *ctx;
};

/* what: the function. Under the lock of rows, as `due` is. */
static struct neap__gc_table final_table = {.number = NEAP__GC_FINALS};
static struct due *due; /* a ring in memory that is no root; see neap__gc_final_roots */
static _Atomic uint32_t due_in, due_out, due_done;
static _Atomic int final_thread;
static _Atomic bool telling; /* the end of a cycle is due, or being told */

/* Functions as void *: POSIX lets them be the same size. */
static void *as_pointer(void (*finalize)(void *, void *))
{
	void *pointer;
	_Static_assert(sizeof pointer == sizeof finalize, "POSIX");
	__builtin_memcpy(&pointer, &finalize, sizeof pointer);
	return pointer;
}

bool neap__gc_final_start(void)
{
	if (due == NULL)
		due = neap__os_reserve(DUE_MOST * sizeof *due);
	return due != NULL;
}

static bool may_have_finalizer(void *object)
{
	uint32_t head, number;
	if (object == NULL || neap_gc_base(object) != object ||
	    !neap__gc_find((uintptr_t)object, &head, &number))
		return false;
	const struct neap__gc_span *span = neap__gc_span(head);
	return span->types == NULL || !neap__gc.types[span->types[number]].map;
}

int neap_gc_finalizer(void *object, void (*finalize)(void *object, void *ctx), void *ctx)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL)
		return NEAP_ENOMEM;
	if (!may_have_finalizer(object))
		return NEAP_EINVAL;
	int result = NEAP_OK;
	neap__gc_enter(thread);
	if (neap__gc_is_marking())
		neap__gc_shade(thread, (uintptr_t)object); /* nobody reads it for its finalizer any more */
	neap__lock_take(&neap__gc.rows);
	struct neap__gc_row *row = neap__gc_table_find(&final_table, (uintptr_t)object);
	if (finalize == NULL) {
		if (row != NULL)
			neap__gc_table_remove(&final_table, row);
	} else {
		if (row == NULL)
			row = neap__gc_table_add(&final_table, (uintptr_t)object);
		if (row != NULL) {
			row->what = as_pointer(finalize);
			row->ctx = ctx;
		} else {
			result = NEAP_ENOMEM;
		}
	}
	neap__lock_give(&neap__gc.rows);
	neap__gc_leave(thread);
	return result;
}

void neap__gc_final_forget(uintptr_t object)
{
	struct neap__gc_row *row = neap__gc_table_find(&final_table, object);
	if (row != NULL)
		neap__gc_table_remove(&final_table, row);
}

const char *neap__gc_final_each(neap__gc_row_fn *each, void *ctx)
{
	return neap__gc_table_each(&final_table, each, ctx);
}

static void read_white(uint32_t head)
{
	const struct neap__gc_span *span = neap__gc_span(head);
	for (uint32_t w = 0; w * 64 < span->objects; w++) {
		uint64_t white = neap__gc_noted(span, w, NEAP__GC_FINALS) &
				 atomic_load_explicit(&span->words[w].alloc, memory_order_relaxed) &
				 ~atomic_load_explicit(&span->words[w].mark, memory_order_relaxed);
		for (; white != 0; white &= white - 1)
			neap__gc_read_unmarked(head, w * 64 + (uint32_t)__builtin_ctzll(white));
	}
}

bool neap__gc_final_read(uint32_t *at)
{
	while ((*at = neap__gc_next_span(*at + 1)) != 0)
		if (neap__gc_span(*at)->noted != NULL && neap__gc_span(*at)->types != NULL) {
			read_white(*at);
			return true;
		}
	return false;
}

/* False: no room; its turn comes in a later cycle. */
static bool make_due(struct due next)
{
	uint32_t in = atomic_load_explicit(&due_in, memory_order_relaxed);
	if (in - atomic_load_explicit(&due_done, memory_order_acquire) == DUE_MOST)
		return false;
	due[in % DUE_MOST] = next;
	atomic_store_explicit(&due_in, in + 1, memory_order_release);
	return true;
}

static void tell_end(void *no_object, void *no_ctx)
{
	(void)no_object, (void)no_ctx;
	void (*ended)(void) = atomic_load(&neap__gc_ended);
	atomic_store(&telling, false); /* what ends from now on is told again */
	ended();
}

bool neap__gc_final_due(uintptr_t object)
{
	struct neap__gc_row *row = neap__gc_table_find(&final_table, object);
	if (row == NULL)
		return false;
	void (*finalize)(void *object, void *ctx);
	__builtin_memcpy(&finalize, &row->what, sizeof finalize);
	if (make_due((struct due){object, finalize, row->ctx}))
		neap__gc_table_remove(&final_table, row);
	return true;
}

/* Objects whose finalizers are due or running. None becomes due while marking runs, for all is swept by then. */
void neap__gc_final_roots(neap__gc_range_fn *each, void *ctx)
{
	for (uint32_t i = due_done; i != due_in; i++)
		each((uintptr_t)&due[i % DUE_MOST].object, (uintptr_t)(&due[i % DUE_MOST].object + 1), ctx);
}

/* The thread. */

static void wait_for_due(void *unused)
{
	(void)unused;
	uint32_t out = atomic_load(&due_out);
	while (atomic_load_explicit(&due_in, memory_order_acquire) == out)
		neap__os_wait(&due_in, out, -1);
}

static void *final_main(void *unused)
{
	(void)unused;
	while (neap__gc_attached() == NULL)
		neap__os_wait(&due_done, due_done, 10000000);
	for (;;) {
		neap__gc_aside(wait_for_due, NULL);
		uint32_t out = atomic_fetch_add(&due_out, 1);
		struct due *now = &due[out % DUE_MOST];
		now->finalize((void *)now->object, now->ctx);
		atomic_store_explicit(&due_done, out + 1, memory_order_release);
		neap__os_wake(&due_done, INT_MAX);
	}
	return NULL;
}

static void run_due(void)
{
	if (due_in == due_out)
		return;
	int none = 0;
	if (atomic_compare_exchange_strong(&final_thread, &none, 1) && !neap__gc_launch(final_main))
		atomic_store(&final_thread, 0); /* the next cycle tries again */
	neap__os_wake(&due_in, INT_MAX);
}

void neap__gc_final_run(void)
{
	neap__lock_take(&neap__gc.rows);
	if (atomic_load(&neap__gc_ended) != NULL && !atomic_exchange(&telling, true) &&
	    !make_due((struct due){0, tell_end, NULL}))
		atomic_store(&telling, false);
	neap__lock_give(&neap__gc.rows);
	run_due();
}

static void wait_for_done(void *ctx)
{
	uint32_t end = *(uint32_t *)ctx, done;
	while ((int32_t)((done = atomic_load_explicit(&due_done, memory_order_acquire)) - end) < 0)
		neap__os_wait(&due_done, done, -1);
}

void neap_gc_finalizers_wait(void)
{
	if (neap__gc_attached() == NULL)
		return;
	uint32_t end = atomic_load(&due_in);
	run_due();
	neap__gc_aside(wait_for_done, &end);
}

/* The thread is the parent's; a finalizer that it was running is not run again. */
void neap__gc_final_forked(void)
{
	atomic_store(&final_thread, 0);
	atomic_store(&telling, false);
	atomic_store(&due_done, atomic_load(&due_out));
}
