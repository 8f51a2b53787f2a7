/* snapshot.c: writing and reading snapshot files. See snapshot.h.
 *
 *   | header | maps | groups | keys | strings |     each part aligned to 8 bytes, nothing between them
 *
 * A file is accepted only when its size is the one it states, the checksum is right, and every number in it
 * that is used as an index stays within its part.
 */
#include "snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static_assert(sizeof(struct snapshot_header) == 128, "docs/snapshot-format.md");
static_assert(sizeof(struct snapshot_map) == 120, "docs/snapshot-format.md");
static_assert(sizeof(struct snapshot_group) == 16, "docs/snapshot-format.md");

enum { HOLDER_BYTES = 512 };

#define FILE_LIMIT (1ull << 40)

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

#define CHECKSUM_START 0xCBF29CE484222325ull

struct parts {
	struct snapshot_map *maps;
	struct snapshot_group *groups;
	uint64_t *keys;
	char *strings;
	size_t group_count, group_capacity, key_count, key_capacity, string_size, string_capacity;
	struct go_process *process;
	const struct go_map_type *type; /* of the map that is being taken */
};

static uint32_t add_string(struct parts *parts, const char *text)
{
	uint32_t at = (uint32_t)parts->string_size;
	for (const char *from = text;; from++) {
		parts->strings = make_room(parts->strings, parts->string_size, &parts->string_capacity, 1);
		parts->strings[parts->string_size++] = *from;
		if (*from == '\0')
			return at;
	}
}

static uint64_t mix(uint64_t word)
{
	word ^= word >> 32;
	word *= 0xD6E8FEB86659FD93ull;
	word ^= word >> 32;
	word *= 0xD6E8FEB86659FD93ull;
	return word ^ word >> 32;
}

/* A string is its characters, wherever they lie; every other key is its bytes. */
static uint64_t fingerprint(struct parts *parts, const uint8_t *key)
{
	const struct go_map_type *type = parts->type;
	uint64_t words[2], size = type->key_size;
	const uint8_t *bytes = key;
	memcpy(words, key, size < sizeof words ? size : sizeof words);
	if (type->key_indirect) {
		size = go_type_size(parts->process, type->key);
		bytes = image_at(parts->process->image, words[0], size);
	} else if (go_type_kind(parts->process, type->key) == GO_KIND_STRING) {
		size = words[1];
		bytes = size > FILE_LIMIT ? NULL : image_at(parts->process->image, words[0], size);
	}
	uint64_t sum = CHECKSUM_START ^ mix(size);
	return mix(bytes == NULL ? checksum(sum, key, type->key_size) : checksum(sum, bytes, size));
}

static const enum snapshot_slot slot_codes[] = {
	[GO_SLOT_LIVE] = SNAPSHOT_LIVE,	  [GO_SLOT_TOMBSTONE] = SNAPSHOT_TOMBSTONE,
	[GO_SLOT_EMPTY] = SNAPSHOT_EMPTY, [GO_SLOT_MOVED] = SNAPSHOT_OLD,
	[GO_SLOT_STALE] = SNAPSHOT_OLD,
};

static void take_group(void *context, const struct go_group *group)
{
	struct parts *parts = context;
	struct snapshot_group record = {group->address, 0, (uint16_t)group->depth, 0};
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		record.states |= (uint16_t)(slot_codes[group->slots[slot]] << (2 * slot));
		if (group->slots[slot] != GO_SLOT_LIVE)
			continue;
		parts->keys =
			make_room(parts->keys, parts->key_count, &parts->key_capacity, sizeof *parts->keys);
		parts->keys[parts->key_count++] =
			fingerprint(parts, go_slot_key(parts->type, group->bytes, slot));
	}
	parts->groups =
		make_room(parts->groups, parts->group_count, &parts->group_capacity, sizeof *parts->groups);
	parts->groups[parts->group_count++] = record;
}

static void take_map(struct parts *parts, const struct inspection *inspection, const struct found_map *map,
		     struct snapshot_map *ret)
{
	char text[HOLDER_BYTES];
	struct go_map_visitor visitor = {parts, NULL, take_group};
	parts->type = map->type;
	*ret = (struct snapshot_map){
		.address = map->header.address,
		.seed = map->header.seed != 0 ? map->header.seed : map->header.swiss_seed,
		.count = map->header.count,
		.slots = map->counts.slots,
		.live = map->counts.live,
		.tombstones = map->counts.tombstones,
		.stale = map->counts.stale,
		.ghosts = map->counts.ghosts,
		.bytes = map->bytes,
		.rebuilt = map->rebuilt,
		.first_group = parts->group_count,
		.first_key = parts->key_count,
		.group_size = map->type->group_size,
		.slot_at = map->type->keys_at,
	};
	go_type_name(inspection->process, map->type->type, text, sizeof text);
	ret->type = add_string(parts, text);
	inspection_holder(inspection, map, text, sizeof text);
	ret->holder = add_string(parts, text);
	(void)go_map_walk(inspection->process, &map->header, map->type, &visitor);
	ret->group_count = parts->group_count - ret->first_group;
}

