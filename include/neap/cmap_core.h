/* neap/cmap_core.h: what a reader of a concurrent map reads, and the short path over it: load.
 *
 * Not for callers: neap/cmap_typed.h inlines this path for one type of key and value, the library instantiates it for
 * all others. src/cmap/internal.h has the whole picture, src/cmap/table.h says why a load is right, src/cmap/epoch.h
 * why what it reads is not freed meanwhile. C only: C++ calls the library.
 *
 *        63 ............ 40 39 ................ 8 7 ......... 0
 *       | directory, <= 24 |   home, 32 bits     |    tag     |       a hash
 *
 *   directory   | table, shard | table, shard | ...                   by the leading bits
 *   bucket      | tag 0 .. tag 6, passed | turn | slot 0 | .. | slot 6 |       8 + 8 + 7 * slot bytes
 */
#ifndef NEAP_CMAP_CORE_H
#define NEAP_CMAP_CORE_H

#include "neap/cmap.h"
#include "neap/map_core.h"

#ifndef __cplusplus

#	include <stdatomic.h>

enum {
	NEAP__BUCKET_SLOTS = 7,
	NEAP__BUCKET_HEAD = 2, /* words before the slots */
};
#	define NEAP__TAG_LOW UINT64_C(0x0001010101010101)

struct neap__bucket {
	_Atomic uint64_t tags; /* byte i: tag of slot i; byte 7: passed */
	_Atomic uint64_t
		turn; /* +2 when an entry leaves; odd while a value of several words is being written */
	_Atomic uint64_t words[];
};

struct neap__cmap_shard;

struct neap__directory_entry {
	_Atomic uintptr_t table; /* what readers read */
	_Atomic(struct neap__cmap_shard *) shard;
};

/* What a map begins with: what readers read. */
struct neap__cmap_front {
	_Atomic uintptr_t directory; /* address of its entries | 64 - depth */
	uint64_t seed[2];
};

/* ---- Sections ---- */

/* The epoch, on lines of its own: every reader reads it, whoever has something to free moves it on. */
struct neap__epoch {
	_Alignas(128) _Atomic uint64_t now; /* begins at 1 */
};
extern NEAP_API struct neap__epoch neap__epoch;

struct neap__reader {
	_Alignas(128) _Atomic uint64_t epoch; /* two lines, because processors fetch lines in pairs */
	struct neap__reader *next;	      /* never changes once published */
	_Atomic bool taken;
};

/* This thread's record; NULL: it has none yet, or has to pass a fence itself, for want of membarrier: the library
 * knows how.
 */
extern NEAP_API
	__attribute__((tls_model("initial-exec"))) _Thread_local struct neap__reader *neap__reader_plain;

struct neap__section {
	struct neap__reader *reader;
	uint64_t outer, epoch;
};

