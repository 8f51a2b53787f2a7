/* why_snapshot.c: who held an object, or a map, when a snapshot was taken. See why.h.
 *
 * A snapshot with every object (--graph) answers as the process would have; another one knows the way to each map.
 */
#include <inttypes.h>
#include <string.h>

#include "snapshot.h"
#include "why.h"

static const struct snapshot_object *object_at(const struct snapshot *snapshot, uint64_t address)
{
	size_t low = 0, high = snapshot->header->object_rows;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (snapshot->objects[middle].address + snapshot->objects[middle].size <= address)
			low = middle + 1;
		else
			high = middle;
	}
	bool inside = low < snapshot->header->object_rows && snapshot->objects[low].address <= address;
	return inside ? &snapshot->objects[low] : NULL;
}

static void name_object(const struct snapshot *snapshot, const struct snapshot_object *object,
			struct why_step *step)
{
	snprintf(step->name, sizeof step->name, "%s", snapshot->strings + object->name);
	step->address = object->address;
	step->size = object->size;
}

static void explain_object(const struct snapshot *snapshot, const struct snapshot_object *object,
			   struct why *ret)
{
	const struct snapshot_object *at = object, *child = NULL;
	for (;; child = at, at = &snapshot->objects[at->parent - 1]) {
		struct why_step *step = why_add(ret);
		name_object(snapshot, at, step);
		const char *word = child == NULL ? "" : snapshot->strings + child->word;
		if (*word != '\0' || child == NULL || child->offset == UINT32_MAX)
			snprintf(step->word, sizeof step->word, "%s", word);
		else
			snprintf(step->word, sizeof step->word, "+%u", child->offset);
		if ((at->parent & SNAPSHOT_ROOT) != 0)
			break;
	}
	struct why_step *root = why_add(ret);
	root->root = true;
	snprintf(root->name, sizeof root->name, "%s", snapshot->strings + (at->parent & ~SNAPSHOT_ROOT));
	why_turn(ret);
	ret->counted = true;
	ret->objects = object->members;
	ret->bytes = object->retained;
	ret->bounded = object->above != 0;
	if (ret->bounded) {
		name_object(snapshot, &snapshot->objects[object->above - 1], &ret->bound);
		ret->bound_bytes = snapshot->objects[object->above - 1].retained;
	}
}

bool why_object(const struct snapshot *snapshot, uint64_t address, struct why *ret)
{
	const struct snapshot_object *object = object_at(snapshot, address);
	if (object != NULL)
		explain_object(snapshot, object, ret);
	return object != NULL;
}

static void explain_map(const struct snapshot *snapshot, const struct snapshot_map *map, struct why *ret)
{
	for (uint32_t i = 0; i < map->step_count; i++) {
		struct why_step *step = why_add(ret);
		step->root = i == 0;
		snprintf(step->name, sizeof step->name, "%s",
			 snapshot->strings + snapshot->steps[map->first_step + i]);
	}
	if (map->step_count == 0)
		return;
	struct why_step *step = why_add(ret);
	snprintf(step->name, sizeof step->name, "%s", snapshot->strings + map->type);
	step->address = map->address;
	step->size = map->bytes;
	ret->counted = (map->flags & SNAPSHOT_RETAINED) != 0;
	ret->bytes = map->retained;
	if (!ret->counted)
		ret->note = "what dropping it would free was not asked when the snapshot was taken: neap "
			    "snapshot "
			    "--retained";
}

/* A map by the name that a program in C gave it. */
static const struct snapshot_map *named(const struct snapshot *snapshot, const char *what)
{
	for (uint64_t i = 0; i < snapshot->header->map_count && snapshot->header->kind == SNAPSHOT_NEAP; i++)
		if (strcmp(snapshot->strings + snapshot->maps[i].holder, what) == 0)
			return &snapshot->maps[i];
	return NULL;
}

int why_snapshot(const char *path, const char *what, struct why *ret, struct problem *problem)
{
	uint64_t address = 0;
	*ret = (struct why){0};
	struct snapshot *snapshot = snapshot_open(path, problem);
	if (snapshot == NULL)
		return -1;
	const struct snapshot_map *map = named(snapshot, what);
	if (map != NULL)
		address = map->address;
	else if (target_parse_address(what, &address))
		map = snapshot_map_at(snapshot, address);
	const bool found = why_object(snapshot, address, ret), go = snapshot->header->kind == SNAPSHOT_GO;
	ret->torn = snapshot->header->torn;
	if (!found && map != NULL && go)
		explain_map(snapshot, map, ret);
	else if (!found && snapshot->header->object_rows == 0)
		problem_set(problem, PROBLEM_INPUT,
			    "%s knows nothing of '%s': a snapshot holds %s, and with --graph every object; "
			    "neap inspect %s --all lists the maps",
			    path, what, go ? "the way to each map" : "no ways", path);
	snapshot_close(snapshot);
	return problem->kind == 0 ? 0 : -1;
}
