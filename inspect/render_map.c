/* render_map.c: one map, close up: where its slots are, how its groups and pages are filled, how far a lookup goes, and,
 * when asked, its keys. close_up.c measures. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "close_up.h"
#include "inspection.h"

enum { NAME_BYTES = 512, KEYS_SHOWN = 20, KEY_TEXT = 48, FILL_LEVELS = 9 };

struct key_list {
	struct go_process *process;
	const struct go_map_type *type;
	FILE *out;
	bool ghosts;
	unsigned left;
};

/* False when the kind is none of a number or pointer. */
static bool number_text(unsigned kind, uint64_t bits, uint32_t bytes, char *text, size_t size)
{
	float single;
	double number;
	memcpy(&single, &bits, sizeof single);
	memcpy(&number, &bits, sizeof number);
	if (kind == GO_KIND_FLOAT32 || kind == GO_KIND_FLOAT64)
		snprintf(text, size, "%.17g", kind == GO_KIND_FLOAT32 ? (double)single : number);
	else if (kind >= GO_KIND_INT && kind <= GO_KIND_INT64)
		snprintf(text, size, "%" PRId64, (int64_t)(bits << (64 - 8 * bytes)) >> (64 - 8 * bytes));
	else if (kind >= GO_KIND_UINT && kind <= GO_KIND_UINTPTR)
		snprintf(text, size, "%" PRIu64, bits);
	else if (kind == GO_KIND_POINTER || kind == GO_KIND_UNSAFE)
		snprintf(text, size, "0x%" PRIx64, bits);
	else
		return false;
	return true;
}

/* The text of a key that has one: strings and numbers as they are, everything else as bytes. */
static void key_text(struct key_list *list, const uint8_t *key, char *text, size_t size)
{
	const struct go_map_type *type = list->type;
	uint64_t words[2] = {0};
	memcpy(words, key, type->key_size < sizeof words ? type->key_size : sizeof words);
	if (go_type_kind(list->process, type->key) == GO_KIND_STRING) {
		if (words[0] == 0 && words[1] != 0) { /* deleting clears the pointer */
			snprintf(text, size, "(%" PRIu64 " bytes, cleared)", words[1]);
			return;
		}
		uint64_t length = words[1] < size - 1 ? words[1] : size - 1;
		const char *bytes = image_at(list->process->image, words[0], length);
		for (uint64_t i = 0; bytes != NULL && i < length; i++)
			text[i] = (char)(isprint((unsigned char)bytes[i]) ? bytes[i] : '?');
		text[bytes == NULL ? 0 : length] = '\0';
		return;
	}
	if (number_text(go_type_kind(list->process, type->key), words[0], type->key_size, text, size))
		return;
	size_t used = 0;
	for (uint32_t i = 0; i < type->key_size && used + 3 < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%02x", key[i]);
}

static void print_key(struct key_list *list, const struct go_group *group, unsigned slot)
{
	char text[KEY_TEXT];
	const uint8_t *key = go_slot_key(list->type, group->bytes, slot);
	if (list->type->key_indirect)
		snprintf(text, sizeof text, "(held by pointer)");
	else
		key_text(list, key, text, sizeof text);
	fprintf(list->out, "    0x%" PRIx64 " %s %s\n", group->address + (uint64_t)(key - group->bytes),
		list->ghosts ? "left over" : "live     ", text);
}

static bool is_ghost(const struct go_map_type *type, const struct go_group *group, unsigned slot)
{
	if (group->slots[slot] != GO_SLOT_TOMBSTONE && group->slots[slot] != GO_SLOT_EMPTY)
		return false;
	const uint8_t *key = go_slot_key(type, group->bytes, slot);
	for (uint32_t i = 0; i < type->key_size; i++)
		if (key[i] != 0)
			return true;
	return false;
}

static void list_group(void *context, const struct go_group *group)
{
	struct key_list *list = context;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS && list->left > 0; slot++)
		if (list->ghosts ? is_ghost(list->type, group, slot) : group->slots[slot] == GO_SLOT_LIVE) {
			print_key(list, group, slot);
			list->left--;
		}
}

static void print_strip(FILE *out, const struct close_up *view)
{
	static const char *const levels[FILL_LEVELS] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	fputs("\n  how full, from the first group to the last\n  ", out);
	for (size_t cell = 0; cell < CLOSE_UP_CELLS; cell++) {
		if (view->slots[cell] == 0)
			continue;
		/* empty only when nothing is in it */
		uint64_t level =
			(view->live[cell] * (FILL_LEVELS - 1) + view->slots[cell] - 1) / view->slots[cell];
		fputs(levels[level], out);
	}
	fputc('\n', out);
}

static void print_groups(FILE *out, const struct close_up *view)
{
	fputs("\n  groups by entries\n ", out);
	for (size_t live = 0; live <= GO_GROUP_SLOTS; live++)
		fprintf(out, "  %zu: %" PRIu64, live, view->groups_by_live[live]);
	fprintf(out, "\n\n  %" PRIu64 " pages of 4 KiB, by entries\n ", view->page_count);
	for (size_t i = 0; i < CLOSE_UP_PAGES; i++) {
		unsigned from = close_up_page_from(i);
		if (i + 1 == CLOSE_UP_PAGES)
			fprintf(out, "  %u and more: %" PRIu64 "\n", from, view->pages[i]);
		else if (i == 0)
			fprintf(out, "  none: %" PRIu64, view->pages[i]);
		else
			fprintf(out, "  %u to %u: %" PRIu64, from, close_up_page_from(i + 1) - 1,
				view->pages[i]);
	}
}

