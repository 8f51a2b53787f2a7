/* kernel_book.c: the resident memory of this process, by what it is for.
 *
 * Mappings have no labels but a few in brackets; the rest is told by its shape:
 *
 *     a file's mapping           its anonymous part is written data
 *     anonymous, behind a file   bss
 *     anonymous, behind a small inaccessible one (a guard)       a thread's stack
 *     from a multiple of 64 MB, writable, and from there inaccessible up to the next multiple at least
 *                                an arena of malloc (glibc's HEAP_MAX_SIZE)
 *     an address that Neap's heap owns                           that
 *
 * So a mapping is judged when the one behind it is known. How much of it is resident, its pages say (resident.h); where
 * the kernel can't tell that, smaps, which has the same lines and more. Files are read with one buffer on the stack: an account
 * that allocated would change what it measures.
 */
#include "observe/kernel_book.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "neap/heap.h"
#include "observe/resident.h"

enum {
	LINE_MOST = 512,	    /* bytes of a line that are looked at; paths may be longer */
	ARENA_BYTES = 64 << 20,	    /* HEAP_MAX_SIZE on 64-bit machines */
	GUARD_BYTES_MOST = 1 << 20, /* a thread's guard is a page unless it asks for more */
	LAZY_MOST = 16 << 20	    /* anonymous bytes: 0.5 ms of smaps_rollup */
};

bool neap__each_line(const char *path, void (*line)(const char *text, void *ctx), void *ctx)
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

enum mapping_kind { MAPPING_NONE, MAPPING_FILE, MAPPING_BRK, MAPPING_STACK, MAPPING_ANONYMOUS };

struct mapping {
	enum mapping_kind kind;
	uintptr_t start, end;
	bool writable, closed; /* closed: no access at all */
	size_t anonymous;
};

struct maps_reader {
	struct neap__kernel_book *book;
	struct mapping before, now;
	int pages; /* handle of resident.h; -1: smaps says it */
	bool refused;
};

static bool is_arena(const struct mapping *now, const struct mapping *after)
{
	if (now->start % ARENA_BYTES != 0 || !now->writable || now->end > now->start + ARENA_BYTES)
		return false;
	return now->end == now->start + ARENA_BYTES ||
	       (after->closed && after->start == now->end && after->end >= now->start + ARENA_BYTES);
}

static size_t *column_of(struct neap__kernel_book *book, const struct mapping *before,
			 const struct mapping *now, const struct mapping *after)
{
	bool adjacent = before->end == now->start;
	switch (now->kind) {
	case MAPPING_BRK: return &book->brk;
	case MAPPING_STACK: return &book->stacks;
	case MAPPING_FILE: return &book->data;
	default: break;
	}
	if (neap_heap_owns((const void *)now->start))
		return &book->neap_heap;
	if (is_arena(now, after))
		return &book->arenas;
	if (adjacent && before->closed && before->end - before->start <= GUARD_BYTES_MOST)
		return &book->stacks;
	if (adjacent && before->kind == MAPPING_FILE)
		return &book->data;
	return &book->rest;
}

/* `after` follows reader->now, which can be judged. */
static void next_mapping(struct maps_reader *reader, const struct mapping *after)
{
	if (reader->now.kind != MAPPING_NONE && reader->now.anonymous > 0)
		*column_of(reader->book, &reader->before, &reader->now, after) += reader->now.anonymous;
	reader->before = reader->now;
	reader->now = *after;
}

/* "start-end perms offset device inode   path" */
static struct mapping parse_head(const char *text)
{
	char *end;
	struct mapping mapping = {.kind = MAPPING_ANONYMOUS};
	mapping.start = strtoull(text, &end, 16);
	mapping.end = *end == '-' ? strtoull(end + 1, &end, 16) : mapping.start;
	mapping.closed = strncmp(end, " ---", 4) == 0;
	mapping.writable = strncmp(end, " rw", 3) == 0;
	for (int field = 0; field < 4 && *end != '\0'; field++) {
		end += strspn(end, " ");
		end += strcspn(end, " ");
	}
	end += strspn(end, " ");
	if (strcmp(end, "[heap]") == 0)
		mapping.kind = MAPPING_BRK;
	else if (strcmp(end, "[stack]") == 0)
		mapping.kind = MAPPING_STACK;
	else if (*end != '\0' && strncmp(end, "[anon", 5) != 0)
		mapping.kind = MAPPING_FILE;
	return mapping;
}

