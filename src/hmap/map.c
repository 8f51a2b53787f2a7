/* map.c: creating, reading, writing, deleting, clearing.
 *
 * A write is: refuse another writer, hash, mark the map as being written, move old buckets if a growth is under
 * way, act, unmark. The hash comes before the mark because it is the caller's code, and the mark is not left
 * behind when that leaves by longjmp.
 *
 * Delete never frees a bucket. It marks the slot emptyOne; when nothing follows it in the chain, the mark becomes
 * emptyRest and runs backwards over the emptyOnes before it, so that searches end there:
 *
 *     [A][1][1][B][0][0][0][0]     delete B     [A][0][0][0][0][0][0][0]
 *
 * Strings. A struct neap_str has a hash field that Go's string has not. It is stored as 0.
 */
#include "hmap/internal.h"

#include <stdio.h>

#include "base/fault.h"
#include "base/random.h"

/* ---- Types ---- */

enum { HMAP_SIZE_MAX = 1 << 20 }; /* neap/hmap.h */

/* Slots follow each other without padding, so a size is a multiple of its alignment. */
static bool hmap_part_valid(uint32_t size, uint32_t align)
{
	bool aligned = align <= 1 || (align <= HMAP_ALIGN && (align & (align - 1)) == 0 && size % align == 0);
	return aligned && size <= HMAP_SIZE_MAX;
}

static bool hmap_type_valid(const struct neap_hmap_type *type)
{
	if (!hmap_part_valid(type->key_size, type->key_align) ||
	    !hmap_part_valid(type->value_size, type->value_align))
		return false;
	switch (type->kind) {
	case NEAP_HMAP_BYTES: return true;
	case NEAP_HMAP_F32: return type->key_size == sizeof(float);
	case NEAP_HMAP_F64: return type->key_size == sizeof(double);
	case NEAP_HMAP_STR: return type->key_size == sizeof(struct neap_str);
	case NEAP_HMAP_USER: return type->hash != NULL && type->equal != NULL;
	default: return false;
	}
}

/* Go's compiler picks a variant for keys that compare as plain memory and values that lie in the bucket. */
static enum neap__hmap_variant hmap_variant_of(const struct neap_hmap_type *type)
{
	if (type->value_size > NEAP_HMAP_INLINE_MAX)
		return HMAP_GENERAL;
	if (type->kind == NEAP_HMAP_STR)
		return HMAP_FASTSTR;
	if (type->kind == NEAP_HMAP_BYTES && type->key_size == 4)
		return HMAP_FAST32;
	if (type->kind == NEAP_HMAP_BYTES && type->key_size == 8)
		return HMAP_FAST64;
	return HMAP_GENERAL;
}

static void hmap_lay_out(struct neap_hmap *map, const struct neap_hmap_type *type)
{
	bool irregular = type->kind == NEAP_HMAP_F32 || type->kind == NEAP_HMAP_F64;
	map->type = type;
	map->variant = hmap_variant_of(type);
	map->key_indirect = type->key_size > NEAP_HMAP_INLINE_MAX;
	map->value_indirect = type->value_size > NEAP_HMAP_INLINE_MAX;
	map->key_slot = map->key_indirect ? sizeof(void *) : type->key_size;
	map->value_slot = map->value_indirect ? sizeof(void *) : type->value_size;
	map->values = HMAP_DATA + HMAP_SLOTS * map->key_slot;
	map->link = map->values + HMAP_SLOTS * map->value_slot;
	map->bucket_size = map->link + sizeof(void *);
	map->key_pointers = (type->flags & NEAP_HMAP_KEY_POINTERS) != 0 || type->kind == NEAP_HMAP_STR;
	map->pointers = map->key_pointers || (type->flags & NEAP_HMAP_VALUE_POINTERS) != 0 ||
			map->key_indirect || map->value_indirect;
	map->reflexive = !irregular && (type->flags & NEAP_HMAP_IRREFLEXIVE) == 0;
	map->key_update =
		irregular || type->kind == NEAP_HMAP_STR || (type->flags & NEAP_HMAP_KEY_UPDATE) != 0;
}

/* ---- Life ---- */