static void print_tables(FILE *out, const struct close_up *view, const struct go_map_header *header)
{
	if (view->tables == 0)
		return;
	fprintf(out, "\n  directory of depth %u: %" PRIu64 " places for %" PRIu64 " tables", header->depth,
		header->directory_length, view->tables);
	if (view->table_groups_min == view->table_groups_max)
		fprintf(out, " of %" PRIu64 " groups\n", view->table_groups_min);
	else
		fprintf(out, " of %" PRIu64 " to %" PRIu64 " groups\n", view->table_groups_min,
			view->table_groups_max);
}

static void print_probes(FILE *out, const struct close_up *view)
{
	fputs("\n  entries by the groups that a lookup looks at\n ", out);
	for (size_t i = 0; i < CLOSE_UP_PROBES; i++)
		if (view->probes[i] > 0)
			fprintf(out, "  %zu%s: %" PRIu64, i + 1, i + 1 == CLOSE_UP_PROBES ? "+" : "",
				view->probes[i]);
	fputs(view->longest_probe == 0 ? "  not known\n" : "\n", out);
	if (view->not_known > 0)
		fprintf(out,
			"  of %" PRIu64 " entries it is not known: the hash of such keys is not recomputed\n",
			view->not_known);
	if (view->misplaced > 0)
		fprintf(out,
			"  %" PRIu64 " entries lie where no lookup finds them: torn, or of another type\n",
			view->misplaced);
}

static void print_counts(FILE *out, const struct inspection *inspection, const struct found_map *map)
{
	const struct map_counts *counts = &map->counts;
	char holder[NAME_BYTES], type[NAME_BYTES], a[32], b[32], c[32];
	go_type_name(inspection->process, map->type->type, type, sizeof type);
	inspection_holder(inspection, map, true, holder, sizeof holder);
	fprintf(out, "%s at 0x%" PRIx64 "  (%s", type, map->header.address,
		map_confidence_name(map->confidence));
	if (map->confidence == MAP_AMBIGUOUS)
		fprintf(out, ", one of %u types", map->candidates);
	fprintf(out, ")\n  held by %s\n\n", holder);
	fprintf(out, "  %s entries in %s slots of %s groups", format_count(a, map->header.count),
		format_count(b, counts->slots), format_count(c, counts->groups));
	fprintf(out, "\n  %s tombstones, %s empty", format_count(a, counts->tombstones),
		format_count(b, counts->empty));
	fprintf(out, ", %s left-over keys\n", format_count(a, counts->ghosts));
	if (map->growing) {
		fprintf(out,
			"  growing: %s entries still in the old array (%s); of the slots moved out of it ",
			format_count(a, counts->old_live), format_bytes(b, counts->old_bytes));
		fprintf(out, "%s are cleared, %s are not\n", format_count(a, counts->moved),
			format_count(b, counts->stale));
	}
	fprintf(out, "  holds %s, rebuilt %s: a rebuild gives back %s\n", format_bytes(a, map->bytes),
		format_bytes(b, map->rebuilt), format_bytes(c, map_reclaimable(map)));
}

void render_map(FILE *out, const struct inspection *inspection, const struct found_map *map,
		const struct render_options *options)
{
	struct close_up view;
	close_up_make(inspection->process, &inspection->maps, map, &view);
	print_counts(out, inspection, map);
	print_strip(out, &view);
	print_tables(out, &view, &map->header);
	print_groups(out, &view);
	print_probes(out, &view);
	if (!options->show_keys && !options->ghosts)
		return;
	fprintf(out, "\n  %s keys (the first %d)\n", options->ghosts ? "left-over" : "live", KEYS_SHOWN);
	if (!options->show_keys) {
		fputs("    masked; --show-keys shows them\n", out);
		return;
	}
	struct key_list list = {.process = inspection->process,
				.type = map->type,
				.out = out,
				.ghosts = options->ghosts,
				.left = KEYS_SHOWN};
	struct go_map_visitor visitor = {.context = &list, .group = list_group};
	(void)go_map_walk(inspection->process, &map->header, map->type, &visitor);
}

static void json_numbers(FILE *out, const char *name, const uint64_t *numbers, size_t count)
{
	fprintf(out, ",\n  \"%s\": [", name);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%" PRIu64, i == 0 ? "" : ", ", numbers[i]);
	fputc(']', out);
}

void json_close_up(FILE *out, const struct inspection *inspection, const struct found_map *map)
{
	struct close_up view;
	close_up_make(inspection->process, &inspection->maps, map, &view);
	fputs("{\n  \"schema\": 1,\n  \"map\":\n", out);
	json_found_map(out, inspection, map);
	fprintf(out,
		",\n  \"directory_depth\": %u,\n  \"tables\": %" PRIu64 ",\n  \"table_groups\": [%" PRIu64
		", %" PRIu64 "],\n  \"pages\": %" PRIu64,
		map->header.depth, view.tables, view.table_groups_min, view.table_groups_max,
		view.page_count);
	json_numbers(out, "groups_by_live", view.groups_by_live, GO_GROUP_SLOTS + 1);
	json_numbers(out, "pages_by_live", view.pages, CLOSE_UP_PAGES);
	json_numbers(out, "probes", view.probes, CLOSE_UP_PROBES);
	fprintf(out,
		",\n  \"longest_probe\": %" PRIu64 ",\n  \"probe_not_known\": %" PRIu64
		",\n  \"misplaced\": %" PRIu64 "\n}\n",
		view.longest_probe, view.not_known, view.misplaced);
}
