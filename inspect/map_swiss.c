/* map_swiss.c: the Swiss map of Go 1.24 and later.
 *
 *   Map:   0 used | 8 seed | 16 dirPtr | 24 dirLen | 32 globalDepth | 33 globalShift | 34 writing | ...
 *   table: 0 used u16 | 2 capacity u16 | 4 growthLeft u16 | 6 localDepth | 8 index | 16 groups | 24 mask
 *
 *   dirLen == 0:  dirPtr -> one group                       (up to eight entries)
 *   else          dirPtr -> [table][table]...  2^globalDepth pointers; a table of localDepth d stands in
 *                           2^(globalDepth - d) neighbouring places, and its index is the first of them
 *   table.groups -> [group] x (mask + 1),  capacity = 8 (mask + 1) <= 1024
 *
 * control byte: 0x80 empty   0xfe deleted   below 0x80: live, the low seven bits of the hash
 *
 * A delete writes "empty" when its group still has an empty slot, "deleted" only when the group was full.
 */
#include <string.h>

#include "gomap.h"
#include "goprocess.h"

enum {
	CONTROL_EMPTY = 0x80,
	CONTROL_DELETED = 0xfe,
	TABLE_CAPACITY_MAX = 1024,
	DEPTH_MAX = 40,
	LOCAL_DEPTH = 6,       /* of a table: where it is */
	HASH_BITS_OF_SLOT = 7, /* in the control byte; the others choose table and group */
	SMALL_SHIFT = 64,      /* globalShift of a map whose directory has one entry */
};

#define COUNT_LIMIT (1ull << 40)

bool go_swiss_header(struct go_process *process, const uint8_t *bytes, struct go_map_header *ret)
{
	(void)process;
	memcpy(&ret->count, bytes, 8);
	memcpy(&ret->swiss_seed, bytes + 8, 8);
	memcpy(&ret->directory, bytes + 16, 8);
	memcpy(&ret->directory_length, bytes + 24, 8);
	ret->depth = bytes[32];
	ret->writing = bytes[34] != 0;
	uint8_t shift = bytes[33], writing = bytes[34], tombstones = bytes[35];
	if (ret->count > COUNT_LIMIT || ret->depth > DEPTH_MAX || writing > 1 || tombstones > 1 ||
	    bytes[36] != 0 || bytes[37] != 0 || bytes[38] != 0 || bytes[39] != 0 || (ret->directory & 7) != 0)
		return false;
	if (ret->directory_length == 0)
		return ret->depth == 0 && ret->count <= GO_GROUP_SLOTS &&
		       (shift == 0 || shift == SMALL_SHIFT) && (ret->directory != 0 || ret->count == 0);
	return ret->directory_length == 1ull << ret->depth && shift == SMALL_SHIFT - ret->depth &&
	       ret->directory != 0;
}

struct walk {
	struct go_process *process;
	const struct go_map_type *type;
	const struct go_map_visitor *visitor;
	uint64_t group_number;						 /* counted through all tables */
	uint64_t table_groups, in_table, directory_at, directory_places; /* as in struct go_group */
};

static bool walk_group(struct walk *walk, uint64_t address, bool small, unsigned *live)
{
	const uint8_t *bytes = image_at(walk->process->image, address, walk->type->group_size);
	if (bytes == NULL)
		return false;
	struct go_group group = {.address = address,
				 .bytes = bytes,
				 .home = walk->group_number++,
				 .table_groups = walk->table_groups,
				 .in_table = walk->in_table,
				 .directory_at = walk->directory_at,
				 .directory_places = walk->directory_places};
	for (unsigned slot = 0; slot < GO_GROUP_SLOTS; slot++) {
		uint8_t control = bytes[slot];
		if (control >= 0x80 && control != CONTROL_EMPTY && (control != CONTROL_DELETED || small))
			return false;
		group.slots[slot] = control < 0x80		 ? GO_SLOT_LIVE
				    : control == CONTROL_DELETED ? GO_SLOT_TOMBSTONE
								 : GO_SLOT_EMPTY;
		*live += control < 0x80;
	}
	if (walk->visitor->group != NULL)
		walk->visitor->group(walk->visitor->context, &group);
	return true;
}

/* `groups` of them must be one object of exactly the right size; a small map's may lie on a stack. */
static bool check_groups(struct walk *walk, uint64_t address, uint64_t groups, bool small)
{
	struct go_span *span;
	uint64_t type, size = go_heap_data(walk->process, address, &span, &type);
	if (span == NULL)
		return small && go_stack_at(&walk->process->stacks, address) != NULL;
	if (size != go_heap_round(walk->process, groups * walk->type->group_size, walk->type->pointers) ||
	    span->noscan == walk->type->pointers || (type != 0 && type != walk->type->group))
		return false;
	if (walk->visitor->block != NULL)
		walk->visitor->block(walk->visitor->context, address, size, false);
	return true;
}

