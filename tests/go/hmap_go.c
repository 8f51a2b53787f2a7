/* hmap_go.c: Neap's classic map beside a real Go map, compared after every step.
 *
 *     hmap_go TRACER DIRECTORY [SCENARIO...]     TRACER is hmap_trace/ built by the installed Go
 *
 * For each scenario a script of operations is written to DIRECTORY, the tracer runs it on Go's map and writes
 * its state after every step, and the same steps are repeated here. Both use the same hash (Go's portable one,
 * with a fixed key) and the same random numbers (Go's, the state set before each step), so that everything must
 * agree: results, the order of iteration, the header, the spare overflow buckets, how many random numbers were
 * drawn, and every byte of every bucket that the step can have changed: tophashes, keys and values in used and
 * unused slots, links. From time to time, and for small maps after every step, every bucket is compared.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hmap/internal.h"

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "hmap_go: %s\n", what);
	exit(1);
}

/* ---- Go's hash and random numbers ---- */

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t a, uint64_t b)
{
	wide product = (wide)a * b;
	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static uint64_t random_state;

static uint64_t go_random(void *ctx)
{
	(void)ctx;
	random_state += UINT64_C(0xa0761d6478bd642f);
	return mix(random_state, random_state ^ UINT64_C(0xe7037ed1a0b428db));
}

static uint64_t word_at(const uint8_t *at, size_t size)
{
	uint64_t word = 0;
	memcpy(&word, at, size);
	return word;
}

/* memhashFallback of Go 1.19 (a wyhash), under the key that hmap_trace sets. */
static uint64_t go_memhash(const void *bytes, uint64_t seed, size_t size)
{
	static const uint64_t m[] = {0,
				     UINT64_C(0xa0761d6478bd642f),
				     UINT64_C(0xe7037ed1a0b428db),
				     UINT64_C(0x8ebc6af09c88c6e3),
				     UINT64_C(0x589965cc75374cc3),
				     UINT64_C(0x1d8e4e27c47d124f)};
	const uint8_t *at = bytes;
	uint64_t a, b, lane[3];
	seed ^= UINT64_C(0x9e3779b97f4a7c15) ^ m[1];
	if (size == 0)
		return seed;
	if (size < 4) {
		a = at[0] | (uint64_t)at[size / 2] << 8 | (uint64_t)at[size - 1] << 16;
		b = 0;
	} else if (size <= 8) {
		size_t part = size == 8 ? 8 : 4;
		a = word_at(at, part);
		b = word_at(at + size - part, part);
	} else if (size <= 16) {
		a = word_at(at, 8);
		b = word_at(at + size - 8, 8);
	} else {
		size_t left = size;
		lane[0] = lane[1] = lane[2] = seed;
		if (left > 48) {
			for (; left > 48; left -= 48, at += 48) {
				for (size_t i = 0; i < 3; i++)
					lane[i] = mix(word_at(at + 16 * i, 8) ^ m[2 + i],
						      word_at(at + 16 * i + 8, 8) ^ lane[i]);
			}
			seed = lane[0] ^ lane[1] ^ lane[2];
		}
		for (; left > 16; left -= 16, at += 16)
			seed = mix(word_at(at, 8) ^ m[2], word_at(at + 8, 8) ^ seed);
		a = word_at(at + left - 16, 8);
		b = word_at(at + left - 8, 8);
	}
	return mix(m[5] ^ size, mix(a ^ m[2], b ^ seed));
}

static uint64_t hash_2(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 2);
}

static uint64_t hash_4(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 4);
}

static uint64_t hash_8(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 8);
}

static uint64_t hash_16(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 16);
}

static uint64_t hash_200(const void *key, uint64_t seed)
{
	return go_memhash(key, seed, 200);
}

static uint64_t hash_str(const void *key, uint64_t seed)
{
	const struct neap_str *str = key;
	return go_memhash(str->ptr, seed, str->len);
}

static uint64_t hash_float(const void *key, uint64_t seed, double value, size_t size)
{
	const uint64_t c0 = UINT64_C(33054211828000289), c1 = UINT64_C(23344194077549503);
	if (value == 0)
		return c1 * (c0 ^ seed);
	if (value != value)
		return c1 * (c0 ^ seed ^ (uint32_t)go_random(NULL));
	return go_memhash(key, seed, size);
}

