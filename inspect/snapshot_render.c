/* snapshot_render.c: a snapshot as a screen and as JSON: the bar, the table, the actions. Of a running Go program
 * render.c shows more: goroutines, hashes, layouts. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fill.h"
#include "snapshot.h"

enum { ROWS = 15, REGIONS = 16, STRIP = 72, LEVELS = 9, ACTIONS = 3 };

static const char *const levels[LEVELS] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

static int compare_maps(const void *left, const void *right, void *context)
{
	const struct snapshot_map *maps = context, *a = &maps[*(const uint32_t *)left],
				  *b = &maps[*(const uint32_t *)right];
	uint64_t gain_a = snapshot_reclaimable(a), gain_b = snapshot_reclaimable(b);
	if (gain_a != gain_b)
		return gain_a > gain_b ? -1 : 1;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return a->address < b->address ? -1 : 1;
}

static uint32_t *order_maps(const struct snapshot *snapshot)
{
	uint64_t count = snapshot->header->map_count;
	uint32_t *order = take(count, sizeof *order);
	for (uint64_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, count, sizeof *order, compare_maps, (void *)(uintptr_t)snapshot->maps);
	return order;
}

static uint64_t percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : part * 100 / whole;
}

/* How full the map is from its first group to its last, in `cells` signs. */
static void print_strip(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map,
			unsigned cells)
{
	uint64_t live[STRIP] = {0}, slots[STRIP] = {0};
	for (uint64_t i = 0; i < map->group_count; i++) {
		uint64_t cell = i * cells / map->group_count;
		slots[cell] += map->group_slots;
		for (unsigned slot = 0; slot < map->group_slots; slot++)
			live[cell] += snapshot_slot_of(&snapshot->groups[map->first_group + i], slot) ==
				      SNAPSHOT_LIVE;
	}
	for (unsigned cell = 0; cell < cells; cell++)
		if (slots[cell] > 0) /* the lowest level only for none */
			fputs(levels[(live[cell] * (LEVELS - 1) + slots[cell] - 1) / slots[cell]], out);
}

static void print_row(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map)
{
	char live[32], slots[32], held[32], gain[32];
	fprintf(out, "  %10s %11s %4" PRIu64 "%% %4" PRIu64 "%% %9s %10s  ", format_count(live, map->count),
		format_count(slots, map->slots), percent(map->live, map->slots),
		percent(map->tombstones, map->slots), format_bytes(held, map->bytes),
		format_bytes(gain, snapshot_reclaimable(map)));
	print_strip(out, snapshot, map, REGIONS);
	fprintf(out, "%*s%s  (%s)\n", map->group_count < REGIONS ? REGIONS + 2 - (int)map->group_count : 2,
		"", snapshot->strings + map->holder, snapshot->strings + map->type);
}

static bool is_wanted(const struct snapshot_map *map, const struct render_options *options)
{
	return (!options->stale || map->stale > 0) && (!options->ghosts || map->ghosts > 0);
}

static void print_table(FILE *out, const struct snapshot *snapshot, const uint32_t *order,
			const struct render_options *options)
{
	uint64_t shown = 0, left = 0, left_gain = 0;
	char count[32], gain[32];
	fprintf(out, "\n  %10s %11s %5s %5s %9s %10s  %-*s  %s\n", "LIVE", "SLOTS", "FULL", "TOMB", "HELD",
		"GIVES BACK", REGIONS, "BY REGION", "HELD BY (TYPE)");
	for (uint64_t i = 0; i < snapshot->header->map_count; i++) {
		const struct snapshot_map *map = &snapshot->maps[order[i]];
		if (!is_wanted(map, options))
			continue;
		if (shown++ < ROWS || options->all) {
			print_row(out, snapshot, map);
			continue;
		}
		left++;
		left_gain += snapshot_reclaimable(map);
	}
	if (left > 0)
		fprintf(out, "  and %s more, which would give back %s (--all shows them)\n",
			format_count(count, left), format_bytes(gain, left_gain));
}

static void print_fill(FILE *out, const struct snapshot *snapshot)
{
	struct fill fill = {0};
	for (uint64_t i = 0; i < snapshot->header->map_count; i++) {
		const struct snapshot_map *map = &snapshot->maps[i];
		fill_add(&fill, map->live, map->slots, map->bytes);
	}
	fill_print(out, &fill);
}

