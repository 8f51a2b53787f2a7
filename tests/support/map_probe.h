/* map_probe.h: what several tests of the map ask of it. */
#ifndef NEAP_TESTS_MAP_PROBE_H
#define NEAP_TESTS_MAP_PROBE_H

#include "map/internal.h"

/* True in a build whose tables are tiny, and in one that checks the whole map after every structural step,
 * which makes n inserts cost n * n: tests of large maps stay small there.
 */
#ifdef NEAP_HOSTILE
enum { HOSTILE = 1 };
#else
enum { HOSTILE = 0 };
#endif
#if NEAP_CHECK >= 3
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

/* n entries, or as many as the build bears. */
static inline size_t probe_scale(size_t n)
{
	size_t most = HOSTILE && CHECKED ? 2000 : CHECKED ? 10000 : SIZE_MAX;
	return n < most ? n : most;
}

/* Bytes that the system, not the allocator, has handed out for a map. */
static inline size_t probe_pages(const struct neap_map *map)
{
	return map->pool != NULL ? neap__pool_bytes(map, map->pool->touched) : 0;
}

/* A number that looks random and differs for every i. */
static inline uint64_t probe_mix(uint64_t i)
{
	i = (i ^ i >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	i = (i ^ i >> 27) * UINT64_C(0x94d049bb133111eb);
	return i ^ i >> 31;
}

/* Order in which to visit 0..n-1 at random: fills `ret`. */
static inline void probe_shuffle(uint32_t *ret, uint32_t n, uint64_t seed)
{
	for (uint32_t i = 0; i < n; i++)
		ret[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = (uint32_t)(probe_mix(seed + i) % i), keep = ret[i - 1];
		ret[i - 1] = ret[j];
		ret[j] = keep;
	}
}

static const struct neap_map_type probe_u64 = {
	.size = sizeof(struct neap_map_type),
	.kind = NEAP_KEY_BYTES,
	.key_size = 8,
	.key_align = 8,
	.value_size = 8,
	.value_align = 8,
};

static inline struct neap_str probe_str(const char *text)
{
	return (struct neap_str){text, (uint32_t)strlen(text), 0};
}

#endif
