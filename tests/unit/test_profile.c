/* test_profile.c: sampled totals against the truth, profiles that add up to RSS, and the pages of a debug server. */
#include <execinfo.h>
#include <inttypes.h>
#include <link.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/sampling.h"
#include "neap/debug.h"
#include "neap/heap.h"
#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/observe.h"
#include "observe/frame_rule.h"
#include "observe/sites.h"
#include "observe/text.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#	define OWN_MALLOC 0 /* the sanitizer's shadow is memory that nobody owns up to */
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#		define OWN_MALLOC 0
#	endif
#endif
#ifndef OWN_MALLOC
#	define OWN_MALLOC 1
#endif

static const struct neap_map_type number_type = {.size = sizeof(struct neap_map_type),
						 .kind = NEAP_KEY_BYTES,
						 .key_size = 8,
						 .key_align = 8,
						 .value_size = 56,
						 .value_align = 8};

/* ---- Sampling ---- */

static int64_t sampled(enum neap_profile_type type)
{
	struct neap__site site;
	double bytes = 0, objects = 0, allocated = 0;
	for (uint32_t i = 1; i <= neap__sites_count(); i++) {
		neap__site_get(i, &site);
		bytes += site.alloc_bytes - site.free_bytes;
		objects += site.alloc_objects - site.free_objects;
		allocated += site.alloc_bytes;
	}
	return (int64_t)(type == NEAP_PROFILE_INUSE_SPACE     ? bytes
			 : type == NEAP_PROFILE_INUSE_OBJECTS ? objects
							      : allocated);
}

static bool near(int64_t got, int64_t truth, double share)
{
	bool right = fabs((double)(got - truth)) <= share * (double)truth;
	if (!right)
		print_message("got %" PRId64 ", truth %" PRId64 "\n", got, truth);
	return right;
}

enum { BLOCKS = 120000, RATE = 2048, ROUNDS = 20 };
static void *blocks[BLOCKS];

static size_t size_of(int i)
{
	static const size_t sizes[] = {16, 64, 128, 512, 1024}; /* classes: nothing is rounded up */
	return sizes[i % 5];
}

/* With 20,000 samples a total is off by 0.7 % (one standard deviation); 5 % is out of reach of chance. */
static void totals_are_within_5_percent_20_times(void **state)
{
	(void)state;
	assert_int_equal(neap_profile_start(RATE), 0);
	neap_heap_free(neap_heap_alloc(1));
	neap_heap_return(); /* this thread takes notice of the rate */
	for (int round = 0; round < ROUNDS; round++) {
		int64_t before = sampled(NEAP_PROFILE_INUSE_SPACE),
			objects_before = sampled(NEAP_PROFILE_INUSE_OBJECTS);
		int64_t allocated = sampled(NEAP_PROFILE_ALLOC_SPACE), truth = 0, kept = 0;
		for (int i = 0; i < BLOCKS; i++) {
			blocks[i] = neap_heap_alloc(size_of(i));
			truth += (int64_t)size_of(i);
		}
		assert_true(near(sampled(NEAP_PROFILE_INUSE_SPACE) - before, truth, 0.05));
		assert_true(near(sampled(NEAP_PROFILE_INUSE_OBJECTS) - objects_before, BLOCKS, 0.20));
		assert_true(near(sampled(NEAP_PROFILE_ALLOC_SPACE) - allocated, truth, 0.05));
		for (int i = 0; i < BLOCKS; i++) {
			if (i % 2 != 0) {
				kept += (int64_t)size_of(i);
				continue;
			}
			neap_heap_free(blocks[i]);
			blocks[i] = NULL;
		}
		assert_true(near(sampled(NEAP_PROFILE_INUSE_SPACE) - before, kept, 0.07));
		for (int i = 0; i < BLOCKS; i++)
			neap_heap_free(blocks[i]);
		/* What was sampled is freed exactly. */
		assert_in_range(sampled(NEAP_PROFILE_INUSE_SPACE) - before + 16, 0, 32);
	}
	neap_profile_stop();
}

