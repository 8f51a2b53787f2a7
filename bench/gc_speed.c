/* gc_speed.c: what does collecting cost, and how long are the stops?
 *
 * usage: gc_speed trees [DEPTH]                         binary trees, collected and with malloc and free
 *        gc_speed stops MB SECONDS STORES_PER_S [plain|barrier]
 *
 * trees: the well-known benchmark: one tree that lives, many that die at once. CPU seconds of the process, all
 * threads; each way in a process of its own, so that the peaks are apart.
 *
 * stops: MB of objects of 64 + 32 + 96 bytes behind one table, whose entries are replaced at random at a rate, with
 * plain stores or through the barrier. What is printed are the collector's own stops, and the longest single
 * replacement without the time in which the kernel ran somebody else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "neap/gc.h"

struct tree {
	struct tree *left, *right;
};
NEAP_TYPE(tree_type, struct tree, left, right);

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

static void run_trees(const char *name, int depth)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		long count = 0;
		grow_and_drop(depth + 1, &count);
		struct tree *lives = grow_tree(depth);
		for (int d = 4; d <= depth; d += 4)
			for (int i = 0; i < 1 << (depth - d + 4); i++)
				grow_and_drop(d, &count);
		count += count_tree(lives);
		struct rusage usage;
		getrusage(RUSAGE_SELF, &usage);
		double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
		printf("%-28s %8.2f s %8ld MB   (%ld nodes)\n", name, cpu, usage.ru_maxrss / 1024, count);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* Stops. */

struct leaf {
	struct unit *up;
	uint64_t number[3];
};
struct unit {
	struct leaf *leaf;
	void *bytes;
	uint64_t number[6];
};
NEAP_TYPE(leaf_type, struct leaf, up);
NEAP_TYPE(unit_type, struct unit, leaf, bytes);
struct entry {
	struct unit *unit;
};
NEAP_TYPE_BARRIERED(entry_type, struct entry, unit);

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct unit *make_unit(uint64_t number)
{
	struct unit *unit = neap_gc_alloc(&unit_type);
	unit->leaf = neap_gc_alloc(&leaf_type);
	unit->leaf->up = unit;
	unit->bytes = neap_gc_alloc_data(96);
	unit->number[0] = unit->leaf->number[0] = number;
	return unit;
}

static struct unit **table;

static void run_stops(size_t mb, double seconds, double rate, bool barrier)
{
	size_t count = (mb << 20) / (64 + 32 + 96);
	table = neap_gc_alloc_array(barrier ? &entry_type : &neap_gc_pointer, count);
	for (size_t i = 0; i < count; i++)
		neap_store(&table[i], make_unit(i));
	neap_gc_collect();
	struct neap_memstats before = {.size = sizeof before}, after = before;
	neap_memstats(&before);
	uint64_t begin = now_ns(CLOCK_MONOTONIC), done = 0, random = 1, worst = 0;
	for (double passed = 0; passed < seconds; passed = (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9) {
		for (; (double)done < passed * rate; done++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			size_t at = (size_t)((random >> 32) * count >> 32);
			uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
			if (table[at]->number[0] != at || table[at]->leaf->number[0] != at)
				abort();
			struct unit *fresh = make_unit(at);
			if (barrier)
				neap_store(&table[at], fresh);
			else
				table[at] = fresh;
			uint64_t took = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
			worst = took > worst ? took : worst;
		}
		nanosleep(&(struct timespec){0, 50000}, NULL);
	}
	neap_memstats(&after);
	uint64_t longest = 0, sum = 0, cycles = after.NumGC - before.NumGC;
	for (uint32_t i = before.NumGC; i < after.NumGC; i++) {
		uint64_t pause = after.PauseNs[i % 256];
		sum += pause;
		longest = pause > longest ? pause : longest;
	}
	printf("%zu MB, %.0f %s stores/s: %llu cycles, stopped %.3f ms a cycle, %.3f ms the longest; "
	       "worst operation %.3f ms of CPU\n",
	       mb, rate, barrier ? "announced" : "plain", (unsigned long long)cycles,
	       cycles ? (double)sum / 1e6 / (double)cycles : 0, (double)longest / 1e6, (double)worst / 1e6);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "trees";
	if (strcmp(what, "trees") == 0) {
		int depth = argc > 2 ? atoi(argv[2]) : 16;
		make_node = make_malloc;
		drop_node = drop_free;
		run_trees("malloc and free", depth);
		make_node = make_collected;
		drop_node = drop_nothing;
		run_trees("collected, concurrent", depth);
		setenv("NEAP_DEBUG", "gcstoptheworld=1", 1);
		run_trees("collected, stopping the world", depth);
		return 0;
	}
	if (strcmp(what, "stops") == 0 && argc > 4) {
		run_stops(strtoul(argv[2], NULL, 10), atof(argv[3]), atof(argv[4]),
			  argc > 5 && strcmp(argv[5], "barrier") == 0);
		return 0;
	}
	fprintf(stderr, "usage: gc_speed trees [DEPTH] | stops MB SECONDS STORES_PER_S [plain|barrier]\n");
	return 2;
}
