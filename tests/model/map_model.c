/* map_model.c: the naive table, the kinds of key and value, and the commands. See map_model.h.
 *
 * A key is an identity 0..IDS-1, turned into the bytes of the kind; a value is a 32-bit stamp spread over the
 * bytes of the value, so that a torn or shifted copy is seen. The naive table is an array indexed by identity.
 */
#include "map_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map/internal.h"

enum { IDS = 6000, LARGEST = 512 };

#define DEMAND(condition)      \
	((condition) ? (void)0 \
		     : (fprintf(stderr, "model: %s:%d: %s\n", __FILE__, __LINE__, #condition), abort()))

/* ---- An allocator that counts ---- */

const struct neap_allocator *model_memory = &neap__malloc_allocator;

static size_t handed_out;

static void *count_alloc(void *ctx, size_t size, size_t align)
{
	(void)ctx;
	handed_out += size;
	return model_memory->alloc(model_memory->ctx, size, align);
}

static void count_free(void *ctx, void *block, size_t size)
{
	(void)ctx;
	handed_out -= size;
	memset(block, 0xdd, size); /* whoever reads a freed block reads nonsense */
	model_memory->free(model_memory->ctx, block, size);
}

static const struct neap_allocator counting = {count_alloc, count_free, NULL};

/* ---- Kinds ---- */

static char text[IDS][48];

static uint64_t hash_constant(const void *key, uint64_t seed)
{
	(void)key;
	return seed;
}

static uint64_t hash_few(const void *key, uint64_t seed)
{
	return (*(const uint32_t *)key % 7) ^ seed;
}

static bool equal_u32(const void *a, const void *b)
{
	return *(const uint32_t *)a == *(const uint32_t *)b;
}

static size_t released_keys, released_values;

static void count_release(void *key, void *value, void *ctx)
{
	(void)ctx;
	released_keys += key != NULL;
	released_values += value != NULL;
}

#define TYPE .size = sizeof(struct neap_map_type)

static const struct kind {
	const char *name;
	struct neap_map_type type;
	unsigned ids; /* identities used */
	uint32_t shrink;
	size_t floor;
} kinds[] = {
	{"u64 to u64", {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8}, IDS, NEAP_SHRINK_AUTO, 0},
	{"u32 to u8", {TYPE, NEAP_KEY_BYTES, 0, 4, 4, 1, 1}, IDS, NEAP_SHRINK_AUTO, 0},
	{"set of u16", {TYPE, NEAP_KEY_BYTES, 0, 2, 2, 0, 0}, IDS, NEAP_SHRINK_AUTO, 0},
	{"owned string to u64",
	 {TYPE, NEAP_KEY_STR, NEAP_MAP_OWN_KEYS, 16, 8, 8, 8},
	 IDS,
	 NEAP_SHRINK_AUTO,
	 0},
	{"string to 56 bytes", {TYPE, NEAP_KEY_STR, 0, 16, 8, 56, 8}, IDS, NEAP_SHRINK_AUTO, 0},
	{"24 bytes to 3", {TYPE, NEAP_KEY_BYTES, 0, 24, 8, 3, 1}, IDS, NEAP_SHRINK_AUTO, 0},
	{"large key, large value", {TYPE, NEAP_KEY_BYTES, 0, 200, 8, 300, 4}, 900, NEAP_SHRINK_AUTO, 0},
	{"double to u64", {TYPE, NEAP_KEY_F64, 0, 8, 8, 8, 8}, IDS, NEAP_SHRINK_AUTO, 0},
	{"float to u64, SipHash",
	 {TYPE, NEAP_KEY_F32, NEAP_MAP_SIPHASH, 4, 4, 8, 8},
	 IDS,
	 NEAP_SHRINK_AUTO,
	 0},
	{"user, constant hash",
	 {TYPE, NEAP_KEY_USER, 0, 4, 4, 8, 8, hash_constant, equal_u32, NULL, NULL},
	 600,
	 NEAP_SHRINK_AUTO,
	 0},
	{"user, seven hashes",
	 {TYPE, NEAP_KEY_USER, 0, 4, 4, 60, 4, hash_few, equal_u32, NULL, NULL},
	 600,
	 NEAP_SHRINK_AUTO,
	 0},
	{"u64, released",
	 {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8, NULL, NULL, count_release, NULL},
	 IDS,
	 NEAP_SHRINK_AUTO,
	 0},
	{"u64, manual shrink", {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8}, IDS, NEAP_SHRINK_MANUAL, 0},
	{"u64, never shrink", {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8}, IDS, NEAP_SHRINK_OFF, 0},
	{"128 bytes, floor 1000", {TYPE, NEAP_KEY_BYTES, 0, 128, 8, 8, 8}, 3000, NEAP_SHRINK_AUTO, 1000},
};

const unsigned model_kinds = sizeof kinds / sizeof kinds[0];

const char *model_kind_name(unsigned kind)
{
	return kinds[kind].name;
}

/* ---- The model ---- */

struct model {
	const struct kind *kind;
	struct neap_map *map;
	size_t len;
	uint32_t stamp_of[IDS]; /* 0: absent */
	uint32_t stamps;
	const uint8_t *at, *end; /* the commands */
	size_t base;		 /* handed_out before the map */
};

static unsigned byte(struct model *model)
{
	return model->at < model->end ? *model->at++ : 0;
}

static unsigned next_id(struct model *model)
{
	unsigned high = byte(model);
	return (high << 8 | byte(model)) % model->kind->ids;
}

static void make_key(const struct model *model, unsigned id, uint8_t *ret)
{
	const struct neap_map_type *type = &model->kind->type;
	memset(ret, 0, type->key_size);
	uint32_t word = id;
	if (type->kind == NEAP_KEY_STR) {
		if (text[id][0] ==
		    '\0') /* of every length up to 40, so that all paths of the hash are taken */
			snprintf(text[id], sizeof text[id], "%0*u", 4 + (int)(id % 37), id);
		struct neap_str str = {id == 0 ? NULL : text[id], id == 0 ? 0 : (uint32_t)strlen(text[id]),
				       0};
		memcpy(ret, &str, sizeof str);
	} else if (type->kind == NEAP_KEY_F64) {
		double number = (double)id * 0.5;
		memcpy(ret, &number, sizeof number);
	} else if (type->kind == NEAP_KEY_F32) {
		float number = (float)id * 0.5f;
		memcpy(ret, &number, sizeof number);
	} else {
		memcpy(ret, &word, type->key_size < sizeof word ? type->key_size : sizeof word);
		if (type->key_size > 16) /* and at the far end, so that all bytes are compared */
			memcpy(ret + type->key_size - sizeof word, &word, sizeof word);
	}
}

static unsigned id_of(const struct model *model, const void *key)
{
	const struct neap_map_type *type = &model->kind->type;
	uint32_t word = 0;
	if (type->kind == NEAP_KEY_STR) {
		struct neap_str str;
		memcpy(&str, key, sizeof str);
		char copy[64] = "";
		DEMAND(str.len < sizeof copy);
		if (str.len != 0)
			memcpy(copy, str.ptr, str.len);
		word = (uint32_t)strtoul(copy, NULL, 10);
	} else if (type->kind == NEAP_KEY_F64) {
		double number;
		memcpy(&number, key, sizeof number);
		word = (uint32_t)(number * 2);
	} else if (type->kind == NEAP_KEY_F32) {
		float number;
		memcpy(&number, key, sizeof number);
		word = (uint32_t)(number * 2);
	} else {
		memcpy(&word, key, type->key_size < sizeof word ? type->key_size : sizeof word);
	}
	DEMAND(word < model->kind->ids);
	return word;
}

static void make_value(const struct model *model, uint32_t stamp, uint8_t *ret)
{
	for (size_t i = 0; i < model->kind->type.value_size; i++)
		ret[i] = (uint8_t)((stamp * 2654435761u) >> (8 * (i % 4))) ^ (uint8_t)(i / 4);
}

static bool value_is(const struct model *model, const void *value, uint32_t stamp)
{
	uint8_t expected[LARGEST];
	make_value(model, stamp, expected);
	return memcmp(value, expected, model->kind->type.value_size) == 0;
}

/* ---- Commands ---- */

static void do_put(struct model *model, unsigned id)
{
	uint8_t key[LARGEST], value[LARGEST];
	make_key(model, id, key);
	uint32_t stamp = ++model->stamps;
	make_value(model, stamp, value);
	DEMAND(neap_map_put(model->map, key, value) == NEAP_OK);
	model->len += model->stamp_of[id] == 0;
	model->stamp_of[id] = stamp;
}

static void do_slot(struct model *model, unsigned id)
{
	uint8_t key[LARGEST], zero[LARGEST] = {0};
	make_key(model, id, key);
	bool inserted;
	void *value = neap_map_slot(model->map, key, &inserted);
	DEMAND(value != NULL);
	DEMAND(inserted == (model->stamp_of[id] == 0));
	size_t size = model->kind->type.value_size;
	DEMAND(inserted ? memcmp(value, zero, size) == 0 : value_is(model, value, model->stamp_of[id]));
	model->stamp_of[id] = ++model->stamps;
	make_value(model, model->stamp_of[id], value);
	model->len += inserted;
}

static void do_get(struct model *model, unsigned id)
{
	uint8_t key[LARGEST];
	make_key(model, id, key);
	const void *value = neap_map_get(model->map, key);
	DEMAND((value != NULL) == (model->stamp_of[id] != 0));
	DEMAND(value == NULL || value_is(model, value, model->stamp_of[id]));
}

static void do_delete(struct model *model, unsigned id)
{
	uint8_t key[LARGEST];
	make_key(model, id, key);
	bool was = model->stamp_of[id] != 0;
	DEMAND(neap_map_delete(model->map, key) == was);
	model->stamp_of[id] = 0;
	model->len -= was;
}

static void do_take(struct model *model, unsigned id)
{
	uint8_t key[LARGEST], ret_key[LARGEST], ret_value[LARGEST];
	make_key(model, id, key);
	bool was = model->stamp_of[id] != 0;
	DEMAND(neap_map_take(model->map, key, ret_key, ret_value) == was);
	if (!was)
		return;
	DEMAND(id_of(model, ret_key) == id && value_is(model, ret_value, model->stamp_of[id]));
	neap_map_free_key(model->map, ret_key);
	model->stamp_of[id] = 0;
	model->len--;
}

static void do_get_many(struct model *model, unsigned first)
{
	enum { MANY = 100 };
	static uint8_t keys[MANY * LARGEST];
	void *values[MANY];
	size_t stride = model->kind->type.key_size;
	for (unsigned i = 0; i < MANY; i++) {
		uint8_t key[LARGEST];
		make_key(model, (first + i * 3) % model->kind->ids, key);
		memcpy(keys + i * stride, key, stride);
	}
	neap_map_get_many(model->map, keys, MANY, values);
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t stamp = model->stamp_of[(first + i * 3) % model->kind->ids];
		DEMAND((values[i] != NULL) == (stamp != 0));
		DEMAND(values[i] == NULL || value_is(model, values[i], stamp));
	}
}

/* What a loop owes for each identity. */
enum fate { ABSENT, OWED, PRODUCED, NEW };

static void note_deleted(enum fate *fate, unsigned id)
{
	fate[id] = ABSENT;
}

static void note_inserted(enum fate *fate, unsigned id)
{
	if (fate[id] == ABSENT)
		fate[id] = NEW;
}

/* Iterates, changing the map in between as the bytes say; every entry that stays is produced exactly once. */
static void do_iterate(struct model *model, bool change)
{
	static enum fate fate[IDS];
	for (unsigned id = 0; id < model->kind->ids; id++)
		fate[id] = model->stamp_of[id] != 0 ? OWED : ABSENT;
	struct neap_map_iter it;
	for (neap_map_iter_init(&it, model->map); neap_map_iter_next(&it);) {
		unsigned id = id_of(model, it.key);
		DEMAND(fate[id] == OWED || fate[id] == NEW);
		DEMAND(value_is(model, it.value, model->stamp_of[id]));
		fate[id] = PRODUCED;
		unsigned what = change ? byte(model) : 0;
		for (unsigned i = 0; i < what % 8; i++) {
			unsigned other = next_id(model);
			if (what & 0x80) {
				note_inserted(fate, other);
				do_put(model, other);
			} else {
				note_deleted(fate, other);
				do_delete(model, other);
			}
		}
		if ((what & 0x70) == 0x10) {
			note_deleted(fate, id);
			do_delete(model, id);
		}
		if ((what & 0x7f) == 0x70)
			DEMAND(neap_map_compact(model->map) == NEAP_OK);
		if ((what & 0x7f) == 0x71)
			DEMAND(neap_map_reserve(model->map, model->len * 3 + 40) == NEAP_OK);
	}
	for (unsigned id = 0; id < model->kind->ids; id++)
		DEMAND(fate[id] != OWED);
}

/* Scans: every entry once, with its value. */
static void do_scan(struct model *model)
{
	static bool seen[IDS];
	memset(seen, 0, sizeof seen);
	size_t count = 0;
	for (struct neap_map_scan at = neap_map_scan(model->map); neap_map_scan_next(&at); count++) {
		unsigned id = id_of(model, at.key);
		DEMAND(model->stamp_of[id] != 0 && !seen[id]);
		DEMAND(value_is(model, at.value, model->stamp_of[id]));
		seen[id] = true;
	}
	DEMAND(count == model->len);
}

static void forget_all(struct model *model)
{
	memset(model->stamp_of, 0, sizeof model->stamp_of);
	model->len = 0;
}

static bool every_third(const void *key, void *value, void *ctx)
{
	(void)value;
	struct model *model = ctx;
	unsigned id = id_of(model, key);
	DEMAND(model->stamp_of[id] != 0);
	if (id % 3 != 0)
		return false;
	model->stamp_of[id] = 0;
	model->len--;
	return true;
}

static bool same_bytes_as_model(const void *a, const void *b)
{
	(void)a, (void)b;
	return true;
}

static void do_clone(struct model *model)
{
	struct neap_map *clone = neap_map_clone(model->map, NULL, NULL);
	DEMAND(clone != NULL);
	DEMAND(neap__map_check(clone) == NULL);
	DEMAND(neap_map_equal(model->map, clone, NULL));
	DEMAND(neap_map_equal(clone, model->map, same_bytes_as_model));
	if (model->len != 0) {
		struct neap_map_iter it;
		neap_map_iter_init(&it, clone);
		DEMAND(neap_map_iter_next(&it));
		uint8_t key[LARGEST];
		make_key(model, id_of(model, it.key), key);
		DEMAND(neap_map_delete(clone, key));
		DEMAND(!neap_map_equal(model->map, clone, NULL));
	}
	neap_map_destroy(clone);
}

/* Many of one command, so that small inputs reach large tables. */
static void do_run_of(struct model *model, void (*command)(struct model *, unsigned id))
{
	unsigned first = next_id(model), count = byte(model) * 16, step = 1 + byte(model);
	for (unsigned i = 0; i < count; i++)
		command(model, (first + i * step) % model->kind->ids);
}

static void command(struct model *model)
{
	unsigned what = byte(model);
	switch (what % 24) {
	case 0:
	case 1:
	case 2:
	case 3: do_put(model, next_id(model)); break;
	case 4: do_slot(model, next_id(model)); break;
	case 5:
	case 6: do_get(model, next_id(model)); break;
	case 7:
	case 8:
	case 9: do_delete(model, next_id(model)); break;
	case 10: do_take(model, next_id(model)); break;
	case 11: do_get_many(model, next_id(model)); break;
	case 12:
	case 13: do_run_of(model, do_put); break;
	case 14:
	case 15: do_run_of(model, do_delete); break;
	case 16: do_run_of(model, do_get); break;
	case 17:
		do_iterate(model, false);
		do_scan(model);
		break;
	case 18: do_iterate(model, true); break;
	case 19:
		if (what / 24 % 4 == 0)
			neap_map_delete_if(model->map, every_third, model);
		break;
	case 20:
		if (what / 24 == 0) {
			neap_map_clear(model->map);
			forget_all(model);
		} else if (what / 24 == 1) {
			neap_map_clear_keep(model->map);
			forget_all(model);
		}
		break;
	case 21: do_clone(model); break;
	case 22: DEMAND(neap_map_reserve(model->map, byte(model) * 40u) == NEAP_OK); break;
	case 23: DEMAND(neap_map_compact(model->map) == NEAP_OK); break;
	default: break;
	}
}

static void check(const struct model *model)
{
	DEMAND(neap_map_len(model->map) == model->len);
	const char *broken = neap__map_check(model->map);
	if (broken != NULL) {
		fprintf(stderr, "model: invariant broken: %s\n", broken);
		abort();
	}
	/* The map's own account is the allocator's, and the pages of its pool. */
	size_t pages = model->map->pool != NULL ? neap__pool_bytes(model->map, model->map->pool->touched) : 0;
	DEMAND(neap_map_bytes(model->map) == handed_out - model->base + pages);
}

void model_run(unsigned kind, const uint8_t *bytes, size_t size, unsigned check_every)
{
	static struct model model;
	memset(&model, 0, sizeof model);
	model.kind = &kinds[kind];
	model.at = bytes;
	model.end = bytes + size;
	model.base = handed_out;
	uint64_t seed[2] = {0, 0};
	memcpy(seed, bytes, size < 4 ? size : 4);
	struct neap_map_options options = {.name = "model",
					   .allocator = &counting,
					   .shrink = model.kind->shrink,
					   .floor = model.kind->floor,
					   .seed = seed};
	model.map = neap_map_create(&model.kind->type, &options);
	DEMAND(model.map != NULL);
	unsigned since = 0;
	while (model.at < model.end) {
		command(&model);
		DEMAND(neap_map_len(model.map) == model.len);
		if (++since >= check_every) {
			check(&model);
			since = 0;
		}
	}
	check(&model);
	for (unsigned id = 0; id < model.kind->ids; id++)
		do_get(&model, id);
	neap_map_destroy(model.map);
	DEMAND(handed_out == model.base);
}
