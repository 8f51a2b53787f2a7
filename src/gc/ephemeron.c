/* ephemeron.c: what the entries of weak maps keep: the value, if map and key are marked.
 *
 * Beside the program all entries are read once, piece by piece. Values of black keys are marked; keys that are white are
 * noted in the map's list, and only these are looked at again, a few times beside the program and in the last stop,
 * where nothing changes any more. What is put meanwhile is marked by who puts it. Small maps, maps that were white
 * themselves, and all maps when nothing runs beside the program have no list: the stop reads their entries.
 *
 * Marking a value may mark further keys, so it goes on until nothing changes. When the stop has read twice and still
 * finds values to mark, they form chains, and reading once more for each link would take quadratic time. Then each
 * entry whose key is white is noted by its key, and an object that becomes black is looked up:
 *
 *     object -> black -> notes of its address -> their values -> black -> ...
 *                     -> what it leads to     -> black -> ...
 *
 * so each entry and each object is read once more. Without memory for the notes the slow way is taken to its end.
 */
#include "gc/mark.h"
#include "gc/tables.h"
#include "gc/weak_map.h"

enum {
	EPHEMERON_PIECE = 256, /* entries under one hold of the locks */
	BESIDE_MOST = 4,       /* passes beside the program */
	STOPPED_MOST = 2,      /* passes in the stop before entries are noted */
	LIST_WORTH = 1000      /* entries: 50 us to read them in the stop */
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

/* Of a black key. True when it was white. */
static bool mark_value(uintptr_t value)
{
	bool marks = white_object(value);
	if (marks)
		neap__gc_mark_word(value);
	return marks;
}

/* The list of white keys. */

static void white_open(struct weak_core *core)
{
	size_t len = neap_map_len(core->map);
	neap__weak_white_close(core);
	if (len < LIST_WORTH)
		return;
	core->white_room = len / 8; /* above that, reading all in order costs less than looking some up */
	core->white = neap__os_reserve(core->white_room * sizeof *core->white);
}

void neap__weak_white_close(struct weak_core *core)
{
	if (core->white != NULL)
		neap__os_release(core->white, core->white_room * sizeof *core->white);
	core->white = NULL;
	core->white_count = 0;
}

static void white_add(struct weak_core *core, uintptr_t key)
{
	if (core->white == NULL)
		return;
	if (core->white_count < core->white_room)
		core->white[core->white_count++] = key;
	else
		neap__weak_white_close(core);
}

/* From one place on, at most `most`: what is not white any more leaves the list, the last one takes its place. True when
 * a value was marked.
 */
static bool white_read(struct weak_core *core, size_t *at, size_t most)
{
	bool marked = false;
	while (most-- > 0 && *at < core->white_count) {
		uintptr_t key = core->white[*at];
		const uintptr_t *value = neap_map_get(core->map, &key);
		if (value != NULL && !black(key)) {
			++*at;
			continue;
		}
		marked |= value != NULL && mark_value(*value);
		core->white[*at] = core->white[--core->white_count];
	}
	return marked;
}

/* Beside the program. */

struct beside_pass {
	const struct weak_core *core; /* that `iter` and `at` are about; only compared */
	struct neap_map_iter iter;
	size_t at;  /* in its list */
	bool again; /* lists only */
	bool marked;
};

/* False: all were read. */
static bool read_entries_beside(struct beside_pass *pass, struct weak_core *core)
{
	for (unsigned i = 0; i < EPHEMERON_PIECE; i++) {
		if (!neap_map_iter_next(&pass->iter))
			return false;
		uintptr_t key = *(const uintptr_t *)pass->iter.key;
		if (!black(key))
			white_add(core, key);
		else if (mark_value(*(const uintptr_t *)pass->iter.value))
			pass->marked = true;
	}
	return true;
}

/* A piece of the map where the marker is, which moves to the next map at the end. A map that is white has no list. */
static void read_piece_beside(struct beside_pass *pass)
{
	struct weak_core *core = neap__weak_maps.at;
	bool left = black(core->handle);
	neap__lock_take(&core->lock);
	if (pass->core != core) {
		pass->at = 0;
		if (left && !pass->again) {
			white_open(core);
			neap_map_iter_init(&pass->iter, core->map);
		}
	}
	pass->core = core;
	if (left && !pass->again) {
		left = read_entries_beside(pass, core);
	} else if (left) {
		pass->marked |= white_read(core, &pass->at, EPHEMERON_PIECE);
		left = pass->at < core->white_count;
	}
	neap__lock_give(&core->lock);
	if (!left)
		neap__weak_maps.at = core->next;
}

static bool pass_beside(bool again)
{
	struct beside_pass pass = {.again = again};
	for (bool first = true, left = true; left; first = false) {
		neap__lock_take(&neap__gc.mark_lock);
		neap__lock_take(&neap__weak_maps.lock);
		if (first)
			neap__weak_maps.at = neap__weak_maps.first;
		left = neap__weak_maps.at != NULL;
		if (left)
			read_piece_beside(&pass);
		neap__lock_give(&neap__weak_maps.lock);
		neap__lock_give(&neap__gc.mark_lock);
	}
	return pass.marked;
}

void neap__gc_ephemerons_beside(void (*drain)(void))
{
	for (unsigned i = 0; i < BESIDE_MOST && pass_beside(i > 0); i++)
		drain();
}

/* The world is stopped: no lock of a weak map is held. */

static void each_entry(struct weak_core *core, neap__gc_lives_fn *lives, neap__gc_entry_fn *each, void *ctx)
{
	bool alive = lives(core->handle, ctx);
	core->others = alive ? 0 : neap_map_len(core->map);
	if (!alive)
		return;
	for (struct neap_map_scan scan = neap_map_scan(core->map); neap_map_scan_next(&scan);)
		if (lives(*(const uintptr_t *)scan.key, ctx))
			each(*(const uintptr_t *)scan.key, *(const uintptr_t *)scan.value, ctx);
		else
			core->others++;
}

void neap__gc_ephemerons_each(neap__gc_lives_fn *lives, neap__gc_entry_fn *each, void *ctx)
{
	for (struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next)
		each_entry(core, lives, each, ctx);
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
	for (struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next) {
		size_t at = 0;
		if (core->white != NULL)
			marked |= white_read(core, &at, SIZE_MAX);
		else
			each_entry(core, neap__gc_is_black, mark_white, &marked);
	}
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

/* Of a key that is black the value is due; that of a map which is white waits for it, see blacken_map. */
static void note_entry(struct resolver *resolver, uintptr_t key, const uintptr_t *value,
		       const struct weak_core *core)
{
	if (value == NULL || *value == 0)
		return;
	if (!black(key))
		note_ephemeron(resolver, key, *value, core);
	else if (black(core->handle))
		blacken(*value, resolver);
}

static void note_all(struct resolver *resolver)
{
	for (const struct weak_core *core = neap__weak_maps.first; core != NULL; core = core->next) {
		if (!black(core->handle))
			note_ephemeron(resolver, core->handle, 0, core);
		for (size_t i = 0; core->white != NULL && i < core->white_count; i++)
			note_entry(resolver, core->white[i], neap_map_get(core->map, &core->white[i]), core);
		struct neap_map_scan scan = neap_map_scan(core->white == NULL ? core->map : NULL);
		while (neap_map_scan_next(&scan))
			note_entry(resolver, *(const uintptr_t *)scan.key, scan.value, core);
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
