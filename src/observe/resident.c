/* resident.c: PAGEMAP_SCAN, in pieces.
 *
 * /proc/self/smaps has these figures too, but the kernel keeps the lock on the address space while it walks through a
 * whole mapping: 60 ms for 1 GB, in which no thread can map or unmap. The scan skips holes at once and is told after
 * how many resident pages to stop.
 */
#include "observe/resident.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/os.h"

/* Newer than Debian 12's headers; values from the kernel's. */
enum { PAGE_FILE = 1 << 2, PAGE_PRESENT = 1 << 3, PAGE_ZERO = 1 << 5, PAGE_HUGE = 1 << 6 };
enum { REGIONS = 64, PAGES_AT_ONCE = 512 };

struct scan_request {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_CALL _IOWR('f', 16, struct scan_request)

static long scan_pages(int handle, uintptr_t *start, uintptr_t end, struct neap__os_pages *ret)
{
	struct scan_request request = {.size = sizeof request,
				       .start = *start,
				       .end = end,
				       .vec = (uint64_t)(uintptr_t)ret,
				       .vec_len = REGIONS,
				       .max_pages = PAGES_AT_ONCE,
				       .category_inverted = PAGE_ZERO,
				       .category_mask = PAGE_PRESENT | PAGE_ZERO,
				       .return_mask = PAGE_FILE | PAGE_HUGE};
	long found = neap__os_refuses("pagemap_scan") ? -1 : ioctl(handle, SCAN_CALL, &request);
	if (found < 0 || request.walk_end <= *start)
		return -1;
	*start = (uintptr_t)request.walk_end;
	return found;
}

bool neap__resident_count_range(int handle, uintptr_t start, uintptr_t end, struct neap__resident *ret)
{
	struct neap__os_pages regions[REGIONS];
	*ret = (struct neap__resident){0};
	while (start < end) {
		long found = scan_pages(handle, &start, end, regions);
		if (found < 0)
			return false;
		for (long i = 0; i < found; i++) {
			size_t bytes = regions[i].end - regions[i].start;
			bool file = (regions[i].categories & PAGE_FILE) != 0;
			*(file ? &ret->file : &ret->anonymous) += bytes;
			if (!file && (regions[i].categories & PAGE_HUGE) != 0)
				ret->huge += bytes;
		}
	}
	return true;
}

int neap__resident_open(void)
{
	struct neap__resident one;
	uintptr_t page = neap__os_page_size(), here = (uintptr_t)&one & ~(page - 1);
	int handle = neap__os_refuses("open") ? -1 : open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (handle >= 0 && !neap__resident_count_range(handle, here, here + page, &one)) {
		close(handle);
		handle = -1;
	}
	return handle;
}
