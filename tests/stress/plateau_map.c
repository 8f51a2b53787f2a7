/* plateau_map.c: filling and emptying a map a hundred times costs no more memory the hundredth time than the first.
 *
 * Bytes are the map's own account and what the process has resident; both are read when the map is full and when it
 * is empty, and may not leave 5 % of what they were in the first cycle.
 */
#include <stdio.h>
#include <stdlib.h>

#include "neap/map.h"
#include "support/map_probe.h"

/* A sanitizer keeps freed blocks for a while: what is resident is its business then. */
#if defined(__SANITIZE_ADDRESS__)
#	define SANITIZED 1
#elif defined(__has_feature)
#	if __has_feature(address_sanitizer)
#		define SANITIZED 1
#	endif
#endif
#ifndef SANITIZED
#	define SANITIZED 0
#endif

enum { CYCLES = 100, ENTRIES = 80000, PERCENT = 5 };
enum { FIRST_USE = 64 << 10 }; /* bytes that malloc and stdio take once, after the first reading */

/* Anonymous bytes: pages of code become resident as it runs. From smaps_rollup, because the count in statm lags
 * behind by up to 64 pages for each processor.
 */
static size_t resident(void)
{
	unsigned long kilobytes = 0;
	char line[256];
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	if (file == NULL)
		abort();
	while (fgets(line, sizeof line, file) != NULL && sscanf(line, "Anonymous: %lu", &kilobytes) != 1)
		continue;
	fclose(file);
	return (size_t)kilobytes * 1024;
}

static int failures;

static void compare(int cycle, const char *what, size_t now, size_t first)
{
	if (now <= first * (100 + PERCENT) / 100 + FIRST_USE)
		return;
	fprintf(stderr, "plateau_map: cycle %d: %s is %zu bytes, was %zu\n", cycle, what, now, first);
	failures++;
}

int main(void)
{
	size_t n = probe_scale(ENTRIES), first[4] = {0};
	struct neap_map *map = neap_map_create(&probe_u64, NULL);
	if (map == NULL)
		return 1;
	for (int cycle = 0; cycle < CYCLES; cycle++) {
		uint64_t base = (uint64_t)cycle * n;
		for (uint64_t i = 0; i < n; i++)
			if (neap_map_put(map, &(uint64_t){base + i}, &i) != NEAP_OK)
				return 1;
		size_t now[4] = {neap_map_bytes(map), resident()};
		for (uint64_t i = 0; i < n; i++) /* in an order that is not that of the inserts */
			if (!neap_map_delete(map, &(uint64_t){base + i * 7919 % n}))
				return 1;
		now[2] = neap_map_bytes(map);
		now[3] = resident();
		for (int i = 0; i < 4 && cycle == 0; i++)
			first[i] = now[i];
		compare(cycle, "the full map's account", now[0], first[0]);
		compare(cycle, "the empty map's account", now[2], first[2]);
		if (SANITIZED)
			continue;
		compare(cycle, "resident with the full map", now[1], first[1]);
		compare(cycle, "resident with the empty map", now[3], first[3]);
	}
	printf("%d cycles of %zu entries: %zu bytes full, %zu empty; resident %zu and %zu\n", CYCLES, n,
	       first[0], first[2], first[1], first[3]);
	neap_map_destroy(map);
	return failures != 0;
}
