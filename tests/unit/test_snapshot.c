/* test_snapshot.c: what a program writes of its maps, read here record by record. That the inspector reads the same is
 * the business of test_snapshot_read.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/survey.h"
#include "hmap_kinds.h"
#include "neap/debug.h"
#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/snapshot.h"

static const struct neap_map_type word_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 8,
					       .key_align = 8,
					       .value_size = 24,
					       .value_align = 8};
static const struct neap_map_type text_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_STR,
					       .flags = NEAP_MAP_OWN_KEYS,
					       .key_size = sizeof(struct neap_str),
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8};
static const struct neap_map_type wide_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 300,
					       .key_align = 1,
					       .value_size = 1,
					       .value_align = 1};

/* ---- Reading ---- */

enum { RECORD_SLOTS = 1, RECORD_MAP, RECORD_GONE, RECORD_END, PRINTS_MOST = 400000, MAPS_MOST = 64 };
enum { STREAM_MOST = 16 << 20, FLAG_GROWING = 2, FLAG_TORN = 4 };

struct seen_map {
	uint64_t address, count, slots, live, tombstones, bytes, rebuilt;
	uint64_t slots_in_groups, live_in_groups, tombstones_in_groups;
	uint32_t flags;
	const char *type, *name;
	const uint64_t *prints; /* of all records together, in `prints` */
	size_t print_count;
};

static struct {
	size_t len;
	uint8_t bytes[STREAM_MOST];
} stream;
static uint64_t prints[PRINTS_MOST];
static struct seen {
	struct seen_map map[MAPS_MOST];
	size_t maps, gone, prints;
	uint32_t torn, secret;
	uint64_t rss, parts;
} seen;

static int keep(void *ctx, const void *bytes, size_t size)
{
	(void)ctx;
	assert_true(size > 0 && stream.len + size <= sizeof stream.bytes);
	memcpy(stream.bytes + stream.len, bytes, size);
	stream.len += size;
	return 0;
}

static uint64_t number(const uint8_t *at, size_t width)
{
	uint64_t value = 0;
	memcpy(&value, at, width);
	return value;
}

static uint64_t slots_in_state(uint32_t states, uint32_t slots, uint32_t state)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < slots; i++)
		count += (states >> 2 * i & 3) == state;
	return count;
}

/* The slots of one map, in the records from `at` to its own, whose groups have `slots` slots. */
static void see_slots(const uint8_t *at, const uint8_t *to, struct seen_map *map, uint32_t slots)
{
	map->prints = prints + seen.prints;
	for (; at < to; at += 8 + number(at + 4, 4)) {
		const uint64_t groups = number(at + 8, 4), keys = number(at + 12, 4);
		assert_int_equal(number(at, 4), RECORD_SLOTS);
		assert_int_equal(number(at + 4, 4), 8 + groups * 16 + keys * 8);
		for (uint64_t i = 0; i < groups; i++) {
			const uint32_t states = (uint32_t)number(at + 16 + i * 16 + 8, 4);
			map->live_in_groups += slots_in_state(states, slots, NEAP__SLOT_LIVE);
			map->tombstones_in_groups += slots_in_state(states, slots, NEAP__SLOT_TOMBSTONE);
		}
		map->slots_in_groups += groups * slots;
		assert_true(seen.prints + keys <= PRINTS_MOST);
		memcpy(prints + seen.prints, at + 16 + groups * 16, keys * 8);
		seen.prints += keys;
		map->print_count += keys;
	}
}

static void see_map(const uint8_t *from, const uint8_t *at)
{
	const uint8_t *record = at + 8, *text = record + 160;
	assert_true(seen.maps < MAPS_MOST);
	struct seen_map *map = &seen.map[seen.maps++];
	*map = (struct seen_map){.address = number(record, 8),
				 .count = number(record + 16, 8),
				 .slots = number(record + 24, 8),
				 .live = number(record + 32, 8),
				 .tombstones = number(record + 40, 8),
				 .bytes = number(record + 64, 8),
				 .rebuilt = number(record + 72, 8),
				 .flags = (uint32_t)number(record + 156, 4),
				 .type = (const char *)text + number(record + 140, 4),
				 .name = (const char *)text + number(record + 144, 4)};
	see_slots(from, at, map, (uint32_t)number(record + 128, 4));
}

