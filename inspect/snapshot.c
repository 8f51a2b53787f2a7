/* snapshot.c: writing and reading snapshot files. See snapshot.h.
 *
 *   | header | maps | groups | keys | steps | strings |     nothing between them
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
#include <unistd.h>

#include "whole_file.h"

static_assert(sizeof(struct snapshot_header) == 256, "docs/snapshot-format.md");
static_assert(sizeof(struct snapshot_map) == 160, "docs/snapshot-format.md");
static_assert(sizeof(struct snapshot_group) == 16, "docs/snapshot-format.md");

#define FILE_LIMIT (1ull << 40)

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

int snapshot_write(const struct snapshot *snapshot, const char *path, struct problem *problem)
{
	struct whole_file file = whole_file_begin(path);
	bool wrote = file.descriptor >= 0 &&
		     write_all(file.descriptor, snapshot->bytes, snapshot->header->file_size) &&
		     (fsync(file.descriptor) == 0 || errno == EINVAL); /* a pipe can't be synced */
	int error = errno;
	if (file.descriptor >= 0)
		close(file.descriptor);
	return whole_file_end(&file, wrote, error, problem);
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

/* The parts follow each other without gaps, and none is larger than the file. */
static bool parts_fit(const struct snapshot_header *header, uint64_t size)
{
	return header->map_count <= size / sizeof(struct snapshot_map) &&
	       header->group_count <= size / sizeof(struct snapshot_group) && header->key_count <= size / 8 &&
	       header->object_rows <= size / sizeof(struct snapshot_object) &&
	       header->step_count <= size / 4 && header->string_size <= size &&
	       header->map_at == sizeof *header &&
	       header->group_at == header->map_at + header->map_count * sizeof(struct snapshot_map) &&
	       header->key_at == header->group_at + header->group_count * sizeof(struct snapshot_group) &&
	       header->object_at == header->key_at + header->key_count * 8 &&
	       header->step_at == header->object_at + header->object_rows * sizeof(struct snapshot_object) &&
	       header->string_at == header->step_at + header->step_count * 4 &&
	       header->string_at + header->string_size == size;
}

static int check_header(const struct snapshot_header *header, uint64_t size, const char *path,
			struct problem *problem)
{
	if (size < offsetof(struct snapshot_header, file_size) ||
	    memcmp(header->magic, SNAPSHOT_MAGIC, sizeof header->magic) != 0)
		return refuse(problem, path, 0, "it does not begin with " SNAPSHOT_MAGIC);
	if (header->version != SNAPSHOT_VERSION)
		return problem_set(problem, PROBLEM_INPUT,
				   "%s has version %u of the format; this neap reads version %d", path,
				   header->version, SNAPSHOT_VERSION);
	if (size < sizeof *header || header->header_size != sizeof *header || header->file_size != size)
		return problem_set(problem, PROBLEM_INPUT,
				   "%s is cut short or has grown: %" PRIu64 " bytes, it says %" PRIu64, path,
				   size, header->file_size);
	if (!parts_fit(header, size))
		return refuse(problem, path, offsetof(struct snapshot_header, map_at),
			      "the parts do not fill the file");
	if (snapshot_checksum(header) != header->checksum)
		return refuse(problem, path, offsetof(struct snapshot_header, checksum),
			      "the checksum is wrong");
	return 0;
}

static uint64_t live_slots(const struct snapshot_map *map, const struct snapshot_group *group)
{
	uint64_t live = 0;
	for (unsigned slot = 0; slot < map->group_slots; slot++)
		live += snapshot_slot_of(group, slot) == SNAPSHOT_LIVE;
	return live;
}

/* Where the next map's parts have to begin. */
struct cursor {
	uint64_t group, key, step;
};

static int check_map(const struct snapshot *snapshot, const struct snapshot_map *map, struct cursor *cursor,
		     const char *path, struct problem *problem)
{
	const struct snapshot_header *header = snapshot->header;
	uint64_t at = (uint64_t)((const char *)map - (const char *)snapshot->bytes);
	if (map->type >= header->string_size || map->holder >= header->string_size)
		return refuse(problem, path, at, "a name lies outside the strings");
	if (map->group_slots == 0 || map->group_slots > SNAPSHOT_SLOTS_MAX || map->confidence > MAP_TYPED)
		return refuse(problem, path, at, "a map's groups have no slots, or too many");
	if (map->first_group != cursor->group || map->group_count > header->group_count - cursor->group ||
	    map->first_key != cursor->key || map->first_step != cursor->step ||
	    map->step_count > header->step_count - cursor->step)
		return refuse(problem, path, at, "a map's parts do not follow those of the map before");
	for (uint64_t i = 0; i < map->group_count; i++)
		cursor->key += live_slots(map, &snapshot->groups[cursor->group + i]);
	cursor->group += map->group_count;
	cursor->step += map->step_count;
	if (cursor->key > header->key_count)
		return refuse(problem, path, at, "a map has more entries than there are keys");
	return 0;
}

