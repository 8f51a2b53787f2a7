/* test_inspect.c: the inspector's decoders on memory made by hand: what they accept, and above all what they refuse.
 * Truth from real programs is the business of tests/e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "goprocess.h"
#include "maps.h"
#include "snapshot.h"

/* A process of one readable range, a heap of one span in it, and no program behind it. */
enum { MEMORY = 1 << 18, HEAP_AT = 1 << 16, BUCKET = 144, BUCKET_CLASS = 11, BUCKETS = 56 };
#define BASE 0xc000000000ull

static uint8_t memory[MEMORY];
static uint64_t refused_from; /* reads at and above this address fail */
static unsigned reads;

static size_t fake_read(struct target *target, uint64_t address, void *buffer, size_t size)
{
	(void)target;
	reads++;
	uint64_t end = refused_from < BASE + MEMORY ? refused_from : BASE + MEMORY;
	if (address < BASE || address >= end)
		return 0;
	size_t got = size < end - address ? size : end - address;
	memcpy(buffer, memory + (address - BASE), got);
	return got;
}

static void fake_close(struct target *target)
{
	(void)target;
}

enum { PIECES_A_CALL = 2 };

/* As the kernel does it: so many a call, and none behind one that fails. */
static size_t fake_read_pieces(struct target *target, const struct target_piece *pieces, size_t count,
			       size_t *ret_got)
{
	size_t asked = count < PIECES_A_CALL ? count : PIECES_A_CALL;
	unsigned before = reads;
	*ret_got = 0;
	for (size_t i = 0; i < asked; i++) {
		size_t got = fake_read(target, pieces[i].address, pieces[i].buffer, pieces[i].size);
		*ret_got += got;
		if (got < pieces[i].size)
			break;
	}
	reads = before + 1;
	return asked;
}

static const struct target_ops fake_ops = {fake_read, NULL, fake_close, fake_read_pieces};

static struct target *fake_target(void)
{
	struct target *target = take(1, sizeof *target);
	target->ops = &fake_ops;
	target_range_add(target, BASE, BASE + MEMORY / 2, "")->readable = true;
	target_range_add(target, BASE + MEMORY / 2, BASE + MEMORY, "")->readable = true;
	target_ranges_finish(target);
	refused_from = UINT64_MAX;
	memset(memory, 0, sizeof memory);
	return target;
}

static struct go_process *fake_process(int minor)
{
	struct go_process *process = take(1, sizeof *process);
	process->target = fake_target();
	process->image = image_create(process->target);
	process->layout = *go_layout_row(minor);
	process->version.minor = minor;
	struct go_heap *heap = &process->heap;
	heap->spans = take(1, sizeof *heap->spans);
	heap->span_count = 1;
	heap->object_count = BUCKETS;
	heap->spans[0] = (struct go_span){.base = BASE + HEAP_AT,
					  .elem_size = BUCKET,
					  .pages = 1,
					  .count = BUCKETS,
					  .freeindex = BUCKETS,
					  .magic = UINT32_MAX / BUCKET + 1,
					  .size_class = BUCKET_CLASS,
					  .noscan = true};
	go_heap_number(heap);
	heap->arena_index = take(1u << 21, sizeof *heap->arena_index);
	heap->arena_index[BASE >> GO_ARENA_SHIFT] = 1;
	heap->arenas = take(1, sizeof *heap->arenas);
	heap->arena_count = 1;
	heap->arenas[0] =
		(struct go_arena){.base = BASE, .page_span = take(GO_ARENA_PAGES, sizeof(uint32_t))};
	heap->arenas[0].page_span[HEAP_AT / GO_PAGE] = 1;
	return process;
}

static const struct go_map_type number_map = {.group_size = BUCKET,
					      .key_size = 8,
					      .elem_size = 8,
					      .keys_at = 8,
					      .key_stride = 8,
					      .elems_at = 72,
					      .elem_stride = 8};

static uint8_t *bucket(unsigned number)
{
	return memory + HEAP_AT + number * BUCKET;
}

static void chain(unsigned from, unsigned to)
{
	uint64_t address = BASE + HEAP_AT + to * BUCKET;
	memcpy(bucket(from) + BUCKET - 8, &address, sizeof address);
}