static uint64_t hash_f64(const void *key, uint64_t seed)
{
	double value;
	memcpy(&value, key, sizeof value);
	return hash_float(key, seed, value, sizeof value);
}

static uint64_t hash_f32(const void *key, uint64_t seed)
{
	float value;
	memcpy(&value, key, sizeof value);
	return hash_float(key, seed, (double)value, sizeof value);
}

/* ---- Keys and values, as hmap_trace makes them ---- */

enum { MAX_IDS = 1 << 20, LARGEST = 200 };

static uint32_t spread(uint32_t id)
{
	return id * UINT32_C(2654435761);
}

static void make_u16(uint32_t id, void *ret)
{
	uint16_t key = (uint16_t)id;
	memcpy(ret, &key, sizeof key);
}

static void make_u32(uint32_t id, void *ret)
{
	uint32_t key = spread(id);
	memcpy(ret, &key, sizeof key);
}

static void make_u64(uint32_t id, void *ret)
{
	uint64_t key = (uint64_t)spread(id) << 32 | id;
	memcpy(ret, &key, sizeof key);
}

static void make_ptr(uint32_t id, void *ret)
{
	uint64_t key = 0x10000 + (uint64_t)id * 16;
	memcpy(ret, &key, sizeof key);
}

static void make_struct(uint32_t id, void *ret)
{
	struct {
		uint64_t a;
		uint32_t b, c;
	} key = {spread(id), id, ~id};
	memcpy(ret, &key, sizeof key);
}

static void make_f64(uint32_t id, void *ret)
{
	double key = id == 0 ? 0 : id == 1 ? -0.0 : id % 8 == 7 ? (double)NAN : (double)id * 0.5;
	if (key != key) { /* Go's NaN, bit for bit */
		uint64_t bits = UINT64_C(0x7ff8000000000001);
		memcpy(&key, &bits, sizeof key);
	}
	memcpy(ret, &key, sizeof key);
}

static void make_f32(uint32_t id, void *ret)
{
	double wide_key;
	make_f64(id, &wide_key);
	float key = (float)wide_key;
	memcpy(ret, &key, sizeof key);
}

static void make_big(uint32_t id, void *ret)
{
	uint8_t *bytes = ret;
	for (uint32_t i = 0; i < 200; i++)
		bytes[i] = (uint8_t)(spread(id + i) >> 24);
	memcpy(bytes + 100, &id, sizeof id);
}

static void make_nothing(uint32_t id, void *ret)
{
	(void)id;
	(void)ret;
}

static char *texts[MAX_IDS];

static void make_str(uint32_t id, void *ret)
{
	if (texts[id] == NULL) {
		char dashes[42] = {0};
		memset(dashes, '-', id % 41);
		if (asprintf(&texts[id], "key %u%s", id, dashes) < 0)
			give_up("out of memory");
	}
	struct neap_str key = {texts[id], (uint32_t)strlen(texts[id]), 0};
	memcpy(ret, &key, sizeof key);
}

typedef void maker(uint32_t id, void *ret);

struct kind {
	const char *name;
	struct neap_hmap_type type;
	maker *key, *value;
};

#define KIND(name, kind, flags, key, value, key_size, value_size, hash) \
	{                                                               \
		name, {sizeof(struct neap_hmap_type),                   \
		       kind,                                            \
		       flags,                                           \
		       key_size,                                        \
		       1,                                               \
		       value_size,                                      \
		       1,                                               \
		       hash,                                            \
		       NULL,                                            \
		       NULL,                                            \
		       NULL},                                           \
			key, value                                      \
	}