static void see_end(const uint8_t *record)
{
	seen.torn = (uint32_t)number(record + 44, 4);
	seen.secret = (uint32_t)number(record + 60, 4);
	seen.rss = number(record + 64, 8);
	for (size_t i = 0; i < 8; i++)
		seen.parts += number(record + 72 + 8 * i, 8);
}

static void read_stream(void)
{
	const uint8_t *at = stream.bytes + 16, *end = stream.bytes + stream.len, *from = at;
	memset(&seen, 0, sizeof seen);
	assert_memory_equal(stream.bytes, "NEAPSTRM", 8);
	for (uint64_t kind = 0; kind != RECORD_END; from = kind == RECORD_SLOTS ? from : at) {
		assert_true(end - at >= 8);
		kind = number(at, 4);
		if (kind == RECORD_MAP)
			see_map(from, at);
		if (kind == RECORD_END)
			see_end(at + 8);
		seen.gone += kind == RECORD_GONE;
		assert_true(kind >= RECORD_SLOTS && kind <= RECORD_END);
		at += 8 + number(at + 4, 4);
	}
	assert_ptr_equal(at, end);
}

static const struct seen *look(void)
{
	stream.len = 0;
	assert_int_equal(neap_snapshot_write(keep, NULL), 0);
	read_stream();
	return &seen;
}

static const struct seen_map *seen_at(const void *map)
{
	for (size_t i = 0; i < seen.maps; i++)
		if (seen.map[i].address == (uint64_t)(uintptr_t)map)
			return &seen.map[i];
	fail_msg("the map is not in the snapshot");
	return NULL;
}

/* ---- What is in it ---- */

static void same_as_map_stats(const struct neap_map *map)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	const struct seen_map *in = seen_at(map);
	assert_int_equal(in->flags & FLAG_TORN, 0);
	assert_int_equal(in->count, stats.len);
	assert_int_equal(in->live, stats.len);
	assert_int_equal(in->tombstones, stats.tombstone_slots);
	assert_int_equal(in->bytes, stats.total);
	assert_int_equal(in->slots, in->slots_in_groups);
	assert_int_equal(in->live_in_groups, in->print_count);
	assert_true(in->live_in_groups <= stats.len && in->slots <= stats.slots);
	assert_string_equal(in->name,
			    strcmp(neap_map_name(map), "unnamed") != 0 ? neap_map_name(map) : "(no name)");
}

static void a_map_at_rest_is_its_stats(void **state)
{
	(void)state;
	struct neap_map *map =
		neap_map_create(&word_type, &(struct neap_map_options){.name = "a \"name\"\n"});
	look();
	same_as_map_stats(map);
	for (uint64_t key = 0; key < 50000; key++) {
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
		if ((key & (key + 1)) == 0 || key % 9000 == 0)
			look(), same_as_map_stats(map);
	}
	assert_int_equal(seen_at(map)->live_in_groups + (seen_at(map)->live - seen_at(map)->live_in_groups),
			 seen_at(map)->count);
	assert_string_equal(seen_at(map)->type, "map, keys of 8 B, values of 24 B");
	for (uint64_t key = 0; key < 50000; key += 3)
		assert_true(neap_map_delete(map, &key));
	look();
	same_as_map_stats(map);
	assert_true(seen_at(map)->rebuilt < seen_at(map)->bytes);
	neap_map_destroy(map);
	assert_int_equal(look()->maps, 0);
}

