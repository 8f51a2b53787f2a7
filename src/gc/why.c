/* why.c: why is an object kept? A path from a root to it.
 *
 * The world is stopped and traced from the roots, breadth first; each object that is reached is noted with the number
 * of the note that led to it. The notes are the queue, so the path is read off backwards, and none is shorter.
 *
 *     notes   | root word | root word | ... | child of 0 | child of 0 | child of 1 | ...
 *
 * Roots are taken in two turns: all but the caller's stack, then that, because who asks mostly holds the address.
 * The address travels inverted, so that the collector's own frames hold nothing that looks like it.
 *
 * Symbols are looked up when the world runs again: the loader's lock may be held by a stopped thread.
 */
#include <dlfcn.h>
#include <stdio.h>

#include "gc/cycle.h"
#include "gc/mark.h"
#include "gc/tables.h"

enum { NOTE_ROOM_LEAST = 4096 };
#define NO_NOTE UINT32_MAX

struct note {
	uint32_t head, object;
	uint32_t parent; /* NO_NOTE: a root led to it */
	uintptr_t word;	 /* the root's word; 0 for others */
};

struct why_search {
	uint64_t *seen; /* a bit for every 16 bytes of the collected regions */
	struct note *notes;
	size_t count, room, next;
	uint32_t head, object; /* what is looked for */
	uint32_t parent;       /* of what is noted now */
	bool own;	       /* the turn of the caller's stack */
	bool found, full;
	uintptr_t hidden;
	struct neap_why *ret;
	int result;
};

static void note_word(uintptr_t word, uintptr_t at, struct why_search *search)
{
	uint32_t head, object;
	if (search->found || !neap__gc_find(word, &head, &object) || !neap__gc_allocated(head, object))
		return;
	uintptr_t place = ((uintptr_t)neap__gc_address(head, object) - (uintptr_t)neap__gc.base) / 16;
	if (search->seen[place / 64] >> place % 64 & 1)
		return;
	if (search->count == search->room) {
		search->full = true;
		return;
	}
	search->seen[place / 64] |= UINT64_C(1) << place % 64;
	search->notes[search->count++] = (struct note){head, object, search->parent, at};
	search->found = head == search->head && object == search->object;
}

static void note_child(uintptr_t word, void *ctx)
{
	note_word(word, 0, ctx);
}

static bool is_own_stack(uintptr_t start)
{
	const struct neap__gc_thread *self = neap__gc_self;
	return (start >= (uintptr_t)self->stack_low && start < (uintptr_t)self->stack_high) ||
	       start == (uintptr_t)self->saved;
}

__attribute__((no_sanitize("address", "thread"))) static void note_range(uintptr_t start, uintptr_t end,
									 void *ctx)
{
	struct why_search *search = ctx;
	if (is_own_stack(start) != search->own)
		return;
	for (uintptr_t at = (start + 7) & ~(uintptr_t)7; at + 8 <= end; at += 8)
		note_word(*(const volatile uintptr_t *)at, at, search);
}

static void note_descendants(struct why_search *search)
{
	for (; search->next < search->count && !search->found; search->next++) {
		const struct note *note = &search->notes[search->next];
		search->parent = (uint32_t)search->next;
		if (neap__gc_span(note->head)->types != NULL)
			neap__gc_each_word(note->head, note->object, 0, UINT64_MAX, note_child, search);
	}
	search->parent = NO_NOTE;
}

static bool was_seen(uintptr_t address, void *ctx)
{
	const struct why_search *search = ctx;
	uintptr_t place = (address - (uintptr_t)neap__gc.base) / 16;
	return search->seen[place / 64] >> place % 64 & 1;
}

static void note_value(uintptr_t key, uintptr_t value, void *ctx)
{
	note_word(value, key, ctx);
}

/* Values of weak maps count when all else was told, for the key is what keeps them. */
static void note_ephemerons(struct why_search *search)
{
	for (size_t before = 0; !search->found && before != search->count;) {
		before = search->count;
		neap__gc_ephemerons_each(was_seen, note_value, search);
		note_descendants(search);
	}
}

/* What the root's word is part of. World stopped. */

static bool within(uintptr_t word, const void *start, const void *end)
{
	return word >= (uintptr_t)start && word < (uintptr_t)end;
}

static bool is_thread_local(uintptr_t word, const struct neap__gc_thread *thread)
{
	for (size_t i = 0; i < neap__gc.statics->tls_count; i++) {
		uintptr_t block = neap__os_tls_block(thread->pointer, neap__gc.statics->tls[i].module);
		if (block != 0 && word - block < neap__gc.statics->tls[i].size)
			return true;
	}
	return false;
}

static bool in_ranges(uintptr_t word, const struct neap__gc_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (word >= ranges[i].start && word < ranges[i].end)
			return true;
	return false;
}

