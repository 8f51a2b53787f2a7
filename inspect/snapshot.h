/* snapshot.h: the maps of one moment, in memory or in a file, and the difference of two of them.
 *
 * docs/snapshot-format.md has the format as OFFSET/SIZE tables; in memory it is the same bytes. A snapshot holds no keys
 * and no values: of each key only a fingerprint, enough to tell whether an entry is still there and where. It is what
 * a Go program, a program linked with libneap and a file have in common, so whatever needs no more reads it.
 */
#ifndef NEAP_INSPECT_SNAPSHOT_H
#define NEAP_INSPECT_SNAPSHOT_H

#include <stdio.h>

#include "inspection.h"

#define SNAPSHOT_MAGIC	      "NEAPSNAP"
#define SNAPSHOT_STREAM_MAGIC "NEAPSTRM" /* what a program writes of itself */

enum { SNAPSHOT_VERSION = 3, SNAPSHOT_SLOTS_MAX = 16 };

enum snapshot_kind { SNAPSHOT_GO, SNAPSHOT_NEAP };

/* Everything is little-endian; offsets count from the start of the file. */
struct snapshot_header {
	char magic[8];
	uint32_t version, header_size;
	uint64_t file_size;
	uint64_t checksum; /* of the whole file, with 0 in this place */
	uint64_t time;	   /* nanoseconds since 1970 */
	uint32_t pid, torn;
	uint32_t program, runtime; /* offsets in the strings */
	uint32_t kind;		   /* enum snapshot_kind */
	uint32_t
		fingerprints; /* which secret they are under; 0: none. Of two secrets they can't be compared */
	uint64_t rss;	      /* and its parts, which add up to it: */
	uint64_t live, tombstone, empty, stale, objects, free_held, other;
	int64_t unexplained;
	uint64_t object_count, object_bytes; /* that roots reach; 0 when that is not known */
	uint64_t stopped;		     /* nanoseconds */
	uint64_t map_at, map_count;
	uint64_t group_at, group_count;
	uint64_t key_at, key_count;
	uint64_t step_at, step_count;
	uint64_t string_at, string_size;
	uint64_t object_at, object_rows; /* none without neap snapshot --graph */
};

enum snapshot_map_flags {
	SNAPSHOT_REACHABLE = 1,
	SNAPSHOT_GROWING = 2,
	SNAPSHOT_TORN = 4,
	SNAPSHOT_RETAINED = 8
};

struct snapshot_map {
	uint64_t address, seed, count, slots, live, tombstones, stale, ghosts, bytes, rebuilt;
	uint64_t retained;		   /* bytes; 0 without SNAPSHOT_RETAINED */
	uint64_t first_group, group_count; /* of the groups */
	uint64_t first_key;		   /* of the keys: one per live slot, in the order of the groups */
	uint64_t first_step;		   /* of the steps: who holds it, from the root on */
	uint32_t step_count;
	uint32_t group_size, group_slots; /* bytes and slots of a group */
	uint32_t slot_at, slot_stride;	  /* of keys within a group */
	uint32_t type, holder;		  /* offsets in the strings */
	uint32_t confidence, candidates, flags;
};

enum snapshot_slot { SNAPSHOT_EMPTY, SNAPSHOT_TOMBSTONE, SNAPSHOT_LIVE, SNAPSHOT_OLD };

struct snapshot_group {
	uint64_t address;
	uint32_t states; /* two bits a slot, enum snapshot_slot */
	uint16_t depth;
	uint16_t reserved;
};

/* An object that something held: of a Go program an object of its heap, of one linked with libneap a node of linked_graph.h. */
struct snapshot_object {
	uint64_t address, size, retained; /* retained: bytes that would become free with it */
	uint32_t members;		  /* objects that would, itself included */
	uint32_t parent;     /* row + 1, or SNAPSHOT_ROOT | the root's name, an offset in the strings */
	uint32_t above;	     /* row + 1 of the object that every way to it leads through; 0: none */
	uint32_t name, word; /* offsets in the strings; `word`: the place in the parent that leads here */
	uint32_t offset;     /* of that place in bytes, UINT32_MAX when it is more, or outside */
};

#define SNAPSHOT_ROOT 0x80000000u

struct snapshot {
	const struct snapshot_header *header;
	const struct snapshot_map *maps; /* sorted by address */
	const struct snapshot_group *groups;
	const uint64_t *keys;
	const struct snapshot_object *objects; /* sorted by address */
	const uint32_t *steps;		       /* offsets in the strings */
	const char *strings;
	void *bytes; /* all of it */
};

/* What a slot of a group is; slot < the map's group_slots. */
static inline enum snapshot_slot snapshot_slot_of(const struct snapshot_group *group, unsigned slot)
{
	return (enum snapshot_slot)(group->states >> (2 * slot) & 3);
}

