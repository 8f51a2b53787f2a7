/* compare.c: equality and hash of interface values, by Go's rules.
 *
 * The type is part of both: it goes into the second word of the hash's key, so that 1 as int64 and 1 as uint64 are
 * apart at no cost. Floats hash through one word for both zeroes and a random one for each NaN.
 */
#include <string.h>

#include "any/box.h"
#include "base/fault.h"
#include "base/random.h"
#include "neap/map_core.h"

static _Noreturn void any_refuse(const char *rule, const struct neap_any_type *type, const char *operation)
{
	neap__fault((struct neap_fault){
		.rule = rule, .object = type->name, .address = type, .operation = operation, .kind = "type"});
}

static double any_as_double(const struct neap_any_type *type, const void *value)
{
	if (type->kind == NEAP_ANY_F64) {
		double number;
		memcpy(&number, value, sizeof number);
		return number;
	}
	float number;
	memcpy(&number, value, sizeof number);
	return (double)number;
}

static bool any_same_strings(const struct neap_str *a, const struct neap_str *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

static bool any_same_values(const struct neap_any_type *type, const void *a, const void *b)
{
	switch (type->kind) {
	case NEAP_ANY_F32:
	case NEAP_ANY_F64: return any_as_double(type, a) == any_as_double(type, b);
	case NEAP_ANY_STR: return any_same_strings(a, b);
	case NEAP_ANY_USER: return type->equal(a, b);
	case NEAP_ANY_NEVER: any_refuse("comparing uncomparable type", type, "neap_any_equal");
	default: return memcmp(a, b, type->value_size) == 0;
	}
}

bool neap_any_equal(struct neap_any a, struct neap_any b)
{
	if (a.type != b.type)
		return false;
	return a.type == NULL || any_same_values(a.type, neap_any_value(&a), neap_any_value(&b));
}

bool neap_any_comparable(struct neap_any value)
{
	return value.type == NULL || value.type->kind != NEAP_ANY_NEVER;
}

static uint64_t any_float_word(double number)
{
	uint64_t word;
	if (number != number)
		return neap__random_next();
	if (number == 0)
		return 0;
	memcpy(&word, &number, sizeof word);
	return word;
}

uint64_t neap_any_hash(struct neap_any value, uint64_t seed)
{
	const struct neap_any_type *type = value.type;
	const uint64_t key[2] = {seed, seed ^ (uint64_t)(uintptr_t)type};
	if (type == NULL)
		return neap__hash_word(0, key);
	const void *at = neap_any_value(&value);
	switch (type->kind) {
	case NEAP_ANY_F32:
	case NEAP_ANY_F64: return neap__hash_word(any_float_word(any_as_double(type, at)), key);
	case NEAP_ANY_STR: {
		struct neap_str str;
		memcpy(&str, at, sizeof str);
		return neap__hash_str(str, key);
	}
	case NEAP_ANY_USER: return neap__hash_word(type->hash(at, seed), key);
	case NEAP_ANY_NEVER: any_refuse("hash of unhashable type", type, "neap_any_hash");
	default:
		return type->value_size <= 16 ? neap__hash_fixed(at, type->value_size, key)
					      : neap__hash_bytes(at, type->value_size, key);
	}
}
