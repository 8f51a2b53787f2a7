/* tx.c: changes to a map that can be undone.
 *
 * The log has one record for each change, written before the change is made:
 *
 *     record   what it did      key                     value             to undo              to commit
 *     INSERT   put a new key    as given                -                 delete               nothing
 *     REPLACE  overwrote        as given                the old one       write the old one    release the old value
 *     DELETE   took out         as it was stored        the old one       put it back          release key and value
 *
 * Undoing goes from the last record to the first, so each finds the map as its change left it. Nothing is released
 * before the commit, because a rollback may need it: values are overwritten in their slots and entries are taken, not
 * deleted. Where the map owns its string keys, a record has a copy of the bytes; else it refers to the caller's.
 *
 * Law: applying the undo of all records, last first, gives the map as it was at the begin.
 */
#include <string.h>

#include "base/os.h"
#include "scope/internal.h"

enum change { INSERT, REPLACE, DELETE };

struct record {
	uint32_t change;
	uint32_t owned; /* bytes of the copy of a string key, or 0 */
};

struct neap_tx {
	struct neap__scope scope;
	struct neap_map *map; /* that is changed */
	struct neap_map *own; /* the transaction's, kept for reuse; NULL until one is needed */
	uint8_t *log;
	size_t count, room; /* records */
	size_t key_offset, value_offset, record_size;
};

static const struct neap_allocator *allocator_of(const struct neap_tx *tx)
{
	return &tx->scope.scopes->allocator;
}

static const struct neap_map_type *type_of(const struct neap_tx *tx)
{
	return tx->scope.scopes->type;
}

static struct record *record_at(const struct neap_tx *tx, size_t index)
{
	return (struct record *)(void *)(tx->log + index * tx->record_size);
}

static void *key_of(const struct neap_tx *tx, struct record *record)
{
	return (uint8_t *)record + tx->key_offset;
}

static void *recorded_value(const struct neap_tx *tx, struct record *record)
{
	return (uint8_t *)record + tx->value_offset;
}

/* ---- The log ---- */

static int log_make_room(struct neap_tx *tx)
{
	if (tx->count < tx->room)
		return NEAP_OK;
	size_t room = tx->room * 2 + 16;
	uint8_t *log = neap__alloc(allocator_of(tx), room * tx->record_size, 64);
	if (log == NULL)
		return NEAP_ENOMEM;
	if (tx->count != 0)
		memcpy(log, tx->log, tx->count * tx->record_size);
	neap__free(allocator_of(tx), tx->log, tx->room * tx->record_size);
	tx->log = log;
	tx->room = room;
	return NEAP_OK;
}

static bool tx_owns_strings(const struct neap_tx *tx)
{
	return type_of(tx)->kind == NEAP_KEY_STR && (type_of(tx)->flags & NEAP_MAP_OWN_KEYS) != 0;
}

/* The record of the next change, with its key; it counts only once the change has been made. NULL: no memory. */
static struct record *next_record(struct neap_tx *tx, enum change change, const void *key)
{
	if (log_make_room(tx) != NEAP_OK)
		return NULL;
	struct record *record = record_at(tx, tx->count);
	*record = (struct record){change, 0};
	memcpy(key_of(tx, record), key, type_of(tx)->key_size);
	if (!tx_owns_strings(tx))
		return record;
	struct neap_str str;
	memcpy(&str, key, sizeof str);
	record->owned = str.len + 1; /* one more, so that an empty key has bytes too */
	char *bytes = neap__alloc(allocator_of(tx), record->owned, 1);
	if (bytes == NULL)
		return NULL;
	if (str.len != 0)
		memcpy(bytes, str.ptr, str.len);
	str.ptr = bytes;
	memcpy(key_of(tx, record), &str, sizeof str);
	return record;
}

static void drop_copy(struct neap_tx *tx, struct record *record)
{
	if (record->owned == 0)
		return;
	struct neap_str str;
	memcpy(&str, key_of(tx, record), sizeof str);
	neap__free(allocator_of(tx), (void *)(uintptr_t)str.ptr, record->owned);
	record->owned = 0;
}

