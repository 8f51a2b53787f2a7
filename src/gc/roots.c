/* roots.c: where the search for reachable objects begins.
 *
 *   stacks    of attached threads, from where they were stopped to their end, with the registers on them
 *   TLS       each thread's blocks, found through its dtv (glibc: the vector that thread-local accesses use)
 *   statics   writable segments of the program and of every loaded library
 *   ranges    that the program named, and handles
 *
 * The loader's list is read twice: once to copy it, and once more to do the work inside the loader's lock, when
 * the list has not changed since. So no library comes or goes, and no dlopen is half done, while roots are read;
 * and the thread that stopped the world does not need the lock, which a stopped thread may hold.
 *
 * Not roots: malloc's memory, values of pthread_setspecific in the main thread, memory mapped by the program.
 */
#include <link.h>

#include "gc/mark.h"
#include "gc/tables.h"

enum { HANDLES_MOST = 1 << 23, HANDLES_STEP = 1 << 16 /* that core files take in at once */ };

static uintptr_t page_below(uintptr_t address)
{
	return address & ~(((uintptr_t)1 << neap__heap.page_shift) - 1);
}

/* The stack's memory below an unknown stack pointer: down to the first page that is not mapped. */
static uintptr_t mapped_from(uintptr_t low, uintptr_t high)
{
	uintptr_t page = (uintptr_t)1 << neap__heap.page_shift, at = page_below(high - 1);
	while (at > low && neap__os_is_mapped((void *)(at - page)))
		at -= page;
	return at > low ? at : low;
}

static void each_tls(const struct neap__gc_thread *thread, neap__gc_range_fn *each, void *ctx)
{
	const struct neap__gc_statics *statics = neap__gc.statics;
	for (size_t i = 0; i < statics->tls_count; i++) {
		uintptr_t block = neap__os_tls_block(thread->pointer, statics->tls[i].module);
		if (block != 0)
			each(block, block + statics->tls[i].size, ctx);
	}
}

void neap__gc_each_stack(neap__gc_range_fn *each, void *ctx)
{
	for (struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next) {
		char *sp = atomic_load_explicit(&thread->sp, memory_order_relaxed);
		uintptr_t high = (uintptr_t)thread->stack_high, from = (uintptr_t)sp;
		if (sp < thread->stack_low || sp >= thread->stack_high) {
			from = mapped_from((uintptr_t)thread->stack_low, high);
			if (thread->other_high != NULL)
				each((uintptr_t)sp, (uintptr_t)thread->other_high, ctx);
		}
		each(from, high, ctx);
		if (atomic_load_explicit(&thread->state, memory_order_relaxed) != NEAP__GC_RUNNING)
			each((uintptr_t)thread->saved, (uintptr_t)(thread->saved + thread->saved_count), ctx);
		each_tls(thread, each, ctx);
	}
}

void neap__gc_each_global(neap__gc_range_fn *each, void *ctx)
{
	for (size_t i = 0; i < neap__gc.statics->count; i++)
		each(neap__gc.statics->at[i].start, neap__gc.statics->at[i].end, ctx);
	for (size_t i = 0; i < neap__gc.ranges->count; i++)
		each(neap__gc.ranges->at[i].start, neap__gc.ranges->at[i].end, ctx);
}

void neap__gc_each_handle(neap__gc_range_fn *each, void *ctx)
{
	each((uintptr_t)neap__gc.handles, (uintptr_t)(neap__gc.handles + neap__gc.handles_made), ctx);
	neap__gc_final_roots(each, ctx);
}

/* The loaded objects. */

static unsigned long long changes_of(const struct dl_phdr_info *info)
{
	return info->dlpi_adds + info->dlpi_subs;
}

static void add_segment(uintptr_t start, uintptr_t end)
{
	struct neap__gc_statics *statics = neap__gc.statics;
	if (start >= end)
		return;
	if (statics->count < NEAP__GC_STATICS)
		statics->at[statics->count++] = (struct neap__gc_range){start, end};
	else
		statics->broken = true;
}

static void add_tls(const struct dl_phdr_info *info, size_t size)
{
	struct neap__gc_statics *statics = neap__gc.statics;
	if (statics->tls_count == NEAP__GC_STATICS) {
		statics->broken = true;
		return;
	}
	statics->tls[statics->tls_count].module = info->dlpi_tls_modid;
	statics->tls[statics->tls_count++].size = size;
}

static int copy_object(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	neap__gc.statics->changes = changes_of(info);
	uintptr_t relro = 0, relro_end = 0; /* written by the loader only */
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
			relro = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			relro_end = page_below(relro + info->dlpi_phdr[i].p_memsz);
		}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + part->p_vaddr, end = start + part->p_memsz;
		if (part->p_type == PT_TLS)
			add_tls(info, part->p_memsz);
		if (part->p_type != PT_LOAD || (part->p_flags & PF_W) == 0)
			continue;
		bool inside = relro >= start && relro_end <= end && relro < relro_end;
		add_segment(start, inside ? relro : end);
		if (inside)
			add_segment(relro_end, end);
	}
	return 0;
}

static void copy_list(void)
{
	neap__gc.statics->count = neap__gc.statics->tls_count = 0;
	dl_iterate_phdr(copy_object, NULL);
}

struct within {
	void (*work)(void *ctx);
	void *ctx;
	bool done;
};

static int work_within(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct within *within = ctx;
	(void)size;
	if (changes_of(info) == neap__gc.statics->changes) {
		within->work(within->ctx);
		within->done = true;
	}
	return 1;
}

