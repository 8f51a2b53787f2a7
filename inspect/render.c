/* render.c: the screen of `neap inspect`: one bar that adds up to RSS, one table, three actions. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fill.h"
#include "inspection.h"

enum { BAR_CELLS = 72, TABLE_ROWS = 15, TYPE_ROWS = 5, NAME_BYTES = 512, TYPE_COLUMN = 34 };

char *format_bytes(char *text, uint64_t bytes)
{
	if (bytes < 1000)
		snprintf(text, 32, "%" PRIu64 " B", bytes);
	else if (bytes < 1000000)
		snprintf(text, 32, "%.1f kB", (double)bytes / 1e3);
	else if (bytes < 1000000000)
		snprintf(text, 32, "%.1f MB", (double)bytes / 1e6);
	else
		snprintf(text, 32, "%.2f GB", (double)bytes / 1e9);
	return text;
}

char *format_count(char *text, uint64_t count)
{
	char digits[24];
	int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
	char *out = text;
	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*out++ = ' ';
		*out++ = digits[i];
	}
	*out = '\0';
	return text;
}

struct part {
	const char *name, *cell, *colour;
	uint64_t bytes;
};

enum { PARTS = 8 };

static void list_parts(const struct account *account, struct part *parts)
{
	const struct part list[PARTS] = {
		{"live", "█", "\033[32m", account->live},
		{"tombstones", "▓", "\033[31m", account->tombstone},
		{"empty slots", "▒", "\033[33m", account->empty},
		{"stale", "X", "\033[35m", account->stale},
		{"other objects", "▚", "\033[34m", account->objects},
		{"free-held", "░", "\033[36m", account->free_held},
		{"other", "·", "\033[90m", account->other},
		{"unexplained", "?", "\033[91m",
		 account->unexplained > 0 ? (uint64_t)account->unexplained : 0},
	};
	memcpy(parts, list, sizeof list);
}

static void print_cell(FILE *out, const struct part *part, bool colour)
{
	if (colour)
		fprintf(out, "%s%s\033[0m", part->colour, part->cell);
	else
		fputs(part->cell, out);
}

void render_bar(FILE *out, const struct account *account, bool colour)
{
	struct part parts[PARTS];
	uint64_t total = 0, before = 0;
	list_parts(account, parts);
	for (size_t i = 0; i < PARTS; i++)
		total += parts[i].bytes;
	fputs("\n  ", out);
	for (size_t i = 0; i < PARTS && total > 0; i++) {
		/* cells end where the running sum does, so that rounding never adds up to a gap */
		uint64_t from = before * BAR_CELLS / total,
			 to = (before + parts[i].bytes) * BAR_CELLS / total;
		for (uint64_t cell = from; cell < to; cell++)
			print_cell(out, &parts[i], colour);
		before += parts[i].bytes;
	}
	fputs("\n ", out);
	for (size_t i = 0, column = 0; i < PARTS; i++) {
		char text[32];
		if (parts[i].bytes == 0)
			continue;
		if (column > 80) {
			fputs("\n ", out);
			column = 0;
		}
		fputc(' ', out);
		print_cell(out, &parts[i], colour);
		column += (size_t)fprintf(out, " %s %s ", parts[i].name, format_bytes(text, parts[i].bytes));
	}
	char text[32];
	if (account->unexplained < 0)
		fprintf(out, "\n  (the parts are %s more than RSS: memory changed while it was counted)",
			format_bytes(text, (uint64_t)-account->unexplained));
	fputc('\n', out);
}

static void print_head(FILE *out, const struct inspection *inspection)
{
	const struct go_process *process = inspection->process;
	char rss[32], objects[32];
	fprintf(out, "%s  %s %d · %s%s · %zu goroutines · %s objects reachable   %s %s\n",
		process->target->name, process->target->live ? "pid" : "core of", process->target->pid,
		process->version.text,
		process->layout_source == GO_LAYOUT_VERIFIED ? ""
		: process->layout_source == GO_LAYOUT_DWARF
			? " (layout from its debug information)"
			: " (layout of a neighbouring version, self-check passed)",
		process->stacks.count, format_count(objects, inspection->graph.objects),
		process->target->live ? "RSS" : "dumped", format_bytes(rss, inspection->account.rss));
}

