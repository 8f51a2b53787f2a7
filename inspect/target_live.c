/* target_live.c: a running process, read through process_vm_readv while it runs.
 *
 * Unless its mode is another, the process runs on, so what is read may be torn: two words written together may
 * be seen one old and one new. Readers above validate and count what does not fit.
 *
 * A thread that waits in the kernel shows its stack pointer in /proc/PID/task/TID/syscall; one that runs
 * does not, and its stack is then taken as a whole.
 *
 * The memory of the target can be read by whoever may trace it: the same user (and yama's ptrace_scope 0),
 * root, or CAP_SYS_PTRACE.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "freeze.h"
#include "target.h"
#include "twin.h"

struct live {
	int pid;     /* whose memory is read: the process's, or its twin's */
	int pagemap; /* -1 when it can't be opened */
	struct twin twin;
	struct urgency urgency; /* of a stop */
	uint64_t reads_before;	/* it */
};

/* Of all stops of a look, seconds: letting the threads go takes the rest of the 10 ms that are promised. On a busy machine
   a thread that is to stop has to wait for a processor first. That is waited for once: no stop begins when the time has
   gone, but one that has begun does its work. */
#define STOPPED_MOST 0.008

static size_t live_read(struct target *target, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {.iov_base = buffer, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	const struct live *live = target->state;
	ssize_t got = process_vm_readv(live->pid, &local, 1, &remote, 1, 0);
	if (got < 0 && errno == ESRCH)
		target->gone = true;
	return got < 0 ? 0 : (size_t)got;
}

static size_t live_read_pieces(struct target *target, const struct target_piece *pieces, size_t count,
			       size_t *ret_got)
{
	struct iovec local[IOV_MAX], remote[IOV_MAX];
	const struct live *live = target->state;
	size_t asked = count < IOV_MAX ? count : IOV_MAX;
	for (size_t i = 0; i < asked; i++) {
		local[i] = (struct iovec){.iov_base = pieces[i].buffer, .iov_len = pieces[i].size};
		remote[i] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[i].address,
					   .iov_len = pieces[i].size};
	}
	ssize_t got = process_vm_readv(live->pid, local, asked, remote, asked, 0);
	if (got < 0 && errno == ESRCH)
		target->gone = true;
	*ret_got = got < 0 ? 0 : (size_t)got;
	return asked;
}

/* ioctl(pagemap, PAGEMAP_SCAN), Linux 6.7; the headers of Debian 12 do not have it yet. */
struct scan_request {
	uint64_t size, flags, start, end, walk_end, regions, region_count, page_limit;
	uint64_t inverted, required, any_of, returned;
};
struct scan_region {
	uint64_t start, end, categories;
};
#define SCAN_PAGEMAP _IOWR('f', 16, struct scan_request)
enum { SCAN_PRESENT = 1 << 3, SCAN_ZERO_PAGE = 1 << 5, SCAN_REGIONS = 512 };

/* Present, and not the zero page, which no process is charged for. False when the kernel can't tell. */
static bool scan_resident(int pagemap, uint64_t start, size_t count, uint8_t *pages)
{
	struct scan_region regions[SCAN_REGIONS];
	uint64_t at = start, end = start + count * TARGET_PAGE;
	while (at < end) {
		struct scan_request request = {.size = sizeof request,
					       .start = at,
					       .end = end,
					       .regions = (uintptr_t)regions,
					       .region_count = SCAN_REGIONS,
					       .inverted = SCAN_ZERO_PAGE,
					       .required = SCAN_PRESENT | SCAN_ZERO_PAGE,
					       .returned = SCAN_PRESENT};
		long found = ioctl(pagemap, SCAN_PAGEMAP, &request);
		if (found < 0 || request.walk_end <= at)
			return false;
		for (long i = 0; i < found && i < SCAN_REGIONS; i++)
			memset(pages + (regions[i].start - start) / TARGET_PAGE, 1,
			       (regions[i].end - regions[i].start) / TARGET_PAGE);
		at = request.walk_end;
	}
	return true;
}

/* /proc/PID/pagemap: one 64-bit word a page, bit 63 "present", the zero page included. */
static void live_resident(struct target *target, uint64_t start, size_t count, uint8_t *pages)
{
	const struct live *live = target->state;
	memset(pages, 0, count);
	if (live->pagemap >= 0 && scan_resident(live->pagemap, start, count, pages))
		return;
	for (size_t done = 0; done < count && live->pagemap >= 0;) {
		uint64_t words[1024];
		size_t want = count - done < 1024 ? count - done : 1024;
		ssize_t got = pread(live->pagemap, words, want * sizeof words[0],
				    (off_t)((start / TARGET_PAGE + done) * sizeof words[0]));
		if (got <= 0)
			return;
		for (size_t i = 0; i < (size_t)got / sizeof words[0]; i++)
			pages[done + i] = (uint8_t)(words[i] >> 63);
		done += (size_t)got / sizeof words[0];
	}
}

