/* test_map_hash.c: the hashes of the map against references, and what the map needs of them: every bit of a key
 * reaches every bit that places an entry, and keys in sequence spread over segments and groups.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "support/map_probe.h"

/* SipHash-1-3 under the key 00 01 .. 0f of the messages "", 00, 00 01, ... From a second implementation, in
 * Python, that also gave the published vectors of SipHash-2-4 and, under the zero key, what Python 3.11 itself
 * says: its hash() of bytes is SipHash-1-3, and PYTHONHASHSEED=0 is the zero key.
 */
static const struct {
	size_t size;
	uint64_t hash;
} siphash_1_3[] = {
	{0, UINT64_C(0xabac0158050fc4dc)},  {1, UINT64_C(0xc9f49bf37d57ca93)},
	{2, UINT64_C(0x82cb9b024dc7d44d)},  {3, UINT64_C(0x8bf80ab8e7ddf7fb)},
	{4, UINT64_C(0xcf75576088d38328)},  {5, UINT64_C(0xdef9d52f49533b67)},
	{6, UINT64_C(0xc50d2b50c59f22a7)},  {7, UINT64_C(0xd3927d989bb11140)},
	{8, UINT64_C(0x369095118d299a8e)},  {9, UINT64_C(0x25a48eb36c063de4)},
	{10, UINT64_C(0x79de85ee92ff097f)}, {15, UINT64_C(0xd320d86d2a519956)},
	{16, UINT64_C(0xcc4fdd1a7d908b66)}, {23, UINT64_C(0x525a0e7fdae6c123)},
	{24, UINT64_C(0xf464aeb267349c8c)}, {63, UINT64_C(0x9d199062b7bbb3a8)},
};

static void siphash_matches_the_reference(void **state)
{
	(void)state;
	uint8_t message[64];
	const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	const uint64_t zero[2] = {0, 0};
	for (size_t i = 0; i < sizeof message; i++)
		message[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof siphash_1_3 / sizeof siphash_1_3[0]; i++)
		assert_int_equal(neap__siphash(message, siphash_1_3[i].size, key), siphash_1_3[i].hash);
	assert_int_equal(neap__siphash("a", 1, zero), UINT64_C(0x407448d2b89b1813));
	assert_int_equal(neap__siphash("abcdefgh", 8, zero), UINT64_C(0x3f7b849c0b8e35ea));
	assert_int_equal(neap__siphash(message, 63, zero), UINT64_C(0x385d3e39e5f37359));
}

/* The bits that place an entry: 63 to 24. */
enum { USED_LOW = 24, USED = 40 };

static void seed_at(uint64_t n, uint64_t ret[2])
{
	ret[0] = probe_mix(2 * n + 1);
	ret[1] = probe_mix(2 * n + 2) | UINT64_C(1) << 63 | 1;
}

/* Every input bit flips every used output bit in 50 % of the cases, give or take `slack` percent. */
static void assert_avalanche(size_t size, unsigned trials, unsigned slack)
{
	uint8_t key[64];
	for (size_t bit = 0; bit < 8 * size; bit++) {
		unsigned flips[USED] = {0};
		for (unsigned trial = 0; trial < trials; trial++) {
			uint64_t seed[2];
			seed_at(trial, seed);
			for (size_t i = 0; i < size; i++)
				key[i] = (uint8_t)probe_mix(trial * 64 + i);
			uint64_t before = neap__hash_fixed(key, size, seed);
			key[bit / 8] ^= (uint8_t)(1 << bit % 8);
			uint64_t change = before ^ neap__hash_fixed(key, size, seed);
			for (unsigned out = 0; out < USED; out++)
				flips[out] += change >> (USED_LOW + out) & 1;
		}
		for (unsigned out = 0; out < USED; out++)
			if (flips[out] * 100 < trials * (50 - slack) ||
			    flips[out] * 100 > trials * (50 + slack))
				fail_msg("%zu bytes: bit %zu flips bit %u in %u of %u", size, bit,
					 USED_LOW + out, flips[out], trials);
	}
}

