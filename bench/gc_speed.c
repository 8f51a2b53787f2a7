/* gc_speed.c: what does collecting cost?
 *
 * usage: gc_speed trees|gcbench|live|map SIZE [GO-PROGRAM]
 *
 * A program of gc_work.c with malloc and free (the C library's and those of Debian's that are installed), with Neap's
 * collector, with bdwgc, and in Go (peers/go_gc; `ninja gc_bench` runs all four). SIZE is the depth of the trees, MB, or
 * thousands of entries. "malloc" in the place of the Go program: the work alone, with whatever malloc is here.
 *
 * CPU seconds of the process, all threads; each way in a process of its own, so that the peaks are apart. Ratios are to
 * malloc and free. The longest stop is what each collector says of itself: Neap of a single stop, Go of the two of a
 * cycle together, bdwgc of its marking with the world stopped.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gc_work.h"
#include "neap/gc.h"
#include "neap/gc_map.h"
#ifdef BENCH_HAVE_BDWGC
#	include "peers/bdwgc.h"
#endif

enum { NOT_INSTALLED = 3 };

/* What a way tells at its end: a line "answer collections longest-stop-ns". */
struct told {
	unsigned long long answer, collections, longest_ns;
};

/* malloc and free. */

static struct tree *malloc_tree(void)
{
	return calloc(1, sizeof(struct tree));
}

static struct node *malloc_node(void)
{
	return calloc(1, sizeof(struct node));
}

static struct unit *malloc_unit(void)
{
	return calloc(1, sizeof(struct unit));
}

static void **malloc_table(size_t count)
{
	return calloc(count, sizeof(void *));
}

static void *malloc_data(size_t size)
{
	return calloc(1, size);
}

static void begin_malloc(void)
{
}

static void tell_nothing(struct told *ret)
{
	(void)ret;
}

/* Neap. */

NEAP_TYPE(tree_type, struct tree, left, right);
NEAP_TYPE(node_type, struct node, left, right);
NEAP_TYPE(unit_type, struct unit, node, bytes);

static struct tree *neap_tree(void)
{
	return neap_gc_alloc(&tree_type);
}

static struct node *neap_node(void)
{
	return neap_gc_alloc(&node_type);
}

static struct unit *neap_unit(void)
{
	return neap_gc_alloc(&unit_type);
}

static void **neap_table(size_t count)
{
	return neap_gc_alloc_array(&neap_gc_pointer, count);
}

static void *own_map_create(void)
{
	static const struct neap_map_type type = {.size = sizeof type,
						  .kind = NEAP_KEY_BYTES,
						  .key_size = 8,
						  .key_align = 8,
						  .value_size = sizeof(void *),
						  .value_align = _Alignof(void *)};
	return neap_gc_map_create(&type, NULL, &neap_gc_pointer, NULL);
}

static void own_map_put(void *map, uint64_t key, void *value)
{
	if (neap_gc_map_put(map, &key, &value) != NEAP_OK)
		abort();
}

static void *own_map_get(void *map, uint64_t key)
{
	void **value = neap_gc_map_get(map, &key);
	return value != NULL ? *value : NULL;
}

static void own_map_delete(void *map, uint64_t key)
{
	(void)neap_gc_map_delete(map, &key);
}

static void begin_concurrent(void)
{
	if (!neap_gc_concurrent())
		fprintf(stderr,
			"gc_speed: this kernel does not track pages: \"concurrent\" stops the world\n");
}

static void begin_stopping(void)
{
	if (neap_gc_start(&(struct neap_gc_options){.size = sizeof(struct neap_gc_options),
						    .stop_the_world = true}) != NEAP_OK)
		abort();
}

/* Percentages with which the trees take about the memory that bdwgc takes for them, or a little less. */

static void begin_roomy(void)
{
	begin_concurrent();
	(void)neap_gc_set_percent(180);
}

static void begin_stopping_roomy(void)
{
	begin_stopping();
	(void)neap_gc_set_percent(220);
}

static void tell_neap(struct told *ret)
{
	struct neap_memstats stats = {.size = sizeof stats};
	neap_memstats(&stats);
	ret->collections = stats.NumGC;
	ret->longest_ns = stats.LongestStopNs;
}

/* bdwgc. */