/* A type's name, cut to its column. */
static void type_column(struct go_process *process, const struct go_map_type *type, char *name)
{
	go_type_name(process, type->type, name, NAME_BYTES);
	if (strlen(name) > TYPE_COLUMN)
		memcpy(name + TYPE_COLUMN - 3, "...", 4);
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (unsigned)(part * 100 / whole);
}

static void print_row(FILE *out, const struct inspection *inspection, const struct found_map *map)
{
	struct go_process *process = inspection->process;
	char type[NAME_BYTES], holder[NAME_BYTES], live[32], slots[32], held[32], gain[32],
		note[48] = "", amount[32], kept[48] = "";
	type_column(process, map->type, type);
	inspection_holder(inspection, map, true, holder, sizeof holder);
	if (inspection->dominators.place != NULL)
		snprintf(kept, sizeof kept, " %10s",
			 inspection_has_retained(inspection, map)
				 ? format_bytes(amount, inspection_retained(inspection, map))
				 : "-");
	if (map->confidence == MAP_AMBIGUOUS)
		snprintf(note, sizeof note, " (or %u more types)", map->candidates - 1);
	fprintf(out, "  0x%-12" PRIx64 " %-*s %10s %11s %4u%% %4u%% %9s %10s%s  %s%s%s\n",
		map->header.address, TYPE_COLUMN, type, format_count(live, map->header.count),
		format_count(slots, map->counts.slots), percent(map->counts.live, map->counts.slots),
		percent(map->counts.tombstones, map->counts.slots), format_bytes(held, map->bytes),
		format_bytes(gain, map_reclaimable(map)), kept, holder, note, map->torn ? " (torn)" : "");
}

/* With --stale or --ghosts only the maps that have any. */
static bool is_wanted(const struct found_map *map, const struct render_options *options)
{
	if (options->stale && map->counts.stale == 0)
		return false;
	return !options->ghosts || map->counts.ghosts > 0;
}

static void print_table(FILE *out, const struct inspection *inspection, const struct render_options *options)
{
	size_t shown = 0, left = 0;
	uint64_t left_gain = 0;
	char count[32], gain[32];
	fprintf(out, "\n  %-14s %-*s %10s %11s %5s %5s %9s %10s%s  %s\n", "MAP", TYPE_COLUMN, "TYPE", "LIVE",
		"SLOTS", "FULL", "TOMB", "HELD", "GIVES BACK",
		inspection->dominators.place != NULL ? "      KEEPS" : "", "HELD BY");
	for (size_t i = 0; i < inspection->maps.count; i++) {
		const struct found_map *map = &inspection->maps.list[inspection->order[i]];
		if (!is_wanted(map, options))
			continue;
		if (shown < TABLE_ROWS || options->all) {
			print_row(out, inspection, map);
			shown++;
			continue;
		}
		left++;
		left_gain += map_reclaimable(map);
	}
	if (left > 0)
		fprintf(out, "  and %s more, which would give back %s (--all shows them)\n",
			format_count(count, left), format_bytes(gain, left_gain));
}

/* The name comes last: it may be long. */
static void print_holders(FILE *out, const struct inspection *inspection, bool all)
{
	struct holder_group *groups;
	size_t count = inspection_by_holder(inspection, &groups);
	fprintf(out, "\n  %8s %10s %11s %9s %10s  %s\n", "MAPS", "LIVE", "SLOTS", "HELD", "GIVE BACK",
		"HELD BY");
	for (size_t i = 0; i < count && (all || i < TYPE_ROWS); i++) {
		const struct holder_group *group = &groups[i];
		char maps[32], live[32], slots[32], held[32], gain[32];
		fprintf(out, "  %8s %10s %11s %9s %10s  %s\n", format_count(maps, group->maps),
			format_count(live, group->live), format_count(slots, group->slots),
			format_bytes(held, group->held), format_bytes(gain, group->reclaimable),
			group->holder);
	}
	holder_groups_free(groups, count);
}

