/* gc_speed.c: what does collecting cost?
 *
 * usage: gc_speed trees [DEPTH [GO-PROGRAM]]            binary trees, beside malloc and free, bdwgc, and Go
 *
 * trees: the well-known benchmark: one tree that lives, many that die at once. CPU seconds of the process, all
 * threads; each way in a process of its own, so that the peaks are apart. Ratios are to malloc and free. The longest
 * stop is what each collector says of itself: Neap of a single stop, Go of the two of a cycle together, bdwgc of its
 * marking with the world stopped.
 * GO-PROGRAM is built from peers/go_trees (`ninja gc_bench` does both).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "neap/gc.h"
#ifdef BENCH_HAVE_BDWGC
#	include "peers/bdwgc.h"
#endif

struct tree {
	struct tree *left, *right;
};
NEAP_TYPE(tree_type, struct tree, left, right);

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *(*make_node)(void);
static void (*drop_node)(struct tree *node);

static void *make_collected(void)
{
	return neap_gc_alloc(&tree_type);
}

static void *make_malloc(void)
{
	return calloc(1, sizeof(struct tree));
}

static void drop_free(struct tree *node)
{
	if (node == NULL)
		return;
	drop_free(node->left);
	drop_free(node->right);
	free(node);
}

static void drop_nothing(struct tree *node)
{
	(void)node;
}

static struct tree *grow_tree(int depth)
{
	struct tree *node = make_node();
	if (node == NULL)
		abort();
	if (depth > 0) {
		node->left = grow_tree(depth - 1);
		node->right = grow_tree(depth - 1);
	}
	return node;
}

static long count_tree(const struct tree *node)
{
	return node->left == NULL ? 1 : 1 + count_tree(node->left) + count_tree(node->right);
}

static void grow_and_drop(int depth, long *count)
{
	struct tree *tree = grow_tree(depth);
	*count += count_tree(tree);
	drop_node(tree);
}

static long grow_all(int depth)
{
	long count = 0;
	grow_and_drop(depth + 1, &count);
	struct tree *lives = grow_tree(depth);
	for (int d = 4; d <= depth; d += 4)
		for (int i = 0; i < 1 << (depth - d + 4); i++)
			grow_and_drop(d, &count);
	return count + count_tree(lives);
}

/* What a way tells at its end: a line "nodes collections longest-stop-ns". */
struct told {
	long nodes;
	uint64_t collections, longest_ns;
};

static void begin_malloc(void)
{
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

static void tell_nothing(struct told *ret)
{
	(void)ret;
}

static void tell_neap(struct told *ret)
{
	struct neap_memstats stats = {.size = sizeof stats};
	neap_memstats(&stats);
	ret->collections = stats.NumGC;
	ret->longest_ns = stats.LongestStopNs;
}

#ifdef BENCH_HAVE_BDWGC
static void begin_bdwgc(void)
{
	bdwgc_begin(false);
}

static void begin_bdwgc_incremental(void)
{
	bdwgc_begin(true);
}

static void *make_bdwgc(void)
{
	return bdwgc_alloc(sizeof(struct tree));
}

static void tell_bdwgc(struct told *ret)
{
	bdwgc_tell(&ret->collections, &ret->longest_ns);
}
#endif

static const struct way {
	const char *name;
	void (*begin)(void);
	void *(*make)(void);
	void (*drop)(struct tree *node);
	void (*tell)(struct told *ret);
} ways[] = {
	{"malloc and free", begin_malloc, make_malloc, drop_free, tell_nothing},
	{"neap, concurrent", begin_concurrent, make_collected, drop_nothing, tell_neap},
	{"neap, stopping the world", begin_stopping, make_collected, drop_nothing, tell_neap},
#ifdef BENCH_HAVE_BDWGC
	{"bdwgc", begin_bdwgc, make_bdwgc, drop_nothing, tell_bdwgc},
	{"bdwgc, incremental", begin_bdwgc_incremental, make_bdwgc, drop_nothing, tell_bdwgc},
#endif
};

static void grow_by(const struct way *way, int depth)
{
	struct told told = {0};
	make_node = way->make;
	drop_node = way->drop;
	way->begin();
	told.nodes = grow_all(depth);
	way->tell(&told);
	printf("%ld %llu %llu\n", told.nodes, (unsigned long long)told.collections,
	       (unsigned long long)told.longest_ns);
	fflush(stdout);
	_exit(0);
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Runs one way in a process of its own; `way` NULL: the Go program. The first one is what ratios are of. */
static void run_trees(const char *name, const struct way *way, int depth, const char *go)
{
	static double first_cpu, first_peak;
	static long nodes;
	int ends[2];
	struct told told = {0};
	struct rusage usage;
	int status;
	uint64_t begin = now_ns(CLOCK_MONOTONIC);
	if (pipe(ends) != 0)
		abort();
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		char number[16];
		snprintf(number, sizeof number, "%d", depth);
		dup2(ends[1], STDOUT_FILENO);
		if (way != NULL)
			grow_by(way, depth);
		execl(go, go, number, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	FILE *line = fdopen(ends[0], "r");
	unsigned long long collections = 0, longest = 0;
	bool whole = line != NULL && fscanf(line, "%ld %llu %llu", &told.nodes, &collections, &longest) == 3;
	if (line != NULL)
		fclose(line);
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0 || !whole ||
	    (nodes != 0 && told.nodes != nodes)) {
		fprintf(stderr, "gc_speed: %s did not grow all trees\n", name);
		exit(1);
	}
	double cpu = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
	double peak = (double)usage.ru_maxrss / 1024, wall = (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9;
	if (nodes == 0) {
		nodes = told.nodes;
		first_cpu = cpu;
		first_peak = peak;
	}
	printf("%-25s%7.2f s%6.2f%8.2f s%7.0f MB%6.2f%9llu%10.3f ms\n", name, cpu, cpu / first_cpu, wall,
	       peak, peak / first_peak, collections, (double)longest / 1e6);
}

static void compare_trees(int depth, const char *go)
{
	printf("%-25s%9s%6s%10s%10s%6s%9s%13s\n", "binary trees", "CPU", "ratio", "wall", "peak", "ratio",
	       "cycles", "longest stop");
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		run_trees(ways[i].name, &ways[i], depth, NULL);
#ifndef BENCH_HAVE_BDWGC
	printf("bdwgc: not measured: libgc-dev was not there when this was built\n");
#endif
	if (go != NULL)
		run_trees("Go", NULL, depth, go);
	else
		printf("Go: not measured: no program named\n");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "trees";
	if (strcmp(what, "trees") == 0) {
		int depth = argc > 2 ? atoi(argv[2]) : 16;
		compare_trees(depth, argc > 3 ? argv[3] : NULL);
		return 0;
	}
	fprintf(stderr, "usage: gc_speed trees [DEPTH [GO-PROGRAM]]\n");
	return 2;
}
