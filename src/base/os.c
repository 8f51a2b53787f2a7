/* os.c: the operating system, Linux. See os.h for what each call promises.
 *
 * Reservations are anonymous mappings with MAP_NORESERVE, so that a large one is only numbers; on a system
 * that counts every reservation against its commit limit (vm.overcommit_memory = 2) or under a limit on
 * address space a large one is refused and the caller asks for less.
 *
 * Reservations are aligned to 2 MB, large ones to 1 GB, so that mremap can move whole page-table pages: a move
 * takes microseconds, because no entry of the last level is touched.
 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* What one page of page table maps on x86-64, and on aarch64 with 4 KB pages: at the last level, and above it. */
enum { TABLE_SPAN = 2 << 20, UPPER_TABLE_SPAN = 1 << 30 };

bool (*neap__os_fail)(const char *call);

static bool fails(const char *call)
{
	return neap__os_fail != NULL && neap__os_fail(call);
}

bool neap__os_refuses(const char *call)
{
	return fails(call);
}

size_t neap__os_page_size(void)
{
	static _Atomic size_t cached; /* relaxed: every thread computes the same value */
	size_t size = atomic_load_explicit(&cached, memory_order_relaxed);
	if (size == 0) {
		size = (size_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&cached, size, memory_order_relaxed);
	}
	return size;
}

static void *reserve(size_t size, int protection)
{
	size_t span = size < TABLE_SPAN ? 0 : size < UPPER_TABLE_SPAN ? TABLE_SPAN : UPPER_TABLE_SPAN;
	if (fails("mmap") || size > SIZE_MAX - span)
		return NULL;
	char *raw = mmap(NULL, size + span, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	if (span == 0)
		return raw;
	size_t lead = (size_t)(-(uintptr_t)raw & (span - 1));
	if (lead != 0)
		munmap(raw, lead);
	munmap(raw + lead + size, span - lead);
	(void)madvise(raw + lead, size, MADV_NOHUGEPAGE);
	return raw + lead;
}

void *neap__os_reserve(size_t size)
{
	return reserve(size, PROT_READ | PROT_WRITE);
}

void *neap__os_reserve_idle(size_t size)
{
	return reserve(size, PROT_NONE);
}

void neap__os_dump(void *start, size_t size, bool dump)
{
	uintptr_t page = neap__os_page_size(), from = (uintptr_t)start, to = from + size;
	int saved = errno;
	from = dump ? from & ~(page - 1) : (from + page - 1) & ~(page - 1);
	to = dump ? (to + page - 1) & ~(page - 1) : to & ~(page - 1);
	if (from < to)
		(void)madvise((void *)from, to - from, dump ? MADV_DODUMP : MADV_DONTDUMP);
	errno = saved;
}

bool neap__os_commit(void *start, size_t size)
{
	return !fails("mprotect") && mprotect(start, size, PROT_READ | PROT_WRITE) == 0;
}

bool neap__os_forbid(void *start, size_t size)
{
	if (fails("mprotect") || mprotect(start, size, PROT_NONE) != 0)
		return false;
	(void)madvise(start, size, MADV_DONTNEED);
	return true;
}

void *neap__os_grow(void *base, size_t size, size_t new_size)
{
	if (fails("mremap"))
		return NULL;
	/* A fresh aligned reservation is the target, so that both ends agree modulo 2 MB. */
	char *target = neap__os_reserve(new_size);
	if (target == NULL)
		return NULL;
	void *moved = mremap(base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	if (moved == MAP_FAILED) {
		munmap(target, new_size);
		return NULL;
	}
	return moved;
}

void neap__os_release(void *base, size_t size)
{
	if (base != NULL)
		munmap(base, size);
}

size_t neap__os_return(void *start, size_t size)
{
	uintptr_t page = neap__os_page_size();
	uintptr_t from = ((uintptr_t)start + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)start + size) & ~(page - 1);
	if (to <= from || fails("madvise") || madvise((void *)from, to - from, MADV_DONTNEED) != 0)
		return 0;
	return to - from;
}

/* Newer than Debian 12's headers demand: Linux 5.14. */
#ifndef MADV_POPULATE_WRITE
#	define MADV_POPULATE_WRITE 23
#endif

void neap__os_populate(void *start, size_t size)
{
	static _Atomic bool refused; /* relaxed: a hint */
	if (size == 0 || atomic_load_explicit(&refused, memory_order_relaxed))
		return;
	int saved = errno;
	if (madvise(start, size, MADV_POPULATE_WRITE) != 0 && errno == EINVAL)
		atomic_store_explicit(&refused, true, memory_order_relaxed);
	errno = saved;
}

/* The kernel takes UIO_MAXIOV ranges at once; 218 ns a page against 1160 for a call of madvise each. */
enum { RANGES_MOST = 1024 };

/* "This process", without opening anything: Linux 6.14. */
enum { SELF_PIDFD = -10000 };

#if !defined(SYS_process_madvise)
#	define SYS_process_madvise 440
#endif

_Static_assert(sizeof(struct neap__os_range) == sizeof(struct iovec) &&
		       offsetof(struct neap__os_range, start) == offsetof(struct iovec, iov_base) &&
		       offsetof(struct neap__os_range, size) == offsetof(struct iovec, iov_len),
	       "a range is what the kernel calls an iovec");

/* Ranges given back by one call of process_madvise: all of them, or 0. A kernel that has the call but not this
 * advice, or not on oneself, answers with an error each time; it is asked once.
 */
static size_t return_batch(const struct neap__os_range *ranges, size_t count)
{
	static _Atomic bool refused; /* relaxed: a hint */
	if (atomic_load_explicit(&refused, memory_order_relaxed) || fails("process_madvise"))
		return 0;
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += ranges[i].size;
	if (syscall(SYS_process_madvise, SELF_PIDFD, ranges, count, MADV_DONTNEED, 0) == (ssize_t)bytes)
		return count;
	atomic_store_explicit(&refused, true, memory_order_relaxed);
	return 0;
}

size_t neap__os_return_many(const struct neap__os_range *ranges, size_t count)
{
	size_t done = 0;
	while (done < count) {
		size_t batch = count - done < RANGES_MOST ? count - done : RANGES_MOST;
		if (batch > 1 && return_batch(ranges + done, batch) == batch) {
			done += batch;
			continue;
		}
		for (size_t i = 0; i < batch; i++, done++)
			if (neap__os_return(ranges[done].start, ranges[done].size) == 0)
				return done;
	}
	return done;
}

/* Newer than Debian 12's headers; values from the kernel's. */
enum { FEATURE_WP_UNPOPULATED = 1 << 13, FEATURE_WP_ASYNC = 1 << 15, USER_MODE_ONLY = 1 };
enum { PAGE_WRITTEN = 1 << 1, SCAN_ARM = 1 << 0, SCAN_ONLY_TRACKED = 1 << 1 };

struct pagemap_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_CALL _IOWR('f', 16, struct pagemap_scan)
_Static_assert(sizeof(struct pagemap_scan) == 96 && sizeof(struct neap__os_pages) == 24,
	       "the kernel's layout");

static bool watch_stores(int faults, void *start, size_t size)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC};
	struct uffdio_register range = {.range = {(uint64_t)(uintptr_t)start, size},
					.mode = UFFDIO_REGISTER_MODE_WP};
	return !fails("uffdio_api") && ioctl(faults, UFFDIO_API, &api) == 0 && !fails("uffdio_register") &&
	       ioctl(faults, UFFDIO_REGISTER, &range) == 0;
}

