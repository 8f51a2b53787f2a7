/* release_ways.c: the ways to empty a map by hand, and what each gives back: of slots, of the map's bytes, of
 * malloc's bytes in use, of RSS. The same work in collected memory, in uthash and in real Go stands beside it.
 *
 * Folklore that is put to the test here: "copying the keys to a new map does not give the memory back". It does.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/collected_table.h"
#include "lab/go_peer.h"
#include "lab/lab.h"
#include "lab/peers/uthash_peer.h"
#include "lab/progress.h"
#include "lab/table.h"
#include "neap/gc.h"

enum {
	DEFAULT_N = 200000,
	KEPT_ONE_IN = 100,
	FEW = 20000,		/* below this RSS does not tell a table from a process */
	MAP_ITSELF = 16384,	/* bytes of an empty map that still is there, and of its handle */
	FIRST_TOUCHED = 262144, /* bytes of code and tables that a first collection brings in */
	REBUILT_PERCENT = 5,	/* of the loaded table, that a copy of 1 % of its entries may take */
};

enum way { WAY_DELETE, WAY_CLEAR, WAY_DROP, WAY_MOST, WAY_REBUILD, WAYS };

static const char *const way_names[WAYS] = {"delete each", "clear", "drop the map", "delete 99 %",
					    "delete 99 %, copy"};
static const char *const way_figures[WAYS] = {"delete", "clear", "drop", "most", "rebuild"};

enum peer { PEER_CLASSIC, PEER_NEAP, PEER_COLLECTED, PEER_UTHASH, PEERS };

static const char *const peer_names[PEERS] = {"classic", "neap", "gc", "uthash"};

/* What there is at one moment; bytes. */
struct moment {
	size_t slots, table, rss;
	size_t heap; /* in use: malloc's, and objects in collected memory */
};

struct way_run {
	const struct keys *keys;
	uint64_t seed;
	enum peer peer;
	enum way way;
	struct moment base, loaded, after, trimmed;
	size_t empty; /* RSS before the collector was started */
	size_t left;  /* entries */
};

/* The table under test: one of the three. */
struct ways_table {
	struct table *table;
	struct uthash_table *uthash;
	bool collected;
};

static struct moment moment_now(const struct ways_table *on)
{
	struct mallinfo2 info = mallinfo2();
	struct moment ret = {.heap = info.uordblks + info.hblkhd, .rss = rss_rollup()};
	if (on->table != NULL) {
		ret.slots = table_slots(on->table);
		ret.table = table_bytes(on->table);
	} else if (on->uthash != NULL) {
		ret.slots = uthash_slots(on->uthash);
		ret.table = uthash_bytes(on->uthash);
	} else if (on->collected) {
		ret.slots = collected_slots();
		ret.table = collected_bytes();
	}
	if (on->collected)
		ret.heap += collected_heap();
	return ret;
}

static void ways_load(const struct way_run *run, struct ways_table *on)
{
	struct key_cursor cursor;
	struct neap_str key;
	struct file_facts facts;
	key_cursor_open(&cursor, run->keys);
	while (key_cursor_next(&cursor, &key, &facts)) {
		if (on->table != NULL)
			table_put(on->table, key, &facts);
		else if (on->collected)
			collected_put(key, &facts);
		else
			uthash_put(on->uthash, key, &facts);
	}
	key_cursor_close(&cursor);
}

static void ways_delete(const struct way_run *run, struct ways_table *on, bool all)
{
	struct key_cursor cursor;
	struct neap_str key;
	key_cursor_open(&cursor, run->keys);
	while (key_cursor_next(&cursor, &key, NULL)) {
		if (!all && key_is_kept(key, run->seed, KEPT_ONE_IN))
			continue;
		if (on->table != NULL)
			table_delete(on->table, key);
		else if (on->collected)
			(void)collected_delete(key);
		else
			uthash_delete(on->uthash, key);
	}
	key_cursor_close(&cursor);
}

static void drop(struct ways_table *on)
{
	if (on->table != NULL)
		table_destroy(on->table);
	if (on->uthash != NULL)
		uthash_destroy(on->uthash);
	if (on->collected)
		collected_drop();
	*on = (struct ways_table){.collected = on->collected};
}

