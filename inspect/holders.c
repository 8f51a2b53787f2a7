/* holders.c: the maps of a program by who holds them: what hangs in one slice, or in one field of many records, together.
 * See inspection.h. */
#include <stdlib.h>
#include <string.h>

#include "inspection.h"

enum { NAME_BYTES = 512 };

struct named {
	char *holder;
	const struct found_map *map;
};

static int compare_named(const void *left, const void *right)
{
	return strcmp(((const struct named *)left)->holder, ((const struct named *)right)->holder);
}

static int compare_holders(const void *left, const void *right)
{
	const struct holder_group *a = left, *b = right;
	if (a->reclaimable != b->reclaimable)
		return a->reclaimable > b->reclaimable ? -1 : 1;
	if (a->held != b->held)
		return a->held > b->held ? -1 : 1;
	return strcmp(a->holder, b->holder);
}

size_t inspection_by_holder(const struct inspection *inspection, struct holder_group **ret)
{
	const struct maps *maps = &inspection->maps;
	struct named *named = take(maps->count, sizeof *named);
	struct holder_group *groups = take(maps->count, sizeof *groups);
	size_t count = 0;
	for (size_t i = 0; i < maps->count; i++) {
		char name[NAME_BYTES];
		inspection_holder(inspection, &maps->list[i], false, name, sizeof name);
		named[i] = (struct named){take_text(name), &maps->list[i]};
	}
	if (maps->count > 0)
		qsort(named, maps->count, sizeof *named, compare_named);
	for (size_t i = 0; i < maps->count; i++) {
		if (count == 0 || strcmp(groups[count - 1].holder, named[i].holder) != 0)
			groups[count++].holder = named[i].holder;
		else
			free(named[i].holder);
		struct holder_group *group = &groups[count - 1];
		group->maps++;
		group->live += named[i].map->header.count;
		group->slots += named[i].map->counts.slots;
		group->held += named[i].map->bytes;
		group->reclaimable += map_reclaimable(named[i].map);
	}
	free(named);
	if (count > 0)
		qsort(groups, count, sizeof *groups, compare_holders);
	*ret = groups;
	return count;
}

void holder_groups_free(struct holder_group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(groups[i].holder);
	free(groups);
}
