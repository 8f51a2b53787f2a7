/* export_report.c: one HTML file that needs nothing else: no script, no font, no link. The figures are those of the
 * screen; pictures are SVG.
 *
 *   strip    a map from its first group to its last: height of a column = share of live slots, red above it tombstones
 *   pages    the map's pages in the order of its groups: the darker, the more live slots; white has none
 *   tree     who holds the maps: roots, and below each what leads on, with the bytes held
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"

enum { MAPS_SHOWN = 40, STRIP = 256, PAGES = 1024, PAGE_COLUMNS = 128, TREE_DEPTH = 12, CHANGES = 40 };

static const char style[] =
	"body{font:14px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}"
	"table{border-collapse:collapse;width:100%}td,th{padding:.2em "
	".6em;text-align:right;border-bottom:1px solid #ddd}"
	"td:last-child,th:last-child{text-align:left;word-break:break-all}svg{display:block;margin:.3em 0}"
	"details{margin-left:1.2em}summary{cursor:pointer}h3{margin-bottom:0;word-break:break-all}small{"
	"color:#666}.part{white-space:nowrap;margin-right:1em}";

static void text(FILE *out, const char *from)
{
	for (; *from != '\0'; from++) {
		switch (*from) {
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '&': fputs("&amp;", out); break;
		case '"': fputs("&quot;", out); break;
		default: fputc(*from, out);
		}
	}
}

static void write_bar(FILE *out, const struct snapshot_header *header)
{
	const struct {
		const char *name, *colour;
		uint64_t bytes;
	} parts[] = {{"live", "#2a9d5c", header->live},
		     {"tombstones", "#d1495b", header->tombstone},
		     {"empty slots", "#edae49", header->empty},
		     {"stale", "#8d5bb0", header->stale},
		     {"other objects", "#3d6fb4", header->objects},
		     {"free-held", "#5bc0be", header->free_held},
		     {"other", "#aaaaaa", header->other}};
	double at = 0, whole = header->rss == 0 ? 1 : (double)header->rss;
	char bytes[32];
	fputs("<svg viewBox=\"0 0 1000 30\" width=\"100%\" height=\"30\" preserveAspectRatio=\"none\">", out);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		double width = (double)parts[i].bytes * 1000 / whole;
		fprintf(out, "<rect x=\"%.2f\" width=\"%.2f\" height=\"30\" fill=\"%s\"/>", at, width,
			parts[i].colour);
		at += width;
	}
	fputs("</svg><p>", out);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		fprintf(out, "<span class=part><span style=\"color:%s\">■</span> %s %s</span> ",
			parts[i].colour, parts[i].name, format_bytes(bytes, parts[i].bytes));
	fputs("</p>\n", out);
}

static int compare_reclaimable(const void *left, const void *right)
{
	const struct snapshot_map *a = *(const struct snapshot_map *const *)left,
				  *b = *(const struct snapshot_map *const *)right;
	uint64_t gain_a = snapshot_reclaimable(a), gain_b = snapshot_reclaimable(b);
	if (gain_a != gain_b)
		return gain_a > gain_b ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

static const struct snapshot_map **ranked(const struct snapshot *snapshot)
{
	uint64_t count = snapshot->header->map_count;
	const struct snapshot_map **list = take(count, sizeof(struct snapshot_map *));
	for (uint64_t i = 0; i < count; i++)
		list[i] = &snapshot->maps[i];
	qsort(list, count, sizeof *list, compare_reclaimable);
	return list;
}

struct column {
	uint64_t live, tombstones, slots;
};

static void add_group(struct column *column, const struct snapshot_map *map,
		      const struct snapshot_group *group)
{
	column->slots += map->group_slots;
	for (unsigned slot = 0; slot < map->group_slots; slot++) {
		column->live += snapshot_slot_of(group, slot) == SNAPSHOT_LIVE;
		column->tombstones += snapshot_slot_of(group, slot) == SNAPSHOT_TOMBSTONE;
	}
}

static void write_strip(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map)
{
	struct column columns[STRIP] = {{0}};
	uint64_t count = map->group_count < STRIP ? map->group_count : STRIP;
	for (uint64_t i = 0; i < map->group_count; i++)
		add_group(&columns[i * count / map->group_count], map,
			  &snapshot->groups[map->first_group + i]);
	fprintf(out,
		"<svg viewBox=\"0 0 %d 40\" width=\"100%%\" height=\"40\" preserveAspectRatio=\"none\">"
		"<rect width=\"%d\" height=\"40\" fill=\"#f6ead2\"/>",
		STRIP, STRIP);
	for (uint64_t i = 0; i < count; i++) {
		double slots = columns[i].slots == 0 ? 1 : (double)columns[i].slots;
		double live = 40 * (double)columns[i].live / slots,
		       dead = 40 * (double)columns[i].tombstones / slots;
		double width = (double)STRIP / (double)count, x = (double)i * width;
		fprintf(out, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"#2a9d5c\"/>",
			x, 40 - live, width, live);
		if (dead > 0)
			fprintf(out,
				"<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" "
				"fill=\"#d1495b\"/>",
				x, 40 - live - dead, width, dead);
	}
	fputs("</svg>\n", out);
}

static void write_page(FILE *out, uint64_t number, const struct column *page)
{
	unsigned shade = page->slots == 0 ? 0 : (unsigned)(page->live * 200 / page->slots);
	fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"7\" height=\"7\" fill=\"rgb(%u,%u,%u)\"/>",
		(unsigned)(number % PAGE_COLUMNS * 8), (unsigned)(number / PAGE_COLUMNS * 8), 250 - shade,
		250 - shade / 3, 250 - shade);
}

static void write_pages(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map)
{
	struct column page = {0};
	uint64_t number = 0, at = 0, empty = 0;
	fprintf(out, "<svg width=\"%d\" height=\"%d\" style=\"background:#ddd\">", PAGE_COLUMNS * 8,
		(int)((map->group_count * map->group_size / TARGET_PAGE < PAGES
			       ? map->group_count * map->group_size / TARGET_PAGE
			       : PAGES) /
			      PAGE_COLUMNS * 8 +
		      16));
	for (uint64_t i = 0; i <= map->group_count; i++) {
		const struct snapshot_group *group =
			i < map->group_count ? &snapshot->groups[map->first_group + i] : NULL;
		if (page.slots > 0 && (group == NULL || group->address / TARGET_PAGE != at)) {
			empty += page.live == 0;
			if (number < PAGES)
				write_page(out, number, &page);
			number++;
			page = (struct column){0};
		}
		if (group == NULL)
			break;
		at = group->address / TARGET_PAGE;
		add_group(&page, map, group);
	}
	fprintf(out, "</svg><small>%" PRIu64 " pages of 4 KiB, %" PRIu64 " without an entry%s</small>\n",
		number, empty, number > PAGES ? ", the first ones shown" : "");
}

static void write_maps(FILE *out, const struct snapshot *snapshot)
{
	const struct snapshot_map **list = ranked(snapshot);
	char live[32], slots[32], held[32], gain[32], kept[32];
	for (uint64_t i = 0; i < snapshot->header->map_count && i < MAPS_SHOWN; i++) {
		const struct snapshot_map *map = list[i];
		fputs("<h3>", out);
		text(out, snapshot->strings + map->holder);
		fputs("</h3><small>", out);
		text(out, snapshot->strings + map->type);
		fprintf(out,
			" at 0x%" PRIx64
			" · %s entries in %s slots · holds %s · a rebuild gives back <b>%s</b>",
			map->address, format_count(live, map->count), format_count(slots, map->slots),
			format_bytes(held, map->bytes), format_bytes(gain, snapshot_reclaimable(map)));
		if ((map->flags & SNAPSHOT_RETAINED) != 0)
			fprintf(out, " · keeps %s alive", format_bytes(kept, map->retained));
		fputs("</small>\n", out);
		if (map->group_count == 0)
			continue;
		write_strip(out, snapshot, map);
		write_pages(out, snapshot, map);
	}
	free(list);
}

/* ---- The tree of holders ---- */