/* ---- Changes ---- */

static int tx_insert(struct neap_tx *tx, const void *key, const void *value)
{
	struct record *record = next_record(tx, INSERT, key);
	if (record == NULL)
		return NEAP_ENOMEM;
	int error = neap_map_put(tx->map, key, value);
	if (error == NEAP_OK)
		tx->count++;
	else
		drop_copy(tx, record);
	return error;
}

static int tx_replace(struct neap_tx *tx, const void *key, const void *old, const void *value)
{
	struct record *record = next_record(tx, REPLACE, key);
	if (record == NULL)
		return NEAP_ENOMEM;
	size_t size = type_of(tx)->value_size;
	if (size != 0)
		memcpy(recorded_value(tx, record), old, size);
	int error = NEAP_OK;
	if (type_of(tx)->release == NULL) {
		error = neap_map_put(tx->map, key, value);
	} else {
		/* A put would tx_release the old value. */
		void *slot = neap_map_slot(tx->map, key, NULL);
		if (slot == NULL)
			error = NEAP_ENOMEM;
		else if (value != NULL)
			memcpy(slot, value, size);
		else
			memset(slot, 0, size);
	}
	if (error == NEAP_OK)
		tx->count++;
	else
		drop_copy(tx, record);
	return error;
}

int neap_tx_put(struct neap_tx *tx, const void *key, const void *value)
{
	const void *old = neap_map_get(tx->map, key);
	return old == NULL ? tx_insert(tx, key, value) : tx_replace(tx, key, old, value);
}

int neap_tx_delete(struct neap_tx *tx, const void *key, bool *ret_deleted)
{
	if (ret_deleted != NULL)
		*ret_deleted = false;
	if (neap_map_get(tx->map, key) == NULL)
		return NEAP_OK;
	struct record *record = next_record(tx, DELETE, key);
	if (record == NULL)
		return NEAP_ENOMEM;
	struct neap_str taken;
	bool deleted = neap_map_take(tx->map, key, tx_owns_strings(tx) ? (void *)&taken : key_of(tx, record),
				     recorded_value(tx, record));
	if (!deleted) { /* it was there: a hook held it back */
		drop_copy(tx, record);
		return NEAP_EVETO;
	}
	if (tx_owns_strings(tx))
		neap_map_free_key(tx->map, &taken);
	tx->count++;
	if (ret_deleted != NULL)
		*ret_deleted = true;
	return NEAP_OK;
}

/* ---- The end ---- */

static void tx_release(const struct neap_tx *tx, void *key, void *value)
{
	if (type_of(tx)->release != NULL)
		type_of(tx)->release(key, value, type_of(tx)->release_ctx);
}

/* Undoes one change; on failure the map is as the change left it. */
static int tx_undo(struct neap_tx *tx, struct record *record)
{
	void *key = key_of(tx, record), *old = recorded_value(tx, record);
	size_t size = type_of(tx)->value_size;
	if (record->change == INSERT)
		return neap_map_delete(tx->map, key) ? NEAP_OK : NEAP_EVETO;
	if (record->change == DELETE)
		return neap_map_put(tx->map, key, old);
	if (type_of(tx)->release == NULL)
		return neap_map_put(tx->map, key, old);
	void *slot = neap_map_slot(tx->map, key, NULL);
	if (slot == NULL)
		return NEAP_EVETO;
	tx_release(tx, NULL, slot);
	if (size != 0)
		memcpy(slot, old, size);
	return NEAP_OK;
}

size_t neap_tx_savepoint(const struct neap_tx *tx)
{
	return tx->count;
}

int neap_tx_rollback_to(struct neap_tx *tx, size_t savepoint)
{
	if (savepoint > tx->count)
		return NEAP_EINVAL;
	while (tx->count > savepoint) {
		struct record *record = record_at(tx, tx->count - 1);
		int error = tx_undo(tx, record);
		if (error != NEAP_OK)
			return error;
		drop_copy(tx, record);
		tx->count--;
	}
	return NEAP_OK;
}