static void live_close(struct target *target)
{
	struct live *live = target->state;
	if (live->pagemap >= 0)
		close(live->pagemap);
	twin_release(&live->twin);
	free(live);
}

static const struct target_ops live_ops = {live_read, live_resident, live_close, live_read_pieces};

static void proc_path(char *out, size_t size, int pid, const char *name)
{
	snprintf(out, size, "/proc/%d/%s", pid, name);
}

static void parse_range(struct target *target, const char *line)
{
	uint64_t start, end;
	char rights[8];
	int path_at = 0;
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %n", &start, &end, rights, &path_at) < 3)
		return;
	char path[4096];
	snprintf(path, sizeof path, "%s", path_at > 0 ? line + path_at : "");
	path[strcspn(path, "\n")] = '\0';
	struct target_range *range = target_range_add(target, start, end, path);
	/* [vvar] says "r" and refuses to be read; [vsyscall] lies outside user space. */
	range->readable = rights[0] == 'r' && strncmp(path, "[v", 2) != 0;
	range->writable = rights[1] == 'w';
}

static int read_ranges(struct target *target, struct problem *problem)
{
	char path[64];
	proc_path(path, sizeof path, ((struct live *)target->state)->pid, "maps");
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return problem_set(problem, PROBLEM_NO_TARGET,
				   errno == ENOENT ? "no process %d"
						   : "process %d may not be read; run as its user or as root",
				   target->pid);
	char *line = NULL;
	size_t capacity = 0;
	while (getline(&line, &capacity, file) >= 0)
		parse_range(target, line);
	free(line);
	bool denied = ferror(file) != 0;
	fclose(file);
	target_ranges_finish(target);
	if (denied)
		return problem_set(problem, PROBLEM_NO_TARGET,
				   "process %d may not be read; run as its user or as root", target->pid);
	if (target->range_count == 0)
		return problem_set(problem, PROBLEM_NO_TARGET,
				   "process %d has no memory: it is a zombie or a kernel thread",
				   target->pid);
	return 0;
}

static void read_entry(struct target *target)
{
	char path[64];
	proc_path(path, sizeof path, target->pid, "auxv");
	FILE *file = fopen(path, "re");
	Elf64_auxv_t word;
	while (file != NULL && fread(&word, sizeof word, 1, file) == 1)
		if (word.a_type == AT_ENTRY)
			target->entry = word.a_un.a_val;
	if (file != NULL)
		fclose(file);
}

static void read_thread(struct target *target, int id)
{
	char path[96];
	snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", target->pid, id);
	FILE *file = fopen(path, "re");
	uint64_t sp = 0, pc = 0;
	char line[256];
	if (file != NULL && fgets(line, sizeof line, file) != NULL) {
		/* "running", or the call's number, six arguments (none outside a call), sp and pc */
		const char *last = strrchr(line, ' ');
		if (last != NULL) {
			const char *before = last;
			while (before > line && before[-1] != ' ')
				before--;
			sp = strtoull(before, NULL, 16);
			pc = strtoull(last + 1, NULL, 16);
		}
	}
	if (file != NULL)
		fclose(file);
	target_thread_add(target, id, sp, pc);
}

static void read_threads(struct target *target)
{
	char path[64];
	proc_path(path, sizeof path, target->pid, "task");
	DIR *folder = opendir(path);
	if (folder == NULL)
		return;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		int id = atoi(entry->d_name);
		if (id > 0)
			read_thread(target, id);
	}
	closedir(folder);
}

static void read_rss(struct target *target)
{
	char path[64];
	proc_path(path, sizeof path, target->pid,
		  "smaps_rollup"); /* exact; statm lags by up to 64 pages a thread */
	FILE *file = fopen(path, "re");
	char line[256];
	uint64_t kilobytes = 0;
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "Rss: %" SCNu64, &kilobytes) == 1)
			target->rss = kilobytes << 10;
	if (file != NULL)
		fclose(file);
}

/* Asks for one byte, which tells "may not" from "can't". */
static int check_permission(struct target *target, struct problem *problem)
{
	for (size_t i = 0; i < target->range_count; i++) {
		char byte;
		if (!target->ranges[i].readable || live_read(target, target->ranges[i].start, &byte, 1) == 1)
			continue;
		if (errno == EPERM)
			return problem_set(
				problem, PROBLEM_NO_TARGET,
				"process %d may not be read: run as its user or as root, and see "
				"kernel.yama.ptrace_scope (0 lets a user read their own processes)",
				target->pid);
	}
	return 0;
}

static void name_program(struct target *target, const char *program)
{
	char path[64], link[4096] = "";
	proc_path(path, sizeof path, target->pid, "exe");
	ssize_t length = readlink(path, link, sizeof link - 1);
	link[length > 0 ? length : 0] = '\0';
	const char *base = strrchr(link, '/');
	target->name = take_text(base != NULL ? base + 1 : link);
	target->program = take_text(program != NULL ? program : path);
}