bool neap__os_track_open(struct neap__os_track *ret, void *start, size_t size)
{
	int saved = errno;
	*ret = (struct neap__os_track){-1, -1};
	if (!fails("userfaultfd"))
		ret->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
	if (ret->faults >= 0 && !fails("open"))
		ret->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uintptr_t from = (uintptr_t)start;
	struct neap__os_pages one;
	bool works = ret->pagemap >= 0 && watch_stores(ret->faults, start, size) &&
		     neap__os_track_scan(ret, &from, from + neap__os_page_size(), true, &one, 1) >= 0;
	if (!works)
		neap__os_track_close(ret);
	errno = saved;
	return works;
}

void neap__os_track_close(struct neap__os_track *track)
{
	if (track->pagemap >= 0)
		close(track->pagemap);
	if (track->faults >= 0)
		close(track->faults);
	*track = (struct neap__os_track){-1, -1};
}

long neap__os_track_scan(const struct neap__os_track *track, uintptr_t *from, uintptr_t to, bool arm,
			 struct neap__os_pages *ret, size_t room)
{
	struct pagemap_scan scan = {.size = sizeof scan,
				    .flags = SCAN_ONLY_TRACKED | (arm ? SCAN_ARM : 0),
				    .start = *from,
				    .end = to,
				    .vec = (uint64_t)(uintptr_t)ret,
				    .vec_len = room,
				    .max_pages = room,
				    .category_mask = PAGE_WRITTEN,
				    .return_mask = ret != NULL ? PAGE_WRITTEN : 0};
	int saved = errno;
	long found = fails("pagemap_scan") ? -1 : ioctl(track->pagemap, PAGEMAP_SCAN_CALL, &scan);
	errno = saved;
	if (found < 0 || scan.walk_end <= *from)
		return -1;
	*from = (uintptr_t)scan.walk_end;
	return found;
}

