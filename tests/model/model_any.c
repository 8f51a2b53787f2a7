/* model_any.c: a map from any to any against an array of pairs, compared after each command; then with requests for
 * memory refused.
 *
 * usage: model_any [SEED]
 *
 * Keys are drawn from small ranges of eight types, so that equal keys of one type and like-looking keys of different
 * types meet. Boxes come from a counting allocator, the map's memory from Neap's heap. At the end, and whenever
 * the map was emptied, every box must be gone.
 */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "neap/any_map.h"
#include "neap/heap.h"
#include "support/any_types.h"
#include "support/gauge.h"

#define NEAP_MAP_NAME	 typed
#define NEAP_MAP_KEY	 struct neap_any
#define NEAP_MAP_VALUE	 uint64_t
#define NEAP_MAP_KIND	 NEAP_KEY_USER
#define NEAP_MAP_HASH	 neap_any_key_hash
#define NEAP_MAP_EQUAL	 neap_any_key_equal
#define NEAP_MAP_RELEASE neap_any_release_key
#include "neap/map_typed.h"

enum { COMMANDS = 60000, MOST = 4096, RANGE = 24 };

struct pair {
	struct neap_any key, value; /* owned by the model */
};

static struct pair pairs[MOST];
static size_t pairs_n;
static struct gauge gauge;
static bool gauge_has_map; /* the map's memory is counted too */
static struct neap_allocator from;
static uint64_t random_state;

static _Noreturn void wrong(const char *what)
{
	fprintf(stderr, "model_any: %s\n", what);
	abort();
}

static uint64_t draw(uint64_t range)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % range;
}

/* One owned value of some type; nil when memory is refused, which `ret_refused` tells from a drawn nil. */
static struct neap_any some_value(bool *ret_refused)
{
	struct neap_any ret = {NULL, 0};
	uint64_t number = draw(RANGE);
	int64_t signed_number = (int64_t)number - RANGE / 2;
	struct any_wide wide = {{number, 0, 0, 0, 0, 0, 0, number}};
	char text[32];
	int error = NEAP_OK;
	switch (draw(9)) {
	case 0: break;
	case 1: ret = neap_any_of_i64((int64_t)number); break;
	case 2: ret = neap_any_of_u64(number); break;
	case 3: ret = neap_any_of_f64(number == 0 ? -0.0 : (double)(number / 2)); break;
	case 4: ret = neap_any_of_ptr(NULL); break;
	case 5: error = neap_any_make(&from, &any_type_wide, &wide, &ret); break;
	case 6: error = neap_any_make(&from, &any_type_abs, &signed_number, &ret); break;
	case 7: {
		struct any_owner owner = {malloc(1 + number)};
		error = neap_any_make(&from, &any_type_owner, &owner, &ret);
		if (error != NEAP_OK)
			free(owner.block);
		break;
	}
	default:
		snprintf(text, sizeof text, "key number %llu", (unsigned long long)number);
		error = neap_any_make_str(&from, (struct neap_str){text, (uint32_t)strlen(text), 0}, &ret);
	}
	*ret_refused = error == NEAP_ENOMEM;
	if (error != NEAP_OK && error != NEAP_ENOMEM)
		wrong("a value was refused");
	return ret;
}

static struct pair *model_find(struct neap_any key)
{
	for (size_t i = 0; i < pairs_n; i++)
		if (neap_any_equal(pairs[i].key, key))
			return &pairs[i];
	return NULL;
}

static void model_put(struct neap_any key, struct neap_any value)
{
	struct pair *pair = model_find(key);
	if (pair == NULL) {
		if (pairs_n == MOST)
			wrong("the model is full");
		pair = &pairs[pairs_n++];
		pair->key = neap_any_copy(key);
	} else {
		neap_any_drop(pair->value);
	}
	pair->value = neap_any_copy(value);
}

static bool model_delete(struct neap_any key)
{
	struct pair *pair = model_find(key);
	if (pair == NULL)
		return false;
	neap_any_drop(pair->key);
	neap_any_drop(pair->value);
	*pair = pairs[--pairs_n];
	return true;
}

static bool same_words(struct neap_any a, struct neap_any b)
{
	return a.type == b.type && a.data == b.data;
}

static void compare(struct neap_map *map)
{
	if (neap_map_len(map) != pairs_n)
		wrong("another number of entries");
	size_t produced = 0;
	neap_map_each (it, map) {
		const struct pair *pair = model_find(*(const struct neap_any *)it.key);
		if (pair == NULL || !same_words(pair->value, *(const struct neap_any *)it.value))
			wrong("the loop produced what is not in the model");
		produced++;
	}
	if (produced != pairs_n)
		wrong("the loop produced another number of entries");
}

static void clear_both(struct neap_map *map)
{
	neap_map_clear(map);
	while (pairs_n > 0)
		model_delete(pairs[0].key);
	if (!gauge_has_map && gauge.blocks != 0)
		wrong("a box outlived its owners");
}

