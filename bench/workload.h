/* workload.h: the keys that all peers are given, the same for every peer of a run.
 *
 * Key number i is a bijective mix of i, so keys are random and no two are equal without a check. The array
 * `load` has keys 0, 1, 2, ...; `gone` has the same keys, shuffled within each block of n: the order in which
 * they are deleted. Churn slides a window of n keys along `gone`:
 *
 *     live after i steps  ==  gone[i .. i + n)
 *
 * Strings of `load`, `gone`, `hit` and `miss` are separate copies, each laid out in the order of its array: a
 * program looks up a key that it has just read, not the pointer that the map stores.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "peer.h"

struct workload {
	int shape;
	size_t n;   /* entries in the map */
	size_t ops; /* length of hit and miss, and steps of churn: at least this many operations are timed */
	size_t total; /* length of load and gone: n + ops, or a multiple of n near it */
	void *load, *gone, *hit, *miss;
	uint64_t hit_sum; /* what looking up all of `hit` must return */
	uint64_t all_sum; /* and iterating over the first n of `load` */
	struct arena {
		char *at;
		size_t size, used;
	} arena;
};

/* Stops the program when memory is refused. */
void workload_init(struct workload *work, int shape, size_t n, size_t ops, uint64_t seed);
void workload_deinit(struct workload *work);

size_t key_size(int shape);

/* keys + i. */
static inline const void *key_at(const struct workload *work, const void *keys, size_t i)
{
	return (const char *)keys + i * key_size(work->shape);
}

#endif