static uint64_t hmap_library_random(void *ctx)
{
	(void)ctx;
	return neap__random_next();
}

static void hmap_seed(struct neap_hmap *map, const struct neap_hmap_options *options)
{
	if (options->hash0 != NULL) { /* the same picture every time */
		map->head.hash0 = *options->hash0;
		map->hash_key[0] = UINT64_C(0x243f6a8885a308d3); /* digits of pi */
		map->hash_key[1] = UINT64_C(0x13198a2e03707345);
		return;
	}
	map->head.hash0 = (uint32_t)neap__hmap_random(map);
	map->hash_key[0] = neap__random_next();
	map->hash_key[1] = neap__random_next() | 1;
}

/* The addresses of a process: 2^48, Go's maxAlloc. A hint beyond them counts as none. */
static bool hmap_hint_absurd(const struct neap_hmap *map, size_t hint)
{
	return hint > ((size_t)1 << 48) / map->bucket_size;
}

static bool hmap_make_room(struct neap_hmap *map, size_t hint)
{
	unsigned B = 0;
	if (hmap_hint_absurd(map, hint))
		hint = 0;
	while (neap__hmap_overloaded(hint, B))
		B++;
	map->head.B = (uint8_t)B;
	if (B == 0)
		return true; /* one bucket: made by the first write */
	struct neap__hmap_table *table = neap__hmap_table_create(map, B);
	if (table == NULL)
		return false;
	neap__hmap_table_install(map, table, B);
	return true;
}

struct neap_hmap *neap_hmap_create(const struct neap_hmap_type *type, const struct neap_hmap_options *options)
{
	static const struct neap_hmap_options defaults;
	if (options == NULL)
		options = &defaults;
	if (!hmap_type_valid(type) || options->version > NEAP_HMAP_GO_1_19)
		return NULL;
	const struct neap_allocator *from =
		options->allocator != NULL ? options->allocator : &neap__malloc_allocator;
	struct neap_hmap *map = neap__alloc(from, sizeof *map, HMAP_ALIGN);
	if (map == NULL)
		return NULL;
	memset(map, 0, sizeof *map);
	map->allocator = *from;
	map->bytes = map->peak = sizeof *map;
	map->version = options->version;
	map->random = options->random != NULL ? options->random : hmap_library_random;
	map->random_ctx = options->random_ctx;
	snprintf(map->name, sizeof map->name, "%s", options->name != NULL ? options->name : "unnamed");
	hmap_lay_out(map, type);
	hmap_seed(map, options);
	if (!hmap_make_room(map, options->hint)) {
		neap__free(from, map, sizeof *map);
		return NULL;
	}
	neap__registry_add(&map->listed, &neap__hmap_species, NEAP__KIND_HMAP, map);
	return map;
}

static void hmap_release_value(struct neap_hmap *map, void *value)
{
	if (map->type->release != NULL)
		map->type->release(value, map->type->release_ctx);
}

static void hmap_release_entry(struct neap_hmap *map, struct neap__hmap_bucket *b, size_t i)
{
	hmap_release_value(map, neap__hmap_value(map, b, i));
	if (map->key_indirect)
		neap__hmap_block_drop(map, neap__hmap_key(map, b, i));
	if (map->value_indirect)
		neap__hmap_block_drop(map, neap__hmap_value(map, b, i));
}

/* Gives up what every entry owns; the slots are cleared by the caller. */
static void hmap_release_all(struct neap_hmap *map)
{
	if (map->type->release != NULL || map->key_indirect || map->value_indirect)
		neap__hmap_each_entry(map, hmap_release_entry);
}

void neap_hmap_destroy(struct neap_hmap *map)
{
	if (map == NULL)
		return;
	neap__registry_remove(&map->listed);
	hmap_release_all(map);
	neap__hmap_free_all(map);
	struct neap_allocator to = map->allocator;
	neap__free(&to, map, sizeof *map);
}

size_t neap_hmap_len(const struct neap_hmap *map)
{
	return map == NULL ? 0 : map->head.count;
}

const char *neap_hmap_name(const struct neap_hmap *map)
{
	return map->name;
}

