/* rss_account.c: the parts of an account against the kernel's word, where it is easy and where it is not.
 *
 * neap_account_process is asked without any base: at rest after loads and deletes on both maps, with four threads that
 * each made malloc an arena of its own, on Neap's heap with three quarters freed, and while all of it goes on.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/progress.h"
#include "lab/table.h"
#include "neap/heap.h"

enum { THREADS = 4, THREAD_BLOCKS = 60000, HEAP_BLOCKS = 100000, BUSY_LOOKS = 9 };

enum account_stage {
	STAGE_LOADED_CLASSIC,
	STAGE_DELETED_CLASSIC,
	STAGE_LOADED_NEAP,
	STAGE_DELETED_NEAP,
	STAGE_THREADS_LOADED,
	STAGE_THREADS_FREED,
	STAGE_HEAP_LOADED,
	STAGE_HEAP_FREED,
	STAGE_BUSY,
	STAGES
};
static const char *const stage_names[STAGES] = {
	"classic map, loaded",	    "classic map, 99 % deleted", "Neap's map, loaded",
	"Neap's map, 99 % deleted", "4 threads' malloc, loaded", "4 threads' malloc, 1/4 left",
	"Neap's heap, loaded",	    "Neap's heap, 3/4 freed",	 "4 threads at work (median)"};

struct account_run {
	const struct keys *keys;
	uint64_t seed;
	struct neap_account at[STAGES];
};

static double share_unexplained(const struct neap_account *account)
{
	double off = (double)account->unexplained;
	return (off < 0 ? -off : off) / (double)account->rss;
}

static int tables_child(struct account_run *run)
{
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		enum account_stage stage = kind == TABLE_CLASSIC ? STAGE_LOADED_CLASSIC : STAGE_LOADED_NEAP;
		struct table *table = table_create(kind, 0);
		struct key_cursor cursor;
		struct neap_str key;
		struct file_facts facts;
		key_cursor_open(&cursor, run->keys);
		while (key_cursor_next(&cursor, &key, &facts))
			table_put(table, key, &facts);
		if (neap_account_process(&run->at[stage]) != 0)
			return 1;
		key_cursor_rewind(&cursor);
		while (key_cursor_next(&cursor, &key, NULL))
			if (key_rank(key, run->seed) / 4294967296.0 >= 0.01)
				table_delete(table, key);
		if (neap_account_process(&run->at[stage + 1]) != 0)
			return 1;
		key_cursor_close(&cursor);
		table_destroy(table);
	}
	return 0;
}

/* ---- Threads ---- */

static pthread_barrier_t stage_barrier;
static atomic_bool work_over;

static void *touched(size_t size)
{
	void *block = malloc(size);
	return block == NULL ? NULL : memset(block, 1, size);
}

static void churn_until_over(unsigned seed)
{
	void *blocks[512] = {NULL};
	while (!atomic_load(&work_over)) {
		seed = seed * 1664525u + 1013904223u;
		void **block = &blocks[seed >> 16 & 511];
		free(*block);
		*block = touched(16 + (seed & 1023));
	}
	for (int i = 0; i < 512; i++)
		free(blocks[i]);
}

static void *account_thread(void *arg)
{
	static void *held[THREADS][THREAD_BLOCKS];
	uintptr_t self = (uintptr_t)arg;
	for (int i = 0; i < THREAD_BLOCKS; i++)
		held[self][i] = touched(64 + (size_t)i % 300);
	pthread_barrier_wait(&stage_barrier); /* loaded */
	pthread_barrier_wait(&stage_barrier); /* accounted */
	for (int i = 0; i < THREAD_BLOCKS; i++)
		if (i % 4 != 0)
			free(held[self][i]);
	pthread_barrier_wait(&stage_barrier);
	pthread_barrier_wait(&stage_barrier);
	churn_until_over((unsigned)self);
	for (int i = 0; i < THREAD_BLOCKS; i += 4)
		free(held[self][i]);
	return NULL;
}

