/* os.h: every system call that the library makes, behind one small interface.
 *
 * Nothing above this file calls mmap, madvise or getrandom. Tests replace single functions through
 * neap__os_fail to see what happens when the system says no.
 */
#ifndef NEAP_SRC_BASE_OS_H
#define NEAP_SRC_BASE_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Asked before each system call that can fail; true makes that call fail. Tests only; NULL in production. */
extern bool (*neap__os_fail)(const char *call);

/* What neap__os_fail says of a call that is not made in os.c: pthread_create. */
bool neap__os_refuses(const char *call);

/* Bytes in a page, a power of two. */
size_t neap__os_page_size(void);

/* Reserves `size` bytes of zeroed, private, writable address space that costs no memory until it is touched,
 * aligned to 2 MB or 1 GB from that size on, or NULL. Huge pages are refused for it: a first touch that clears 2 MB takes milliseconds.
 */
void *neap__os_reserve(size_t size);
/* Moves a reservation to a larger one without copying a page; the old address is gone. NULL: unchanged. */
void *neap__os_grow(void *base, size_t size, size_t new_size);
void neap__os_release(void *base, size_t size);
/* Gives the whole pages inside [start, start + size) back to the system; they read as zero afterwards.
 * Returns the bytes given back, 0 when the system refused.
 */
size_t neap__os_return(void *start, size_t size);
/* Makes whole pages of a reservation resident, which are about to be written: one system call in place of a fault for
 * each page. Does nothing on a kernel that has no such call.
 */
void neap__os_populate(void *start, size_t size);
/* Leaves the whole pages inside [start, start + size), which are reserved, out of core files; or takes all that it
 * touches in again. The kernel knows which pages were never touched, but gcore writes out what is readable.
 */
void neap__os_dump(void *start, size_t size, bool dump);
/* Reserves address space that can't be touched before neap__os_commit, aligned like neap__os_reserve, or NULL.
 * It counts against no commit limit.
 */
void *neap__os_reserve_idle(size_t size);
/* Makes whole pages of an idle reservation readable and writable; they read as zero. False: refused. */
bool neap__os_commit(void *start, size_t size);

/* Makes whole pages untouchable again and gives their memory back. False: refused. */
bool neap__os_forbid(void *start, size_t size);

struct neap__os_range {
	void *start; /* of a page */
	size_t size; /* whole pages */
};

/* neap__os_return for many scattered ranges, at one system call per 1024 where the kernel can. Returns how many
 * ranges, counted from the first, were given back: less than `count` when the system refused.
 */
size_t neap__os_return_many(const struct neap__os_range *ranges, size_t count);

/* Which pages of a range were written to: userfaultfd in its asynchronous write-protect mode answers each first
 * write in the kernel, PAGEMAP_SCAN reads and clears the answers. Linux 6.7.
 */
struct neap__os_track {
	int faults, pagemap; /* file descriptors */
};

struct neap__os_pages { /* the kernel's struct page_region */
	uint64_t start, end, categories;
};

/* Prepares [start, start + size) for tracking; false: the kernel or its policy does not offer it. A child of
 * fork is not tracked: it closes what it inherited and opens its own.
 */
bool neap__os_track_open(struct neap__os_track *ret, void *start, size_t size);
void neap__os_track_close(struct neap__os_track *track);
/* Finds stretches of pages in [*from, to) written to since they were last armed, at most `room` pages; with `arm` they
 * are armed again, each in one step with being read. Pages that were never armed count as written. `*from` moves
 * to where the walk ended: go on until it reaches `to`. Returns the stretches, or -1: the kernel refused.
 * `ret` NULL, room 0: only arms.
 */
long neap__os_track_scan(const struct neap__os_track *track, uintptr_t *from, uintptr_t to, bool arm,
			 struct neap__os_pages *ret, size_t room);

/* True when the page at `page` is mapped. */
bool neap__os_is_mapped(void *page);
/* The thread pointer of the calling thread, and the block that a thread has for a module's thread-local variables
 * (0: none yet), as glibc keeps them. The thread must not run, or be the calling one.
 */
void *neap__os_thread_pointer(void);
uintptr_t neap__os_tls_block(const void *thread_pointer, size_t module);

/* Sleeps while *word == value, at most `timeout_ns` (negative: without an end). May return at any time. */
void neap__os_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns);
/* Wakes up to `count` sleepers. */
void neap__os_wake(_Atomic uint32_t *word, int count);
/* Nanoseconds of processor time of the calling thread, of the whole process. */
uint64_t neap__os_thread_time(void);
uint64_t neap__os_process_time(void);
/* Copies `size` bytes of this process from `from`, which another thread may be writing or may have unmapped:
 * false when not all of them can be read. The bytes may be older and newer ones mixed.
 */
bool neap__os_peek(void *ret, const void *from, size_t size);
/* The same for up to NEAP__PIECES_MOST pieces, which come to stand one behind the other. Returns how many could be copied,
 * counted from the first; 0 also where neap__os_peek has to take another way.
 */
struct neap__piece {
	const void *at;
	size_t size;
};
enum { NEAP__PIECES_MOST = 256 };
size_t neap__os_peek_many(void *ret, const struct neap__piece *pieces, size_t count);
/* Lets another thread run. */
void neap__os_yield(void);
/* Prepares this process for neap__os_barrier; false when the system has no such call, or refuses it. */
bool neap__os_barrier_prepare(void);
/* Every running thread of this process passes a full memory fence during the call. False: refused, nothing done. */
bool neap__os_barrier(void);
/* Nanoseconds of the coarse monotonic clock, which moves every few milliseconds and costs no system call. */
uint64_t neap__os_clock(void);
/* Nanoseconds of a clock that only goes forward. */
uint64_t neap__os_now(void);

/* Name and version of the C library ("glibc 2.36") and version of the kernel ("6.1.0-13-amd64"), or "". */
void neap__os_libc(char *ret, size_t size);
void neap__os_kernel(char *ret, size_t size);

/* Fills `size` bytes with random bits from the system; falls back on address and clock when it refuses. */
void neap__os_random(void *ret, size_t size);

#endif
