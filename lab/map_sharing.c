/* map_sharing.c: a map is a value that behaves like a pointer.
 *
 * Each line of evidence is an operation that was just carried out on both maps, and what was seen after it.
 */
#include <stdio.h>

#include "lab/lab.h"
#include "neap/hmap.h"
#include "neap/map.h"

static const struct neap_map_type sharing_type = {.size = sizeof(struct neap_map_type),
						  .kind = NEAP_KEY_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = 8,
						  .value_align = 8};
static const struct neap_hmap_type sharing_hmap_type = {.size = sizeof(struct neap_hmap_type),
							.kind = NEAP_HMAP_BYTES,
							.key_size = 8,
							.key_align = 8,
							.value_size = 8,
							.value_align = 8};

static uint64_t value_at(const struct neap_map *map, uint64_t key)
{
	const uint64_t *value = neap_map_get(map, &key);
	return value != NULL ? *value : 0;
}

static uint64_t classic_value_at(const struct neap_hmap *map, uint64_t key)
{
	const uint64_t *value = neap_hmap_get(map, &key);
	return value != NULL ? *value : 0;
}

/* A callee that writes through its handle: the caller sees it. */
static void write_in_callee(struct neap_map *map, uint64_t key, uint64_t value)
{
	(void)neap_map_put(map, &key, &value);
}

/* A callee that reassigns its handle: the caller does not see it, nor what is put afterwards. */
static size_t reassign_in_callee(struct neap_map *map)
{
	struct neap_map *other = neap_map_create(&sharing_type, NULL);
	map = other;
	write_in_callee(map, 77, 77);
	size_t len = neap_map_len(map);
	neap_map_destroy(other);
	return len;
}

static void share(struct result *result)
{
	struct neap_map *first = neap_map_create(&sharing_type, NULL);
	struct neap_map *second = first;
	write_in_callee(second, 1, 10);
	result_say(result, "  b := a; b[1] = 10        a[1] is %llu, len(a) is %zu",
		   (unsigned long long)value_at(first, 1), neap_map_len(first));
	result_check(result, value_at(first, 1) == 10 && neap_map_len(first) == 1,
		     "a copied handle shares: a write through one is read through the other");
	for (uint64_t key = 0; key < 100000; key++)
		write_in_callee(second, key, key + 1);
	result_say(result, "  100,000 writes to b      len(a) is %s, a[99999] is %llu",
		   thousands(neap_map_len(first)), (unsigned long long)value_at(first, 99999));
	result_check(result, neap_map_len(first) == 100000 && value_at(first, 99999) == 100000,
		     "it still shares after the map has grown many times");
	size_t inside = reassign_in_callee(first);
	result_say(result, "  f(a) { a = new map }     inside len is %zu, outside %s", inside,
		   thousands(neap_map_len(first)));
	result_check(result, inside == 1 && neap_map_len(first) == 100000 && value_at(first, 77) == 78,
		     "reassigning the handle in a callee does not reach the caller");
	neap_map_destroy(first);
}

static void nil_map(struct result *result)
{
	const uint64_t key = 5;
	struct neap_map *nil = NULL;
	struct neap_hmap *classic_nil = NULL;
	size_t produced = 0;
	neap_map_each (it, nil) {
		produced++;
	}
	int error = neap_map_put(nil, &key, &key), classic_error = neap_hmap_put(classic_nil, &key, &key);
	result_say(result, "  var m map; m[5], len(m)  %s, %zu; a loop over it runs %zu times",
		   neap_map_get(nil, &key) == NULL ? "nothing" : "something", neap_map_len(nil), produced);
	result_say(result, "  m[5] = 5                 refused: \"%s\"", neap_strerror(error));
	result_check(result,
		     neap_map_get(nil, &key) == NULL && neap_map_len(nil) == 0 && produced == 0 &&
			     !neap_map_delete(nil, &key) && neap_hmap_get(classic_nil, &key) == NULL &&
			     !neap_hmap_delete(classic_nil, &key),
		     "a nil map reads as empty, deletes nothing and loops zero times");
	result_check(result, error == NEAP_ENIL && classic_error == NEAP_ENIL,
		     "a nil map refuses a write with an error that says why: %s", neap_strerror(error));
}

/* A value that points to something: what tells a shallow copy from a deep one. */
static int deep_copy(void *ret_value, const void *value, void *ctx)
{
	uint64_t **fresh = ctx;
	const uint64_t *const *from = value;
	**fresh = **from;
	*(uint64_t **)ret_value = *fresh;
	(*fresh)++;
	return 0;
}

static void clones(struct result *result)
{
	uint64_t originals[3] = {1, 2, 3}, copies[3], *next = copies, key;
	struct neap_map *map = neap_map_create(&sharing_type, NULL);
	for (key = 0; key < 3; key++) {
		uint64_t *to = &originals[key];
		(void)neap_map_put(map, &key, &to);
	}
	struct neap_map *shallow = neap_map_clone(map, NULL, NULL);
	struct neap_map *deep = neap_map_clone(map, deep_copy, &next);
	key = 1;
	originals[1] = 200;
	uint64_t **in_shallow = neap_map_get(shallow, &key), **in_deep = neap_map_get(deep, &key);
	uint64_t by_shallow = in_shallow != NULL ? **in_shallow : 0,
		 by_deep = in_deep != NULL ? **in_deep : 0;
	(void)neap_map_delete(map, &key);
	result_say(result, "  *a[1] = 200              the shallow copy reads %llu, the deep clone %llu",
		   (unsigned long long)by_shallow, (unsigned long long)by_deep);
	result_say(result, "  delete(a, 1)             len(a) %zu, shallow copy %zu, deep clone %zu",
		   neap_map_len(map), neap_map_len(shallow), neap_map_len(deep));
	result_check(result, by_shallow == 200 && by_deep == 2,
		     "a shallow copy's values share what they point to, a deep clone's do not: %llu and %llu",
		     (unsigned long long)by_shallow, (unsigned long long)by_deep);
	result_check(result, neap_map_len(map) == 2 && neap_map_len(shallow) == 3 && neap_map_len(deep) == 3,
		     "both copies are maps of their own: a delete in the original reaches neither");
	neap_map_destroy(map);
	neap_map_destroy(shallow);
	neap_map_destroy(deep);
}

static void classic_shares(struct result *result)
{
	struct neap_hmap *first = neap_hmap_create(&sharing_hmap_type, NULL), *second = first;
	for (uint64_t key = 0; key < 1000; key++)
		(void)neap_hmap_put(second, &key, &key);
	result_say(result, "  the classic map          len(a) is %zu after 1,000 writes to b",
		   neap_hmap_len(first));
	result_check(result, neap_hmap_len(first) == 1000 && classic_value_at(first, 999) == 999,
		     "the classic map shares likewise");
	neap_hmap_destroy(first);
}

static void run_map_sharing(struct lab *lab)
{
	share(&lab->result);
	nil_map(&lab->result);
	clones(&lab->result);
	classic_shares(&lab->result);
}

const struct experiment experiment_map_sharing = {
	.name = "map-sharing",
	.claim = "A map handle is copied by value and shares; a nil map reads as empty and refuses writes "
		 "with a clear "
		 "error; reassignment in a callee does not reach the caller; a clone can be shallow or deep.",
	.method = "Each is done here, and what the other side of the handle sees is read back.",
	.run = run_map_sharing,
};
