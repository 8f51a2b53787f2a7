/* hash.h: keyed hashes of byte strings. The hash of a word is inline, in neap/map_core.h. */
#ifndef NEAP_SRC_BASE_HASH_H
#define NEAP_SRC_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 (Aumasson and Bernstein 2012) under the 128-bit key `seed`: for keys that an enemy chooses. */
uint64_t neap__siphash(const void *bytes, size_t size, const uint64_t seed[2]);

#endif