static void print_actions(FILE *out, const struct snapshot *snapshot, const uint32_t *order)
{
	const struct snapshot_header *header = snapshot->header;
	const bool go = header->kind == SNAPSHOT_GO;
	uint64_t next = 0;
	bool pages = header->free_held == 0;
	char gain[32];
	fputc('\n', out);
	for (unsigned line = 1; line <= ACTIONS; line++) {
		while (next < header->map_count &&
		       (snapshot->maps[order[next]].flags & SNAPSHOT_REACHABLE) == 0)
			next++; /* the next collection frees it */
		const struct snapshot_map *map =
			next < header->map_count ? &snapshot->maps[order[next]] : NULL;
		uint64_t bytes = map == NULL ? 0 : snapshot_reclaimable(map);
		if (!pages && header->free_held >= bytes) {
			fprintf(out, "  %u  %-9s  return free pages to the system: %s\n", line,
				format_bytes(gain, header->free_held),
				go ? "debug.FreeOSMemory(), or a memory limit (GOMEMLIMIT)"
				   : "neap_debug_compact()");
			pages = true;
		} else if (bytes > 0) {
			fprintf(out, "  %u  %-9s  %s the map of %s\n", line, format_bytes(gain, bytes),
				go ? "rebuild (copy its entries to a new one and drop)"
				   : "compact (neap_map_compact), or copy,",
				snapshot->strings + map->holder);
			next++;
		}
	}
}

static struct account account_of(const struct snapshot_header *header)
{
	return (struct account){header->live,  header->tombstone,   header->empty,
				header->stale, header->objects,	    header->free_held,
				header->other, header->unexplained, header->rss};
}

void snapshot_render(FILE *out, const struct snapshot *snapshot, const struct render_options *options)
{
	const struct snapshot_header *header = snapshot->header;
	const struct account account = account_of(header);
	uint64_t held = 0, gain = 0;
	char a[32], b[32], c[32];
	uint32_t *order = order_maps(snapshot);
	for (uint64_t i = 0; i < header->map_count; i++) {
		held += snapshot->maps[i].bytes;
		gain += snapshot_reclaimable(&snapshot->maps[i]);
	}
	fprintf(out, "%s  pid %u · %s   RSS %s\n", snapshot->strings + header->program, header->pid,
		snapshot->strings + header->runtime, format_bytes(a, header->rss));
	render_bar(out, &account, options->colour);
	fprintf(out, "\n  %s maps hold %s; rebuilt they would give back %s\n",
		format_count(a, header->map_count), format_bytes(b, held), format_bytes(c, gain));
	print_table(out, snapshot, order, options);
	print_fill(out, snapshot);
	print_actions(out, snapshot, order);
	if (header->stopped > 0)
		fprintf(out, "\n  the process was stopped for %.1f ms\n", (double)header->stopped / 1e6);
	if (header->torn > 0)
		fprintf(out, "\n  %u things changed while they were read and could not be read whole\n",
			header->torn);
	free(order);
}

const struct snapshot_map *snapshot_map_at(const struct snapshot *snapshot, uint64_t address)
{
	for (uint64_t i = 0; i < snapshot->header->map_count; i++)
		if (snapshot->maps[i].address == address)
			return &snapshot->maps[i];
	return NULL;
}

/* Groups by how many of their slots are live, and by their place in a chain. */
static void print_groups(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map)
{
	uint64_t by_live[SNAPSHOT_SLOTS_MAX + 1] = {0}, chained = 0, pages = 0, empty_pages = 0, page = 0,
					      in_page = 0;
	for (uint64_t i = 0; i < map->group_count; i++) {
		const struct snapshot_group *group = &snapshot->groups[map->first_group + i];
		unsigned live = 0;
		for (unsigned slot = 0; slot < map->group_slots; slot++)
			live += snapshot_slot_of(group, slot) == SNAPSHOT_LIVE;
		by_live[live]++;
		chained += group->depth > 0;
		if (group->address / TARGET_PAGE != page) {
			empty_pages += page != 0 && in_page == 0;
			pages++;
			page = group->address / TARGET_PAGE;
			in_page = 0;
		}
		in_page += live;
	}
	empty_pages += page != 0 && in_page == 0;
	fputs("\n  groups by live slots\n ", out);
	for (unsigned live = 0; live <= map->group_slots; live++)
		fprintf(out, "  %u: %" PRIu64, live, by_live[live]);
	fprintf(out, "\n\n  %" PRIu64 " pages of 4 KiB, %" PRIu64 " of them without an entry\n", pages,
		empty_pages);
	if (chained > 0)
		fprintf(out, "  %" PRIu64 " groups hang behind another one\n", chained);
}