static void sampled_blocks_are_blocks(void **state)
{
	(void)state;
	assert_int_equal(neap_profile_start(1), 0); /* every one */
	neap_heap_return();
	struct neap_heap_stats before = {.size = sizeof before}, after = before;
	neap_heap_stats(&before);
	for (size_t size = 0; size < 100000; size = size * 3 / 2 + 7) {
		unsigned char *zero = neap_heap_alloc_with(size, 64, NEAP_HEAP_ZERO),
			      *block = neap_heap_alloc(size);
		assert_non_null(zero);
		assert_int_equal((uintptr_t)zero % 64, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(zero[i], 0);
		assert_true(neap_heap_usable(block) >= size);
		memset(block, 7, size);
		block = neap_heap_realloc(block, size * 2 + 1);
		assert_non_null(block);
		assert_true(size == 0 || block[size - 1] == 7);
		neap_heap_free(block);
		neap_heap_free(zero);
	}
	neap_heap_stats(&after);
	assert_int_equal(after.live_bytes, before.live_bytes);
	assert_int_equal(after.live_blocks, before.live_blocks);
	neap_profile_stop();
	neap_heap_return();
}

static void counts_survive_arming(void **state)
{
	(void)state;
	enum { PAIRS = 300000 }; /* more than one gap of an unsampled kind */
	struct neap_heap_stats before = {.size = sizeof before}, after = before;
	neap_heap_stats(&before);
	for (int i = 0; i < PAIRS; i++)
		neap_heap_free(neap_heap_alloc(48));
	neap_heap_stats(&after);
	assert_int_equal(after.mallocs - before.mallocs, PAIRS);
	assert_int_equal(after.frees - before.frees, PAIRS);
}

static void gaps_have_the_right_mean(void **state)
{
	(void)state;
	enum { DRAWS = 200000 };
	double sum = 0;
	for (int i = 0; i < DRAWS; i++)
		sum += (double)neap__sample_gap(6400, 64);
	double expected = 1 / neap__sample_chance(6400, 64);
	assert_true(fabs(sum / DRAWS / expected - 1) < 0.02); /* 9 standard deviations */
	assert_true(neap__sample_gap(1, 1 << 20) == 1);
	assert_true(neap__sample_gap(UINT64_MAX, 1) >= 1);
}

static __attribute__((noinline)) unsigned walk_here(uintptr_t *frames)
{
	unsigned depth = neap__stack_walk(frames, NEAP__FRAMES_MOST, 0);
	__asm__ volatile("" : : : "memory"); /* no tail call: this function must be among the frames */
	return depth;
}

static void a_walk_starts_at_its_caller(void **state)
{
	(void)state;
	uintptr_t frames[NEAP__FRAMES_MOST];
	unsigned depth = walk_here(frames);
	assert_true(depth > 2);
	assert_in_range(frames[0], (uintptr_t)walk_here, (uintptr_t)walk_here + 512);
	uintptr_t two[2];
	assert_int_equal(neap__stack_walk(two, 2, 0), 2);
}

static bool in_handler; /* the address that a signal interrupted is no call's */

/* The same walk by glibc, which knows nothing of rules. */
static __attribute__((noinline)) void walks_agree(void)
{
	void *known[NEAP__FRAMES_MOST + 2];
	uintptr_t frames[NEAP__FRAMES_MOST];
	unsigned depth = neap__stack_walk(frames, NEAP__FRAMES_MOST, 0);
	unsigned same = (unsigned)backtrace(known, NEAP__FRAMES_MOST + 2);
	unsigned own =
		(uintptr_t)known[0] - frames[0] > 512; /* a sanitizer's backtrace() is in its own way */
	assert_true(own == 0 || !OWN_MALLOC);
	if (same > NEAP__FRAMES_MOST + own)
		same = NEAP__FRAMES_MOST + own;
	assert_int_equal(depth + own, same);
	for (unsigned i = 1; i < depth; i++) /* 0: this function calls both, from two places */
		assert_true(frames[i] + 1 == (uintptr_t)known[i + own] ||
			    (in_handler && frames[i] == (uintptr_t)known[i + own]));
	__asm__ volatile("" : : : "memory");
}

static __attribute__((noinline)) int walk_at_depth(int depth)
{
	if (depth == 0)
		walks_agree();
	else if (walk_at_depth(depth - 1) < 0)
		return -1;
	return depth;
}

static __attribute__((noinline)) void walk_below_room(size_t size)
{
	volatile char *room =
		__builtin_alloca(size); /* a frame whose size no table knows: it stands on rbp */
	room[0] = room[size - 1] = 1;
	walks_agree();
	room[0] = 2;
}

static int walk_and_compare(const void *a, const void *b)
{
	walks_agree();
	return *(const int *)a - *(const int *)b;
}

static void *walk_in_thread(void *arg)
{
	walks_agree();
	walk_below_room(1000);
	return arg;
}

static void walk_in_handler(int signal)
{
	(void)signal;
	in_handler = true;
	walks_agree();
	in_handler = false;
}

static void walks_are_the_unwinders(void **state)
{
	(void)state;
	int numbers[] = {3, 1, 2};
	for (int round = 0; round < 2; round++) {
		for (int depth = 0; depth < 2 * NEAP__FRAMES_MOST; depth++)
			(void)walk_at_depth(depth);
		for (size_t size = 16; size < 100000; size *= 3)
			walk_below_room(size);
		qsort(numbers, 3, sizeof *numbers, walk_and_compare); /* through frames of libc */
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, walk_in_thread, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		signal(SIGUSR1, walk_in_handler);
		raise(SIGUSR1);
		signal(SIGUSR1, SIG_DFL);
	}
}

static void known_frames_need_no_unwinder(void **state)
{
	(void)state;
#if NEAP__FRAME_RULES
	walk_below_room(64);
	uintptr_t frames[NEAP__FRAMES_MOST];
	(void)walk_here(frames);
	uint64_t before = neap__unwinder_walks;
	for (int i = 0; i < 100; i++) {
		(void)walk_here(frames);
		walk_below_room(64 + (size_t)i * 16);
	}
	assert_int_equal(neap__unwinder_walks, before);
#else
	skip();
#endif
}

/* Every address of every file of this process, whatever it is: an answer, most of them of use. */
static int rules_of_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	size_t *found = ctx;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0)
			continue;
		uintptr_t start = info->dlpi_addr + header->p_vaddr;
		for (uintptr_t pc = start; pc < start + header->p_memsz; pc += 5)
			found[neap__frame_rule_of(pc).kind]++;
	}
	return 0;
}

