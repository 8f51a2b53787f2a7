/* table.c: one table. table.h has the protocol and why it is right. */
#include "cmap/table.h"

#include <string.h>

enum { WORDS_MOST = (NEAP_CMAP_INLINE_KEY + NEAP_CMAP_INLINE_VALUE) / 8 };

const struct neap__bucket neap__no_bucket __attribute__((aligned(64))) = {0};

static struct neap__node *load_node(const struct neap_cmap *map, uintptr_t table, uint64_t hash,
				    const void *key)
{
	const uint64_t home = neap__table_home(table, hash), tag = neap__cmap_tag(hash);
	for (uint64_t index = home;;) {
		const struct neap__bucket *bucket = neap__bucket_at(map, table, index);
		uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_acquire);
		for (uint32_t match = neap__tags_match(tags, tag); match != 0; match &= match - 1) {
			struct neap__node *node = neap__slot_node(bucket, (unsigned)__builtin_ctz(match));
			if (node != NULL && neap__node_equal(map, node, key, hash))
				return node;
		}
		if (tags >> 56 == 0)
			return NULL;
		index = neap__next_bucket(index, table);
		if (index == home)
			return NULL;
	}
}

/* All buckets on the way: claims 1 and 2. NEAP__CHANGED: a writer was in the way NEAP__TRIES times. */
static enum neap__outcome load_words(const struct neap_cmap *map, uintptr_t table, uint64_t hash,
				     const uint64_t *key, uint64_t *ret)
{
	const uint64_t home = neap__table_home(table, hash), tag = neap__cmap_tag(hash);
	const unsigned kw = map->key_words, vw = map->value_words;
	unsigned tries = 0;
	for (uint64_t index = home;;) {
		const struct neap__bucket *bucket = neap__bucket_at(map, table, index);
		uint64_t turn = atomic_load_explicit(&bucket->turn, memory_order_acquire);
		uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_acquire);
		enum neap__outcome outcome = NEAP__ABSENT;
		for (uint32_t match = neap__tags_match(tags, tag); match != 0 && outcome == NEAP__ABSENT;
		     match &= match - 1)
			outcome = neap__look(bucket, (uint32_t)__builtin_ctz(match), turn, key, kw, vw, ret);
		if (outcome == NEAP__FOUND || (outcome == NEAP__CHANGED && ++tries == NEAP__TRIES))
			return outcome;
		if (outcome == NEAP__CHANGED)
			continue;
		if (tags >> 56 == 0)
			return NEAP__ABSENT;
		index = neap__next_bucket(index, table);
		if (index == home)
			return NEAP__ABSENT;
	}
}

enum neap__outcome neap__table_load(const struct neap_cmap *map, uintptr_t table, uint64_t hash,
				    const void *key, void *ret_value)
{
	if (neap__cmap_has_nodes(map)) {
		struct neap__node *node = load_node(map, table, hash, key);
		if (node != NULL && ret_value != NULL && map->type->value_size != 0)
			memcpy(ret_value, neap__node_value(map, node), map->type->value_size);
		return node != NULL ? NEAP__FOUND : NEAP__ABSENT;
	}
	uint64_t words[WORDS_MOST] = {0}, value[WORDS_MOST];
	memcpy(words, key, map->type->key_size);
	enum neap__outcome outcome = load_words(map, table, hash, words, value);
	if (outcome == NEAP__FOUND && ret_value != NULL)
		memcpy(ret_value, value, map->type->value_size);
	return outcome;
}

/* neap__table_find for keys of `kw` words, a constant in the common case. */
static inline __attribute__((always_inline)) struct neap__spot
find_words(const struct neap_cmap *map, uintptr_t table, uint64_t hash, const uint64_t *key, unsigned kw)
{
	const uint64_t home = neap__table_home(table, hash), tag = neap__cmap_tag(hash);
	for (uint64_t index = home;;) {
		struct neap__bucket *bucket = neap__bucket_at(map, table, index);
		uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_relaxed);
		for (uint32_t match = neap__tags_match(tags, tag); match != 0; match &= match - 1) {
			unsigned slot = (unsigned)__builtin_ctz(match);
			if (neap__same_key(neap__slot_words(map, bucket, slot), key, kw))
				return (struct neap__spot){bucket, slot};
		}
		index = neap__next_bucket(index, table);
		if (tags >> 56 == 0 || index == home)
			return (struct neap__spot){NULL, 0};
	}
}

static struct neap__spot find_node(const struct neap_cmap *map, uintptr_t table, uint64_t hash,
				   const void *key)
{
	const uint64_t home = neap__table_home(table, hash), tag = neap__cmap_tag(hash);
	for (uint64_t index = home;;) {
		struct neap__bucket *bucket = neap__bucket_at(map, table, index);
		uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_relaxed);
		for (uint32_t match = neap__tags_match(tags, tag); match != 0; match &= match - 1) {
			unsigned slot = (unsigned)__builtin_ctz(match);
			if (neap__node_equal(map, neap__slot_node(bucket, slot), key, hash))
				return (struct neap__spot){bucket, slot};
		}
		index = neap__next_bucket(index, table);
		if (tags >> 56 == 0 || index == home)
			return (struct neap__spot){NULL, 0};
	}
}