int neap_tx_rollback(struct neap_tx *tx)
{
	int error = neap_tx_rollback_to(tx, 0);
	if (error == NEAP_OK)
		neap__scope_end(&tx->scope);
	return error;
}

void neap_tx_commit(struct neap_tx *tx)
{
	for (size_t i = 0; i < tx->count; i++) {
		struct record *record = record_at(tx, i);
		if (record->change == REPLACE)
			tx_release(tx, NULL, recorded_value(tx, record));
		else if (record->change == DELETE)
			tx_release(tx, key_of(tx, record), recorded_value(tx, record));
		drop_copy(tx, record);
	}
	tx->count = 0;
	neap__scope_end(&tx->scope);
}

/* ---- The pool ---- */

static void *tx_create(void *ctx)
{
	struct neap_scopes *scopes = ctx;
	const struct neap_map_type *type = scopes->type;
	struct neap_tx *tx = neap__alloc(&scopes->allocator, sizeof *tx, _Alignof(struct neap_tx));
	if (tx == NULL)
		return NULL;
	*tx = (struct neap_tx){.scope = {.scopes = scopes}};
	size_t key_align = type->key_align, value_align = type->value_align != 0 ? type->value_align : 1;
	size_t most = key_align > value_align ? key_align : value_align;
	most = most < _Alignof(struct record) ? _Alignof(struct record) : most;
	tx->key_offset = (sizeof(struct record) + key_align - 1) & ~(key_align - 1);
	tx->value_offset = (tx->key_offset + type->key_size + value_align - 1) & ~(value_align - 1);
	tx->record_size = (tx->value_offset + type->value_size + most - 1) & ~(most - 1);
	neap__scope_enlist(&tx->scope, scopes, NEAP_SCOPE_TRANSACTION);
	return tx;
}

static void tx_destroy(void *object, void *ctx)
{
	struct neap_scopes *scopes = ctx;
	struct neap_tx *tx = object;
	neap__scope_delist(&tx->scope);
	neap_map_destroy(tx->own);
	neap__free(&scopes->allocator, tx->log, tx->room * tx->record_size);
	neap__free(&scopes->allocator, tx, sizeof *tx);
}

static void tx_reset(void *object, void *ctx)
{
	(void)ctx;
	struct neap_tx *tx = object;
	tx->map = NULL;
	neap_map_clear_keep(tx->own);
}

static bool tx_clean(const void *object, void *ctx)
{
	(void)ctx;
	const struct neap_tx *tx = object;
	return tx->count == 0 && neap_map_len(tx->own) == 0;
}

static size_t tx_bytes(const void *object, void *ctx)
{
	(void)ctx;
	const struct neap_tx *tx = object;
	return sizeof *tx + tx->room * tx->record_size + neap_map_bytes(tx->own);
}

const struct neap_pool_type neap__tx_pool = {.size = sizeof(struct neap_pool_type),
					     .create = tx_create,
					     .destroy = tx_destroy,
					     .reset = tx_reset,
					     .clean = tx_clean,
					     .bytes = tx_bytes};

static struct neap_map *own_map(struct neap_tx *tx)
{
	if (tx->own == NULL)
		tx->own =
			neap_map_create(type_of(tx), &(struct neap_map_options){.allocator = allocator_of(tx),
										.name = "transaction"});
	return tx->own;
}

struct neap_tx *neap_tx_begin(struct neap_scopes *scopes, struct neap_map *map)
{
	const struct neap_map_type *type = scopes->type;
	if (type->kind == NEAP_KEY_F32 || type->kind == NEAP_KEY_F64 ||
	    (map != NULL && neap_map_type_of(map) != type))
		return NULL;
	struct neap_tx *tx = neap__scope_begin(scopes, NEAP_SCOPE_TRANSACTION, __builtin_return_address(0));
	if (tx == NULL)
		return NULL;
	tx->map = map != NULL ? map : own_map(tx);
	if (tx->map == NULL) {
		neap__scope_end(&tx->scope);
		return NULL;
	}
	return tx;
}

struct neap_map *neap_tx_map(struct neap_tx *tx)
{
	return tx->map;
}
