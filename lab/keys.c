/* keys.c: the spool, and reading keys from a file or making them up. walk.c reads the file system.
 *
 * A record of the spool: length (4 bytes), facts (24 bytes), the key's bytes. Native byte order: it never
 * leaves this machine.
 *
 * What a key file may be: any text, one key a line, in any encoding. Refused: a line over KEY_LONGEST bytes (it
 * is not read to its end, so a line of a gigabyte costs as much as one of 64 KB), and a NUL byte (a binary
 * file) unless keys are NUL-separated. Empty lines are counted and left out.
 */
#include "lab/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lab/progress.h"
#include "tool/command.h"

enum {
	BUFFER = 2 * KEY_LONGEST, /* bytes: a record always fits */
	PROGRESS_EVERY = 1 << 12, /* keys between looks at the clock */
	SYNTHETIC_LENGTH = 16,	  /* hex digits of 64 bits */
};

struct record_head {
	uint32_t len;
	uint32_t unused;
	struct file_facts facts;
};

struct spool {
	struct keys *keys;
	size_t used;
	char buffer[BUFFER];
};

static int spool_flush(struct spool *spool, struct text *error)
{
	for (size_t at = 0; at < spool->used;) {
		ssize_t wrote = write(spool->keys->spool, spool->buffer + at, spool->used - at);
		if (wrote < 0) {
			text_printf(error, "no memory to hold the keys: %s; --n takes fewer",
				    strerror(errno));
			return EXIT_PARTIAL;
		}
		at += (size_t)wrote;
	}
	spool->used = 0;
	return 0;
}

struct spool *spool_begin(struct keys *keys, struct text *error)
{
	struct spool *spool = malloc(sizeof *spool);
	int fd = memfd_create("neap-keys", MFD_CLOEXEC);
	if (spool == NULL || fd < 0) {
		text_printf(error, "no memory to hold the keys: %s", strerror(errno));
		free(spool);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	keys->spool = fd;
	spool->keys = keys;
	spool->used = 0;
	return spool;
}

int spool_add(struct spool *spool, const char *key, size_t len, const struct file_facts *facts,
	      struct text *error)
{
	struct keys *keys = spool->keys;
	struct record_head head = {.len = (uint32_t)len, .facts = *facts};
	if (keys->bytes + len > KEY_BYTES_MOST) {
		text_printf(error,
			    "the keys are longer than %llu MB in all, the limit; --n %zu takes the first",
			    (unsigned long long)(KEY_BYTES_MOST >> 20), keys->n);
		return EXIT_USAGE;
	}
	if (spool->used + sizeof head + len > sizeof spool->buffer) {
		int status = spool_flush(spool, error);
		if (status != 0)
			return status;
	}
	memcpy(spool->buffer + spool->used, &head, sizeof head);
	memcpy(spool->buffer + spool->used + sizeof head, key, len);
	spool->used += sizeof head + len;
	keys->n++;
	keys->bytes += len;
	keys->longest = len > keys->longest ? len : keys->longest;
	return 0;
}

int spool_end(struct spool *spool, int status, struct text *error)
{
	struct keys *keys = spool->keys;
	if (status == 0)
		status = spool_flush(spool, error);
	free(spool);
	if (status != 0)
		keys_close(keys);
	return status;
}

void keys_close(struct keys *keys)
{
	if (keys->spool > 0)
		close(keys->spool);
	*keys = (struct keys){0};
}

/* A file being cut into keys. */
struct cutter {
	const char *name; /* for messages */
	int fd;
	char separator;
	size_t line; /* number of the line being read, from 1 */
	uint64_t at; /* offset of the next byte in the file */
	size_t len;  /* bytes of the line so far */
	char text[KEY_LONGEST];
	struct spool *spool;
	const struct keys_options *options;
};

static const char *unit_of(const struct cutter *cutter)
{
	return cutter->separator == '\0' ? "key" : "line";
}

static int end_line(struct cutter *cutter, struct text *error)
{
	struct keys *keys = cutter->spool->keys;
	struct file_facts facts = {.size = cutter->len, .changed = (int64_t)cutter->line};
	size_t len = cutter->len;
	cutter->len = 0;
	cutter->line++;
	if (len == 0) {
		keys->empty_lines++;
		return 0;
	}
	if (cutter->line % PROGRESS_EVERY == 0)
		progress_step("reading keys", keys->n, 0);
	return spool_add(cutter->spool, cutter->text, len, &facts, error);
}

static int cut_byte(struct cutter *cutter, char byte, struct text *error)
{
	cutter->at++;
	if (byte == cutter->separator)
		return end_line(cutter, error);
	if (byte == '\0') {
		text_printf(error,
			    "%s: a NUL byte at offset %llu (line %zu): a binary file, not one key a line; "
			    "for keys "
			    "that end in NUL use --null",
			    cutter->name, (unsigned long long)cutter->at - 1, cutter->line);
		return EXIT_USAGE;
	}
	if (cutter->len == KEY_LONGEST) {
		text_printf(error, "%s: %s %zu is longer than %d bytes, the limit for one key", cutter->name,
			    unit_of(cutter), cutter->line, KEY_LONGEST);
		return EXIT_USAGE;
	}
	cutter->text[cutter->len++] = byte;
	return 0;
}

static int cut_file(struct cutter *cutter, struct text *error)
{
	static char buffer[64 << 10];
	const struct keys *keys = cutter->spool->keys;
	int status = 0;
	for (ssize_t got; status == 0 && (got = read(cutter->fd, buffer, sizeof buffer)) != 0;) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			text_printf(error, "%s: %s after %llu bytes", cutter->name, strerror(errno),
				    (unsigned long long)cutter->at);
			return errno == EISDIR ? EXIT_USAGE : EXIT_NO_TARGET;
		}
		for (ssize_t i = 0; i < got && status == 0; i++) {
			if (keys->n == cutter->options->most) {
				cutter->spool->keys->stopped_at_bound = true;
				return 0;
			}
			status = cut_byte(cutter, buffer[i], error);
		}
	}
	if (status == 0 && cutter->len > 0)
		status = end_line(cutter, error);
	return status;
}

