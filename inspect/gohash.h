/* gohash.h: recomputes the hash of keys from outside, which proves that a map was read rightly: the stored seven or
 * eight bits of each live key's hash must be those of the key that lies beside them.
 *
 * Known: strings, and keys that are compared as bytes (integers, pointers, arrays and structs of these), to 32
 * bytes each, on machines whose processor has AES instructions, as the target's then has (Go uses them for its
 * hash). Keys of other kinds are not checked.
 */
#ifndef NEAP_INSPECT_GOHASH_H
#define NEAP_INSPECT_GOHASH_H

#include "gomap.h"

struct go_hash_key {
	uint8_t schedule[128]; /* the process's random key, runtime.aeskeysched */
	bool known;
};

/* Finds and reads the key. It has a symbol, or else is what the code of the hash of a word refers to. */
void go_hash_key_find(struct go_process *process, struct go_hash_key *ret);

/* The hash of a key; false when keys of this type, or this length, are not known here. */
bool go_hash_of(struct go_process *process, const struct go_hash_key *key, const struct go_map_header *header,
		const struct go_map_type *type, const uint8_t *bytes, uint64_t *ret);

/* Recomputes the hash of up to `limit` live keys: how many could be, and how many of these agree. */
void go_hash_check(struct go_process *process, const struct go_hash_key *key,
		   const struct go_map_header *header, const struct go_map_type *type, uint64_t limit,
		   uint64_t *checked, uint64_t *agreed);

#endif