static void carry_out(const struct way_run *run, struct ways_table *on)
{
	switch (run->way) {
	case WAY_DELETE: ways_delete(run, on, true); break;
	case WAY_CLEAR:
		if (on->table != NULL)
			table_clear(on->table);
		else if (on->collected)
			collected_clear();
		else
			uthash_clear(on->uthash);
		break;
	case WAY_DROP: drop(on); break;
	case WAY_MOST: ways_delete(run, on, false); break;
	case WAY_REBUILD:
		ways_delete(run, on, false);
		if (on->table != NULL)
			table_rebuild(on->table);
		else if (on->collected)
			collected_rebuild();
		break;
	case WAYS: break;
	}
}

static int ways_child(void *ctx)
{
	struct way_run *run = ctx;
	struct ways_table on = {.collected = run->peer == PEER_COLLECTED};
	run->empty = rss_rollup();
	if (on.collected)
		neap_gc_collect();
	run->base = moment_now(&on);
	if (run->peer == PEER_UTHASH)
		on.uthash = uthash_create();
	else if (on.collected)
		collected_create();
	else
		on.table = table_create(run->peer == PEER_NEAP ? TABLE_NEAP : TABLE_CLASSIC, 0);
	ways_load(run, &on);
	run->loaded = moment_now(&on);
	carry_out(run, &on);
	run->after = moment_now(&on);
	run->left = on.table != NULL	? table_len(on.table)
		    : on.uthash != NULL ? uthash_len(on.uthash)
					: collected_len();
	if (on.collected)
		(void)neap_gc_return();
	malloc_trim(0);
	run->trimmed = moment_now(&on);
	drop(&on);
	return 0;
}

static void ways_line(struct result *result, const char *name, const char *way, const struct moment *base,
		      const struct moment *at, const struct moment *trimmed)
{
	result_say(result, "  %-8s%-19s%11s%9s%10s%9s%10s", name, way, thousands(at->slots),
		   megabytes((double)at->table), megabytes((double)at->heap - (double)base->heap),
		   megabytes((double)at->rss - (double)base->rss),
		   trimmed == NULL ? "" : megabytes((double)trimmed->rss - (double)base->rss));
}

static bool run_peer(struct lab *lab, struct way_run *runs, enum peer peer)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct way_run *run = &runs[way];
		if (peer == PEER_UTHASH && way == WAY_REBUILD)
			continue;
		*run = (struct way_run){.keys = &lab->keys, .seed = lab->seed, .peer = peer, .way = way};
		progress_step("release-ways", (size_t)peer * WAYS + way, (size_t)PEERS * WAYS);
		if (!lab_child(lab, way_names[way], ways_child, run))
			return false;
		if (way == 0)
			ways_line(&lab->result, peer_names[peer], "loaded", &run->base, &run->loaded, NULL);
		ways_line(&lab->result, "", way_names[way], &run->base, &run->after, &run->trimmed);
		const char *name = peer_names[peer], *figure = way_figures[way];
		result_figure(&lab->result, (double)run->after.slots, "count", "%s_%s_slots", name, figure);
		result_figure(&lab->result, (double)run->after.table, "bytes", "%s_%s_table", name, figure);
		result_figure(&lab->result, (double)run->after.heap - (double)run->base.heap, "bytes",
			      "%s_%s_heap", name, figure);
		result_figure(&lab->result, (double)run->after.rss - (double)run->base.rss, "bytes",
			      "%s_%s_rss", name, figure);
		result_figure(&lab->result, (double)run->trimmed.rss - (double)run->base.rss, "bytes",
			      "%s_%s_trimmed_rss", name, figure);
	}
	result_figure(&lab->result, (double)runs[0].loaded.table, "bytes", "%s_loaded_table",
		      peer_names[peer]);
	result_figure(&lab->result, (double)runs[0].loaded.rss - (double)runs[0].base.rss, "bytes",
		      "%s_loaded_rss", peer_names[peer]);
	return true;
}

