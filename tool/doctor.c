/* doctor.c: `neap doctor`: what this machine and this build allow, tried out one by one, and how to get the rest.
 *
 * Nothing is guessed from versions where it can be tried: each line is the answer of the call that a command would
 * make. A thing that is missing is no failure, so the exit code is 0 unless the output could not be written.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command.h"
#include "lab/lab.h"
#include "lint_module.h"
#include "observe_tool.h"
#include "tracer.h"

static const char help[] =
	"usage: neap doctor\n"
	"\n"
	"Tries what the commands need on this machine and prints, a line each, what works (yes), what\n"
	"does not (no) with the reason and the way to allow it, and what is only worth knowing (-).\n";

static void line(const char *verdict, const char *what, const char *detail)
{
	printf("  %-4s %-26s %s\n", verdict, what, detail);
}

static void tried(const char *what, int error, const char *good, const char *how)
{
	char detail[256];
	snprintf(detail, sizeof detail, "%s%s%s", error == 0 ? good : strerror(error), error == 0 ? "" : ": ",
		 error == 0 ? "" : how);
	line(error == 0 ? "yes" : "no", what, detail);
}

/* The first line of a file; false when it cannot be read. */
static bool first_line(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, size - 1);
	if (fd >= 0)
		close(fd);
	ret[got > 0 ? got : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return got > 0;
}

static void setting(const char *what, const char *path, const char *meaning)
{
	char value[128], detail[256];
	if (!first_line(path, value, sizeof value))
		return;
	snprintf(detail, sizeof detail, "%.80s   %s", value, meaning);
	line("-", what, detail);
}

/* ---- Reading processes ---- */

static int try_readv(void)
{
	int from = 42, to = 0;
	struct iovec local = {&to, sizeof to}, remote = {&from, sizeof from};
	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == sizeof to && to == 42 ? 0 : errno;
}

static void check_attach(void)
{
	char scope[16] = "0";
	bool root = geteuid() == 0;
	first_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope);
	tried("process_vm_readv", try_readv(), "inspect, snapshot, why can read processes",
	      "blocked by a sandbox");
	if (root || scope[0] == '0')
		line("yes", "other processes", root ? "root: all" : "those of the same user");
	else
		line("no", "other processes",
		     "kernel.yama.ptrace_scope: only children; sudo sysctl kernel.yama.ptrace_scope=0, or "
		     "root");
}

/* ---- Giving memory back ---- */

static int try_process_madvise(void)
{
	size_t size = 1 << 16;
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec range = {pages, size};
	if (pages == MAP_FAILED)
		return errno;
	int self = -10000; /* PIDFD_SELF_THREAD_GROUP, Linux 6.14 */
	int error = syscall(440, self, &range, 1, MADV_DONTNEED, 0) == (long)size ? 0 : errno;
	munmap(pages, size);
	return error;
}

/* PAGEMAP_SCAN with a size of 0 is refused as invalid by kernels that have it, as no such call by others. */
static int try_pagemap_scan(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	struct {
		uint64_t fields[12];
	} nothing = {{0}};
	int error =
		ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, sizeof nothing), &nothing) == 0 ? 0 : errno;
	close(fd);
	return error == EINVAL || error == EFAULT ? 0 : error;
}

static int try_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void check_memory(void)
{
	tried("process_madvise", try_process_madvise(),
	      "the heap returns a thousand scattered pages in one call",
	      "a call for each page instead; Linux 6.14 has it");
	tried("PAGEMAP_SCAN", try_pagemap_scan(), "written pages can be listed", "Linux 6.7 has it");
	tried("userfaultfd", try_userfaultfd(), "writes can be tracked without a barrier",
	      "sudo sysctl vm.unprivileged_userfaultfd=1");
	setting("huge pages", "/sys/kernel/mm/transparent_hugepage/enabled",
		"'always' keeps 2 MB for one byte in use; Neap's own areas refuse them");
	setting("overcommit", "/proc/sys/vm/overcommit_memory",
		"2 counts reservations: maps then reserve less");
	setting("memory limit", "/sys/fs/cgroup/memory.max", "of this control group");
}

/* ---- Tracing ---- */

static void check_tracing(void)
{
	char reason[TRACER_REASON];
	struct tracer *tracer = tracer_start(getpid(), reason);
	if (tracer != NULL)
		line("yes", "eBPF tracepoints", "watch counts mmap, munmap, madvise");
	else
		line("no", "eBPF tracepoints", reason);
	if (tracer == NULL && geteuid() != 0)
		line("-", "",
		     "as another user: sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep $(which neap)");
	tracer_stop(tracer);
	setting("perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid", "above 1: probes need root");
}

/* ---- Programs ---- */

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[512];
	for (const char *at = path; at != NULL && *at != '\0'; at += *at == ':') {
		size_t len = strcspn(at, ":");
		snprintf(file, sizeof file, "%.*s/%s", (int)len, at, program);
		if (access(file, X_OK) == 0)
			return true;
		at += len;
	}
	return false;
}

static void check_programs(void)
{
	static const struct {
		const char *name, *use, *package;
	} programs[] = {
		{"go", "go tool pprof shows profiles", "golang-go"},
		{"promtool", "checks alert rules", "prometheus"},
		{"gdb", "prints maps with the installed printers", "gdb"},
		{"bpftrace", "attaches to the probes of the library", "bpftrace"},
	};
	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		char detail[128];
		bool there = in_path(programs[i].name);
		snprintf(detail, sizeof detail, there ? "%s" : "%s: apt install %s", programs[i].use,
			 programs[i].package);
		line(there ? "yes" : "no", programs[i].name, detail);
	}
}

/* The module that holds the analyses, loaded as they would load it. */
static void check_lint(void)
{
	char text[1024];
	const struct lint_module *module = lint_module_load(text, sizeof text);
	char *advice = strchr(text, '\n');
	if (advice != NULL) /* one line here */
		*advice = ':';
	line(module != NULL ? "yes" : "no", "escape, lint", text);
}

int run_doctor(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(help, stdout);
		return EXIT_CLEAN;
	}
	if (argc > 1)
		return usage_error("doctor", "%s: takes no arguments", argv[1]);
	struct utsname system;
	uname(&system);
	printf("%s %s, %s\n\nreading processes\n", system.sysname, system.release, system.machine);
	check_attach();
	printf("\ngiving memory back\n");
	check_memory();
	printf("\ntracing\n");
	check_tracing();
	printf("\nprograms that read what neap writes\n");
	check_programs();
	printf("\nthis build\n");
#ifdef NEAP_HAVE_INSPECT
	line("yes", "inspect", "Go processes and core files");
#else
	line("no", "inspect", "built without libdw or libelf: apt install libdw-dev libelf-dev");
#endif
	check_lint();
	return lab_flush("doctor", EXIT_CLEAN);
}
