/* go_hash.h: the portable hash and the random numbers of Go 1.19's runtime, as hmap_trace sets them up. */
#ifndef NEAP_TESTS_GO_GO_HASH_H
#define NEAP_TESTS_GO_GO_HASH_H

#include "hmap_kinds.h"

/* The state of fastrand; set before each step as the tracer does. */
extern uint64_t go_random_state;
/* fastrand64; fastrand is its lower half. For struct neap_hmap_options. */
uint64_t go_random(void *ctx);
/* The two halves of a 128-bit product, folded. */
uint64_t go_mix(uint64_t a, uint64_t b);

/* The hash of each kind's keys. */
extern uint64_t (*const go_hashes[HMAP_KINDS])(const void *key, uint64_t seed);
uint64_t go_hash_4(const void *key, uint64_t seed);

#endif
