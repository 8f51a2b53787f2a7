/* internal.h: the bytes of a concurrent map. docs/cmap.md is the essay; here are the nouns, the picture and the laws.
 *
 * Nouns
 *   slot       one entry: the words of its key and value, or the address of its node
 *   node       a block with one key and one value, never changed once it is in the map
 *   bucket     7 slots behind a word of tags and a word that counts turns
 *   table      buckets; an entry is in its home bucket or in one after it
 *   shard      a table, the lock of its writers, and the part of the hashes that belongs to it
 *   directory  tables and shards by the leading bits of the hash (extendible hashing, Fagin 1979)
 *
 *        63 ............ 40 39 ................ 8 7 ......... 0
 *       | directory, <= 24 |   home, 32 bits     |    tag     |
 *
 *   bucket  | tag 0 .. tag 6, passed | turn | slot 0 | .. | slot 6 |       8 + 8 + 7 * slot bytes
 *
 * `passed` counts the entries that live beyond this bucket because it was full; at 255 it sticks. A look-up goes on
 * to the next bucket only while it is not 0.
 *
 * Who writes what
 *   the words of a bucket    whoever holds the lock of the shard
 *   entries of a directory   whoever holds the lock of a shard they belong to, and the map's structure lock
 *   a new table, shard, directory   its maker, before it is published
 *
 * Order of locks: a shard, shards of longer hash prefixes (neap__cmap_take_all only; otherwise another shard is only
 * ever tried), structure, retirement. Callbacks of the user run under none of them.
 *
 * Laws, checked by neap__cmap_check
 *   tag of slot != 0            ==  the slot has an entry
 *   live of a shard             ==  slots with an entry in its table
 *   passed of a bucket          ==  entries whose way from home to their bucket crosses it, unless it is 255
 *   the leading `depth` bits of every entry's hash  ==  the path of its shard
 *   each shard of depth d       is in 2^(D-d) neighbouring entries of the directory of depth D
 *
 * Why a reader never sees a torn value or another key's value: table.h. Why it never sees freed memory: epoch.h.
 */
#ifndef NEAP_SRC_CMAP_INTERNAL_H
#define NEAP_SRC_CMAP_INTERNAL_H

#include "base/alloc.h"
#include "base/assert.h"
#include "base/word_lock.h"
#include "cmap/epoch.h"
#include "neap/cmap_core.h"

enum {
	NEAP__CMAP_DEPTH_MOST = 24,
	NEAP__CMAP_SHARDS = 64, /* by default: 64 writers rarely meet, an empty map takes 8 KB */
	NEAP__CMAP_NAME_MOST = 63,
	NEAP__PAGES_FROM = 16 << 10, /* bytes of a table that comes as pages from the system */
	NEAP__WAIT_BATCH = 16 << 10, /* bytes that wait before the map asks whether the readers have left */
	NEAP__SHARD_BATCH = 1 << 10, /* bytes that wait in a shard before it hands them to the map */
#ifdef NEAP_HOSTILE
	NEAP__TABLE_BYTES = 1 << 10,
#else
	/* Largest table before the shard splits: about 6,000 entries of 16 bytes move then, in a third of a
	 * millisecond.
	 */
	NEAP__TABLE_BYTES = 128 << 10,
#endif
};

/* Something unreachable that a reader may still see. First member of whatever can become that. */
struct neap__retired {
	struct neap__retired *next;
	uint32_t kind; /* enum neap__retired_kind */
	uint32_t size; /* bytes of a node */
};

enum neap__retired_kind {
	NEAP__RETIRED_NODE,	/* release key and value */
	NEAP__RETIRED_VALUE,	/* release the value: the key lives on in another node */
	NEAP__RETIRED_KEY,	/* release the key: the value was handed out */
	NEAP__RETIRED_TABLE,	/* its entries live on in other tables */
	NEAP__RETIRED_CONTENTS, /* a table with its nodes */
	NEAP__RETIRED_SHARD,
	NEAP__RETIRED_DIRECTORY
};