static void print_types(FILE *out, const struct inspection *inspection, bool all)
{
	struct type_group *groups;
	size_t count = inspection_by_type(inspection, &groups);
	if (inspection->maps.count > TABLE_ROWS)
		fprintf(out, "\n  %8s   %-*s %10s %11s %9s %10s\n", "MAPS", TYPE_COLUMN, "OF TYPE", "LIVE",
			"SLOTS", "HELD", "GIVE BACK");
	for (size_t i = 0; i < count && (all || i < TYPE_ROWS) && inspection->maps.count > TABLE_ROWS; i++) {
		const struct type_group *group = &groups[i];
		char name[NAME_BYTES], maps[32], live[32], slots[32], held[32], gain[32];
		type_column(inspection->process, group->type, name);
		fprintf(out, "  %8s x %-*s %10s %11s %9s %10s\n", format_count(maps, group->maps),
			TYPE_COLUMN, name, format_count(live, group->live), format_count(slots, group->slots),
			format_bytes(held, group->held), format_bytes(gain, group->reclaimable));
	}
	free(groups);
}

static void print_fill(FILE *out, const struct inspection *inspection)
{
	struct fill fill = {0};
	for (size_t i = 0; i < inspection->maps.count; i++) {
		const struct found_map *map = &inspection->maps.list[i];
		fill_add(&fill, map->counts.live, map->counts.slots, map->bytes);
	}
	fill_print(out, &fill);
}

struct action {
	uint64_t gain;
	char text[NAME_BYTES * 2];
};

static void add_action(struct action *actions, size_t *count, uint64_t gain)
{
	if (gain == 0)
		return;
	actions[(*count)++].gain = gain;
}

static int compare_actions(const void *left, const void *right)
{
	const struct action *a = left, *b = right;
	return a->gain > b->gain ? -1 : a->gain < b->gain;
}

enum { ACTIONS = 6, ACTIONS_SHOWN = 3 };

static size_t list_actions(const struct inspection *inspection, struct action *actions)
{
	size_t count = 0, garbage = 0;
	uint64_t garbage_bytes = 0;
	char name[NAME_BYTES], amount[32];
	for (size_t i = 0; i < inspection->maps.count; i++) {
		const struct found_map *map = &inspection->maps.list[inspection->order[i]];
		garbage += !map->reachable;
		garbage_bytes += map->reachable ? 0 : map->bytes;
		if (!map->reachable || count == 2)
			continue;
		inspection_holder(inspection, map, true, name, sizeof name);
		snprintf(actions[count].text, sizeof actions[count].text,
			 "rebuild the map of %s (copy its %s entries to a new map and drop the old one)",
			 name, format_count(amount, map->header.count));
		add_action(actions, &count, map_reclaimable(map));
	}
	snprintf(actions[count].text, sizeof actions[count].text,
		 "nothing holds %s maps: the next collection frees them (runtime.GC())",
		 format_count(amount, garbage));
	add_action(actions, &count, garbage_bytes);
	snprintf(actions[count].text, sizeof actions[count].text,
		 "return free pages to the system: debug.FreeOSMemory(), or a memory limit (GOMEMLIMIT)");
	add_action(actions, &count, inspection->account.free_held);
	for (size_t i = 0; i < inspection->graph.stale_count && i < 2; i++) {
		const struct graph_stale *stale = &inspection->graph.stale[i];
		const struct found_map *map = &inspection->maps.list[stale->map];
		inspection_holder(inspection, map, true, name, sizeof name);
		snprintf(actions[count].text, sizeof actions[count].text,
			 "finish the growth of %s: deleted values stay alive until further writes move its "
			 "old buckets",
			 name);
		add_action(actions, &count, stale->bytes + map->counts.old_bytes);
	}
	qsort(actions, count, sizeof *actions, compare_actions);
	return count < ACTIONS_SHOWN ? count : ACTIONS_SHOWN;
}

