/* linked_process.h: a program linked with libneap, seen from outside.
 *
 *   beacon   a record in the library's constant data, found by its first 16 bytes, stripped or not
 *   facts    the table that a beacon names: offsets and sizes by name, docs/layout.md
 *   list     all maps of the process, in shards: the object of the map modules' beacons; concurrent maps have one of
 *            their own
 *
 * Nothing here knows an offset of the library: all come from the facts. A reader of another version finds the same names
 * or says which one is missing.
 */
#ifndef NEAP_INSPECT_LINKED_PROCESS_H
#define NEAP_INSPECT_LINKED_PROCESS_H

#include "image.h"
#include "residence.h"
#include "snapshot.h"

enum linked_module { LINKED_MAP, LINKED_HMAP, LINKED_CMAP, LINKED_HEAP, LINKED_GC, LINKED_MODULES };

enum { LINKED_MAPS_LIMIT = 1 << 24 };

struct linked_fact {
	char name[48];
	uint64_t value;
};

struct linked_facts {
	struct linked_fact *list; /* empty: the program has no such module */
	size_t count, capacity;
	uint64_t object;
};

struct linked_process {
	struct target *target;
	struct image *image;
	struct residence *residence;
	struct linked_facts facts[LINKED_MODULES];
	char missing[64]; /* the first name that was asked for and is not there; "" while there is none */
	uint64_t torn;
};

/* The value of a fact; 0 and `missing` set when the library's table does not have it. */
uint64_t linked_fact(struct linked_process *process, enum linked_module module, const char *name);
/* Resident bytes of [start, start + size). */
uint64_t linked_resident(const struct linked_process *process, uint64_t start, uint64_t size);

/* The first resident page from `address` on, `limit` when there is none below that. */
uint64_t linked_next_resident(const struct linked_process *process, uint64_t address, uint64_t limit);

/* A process id or a core. NULL and a problem when it is not linked with libneap. */
struct linked_process *linked_open(const char *name, const struct inspection_wish *wish,
				   struct problem *problem);
/* The same for a target that is already open, which it takes, also on failure. */
struct linked_process *linked_from(struct target *target, const struct inspection_wish *wish,
				   struct problem *problem);
void linked_close(struct linked_process *process);
/* -1 and a problem when a name was asked for that the library does not tell. */
int linked_complete(const struct linked_process *process, struct problem *problem);

/* All maps, `with_concurrent` those too, by address; the list belongs to the caller. */
struct linked_listed {
	uint64_t object;
	enum linked_module module;
	uint64_t
		handle; /* found by linked_take_nodes: the collected object that leads to it, 0: it is no collected map */
	bool weak; /* its keys and values are held by nothing here */
};
struct linked_list {
	struct linked_listed *maps;
	size_t count, capacity;
};
struct linked_list linked_maps(struct linked_process *process, bool with_concurrent);
void linked_list_add(struct linked_list *list, uint64_t object, enum linked_module module);

/* The heap (linked_heap.c). */
struct linked_heap {
	uint64_t start, end; /* of its address space */
	uint64_t unit;	     /* bytes */
};
struct linked_run {
	uint64_t unit, units; /* the first one's number, how many */
	uint64_t address;
	uint64_t unit_bytes;
	uint64_t state;		      /* a value of the library's, "state_large" */
	uint64_t blocks, block_size;  /* of a span; of a large run 0 and its bytes */
	uint64_t alloc, alloc_stride; /* of a span: address of its bitmap, bytes from word to word */
	uint64_t types; /* of collected blocks: address of their types' numbers, 0: they hold no pointers */
	uint64_t used;	/* bytes in blocks */
	bool pointers;	/* its blocks may hold some */
	bool collected; /* its blocks are collected objects */
};
typedef void (*linked_run_fn)(void *context, const struct linked_run *run);
/* The block with this number is in use. */
bool linked_run_has(struct linked_process *process, const struct linked_run *run, uint64_t block);
uint64_t linked_word(struct linked_process *process, uint64_t address); /* 0 when it can't be read */
/* False when the program has not used it. */
bool linked_heap(struct linked_process *process, struct linked_heap *ret);
/* Free runs and collected ones too. */
void linked_heap_runs(struct linked_process *process, const struct linked_heap *heap, linked_run_fn visit,
		      void *context);

/* The table of one of Neap's maps, checked against absurd sizes (linked_shape.c). */
struct linked_shape {
	uint64_t control, slots, pool; /* addresses */
	uint64_t segments, groups;     /* groups of a segment; no segments: no table */
	uint64_t group_slots, group_size, slot_size, control_bytes;
};
bool linked_shape(struct linked_process *process, uint64_t map, struct linked_shape *ret);

enum { LINKED_SAME_SIZE = 8 }; /* of the flags in Go's header: the new array is as large as the old one */

/* The stretches of memory that are a map's own, those of one byte being a place in a block; and those of its entries,
   keys and values. */
typedef void (*linked_stretch_fn)(void *context, uint64_t start, uint64_t size);
void linked_map_pieces(struct linked_process *process, const struct linked_listed *map,
		       linked_stretch_fn visit, void *context);
void linked_map_entries(struct linked_process *process, const struct linked_listed *map,
			linked_stretch_fn visit, void *context);

/* The same for concurrent maps (linked_cmap.c), which linked_cmaps adds to a list. */
void linked_cmaps(struct linked_process *process, struct linked_list *list);
void linked_cmap_pieces(struct linked_process *process, uint64_t object, linked_stretch_fn visit,
			void *context);
void linked_cmap_entries(struct linked_process *process, uint64_t object, linked_stretch_fn visit,
			 void *context);

/* A look at the program `name`, a process id or a core. NULL and a problem when it is not linked with libneap. */
struct snapshot *linked_snapshot_of(struct linked_process *process, const struct inspection_wish *wish,
				    struct problem *problem);
struct snapshot *linked_snapshot(const char *name, const struct inspection_wish *wish,
				 struct problem *problem);

/* The text at `address`, that must end within `size`. */
bool linked_text(struct linked_process *process, uint64_t address, char *text, size_t size);
/* What the program calls a map, and "map, strings, values of 4 B" (linked_maps.c). */
void linked_map_name(struct linked_process *process, const struct linked_listed *map, char *text,
		     size_t size);
void linked_map_type(struct linked_process *process, const struct linked_listed *map, char *text,
		     size_t size);

/* Adds the map at `object` (linked_maps.c). What is resident of it goes to the header's parts; returns how much of that
   lies in [heap, heap_end). */
uint64_t linked_map_take(struct linked_process *process, enum linked_module module, uint64_t object,
			 struct snapshot_builder *builder, struct snapshot_header *header, uint64_t heap,
			 uint64_t heap_end);

#endif
