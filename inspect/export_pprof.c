/* export_pprof.c: profile.proto by hand. A message is a sequence of fields: a tag (number << 3 | kind), then a varint
 * (kind 0) or a length and as many bytes (kind 2).
 *
 *   Profile    1 sample_type  2 sample  4 location  5 function  6 string  9 time  13 comment  14 default type
 *   ValueType  1 type  2 unit             Sample    1 locations, leaf first  2 values
 *   Location   1 id  4 line               Line      1 function
 *   Function   1 id  2 name
 *
 * A step of a path is a function, and a location of the same number. github.com/google/pprof/proto/profile.proto.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "export.h"
#include "whole_file.h"

struct message {
	uint8_t *bytes;
	size_t size, capacity;
};

static void put_byte(struct message *message, uint8_t byte)
{
	message->bytes = make_room(message->bytes, message->size, &message->capacity, 1);
	message->bytes[message->size++] = byte;
}

static void put_varint(struct message *message, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(message, (uint8_t)(value | 0x80));
	put_byte(message, (uint8_t)value);
}

static void put_number(struct message *message, unsigned field, uint64_t value)
{
	put_varint(message, field << 3);
	put_varint(message, value);
}

static void put_bytes(struct message *message, unsigned field, const void *bytes, size_t size)
{
	put_varint(message, field << 3 | 2);
	put_varint(message, size);
	for (size_t i = 0; i < size; i++)
		put_byte(message, ((const uint8_t *)bytes)[i]);
}

/* Puts `part` in as a field, and empties it. */
static void put_message(struct message *message, unsigned field, struct message *part)
{
	put_bytes(message, field, part->bytes, part->size);
	part->size = 0;
}

struct profile {
	struct message out, part, inner;
	const struct snapshot *snapshot;
	uint32_t *place; /* by offset in the snapshot's strings: number in the profile's, 0: not yet */
	uint32_t strings;
	uint8_t *located; /* by number of a string: it has a function and a location */
};

static uint32_t add_text(struct profile *profile, const char *text)
{
	put_bytes(&profile->out, 6, text, strlen(text));
	return profile->strings++;
}

static uint32_t add_string(struct profile *profile, uint32_t offset)
{
	if (profile->place[offset] == 0)
		profile->place[offset] = add_text(profile, profile->snapshot->strings + offset);
	return profile->place[offset];
}

/* The location of a step; ids may not be 0, and string 0 is empty, so a string's number is a good id. */
static uint32_t add_location(struct profile *profile, uint32_t offset)
{
	uint32_t id = add_string(profile, offset);
	if (profile->located[offset] != 0)
		return id;
	profile->located[offset] = 1;
	put_number(&profile->part, 1, id);
	put_number(&profile->part, 2, id);
	put_message(&profile->out, 5, &profile->part);
	put_number(&profile->inner, 1, id);
	put_number(&profile->part, 1, id);
	put_message(&profile->part, 4, &profile->inner);
	put_message(&profile->out, 4, &profile->part);
	return id;
}

static void add_sample(struct profile *profile, const struct snapshot_map *map)
{
	const uint64_t values[] = {map->bytes, snapshot_reclaimable(map), map->retained, 1};
	struct message locations = {0};
	put_varint(&locations, add_location(profile, map->type));
	for (uint32_t i = map->step_count; i-- > 0;)
		put_varint(&locations, add_location(profile, profile->snapshot->steps[map->first_step + i]));
	if (map->step_count == 0)
		put_varint(&locations, add_location(profile, map->holder));
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		put_varint(&profile->inner, values[i]);
	put_message(&profile->part, 1, &locations);
	put_message(&profile->part, 2, &profile->inner);
	put_message(&profile->out, 2, &profile->part);
	free(locations.bytes);
}

static void add_types(struct profile *profile)
{
	static const char *const types[][2] = {
		{"held", "bytes"}, {"reclaimable", "bytes"}, {"retained", "bytes"}, {"maps", "count"}};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		put_number(&profile->part, 1, add_text(profile, types[i][0]));
		put_number(&profile->part, 2, add_text(profile, types[i][1]));
		put_message(&profile->out, 1, &profile->part);
	}
}

static int write_gzip(const struct message *message, const char *path, struct problem *problem)
{
	struct whole_file file = whole_file_begin(path);
	gzFile gzip = file.descriptor < 0 ? NULL : gzdopen(file.descriptor, "wb");
	bool wrote = gzip != NULL;
	for (size_t done = 0; wrote && done < message->size;) {
		size_t left = message->size - done;
		int got = gzwrite(gzip, message->bytes + done, (unsigned)(left < 1u << 20 ? left : 1u << 20));
		wrote = got > 0;
		done += got > 0 ? (size_t)got : 0;
	}
	int error = errno;
	if (gzip != NULL && gzclose(gzip) != Z_OK) {
		error = wrote ? errno : error;
		wrote = false;
	} else if (gzip == NULL && file.descriptor >= 0) {
		close(file.descriptor);
	}
	return whole_file_end(&file, wrote, error, problem);
}

int export_pprof(const struct snapshot *snapshot, const char *path, struct problem *problem)
{
	const struct snapshot_header *header = snapshot->header;
	struct profile profile = {.snapshot = snapshot};
	profile.place = take(header->string_size, sizeof *profile.place);
	profile.located = take(header->string_size, 1);
	add_text(&profile, "");
	add_types(&profile);
	for (uint64_t i = 0; i < header->map_count; i++)
		add_sample(&profile, &snapshot->maps[i]);
	put_number(&profile.out, 9, header->time);
	put_number(&profile.out, 13, add_string(&profile, header->program));
	int result = write_gzip(&profile.out, path, problem);
	free(profile.out.bytes);
	free(profile.part.bytes);
	free(profile.inner.bytes);
	free(profile.place);
	free(profile.located);
	return result;
}
