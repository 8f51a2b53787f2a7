/* delete_impact.c: before and after: neap_impact_begin and neap_impact_end around one delete, a thousand, most,
 * and all, on both maps and in collected memory. The changes of the parts must add up to the change of RSS.
 *
 * In collected memory each operation stands twice: the deletes alone, and with the collection after them, which is what
 * makes their objects go.
 */
#include "lab/collected_table.h"
#include "lab/lab.h"
#include "lab/progress.h"
#include "lab/table.h"
#include "neap/gc.h"

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
enum { OPERATIONS = sizeof operations / sizeof *operations, RUNS = TABLE_KINDS + 1 };

struct impact_run {
	const struct keys *keys;
	uint64_t seed;
	enum table_kind kind;
	bool in_collected; /* instead of one of the kinds */
	struct neap_impact impacts[OPERATIONS];
	struct neap_impact collections[OPERATIONS]; /* in collected memory: what followed each */
	size_t deleted[OPERATIONS];
	struct neap_account loaded, end;
};

static bool impact_delete_one(struct table *table, struct neap_str key)
{
	return table != NULL ? table_delete(table, key) : collected_delete(key);
}

/* `table` NULL: the collected one. */
static size_t impact_delete(const struct impact_run *run, struct table *table, struct key_cursor *cursor,
			    double keep, size_t most)
{
	struct neap_str key;
	size_t deleted = 0;
	key_cursor_rewind(cursor);
	while (key_cursor_next(cursor, &key, NULL) && (most == 0 || deleted < most))
		if (key_rank(key, run->seed) / 4294967296.0 >= keep)
			deleted += impact_delete_one(table, key);
	return deleted;
}

static bool impact_collection(struct neap_impact *impact, const struct neap_source *sources, size_t n)
{
	if (neap_impact_begin(impact, sources, n) != 0)
		return false;
	(void)neap_gc_return();
	return neap_impact_end(impact) == 0;
}

static bool impact_operations(struct impact_run *run, struct table *table, struct key_cursor *cursor,
			      const struct neap_source *sources, size_t n)
{
	for (int i = 0; i < OPERATIONS; i++) {
		struct neap_impact *impact = &run->impacts[i];
		if (neap_impact_begin(impact, sources, n) != 0)
			return false;
		run->deleted[i] = impact_delete(run, table, cursor, operations[i].keep, operations[i].most);
		if (neap_impact_end(impact) != 0)
			return false;
		if (run->in_collected && !impact_collection(&run->collections[i], sources, n))
			return false;
		run->end = run->in_collected ? run->collections[i].after : impact->after;
	}
	return true;
}

static int impact_child(void *ctx)
{
	struct impact_run *run = ctx;
	struct key_cursor cursor;
	struct neap_str key;
	struct file_facts facts;
	struct neap_source
		sources[TABLE_SOURCES]; /* neap-lint: allow dangling-stack: the process ends here */
	_Static_assert((int)COLLECTED_SOURCES <= (int)TABLE_SOURCES, "one array for both");
	key_cursor_open(&cursor, run->keys);
	struct table *table = NULL;
	if (run->in_collected)
		collected_create();
	else
		table = table_create(run->kind, 0);
	while (key_cursor_next(&cursor, &key, &facts)) {
		if (table != NULL)
			table_put(table, key, &facts);
		else
			collected_put(key, &facts);
	}
	size_t n = table != NULL ? TABLE_SOURCES : COLLECTED_SOURCES;
	if (table != NULL)
		table_sources(table, sources);
	else
		collected_sources(sources);
	if (neap_account_take(&run->loaded, NULL, sources, n) != 0 ||
	    !impact_operations(run, table, &cursor, sources, n))
		return 1;
	if (table != NULL)
		table_destroy(table);
	key_cursor_close(&cursor);
	return 0;
}

static void impact_line(struct result *result, const char *name, const struct neap_impact *impact)
{
	result_say(result, "  %-20s%9td%8s%8s%8s%8s%8s%9td", name, impact->objects,
		   megabytes((double)impact->live), megabytes((double)impact->tombstone),
		   megabytes((double)impact->empty), megabytes((double)impact->free_held),
		   megabytes((double)impact->rss), impact->spans);
}

static void impact_figures(struct result *result, const char *name, const char *figure,
			   const struct neap_impact *impact)
{
	result_figure(result, (double)impact->live, "bytes", "%s_%s_live", name, figure);
	result_figure(result, (double)impact->rss, "bytes", "%s_%s_rss", name, figure);
	result_figure(result, (double)impact->objects, "count", "%s_%s_objects", name, figure);
	result_figure(result, (double)impact->spans, "count", "%s_%s_spans", name, figure);
	result_figure(result, (double)impact->nanoseconds, "ns", "%s_%s_time", name, figure);
}

