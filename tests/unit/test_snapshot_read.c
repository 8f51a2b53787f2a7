/* test_snapshot_read.c: what the library writes of its maps is what the inspector reads: counts, changes, and every
 * damage refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/snapshot.h"
#include "snapshot.h"

static const struct neap_map_type word_type = {.size = sizeof(struct neap_map_type),
					       .kind = NEAP_KEY_BYTES,
					       .key_size = 8,
					       .key_align = 8,
					       .value_size = 8,
					       .value_align = 8};
static const struct neap_hmap_type classic_type = {.size = sizeof(struct neap_hmap_type),
						   .kind = NEAP_HMAP_BYTES,
						   .key_size = 8,
						   .key_align = 8,
						   .value_size = 8,
						   .value_align = 8};

struct stream {
	uint8_t *bytes;
	size_t len;
};

static int append(void *ctx, const void *bytes, size_t size)
{
	struct stream *stream = ctx;
	stream->bytes = realloc(stream->bytes, stream->len + size);
	assert_non_null(stream->bytes);
	memcpy(stream->bytes + stream->len, bytes, size);
	stream->len += size;
	return 0;
}

static struct stream take_stream(void)
{
	struct stream stream = {NULL, 0};
	assert_int_equal(neap_snapshot_write(append, &stream), 0);
	return stream;
}

static struct snapshot *accept_stream(const struct stream *stream, size_t len, struct problem *problem)
{
	uint8_t *copy = calloc(1, len + 512);
	memcpy(copy, stream->bytes, len);
	return snapshot_accept(copy, len, "stream", problem);
}

static struct snapshot *take_snapshot(void)
{
	struct problem problem = {0};
	struct stream stream = take_stream();
	struct snapshot *snapshot = snapshot_accept(stream.bytes, stream.len, "stream", &problem);
	if (snapshot == NULL)
		fail_msg("%s", problem.text);
	return snapshot;
}

static void counts_are_the_same(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&word_type, &(struct neap_map_options){.name = "sessions"});
	struct neap_hmap *hmap =
		neap_hmap_create(&classic_type, &(struct neap_hmap_options){.name = "classic"});
	for (uint64_t key = 0; key < 30000; key++)
		assert_true(neap_map_put(map, &key, NULL) == 0 && neap_hmap_put(hmap, &key, NULL) == 0);
	for (uint64_t key = 0; key < 30000; key += 3)
		assert_true(neap_map_delete(map, &key) && neap_hmap_delete(hmap, &key));
	struct neap_map_stats stats = {.size = sizeof stats};
	struct neap_hmap_stats classic = {.size = sizeof classic};
	neap_map_stats(map, &stats);
	neap_hmap_stats(hmap, &classic);
	struct snapshot *snapshot = take_snapshot();
	const struct snapshot_map *in = snapshot_map_at(snapshot, (uint64_t)(uintptr_t)map),
				  *old = snapshot_map_at(snapshot, (uint64_t)(uintptr_t)hmap);
	assert_int_equal(snapshot->header->map_count, 2);
	assert_int_equal(snapshot->header->torn, 0);
	assert_int_equal(snapshot->header->kind, SNAPSHOT_NEAP);
	assert_string_equal(snapshot->strings + snapshot->header->runtime, "libneap");
	assert_string_equal(snapshot->strings + in->holder, "sessions");
	assert_string_equal(snapshot->strings + old->holder, "classic");
	assert_int_equal(in->live, 20000);
	assert_int_equal(in->tombstones, stats.tombstone_slots);
	assert_int_equal(in->bytes, stats.total);
	assert_int_equal(old->live, 20000);
	assert_int_equal(old->tombstones, classic.tombstone_slots);
	snapshot_close(snapshot);
	neap_map_destroy(map);
	neap_hmap_destroy(hmap);
}

static void what_changed_is_told(void **state)
{
	(void)state;
	struct map_change *changes;
	struct problem problem = {0};
	struct neap_map *map = neap_map_create(&word_type, &(struct neap_map_options){.floor = 1 << 20});
	struct neap_hmap *hmap = neap_hmap_create(&classic_type, &(struct neap_hmap_options){.hint = 40000});
	struct neap_map *still = neap_map_create(&word_type, NULL);
	for (uint64_t key = 0; key < 20000; key++)
		assert_true(neap_map_put(map, &key, NULL) == 0 && neap_hmap_put(hmap, &key, NULL) == 0 &&
			    neap_map_put(still, &key, NULL) == 0);
	struct snapshot *before = take_snapshot();
	for (uint64_t key = 0; key < 700; key++)
		assert_true(neap_map_delete(map, &key) && neap_hmap_delete(hmap, &key));
	for (uint64_t key = 50000; key < 50090; key++)
		assert_true(neap_map_put(map, &key, NULL) == 0 && neap_hmap_put(hmap, &key, NULL) == 0);
	struct snapshot *after = take_snapshot();
	assert_true(snapshot_comparable(before, after, &problem));
	size_t count = snapshot_diff(before, after, &changes);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++) {
		assert_true(changes[i].after->address == (uint64_t)(uintptr_t)map ||
			    changes[i].after->address == (uint64_t)(uintptr_t)hmap);
		assert_int_equal(changes[i].deleted, 700);
		assert_int_equal(changes[i].inserted, 90);
	}
	free(changes);
	struct snapshot_header other = *after->header;
	other.fingerprints ^= 2;
	assert_false(snapshot_comparable(before, &(struct snapshot){.header = &other}, &problem));
	assert_int_equal(problem.kind, PROBLEM_INPUT);
	snapshot_close(before);
	snapshot_close(after);
	neap_map_destroy(map);
	neap_map_destroy(still);
	neap_hmap_destroy(hmap);
}

/* A stream of a few maps, small enough to be damaged everywhere. */
static struct stream small_stream(void)
{
	struct neap_map *maps[3];
	for (int i = 0; i < 3; i++) {
		maps[i] = neap_map_create(&word_type, &(struct neap_map_options){.name = "small"});
		for (uint64_t key = 0; key < 12 * (uint64_t)i; key++)
			assert_int_equal(neap_map_put(maps[i], &key, NULL), 0);
	}
	struct stream stream = take_stream();
	for (int i = 0; i < 3; i++)
		neap_map_destroy(maps[i]);
	return stream;
}