/* Parents are followed until a root: a file whose parents go in a circle would be followed for ever. */
static bool parents_end(const struct snapshot *snapshot)
{
	const uint64_t rows = snapshot->header->object_rows;
	uint8_t *ends = take(rows, 1);
	bool good = true;
	for (uint64_t i = 0; i < rows && good; i++) {
		uint64_t at = i, steps = 0;
		while ((snapshot->objects[at].parent & SNAPSHOT_ROOT) == 0 && ends[at] == 0 &&
		       steps <= rows) {
			at = snapshot->objects[at].parent - 1;
			steps++;
		}
		good = steps <= rows;
		for (at = i; good && ends[at] == 0; at = snapshot->objects[at].parent - 1) {
			ends[at] = 1;
			if ((snapshot->objects[at].parent & SNAPSHOT_ROOT) != 0)
				break;
		}
	}
	free(ends);
	return good;
}

static int check_objects(const struct snapshot *snapshot, const char *path, struct problem *problem)
{
	const struct snapshot_header *header = snapshot->header;
	for (uint64_t i = 0; i < header->object_rows; i++) {
		const struct snapshot_object *object = &snapshot->objects[i];
		bool root = (object->parent & SNAPSHOT_ROOT) != 0;
		uint64_t most = root ? header->string_size : header->object_rows + 1;
		if ((object->parent & ~SNAPSHOT_ROOT) >= most || (!root && object->parent == 0) ||
		    object->above > header->object_rows || object->name >= header->string_size ||
		    object->word >= header->string_size || object->address + object->size < object->address ||
		    (i > 0 && object->address <= snapshot->objects[i - 1].address))
			return refuse(problem, path, header->object_at + i * sizeof *object,
				      "an object is out of order, or leads outside");
	}
	return parents_end(snapshot)
		       ? 0
		       : refuse(problem, path, header->object_at, "objects hold each other in a circle");
}

static int check_parts(const struct snapshot *snapshot, const char *path, struct problem *problem)
{
	const struct snapshot_header *header = snapshot->header;
	struct cursor cursor = {0};
	if (header->string_size == 0 || snapshot->strings[header->string_size - 1] != '\0' ||
	    header->program >= header->string_size || header->runtime >= header->string_size)
		return refuse(problem, path, header->string_at, "the strings do not end");
	for (uint64_t i = 0; i < header->step_count; i++)
		if (snapshot->steps[i] >= header->string_size)
			return refuse(problem, path, header->step_at + 4 * i,
				      "a name lies outside the strings");
	for (uint64_t i = 0; i < header->map_count; i++) {
		if (i > 0 && snapshot->maps[i].address <= snapshot->maps[i - 1].address)
			return refuse(problem, path, header->map_at + i * sizeof *snapshot->maps,
				      "the maps are not in order");
		if (check_map(snapshot, &snapshot->maps[i], &cursor, path, problem) != 0)
			return -1;
	}
	if (cursor.group != header->group_count || cursor.key != header->key_count ||
	    cursor.step != header->step_count)
		return refuse(problem, path, header->group_at, "groups, keys or steps belong to no map");
	return check_objects(snapshot, path, problem);
}

static bool begins_with(const void *bytes, uint64_t size, const char *magic)
{
	return size >= strlen(magic) && memcmp(bytes, magic, strlen(magic)) == 0;
}

struct snapshot *snapshot_accept(void *bytes, uint64_t size, const char *name, struct problem *problem)
{
	if (begins_with(bytes, size, SNAPSHOT_STREAM_MAGIC))
		return snapshot_from_stream(bytes, size, name, problem);
	struct snapshot *snapshot = take(1, sizeof *snapshot);
	snapshot->bytes = bytes;
	snapshot->header = bytes;
	bool good = check_header(snapshot->header, size, name, problem) == 0;
	if (good) {
		snapshot->maps = (const void *)((const char *)bytes + snapshot->header->map_at);
		snapshot->groups = (const void *)((const char *)bytes + snapshot->header->group_at);
		snapshot->keys = (const void *)((const char *)bytes + snapshot->header->key_at);
		snapshot->objects = (const void *)((const char *)bytes + snapshot->header->object_at);
		snapshot->steps = (const void *)((const char *)bytes + snapshot->header->step_at);
		snapshot->strings = (const char *)bytes + snapshot->header->string_at;
		good = check_parts(snapshot, name, problem) == 0;
	}
	if (good)
		return snapshot;
	snapshot_close(snapshot);
	return NULL;
}

bool snapshot_is(const char *path)
{
	char magic[8] = {0};
	FILE *file = fopen(path, "re");
	bool is = file != NULL && fread(magic, sizeof magic, 1, file) == 1 &&
		  (begins_with(magic, sizeof magic, SNAPSHOT_MAGIC) ||
		   begins_with(magic, sizeof magic, SNAPSHOT_STREAM_MAGIC));
	if (file != NULL)
		fclose(file);
	return is;
}

struct snapshot *snapshot_open(const char *path, struct problem *problem)
{
	uint64_t size = 0;
	void *bytes = read_file(path, &size, problem);
	return bytes == NULL ? NULL : snapshot_accept(bytes, size, path, problem);
}

void snapshot_close(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	free(snapshot->bytes);
	free(snapshot);
}