/* A map whose bucket 0 has live slots 0..2, a tombstone that kept its key, and nothing behind it. */
static struct go_map_header small_map(void)
{
	static const uint8_t top[GO_GROUP_SLOTS] = {5, 200, 255, 1};
	memcpy(bucket(0), top, sizeof top);
	bucket(0)[8 + 3 * 8] = 42;
	return (struct go_map_header){.address = BASE, .count = 3, .buckets = BASE + HEAP_AT, .seed = 1};
}

static void image_reads_once_and_names_the_fault(void **state)
{
	(void)state;
	struct target *target = fake_target();
	struct image *image = image_create(target);
	memory[5] = 7;
	const uint8_t *bytes = image_at(image, BASE, 16);
	assert_int_equal(bytes[5], 7);
	unsigned before = reads;
	assert_ptr_equal(image_at(image, BASE, 16), bytes);
	assert_int_equal(reads, before);
	memory[5] = 8;
	assert_int_equal(bytes[5], 7);
	image_forget(image, BASE, 1);
	assert_int_equal(((const uint8_t *)image_at(image, BASE, 16))[5], 8);
	/* the two ranges are neighbours: one stretch */
	assert_non_null(image_at(image, BASE + MEMORY / 2 - 8, 16));
	assert_null(image_at(image, BASE + MEMORY - 8, 16));
	assert_null(image_at(image, UINT64_MAX - 4, 16));
	refused_from = BASE + 0x21000;
	image_forget(image, BASE, MEMORY);
	assert_null(image_at(image, BASE + 0x20000, 0x3000));
	assert_int_equal(image_fault(image), refused_from);
	assert_non_null(image_at(image, BASE + 0x20000, 0x1000));
	image_destroy(image);
	target_close(target);
}

/* What a rehearsal read is read again at a later moment: once, into the same place, and what can't be read is left out. */
static void pieces_are_read_again(void **state)
{
	(void)state;
	struct target *target = fake_target();
	struct image *image = image_create(target);
	const uint8_t *bytes = image_at(image, BASE, 0x8000);
	image_new_moment(image);
	image_renew(image, BASE + 0x1010, 8);
	image_renew(image, BASE + 0x1100, 0x2000); /* the first page of it is there */
	image_renew(image, BASE + 0x5000, 0x1000);
	assert_int_equal(image_pieces(image), 3);
	assert_int_equal(image_piece_bytes(image, 0, 3), 0x4000);
	assert_int_equal(image_piece_bytes(image, 1, 2), 0x2000);
	memset(memory, 7, 0x8000);
	unsigned before = reads;
	image_renew(image, BASE + 0x1000, 0x3000);
	assert_int_equal(reads, before);
	image_new_moment(image);
	image_renew(image, BASE + 0x2000, 8); /* a piece of which half is there already */
	before = reads;
	image_renew_pieces(image, 0, 3);
	assert_int_equal(reads, before + 2);
	for (size_t page = 0; page < 8; page++)
		assert_int_equal(bytes[page * 0x1000 + 0xfff], page >= 1 && page <= 5 && page != 4 ? 7 : 0);
	before = reads;
	image_renew_pieces(image, 0, 3);
	assert_int_equal(reads, before);
	memset(memory, 8, 0x8000);
	refused_from = BASE + 0x3000;
	image_new_moment(image);
	image_renew_pieces(image, 0, 3);
	assert_int_equal(bytes[0x1000], 8);
	assert_int_equal(bytes[0x2000], 8);
	assert_null(image_at(image, BASE + 0x3000, 8));
	assert_null(image_at(image, BASE + 0x5000, 8));
	refused_from = UINT64_MAX; /* and it is there again */
	image_renew_pieces(image, 0, 3);
	assert_int_equal(bytes[0x3000], 8);
	assert_int_equal(bytes[0x5000], 8);
	image_destroy(image);
	target_close(target);
}

/* A process that stands still may be in the midst of a write: one entry more or less, and only then. */
static void a_write_may_be_half_done(void **state)
{
	(void)state;
	struct go_process *process = fake_process(19);
	struct go_map_header header = {.count = 100};
	for (uint64_t live = 98; live <= 102; live++) {
		const struct map_counts counts = {.live = live};
		process->target->changing = true;
		header.writing = false;
		assert_int_equal(maps_agree(process, &header, &counts, true), live == 100);
		header.writing = true;
		assert_int_equal(maps_agree(process, &header, &counts, true), live >= 99 && live <= 101);
		assert_int_equal(maps_agree(process, &header, &counts, false), live == 100);
		process->target->changing = false; /* a core, or a copy */
		assert_int_equal(maps_agree(process, &header, &counts, false), live >= 99 && live <= 101);
	}
	go_process_close(process);
}

