/* survey.c: every slot of a classic map, for who does not own it. See base/survey.h.
 *
 * A step copies up to BUCKETS buckets, which lie side by side, and the overflow chains behind them, or what of those the
 * step before had no room for: first the array, then an old one that is being evacuated. A chain that the owner changes may lead anywhere: what is not there ends it, and one
 * that goes in a circle is left after CHAIN_MOST buckets.
 */
#include "base/survey.h"

#include <string.h>

#include "base/os.h"
#include "hmap/internal.h"

enum {
	BUCKETS = NEAP__SURVEY_CHAINS, /* of a step */
	CHAIN_MOST = 10000,	       /* as the inspector */
	NUMBER_BITS = 40	       /* most buckets: 2^40 */
};

_Static_assert((int)BUCKETS <= (int)NEAP__SURVEY_GROUPS, "a step's buckets have places");
_Static_assert((int)HMAP_SLOTS <= (int)NEAP__GROUP_SLOTS_MOST, "docs/snapshot-format.md");

static void survey_shape(const struct neap_hmap *map, struct neap__survey *survey)
{
	const struct neap_hmap_type *type = map->type;
	memcpy(survey->name, map->name, sizeof map->name);
	survey->group_slots = HMAP_SLOTS;
	survey->group_size = (uint32_t)map->bucket_size;
	survey->slot_at = HMAP_DATA;
	survey->slot_stride = (uint32_t)map->key_slot;
	survey->key_size = type->key_size;
	survey->value_size = type->value_size;
	survey->string_keys = type->kind == NEAP_HMAP_STR;
	survey->key_outside = map->key_indirect;
	survey->moves = map->evacuated + map->grows + map->same_size_grows;
	survey->table = (uintptr_t)map->head.buckets;
	survey->begun = true;
}

static enum neap__slot_state survey_state(uint8_t top)
{
	return top >= NEAP_HMAP_MIN_TOPHASH  ? NEAP__SLOT_LIVE
	       : top == NEAP_HMAP_EMPTY_REST ? NEAP__SLOT_EMPTY
	       : top == NEAP_HMAP_EMPTY_ONE  ? NEAP__SLOT_TOMBSTONE
					     : NEAP__SLOT_OLD;
}

static void survey_bucket(struct neap__survey *survey, uint64_t address, const uint8_t *bytes)
{
	struct neap__survey_group *group = &survey->group[survey->groups++];
	*group = (struct neap__survey_group){.address = address, .depth = (uint16_t)survey->depth};
	for (uint32_t i = 0; i < HMAP_SLOTS; i++) {
		const enum neap__slot_state state = survey_state(bytes[i]);
		group->states |= (uint32_t)state << 2 * i;
		survey->live += state == NEAP__SLOT_LIVE;
		survey->tombstones += state == NEAP__SLOT_TOMBSTONE;
	}
	survey->slots += HMAP_SLOTS;
}

/* Copies up to `most` buckets that lie side by side, those of the array or of the old one; false behind the last. */
static bool survey_stretch(const struct neap_hmap *map, struct neap__survey *survey, uint64_t most)
{
	const uint64_t buckets = (uint64_t)1 << map->head.B;
	const uint64_t old = map->head.oldbuckets == NULL ? 0 : neap__hmap_old_buckets(map);
	const bool in_old = survey->at >= buckets;
	const uint64_t index = in_old ? survey->at - buckets : survey->at;
	const uint8_t *at = in_old ? map->head.oldbuckets : map->head.buckets;
	uint64_t count = in_old ? old - index : buckets - index;
	if (map->head.buckets == NULL || map->head.B >= NUMBER_BITS || survey->at >= buckets + old)
		return false;
	count = count < most ? count : most;
	at += index * map->bucket_size;
	survey->at += count;
	if (!neap__os_peek(survey->slot, at, count * map->bucket_size)) {
		survey->torn = true;
		return true;
	}
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *bucket = survey->slot + i * map->bucket_size;
		survey_bucket(survey, (uint64_t)(uintptr_t)(at + i * map->bucket_size), bucket);
		memcpy(&survey->chain[survey->chains], bucket + map->link, sizeof survey->chain[0]);
		survey->chains += survey->chain[survey->chains] != 0;
	}
	return true;
}

/* Copies the next bucket of the last chain, behind those of this step. */
static void survey_overflow(const struct neap_hmap *map, struct neap__survey *survey)
{
	uint8_t *to = survey->slot + survey->groups * map->bucket_size;
	uint64_t *chain = &survey->chain[survey->chains - 1];
	survey->depth++;
	if (neap__os_peek(to, (const void *)(uintptr_t)*chain, map->bucket_size)) {
		survey_bucket(survey, *chain, to);
		memcpy(chain, to + map->link, sizeof *chain);
	} else {
		survey->torn = true;
		*chain = 0;
	}
	if (*chain != 0 && survey->depth < CHAIN_MOST)
		return;
	survey->torn |= *chain != 0;
	survey->depth = 0;
	survey->chains--;
}

static void survey_hmap_end(const struct neap_hmap *map, struct neap__survey *survey)
{
	unsigned needed = 0;
	survey->count = map->head.count;
	survey->bytes = map->bytes;
	while (survey->count > HMAP_SLOTS && 2 * survey->count > UINT64_C(13) << needed)
		needed++; /* Go's load factor: 6.5 entries a bucket */
	survey->rebuilt = sizeof *map + ((uint64_t)map->bucket_size << needed);
	survey->growing = map->head.oldbuckets != NULL;
	survey->torn |= survey->live != survey->count;
	survey->done = true;
}

void neap__hmap_survey(const void *object, struct neap__survey *survey)
{
	struct neap_hmap map, after;
	survey->groups = 0;
	if (!neap__os_peek(&map, object, sizeof map)) { /* the system refuses every look */
		survey->group_slots = HMAP_SLOTS;
		survey->torn = survey->done = true;
		return;
	}
	if (!survey->begun)
		survey_shape(&map, survey);
	const size_t room = sizeof survey->slot / map.bucket_size, most = room < BUCKETS ? room : BUCKETS;
	bool more = survey->chains > 0 || survey_stretch(&map, survey, most);
	while (survey->chains > 0 && survey->groups < most)
		survey_overflow(&map, survey);
	survey->torn |= !neap__os_peek(&after, object, sizeof after) ||
			after.evacuated + after.grows + after.same_size_grows != survey->moves ||
			(uintptr_t)after.head.buckets != survey->table;
	if (!more)
		survey_hmap_end(&map, survey);
}