static bool write_all(int file, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t wrote = write(file, (const char *)bytes + done, size - done);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return false;
		done += (size_t)wrote;
	}
	return true;
}

static void fill_header(struct snapshot_header *header, const struct inspection *inspection,
			struct parts *parts)
{
	const struct go_process *process = inspection->process;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	*header = (struct snapshot_header){
		.magic = SNAPSHOT_MAGIC,
		.version = SNAPSHOT_VERSION,
		.header_size = sizeof *header,
		.time = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
		.pid = (uint32_t)process->target->pid,
		.torn = (uint32_t)process->torn,
		.program = add_string(parts, process->target->name),
		.go = add_string(parts, process->version.text),
		.rss = inspection->account.rss,
		.map_count = inspection->maps.count,
		.group_count = parts->group_count,
		.key_count = parts->key_count,
		.string_size = parts->string_size,
	};
	header->map_at = sizeof *header;
	header->group_at = header->map_at + header->map_count * sizeof *parts->maps;
	header->key_at = header->group_at + header->group_count * sizeof *parts->groups;
	header->string_at = header->key_at + header->key_count * sizeof *parts->keys;
	header->file_size = header->string_at + header->string_size;
	uint64_t sum = checksum(CHECKSUM_START, header, sizeof *header); /* its own field is still 0 */
	sum = checksum(sum, parts->maps, header->map_count * sizeof *parts->maps);
	sum = checksum(sum, parts->groups, header->group_count * sizeof *parts->groups);
	sum = checksum(sum, parts->keys, header->key_count * sizeof *parts->keys);
	header->checksum = checksum(sum, parts->strings, header->string_size);
}

static bool write_parts(int file, const struct snapshot_header *header, const struct parts *parts)
{
	return write_all(file, header, sizeof *header) &&
	       write_all(file, parts->maps, header->map_count * sizeof *parts->maps) &&
	       write_all(file, parts->groups, header->group_count * sizeof *parts->groups) &&
	       write_all(file, parts->keys, header->key_count * sizeof *parts->keys) &&
	       write_all(file, parts->strings, header->string_size) && fsync(file) == 0;
}

/* Beside the file, then renamed: a reader sees the old file or the new one. */
static int write_file(const char *path, const struct snapshot_header *header, const struct parts *parts,
		      struct problem *problem)
{
	enum { SUFFIX = 16 }; /* a dot and a process id */
	size_t size = strlen(path) + SUFFIX;
	char *beside = take(size, 1);
	snprintf(beside, size, "%s.%d", path, (int)getpid());
	int file = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool wrote = file >= 0 && write_parts(file, header, parts);
	int error = errno;
	if (file >= 0)
		close(file);
	if (wrote && rename(beside, path) != 0) {
		error = errno;
		wrote = false;
	}
	if (!wrote && file >= 0)
		unlink(beside);
	free(beside);
	return wrote ? 0 : problem_set(problem, PROBLEM_PARTIAL, "can't write %s: %s", path, strerror(error));
}

int snapshot_write(const struct inspection *inspection, const char *path, struct problem *problem)
{
	struct parts parts = {.process = inspection->process};
	struct snapshot_header header;
	parts.maps = take(inspection->maps.count, sizeof *parts.maps);
	for (size_t i = 0; i < inspection->maps.count; i++)
		take_map(&parts, inspection, &inspection->maps.list[i], &parts.maps[i]);
	fill_header(&header, inspection, &parts);
	int result = write_file(path, &header, &parts, problem);
	free(parts.maps);
	free(parts.groups);
	free(parts.keys);
	free(parts.strings);
	return result;
}

static int refuse(struct problem *problem, const char *path, uint64_t offset, const char *what)
{
	return problem_set(problem, PROBLEM_INPUT, "%s is damaged or no snapshot: %s (at offset %" PRIu64 ")",
			   path, what, offset);
}

static void *read_file(const char *path, uint64_t *size, struct problem *problem)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	if (file < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
		problem_set(problem, PROBLEM_NO_TARGET, "can't open %s: %s", path,
			    file < 0 ? strerror(errno) : "not a regular file");
		if (file >= 0)
			close(file);
		return NULL;
	}
	*size = (uint64_t)status.st_size;
	/* zeroed and never smaller than a header, whatever the file is */
	char *bytes = *size > FILE_LIMIT ? NULL : calloc(1, *size + sizeof(struct snapshot_header));
	size_t done = 0;
	for (ssize_t got = 1; bytes != NULL && done < *size && got > 0; done += got > 0 ? (size_t)got : 0)
		got = read(file, bytes + done, *size - done);
	close(file);
	if (bytes == NULL || done < *size) {
		problem_set(problem, PROBLEM_NO_TARGET, "can't read %s", path);
		free(bytes);
		return NULL;
	}
	return bytes;
}