void neap__gc_with_statics(void (*work)(void *ctx), void *ctx)
{
	struct within within = {work, ctx, false};
	neap__lock_take(&neap__gc.loader_lock);
	while (!within.done) {
		copy_list();
		dl_iterate_phdr(work_within, &within);
	}
	neap__lock_give(&neap__gc.loader_lock);
}

/* Does the dtv say what the loader says of this thread? */
static int verify_tls(struct dl_phdr_info *info, size_t size, void *ctx)
{
	bool *same = ctx;
	(void)size;
	if (info->dlpi_tls_modid != 0 && info->dlpi_tls_data != NULL)
		*same &= neap__os_tls_block(neap__os_thread_pointer(), info->dlpi_tls_modid) ==
			 (uintptr_t)info->dlpi_tls_data;
	return 0;
}

int neap__gc_roots_start(void)
{
	neap__gc.ranges = neap__os_reserve(sizeof *neap__gc.ranges);
	neap__gc.statics = neap__os_reserve(sizeof *neap__gc.statics);
	neap__gc.handles = neap__os_reserve(HANDLES_MOST * sizeof *neap__gc.handles);
	if (neap__gc.ranges == NULL || neap__gc.statics == NULL || neap__gc.handles == NULL)
		return NEAP_ENOMEM;
	neap__os_dump((void *)neap__gc.handles, HANDLES_MOST * sizeof *neap__gc.handles, false);
	bool same = true;
	dl_iterate_phdr(verify_tls, &same);
	return same ? NEAP_OK : NEAP_EINVAL;
}

/* Ranges. */

int neap_gc_root_add(const void *start, size_t size)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL)
		return NEAP_ENOMEM;
	uintptr_t from = ((uintptr_t)start + 7) & ~(uintptr_t)7;
	int result = NEAP_ENOMEM;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.tables);
	if (neap__gc.ranges->count < NEAP__GC_RANGES) {
		neap__gc.ranges->at[neap__gc.ranges->count++] =
			(struct neap__gc_range){from, (uintptr_t)start + size};
		result = NEAP_OK;
	}
	neap__lock_give(&neap__gc.tables);
	neap__gc_leave(thread);
	return result;
}

int neap_gc_root_remove(const void *start, size_t size)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL)
		return NEAP_EINVAL;
	uintptr_t from = ((uintptr_t)start + 7) & ~(uintptr_t)7;
	struct neap__gc_range_table *ranges = neap__gc.ranges;
	int result = NEAP_EINVAL;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.tables);
	for (size_t i = 0; i < ranges->count && result != NEAP_OK; i++)
		if (ranges->at[i].start == from && ranges->at[i].end == (uintptr_t)start + size) {
			ranges->at[i] = ranges->at[--ranges->count];
			result = NEAP_OK;
		}
	neap__lock_give(&neap__gc.tables);
	neap__gc_leave(thread);
	return result;
}

/* Handles: words in a table of the collector's; a free one holds 2 * number of the next free one + 1. */

struct neap_gc_handle {
	_Atomic uintptr_t object;
};

/* Handles are read once in a cycle, beside the program: what is stored later is marked by who stores it. Busy. */
static void store_handle(struct neap__gc_thread *thread, _Atomic uintptr_t *slot, void *object)
{
	if (neap__gc_is_marking())
		neap__gc_shade(thread, (uintptr_t)object);
	atomic_store_explicit(slot, (uintptr_t)object, memory_order_relaxed);
}

struct neap_gc_handle *neap_gc_handle_create(void *object)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL)
		return NULL;
	_Atomic uintptr_t *slot = NULL;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.tables);
	if (neap__gc.handles_free != 0) {
		slot = &neap__gc.handles[neap__gc.handles_free - 1];
		neap__gc.handles_free = atomic_load_explicit(slot, memory_order_relaxed) >> 1;
	} else if (neap__gc.handles_made < HANDLES_MOST) {
		if (neap__gc.handles_made % HANDLES_STEP == 0)
			neap__os_dump((void *)(neap__gc.handles + neap__gc.handles_made),
				      HANDLES_STEP * sizeof *neap__gc.handles, true);
		slot = &neap__gc.handles[neap__gc.handles_made++];
	}
	if (slot != NULL)
		store_handle(thread, slot, object);
	neap__lock_give(&neap__gc.tables);
	neap__gc_leave(thread);
	return (struct neap_gc_handle *)slot;
}

/* neap-lint: allow contract-broken: it is released to the table of handles */
void neap_gc_handle_destroy(struct neap_gc_handle *handle)
{
	struct neap__gc_thread *thread = handle != NULL ? neap__gc_attached() : NULL;
	if (thread == NULL)
		return;
	neap__gc_enter(thread);
	neap__lock_take(&neap__gc.tables);
	atomic_store_explicit(&handle->object, neap__gc.handles_free << 1 | 1, memory_order_relaxed);
	neap__gc.handles_free = (size_t)(&handle->object - neap__gc.handles) + 1;
	neap__lock_give(&neap__gc.tables);
	neap__gc_leave(thread);
}

void *neap_gc_handle_get(const struct neap_gc_handle *handle)
{
	if (NEAP__GC_UNLIKELY(neap__gc_self == NULL) && neap__gc_attached() == NULL)
		return NULL;
	return (void *)atomic_load_explicit(&handle->object, memory_order_relaxed);
}

void neap_gc_handle_set(struct neap_gc_handle *handle, void *object)
{
	struct neap__gc_thread *thread = neap__gc_attached();
	if (thread == NULL)
		neap__gc_fault("a store that no thread can announce", handle, "neap_gc_handle_set");
	neap__gc_enter(thread);
	store_handle(thread, &handle->object, object);
	neap__gc_leave(thread);
}