static void same_as_hmap_stats(const struct neap_hmap *map)
{
	struct neap_hmap_stats stats = {.size = sizeof stats};
	neap_hmap_stats(map, &stats);
	const struct seen_map *in = seen_at(map);
	assert_int_equal(in->flags & FLAG_TORN, 0);
	assert_int_equal(in->flags & FLAG_GROWING, stats.old_buckets > 0 ? FLAG_GROWING : 0);
	assert_int_equal(in->count, stats.len);
	assert_int_equal(in->live, stats.len);
	assert_int_equal(in->live_in_groups, stats.len);
	assert_int_equal(in->tombstones, stats.tombstone_slots);
	assert_int_equal(in->tombstones_in_groups, stats.tombstone_slots);
	assert_int_equal(in->bytes, stats.total);
	assert_int_equal(in->slots_in_groups, in->slots);
	assert_true(in->slots >= stats.slots); /* and those of the old array that were moved */
}

static void classic_maps_of_every_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < HMAP_KINDS; i++) {
		const struct hmap_kind *kind = &hmap_kinds[i];
		_Alignas(16) uint8_t key[HMAP_LARGEST], value[HMAP_LARGEST];
		struct neap_hmap *map = neap_hmap_create(&kind->type, NULL);
		for (uint32_t id = 0; id < 3000; id++) {
			kind->key(id, key);
			kind->value(id, value);
			assert_int_equal(neap_hmap_put(map, key, value), 0);
			if (id % 3 == 1)
				neap_hmap_delete(map, key);
			if (id % 500 == 0 || (id > 840 && id < 860)) /* 832 entries: it grows */
				look(), same_as_hmap_stats(map);
		}
		look();
		same_as_hmap_stats(map);
		neap_hmap_destroy(map);
	}
	hmap_kinds_free_texts();
}

static void the_parts_add_up_to_rss(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&word_type, NULL);
	for (uint64_t key = 0; key < 100000; key++)
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	look();
	assert_true(seen.rss > 1 << 20);
	assert_int_equal(seen.parts, seen.rss); /* the last one has a sign: modulo 2^64 */
	neap_map_destroy(map);
}

/* ---- Fingerprints ---- */

static int compare_words(const void *left, const void *right)
{
	const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
	return a < b ? -1 : a > b;
}

/* How many of a's fingerprints are among b's; both become sorted. */
static size_t in_both(uint64_t *a, size_t a_count, uint64_t *b, size_t b_count)
{
	size_t both = 0;
	qsort(a, a_count, sizeof *a, compare_words);
	qsort(b, b_count, sizeof *b, compare_words);
	for (size_t i = 0, j = 0; i < a_count && j < b_count;) {
		both += a[i] == b[j];
		const bool first = a[i] <= b[j], second = b[j] <= a[i];
		i += first;
		j += second;
	}
	return both;
}

static uint64_t *prints_of(const void *map, size_t *ret_count)
{
	const struct seen_map *in = seen_at(map);
	uint64_t *copy = malloc((in->print_count + 1) * sizeof *copy);
	memcpy(copy, in->prints, in->print_count * sizeof *copy);
	*ret_count = in->print_count;
	return copy;
}

static struct neap_str text_key(char *text, size_t size, unsigned number)
{
	return (struct neap_str){text,
				 (uint32_t)snprintf(text, size, "a key that is long enough: %u", number), 0};
}

/* Entries that are in no slot, and so have no fingerprint: none unless segments are tiny. */
static size_t spilled(const struct neap_map *map)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	return stats.spilled;
}

