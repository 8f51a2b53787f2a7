/* look.h: what the commands look at: a Go program, a program linked with libneap, or a snapshot of either. */
#ifndef NEAP_INSPECT_LOOK_H
#define NEAP_INSPECT_LOOK_H

#include "snapshot.h"

struct look {
	struct inspection *inspection; /* of a Go program that runs or left a core; else NULL */
	struct snapshot *snapshot;     /* NULL until look_snapshot, when there is an inspection */
};

/* `name` is a process id, the path of a core, or that of a snapshot. -1 and a problem on failure. */
int look_make(const char *name, const struct inspection_wish *wish, struct look *ret,
	      struct problem *problem);
const struct snapshot *look_snapshot(struct look *look);
void look_free(struct look *look);

#endif
