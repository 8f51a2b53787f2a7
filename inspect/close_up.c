/* close_up.c: see close_up.h. */
#include "close_up.h"

#include <string.h>

struct measuring {
	struct go_process *process;
	const struct go_hash_key *key;
	const struct found_map *map;
	struct close_up *result;
	uint64_t group_count, group; /* of how many, and the number of the next one */
	uint64_t page, page_live;    /* that is being counted: address / 4096 + 1 */
};

static const unsigned page_from[CLOSE_UP_PAGES] = {0, 1, 4, 16, 64, 256};

unsigned close_up_page_from(size_t i)
{
	return page_from[i];
}

static void finish_page(struct measuring *measuring)
{
	size_t at = CLOSE_UP_PAGES - 1;
	if (measuring->page == 0)
		return;
	while (at > 0 && measuring->page_live < page_from[at])
		at--;
	measuring->result->pages[at]++;
	measuring->result->page_count++;
}

static void add_to_page(struct measuring *measuring, uint64_t address, unsigned live)
{
	uint64_t page = address / TARGET_PAGE + 1;
	if (page != measuring->page) {
		finish_page(measuring);
		measuring->page = page;
		measuring->page_live = 0;
	}
	measuring->page_live += live;
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
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++)
		if (group->slots[slot] == GO_SLOT_LIVE) {
			live++;
			measure_probe(measuring, group, slot);
		}
	cell = cell < CLOSE_UP_CELLS ? cell : CLOSE_UP_CELLS - 1;
	result->live[cell] += live;
	result->slots[cell] += GO_GROUP_SLOTS;
	result->groups_by_live[live]++;
	if (group->table_groups != 0 && group->in_table == 0)
		add_table(result, group->table_groups);
	add_to_page(measuring, group->address, live);
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
	finish_page(&measuring);
}