static inline uint64_t snapshot_reclaimable(const struct snapshot_map *map)
{
	return map->bytes > map->rebuilt ? map->bytes - map->rebuilt : 0;
}

/* ---- Making one (snapshot_build.c) ---- */

struct snapshot_builder;
struct snapshot_builder *snapshot_begin(void);
uint32_t snapshot_add_string(struct snapshot_builder *builder, const char *text);
/* A map begins; its groups, keys and steps follow. The builder fills first_... and the counts of these. */
void snapshot_add_map(struct snapshot_builder *builder, const struct snapshot_map *map);
/* The map that was added last, NULL if none; valid until the next one is. */
struct snapshot_map *snapshot_last_map(struct snapshot_builder *builder);
void snapshot_add_group(struct snapshot_builder *builder, uint64_t address, uint32_t states, unsigned depth);
void snapshot_add_key(struct snapshot_builder *builder, uint64_t fingerprint);
void snapshot_add_step(struct snapshot_builder *builder, const char *name);
/* In the order of their addresses; rows count from 0. */
void snapshot_add_object(struct snapshot_builder *builder, const struct snapshot_object *object);
/* Maps must have come in the order of their addresses. Takes the builder; `header` needs no counts and offsets.
   Never NULL. */
struct snapshot *snapshot_finish(struct snapshot_builder *builder, const struct snapshot_header *header);

/* A fingerprint of some bytes. */
uint64_t snapshot_fingerprint(const void *bytes, size_t size);
/* The checksum that the header holds, and the one at the end of a stream. */
uint64_t snapshot_checksum(const struct snapshot_header *header);
uint64_t snapshot_stream_checksum(const void *bytes, uint64_t size);

/* From a look at a Go program (snapshot_go.c). Close it with snapshot_close. */
struct snapshot *snapshot_of(const struct inspection *inspection);
/* Every object that is held, of an inspection with dominators (snapshot_graph.c). */
void snapshot_add_graph(struct snapshot_builder *builder, const struct inspection *inspection);

/* ---- Files (snapshot.c) ---- */

/* Writes the file as a whole or not at all. -1 and a problem on failure. */
int snapshot_write(const struct snapshot *snapshot, const char *path, struct problem *problem);
/* True when the file begins as a snapshot does. */
bool snapshot_is(const char *path);
/* NULL and a problem when the file is missing, cut short, damaged, or of another version. */
struct snapshot *snapshot_open(const char *path, struct problem *problem);
/* The same for bytes from malloc, which it takes; `name` is for messages. A stream becomes the snapshot that it tells. */
struct snapshot *snapshot_accept(void *bytes, uint64_t size, const char *name, struct problem *problem);
struct snapshot *snapshot_from_stream(void *bytes, uint64_t size, const char *name,
				      struct problem *problem); /* snapshot_stream.c */
void snapshot_close(struct snapshot *snapshot);

/* ---- Screens (snapshot_render.c) ---- */

void snapshot_render(FILE *out, const struct snapshot *snapshot, const struct render_options *options);
void snapshot_json(FILE *out, const struct snapshot *snapshot);
/* The map at `address`, its header's; NULL when there is none. */
const struct snapshot_map *snapshot_map_at(const struct snapshot *snapshot, uint64_t address);
void snapshot_render_map(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map);

/* ---- Differences (diff.c) ---- */

/* What happened to one map. */
struct map_change {
	const struct snapshot_map *before, *after; /* one of them NULL: the map is new, or gone */
	uint64_t inserted, deleted, moved;
	uint64_t pages; /* pages of 4 KiB on which deleted slots lie */
	bool rehashed;	/* another number of groups */
};

enum slot_change { SLOT_INSERTED, SLOT_DELETED, SLOT_MOVED };

struct slot_place {
	uint64_t group; /* its address */
	unsigned slot;
};

typedef void (*slot_change_fn)(void *context, enum slot_change change, struct slot_place before,
			       struct slot_place after);

/* False and a problem when their fingerprints are under different secrets: of two processes that wrote them, or one
   written by the process and the other from outside. */
bool snapshot_comparable(const struct snapshot *before, const struct snapshot *after,
			 struct problem *problem);

/* Every map that changed, most bytes or entries first; *ret belongs to the caller. */
size_t snapshot_diff(const struct snapshot *before, const struct snapshot *after, struct map_change **ret);

/* Visits the slots that changed of two states of a map. */
void snapshot_diff_slots(const struct snapshot *before, const struct snapshot_map *map_before,
			 const struct snapshot *after, const struct snapshot_map *map_after,
			 slot_change_fn visit, void *context);

#endif
