/* internal.h: the bytes of a cache. docs/cache.md is the essay.
 *
 * Nouns
 *   entry   one block: links, times, key, value
 *   id      the number of an entry in its shard: what links are made of (id.c)
 *   index   a struct neap_map whose keys are entries, compared by the keys in them
 *   small, main   the two queues of S3-FIFO: new entries; those that were used while they were new
 *   ghost   remembers hashes of entries that left `small` unused
 *   wheel   5 rings of 64 slots of entries that end at some time
 *   step    what one operation may visit: NEAP_CACHE_STEP entries
 *   dead    what an operation removed: released and freed after it has given the lock back
 *
 * Laws, checked by neap__cache_check
 *   an entry is in the index        ==  it is in exactly one queue
 *   it is in the wheel              ==  it has an end
 *   bytes of a shard                ==  sum of the weights of its entries
 *   entries <= max_entries, bytes <= max_bytes, between operations
 *   no entry in the wheel ends before wheel.time, unless it is in the slot of that very time
 *
 * Time is counted in ticks, of which an entry keeps the low 32 bits. What they stand for follows from wheel.time:
 *   wheel.time - NEAP__LONGEST <= a time in an entry of the wheel < wheel.time + 3 NEAP__LONGEST
 * because no lap, time to idle or to be stale is longer than NEAP__LONGEST, and the shard's time is never further
 * ahead of the wheel than that and a half.
 */
#ifndef NEAP_SRC_CACHE_INTERNAL_H
#define NEAP_SRC_CACHE_INTERNAL_H

#include <pthread.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/key.h"
#include "neap/cache.h"

enum {
	NEAP__RINGS = 5,
	NEAP__RING_BITS = 6,
	NEAP__RING_SLOTS = 1 << NEAP__RING_BITS,
	NEAP__CACHE_SHARDS_MOST = 64,
	NEAP__CACHE_NAME_MOST = 63,
	NEAP__USES_MOST = 3,	/* uses that an entry is credited with: two bits, as in the paper */
	NEAP__SMALL_SHARE = 10, /* percent of the bounds for new entries, as in the paper */
	NEAP__EXPIRE_STEP =
		64, /* of NEAP_CACHE_STEP: for the wheel, in an operation that is about something else */
	NEAP__INDEX_SHARE = 16, /* bytes that the index takes for an entry, about */
};

#define NEAP__NEVER   UINT64_MAX
#define NEAP__LONGEST (UINT64_C(1) << 30) /* ticks: 124 days of 10 ms */
#define NEAP__LAP     (NEAP__LONGEST / 2) /* what is longer to live is counted in laps of this */
#define NEAP__HEAD    (UINT32_C(1) << 31) /* an id with this bit is the number of a ring's head */

/* Links of a ring, or its head, which is always part of it. */
struct neap__ring {
	uint32_t next, previous; /* ids, or heads */
};

enum neap__queue { NEAP__SMALL, NEAP__MAIN, NEAP__NO_QUEUE };

struct neap__entry {
	union {
		struct neap__ring queue;
		struct neap__entry *next_dead;
	};
	struct neap__ring timer; /* next 0: not in the wheel */
	uint64_t hash;
	size_t weight;	  /* bytes that count against the bound */
	uint32_t ends;	  /* tick, low bits; nothing when it is endless */
	uint32_t touched; /* tick of the last use, low bits */
	uint32_t size;	  /* bytes of this block */
	uint32_t id;	  /* 0: none yet, or dead */
	uint16_t laps;	  /* that follow on `ends` */
	uint8_t in;	  /* enum neap__queue */
	uint8_t uses;
	bool endless;	 /* no time to live */
	bool value_only; /* dead: holds an overwritten value; the key lives on */
};

enum { NEAP__ID_CHUNK = 512 };

struct neap__id_chunk {
	uint32_t used, first_free;
	union {
		struct neap__entry *entry;
		uintptr_t next_free;
	} places[NEAP__ID_CHUNK];
};

struct neap__ids {
	struct neap__id_chunk **chunks;
	uint64_t *free_places; /* bit c: chunk c has one, or is not there */
	size_t room;	       /* of `chunks` */
	size_t bytes;	       /* of the chunks that are there */
};

struct neap__wheel {
	uint64_t time;						 /* ticks before this one are done */
	uint64_t occupied[NEAP__RINGS];				 /* bit s: slot s has entries */
	struct neap__ring slots[NEAP__RINGS * NEAP__RING_SLOTS]; /* heads, ring 0 first */
};

struct neap__ghost {
	struct neap__ghost_place *places;
	size_t buckets; /* of 4 places; a power of two, or 0 */
	bool pages;	/* from the system: zeroed when they are touched, not at once */
	uint32_t now;	/* hashes remembered so far */
};

struct neap__flight;

struct neap__cache_shard {
	_Alignas(64) pthread_mutex_t lock;
	pthread_cond_t landed; /* some flight has ended */
	struct neap_cache *cache;
	struct neap_map *index;
	struct neap__ids ids;
	size_t bytes, queue_bytes[2], queue_len[2];
	struct neap__ring queues[2]; /* heads; next: newest */
	struct neap__ghost ghost;
	struct neap__wheel wheel;
	struct neap__flight *flights;
	size_t max_entries, max_bytes;
	size_t visited;	  /* by the operation that runs */
	uint64_t latest;  /* the time: of the latest operation */
	uint64_t skipped; /* ticks of the clock that the time left out: jumps that were too long */
	struct neap__entry *dead;
	struct neap_cache_stats counts;
};

