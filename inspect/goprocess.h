/* goprocess.h: a Go program seen from outside, everything that is known about it in one place.
 *
 *   process = target + image (its memory) + program (its file) + layout (where its runtime keeps things)
 *           + module (code and types) + heap (spans and objects) + stacks
 *
 * The parts are filled in this order by go_process_open; each part's own header says what it means.
 */
#ifndef NEAP_INSPECT_GOPROCESS_H
#define NEAP_INSPECT_GOPROCESS_H

#include "goheap.h"
#include "golayout.h"
#include "gomodule.h"
#include "gostack.h"
#include "gostatic.h"
#include "gotype.h"
#include "image.h"
#include "program.h"
#include "residence.h"
#include "target.h"

struct go_process {
	struct target *target;
	struct residence *residence;
	struct image *image;
	struct program *program;
	struct go_version version;
	struct go_layout layout;
	enum go_layout_source layout_source;
	struct go_module module;
	struct go_types types;
	struct go_heap heap;
	struct go_stacks stacks;
	struct go_statics statics;
	uint64_t torn; /* things that did not fit together because they changed while they were read */
};

/* For what is about to be looked at: when the heap is looked at again, as it is at this moment. */
static inline void go_heap_fresh(struct go_process *process, uint64_t address)
{
	if (process->heap.moment != 0)
		go_heap_look_again(process, address);
}

/* Opens what `name` names: a process id or the path of a core. `program` overrides the executable's path.
   NULL and a problem on failure. */
struct go_process *go_process_open(const char *name, const char *program, enum target_mode mode,
				   struct problem *problem);
/* The same for a target that is already open; the process owns it, also on failure. */
struct go_process *go_process_from(struct target *target, struct problem *problem);
void go_process_close(struct go_process *process);

#endif