static void take_registers(struct target *target, const struct frozen_thread *threads, size_t count)
{
	target->thread_count = 0;
	for (size_t i = 0; i < count; i++)
		target_thread_add_known(target, threads[i].id, &threads[i].registers);
}

/* Makes the twin, when one is wanted: from then on its memory is read. */
static int choose_source(struct target *target, struct problem *problem)
{
	struct live *live = target->state;
	live->pid = target->pid;
	if (target->mode == TARGET_CLONED) {
		if (twin_make(target->pid, &live->twin, problem) != 0)
			return -1;
		live->pid = live->twin.pid;
		target->changing = false;
		target->stopped = live->twin.stopped_seconds;
	}
	char path[64];
	/* a copy has no page tables yet for code and files: what is resident is the original's business */
	proc_path(path, sizeof path, target->pid, "pagemap");
	live->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	return 0;
}

struct target *target_live_open(int pid, const char *program, enum target_mode mode, struct problem *problem)
{
	struct target *target = take(1, sizeof *target);
	struct live *live = take(1, sizeof *live);
	*live = (struct live){.pid = pid, .pagemap = -1, .twin = {.pipe = -1}};
	target->pid = pid;
	target->live = target->changing = true;
	target->mode = mode;
	target->ops = &live_ops;
	target->state = live;
	if (read_ranges(target, problem) != 0 || check_permission(target, problem) != 0 ||
	    choose_source(target, problem) != 0) {
		target_close(target);
		return NULL;
	}
	name_program(target, program);
	read_entry(target);
	read_rss(target);
	if (mode == TARGET_CLONED) {
		/* the twin has the mappings of the moment of the copy */
		target_ranges_clear(target);
		if (read_ranges(target, problem) != 0) {
			target_close(target);
			return NULL;
		}
		take_registers(target, live->twin.threads, live->twin.thread_count);
	} else {
		read_threads(target);
	}
	return target;
}

int target_stop(struct target *target, struct freeze *freeze, struct problem *problem)
{
	struct live *live = target->state;
	if (target->mode == TARGET_RUNNING)
		urgency_raise(&live->urgency);
	if (freeze_begin(target->pid, 0, freeze, problem) != 0) {
		urgency_lower(&live->urgency);
		return -1;
	}
	take_registers(target, freeze->threads, freeze->count);
	live->reads_before = target->reads;
	return 0;
}

void target_go_on(struct target *target, struct freeze *freeze)
{
	struct live *live = target->state;
	target->worked += monotonic_seconds() - freeze->complete;
	target->stopped += freeze_end(freeze);
	target->stops++;
	target->stop_reads += target->reads - live->reads_before;
	urgency_lower(&live->urgency);
}

double target_stop_left(const struct target *target, const struct freeze *freeze)
{
	if (freeze == NULL)
		return STOPPED_MOST - target->stopped;
	return STOPPED_MOST - target->worked - (monotonic_seconds() - freeze->complete);
}

/* "4711 (name) R ...": waiting for a processor is R too. */
static bool is_ready(const char *folder)
{
	char path[128], line[512];
	snprintf(path, sizeof path, "%s/stat", folder);
	FILE *file = fopen(path, "re");
	bool read = file != NULL && fgets(line, sizeof line, file) != NULL;
	const char *end = read ? strrchr(line, ')') : NULL;
	if (file != NULL)
		fclose(file);
	return end != NULL && strncmp(end, ") R", 3) == 0;
}

double target_processor_seconds(const struct target *target, bool *ret_ready)
{
	char path[96];
	double total = 0;
	*ret_ready = false;
	for (size_t i = 0; i < target->thread_count; i++) {
		unsigned long long nanoseconds = 0;
		snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", target->pid, target->threads[i].id);
		FILE *file = fopen(path, "re");
		if (file != NULL && fscanf(file, "%llu", &nanoseconds) == 1)
			total += (double)nanoseconds * 1e-9;
		if (file != NULL)
			fclose(file);
		*strrchr(path, '/') = '\0';
		*ret_ready |= is_ready(path);
	}
	return total;
}

bool target_ranges_again(struct target *target)
{
	struct problem ignored = {0};
	size_t count = target->range_count;
	uint64_t *before = take(2 * count, sizeof *before);
	for (size_t i = 0; i < count; i++) {
		before[2 * i] = target->ranges[i].start;
		before[2 * i + 1] = target->ranges[i].end;
	}
	target_ranges_clear(target);
	bool same = read_ranges(target, &ignored) == 0 && target->range_count == count;
	for (size_t i = 0; i < count && same; i++)
		same = before[2 * i] == target->ranges[i].start && before[2 * i + 1] == target->ranges[i].end;
	free(before);
	return !same;
}
