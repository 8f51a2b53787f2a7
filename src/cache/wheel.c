/* wheel.c: when entries end: a hierarchical timing wheel (Varghese and Lauck 1987) that is turned a few entries at a time.
 *
 *   ring 0: 64 slots of 1 tick    ring 1: 64 slots of 64 ticks    ...    ring 4: 64 slots of 64^4 ticks
 *
 * An entry lies in the lowest ring whose whole turn reaches its end; what ends beyond ring 4 lies in its furthest slot.
 * When the time comes to a multiple of 64^r, the entries of that slot of ring r are put where they belong now.
 *
 * Law: for an entry in ring r, slot s, with end e (or the furthest that ring 4 reaches):  s == (e >> 6r) mod 64,  and
 * e >> 6r is one of the 64 numbers after time >> 6r, or the very one while that slot is being emptied.
 *
 * The wheel need not keep up. Each visit of an entry is counted against the step of the operation; when that is used up,
 * `time` stays behind, and the next operation goes on in the same slot. Empty slots cost nothing: a word per
 * ring says which have entries, so that a jump over years looks at five words. Uses do not move an entry: when its old
 * end comes, it is put off to the new one.
 */
#include "cache/internal.h"

/* The lowest ring in which `ends` is less than one turn away. */
static unsigned ring_of(uint64_t ends, uint64_t time)
{
	unsigned ring = 0;
	while (ring < NEAP__RINGS - 1 &&
	       (ends >> NEAP__RING_BITS * ring) - (time >> NEAP__RING_BITS * ring) >= 64)
		ring++;
	return ring;
}

void neap__wheel_init(struct neap__wheel *wheel)
{
	*wheel = (struct neap__wheel){0};
	for (uint32_t at = 0; at < NEAP__RINGS * NEAP__RING_SLOTS; at++)
		wheel->slots[at] = (struct neap__ring){NEAP__HEAD | at, NEAP__HEAD | at};
}

bool neap__wheel_is_empty(const struct neap__wheel *wheel)
{
	uint64_t any = 0;
	for (unsigned ring = 0; ring < NEAP__RINGS; ring++)
		any |= wheel->occupied[ring];
	return any == 0;
}

static struct neap__ring *timer_of(struct neap__cache_shard *shard, uint32_t id)
{
	return (id & NEAP__HEAD) != 0 ? &shard->wheel.slots[id & ~NEAP__HEAD]
				      : &neap__id_entry(shard, id)->timer;
}

void neap__wheel_add(struct neap__cache_shard *shard, struct neap__entry *entry, uint64_t ends)
{
	struct neap__wheel *wheel = &shard->wheel;
	const unsigned top = NEAP__RING_BITS * (NEAP__RINGS - 1);
	if (ends <= wheel->time)
		ends = wheel->time + 1;
	if ((ends >> top) - (wheel->time >> top) >= NEAP__RING_SLOTS)
		ends = ((wheel->time >> top) + NEAP__RING_SLOTS - 1) << top;
	unsigned ring = ring_of(ends, wheel->time);
	unsigned slot = (unsigned)(ends >> NEAP__RING_BITS * ring) % NEAP__RING_SLOTS;
	uint32_t at = ring * NEAP__RING_SLOTS + slot;
	/* At the tail, which the wheel visits last: an entry that is put off within its own slot is not met again. */
	entry->timer = (struct neap__ring){NEAP__HEAD | at, wheel->slots[at].previous};
	timer_of(shard, entry->timer.previous)->next = entry->id;
	wheel->slots[at].previous = entry->id;
	wheel->occupied[ring] |= UINT64_C(1) << slot;
}

void neap__wheel_remove(struct neap__cache_shard *shard, struct neap__entry *entry)
{
	const struct neap__ring links = entry->timer;
	timer_of(shard, links.next)->previous = links.previous;
	timer_of(shard, links.previous)->next = links.next;
	entry->timer.next = 0;
	if (links.next == links.previous) { /* both are the head of the slot, which is empty now */
		uint32_t at = links.next & ~NEAP__HEAD;
		shard->wheel.occupied[at / NEAP__RING_SLOTS] &= ~(UINT64_C(1) << at % NEAP__RING_SLOTS);
	}
}

/* The next time, after the present one, at which some slot has to be looked at. */
static uint64_t next_time(const struct neap__wheel *wheel)
{
	uint64_t soonest = NEAP__NEVER;
	for (unsigned ring = 0; ring < NEAP__RINGS; ring++) {
		uint64_t here = wheel->time >> NEAP__RING_BITS * ring, turned;
		unsigned shift = (unsigned)(here + 1) % NEAP__RING_SLOTS;
		turned = wheel->occupied[ring] >> shift |
			 (shift == 0 ? 0 : wheel->occupied[ring] << (NEAP__RING_SLOTS - shift));
		if (turned == 0)
			continue;
		uint64_t then = (here + 1 + (uint64_t)__builtin_ctzll(turned)) << NEAP__RING_BITS * ring;
		soonest = then < soonest ? then : soonest;
	}
	return soonest;
}

/* An entry to visit now: of the highest ring whose slot begins at this very time, at last of ring 0. */
static struct neap__entry *due_entry(const struct neap__cache_shard *shard)
{
	const struct neap__wheel *wheel = &shard->wheel;
	for (unsigned ring = NEAP__RINGS; ring-- > 0;) {
		uint64_t span = UINT64_C(1) << NEAP__RING_BITS * ring;
		unsigned slot = (unsigned)(wheel->time / span) % NEAP__RING_SLOTS;
		if ((wheel->time & (span - 1)) == 0 && (wheel->occupied[ring] >> slot & 1))
			return neap__id_entry(shard, wheel->slots[ring * NEAP__RING_SLOTS + slot].next);
	}
	return NULL;
}

bool neap__wheel_turn(struct neap__cache_shard *shard, uint64_t now, size_t most)
{
	struct neap__wheel *wheel = &shard->wheel;
	while (neap__may_visit(shard, most)) {
		struct neap__entry *entry = due_entry(shard);
		if (entry == NULL) {
			if (wheel->time >= now)
				return true;
			uint64_t next = next_time(wheel);
			wheel->time = next < now ? next : now;
			continue;
		}
		shard->visited++;
		uint64_t ends = neap__entry_end(shard, entry);
		if (ends > wheel->time) {
			neap__entry_draw_near(shard, entry);
			neap__wheel_remove(shard, entry);
			neap__wheel_add(shard, entry, ends);
		} else {
			neap__entry_remove(shard, entry);
			shard->counts.expired++;
		}
	}
	return due_entry(shard) == NULL && wheel->time >= now;
}
