/* transient.c: a table for one request, cleared by counting.
 *
 *     | stamp | hash | key | value |      2^bits slots of this form, linear probing
 *
 * A slot is in use when its stamp is the table's generation. Clearing adds 1 to the generation: every slot is empty
 * then, whatever lies in it. After 2^32 - 1 generations the stamps are zeroed once. A delete shifts the entries that
 * follow back into the gap (Knuth 6.4 R), so that no slot is ever half empty.
 *
 * Law: the probe sequence from the home of an entry to the entry holds no empty slot; live <= 3/4 of the slots.
 */
#include <string.h>

#include "base/os.h"
#include "scope/internal.h"

struct transient_head {
	uint32_t stamp;
	uint32_t hash; /* the upper half */
};

struct neap_transient {
	struct neap__scope scope;
	uint8_t *slots; /* NULL: none yet */
	uint32_t bits;	/* log2 of their number */
	uint32_t generation;
	uint32_t live;
	uint32_t key_size, value_size;
	uint32_t key_offset, value_offset, slot_size; /* of a slot, its head included */
	bool strings;
	uint64_t seed[2];
};

enum { FIRST_BITS = 4 };

static uint32_t align_up(uint32_t offset, uint32_t align)
{
	return (offset + align - 1) & ~(align - 1);
}

static size_t bytes_of_slots(const struct neap_transient *table)
{
	return table->slots == NULL ? 0 : (size_t)table->slot_size << table->bits;
}

/* ---- Slots ---- */

NEAP__INLINE struct transient_head *head_at(const struct neap_transient *table, uint32_t index)
{
	return (struct transient_head *)(void *)(table->slots + (size_t)index * table->slot_size);
}

NEAP__INLINE uint32_t transient_home(const struct neap_transient *table, uint32_t hash)
{
	return hash >> (32 - table->bits);
}

NEAP__INLINE uint32_t next_of(const struct neap_transient *table, uint32_t index)
{
	return (index + 1) & ((UINT32_C(1) << table->bits) - 1);
}

NEAP__INLINE uint32_t hash_of(const struct neap_transient *table, const void *key)
{
	if (table->key_size == 8)
		return (uint32_t)(neap__hash_fixed(key, 8, table->seed) >> 32);
	if (table->strings)
		return (uint32_t)(neap__hash_str(*(const struct neap_str *)key, table->seed) >> 32);
	if (table->key_size <= 16)
		return (uint32_t)(neap__hash_fixed(key, table->key_size, table->seed) >> 32);
	return (uint32_t)(neap__hash_bytes(key, table->key_size, table->seed) >> 32);
}

