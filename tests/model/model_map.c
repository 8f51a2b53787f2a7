/* model_map.c: random commands on every kind of map. usage: model_map [SEED [ROUNDS]]; prints its seed. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "map_model.h"

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 6;
	printf("model_map: seed %llu, %u rounds\n", (unsigned long long)seed, rounds);
	fflush(stdout);
	uint64_t state = seed * 2 + 1;
	enum { COMMANDS = 20000 };
	static uint8_t bytes[COMMANDS];
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned kind = 0; kind < model_kinds; kind++) {
			for (size_t i = 0; i < sizeof bytes; i++)
				bytes[i] = (uint8_t)(next_random(&state) >> 32);
			/* Short runs see small tables, with a check after each command. */
			size_t size = round % 2 == 0 ? sizeof bytes : sizeof bytes / 16;
			fprintf(stderr, "round %u: %s\n", round, model_kind_name(kind));
			model_run(kind, bytes, size, round % 2 == 0 ? 64 : 1);
		}
	}
	printf("%u passed, 0 failed\n", rounds * model_kinds);
	return 0;
}
