/* delete_impact.c: before and after: neap_impact_begin and neap_impact_end around one delete, a thousand, most,
 * and all, on both maps. The changes of the parts must add up to the change of RSS.
 */
#include "lab/lab.h"
#include "lab/progress.h"
#include "lab/table.h"

enum {
	DEFAULT_N = 300000,
	FEW = 20000,
	SLACK = 256 << 10, /* bytes that parts and RSS may differ by: stacks, the kernel's lag */
};

static const struct {
	const char *name, *figure;
	double keep; /* share of all ranks that stays after this operation */
	size_t most; /* deletes at most; 0: all of that rank */
} operations[] = {
	{"delete 1", "one", 0, 1},
	{"delete 1,000", "thousand", 0, 1000},
	{"delete down to 50 %", "half", 0.5, 0},
	{"delete down to 1 %", "most", 0.01, 0},
	{"delete the rest", "rest", 0, 0},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

struct impact_run {
	const struct keys *keys;
	uint64_t seed;
	enum table_kind kind;
	struct neap_impact impacts[OPERATIONS];
	size_t deleted[OPERATIONS];
	struct neap_account loaded, end;
};

static size_t impact_delete(const struct impact_run *run, struct table *table, struct key_cursor *cursor,
			    double keep, size_t most)
{
	struct neap_str key;
	size_t deleted = 0;
	key_cursor_rewind(cursor);
	while (key_cursor_next(cursor, &key, NULL) && (most == 0 || deleted < most))
		if (key_rank(key, run->seed) / 4294967296.0 >= keep)
			deleted += table_delete(table, key);
	return deleted;
}

static int impact_child(void *ctx)
{
	struct impact_run *run = ctx;
	struct key_cursor cursor;
	struct neap_str key;
	struct file_facts facts;
	struct neap_source
		sources[TABLE_SOURCES]; /* neap-lint: allow dangling-stack: the process ends here */
	key_cursor_open(&cursor, run->keys);
	struct table *table = table_create(run->kind, 0);
	while (key_cursor_next(&cursor, &key, &facts))
		table_put(table, key, &facts);
	table_sources(table, sources);
	if (neap_account_take(&run->loaded, NULL, sources, TABLE_SOURCES) != 0)
		return 1;
	for (int i = 0; i < OPERATIONS; i++) {
		struct neap_impact *impact = &run->impacts[i];
		if (neap_impact_begin(impact, sources, TABLE_SOURCES) != 0)
			return 1;
		run->deleted[i] = impact_delete(run, table, &cursor, operations[i].keep, operations[i].most);
		if (neap_impact_end(impact) != 0)
			return 1;
	}
	run->end = run->impacts[OPERATIONS - 1].after;
	table_destroy(table);
	key_cursor_close(&cursor);
	return 0;
}

static void impact_lines(struct result *result, const struct impact_run *run)
{
	const char *name = table_names[run->kind];
	if (run->kind != 0)
		result_say(result, "%s", "");
	result_say(result, "  %-20s%9s%8s%8s%8s%8s%8s%9s",
		   run->kind == TABLE_NEAP ? "NEAP'S MAP" : "CLASSIC MAP", "objects", "live", "tomb", "empty",
		   "free", "RSS", "spans");
	for (int i = 0; i < OPERATIONS; i++) {
		const struct neap_impact *impact = &run->impacts[i];
		result_say(result, "  %-20s%9td%8s%8s%8s%8s%8s%9td", operations[i].name, impact->objects,
			   megabytes((double)impact->live), megabytes((double)impact->tombstone),
			   megabytes((double)impact->empty), megabytes((double)impact->free_held),
			   megabytes((double)impact->rss), impact->spans);
		const char *figure = operations[i].figure;
		result_figure(result, (double)impact->live, "bytes", "%s_%s_live", name, figure);
		result_figure(result, (double)impact->rss, "bytes", "%s_%s_rss", name, figure);
		result_figure(result, (double)impact->objects, "count", "%s_%s_objects", name, figure);
		result_figure(result, (double)impact->spans, "count", "%s_%s_spans", name, figure);
		result_figure(result, (double)impact->nanoseconds, "ns", "%s_%s_time", name, figure);
	}
}

static void impact_checks(struct result *result, const struct impact_run *run)
{
	const char *map = run->kind == TABLE_NEAP ? "Neap's map" : "classic map";
	bool counted = true;
	ptrdiff_t worst = 0, slots_gone = 0, spans_gone = 0;
	for (int i = 0; i < OPERATIONS; i++) {
		const struct neap_impact *impact = &run->impacts[i];
		counted &= impact->objects == -(ptrdiff_t)run->deleted[i] && run->deleted[i] > 0 &&
			   impact->live < 0;
		ptrdiff_t off = impact->rss - impact->live - impact->tombstone - impact->empty -
				impact->free_held - impact->other;
		off = off < 0 ? -off : off;
		worst = off > worst ? off : worst;
		slots_gone += impact->tombstone + impact->empty;
		spans_gone += impact->spans;
	}
	result_check(result, counted,
		     "%s: objects fall by exactly the entries deleted, and live bytes fall, each time", map);
	result_check(result, worst <= SLACK,
		     "%s: the changes of the parts add up to that of RSS within %s KB (at worst %s)", map,
		     thousands(SLACK / 1024), thousands((uint64_t)worst / 1024));
	if (run->kind == TABLE_NEAP)
		result_check(result, slots_gone <= 0 && spans_gone < 0,
			     "%s: no tombstones or empty slots are left over: %s MB; %td segments are gone",
			     map, megabytes((double)slots_gone), -spans_gone);
	else
		result_check(
			result, slots_gone > 0 && spans_gone == 0,
			"%s: what was live in slots is now tombstone or empty: %s MB; not one bucket is gone",
			map, megabytes((double)slots_gone));
}

static void run_delete_impact(struct lab *lab)
{
	struct impact_run *runs = lab_share(lab, TABLE_KINDS * sizeof *runs);
	if (runs == NULL)
		return;
	if (lab->keys.n < FEW) {
		result_skip(&lab->result, "%zu keys are too few to see in RSS; --n %d or more", lab->keys.n,
			    FEW);
		return;
	}
	result_say(&lab->result,
		   "  changes, in MB; spans are buckets of the classic map, segments of Neap's");
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++) {
		struct impact_run *run = &runs[kind];
		run->keys = &lab->keys;
		run->seed = lab->seed;
		run->kind = kind;
		progress_step("delete-impact", (size_t)kind, TABLE_KINDS);
		if (!lab_child(lab, table_names[kind], impact_child, run))
			return;
		impact_lines(&lab->result, run);
		const char *map = kind == TABLE_NEAP ? "Neap's map" : "classic map";
		result_bar(&lab->result, &run->loaded, "%s, loaded", map);
		result_bar(&lab->result, &run->end, "%s, all deleted", map);
	}
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
		impact_checks(&lab->result, &runs[kind]);
}

const struct experiment experiment_delete_impact = {
	.name = "delete-impact",
	.claim = "One call around an operation tells its change in live bytes, objects, spans and RSS, and "
		 "the parts add up; "
		 "deleting turns the classic map's live slots into empty ones, and Neap's map's into "
		 "returned memory.",
	.method = "neap_impact_begin and neap_impact_end around 1 delete, 1,000, half, most, and the rest, "
		  "on both maps.",
	.default_n = DEFAULT_N,
	.run = run_delete_impact,
};
