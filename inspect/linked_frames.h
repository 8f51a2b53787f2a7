/* linked_frames.h: which function's frame a word of a stack lies in, by the unwinding tables of the files that are loaded
 * (.eh_frame, which stripping leaves).
 */
#ifndef NEAP_INSPECT_LINKED_FRAMES_H
#define NEAP_INSPECT_LINKED_FRAMES_H

#include "linked_graph.h"

struct linked_frame {
	uint64_t end; /* the frame reaches up to here, and from the end of the one before */
	uint64_t pc;
};

/* Of one thread, innermost first; all zero: not unwound yet. */
struct linked_frames {
	struct linked_frame *list;
	size_t count, capacity;
	bool done;
};

/* NULL when the word lies behind the last frame that could be unwound, or in one of a file without symbols. */
const char *linked_frame_function(struct linked_names *names, struct linked_graph *graph, int thread,
				  struct linked_frames *frames, uint64_t slot);

/* The file that holds `address`, opened for its symbols; NULL when it can't be. *ret: what is loaded there, or NULL. */
struct program *linked_file_at(struct linked_names *names, uint64_t address,
			       const struct linked_object **ret);

#endif