struct tree {
	FILE *out;
	const struct snapshot *snapshot;
	const struct snapshot_map **list; /* sorted by their steps */
};

static int compare_steps(const void *left, const void *right, void *context)
{
	const struct snapshot *snapshot = context;
	const struct snapshot_map *a = *(const struct snapshot_map *const *)left,
				  *b = *(const struct snapshot_map *const *)right;
	for (uint32_t i = 0; i < a->step_count && i < b->step_count; i++) {
		uint32_t x = snapshot->steps[a->first_step + i], y = snapshot->steps[b->first_step + i];
		if (x != y)
			return x < y ? -1 : 1;
	}
	return a->step_count < b->step_count ? -1 : a->step_count > b->step_count;
}

static void write_tree(const struct tree *tree, uint64_t from, uint64_t to, uint32_t depth)
{
	const struct snapshot *snapshot = tree->snapshot;
	char held[32], gain[32];
	while (from < to) {
		const struct snapshot_map *first = tree->list[from];
		if (first->step_count <= depth || depth == TREE_DEPTH) {
			from++;
			continue;
		}
		uint32_t step = snapshot->steps[first->first_step + depth];
		uint64_t end = from, bytes = 0, reclaimable = 0;
		for (; end < to; end++) {
			const struct snapshot_map *map = tree->list[end];
			if (map->step_count <= depth || snapshot->steps[map->first_step + depth] != step)
				break;
			bytes += map->bytes;
			reclaimable += snapshot_reclaimable(map);
		}
		fputs("<details><summary>", tree->out);
		text(tree->out, snapshot->strings + step);
		fprintf(tree->out, " <small>%" PRIu64 " maps, %s, gives back %s</small></summary>\n",
			end - from, format_bytes(held, bytes), format_bytes(gain, reclaimable));
		write_tree(tree, from, end, depth + 1);
		fputs("</details>\n", tree->out);
		from = end;
	}
}