static const struct kind kinds[] = {
	KIND("u16-none", NEAP_HMAP_BYTES, 0, make_u16, make_nothing, 2, 0, hash_2),
	KIND("u32-u32", NEAP_HMAP_BYTES, 0, make_u32, make_u32, 4, 4, hash_4),
	KIND("u32-big", NEAP_HMAP_BYTES, 0, make_u32, make_big, 4, 200, hash_4),
	KIND("u64-u64", NEAP_HMAP_BYTES, 0, make_u64, make_u64, 8, 8, hash_8),
	KIND("u64-ptr", NEAP_HMAP_BYTES, NEAP_HMAP_VALUE_POINTERS, make_u64, make_ptr, 8, 8, hash_8),
	KIND("u64-big", NEAP_HMAP_BYTES, 0, make_u64, make_big, 8, 200, hash_8),
	KIND("ptr-u64", NEAP_HMAP_BYTES, NEAP_HMAP_KEY_POINTERS, make_ptr, make_u64, 8, 8, hash_8),
	KIND("str-u64", NEAP_HMAP_STR, 0, make_str, make_u64, 16, 8, hash_str),
	KIND("str-big", NEAP_HMAP_STR, 0, make_str, make_big, 16, 200, hash_str),
	KIND("struct-u32", NEAP_HMAP_BYTES, 0, make_struct, make_u32, 16, 4, hash_16),
	KIND("f64-u64", NEAP_HMAP_F64, 0, make_f64, make_u64, 8, 8, hash_f64),
	KIND("f32-u32", NEAP_HMAP_F32, 0, make_f32, make_u32, 4, 4, hash_f32),
	KIND("big-u64", NEAP_HMAP_BYTES, 0, make_big, make_u64, 200, 8, hash_200),
	KIND("big-big", NEAP_HMAP_BYTES, 0, make_big, make_big, 200, 200, hash_200),
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- Digests: the same as hmap_trace/digest.go ---- */

typedef uint64_t digest;

static const digest digest_start = UINT64_C(0xcbf29ce484222325);

static void add_bytes(digest *d, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	for (size_t i = 0; i < n; i++)
		*d = (*d ^ at[i]) * UINT64_C(0x100000001b3);
}

static void add_byte(digest *d, uint8_t byte)
{
	add_bytes(d, &byte, 1);
}

static void add_word(digest *d, uint64_t word)
{
	add_bytes(d, &word, sizeof word);
}

static void add_content(digest *d, const void *at, size_t size, bool text)
{
	if (!text) {
		add_bytes(d, at, size);
		return;
	}
	struct neap_str str;
	memcpy(&str, at, sizeof str);
	add_word(d, str.len);
	add_byte(d, str.ptr != NULL);
	if (str.ptr != NULL)
		add_bytes(d, str.ptr, str.len);
}

static void add_slot(digest *d, const void *slot, size_t size, bool text, bool indirect, uint8_t tophash)
{
	if (!indirect) {
		add_content(d, slot, size, text);
		return;
	}
	void *block;
	memcpy(&block, slot, sizeof block);
	add_byte(d, block != NULL);
	if (block != NULL && tophash >= NEAP_HMAP_MIN_TOPHASH)
		add_content(d, block, size, text);
}

static void add_chain(digest *d, const struct neap_hmap *map, struct neap__hmap_table *table, size_t index)
{
	const struct neap_hmap_type *type = map->type;
	uint8_t *array = neap__hmap_array(table);
	struct neap__hmap_bucket *b = neap__hmap_at(map, array, index);
	for (; b != NULL; b = neap__hmap_overflow(map, b)) {
		size_t place = ((uintptr_t)b - (uintptr_t)array) / map->bucket_size;
		if ((uint8_t *)b < array || place >= table->buckets)
			place = (size_t)1 << 40; /* allocated by itself */
		add_word(d, place);
		add_bytes(d, b->tophash, HMAP_SLOTS);
		for (size_t i = 0; i < HMAP_SLOTS; i++) {
			add_slot(d, neap__hmap_key_slot(map, b, i), type->key_size,
				 type->kind == NEAP_HMAP_STR, map->key_indirect, b->tophash[i]);
			add_slot(d, neap__hmap_value_slot(map, b, i), type->value_size, false,
				 map->value_indirect, b->tophash[i]);
		}
	}
}

static digest digest_touched(const struct neap_hmap *map, uint64_t hash)
{
	digest d = digest_start;
	if (map->table == NULL)
		return d;
	size_t mask = neap__hmap_mask(map->head.B);
	add_chain(&d, map, map->table, hash & mask);
	if (map->old == NULL)
		return d;
	size_t old = neap__hmap_old_buckets(map);
	const size_t at[] = {hash, map->head.nevacuate, map->head.nevacuate + old - 1};
	for (size_t i = 0; i < 3; i++) {
		size_t index = at[i] & (old - 1);
		add_chain(&d, map, map->old, index);
		add_chain(&d, map, map->table, index);
		add_chain(&d, map, map->table, (index + old) & mask);
	}
	return d;
}

static digest digest_all(const struct neap_hmap *map)
{
	digest d = digest_start;
	if (map->table == NULL)
		return d;
	for (size_t i = 0; i <= neap__hmap_mask(map->head.B); i++)
		add_chain(&d, map, map->table, i);
	for (size_t i = 0; map->old != NULL && i < neap__hmap_old_buckets(map); i++)
		add_chain(&d, map, map->old, i);
	return d;
}

/* ---- Steps ---- */

enum op { OP_MAKE, OP_PUT, OP_DELETE, OP_GET, OP_CLEAR, OP_OPEN, OP_STEP, OP_CLOSE };

static const char *const op_names[] = {"make", "put", "delete", "get", "clear", "open", "step", "close"};

struct step {
	uint32_t op, arg, value, full;
};

enum { ITERATORS = 4, WORDS = 9 };

static const char *const word_names[WORDS] = {"result",
					      "count",
					      "flags, B, noverflow, hash0",
					      "nevacuate and oldbuckets",
					      "next spare overflow bucket",
					      "extra: lengths of the overflow lists",
					      "random numbers drawn",
					      "the buckets that the step touched",
					      "all buckets"};

/* One run of one kind of map. */
struct run {
	const struct kind *kind;
	struct neap_hmap *map;
	struct neap_hmap_iter iter[ITERATORS];
	bool open[ITERATORS];
	/* What the run has met, so that a scenario can't pass by not happening. */
	size_t grows, same_size_grows, produced_growing, most_overflow;
	unsigned B;
};

static void run_drop_map(struct run *run)
{
	for (size_t i = 0; i < ITERATORS; i++) {
		if (run->open[i])
			neap_hmap_iter_deinit(&run->iter[i]);
		run->open[i] = false;
	}
	if (run->map == NULL)
		return;
	run->grows += run->map->grows;
	run->same_size_grows += run->map->same_size_grows;
	neap_hmap_destroy(run->map);
	run->map = NULL;
}

static uint64_t run_make(struct run *run, uint32_t hint)
{
	run_drop_map(run);
	run->map = neap_hmap_create(
		&run->kind->type,
		&(struct neap_hmap_options){.hint = hint, .version = NEAP_HMAP_GO_1_19, .random = go_random});
	if (run->map == NULL)
		give_up("out of memory");
	return 0;
}

static uint64_t run_iterate(struct run *run, uint32_t i)
{
	if (!run->open[i] || !neap_hmap_iter_next(&run->iter[i]))
		return 0;
	const struct neap_hmap_type *type = &run->kind->type;
	digest d = digest_start;
	add_content(&d, run->iter[i].key, type->key_size, type->kind == NEAP_HMAP_STR);
	add_content(&d, run->iter[i].value, type->value_size, false);
	run->produced_growing += run->map->old != NULL;
	return d;
}

static uint64_t run_get(struct run *run, const void *key)
{
	const void *value = neap_hmap_get(run->map, key);
	if (value == NULL)
		return 0;
	digest d = digest_start;
	add_content(&d, value, run->kind->type.value_size, false);
	return d;
}

static uint64_t run_step(struct run *run, const struct step *step)
{
	uint64_t key[LARGEST / 8], value[LARGEST / 8];
	run->kind->key(step->arg, key);
	run->kind->value(step->value, value);
	switch ((enum op)step->op) {
	case OP_MAKE: return run_make(run, step->arg);
	case OP_PUT:
		if (neap_hmap_put(run->map, key, value) != NEAP_OK)
			give_up("out of memory");
		break;
	case OP_DELETE: neap_hmap_delete(run->map, key); break;
	case OP_GET: return run_get(run, key);
	case OP_CLEAR: neap_hmap_clear(run->map); break;
	case OP_OPEN:
		if (run->open[step->arg])
			neap_hmap_iter_deinit(&run->iter[step->arg]);
		neap_hmap_iter_init(&run->iter[step->arg], run->map);
		run->open[step->arg] = true;
		return run_iterate(run, step->arg);
	case OP_STEP: return run_iterate(run, step->arg);
	case OP_CLOSE:
		if (run->open[step->arg])
			neap_hmap_iter_deinit(&run->iter[step->arg]);
		run->open[step->arg] = false;
		break;
	}
	return 0;
}

static uint64_t run_hash(const struct run *run, uint32_t id)
{
	uint64_t key[LARGEST / 8];
	run->kind->key(id, key);
	if (!neap__hmap_equal(run->map, key, key) && !run->map->reflexive)
		return 0;
	return neap__hmap_hash(run->map, key);
}

static void run_record(struct run *run, const struct step *step, uint64_t result, uint64_t ret[WORDS])
{
	const struct neap_hmap *map = run->map;
	const struct neap_hmap_header *head = neap_hmap_header(map);
	ret[0] = result;
	ret[1] = head->count;
	ret[2] = head->flags | (uint64_t)head->B << 8 | (uint64_t)head->noverflow << 16 |
		 (uint64_t)head->hash0 << 32;
	ret[3] = head->nevacuate | (uint64_t)(head->oldbuckets != NULL) << 63;
	ret[4] = ret[5] = 0;
	if (head->extra != NULL) {
		if (map->extra.next_overflow != NULL)
			ret[4] = ((uintptr_t)map->extra.next_overflow - (uintptr_t)head->buckets) /
					 map->bucket_size +
				 1;
		ret[5] = (uint64_t)1 << 63;
		if (map->extra.overflow != NULL)
			ret[5] |= map->extra.overflow->overflow_len + 1;
		if (map->extra.oldoverflow != NULL)
			ret[5] |= (map->extra.oldoverflow->overflow_len + 1) << 32;
	}
	ret[6] = random_state;
	ret[7] = digest_touched(map, run_hash(run, step->arg));
	ret[8] = step->full != 0 ? digest_all(map) : 0;
	if (head->B > run->B)
		run->B = head->B;
	if (head->noverflow > run->most_overflow)
		run->most_overflow = head->noverflow;
}

/* ---- Scripts ---- */

struct script {
	struct step *steps;
	size_t len, capacity;
	uint64_t seed;
	uint32_t full_every;
	uint32_t *live; /* ids that churn believes to be in the map */
	size_t lives;
};

static uint32_t script_random(struct script *script, uint32_t below)
{
	script->seed += UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)((mix(script->seed, UINT64_C(0xd1342543de82ef95)) >> 32) * below >> 32);
}

