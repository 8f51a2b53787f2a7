/* fill.c: see fill.h. */
#include "fill.h"

#include "inspection.h"

enum { CELLS = 40 };

void fill_add(struct fill *fill, uint64_t live, uint64_t slots, uint64_t bytes)
{
	uint64_t step = slots == 0 ? 0 : live * FILL_STEPS / slots;
	step = step < FILL_STEPS ? step : FILL_STEPS - 1;
	fill->bytes[step] += bytes;
	fill->maps[step]++;
}

void fill_print(FILE *out, const struct fill *fill)
{
	uint64_t most = 1;
	for (unsigned step = 0; step < FILL_STEPS; step++)
		most = fill->bytes[step] > most ? fill->bytes[step] : most;
	fputs("\n  FULL       MAPS       HELD\n", out);
	for (unsigned step = 0; step < FILL_STEPS; step++) {
		char count[32], held[32];
		if (fill->maps[step] == 0)
			continue;
		fprintf(out, "  %2u-%3u%% %7s %10s  ", step * FILL_WIDTH, (step + 1) * FILL_WIDTH,
			format_count(count, fill->maps[step]), format_bytes(held, fill->bytes[step]));
		for (uint64_t cell = 0; cell < fill->bytes[step] * CELLS / most; cell++)
			fputs("█", out);
		fputc('\n', out);
	}
}
