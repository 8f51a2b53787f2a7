/* maps.h: every map of a Go process: found, typed, counted.
 *
 * A map is found by what its header must look like (48 or 56 bytes, pointers in certain words only), by its
 * arrays (heap objects of exactly the right sizes), by its slots (legal states) and by its count (as many
 * live slots as the header says). Which of the program's map types it has is a second question, answered in
 * this order: a holder whose own type is known says it; the array carries its type (Go 1.22 on); only one
 * type fits the contents; or several do, and their number is reported instead of a guess.
 */
#ifndef NEAP_INSPECT_MAPS_H
#define NEAP_INSPECT_MAPS_H

#include "gohash.h"
#include "gomap.h"
#include "goprocess.h"

enum map_confidence {
	MAP_UNCONFIRMED, /* empty or tiny, and no hash confirms it: other objects can look so; never reported */
	MAP_AMBIGUOUS,	 /* several types fit */
	MAP_INFERRED,	 /* one type fits */
	MAP_HEADER,	 /* the array names its type */
	MAP_TYPED,	 /* a holder of known type says so */
};

struct map_counts {
	uint64_t slots, live, tombstones, empty, moved, stale;
	uint64_t old_live; /* of live: still in the old array */
	uint64_t ghosts;   /* slots without an entry whose key bytes are not zero */
	uint64_t groups;
	uint64_t longest_chain;
	uint64_t block_bytes; /* heap objects besides the header */
	uint64_t old_bytes;   /* of block_bytes: the array that a growth is emptying */
};

struct found_map {
	struct go_map_header header;
	const struct go_map_type *type; /* NULL: an empty map of unknown type */
	enum map_confidence confidence;
	unsigned candidates; /* types that fit equally well */
	uint64_t object;     /* number of the header's object; GO_NO_OBJECT when on a stack */
	struct map_counts counts;
	uint64_t bytes;	  /* held: header and blocks */
	uint64_t rebuilt; /* what a new map with the same entries would hold */
	uint64_t hash_checked,
		hash_agreed; /* live keys whose hash was recomputed, and agreed with what is stored */
	bool growing;
	bool torn;	/* changed while it was read: counts are close, not exact */
	bool reachable; /* filled by the graph */
};

/* A heap object that belongs to a map: its header or one of its blocks. */
struct map_block {
	uint64_t object;
	uint32_t map; /* index in maps.list */
	bool header, old;
};

struct maps {
	struct go_map_types types;
	struct found_map *list; /* sorted by header address */
	size_t count, capacity;
	struct map_block *blocks; /* sorted by object */
	size_t block_count, block_capacity;
	uint32_t *object_types; /* by object number: see maps_object_type */
	struct go_hash_key hash_key;
	struct go_map_header
		*suspects; /* of what may be maps that were caught in the middle of their growth */
	size_t suspect_count, suspect_capacity;
};

/* Finds every map and types it; with `every_type` also objects without pointers get their types. */
void maps_find(struct go_process *process, bool every_type, struct maps *ret);
void maps_free(struct maps *maps);

/* Forgets the suspects that are none: a map that is written to has another header a moment later. */
void maps_sift_suspects(struct go_process *process, struct maps *maps);

struct found_map *maps_at(const struct maps *maps, uint64_t header);

/* The map to which a heap object belongs, or NULL. */
const struct map_block *maps_block_of(const struct maps *maps, uint64_t object);

/* Bytes that a rebuild would give back; 0 when it would need as much. */
uint64_t map_reclaimable(const struct found_map *map);

/* The type of a heap object as far as it became known, 0 otherwise. *array is true when the object is a
   sequence of that type. */
uint64_t maps_object_type(const struct go_process *process, const struct maps *maps, uint64_t object,
			  bool *array);

/* For the parts of this module (discover.c, maps_again.c, typing.c). */
bool maps_try(struct go_process *process, const struct go_map_header *header, const struct go_map_type *type,
	      struct map_counts *ret);

/* True when the live slots are as many as the header says. `still`: it was read while the process stood still, where a write
   may be half done; then the entry that is being written may be counted in one place only. */
bool maps_agree(const struct go_process *process, const struct go_map_header *header,
		const struct map_counts *counts, bool still);

/* What a map is when its type is not known. */
struct map_trial {
	const struct go_map_type *best;
	struct map_counts counts;
	int score;
	unsigned candidates;
	bool exact;	/* the counts agree */
	bool near_miss; /* a type fits but for the count */
};

enum map_effort {
	MAP_EXACT,	 /* the count must fit */
	MAP_STILL,	 /* the same, of what was read while the process stood still */
	MAP_ACCEPT_TORN, /* or nearly */
};

/* Tries every map type; types of one layout share one walk. */
struct map_trial maps_try_types(struct go_process *process, const struct maps *maps,
				const struct go_map_header *header, enum map_effort effort);
void maps_add(struct go_process *process, struct maps *maps, const struct go_map_header *header,
	      const struct map_trial *trial, uint64_t object);

/* Notes what may be a map that was caught in its growth. */
void maps_suspect(struct go_process *process, struct maps *maps, const struct go_map_header *header);
void maps_discover(struct go_process *process, struct maps *maps);
void maps_read_again(struct go_process *process, struct maps *maps);
void maps_propagate_types(struct go_process *process, bool every_type, struct maps *maps);

/* True when `bytes` could be a value of `type`; *score grows with positive evidence. */
bool go_content_fits(struct go_process *process, uint64_t type, const uint8_t *bytes, int *score);

#endif