const struct neap_hmap_type *neap_hmap_type_of(const struct neap_hmap *map)
{
	return map->type;
}

/* ---- The mark of a write ---- */

static _Noreturn void hmap_fault(const struct neap_hmap *map, const char *rule, const char *operation)
{
	neap__fault((struct neap_fault){
		.rule = rule, .object = map->name, .address = map, .operation = operation});
	__builtin_unreachable();
}

static void hmap_refuse_writer(const struct neap_hmap *map, const char *rule, const char *operation)
{
	if ((neap__hmap_flags(map) & NEAP_HMAP_WRITING) != 0)
		hmap_fault(map, rule, operation);
}

static void hmap_begin_write(struct neap_hmap *map)
{
	neap__hmap_set_flags(map, neap__hmap_flags(map) ^ (unsigned)NEAP_HMAP_WRITING);
}

static void hmap_end_write(struct neap_hmap *map, const char *operation)
{
	unsigned flags = neap__hmap_flags(map);
	if ((flags & NEAP_HMAP_WRITING) == 0)
		hmap_fault(map, "concurrent map writes", operation);
	neap__hmap_set_flags(map, flags & ~(unsigned)NEAP_HMAP_WRITING);
}

/* ---- Get ---- */

void *neap_hmap_get(const struct neap_hmap *map, const void *key)
{
	if (map == NULL || map->head.count == 0)
		return NULL;
	hmap_refuse_writer(map, "concurrent map read and map write", "neap_hmap_get");
	return neap__hmap_get(map, key);
}

/* ---- Put ---- */

static void hmap_store_key(const struct neap_hmap *map, void *to, const void *key)
{
	memcpy(to, key, map->type->key_size);
	if (map->type->kind == NEAP_HMAP_STR)
		((struct neap_str *)to)->hash = 0;
}

/* The blocks of a new entry, before anything is linked. */
static int hmap_blocks_for(struct neap_hmap *map, void **ret_key, void **ret_value)
{
	*ret_key = *ret_value = NULL;
	if (map->key_indirect && (*ret_key = neap__hmap_block_create(map, map->type->key_size)) == NULL)
		return NEAP_ENOMEM;
	if (map->value_indirect &&
	    (*ret_value = neap__hmap_block_create(map, map->type->value_size)) == NULL) {
		neap__hmap_block_drop(map, *ret_key);
		return NEAP_ENOMEM;
	}
	return NEAP_OK;
}

/* Fills `at`, or a slot of a new overflow bucket behind `tail` when there is none. */
static int hmap_insert(struct neap_hmap *map, const void *key, uint64_t hash, struct neap__hmap_place *at,
		       struct neap__hmap_bucket *tail)
{
	void *key_block, *value_block;
	if (hmap_blocks_for(map, &key_block, &value_block) != NEAP_OK)
		return NEAP_ENOMEM;
	if (at->b == NULL) {
		*at = (struct neap__hmap_place){neap__hmap_new_overflow(map, tail), 0};
		if (at->b == NULL) {
			neap__hmap_block_drop(map, key_block);
			neap__hmap_block_drop(map, value_block);
			return NEAP_ENOMEM;
		}
	}
	if (map->key_indirect)
		*(void **)(void *)neap__hmap_key_slot(map, at->b, at->i) = key_block;
	if (map->value_indirect)
		*(void **)(void *)neap__hmap_value_slot(map, at->b, at->i) = value_block;
	hmap_store_key(map, neap__hmap_key(map, at->b, at->i), key);
	at->b->tophash[at->i] = neap__hmap_tophash(hash);
	map->head.count++;
	return NEAP_OK;
}

static int hmap_first_bucket(struct neap_hmap *map)
{
	if (map->head.buckets != NULL)
		return NEAP_OK;
	struct neap__hmap_table *table = neap__hmap_table_create(map, 0);
	if (table == NULL)
		return NEAP_ENOMEM;
	neap__hmap_table_install(map, table, 0);
	return NEAP_OK;
}

