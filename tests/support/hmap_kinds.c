/* hmap_kinds.c: see hmap_kinds.h. */
#include "hmap_kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t hmap_spread(uint32_t id)
{
	return id * UINT32_C(2654435761);
}

static void make_u16(uint32_t id, void *ret)
{
	uint16_t key = (uint16_t)id;
	memcpy(ret, &key, sizeof key);
}

static void make_u32(uint32_t id, void *ret)
{
	uint32_t key = hmap_spread(id);
	memcpy(ret, &key, sizeof key);
}

static void make_u64(uint32_t id, void *ret)
{
	uint64_t key = (uint64_t)hmap_spread(id) << 32 | id;
	memcpy(ret, &key, sizeof key);
}

static void make_ptr(uint32_t id, void *ret)
{
	uint64_t key = 0x10000 + (uint64_t)id * 16;
	memcpy(ret, &key, sizeof key);
}

static void make_struct(uint32_t id, void *ret)
{
	struct {
		uint64_t a;
		uint32_t b, c;
	} key = {hmap_spread(id), id, ~id};
	memcpy(ret, &key, sizeof key);
}

static void make_f64(uint32_t id, void *ret)
{
	double key = id == 0 ? 0 : id == 1 ? -0.0 : id % 8 == 7 ? (double)NAN : (double)id * 0.5;
	if (key != key) { /* Go's NaN, bit for bit */
		uint64_t bits = UINT64_C(0x7ff8000000000001);
		memcpy(&key, &bits, sizeof key);
	}
	memcpy(ret, &key, sizeof key);
}

static void make_f32(uint32_t id, void *ret)
{
	double wide_key;
	make_f64(id, &wide_key);
	float key = (float)wide_key;
	memcpy(ret, &key, sizeof key);
}

static void make_big(uint32_t id, void *ret)
{
	uint8_t *bytes = ret;
	for (uint32_t i = 0; i < 200; i++)
		bytes[i] = (uint8_t)(hmap_spread(id + i) >> 24);
	memcpy(bytes + 100, &id, sizeof id);
}

static void make_nothing(uint32_t id, void *ret)
{
	(void)id;
	(void)ret;
}

static char *texts[HMAP_TEXTS];

static void make_str(uint32_t id, void *ret)
{
	if (texts[id] == NULL) {
		char dashes[42] = {0};
		memset(dashes, '-', id % 41);
		if (asprintf(&texts[id], "key %u%s", id, dashes) < 0)
			abort();
	}
	struct neap_str key = {texts[id], (uint32_t)strlen(texts[id]), 0};
	memcpy(ret, &key, sizeof key);
}

/* ---- And back ---- */

static uint32_t id_u16(const void *key)
{
	uint16_t word;
	memcpy(&word, key, sizeof word);
	return word;
}

static uint32_t id_u32(const void *key)
{
	uint32_t word;
	memcpy(&word, key, sizeof word);
	return word * UINT32_C(244002641); /* the inverse of 2654435761 modulo 2^32 */
}

static uint32_t id_u64(const void *key)
{
	uint32_t word;
	memcpy(&word, key, sizeof word); /* the lower half, on the machines that we run on */
	return word;
}

static uint32_t id_ptr(const void *key)
{
	uint64_t word;
	memcpy(&word, key, sizeof word);
	return (uint32_t)((word - 0x10000) / 16);
}

static uint32_t id_str(const void *key)
{
	struct neap_str str;
	memcpy(&str, key, sizeof str);
	return (uint32_t)strtoul(str.ptr + strlen("key "), NULL, 10);
}

static uint32_t id_struct(const void *key)
{
	uint32_t word;
	memcpy(&word, (const uint8_t *)key + 8, sizeof word);
	return word;
}

static uint32_t id_f64(const void *key)
{
	double value;
	memcpy(&value, key, sizeof value);
	return (uint32_t)(value * 2);
}

static uint32_t id_f32(const void *key)
{
	float value;
	memcpy(&value, key, sizeof value);
	return (uint32_t)(value * 2);
}

static uint32_t id_big(const void *key)
{
	uint32_t word;
	memcpy(&word, (const uint8_t *)key + 100, sizeof word);
	return word;
}

#define KIND(label, what, pointers, key_of, value_of, key_bytes, value_bytes) \
	{                                                                     \
		.name = (label),                                              \
		.type = {.size = sizeof(struct neap_hmap_type),               \
			 .kind = (what),                                      \
			 .flags = (pointers),                                 \
			 .key_size = (key_bytes),                             \
			 .key_align = 1,                                      \
			 .value_size = (value_bytes),                         \
			 .value_align = 1},                                   \
		.key = make_##key_of, .id = id_##key_of, .value = (value_of)  \
	}

const struct hmap_kind hmap_kinds[HMAP_KINDS] = {
	KIND("u16-none", NEAP_HMAP_BYTES, 0, u16, make_nothing, 2, 0),
	KIND("u32-u32", NEAP_HMAP_BYTES, 0, u32, make_u32, 4, 4),
	KIND("u32-big", NEAP_HMAP_BYTES, 0, u32, make_big, 4, 200),
	KIND("u64-u64", NEAP_HMAP_BYTES, 0, u64, make_u64, 8, 8),
	KIND("u64-ptr", NEAP_HMAP_BYTES, NEAP_HMAP_VALUE_POINTERS, u64, make_ptr, 8, 8),
	KIND("u64-big", NEAP_HMAP_BYTES, 0, u64, make_big, 8, 200),
	KIND("ptr-u64", NEAP_HMAP_BYTES, NEAP_HMAP_KEY_POINTERS, ptr, make_u64, 8, 8),
	KIND("str-u64", NEAP_HMAP_STR, 0, str, make_u64, 16, 8),
	KIND("str-big", NEAP_HMAP_STR, 0, str, make_big, 16, 200),
	KIND("struct-u32", NEAP_HMAP_BYTES, 0, struct, make_u32, 16, 4),
	KIND("f64-u64", NEAP_HMAP_F64, 0, f64, make_u64, 8, 8),
	KIND("f32-u32", NEAP_HMAP_F32, 0, f32, make_u32, 4, 4),
	KIND("big-u64", NEAP_HMAP_BYTES, 0, big, make_u64, 200, 8),
	KIND("big-big", NEAP_HMAP_BYTES, 0, big, make_big, 200, 200),
};

bool hmap_kind_nan(const struct hmap_kind *kind, uint32_t id)
{
	bool floats = kind->type.kind == NEAP_HMAP_F32 || kind->type.kind == NEAP_HMAP_F64;
	return floats && id % 8 == 7;
}

void hmap_kinds_free_texts(void)
{
	for (size_t i = 0; i < HMAP_TEXTS; i++) {
		free(texts[i]);
		texts[i] = NULL;
	}
}
