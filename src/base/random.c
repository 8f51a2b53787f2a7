/* random.c: a per-thread wyrand stream (Wang Yi, public domain) seeded once from the system. */
#include "base/random.h"

#include "base/os.h"

__extension__ typedef unsigned __int128 wide;

uint64_t neap__random_seed(void)
{
	uint64_t seed;
	neap__os_random(&seed, sizeof seed);
	return seed;
}

uint64_t neap__random_next(void)
{
	static _Thread_local uint64_t state;
	if (state == 0)
		state = neap__random_seed() | 1;
	state += UINT64_C(0xa0761d6478bd642f);
	wide product = (wide)state * (state ^ UINT64_C(0xe7037ed1a0b428db));
	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}