/* First in, first out. */
struct neap__retired_list {
	struct neap__retired *first, **end; /* end: where the next goes; NULL means &first */
	size_t bytes;
};

struct neap__node {
	struct neap__retired retired;
	uint64_t hash;
	/* Then the key at map->key_at, the value at map->value_at, the bytes of a string key at map->text_at. */
};

/* buckets | code: the low 6 bits of the address say how many buckets there are. */
struct neap__cmap_table {
	struct neap__retired retired;
	uintptr_t word;
	size_t bytes;	 /* of the buckets */
	bool pages;	 /* they came from the system */
	size_t contents; /* bytes of the nodes that are retired with it */
};

struct neap__cmap_shard {
	_Alignas(64) struct neap__retired retired;
	struct neap__word_lock lock;
	bool dead; /* replaced: whoever gets the lock looks again */
	uint8_t depth;
	uint32_t path;	       /* leading `depth` bits of its hashes */
	_Atomic uint32_t live; /* entries; read without the lock by neap_cmap_len */
	/* NULL: no entry, and the word is that of the empty table. Written under structure and this lock. */
	struct neap__cmap_table *table;
	size_t node_bytes; /* of the nodes in the table */
	struct neap__retired_list waiting;
};

struct neap__directory {
	struct neap__retired retired;
	unsigned depth;
	_Alignas(64) struct neap__directory_entry entries[];
};

struct neap_cmap {
	struct neap__cmap_front front;
	uint32_t bucket_words, slot_words;
	uint32_t key_words, value_words; /* of a slot; 0 and 0: slots are addresses of nodes */
	bool word_path;			 /* a key of 8 bytes, a value of 8, the fast hash */
	const struct neap_map_type *type;
	_Atomic size_t waiting_hint; /* bytes in fresh and pending, roughly */

	/* What writers write seldom. */
	_Alignas(128) struct neap__word_lock structure;
	unsigned least_depth;
	uint32_t at_depth[NEAP__CMAP_DEPTH_MOST + 1]; /* shards; structure lock */
	_Atomic size_t bytes; /* of everything but nodes: handed out and not got back */
	_Atomic uint64_t resizes, splits, merges, reclaims;
	uint8_t largest;		    /* code of the largest table before a split */
	uint32_t key_at, value_at, text_at; /* in a node */
	struct neap_allocator allocator;
	bool system_pages;

	/* Retirement, under its lock. */
	struct neap__word_lock retirement;
	struct neap__retired_list fresh;   /* became unreachable since `stamp` */
	struct neap__retired_list pending; /* before it */
	uint64_t stamp;
	size_t ask_at; /* bytes waiting at which to ask again */

	struct neap_cmap *previous, *next; /* all maps, for fork */
	char name[NEAP__CMAP_NAME_MOST + 1];
	const struct neap_beacon *beacon; /* keeps it in a program that is linked statically */
};

extern const struct neap_beacon neap__cmap_beacon; /* layout.c */

/* ---- node.c: hashing, comparing, nodes ---- */

uint64_t neap__cmap_hash(const struct neap_cmap *map, const void *key);
/* The hash of the key in a slot of words. */
uint64_t neap__cmap_slot_hash(const struct neap_cmap *map, const struct neap__bucket *bucket, unsigned slot);
bool neap__node_equal(const struct neap_cmap *map, const struct neap__node *node, const void *key,
		      uint64_t hash);
/* A node with copies of both; value NULL: zeroes. NULL: no memory. */
struct neap__node *neap__node_make(struct neap_cmap *map, const void *key, uint64_t hash, const void *value);
void neap__node_free(struct neap_cmap *map, struct neap__node *node);

static inline bool neap__cmap_has_nodes(const struct neap_cmap *map)
{
	return map->key_words == 0;
}

static inline void *neap__node_key(const struct neap_cmap *map, struct neap__node *node)
{
	return (uint8_t *)node + map->key_at;
}

static inline void *neap__node_value(const struct neap_cmap *map, struct neap__node *node)
{
	return (uint8_t *)node + map->value_at;
}

/* ---- memory.c ---- */