static void check_ours(struct result *result, struct way_run runs[PEERS][WAYS])
{
	const struct way_run *classic = runs[PEER_CLASSIC], *neap = runs[PEER_NEAP];
	result_check(result,
		     classic[WAY_DELETE].after.slots >= classic[WAY_DELETE].loaded.slots &&
			     classic[WAY_CLEAR].after.table * 10 >= classic[WAY_CLEAR].loaded.table * 9,
		     "the classic map keeps its array under delete and under clear: %s and %s of %s MB",
		     megabytes((double)classic[WAY_DELETE].after.table),
		     megabytes((double)classic[WAY_CLEAR].after.table),
		     megabytes((double)classic[WAY_DELETE].loaded.table));
	result_check(result,
		     classic[WAY_REBUILD].after.table * 100 <=
				     classic[WAY_REBUILD].loaded.table * REBUILT_PERCENT &&
			     classic[WAY_REBUILD].left == classic[WAY_MOST].left,
		     "copying what is left into a new map gives its array back, whatever is told: %s of %s "
		     "MB stay",
		     megabytes((double)classic[WAY_REBUILD].after.table),
		     megabytes((double)classic[WAY_REBUILD].loaded.table));
	result_check(
		result,
		neap[WAY_DELETE].after.table * 100 <= neap[WAY_DELETE].loaded.table &&
			neap[WAY_CLEAR].after.table * 100 <= neap[WAY_CLEAR].loaded.table,
		"Neap's map gives its table back under delete and under clear: %s and %s of %s bytes stay",
		thousands(neap[WAY_DELETE].after.table), thousands(neap[WAY_CLEAR].after.table),
		thousands(neap[WAY_DELETE].loaded.table));
	result_check(result,
		     classic[WAY_DROP].after.heap <= classic[WAY_DROP].base.heap + 65536 &&
			     neap[WAY_DROP].after.heap <= neap[WAY_DROP].base.heap + 65536,
		     "dropping the map gives back every byte to malloc, in both");
	result_check(
		result,
		neap[WAY_DELETE].after.rss > neap[WAY_DELETE].trimmed.rss &&
			classic[WAY_DELETE].after.rss > classic[WAY_DELETE].trimmed.rss,
		"the keys' own blocks stay with malloc in both until malloc_trim: %s MB more (classic), %s "
		"MB (Neap's)",
		megabytes((double)classic[WAY_DELETE].after.rss - (double)classic[WAY_DELETE].trimmed.rss),
		megabytes((double)neap[WAY_DELETE].after.rss - (double)neap[WAY_DELETE].trimmed.rss));
}

static void check_collected(struct result *result, const struct way_run runs[WAYS])
{
	size_t worst = 0, loaded = runs[WAY_DELETE].loaded.heap - runs[WAY_DELETE].base.heap;
	for (enum way way = 0; way <= WAY_DROP; way++) {
		size_t left = runs[way].trimmed.heap - runs[way].base.heap;
		worst = left > worst ? left : worst;
	}
	const struct way_run *delete = &runs[WAY_DELETE];
	result_check(result, worst <= loaded / 100 + MAP_ITSELF,
		     "in collected memory one collection finds all that was deleted, cleared or dropped: "
		     "%s of %s bytes are left at most",
		     thousands(worst), thousands(loaded));
	result_check(result,
		     delete->trimmed.rss <=
			     delete->base.rss + (delete->loaded.rss - delete->base.rss) / 10 + FIRST_TOUCHED,
		     "and gives it back: RSS %s of %s MB after neap_gc_return",
		     megabytes((double)delete->trimmed.rss - (double)delete->base.rss),
		     megabytes((double)delete->loaded.rss - (double)delete->base.rss));
}

/* One way in Go: its line and figures, and the RSS after FreeOSMemory. False when it did not run. */
static bool run_go_way(struct lab *lab, const struct go_peer *go, enum way way, double *ret_rss,
		       double *ret_loaded)
{
	struct text why = {0};
	char *output = go_peer_run(go, &lab->keys, way_figures[way], lab->seed, &why);
	if (output == NULL) {
		result_check(&lab->result, false, "%s", why.at);
		text_free(&why);
		return false;
	}
	if (way == 0) {
		result_say(&lab->result, "\n  %s, after collection, and after FreeOSMemory",
			   go_peer_text(output, "version"));
		result_say(&lab->result, "  %-24s%11s%14s%10s%16s", "", "SLOTS", "HEAP IN USE", "RSS",
			   "RSS, RETURNED");
		result_say(&lab->result, "  %-24s%11s%14s%10s", "loaded",
			   thousands((uint64_t)go_peer_number(output, "loaded_slots")),
			   megabytes(go_peer_number(output, "loaded_inuse")),
			   megabytes(go_peer_number(output, "loaded_rss")));
	}
	*ret_rss = go_peer_number(output, "returned_rss");
	*ret_loaded = go_peer_number(output, "loaded_rss");
	result_say(&lab->result, "  %-24s%11s%14s%10s%16s", way_names[way],
		   thousands((uint64_t)go_peer_number(output, "collected_slots")),
		   megabytes(go_peer_number(output, "collected_inuse")),
		   megabytes(go_peer_number(output, "collected_rss")), megabytes(*ret_rss));
	result_figure(&lab->result, go_peer_number(output, "collected_inuse"), "bytes", "go_%s_inuse",
		      way_figures[way]);
	result_figure(&lab->result, go_peer_number(output, "collected_slots"), "count", "go_%s_slots",
		      way_figures[way]);
	result_figure(&lab->result, *ret_rss, "bytes", "go_%s_returned_rss", way_figures[way]);
	free(output);
	return true;
}