static void rules_are_found_for_all_code(void **state)
{
	(void)state;
#if NEAP__FRAME_RULES
	size_t found[4] = {0};
	dl_iterate_phdr(rules_of_object, found);
	assert_true(found[NEAP__FRAME_PLAIN] > 10000);
	assert_true(found[NEAP__FRAME_HARD] < found[NEAP__FRAME_PLAIN] / 20);
	assert_int_equal(neap__frame_rule_of(16).kind, NEAP__FRAME_UNKNOWN);
#else
	(void)rules_of_object;
	skip();
#endif
}

/* ---- Profiles ---- */

static int64_t sum_of_parts(const struct neap_profile *profile)
{
	int64_t sum = 0;
	for (int type = NEAP_PROFILE_LIVE; type < NEAP_PROFILE_TYPES; type++)
		sum += neap_profile_total(profile, (enum neap_profile_type)type);
	return sum;
}

static void a_profile_adds_up_to_rss(void **state)
{
	(void)state;
	if (!OWN_MALLOC)
		skip();
	neap_profile_start(16384);
	struct neap_map *map = neap_map_create(&number_type, NULL);
	struct neap_map *on_heap =
		neap_map_create(&number_type, &(struct neap_map_options){.allocator = neap_heap_allocator()});
	for (uint64_t key = 0; key < 50000; key++)
		assert_true(neap_map_put(map, &key, NULL) == 0 && neap_map_put(on_heap, &key, NULL) == 0);
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = memset(neap_heap_alloc(200), 1, 200);
	for (int i = 0; i < BLOCKS; i += 2)
		neap_heap_free(blocks[i]);
	struct neap_account account;
	struct neap_profile *profile = neap_profile_take();
	assert_non_null(profile);
	assert_int_equal(neap_account_process(&account), 0);
	assert_true(near(sum_of_parts(profile), (int64_t)account.rss, 0.02));
	assert_true(near(account.unexplained + (int64_t)account.rss, (int64_t)account.rss, 0.02));
	assert_true(neap_profile_total(profile, NEAP_PROFILE_EMPTY) > 0);
	neap_profile_destroy(profile);
	for (int i = 1; i < BLOCKS; i += 2)
		neap_heap_free(blocks[i]);
	neap_map_destroy(map);
	neap_map_destroy(on_heap);
	neap_profile_stop();
}