static void impact_lines(struct result *result, const struct impact_run *run)
{
	const char *name = run->in_collected ? "gc" : table_names[run->kind];
	if (run->in_collected || run->kind != 0)
		result_say(result, "%s", "");
	result_say(result, "  %-20s%9s%8s%8s%8s%8s%8s%9s",
		   run->in_collected	     ? "COLLECTED"
		   : run->kind == TABLE_NEAP ? "NEAP'S MAP"
					     : "CLASSIC MAP",
		   "objects", "live", "tomb", "empty", "free", "RSS", "spans");
	for (int i = 0; i < OPERATIONS; i++) {
		impact_line(result, operations[i].name, &run->impacts[i]);
		impact_figures(result, name, operations[i].figure, &run->impacts[i]);
		if (run->in_collected) {
			impact_line(result, "  and neap_gc_return", &run->collections[i]);
			impact_figures(result, "gc_return", operations[i].figure, &run->collections[i]);
		}
	}
}

static ptrdiff_t impact_off(const struct neap_impact *impact)
{
	ptrdiff_t off = impact->rss - impact->live - impact->tombstone - impact->empty - impact->free_held -
			impact->other;
	return off < 0 ? -off : off;
}

/* Objects go with the collection, at least the bytes of the keys that were deleted. */
static void collected_checks(struct result *result, const struct impact_run *run)
{
	ptrdiff_t worst = 0, live = 0, rss = 0;
	bool counted = true;
	for (int i = 0; i < OPERATIONS; i++) {
		const struct neap_impact *impact = &run->impacts[i], *after = &run->collections[i];
		counted &= impact->objects == -(ptrdiff_t)run->deleted[i] && run->deleted[i] > 0 &&
			   after->objects == 0;
		worst = impact_off(impact) > worst ? impact_off(impact) : worst;
		worst = impact_off(after) > worst ? impact_off(after) : worst;
		live += after->live;
		rss += impact->rss + after->rss;
	}
	result_check(result, counted && live < 0,
		     "collected: entries fall by exactly those deleted; their objects, %s MB, go with the "
		     "collection",
		     megabytes(-(double)live));
	result_check(result, worst <= SLACK,
		     "collected: the changes of the parts add up to that of RSS within %s KB (at worst %s)",
		     thousands(SLACK / 1024), thousands((uint64_t)worst / 1024));
	result_check(result, (size_t)-rss * 10 >= (run->loaded.live - run->loaded.malloc_live) * 9,
		     "collected: RSS has fallen by %s MB, %s MB of which had been live",
		     megabytes(-(double)rss),
		     megabytes((double)(run->loaded.live - run->loaded.malloc_live)));
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
		worst = impact_off(impact) > worst ? impact_off(impact) : worst;
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
	struct impact_run *runs = lab_share(lab, RUNS * sizeof *runs);
	if (runs == NULL)
		return;
	if (lab->keys.n < FEW) {
		result_skip(&lab->result, "%zu keys are too few to see in RSS; --n %d or more", lab->keys.n,
			    FEW);
		return;
	}
	result_say(&lab->result,
		   "  changes, in MB; spans are buckets of the classic map, segments of Neap's");
	static const char *const names[] = {"classic map", "Neap's map", "collected"};
	for (unsigned i = 0; i < RUNS; i++) {
		struct impact_run *run = &runs[i];
		run->keys = &lab->keys;
		run->seed = lab->seed;
		run->in_collected = i == TABLE_KINDS;
		run->kind = run->in_collected ? TABLE_NEAP : (enum table_kind)i;
		progress_step("delete-impact", i, RUNS);
		if (!lab_child(lab, names[i], impact_child, run))
			return;
		impact_lines(&lab->result, run);
		result_bar(&lab->result, &run->loaded, "%s, loaded", names[i]);
		result_bar(&lab->result, &run->end, "%s, all deleted", names[i]);
	}
	for (enum table_kind kind = 0; kind < TABLE_KINDS; kind++)
		impact_checks(&lab->result, &runs[kind]);
	collected_checks(&lab->result, &runs[TABLE_KINDS]);
}

const struct experiment experiment_delete_impact = {
	.name = "delete-impact",
	.claim = "One call around an operation tells its change in live bytes, objects, spans and RSS, and "
		 "the parts add up; "
		 "deleting turns the classic map's live slots into empty ones, and Neap's map's into "
		 "returned memory; collected objects go with the collection after it.",
	.method = "neap_impact_begin and neap_impact_end around 1 delete, 1,000, half, most, and the rest, "
		  "on both maps and in collected memory, there also around neap_gc_return.",
	.default_n = DEFAULT_N,
	.run = run_delete_impact,
};
