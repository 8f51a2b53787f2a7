/* survey.c: every slot of a map, for who does not own it. See base/survey.h.
 *
 * A step is a segment, or a part of a small table: control words, slots, the record. The header's epoch counts every move of an entry; if it
 * is not what it was at the first step, entries may have been seen twice or not at all.
 */
#include "base/survey.h"

#include <string.h>

#include "base/os.h"
#include "map/internal.h"

_Static_assert((int)NEAP__GROUP_SLOTS <= (int)NEAP__GROUP_SLOTS_MOST, "docs/snapshot-format.md");

/* What a step works with: copies. */
struct survey_view {
	struct neap_map map;
	uint32_t segments, groups; /* groups: of a segment */
};

/* False: the pool is not there. */
static bool survey_look(const void *object, struct survey_view *ret)
{
	struct neap__pool pool;
	neap__map_header(object, &ret->map);
	ret->groups = ret->map.home_mask / NEAP__CONTROL_BYTES + 1;
	ret->segments = neap__small_bytes(&ret->map) > 0;
	if (ret->map.pool == NULL)
		return true;
	if (!neap__os_peek(&pool, ret->map.pool, sizeof pool) || pool.count > neap__segments_most(&ret->map))
		return false;
	ret->segments = pool.count;
	return true;
}

static void survey_begin(const struct neap_map *map, struct neap__survey *survey)
{
	const struct neap_map_type *type = map->type;
	const bool string = type->kind == NEAP_KEY_STR;
	if (map->name != NULL)
		memcpy(survey->name, map->name, map->name_len);
	survey->group_slots = map->small_slots != 0 ? map->small_slots : NEAP__GROUP_SLOTS;
	survey->group_size = map->small_slots != 0 ? map->small_slots * map->slot_size : map->group_bytes;
	survey->slot_stride = map->slot_size;
	survey->key_size = type->key_size;
	survey->value_size = type->value_size;
	survey->string_keys = string;
	survey->key_outside = !string && type->key_size > NEAP_MAP_INLINE_MAX;
	survey->moves = map->epoch;
	survey->table = (uintptr_t)map->ctrl;
	survey->begun = true;
}

static void survey_group(struct neap__survey *survey, const uint8_t *tags, const uint8_t *slots)
{
	struct neap__survey_group *group = &survey->group[survey->groups++];
	*group = (struct neap__survey_group){.address = (uint64_t)(uintptr_t)slots};
	for (uint32_t i = 0; i < survey->group_slots; i++) {
		if (tags[i] == 0)
			continue;
		group->states |= (uint32_t)NEAP__SLOT_LIVE << 2 * i;
		survey->live++;
	}
	survey->slots += survey->group_slots;
}

/* Counts what a segment has lost. */
static bool survey_tombstones(const struct survey_view *view, struct neap__survey *survey, uint64_t number)
{
	const struct neap_map *map = &view->map;
	struct neap__segment record = map->one;
	if (map->pool != NULL && !neap__os_peek(&record, map->segs + number, sizeof record))
		return false;
	const uint32_t used = (uint32_t)record.live + record.room;
	survey->tombstones += map->limit > used ? map->limit - used : 0;
	return true;
}

/* The groups from number `survey->at` on, as many as a step takes of one segment. False: they are not there, or no
 * longer of the shape that the first step saw.
 */
static bool survey_groups(const struct survey_view *view, struct neap__survey *survey)
{
	uint8_t control[NEAP__SURVEY_GROUPS * NEAP__CONTROL_BYTES];
	const struct neap_map *map = &view->map;
	const uint32_t now = map->small_slots != 0 ? map->small_slots : NEAP__GROUP_SLOTS;
	const uint64_t first = survey->at, in_segment = first % view->groups;
	const uint8_t *slots = map->slots + first * survey->group_size;
	uint64_t count = sizeof survey->slot / survey->group_size;
	count = count < NEAP__SURVEY_GROUPS ? count : NEAP__SURVEY_GROUPS;
	count = count < view->groups - in_segment ? count : view->groups - in_segment;
	if (now != survey->group_slots ||
	    !neap__os_peek(control, map->ctrl + first * NEAP__CONTROL_BYTES, count * NEAP__CONTROL_BYTES) ||
	    !neap__os_peek(survey->slot, slots, count * survey->group_size) ||
	    (in_segment == 0 && !survey_tombstones(view, survey, first / view->groups)))
		return false;
	for (uint64_t i = 0; i < count; i++)
		survey_group(survey, control + i * NEAP__CONTROL_BYTES, slots + i * survey->group_size);
	survey->at += count;
	return true;
}

/* What a map of as many entries would take that was filled to its limit, table and header. */
static uint64_t survey_rebuilt(const struct neap_map *map, const struct neap__survey *survey)
{
	const uint64_t full = 7 * (uint64_t)NEAP__GROUP_SLOTS;
	return sizeof *map + (map->len * 8 + full - 1) / full * (survey->group_size + NEAP__CONTROL_BYTES);
}

static void survey_end(const struct neap_map *map, struct neap__survey *survey)
{
	survey->live += map->spilled;
	survey->count = map->len;
	survey->bytes = map->bytes;
	survey->rebuilt = survey_rebuilt(map, survey);
	survey->torn |= survey->live != survey->count;
	survey->done = true;
}

void neap__map_survey(const void *object, struct neap__survey *survey)
{
	struct survey_view view;
	survey->groups = 0;
	bool whole = survey_look(object, &view);
	if (!survey->begun)
		survey_begin(&view.map, survey);
	const uint64_t all = (uint64_t)view.segments * view.groups;
	if (whole && survey->at < all)
		whole = survey_groups(&view, survey);
	survey->torn |= !whole || !survey_look(object, &view) || view.map.epoch != survey->moves ||
			(uintptr_t)view.map.ctrl != survey->table;
	if (!whole || survey->at >= all)
		survey_end(&view.map, survey);
}
