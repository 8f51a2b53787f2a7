/* snapshot.h: the maps of one moment in a file, and the difference of two such files.
 *
 * docs/snapshot-format.md has the format as OFFSET/SIZE tables. A snapshot holds no keys and no values: of each
 * key only a fingerprint, enough to tell whether an entry is still there and where.
 */
#ifndef NEAP_INSPECT_SNAPSHOT_H
#define NEAP_INSPECT_SNAPSHOT_H

#include <stdio.h>

#include "inspection.h"

#define SNAPSHOT_MAGIC "NEAPSNAP"

enum { SNAPSHOT_VERSION = 1 };

/* Everything is little-endian; offsets count from the start of the file. */
struct snapshot_header {
	char magic[8];
	uint32_t version, header_size;
	uint64_t file_size;
	uint64_t checksum; /* of the whole file, with 0 in this place */
	uint64_t time;	   /* nanoseconds since 1970 */
	uint32_t pid, torn;
	uint32_t program, go; /* offsets in the strings */
	uint64_t rss;
	uint64_t map_at, map_count;
	uint64_t group_at, group_count;
	uint64_t key_at, key_count;
	uint64_t string_at, string_size;
};

struct snapshot_map {
	uint64_t address, seed, count, slots, live, tombstones, stale, ghosts, bytes, rebuilt;
	uint64_t first_group, group_count; /* of the groups */
	uint64_t first_key;		   /* of the keys: one per live slot, in the order of the groups */
	uint32_t group_size, type, holder; /* the last two: offsets in the strings */
	uint32_t slot_at; /* of the first key in a group; its stride follows from group_size */
};

enum snapshot_slot { SNAPSHOT_EMPTY, SNAPSHOT_TOMBSTONE, SNAPSHOT_LIVE, SNAPSHOT_OLD };

struct snapshot_group {
	uint64_t address;
	uint16_t states; /* two bits a slot, enum snapshot_slot */
	uint16_t depth;
	uint32_t reserved;
};

struct snapshot {
	const struct snapshot_header *header;
	const struct snapshot_map *maps; /* sorted by address */
	const struct snapshot_group *groups;
	const uint64_t *keys;
	const char *strings;
	void *bytes; /* the file */
};

/* Writes the file as a whole or not at all. -1 and a problem on failure. */
int snapshot_write(const struct inspection *inspection, const char *path, struct problem *problem);

/* NULL and a problem when the file is missing, cut short, damaged, or of another version. */
struct snapshot *snapshot_open(const char *path, struct problem *problem);
void snapshot_close(struct snapshot *snapshot);

/* What happened to one map. */
struct map_change {
	const struct snapshot_map *before, *after; /* one of them NULL: the map is new, or gone */
	uint64_t inserted, deleted, moved;
	uint64_t pages; /* pages of 4 KiB on which deleted slots lie */
	bool rehashed;	/* another number of groups */
};

enum slot_change { SLOT_INSERTED, SLOT_DELETED, SLOT_MOVED };

typedef void (*slot_change_fn)(void *context, enum slot_change change, uint64_t before, uint64_t after);

/* Every map that changed, most bytes or entries first; *ret belongs to the caller. */
size_t snapshot_diff(const struct snapshot *before, const struct snapshot *after, struct map_change **ret);

/* Visits the slots that changed of two states of a map: addresses of the slots' groups plus slot number. */
void snapshot_diff_slots(const struct snapshot *before, const struct snapshot_map *map_before,
			 const struct snapshot *after, const struct snapshot_map *map_after,
			 slot_change_fn visit, void *context);

#endif