static void run_go(struct lab *lab)
{
	struct go_peer go;
	struct text why = {0};
	double rss[WAYS] = {0}, loaded[WAYS] = {0};
	progress_step("release-ways: building the Go program", 0, 0);
	if (!go_peer_open(&go, &asset_release_go, &why)) {
		result_say(&lab->result, "\n  Go's own figures are missing:\n  %s", why.at);
		text_free(&why);
		return;
	}
	bool ran = true;
	for (enum way way = 0; ran && way < WAYS; way++) {
		progress_step("release-ways: real Go", (size_t)way, WAYS);
		ran = run_go_way(lab, &go, way, &rss[way], &loaded[way]);
	}
	go_peer_close(&go);
	if (!ran)
		return;
	double kept = rss[WAY_MOST] - rss[WAY_DROP], copied = rss[WAY_REBUILD] - rss[WAY_DROP];
	result_check(&lab->result, kept > 2 * copied,
		     "in real Go, too, the copy gives back what deletes do not: RSS %s MB after the deletes, "
		     "%s after a copy",
		     megabytes(rss[WAY_MOST]), megabytes(rss[WAY_REBUILD]));
	result_check(&lab->result, rss[WAY_DELETE] > rss[WAY_DROP],
		     "in real Go the array outlives delete and a forced collection: RSS %s MB against %s "
		     "without the map",
		     megabytes(rss[WAY_DELETE]), megabytes(rss[WAY_DROP]));
}

static void run_release_ways(struct lab *lab)
{
	struct way_run(*runs)[WAYS] = lab_share(lab, PEERS * sizeof *runs);
	if (runs == NULL)
		return;
	if (lab->keys.n < FEW) {
		result_skip(&lab->result, "%zu keys are too few to see in RSS; --n %d or more", lab->keys.n,
			    FEW);
		return;
	}
	result_say(&lab->result,
		   "  MB above the empty process         SLOTS    TABLE    MALLOC      RSS   TRIMMED");
	for (enum peer peer = 0; peer < PEERS; peer++)
		if ((peer != PEER_UTHASH || uthash_available()) && !run_peer(lab, runs[peer], peer))
			return;
	if (!uthash_available())
		result_say(&lab->result,
			   "  (built without uthash: apt-get install uthash-dev, and build again)");
	const struct way_run *gc = &runs[PEER_COLLECTED][0];
	result_say(&lab->result, "  gc: collected; MALLOC with its objects, TRIMMED after neap_gc_return,");
	result_say(&lab->result, "  above a process in which the collector has run: it takes %s MB itself",
		   megabytes((double)gc->base.rss - (double)gc->empty));
	result_figure(&lab->result, (double)gc->base.rss - (double)gc->empty, "bytes", "gc_start_rss");
	check_ours(&lab->result, runs);
	check_collected(&lab->result, runs[PEER_COLLECTED]);
	run_go(lab);
}

const struct experiment experiment_release_ways = {
	.name = "release-ways",
	.claim = "Delete and clear give back nothing of a classic map's array, copying what is left to a new "
		 "map does; "
		 "Neap's map gives its table back under each; freed keys stay with malloc until it is "
		 "trimmed, and with the collector until it collects.",
	.method = "Each way in a process of its own: slots, the map's bytes, malloc's bytes in use and RSS "
		  "before and "
		  "after; the same work in collected memory, in uthash and in a real Go program.",
	.default_n = DEFAULT_N,
	.run = run_release_ways,
};
