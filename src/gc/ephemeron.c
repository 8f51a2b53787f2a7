/* ephemeron.c: what the entries of weak maps keep: the value, if map and key are marked.
 *
 * Marking a value may mark further keys, so the entries are read until nothing changes: beside the program a few times,
 * piece by piece, and in the last stop until the end, which is what counts; whoever changes an entry meanwhile
 * announces nothing. When the stop has read all entries twice and still finds values to mark, they form chains, and
 * reading all entries for each link would take quadratic time. Then each entry whose key is white is noted by its
 * key, and an object that becomes black is looked up:
 *
 *     object -> black -> notes of its address -> their values -> black -> ...
 *                     -> what it leads to     -> black -> ...
 *
 * so each entry and each object is read once more. Without memory for the notes the slow way is taken to its end.
 */
#include "gc/weak_map.h"

enum {
	EPHEMERON_PIECE = 256, /* entries under one hold of the locks */
	BESIDE_MOST = 4,       /* passes beside the program */
	STOPPED_MOST = 2       /* passes in the stop before entries are noted */
};

static bool black(uintptr_t address)
{
	uint32_t head, object;
	return neap__gc_find(address, &head, &object) && neap__gc_marked(head, object);
}

bool neap__gc_is_black(uintptr_t address, void *unused)
{
	(void)unused;
	return black(address);
}

static bool white_object(uintptr_t word)
{
	uint32_t head, object;
	return neap__gc_find(word, &head, &object) && neap__gc_allocated(head, object) &&
	       !neap__gc_marked(head, object);
}

/* True when the entry's value was white and had to be marked. */
static bool mark_value(uintptr_t key, uintptr_t value)
{
	bool marks = white_object(value) && black(key);
	if (marks)
		neap__gc_mark_word(value);
	return marks;
}

/* Beside the program. */

struct beside_pass {
	const struct weak_core *core; /* that `iter` iterates; only compared */
	struct neap_map_iter iter;
	bool marked;
};

/* A piece of the map where the marker is, which moves to the next map at the end. */
static void read_entries_beside(struct beside_pass *pass)
{
	struct weak_core *core = neap__weak_maps.at;
	bool left = black(core->handle);
	neap__lock_take(&core->lock);
	if (pass->core != core)
		neap_map_iter_init(&pass->iter, core->map);
	pass->core = core;
	for (unsigned i = 0; i < EPHEMERON_PIECE && left; i++) {
		left = neap_map_iter_next(&pass->iter);
		if (left &&
		    mark_value(*(const uintptr_t *)pass->iter.key, *(const uintptr_t *)pass->iter.value))
			pass->marked = true;
	}
	neap__lock_give(&core->lock);
	if (!left)
		neap__weak_maps.at = core->next;
}

static bool pass_beside(void)
{
	struct beside_pass pass = {.core = NULL};
	for (bool first = true, left = true; left; first = false) {
		neap__lock_take(&neap__gc.mark_lock);
		neap__lock_take(&neap__weak_maps.lock);
		if (first)
			neap__weak_maps.at = neap__weak_maps.first;
		left = neap__weak_maps.at != NULL;
		if (left)
			read_entries_beside(&pass);
		neap__lock_give(&neap__weak_maps.lock);
		neap__lock_give(&neap__gc.mark_lock);
	}
	return pass.marked;
}

void neap__gc_ephemerons_beside(void (*drain)(void))
{
	for (unsigned i = 0; i < BESIDE_MOST && pass_beside(); i++)
		drain();
}

/* The world is stopped: no lock of a weak map is held. */

void neap__gc_ephemerons_each(neap__gc_lives_fn *lives, neap__gc_entry_fn *each, void *ctx)
{
	for (struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next) {
		bool alive = lives(core->handle, ctx);
		core->others = alive ? 0 : neap_map_len(core->map);
		if (!alive)
			continue;
		for (struct neap_map_scan scan = neap_map_scan(core->map); neap_map_scan_next(&scan);)
			if (lives(*(const uintptr_t *)scan.key, ctx))
				each(*(const uintptr_t *)scan.key, *(const uintptr_t *)scan.value, ctx);
			else
				core->others++;
	}
}

static void mark_white(uintptr_t key, uintptr_t value, void *ctx)
{
	(void)key;
	if (white_object(value)) {
		neap__gc_mark_word(value);
		*(bool *)ctx = true;
	}
}

static bool pass_stopped(void)
{
	bool marked = false;
	neap__gc_ephemerons_each(neap__gc_is_black, mark_white, &marked);
	while (!neap__gc_drain(UINT64_MAX))
		;
	return marked;
}

