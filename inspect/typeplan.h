/* typeplan.h: a type flattened to what matters when values are followed: the words that lead on.
 *
 *   struct { id int; name string; inner struct { next *T; tags map[string]int } }
 *   plan:  (24, pointer to T), (32, map[string]int)
 *
 * Nested structs and short arrays are resolved once per type instead of once per value. A long array stays one
 * entry of kind array.
 */
#ifndef NEAP_INSPECT_TYPEPLAN_H
#define NEAP_INSPECT_TYPEPLAN_H

#include "gotype.h"

struct type_plan_entry {
	uint32_t offset;
	uint8_t kind;  /* GO_KIND_POINTER, SLICE, INTERFACE, MAP, CHAN or ARRAY */
	bool bare;     /* of an interface: without methods, so that its first word is the type itself */
	uint64_t type; /* pointer, slice: the type pointed to; else the type of the field */
};

struct type_plan {
	uint32_t count;
	struct type_plan_entry entries[];
};

struct type_plans; /* one per type, made when it is first asked for */

struct type_plans *type_plans_create(struct go_process *process);
void type_plans_destroy(struct type_plans *plans);

/* Never NULL; valid while the plans are. `type` must be valid. */
const struct type_plan *type_plan_of(struct type_plans *plans, uint64_t type);

#endif