/* The thread's record is `reader`, and no fence is needed. */
NEAP__INLINE struct neap__section neap__enter_plain(struct neap__reader *reader)
{
	struct neap__section section = {reader, 0, 0};
	section.outer = atomic_load_explicit(&reader->epoch, memory_order_relaxed);
	section.epoch = atomic_load_explicit(&neap__epoch.now, memory_order_acquire);
	if (NEAP__LIKELY(section.outer == 0))
		atomic_store_explicit(&reader->epoch, section.epoch, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	return section;
}

NEAP__INLINE void neap__leave_plain(struct neap__section section)
{
	atomic_store_explicit(&section.reader->epoch, section.outer, memory_order_release);
}

/* Somebody ended an epoch during a section of this thread, which may have been in the way: frees what it can. */
NEAP_API void neap__cmap_epoch_moved(struct neap_cmap *map);

/* ---- For a collector, src/gc/cmap.c ---- */

/* Keys and values lie in the slots of a table or in a node. */
typedef bool neap__cmap_entry_fn(const void *key, const void *value, void *ctx);
/* Shows the entries of one table to the thread that marks, of which there is one at a time: without a lock, memory or
 * a wait. `*at` is 0 at first; false: that was the last table. What was stored meanwhile may be missed.
 */
bool neap__cmap_piece(struct neap_cmap *map, uint64_t *at, neap__cmap_entry_fn *each, void *ctx);
/* neap_cmap_range for one shard: `*at` is 0 at first, and again after the last. */
int neap__cmap_range_shard(struct neap_cmap *map, uint64_t *at, neap__cmap_entry_fn *each, void *ctx);
/* Sees to it that this thread has a reader's record of its own; false: no memory for one. */
bool neap__cmap_join(void);
/* From here on maps take part in forks; whoever registers a handler after this is asked before them. */
void neap__cmap_watch_fork(void);

/* ---- Tables ---- */

/* A table's word: the address of its buckets, a multiple of 64, and in the bits that it leaves free their number,
 * which is (2 + b) * 2^(32 - s):  b in bit 63, s in the low 6 bits, as a processor's shift wants it.
 */
NEAP__INLINE uintptr_t neap__table_buckets(uintptr_t word)
{
	return word & UINT64_C(0x7fffffffffffffc0);
}

/* The home bucket: the 32 home bits of the hash scaled to that number. */
NEAP__INLINE uint64_t neap__table_home(uintptr_t word, uint64_t hash)
{
	return ((uint64_t)(uint32_t)(hash >> 8) * (2 + (word >> 63))) >> (word & 63);
}

static inline uint64_t neap__cmap_tag(uint64_t hash)
{
	uint32_t tag = (uint8_t)hash;
	return tag + (tag < 1);
}

/* Bit i for every slot i with this tag. Exact: a false bit could name a slot without an entry, which still has the words
 * of the one that left.
 */
NEAP__INLINE uint32_t neap__tags_match(uint64_t tags, uint64_t tag)
{
#	if NEAP__SSE2
	__m128i equal = _mm_cmpeq_epi8(_mm_cvtsi64_si128((long long)tags),
				       _mm_cvtsi64_si128((long long)(tag * NEAP__TAG_LOW)));
	return (uint32_t)_mm_movemask_epi8(equal) & 0x7f;
#	else
	/* The top bit of each byte that is equal (Hacker's Delight 6-1: no carry crosses a byte), gathered. */
	const uint64_t low7 = UINT64_C(0x007f7f7f7f7f7f7f);
	uint64_t differs = tags ^ tag * NEAP__TAG_LOW;
	uint64_t equal = ~(((differs & low7) + low7) | differs | low7) & UINT64_C(0x0080808080808080);
	return (uint32_t)((equal >> 7) * UINT64_C(0x0102040810204000) >> 56);
#	endif
}

/* Inside a section, or with the structure lock. */
NEAP__INLINE struct neap__directory_entry *neap__directory_entry(struct neap_cmap *map, uint64_t hash)
{
	struct neap__cmap_front *front = (struct neap__cmap_front *)(void *)map;
	uintptr_t word = atomic_load_explicit(&front->directory, memory_order_acquire);
	struct neap__directory_entry *entries = (struct neap__directory_entry *)(word & ~(uintptr_t)63);
	return entries + (hash >> (word & 63));
}

enum neap__outcome { NEAP__ABSENT, NEAP__FOUND, NEAP__CHANGED };

NEAP__INLINE bool neap__same_key(const _Atomic uint64_t *words, const uint64_t *key, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (atomic_load_explicit(&words[i], memory_order_relaxed) != key[i])
			return false;
	return true;
}

#	ifdef __SANITIZE_THREAD__
/* The tool knows no fences: what they order is read with acquire besides. */
#		define NEAP__FENCE_ACQUIRE() atomic_signal_fence(memory_order_acquire)
#	else
#		define NEAP__FENCE_ACQUIRE() atomic_thread_fence(memory_order_acquire)
#	endif

/* One slot: claim 1 of src/cmap/table.h. `turn` was read before the tags. `kw` and `vw` are constants in the common case.
 * NEAP__ABSENT: it has another key.
 */
NEAP__INLINE enum neap__outcome neap__look(const struct neap__bucket *bucket, uint32_t slot, uint64_t turn,
					   const uint64_t *key, unsigned kw, unsigned vw, uint64_t *ret)
{
	const _Atomic uint64_t *words = bucket->words + (size_t)slot * (kw + vw);
	if (!neap__same_key(words, key, kw))
		return NEAP__ABSENT;
	for (unsigned i = 0; i < vw; i++)
		ret[i] = atomic_load_explicit(&words[kw + i], memory_order_acquire);
	NEAP__FENCE_ACQUIRE();
	/* A value of one word is written at once, so that no turn of its bucket is odd. */
	return atomic_load_explicit(&bucket->turn, memory_order_relaxed) == turn &&
			       (vw <= 1 || (turn & 1) == 0)
		       ? NEAP__FOUND
		       : NEAP__CHANGED;
}

/* The home bucket, and of that the first slot with the tag: enough for nearly every load. NEAP__CHANGED: look again, and
 * look further.
 */
NEAP__INLINE enum neap__outcome neap__load_home(uintptr_t table, uint64_t hash, const uint64_t *key,
						unsigned kw, unsigned vw, uint64_t *ret)
{
	const size_t bytes = 8 * (NEAP__BUCKET_HEAD + NEAP__BUCKET_SLOTS * (size_t)(kw + vw));
	const struct neap__bucket *bucket =
		(const struct neap__bucket *)(neap__table_buckets(table) +
					      neap__table_home(table, hash) * bytes);
	__builtin_prefetch((const uint8_t *)bucket + 64); /* where half of the slots are */
	uint64_t turn = atomic_load_explicit(&bucket->turn, memory_order_acquire);
	uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_acquire);
	uint32_t match = neap__tags_match(tags, neap__cmap_tag(hash));
	if (match == 0)
		return tags >> 56 == 0 ? NEAP__ABSENT : NEAP__CHANGED;
	enum neap__outcome outcome =
		neap__look(bucket, (uint32_t)__builtin_ctz(match), turn, key, kw, vw, ret);
	return outcome == NEAP__ABSENT ? NEAP__CHANGED : outcome;
}

