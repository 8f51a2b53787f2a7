/* account.c: the memory of this process, divided into parts that add up to RSS.
 *
 * Three books are compared. The kernel's says what is resident, by kind (smaps_rollup: anonymous and the rest)
 * and for the one mapping that malloc grows by brk ([heap] in smaps). malloc's says which bytes are blocks in
 * use (mallinfo2: uordblks inside its arenas, hblkhd as mappings of their own). The sources' say what their
 * slots hold. Then
 *
 *     malloc_held     = resident bytes of [heap] - bytes in use in the arenas
 *     other_anonymous = anonymous - resident bytes of [heap] - hblkhd - what sources took from the system
 *
 * The second line is evaluated once, in the base, and kept: whatever breaks it later is "unexplained". malloc's
 * arenas of other threads lie outside [heap]: their blocks in use are counted, their free blocks are not known
 * to be resident or not, and show up as unexplained.
 *
 * Files are read with one buffer on the stack: an account that allocated would change what it measures.
 */
#include "neap/observe.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "neap/map.h"

enum {
	LINE_MOST = 512, /* bytes of a line of smaps that are looked at; paths may be longer */
};

/* Calls `line` for each line of a file in /proc, cut to LINE_MOST bytes. False when it cannot be opened. */
static bool each_proc_line(const char *path, void (*line)(const char *text, void *ctx), void *ctx)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	char buffer[4096], text[LINE_MOST];
	size_t len = 0;
	for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) {
		for (ssize_t i = 0; i < got; i++) {
			if (buffer[i] != '\n') {
				if (len < sizeof text - 1)
					text[len++] = buffer[i];
				continue;
			}
			text[len] = '\0';
			line(text, ctx);
			len = 0;
		}
	}
	close(fd);
	return true;
}

struct kernel_book {
	size_t rss, anonymous, heap;
	bool in_heap; /* the lines being read describe [heap] */
};

static bool kilobytes(const char *text, const char *name, size_t *ret_bytes)
{
	size_t len = strlen(name);
	if (strncmp(text, name, len) != 0)
		return false;
	*ret_bytes = (size_t)strtoull(text + len, NULL, 10) * 1024;
	return true;
}

static void rollup_line(const char *text, void *ctx)
{
	struct kernel_book *book = ctx;
	if (!kilobytes(text, "Rss:", &book->rss))
		(void)kilobytes(text, "Anonymous:", &book->anonymous);
}

/* A mapping's head line starts with its address in lower-case hex, a detail line with a capital letter. */
static void smaps_line(const char *text, void *ctx)
{
	struct kernel_book *book = ctx;
	size_t bytes = 0;
	if (*text < 'A' || *text > 'Z')
		book->in_heap = strstr(text, "[heap]") != NULL;
	else if (book->in_heap && kilobytes(text, "Rss:", &bytes))
		book->heap += bytes;
}

static int read_kernel(struct kernel_book *ret)
{
	*ret = (struct kernel_book){0};
	if (!each_proc_line("/proc/self/smaps_rollup", rollup_line, ret) || ret->rss == 0 ||
	    !each_proc_line("/proc/self/smaps", smaps_line, ret))
		return NEAP_EINVAL;
	return NEAP_OK;
}

static size_t less(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

int neap_account_take(struct neap_account *ret, const struct neap_account *base,
		      const struct neap_source *sources, size_t n)
{
	struct neap_parts parts = {0};
	for (size_t i = 0; i < n; i++)
		sources[i].parts(sources[i].object, &parts);
	struct kernel_book kernel;
	int error = read_kernel(&kernel);
	if (error != 0)
		return error;
	struct mallinfo2 info = mallinfo2();

	size_t source_bytes = parts.live + parts.tombstone + parts.empty + parts.free_held + parts.metadata;
	size_t from_system = less(source_bytes, parts.from_malloc);
	struct neap_account account = {
		.rss = kernel.rss,
		.tombstone = parts.tombstone,
		.empty = parts.empty,
		.metadata = parts.metadata,
		.malloc_live = less(info.uordblks + info.hblkhd, parts.from_malloc),
		.malloc_held = less(kernel.heap, info.uordblks),
		.file = less(kernel.rss, kernel.anonymous),
		.anonymous = kernel.anonymous,
		.objects = parts.objects,
		.spans = parts.spans,
	};
	account.other_anonymous = base != NULL
					  ? base->other_anonymous
					  : less(kernel.anonymous, kernel.heap + info.hblkhd + from_system);
	account.live = parts.live + account.malloc_live;
	account.free_held = parts.free_held + account.malloc_held;
	account.other = account.file + account.other_anonymous + parts.metadata;
	size_t sum = account.live + account.tombstone + account.empty + account.free_held + account.other;
	account.unexplained = (ptrdiff_t)account.rss - (ptrdiff_t)sum;
	*ret = account;
	return NEAP_OK;
}

void neap_parts_of_map(const void *map, struct neap_parts *ret)
{
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	ret->live += stats.live;
	ret->tombstone += stats.tombstone;
	ret->empty += stats.empty;
	ret->free_held += stats.free_held;
	ret->metadata += stats.metadata;
	ret->objects += stats.len;
	ret->spans += stats.segments;
}

void neap_parts_of_meter(const void *meter, struct neap_parts *ret)
{
	ret->from_malloc += ((const struct neap_meter *)meter)->bytes;
}

static void *meter_alloc(void *ctx, size_t size, size_t align)
{
	struct neap_meter *meter = ctx;
	void *block = neap__alloc(&neap__malloc_allocator, size, align);
	if (block != NULL) {
		meter->bytes += size;
		meter->blocks++;
	}
	return block;
}

static void meter_free(void *ctx, void *block, size_t size)
{
	struct neap_meter *meter = ctx;
	meter->bytes -= size;
	meter->blocks--;
	neap__free(&neap__malloc_allocator, block, size);
}

struct neap_allocator neap_meter_allocator(struct neap_meter *meter)
{
	return (struct neap_allocator){meter_alloc, meter_free, meter};
}

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int neap_impact_begin(struct neap_impact *impact, const struct neap_source *sources, size_t n)
{
	*impact = (struct neap_impact){.neap__sources = sources, .neap__n = n};
	int error = neap_account_take(&impact->before, NULL, sources, n);
	impact->neap__start = now();
	return error;
}

int neap_impact_end(struct neap_impact *impact)
{
	impact->nanoseconds = now() - impact->neap__start;
	const struct neap_account *before = &impact->before;
	struct neap_account *after = &impact->after;
	int error = neap_account_take(after, before, impact->neap__sources, impact->neap__n);
	if (error != 0)
		return error;
	impact->live = (ptrdiff_t)(after->live - before->live);
	impact->tombstone = (ptrdiff_t)(after->tombstone - before->tombstone);
	impact->empty = (ptrdiff_t)(after->empty - before->empty);
	impact->free_held = (ptrdiff_t)(after->free_held - before->free_held);
	impact->other = (ptrdiff_t)(after->other - before->other);
	impact->rss = (ptrdiff_t)(after->rss - before->rss);
	impact->objects = (ptrdiff_t)(after->objects - before->objects);
	impact->spans = (ptrdiff_t)(after->spans - before->spans);
	return NEAP_OK;
}