static void script_add(struct script *script, enum op op, uint32_t arg)
{
	if (script->len == script->capacity) {
		script->capacity = script->capacity == 0 ? 1024 : 2 * script->capacity;
		script->steps = realloc(script->steps, script->capacity * sizeof *script->steps);
		if (script->steps == NULL)
			give_up("out of memory");
	}
	script->steps[script->len] =
		(struct step){op, arg, script_random(script, MAX_IDS), script->len % script->full_every == 0};
	script->len++;
}

static void script_fill(struct script *script, uint32_t from, uint32_t n)
{
	for (uint32_t id = from; id < from + n; id++)
		script_add(script, OP_PUT, id);
}

/* Keeps the number of entries at `target` while the keys change. */
static void script_churn(struct script *script, uint32_t target, size_t rounds, uint32_t ids)
{
	uint32_t *live = malloc(target * sizeof *live);
	if (live == NULL)
		give_up("out of memory");
	for (uint32_t i = 0; i < target; i++)
		script_add(script, OP_PUT, live[i] = i);
	for (size_t i = 0; i < rounds; i++) {
		uint32_t *at = &live[script_random(script, target)];
		script_add(script, OP_DELETE, *at);
		script_add(script, OP_PUT, *at = script_random(script, ids));
		if (i % 16 == 0)
			script_add(script, OP_GET, *at);
	}
	free(live);
}

