/* key.h: hash and equality of a key of any kind that struct neap_map_type can describe.
 *
 * As in Go: 0 and -0 are one key, a NaN equals nothing and hashes at random.
 */
#ifndef NEAP_SRC_BASE_KEY_H
#define NEAP_SRC_BASE_KEY_H

#include "neap/map.h"

/* True when sizes, alignments, kind and functions of a type fit together. */
bool neap__type_ok(const struct neap_map_type *type);
/* Under the seed of a container; seed[1] is odd and has its top bit set. */
uint64_t neap__type_hash(const struct neap_map_type *type, const void *key, const uint64_t seed[2]);
bool neap__type_equal(const struct neap_map_type *type, const void *a, const void *b);

#endif