/* 2000 keys; 500 of them deleted and 300 others inserted: told by the fingerprints alone. */
static void deleted_and_inserted_are_told(const struct neap_map_type *type)
{
	struct neap_map *map = neap_map_create(type, NULL);
	union {
		char bytes[300];
		struct neap_str text;
	} key = {.bytes = {0}};
	char text[64];
	size_t before_count = 0, after_count, hidden = 0;
	uint64_t *before = NULL;
	for (unsigned number = 0; number < 2300; number++) {
		memcpy(key.bytes, &number, sizeof number);
		if (type->kind == NEAP_KEY_STR)
			key.text = text_key(text, sizeof text, number);
		if (number == 2000) {
			look();
			before = prints_of(map, &before_count);
			hidden = spilled(map);
			assert_int_equal(before_count, 2000 - hidden);
		}
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	}
	for (unsigned number = 0; number < 500; number++) {
		memcpy(key.bytes, &number, sizeof number);
		if (type->kind == NEAP_KEY_STR)
			key.text = text_key(text, sizeof text, number);
		assert_true(neap_map_delete(map, &key));
	}
	look();
	uint64_t *after = prints_of(map, &after_count);
	assert_int_equal(after_count, 1800 - spilled(map));
	hidden += spilled(map);
	const size_t both = in_both(before, before_count, after, after_count);
	assert_true(both <= 1500 && both >= 1500 - hidden);
	for (size_t i = 1; i < after_count; i++)
		assert_true(after[i] != after[i - 1]);
	free(before);
	free(after);
	neap_map_destroy(map);
}

static void fingerprints_are_of_the_key(void **state)
{
	(void)state;
	deleted_and_inserted_are_told(&word_type);
	deleted_and_inserted_are_told(&text_type);
	deleted_and_inserted_are_told(&wide_type);
}

static const struct neap_map_type loose_type = {.size = sizeof(struct neap_map_type),
						.kind = NEAP_KEY_STR,
						.key_size = sizeof(struct neap_str),
						.key_align = 8,
						.value_size = 8,
						.value_align = 8};

/* Two maps with the same texts at different places: the same fingerprints. Then one text is gone from the memory, and one
 * is too long to be read: theirs alone change.
 */
static void a_string_is_its_characters(void **state)
{
	(void)state;
	enum { TEXTS = 600, TEXT = 16, LONG = 3 << 20 };
	static char long_text[LONG], texts[2][TEXTS][TEXT];
	const size_t page = neap__os_page_size();
	char *brief = neap__os_reserve(page);
	struct neap_map *maps[2] = {neap_map_create(&loose_type, NULL), neap_map_create(&loose_type, NULL)};
	struct neap_str lost = {brief, 20, 0};
	memcpy(brief, "here and gone, alas!", 20);
	memset(long_text, 'x', sizeof long_text);
	for (int map = 0; map < 2; map++) {
		for (unsigned i = 0; i < TEXTS; i++) {
			/* the first is empty */
			const int len = i == 0 ? 0 : snprintf(texts[map][i], TEXT, "text %u", i);
			const struct neap_str key = {texts[map][i], (uint32_t)len, 0};
			assert_int_equal(neap_map_put(maps[map], &key, NULL), 0);
		}
	}
	size_t first_count, second_count;
	look();
	uint64_t *first = prints_of(maps[0], &first_count), *second = prints_of(maps[1], &second_count);
	assert_int_equal(in_both(first, first_count, second, second_count), TEXTS);
	free(second);
	const struct neap_str too_long = {long_text, LONG, 0};
	assert_int_equal(neap_map_put(maps[1], &lost, NULL), 0);
	assert_int_equal(neap_map_put(maps[1], &too_long, NULL), 0);
	neap__os_release(brief, page);
	look();
	second = prints_of(maps[1], &second_count);
	assert_int_equal(second_count, TEXTS + 2 - spilled(maps[1]));
	assert_int_equal(in_both(first, first_count, second, second_count), TEXTS - spilled(maps[1]));
	free(first);
	free(second);
	for (int map = 0; map < 2; map++) {
		if (map == 1)
			neap_map_clear(maps[map]); /* its keys can't be hashed any more */
		neap_map_destroy(maps[map]);
	}
}

/* Neither a key nor what anybody could compute from it. */
static void no_key_and_no_value_is_in_it(void **state)
{
	(void)state;
	static const char secret[] = "4111-1111-1111-1111 of somebody";
	struct neap_map *map = neap_map_create(&text_type, NULL), *words = neap_map_create(&word_type, NULL);
	const struct neap_str key = {secret, sizeof secret - 1, 0};
	uint64_t word = UINT64_C(0x1122334455667788), value[3] = {word, word, word};
	assert_int_equal(neap_map_put(map, &key, value), 0);
	assert_int_equal(neap_map_put(words, &word, value), 0);
	look();
	assert_null(memmem(stream.bytes, stream.len, secret, 8));
	assert_null(memmem(stream.bytes, stream.len, &word, 8));
	assert_int_not_equal(seen.secret, 0);
	neap_map_destroy(map);
	neap_map_destroy(words);
}

