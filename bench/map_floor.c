/* map_floor.c: what does this machine charge for memory?
 *
 * The cost of one access to a footprint of so many bytes, from the first-level cache to far beyond the last:
 * reads of random cache lines that each depend on the one before (latency), that are independent (throughput),
 * writes to random lines, and reading and writing in order; then what the system charges for pages: touching
 * one for the first time, giving it back with MADV_DONTNEED, and with munmap. No map can be faster than the
 * row of its footprint allows: map_speed shows the same reads as its row `floor`.
 */
#include "machine.h"
#include "stopwatch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE 64

/* Accesses per figure; figures are the median of ROUNDS. */
enum { ACCESSES = 1 << 21, ROUNDS = 5 };

struct line {
	uint64_t next; /* number of the line that follows in a random cycle through all of them */
	uint64_t payload[7];
};
_Static_assert(sizeof(struct line) == LINE, "a line is a cache line");

static volatile uint64_t sink; /* what was read; volatile, so that reading is not optimised away */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A random word scaled to 0 .. n - 1; n is below 2^32. */
static size_t below(uint64_t random, size_t n)
{
	return (size_t)((random >> 32) * n >> 32);
}

/* One random cycle through all lines (Sattolo's shuffle). */
static void link_lines(struct line *lines, size_t n)
{
	uint64_t state = 88172645463325252u;
	for (size_t i = 0; i < n; i++)
		lines[i].next = i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = below(next_random(&state), i);
		uint64_t swap = lines[i].next;
		lines[i].next = lines[j].next;
		lines[j].next = swap;
	}
}

static void read_dependent(struct line *lines, size_t n)
{
	(void)n;
	uint64_t at = 0;
	for (int i = 0; i < ACCESSES; i++)
		at = lines[at].next;
	sink = at;
}

static void read_independent(struct line *lines, size_t n)
{
	uint64_t state = 0x2545f4914f6cdd1du, sum = 0;
	for (int i = 0; i < ACCESSES; i++)
		sum += lines[below(next_random(&state), n)].next;
	sink = sum;
}

static void write_independent(struct line *lines, size_t n)
{
	uint64_t state = 0x2545f4914f6cdd1du;
	for (int i = 0; i < ACCESSES; i++)
		lines[below(next_random(&state), n)].payload[0] = (uint64_t)i;
}

static void read_in_order(struct line *lines, size_t n)
{
	uint64_t sum = 0;
	for (size_t i = 0, at = 0; i < ACCESSES; i++, at = at + 1 < n ? at + 1 : 0)
		sum += lines[at].next;
	sink = sum;
}

static void write_in_order(struct line *lines, size_t n)
{
	for (size_t i = 0, at = 0; i < ACCESSES; i++, at = at + 1 < n ? at + 1 : 0)
		lines[at].payload[1] = i;
}

static const struct {
	const char *name;
	void (*run)(struct line *, size_t);
} accesses[] = {
	{"chain", read_dependent},   {"read", read_independent},    {"write", write_independent},
	{"read_seq", read_in_order}, {"write_seq", write_in_order},
};
enum { ACCESS_KINDS = sizeof accesses / sizeof *accesses };

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof *values, compare_doubles);
	return values[ROUNDS / 2];
}

static void print_footprint(size_t bytes, bool json, bool first)
{
	struct line *lines = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lines == MAP_FAILED) {
		fprintf(stderr, "map_floor: no memory for %zu MB; --max takes MB\n", bytes >> 20);
		exit(2);
	}
	size_t n = bytes / LINE;
	link_lines(lines, n);
	printf(json ? "%s\n{\"bytes\":%zu" : "%s%9zu KB", json && !first ? "," : "",
	       json ? bytes : bytes >> 10);
	for (int kind = 0; kind < ACCESS_KINDS; kind++) {
		double values[ROUNDS];
		for (int round = 0; round < ROUNDS; round++) {
			struct stopwatch watch = stopwatch_start();
			accesses[kind].run(lines, n);
			values[round] = stopwatch_stop(watch) / ACCESSES;
		}
		double ns = median(values);
		if (json)
			printf(",\"%s\":%.3f", accesses[kind].name, ns);
		else
			printf("%11.*f", ns < 10 ? 2 : 1, ns);
	}
	printf(json ? "}" : "\n");
	fflush(stdout);
	munmap(lines, bytes);
}

/* Nanoseconds per page of a step over `bytes`; the steps of one round follow each other. */
static void time_pages(size_t bytes, double *ret_touch, double *ret_dontneed, double *ret_unmap)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	double pages = (double)(bytes / page);
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		exit(2);
	struct stopwatch watch = stopwatch_start();
	for (size_t at = 0; at < bytes; at += page)
		memory[at] = 1;
	*ret_touch = stopwatch_stop(watch) / pages;
	watch = stopwatch_start();
	madvise(memory, bytes, MADV_DONTNEED);
	*ret_dontneed = stopwatch_stop(watch) / pages;
	memset(memory, 1, bytes);
	watch = stopwatch_start();
	munmap(memory, bytes);
	*ret_unmap = stopwatch_stop(watch) / pages;
}

static void print_pages(bool json)
{
	double touch[ROUNDS], dontneed[ROUNDS], unmap[ROUNDS];
	for (int round = 0; round < ROUNDS; round++)
		time_pages((size_t)64 << 20, &touch[round], &dontneed[round], &unmap[round]);
	printf(json ? ",\"page_ns\":{\"touch\":%.0f,\"dontneed\":%.0f,\"munmap\":%.0f}"
		    : "\nper page of memory, ns: touch %.0f, MADV_DONTNEED %.0f, munmap %.0f\n",
	       median(touch), median(dontneed), median(unmap));
}

int main(int argc, char **argv)
{
	size_t largest = (size_t)1 << 30;
	bool json = false;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			json = true;
		} else if (strcmp(argv[i], "--max") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0) {
			largest = (size_t)atoi(argv[++i]) << 20;
		} else {
			printf("map_floor [--max MB] [--json]: what does this machine charge for memory?\n");
			return strcmp(argv[i], "--help") == 0 ? 0 : 2;
		}
	}
	struct machine_noise noise;
	double first_ns, again_ns;
	int cpu = machine_pin(-1);
	machine_noise_begin(&noise, cpu);
	machine_warm(2 * largest, &first_ns, &again_ns);
	printf(json ? "{\"schema\":1,\"question\":\"map_floor\",\"unit\":\"ns of CPU time per access\","
		    : "map_floor: What does this machine charge for memory?\n");
	machine_print(stdout, json);
	printf(json ? ",\"figures\":[" : "\nns of CPU time per access to one cache line; median of %d\n%12s",
	       ROUNDS, "");
	for (int kind = 0; !json && kind < ACCESS_KINDS; kind++)
		printf("%11s", accesses[kind].name);
	printf(json ? "" : "\n");
	for (size_t bytes = (size_t)16 << 10; bytes <= largest; bytes *= 4)
		print_footprint(bytes, json, bytes == (size_t)16 << 10);
	printf(json ? "]" : "");
	print_pages(json);
	machine_noise_end(&noise);
	printf(json ? ",\"cpu\":%d,\"others_seconds\":%.1f,\"steal_seconds\":%.1f}\n"
		    : "noise: on CPU %d, other processes ran on it for %.1f s, the hypervisor took %.1f s\n",
	       noise.cpu, noise.others_s, noise.steal_s);
	return 0;
}
