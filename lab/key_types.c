/* key_types.c: what stays behind after a delete, for each kind of key and value.
 *
 * A key or value is either in the slot or behind a pointer in the slot. What is behind goes when the entry goes
 * (the map frees its own blocks; a release callback frees the program's). The slot itself stays in the classic
 * map. So the bytes that stay are slots x slot size, whatever the type; and they are worst where the slot is
 * large and the blocks are small.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/progress.h"
#include "neap/hmap.h"
#include "neap/map.h"
#include "neap/observe.h"

enum {
	DEFAULT_N = 400000,
	KEPT_ONE_IN = 100,
	KEPT_PERCENT = 3, /* of the peak, at 1 % of the entries: 0.8 to 2.7 from 5e3 to 1.5e6 entries */
	FEW = 20000,	  /* below this 1 % of the entries is less than the smallest segments */
	LARGE = 256,	  /* bytes of the large value: twice what is held in the slot */
	TEXT = 24,	  /* bytes of a string key, in a block of its own */
};

struct pair16 {
	uint64_t high, low;
};

/* A key of an interface type: what kind of thing, and where it is. Equal by what it points to. */
struct boxed {
	const char *kind;
	uint64_t *data;
};

struct large {
	char bytes[LARGE];
};

static uint64_t boxed_hash(const void *key, uint64_t seed)
{
	const struct boxed *boxed = key;
	uint64_t x = (*boxed->data ^ seed) * UINT64_C(0x9e3779b97f4a7c15);
	return (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
}

static bool boxed_equal(const void *a, const void *b)
{
	const struct boxed *x = a, *y = b;
	return x->kind == y->kind && *x->data == *y->data;
}

/* The blocks outside, that the program owns. */
struct outside {
	size_t bytes;
};

static void *outside_new(struct outside *outside, size_t size)
{
	void *block = malloc(size);
	if (block == NULL) {
		fprintf(stderr, "neap: out of memory in key-types\n");
		exit(1);
	}
	outside->bytes += size;
	return block;
}

static void outside_free(struct outside *outside, void *block, size_t size)
{
	free(block);
	outside->bytes -= size;
}

enum key_case { CASE_STRING, CASE_STRUCT, CASE_POINTER, CASE_INTERFACE, CASE_LARGE, CASES };

struct case_type {
	const char *name, *figure;
	uint32_t kind, key_size, value_size;
	size_t block; /* bytes outside per entry that the program owns */
};

static const struct case_type cases[CASES] = {
	[CASE_STRING] = {"string of 24 bytes", "string", NEAP_KEY_STR, sizeof(struct neap_str), 8, TEXT},
	[CASE_STRUCT] = {"struct of 16 bytes", "struct16", NEAP_KEY_BYTES, sizeof(struct pair16), 8, 0},
	[CASE_POINTER] = {"pointer to 8 bytes", "pointer", NEAP_KEY_BYTES, sizeof(void *), 8, 8},
	[CASE_INTERFACE] = {"interface of 8 bytes", "interface", NEAP_KEY_USER, sizeof(struct boxed), 8, 8},
	[CASE_LARGE] = {"large value (256 B)", "large_value", NEAP_KEY_BYTES, 8, sizeof(struct large), 0},
};

/* Room for any key. */
union any_key {
	struct neap_str str;
	struct pair16 pair;
	uint64_t *pointer;
	struct boxed boxed;
	uint64_t number;
};

static const char boxed_kind[] = "number";

/* The i-th key, with a block of its own where the type has one. */
static union any_key make_key(enum key_case which, uint64_t i, struct outside *outside)
{
	union any_key key;
	memset(&key, 0, sizeof key);
	uint64_t mixed = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	switch (which) {
	case CASE_STRING: {
		char *text = outside_new(outside, TEXT);
		memset(text, 'k', TEXT);
		memcpy(text, &mixed, sizeof mixed);
		key.str = (struct neap_str){text, TEXT, 0};
		break;
	}
	case CASE_STRUCT: key.pair = (struct pair16){mixed, i}; break;
	case CASE_POINTER:
	case CASE_INTERFACE: {
		uint64_t *number = outside_new(outside, sizeof *number);
		*number = mixed;
		if (which == CASE_POINTER)
			key.pointer = number;
		else
			key.boxed = (struct boxed){boxed_kind, number};
		break;
	}
	case CASE_LARGE:
	case CASES: key.number = mixed; break;
	}
	return key;
}

static void free_key(enum key_case which, const union any_key *key, struct outside *outside)
{
	if (which == CASE_STRING)
		outside_free(outside, (void *)(uintptr_t)key->str.ptr, TEXT);
	else if (which == CASE_POINTER)
		outside_free(outside, key->pointer, sizeof *key->pointer);
	else if (which == CASE_INTERFACE)
		outside_free(outside, key->boxed.data, sizeof *key->boxed.data);
}

/* One map under test: bytes of slots, and of blocks, in the map and outside. */
struct under_test {
	struct neap_map *map;
	struct neap_hmap *hmap;
};

static void measure(const struct under_test *test, size_t *ret_bytes, size_t *ret_slots)
{
	if (test->map != NULL) {
		struct neap_map_stats stats = {.size = sizeof stats};
		neap_map_stats(test->map, &stats);
		*ret_bytes = stats.total;
		*ret_slots = stats.slots;
	} else {
		struct neap_hmap_stats stats = {.size = sizeof stats};
		neap_hmap_stats(test->hmap, &stats);
		*ret_bytes = stats.total;
		*ret_slots = stats.slots;
	}
}

static struct under_test make_map(const struct case_type *type, bool classic, struct neap_map_type *ret_type,
				  struct neap_hmap_type *ret_hmap_type)
{
	bool user = type->kind == NEAP_KEY_USER;
	*ret_type = (struct neap_map_type){.size = sizeof *ret_type,
					   .kind = type->kind,
					   .key_size = type->key_size,
					   .key_align = 8,
					   .value_size = type->value_size,
					   .value_align = 8,
					   .hash = user ? boxed_hash : NULL,
					   .equal = user ? boxed_equal : NULL};
	*ret_hmap_type = (struct neap_hmap_type){.size = sizeof *ret_hmap_type,
						 .kind = type->kind,
						 .flags = type->block != 0 ? NEAP_HMAP_KEY_POINTERS : 0,
						 .key_size = type->key_size,
						 .key_align = 8,
						 .value_size = type->value_size,
						 .value_align = 8,
						 .hash = user ? boxed_hash : NULL,
						 .equal = user ? boxed_equal : NULL};
	struct under_test test = {0};
	if (classic)
		test.hmap = neap_hmap_create(ret_hmap_type, NULL);
	else
		test.map = neap_map_create(ret_type, NULL);
	return test;
}

/* Bytes of the map and of the blocks outside it: full, and after deleting 99 %. */
struct case_bytes {
	size_t full, left, outside_full, outside_left;
	size_t slots_full, slots_left;
	bool worked;
};

static struct case_bytes run_case(enum key_case which, bool classic, size_t n, uint64_t seed)
{
	struct neap_map_type type;
	struct neap_hmap_type hmap_type;
	struct under_test test = make_map(&cases[which], classic, &type, &hmap_type);
	struct outside outside = {0};
	struct case_bytes ret = {.worked = true};
	static const struct large zero;
	union any_key *keys = calloc(n, sizeof *keys);
	if (keys == NULL || (test.map == NULL && test.hmap == NULL)) {
		neap_map_destroy(test.map);
		neap_hmap_destroy(test.hmap);
		free(keys);
		return (struct case_bytes){0};
	}
	for (size_t i = 0; i < n; i++) {
		keys[i] = make_key(which, i, &outside);
		int error = classic ? neap_hmap_put(test.hmap, &keys[i], &zero)
				    : neap_map_put(test.map, &keys[i], &zero);
		ret.worked &= error == 0;
	}
	measure(&test, &ret.full, &ret.slots_full);
	ret.outside_full = outside.bytes;
	for (size_t i = 0; i < n; i++) {
		if ((i + seed) % KEPT_ONE_IN == 0)
			continue;
		ret.worked &=
			classic ? neap_hmap_delete(test.hmap, &keys[i]) : neap_map_delete(test.map, &keys[i]);
		free_key(which, &keys[i], &outside);
	}
	measure(&test, &ret.left, &ret.slots_left);
	ret.outside_left = outside.bytes;
	neap_map_destroy(test.map);
	neap_hmap_destroy(test.hmap);
	for (size_t i = 0; i < n; i++)
		if ((i + seed) % KEPT_ONE_IN == 0)
			free_key(which, &keys[i], &outside);
	free(keys);
	return ret;
}

static void show_case(struct result *result, enum key_case which, const struct case_bytes got[2])
{
	for (int classic = 1; classic >= 0; classic--) {
		const struct case_bytes *bytes = &got[classic];
		const char *map = classic ? "classic" : "neap";
		result_say(result, "  %-21s %-8s %12s %12s %10s %9s", classic ? cases[which].name : "", map,
			   thousands(bytes->full), thousands(bytes->left), thousands(bytes->outside_full),
			   thousands(bytes->outside_left));
		result_figure(result, (double)bytes->full, "bytes", "%s_%s_full", map, cases[which].figure);
		result_figure(result, (double)bytes->left, "bytes", "%s_%s_left", map, cases[which].figure);
	}
}

static void check_case(struct result *result, enum key_case which, const struct case_bytes got[2])
{
	const struct case_bytes *neap = &got[0], *classic = &got[1];
	result_check(result, neap->worked && classic->worked && neap->left * 100 <= neap->full * KEPT_PERCENT,
		     "%s: Neap's map keeps at most %d %%: %s of %s bytes", cases[which].name, KEPT_PERCENT,
		     thousands(neap->left), thousands(neap->full));
	result_check(result, classic->slots_left >= classic->slots_full,
		     "%s: the classic map keeps every slot: %s for 1 %% of the entries", cases[which].name,
		     thousands(classic->slots_left));
}

static void run_key_types(struct lab *lab)
{
	size_t n = lab->options->n != 0 ? lab->options->n : DEFAULT_N;
	struct result *result = &lab->result;
	result_title(result, "%s entries of each type, seed %llu", thousands(n),
		     (unsigned long long)lab->seed);
	if (n < FEW) {
		result_skip(result,
			    "%zu entries are too few to tell a table from its smallest size; --n %d or more",
			    n, FEW);
		return;
	}
	result_say(result, "                                       BYTES OF THE MAP       KEYS' OWN BLOCKS");
	result_say(result, "  KEY (VALUE 8 BYTES)   MAP              full   1 %% left       full  1 %% left");
	for (enum key_case which = 0; which < CASES; which++) {
		progress_step("key-types", (size_t)which, CASES);
		struct case_bytes got[2];
		for (int classic = 0; classic < 2; classic++)
			got[classic] = run_case(which, classic != 0, n, lab->seed);
		show_case(result, which, got);
		check_case(result, which, got);
	}
}

const struct experiment experiment_key_types = {
	.name = "key-types",
	.claim = "Whatever the type of key or value, deleting 99 % leaves at most 3 % of Neap's map's bytes, "
		 "and every slot "
		 "of the classic map's; only what is held by pointer goes in both.",
	.method = "The same number of entries with string, struct, pointer and interface keys and with a "
		  "large value; the "
		  "maps' own byte counts before and after.",
	.run = run_key_types,
};
