/* fill.h: how full the maps are, by the bytes that they hold: where the bytes are shows whether rebuilding pays. */
#ifndef NEAP_INSPECT_FILL_H
#define NEAP_INSPECT_FILL_H

#include <stdint.h>
#include <stdio.h>

enum { FILL_STEPS = 10, FILL_WIDTH = 100 / FILL_STEPS }; /* steps, and the percent that one is wide */

struct fill {
	uint64_t bytes[FILL_STEPS], maps[FILL_STEPS];
};

void fill_add(struct fill *fill, uint64_t live, uint64_t slots, uint64_t bytes);
void fill_print(FILE *out, const struct fill *fill);

#endif
