/* digest_map.c: a fixed workload, and one line per kind of map with a digest of the structure that it ends in.
 *
 * SIMD and portable builds, gcc and clang, x86-64 and aarch64 must print the same lines: the digest covers every
 * control word, every live slot, the segment table, the directory and the figures of neap_map_stats.
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/map_probe.h"

#define TYPE .size = sizeof(struct neap_map_type)

enum { STEPS = 300000, KEYS = 60000 };

static uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	for (size_t i = 0; i < size; i++) /* FNV-1a: not the hash under test */
		digest = (digest ^ at[i]) * UINT64_C(0x100000001b3);
	return digest;
}

static uint64_t digest_of(const struct neap_map *map, bool keys_are_pointers)
{
	uint64_t digest = UINT64_C(0xcbf29ce484222325);
	size_t keyed = map->value_offset + map->type->value_size;
	for (uint32_t number = 0; number < neap__segment_count(map); number++) {
		digest = digest_bytes(digest, &map->segs[number], sizeof map->segs[number]);
		for (uint32_t group = 0; group <= neap__last_group(map); group++) {
			const uint8_t *ctrl = neap__ctrl_at(map, number, group);
			const uint8_t *slots = neap__slots_at(map, number, group);
			digest = digest_bytes(digest, ctrl, NEAP__CONTROL_BYTES);
			for (uint32_t mask = ~neap__empty(ctrl) & NEAP__GROUP_MASK; mask != 0;
			     mask &= mask - 1) {
				const uint8_t *slot = slots + (size_t)neap__first(mask) * map->slot_size;
				size_t from = keys_are_pointers ? sizeof(void *) : 0;
				digest = digest_bytes(digest, slot + from, keyed - from);
			}
		}
	}
	for (size_t i = 0; map->pool != NULL && i < (size_t)1 << map->pool->depth; i++) {
		size_t at = (size_t)(map->pool->dir[i] - map->ctrl);
		digest = digest_bytes(digest, &at, sizeof at);
	}
	struct neap_map_stats stats = {.size = sizeof stats};
	neap_map_stats(map, &stats);
	return digest_bytes(digest, &stats, sizeof stats);
}

static uint64_t hash_few(const void *key, uint64_t seed)
{
	return (*(const uint32_t *)key % 9) ^ seed;
}

static bool equal_u32(const void *a, const void *b)
{
	return *(const uint32_t *)a == *(const uint32_t *)b;
}

static const struct {
	const char *name;
	struct neap_map_type type;
	uint32_t keys;
} kinds[] = {
	{"u64-u64", {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 8, 8}, KEYS},
	{"u32-set", {TYPE, NEAP_KEY_BYTES, 0, 4, 4, 0, 1}, KEYS},
	{"u64-56", {TYPE, NEAP_KEY_BYTES, 0, 8, 8, 56, 8}, KEYS},
	{"16-bytes", {TYPE, NEAP_KEY_BYTES, 0, 16, 8, 8, 8}, KEYS},
	{"40-bytes", {TYPE, NEAP_KEY_BYTES, 0, 40, 8, 8, 8}, KEYS},
	{"siphash", {TYPE, NEAP_KEY_BYTES, NEAP_MAP_SIPHASH, 8, 8, 4, 4}, KEYS},
	{"string", {TYPE, NEAP_KEY_STR, 0, 16, 8, 8, 8}, KEYS},
	{"f64", {TYPE, NEAP_KEY_F64, 0, 8, 8, 8, 8}, KEYS},
	{"nine-hashes", {TYPE, NEAP_KEY_USER, 0, 4, 4, 4, 4, hash_few, equal_u32, NULL, NULL}, 1500},
};

static char text[KEYS][48];

static void make_key(const struct neap_map_type *type, uint32_t id, uint8_t ret[64])
{
	memset(ret, 0, 64);
	if (type->kind == NEAP_KEY_STR) {
		struct neap_str str = probe_str(text[id]);
		memcpy(ret, &str, sizeof str);
	} else if (type->kind == NEAP_KEY_F64) {
		double number = (double)id / 8;
		memcpy(ret, &number, sizeof number);
	} else {
		memcpy(ret, &id, sizeof id);
		if (type->key_size >= 16)
			memcpy(ret + type->key_size - sizeof id, &id, sizeof id);
	}
}

int main(void)
{
	for (uint32_t id = 0; id < KEYS; id++)
		snprintf(text[id], sizeof text[id], "%0*u", 5 + (int)(id % 40), id);
	static const uint64_t seed[2] = {UINT64_C(0x1122334455667788), UINT64_C(0x99aabbccddeeff01)};
	for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
		struct neap_map *map =
			neap_map_create(&kinds[k].type, &(struct neap_map_options){.seed = seed});
		if (map == NULL)
			return 1;
		printf("%s", kinds[k].name);
		for (uint64_t step = 0; step < STEPS; step++) {
			/* Grows over the first half, shrinks over the second, with churn all along. */
			uint64_t random = probe_mix(step);
			bool put = random % 16 < (step < STEPS / 2 ? 12u : 5u);
			uint32_t range = kinds[k].keys;
			uint8_t key[64], value[64] = {0};
			make_key(&kinds[k].type, (uint32_t)((random >> 16) % range), key);
			memcpy(value, &step, sizeof step);
			if (put && neap_map_put(map, key, value) != NEAP_OK)
				return 1;
			if (!put)
				(void)neap_map_delete(map, key);
			if (step == STEPS / 2 || step == STEPS - 1)
				printf(" %zu:%016llx", neap_map_len(map),
				       (unsigned long long)digest_of(map,
								     kinds[k].type.kind == NEAP_KEY_STR));
			if (step == STEPS / 2 && neap_map_compact(map) != NEAP_OK)
				return 1;
		}
		const char *broken = neap__map_check(map);
		printf(" %s\n", broken == NULL ? "sound" : broken);
		neap_map_destroy(map);
	}
	return 0;
}
