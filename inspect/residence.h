/* residence.h: which pages of the target are resident. Taken before anything is read, because reading can make
 * pages resident. */
#ifndef NEAP_INSPECT_RESIDENCE_H
#define NEAP_INSPECT_RESIDENCE_H

#include "target.h"

struct resident_range {
	uint64_t start, end;
	uint8_t *pages; /* one byte a page: 1 when it is resident */
	uint64_t count; /* resident pages */
};

struct residence {
	struct resident_range *ranges; /* sorted */
	size_t count;
	uint64_t rss; /* as the system counts it; of a core, the pages that hold anything */
};

struct residence *residence_take(struct target *target);
void residence_free(struct residence *residence);

#endif
