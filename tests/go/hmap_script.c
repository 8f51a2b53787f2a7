/* hmap_script.c: what the comparison with Go does. See hmap_script.h. */
#include "hmap_script.h"

#include <stdlib.h>
#include <string.h>

#include "go_hash.h"

static uint32_t script_random(struct script *script, uint32_t below)
{
	script->seed += UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)((go_mix(script->seed, UINT64_C(0xd1342543de82ef95)) >> 32) * below >> 32);
}

static void script_add(struct script *script, enum op op, uint32_t arg)
{
	if (script->len == script->capacity) {
		script->capacity = script->capacity == 0 ? 1024 : 2 * script->capacity;
		script->steps = realloc(script->steps, script->capacity * sizeof *script->steps);
		if (script->steps == NULL)
			abort();
	}
	script->steps[script->len] = (struct step){op, arg, script_random(script, HMAP_TEXTS),
						   script->len % script->full_every == 0};
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
		abort();
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
			script_add(script, OP_DELETE, hmap_spread(i) % size);
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
	go_random_state = 0; /* as at step 0, where Go draws hash0 */
	uint64_t hash0 = (uint32_t)go_random(NULL);
	memset(crowd_size, 0, sizeof crowd_size);
	for (uint32_t id = 1; id < 4 * HMAP_TEXTS; id++) { /* 64 for each bucket, more or less */
		uint32_t key;
		hmap_kinds[1].key(id, &key);
		size_t bucket = go_hash_4(&key, hash0) & ((1 << CROWDED_B) - 1);
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

const struct scenario scenarios[] = {
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

const size_t scenario_count = sizeof scenarios / sizeof scenarios[0];

void scenario_write(const struct scenario *scenario, struct script *script)
{
	*script = (struct script){.seed = 20240229, .full_every = scenario->full_every};
	script_add(script, OP_MAKE, 0);
	scenario->write(script, scenario->n);
	script->steps[script->len - 1].full = 1;
}