static void write_holders(FILE *out, const struct snapshot *snapshot)
{
	struct tree tree = {out, snapshot, ranked(snapshot)};
	qsort_r(tree.list, snapshot->header->map_count, sizeof *tree.list, compare_steps,
		(void *)(uintptr_t)snapshot);
	write_tree(&tree, 0, snapshot->header->map_count, 0);
	free(tree.list);
}

static void write_changes(FILE *out, const struct snapshot *before, const struct snapshot *snapshot)
{
	struct map_change *changes;
	size_t count = snapshot_diff(before, snapshot, &changes);
	char old[32], new[32];
	fprintf(out,
		"<h2>What changed in %.1f s</h2><table><tr><th>inserted<th>deleted<th>moved<th>pages of "
		"deletes"
		"<th>before<th>after<th>map</tr>\n",
		(double)(int64_t)(snapshot->header->time - before->header->time) / 1e9);
	for (size_t i = 0; i < count && i < CHANGES; i++) {
		const struct map_change *change = &changes[i];
		const struct snapshot *of = change->after != NULL ? snapshot : before;
		const struct snapshot_map *map = change->after != NULL ? change->after : change->before;
		fprintf(out,
			"<tr><td>%" PRIu64 "<td>%" PRIu64 "<td>%" PRIu64 "<td>%" PRIu64 "<td>%s<td>%s<td>",
			change->inserted, change->deleted, change->moved, change->pages,
			format_bytes(old, change->before == NULL ? 0 : change->before->bytes),
			format_bytes(new, change->after == NULL ? 0 : change->after->bytes));
		text(out, of->strings + map->holder);
		fputs(change->before == NULL ? " (new)" : change->after == NULL ? " (gone)" : "", out);
		fputs("</tr>\n", out);
	}
	fprintf(out, "</table><p><small>%zu maps changed</small></p>\n", count);
	free(changes);
}

void export_report(FILE *out, const struct snapshot *before, const struct snapshot *snapshot)
{
	const struct snapshot_header *header = snapshot->header;
	char rss[32], maps[32];
	fprintf(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>neap: ");
	text(out, snapshot->strings + header->program);
	fprintf(out, "</title><style>%s</style>\n<h1>", style);
	text(out, snapshot->strings + header->program);
	fprintf(out, "</h1><p>process %u · ", header->pid);
	text(out, snapshot->strings + header->runtime);
	fprintf(out, " · RSS %s · %s maps</p>\n", format_bytes(rss, header->rss),
		format_count(maps, header->map_count));
	write_bar(out, header);
	if (before != NULL)
		write_changes(out, before, snapshot);
	fputs("<h2>Maps</h2>\n", out);
	write_maps(out, snapshot);
	if (header->step_count > 0) { /* a snapshot of a program linked with libneap may not know */
		fputs("<h2>Who holds them</h2>\n", out);
		write_holders(out, snapshot);
	}
	fputs("</html>\n", out);
}