static int read_keys(struct keys *keys, int fd, const char *name, const struct keys_options *options,
		     struct text *error)
{
	struct spool *spool = spool_begin(keys, error);
	struct cutter *cutter = malloc(sizeof *cutter);
	if (spool == NULL || cutter == NULL) {
		free(spool);
		free(cutter);
		return EXIT_PARTIAL;
	}
	cutter->name = name;
	cutter->fd = fd;
	cutter->separator = options->zero_separated ? '\0' : '\n';
	cutter->line = 1;
	cutter->at = cutter->len = 0;
	cutter->spool = spool;
	cutter->options = options;
	int status = cut_file(cutter, error);
	free(cutter);
	progress_end();
	if (status == 0 && keys->n == 0) {
		text_printf(error, "%s: no keys in it: needs at least one line that is not empty", name);
		status = EXIT_USAGE;
	}
	return spool_end(spool, status, error);
}

int keys_from_file(struct keys *ret, const char *path, const struct keys_options *options, struct text *error)
{
	*ret = (struct keys){0};
	bool standard_input = strcmp(path, "-") == 0;
	const char *name = standard_input ? "standard input" : path;
	const char *base = strrchr(path, '/');
	snprintf(ret->source, sizeof ret->source, "%s of %s", options->zero_separated ? "keys" : "lines",
		 standard_input ? name
		 : base != NULL ? base + 1
				: path);
	int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		text_printf(error, "%s: %s", path, strerror(errno));
		return EXIT_NO_TARGET;
	}
	int status = read_keys(ret, fd, name, options, error);
	if (!standard_input)
		close(fd);
	return status;
}

/* splitmix64: a bijection of the counter, so all keys differ. */
static uint64_t synthetic(uint64_t seed, uint64_t i)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + i;
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

int keys_synthetic(struct keys *ret, size_t n, uint64_t seed, struct text *error)
{
	*ret = (struct keys){0};
	snprintf(ret->source, sizeof ret->source, "made-up keys of %d bytes", SYNTHETIC_LENGTH);
	struct spool *spool = spool_begin(ret, error);
	if (spool == NULL)
		return EXIT_PARTIAL;
	int status = 0;
	for (size_t i = 0; i < n && status == 0; i++) {
		char key[SYNTHETIC_LENGTH + 1];
		snprintf(key, sizeof key, "%016llx", (unsigned long long)synthetic(seed, i));
		struct file_facts facts = {.size = i};
		status = spool_add(spool, key, SYNTHETIC_LENGTH, &facts, error);
		if (i % PROGRESS_EVERY == 0)
			progress_step("making keys", i, n);
	}
	progress_end();
	return spool_end(spool, status, error);
}

void key_cursor_open(struct key_cursor *cursor, const struct keys *keys)
{
	*cursor = (struct key_cursor){.keys = keys, .buffer = malloc(BUFFER)};
}

/* Moves what is left to the front and reads more behind it. */
static void cursor_fill(struct key_cursor *cursor)
{
	memmove(cursor->buffer, cursor->buffer + cursor->at, cursor->end - cursor->at);
	cursor->end -= cursor->at;
	cursor->at = 0;
	ssize_t got = pread(cursor->keys->spool, cursor->buffer + cursor->end, BUFFER - cursor->end,
			    (off_t)cursor->offset);
	cursor->read_all = got <= 0;
	if (got > 0) {
		cursor->end += (size_t)got;
		cursor->offset += (uint64_t)got;
	}
}

bool key_cursor_next(struct key_cursor *cursor, struct neap_str *ret, struct file_facts *ret_facts)
{
	struct record_head head;
	if (cursor->buffer == NULL)
		return false;
	if (!cursor->read_all && cursor->end - cursor->at < sizeof head + KEY_LONGEST)
		cursor_fill(cursor);
	if (cursor->end - cursor->at < sizeof head)
		return false;
	memcpy(&head, cursor->buffer + cursor->at, sizeof head);
	if (ret_facts != NULL)
		*ret_facts = head.facts;
	*ret = (struct neap_str){cursor->buffer + cursor->at + sizeof head, head.len, 0};
	cursor->at += sizeof head + head.len;
	return true;
}

void key_cursor_rewind(struct key_cursor *cursor)
{
	cursor->at = cursor->end = 0;
	cursor->offset = 0;
	cursor->read_all = false;
}

void key_cursor_close(struct key_cursor *cursor)
{
	free(cursor->buffer);
	cursor->buffer = NULL;
}

uint32_t key_rank(struct neap_str key, uint64_t seed)
{
	uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325); /* FNV-1a, then mixed: any even spread will do */
	for (uint32_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.ptr[i]) * UINT64_C(0x100000001b3);
	hash ^= hash >> 32;
	hash *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(hash >> 32);
}

bool key_is_kept(struct neap_str key, uint64_t seed, uint64_t one_in)
{
	return key_rank(key, seed) % one_in == 0;
}
