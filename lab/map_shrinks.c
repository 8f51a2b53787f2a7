/* map_shrinks.c: the memory of Neap's map follows its live count; the classic map's does not.
 *
 * Entries are deleted at random, in steps, and at every step the maps are asked for the bytes that they hold.
 * No call besides delete is made. A delete's cost is CPU time of the thread, so that other programs on the
 * machine are not in it; the reading of the clock is (about a third of a microsecond).
 */
#include "lab/lab.h"
#include "lab/progress.h"
#include "lab/table.h"

enum {
	KEPT_PERCENT = 3,   /* of the peak, at 1 % of the entries: 0.8 to 2.7 from 5e3 to 1.5e6 entries */
	HEADER_MOST = 4096, /* bytes that an emptied map may keep: its header and less than a page */
	FEW_KEYS = 10000,   /* below this the smallest segments outweigh 1 % of the entries */
};

static const double steps[] = {1, 0.9, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0};
enum { STEPS = sizeof steps / sizeof *steps };

struct shrink_run {
	const struct keys *keys;
	uint64_t seed;
	enum table_kind kind;
	size_t len[STEPS], bytes[STEPS];
	size_t moved_most, move_bound;
	uint64_t delete_ns, worst_delete_ns, deletes;
	size_t worst_at; /* entries left after the worst delete */
};

static void shrink_load(struct shrink_run *run, struct table *table)
{
	struct key_cursor cursor;
	struct neap_str key;
	struct file_facts facts;
	key_cursor_open(&cursor, run->keys);
	for (size_t i = 0; key_cursor_next(&cursor, &key, &facts); i++) {
		table_put(table, key, &facts);
		if (i % 4096 == 0)
			progress_step("map-shrinks: loading", i, run->keys->n);
	}
	key_cursor_close(&cursor);
}

/* Deletes the keys whose rank is in [share, before) of all ranks. */
static void shrink_delete(struct shrink_run *run, struct table *table, double share, double before)
{
	struct key_cursor cursor;
	struct neap_str key;
	key_cursor_open(&cursor, run->keys);
	for (size_t i = 0; key_cursor_next(&cursor, &key, NULL); i++) {
		double rank = key_rank(key, run->seed) / 4294967296.0;
		if (rank < share || rank >= before)
			continue;
		uint64_t start = clock_thread();
		bool deleted = table_delete(table, key);
		uint64_t took = clock_thread() - start;
		if (!deleted)
			continue;
		run->deletes++;
		run->delete_ns += took;
		if (took > run->worst_delete_ns) {
			run->worst_delete_ns = took;
			run->worst_at = table_len(table);
		}
		if (i % 4096 == 0)
			progress_step("map-shrinks: deleting", i, run->keys->n);
	}
	key_cursor_close(&cursor);
}

static int shrink_child(void *ctx)
{
	struct shrink_run *run = ctx;
	struct table *table = table_create(run->kind, 0);
	shrink_load(run, table);
	for (int step = 0; step < STEPS; step++) {
		if (step > 0)
			shrink_delete(run, table, steps[step], steps[step - 1]);
		run->len[step] = table_len(table);
		run->bytes[step] = table_bytes(table);
	}
	table_moves(table, &run->moved_most, &run->move_bound);
	table_destroy(table);
	return 0;
}

static void shrink_evidence(struct result *result, const struct shrink_run runs[TABLE_KINDS])
{
	result_say(result, "  ENTRIES LEFT              CLASSIC MAP               NEAP'S MAP");
	result_say(result, "                       bytes   of peak         bytes   of peak");
	for (int step = 0; step < STEPS; step++) {
		const struct shrink_run *classic = &runs[TABLE_CLASSIC], *neap = &runs[TABLE_NEAP];
		result_say(result, "  %12s  %12s  %6.1f %%  %12s  %6.1f %%", thousands(classic->len[step]),
			   thousands(classic->bytes[step]),
			   100.0 * (double)classic->bytes[step] / (double)classic->bytes[0],
			   thousands(neap->bytes[step]),
			   100.0 * (double)neap->bytes[step] / (double)neap->bytes[0]);
		for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
			result_figure(result, (double)runs[kind].bytes[step], "bytes",
				      "%s_bytes_at_%g_percent", table_names[kind], steps[step] * 100);
	}
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		double per = runs[kind].deletes == 0
				     ? 0
				     : (double)runs[kind].delete_ns / (double)runs[kind].deletes;
		result_say(result, "%s  %-7s  a delete: %s of CPU on average, %s at worst (%s left)",
			   kind == 0 ? "\n" : "", table_names[kind], duration(per),
			   duration((double)runs[kind].worst_delete_ns), thousands(runs[kind].worst_at));
		result_figure(result, per, "ns", "%s_delete_mean", table_names[kind]);
		result_figure(result, (double)runs[kind].worst_at, "count", "%s_delete_worst_at",
			      table_names[kind]);
		result_figure(result, (double)runs[kind].worst_delete_ns, "ns", "%s_delete_worst",
			      table_names[kind]);
	}
}

static void run_map_shrinks(struct lab *lab)
{
	struct shrink_run *runs = lab_share(lab, TABLE_KINDS * sizeof *runs);
	if (runs == NULL)
		return;
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		runs[kind].keys = &lab->keys;
		runs[kind].seed = lab->seed;
		runs[kind].kind = kind;
		if (!lab_child(lab, table_names[kind], shrink_child, &runs[kind]))
			return;
	}
	struct result *result = &lab->result;
	const struct shrink_run *classic = &runs[TABLE_CLASSIC], *neap = &runs[TABLE_NEAP];
	shrink_evidence(result, runs);
	result_figure(result, (double)neap->moved_most, "count", "neap_moved_most");
	result_figure(result, (double)neap->move_bound, "count", "neap_move_bound");
	if (neap->len[0] >= FEW_KEYS)
		result_check(
			result, neap->bytes[STEPS - 2] * 100 <= neap->bytes[0] * KEPT_PERCENT,
			"with 1 %% of its entries Neap's map holds at most %d %% of its peak: %s of %s bytes",
			KEPT_PERCENT, thousands(neap->bytes[STEPS - 2]), thousands(neap->bytes[0]));
	result_check(result, neap->bytes[STEPS - 1] <= HEADER_MOST,
		     "emptied, it holds its header and little more: %s bytes",
		     thousands(neap->bytes[STEPS - 1]));
	result_check(result, neap->moved_most <= neap->move_bound,
		     "no operation moved more entries than the stated bound: %zu, bound %zu",
		     neap->moved_most, neap->move_bound);
	result_check(result, classic->bytes[STEPS - 1] * 10 >= classic->bytes[0] * 9,
		     "emptied, the classic map holds at least 90 %% of its peak: %s of %s bytes",
		     thousands(classic->bytes[STEPS - 1]), thousands(classic->bytes[0]));
}

const struct experiment experiment_map_shrinks = {
	.name = "map-shrinks",
	.claim =
		"Deleting entries at random down to 1 % leaves at most 3 % of the peak bytes of Neap's map, "
		"and of the "
		"classic map all, with no call but delete; no delete moves more entries than a stated bound.",
	.method = "Load, delete at random in eight steps down to nothing, and ask each map for its bytes at "
		  "every step.",
	.default_n = 500000,
	.run = run_map_shrinks,
};