#ifdef BENCH_HAVE_BDWGC
static void begin_bdwgc(void)
{
	bdwgc_begin(false);
}

static void begin_bdwgc_incremental(void)
{
	bdwgc_begin(true);
}

static struct tree *bdwgc_tree(void)
{
	return bdwgc_alloc(sizeof(struct tree));
}

static struct node *bdwgc_node(void)
{
	return bdwgc_alloc(sizeof(struct node));
}

static struct unit *bdwgc_unit(void)
{
	return bdwgc_alloc(sizeof(struct unit));
}

static void **bdwgc_table(size_t count)
{
	return bdwgc_alloc(count * sizeof(void *));
}

static void tell_bdwgc(struct told *ret)
{
	uint64_t collections, longest;
	bdwgc_tell(&collections, &longest);
	ret->collections = collections;
	ret->longest_ns = longest;
}
#endif

static const struct memory malloc_memory = {.tree = malloc_tree,
					    .node = malloc_node,
					    .unit = malloc_unit,
					    .table = malloc_table,
					    .data = malloc_data,
					    .release = free};
static const struct memory neap_memory = {.tree = neap_tree,
					  .node = neap_node,
					  .unit = neap_unit,
					  .table = neap_table,
					  .data = neap_gc_alloc_data};
static const struct memory neap_map_memory = {.data = neap_gc_alloc_data,
					      .map_create = own_map_create,
					      .map_put = own_map_put,
					      .map_get = own_map_get,
					      .map_delete = own_map_delete};
#ifdef BENCH_HAVE_BDWGC
static const struct memory bdwgc_memory = {
	.tree = bdwgc_tree, .node = bdwgc_node, .unit = bdwgc_unit, .table = bdwgc_table, .data = bdwgc_data};
#endif

static const struct way {
	const char *name;
	void (*begin)(void);
	const struct memory *memory;
	void (*tell)(struct told *ret);
	const char *only, *not ; /* the question it is for; or not for, which would take minutes */
	const char *malloc_of;	 /* the library that malloc is of; NULL: as it is */
} ways[] = {
	{"malloc and free", begin_malloc, &malloc_memory, tell_nothing, NULL, NULL, NULL},
	{"  of jemalloc", NULL, NULL, NULL, NULL, NULL, "libjemalloc.so.2"},
	{"  of mimalloc", NULL, NULL, NULL, NULL, NULL, "libmimalloc.so.2"},
	{"  of tcmalloc", NULL, NULL, NULL, NULL, NULL, "libtcmalloc_minimal.so.4"},
	{"neap, concurrent", begin_concurrent, &neap_memory, tell_neap, NULL, NULL, NULL},
	{"neap, stopping the world", begin_stopping, &neap_memory, tell_neap, NULL, NULL, NULL},
	{"  concurrent, at 180 percent", begin_roomy, &neap_memory, tell_neap, "trees", NULL, NULL},
	{"  stopping, at 220 percent", begin_stopping_roomy, &neap_memory, tell_neap, "trees", NULL, NULL},
	{"neap, its own map", begin_concurrent, &neap_map_memory, tell_neap, "map", NULL, NULL},
#ifdef BENCH_HAVE_BDWGC
	{"bdwgc", begin_bdwgc, &bdwgc_memory, tell_bdwgc, NULL, NULL, NULL},
	{"bdwgc, incremental", begin_bdwgc_incremental, &bdwgc_memory, tell_bdwgc, NULL, "live", NULL},
#endif
};

static const struct question {
	const char *name, *title;
	work *work;
} questions[] = {
	{"trees", "binary trees, depth", work_trees},
	{"gcbench", "GCBench, depth", work_gcbench},
	{"live", "random replacement, MB", work_live},
	{"map", "map with churn, thousands", work_map},
};

