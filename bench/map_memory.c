/* map_memory.c: what does an entry cost in memory, and what comes back when entries go?
 *
 * Fills a map that grows from nothing, erases 99 % of it at random, then the rest, and calls nothing in
 * between. Two views: what the peer holds (what malloc has handed out; for a peer that takes pages from the
 * system, what it says that it holds) and what the kernel says is resident (Anonymous of smaps_rollup, exact). All
 * are differences from before the map was made. A second child does the same up to 99 %, then makes the call
 * that the peer's manual offers to give memory back, and malloc_trim(0).
 */
#include "harness.h"
#include "stopwatch.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cell cells[] = {
	{"B/entry", "bytes held per entry, all entries present", BENCH_MEDIAN},
	{"RSS/entry", "resident bytes per entry, all entries present", BENCH_MEDIAN},
	{"peak", "most resident bytes per entry while growing", BENCH_MEDIAN},
	{"99%_MB", "MB held after erasing 99 %", BENCH_MEDIAN},
	{"99%_RSS", "MB resident after erasing 99 %", BENCH_MEDIAN},
	{"99%_kept", "% of the peak's resident bytes that stay after erasing 99 %", BENCH_MEDIAN},
	{"100%_MB", "MB held after erasing everything", BENCH_MEDIAN},
	{"100%_RSS", "MB resident after erasing everything", BENCH_MEDIAN},
	{"asked", "MB resident after erasing 99 % and the peer's call to shrink and malloc_trim",
	 BENCH_MEDIAN},
	{"call_ms", "what that call took, ms of CPU time", BENCH_MEDIAN},
};

/* A field of a /proc file in bytes. */
static double read_field(const char *path, const char *field)
{
	char line[256];
	unsigned long long kb = 0;
	FILE *file = fopen(path, "r");
	if (!file)
		abort();
	while (fgets(line, sizeof line, file))
		if (strncmp(line, field, strlen(field)) == 0)
			sscanf(line + strlen(field), ": %llu", &kb);
	fclose(file);
	return (double)kb * 1024;
}

/* Heap and mappings; pages of programs and libraries do not count. */
static double resident(void)
{
	return read_field("/proc/self/smaps_rollup", "Anonymous");
}

/* Forgets the highest Rss so far. */
static void reset_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");
	if (!file || fputs("5", file) < 0 || fclose(file) != 0)
		abort();
}

static double held(const struct peer *peer, void *map)
{
	if (peer->bytes)
		return (double)peer->bytes(map);
	struct mallinfo2 info = mallinfo2();
	return (double)(info.uordblks + info.hblkhd);
}

static void *fill(const struct peer *peer, const struct workload *work)
{
	void *map = peer->make(0);
	peer->put(map, work->load, work->n);
	return map;
}

static void measure_uncalled(const struct peer *peer, const struct workload *work, FILE *out)
{
	size_t n = work->n, left = n / 100;
	double held_before = peer->bytes ? 0 : held(peer, NULL), n_entries = (double)n;
	double rss_before = resident();
	reset_peak();
	double peak_before = read_field("/proc/self/status", "VmHWM");
	void *map = fill(peer, work);
	double peak = read_field("/proc/self/status", "VmHWM") - peak_before;
	fprintf(out, "B/entry %.2f\n", (held(peer, map) - held_before) / n_entries);
	fprintf(out, "RSS/entry %.2f\npeak %.2f\n", (resident() - rss_before) / n_entries, peak / n_entries);
	peer->erase(map, work->gone, n - left);
	double kept = resident() - rss_before;
	fprintf(out, "99%%_MB %.3f\n99%%_RSS %.3f\n99%%_kept %.2f\n", (held(peer, map) - held_before) / 1e6,
		kept / 1e6, 100 * kept / peak);
	peer->erase(map, key_at(work, work->gone, n - left), left);
	fprintf(out, "100%%_MB %.3f\n100%%_RSS %.3f\n", (held(peer, map) - held_before) / 1e6,
		(resident() - rss_before) / 1e6);
	peer->destroy(map);
}

static void measure_asked(const struct peer *peer, const struct workload *work, FILE *out)
{
	double rss_before = resident();
	void *map = fill(peer, work);
	peer->erase(map, work->gone, work->n - work->n / 100);
	struct stopwatch watch = stopwatch_start();
	if (peer->shrink)
		peer->shrink(map);
	malloc_trim(0);
	double ns = stopwatch_stop(watch);
	fprintf(out, "asked %.3f\ncall_ms %.3f\n", (resident() - rss_before) / 1e6, ns / 1e6);
	peer->destroy(map);
}

/* The one after the other, the first in a process of its own, so that the second starts from a fresh heap. */
static void measure(const struct peer *peer, const struct workload *work, const struct bench_options *options,
		    FILE *out)
{
	(void)options;
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		measure_uncalled(peer, work, out);
		_exit(fflush(out) == 0 ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		_exit(1);
	measure_asked(peer, work, out);
}

int main(int argc, char **argv)
{
	static const struct question question = {
		.name = "map_memory",
		.title = "What does an entry cost in memory, and what comes back when entries go?",
		.unit = "bytes and MB",
		.cells = cells,
		.cell_count = sizeof cells / sizeof *cells,
		.measure = measure,
	};
	struct bench_options options = {
		.sizes = {1000000, 10000000},
		.size_count = 2,
		.shapes = {true, true, true},
		.rounds = 1,
		.ops = 1,
		.warm = (size_t)1 << 30,
	};
	return bench_main(argc, argv, &question, &options);
}
