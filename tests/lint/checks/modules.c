/* Neap's other modules: scopes, guards, profiles, interface values. A label stands above each function. */
#include "neap/any.h"
#include "neap/cmap.h"
#include "neap/guard.h"
#include "neap/heap.h"
#include "neap/map.h"
#include "neap/profile.h"
#include "neap/scope.h"

struct session {
	int id;
};

// bad value-kept-across-change: a transient table moves what it holds, too
int bad_transient_kept(struct neap_transient *table, const void *a, const void *b)
{
	struct session *s = neap_transient_get(table, a);
	if (s == NULL || neap_transient_put(table, b, &(struct session){2}) != 0)
		return 0;
	return s->id;
}
// good value-kept-across-change: read before
int good_transient_kept(struct neap_transient *table, const void *a, const void *b)
{
	struct session *s = neap_transient_get(table, a);
	int id = s != NULL ? s->id : 0;
	return neap_transient_put(table, b, &(struct session){2}) == 0 ? id : 0;
}

// bad use-after-free: the table goes back with what it holds
int bad_transient_ended(struct neap_scopes *scopes, const void *key)
{
	struct neap_transient *table = neap_transient_begin(scopes);
	if (table == NULL)
		return 0;
	bool inserted;
	struct session *s = neap_transient_slot(table, key, &inserted);
	neap_transient_end(table);
	return s != NULL ? s->id : 0;
}
// good use-after-free: read before the end
int good_transient_ended(struct neap_scopes *scopes, const void *key)
{
	struct neap_transient *table = neap_transient_begin(scopes);
	if (table == NULL)
		return 0;
	bool inserted;
	struct session *s = neap_transient_slot(table, key, &inserted);
	int id = s != NULL ? s->id : 0;
	neap_transient_end(table);
	return id;
}

// bad leak: a transaction that nobody ends
int bad_open_transaction(struct neap_scopes *scopes, struct neap_map *map, const void *key)
{
	struct neap_tx *tx = neap_tx_begin(scopes, map);
	if (tx == NULL)
		return -1;
	if (neap_tx_delete(tx, key, NULL) != 0)
		return -1;
	neap_tx_commit(tx);
	return 0;
}
// good leak: undone on failure
int good_open_transaction(struct neap_scopes *scopes, struct neap_map *map, const void *key)
{
	struct neap_tx *tx = neap_tx_begin(scopes, map);
	if (tx == NULL)
		return -1;
	if (neap_tx_delete(tx, key, NULL) != 0)
		return neap_tx_rollback(tx);
	neap_tx_commit(tx);
	return 0;
}

// bad use-after-free: a transaction after its commit
int bad_after_commit(struct neap_tx *tx, const void *key)
{
	neap_tx_commit(tx);
	return neap_tx_delete(tx, key, NULL);
}
// good use-after-free: the commit comes last
int good_after_commit(struct neap_tx *tx, const void *key)
{
	int error = neap_tx_delete(tx, key, NULL);
	neap_tx_commit(tx);
	return error;
}

// bad leak: the next version is neither published nor discarded
int bad_prepared(struct neap_live *live, const void *key, const void *value)
{
	struct neap_map *next = neap_live_prepare(live);
	if (next == NULL || neap_map_put(next, key, value) != 0)
		return -1;
	return neap_live_publish(live, next);
}
// good leak: one of the two on each way
int good_prepared(struct neap_live *live, const void *key, const void *value)
{
	struct neap_map *next = neap_live_prepare(live);
	if (next == NULL)
		return -1;
	if (neap_map_put(next, key, value) != 0) {
		neap_live_discard(live, next);
		return -1;
	}
	return neap_live_publish(live, next);
}

// bad mismatched-release: a version belongs to the scopes' pool
void bad_version_destroyed(struct neap_live *live)
{
	struct neap_map *next = neap_live_prepare(live);
	neap_map_destroy(next);
}
// good mismatched-release: discarded
void good_version_destroyed(struct neap_live *live)
{
	struct neap_map *next = neap_live_prepare(live);
	if (next != NULL)
		neap_live_discard(live, next);
}

// bad use-after-free: the allocator lives in its quarantine
void *bad_quarantine(void)
{
	struct neap_quarantine *q = neap_quarantine_create(NULL, 1 << 20);
	if (q == NULL)
		return NULL;
	const struct neap_allocator *from = neap_quarantine_allocator(q);
	neap_quarantine_destroy(q);
	return from->alloc(from->ctx, 8, 8);
}
// good use-after-free: used before the end
int good_quarantine(void)
{
	struct neap_quarantine *q = neap_quarantine_create(NULL, 1 << 20);
	if (q == NULL)
		return -1;
	const struct neap_allocator *from = neap_quarantine_allocator(q);
	void *block = from->alloc(from->ctx, 8, 8);
	from->free(from->ctx, block, 8);
	return (int)neap_quarantine_destroy(q);
}

