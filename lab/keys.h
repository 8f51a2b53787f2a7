/* keys.h: the keys that the lab and the tour work on, and where they come from.
 *
 * Keys are collected once, into a spool: an anonymous file in memory that no process maps. A measuring child
 * streams through it with a small buffer, so that the keys themselves never are part of its RSS, and every
 * phase (load, delete 99 %, delete the rest) sees the same keys in the same order.
 */
#ifndef NEAP_LAB_KEYS_H
#define NEAP_LAB_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "lab/text.h"
#include "neap/base.h"

/* The value of every key: for a path what stat says, for a line of a file where the line was. 24 bytes. */
struct file_facts {
	uint64_t size;	 /* bytes of the file; of the line */
	int64_t changed; /* seconds since 1970; number of the line */
	uint32_t mode, user;
};

enum {
	KEY_LONGEST = 64 << 10, /* bytes of one key: 16 times the longest path; more is no list of keys */
	KEYS_DEFAULT = 1000000, /* keys taken unless --n says otherwise: a tour stays under a minute */
	KEYS_MOST = 100000000,	/* keys that --n may ask for */
};
#define KEY_BYTES_MOST (UINT64_C(1) << 30) /* bytes of all keys: the spool is memory */

struct keys {
	int spool;			/* file descriptor */
	size_t n;			/* keys, duplicates included */
	uint64_t bytes;			/* of the keys */
	size_t longest;			/* bytes */
	size_t empty_lines, unreadable; /* left out: empty; could not be looked at, or vanished meanwhile */
	bool stopped_at_bound, stopped_at_time;
	char source[160]; /* "paths of this machine", "lines of FILE": for titles */
};

/* How to read. */
struct keys_options {
	size_t most;	     /* keys; the rest is left out and stopped_at_bound says so */
	double seconds;	     /* for the file system: give up looking after this long */
	bool zero_separated; /* keys end in NUL (find -print0) instead of newline */
};

/* All return 0, or an exit code (tool/command.h) with a sentence in `error` and nothing left open. */

/* One key a line, from `path`; "-" is standard input. */
int keys_from_file(struct keys *ret, const char *path, const struct keys_options *options,
		   struct text *error);
/* Every path under `root` that is on a disk or in memory; /proc, /sys and the like are left out. */
int keys_from_tree(struct keys *ret, const char *root, const struct keys_options *options,
		   struct text *error);
/* `n` keys of 16 hex digits, different for different seeds. The Go peers make the same. */
int keys_synthetic(struct keys *ret, size_t n, uint64_t seed, struct text *error);
void keys_close(struct keys *keys);

/* Adds one key; for the sources. 0 or an exit code. */
struct spool;
int spool_add(struct spool *spool, const char *key, size_t len, const struct file_facts *facts,
	      struct text *error);
/* A spool being written, `keys->spool` once spool_end returns 0. */
struct spool *spool_begin(struct keys *keys, struct text *error);
int spool_end(struct spool *spool, int status, struct text *error);

/* Streams through the keys. */
struct key_cursor {
	const struct keys *keys;
	uint64_t offset; /* in the spool, of the end of the buffer */
	size_t at, end;	 /* in the buffer */
	bool read_all;
	char *buffer;
};

void key_cursor_open(struct key_cursor *cursor, const struct keys *keys);
/* The next key, which lives until the next call; false at the end. `ret_facts` may be NULL. */
bool key_cursor_next(struct key_cursor *cursor, struct neap_str *ret, struct file_facts *ret_facts);
void key_cursor_rewind(struct key_cursor *cursor);
void key_cursor_close(struct key_cursor *cursor);

/* An even spread over all numbers: the same for the same seed, duplicates alike. */
uint32_t key_rank(struct neap_str key, uint64_t seed);
/* True for about 1 key in `one_in`, by its rank. The Go peers choose the same. */
bool key_is_kept(struct neap_str key, uint64_t seed, uint64_t one_in);

#endif