/* Everything at once, with iterators that run for a long time. */
static void script_mixed(struct script *script, size_t n, uint32_t ids)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t dice = script_random(script, 1000), iterator = script_random(script, ITERATORS);
		/* The map swells and shrinks. */
		uint32_t puts = i / 500 % 3 == 2 ? 150 : 450;
		if (dice < puts)
			script_add(script, OP_PUT, script_random(script, ids));
		else if (dice < 600)
			script_add(script, OP_DELETE, script_random(script, ids));
		else if (dice < 650)
			script_add(script, OP_GET, script_random(script, ids));
		else if (dice < 975)
			script_add(script, OP_STEP, iterator);
		else if (dice < 990)
			script_add(script, OP_OPEN, iterator);
		else if (dice < 997)
			script_add(script, OP_CLOSE, iterator);
		else if (dice < 999)
			script_add(script, OP_CLEAR, 0);
		else
			script_add(script, OP_MAKE,
				   script_random(script, 4) == 0 ? script_random(script, 300) : 0);
	}
}

/* An iteration from every size, with everything deleted on the way, then emptied down to nothing. */
static void script_drain(struct script *script, uint32_t n)
{
	for (uint32_t size = 1; size <= n; size += 1 + size / 8) {
		script_add(script, OP_MAKE, 0);
		script_fill(script, 0, size);
		script_add(script, OP_OPEN, 0);
		for (uint32_t i = 0; i < size; i++) {
			script_add(script, OP_DELETE, spread(i) % size);
			script_add(script, OP_STEP, 0);
		}
		for (uint32_t id = size; id-- > 0;)
			script_add(script, OP_DELETE, id);
		script_add(script, OP_PUT, 5);
	}
}

