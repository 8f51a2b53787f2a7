/* sampling.h: which allocations are looked at, decided where they are made, and recorded by whoever wants to know.
 *
 * Each byte that is allocated is a sample with probability 1/rate, independently: a Poisson process over bytes. So
 * an allocation of s bytes is sampled with probability 1 - exp(-s / rate), and counts as the inverse of that many.
 * The allocator only asks; the walk of the stack and the tables are src/observe's, behind three pointers.
 */
#ifndef NEAP_SRC_BASE_SAMPLING_H
#define NEAP_SRC_BASE_SAMPLING_H

#include <stdatomic.h>

#include "neap/base.h"

struct neap__sampling {
	_Atomic uint64_t rate; /* mean bytes between two samples; 0: off. Release, after the pointers */
	/* Records the caller's stack for a block of `size` bytes that stands for `weight` such; 0: not recorded. */
	uint32_t (*take)(size_t size, double weight);
	/* The block of that record was freed. */
	void (*forget)(uint32_t record);
	/* A map took `size` more bytes, which stand for `weight` times as many. */
	void (*grown)(struct neap__link *link, size_t size, double weight);
};

extern struct neap__sampling neap__sampling;

static inline uint64_t neap__sampling_rate(void)
{
	return atomic_load_explicit(&neap__sampling.rate, memory_order_acquire);
}

/* Of many allocations of `size` bytes: the number of the next one to be sampled, 1 or more. */
uint64_t neap__sample_gap(uint64_t rate, size_t size);
/* The probability that an allocation of `size` bytes is sampled. */
double neap__sample_chance(uint64_t rate, size_t size);
/* Draws with that probability. */
bool neap__sample_draw(uint64_t rate, size_t size);

/* Bytes that this thread's maps may take until a growth is sampled. Counted down, because a map with owned keys takes
 * memory with every insert and a draw costs 20 ns.
 */
struct neap__growth_gap {
	int64_t left;
	uint64_t drawn_at; /* the rate that `left` was drawn at */
};
extern _Thread_local struct neap__growth_gap neap__growth_gap __attribute__((tls_model("initial-exec")));

/* The gap is over, or of another rate. */
void neap__sample_growth_due(struct neap__link *link, size_t size, uint64_t rate);

/* A map that took memory tells so; one load when sampling is off. */
static inline void neap__sample_growth(struct neap__link *link, size_t size)
{
	uint64_t rate = neap__sampling_rate();
	if (__builtin_expect(rate == 0, 1))
		return;
	if (neap__growth_gap.drawn_at == rate && neap__growth_gap.left >= (int64_t)size)
		neap__growth_gap.left -= (int64_t)size;
	else
		neap__sample_growth_due(link, size, rate);
}

#endif
