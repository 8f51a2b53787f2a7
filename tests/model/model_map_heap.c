/* model_map_heap.c: the model of the map once more, with Neap's heap as its allocator, and the heap's laws after each
 * kind of map. usage: model_map_heap SEED
 */
#include <stdio.h>
#include <stdlib.h>

#include "heap/internal.h"
#include "map_model.h"

enum { COMMANDS = 6000 };

int main(int argc, char **argv)
{
	uint64_t state = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 2 + 1;
	static uint8_t bytes[COMMANDS];
	model_memory = neap_heap_allocator();
	for (unsigned kind = 0; kind < model_kinds; kind++) {
		for (size_t i = 0; i < sizeof bytes; i++) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
			bytes[i] = (uint8_t)(state >> 56);
		}
		model_run(kind, bytes, sizeof bytes, 64);
		struct neap_heap_stats stats = {.size = sizeof stats};
		const char *broken = neap__heap_check();
		if (broken == NULL && (neap_heap_stats(&stats) != NEAP_OK || stats.live_blocks != 0))
			broken = "the map gave back every block";
		if (broken != NULL) {
			fprintf(stderr, "model_map_heap: %s: %s\n", model_kind_name(kind), broken);
			return 1;
		}
		(void)neap_heap_return();
	}
	return 0;
}