// bad unchecked-result: the value may be of another type
int64_t bad_assertion(struct neap_any value)
{
	const int64_t *number = neap_any_as(&value, &neap_any_type_i64);
	return *number;
}
// good unchecked-result: looked at
int64_t good_assertion(struct neap_any value)
{
	const int64_t *number = neap_any_as(&value, &neap_any_type_i64);
	return number != NULL ? *number : 0;
}

// bad double-free: a block of the span heap
void bad_heap_block(void)
{
	void *block = neap_heap_alloc(64);
	neap_heap_free(block);
	neap_heap_free(block);
}
// good double-free: another block
void good_heap_block(void)
{
	void *block = neap_heap_alloc(64);
	neap_heap_free(block);
	block = neap_heap_alloc(64);
	neap_heap_free(block);
}

// bad leak: a profile belongs to who took it
int64_t bad_profile(void)
{
	struct neap_profile *profile = neap_profile_take();
	return profile != NULL ? neap_profile_total(profile, NEAP_PROFILE_ALLOC_OBJECTS) : 0;
}
// good leak: destroyed
int64_t good_profile(void)
{
	struct neap_profile *profile = neap_profile_take();
	int64_t total = profile != NULL ? neap_profile_total(profile, NEAP_PROFILE_ALLOC_OBJECTS) : 0;
	neap_profile_destroy(profile);
	return total;
}

// bad leak: the recycler of scopes is lost
int bad_scopes(const struct neap_map_type *type)
{
	struct neap_scopes *scopes = neap_scopes_create(type, NULL);
	return scopes != NULL;
}
// good leak: destroyed
int good_scopes(const struct neap_map_type *type)
{
	struct neap_scopes *scopes = neap_scopes_create(type, NULL);
	return neap_scopes_destroy(scopes) == 0;
}

// bad unchecked-result: there may be no memory for the first version
size_t bad_live(struct neap_scopes *scopes)
{
	struct neap_live *live = neap_live_create(scopes);
	uint32_t ticket;
	size_t n = neap_map_len(neap_live_enter(live, &ticket));
	neap_live_leave(live, ticket);
	neap_live_destroy(live);
	return n;
}
// good unchecked-result: looked at
size_t good_live(struct neap_scopes *scopes)
{
	struct neap_live *live = neap_live_create(scopes);
	if (live == NULL)
		return 0;
	uint32_t ticket;
	size_t n = neap_map_len(neap_live_enter(live, &ticket));
	neap_live_leave(live, ticket);
	neap_live_destroy(live);
	return n;
}

// bad use-after-free: a version that was discarded is filled on
int bad_version(struct neap_live *live, long key)
{
	struct neap_map *next = neap_live_prepare(live);
	if (next == NULL)
		return -1;
	neap_live_discard(live, next);
	return neap_map_put(next, &key, &key);
}
// good use-after-free: filled, published, and discarded only when that is refused
int good_version(struct neap_live *live, long key)
{
	struct neap_map *next = neap_live_prepare(live);
	if (next == NULL)
		return -1;
	int error = neap_map_put(next, &key, &key);
	if (error == 0)
		error = neap_live_publish(live, next);
	if (error != 0)
		neap_live_discard(live, next);
	return error;
}

// bad unchecked-result: a reference into a map that may not be there
int bad_reference(const struct neap_map_type *type, long key)
{
	struct neap_map *map = neap_map_create(type, NULL);
	struct neap_ref ref = neap_ref_of(map, neap_map_get(map, &key));
	int found = ref.value != NULL;
	neap_map_destroy(map);
	return found;
}
// good unchecked-result: looked at
int good_reference(const struct neap_map_type *type, long key)
{
	struct neap_map *map = neap_map_create(type, NULL);
	if (map == NULL)
		return 0;
	struct neap_ref ref = neap_ref_of(map, neap_map_get(map, &key));
	int found = ref.value != NULL;
	neap_map_destroy(map);
	return found;
}

// good null-dereference: what was loaded is not what stood there before
long good_loaded(struct neap_cmap *map, long key)
{
	long *value = NULL;
	return neap_cmap_load(map, &key, &value) ? *value : 0;
}
// bad null-dereference: nothing was loaded
long bad_loaded(struct neap_cmap *map, long key)
{
	long *value = NULL;
	return !neap_cmap_delete(map, &key) ? *value : 0;
}
