/* map.c: the operations on one key.
 *
 * A load is a section around one look-up. Every write does the same in one place, cmap_write: lock the shard, find the
 * key, let the operation decide, and settle. Nodes are made before the lock is taken and freed after it, so that no
 * call of an allocator is made under it but when a table changes its size.
 */
#include <string.h>

#include "base/random.h"
#include "cmap/table.h"

enum cmap_verb { ACT_STORE, ACT_LOAD_OR_STORE, ACT_SWAP_IF, ACT_DELETE, ACT_TAKE, ACT_DELETE_IF };

/* One write. */
struct cmap_act {
	enum cmap_verb verb;
	const void *key, *value, *expected;
	void *ret_value; /* may be NULL */
	uint64_t hash;
	struct neap__node *node; /* made for the value; NULL when it is in the map or was not needed */
};

static inline uint64_t key_hash(const struct neap_cmap *map, const void *key)
{
	return map->word_path ? neap__hash_fixed(key, sizeof(uint64_t), map->front.seed)
			      : neap__cmap_hash(map, key);
}

/* A writer has stopped half way through this very value: wait for it. */
static __attribute__((noinline)) bool load_locked(struct neap_cmap *map, uint64_t hash, const void *key,
						  void *ret_value)
{
	struct neap__cmap_shard *shard = neap__shard_take(map, hash);
	bool found = shard->table != NULL &&
		     neap__table_load(map, shard->table->word, hash, key, ret_value) == NEAP__FOUND;
	neap__word_lock_give(&shard->lock);
	return found;
}

/* In a section. */
static inline bool load_from(struct neap_cmap *map, uint64_t hash, const void *key, void *ret_value)
{
	uintptr_t table =
		atomic_load_explicit(&neap__directory_entry(map, hash)->table, memory_order_acquire);
	enum neap__outcome outcome;
	if (map->word_path) {
		uint64_t word, value;
		memcpy(&word, key, sizeof word);
		outcome = neap__load_home(table, hash, &word, 1, 1, &value);
		if (outcome == NEAP__FOUND && ret_value != NULL)
			memcpy(ret_value, &value, sizeof value);
	} else {
		outcome = NEAP__CHANGED;
	}
	if (outcome == NEAP__CHANGED)
		outcome = neap__table_load(map, table, hash, key, ret_value);
	return __builtin_expect(outcome == NEAP__CHANGED, 0) ? load_locked(map, hash, key, ret_value)
							     : outcome == NEAP__FOUND;
}

bool neap_cmap_load(struct neap_cmap *map, const void *key, void *ret_value)
{
	if (map == NULL)
		return false;
	const uint64_t hash = key_hash(map, key);
	struct neap__section section = neap__enter();
	bool found = load_from(map, hash, key, ret_value);
	neap__leave(section);
	if (__builtin_expect(atomic_load_explicit(&neap__epoch.now, memory_order_relaxed) != section.epoch,
			     0))
		neap__cmap_epoch_moved(map);
	return found;
}

void neap__cmap_epoch_moved(struct neap_cmap *map)
{
	neap__reclaim_some(map, true);
}

/* ---- Writing ---- */

static const void *spot_value(const struct neap_cmap *map, struct neap__spot spot, uint64_t *words)
{
	if (neap__cmap_has_nodes(map))
		return neap__node_value(map, neap__slot_node(spot.bucket, spot.slot));
	neap__spot_words(map, spot, words);
	return words + map->key_words;
}

/* The words that an act puts into a slot. */
static void act_words(const struct neap_cmap *map, struct cmap_act *act, uint64_t *ret)
{
	if (map->word_path) {
		ret[1] = 0;
		memcpy(ret, act->key, sizeof *ret);
		if (act->value != NULL)
			memcpy(ret + 1, act->value, sizeof *ret);
		return;
	}
	memset(ret, 0, map->slot_words * sizeof *ret);
	if (neap__cmap_has_nodes(map)) {
		*ret = (uintptr_t)act->node;
		act->node = NULL;
		return;
	}
	memcpy(ret, act->key, map->type->key_size);
	if (act->value != NULL)
		memcpy(ret + map->key_words, act->value, map->type->value_size);
}