static void a_difference_is_what_happened(void **state)
{
	(void)state;
	neap_profile_start(4096);
	struct neap_map *gone = neap_map_create(&number_type, NULL);
	for (uint64_t key = 0; key < 20000; key++)
		assert_int_equal(neap_map_put(gone, &key, NULL), 0);
	struct neap_profile *base = neap_profile_take();
	int64_t had = (int64_t)neap_map_bytes(gone);
	neap_map_destroy(gone);
	struct neap_map *made = neap_map_create(&number_type, NULL);
	for (uint64_t key = 0; key < 60000; key++)
		assert_int_equal(neap_map_put(made, &key, NULL), 0);
	struct neap_profile *after = neap_profile_take();
	int64_t grown = (int64_t)neap_map_bytes(made) - had;
	int64_t before_sum = neap_profile_total(base, NEAP_PROFILE_INUSE_SPACE);
	int64_t after_sum = neap_profile_total(after, NEAP_PROFILE_INUSE_SPACE);
	neap_profile_subtract(after, base);
	assert_int_equal(neap_profile_total(after, NEAP_PROFILE_INUSE_SPACE), after_sum - before_sum);
	assert_in_range(after_sum - before_sum, grown - (64 << 10), grown + (256 << 10));
	neap_profile_destroy(base);
	neap_profile_destroy(after);
	neap_map_destroy(made);
	neap_profile_stop();
}

static int count_and_stop(void *ctx, const void *bytes, size_t size)
{
	(void)bytes;
	size_t *left = ctx;
	if (size > *left)
		return -77;
	*left -= size;
	return 0;
}

static void an_error_of_the_writer_is_handed_on(void **state)
{
	(void)state;
	struct neap_profile *profile = neap_profile_take();
	size_t left = 1 << 30;
	assert_int_equal(neap_profile_write(profile, count_and_stop, &left), 0);
	size_t whole = ((size_t)1 << 30) - left;
	for (left = 0; left < whole; left += whole / 7) {
		size_t room = left;
		assert_int_equal(neap_profile_write(profile, count_and_stop, &room), -77);
	}
	neap_profile_destroy(profile);
}

struct file_bytes {
	size_t len;
	uint8_t bytes[1 << 18];
};

static int keep_bytes(void *ctx, const void *bytes, size_t size)
{
	struct file_bytes *file = ctx;
	assert_true(file->len + size <= sizeof file->bytes);
	memcpy(file->bytes + file->len, bytes, size);
	file->len += size;
	return 0;
}

/* RFC 1952 and 1951, as far as stored blocks go, with a sum of the bytes that is made another way. */
static void the_file_is_gzip(void **state)
{
	(void)state;
	static struct file_bytes file;
	struct neap_profile *profile = neap_profile_take();
	assert_int_equal(neap_profile_write(profile, keep_bytes, &file), 0);
	neap_profile_destroy(profile);
	uint32_t crc = UINT32_MAX;
	size_t at = 10, total = 0;
	assert_memory_equal(file.bytes, "\x1f\x8b\x08", 3);
	for (bool last = false; !last;) {
		size_t len = file.bytes[at + 1] | (size_t)file.bytes[at + 2] << 8;
		size_t not_len = file.bytes[at + 3] | (size_t)file.bytes[at + 4] << 8;
		last = file.bytes[at] == 1;
		assert_int_equal(len ^ not_len, 0xffff);
		at += 5;
		assert_true(at + len + 8 <= file.len);
		for (size_t i = 0; i < len; i++) {
			crc ^= file.bytes[at + i];
			for (int bit = 0; bit < 8; bit++)
				crc = crc >> 1 ^ (UINT32_C(0xedb88320) & -(crc & 1));
		}
		at += len;
		total += len;
	}
	uint32_t tail[2];
	assert_int_equal(at + sizeof tail, file.len);
	memcpy(tail, file.bytes + at, sizeof tail);
	assert_int_equal(tail[0], ~crc);
	assert_int_equal(tail[1], total);
}

static void *use_an_arena(void *arg)
{
	enum { PIECES = 20000, PIECE = 500 };
	static void *pieces[PIECES];
	struct neap_account *account = arg;
	for (int i = 0; i < PIECES; i++)
		pieces[i] = memset(malloc(PIECE), 1, PIECE);
	for (int i = 0; i < PIECES; i++)
		if (i % 8 != 0) /* the others pin the pages */
			free(pieces[i]);
	assert_int_equal(neap_account_process(account), 0);
	for (int i = 0; i < PIECES; i += 8)
		free(pieces[i]);
	return NULL;
}

