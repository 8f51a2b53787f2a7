/* neap/transient_core.h: the bytes of a transient table, and the short paths over them.
 *
 * Not for callers: neap/transient_typed.h inlines these paths for one type of key and value, the library instantiates
 * them for all others (src/scope/transient.c). C only: C++ calls the library.
 *
 *     | stamp | hash | key | value |      2^bits slots of this form, linear probing
 *
 * A slot is in use when its stamp is the table's generation. Clearing adds 1 to the generation: every slot is empty
 * then, whatever lies in it. After 2^32 - 1 generations the stamps are zeroed once.
 *
 * Law: the probe sequence from the home of an entry to the entry holds no empty slot; live <= limit, 3/4 of the slots.
 */
#ifndef NEAP_TRANSIENT_CORE_H
#define NEAP_TRANSIENT_CORE_H

#include "neap/map_core.h"
#include "neap/scope.h"

#ifndef __cplusplus

#	include <stdatomic.h>

/* What every object of a class begins with (src/scope/internal.h). */
struct neap__scope {
	struct neap_scopes *scopes;
	struct neap__scope *next, *before; /* in the list; under its lock */
	_Atomic uint64_t since; /* clock when it went out; 0: it is idle, or its age does not count */
	const void *_Atomic caller;
	uint32_t scope_class;
};

struct neap__transient_head {
	uint32_t stamp;
	uint32_t hash; /* the upper half */
};

/* Of a slot, in bytes, its head included. */
struct neap__transient_shape {
	uint32_t key_size, value_size, key_offset, value_offset, slot_size;
	bool strings; /* keys are struct neap_str */
};

struct neap_transient {
	struct neap__scope scope;
	uint8_t *slots; /* NULL: none yet; live and limit are 0 then */
	uint32_t mask;	/* slots - 1 */
	uint32_t shift; /* 32 - log2 of the slots */
	uint32_t generation, live, limit;
	struct neap__transient_shape shape;
	uint64_t seed[2];
};

/* Makes room for one more. 0, NEAP_ENOMEM or NEAP_ETOOBIG. */
NEAP_API int neap__transient_grow(struct neap_transient *table);

NEAP__INLINE struct neap__transient_head *neap__transient_at(const struct neap_transient *table,
							     uint32_t index, uint32_t slot_size)
{
	return (struct neap__transient_head *)(void *)(table->slots + (size_t)index * slot_size);
}

NEAP__INLINE uint32_t neap__transient_home(const struct neap_transient *table, uint32_t hash)
{
	return hash >> table->shift;
}

NEAP__INLINE uint32_t neap__transient_hash(const struct neap_transient *table, const void *key,
					   struct neap__transient_shape shape)
{
	if (shape.key_size == 8)
		return (uint32_t)(neap__hash_fixed(key, 8, table->seed) >> 32);
	if (shape.strings)
		return (uint32_t)(neap__hash_str(*(const struct neap_str *)key, table->seed) >> 32);
	return (uint32_t)(neap__hash_fixed(key, shape.key_size, table->seed) >> 32);
}

NEAP__INLINE bool neap__transient_equal(const struct neap__transient_head *head, const void *key,
					struct neap__transient_shape shape)
{
	const uint8_t *stored = (const uint8_t *)head + shape.key_offset;
	if (shape.key_size == 8)
		return memcmp(stored, key, 8) == 0;
	if (!shape.strings)
		return memcmp(stored, key, shape.key_size) == 0;
	struct neap_str a, b;
	memcpy(&a, stored, sizeof a);
	memcpy(&b, key, sizeof b);
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The slot of the key, or the empty one where it would go. There is one. */
NEAP__INLINE struct neap__transient_head *neap__transient_find(const struct neap_transient *table,
							       const void *key, uint32_t hash,
							       struct neap__transient_shape shape)
{
	for (uint32_t i = neap__transient_home(table, hash);; i = (i + 1) & table->mask) {
		struct neap__transient_head *head = neap__transient_at(table, i, shape.slot_size);
		if (head->stamp != table->generation ||
		    (head->hash == hash && neap__transient_equal(head, key, shape)))
			return head;
	}
}

NEAP__INLINE void *neap__transient_get(const struct neap_transient *table, const void *key,
				       struct neap__transient_shape shape)
{
	if (NEAP__UNLIKELY(table == NULL || table->live == 0))
		return NULL;
	struct neap__transient_head *head =
		neap__transient_find(table, key, neap__transient_hash(table, key, shape), shape);
	return head->stamp == table->generation ? (uint8_t *)head + shape.value_offset : NULL;
}

/* The value slot; a new one is not zeroed. *ret_error only when NULL. */
NEAP__INLINE uint8_t *neap__transient_place(struct neap_transient *table, const void *key, bool *ret_inserted,
					    int *ret_error, struct neap__transient_shape shape)
{
	if (NEAP__UNLIKELY(table->live >= table->limit)) {
		*ret_error = neap__transient_grow(table);
		if (*ret_error != NEAP_OK)
			return NULL;
	}
	const uint32_t hash = neap__transient_hash(table, key, shape);
	struct neap__transient_head *head = neap__transient_find(table, key, hash, shape);
	*ret_inserted = head->stamp != table->generation;
	if (*ret_inserted) {
		*head = (struct neap__transient_head){table->generation, hash};
		uint8_t *to = (uint8_t *)head + shape.key_offset;
		if (shape.key_size == 8)
			memcpy(to, key, 8);
		else
			memcpy(to, key, shape.key_size);
		table->live++;
	}
	return (uint8_t *)head + shape.value_offset;
}

NEAP__INLINE int neap__transient_put(struct neap_transient *table, const void *key, const void *value,
				     struct neap__transient_shape shape)
{
	if (NEAP__UNLIKELY(table == NULL))
		return NEAP_ENIL;
	bool inserted;
	int error = NEAP_OK;
	uint8_t *to = neap__transient_place(table, key, &inserted, &error, shape);
	if (NEAP__UNLIKELY(to == NULL))
		return error;
	if (value == NULL)
		memset(to, 0, shape.value_size);
	else if (shape.value_size == 8)
		memcpy(to, value, 8);
	else
		memcpy(to, value, shape.value_size);
	return NEAP_OK;
}

NEAP__INLINE void *neap__transient_slot(struct neap_transient *table, const void *key, bool *ret_inserted,
					struct neap__transient_shape shape)
{
	bool inserted = false;
	int error;
	uint8_t *to = table == NULL ? NULL : neap__transient_place(table, key, &inserted, &error, shape);
	if (inserted)
		memset(to, 0, shape.value_size);
	if (ret_inserted != NULL)
		*ret_inserted = inserted;
	return to;
}

#endif
#endif
