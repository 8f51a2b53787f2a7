/* linked_process.h: a program linked with libneap, seen from outside.
 *
 *   beacon   a record in the library's constant data, found by its first 16 bytes, stripped or not
 *   facts    the table that a beacon names: offsets and sizes by name, docs/layout.md
 *   list     all maps of the process, in shards: the object of the map modules' beacons
 *
 * Nothing here knows an offset of the library: all come from the facts. A reader of another version finds the same names
 * or says which one is missing.
 */
#ifndef NEAP_INSPECT_LINKED_PROCESS_H
#define NEAP_INSPECT_LINKED_PROCESS_H

#include "image.h"
#include "residence.h"
#include "snapshot.h"

enum linked_module { LINKED_MAP, LINKED_HMAP, LINKED_HEAP, LINKED_MODULES };

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

/* A look at the program `name`, a process id or a core. NULL and a problem when it is not linked with libneap. */
struct snapshot *linked_snapshot(const char *name, const struct inspection_wish *wish,
				 struct problem *problem);

/* Adds the map at `object` (linked_maps.c). What is resident of it goes to the header's parts; returns how much of that
   lies in [heap, heap_end). */
uint64_t linked_map_take(struct linked_process *process, enum linked_module module, uint64_t object,
			 struct snapshot_builder *builder, struct snapshot_header *header, uint64_t heap,
			 uint64_t heap_end);

#endif