static void work_by(const struct way *way, const struct question *question, unsigned size)
{
	struct told told = {0, 0, 0};
	way->begin();
	told.answer = question->work(way->memory, size);
	way->tell(&told);
	printf("%llu %llu %llu\n", told.answer, told.collections, told.longest_ns);
	fflush(stdout);
	_exit(0);
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The loader goes on without a library that it does not find; main asks whether it did. */
static void work_with_malloc_of(const char *library, const char *question, const char *size)
{
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	if (length <= 0)
		_exit(127);
	self[length] = 0;
	setenv("LD_PRELOAD", library, 1);
	execl(self, self, question, size, "malloc", (char *)NULL);
	_exit(127);
}

/* In a process of its own; `way` NULL: the Go program. False: it did not come to its end. */
static bool run(const struct way *way, const struct question *question, const char *size, const char *go,
		struct told *ret, struct rusage *ret_usage, bool *ret_missing)
{
	int ends[2], status = -1;
	if (pipe(ends) != 0)
		abort();
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		if (way != NULL && way->malloc_of != NULL)
			work_with_malloc_of(way->malloc_of, question->name, size);
		if (way != NULL)
			work_by(way, question, (unsigned)strtoul(size, NULL, 10));
		execl(go, go, question->name, size, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	FILE *line = fdopen(ends[0], "r");
	bool whole = line != NULL &&
		     fscanf(line, "%llu %llu %llu", &ret->answer, &ret->collections, &ret->longest_ns) == 3;
	if (line != NULL)
		fclose(line);
	*ret_missing = pid > 0 && wait4(pid, &status, 0, ret_usage) == pid && WIFEXITED(status) &&
		       WEXITSTATUS(status) == NOT_INSTALLED;
	return pid > 0 && status == 0 && whole;
}

/* The first one says what the answer is, and is what ratios are of. False when the work was not done: bdwgc's
   incremental mode can run out of mappings that the kernel allows. */
static bool compare(const char *name, const struct way *way, const struct question *question,
		    const char *size, const char *go)
{
	static double first_cpu, first_peak;
	static unsigned long long answer;
	struct told told;
	struct rusage usage;
	double begin = now_seconds();
	bool missing, ran = run(way, question, size, go, &told, &usage, &missing);
	if (missing) {
		printf("%-31s not installed\n", name);
		return true;
	}
	if (!ran || (first_cpu > 0 && told.answer != answer)) {
		printf("%-31s %s\n", name, ran ? "came to another answer" : "died before it had an answer");
		return false;
	}
	double wall = now_seconds() - begin, peak = (double)usage.ru_maxrss / 1024;
	double cpu = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
	if (first_cpu <= 0) {
		answer = told.answer;
		first_cpu = cpu;
		first_peak = peak;
	}
	printf("%-31s%7.2f s%6.2f%8.2f s%7.0f MB%6.2f%9llu%10.3f ms\n", name, cpu, cpu / first_cpu, wall,
	       peak, peak / first_peak, told.collections, (double)told.longest_ns / 1e6);
	return true;
}

static bool compare_all(const struct question *question, const char *size, const char *go)
{
	printf("%s %-*s%9s%6s%10s%10s%6s%9s%13s\n", question->title, (int)(30 - strlen(question->title)),
	       size, "CPU", "ratio", "wall", "peak", "ratio", "cycles", "longest stop");
	bool all = true;
	for (const struct way *way = ways; way < ways + sizeof ways / sizeof *ways; way++)
		if ((way->only == NULL || strcmp(way->only, question->name) == 0) &&
		    (way->not == NULL || strcmp(way->not, question->name) != 0))
			all &= compare(way->name, way, question, size, NULL);
#ifndef BENCH_HAVE_BDWGC
	printf("bdwgc: not measured: libgc-dev was not there when this was built\n");
#endif
	if (go != NULL)
		all &= compare("Go", NULL, question, size, go);
	else
		printf("Go: not measured: no program named\n");
	return all;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof questions / sizeof *questions; i++)
		if (strcmp(argv[1], questions[i].name) == 0) {
			const char *library = getenv("LD_PRELOAD");
			if (argc > 3 && strcmp(argv[3], "malloc") == 0 && library != NULL &&
			    dlopen(library, RTLD_LAZY | RTLD_NOLOAD) == NULL)
				_exit(NOT_INSTALLED);
			if (argc > 3 && strcmp(argv[3], "malloc") == 0)
				work_by(&ways[0], &questions[i], (unsigned)strtoul(argv[2], NULL, 10));
			return compare_all(&questions[i], argv[2], argc > 3 ? argv[3] : NULL) ? 0 : 1;
		}
	fprintf(stderr, "usage: gc_speed trees|gcbench|live|map SIZE [GO-PROGRAM]\n");
	return 2;
}
