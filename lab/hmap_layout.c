/* hmap_layout.c: a classic map drawn slot by slot, through inserts, deletes, growth and growth of the same size.
 *
 * The hash is made to order: the low half of a key is its bucket, the high half its tophash, so that the
 * picture is the same on every machine. A slot is drawn as its tophash byte:
 *
 *     a3   an entry whose hash starts with a3          x>   moved to the same bucket of the new array (2)
 *     ()   emptyOne (1): empty, something follows      y>   moved to the upper half (3)
 *     --   emptyRest (0): empty, nothing follows       o>   was empty when its bucket was moved (4)
 *
 * Folklore that is put to the test: "the header has a dirty bit that a delete sets" (there is none),
 * "emptyRest is 1 and emptyOne is 0" (the other way round), "a delete marks the slot emptyRest" (only when
 * nothing follows in the chain).
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lab/lab.h"
#include "neap/hmap.h"

/* Tophash values below 5 are states; keys here start at 0x10. */
#define FIRST_TOP 0x10u

static uint64_t layout_key(uint32_t bucket, uint32_t number)
{
	return (uint64_t)(FIRST_TOP + number) << 32 | bucket;
}

static uint64_t layout_hash(const void *key, uint64_t seed)
{
	(void)seed;
	uint64_t parts;
	memcpy(&parts, key, sizeof parts);
	return (parts >> 32) << 56 | (parts & UINT32_MAX);
}

static const struct neap_hmap_type layout_type = {.size = sizeof(struct neap_hmap_type),
						  .kind = NEAP_HMAP_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = 8,
						  .value_align = 8,
						  .hash = layout_hash};

static const char *slot_sign(uint8_t tophash)
{
	static char hex[NEAP_HMAP_BUCKET_SLOTS][4];
	static unsigned next;
	switch (tophash) {
	case NEAP_HMAP_EMPTY_REST: return "--";
	case NEAP_HMAP_EMPTY_ONE: return "()";
	case NEAP_HMAP_EVACUATED_X: return "x>";
	case NEAP_HMAP_EVACUATED_Y: return "y>";
	case NEAP_HMAP_EVACUATED_EMPTY: return "o>";
	default: break;
	}
	char *text = hex[next++ % NEAP_HMAP_BUCKET_SLOTS];
	snprintf(text, sizeof hex[0], "%02x", tophash);
	return text;
}

static bool draw_bucket(const struct neap_hmap_bucket *bucket, void *ctx)
{
	struct text line = {0};
	text_printf(&line, "    %s%s %-3zu", bucket->old ? "old " : "    ",
		    bucket->depth == 0 ? "bucket" : "  over", bucket->index);
	for (int i = 0; i < NEAP_HMAP_BUCKET_SLOTS; i++)
		text_printf(&line, " %s", slot_sign(bucket->tophash[i]));
	result_say(ctx, "%s", line.at);
	text_free(&line);
	return true;
}

static void draw(struct result *result, const struct neap_hmap *map, const char *title)
{
	const struct neap_hmap_header *header = neap_hmap_header(map);
	result_say(result, "  %s", title);
	result_say(result, "    count %zu  flags %u  B %u  noverflow %u  nevacuate %zu%s", header->count,
		   header->flags, header->B, header->noverflow, (size_t)header->nevacuate,
		   header->oldbuckets != NULL ? "  (growing)" : "");
	neap_hmap_each_bucket(map, draw_bucket, result);
	result_say(result, "%s", "");
}

/* The tophash byte of one slot of the new array. */
struct peek {
	size_t index;
	unsigned depth;
	uint8_t tophash[NEAP_HMAP_BUCKET_SLOTS];
	bool found;
	size_t evacuated[3]; /* marks in old buckets: x, y, empty */
};

static bool peek_bucket(const struct neap_hmap_bucket *bucket, void *ctx)
{
	struct peek *peek = ctx;
	for (int i = 0; bucket->old && i < NEAP_HMAP_BUCKET_SLOTS; i++)
		if (bucket->tophash[i] >= NEAP_HMAP_EVACUATED_X &&
		    bucket->tophash[i] <= NEAP_HMAP_EVACUATED_EMPTY)
			peek->evacuated[bucket->tophash[i] - NEAP_HMAP_EVACUATED_X]++;
	if (!bucket->old && bucket->index == peek->index && bucket->depth == peek->depth) {
		memcpy(peek->tophash, bucket->tophash, sizeof peek->tophash);
		peek->found = true;
	}
	return true;
}

