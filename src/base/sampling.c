/* sampling.c: the draws of a Poisson process over bytes. See sampling.h. */
#include "base/sampling.h"

#include <math.h>

#include "base/random.h"

struct neap__sampling neap__sampling;

/* Exponential with mean `rate`. */
static double bytes_until_sample(uint64_t rate)
{
	double uniform = (double)((neap__random_next() >> 11) + 1) * 0x1p-53; /* (0, 1] */
	return -log(uniform) * (double)rate;
}

uint64_t neap__sample_gap(uint64_t rate, size_t size)
{
	double gap = bytes_until_sample(rate) / (double)(size > 0 ? size : 1);
	return gap < 0x1p50 ? (uint64_t)gap + 1 : UINT64_C(1) << 50;
}

double neap__sample_chance(uint64_t rate, size_t size)
{
	return -expm1(-(double)size / (double)rate);
}

bool neap__sample_draw(uint64_t rate, size_t size)
{
	return bytes_until_sample(rate) < (double)size;
}

void neap__sample_growth_on(struct neap__link *link, size_t size, uint64_t rate)
{
	/* Counted down, because a map with owned keys takes memory with every insert and a draw costs 20 ns. */
	static _Thread_local double left;
	static _Thread_local uint64_t drawn_at; /* the rate that `left` was drawn at */
	if (drawn_at != rate) {
		drawn_at = rate;
		left = bytes_until_sample(rate);
	}
	left -= (double)size;
	if (left >= 0)
		return;
	left = bytes_until_sample(rate);
	neap__sampling.grown(link, size, 1 / neap__sample_chance(rate, size));
}
