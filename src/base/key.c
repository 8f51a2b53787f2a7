/* key.c: what a key is: whether its type fits together, its hash, and when two are one. All containers ask here, so a
 * key that one finds is found by the others too.
 */
#include "base/key.h"

#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "neap/map_core.h"

/* Bytes of a key or value: a slot's blocks stay far below any allocator's limit. */
enum { PART_MOST = 1 << 20 };

static bool part_ok(uint32_t size, uint32_t align)
{
	return size <= PART_MOST && align != 0 && align <= 64 && (align & (align - 1)) == 0;
}

bool neap__type_ok(const struct neap_map_type *type)
{
	if (type->size != sizeof *type || type->kind > NEAP_KEY_USER || type->key_size == 0 ||
	    !part_ok(type->key_size, type->key_align) ||
	    (type->value_size != 0 && !part_ok(type->value_size, type->value_align)))
		return false;
	switch (type->kind) {
	case NEAP_KEY_STR: return type->key_size == sizeof(struct neap_str);
	case NEAP_KEY_F32: return type->key_size == sizeof(float);
	case NEAP_KEY_F64: return type->key_size == sizeof(double);
	case NEAP_KEY_USER: return type->hash != NULL && type->equal != NULL;
	default: return true;
	}
}

/* The word that stands for a float: one for both zeroes, a random one for each NaN. */
static uint64_t word_of_float(double number)
{
	if (number == 0)
		return 0;
	if (number != number)
		return neap__random_next();
	return neap__load_word(&number, sizeof number);
}

uint64_t neap__type_hash(const struct neap_map_type *type, const void *key, const uint64_t seed[2])
{
	const bool sip = (type->flags & NEAP_MAP_SIPHASH) != 0;
	uint64_t word;
	switch (type->kind) {
	case NEAP_KEY_STR: {
		const struct neap_str *str = key;
		return sip ? neap__siphash(str->ptr, str->len, seed) : neap__hash_str(*str, seed);
	}
	case NEAP_KEY_F32: {
		float number;
		memcpy(&number, key, sizeof number);
		word = word_of_float((double)number);
		break;
	}
	case NEAP_KEY_F64: {
		double number;
		memcpy(&number, key, sizeof number);
		word = word_of_float(number);
		break;
	}
	case NEAP_KEY_USER: word = type->hash(key, seed[0]); break;
	default:
		return sip ? neap__siphash(key, type->key_size, seed)
			   : neap__hash_fixed(key, type->key_size, seed);
	}
	return sip ? neap__siphash(&word, sizeof word, seed) : neap__hash_word(word, seed);
}

bool neap__type_equal(const struct neap_map_type *type, const void *a, const void *b)
{
	switch (type->kind) {
	case NEAP_KEY_STR: {
		const struct neap_str *x = a, *y = b;
		return x->len == y->len && (x->len == 0 || memcmp(x->ptr, y->ptr, x->len) == 0);
	}
	case NEAP_KEY_F32: {
		float x, y;
		memcpy(&x, a, sizeof x);
		memcpy(&y, b, sizeof y);
		return x == y;
	}
	case NEAP_KEY_F64: {
		double x, y;
		memcpy(&x, a, sizeof x);
		memcpy(&y, b, sizeof y);
		return x == y;
	}
	case NEAP_KEY_USER: return type->equal(a, b);
	default: return memcmp(a, b, type->key_size) == 0;
	}
}