static void other_threads_malloc_is_accounted_for(void **state)
{
	(void)state;
	if (!OWN_MALLOC)
		skip();
	struct neap_account before, account;
	pthread_t thread;
	assert_int_equal(neap_account_process(&before), 0);
	assert_int_equal(pthread_create(&thread, NULL, use_an_arena, &account), 0);
	pthread_join(thread, NULL);
	assert_true(account.malloc_held > before.malloc_held + 20000 * 500 / 2);
	assert_true(near(account.unexplained + (int64_t)account.rss, (int64_t)account.rss, 0.02));
}

/* Of a map that may not shrink, most of what is resident is slots without an entry. */
static void slots_of_maps_are_accounted_for(void **state)
{
	(void)state;
	enum { ENTRIES = 200000 };
	if (!OWN_MALLOC)
		skip();
	struct neap_map *map =
		neap_map_create(&number_type, &(struct neap_map_options){.shrink = NEAP_SHRINK_OFF});
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	for (uint64_t key = 0; key < ENTRIES; key++)
		assert_true(neap_map_delete(map, &key));
	struct neap_account account;
	assert_int_equal(neap_account_process(&account), 0);
	assert_true(account.tombstone + account.empty > ENTRIES * 64);
	assert_true(near(account.unexplained + (int64_t)account.rss, (int64_t)account.rss, 0.02));
	neap_map_destroy(map);
}

static bool refuse_mmap(const char *call)
{
	return strcmp(call, "mmap") == 0;
}

static void without_memory_there_is_an_error(void **state)
{
	(void)state;
	size_t left = 1 << 20;
	struct neap_profile *profile = neap_profile_take();
	neap__os_fail = refuse_mmap;
	assert_null(neap_profile_take());
	assert_int_equal(neap_profile_write(profile, count_and_stop, &left), NEAP_ENOMEM);
	assert_int_equal(neap_debug_handle("/metrics", count_and_stop, &left), 503);
	assert_int_equal(neap_debug_handle("/debug/pprof/heap", count_and_stop, &left), 503);
	neap__os_fail = NULL;
	neap_profile_destroy(profile);
}

/* ---- Pages ---- */

struct page_text {
	size_t len;
	char bytes[1 << 20];
};
static struct page_text page;

static int append(void *ctx, const void *bytes, size_t size)
{
	struct page_text *to = ctx;
	assert_true(to->len + size < sizeof to->bytes);
	memcpy(to->bytes + to->len, bytes, size);
	to->len += size;
	to->bytes[to->len] = '\0';
	return 0;
}

static const char *get(const char *path, int status)
{
	page.len = 0;
	page.bytes[0] = '\0';
	assert_int_equal(neap_debug_handle(path, append, &page), status);
	return page.bytes;
}

static double metric(const char *text, const char *name)
{
	char line[200];
	snprintf(line, sizeof line, "\n%s ", name);
	const char *at = strstr(text, line);
	if (at == NULL)
		fail_msg("no %s", name);
	return strtod(at + strlen(line), NULL);
}

static void metrics_show_maps_and_parts(void **state)
{
	(void)state;
	const char *odd = "a\"b\\c\nd\x01\xff"
			  "\xc3\xa9";
	struct neap_map *first =
		neap_map_create(&number_type, &(struct neap_map_options){.name = "sessions"});
	struct neap_map *second =
		neap_map_create(&number_type, &(struct neap_map_options){.name = "sessions"});
	struct neap_map *third = neap_map_create(&number_type, &(struct neap_map_options){.name = odd});
	for (uint64_t key = 0; key < 1000; key++)
		assert_true(neap_map_put(first, &key, NULL) == 0 && neap_map_put(second, &key, NULL) == 0);
	const char *text = get("/metrics", 200);
	assert_true(metric(text, "neap_maps") == 3);
	assert_true(metric(text, "neap_map_instances{map=\"sessions\",kind=\"map\"}") == 2);
	assert_true(metric(text, "neap_map_slots{map=\"sessions\",kind=\"map\",state=\"live\"}") == 2000);
	assert_non_null(strstr(text, "map=\"a\\\"b\\\\c\\nd??\xc3\xa9\""));
	double parts = metric(text, "neap_resident_bytes{part=\"live\"}") +
		       metric(text, "neap_resident_bytes{part=\"tombstone\"}") +
		       metric(text, "neap_resident_bytes{part=\"empty\"}") +
		       metric(text, "neap_resident_bytes{part=\"free_held\"}") +
		       metric(text, "neap_resident_bytes{part=\"other\"}") +
		       metric(text, "neap_resident_bytes{part=\"unexplained\"}");
	assert_true(parts == metric(text, "process_resident_memory_bytes"));
	text = get("/debug/maps", 200);
	assert_non_null(strstr(text, "{\"schema\":1,\"maps\":3,"));
	assert_non_null(strstr(text, "\"name\":\"sessions\",\"kind\":\"map\""));
	text = get("/debug/account", 200);
	assert_non_null(strstr(text, "\"maps\":3,\"entries\":2000"));
	neap_map_destroy(first);
	neap_map_destroy(second);
	neap_map_destroy(third);
}