static struct peek peek_at(const struct neap_hmap *map, size_t index)
{
	struct peek peek = {.index = index};
	neap_hmap_each_bucket(map, peek_bucket, &peek);
	return peek;
}

static struct neap_hmap *layout_map(size_t hint)
{
	const struct neap_hmap_options options = {.name = "layout", .hint = hint};
	return neap_hmap_create(&layout_type, &options);
}

static void layout_put(struct neap_hmap *map, uint32_t bucket, uint32_t number)
{
	const uint64_t key = layout_key(bucket, number);
	(void)neap_hmap_put(map, &key, &key);
}

static void layout_delete(struct neap_hmap *map, uint32_t bucket, uint32_t number)
{
	const uint64_t key = layout_key(bucket, number);
	(void)neap_hmap_delete(map, &key);
}

/* One bucket of eight: the two empty states and the clean-up backwards. */
static void show_tombstones(struct result *result)
{
	struct neap_hmap *map = layout_map(0);
	if (map == NULL)
		return;
	struct neap_hmap_stats before = {.size = sizeof before}, after = {.size = sizeof after};
	for (uint32_t i = 0; i < NEAP_HMAP_BUCKET_SLOTS; i++)
		layout_put(map, 0, i);
	draw(result, map, "eight entries fill one bucket");
	neap_hmap_stats(map, &before);
	uint8_t flags = neap_hmap_header(map)->flags;

	layout_delete(map, 0, 3);
	uint8_t middle = peek_at(map, 0).tophash[3];
	uint8_t flags_after = neap_hmap_header(map)->flags;
	draw(result, map, "delete the fourth: something follows, so it becomes emptyOne");
	layout_delete(map, 0, 7);
	uint8_t last = peek_at(map, 0).tophash[7];
	draw(result, map, "delete the last: nothing follows, so it becomes emptyRest");
	for (uint32_t i = 6; i >= 4; i--)
		layout_delete(map, 0, i);
	uint8_t cleaned = peek_at(map, 0).tophash[3];
	draw(result, map, "delete the three before it: emptyRest, and the clean-up takes the fourth too");
	for (uint32_t i = 0; i < 3; i++)
		layout_delete(map, 0, i);
	neap_hmap_stats(map, &after);
	draw(result, map, "delete all: the bucket is still there");

	result_check(result, middle == 1,
		     "a deleted slot with an entry behind it is emptyOne, and emptyOne is 1: %u", middle);
	result_check(result, last == 0,
		     "a deleted slot with nothing behind it is emptyRest, and emptyRest is 0: %u", last);
	result_check(result, cleaned == 0,
		     "when what follows goes too, emptyOne is turned into emptyRest backwards: %u", cleaned);
	result_check(result, flags == 0 && flags_after == 0 && sizeof(struct neap_hmap_header) == 48,
		     "the header has 48 bytes and no dirty bit: flags are %u before a delete and %u after",
		     flags, flags_after);
	result_check(result, after.len == 0 && after.total == before.total && after.slots == before.slots,
		     "deleting all gives back nothing: %zu slots and %zu bytes before, %zu and %zu after",
		     before.slots, before.total, after.slots, after.total);
	neap_hmap_destroy(map);
}

