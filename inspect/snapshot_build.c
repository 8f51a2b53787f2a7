/* snapshot_build.c: puts a snapshot together, part by part; then all parts into one block. See snapshot.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

#define CHECKSUM_START 0xCBF29CE484222325ull

struct snapshot_builder {
	struct snapshot_map *maps;
	struct snapshot_group *groups;
	uint64_t *keys;
	struct snapshot_object *objects;
	uint32_t *steps;
	char *strings;
	size_t map_count, map_capacity, group_count, group_capacity, key_count, key_capacity, step_count,
		step_capacity, string_size, string_capacity, object_count, object_capacity;
	uint32_t *table; /* of strings, by hash: offset + 1 */
	size_t table_size, table_used;
};

/* FNV-1a by words: catches cut, torn and flipped files; it is no protection against forgery, which the
   checks of every index are for. */
static uint64_t checksum(uint64_t sum, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = 0;
		memcpy(&word, at + i, size - i < 8 ? size - i : 8);
		sum = (sum ^ word) * 0x100000001B3ull;
		sum ^= sum >> 29;
	}
	return sum;
}

static uint64_t mix(uint64_t word)
{
	word ^= word >> 32;
	word *= 0xD6E8FEB86659FD93ull;
	word ^= word >> 32;
	word *= 0xD6E8FEB86659FD93ull;
	return word ^ word >> 32;
}

uint64_t snapshot_fingerprint(const void *bytes, size_t size)
{
	return mix(checksum(CHECKSUM_START ^ mix(size), bytes, size));
}

uint64_t snapshot_checksum(const struct snapshot_header *header)
{
	struct snapshot_header blank = *header;
	blank.checksum = 0;
	uint64_t sum = checksum(CHECKSUM_START, &blank, sizeof blank);
	return checksum(sum, header + 1, header->file_size - sizeof *header);
}

uint64_t snapshot_stream_checksum(const void *bytes, uint64_t size)
{
	return checksum(CHECKSUM_START, bytes, size - sizeof(uint64_t));
}

struct snapshot_builder *snapshot_begin(void)
{
	return take(1, sizeof(struct snapshot_builder));
}

static void grow_table(struct snapshot_builder *builder)
{
	size_t size = builder->table_size == 0 ? 256 : builder->table_size * 2;
	uint32_t *table = take(size, sizeof *table);
	for (size_t i = 0; i < builder->table_size; i++) {
		if (builder->table[i] == 0)
			continue;
		const char *text = builder->strings + builder->table[i] - 1;
		size_t at = snapshot_fingerprint(text, strlen(text)) & (size - 1);
		while (table[at] != 0)
			at = (at + 1) & (size - 1);
		table[at] = builder->table[i];
	}
	free(builder->table);
	builder->table = table;
	builder->table_size = size;
}

/* Each string is kept once. */
uint32_t snapshot_add_string(struct snapshot_builder *builder, const char *text)
{
	if (builder->table_used * 2 >= builder->table_size)
		grow_table(builder);
	size_t length = strlen(text), mask = builder->table_size - 1;
	size_t at = snapshot_fingerprint(text, length) & mask;
	for (; builder->table[at] != 0; at = (at + 1) & mask)
		if (strcmp(builder->strings + builder->table[at] - 1, text) == 0)
			return builder->table[at] - 1;
	uint32_t offset = (uint32_t)builder->string_size;
	for (size_t i = 0; i <= length; i++) {
		builder->strings =
			make_room(builder->strings, builder->string_size, &builder->string_capacity, 1);
		builder->strings[builder->string_size++] = text[i];
	}
	builder->table[at] = offset + 1;
	builder->table_used++;
	return offset;
}

void snapshot_add_map(struct snapshot_builder *builder, const struct snapshot_map *map)
{
	builder->maps =
		make_room(builder->maps, builder->map_count, &builder->map_capacity, sizeof *builder->maps);
	struct snapshot_map *added = &builder->maps[builder->map_count++];
	*added = *map;
	added->first_group = builder->group_count;
	added->first_key = builder->key_count;
	added->first_step = builder->step_count;
	added->group_count = added->step_count = 0;
}