bool neap__os_is_mapped(void *page)
{
	unsigned char resident;
	return mincore(page, neap__os_page_size(), &resident) == 0;
}

void *neap__os_thread_pointer(void)
{
#if defined(__x86_64__)
	void *pointer;
	__asm__("mov %%fs:0, %0" : "=r"(pointer));
	return pointer;
#else
	return __builtin_thread_pointer();
#endif
}

/* glibc's dtv_t: entry -1 counts, entry n is module n's. Where the vector hangs is part of the ABI. */
struct dtv_entry {
	uintptr_t block, to_free;
};
#if defined(__x86_64__)
enum { DTV_WORD = 1 };
#else
enum { DTV_WORD = 0 };
#endif

uintptr_t neap__os_tls_block(const void *thread_pointer, size_t module)
{
	const struct dtv_entry *dtv = ((const struct dtv_entry *const *)thread_pointer)[DTV_WORD];
	uintptr_t block = module <= dtv[-1].block ? dtv[module].block : 0;
	return block == UINTPTR_MAX ? 0 : block; /* all ones: not allocated */
}

void neap__os_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns)
{
	int saved = errno;
	const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns >= 0 ? &timeout : NULL, NULL, 0);
	errno = saved;
}

void neap__os_wake(_Atomic uint32_t *word, int count)
{
	int saved = errno;
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
	errno = saved;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t neap__os_thread_time(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t neap__os_process_time(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* Where a sandbox forbids process_vm_readv, the same through a file. */
static bool peek_by_file(void *ret, const void *from, size_t size)
{
	int fd = fails("open") ? -1 : open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t got = pread(fd, ret, size, (off_t)(uintptr_t)from);
	close(fd);
	return got == (ssize_t)size;
}

bool neap__os_peek(void *ret, const void *from, size_t size)
{
	int before = errno;
	struct iovec to = {ret, size}, of = {(void *)(uintptr_t)from, size};
	bool refused = fails("process_vm_readv");
	ssize_t got = refused ? -1 : process_vm_readv(getpid(), &to, 1, &of, 1, 0);
	refused = refused || (got < 0 && errno != EFAULT);
	bool whole = refused ? peek_by_file(ret, from, size) : got == (ssize_t)size;
	errno = before;
	return whole;
}

size_t neap__os_peek_many(void *ret, const struct neap__piece *pieces, size_t count)
{
	int before = errno;
	struct iovec of[NEAP__PIECES_MOST], to = {ret, 0};
	for (size_t i = 0; i < count; i++) {
		of[i] = (struct iovec){(void *)(uintptr_t)pieces[i].at, pieces[i].size};
		to.iov_len += pieces[i].size;
	}
	ssize_t got = fails("process_vm_readv") ? -1 : process_vm_readv(getpid(), &to, 1, of, count, 0);
	size_t left = got < 0 ? 0 : (size_t)got, whole = 0;
	while (whole < count && got >= 0 && pieces[whole].size <= left)
		left -= pieces[whole++].size;
	errno = before;
	return whole;
}

bool neap__os_barrier_prepare(void)
{
	return !fails("membarrier") &&
	       syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool neap__os_barrier(void)
{
	return !fails("membarrier") && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

uint64_t neap__os_clock(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

void neap__os_yield(void)
{
	sched_yield();
}

uint64_t neap__os_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void neap__os_libc(char *ret, size_t size)
{
	*ret = '\0';
#ifdef _CS_GNU_LIBC_VERSION
	if (fails("confstr") || confstr(_CS_GNU_LIBC_VERSION, ret, size) == 0)
		*ret = '\0';
#endif
}

void neap__os_kernel(char *ret, size_t size)
{
	struct utsname name;
	*ret = '\0';
	if (fails("uname") || uname(&name) != 0)
		return;
	size_t len = strnlen(name.release, size - 1);
	memcpy(ret, name.release, len);
	ret[len] = '\0';
}

void neap__os_random(void *ret, size_t size)
{
	unsigned char *out = ret;
	while (size > 0) {
		ssize_t got = fails("getrandom") ? -1 : getrandom(out, size, 0);
		if (got <= 0)
			break;
		out += got;
		size -= (size_t)got;
	}
	/* No random device: weaker, but still different in every process and on every call. */
	static _Atomic uint64_t counter;
	for (; size > 0; size--) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		uint64_t mix = (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)&now ^
			       (atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed) << 32);
		mix *= UINT64_C(0x9e3779b97f4a7c15);
		*out++ = (unsigned char)(mix >> 56);
	}
}