NEAP__INLINE bool transient_equal(const struct neap_transient *table, const struct transient_head *head,
				  const void *key)
{
	const uint8_t *stored = (const uint8_t *)head + table->key_offset;
	if (table->key_size == 8)
		return memcmp(stored, key, 8) == 0;
	if (!table->strings)
		return memcmp(stored, key, table->key_size) == 0;
	struct neap_str a, b;
	memcpy(&a, stored, sizeof a);
	memcpy(&b, key, sizeof b);
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The slot of the key, or the empty one where it would go. There is one. */
NEAP__INLINE struct transient_head *transient_find(const struct neap_transient *table, const void *key,
						   uint32_t hash)
{
	for (uint32_t i = transient_home(table, hash);; i = next_of(table, i)) {
		struct transient_head *head = head_at(table, i);
		if (head->stamp != table->generation ||
		    (head->hash == hash && transient_equal(table, head, key)))
			return head;
	}
}

static int transient_grow(struct neap_transient *table)
{
	struct neap_transient larger = *table;
	larger.bits = table->slots == NULL ? FIRST_BITS : table->bits + 1;
	if (larger.bits > 28)
		return NEAP_ETOOBIG;
	size_t bytes = (size_t)table->slot_size << larger.bits;
	larger.slots = neap__alloc(&table->scope.scopes->allocator, bytes, 64);
	if (larger.slots == NULL)
		return NEAP_ENOMEM;
	memset(larger.slots, 0, bytes);
	larger.generation = 1;
	for (uint32_t i = 0; table->slots != NULL && i >> table->bits == 0; i++) {
		const struct transient_head *head = head_at(table, i);
		if (head->stamp != table->generation)
			continue;
		struct transient_head *to =
			transient_find(&larger, (const uint8_t *)head + table->key_offset, head->hash);
		memcpy(to, head, table->slot_size);
		to->stamp = larger.generation;
	}
	neap__free(&table->scope.scopes->allocator, table->slots, bytes_of_slots(table));
	table->slots = larger.slots;
	table->bits = larger.bits;
	table->generation = larger.generation;
	return NEAP_OK;
}

/* ---- Operations ---- */

size_t neap_transient_len(const struct neap_transient *table)
{
	return table == NULL ? 0 : table->live;
}

void *neap_transient_get(const struct neap_transient *table, const void *key)
{
	if (table == NULL || table->live == 0)
		return NULL;
	struct transient_head *head = transient_find(table, key, hash_of(table, key));
	return head->stamp == table->generation ? (uint8_t *)head + table->value_offset : NULL;
}

/* The value slot; a new one is not zeroed. *ret_error only when NULL. */
NEAP__INLINE uint8_t *transient_place(struct neap_transient *table, const void *key, bool *ret_inserted,
				      int *ret_error)
{
	if (NEAP__UNLIKELY(table->slots == NULL || table->live >= (UINT32_C(3) << table->bits) / 4)) {
		*ret_error = transient_grow(table);
		if (*ret_error != NEAP_OK)
			return NULL;
	}
	const uint32_t hash = hash_of(table, key);
	struct transient_head *head = transient_find(table, key, hash);
	*ret_inserted = head->stamp != table->generation;
	if (*ret_inserted) {
		*head = (struct transient_head){table->generation, hash};
		uint8_t *to = (uint8_t *)head + table->key_offset;
		if (table->key_size == 8)
			memcpy(to, key, 8);
		else
			memcpy(to, key, table->key_size);
		table->live++;
	}
	return (uint8_t *)head + table->value_offset;
}

int neap_transient_put(struct neap_transient *table, const void *key, const void *value)
{
	if (table == NULL)
		return NEAP_ENIL;
	bool inserted;
	int error = NEAP_OK;
	uint8_t *to = transient_place(table, key, &inserted, &error);
	if (to == NULL)
		return error;
	if (value == NULL)
		memset(to, 0, table->value_size);
	else if (table->value_size == 8)
		memcpy(to, value, 8);
	else
		memcpy(to, value, table->value_size);
	return NEAP_OK;
}

void *neap_transient_slot(struct neap_transient *table, const void *key, bool *ret_inserted)
{
	bool inserted = false;
	int error;
	uint8_t *to = table == NULL ? NULL : transient_place(table, key, &inserted, &error);
	if (inserted)
		memset(to, 0, table->value_size);
	if (ret_inserted != NULL)
		*ret_inserted = inserted;
	return to;
}

bool neap_transient_delete(struct neap_transient *table, const void *key)
{
	if (table == NULL || table->live == 0)
		return false;
	struct transient_head *gap = transient_find(table, key, hash_of(table, key));
	if (gap->stamp != table->generation)
		return false;
	uint32_t mask = (UINT32_C(1) << table->bits) - 1;
	uint32_t hole = (uint32_t)(((uint8_t *)gap - table->slots) / table->slot_size);
	for (uint32_t i = next_of(table, hole);; i = next_of(table, i)) {
		const struct transient_head *head = head_at(table, i);
		if (head->stamp != table->generation)
			break;
		/* It may go back to the hole if that is not before its home. */
		if (((i - transient_home(table, head->hash)) & mask) >= ((i - hole) & mask)) {
			memcpy(head_at(table, hole), head, table->slot_size);
			hole = i;
		}
	}
	head_at(table, hole)->stamp = table->generation - 1;
	table->live--;
	return true;
}

void neap_transient_clear(struct neap_transient *table)
{
	if (table == NULL)
		return;
	table->live = 0;
	if (++table->generation != 0)
		return;
	if (table->slots != NULL)
		memset(table->slots, 0, bytes_of_slots(table));
	table->generation = 1;
}

/* ---- The pool ---- */

static void *transient_create(void *ctx)
{
	struct neap_scopes *scopes = ctx;
	const struct neap_map_type *type = scopes->type;
	struct neap_transient *table =
		neap__alloc(&scopes->allocator, sizeof *table, _Alignof(struct neap_transient));
	if (table == NULL)
		return NULL;
	*table = (struct neap_transient){.generation = 1,
					 .key_size = type->key_size,
					 .value_size = type->value_size,
					 .strings = type->kind == NEAP_KEY_STR};
	uint32_t align = type->key_align > type->value_align ? type->key_align : type->value_align;
	align = align < _Alignof(struct transient_head) ? (uint32_t) _Alignof(struct transient_head) : align;
	table->key_offset = align_up(sizeof(struct transient_head), type->key_align);
	table->value_offset = align_up(table->key_offset + type->key_size, type->value_align);
	table->slot_size = align_up(table->value_offset + type->value_size, align);
	neap__os_random(table->seed, sizeof table->seed);
	table->seed[1] |= UINT64_C(1) << 63 | 1;
	neap__scope_enlist(&table->scope, scopes, NEAP_SCOPE_TRANSIENT);
	return table;
}

static void transient_destroy(void *object, void *ctx)
{
	struct neap_scopes *scopes = ctx;
	struct neap_transient *table = object;
	neap__scope_delist(&table->scope);
	neap__free(&scopes->allocator, table->slots, bytes_of_slots(table));
	neap__free(&scopes->allocator, table, sizeof *table);
}

static void transient_reset(void *object, void *ctx)
{
	(void)ctx;
	neap_transient_clear(object);
}

static bool transient_clean(const void *object, void *ctx)
{
	(void)ctx;
	return ((const struct neap_transient *)object)->live == 0;
}

static size_t transient_bytes(const void *object, void *ctx)
{
	(void)ctx;
	return sizeof(struct neap_transient) + bytes_of_slots(object);
}

const struct neap_pool_type neap__transient_pool = {.size = sizeof(struct neap_pool_type),
						    .create = transient_create,
						    .destroy = transient_destroy,
						    .reset = transient_reset,
						    .clean = transient_clean,
						    .bytes = transient_bytes};

struct neap_transient *neap_transient_begin(struct neap_scopes *scopes)
{
	return scopes->transients
		       ? neap__scope_begin(scopes, NEAP_SCOPE_TRANSIENT, __builtin_return_address(0))
		       : NULL;
}

void neap_transient_end(struct neap_transient *table)
{
	if (table != NULL)
		neap__scope_end(&table->scope);
}