static bool kilobytes(const char *text, const char *name, size_t *ret_bytes)
{
	size_t len = strlen(name);
	if (strncmp(text, name, len) != 0)
		return false;
	*ret_bytes = (size_t)strtoull(text + len, NULL, 10) * 1024;
	return true;
}

/* A mapping's head line starts with its address in lower-case hex, a detail line with a capital letter. */
static void smaps_line(const char *text, void *ctx)
{
	struct maps_reader *reader = ctx;
	if (*text < 'A' || *text > 'Z') {
		struct mapping next = parse_head(text);
		next_mapping(reader, &next);
	} else {
		(void)kilobytes(text, "Anonymous:", &reader->now.anonymous);
	}
}

/* Pages of devices and of hugetlbfs are no resident memory to the kernel either. */
static bool has_pages(const char *text)
{
	const char *path = strpbrk(text, "/[");
	return path == NULL || !(strncmp(path, "[vvar", 5) == 0 || strcmp(path, "[vsyscall]") == 0 ||
				 strncmp(path, "/anon_hugepage", 14) == 0 ||
				 (strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/shm/", 9) != 0 &&
				  strncmp(path, "/dev/zero", 9) != 0));
}

static void maps_line(const char *text, void *ctx)
{
	struct maps_reader *reader = ctx;
	struct mapping next = parse_head(text);
	struct neap__resident resident = {0};
	if (has_pages(text) && !neap__resident_count_range(reader->pages, next.start, next.end, &resident))
		reader->refused = true;
	next.anonymous = resident.anonymous;
	reader->book->rss += resident.anonymous + resident.file;
	reader->book->anonymous += resident.anonymous;
	reader->book->huge_pages += resident.huge;
	next_mapping(reader, &next);
}

static void rollup_line(const char *text, void *ctx)
{
	struct neap__kernel_book *book = ctx;
	(void)(kilobytes(text, "Rss:", &book->rss) || kilobytes(text, "Anonymous:", &book->anonymous) ||
	       kilobytes(text, "LazyFree:", &book->lazy_free) ||
	       kilobytes(text, "AnonHugePages:", &book->huge_pages));
}

static const struct mapping no_mapping = {.kind = MAPPING_NONE};

static bool read_by_pages(struct neap__kernel_book *ret)
{
	struct maps_reader reader = {.book = ret, .pages = neap__resident_open()};
	if (reader.pages < 0)
		return false;
	bool read = neap__each_line("/proc/self/maps", maps_line, &reader) && !reader.refused;
	close(reader.pages);
	next_mapping(&reader, &no_mapping);
	return read && ret->rss > 0;
}

static bool read_by_smaps(struct neap__kernel_book *ret)
{
	struct maps_reader reader = {.book = ret};
	*ret = (struct neap__kernel_book){0};
	bool read = neap__each_line("/proc/self/smaps_rollup", rollup_line, ret) &&
		    neap__each_line("/proc/self/smaps", smaps_line, &reader);
	next_mapping(&reader, &no_mapping);
	return read && ret->rss > 0;
}

static void lazy_line(const char *text, void *ctx)
{
	(void)kilobytes(text, "LazyFree:", ctx);
}

int neap__kernel_book_read(struct neap__kernel_book *ret, bool lazy)
{
	*ret = (struct neap__kernel_book){0};
	if (!read_by_pages(ret))
		return read_by_smaps(ret) ? NEAP_OK : NEAP_EINVAL;
	ret->lazy_free = SIZE_MAX;
	if (lazy || ret->anonymous <= LAZY_MOST)
		(void)neap__each_line("/proc/self/smaps_rollup", lazy_line, &ret->lazy_free);
	return NEAP_OK;
}