/* neap_cmap_load for a key and a value of these sizes, both in the table, and the fast hash. */
NEAP__INLINE bool neap__cmap_load(struct neap_cmap *map, const void *key, size_t key_size, void *ret_value,
				  size_t value_size)
{
	if (NEAP__UNLIKELY(map == NULL))
		return false;
	struct neap__reader *reader = neap__reader_plain;
	if (NEAP__UNLIKELY(reader == NULL))
		return neap_cmap_load(map, key, ret_value);
	uint64_t words[NEAP_CMAP_INLINE_KEY / 8] = {0}, value[NEAP_CMAP_INLINE_VALUE / 8] = {0};
	memcpy(words, key, key_size);
	const uint64_t hash = neap__hash_fixed(key, key_size, ((struct neap__cmap_front *)(void *)map)->seed);
	struct neap__section section = neap__enter_plain(reader);
	uintptr_t table =
		atomic_load_explicit(&neap__directory_entry(map, hash)->table, memory_order_acquire);
	enum neap__outcome outcome = neap__load_home(table, hash, words, (unsigned)(key_size + 7) / 8,
						     (unsigned)(value_size + 7) / 8, value);
	neap__leave_plain(section);
	if (NEAP__UNLIKELY(atomic_load_explicit(&neap__epoch.now, memory_order_relaxed) != section.epoch))
		neap__cmap_epoch_moved(map);
	if (NEAP__UNLIKELY(outcome == NEAP__CHANGED))
		return neap_cmap_load(map, key, ret_value);
	if (outcome == NEAP__FOUND && ret_value != NULL)
		memcpy(ret_value, value, value_size);
	return outcome == NEAP__FOUND;
}

#endif
#endif
