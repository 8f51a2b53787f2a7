/* model_hmap.c: random commands on every kind of classic map, compared with a naive table.
 *
 *     model_hmap [SEED [COMMANDS]]     the seed is printed; without one it is taken from the system
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "hmap_model.h"

static struct hmap_model model;

static void run(const struct hmap_kind *kind, uint64_t seed, uint32_t version, uint32_t ids, bool weak,
		size_t commands)
{
	hmap_model_init(&model, kind, seed, version, ids, weak);
	for (size_t i = 0; i < commands; i++)
		hmap_model_step(&model);
	hmap_model_deinit(&model);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : neap__random_seed();
	size_t commands = argc > 2 ? strtoull(argv[2], NULL, 0) : 6000;
	printf("model_hmap: seed %llu, %zu commands\n", (unsigned long long)seed, commands);
	fflush(stdout);
	for (size_t k = 0; k < HMAP_KINDS; k++) {
		for (uint32_t version = NEAP_HMAP_GO_1_22; version <= NEAP_HMAP_GO_1_19; version++) {
			run(&hmap_kinds[k], seed, version, HMAP_MODEL_IDS, false, 4 * commands);
			run(&hmap_kinds[k], seed, version, 150, false, commands);
			run(&hmap_kinds[k], seed, version, 150, true, commands);
		}
	}
	hmap_kinds_free_texts();
	return 0;
}