/* An entry with a white key; or, with the value 0, a map with a white handle, which is the key. */
struct ephemeron {
	uintptr_t key, value; /* key 0: free */
	const struct weak_core *core;
};

struct resolver {
	struct ephemeron *notes;
	uint64_t *grey; /* head << 32 | object */
	size_t room, notes_bytes, grey_bytes, depth;
};

static size_t note_home(const struct resolver *resolver, uintptr_t key)
{
	return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 16) & (resolver->room - 1);
}

static void note_ephemeron(struct resolver *resolver, uintptr_t key, uintptr_t value,
			   const struct weak_core *core)
{
	size_t i = note_home(resolver, key);
	while (resolver->notes[i].key != 0)
		i = (i + 1) & (resolver->room - 1);
	resolver->notes[i] = (struct ephemeron){key, value, core};
}

static void blacken(uintptr_t word, void *ctx)
{
	struct resolver *resolver = ctx;
	uint32_t head, object;
	if (neap__gc_mark_alone(word, &head, &object))
		resolver->grey[resolver->depth++] = (uint64_t)head << 32 | object;
}

static void blacken_value(uintptr_t key, uintptr_t value, void *ctx)
{
	(void)key;
	blacken(value, ctx);
}

/* What a map that became black keeps. */
static void blacken_map(struct resolver *resolver, const struct weak_core *core)
{
	for (struct neap_map_scan scan = neap_map_scan(core->map); neap_map_scan_next(&scan);)
		if (black(*(const uintptr_t *)scan.key))
			blacken(*(const uintptr_t *)scan.value, resolver);
}

static void look_up(struct resolver *resolver, uintptr_t address)
{
	for (size_t i = note_home(resolver, address); resolver->notes[i].key != 0;
	     i = (i + 1) & (resolver->room - 1)) {
		const struct ephemeron *note = &resolver->notes[i];
		if (note->key != address)
			continue;
		if (note->value == 0)
			blacken_map(resolver, note->core);
		else if (black(note->core->handle))
			blacken(note->value, resolver);
	}
}

static void note_all(struct resolver *resolver)
{
	for (const struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next) {
		if (!black(core->handle))
			note_ephemeron(resolver, core->handle, 0, core);
		for (struct neap_map_scan scan = neap_map_scan(core->map); neap_map_scan_next(&scan);) {
			uintptr_t key = *(const uintptr_t *)scan.key, value = *(const uintptr_t *)scan.value;
			if (!black(key) && value != 0)
				note_ephemeron(resolver, key, value, core);
		}
	}
}

static bool resolver_open(struct resolver *resolver)
{
	size_t count = 1;
	for (const struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next)
		count += neap_map_len(core->map) + 1;
	for (resolver->room = 64; resolver->room < 2 * count;)
		resolver->room *= 2;
	resolver->notes_bytes = resolver->room * sizeof *resolver->notes;
	resolver->grey_bytes = (size_t)atomic_load(&neap__gc.live_bytes) / 2 + 4096;
	resolver->notes = neap__os_reserve(resolver->notes_bytes);
	resolver->grey = neap__os_reserve(resolver->grey_bytes);
	return resolver->notes != NULL && resolver->grey != NULL;
}

static void resolver_close(struct resolver *resolver)
{
	if (resolver->notes != NULL)
		neap__os_release(resolver->notes, resolver->notes_bytes);
	if (resolver->grey != NULL)
		neap__os_release(resolver->grey, resolver->grey_bytes);
}

static void resolve(struct resolver *resolver)
{
	note_all(resolver);
	neap__gc_ephemerons_each(neap__gc_is_black, blacken_value, resolver);
	while (resolver->depth > 0) {
		uint64_t packed = resolver->grey[--resolver->depth];
		uint32_t head = (uint32_t)(packed >> 32), object = (uint32_t)packed;
		look_up(resolver, (uintptr_t)neap__gc_address(head, object));
		if (neap__gc_span(head)->types != NULL)
			neap__gc_each_word(head, object, 0, UINT64_MAX, blacken, resolver);
	}
}

void neap__gc_ephemerons_stopped(void)
{
	unsigned passes = 0;
	bool marked = neap__weak_maps.first != NULL;
	while (marked && passes++ < STOPPED_MOST)
		marked = pass_stopped();
	if (!marked)
		return;
	struct resolver resolver = {.depth = 0};
	if (resolver_open(&resolver))
		resolve(&resolver);
	else
		while (pass_stopped())
			;
	resolver_close(&resolver);
}