static void classic_slots_are_counted(void **state)
{
	(void)state;
	struct go_process *process = fake_process(19);
	struct go_map_header header = small_map();
	struct map_counts counts;
	assert_true(maps_try(process, &header, &number_map, &counts));
	assert_int_equal(counts.live, 3);
	assert_int_equal(counts.tombstones, 1);
	assert_int_equal(counts.empty, 4);
	assert_int_equal(counts.ghosts, 1);
	assert_int_equal(counts.block_bytes, BUCKET);
	chain(0, 5);
	bucket(5)[0] = 9;
	image_forget(process->image, BASE, MEMORY);
	assert_true(maps_try(process, &header, &number_map, &counts));
	assert_int_equal(counts.live, 4);
	assert_int_equal(counts.longest_chain, 1);
	assert_int_equal(counts.block_bytes, 2 * BUCKET);
	go_process_close(process);
}

static void classic_refuses_what_no_map_is(void **state)
{
	(void)state;
	struct go_process *process = fake_process(19);
	struct go_map_header header = small_map();
	struct map_counts counts;
	bucket(0)[1] = 3; /* "moved", in an array that nothing is moved out of */
	assert_false(maps_try(process, &header, &number_map, &counts));
	header = small_map();
	chain(0, 5);
	chain(5, 0); /* a chain that never ends */
	image_forget(process->image, BASE, MEMORY);
	assert_false(maps_try(process, &header, &number_map, &counts));
	header.buckets += 8; /* into the middle of an object */
	assert_false(maps_try(process, &header, &number_map, &counts));
	header.buckets = BASE; /* not in the heap */
	assert_false(maps_try(process, &header, &number_map, &counts));
	header = small_map();
	header.log_buckets = 40; /* an array of terabytes in an object of 144 bytes */
	assert_false(maps_try(process, &header, &number_map, &counts));
	go_process_close(process);
}

static void classic_growth_splits_old_slots(void **state)
{
	(void)state;
	struct go_process *process = fake_process(19);
	struct go_map_header header = small_map();
	struct map_counts counts;
	static const uint8_t moved[GO_GROUP_SLOTS] = {2, 3, 4, 4, 4, 4, 4, 4};
	header.old_buckets = BASE + HEAP_AT + BUCKET;
	header.flags = 8; /* same size */
	memcpy(bucket(1), moved, sizeof moved);
	bucket(1)[8] = 1; /* slot 0 keeps its key */
	assert_true(maps_try(process, &header, &number_map, &counts));
	assert_int_equal(counts.live, 3);
	assert_int_equal(counts.stale, 0); /* no pointers: nothing is kept alive */
	assert_int_equal(counts.moved, 8);
	assert_int_equal(counts.old_bytes, BUCKET);
	go_process_close(process);
}

