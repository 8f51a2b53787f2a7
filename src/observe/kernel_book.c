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
 * So a mapping is judged when the one behind it is known. Files are read with one buffer on the stack: an account
 * that allocated would change what it measures.
 */
#include "observe/kernel_book.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "neap/heap.h"

enum {
	LINE_MOST = 512,	   /* bytes of a line that are looked at; paths may be longer */
	ARENA_BYTES = 64 << 20,	   /* HEAP_MAX_SIZE on 64-bit machines */
	GUARD_BYTES_MOST = 1 << 20 /* a thread's guard is a page unless it asks for more */
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

struct smaps_reader {
	struct neap__kernel_book *book;
	struct mapping before, now;
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
static void next_mapping(struct smaps_reader *reader, const struct mapping *after)
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
	struct smaps_reader *reader = ctx;
	if (*text < 'A' || *text > 'Z') {
		struct mapping next = parse_head(text);
		next_mapping(reader, &next);
	} else {
		(void)kilobytes(text, "Anonymous:", &reader->now.anonymous);
	}
}

static void rollup_line(const char *text, void *ctx)
{
	struct neap__kernel_book *book = ctx;
	(void)(kilobytes(text, "Rss:", &book->rss) || kilobytes(text, "Anonymous:", &book->anonymous) ||
	       kilobytes(text, "LazyFree:", &book->lazy_free) ||
	       kilobytes(text, "AnonHugePages:", &book->huge_pages));
}

int neap__kernel_book_read(struct neap__kernel_book *ret)
{
	*ret = (struct neap__kernel_book){0};
	struct smaps_reader reader = {.book = ret};
	const struct mapping end = {.kind = MAPPING_NONE};
	if (!neap__each_line("/proc/self/smaps_rollup", rollup_line, ret) || ret->rss == 0 ||
	    !neap__each_line("/proc/self/smaps", smaps_line, &reader))
		return NEAP_EINVAL;
	next_mapping(&reader, &end);
	return NEAP_OK;
}