/* Inserts until the array has doubled five times, and notes with how many entries it did. */
static void show_growth(struct result *result)
{
	static const size_t expected[] = {9, 14, 27, 53, 105}; /* more than 8; more than 6.5 per bucket */
	enum { GROWTHS = sizeof expected / sizeof *expected };
	struct neap_hmap *map = layout_map(0);
	size_t grew_at[GROWTHS] = {0}, marks = 0;
	int growths = 0;
	if (map == NULL)
		return;
	for (uint32_t i = 0; i < 120; i++) {
		unsigned B = neap_hmap_header(map)->B;
		layout_put(map, i, i);
		if (neap_hmap_header(map)->B != B && growths < GROWTHS)
			grew_at[growths++] = neap_hmap_len(map);
		if (neap_hmap_len(map) == 27) {
			draw(result, map,
			     "the 27th entry is more than 6.5 per bucket: 8 buckets now, moved one by one");
			struct peek peek = peek_at(map, 0);
			marks = peek.evacuated[0] + peek.evacuated[1] + peek.evacuated[2];
			result_figure(result, (double)peek.evacuated[0], "count", "evacuated_x");
			result_figure(result, (double)peek.evacuated[1], "count", "evacuated_y");
			result_figure(result, (double)peek.evacuated[2], "count", "evacuated_empty");
		}
	}
	bool as_expected = memcmp(grew_at, expected, sizeof grew_at) == 0;
	result_check(result, as_expected,
		     "the array doubles at 9, 14, 27, 53 and 105 entries: here at %zu, %zu, %zu, %zu, %zu",
		     grew_at[0], grew_at[1], grew_at[2], grew_at[3], grew_at[4]);
	result_check(result, marks > 0,
		     "moved slots keep a mark of where they went until the old array goes: %zu marks seen",
		     marks);
	size_t found = 0;
	for (uint32_t i = 0; i < 120; i++) {
		const uint64_t key = layout_key(i, i), *value = neap_hmap_get(map, &key);
		found += value != NULL && *value == key;
	}
	result_check(result, found == 120, "every entry is still found, wherever it has moved: %zu of 120",
		     found);
	neap_hmap_destroy(map);
}

/* Chains that were long once: few entries, many overflow buckets. The growth keeps the size and drops them. */
static void show_same_size(struct result *result)
{
	enum { BUCKETS = 4, LONG = 9 };
	struct neap_hmap *map = layout_map(26); /* room for 26 entries: four buckets */
	struct neap_hmap_stats stats = {.size = sizeof stats};
	if (map == NULL)
		return;
	for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
		for (uint32_t i = 0; i < LONG; i++)
			layout_put(map, bucket, 16 * bucket + i);
		for (uint32_t i = 0; bucket < BUCKETS - 1 && i < LONG; i++)
			layout_delete(map, bucket, 16 * bucket + i);
	}
	draw(result, map, "nine keys came to each bucket, and went from three: four overflow buckets");
	unsigned noverflow = neap_hmap_header(map)->noverflow, B = neap_hmap_header(map)->B;
	layout_put(map, 3, 60);
	unsigned flags = neap_hmap_header(map)->flags;
	draw(result, map, "one more write: as many overflow buckets as buckets, so a same-size growth");
	unsigned writes = 0;
	for (; neap_hmap_header(map)->oldbuckets != NULL && writes < 2 * BUCKETS; writes++)
		layout_put(map, 3, 60);
	draw(result, map, "two writes later the old array is gone, and the empty overflow buckets with it");
	neap_hmap_stats(map, &stats);
	result_check(result,
		     stats.same_size_grows == 1 && neap_hmap_header(map)->B == B &&
			     (flags & NEAP_HMAP_SAME_SIZE_GROW),
		     "with few entries and many overflow buckets it grows without growing: B stays %u, flag "
		     "8 is set",
		     B);
	result_check(result,
		     noverflow == BUCKETS && neap_hmap_header(map)->noverflow == 1 &&
			     neap_hmap_len(map) == LONG + 1,
		     "that is what removes overflow buckets: %u before, %u after %u more writes, with all "
		     "%zu entries",
		     noverflow, neap_hmap_header(map)->noverflow, writes, neap_hmap_len(map));
	neap_hmap_destroy(map);
}

static void run_hmap_layout(struct lab *lab)
{
	result_say(&lab->result,
		   "  a3 entry (its tophash)   () emptyOne   -- emptyRest   x> y> o> moved: below\n");
	show_tombstones(&lab->result);
	show_growth(&lab->result);
	show_same_size(&lab->result);
	result_say(&lab->result,
		   "  x> moved to the same bucket of the new array, y> to the upper half, o> empty");
}

const struct experiment experiment_hmap_layout = {
	.name = "hmap-layout",
	.claim = "In Go's classic map a delete writes emptyOne (1), or emptyRest (0) when nothing follows; "
		 "it sets no dirty "
		 "bit and frees nothing; growth moves buckets one by one; a growth of the same size drops "
		 "overflow buckets.",
	.method = "A map with a hash made to order is drawn after each step, and its tophash bytes and "
		  "header are read.",
	.run = run_hmap_layout,
};