static bool walk_table(struct walk *walk, uint64_t address, uint64_t index, unsigned depth, unsigned *live)
{
	const uint32_t table_size = walk->process->layout.swiss_table_size;
	struct go_span *span;
	uint64_t type, words[4], size = go_heap_data(walk->process, address, &span, &type);
	const uint8_t *bytes = image_at(walk->process->image, address, table_size);
	if (bytes == NULL || size != table_size || span->noscan)
		return false;
	uint16_t used, capacity;
	memcpy(&used, bytes, sizeof used);
	memcpy(&capacity, bytes + 2, sizeof capacity);
	memcpy(words, bytes, sizeof words);
	uint64_t groups = words[2], count = words[3] + 1;
	if (words[1] != index || count == 0 || count > TABLE_CAPACITY_MAX / GO_GROUP_SLOTS ||
	    capacity != count * GO_GROUP_SLOTS || used > capacity || bytes[LOCAL_DEPTH] > depth ||
	    !check_groups(walk, groups, count, false))
		return false;
	if (walk->visitor->block != NULL)
		walk->visitor->block(walk->visitor->context, address, size, false);
	walk->table_groups = count;
	walk->directory_at = index;
	walk->directory_places = 1ull << (depth - bytes[LOCAL_DEPTH]);
	for (walk->in_table = 0;
	     walk->in_table < count && !walk->visitor->reads_only && !go_map_seen_enough(walk->visitor);
	     walk->in_table++)
		if (!walk_group(walk, groups + walk->in_table * walk->type->group_size, false, live))
			return false;
	return true;
}

static bool walk_directory(struct walk *walk, const struct go_map_header *header)
{
	struct go_span *span;
	uint64_t type, size = go_heap_data(walk->process, header->directory, &span, &type);
	uint64_t bytes = header->directory_length * 8, before = 0;
	if (size == 0 || size != go_heap_round(walk->process, bytes, true))
		return false;
	if (walk->visitor->block != NULL)
		walk->visitor->block(walk->visitor->context, header->directory, size, false);
	for (uint64_t i = 0; i < header->directory_length && !go_map_seen_enough(walk->visitor); i++) {
		uint64_t table;
		unsigned live = 0;
		if (!image_word(walk->process->image, header->directory + i * 8, &table))
			return false;
		if (table != before && !walk_table(walk, table, i, header->depth, &live) &&
		    !walk->visitor->reads_only)
			return false;
		before = table;
	}
	return true;
}

bool go_swiss_walk(struct go_process *process, const struct go_map_header *header,
		   const struct go_map_type *type, const struct go_map_visitor *visitor)
{
	struct walk walk = {.process = process, .type = type, .visitor = visitor};
	unsigned live = 0;
	if (header->directory == 0)
		return header->count == 0;
	if (header->directory_length != 0)
		return walk_directory(&walk, header);
	return check_groups(&walk, header->directory, 1, true) &&
	       walk_group(&walk, header->directory, true, &live);
}

uint64_t go_swiss_probe(const struct go_map_header *header, const struct go_group *group, uint64_t hash)
{
	uint64_t mask = group->table_groups - 1, at = hash >> HASH_BITS_OF_SLOT & mask;
	uint64_t place = header->depth == 0 ? 0 : hash >> (SMALL_SHIFT - header->depth);
	if (group->table_groups == 0)
		return 1;
	if (place - group->directory_at >= group->directory_places)
		return 0;
	for (uint64_t step = 1; step <= group->table_groups; at = (at + step++) & mask)
		if (at == group->in_table)
			return step;
	return 0;
}

static uint64_t power_of_two(uint64_t least)
{
	uint64_t power = 1;
	while (power < least)
		power *= 2;
	return power;
}

/* As make(map, count) does it: 7 of 8 slots filled at most, tables of at most 1024 slots. */
uint64_t go_swiss_rebuilt(struct go_process *process, const struct go_map_type *type, uint64_t count)
{
	uint64_t header = go_heap_round(process, process->layout.swiss_size, true);
	if (count == 0)
		return header;
	if (count <= GO_GROUP_SLOTS)
		return header + go_heap_round(process, type->group_size, type->pointers);
	uint64_t capacity = count * 8 / 7;
	uint64_t tables = power_of_two((capacity + TABLE_CAPACITY_MAX - 1) / TABLE_CAPACITY_MAX);
	uint64_t slots = power_of_two(capacity / tables);
	if (slots < GO_GROUP_SLOTS)
		slots = GO_GROUP_SLOTS;
	uint64_t table = process->layout.swiss_table_size +
			 go_heap_round(process, slots / GO_GROUP_SLOTS * type->group_size, type->pointers);
	return header + go_heap_round(process, tables * 8, true) + tables * table;
}
