/* workload.c: see workload.h. */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Keys that no `load` holds begin here. */
#define ABSENT ((uint64_t)1 << 40)

enum { SHORTEST = 8, LONGEST = 40 };

/* The text that long string keys begin with, at a place that depends on the key: prefixes are shared and the
 * part that tells two keys apart comes last, as in paths and identifiers.
 */
static const char prefix_text[] =
	"/usr/share/locale/session:user/account/0000/img-cache/2024/index.html?ref=";

/* splitmix64: a bijection of the 64-bit words (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

size_t key_size(int shape)
{
	return shape == SHAPE_STR ? sizeof(struct text) : sizeof(uint64_t);
}

static void *map_memory(size_t size)
{
	void *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED) {
		fprintf(stderr, "bench: no memory for %zu MB of keys; use smaller sizes\n", size >> 20);
		exit(2);
	}
	return memory;
}

static uint64_t text_hash(uint64_t number, uint64_t seed)
{
	return mix(number ^ mix(seed));
}

/* Eight characters of six bits: a bijection of the 48-bit numbers, so no two keys are equal. */
static void write_distinct(char *to, uint64_t number, uint64_t seed)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
	const uint64_t mask = ((uint64_t)1 << 48) - 1;
	uint64_t x = (number + seed) & mask;
	x = (x * 0x9e3779b97f4bu) & mask;
	x ^= x >> 25;
	x = (x * 0xbf58476d1ce5u) & mask;
	for (int i = 0; i < 8; i++)
		to[i] = digits[x >> (6 * i) & 63];
}

static struct text make_text(struct arena *arena, uint64_t number, uint64_t seed)
{
	uint64_t hash = text_hash(number, seed);
	uint32_t len = SHORTEST + (uint32_t)(hash % (LONGEST - SHORTEST + 1)), prefix = len - 8;
	char *text = arena->at + arena->used;
	memcpy(text, prefix_text + (hash >> 32) % (sizeof prefix_text - LONGEST), prefix);
	write_distinct(text + prefix, number, seed);
	text[len] = 0;
	arena->used += len + 1;
	return (struct text){text, len, 0};
}

static uint64_t put_key(struct workload *work, void *keys, size_t i, uint64_t number, uint64_t seed)
{
	if (work->shape == SHAPE_STR) {
		struct text text = make_text(&work->arena, number, seed);
		((struct text *)keys)[i] = text;
		return text.len;
	}
	uint64_t key = mix(number + seed);
	((uint64_t *)keys)[i] = key;
	return key + 1;
}

static size_t gcd(size_t a, size_t b)
{
	return b ? gcd(b, a % b) : a;
}

/* The number of the i-th key to go: a stride through each block of n that visits every key once. */
static uint64_t gone_number(size_t i, size_t n, size_t stride, size_t total)
{
	size_t block = i / n;
	if ((block + 1) * n > total)
		return i;
	return block * n + (i % n) * stride % n;
}

static size_t text_bytes(size_t number_from, size_t count, uint64_t seed)
{
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += SHORTEST + text_hash(number_from + i, seed) % (LONGEST - SHORTEST + 1) + 1;
	return bytes;
}

void workload_init(struct workload *work, int shape, size_t n, size_t ops, uint64_t seed)
{
	*work = (struct workload){.shape = shape, .n = n, .ops = ops};
	work->total = n + ops;
	if (work->total > 2 * n)
		work->total -= work->total % n;
	if (shape == SHAPE_STR) {
		work->arena.size = 2 * text_bytes(0, work->total, seed) + 2 * ops * (LONGEST + 1);
		work->arena.at = map_memory(work->arena.size);
	}
	size_t each = key_size(shape), stride = n * 618 / 1000 | 1;
	while (n > 1 && gcd(stride, n) != 1)
		stride++;
	work->load = map_memory(work->total * each);
	work->gone = map_memory(work->total * each);
	work->hit = map_memory(ops * each);
	work->miss = map_memory(ops * each);
	for (size_t i = 0; i < work->total; i++) {
		uint64_t word = put_key(work, work->load, i, i, seed);
		work->all_sum += i < n ? word : 0;
	}
	for (size_t i = 0; i < work->total; i++)
		put_key(work, work->gone, i, gone_number(i, n, stride, work->total), seed);
	for (size_t i = 0; i < ops; i++)
		work->hit_sum += put_key(work, work->hit, i, mix(i + ABSENT) % n, seed);
	for (size_t i = 0; i < ops; i++)
		put_key(work, work->miss, i, ABSENT + i, seed);
}

void workload_deinit(struct workload *work)
{
	size_t each = key_size(work->shape);
	munmap(work->load, work->total * each);
	munmap(work->gone, work->total * each);
	munmap(work->hit, work->ops * each);
	munmap(work->miss, work->ops * each);
	if (work->arena.at)
		munmap(work->arena.at, work->arena.size);
}
