/* map_classic.c: the classic Go map, up to Go 1.23 (and 1.24 with GOEXPERIMENT=noswissmap).
 *
 *   hmap:  0 count | 8 flags | 9 B | 10 noverflow | 12 hash0 | 16 buckets | 24 oldbuckets | 32 nevacuate | extra
 *
 *   buckets -> [bucket 0] [bucket 1] ... [bucket 2^B - 1] [preallocated overflow buckets]
 *                  |
 *                  +-- overflow -> a preallocated bucket, or a heap object of its own
 *
 * tophash:  0 empty, and so is everything behind it   1 empty   2,3 moved to the new array   4 empty, moved
 *           5.. the top byte of the hash: live
 *
 * While the map grows, oldbuckets is the array that is being emptied; a bucket of it is moved as a whole when
 * a write comes near. A moved bucket is cleared, except when an iterator may still look at it (flag
 * oldIterator): then keys and values stay, and what they point to cannot be collected until the growth ends.
 */
#include <string.h>

#include "gomap.h"
#include "goprocess.h"

enum {
	TOP_EMPTY_REST = 0,
	TOP_EMPTY = 1,
	TOP_MOVED_FIRST = 2,
	TOP_MOVED_EMPTY = 4,
	TOP_LIVE = 5,
	FLAG_WRITING = 4,
	FLAG_SAME_SIZE = 8,
	FLAGS_ALL = 15,
	LOG_BUCKETS_MAX = 40,
	PREALLOCATE_FROM = 4, /* B from which on overflow buckets are allocated with the array */
	CHAIN_LIMIT = 10000,
};

#define COUNT_LIMIT (1ull << 40)

bool go_classic_header(struct go_process *process, const uint8_t *bytes, struct go_map_header *ret)
{
	const struct go_layout *layout = &process->layout;
	memcpy(&ret->count, bytes, sizeof ret->count);
	ret->flags = bytes[8];
	ret->log_buckets = bytes[9];
	ret->writing = (ret->flags & FLAG_WRITING) != 0;
	memcpy(&ret->seed, bytes + 12, sizeof ret->seed);
	memcpy(&ret->buckets, bytes + layout->hmap_buckets, 8);
	memcpy(&ret->old_buckets, bytes + layout->hmap_oldbuckets, 8);
	memcpy(&ret->evacuated, bytes + layout->hmap_nevacuate, 8);
	memcpy(&ret->extra, bytes + layout->hmap_extra, 8);
	if (ret->count > COUNT_LIMIT || ret->log_buckets > LOG_BUCKETS_MAX || ret->flags > FLAGS_ALL)
		return false;
	if (((ret->buckets | ret->old_buckets | ret->extra) & 7) != 0)
		return false;
	if (ret->buckets == 0)
		return ret->count == 0 && ret->old_buckets == 0 && ret->evacuated == 0;
	/* 6.5 entries a bucket is when it grows; while it grows old and new together hold a little more */
	return ret->count <= (8ull << ret->log_buckets) * 4;
}

/* Buckets in the array of a map with 2^log_buckets of them, the preallocated ones included. */
static uint64_t array_buckets(struct go_process *process, const struct go_map_type *type,
			      unsigned log_buckets)
{
	uint64_t buckets = 1ull << log_buckets;
	if (log_buckets < PREALLOCATE_FROM)
		return buckets;
	buckets += buckets >> PREALLOCATE_FROM;
	uint64_t size = buckets * type->group_size;
	uint64_t rounded = go_heap_round(process, size, type->pointers);
	if (process->layout.pointer_bits >= GO_BITS_IN_SPAN && type->pointers && size > GO_HEADER_FREE_MAX &&
	    size <= GO_SMALL_MAX - 8)
		rounded -= 8; /* the type word in front */
	return rounded != size ? rounded / type->group_size : buckets;
}

static uint64_t array_bytes(struct go_process *process, const struct go_map_type *type, unsigned log_buckets)
{
	return go_heap_round(process, array_buckets(process, type, log_buckets) * type->group_size,
			     type->pointers);
}

/* Twice the entries a bucket above which a map grows: 6.5, but 6 in Go 1.21, whose constant was rounded. */
static unsigned load_factor(const struct go_process *process)
{
	return process->version.minor == 21 ? 12 : 13;
}

uint64_t go_classic_rebuilt(struct go_process *process, const struct go_map_type *type, uint64_t count)
{
	unsigned log_buckets = 0;
	while (count > GO_GROUP_SLOTS && 2 * count > load_factor(process) * (1ull << log_buckets))
		log_buckets++;
	uint64_t header = go_heap_round(process, process->layout.hmap_size, true);
	return header + (count == 0 ? 0 : array_bytes(process, type, log_buckets));
}

/* One array of a walk. */
struct walk {
	struct go_process *process;
	const struct go_map_type *type;
	const struct go_map_visitor *visitor;
	uint64_t start, end; /* the array with its preallocated buckets */
	uint64_t overflow_left;
	bool old;
};

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static bool judge_moved(const struct walk *walk, const uint8_t *bytes, struct go_group *group)
{
	const struct go_map_type *type = walk->type;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		if (bytes[slot] > TOP_LIVE)
			return false;
		bool cleared = is_zero(bytes + type->keys_at + slot * type->key_stride, type->key_size) &&
			       is_zero(bytes + type->elems_at + slot * type->elem_stride, type->elem_size);
		bool moved = bytes[slot] >= TOP_MOVED_FIRST && bytes[slot] < TOP_MOVED_EMPTY;
		/* groups without pointers are never cleared, and keep nothing alive */
		group->slots[slot] = moved && !cleared && type->pointers ? GO_SLOT_STALE : GO_SLOT_MOVED;
	}
	return true;
}