/* One command; refused requests for memory must leave the map as it was. */
static void command(struct neap_map *map)
{
	bool refused, value_refused = false;
	struct neap_any key = some_value(&refused), value = {NULL, 0};
	uint64_t which = draw(100);
	if (which < 60)
		value = some_value(&value_refused);
	if (!refused && !value_refused) {
		if (which < 60) {
			int error = neap_any_map_put(map, key, value);
			if (error == NEAP_OK)
				model_put(key, value);
			else if (error != NEAP_ENOMEM)
				wrong("put failed");
		} else if (which < 80) {
			if (neap_any_map_delete(map, key) != model_delete(key))
				wrong("delete disagrees");
		}
		const struct neap_any *found = neap_any_map_get(map, key);
		const struct pair *pair = model_find(key);
		if ((found != NULL) != (pair != NULL) || (found != NULL && !same_words(*found, pair->value)))
			wrong("get disagrees");
	}
	neap_any_drop(key);
	neap_any_drop(value);
	if (which == 80 && draw(100) == 0)
		clear_both(map);
}

static void run(struct neap_map *map, unsigned commands)
{
	for (unsigned i = 0; i < commands; i++) {
		command(map);
		if (i % 512 == 0)
			compare(map);
	}
	compare(map);
}

/* Requests 1, 2, 3, ... of a short run are refused, alone and from then on; the map's and the boxes' alike. */
static void run_refused(void)
{
	for (unsigned sticky = 0; sticky < 2; sticky++)
		for (size_t at = 1;; at++) {
			gauge_has_map = true;
			struct neap_map_options options = {.allocator = &from};
			struct neap_map *map = neap_map_create(&neap_any_map_type, &options);
			if (map == NULL)
				wrong("no map");
			gauge_arm(&gauge, at, sticky != 0);
			run(map, 120);
			size_t refused = gauge.refused;
			gauge_arm(&gauge, 0, false);
			run(map, 120);
			clear_both(map);
			neap_map_destroy(map);
			if (gauge.blocks != 0)
				wrong("a box outlived its owners after a refusal");
			if (refused == 0)
				break;
		}
}

/* NaN is a key as often as it is put, and never found; what can't be compared is refused. */
static void strange_keys(void)
{
	struct neap_map *map = neap_map_create(&neap_any_map_type, NULL);
	struct neap_any nan = neap_any_of_f64(NAN), slice;
	for (int i = 0; i < 1000; i++)
		if (neap_any_map_put(map, nan, neap_any_of_i64(i)) != NEAP_OK)
			wrong("put of a NaN");
	if (neap_map_len(map) != 1000 || neap_any_map_get(map, nan) != NULL || neap_any_map_delete(map, nan))
		wrong("NaN keys");
	const uint64_t words[3] = {0};
	if (neap_any_make(&from, &any_type_slice, words, &slice) != NEAP_OK)
		wrong("no slice");
	if (neap_any_map_put(map, slice, nan) != NEAP_EINVAL || neap_any_map_get(map, slice) != NULL ||
	    neap_any_map_delete(map, slice) || neap_map_len(map) != 1000)
		wrong("an uncomparable key was taken");
	if (neap_any_map_put(map, neap_any_of_bool(true), slice) != NEAP_OK || neap_any_owners(slice) != 2)
		wrong("an uncomparable value was refused");
	if (neap_any_map_put(NULL, nan, nan) != NEAP_ENIL)
		wrong("a nil map");
	neap_any_drop(slice);
	neap_map_destroy(map);
	if (gauge.blocks != 0)
		wrong("destroy left a box");
}

/* The typed map produces the same bytes and answers. */
static void typed_map(void)
{
	struct neap_map *map = typed_create(NULL);
	bool refused;
	for (int i = 0; i < 20000; i++) {
		struct neap_any key = some_value(&refused);
		uint64_t before = neap_map_len(map), fresh = typed_get(map, key) == NULL;
		if (typed_put(map, fresh ? neap_any_copy(key) : key, (uint64_t)i) != NEAP_OK ||
		    neap_map_len(map) != before + fresh || *typed_get(map, key) != (uint64_t)i ||
		    neap_map_get(map, &key) != (void *)typed_get(map, key))
			wrong("the typed map disagrees");
		if (draw(3) == 0 && !typed_delete(map, key))
			wrong("the typed map does not delete");
		neap_any_drop(key);
	}
	typed_destroy(map);
	if (gauge.blocks != 0)
		wrong("the typed map left a box");
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	printf("model_any: seed %llu\n", (unsigned long long)seed);
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	from = gauge_allocator(&gauge);
	struct neap_map_options options = {.allocator = neap_heap_allocator()};
	struct neap_map *map = neap_map_create(&neap_any_map_type, &options);
	if (map == NULL)
		wrong("no map");
	run(map, COMMANDS);
	clear_both(map);
	neap_map_destroy(map);
	run_refused();
	strange_keys();
	typed_map();
	return 0;
}
