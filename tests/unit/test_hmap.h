/* test_hmap.h: what the unit tests of the classic map share: types and shorthands. */
#ifndef NEAP_TESTS_UNIT_TEST_HMAP_H
#define NEAP_TESTS_UNIT_TEST_HMAP_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "hmap/internal.h"

#define TYPE(what, key, value)                                                          \
	.size = sizeof(struct neap_hmap_type), .kind = (what), .key_size = sizeof(key), \
	.key_align = _Alignof(key), .value_size = sizeof(value), .value_align = _Alignof(value)

static const struct neap_hmap_type u64_type = {TYPE(NEAP_HMAP_BYTES, uint64_t, uint64_t)};
static const struct neap_hmap_type u64_ptr_type = {TYPE(NEAP_HMAP_BYTES, uint64_t, void *),
						   .flags = NEAP_HMAP_VALUE_POINTERS};
static const struct neap_hmap_type str_type = {TYPE(NEAP_HMAP_STR, struct neap_str, uint64_t)};
static const struct neap_hmap_type f64_type = {TYPE(NEAP_HMAP_F64, double, uint64_t)};

struct big {
	uint64_t word[32];
};
static const struct neap_hmap_type big_type = {TYPE(NEAP_HMAP_BYTES, struct big, struct big)};

#define ASSERT_SOUND(map)                                                  \
	do {                                                               \
		const char *broken = neap__hmap_check(map);                \
		if (broken != NULL)                                        \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, broken); \
	} while (0)

static inline void put(struct neap_hmap *map, uint64_t key, uint64_t value)
{
	assert_int_equal(neap_hmap_put(map, &key, &value), NEAP_OK);
}

static inline bool has(const struct neap_hmap *map, uint64_t key)
{
	return neap_hmap_get(map, &key) != NULL;
}

static inline bool del(struct neap_hmap *map, uint64_t key)
{
	return neap_hmap_delete(map, &key);
}

static inline struct neap_hmap *filled(const struct neap_hmap_type *type,
				       const struct neap_hmap_options *options, uint64_t n)
{
	struct neap_hmap *map = neap_hmap_create(type, options);
	assert_non_null(map);
	for (uint64_t i = 0; i < n; i++)
		put(map, i, i);
	return map;
}

static inline struct neap_hmap_stats stats_of(const struct neap_hmap *map)
{
	struct neap_hmap_stats stats = {.size = sizeof stats};
	neap_hmap_stats(map, &stats);
	return stats;
}

/* All keys in one chain. */
static inline uint64_t same_hash(const void *key, uint64_t seed)
{
	(void)key;
	(void)seed;
	return UINT64_C(0x4200000000000000);
}

/* The bucket by the low bits, the tophash by the top byte. */
static inline uint64_t id_hash(const void *key, uint64_t seed)
{
	(void)seed;
	return *(const uint64_t *)key;
}

#endif