struct snapshot_map *snapshot_last_map(struct snapshot_builder *builder)
{
	return builder->map_count == 0 ? NULL : &builder->maps[builder->map_count - 1];
}

void snapshot_add_group(struct snapshot_builder *builder, uint64_t address, uint32_t states, unsigned depth)
{
	builder->groups = make_room(builder->groups, builder->group_count, &builder->group_capacity,
				    sizeof *builder->groups);
	builder->groups[builder->group_count++] = (struct snapshot_group){
		address, states, (uint16_t)(depth < UINT16_MAX ? depth : UINT16_MAX), 0};
	builder->maps[builder->map_count - 1].group_count++;
}

void snapshot_add_key(struct snapshot_builder *builder, uint64_t fingerprint)
{
	builder->keys =
		make_room(builder->keys, builder->key_count, &builder->key_capacity, sizeof *builder->keys);
	builder->keys[builder->key_count++] = fingerprint;
}

void snapshot_add_step(struct snapshot_builder *builder, const char *name)
{
	uint32_t offset = snapshot_add_string(builder, name);
	builder->steps = make_room(builder->steps, builder->step_count, &builder->step_capacity,
				   sizeof *builder->steps);
	builder->steps[builder->step_count++] = offset;
	builder->maps[builder->map_count - 1].step_count++;
}

void snapshot_add_object(struct snapshot_builder *builder, const struct snapshot_object *object)
{
	builder->objects = make_room(builder->objects, builder->object_count, &builder->object_capacity,
				     sizeof *builder->objects);
	builder->objects[builder->object_count++] = *object;
}

static void put(char *bytes, uint64_t at, const void *part, size_t size)
{
	if (size > 0)
		memcpy(bytes + at, part, size);
}

struct snapshot *snapshot_finish(struct snapshot_builder *builder, const struct snapshot_header *header)
{
	struct snapshot_header full = *header;
	memcpy(full.magic, SNAPSHOT_MAGIC, sizeof full.magic);
	full.version = SNAPSHOT_VERSION;
	full.header_size = sizeof full;
	full.map_at = sizeof full;
	full.map_count = builder->map_count;
	full.group_at = full.map_at + full.map_count * sizeof *builder->maps;
	full.group_count = builder->group_count;
	full.key_at = full.group_at + full.group_count * sizeof *builder->groups;
	full.key_count = builder->key_count;
	full.object_at = full.key_at + full.key_count * sizeof *builder->keys;
	full.object_rows = builder->object_count;
	full.step_at = full.object_at + full.object_rows * sizeof *builder->objects;
	full.step_count = builder->step_count;
	full.string_at = full.step_at + full.step_count * sizeof *builder->steps;
	full.string_size = builder->string_size;
	full.file_size = full.string_at + full.string_size;
	char *bytes = take(1, full.file_size);
	put(bytes, full.map_at, builder->maps, full.map_count * sizeof *builder->maps);
	put(bytes, full.group_at, builder->groups, full.group_count * sizeof *builder->groups);
	put(bytes, full.key_at, builder->keys, full.key_count * sizeof *builder->keys);
	put(bytes, full.object_at, builder->objects, full.object_rows * sizeof *builder->objects);
	put(bytes, full.step_at, builder->steps, full.step_count * sizeof *builder->steps);
	put(bytes, full.string_at, builder->strings, full.string_size);
	put(bytes, 0, &full, sizeof full);
	full.checksum = snapshot_checksum((const struct snapshot_header *)(const void *)bytes);
	put(bytes, 0, &full, sizeof full);
	free(builder->maps);
	free(builder->groups);
	free(builder->keys);
	free(builder->objects);
	free(builder->steps);
	free(builder->strings);
	free(builder->table);
	free(builder);
	struct problem problem = {0};
	struct snapshot *snapshot = snapshot_accept(bytes, full.file_size, "snapshot", &problem);
	if (snapshot == NULL) {
		fprintf(stderr, "neap: what was just put together is not whole: %s\n", problem.text);
		abort();
	}
	return snapshot;
}
