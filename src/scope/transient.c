/* transient.c: a table for one request, cleared by counting. neap/transient_core.h has the picture and the short paths;
 * here they are for shapes that only the table knows, with what is not short: growing, deleting, the pool.
 *
 * A delete shifts the entries that follow back into the gap (Knuth 6.4 R), so that no slot is ever half empty.
 */
#include <string.h>

#include "base/os.h"
#include "scope/internal.h"

enum { FIRST_BITS = 4, BITS_MOST = 28 };

static uint32_t align_up(uint32_t offset, uint32_t align)
{
	return (offset + align - 1) & ~(align - 1);
}

static size_t bytes_of_slots(const struct neap_transient *table)
{
	return table->slots == NULL ? 0 : ((size_t)table->mask + 1) * table->shape.slot_size;
}

int neap__transient_grow(struct neap_transient *table)
{
	struct neap_transient larger = *table;
	const struct neap__transient_shape shape = table->shape;
	const uint32_t bits = table->slots == NULL ? FIRST_BITS : 33 - table->shift;
	if (bits > BITS_MOST)
		return NEAP_ETOOBIG;
	const size_t bytes = (size_t)shape.slot_size << bits;
	larger.slots = neap__alloc(&table->scope.scopes->allocator, bytes, 64);
	if (larger.slots == NULL)
		return NEAP_ENOMEM;
	memset(larger.slots, 0, bytes);
	larger.mask = (UINT32_C(1) << bits) - 1;
	larger.shift = 32 - bits;
	larger.generation = 1;
	for (uint32_t i = 0; table->slots != NULL && i <= table->mask; i++) {
		const struct neap__transient_head *head = neap__transient_at(table, i, shape.slot_size);
		if (head->stamp != table->generation)
			continue;
		struct neap__transient_head *to = neap__transient_find(
			&larger, (const uint8_t *)head + shape.key_offset, head->hash, shape);
		memcpy(to, head, shape.slot_size);
		to->stamp = larger.generation;
	}
	neap__free(&table->scope.scopes->allocator, table->slots, bytes_of_slots(table));
	table->slots = larger.slots;
	table->mask = larger.mask;
	table->shift = larger.shift;
	table->generation = larger.generation;
	table->limit = (uint32_t)((UINT32_C(3) << bits) / 4);
	return NEAP_OK;
}

/* ---- Operations ---- */

size_t neap_transient_len(const struct neap_transient *table)
{
	return table == NULL ? 0 : table->live;
}

void *neap_transient_get(const struct neap_transient *table, const void *key)
{
	return table == NULL ? NULL : neap__transient_get(table, key, table->shape);
}

int neap_transient_put(struct neap_transient *table, const void *key, const void *value)
{
	return table == NULL ? NEAP_ENIL : neap__transient_put(table, key, value, table->shape);
}

void *neap_transient_slot(struct neap_transient *table, const void *key, bool *ret_inserted)
{
	if (table != NULL)
		return neap__transient_slot(table, key, ret_inserted, table->shape);
	if (ret_inserted != NULL)
		*ret_inserted = false;
	return NULL;
}

bool neap_transient_delete(struct neap_transient *table, const void *key)
{
	if (table == NULL || table->live == 0)
		return false;
	const struct neap__transient_shape shape = table->shape;
	struct neap__transient_head *gap =
		neap__transient_find(table, key, neap__transient_hash(table, key, shape), shape);
	if (gap->stamp != table->generation)
		return false;
	uint32_t hole = (uint32_t)(((uint8_t *)gap - table->slots) / shape.slot_size);
	for (uint32_t i = (hole + 1) & table->mask;; i = (i + 1) & table->mask) {
		const struct neap__transient_head *head = neap__transient_at(table, i, shape.slot_size);
		if (head->stamp != table->generation)
			break;
		/* It may go back to the hole if that is not before its home. */
		if (((i - neap__transient_home(table, head->hash)) & table->mask) >=
		    ((i - hole) & table->mask)) {
			memcpy(neap__transient_at(table, hole, shape.slot_size), head, shape.slot_size);
			hole = i;
		}
	}
	neap__transient_at(table, hole, shape.slot_size)->stamp = table->generation - 1;
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
	uint32_t align = type->key_align > type->value_align ? type->key_align : type->value_align;
	align = align < _Alignof(struct neap__transient_head)
			? (uint32_t) _Alignof(struct neap__transient_head)
			: align;
	struct neap__transient_shape shape = {.key_size = type->key_size,
					      .value_size = type->value_size,
					      .strings = type->kind == NEAP_KEY_STR};
	shape.key_offset = align_up(sizeof(struct neap__transient_head), type->key_align);
	shape.value_offset = align_up(shape.key_offset + type->key_size, type->value_align);
	shape.slot_size = align_up(shape.value_offset + type->value_size, align);
	*table = (struct neap_transient){.generation = 1, .shape = shape};
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