void snapshot_render_map(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map)
{
	char a[32], b[32], c[32];
	fprintf(out, "%s at 0x%" PRIx64 "\n  held by %s\n\n", snapshot->strings + map->type, map->address,
		snapshot->strings + map->holder);
	fprintf(out, "  %s entries in %s slots of %s groups", format_count(a, map->count),
		format_count(b, map->slots), format_count(c, map->group_count));
	fprintf(out, "\n  %s tombstones", format_count(a, map->tombstones));
	fprintf(out, "\n  holds %s, rebuilt %s: a rebuild gives back %s\n", format_bytes(a, map->bytes),
		format_bytes(b, map->rebuilt), format_bytes(c, snapshot_reclaimable(map)));
	fputs("\n  how full, from the first group to the last\n  ", out);
	print_strip(out, snapshot, map, STRIP);
	fputc('\n', out);
	print_groups(out, snapshot, map);
}

static void json_map(FILE *out, const struct snapshot *snapshot, const struct snapshot_map *map)
{
	fprintf(out,
		"    {\"address\": \"0x%" PRIx64 "\", \"len\": %" PRIu64 ", \"live\": %" PRIu64
		", \"slots\": %" PRIu64 ", \"tombstones\": %" PRIu64 ", \"stale\": %" PRIu64
		", \"ghosts\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"rebuilt\": %" PRIu64
		", \"reclaimable\": %" PRIu64 ", \"torn\": %s, \"type\": ",
		map->address, map->count, map->live, map->slots, map->tombstones, map->stale, map->ghosts,
		map->bytes, map->rebuilt, snapshot_reclaimable(map),
		(map->flags & SNAPSHOT_TORN) != 0 ? "true" : "false");
	write_json_string(out, snapshot->strings + map->type);
	fputs(", \"held_by\": ", out);
	write_json_string(out, snapshot->strings + map->holder);
	if ((map->flags & SNAPSHOT_RETAINED) != 0)
		fprintf(out, ", \"retained\": %" PRIu64, map->retained);
	fputc('}', out);
}

void snapshot_json(FILE *out, const struct snapshot *snapshot)
{
	const struct snapshot_header *header = snapshot->header;
	uint32_t *order = order_maps(snapshot);
	fputs("{\n  \"schema\": 1,\n  \"program\": ", out);
	write_json_string(out, snapshot->strings + header->program);
	fprintf(out, ",\n  \"pid\": %u,\n  \"runtime\": ", header->pid);
	write_json_string(out, snapshot->strings + header->runtime);
	fprintf(out,
		",\n  \"torn\": %u,\n  \"stopped_ms\": %.3f,\n  \"rss\": {\"bytes\": %" PRIu64
		", \"live\": %" PRIu64 ", \"tombstone\": %" PRIu64 ", \"empty\": %" PRIu64
		", \"stale\": %" PRIu64 ", \"objects\": %" PRIu64 ", \"free_held\": %" PRIu64
		", \"other\": %" PRIu64 ", \"unexplained\": %" PRId64 "},\n  \"maps\": [\n",
		header->torn, (double)header->stopped / 1e6, header->rss, header->live, header->tombstone,
		header->empty, header->stale, header->objects, header->free_held, header->other,
		header->unexplained);
	for (uint64_t i = 0; i < header->map_count; i++) {
		json_map(out, snapshot, &snapshot->maps[order[i]]);
		fputs(i + 1 < header->map_count ? ",\n" : "\n", out);
	}
	fputs("  ]\n}\n", out);
	free(order);
}
