/* any_map.c: the callbacks that make a map of interface values, and writing to it with copies. */
#include "neap/any_map.h"

const struct neap_map_type neap_any_map_type = {.size = sizeof(struct neap_map_type),
						.kind = NEAP_KEY_USER,
						.key_size = sizeof(struct neap_any),
						.key_align = _Alignof(struct neap_any),
						.value_size = sizeof(struct neap_any),
						.value_align = _Alignof(struct neap_any),
						.hash = neap_any_key_hash,
						.equal = neap_any_key_equal,
						.release = neap_any_release_both};

bool neap_any_key_equal(const void *a, const void *b)
{
	return neap_any_equal(*(const struct neap_any *)a, *(const struct neap_any *)b);
}

uint64_t neap_any_key_hash(const void *key, uint64_t seed)
{
	return neap_any_hash(*(const struct neap_any *)key, seed);
}

static void any_drop_at(const struct neap_any *at)
{
	if (at != NULL)
		neap_any_drop(*at);
}

void neap_any_release_key(void *key, void *value, void *ctx)
{
	(void)value;
	(void)ctx;
	any_drop_at(key);
}

void neap_any_release_value(void *key, void *value, void *ctx)
{
	(void)key;
	(void)ctx;
	any_drop_at(value);
}

void neap_any_release_both(void *key, void *value, void *ctx)
{
	(void)ctx;
	any_drop_at(key);
	any_drop_at(value);
}

int neap_any_map_put(struct neap_map *map, struct neap_any key, struct neap_any value)
{
	if (map == NULL)
		return NEAP_ENIL;
	if (!neap_any_comparable(key))
		return NEAP_EINVAL;
	bool inserted;
	struct neap_any *slot = neap_map_slot(map, &key, &inserted);
	if (slot == NULL)
		return NEAP_ENOMEM;
	struct neap_any before = *slot;
	*slot = neap_any_copy(value); /* before the old one goes: it may be the same */
	if (inserted)
		(void)neap_any_copy(key); /* the slot holds its words already */
	else
		neap_any_drop(before);
	return NEAP_OK;
}

const struct neap_any *neap_any_map_get(const struct neap_map *map, struct neap_any key)
{
	return neap_any_comparable(key) ? neap_map_get(map, &key) : NULL;
}

bool neap_any_map_delete(struct neap_map *map, struct neap_any key)
{
	return neap_any_comparable(key) && neap_map_delete(map, &key);
}