/* The slot of `key`, found or made. */
static int hmap_assign(struct neap_hmap *map, const void *key, uint64_t hash, struct neap__hmap_place *ret,
		       bool *ret_inserted)
{
	if (hmap_first_bucket(map) != NEAP_OK)
		return NEAP_ENOMEM;
	for (;;) {
		size_t bucket = hash & neap__hmap_mask(map->head.B);
		if (neap__hmap_growing(map) && neap__hmap_grow_work(map, bucket) != NEAP_OK)
			return NEAP_ENOMEM;
		struct neap__hmap_place free;
		struct neap__hmap_bucket *tail, *b = neap__hmap_at(map, map->head.buckets, bucket);
		*ret = neap__hmap_find_or_free(map, b, key, hash, &free, &tail);
		*ret_inserted = ret->b == NULL;
		if (!*ret_inserted) {
			if (map->key_update)
				hmap_store_key(map, neap__hmap_key(map, ret->b, ret->i), key);
			return NEAP_OK;
		}
		bool due = neap__hmap_overloaded(map->head.count + 1, map->head.B) ||
			   neap__hmap_overflowing(map);
		if (neap__hmap_growing(map) || !due) {
			*ret = free;
			return hmap_insert(map, key, hash, ret, tail);
		}
		if (neap__hmap_grow(map) != NEAP_OK)
			return NEAP_ENOMEM;
	}
}

/* neap_hmap_slot and neap_hmap_put, which differ in the name that a fault shows. */
static void *hmap_slot(struct neap_hmap *map, const void *key, bool *ret_inserted, const char *operation)
{
	hmap_refuse_writer(map, "concurrent map writes", operation);
	uint64_t hash = neap__hmap_hash(map, key);
	hmap_begin_write(map);
	struct neap__hmap_place at;
	int error = hmap_assign(map, key, hash, &at, ret_inserted);
	hmap_end_write(map, operation);
	return error != NEAP_OK ? NULL : neap__hmap_value(map, at.b, at.i);
}

void *neap_hmap_slot(struct neap_hmap *map, const void *key, bool *ret_inserted)
{
	bool inserted;
	if (map == NULL)
		return NULL;
	return hmap_slot(map, key, ret_inserted != NULL ? ret_inserted : &inserted, "neap_hmap_slot");
}

int neap_hmap_put(struct neap_hmap *map, const void *key, const void *value)
{
	if (map == NULL)
		return NEAP_ENIL;
	bool inserted;
	void *slot = hmap_slot(map, key, &inserted, "neap_hmap_put");
	if (slot == NULL)
		return NEAP_ENOMEM;
	if (!inserted)
		hmap_release_value(map, slot);
	if (value != NULL)
		memcpy(slot, value, map->type->value_size);
	else
		memset(slot, 0, map->type->value_size);
	return NEAP_OK;
}

/* ---- Delete ---- */

/* Does any slot follow in use, or another emptyOne? Then a delete leaves a tombstone. */
static bool hmap_last_of_chain(const struct neap_hmap *map, struct neap__hmap_place at)
{
	if (at.i < HMAP_SLOTS - 1)
		return at.b->tophash[at.i + 1] == NEAP_HMAP_EMPTY_REST;
	struct neap__hmap_bucket *next = neap__hmap_overflow(map, at.b);
	return next == NULL || next->tophash[0] == NEAP_HMAP_EMPTY_REST;
}

/* The slot before `at` in the chain that starts at `first`; b is NULL at the very start. */
static struct neap__hmap_place hmap_previous(const struct neap_hmap *map, struct neap__hmap_bucket *first,
					     struct neap__hmap_place at)
{
	if (at.i > 0)
		return (struct neap__hmap_place){at.b, at.i - 1};
	if (at.b == first)
		return (struct neap__hmap_place){NULL, 0};
	struct neap__hmap_bucket *before = first;
	while (neap__hmap_overflow(map, before) != at.b)
		before = neap__hmap_overflow(map, before);
	return (struct neap__hmap_place){before, HMAP_SLOTS - 1};
}

static void hmap_mark_empty(struct neap_hmap *map, struct neap__hmap_bucket *first,
			    struct neap__hmap_place at)
{
	at.b->tophash[at.i] = NEAP_HMAP_EMPTY_ONE;
	if (!hmap_last_of_chain(map, at))
		return;
	do {
		at.b->tophash[at.i] = NEAP_HMAP_EMPTY_REST;
		at = hmap_previous(map, first, at);
	} while (at.b != NULL && at.b->tophash[at.i] == NEAP_HMAP_EMPTY_ONE);
}

