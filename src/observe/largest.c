/* largest.c: see largest.h. */
#include "observe/largest.h"

static void swap_ranks(struct neap__largest *set, uint32_t a, uint32_t b)
{
	__typeof__(set->at[0]) moving = set->at[a];
	set->at[a] = set->at[b];
	set->at[b] = moving;
}

static void sift_down(struct neap__largest *set, uint32_t at, uint32_t count)
{
	for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && set->at[child + 1].weight < set->at[child].weight)
			child++;
		if (set->at[at].weight <= set->at[child].weight)
			return;
		swap_ranks(set, at, child);
	}
}

static void sift_up(struct neap__largest *set, uint32_t at)
{
	for (; at > 0 && set->at[at].weight < set->at[(at - 1) / 2].weight; at = (at - 1) / 2)
		swap_ranks(set, at, (at - 1) / 2);
}

uint32_t neap__largest_offer(struct neap__largest *set, uint64_t weight)
{
	if (set->count < set->room) {
		uint32_t slot = set->count++;
		set->at[slot].weight = weight;
		set->at[slot].slot = slot;
		sift_up(set, slot);
		return slot;
	}
	if (set->room == 0 || weight <= set->at[0].weight)
		return NEAP__NOT_LARGEST;
	uint32_t slot = set->at[0].slot;
	set->at[0].weight = weight;
	sift_down(set, 0, set->count);
	return slot;
}

void neap__largest_sort(struct neap__largest *set)
{
	for (uint32_t end = set->count; end > 1; end--) {
		swap_ranks(set, 0, end - 1);
		sift_down(set, 0, end - 1);
	}
}
