/* close_up.c: see close_up.h. */
#include "close_up.h"

#include <stdlib.h>
#include <string.h>

struct measuring {
	struct go_process *process;
	const struct go_hash_key *key;
	const struct found_map *map;
	struct close_up *result;
	uint64_t group_count, group; /* of how many, and the number of the next one */
	struct page_part *parts;
	size_t part_count, part_capacity;
};

/* Entries of one group on a page. The groups of a chain lie anywhere, so that pages are put together at the end. */
struct page_part {
	uint64_t page; /* address / 4096 */
	uint64_t live;
};

static const unsigned page_from[CLOSE_UP_PAGES] = {0, 1, 4, 16, 64, 256};

unsigned close_up_page_from(size_t i)
{
	return page_from[i];
}

static void add_part(struct measuring *measuring, uint64_t address, uint64_t live)
{
	struct page_part *last =
		measuring->part_count == 0 ? NULL : &measuring->parts[measuring->part_count - 1];
	if (last != NULL && last->page == address / TARGET_PAGE) {
		last->live += live;
		return;
	}
	measuring->parts = make_room(measuring->parts, measuring->part_count, &measuring->part_capacity,
				     sizeof *measuring->parts);
	measuring->parts[measuring->part_count++] = (struct page_part){address / TARGET_PAGE, live};
}

static int compare_parts(const void *left, const void *right)
{
	const struct page_part *a = left, *b = right;
	return a->page < b->page ? -1 : a->page > b->page;
}

static void count_page(struct close_up *result, uint64_t live)
{
	size_t at = CLOSE_UP_PAGES - 1;
	while (at > 0 && live < page_from[at])
		at--;
	result->pages[at]++;
	result->page_count++;
}

static void count_pages(struct measuring *measuring)
{
	uint64_t live = 0;
	if (measuring->part_count > 0)
		qsort(measuring->parts, measuring->part_count, sizeof *measuring->parts, compare_parts);
	for (size_t i = 0; i < measuring->part_count; i++) {
		live += measuring->parts[i].live;
		if (i + 1 == measuring->part_count ||
		    measuring->parts[i + 1].page != measuring->parts[i].page) {
			count_page(measuring->result, live);
			live = 0;
		}
	}
	free(measuring->parts);
}

static void add_probe(struct close_up *result, uint64_t probe)
{
	result->probes[probe <= CLOSE_UP_PROBES ? probe - 1 : CLOSE_UP_PROBES - 1]++;
	if (probe > result->longest_probe)
		result->longest_probe = probe;
}

static void measure_probe(struct measuring *measuring, const struct go_group *group, unsigned slot)
{
	struct close_up *result = measuring->result;
	uint64_t hash, probe;
	if (measuring->process->layout.maps == GO_MAP_CLASSIC) {
		add_probe(result, group->depth + 1);
	} else if (!go_hash_of(measuring->process, measuring->key, &measuring->map->header,
			       measuring->map->type, go_slot_key(measuring->map->type, group->bytes, slot),
			       &hash)) {
		result->not_known++;
	} else if ((probe = go_swiss_probe(&measuring->map->header, group, hash)) == 0) {
		result->misplaced++;
	} else {
		add_probe(result, probe);
	}
}

static void add_table(struct close_up *result, uint64_t groups)
{
	if (result->tables++ == 0 || groups < result->table_groups_min)
		result->table_groups_min = groups;
	if (groups > result->table_groups_max)
		result->table_groups_max = groups;
}

static void measure_group(void *context, const struct go_group *group)
{
	struct measuring *measuring = context;
	struct close_up *result = measuring->result;
	uint64_t cell = measuring->group++ * CLOSE_UP_CELLS / measuring->group_count;
	unsigned live = 0;
	add_part(measuring, group->address, 0);
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++)
		if (group->slots[slot] == GO_SLOT_LIVE) {
			live++;
			measure_probe(measuring, group, slot);
			add_part(measuring,
				 group->address +
					 (uint64_t)(go_slot_key(measuring->map->type, group->bytes, slot) -
						    group->bytes),
				 1);
		}
	add_part(measuring, group->address + measuring->map->type->group_size - 1, 0);
	cell = cell < CLOSE_UP_CELLS ? cell : CLOSE_UP_CELLS - 1;
	result->live[cell] += live;
	result->slots[cell] += GO_GROUP_SLOTS;
	result->groups_by_live[live]++;
	if (group->table_groups != 0 && group->in_table == 0)
		add_table(result, group->table_groups);
}

void close_up_make(struct go_process *process, const struct maps *maps, const struct found_map *map,
		   struct close_up *ret)
{
	struct measuring measuring = {.process = process,
				      .key = &maps->hash_key,
				      .map = map,
				      .result = ret,
				      .group_count = map->counts.groups == 0 ? 1 : map->counts.groups};
	struct go_map_visitor visitor = {.context = &measuring, .group = measure_group};
	*ret = (struct close_up){0};
	(void)go_map_walk(process, &map->header, map->type, &visitor);
	count_pages(&measuring);
}