static void script_hints(struct script *script)
{
	static const uint32_t hints[] = {0,   1,   8,	9,   13,  14,	26,   27,    52,     53,    104,
					 105, 208, 209, 416, 417, 1000, 5000, 20000, 100000, 300000};
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
		script_add(script, OP_MAKE, hints[i]);
		script_fill(script, 0, hints[i] < 1000 ? hints[i] + 10 : 100);
	}
}

static void script_grow(struct script *script, uint32_t n)
{
	for (uint32_t id = 0; id < n; id++) {
		script_add(script, OP_PUT, id);
		if (id % 5 == 0)
			script_add(script, OP_DELETE, script_random(script, id + 1));
		if (id % 7 == 0)
			script_add(script, OP_GET, script_random(script, id + 1));
	}
}

/* ---- Scenarios ---- */

struct scenario {
	const char *name;
	const char *kind; /* NULL: every kind */
	void (*write)(struct script *script, uint32_t n);
	uint32_t n, full_every;
	/* It must have met at least this. */
	unsigned B;
	size_t same_size_grows, produced_growing, noverflow;
};

static void write_grow(struct script *script, uint32_t n)
{
	script_grow(script, n);
}

static void write_mixed(struct script *script, uint32_t n)
{
	script_mixed(script, n / 2, 60);
	script_add(script, OP_MAKE, 0);
	script_mixed(script, n / 2, 2000);
}

static void write_drain(struct script *script, uint32_t n)
{
	script_drain(script, n);
}

static void write_hints(struct script *script, uint32_t n)
{
	(void)n;
	script_hints(script);
}

/* Just under the load factor, where chains overflow most: 100 of 104, then 200 of 208 entries. */
static void write_churn(struct script *script, uint32_t n)
{
	script_churn(script, 100, n, 60000);
	script_add(script, OP_MAKE, 0);
	script_churn(script, 200, n, 60000);
}

/* Churn with iterators that live across two same-size growths. */
static void write_churn_iterate(struct script *script, uint32_t n)
{
	script_fill(script, 0, 100);
	for (uint32_t i = 0; i < n; i++) {
		script_add(script, OP_DELETE, (i * 7) % 60000);
		script_add(script, OP_PUT, (100 + i) % 60000);
		script_add(script, OP_DELETE, i % 60000);
		if (i % 3 == 0)
			script_add(script, OP_STEP, script_random(script, ITERATORS));
		if (i % 97 == 0)
			script_add(script, OP_OPEN, script_random(script, ITERATORS));
	}
}

/* Four iterators, started at any time, while the map only grows: most of them through several growths. */
static void write_iterate_grow(struct script *script, uint32_t n)
{
	for (uint32_t id = 0; id < n; id++) {
		script_add(script, OP_PUT, id);
		script_add(script, OP_STEP, script_random(script, ITERATORS));
		if (id % 3 == 0)
			script_add(script, OP_STEP, script_random(script, ITERATORS));
		if (id % 11 == 0)
			script_add(script, OP_DELETE, script_random(script, id + 1));
		if (id % 101 == 0)
			script_add(script, OP_OPEN, script_random(script, ITERATORS));
	}
}