static void every_bit_of_a_key_reaches_every_used_bit(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 49, 64};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		assert_avalanche(sizes[i], 2000, 6); /* 5.4 standard deviations of 2000 coins */
}

static void length_is_part_of_the_key(void **state)
{
	(void)state;
	static const uint8_t zeroes[300];
	uint64_t seed[2], hashes[301];
	for (uint64_t s = 0; s < 20; s++) {
		seed_at(s, seed);
		for (size_t size = 0; size <= 300; size++) {
			hashes[size] = neap__hash_bytes(zeroes, size, seed);
			for (size_t shorter = 0; shorter < size; shorter++)
				assert_int_not_equal(hashes[size], hashes[shorter]);
		}
	}
}

static void every_byte_of_a_long_key_counts(void **state)
{
	(void)state;
	uint8_t bytes[257] = {0};
	uint64_t seed[2];
	seed_at(99, seed);
	for (size_t size = 1; size <= sizeof bytes; size++) {
		uint64_t plain = neap__hash_bytes(bytes, size, seed);
		for (size_t at = 0; at < size; at++) {
			bytes[at] = 1;
			assert_int_not_equal(neap__hash_bytes(bytes, size, seed), plain);
			bytes[at] = 0;
		}
	}
}

static void every_byte_counts_in_a_comparison(void **state)
{
	(void)state;
	uint8_t a[100], b[100];
	for (size_t i = 0; i < sizeof a; i++)
		a[i] = b[i] = (uint8_t)probe_mix(i);
	for (size_t size = 0; size < sizeof a; size++) {
		b[size] ^= 1; /* beyond the end: not looked at */
		assert_true(neap__bytes_equal(a, b, size));
		b[size] ^= 1;
		for (size_t at = 0; at < size; at++) {
			b[at] ^= 0x80;
			assert_false(neap__bytes_equal(a, b, size));
			b[at] ^= 0x80;
		}
	}
}

/* Keys in the sequences that programs use, under many seeds. By the 8 leading bits (256 segments) and, apart
 * from them, by the 8 home bits (256 groups): the fullest of 256 may hold the mean of 64 plus 7 standard
 * deviations of a fair die, 8 each. The chance that one of the 1000 * 5 * 2 * 256 counts of a perfect hash is
 * above that is under 1 in 10,000.
 */
static void sequences_spread(void **state)
{
	(void)state;
	enum { SEEDS = 1000, KEYS = 16384, PLACES = 256, MOST = KEYS / PLACES + 7 * 8 };
	static const uint64_t step[] = {1, 8, 4096, UINT64_C(1) << 32, UINT64_C(0x100000001)};
	unsigned worst = 0;
	for (uint64_t s = 0; s < SEEDS; s++) {
		uint64_t seed[2];
		seed_at(s + 12345, seed);
		for (size_t k = 0; k < sizeof step / sizeof step[0]; k++) {
			unsigned segment[PLACES] = {0}, group[PLACES] = {0};
			for (uint64_t i = 0; i < KEYS; i++) {
				uint64_t hash = neap__hash_word(i * step[k], seed);
				segment[hash >> 56]++;
				group[hash >> 32 & 255]++;
			}
			for (unsigned p = 0; p < PLACES; p++) {
				unsigned here = segment[p] > group[p] ? segment[p] : group[p];
				worst = here > worst ? here : worst;
			}
		}
	}
	if (worst > MOST)
		fail_msg("the fullest of %d places holds %u of %d keys, more than %d", PLACES, worst, KEYS,
			 MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_matches_the_reference),
		cmocka_unit_test(every_bit_of_a_key_reaches_every_used_bit),
		cmocka_unit_test(length_is_part_of_the_key),
		cmocka_unit_test(every_byte_of_a_long_key_counts),
		cmocka_unit_test(every_byte_counts_in_a_comparison),
		cmocka_unit_test(sequences_spread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
