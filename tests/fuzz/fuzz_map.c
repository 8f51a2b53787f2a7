/* fuzz_map.c: libFuzzer's door to the model of the map: one byte for the kind, the rest are commands. */
#include "model/map_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size > 1)
		model_run(bytes[0] % model_kinds, bytes + 1, size - 1, 8);
	return 0;
}