static int check_header(const struct snapshot_header *header, uint64_t size, const char *path,
			struct problem *problem)
{
	if (size < sizeof *header || memcmp(header->magic, SNAPSHOT_MAGIC, sizeof header->magic) != 0)
		return refuse(problem, path, 0, "it does not begin with " SNAPSHOT_MAGIC);
	if (header->version != SNAPSHOT_VERSION || header->header_size != sizeof *header)
		return problem_set(problem, PROBLEM_INPUT,
				   "%s has version %u of the format; this neap reads version %d", path,
				   header->version, SNAPSHOT_VERSION);
	if (header->file_size != size)
		return problem_set(problem, PROBLEM_INPUT,
				   "%s is cut short or has grown: %" PRIu64 " bytes, it says %" PRIu64, path,
				   size, header->file_size);
	/* the parts follow each other without gaps, and none is larger than the file */
	if (header->map_count > size / sizeof(struct snapshot_map) ||
	    header->group_count > size / sizeof(struct snapshot_group) || header->key_count > size / 8 ||
	    header->string_size > size || header->map_at != sizeof *header ||
	    header->group_at != header->map_at + header->map_count * sizeof(struct snapshot_map) ||
	    header->key_at != header->group_at + header->group_count * sizeof(struct snapshot_group) ||
	    header->string_at != header->key_at + header->key_count * 8 ||
	    header->string_at + header->string_size != size)
		return refuse(problem, path, offsetof(struct snapshot_header, map_at),
			      "the parts do not fill the file");
	struct snapshot_header blank = *header;
	blank.checksum = 0;
	uint64_t sum = checksum(CHECKSUM_START, &blank, sizeof blank);
	if (checksum(sum, header + 1, size - sizeof *header) != header->checksum)
		return refuse(problem, path, offsetof(struct snapshot_header, checksum),
			      "the checksum is wrong");
	return 0;
}

static uint64_t live_slots(const struct snapshot_group *group)
{
	uint64_t live = 0;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++)
		live += (group->states >> (2 * slot) & 3) == SNAPSHOT_LIVE;
	return live;
}

static int check_map(const struct snapshot *snapshot, const struct snapshot_map *map, uint64_t *group,
		     uint64_t *key, const char *path, struct problem *problem)
{
	const struct snapshot_header *header = snapshot->header;
	uint64_t at = (uint64_t)((const char *)map - (const char *)snapshot->bytes);
	if (map->type >= header->string_size || map->holder >= header->string_size)
		return refuse(problem, path, at, "a name lies outside the strings");
	if (map->first_group != *group || map->group_count > header->group_count - *group ||
	    map->first_key != *key)
		return refuse(problem, path, at, "a map's groups do not follow those of the map before");
	for (uint64_t i = 0; i < map->group_count; i++)
		*key += live_slots(&snapshot->groups[*group + i]);
	*group += map->group_count;
	if (*key > header->key_count)
		return refuse(problem, path, at, "a map has more entries than there are keys");
	return 0;
}

static int check_parts(const struct snapshot *snapshot, const char *path, struct problem *problem)
{
	const struct snapshot_header *header = snapshot->header;
	uint64_t group = 0, key = 0;
	if (header->string_size == 0 || snapshot->strings[header->string_size - 1] != '\0' ||
	    header->program >= header->string_size || header->go >= header->string_size)
		return refuse(problem, path, header->string_at, "the strings do not end");
	for (uint64_t i = 0; i < header->map_count; i++) {
		if (i > 0 && snapshot->maps[i].address <= snapshot->maps[i - 1].address)
			return refuse(problem, path, header->map_at + i * sizeof *snapshot->maps,
				      "the maps are not in order");
		if (check_map(snapshot, &snapshot->maps[i], &group, &key, path, problem) != 0)
			return -1;
	}
	if (group != header->group_count || key != header->key_count)
		return refuse(problem, path, header->group_at, "groups or keys belong to no map");
	return 0;
}

struct snapshot *snapshot_open(const char *path, struct problem *problem)
{
	uint64_t size = 0;
	void *bytes = read_file(path, &size, problem);
	if (bytes == NULL)
		return NULL;
	struct snapshot *snapshot = take(1, sizeof *snapshot);
	snapshot->bytes = bytes;
	snapshot->header = bytes;
	bool good = check_header(snapshot->header, size, path, problem) == 0;
	if (good) {
		snapshot->maps = (const void *)((const char *)bytes + snapshot->header->map_at);
		snapshot->groups = (const void *)((const char *)bytes + snapshot->header->group_at);
		snapshot->keys = (const void *)((const char *)bytes + snapshot->header->key_at);
		snapshot->strings = (const char *)bytes + snapshot->header->string_at;
		good = check_parts(snapshot, path, problem) == 0;
	}
	if (good)
		return snapshot;
	snapshot_close(snapshot);
	return NULL;
}

void snapshot_close(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	free(snapshot->bytes);
	free(snapshot);
}
