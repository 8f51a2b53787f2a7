/* machine.c: see machine.h. */
#include "machine.h"

#include "commit.h"
#include "stopwatch.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

int machine_pin(int cpu)
{
	cpu_set_t set;
	if (cpu < 0) {
		sched_getaffinity(0, sizeof set, &set);
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET((size_t)i, &set))
				cpu = i;
	}
	CPU_ZERO(&set);
	if (cpu < CPU_SETSIZE)
		CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) == 0)
		return cpu;
	fprintf(stderr, "bench: there is no CPU %d to run on; --cpu takes 0 to %ld\n", cpu,
		sysconf(_SC_NPROCESSORS_CONF) - 1);
	return -1;
}

/* Nanoseconds per page to touch `bytes` for the first time. */
static double touch(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / page;
	if (pages == 0)
		return 0;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 0;
	struct stopwatch watch = stopwatch_start();
	for (size_t i = 0; i < pages; i++)
		memory[i * page] = 1;
	double ns = stopwatch_stop(watch) / (double)pages;
	munmap(memory, bytes);
	return ns;
}

void machine_warm(size_t bytes, double *ret_first_ns, double *ret_again_ns)
{
	*ret_first_ns = touch(bytes);
	*ret_again_ns = touch(bytes < ((size_t)1 << 28) ? bytes : (size_t)1 << 28);
}

/* User + system + interrupt time, and steal, of one CPU since boot, in seconds. */
static void read_cpu_times(int cpu, double *ret_busy, double *ret_steal)
{
	char line[512], name[16];
	double t[8] = {0}, tick = (double)sysconf(_SC_CLK_TCK);
	snprintf(name, sizeof name, "cpu%d ", cpu);
	FILE *file = fopen("/proc/stat", "r");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), "%lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2],
			       &t[3], &t[4], &t[5], &t[6], &t[7]);
	if (file)
		fclose(file);
	*ret_busy = (t[0] + t[1] + t[2] + t[5] + t[6]) / tick;
	*ret_steal = t[7] / tick;
}

static double own_cpu_seconds(int who)
{
	struct rusage usage;
	getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The CPU's busy seconds that were not ours. */
static double others_seconds(double busy)
{
	return busy - own_cpu_seconds(RUSAGE_SELF) - own_cpu_seconds(RUSAGE_CHILDREN);
}

void machine_noise_begin(struct machine_noise *noise, int cpu)
{
	double busy;
	noise->cpu = cpu;
	if (getloadavg(&noise->load, 1) != 1)
		noise->load = -1;
	read_cpu_times(cpu, &busy, &noise->steal_s);
	noise->others_s = others_seconds(busy);
	noise->elapsed_s = (double)clock_now(CLOCK_MONOTONIC) / 1e9;
}

void machine_noise_end(struct machine_noise *noise)
{
	double busy, steal;
	read_cpu_times(noise->cpu, &busy, &steal);
	noise->steal_s = steal - noise->steal_s;
	noise->others_s = others_seconds(busy) - noise->others_s;
	noise->elapsed_s = (double)clock_now(CLOCK_MONOTONIC) / 1e9 - noise->elapsed_s;
}

static void read_processor(char *name, size_t size)
{
	char line[256];
	snprintf(name, size, "unknown processor");
	FILE *file = fopen("/proc/cpuinfo", "r");
	while (file && fgets(line, sizeof line, file)) {
		char *colon = strchr(line, ':');
		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(name, size, "%s", colon + 2);
		break;
	}
	if (file)
		fclose(file);
}

void machine_print(FILE *out, bool json)
{
	char processor[256];
	struct utsname system;
	read_processor(processor, sizeof processor);
	uname(&system);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE) >> 20, l2 = sysconf(_SC_LEVEL2_CACHE_SIZE) >> 10;
	const char *format =
		json ? "\"machine\":{\"processor\":\"%s\",\"cpus\":%ld,\"l2_kb\":%ld,\"l3_mb\":%ld,"
		       "\"system\":\"%s %s %s\",\"compiler\":\"%s\",\"commit\":\"%s\"}"
		     : "machine   %s, %ld CPUs, L2 %ld KB, L3 %ld MB\nsystem    %s %s %s\ncompiler  %s\n"
		       "commit    %s\n";
#ifdef __clang__
	const char *compiler = __VERSION__;
#else
	const char *compiler = "GCC " __VERSION__;
#endif
	fprintf(out, format, processor, cpus, l2, l3, system.sysname, system.release, system.machine,
		compiler, BENCH_COMMIT);
}