struct neap__spot neap__table_find(const struct neap_cmap *map, uintptr_t table, uint64_t hash,
				   const void *key)
{
	uint64_t words[NEAP_CMAP_INLINE_KEY / 8];
	if (map->word_path) {
		memcpy(words, key, sizeof *words);
		return find_words(map, table, hash, words, 1);
	}
	if (neap__cmap_has_nodes(map))
		return find_node(map, table, hash, key);
	words[map->key_words - 1] = 0; /* the end of the last one may be padding */
	memcpy(words, key, map->type->key_size);
	return find_words(map, table, hash, words, map->key_words);
}

/* The first slot without an entry, or NEAP__BUCKET_SLOTS. */
static unsigned free_slot(uint64_t tags)
{
	uint32_t empty = neap__tags_match(tags, 0);
	return empty != 0 ? (unsigned)__builtin_ctz(empty) : NEAP__BUCKET_SLOTS;
}

void neap__table_add(const struct neap_cmap *map, uintptr_t table, uint64_t hash, const uint64_t *words)
{
	for (uint64_t index = neap__table_home(table, hash);; index = neap__next_bucket(index, table)) {
		struct neap__bucket *bucket = neap__bucket_at(map, table, index);
		uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_relaxed);
		unsigned slot = free_slot(tags);
		if (slot == NEAP__BUCKET_SLOTS) {
			/* Passed before the entry is there: readers that look for it go on. */
			if (tags >> 56 != NEAP__PASSED_MOST)
				atomic_store_explicit(&bucket->tags, tags + NEAP__PASSED_1,
						      memory_order_release);
			continue;
		}
		/* With release: a reader with older tags in hand may read the address of this node already. */
		_Atomic uint64_t *at = neap__slot_words(map, bucket, slot);
		for (unsigned i = 0; i < map->slot_words; i++)
			atomic_store_explicit(&at[i], words[i], memory_order_release);
		atomic_store_explicit(&bucket->tags, tags | neap__cmap_tag(hash) << 8 * slot,
				      memory_order_release);
		return;
	}
}

void neap__table_remove(const struct neap_cmap *map, uintptr_t table, uint64_t hash, struct neap__spot spot)
{
	uint64_t tags = atomic_load_explicit(&spot.bucket->tags, memory_order_relaxed);
	uint64_t turn = atomic_load_explicit(&spot.bucket->turn, memory_order_relaxed);
	atomic_store_explicit(&spot.bucket->tags, tags & ~(UINT64_C(0xff) << 8 * spot.slot),
			      memory_order_release);
	atomic_store_explicit(&spot.bucket->turn, turn + 2, memory_order_release);
	atomic_thread_fence(memory_order_release); /* before the words of the slot's next entry */
	if (neap__cmap_has_nodes(map))
		atomic_store_explicit(neap__slot_words(map, spot.bucket, spot.slot), 0, memory_order_relaxed);

	for (uint64_t index = neap__table_home(table, hash);; index = neap__next_bucket(index, table)) {
		struct neap__bucket *bucket = neap__bucket_at(map, table, index);
		if (bucket == spot.bucket)
			return;
		tags = atomic_load_explicit(&bucket->tags, memory_order_relaxed);
		if (tags >> 56 != NEAP__PASSED_MOST)
			atomic_store_explicit(&bucket->tags, tags - NEAP__PASSED_1, memory_order_release);
	}
}

void neap__table_change(const struct neap_cmap *map, struct neap__spot spot, const uint64_t *words)
{
	_Atomic uint64_t *at = neap__slot_words(map, spot.bucket, spot.slot) + map->key_words;
	if (map->slot_words - map->key_words <= 1) {
		if (map->slot_words != map->key_words)
			atomic_store_explicit(at, *words, memory_order_release);
		return;
	}
	uint64_t turn = atomic_load_explicit(&spot.bucket->turn, memory_order_relaxed);
	atomic_store_explicit(&spot.bucket->turn, turn + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < map->value_words; i++)
		atomic_store_explicit(&at[i], words[i], memory_order_release);
	atomic_store_explicit(&spot.bucket->turn, turn + 2, memory_order_release);
}

void neap__spot_words(const struct neap_cmap *map, struct neap__spot spot, uint64_t *ret)
{
	const _Atomic uint64_t *at = neap__slot_words(map, spot.bucket, spot.slot);
	for (unsigned i = 0; i < map->slot_words; i++)
		ret[i] = atomic_load_explicit(&at[i], memory_order_acquire);
}

struct neap__walk neap__walk_start(const struct neap_cmap *map, uintptr_t table)
{
	return (struct neap__walk){.map = map,
				   .table = table,
				   .bucket = (uint64_t)-1,
				   .buckets = neap__code_buckets(neap__table_code(table))};
}

bool neap__walk_next(struct neap__walk *walk)
{
	while (walk->left == 0) {
		if (++walk->bucket == walk->buckets)
			return false;
		walk->spot.bucket = neap__bucket_at(walk->map, walk->table, walk->bucket);
		uint64_t tags = atomic_load_explicit(&walk->spot.bucket->tags, memory_order_acquire);
		for (unsigned slot = 0; slot < NEAP__BUCKET_SLOTS; slot++)
			if ((tags >> 8 * slot & 0xff) != 0)
				walk->left |= UINT64_C(1) << slot;
	}
	walk->spot.slot = (unsigned)__builtin_ctzll(walk->left);
	walk->left &= walk->left - 1;
	return true;
}