static void every_cut_is_refused(void **state)
{
	(void)state;
	struct stream stream = small_stream();
	for (size_t len = 0; len < stream.len; len++) {
		struct problem problem = {0};
		assert_null(accept_stream(&stream, len, &problem));
		assert_int_equal(problem.kind, PROBLEM_INPUT);
	}
	free(stream.bytes);
}

static void every_flipped_byte_is_refused(void **state)
{
	(void)state;
	struct stream stream = small_stream();
	for (size_t at = 0; at < stream.len; at++) {
		struct problem problem = {0};
		stream.bytes[at] ^= 0x41;
		assert_null(accept_stream(&stream, stream.len, &problem));
		stream.bytes[at] ^= 0x41;
	}
	free(stream.bytes);
}

/* With a right checksum behind it, a wrong byte is refused or read; what is read is whole, or snapshot_finish aborts. */
static void a_lie_with_a_right_checksum_does_no_harm(void **state)
{
	(void)state;
	static const uint8_t lies[] = {0x01, 0x80, 0xff, 0x10};
	size_t accepted = 0, refused = 0;
	struct stream stream = small_stream();
	for (size_t at = 0; at + 8 < stream.len; at++) {
		for (size_t i = 0; i < sizeof lies; i++) {
			struct problem problem = {0};
			stream.bytes[at] ^= lies[i];
			const uint64_t sum = snapshot_stream_checksum(stream.bytes, stream.len);
			memcpy(stream.bytes + stream.len - sizeof sum, &sum, sizeof sum);
			struct snapshot *snapshot = accept_stream(&stream, stream.len, &problem);
			accepted += snapshot != NULL;
			refused += snapshot == NULL;
			snapshot_close(snapshot);
			stream.bytes[at] ^= lies[i];
		}
	}
	assert_true(accepted > 1000 && refused > 100);
	free(stream.bytes);
}

/* Two maps at one address: the first was freed while the program wrote. */
static void of_two_maps_at_one_address_the_last_counts(void **state)
{
	(void)state;
	struct neap_map *map = neap_map_create(&word_type, NULL);
	struct stream once = take_stream(), twice = {NULL, 0};
	uint32_t size;
	memcpy(&size, once.bytes + 16 + 4, sizeof size); /* of the only map's record */
	append(&twice, once.bytes, 16 + 8 + size);
	append(&twice, once.bytes + 16, once.len - 16);
	twice.bytes[16 + 8 + 16] = 77; /* the first one's count */
	const uint64_t sum = snapshot_stream_checksum(twice.bytes, twice.len);
	memcpy(twice.bytes + twice.len - sizeof sum, &sum, sizeof sum);
	struct problem problem = {0};
	struct snapshot *snapshot = accept_stream(&twice, twice.len, &problem);
	assert_non_null(snapshot);
	assert_int_equal(snapshot->header->map_count, 1);
	assert_int_equal(snapshot->maps[0].count, 0);
	snapshot_close(snapshot);
	free(once.bytes);
	free(twice.bytes);
	neap_map_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_the_same),
		cmocka_unit_test(what_changed_is_told),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(every_flipped_byte_is_refused),
		cmocka_unit_test(a_lie_with_a_right_checksum_does_no_harm),
		cmocka_unit_test(of_two_maps_at_one_address_the_last_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
