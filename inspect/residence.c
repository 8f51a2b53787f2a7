/* residence.c: see residence.h. */
#include "residence.h"

#include <stdlib.h>

/* A range may be terabytes of address space (a sanitizer's shadow): such a one is not looked at page by page. */
#define RANGE_LIMIT (1ull << 36)

struct residence *residence_take(struct target *target)
{
	struct residence *residence = take(1, sizeof *residence);
	residence->ranges = take(target->range_count, sizeof *residence->ranges);
	residence->rss = target->rss;
	for (size_t i = 0; i < target->range_count; i++) {
		const struct target_range *from = &target->ranges[i];
		if (from->end - from->start > RANGE_LIMIT)
			continue;
		struct resident_range *range = &residence->ranges[residence->count++];
		size_t pages = (from->end - from->start) / TARGET_PAGE;
		*range = (struct resident_range){from->start, from->end, take(pages, 1), 0};
		target->ops->resident(target, from->start, pages, range->pages);
		for (size_t page = 0; page < pages; page++)
			range->count += range->pages[page];
		if (!target->live)
			residence->rss += range->count * TARGET_PAGE;
	}
	return residence;
}

void residence_free(struct residence *residence)
{
	if (residence == NULL)
		return;
	for (size_t i = 0; i < residence->count; i++)
		free(residence->ranges[i].pages);
	free(residence->ranges);
	free(residence);
}
