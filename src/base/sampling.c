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

_Thread_local struct neap__growth_gap neap__growth_gap __attribute__((tls_model("initial-exec")));

static void draw_gap(uint64_t rate)
{
	double gap = bytes_until_sample(rate);
	neap__growth_gap.left = gap < 0x1p60 ? (int64_t)gap : INT64_C(1) << 60;
	neap__growth_gap.drawn_at = rate;
}

void neap__sample_growth_due(struct neap__link *link, size_t size, uint64_t rate)
{
	if (neap__growth_gap.drawn_at != rate) {
		draw_gap(rate);
		if (neap__growth_gap.left >= (int64_t)size) {
			neap__growth_gap.left -= (int64_t)size;
			return;
		}
	}
	draw_gap(rate);
	neap__sampling.grown(link, size, 1 / neap__sample_chance(rate, size));
}