static bool judge_slots(const uint8_t *bytes, struct go_group *group)
{
	static const uint8_t judgement[TOP_LIVE] = {
		[TOP_EMPTY_REST] = GO_SLOT_EMPTY,  [TOP_EMPTY] = GO_SLOT_TOMBSTONE,
		[TOP_MOVED_FIRST] = GO_SLOT_STALE, [TOP_MOVED_FIRST + 1] = GO_SLOT_STALE,
		[TOP_MOVED_EMPTY] = GO_SLOT_STALE, /* not legal where nothing is moved out of */
	};
	bool legal = true;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		uint8_t state = bytes[slot] >= TOP_LIVE ? GO_SLOT_LIVE : judgement[bytes[slot]];
		legal &= state != GO_SLOT_STALE;
		group->slots[slot] = (enum go_slot)state;
	}
	return legal;
}

/* An overflow bucket is one of the preallocated ones or a heap object of its own. */
static bool check_overflow(struct walk *walk, uint64_t bucket)
{
	if (walk->overflow_left-- == 0)
		return false;
	if (bucket >= walk->start && bucket < walk->end)
		return (bucket - walk->start) % walk->type->group_size == 0;
	struct go_span *span;
	uint64_t type, size = go_heap_data(walk->process, bucket, &span, &type);
	if (size != go_heap_round(walk->process, walk->type->group_size, walk->type->pointers) ||
	    (type != 0 && type != walk->type->group))
		return false;
	if (walk->visitor->block != NULL)
		walk->visitor->block(walk->visitor->context, bucket, size, walk->old);
	return true;
}

/* Looks at every bucket of a chain, as far as it leads anywhere. */
static void read_chain(struct walk *walk, uint64_t home)
{
	uint64_t bucket = walk->start + home * walk->type->group_size;
	for (unsigned depth = 0; bucket != 0 && depth < CHAIN_LIMIT; depth++) {
		const uint64_t link = bucket + walk->type->group_size - sizeof bucket;
		if ((depth > 0 && !check_overflow(walk, bucket)) ||
		    !image_word(walk->process->image, link, &bucket))
			return;
	}
}

static bool walk_chain(struct walk *walk, uint64_t home)
{
	const struct go_map_type *type = walk->type;
	uint64_t bucket = walk->start + home * type->group_size;
	bool moved = false;
	for (unsigned depth = 0; bucket != 0 && depth < CHAIN_LIMIT; depth++) {
		const uint8_t *bytes = image_at(walk->process->image, bucket, type->group_size);
		if (bytes == NULL || (depth > 0 && !check_overflow(walk, bucket)))
			return false;
		struct go_group group = {
			.address = bucket, .bytes = bytes, .home = home, .depth = depth, .old = walk->old};
		if (depth == 0)
			moved = walk->old && bytes[0] >= TOP_MOVED_FIRST && bytes[0] <= TOP_MOVED_EMPTY;
		if (!(moved ? judge_moved(walk, bytes, &group) : judge_slots(bytes, &group)))
			return false;
		if (walk->visitor->group != NULL)
			walk->visitor->group(walk->visitor->context, &group);
		memcpy(&bucket, bytes + type->group_size - 8, sizeof bucket);
	}
	return bucket == 0;
}

/* The array must be one object of exactly the right size, or, for the first bucket of a map that does not
   escape, lie on a stack. */
static bool check_array(struct walk *walk, uint64_t header, unsigned log_buckets)
{
	struct go_span *span;
	uint64_t type, size = go_heap_data(walk->process, walk->start, &span, &type);
	if (span == NULL)
		return log_buckets == 0 && go_stack_at(&walk->process->stacks, header) != NULL &&
		       go_stack_at(&walk->process->stacks, walk->start) != NULL;
	if (size != array_bytes(walk->process, walk->type, log_buckets) ||
	    span->noscan == walk->type->pointers || (type != 0 && type != walk->type->group))
		return false;
	if (walk->visitor->block != NULL)
		walk->visitor->block(walk->visitor->context, walk->start, size, walk->old);
	return true;
}

static bool walk_array(struct go_process *process, const struct go_map_header *header,
		       const struct go_map_type *type, const struct go_map_visitor *visitor, bool old)
{
	unsigned log_buckets = header->log_buckets;
	if (old && (header->flags & FLAG_SAME_SIZE) == 0) {
		if (log_buckets == 0)
			return false;
		log_buckets--;
	}
	uint64_t buckets = 1ull << log_buckets, start = old ? header->old_buckets : header->buckets;
	if (old && header->evacuated > buckets)
		return false;
	struct walk walk = {
		process, type, visitor, start,
		start + array_buckets(process, type, log_buckets) * type->group_size,
		/* the runtime rebuilds a map that has about as many overflow buckets as buckets */
		16 * buckets + CHAIN_LIMIT, old};
	if (!check_array(&walk, header->address, log_buckets))
		return false;
	for (uint64_t home = 0; home < buckets && visitor->reads_only; home++)
		read_chain(&walk, home);
	for (uint64_t home = 0; home < buckets && !visitor->reads_only && !go_map_seen_enough(visitor);
	     home++)
		if (!walk_chain(&walk, home))
			return false;
	return true;
}

bool go_classic_walk(struct go_process *process, const struct go_map_header *header,
		     const struct go_map_type *type, const struct go_map_visitor *visitor)
{
	if (header->buckets != 0 && !walk_array(process, header, type, visitor, false) &&
	    !visitor->reads_only)
		return false;
	return header->old_buckets == 0 || walk_array(process, header, type, visitor, true);
}
