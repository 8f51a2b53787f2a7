/* snapshot_stream.c: from the stream that a program writes of itself to a snapshot. See docs/snapshot-format.md.
 *
 * A map's slots come before it, in any number of records, and the maps in no order. So the records are gone through
 * twice: first each is checked and each map remembered, with its first record; then, in the order of their addresses,
 * they go to the builder. Of two maps at one address the first was freed while the program wrote: it is left out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

enum { STREAM_VERSION = 1, RECORD_SLOTS = 1, RECORD_MAP, RECORD_GONE, RECORD_END };

struct stream_head {
	char magic[8];
	uint32_t version, reserved;
};

struct record {
	uint32_t kind, size; /* size: bytes that follow, a multiple of 8 */
};

struct stream_map {
	uint64_t address;
	uint64_t slots, at; /* where its slots begin, and its own record */
};

struct stream {
	const char *bytes, *name;
	uint64_t size;
	struct problem *problem;
	struct stream_map *maps;
	size_t count, capacity;
	uint64_t end; /* where the last record is */
};

static int refuse_stream(const struct stream *stream, uint64_t at, const char *what)
{
	return problem_set(stream->problem, PROBLEM_INPUT,
			   "%s is damaged or no snapshot: %s (at offset %" PRIu64 ")", stream->name, what,
			   at);
}

static struct record record_at(const struct stream *stream, uint64_t at)
{
	struct record record;
	memcpy(&record, stream->bytes + at, sizeof record);
	return record;
}

static const char *body_at(const struct stream *stream, uint64_t at)
{
	return stream->bytes + at + sizeof(struct record);
}

static uint64_t after(const struct stream *stream, uint64_t at)
{
	return at + sizeof(struct record) + record_at(stream, at).size;
}

/* The text at `offset` behind the first `fixed` bytes of a record ends within it. */
static const char *text_in(const struct stream *stream, uint64_t at, size_t fixed, size_t spare,
			   uint32_t offset)
{
	const struct record record = record_at(stream, at);
	if (record.size < fixed + spare)
		return NULL;
	const size_t room = record.size - fixed - spare;
	const char *text = body_at(stream, at) + fixed;
	return offset < room && memchr(text + offset, '\0', room - offset) != NULL ? text + offset : NULL;
}

struct slots {
	uint32_t groups, keys;
	const char *group, *key; /* where they are */
};

static bool slots_in(const struct stream *stream, uint64_t at, struct slots *ret)
{
	const struct record record = record_at(stream, at);
	uint32_t counts[2];
	if (record.size < sizeof counts)
		return false;
	memcpy(counts, body_at(stream, at), sizeof counts);
	ret->groups = counts[0];
	ret->keys = counts[1];
	ret->group = body_at(stream, at) + sizeof counts;
	ret->key = ret->group + (uint64_t)ret->groups * sizeof(struct snapshot_group);
	return record.size == sizeof counts + (uint64_t)ret->groups * sizeof(struct snapshot_group) +
				      (uint64_t)ret->keys * sizeof(uint64_t);
}

static struct snapshot_group group_of(const struct slots *slots, uint32_t number)
{
	struct snapshot_group group;
	memcpy(&group, slots->group + (uint64_t)number * sizeof group, sizeof group);
	return group;
}

static uint32_t live_in(const struct slots *slots, uint32_t group_slots)
{
	uint32_t live = 0;
	for (uint32_t i = 0; i < slots->groups; i++) {
		const struct snapshot_group group = group_of(slots, i);
		for (uint32_t slot = 0; slot < group_slots; slot++)
			live += snapshot_slot_of(&group, slot) == SNAPSHOT_LIVE;
	}
	return live;
}

/* The map whose slots begin at `from` and whose record is at `at`. */
static int take_stream_map(struct stream *stream, uint64_t from, uint64_t at)
{
	struct snapshot_map map;
	struct slots slots;
	if (record_at(stream, at).size < sizeof map)
		return refuse_stream(stream, at, "the record of a map is too short");
	memcpy(&map, body_at(stream, at), sizeof map);
	if (map.group_slots == 0 || map.group_slots > SNAPSHOT_SLOTS_MAX || map.confidence > MAP_TYPED)
		return refuse_stream(stream, at, "a map's groups have no slots, or too many");
	if (text_in(stream, at, sizeof map, 0, map.type) == NULL ||
	    text_in(stream, at, sizeof map, 0, map.holder) == NULL)
		return refuse_stream(stream, at, "a name lies outside the record");
	for (uint64_t i = from; i < at; i = after(stream, i))
		if (!slots_in(stream, i, &slots) || live_in(&slots, map.group_slots) != slots.keys)
			return refuse_stream(stream, i, "there is not one key for each live slot");
	stream->maps = make_room(stream->maps, stream->count, &stream->capacity, sizeof *stream->maps);
	stream->maps[stream->count++] = (struct stream_map){map.address, from, at};
	return 0;
}