struct neap_cache {
	const struct neap_map_type *type;
	struct neap_cache_options options; /* with the defaults filled in */
	struct neap_allocator allocator;
	uint64_t seed[2];
	uint32_t key_at, value_at, text_at, align; /* of and in an entry */
	uint64_t began;				   /* clock at creation */
	char name[NEAP__CACHE_NAME_MOST + 1];
	struct neap__cache_shard shards[];
};

static inline struct neap__entry *neap__id_entry(const struct neap__cache_shard *shard, uint32_t id)
{
	return shard->ids.chunks[(id - 1) / NEAP__ID_CHUNK]->places[(id - 1) % NEAP__ID_CHUNK].entry;
}

/* The key in the entry's own block. */
static inline const void *neap__entry_key(const struct neap_cache *cache, const struct neap__entry *entry)
{
	return (const char *)entry + cache->key_at;
}

static inline void *neap__entry_value(const struct neap_cache *cache, struct neap__entry *entry)
{
	return (char *)entry + cache->value_at;
}

/* What is left of the step. */
static inline bool neap__may_visit(const struct neap__cache_shard *shard, size_t most)
{
	return shard->visited < most;
}

/* ---- entry.c ---- */

/* A block with copies of both; NULL: no memory. */
struct neap__entry *neap__entry_make(struct neap_cache *cache, const void *key, uint64_t hash,
				     const void *value);
void neap__entry_free(struct neap_cache *cache, struct neap__entry *entry);
/* Takes it out of index, queue and wheel, and lays it with the dead. */
void neap__entry_remove(struct neap__cache_shard *shard, struct neap__entry *entry);
/* The entry of a key; NULL: none. */
struct neap__entry *neap__entry_find(struct neap__cache_shard *shard, const void *key, uint64_t hash);
extern const struct neap_map_type neap__index_type;
/* False: no memory. */
bool neap__index_add(struct neap__cache_shard *shard, struct neap__entry *entry);
void neap__index_remove(struct neap__cache_shard *shard, struct neap__entry *entry);
/* Unlocks, then releases and frees the dead. */
void neap__shard_leave(struct neap__cache_shard *shard);

/* ---- id.c ---- */

/* Gives an entry an id. False: no memory. */
bool neap__id_take(struct neap__cache_shard *shard, struct neap__entry *entry);
void neap__id_give(struct neap__cache_shard *shard, struct neap__entry *entry);
size_t neap__ids_bytes(const struct neap__ids *ids);
/* When no entry has an id any more. */
void neap__ids_free(struct neap__cache_shard *shard);

/* ---- wheel.c ---- */

void neap__wheel_init(struct neap__wheel *wheel);
bool neap__wheel_is_empty(const struct neap__wheel *wheel);
/* Of an entry that ends; `ends` may be over already. */
void neap__wheel_add(struct neap__cache_shard *shard, struct neap__entry *entry, uint64_t ends);
void neap__wheel_remove(struct neap__cache_shard *shard, struct neap__entry *entry);
/* Goes on towards `now`, visiting entries until the shard's step is at `most`: the ended ones are removed, those that
 * were used since are put further off. False: it has not arrived.
 */
bool neap__wheel_turn(struct neap__cache_shard *shard, uint64_t now, size_t most);

/* ---- evict.c ---- */

void neap__queues_init(struct neap__cache_shard *shard);
/* The oldest entry of a queue; NULL: none. */
struct neap__entry *neap__queue_oldest(const struct neap__cache_shard *shard, enum neap__queue queue);
void neap__queue_add(struct neap__cache_shard *shard, struct neap__entry *entry, enum neap__queue queue);
void neap__queue_remove(struct neap__cache_shard *shard, struct neap__entry *entry);
/* Evicts until `weight` bytes and one entry more are within the bounds; false: not within this step. */
bool neap__make_room(struct neap__cache_shard *shard, size_t weight, size_t entries);
/* The queue for a new entry: main when it was seen lately. */
enum neap__queue neap__queue_for(struct neap__cache_shard *shard, uint64_t hash);
void neap__ghost_free(struct neap__cache_shard *shard);
size_t neap__ghost_bytes(const struct neap__ghost *ghost);

/* ---- cache.c, load.c ---- */

struct neap__cache_shard *neap__cache_enter(struct neap_cache *cache, const void *key, uint64_t *ret_hash,
					    uint64_t *ret_now);
/* A live entry, or NULL; then *ret_stale is one that has ended and may still be handed out. */
struct neap__entry *neap__entry_live(struct neap__cache_shard *shard, const void *key, uint64_t hash,
				     uint64_t now, struct neap__entry **ret_stale);
/* The end of an entry as of now: of its time to live, or of its idleness, and of the time for which it may be stale. */
uint64_t neap__entry_end(const struct neap__cache_shard *shard, const struct neap__entry *entry);
/* Takes off the laps that the wheel has done. */
void neap__entry_draw_near(const struct neap__cache_shard *shard, struct neap__entry *entry);
/* A use: counts it and copies the value out. */
void neap__entry_use(struct neap__cache_shard *shard, struct neap__entry *entry, uint64_t now,
		     void *ret_value);
int neap__cache_store(struct neap__cache_shard *shard, const void *key, uint64_t hash, const void *value,
		      uint64_t ttl, uint64_t now, size_t extra);

/* ---- check.c ---- */

void neap__cache_check(struct neap_cache *cache);

#endif