/* ---- What goes wrong ---- */

static bool broken;	    /* a write has failed */
static size_t looks_behind; /* that were made nevertheless */

static bool count_looks(const char *call)
{
	looks_behind += broken && strcmp(call, "process_vm_readv") == 0;
	return false;
}

struct breaking {
	size_t left; /* calls that succeed */
	size_t calls;
};

static int break_off(void *ctx, const void *bytes, size_t size)
{
	struct breaking *breaking = ctx;
	(void)bytes, (void)size;
	breaking->calls++;
	broken = breaking->left-- == 0;
	return broken ? 28 : 0; /* a full disk, say */
}

static void a_write_that_fails_ends_it(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&word_type, NULL);
	for (uint64_t key = 0; key < 50000; key++)
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	for (size_t left = 0, error = 28; error != 0; left++) {
		struct breaking breaking = {.left = left};
		broken = false;
		looks_behind = 0;
		neap__os_fail = count_looks;
		error = (size_t)neap_snapshot_write(break_off, &breaking);
		neap__os_fail = NULL;
		assert_true(error == 0 || error == 28);
		assert_int_equal(looks_behind, 0);
		assert_int_equal(breaking.calls, error != 0 ? left + 1 : left);
		assert_true(left < 100);
		breaking = (struct breaking){.left = left};
		assert_int_equal(neap_debug_handle("/debug/snapshot", break_off, &breaking),
				 error == 0 ? 200 : 500);
	}
	look();
	same_as_map_stats(map);
	neap_map_destroy(map);
}

static bool refuse_mmap(const char *call)
{
	return strcmp(call, "mmap") == 0;
}

static bool refuse_looks(const char *call)
{
	return strcmp(call, "process_vm_readv") == 0 || strcmp(call, "open") == 0;
}

static void without_memory_nothing_is_written(void **state)
{
	(void)state;
	struct breaking breaking = {.left = 100};
	neap__os_fail = refuse_mmap;
	assert_int_equal(neap_snapshot_write(break_off, &breaking), NEAP_ENOMEM);
	assert_int_equal(breaking.calls, 0);
	assert_int_equal(neap_debug_handle("/debug/snapshot", break_off, &breaking), 503);
	neap__os_fail = NULL;
	assert_string_equal(neap_debug_type("/debug/snapshot"), "application/octet-stream");
}

/* Every look at the memory of the process is refused: a whole stream that says what it could not see. */
static void without_a_look_maps_are_torn(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&word_type, &(struct neap_map_options){.name = "unseen"});
	struct neap_hmap *hmap = neap_hmap_create(&hmap_kinds[0].type, NULL);
	for (uint64_t key = 0; key < 5000; key++)
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	neap__os_fail = refuse_looks;
	look();
	neap__os_fail = NULL;
	assert_int_equal(seen_at(map)->flags & FLAG_TORN, FLAG_TORN);
	assert_int_equal(seen_at(map)->count, 5000);
	assert_string_equal(seen_at(map)->name, "unseen");
	assert_int_equal(seen_at(hmap)->flags & FLAG_TORN, FLAG_TORN);
	assert_int_equal(seen.torn, 2);
	neap_map_destroy(map);
	neap_hmap_destroy(hmap);
}

/* ---- What changes meanwhile: in `write`, which runs while no lock is held ---- */

enum { LARGE = 60000 };

struct meddling {
	struct neap_map *map; /* NULL once it was freed */
	struct neap_map *later;
	bool change;
	size_t malloced;
};