static int act_insert(struct neap_cmap *map, struct neap__cmap_shard *shard, struct cmap_act *act)
{
	uint64_t words[(NEAP_CMAP_INLINE_KEY + NEAP_CMAP_INLINE_VALUE) / 8];
	if (act->node != NULL)
		shard->node_bytes += act->node->retired.size;
	act_words(map, act, words);
	neap__table_add(map, shard->table->word, act->hash, words);
	atomic_store_explicit(&shard->live, atomic_load_explicit(&shard->live, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	return 0;
}

static void act_replace(struct neap_cmap *map, struct neap__cmap_shard *shard, struct cmap_act *act,
			struct neap__spot spot)
{
	uint64_t words[(NEAP_CMAP_INLINE_KEY + NEAP_CMAP_INLINE_VALUE) / 8];
	struct neap__node *old = neap__cmap_has_nodes(map) ? neap__slot_node(spot.bucket, spot.slot) : NULL;
	if (act->node != NULL)
		shard->node_bytes += act->node->retired.size;
	act_words(map, act, words);
	neap__table_change(map, spot, words + map->key_words);
	if (old != NULL)
		neap__retire_node(shard, old, NEAP__RETIRED_VALUE);
}

static void act_delete(struct neap_cmap *map, struct neap__cmap_shard *shard, struct cmap_act *act,
		       struct neap__spot spot)
{
	struct neap__node *node = neap__cmap_has_nodes(map) ? neap__slot_node(spot.bucket, spot.slot) : NULL;
	neap__table_remove(map, shard->table->word, act->hash, spot);
	atomic_store_explicit(&shard->live, atomic_load_explicit(&shard->live, memory_order_relaxed) - 1,
			      memory_order_relaxed);
	if (node != NULL)
		neap__retire_node(shard, node,
				  act->verb == ACT_TAKE ? NEAP__RETIRED_KEY : NEAP__RETIRED_NODE);
}

/* On a locked shard, which it unlocks. *ret_done is false when the shard was split: once more. */
static int act_on(struct neap_cmap *map, struct neap__cmap_shard *shard, struct cmap_act *act, bool *ret_done)
{
	uint64_t words[(NEAP_CMAP_INLINE_KEY + NEAP_CMAP_INLINE_VALUE) / 8];
	const size_t size = map->type->value_size;
	struct neap__spot spot = {NULL, 0};
	int result = 0;
	*ret_done = true;
	if (shard->table != NULL)
		spot = neap__table_find(map, shard->table->word, act->hash, act->key);
	if (spot.bucket == NULL) {
		if (act->verb == ACT_STORE || act->verb == ACT_LOAD_OR_STORE) {
			result = neap__shard_grow(map, shard);
			*ret_done = result <= 0;
			if (!*ret_done)
				return result;
			if (result == 0)
				result = act_insert(map, shard, act);
		}
		neap__word_lock_give(&shard->lock);
		return result;
	}
	bool equal = true;
	if (act->ret_value != NULL || act->expected != NULL) {
		const void *present = spot_value(map, spot, words);
		if (act->ret_value != NULL)
			memcpy(act->ret_value, present, size);
		equal = act->expected == NULL || memcmp(present, act->expected, size) == 0;
	}
	if (act->verb == ACT_STORE || (act->verb == ACT_SWAP_IF && equal))
		act_replace(map, shard, act, spot);
	bool deletes =
		act->verb == ACT_DELETE || act->verb == ACT_TAKE || (act->verb == ACT_DELETE_IF && equal);
	if (deletes)
		act_delete(map, shard, act, spot);
	result = act->verb == ACT_STORE ? 0 : equal;
	if (deletes) {
		neap__shard_settle(map, shard);
	} else {
		if (shard->waiting.bytes >= NEAP__SHARD_BATCH)
			neap__retire_flush(map, shard);
		neap__word_lock_give(&shard->lock);
	}
	return result;
}

static int cmap_write(struct neap_cmap *map, struct cmap_act *act)
{
	act->hash = key_hash(map, act->key);
	if (neap__cmap_has_nodes(map) && act->verb <= ACT_SWAP_IF) {
		act->node = neap__node_make(map, act->key, act->hash, act->value);
		if (act->node == NULL)
			return NEAP_ENOMEM;
	}
	struct neap__section section = neap__enter();
	bool done;
	int result;
	do
		result = act_on(map, neap__shard_take(map, act->hash), act, &done);
	while (!done);
	neap__leave(section);
	neap__node_free(map, act->node);
	neap__reclaim_some(map, false);
	return result;
}

int neap_cmap_store(struct neap_cmap *map, const void *key, const void *value)
{
	struct cmap_act act = {.verb = ACT_STORE, .key = key, .value = value};
	return map == NULL ? NEAP_ENIL : cmap_write(map, &act);
}

int neap_cmap_load_or_store(struct neap_cmap *map, const void *key, const void *value, void *ret_value)
{
	struct cmap_act act = {.verb = ACT_LOAD_OR_STORE, .key = key, .value = value, .ret_value = ret_value};
	if (map == NULL)
		return NEAP_ENIL;
	/* Usually it is there: then nothing is written and nothing allocated. */
	return neap_cmap_load(map, key, ret_value) ? 1 : cmap_write(map, &act);
}

bool neap_cmap_delete(struct neap_cmap *map, const void *key)
{
	struct cmap_act act = {.verb = ACT_DELETE, .key = key};
	return map != NULL && cmap_write(map, &act) == 1;
}

bool neap_cmap_load_and_delete(struct neap_cmap *map, const void *key, void *ret_value)
{
	struct cmap_act act = {.verb = ACT_TAKE, .key = key, .ret_value = ret_value};
	return map != NULL && cmap_write(map, &act) == 1;
}

int neap_cmap_compare_and_swap(struct neap_cmap *map, const void *key, const void *expected,
			       const void *value)
{
	struct cmap_act act = {.verb = ACT_SWAP_IF, .key = key, .value = value, .expected = expected};
	return map == NULL ? NEAP_ENIL : cmap_write(map, &act);
}

bool neap_cmap_compare_and_delete(struct neap_cmap *map, const void *key, const void *expected)
{
	struct cmap_act act = {.verb = ACT_DELETE_IF, .key = key, .expected = expected};
	return map != NULL && cmap_write(map, &act) == 1;
}

/* ---- Sections ---- */

uint64_t neap_cmap_enter(void)
{
	return neap__enter().outer;
}

void neap_cmap_leave(uint64_t outer)
{
	struct neap__reader *reader = neap__reader_self;
	neap__leave((struct neap__section){reader != NULL ? reader : &neap__epochs.shared, outer, 0});
}

void neap_cmap_synchronize(void)
{
	uint64_t stamp = neap__epoch_stamp();
	while (!neap__epoch_passed(stamp))
		neap__os_yield();
}
