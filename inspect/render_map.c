/* render_map.c: one map, close up: where its slots are, how its pages are filled, how long its chains are, and,
 * when asked, its keys. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspection.h"

enum { STRIP_CELLS = 72, NAME_BYTES = 512, KEYS_SHOWN = 20, KEY_TEXT = 48, CHAINS = 8, FILL_LEVELS = 9 };

struct close_up {
	struct go_process *process;
	const struct go_map_type *type;
	uint64_t group_count, group; /* of how many, and the number of the next one */
	uint64_t live[STRIP_CELLS], slots[STRIP_CELLS];
	uint64_t chains[CHAINS];	/* groups by their position in the overflow chain */
	uint64_t page_first, page_live; /* the page that is being counted */
	uint64_t pages, empty_pages;	/* of the arrays: all, and those without an entry */
	FILE *out;
	bool show, ghosts;
	unsigned keys_left;
};

static void finish_page(struct close_up *view)
{
	if (view->page_first == 0)
		return;
	view->pages++;
	view->empty_pages += view->page_live == 0;
}

static void add_to_page(struct close_up *view, uint64_t address, unsigned live)
{
	uint64_t page = address / TARGET_PAGE + 1;
	if (page != view->page_first) {
		finish_page(view);
		view->page_first = page;
		view->page_live = 0;
	}
	view->page_live += live;
}

/* The text of a key that has one: strings and integers as they are, everything else as bytes. */
static void key_text(struct close_up *view, const uint8_t *key, char *text, size_t size)
{
	const struct go_map_type *type = view->type;
	uint64_t words[2] = {0};
	memcpy(words, key, type->key_size < sizeof words ? type->key_size : sizeof words);
	if (go_type_kind(view->process, type->key) == GO_KIND_STRING) {
		uint64_t length = words[1] < size - 1 ? words[1] : size - 1;
		const char *bytes = image_at(view->process->image, words[0], length);
		for (uint64_t i = 0; bytes != NULL && i < length; i++)
			text[i] = (char)(isprint((unsigned char)bytes[i]) ? bytes[i] : '?');
		text[bytes == NULL ? 0 : length] = '\0';
		return;
	}
	if (type->key_size <= sizeof words[0]) {
		snprintf(text, size, "%" PRIu64, words[0]);
		return;
	}
	size_t used = 0;
	for (uint32_t i = 0; i < type->key_size && used + 3 < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%02x", key[i]);
}

static void print_key(struct close_up *view, const struct go_group *group, unsigned slot, bool ghost)
{
	char text[KEY_TEXT];
	if (view->keys_left == 0)
		return;
	view->keys_left--;
	const uint8_t *key = go_slot_key(view->type, group->bytes, slot);
	if (view->type->key_indirect)
		snprintf(text, sizeof text, "(held by pointer)");
	else
		key_text(view, key, text, sizeof text);
	fprintf(view->out, "    0x%" PRIx64 " %s %s\n", group->address + (uint64_t)(key - group->bytes),
		ghost ? "left over" : "live     ", text);
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

static void view_group(void *context, const struct go_group *group)
{
	struct close_up *view = context;
	uint64_t cell = view->group++ * STRIP_CELLS / view->group_count;
	unsigned live = 0;
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		bool ghost = is_ghost(view->type, group, slot);
		live += group->slots[slot] == GO_SLOT_LIVE;
		if (view->show && (view->ghosts ? ghost : group->slots[slot] == GO_SLOT_LIVE))
			print_key(view, group, slot, ghost);
	}
	cell = cell < STRIP_CELLS ? cell : STRIP_CELLS - 1;
	view->live[cell] += live;
	view->slots[cell] += GO_GROUP_SLOTS;
	view->chains[group->depth < CHAINS ? group->depth : CHAINS - 1]++;
	add_to_page(view, group->address, live);
}

static void print_strip(FILE *out, const struct close_up *view)
{
	static const char *const levels[FILL_LEVELS] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	fputs("\n  how full, from the first group to the last\n  ", out);
	for (size_t cell = 0; cell < STRIP_CELLS; cell++) {
		if (view->slots[cell] == 0)
			continue;
		/* empty only when nothing is in it */
		uint64_t level =
			(view->live[cell] * (FILL_LEVELS - 1) + view->slots[cell] - 1) / view->slots[cell];
		fputs(levels[level], out);
	}
	fputc('\n', out);
}

static void print_chains(FILE *out, const struct close_up *view)
{
	if (view->process->layout.maps != GO_MAP_CLASSIC)
		return;
	fputs("\n  buckets by position in the overflow chain\n ", out);
	for (size_t depth = 0; depth < CHAINS; depth++)
		if (view->chains[depth] > 0)
			fprintf(out, "  %zu%s: %" PRIu64, depth, depth + 1 == CHAINS ? "+" : "",
				view->chains[depth]);
	fputc('\n', out);
}

static void print_counts(FILE *out, const struct inspection *inspection, const struct found_map *map)
{
	const struct map_counts *counts = &map->counts;
	char holder[NAME_BYTES], type[NAME_BYTES], a[32], b[32], c[32];
	go_type_name(inspection->process, map->type->type, type, sizeof type);
	inspection_holder(inspection, map, holder, sizeof holder);
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
	struct close_up view = {.process = inspection->process,
				.type = map->type,
				.group_count = map->counts.groups == 0 ? 1 : map->counts.groups,
				.out = out};
	struct go_map_visitor visitor = {.context = &view, .group = view_group};
	print_counts(out, inspection, map);
	(void)go_map_walk(inspection->process, &map->header, map->type, &visitor);
	finish_page(&view);
	print_strip(out, &view);
	fprintf(out, "\n  %" PRIu64 " pages of 4 KiB, %" PRIu64 " of them without an entry\n", view.pages,
		view.empty_pages);
	print_chains(out, &view);
	if (!options->show_keys && !options->ghosts)
		return;
	fprintf(out, "\n  %s keys (the first %d)\n", options->ghosts ? "left-over" : "live", KEYS_SHOWN);
	if (!options->show_keys) {
		fputs("    masked; --show-keys shows them\n", out);
		return;
	}
	view.show = true;
	view.ghosts = options->ghosts;
	view.keys_left = KEYS_SHOWN;
	view.group = 0;
	(void)go_map_walk(inspection->process, &map->header, map->type, &visitor);
}