void *neap__cmap_alloc(struct neap_cmap *map, size_t size, size_t align);
void neap__cmap_free(struct neap_cmap *map, void *block, size_t size);
struct neap__cmap_table *neap__table_make(struct neap_cmap *map, unsigned code);
void neap__table_free(struct neap_cmap *map, struct neap__cmap_table *table);
struct neap__cmap_shard *neap__shard_make(struct neap_cmap *map, unsigned depth, uint32_t path);
size_t neap__directory_bytes(unsigned depth);
struct neap__directory *neap__directory_make(struct neap_cmap *map, unsigned depth);
void neap__directory_free(struct neap_cmap *map, struct neap__directory *directory);

/* ---- retire.c ---- */

void neap__list_add(struct neap__retired_list *list, struct neap__retired *retired, size_t bytes);
/* Of a node that has just left its table; the shard is locked. */
void neap__retire_node(struct neap__cmap_shard *shard, struct neap__node *node, enum neap__retired_kind kind);
/* Of anything else that has just become unreachable. Takes the retirement lock. */
void neap__retire(struct neap_cmap *map, struct neap__retired *retired, enum neap__retired_kind kind);
/* Hands what waits in a shard, which is locked, to the map. */
void neap__retire_flush(struct neap_cmap *map, struct neap__cmap_shard *shard);
/* Frees what no reader can see when enough is waiting. No lock may be held. `reader`: the epoch ended during a
 * section of this thread, which therefore may be what a writer found in its way; so the last one to leave cleans up.
 */
void neap__reclaim_some(struct neap_cmap *map, bool reader);
/* Frees everything that waits; nobody uses the map. */
void neap__reclaim_all(struct neap_cmap *map);

/* ---- directory.c: which shard and which table belong to a hash ---- */

/* The shard of a hash, locked. Inside a section. */
struct neap__cmap_shard *neap__shard_take(struct neap_cmap *map, uint64_t hash);
struct neap__directory *neap__directory_of(struct neap_cmap *map);
void neap__directory_set(struct neap_cmap *map, struct neap__directory *directory);
/* Makes the entries of a shard say what it says. Structure lock, or the directory is not published yet. */
void neap__directory_assign(struct neap__directory *directory, struct neap__cmap_shard *shard);
/* Deepens by one bit. Structure lock. False: no memory. */
bool neap__directory_deepen(struct neap_cmap *map);
/* Takes off the bits that no shard needs. Structure lock. Without memory the directory stays as it is. */
void neap__directory_flatten(struct neap_cmap *map);

/* ---- shard.c: growing and shrinking ---- */

/* Makes room for one more entry. 0 with the shard locked; 1 when it was split: it is unlocked and the caller looks
 * again; NEAP_ENOMEM with everything as it was, locked.
 */
int neap__shard_grow(struct neap_cmap *map, struct neap__cmap_shard *shard);
/* After a delete: a smaller table, or one shard of two, when that is worth it. Unlocks the shard. */
void neap__shard_settle(struct neap_cmap *map, struct neap__cmap_shard *shard);
/* Deletes everything in a shard. All locks. */
void neap__shard_empty(struct neap_cmap *map, struct neap__cmap_shard *shard);
/* All shards, in order of their paths. */
void neap__cmap_take_all(struct neap_cmap *map);
void neap__cmap_give_all(struct neap_cmap *map);
/* The first hash after those of the shard; 0 when there is none. */
static inline uint64_t neap__shard_end(const struct neap__cmap_shard *shard)
{
	return shard->depth == 0 ? 0 : ((uint64_t)shard->path + 1) << (64 - shard->depth);
}

/* ---- fork.c ---- */

extern struct neap_cmap *neap__cmap_list; /* all maps, the youngest first; under a lock of that file */
void neap__cmap_enlist(struct neap_cmap *map);
void neap__cmap_delist(struct neap_cmap *map);

/* ---- check.c ---- */

/* Aborts when a law is broken. Nobody may be writing. */
void neap__cmap_check(struct neap_cmap *map);

#endif