static void swiss_group_is_counted_or_refused(void **state)
{
	(void)state;
	struct go_process *process = fake_process(24);
	struct go_map_type type = number_map;
	type.group_size = 136; /* rounded to 144 */
	type.key_stride = type.elem_stride = 16;
	type.elems_at = 16;
	static const uint8_t control[GO_GROUP_SLOTS] = {0x01, 0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
	memcpy(bucket(0), control, sizeof control);
	struct go_map_header header = {.address = BASE, .count = 2, .directory = BASE + HEAP_AT};
	struct map_counts counts;
	assert_true(maps_try(process, &header, &type, &counts));
	assert_int_equal(counts.live, 2);
	assert_int_equal(counts.empty, 6);
	bucket(0)[2] = 0xfe; /* a small map never has tombstones */
	image_forget(process->image, BASE, MEMORY);
	assert_false(maps_try(process, &header, &type, &counts));
	go_process_close(process);
}

static void headers_must_be_plausible(void **state)
{
	(void)state;
	struct go_process *process = fake_process(19);
	struct go_map_header header;
	uint64_t buckets = BASE + HEAP_AT;
	memory[0] = 3;
	memcpy(memory + 16, &buckets, sizeof buckets);
	assert_true(go_map_header(process, BASE, &header));
	assert_int_equal(header.count, 3);
	memory[8] = 16; /* an unknown flag */
	image_forget(process->image, BASE, 64);
	assert_false(go_map_header(process, BASE, &header));
	memory[8] = 0;
	memory[5] = 1; /* more entries than its one bucket can have */
	image_forget(process->image, BASE, 64);
	assert_false(go_map_header(process, BASE, &header));
	assert_false(go_map_header(process, BASE + MEMORY, &header));
	go_process_close(process);
}

static void size_classes_round_as_the_runtime_does(void **state)
{
	(void)state;
	struct go_process process = {.layout = *go_layout_row(22)};
	assert_int_equal(go_heap_round(&process, 1, false), 8);
	assert_int_equal(go_heap_round(&process, 513, false), 576);
	assert_int_equal(go_heap_round(&process, 570, true), 640); /* a type word in front */
	assert_int_equal(go_heap_round(&process, 32768, false), 32768);
	assert_int_equal(go_heap_round(&process, 32769, true), 40960);
	process.layout = *go_layout_row(19);
	assert_int_equal(go_heap_round(&process, 570, true), 576);
}

static void layouts_follow_the_experiments(void **state)
{
	(void)state;
	struct go_layout layout;
	enum go_layout_source source;
	struct problem problem = {0};
	struct go_version version = {.text = "go1.24.4", .minor = 24, .experiments = "noswissmap"};
	assert_int_equal(go_layout_choose(NULL, &version, &layout, &source, &problem), 0);
	assert_int_equal(layout.maps, GO_MAP_CLASSIC);
	assert_int_equal(layout.hmap_size, 56);
	assert_int_equal(layout.maptype_group_size, 82);
	version = (struct go_version){
		.text = "go1.27.1", .minor = 27, .experiments = "nogreenteagc,mapsplitgroup"};
	assert_int_equal(go_layout_choose(NULL, &version, &layout, &source, &problem), 0);
	assert_int_equal(layout.pointer_bits, GO_BITS_IN_SPAN);
	version.minor = 18;
	assert_int_equal(go_layout_choose(NULL, &version, &layout, &source, &problem), -1);
	assert_int_equal(problem.kind, PROBLEM_FEATURE);
}

static void put_file(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

/* Nothing but a header, an honest one except for the checksum: refused; so is every shorter file. */
static void snapshots_are_refused_unless_whole(void **state)
{
	(void)state;
	char path[64];
	snprintf(path, sizeof path, "/tmp/neap-test-%d.snap", (int)getpid());
	struct snapshot_header header = {.magic = SNAPSHOT_MAGIC,
					 .version = SNAPSHOT_VERSION,
					 .header_size = sizeof header,
					 .file_size = sizeof header,
					 .map_at = sizeof header,
					 .group_at = sizeof header,
					 .key_at = sizeof header,
					 .step_at = sizeof header,
					 .string_at = sizeof header};
	for (size_t size = 0; size <= sizeof header; size += 8) {
		struct problem problem = {0};
		put_file(path, &header, size);
		assert_null(snapshot_open(path, &problem));
		assert_int_equal(problem.kind, PROBLEM_INPUT);
		assert_non_null(strstr(problem.text, path));
	}
	struct problem problem = {0};
	unlink(path);
	assert_null(snapshot_open(path, &problem));
	assert_int_equal(problem.kind, PROBLEM_NO_TARGET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_reads_once_and_names_the_fault),
		cmocka_unit_test(pieces_are_read_again),
		cmocka_unit_test(a_write_may_be_half_done),
		cmocka_unit_test(classic_slots_are_counted),
		cmocka_unit_test(classic_refuses_what_no_map_is),
		cmocka_unit_test(classic_growth_splits_old_slots),
		cmocka_unit_test(swiss_group_is_counted_or_refused),
		cmocka_unit_test(headers_must_be_plausible),
		cmocka_unit_test(size_classes_round_as_the_runtime_does),
		cmocka_unit_test(layouts_follow_the_experiments),
		cmocka_unit_test(snapshots_are_refused_unless_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