/* A same-size growth at B = 16: nine keys into every bucket, one bucket after the other, and out again. Each
 * leaves an overflow bucket behind, and the sampled count has to notice when there are about 2^16 of them. Since
 * it may just miss that, some buckets get 17 keys afterwards.
 */
enum { CROWDED_B = 16, CROWD = 17 };
static uint32_t crowd_ids[1 << CROWDED_B][CROWD];
static uint8_t crowd_size[1 << CROWDED_B];

static void crowd_find(void)
{
	random_state = 0; /* as at step 0, where Go draws hash0 */
	uint64_t hash0 = (uint32_t)go_random(NULL);
	memset(crowd_size, 0, sizeof crowd_size);
	for (uint32_t id = 1; id < 4 * MAX_IDS; id++) { /* 64 for each bucket, more or less */
		uint32_t key;
		make_u32(id, &key);
		size_t bucket = hash_4(&key, hash0) & ((1 << CROWDED_B) - 1);
		if (crowd_size[bucket] < CROWD)
			crowd_ids[bucket][crowd_size[bucket]++] = id;
	}
}

static void crowd_bucket(struct script *script, size_t bucket, size_t keys)
{
	for (size_t i = 0; i < keys; i++)
		script_add(script, OP_PUT, crowd_ids[bucket][i]);
	for (size_t i = 0; i < keys; i++)
		script_add(script, OP_DELETE, crowd_ids[bucket][i]);
}

static void write_overflow_large(struct script *script, uint32_t n)
{
	crowd_find();
	script->steps[0].arg = 300000; /* makes B 16 */
	script_add(script, OP_PUT, 0); /* so that the map is never empty and keeps its seed */
	for (size_t bucket = 0; bucket < n; bucket++)
		crowd_bucket(script, bucket, 9);
	for (size_t bucket = 0; bucket < n / 16; bucket++)
		crowd_bucket(script, bucket, 17);
	script_fill(script, 1, 40000); /* until it is done */
}

/* Beyond B = 15, where overflow buckets are counted by sampling. */
static void write_huge(struct script *script, uint32_t n)
{
	script_fill(script, 0, n);
	for (uint32_t i = 0; i < n / 4; i++)
		script_add(script, OP_DELETE, script_random(script, n));
	script_fill(script, n, n / 4);
}

static const struct scenario scenarios[] = {
	{"grow", NULL, write_grow, 3000, 8, 9, 0, 0, 1},
	{"drain", NULL, write_drain, 120, 1, 4, 0, 1, 0},
	{"hints", NULL, write_hints, 0, 16, 6, 0, 0, 0},
	{"mixed", NULL, write_mixed, 20000, 8, 5, 0, 40, 1},
	{"iterate-grow", NULL, write_iterate_grow, 4000, 16, 9, 0, 500, 10},
	{"churn", "u32-u32", write_churn, 15000, 1, 5, 2, 0, 16},
	{"churn", "u64-ptr", write_churn, 15000, 1, 5, 2, 0, 16},
	{"churn", "str-u64", write_churn, 15000, 4, 5, 2, 0, 16},
	{"churn", "struct-u32", write_churn, 15000, 1, 5, 2, 0, 16},
	{"churn", "big-big", write_churn, 15000, 64, 5, 2, 0, 16},
	{"churn-iterate", "u64-u64", write_churn_iterate, 30000, 1, 4, 2, 1, 16},
	{"grow-large", "u64-u64", write_grow, 150000, 2048, 14, 0, 0, 1000},
	{"grow-large", "str-u64", write_grow, 150000, 4096, 14, 0, 0, 1000},
	{"huge", "u32-u32", write_huge, 430000, 65536, 17, 0, 0, 1000},
	{"overflow", "u32-u32", write_overflow_large, 1 << 16, 65536, 16, 1, 0, 1 << 15},
};

