/* hmap_kinds.h: fourteen kinds of classic map for the tests: every variant, with and without pointers, large keys
 * and values, floats. Keys and values are made from a number, in Go's tracer (tests/go/hmap_trace) likewise.
 */
#ifndef NEAP_TESTS_SUPPORT_HMAP_KINDS_H
#define NEAP_TESTS_SUPPORT_HMAP_KINDS_H

#include "neap/hmap.h"

enum {
	HMAP_KINDS = 14,
	HMAP_LARGEST = 200,   /* bytes of the largest key or value */
	HMAP_TEXTS = 1 << 20, /* string keys are made of numbers below this */
};

struct hmap_kind {
	const char *name;
	struct neap_hmap_type type; /* with the library's hash */
	void (*key)(uint32_t id, void *ret);
	uint32_t (*id)(const void *key); /* the number that a key was made from; not for a NaN, 0 for -0 */
	void (*value)(uint32_t id, void *ret);
};

extern const struct hmap_kind hmap_kinds[HMAP_KINDS];

/* A bijection, so that different numbers are different keys. */
uint32_t hmap_spread(uint32_t id);
/* True for the numbers that a float kind turns into a NaN. */
bool hmap_kind_nan(const struct hmap_kind *kind, uint32_t id);
void hmap_kinds_free_texts(void);

#endif
