/* diff.c: what changed between two snapshots of a process.
 *
 * A map is the same in both when its header stands at the same address and its groups have the same size; a
 * header that was freed and used again for another map of that shape is taken for the same map. The entries of
 * the two states are two sorted lists of (fingerprint, slot): what is only in the first was deleted, only in the
 * second inserted, in both but elsewhere moved. Equal fingerprints (NaN keys) are paired in order.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

struct entry {
	uint64_t key;
	struct slot_place place;
};

static int compare_entries(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->place.group != b->place.group)
		return a->place.group < b->place.group ? -1 : 1;
	return a->place.slot < b->place.slot ? -1 : a->place.slot > b->place.slot;
}

static struct entry *list_entries(const struct snapshot *snapshot, const struct snapshot_map *map,
				  size_t *count)
{
	*count = 0;
	if (map == NULL)
		return NULL;
	struct entry *entries = take(map->group_count * map->group_slots, sizeof *entries);
	for (uint64_t i = 0; i < map->group_count; i++) {
		const struct snapshot_group *group = &snapshot->groups[map->first_group + i];
		for (unsigned slot = 0; slot < map->group_slots; slot++) {
			if (snapshot_slot_of(group, slot) != SNAPSHOT_LIVE)
				continue;
			entries[*count] = (struct entry){snapshot->keys[map->first_key + *count],
							 {group->address, slot}};
			++*count;
		}
	}
	qsort(entries, *count, sizeof *entries, compare_entries);
	return entries;
}

void snapshot_diff_slots(const struct snapshot *before, const struct snapshot_map *map_before,
			 const struct snapshot *after, const struct snapshot_map *map_after,
			 slot_change_fn visit, void *context)
{
	const struct slot_place nowhere = {0, 0};
	size_t old_count, new_count, i = 0, j = 0;
	struct entry *old = list_entries(before, map_before, &old_count);
	struct entry *new = list_entries(after, map_after, &new_count);
	while (i < old_count || j < new_count) {
		if (j == new_count || (i < old_count && old[i].key < new[j].key)) {
			visit(context, SLOT_DELETED, old[i].place, nowhere);
			i++;
		} else if (i == old_count || new[j].key < old[i].key) {
			visit(context, SLOT_INSERTED, nowhere, new[j].place);
			j++;
		} else {
			if (old[i].place.group != new[j].place.group ||
			    old[i].place.slot != new[j].place.slot)
				visit(context, SLOT_MOVED, old[i].place, new[j].place);
			i++;
			j++;
		}
	}
	free(old);
	free(new);
}

struct change_count {
	struct map_change *change;
	uint64_t *pages; /* of deleted slots, with repetitions */
	size_t page_count, page_capacity;
};

static void count_change(void *context, enum slot_change change, struct slot_place before,
			 struct slot_place after)
{
	(void)after;
	struct change_count *count = context;
	switch (change) {
	case SLOT_INSERTED: count->change->inserted++; return;
	case SLOT_MOVED: count->change->moved++; return;
	case SLOT_DELETED: break;
	}
	count->change->deleted++;
	count->pages =
		make_room(count->pages, count->page_count, &count->page_capacity, sizeof *count->pages);
	const struct snapshot_map *map = count->change->before;
	count->pages[count->page_count++] =
		(before.group + map->slot_at + (uint64_t)before.slot * map->slot_stride) / TARGET_PAGE;
}

static int compare_words(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return a < b ? -1 : a > b;
}

static uint64_t count_distinct(uint64_t *words, size_t count)
{
	uint64_t distinct = 0;
	if (count > 0)
		qsort(words, count, sizeof *words, compare_words);
	for (size_t i = 0; i < count; i++)
		distinct += i == 0 || words[i] != words[i - 1];
	return distinct;
}

/* False when nothing changed. */
static bool compare_map(const struct snapshot *before, const struct snapshot *after,
			struct map_change *change)
{
	struct change_count count = {.change = change};
	const struct snapshot_map *old = change->before, *new = change->after;
	snapshot_diff_slots(before, old, after, new, count_change, &count);
	change->pages = count_distinct(count.pages, count.page_count);
	free(count.pages);
	change->rehashed = old != NULL && new != NULL && old->group_count != new->group_count;
	return old == NULL || new == NULL || change->inserted + change->deleted + change->moved > 0 ||
	       change->rehashed || old->bytes != new->bytes;
}

static uint64_t weight(const struct map_change *change)
{
	uint64_t before = change->before == NULL ? 0 : change->before->bytes;
	uint64_t after = change->after == NULL ? 0 : change->after->bytes;
	uint64_t bytes = before > after ? before - after : after - before;
	return bytes + (change->inserted + change->deleted) * 16; /* an entry weighs about a slot */
}

static int compare_changes(const void *left, const void *right)
{
	uint64_t a = weight(left), b = weight(right);
	return a > b ? -1 : a < b;
}

static bool same_map(const struct snapshot_map *old, const struct snapshot_map *new)
{
	return old->address == new->address && old->group_size == new->group_size;
}

bool snapshot_comparable(const struct snapshot *before, const struct snapshot *after, struct problem *problem)
{
	if (before->header->fingerprints == after->header->fingerprints)
		return true;
	problem_set(problem, PROBLEM_INPUT,
		    "the two snapshots can't be compared: their fingerprints of keys are under different "
		    "secrets. Each process has its own when it writes one itself; neap snapshot uses none");
	return false;
}

size_t snapshot_diff(const struct snapshot *before, const struct snapshot *after, struct map_change **ret)
{
	struct map_change *changes = NULL;
	size_t count = 0, capacity = 0;
	uint64_t i = 0, j = 0, old_count = before->header->map_count, new_count = after->header->map_count;
	while (i < old_count || j < new_count) {
		const struct snapshot_map *old = i < old_count ? &before->maps[i] : NULL;
		const struct snapshot_map *new = j < new_count ? &after->maps[j] : NULL;
		struct map_change change = {old, new, 0, 0, 0, 0, false};
		if (old == NULL || (new != NULL &&new->address < old->address))
			change.before = NULL;
		else if (new == NULL || !same_map(old, new)) /* the new one comes next, alone */
			change.after = NULL;
		i += change.before != NULL;
		j += change.after != NULL;
		if (!compare_map(before, after, &change))
			continue;
		changes = make_room(changes, count, &capacity, sizeof *changes);
		changes[count++] = change;
	}
	if (count > 0)
		qsort(changes, count, sizeof *changes, compare_changes);
	*ret = changes;
	return count;
}