static void scenario_write(const struct scenario *scenario, struct script *script)
{
	*script = (struct script){.seed = 20240229, .full_every = scenario->full_every};
	script_add(script, OP_MAKE, 0);
	scenario->write(script, scenario->n);
	script->steps[script->len - 1].full = 1;
}

static void save(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
		give_up("can't write the script");
}

static void trace_go(const char *tracer, const char *kind, const char *script, const char *trace)
{
	pid_t child = fork();
	if (child == 0) {
		execl(tracer, tracer, kind, script, trace, (char *)NULL);
		_exit(127);
	}
	int status;
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		give_up("the tracer failed");
}

static int differ(const struct scenario *scenario, const struct script *script, size_t at, const uint64_t *go,
		  const uint64_t *here)
{
	const struct step *step = &script->steps[at];
	fprintf(stderr, "hmap_go: %s: step %zu, %s %u:\n", scenario->name, at, op_names[step->op], step->arg);
	for (size_t i = 0; i < WORDS; i++) {
		if (go[i] != here[i])
			fprintf(stderr, "  %s: Go %#llx, here %#llx\n", word_names[i],
				(unsigned long long)go[i], (unsigned long long)here[i]);
	}
	return 1;
}

static int compare(const struct scenario *scenario, const struct script *script, FILE *trace, struct run *run)
{
	for (size_t i = 0; i < script->len; i++) {
		uint64_t go[WORDS], here[WORDS];
		if (fread(go, sizeof go, 1, trace) != 1)
			give_up("the trace ends early");
		random_state = i * 16 * UINT64_C(0x9e3779b97f4a7c15);
		uint64_t result = run_step(run, &script->steps[i]);
		run_record(run, &script->steps[i], result, here);
		if (memcmp(go, here, sizeof go) != 0)
			return differ(scenario, script, i, go, here);
		const char *broken = script->steps[i].full != 0 ? neap__hmap_check(run->map) : NULL;
		if (broken != NULL) {
			fprintf(stderr, "hmap_go: step %zu: law broken: %s\n", i, broken);
			return 1;
		}
	}
	return 0;
}

static int judge(const struct scenario *scenario, const struct run *run)
{
	if (run->B >= scenario->B && run->same_size_grows >= scenario->same_size_grows &&
	    run->produced_growing >= scenario->produced_growing && run->most_overflow >= scenario->noverflow)
		return 0;
	fprintf(stderr, "hmap_go: %s never met what it is there for\n", scenario->name);
	return 1;
}

static int scenario_run(const struct scenario *scenario, const struct kind *kind, const char *tracer,
			const char *directory)
{
	char script_path[4096], trace_path[4096];
	snprintf(script_path, sizeof script_path, "%s/script", directory);
	snprintf(trace_path, sizeof trace_path, "%s/trace", directory);
	struct script script;
	scenario_write(scenario, &script);
	save(script_path, script.steps, script.len * sizeof *script.steps);
	trace_go(tracer, kind->name, script_path, trace_path);
	FILE *trace = fopen(trace_path, "rb");
	if (trace == NULL)
		give_up("no trace");
	struct run run = {.kind = kind};
	int failed = compare(scenario, &script, trace, &run);
	fclose(trace);
	run_drop_map(&run);
	if (!failed)
		failed = judge(scenario, &run);
	printf("%-13s %-10s %8zu steps, B up to %u, grown %zu, same size %zu, noverflow up to %zu, "
	       "produced while growing %zu: %s\n",
	       scenario->name, kind->name, script.len, run.B, run.grows, run.same_size_grows,
	       run.most_overflow, run.produced_growing, failed ? "DIFFERENT" : "same");
	fflush(stdout);
	free(script.steps);
	return failed;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		give_up("usage: hmap_go TRACER DIRECTORY [SCENARIO]");
	int failed = 0;
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
		const struct scenario *scenario = &scenarios[i];
		if (argc > 3 && strcmp(argv[3], scenario->name) != 0)
			continue;
		for (size_t k = 0; k < KINDS; k++) {
			if (scenario->kind == NULL || strcmp(scenario->kind, kinds[k].name) == 0)
				failed |= scenario_run(scenario, &kinds[k], argv[1], argv[2]);
		}
	}
	for (size_t i = 0; i < MAX_IDS; i++)
		free(texts[i]);
	return failed;
}