static void print_actions(FILE *out, const struct inspection *inspection)
{
	struct action actions[ACTIONS];
	char gain[32];
	size_t count = list_actions(inspection, actions);
	fputc('\n', out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "  %zu  %-9s  %s\n", i + 1, format_bytes(gain, actions[i].gain),
			actions[i].text);
}

static void print_stale(FILE *out, const struct inspection *inspection)
{
	char objects[32], bytes[32], slots[32], holder[NAME_BYTES];
	for (size_t i = 0; i < inspection->graph.stale_count; i++) {
		const struct graph_stale *stale = &inspection->graph.stale[i];
		const struct found_map *map = &inspection->maps.list[stale->map];
		inspection_holder(inspection, map, true, holder, sizeof holder);
		fprintf(out,
			"\n  stale: %s slots of the old array of %s were moved but not cleared; %s objects, "
			"%s, "
			"are alive only through them\n",
			format_count(slots, map->counts.stale), holder, format_count(objects, stale->objects),
			format_bytes(bytes, stale->bytes));
	}
	if (inspection->graph.stale_count == 0)
		fputs("\n  stale: no value is kept alive by an unfinished growth\n", out);
}

static void print_ghosts(FILE *out, const struct inspection *inspection)
{
	uint64_t ghosts = 0;
	char text[32];
	for (size_t i = 0; i < inspection->maps.count; i++)
		ghosts += inspection->maps.list[i].counts.ghosts;
	fprintf(out, "\n  ghosts: the bytes of %s deleted keys are still readable in empty slots\n",
		format_count(text, ghosts));
}

/* How well the reading is confirmed: keys hash to what is stored beside them. Not so in garbage, whose keys may
   have been freed. */
static void print_hashes(FILE *out, const struct inspection *inspection)
{
	uint64_t checked = 0, agreed = 0;
	char all[32], good[32];
	for (size_t i = 0; i < inspection->maps.count; i++) {
		const struct found_map *map = &inspection->maps.list[i];
		checked += map->reachable ? map->hash_checked : 0;
		agreed += map->reachable ? map->hash_agreed : 0;
	}
	if (checked > 0)
		fprintf(out, "  checked by recomputing the hashes of %s keys: %s agree\n",
			format_count(all, checked), format_count(good, agreed));
}

void render_inspection(FILE *out, const struct inspection *inspection, const struct render_options *options)
{
	char held[32], gain[32], count[32], read[32];
	print_head(out, inspection);
	render_bar(out, &inspection->account, options->colour);
	fprintf(out, "\n  %s maps hold %s; rebuilt they would give back %s\n",
		format_count(count, inspection->maps.count), format_bytes(held, inspection->held),
		format_bytes(gain, inspection->reclaimable));
	print_table(out, inspection, options);
	print_types(out, inspection, options->all);
	if (inspection->maps.count > TABLE_ROWS)
		print_holders(out, inspection, options->all);
	print_fill(out, inspection);
	if (options->stale)
		print_stale(out, inspection);
	if (options->ghosts)
		print_ghosts(out, inspection);
	print_actions(out, inspection);
	fprintf(out, "\n  read %s in %.2f s", format_bytes(read, inspection->process->target->bytes),
		inspection->seconds);
	if (inspection->process->target->live)
		fprintf(out, "; the process was stopped for %.1f ms%s",
			inspection->process->target->stopped * 1e3,
			inspection->process->target->stops > 1 ? " in all" : "");
	fputc('\n', out);
	print_hashes(out, inspection);
	if (inspection->process->target->cut)
		fputs("  the core is cut short: what lay behind the cut is missing from all of this\n", out);
	if (inspection->process->torn > 0)
		fprintf(out,
			"  %" PRIu64 " things changed while they were read and could not be read whole\n",
			inspection->process->torn);
}