/* Go clears a deleted key only where its collector would follow it; of a string it clears the pointer alone. */
static void hmap_clear_key(struct neap_hmap *map, struct neap__hmap_place at)
{
	uint8_t *slot = neap__hmap_key_slot(map, at.b, at.i);
	if (map->variant == HMAP_FASTSTR)
		((struct neap_str *)(void *)slot)->ptr = NULL;
	else if (map->key_indirect || map->key_pointers)
		memset(slot, 0, map->key_slot);
}

static void hmap_remove(struct neap_hmap *map, struct neap__hmap_bucket *first, struct neap__hmap_place at)
{
	hmap_release_entry(map, at.b, at.i);
	hmap_clear_key(map, at);
	memset(neap__hmap_value_slot(map, at.b, at.i), 0, map->value_slot);
	hmap_mark_empty(map, first, at);
	map->head.count--;
	if (map->head.count == 0) /* whoever collided keys on purpose starts anew */
		map->head.hash0 = (uint32_t)neap__hmap_random(map);
}

bool neap_hmap_delete(struct neap_hmap *map, const void *key)
{
	if (map == NULL || map->head.count == 0)
		return false;
	hmap_refuse_writer(map, "concurrent map writes", "neap_hmap_delete");
	uint64_t hash = neap__hmap_hash(map, key);
	hmap_begin_write(map);
	/* Without memory to move the old bucket, the delete happens in the old bucket. */
	if (neap__hmap_growing(map))
		(void)neap__hmap_grow_work(map, hash & neap__hmap_mask(map->head.B));
	struct neap__hmap_bucket *first = neap__hmap_chain(map, hash);
	struct neap__hmap_place at = neap__hmap_find(map, first, key, hash);
	if (at.b != NULL)
		hmap_remove(map, first, at);
	hmap_end_write(map, "neap_hmap_delete");
	return at.b != NULL;
}

/* ---- Clear ---- */

static void hmap_mark_chains_empty(struct neap_hmap *map, void *array, size_t buckets)
{
	for (size_t i = 0; i < buckets; i++) {
		struct neap__hmap_bucket *b = neap__hmap_at(map, array, i);
		for (; b != NULL; b = neap__hmap_overflow(map, b))
			memset(b->tophash, NEAP_HMAP_EMPTY_REST, HMAP_SLOTS);
	}
}

static void hmap_clear_marked(struct neap_hmap *map)
{
	hmap_release_all(map);
	if (map->version == NEAP_HMAP_GO_1_22) { /* running iterators find nothing more */
		hmap_mark_chains_empty(map, map->head.buckets, (size_t)1 << map->head.B);
		if (map->old != NULL)
			hmap_mark_chains_empty(map, map->head.oldbuckets, neap__hmap_old_buckets(map));
	}
	neap__hmap_set_flags(map, neap__hmap_flags(map) & ~(unsigned)NEAP_HMAP_SAME_SIZE_GROW);
	struct neap__hmap_table *old = map->old;
	map->old = NULL;
	map->head.oldbuckets = NULL;
	map->head.nevacuate = 0;
	map->head.noverflow = 0;
	map->head.count = 0;
	map->head.hash0 = (uint32_t)neap__hmap_random(map);
	memset(&map->extra, 0, sizeof map->extra);
	if (old != NULL)
		neap__hmap_table_drop(map, old);
	neap__hmap_drop_overflow(map);
	memset(map->head.buckets, 0, map->table->buckets * map->bucket_size);
	neap__hmap_table_install(map, map->table, map->head.B);
	neap__hmap_settle(map);
}

void neap_hmap_clear(struct neap_hmap *map)
{
	if (map == NULL || map->head.count == 0)
		return;
	hmap_refuse_writer(map, "concurrent map writes", "neap_hmap_clear");
	hmap_begin_write(map);
	hmap_clear_marked(map);
	hmap_end_write(map, "neap_hmap_clear");
}
