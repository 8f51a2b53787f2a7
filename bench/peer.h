/* peer.h: what a hash map must offer to be measured, in C and in C++.
 *
 * Nouns. A *peer* is a hash map under measurement; a *shape* is a pair of key and value types; an *adapter* is
 * the one file that teaches the bench a peer. An adapter is compiled once per shape (-DBENCH_SHAPE=...), and
 * each compilation makes one `struct peer`: a table of loops over arrays of keys. The loops are the same text
 * for every peer (peer_loops.h) and stand in the adapter's own translation unit, so that each peer's code is
 * inlined into them as it would be in a program that uses that peer. No call per operation is added.
 *
 * Values are functions of their keys (value_of), so that every sum that a loop returns can be checked.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHAPE_U64 0 /* uint64_t to uint64_t */
#define SHAPE_BIG 1 /* uint64_t to 56 bytes */
#define SHAPE_STR 2 /* strings of 8 to 40 bytes, stored out of line and borrowed, to uint64_t */
#define SHAPES	  3

struct big {
	uint64_t word[7];
};

/* `len` bytes at `ptr`, and a NUL after them for the peers that know only C strings. */
struct text {
	const char *ptr;
	uint32_t len, unused;
};

struct op_clock;

/* Look-ups per call of a peer's batched look-up: enough to overlap every miss that the processor can have in
 * flight, few enough to stay in the first-level cache.
 */
#define BATCH 64

struct peer {
	const char *name;
	const char *about; /* version, hash, and what was chosen where the peer gives a choice */
	int shape;
	int rank;	     /* rows are printed in this order; below 0: ours, 100: the floor */
	const char *program; /* a peer in another language: the program beside ours; no functions then */

	void *(*make)(size_t reserve); /* 0: grows from nothing */
	void (*destroy)(void *map);
	void (*put)(void *map, const void *keys, size_t n);
	/* These return the sum of the first words of the values found; all n keys are independent. */
	uint64_t (*get)(void *map, const void *keys, size_t n);
	uint64_t (*get_miss)(void *map, const void *keys, size_t n);
	uint64_t (*get_batch)(void *map, const void *keys, size_t n);
	/* Each key is known only when the value before it has arrived: `zero` must be 0, the compiler must not
	 * know.
	 */
	uint64_t (*get_chain)(void *map, const void *keys, size_t n, uint64_t zero);
	/* n times: erases gone[i], inserts come[i]. */
	void (*churn)(void *map, const void *gone, const void *come, size_t n);
	size_t (*erase)(void *map, const void *keys, size_t n); /* how many were there */
	uint64_t (*iterate)(void *map);				/* the sum over all values */
	/* The same by a loop in which the map may be changed; NULL: the peer has none. */
	uint64_t (*range)(void *map);
	/* As put and erase, one reading of the clock per operation. */
	void (*put_timed)(void *map, const void *keys, size_t n, struct op_clock *clock);
	void (*erase_timed)(void *map, const void *keys, size_t n, struct op_clock *clock);
	/* Bytes that the peer says it holds; NULL: what malloc has handed out is the answer. */
	size_t (*bytes)(void *map);
	/* The call that the peer's manual offers to give memory back; NULL: none. */
	void (*shrink)(void *map);
};

/* Called by each adapter's constructor. */
void bench_register(const struct peer *peer);

/* The number of entries that the running cell will hold: for the floor, which is no map and cannot grow. */
extern size_t bench_entries;

#ifdef __cplusplus
}
#endif

#ifdef BENCH_SHAPE

#	if BENCH_SHAPE == SHAPE_U64
typedef uint64_t bench_key;
typedef uint64_t bench_value;
#	elif BENCH_SHAPE == SHAPE_BIG
typedef uint64_t bench_key;
typedef struct big bench_value;
#	else
typedef struct text bench_key;
typedef uint64_t bench_value;
#	endif

static inline bench_value value_of(bench_key key)
{
#	if BENCH_SHAPE == SHAPE_U64
	return key + 1;
#	elif BENCH_SHAPE == SHAPE_BIG
	bench_value value = {{key + 1, key, key, key, key, key, key}};
	return value;
#	else
	return key.len;
#	endif
}

static inline uint64_t word_of(const bench_value *value)
{
#	if BENCH_SHAPE == SHAPE_BIG
	return value->word[0];
#	else
	return *value;
#	endif
}

#endif
#endif
