/* releases.c: the histogram of delays between a free and the return of its page. */
#include "base/releases.h"

/* Maps return within the delete; the heap after a second of stillness, seen every quarter of a second. */
const uint32_t neap__delay_bound[NEAP__DELAYS] = {1, 10, 100, 250, 500, 1000, 2500, 5000, 60000};

struct neap__releases neap__releases;

void neap__released(size_t pages, uint64_t ms)
{
	unsigned i = 0;
	while (i < NEAP__DELAYS && ms > neap__delay_bound[i])
		i++;
	atomic_fetch_add_explicit(&neap__releases.pages[i], pages, memory_order_relaxed);
	atomic_fetch_add_explicit(&neap__releases.page_ms, pages * ms, memory_order_relaxed);
}
