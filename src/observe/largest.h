/* largest.h: the heaviest of many, without memory for all. */
#ifndef NEAP_SRC_OBSERVE_LARGEST_H
#define NEAP_SRC_OBSERVE_LARGEST_H

#include <stddef.h>
#include <stdint.h>

enum { NEAP__LARGEST_MOST = 1000 };
#define NEAP__NOT_LARGEST UINT32_MAX

/* A heap whose root is the lightest; all zero but `room` to begin with. */
struct neap__largest {
	uint32_t room, count; /* count <= room <= NEAP__LARGEST_MOST */
	struct {
		uint64_t weight;
		uint32_t slot;
	} at[NEAP__LARGEST_MOST];
};

/* The slot, below `room`, in which to keep what weighs that much, perhaps in place of something lighter; or
 * NEAP__NOT_LARGEST. Of equals the first stay.
 */
uint32_t neap__largest_offer(struct neap__largest *set, uint64_t weight);
/* Puts the heaviest first: at[0].slot is its. Nothing can be offered after that. */
void neap__largest_sort(struct neap__largest *set);

#endif