static int by_unexplained(const void *a, const void *b)
{
	double x = share_unexplained(a), y = share_unexplained(b);
	return (x > y) - (x < y);
}

static int threads_child(struct account_run *run)
{
	pthread_t threads[THREADS];
	struct neap_account busy[BUSY_LOOKS];
	int error = 0;
	pthread_barrier_init(&stage_barrier, NULL, THREADS + 1);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, account_thread, (void *)i) != 0)
			return 1;
	pthread_barrier_wait(&stage_barrier);
	error |= neap_account_process(&run->at[STAGE_THREADS_LOADED]);
	pthread_barrier_wait(&stage_barrier);
	pthread_barrier_wait(&stage_barrier);
	error |= neap_account_process(&run->at[STAGE_THREADS_FREED]);
	pthread_barrier_wait(&stage_barrier);
	for (int i = 0; i < BUSY_LOOKS; i++)
		error |= neap_account_process(&busy[i]);
	atomic_store(&work_over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	qsort(busy, BUSY_LOOKS, sizeof *busy, by_unexplained);
	run->at[STAGE_BUSY] = busy[BUSY_LOOKS / 2];
	return error != 0;
}

static int heap_child(struct account_run *run)
{
	static void *blocks[HEAP_BLOCKS];
	for (int i = 0; i < HEAP_BLOCKS; i++) {
		size_t size = 16 + (size_t)i * 7 % 1000;
		blocks[i] = neap_heap_alloc(size);
		if (blocks[i] == NULL)
			return 1;
		memset(blocks[i], 1, size);
	}
	int error = neap_account_process(&run->at[STAGE_HEAP_LOADED]);
	for (int i = 0; i < HEAP_BLOCKS; i++)
		if (i % 4 != 0)
			neap_heap_free(blocks[i]);
	return error | neap_account_process(&run->at[STAGE_HEAP_FREED]);
}

static int account_child(void *ctx)
{
	return tables_child(ctx) || heap_child(ctx) || threads_child(ctx);
}

static void run_rss_account(struct lab *lab)
{
	struct account_run *run = lab_share(lab, sizeof *run);
	if (run == NULL)
		return;
	run->keys = &lab->keys;
	run->seed = lab->seed;
	if (!lab_child(lab, "the accounts", account_child, run))
		return;
	result_say(&lab->result, "  %-27s%8s%8s%7s%7s%7s%7s%6s", "MB", "RSS", "live", "tomb", "empty", "free",
		   "other", "off");
	double worst = 0;
	for (int i = 0; i < STAGES; i++) {
		const struct neap_account *account = &run->at[i];
		double off = share_unexplained(account);
		worst = off > worst ? off : worst;
		result_say(&lab->result, "  %-27s%8s%8s%7s%7s%7s%7s%6.2f%%", stage_names[i],
			   megabytes((double)account->rss), megabytes((double)account->live),
			   megabytes((double)account->tombstone), megabytes((double)account->empty),
			   megabytes((double)account->free_held), megabytes((double)account->other),
			   off * 100);
		result_bar(&lab->result, account, "%s", stage_names[i]);
		result_figure(&lab->result, off, "ratio", "off_%d", i);
	}
	result_check(&lab->result, worst <= 0.02,
		     "the parts sum to RSS within 2 %% each time (at worst %.2f %%)", worst * 100);
	result_check(&lab->result, run->at[STAGE_THREADS_FREED].malloc_held > 4 << 20,
		     "what other threads freed is seen as free and held: %s MB",
		     megabytes((double)run->at[STAGE_THREADS_FREED].malloc_held));
}

const struct experiment experiment_rss_account = {
	.name = "rss-account",
	.claim = "live, tombstone, empty, free-held and other add up to the resident memory within 2 %, on "
		 "both maps, "
		 "on Neap's heap, and with threads that use arenas of their own and are at work.",
	.method = "neap_account_process, without a base, after loads and deletes and beside four threads "
		  "that allocate; "
		  "of nine looks at the busy program the median counts.",
	.default_n = 100000,
	.run = run_rss_account,
};
