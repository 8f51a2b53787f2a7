/* hash.c: the fast keyed hash, and SipHash for hostile keys.
 *
 * The fast hash multiplies 16 bytes at a time as two words keyed by the seed and folds the 128-bit product; it
 * is of the wyhash and rapidhash family (Wang Yi, public domain; Nicolas De Carli), written anew. Three lanes
 * run side by side over long keys, because one product takes four cycles and the next need not wait for it.
 * The length enters the last product, so that a key and the same key with zero bytes behind it differ.
 */
#include "base/hash.h"

#include <string.h>

#include "neap/map_core.h"

/* Odd, with as many ones as zeroes in each byte: the constants of wyhash. */
static const uint64_t lane_key[3] = {UINT64_C(0x2d358dccaa6c78a5), UINT64_C(0x8bb84b93962eacc9),
				     UINT64_C(0x4b33a62ed433d4a3)};

static uint64_t word_at(const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof word);
	return word;
}

static uint64_t half_at(const uint8_t *at)
{
	uint32_t half;
	memcpy(&half, at, sizeof half);
	return half;
}

uint64_t neap__hash_bytes(const void *bytes, size_t size, const uint64_t seed[2])
{
	const uint8_t *at = bytes;
	uint64_t state = seed[0]; /* random already: wyhash mixes it, for callers who say 0, 1, 2 */
	uint64_t a = 0, b = 0;
	if (size <= 16) {
		if (size >= 8) {
			a = word_at(at);
			b = word_at(at + size - 8);
		} else if (size >= 4) {
			a = half_at(at);
			b = half_at(at + size - 4);
		} else if (size > 0) {
			a = (uint64_t)at[0] << 16 | (uint64_t)at[size / 2] << 8 | at[size - 1];
		}
	} else {
		size_t left = size;
		if (left > 48) {
			uint64_t second = state, third = state;
			do {
				state = neap__fold(word_at(at) ^ lane_key[0], word_at(at + 8) ^ state);
				second =
					neap__fold(word_at(at + 16) ^ lane_key[1], word_at(at + 24) ^ second);
				third = neap__fold(word_at(at + 32) ^ lane_key[2], word_at(at + 40) ^ third);
				at += 48;
				left -= 48;
			} while (left > 48);
			state ^= second ^ third;
		}
		for (; left > 16; at += 16, left -= 16)
			state = neap__fold(word_at(at) ^ lane_key[2], word_at(at + 8) ^ state);
		a = word_at(at + left - 16);
		b = word_at(at + left - 8);
	}
	neap__wide product = (neap__wide)(a ^ seed[1]) * (b ^ state);
	return neap__fold((uint64_t)product ^ lane_key[0] ^ size, (uint64_t)(product >> 64) ^ lane_key[1]);
}

static uint64_t rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t neap__siphash(const void *bytes, size_t size, const uint64_t seed[2])
{
	/* The initial state spells "somepseudorandomlygeneratedbytes". */
	uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
			 seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
	const uint8_t *at = bytes;
	uint64_t last = (uint64_t)size << 56;
	size_t left = size;
	for (; left >= 8; left -= 8, at += 8) {
		uint64_t word = word_at(at);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)at[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