static int check_records(struct stream *stream)
{
	const uint64_t size = stream->size;
	uint64_t from = sizeof(struct stream_head);
	for (uint64_t at = from; at < size; at = after(stream, at)) {
		if (size - at < sizeof(struct record) ||
		    record_at(stream, at).size > size - at - sizeof(struct record))
			return refuse_stream(stream, at, "it is cut short");
		switch (record_at(stream, at).kind) {
		case RECORD_SLOTS: continue;
		case RECORD_MAP:
			if (take_stream_map(stream, from, at) != 0)
				return -1;
			break;
		case RECORD_GONE: break;
		case RECORD_END: stream->end = at; break;
		default: return refuse_stream(stream, at, "there is no such record");
		}
		from = after(stream, at);
		if (stream->end != 0)
			return from == size ? 0 : refuse_stream(stream, from, "something follows the end");
	}
	return refuse_stream(stream, size, "it is cut short");
}

static int check_end(const struct stream *stream)
{
	struct snapshot_header header;
	uint64_t sum;
	const uint64_t at = stream->end, size = record_at(stream, at).size;
	if (size < sizeof header + sizeof sum)
		return refuse_stream(stream, at, "the end is too short");
	memcpy(&header, body_at(stream, at), sizeof header);
	memcpy(&sum, stream->bytes + stream->size - sizeof sum, sizeof sum);
	if (text_in(stream, at, sizeof header, sizeof sum, header.program) == NULL ||
	    text_in(stream, at, sizeof header, sizeof sum, header.runtime) == NULL)
		return refuse_stream(stream, at, "a name lies outside the record");
	if (sum != snapshot_stream_checksum(stream->bytes, stream->size))
		return refuse_stream(stream, stream->size - sizeof sum, "the checksum is wrong");
	return 0;
}

static int compare_maps(const void *left, const void *right)
{
	const struct stream_map *a = left, *b = right;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static void build_map(const struct stream *stream, const struct stream_map *from,
		      struct snapshot_builder *builder)
{
	struct snapshot_map map;
	memcpy(&map, body_at(stream, from->at), sizeof map);
	map.type = snapshot_add_string(builder, text_in(stream, from->at, sizeof map, 0, map.type));
	map.holder = snapshot_add_string(builder, text_in(stream, from->at, sizeof map, 0, map.holder));
	snapshot_add_map(builder, &map);
	for (uint64_t at = from->slots; at < from->at; at = after(stream, at)) {
		struct slots slots = {0};
		(void)slots_in(stream, at, &slots); /* it was checked */
		for (uint32_t i = 0; i < slots.groups; i++) {
			const struct snapshot_group group = group_of(&slots, i);
			snapshot_add_group(builder, group.address, group.states, group.depth);
		}
		for (uint32_t i = 0; i < slots.keys; i++) {
			uint64_t key;
			memcpy(&key, slots.key + (uint64_t)i * sizeof key, sizeof key);
			snapshot_add_key(builder, key);
		}
	}
}

static struct snapshot *build(struct stream *stream, struct snapshot_builder *builder)
{
	struct snapshot_header header;
	memcpy(&header, body_at(stream, stream->end), sizeof header);
	header.program =
		snapshot_add_string(builder, text_in(stream, stream->end, sizeof header, 8, header.program));
	header.runtime =
		snapshot_add_string(builder, text_in(stream, stream->end, sizeof header, 8, header.runtime));
	if (stream->count > 0)
		qsort(stream->maps, stream->count, sizeof *stream->maps, compare_maps);
	for (size_t i = 0; i < stream->count; i++)
		if (i + 1 == stream->count || stream->maps[i].address != stream->maps[i + 1].address)
			build_map(stream, &stream->maps[i], builder);
	return snapshot_finish(builder, &header);
}

struct snapshot *snapshot_from_stream(void *bytes, uint64_t size, const char *name, struct problem *problem)
{
	struct stream stream = {.bytes = bytes, .name = name, .size = size, .problem = problem};
	struct stream_head head = {0};
	struct snapshot *snapshot = NULL;
	memcpy(&head, bytes, size < sizeof head ? size : sizeof head);
	if (head.version != STREAM_VERSION)
		problem_set(problem, PROBLEM_INPUT,
			    "%s has version %u of the stream; this neap reads version %d", name, head.version,
			    STREAM_VERSION);
	else if (check_records(&stream) == 0 && check_end(&stream) == 0)
		snapshot = build(&stream, snapshot_begin());
	free(stream.maps);
	free(bytes);
	return snapshot;
}