static int meddle(void *ctx, const void *bytes, size_t size)
{
	struct meddling *meddling = ctx;
	if (stream.len == 0 && meddling->change) {
		for (uint64_t key = LARGE; key < 2 * LARGE; key++)
			assert_int_equal(neap_map_put(meddling->map, &key, NULL), 0);
	} else if (stream.len == 0 && meddling->map != NULL) {
		neap_map_destroy(meddling->map);
		meddling->map = NULL;
		/* likely where the other one was: it was not there from the beginning and is not seen */
		meddling->later = neap_map_create(&word_type, NULL);
	}
	return keep(NULL, bytes, size);
}

static struct meddling large_map(bool change)
{
	struct meddling meddling = {.map = neap_map_create(&word_type, NULL), .change = change};
	for (uint64_t key = 0; key < LARGE; key++)
		assert_int_equal(neap_map_put(meddling.map, &key, NULL), 0);
	return meddling;
}

static void a_map_that_is_freed_meanwhile_is_left_out(void **state)
{
	(void)state;
	struct neap_map *other = neap_map_create(&word_type, &(struct neap_map_options){.name = "other"});
	struct meddling meddling = large_map(false);
	stream.len = 0;
	assert_int_equal(neap_snapshot_write(meddle, &meddling), 0);
	assert_null(meddling.map);
	read_stream();
	assert_int_equal(seen.gone, 1);
	assert_int_equal(seen.maps, 1);
	assert_int_equal(seen.torn, 1);
	same_as_map_stats(other);
	look();
	assert_int_equal(seen.maps, 2);
	neap_map_destroy(meddling.later);
	neap_map_destroy(other);
	meddling = large_map(false); /* the last one of all */
	stream.len = 0;
	assert_int_equal(neap_snapshot_write(meddle, &meddling), 0);
	read_stream();
	assert_int_equal(seen.gone, 1);
	assert_int_equal(seen.maps, 0);
	neap_map_destroy(meddling.later);
	assert_int_equal(look()->maps, 0);
}

static void a_map_that_moves_its_entries_is_torn(void **state)
{
	(void)state;
	struct meddling meddling = large_map(true);
	stream.len = 0;
	assert_int_equal(neap_snapshot_write(meddle, &meddling), 0);
	read_stream();
	assert_int_equal(seen.gone, 0);
	assert_int_equal(seen_at(meddling.map)->count, 2 * LARGE);
	assert_int_equal(seen_at(meddling.map)->flags & FLAG_TORN, FLAG_TORN);
	assert_int_equal(seen.torn, 1);
	neap_map_destroy(meddling.map);
}

static int count_malloc(void *ctx, const void *bytes, size_t size)
{
	(void)bytes, (void)size;
	struct meddling *meddling = ctx;
	assert_int_equal(mallinfo2().uordblks, meddling->malloced);
	return 0;
}

static void nothing_comes_from_malloc(void **state)
{
	(void)state;
	struct meddling meddling = large_map(false);
	assert_int_equal(neap_snapshot_write(keep, NULL), 0);
	stream.len = 0;
	meddling.malloced = mallinfo2().uordblks;
	assert_int_equal(neap_snapshot_write(count_malloc, &meddling), 0);
	assert_int_equal(mallinfo2().uordblks, meddling.malloced);
	neap_map_destroy(meddling.map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_at_rest_is_its_stats),
		cmocka_unit_test(classic_maps_of_every_kind),
		cmocka_unit_test(the_parts_add_up_to_rss),
		cmocka_unit_test(fingerprints_are_of_the_key),
		cmocka_unit_test(a_string_is_its_characters),
		cmocka_unit_test(no_key_and_no_value_is_in_it),
		cmocka_unit_test(a_write_that_fails_ends_it),
		cmocka_unit_test(without_memory_nothing_is_written),
		cmocka_unit_test(without_a_look_maps_are_torn),
		cmocka_unit_test(a_map_that_is_freed_meanwhile_is_left_out),
		cmocka_unit_test(a_map_that_moves_its_entries_is_torn),
		cmocka_unit_test(nothing_comes_from_malloc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