static enum neap_why_root kind_of_root(uintptr_t word, uint64_t *ret_thread)
{
	uint32_t head, object;
	*ret_thread = 0;
	if (neap__gc_find(word, &head, &object))
		return NEAP_WHY_WEAK_MAP;
	for (const struct neap__gc_thread *thread = neap__gc.threads; thread != NULL; thread = thread->next) {
		bool local = is_thread_local(word, thread);
		*ret_thread = (uint64_t)thread->id;
		if (local || within(word, thread->stack_low, thread->stack_high) ||
		    within(word, thread->saved, thread->saved + thread->saved_count))
			return local ? NEAP_WHY_THREAD_LOCAL : NEAP_WHY_STACK;
	}
	*ret_thread = 0;
	if (within(word, (const void *)neap__gc.handles,
		   (const void *)(neap__gc.handles + neap__gc.handles_made)))
		return NEAP_WHY_HANDLE;
	if (in_ranges(word, neap__gc.ranges->at, neap__gc.ranges->count))
		return NEAP_WHY_RANGE;
	return in_ranges(word, neap__gc.statics->at, neap__gc.statics->count) ? NEAP_WHY_STATIC
									      : NEAP_WHY_OTHER;
}

static const char *type_name(uint32_t head, uint32_t object)
{
	const struct neap__gc_span *span = neap__gc_span(head);
	if (span->types == NULL)
		return "bytes";
	unsigned number = atomic_load_explicit(&span->types[object], memory_order_relaxed);
	const struct neap_gc_type *source = neap__gc.types[number].source;
	return number == NEAP__GC_CONSERVATIVE || source == NULL ? "words" : source->name;
}

/* Bytes from the start of an object to the first word that leads to the other; in maps it is not in the object. */
static size_t offset_of(const struct note *from, const struct note *to)
{
	const char *base = neap__gc_address(from->head, from->object);
	uint32_t head, object;
	for (size_t at = 0; at + 8 <= neap__gc_span(from->head)->size; at += 8)
		if (neap__gc_find(*(const uintptr_t *)(const void *)(base + at), &head, &object) &&
		    head == to->head && object == to->object)
			return at;
	return SIZE_MAX;
}

static void tell_path(const struct why_search *search)
{
	struct neap_why *ret = search->ret;
	const struct note *note = &search->notes[search->count - 1], *child = NULL;
	for (const struct note *at = note; at->parent != NO_NOTE; at = &search->notes[at->parent])
		ret->length++;
	ret->length++;
	for (size_t step = ret->length; step-- > 0; child = note, note = &search->notes[note->parent]) {
		bool last = step >= NEAP_WHY_STEPS - 1;
		if (!last || child == NULL)
			ret->path[last ? NEAP_WHY_STEPS - 1 : step] =
				(struct neap_why_step){neap__gc_address(note->head, note->object),
						       type_name(note->head, note->object),
						       child != NULL ? offset_of(note, child) : 0};
		if (note->parent == NO_NOTE)
			break;
	}
	ret->word = (const void *)note->word;
	ret->root = kind_of_root(note->word, &ret->thread);
}

static void search_stopped(void *ctx)
{
	struct why_search *search = ctx;
	if (!neap__gc_find(~search->hidden, &search->head, &search->object) ||
	    !neap__gc_allocated(search->head, search->object)) {
		search->result = NEAP_EINVAL;
		return;
	}
	neap__gc_each_global(note_range, search);
	neap__gc_each_handle(note_range, search);
	neap__gc_each_stack(note_range, search);
	note_descendants(search);
	search->own = true;
	if (!search->found)
		neap__gc_each_stack(note_range, search);
	note_descendants(search);
	note_ephemerons(search);
	if (search->found)
		tell_path(search);
	else if (search->full)
		search->result = NEAP_ENOMEM;
}

static void tell_symbol(struct neap_why *ret)
{
	Dl_info info;
	if (ret->root != NEAP_WHY_STATIC || dladdr(ret->word, &info) == 0)
		return;
	const char *name = info.dli_sname != NULL ? info.dli_sname : info.dli_fname;
	const void *base = info.dli_sname != NULL ? info.dli_saddr : info.dli_fbase;
	(void)snprintf(ret->symbol, sizeof ret->symbol, "%s+%#zx", name,
		       (size_t)((uintptr_t)ret->word - (uintptr_t)base));
}

int neap_why_hidden(uintptr_t inverted, struct neap_why *ret)
{
	if (ret->size != sizeof *ret)
		return NEAP_EINVAL;
	*ret = (struct neap_why){.size = sizeof *ret, .root = NEAP_WHY_UNREACHABLE};
	if (neap__gc_attached() == NULL)
		return NEAP_ENOMEM;
	struct why_search search = {.parent = NO_NOTE, .hidden = inverted, .ret = ret};
	size_t seen_bytes = neap__gc.reach / 16 / 8;
	search.room = (size_t)atomic_load(&neap__gc.live_bytes) / 16 + NOTE_ROOM_LEAST;
	search.seen = neap__os_reserve(seen_bytes);
	search.notes = neap__os_reserve(search.room * sizeof *search.notes);
	search.result = search.seen != NULL && search.notes != NULL ? NEAP_OK : NEAP_ENOMEM;
	if (search.result == NEAP_OK && !neap__gc_between_cycles(search_stopped, &search))
		search.result = NEAP_EINVAL;
	if (search.seen != NULL)
		neap__os_release(search.seen, seen_bytes);
	if (search.notes != NULL)
		neap__os_release(search.notes, search.room * sizeof *search.notes);
	tell_symbol(ret);
	return search.result;
}

int neap_why(const void *address, struct neap_why *ret)
{
	return neap_why_hidden(~(uintptr_t)address, ret);
}
