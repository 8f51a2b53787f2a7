/* go_hash.c: see go_hash.h. The multiplications are wyhash's (Wang Yi, public domain). */
#include "go_hash.h"

#include <string.h>

__extension__ typedef unsigned __int128 wide;

uint64_t go_mix(uint64_t a, uint64_t b)
{
	wide product = (wide)a * b;
	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

uint64_t go_random_state;

uint64_t go_random(void *ctx)
{
	(void)ctx;
	go_random_state += UINT64_C(0xa0761d6478bd642f);
	return go_mix(go_random_state, go_random_state ^ UINT64_C(0xe7037ed1a0b428db));
}

static uint64_t word_at(const uint8_t *at, size_t size)
{
	uint64_t word = 0;
	memcpy(&word, at, size);
	return word;
}

/* memhashFallback of Go 1.19 (a wyhash), under the key that hmap_trace sets. */
static uint64_t go_memhash(const void *bytes, uint64_t seed, size_t size)
{
	static const uint64_t m[] = {0,
				     UINT64_C(0xa0761d6478bd642f),
				     UINT64_C(0xe7037ed1a0b428db),
				     UINT64_C(0x8ebc6af09c88c6e3),
				     UINT64_C(0x589965cc75374cc3),
				     UINT64_C(0x1d8e4e27c47d124f)};
	const uint8_t *at = bytes;
	uint64_t a, b, lane[3];
	seed ^= UINT64_C(0x9e3779b97f4a7c15) ^ m[1];
	if (size == 0)
		return seed;
	if (size < 4) {
		a = at[0] | (uint64_t)at[size / 2] << 8 | (uint64_t)at[size - 1] << 16;
		b = 0;
	} else if (size <= 8) {
		size_t part = size == 8 ? 8 : 4;
		a = word_at(at, part);
		b = word_at(at + size - part, part);
	} else if (size <= 16) {
		a = word_at(at, 8);
		b = word_at(at + size - 8, 8);
	} else {
		size_t left = size;
		lane[0] = lane[1] = lane[2] = seed;
		if (left > 48) {
			for (; left > 48; left -= 48, at += 48) {
				for (size_t i = 0; i < 3; i++)
					lane[i] = go_mix(word_at(at + 16 * i, 8) ^ m[2 + i],
							 word_at(at + 16 * i + 8, 8) ^ lane[i]);
			}
			seed = lane[0] ^ lane[1] ^ lane[2];
		}
		for (; left > 16; left -= 16, at += 16)
			seed = go_mix(word_at(at, 8) ^ m[2], word_at(at + 8, 8) ^ seed);
		a = word_at(at + left - 16, 8);
		b = word_at(at + left - 8, 8);
	}
	return go_mix(m[5] ^ size, go_mix(a ^ m[2], b ^ seed));
}

static uint64_t hash_2(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 2);
}

uint64_t go_hash_4(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 4);
}

static uint64_t hash_8(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 8);
}

static uint64_t hash_16(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 16);
}

static uint64_t hash_200(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 200);
}

static uint64_t hash_str(const void *key, uint64_t seed)
{
	const struct neap_str *str = key;
	return go_memhash(str->ptr, seed, str->len);
}

static uint64_t hash_float(const void *key, uint64_t seed, double value, size_t size)
{
	const uint64_t c0 = UINT64_C(33054211828000289), c1 = UINT64_C(23344194077549503);
	if (value == 0)
		return c1 * (c0 ^ seed);
	if (value != value)
		return c1 * (c0 ^ seed ^ (uint32_t)go_random(NULL));
	return go_memhash(key, seed, size);
}

static uint64_t hash_f64(const void *key, uint64_t seed)
{
	double value;
	memcpy(&value, key, sizeof value);
	return hash_float(key, seed, value, sizeof value);
}

static uint64_t hash_f32(const void *key, uint64_t seed)
{
	float value;
	memcpy(&value, key, sizeof value);
	return hash_float(key, seed, (double)value, sizeof value);
}

uint64_t (*const go_hashes[HMAP_KINDS])(const void *key, uint64_t seed) = {
	hash_2,	  go_hash_4, go_hash_4, hash_8,	  hash_8,   hash_8,   hash_8,
	hash_str, hash_str,  hash_16,	hash_f64, hash_f32, hash_200, hash_200,
};