static void many_names_share_one_series(void **state)
{
	(void)state;
	enum { MANY = 400 };
	static struct neap_map *maps[MANY];
	char name[32];
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "map %d", i);
		maps[i] = neap_map_create(&number_type, &(struct neap_map_options){.name = name});
	}
	const char *text = get("/metrics", 200);
	assert_true(metric(text, "neap_map_instances{map=\"(other)\",kind=\"any\"}") == MANY - 256);
	for (int i = 0; i < MANY; i++)
		neap_map_destroy(maps[i]);
}

static void releases_are_counted(void **state)
{
	(void)state;
	double before = metric(get("/metrics", 200), "neap_delete_to_release_seconds_count");
	struct neap_map *map = neap_map_create(&number_type, NULL);
	for (uint64_t key = 0; key < 100000; key++)
		assert_int_equal(neap_map_put(map, &key, NULL), 0);
	for (uint64_t key = 0; key < 99000; key++)
		assert_true(neap_map_delete(map, &key));
	const char *text = get("/metrics", 200);
	double pages = metric(text, "neap_delete_to_release_seconds_count") - before;
	assert_true(pages * 4096 > 99000 * 64 * 0.9);
	assert_true(metric(text, "neap_delete_to_release_seconds_bucket{le=\"0.001\"}") >= pages);
	neap_map_destroy(map);
}

static void bad_requests_are_refused(void **state)
{
	(void)state;
	get("/", 404);
	get("/debug/mapsx", 404);
	get("/debug/map", 404);
	get("", 404);
	get("/debug/pprof/heap?seconds=0", 400);
	get("/debug/pprof/heap?seconds=301", 400);
	get("/debug/pprof/heap?seconds=-1", 400);
	get("/debug/pprof/heap?seconds=abc", 400);
	get("/debug/pprof/heap?seconds=99999999999999999999999", 400);
	get("/debug/pprof/heap?gc=x", 400);
	get("/debug/pprof/heap?debug=1&gc=1", 200);
	get("/debug/why", 400);
	assert_string_equal(get("/debug/why?address=0x10", 404),
			    "no collector runs in this program: what its heap holds was not freed\n");
	get("/metrics?anything", 200);
	assert_null(neap_debug_type("/nothing"));
	assert_non_null(neap_debug_type("/metrics?x=1"));
}

static void compacting_gives_back(void **state)
{
	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = memset(neap_heap_alloc(128), 1, 128);
	for (int i = 0; i < BLOCKS; i++)
		neap_heap_free(blocks[i]);
	(void)neap_debug_compact(); /* how much was left to it is the returning thread's business */
	struct neap_heap_stats stats = {.size = sizeof stats};
	neap_heap_stats(&stats);
	assert_true(stats.free_held_bytes < BLOCKS * 128 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_survive_arming),
		cmocka_unit_test(totals_are_within_5_percent_20_times),
		cmocka_unit_test(sampled_blocks_are_blocks),
		cmocka_unit_test(gaps_have_the_right_mean),
		cmocka_unit_test(a_walk_starts_at_its_caller),
		cmocka_unit_test(walks_are_the_unwinders),
		cmocka_unit_test(known_frames_need_no_unwinder),
		cmocka_unit_test(rules_are_found_for_all_code),
		cmocka_unit_test(a_profile_adds_up_to_rss),
		cmocka_unit_test(a_difference_is_what_happened),
		cmocka_unit_test(an_error_of_the_writer_is_handed_on),
		cmocka_unit_test(the_file_is_gzip),
		cmocka_unit_test(other_threads_malloc_is_accounted_for),
		cmocka_unit_test(slots_of_maps_are_accounted_for),
		cmocka_unit_test(without_memory_there_is_an_error),
		cmocka_unit_test(metrics_show_maps_and_parts),
		cmocka_unit_test(many_names_share_one_series),
		cmocka_unit_test(releases_are_counted),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(compacting_gives_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
